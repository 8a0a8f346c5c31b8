/* The inside of a collection's mover. See dav_mover.c for its phases. */
#ifndef WHERRY_MOVE_DAV_MOVER_H
#define WHERRY_MOVE_DAV_MOVER_H

#include "move/dav_priv.h"

enum {
    DAV_BATCHES = 2,       /* in work at once */
    DAV_LANES = 4,         /* requests of one batch in flight */
    DAV_BATCH_ITEMS = 50,
    DAV_BATCH_BYTES = 1024 * 1024 /* of bodies, as listed */
};

enum dav_phase {
    DP_OPTIONS,  /* what is new, and does it send invitations? */
    DP_META_OLD, /* token and tag of old, then its listing */
    DP_LIST_OLD,
    DP_META_NEW,
    DP_LIST_NEW,
    DP_FOREIGN,  /* UIDs of what only new has */
    DP_WORK,     /* batches */
    DP_DRAIN,    /* no more changes are let through to old; those on their way end */
    DP_SWITCH,
    DP_OVER
};

enum dav_todo { TODO_NONE, TODO_COPY, TODO_UPDATE, TODO_DELETE };
enum dav_count { COUNT_NONE, COUNT_MOVED, COUNT_LEFT };

struct dav_item {
    struct store_item row;  /* state 0: none in the store */
    char *etag, *tag;       /* on old, as listed last; NULL: not listed */
    char *now_etag, *now_tag; /* on new, as listed last; NULL: not listed */
    uint64_t size;
    enum dav_todo todo;
    enum dav_count count;
    uint32_t left;          /* number of what is in the spool, 0: none */
    unsigned losses;        /* times that new lost it */
    bool part;              /* of one that was split: not of old */
    bool busy;              /* in a batch */
};

enum job_step {
    JOB_GET,    /* its body from old */
    JOB_PUT,
    JOB_SENT,   /* stored; to be read back */
    JOB_PEEK,   /* what new has under the name */
    JOB_CHECK,  /* read back alone */
    JOB_DELETE,
    JOB_SPOOL,
    JOB_OVER
};

/* What happens to one item in a batch. Owner: the batch. */
struct job {
    struct dav_item *item;
    enum job_step step;
    bool active;         /* in a lane */
    bool have, vanished;
    struct buf body;     /* as old has it */
    struct buf sent;     /* what goes out where that is something else */
    unsigned mended, faults, tries, names;
    bool split, ours, adopt, agent;
    bool gone;           /* old has it no more, and what is on new may be ours */
    char *uid, *match;   /* match: an ETag for If-Match */
    char *reason;
};

struct lane {
    struct ask ask;
    size_t job; /* index + 1, 0: idle */
    struct left_file *file;
};

enum batch_step { BATCH_FETCH, BATCH_INTENT, BATCH_WORK, BATCH_VERIFY, BATCH_RECORD };
struct dav_batch {
    struct dav_mover *m;
    enum batch_step step;
    struct job *jobs;
    size_t n;
    struct ask ask;
    bool asked, verified;
    struct store_wait wait;
    struct lane lanes[DAV_LANES];
};

struct dav_meta {
    char *token, *ctag;
};

struct dav_mover {
    struct task task;
    struct timer timer;
    struct unit *unit;
    struct account *account;
    struct env *env;
    enum dav_phase phase;
    bool card;
    struct dav_side old, new;
    struct ask ask;
    struct hash *by_name, *by_new; /* -> struct dav_item; by_new: those whose name on new is another */
    struct dav_item **items;
    size_t n, next; /* next: where the search for work goes on */
    size_t todo;    /* what the last listing of old asks for and was not begun */
    struct hash *foreign_uids;     /* UID -> name on new, of what only new has; values are owned */
    struct http_spelling spelling;
    struct dav_meta meta_old, meta_new, listed_old, listed_new; /* now, and before the last listing */
    bool listed_once, sealed;
    bool old_no_multiget, new_no_multiget;
    enum dav_scheduling quiet;
    struct dav_batch *batches[DAV_BATCHES];
    unsigned rounds, refused;      /* refused: in a row */
    uint64_t pause_until_ms;       /* a host asked for patience */
    uint64_t hold_ms;              /* when the hold began, 0: none */
    uint32_t next_left;
    struct store_wait wait;
    struct err err;
    uint64_t began_ms, done;
};

/* ---- dav_mover.c ---- */
int dav_fail(struct dav_mover *m, int code, enum err_scope scope, const char *fmt, ...) PRINTF(4, 5);
struct dav_item *dav_item_add(struct dav_mover *m, const char *name);
struct dav_item *dav_item_find(struct dav_mover *m, struct slice name);
struct dav_item *dav_item_find_new(struct dav_mover *m, struct slice new_name);
void dav_item_rename(struct dav_mover *m, struct dav_item *i, const char *new_name);
/* Chooses a plain one that is free; tries: how many were no good. False: there is none. */
bool item_rename(struct dav_mover *m, struct dav_item *i, unsigned tries);
bool item_name_is_plain(const char *name);
/* What it counts as from now on; the unit's record and the counters follow. */
void dav_item_count(struct dav_mover *m, struct dav_item *i, enum dav_count to);
void dav_vanished(struct dav_mover *m);
const char *dav_item_new_name(const struct dav_item *i);
/* The item's target at a host. */
void dav_target(const struct dav_mover *m, bool old, const struct dav_item *i, struct buf *out);
void set_string(char **field, const char *v); /* NULL: NULL */
void set_slice(char **field, struct slice v);

/* ---- dav_list.c ---- */
void list_meta(struct dav_mover *m, bool old);
void list_items(struct dav_mover *m, bool old);
void list_foreign(struct dav_mover *m, size_t *n);
/* After a listing of old: what is to be done. Returns how many. */
size_t list_plan(struct dav_mover *m);
/* After one of new: what was stored and is not there is to be done again. Returns how many, or an error. */
int list_check(struct dav_mover *m, size_t *again) MUST_USE;
bool meta_same(const struct dav_meta *a, const struct dav_meta *b);
void meta_keep(struct dav_meta *to, const struct dav_meta *from);
void meta_clear(struct dav_meta *x);

/* ---- dav_batch.c ---- */
/* Begins batches and moves them on; *idle when there is none and nothing to do. */
int batches_run(struct dav_mover *m, bool *idle) MUST_USE;
void batches_abort(struct dav_mover *m);
struct job *dav_job_add(struct dav_batch *b, struct dav_item *i, enum job_step step);

/* ---- dav_job.c ---- */
/* Sends the request of the job's step. */
void job_begin(struct dav_batch *b, struct lane *l, struct job *j);
/* Its answer is there. */
int job_answered(struct dav_batch *b, struct lane *l, struct job *j) MUST_USE;
/* The body of old is known: what of it is to be sent. */
void job_learn(struct dav_mover *m, struct job *j);
/* What new has of it now. */
void job_judge(struct dav_mover *m, struct job *j, struct slice etag, struct slice back);
enum { DAV_QUIET_FIELDS = 3 };
size_t quiet_fields(const struct dav_mover *m, struct dav_field out[DAV_QUIET_FIELDS]);
enum dav_scheduling quiet_of(const struct ask *a, const struct dav_host *h);

/* ---- dav_left.c ---- */
int left_open(struct left_file **out, struct dav_mover *m, uint32_t number, struct err *e) MUST_USE;
int left_write(struct slice bytes, void *file);
/* Durable, and known as left behind when the batch is committed. */
int left_done(struct left_file *f, struct dav_mover *m, struct dav_item *i, const char *reason, struct store_batch **b,
              struct err *e) MUST_USE;
void left_free(struct left_file **f);
int left_numbers(struct dav_mover *m) MUST_USE; /* reads what is left behind already */
void left_forget_item(struct dav_mover *m, struct dav_item *i, struct store_batch *b);

/* ---- dav_switch.c ---- */
void dav_switch_begin(struct dav_mover *m);
void dav_switch_done(struct dav_mover *m);

#endif
