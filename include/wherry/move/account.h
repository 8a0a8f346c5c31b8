/*
 * Accounts and their units: who owns the state machine of DESIGN section 3, the names, the UID maps, and the movers.
 * Sessions (front) attach to an account, ask for units by the names of the view, touch them, and wait.
 */
#ifndef WHERRY_MOVE_ACCOUNT_H
#define WHERRY_MOVE_ACCOUNT_H

#include "wherry/auth/auth.h"
#include "wherry/client/breaker.h"
#include "wherry/imap/names.h"
#include "wherry/imap/uidmap.h"
#include "wherry/net/stream.h"
#include "wherry/store/records.h"
#include "wherry/store/store.h"

struct davc;

/* What the upper layers share; owner: app, one per worker. */
struct env {
    struct worker *worker;
    struct store *store;
    const struct settings *settings;
    struct tls_ctx *tls_server_http; /* the same certificate, for listen.dav */
    struct tls_ctx *tls_server, *tls_old, *tls_new; /* tls_server NULL: no certificate configured */
    struct tls_ctx *tls_old_submission, *tls_new_submission;
    struct auth *auth;
    struct davc *dav; /* NULL: no DAV hosts configured */
    struct accounts *accounts;
    struct breaker old_breaker, new_breaker; /* of sign-ins */
    uint64_t old_append_limit; /* as the old host told at the last sign-in there; 0: not told yet */
};

struct accounts; /* all accounts in memory; owner: env */
struct account;  /* owner: accounts; in memory while a session or a mover needs it */
struct unit;     /* owner: its account */

int accounts_new(struct accounts **out, struct env *env, struct err *e) MUST_USE; /* reads totals for the gauges */
void accounts_free(struct accounts **a); /* aborts movers; what they had committed stands */
unsigned accounts_movers(const struct accounts *a); /* running now */
void accounts_reload(struct accounts *a); /* the settings changed: the sweep looks again */
void accounts_drain(struct accounts *a);  /* the process ends: nothing begins that nobody waits for */

/*
 * A session's hold on an account; embedded in the session. task is woken when something it waits for changed:
 * the mirror, a copy (progress or end), a change of structure being committed.
 */
struct account_user {
    struct list node;
    struct task *task;
    struct unit *waiting; /* set by unit_touch, cleared when the copy ended */
    const char *address;  /* of the client, numeric; borrowed by account_attach; NULL: not known */
    uint16_t port;
    struct unit *failed;  /* the copy that it waited for ended without success; unit_touch tells and clears */
};

/*
 * After the password was checked. login and password are copied (wiped when the last user and mover are gone); the
 * first time, the mirror starts at once. u->address is told to the hosts from then on. Returns 0, E_CORRUPT, E_IO.
 */
int account_attach(struct accounts *a, struct account_user *u, struct task *task, struct slice key,
                   struct slice login, const struct secret *password, struct account **out,
                   struct err *e) MUST_USE;
void account_detach(struct account **acct, struct account_user *u);

enum readiness { STATE_READY, STATE_BUSY, STATE_FAILED };
/* The folder tree is mirrored and recorded. FAILED: *e says why; a later attach tries again. */
enum readiness account_ready(struct account *a, struct err *e);
const char *account_name(const struct account *a);
/* The hosts' hierarchy styles, valid when ready. old's is the view's. */
struct name_style account_view_style(const struct account *a);
struct name_style account_new_style(const struct account *a);

/* ---- names ---- */
/* By the name of the view (INBOX in any case). NULL: not known. Deleted units are not found. */
struct unit *account_find(struct account *a, struct slice view_name);
/* The name of the view for a mailbox on the new host; one that only new has gets a unit (home new, identity map) and a name
 * that cannot collide, recorded in the background. NULL only for names that cannot be shown. */
struct unit *account_find_new(struct account *a, struct slice new_name);
/* The name on new for a name of the view that is known or could be created. 0 or E_INVAL. */
int account_name_to_new(struct account *a, struct slice view_name, struct buf *out) MUST_USE;
/*
 * Another name on new for one that the host refused: plainer, then shorter, at last at the top. *tries begins at 0 and counts
 * on. E_INVAL: there is none left.
 */
int account_safe_name(struct account *a, struct slice view_name, struct slice refused, unsigned *tries,
                      struct buf *out) MUST_USE;
/* The unit whose name on new differs from this one in case only, which some hosts take for the same. */
struct unit *account_case_clash(struct account *a, struct slice new_name);
const struct store_unit *unit_record(const struct unit *u);
/* In another person's or a shared namespace of the old host, or its root: that does not move, and is served from there. */
bool account_is_others(const struct account *a, struct slice view_name);
/* The prefixes of those namespaces, each with a newline behind; "": none. */
const char *account_others(const struct account *a);
const char *account_shared(const struct account *a);
/* Walks the units that are not deleted, in no order. */
typedef bool account_walk_cb(struct unit *u, void *arg);
void account_walk(struct account *a, account_walk_cb *cb, void *arg);

/*
 * Structure changed on the new host by a person: record it. wait may be NULL; when given, answer the client only once it is
 * no longer pending. RENAME carries inferiors along (names of the view, both existing on new already).
 */
void account_created(struct account *a, struct slice view_name, struct slice new_name, struct store_wait *wait);
void account_deleted(struct account *a, struct unit *u, struct store_wait *wait);
void account_renamed(struct account *a, struct slice from_view, struct slice to_view, struct slice from_new,
                     struct slice to_new, struct store_wait *wait);

/* ---- contents ---- */
/*
 * A touch. READY: the unit's home is new. BUSY: it is being copied, the user is woken at progress and at the end; call
 * again then. FAILED: *e says why (the copy rests, see retry_seconds), nothing was lost.
 */
enum readiness unit_touch(struct unit *u, struct account_user *user, struct err *e);
/* How long somebody has waited for the copy that is going on or queued; 0 where none is. */
uint64_t unit_awaited_ms(const struct unit *u);
/* Somebody works on old in it: a copy begins where none is going on and none failed lately. */
void unit_nudge(struct unit *u);

/*
 * A mailbox at home on old that a session uses there, see seat.c: one for what it has selected, one for each command on its
 * way into it. Embedded in the session; task is woken when the gate is closed or opened again and when the home changed.
 */
struct unit_seat {
    struct list node;
    struct unit *unit; /* NULL: nobody sits */
    struct task *task;
    bool held; /* its session begins nothing until the gate is open again, or the home is new */
};
/* False: the home is not old, or is about to change. Whoever sat on the seat rises first. */
bool unit_sit(struct unit *u, struct unit_seat *seat, struct task *task);
void unit_rise(struct unit_seat *seat);
void unit_pass_seat(struct unit_seat *from, struct unit_seat *to); /* `to` is emptied first */
void unit_hold_seat(struct unit_seat *seat, bool held);
bool unit_gate_closed(const struct unit *u);
/*
 * Sessions of an account that are carried over take turns, a few at a time: the hosts would only make all of them wait until
 * the last one is done. False: not yet, the task is woken. Who took a turn gives it back.
 */
bool account_take_turn(struct account *a);
void account_give_turn(struct account *a);
void unit_progress(const struct unit *u, uint64_t *done, uint64_t *total);
/*
 * Have a look, in the background, at what reached the old mailbox of a moved unit since, and bring it over: nothing happens when
 * grace is over, or when it was done within look_seconds. Failures are nobody's but the log's.
 */
void unit_look(struct unit *u);
/* The UID map of a unit whose home is new; NULL with *e on a store error. Borrowed as long as the account is attached. */
const struct uidmap *unit_map(struct unit *u, struct err *e);
/*
 * The new host said this UIDVALIDITY at SELECT (never 0). 0: as recorded, or learnt and recorded now. E_CORRUPT: it differs from
 * the recorded one; the map was replaced by identity and the view's UIDVALIDITY raised (logged); look at the record
 * and the map again.
 */
int unit_check_uidvalidity(struct unit *u, uint32_t new_uidvalidity) MUST_USE;

#endif
