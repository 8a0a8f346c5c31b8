/* What the files of move share: the objects behind include/wherry/move/account.h. */
#ifndef WHERRY_MOVE_PRIV_H
#define WHERRY_MOVE_PRIV_H

#include <stdlib.h>
#include "wherry/base/clock.h"
#include "wherry/base/hash.h"
#include "move/throttle.h"
#include "wherry/move/account.h"

struct mirror;
struct mover;
struct dav_mirror;
struct dav_mover;

/*
 * What moves without anybody waiting for it. Accounts take turns; those that are not in memory stand in `absent` by their id,
 * and are loaded a few at a time where a master user opens both hosts.
 */
struct sweep {
    struct list ring;    /* struct account.sweeping: has something to move, and can */
    unsigned in_ring;
    struct list running; /* struct unit.swept: copies that nobody waits for, in the order they began */
    uint32_t *absent;    /* account ids, a ring of cap places */
    size_t first, n, cap;
    struct hash *known;  /* the same ids */
    size_t pass;         /* of absent, how many are still to be looked at in this round */
    uint64_t pass_after_ms; /* the next round begins */
    struct timer timer;  /* of accounts.task: when the next look is worth while */
    uint64_t rest_until_ms; /* a host failed: nothing begins before */
    unsigned failures;   /* in a row */
    bool drained;        /* the process ends */
};

/* What a host said of being pushed, in all or for one account; see pace.c. */
struct pace {
    unsigned open;      /* connections of movers and mirrors; of hosts only */
    unsigned allowed;   /* of these, or of an account's movers; 0: as configured */
    unsigned failures;  /* in a row */
    uint64_t until_ms;  /* it rests */
    uint32_t pushed_id; /* the account that heard it last */
    uint64_t pushed_ms;
};

struct accounts {
    struct env *env;
    struct hash *by_key;  /* -> struct account */
    struct hash *rests;   /* see rest.c */
    struct list queue;    /* units that wait for a free mover, by struct unit.queued */
    unsigned movers;      /* running */
    struct task task;     /* starts queued movers, frees accounts nobody needs */
    struct list looks;    /* units whose old mailbox is to be looked at, by struct unit.queued */
    struct timer look_timer;
    uint64_t look_rest_ms; /* no look begins before: the old host was away */
    struct list released; /* accounts without users, by struct account.released */
    struct sweep sweep;
    struct pace old_pace, new_pace;
    struct list dav_wanting; /* struct account.dav_wanting: collections that have not been tried yet */
    struct list mirrors; /* that wait for connections, by struct mirror.queued */
    struct throttle throttle;
};

struct account {
    struct accounts *all;
    struct store_account rec;
    struct buf key, login;
    struct secret password;
    char *client_address; /* of the session that came last: its connections are for that person; NULL: none yet */
    uint16_t client_port;
    struct list users;    /* struct account_user.node */
    struct hash *by_view; /* name of the view -> struct unit */
    struct hash *by_new;  /* name on the new host -> struct unit */
    struct hash *by_path, *by_new_path; /* the same of collections, by their decoded paths */
    struct unit **units;  /* by id - 1; deleted ones included */
    uint32_t n_units;
    struct mirror *mirror; /* while it runs */
    struct err mirror_err;
    struct dav_mirror *dav_mirror; /* of the collections, while it runs */
    struct err dav_mirror_err;
    unsigned movers;       /* running or queued for this account */
    unsigned running;      /* of these: each is one connection to either host under the person's name */
    unsigned looks;        /* of the running ones: at stragglers */
    unsigned turns;        /* sessions that are being carried over */
    struct list released;  /* on accounts.released while unused */
    struct store_wait barrier; /* all it wrote is committed: may be forgotten */
    uint32_t settled;          /* units before this place need the old host no more */
    struct list sweeping;      /* on sweep.ring */
    struct list dav_wanting;   /* on accounts.dav_wanting */
    uint32_t *order;           /* units to sweep, the rest of this round from next on */
    uint32_t n_order, next;
    struct pace pace;
    uint64_t sweep_after_ms;   /* all of the rest is resting */
};

struct unit {
    struct account *account;
    struct store_unit rec;
    struct mover *mover; /* while it runs */
    struct dav_mover *dav; /* the same for a collection */
    unsigned writes;       /* changes of clients on their way to a collection on old */
    bool held;             /* no more of them: the switch is at hand */
    struct list queued;
    struct list seats;   /* struct unit_seat.node: sessions that use it on old */
    bool gate_closed;    /* nobody sits down any more: its home is about to change */
    uint64_t awaited_ms; /* somebody waits for the copy since then, 0: nobody did */
    bool in_queue; /* for a copy */
    bool in_looks; /* for a look */
    bool looking;  /* the mover only looks for stragglers */
    uint32_t stuck_uid, stuck; /* the straggler that old lists and does not send, and how often it did not */
    struct list swept; /* on sweep.running */
    bool pushed;       /* the copy ended since a host was pushed too much */
    unsigned pushes;   /* how often in a row */
    uint64_t done, total; /* progress */
    struct err err; /* of the last failure in this process */
    struct uidmap map;
    bool map_loaded;
};

/* ---- account.c ---- */
void account_wake(struct account *a);
struct store_batch *account_batch(struct account *a);
/* Frees the account soon if nobody needs it. */
void account_release(struct account *a);
/* The one place where an account changes state; checks the table, counts, logs. */
void account_enter(struct account *a, enum account_state to);
/* After a unit moved or went away: the account's state follows, and is recorded. */
void account_settle(struct account *a);
/* Loads it, or finds it in memory; the caller sees to it that somebody needs it. */
int account_open(struct accounts *all, uint32_t id, struct account **out) MUST_USE;
/* An account that has a mailbox on the old host, as far as its own state goes: its contents move. */
bool unit_needs_old(const struct unit *u);

/* ---- unit.c ---- */
/* Adds a unit to the account with the next id; names are copied. */
struct unit *unit_new(struct account *a, enum unit_kind kind, enum unit_state state, enum unit_home home,
                      struct slice old_name, struct slice view_name, struct slice new_name);
struct unit *unit_from_record(struct account *a, struct store_unit *rec); /* takes the record's strings */
void unit_free(struct unit **u);
/* The one place where a unit changes state; checks the table, keeps the gauges, logs. */
void unit_enter(struct unit *u, enum unit_state to);
bool unit_running(const struct unit *u); /* a mover works on it */
/* Starts the copy or queues it. */
void unit_start(struct unit *u);
/* Breaks off a running or queued copy (the mailbox was deleted). */
void unit_stop(struct unit *u);
/* The mover ended: 0 (moved) or the error in *e. progressed: it carried some messages over. */
void unit_mover_done(struct unit *u, int result, bool progressed, const struct err *e);
void unit_set_reason(struct unit *u, const char *text);
/* As read from the store: where the process ended in the middle, the next touch resumes from what is recorded. */
void unit_settle_state(struct store_unit *rec);
void unit_gauges(struct counters *c, const struct store_unit *rec, int sign);
void unit_open_folder(struct unit *u);
void unit_close_count(struct unit *u);
/* Puts the identity map, which the unit has, where none is recorded. */
void unit_put_identity(struct store_batch *b, struct unit *u);
void accounts_run_queue(struct accounts *all);
/* Another copy may begin, in all and of this account. */
bool accounts_room(const struct accounts *all);
bool account_room(const struct account *a);
bool accounts_make_room(struct accounts *all); /* for somebody who waits */
void unit_begin(struct unit *u); /* there is room */

/* ---- seat.c ---- */
/* Wakes who sits: held at the next command boundary. Open again: they go on. */
void unit_close_gate(struct unit *u);
void unit_open_gate(struct unit *u);
bool unit_is_used(const struct unit *u);
bool unit_all_held(const struct unit *u);

/* ---- pace.c ---- */
/* Connections to both hosts may be opened now; one that rests is no use to make room at. */
bool pace_room_copy(const struct accounts *all);
bool pace_room_sign_in(const struct accounts *all); /* for the first look at an account's folders */
bool pace_rests(const struct accounts *all);
bool pace_account_room(const struct account *a);
bool pace_account_rests(const struct account *a);
/* A connection of the copy is opened, or gone. */
void pace_hold(struct accounts *all, bool old);
void pace_release(struct accounts *all, bool old);
/* A host said that it is too much; in its words. */
void pace_pushed(struct account *a, bool old, const char *said);
void pace_eased(struct account *a); /* a copy of the account came to its end */
/* When the next rest of somebody who waits ends. */
uint64_t pace_next_ms(const struct accounts *all, uint64_t now);
/* ms, doubled for each of `times` but the first, at most `most`, give or take an eighth. */
uint64_t pace_backed_off(uint64_t ms, unsigned times, uint64_t most);

/* ---- sweep.c ---- */
void sweep_init(struct accounts *all);
void sweep_free(struct accounts *all);
/* Somebody signed in, or units came: takes it into the round if there is something to move. */
void sweep_enrol(struct account *a);
/* Nobody is signed in any more, or all has moved, or the account is forgotten. */
void sweep_leave(struct account *a);
/* At the start: this account has mailboxes on the old host. */
void sweep_note_absent(struct accounts *all, uint32_t id);
/* Who goes first within an account. */
int sweep_compare(const struct unit *a, const struct unit *b);
void sweep_reload(struct accounts *all);
/* Begins what may begin now. */
void sweep_run(struct accounts *all);
/* A copy that nobody waited for ended. */
void sweep_ended(struct unit *u, int result, const struct err *e);
/* A person waits for it now: it is no longer the sweep's. */
void sweep_joined(struct unit *u);
/* A copy of the sweep makes room: of this account, or of any (NULL). False: there is none. */
bool sweep_yield(struct accounts *all, const struct account *a);
/* The account may be worked on with what is at hand. */
bool sweep_can(const struct account *a);

/* ---- look.c ---- */
void looks_rest(struct accounts *all); /* a host was away */
void looks_run(struct accounts *all); /* starts those that may run now */
void account_look(struct account *a); /* for new folders on old, and for news in the mailboxes there */
bool unit_may_be_looked_at(const struct unit *u); /* moved, within grace, and not lately */
void looks_tick(struct accounts *all); /* looks at INBOX of who is signed in, from time to time */
void unit_look_ended(struct unit *u);
void unit_look_done(struct unit *u, int result, uint64_t found, const struct err *e);

/* ---- rest.c ---- */
/* swept: nobody waited for the copy, so the first touch tries at once all the same. */
void rest_begin(struct unit *u, bool progressed, bool swept);
/* Nothing failed, but it need not be looked at again so soon. */
void rest_look(struct unit *u);
bool rest_lasts(const struct unit *u);        /* for a touch */
uint64_t rest_until_ms(const struct unit *u); /* for the sweep; 0: it does not rest */
void rest_end(struct unit *u);
/* Whether the account's folders rest; if not, they do so for ms from now on. */
bool rest_folders(struct account *a, uint64_t ms);
/* The same for its collections: begins to rest; whether it does. */
void rest_collections(struct account *a, uint64_t ms);
bool collections_rest(const struct account *a);
/* Forgets what rests no longer and did not fail. */
void rests_tidy(struct accounts *all);
void rests_free(struct hash **rests);

/* ---- dav_view.c, dav_mirror.c, dav_mover.c ---- */
void dav_names_add(struct account *a, struct unit *u);
void dav_names_del(struct account *a, struct unit *u);
struct unit *collection_at(struct account *a, struct slice key);
struct unit *collection_at_new(struct account *a, struct slice key);
/* Starts the mirror of the collections where it is due. */
void dav_account_attached(struct account *a);
void dav_mirror_abort(struct dav_mirror **m);
/* dav_start.c: all of its collections that can move are to begin; begins what can begin now */
void dav_want(struct account *a);
void dav_wants_run(struct accounts *all);
bool dav_can(const struct account *a); /* the hosts can be entered for it now */
struct dav_mover *dav_mover_start(struct unit *u);
void dav_mover_abort(struct dav_mover **m);

/* ---- names.c ---- */
void names_add(struct account *a, struct unit *u);
void names_del(struct account *a, struct unit *u);
/* A name on new for view_name that no unit has; 0 or E_INVAL. */
int names_choose_new(struct account *a, struct slice view_name, struct buf *out) MUST_USE;

/* ---- mirror.c ---- */
struct mirror *mirror_start(struct account *a);
void mirrors_run(struct accounts *all); /* begins those that waited for connections */
/* The account is known: only what appeared on old since. */
struct mirror *mirror_start_again(struct account *a);
void mirror_abort(struct mirror **m);

/* ---- intents.c ---- */
/* The new host's UIDs of all that was sent mean nothing any more: what of it is there, and under which? 0 or the store's error. */
int intents_revive(struct unit *u, struct store_batch *b) MUST_USE;

/* ---- mover.c ---- */
struct mover *mover_start(struct unit *u);
void mover_abort(struct mover **m);
void mover_wake(struct mover *m); /* a seat was held, or is empty */

#endif
