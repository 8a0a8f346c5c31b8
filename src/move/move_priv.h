/* What the files of move share: the objects behind include/wherry/move/account.h. */
#ifndef WHERRY_MOVE_PRIV_H
#define WHERRY_MOVE_PRIV_H

#include <stdlib.h>
#include "wherry/base/clock.h"
#include "wherry/base/hash.h"
#include "wherry/move/account.h"

struct mirror;
struct mover;

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
    struct unit **units;  /* by id - 1; deleted ones included */
    uint32_t n_units;
    struct mirror *mirror; /* while it runs */
    struct err mirror_err;
    unsigned movers;       /* running or queued for this account */
    unsigned running;      /* of these: each is one connection to either host under the person's name */
    unsigned looks;        /* of the running ones: at stragglers */
    struct list released;  /* on accounts.released while unused */
    struct store_wait barrier; /* all it wrote is committed: may be forgotten */
};

struct unit {
    struct account *account;
    struct store_unit rec;
    struct mover *mover; /* while it runs */
    struct list queued;
    bool in_queue; /* for a copy */
    bool in_looks; /* for a look */
    bool looking;  /* the mover only looks for stragglers */
    uint32_t stuck_uid, stuck; /* the straggler that old lists and does not send, and how often it did not */
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

/* ---- unit.c ---- */
/* Adds a unit to the account with the next id; names are copied. */
struct unit *unit_new(struct account *a, enum unit_kind kind, enum unit_state state, enum unit_home home,
                      struct slice old_name, struct slice view_name, struct slice new_name);
struct unit *unit_from_record(struct account *a, struct store_unit *rec); /* takes the record's strings */
void unit_free(struct unit **u);
/* The one place where a unit changes state; checks the table, keeps the gauges, logs. */
void unit_enter(struct unit *u, enum unit_state to);
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
void accounts_run_queue(struct accounts *all);

/* ---- look.c ---- */
void looks_run(struct accounts *all); /* starts those that may run now */
void looks_tick(struct accounts *all); /* looks at INBOX of who is signed in, from time to time */
void unit_look_ended(struct unit *u);
void unit_look_done(struct unit *u, int result, uint64_t found, const struct err *e);

/* ---- rest.c ---- */
void rest_begin(struct unit *u, bool progressed);
/* Nothing failed, but it need not be looked at again so soon. */
void rest_look(struct unit *u);
bool rest_lasts(const struct unit *u);
void rest_end(struct unit *u);
void rests_free(struct hash **rests);

/* ---- names.c ---- */
void names_add(struct account *a, struct unit *u);
void names_del(struct account *a, struct unit *u);
/* A name on new for view_name that no unit has; 0 or E_INVAL. */
int names_choose_new(struct account *a, struct slice view_name, struct buf *out) MUST_USE;

/* ---- mirror.c ---- */
struct mirror *mirror_start(struct account *a);
void mirror_abort(struct mirror **m);

/* ---- intents.c ---- */
/* The new host's UIDs of all that was sent mean nothing any more: what of it is there, and under which? 0 or the store's error. */
int intents_revive(struct unit *u, struct store_batch *b) MUST_USE;

/* ---- mover.c ---- */
struct mover *mover_start(struct unit *u);
void mover_abort(struct mover **m);

#endif
