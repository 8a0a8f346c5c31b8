/*
 * The mailbox mover: one per unit while it is copied. mover.c is the brain (phases), open.c and switch.c its first and last act, copy.c carries messages,
 * match.c finds out after a crash what had arrived, compare.c makes both sides agree, spool.c keeps what is refused.
 */
#ifndef WHERRY_MOVE_MOVER_PRIV_H
#define WHERRY_MOVE_MOVER_PRIV_H

#include "wherry/imap/set.h"
#include "move/conn.h"
#include "move/move_priv.h"

enum mover_phase {
    MV_SIGN_IN, /* both connections */
    MV_LOOK,    /* for stragglers: EXAMINE on old, before new is bothered */
    MV_OPEN,    /* EXAMINE on old, STATUS on new */
    MV_QUIET,   /* until nothing more of a broken-off copy arrives on new */
    MV_MATCH,   /* intents that were not confirmed: what of them is on new? */
    MV_SEEK,    /* the first message that is not settled, by halving */
    MV_COPY,
    MV_NOOP,    /* has anything arrived on old? */
    MV_SELECT,  /* the new mailbox */
    MV_COMPARE, /* flags, what vanished, what is foreign */
    MV_TIDY,    /* stores, expunges, foreign messages to the end */
    MV_LAST,    /* once more: has anything arrived? */
    MV_HOLD,    /* until those who use the mailbox on old stand still, see hold.c */
    MV_REST,    /* they did not: they go on for a while */
    MV_SWITCH,  /* the transaction */
    MV_OVER
};

/* A message of a batch. */
enum copy_status {
    MSG_LISTED,
    MSG_SENT,
    MSG_STORED,
    MSG_REFUSED, /* by the new host, alone; goes to the spool */
    MSG_LEFT,    /* is in the spool */
    MSG_VANISHED /* the old host told of it but sent no body; the comparison looks again */
};

struct copy_msg {
    uint32_t seq, uid, new_uid;
    enum copy_status status;
    bool asked; /* its body is on its way */
    uint64_t size;
    int64_t when;
    uint32_t flags, date, reason; /* offsets of NUL-terminated strings in the batch's text */
    uint32_t append_id;           /* the APPEND it went with */
};

/* A range of sequence numbers fetched and appended together. */
struct batch {
    uint32_t number;
    uint32_t lo, hi;
    struct copy_msg *msgs;
    uint32_t n;
    uint32_t untold; /* of the range the old host told nothing: expunged since, until the comparison finds them */
    struct buf text;
    uint32_t meta_id, body_id; /* FETCH commands in flight, 0 when answered */
    bool listed;               /* the reply to the first is complete */
    bool requested;            /* bodies were asked for */
    bool stale;                /* the bodies on their way are of no use: drop them, ask again */
    struct store_wait intent;
    bool intended;
};

struct copy {
    struct batch *cur, *next;
    uint32_t ask_seq, end_seq; /* not requested yet: ask_seq..end_seq */
    uint32_t first_seq;
    uint32_t expunges;         /* of the old connection when the range began */
    /* the body that is coming in */
    struct copy_msg *msg; /* NULL: it is dropped */
    bool in_body;
    /* what is going out */
    bool doomed;          /* the command that is open was refused already */
    bool open, closed;    /* MULTIAPPEND: one command for a group of messages; closed: its reply is due */
    uint32_t append_id;
    uint64_t group_bytes;
    uint32_t group_n, group_limit;
    bool alone;           /* the next group is one message */
    unsigned in_flight;   /* APPENDs without a reply */
    uint32_t last_sent;   /* sequence number */
    unsigned refused;     /* messages in a row */
    uint32_t refused_from; /* the first of them */
    bool tripped;         /* too many */
    struct spool *spool;  /* a message on its way there */
    uint32_t spool_id;
    struct store_wait settled; /* the record of the last batch; one on its way at a time */
};

/* What is in the spool already: old UIDs, ascending. */
struct left_list {
    uint32_t *uids;
    size_t n;
};

/* A message as the matching sees it. */
struct match_key {
    uint32_t uid;
    uint64_t key, size;
    uint64_t id; /* of the Message-ID alone, 0: none */
    int64_t when;
    bool taken; /* it is the copy of another, see foreign.c */
};

struct match_list {
    struct match_key *v;
    size_t n, cap;
};

struct match {
    struct store_intent *intents;
    size_t n;
    bool ghosts;
    struct left_list left;
    uint32_t floor;
    struct match_list old, new;
    struct buf expunge; /* set of new UIDs to take away: ours, but out of order */
};

/* One message of the compared chunk. */
struct compare_msg {
    uint32_t old_uid, new_uid;
    uint32_t intent, at; /* where it is recorded: compare.intents[intent].msgs[at] */
    uint32_t base; /* the digest that flags_merge takes */
    uint64_t size, new_size;
    bool on_old, on_new;
    char *old_flags, *new_flags;
};

/* It exists on old and has to go to the spool. */
struct late_msg {
    uint32_t uid;
    bool was_moved; /* recorded as moved, then found missing on new; else it was counted as vanished */
};

struct resend;
/* What changed on old behind the comparison, see news.c. */
struct news {
    struct uidlist uids;    /* of old, by message number, as the comparison began; what came later is not in it */
    struct uidlist listed;  /* the next one, which is coming in */
    struct uidlist changed; /* has to be compared again */
    struct uidlist gone;    /* was compared again, and found gone or missing: that is counted once */
    bool numbers;           /* uids is complete */
    bool unknown;           /* of which message is not known: all has to be */
    unsigned tries;         /* to list them in this pass */
    uint32_t expunges;      /* seen until it was asked for */
    uint32_t id;            /* of the SEARCH */
};

enum chunk_kind {
    CHUNK_NONE,
    CHUNK_NEXT, /* the messages of the next intents */
    CHUNK_AGAIN /* some that were compared before */
};

struct compare {
    uint32_t next_batch;         /* first intent of the next chunk */
    uint32_t old_high, new_high; /* compared so far */
    uint32_t top_old, top_new;   /* of this chunk */
    struct compare_msg *msgs;
    uint32_t n;
    struct store_intent *intents; /* where they are recorded */
    size_t n_intents;
    struct store_batch *records; /* digests of flags, to be written when new has taken the flags */
    bool refused;                /* it did not take some */
    enum chunk_kind chunk;       /* in hand */
    bool done;
    bool begun;                  /* from here on what changes is news */
    struct set_writer foreign_w, gone_w;
    struct buf foreign, gone;    /* sets of new UIDs */
    uint32_t *behind;            /* UIDs of what stands behind all that is migrated */
    size_t n_behind;
    struct late_msg *late;
    size_t n_late;
    bool late_told;              /* the old host still knows of the one in hand */
    uint32_t told;               /* messages that the old host told of since the comparison began */
    uint64_t new_modseq;         /* of the new mailbox when the first pass began: see switch.c */
    bool differs;                /* new is known to keep other flags than old: who was in sync with old is not with new */
    uint32_t expect, expunges;   /* what it had when the pass began, and EXPUNGEs seen until then */
    struct uidlist again;        /* of news.changed, what is left to do in this pass */
    uint32_t old_id, new_id;     /* the commands that list; others only change flags */
    struct news news;
    unsigned rounds;
    /* Recorded as moved, and not there after all. Applied by the switch only, since a comparison that is begun anew counts
     * anew. */
    uint64_t unmoved, unmoved_bytes, vanished;
    struct left_list left;
    int tidy_step;
    struct spool *spool;
    struct resend *resend;
};

struct mover {
    struct task task;
    struct unit *unit;
    struct account *account;
    struct env *env;
    enum mover_phase phase;
    struct conn old, new;
    bool old_ready, new_ready, uidplus, can_expunge, multi, selected, opened;
    unsigned old_due, new_due; /* replies that the phase waits for */
    bool tidied;               /* nothing was copied since the comparison */
    uint32_t batches;          /* the number of the last intent */
    struct store_wait wait;
    struct err err;
    unsigned restarts;
    bool look;       /* at stragglers, see look.c */
    bool headroom_told;
    bool progressed; /* since the last restart */
    bool again;      /* begin anew without counting it: see found_nul */
    bool renumbered; /* the old mailbox has another UIDVALIDITY: what was copied is taken back first */
    bool revived;    /* the new one has: all that was sent is matched */
    bool untold;     /* the new host keeps APPENDUID to itself, in spite of UIDPLUS */
    bool doubted;    /* the new host did not list what it stored, and was asked again */
    bool serial;     /* the old host sends bodies out of order: ask for one at a time */
    bool no_move, no_copy; /* the new host refuses it within this mailbox */
    struct {
        struct timer timer;
        uint64_t began_ms, since_ms;
        uint32_t uidnext;
    } quiet;
    uint32_t *nuls;  /* old UIDs of messages with a NUL */
    size_t n_nuls;
    /* MV_SEEK */
    uint32_t seek_lo, seek_hi, seek_mid, seek_uid, seek_expunges;
    struct copy copy;
    struct match match;
    struct compare compare;
    struct throttle_seat seat;
    struct {
        struct timer timer;
        uint64_t closed_ms; /* the gate was closed */
        uint64_t round_ms;  /* how long the last round took, from one LAST to the next; 0: there was none yet */
        uint64_t round_began_ms;
        unsigned tries, rounds;
    } hold;
    uint64_t began_ms;
    uint64_t moved, bytes; /* by this mover */
};

/* Each returns 0, or a negative code with m->err filled. */

/* mover.c */
int mover_fail(struct mover *m, int code, enum err_scope scope, const char *fmt, ...) PRINTF(4, 5);
void mover_enter(struct mover *m, enum mover_phase phase);
/* The store refused a commit. */
int mover_store_failed(struct mover *m, int result);
/* Waits until all that was handed to the store can be read back. */
void store_barrier(struct mover *m);

/* open.c: EXAMINE and STATUS, their replies, and when both are there */
void open_begin(struct mover *m);
void open_learn_caps(struct mover *m);
void open_ask_old(struct mover *m);
void open_ask_new(struct mover *m);
int open_done(struct mover *m) MUST_USE;
/* Takes back what is recorded; the batch is the caller's. */
void open_forget(struct mover *m, struct store_batch *b);

/* look.c: when old is signed in and EXAMINE answered; when new is, and STATUS; what of a batch is done */
void look_begin(struct mover *m);
int look_examined(struct mover *m) MUST_USE;
void look_open(struct mover *m);
int look_opened(struct mover *m) MUST_USE;
void look_settle(struct mover *m, struct batch *b);
int look_stuck(struct mover *m, struct copy_msg *g, const char *flags) MUST_USE;
/* The stragglers that were on their way, in the order in which they were sent. */
struct look_found {
    struct {
        uint32_t old_uid;
        bool on_old, on_new, left;
    } *v;
    size_t n;
};
int look_match(struct mover *m, struct look_found *f) MUST_USE;

/* quiet.c: waits where an intent is not confirmed */
int quiet_begin(struct mover *m, bool *needed) MUST_USE;
bool quiet_waits(const struct mover *m);
bool quiet_over(struct mover *m); /* when no reply is due; false: looks again, now or later */

/* hold.c: the way from the rounds of the delta to the switch */
void hold_round(struct mover *m);          /* LAST begins */
void hold_begin(struct mover *m);
void hold_next(struct mover *m, bool work); /* SEEK is over: is there anything left to do? Enters HOLD, SWITCH, or nothing */
bool hold_waits(const struct mover *m);
bool hold_over(struct mover *m);           /* HOLD or REST is; false: looks again, now or later */
void hold_end(struct mover *m);

/* switch.c: hands in the transaction; it is on disk */
int switch_begin(struct mover *m) MUST_USE;
void switch_done(struct mover *m);

/* copy.c */
void copy_begin(struct mover *m, uint32_t first_seq, uint32_t last_seq);
void copy_free(struct mover *m);
int copy_old_event(struct mover *m, enum conn_event ev) MUST_USE;
int copy_new_event(struct mover *m, enum conn_event ev) MUST_USE;
/* May the next event be taken from the old host now? */
bool copy_wants_old(const struct mover *m);
/* Moves on where it can; *done when every message of the range is settled. */
int copy_advance(struct mover *m, bool *done) MUST_USE;

/* batch.c */
struct batch *batch_ask(struct mover *m, uint32_t lo, uint32_t hi);
/* Asks for the bodies of what is listed and not sent, at most limit messages. */
void batch_ask_bodies(struct mover *m, struct batch *b, uint32_t limit);
/* Nothing from old UID from on was stored: it counts as not settled again, and leaves the spool's list. */
int batch_take_back(struct mover *m, uint32_t from) MUST_USE;
void batch_free(struct mover *m, struct batch **b);
void batch_add(struct mover *m, struct batch *b, const struct fetch *f);
/* The listing is complete: sorts out what was not told; E_PROTO when the UIDs do not ascend. */
int batch_listed(struct mover *m, struct batch *b) MUST_USE;
void batch_commit_intent(struct mover *m, struct batch *b);
/* Every message is settled: record it. */
void batch_settle(struct mover *m, struct batch *b);
struct copy_msg *batch_find(struct batch *b, uint32_t seq);
uint32_t batch_store_text(struct batch *b, struct slice s);
const char *batch_text(const struct batch *b, uint32_t off);
/* Flags that APPEND and STORE take: without \Recent, unknown system flags and what is no atom. */
void flags_clean(struct mover *m, uint32_t uid, struct slice flags, struct buf *out);

/* spool.c: a message kept byte for byte, below the spool folder. */
struct spool *spool_new(void);
void spool_free(struct spool **s);
int spool_open(struct mover *m, struct spool *s, uint32_t old_uid) MUST_USE;
/* CONN_BYTES and CONN_BODY_END of the old host; durable after the latter. */
int spool_event(struct mover *m, struct spool *s, enum conn_event ev) MUST_USE;
bool spool_complete(const struct spool *s);
/* A file there without a name, for bytes that rest a moment; the caller closes it. */
int spool_scratch(struct mover *m, int *fd) MUST_USE;
/* Records it as left behind; the counters of the unit follow. */
void spool_record(struct mover *m, struct spool *s, uint32_t old_uid, int64_t when, const char *flags,
                  const char *reason);

/* What is left behind is read from the store; the list is the caller's. */
int left_load(struct mover *m, struct left_list *l) MUST_USE;
/* What is copied again (old UIDs >= from) is not left behind, whatever was recorded. */
void left_forget(struct mover *m, struct store_batch *b, const struct left_list *l, uint32_t from);
bool left_has(const struct left_list *l, uint32_t uid);

/* match.c */
int match_begin(struct mover *m) MUST_USE; /* asks; nothing due: nothing to match */
/* Asks for what has to be taken back; expunges it, and when it is gone forgets that it was there. */
int match_take_back(struct mover *m) MUST_USE;
int match_taken_back(struct mover *m) MUST_USE;
/* Asks new for what pairs messages; they come to match_event. */
void match_ask(struct mover *m, const char *set);
int match_ghosts(struct mover *m) MUST_USE; /* the same for intents that were given up */
void match_event(struct mover *m, struct conn *c);
/* All replies are there: adopt what had arrived. More may be due afterwards (expunging). */
int match_settle(struct mover *m) MUST_USE;
void match_free(struct mover *m);

/* compare.c, tidy.c */
int compare_begin(struct mover *m) MUST_USE;
void compare_event(struct mover *m, struct conn *c);
int compare_advance(struct mover *m) MUST_USE; /* when no reply is due; m->compare.done when all chunks are compared */
/* Writes what is in compare.records; when no reply is due. */
void compare_record(struct mover *m);
/* All was compared: did the old host tell of as many messages as it has? */
int compare_trust(struct mover *m) MUST_USE;
/* The tagged reply that came belongs to a listing, without which nothing can be compared. */
bool compare_is_listing(const struct mover *m, const struct conn *c);
/* Something changed on old since: true, and the comparison begins anew. */
bool compare_again(struct mover *m);
int tidy_event(struct mover *m, struct conn *c, enum conn_event ev) MUST_USE;
int tidy_refused(struct mover *m, struct conn *c) MUST_USE;
int tidy_pump(struct mover *m) MUST_USE; /* while a reply is due */
int tidy_advance(struct mover *m) MUST_USE; /* likewise; m->tidied when nothing is left to do */
void compare_free(struct mover *m);

/* again.c: a chunk of what changed since it was compared; asks. */
int again_chunk(struct mover *m) MUST_USE;

/* news.c */
void news_ask(struct mover *m);                          /* the numbers of old as they are now */
void news_line(struct mover *m);                         /* of old: an EXPUNGE? */
void news_flags(struct mover *m, const struct fetch *f); /* of a message that was not asked about */
void news_changed(struct mover *m, uint32_t old_uid);
void news_listed(struct mover *m);                       /* the reply to news_ask is complete */
bool news_any(const struct mover *m);
void news_free(struct mover *m);

/* foreign.c: the messages of compare.foreign */
/* There are some, or an earlier try to carry them is recorded. Asks then for what stands behind the migrated messages, which
 * goes along so that all stay in their order; takes a reply; all are there. */
int foreign_ask_behind(struct mover *m, bool *any) MUST_USE;
void foreign_behind(struct mover *m, uint32_t uid);
void foreign_add_behind(struct mover *m);
bool foreign_between(const struct mover *m); /* some stand between migrated ones */
/* Asks for them where an earlier try to carry them is recorded (then match.n is not 0), and for what may be copies. */
int foreign_ask(struct mover *m) MUST_USE;
/* The reply is there: splits off those that have a copy. */
int foreign_settle(struct mover *m, struct buf *copied) MUST_USE;
int foreign_record(struct mover *m) MUST_USE; /* that they are about to be copied */
bool foreign_by_move(const struct mover *m);
void foreign_carry(struct mover *m);
int foreign_forget(struct mover *m) MUST_USE; /* the record */

/* resend.c: the same messages where the host copies nothing within a mailbox */
struct resend *resend_new(struct mover *m);
void resend_free(struct resend **r);
int resend_event(struct mover *m, struct resend *r, enum conn_event ev) MUST_USE; /* of new */
/* Sends on while a reply is due. */
int resend_pump(struct mover *m, struct resend *r) MUST_USE;
/* When none is due. *done: compare.foreign names those that have a copy now. */
int resend_advance(struct mover *m, struct resend *r, bool *done) MUST_USE;

/* intents.c */
/* Loads at most max intents of the unit in the given state with numbers >= from (state 0: any). */
int intents_load(struct mover *m, uint32_t from, enum intent_state state, size_t max,
                 struct store_intent **out, size_t *n) MUST_USE;
void intents_free(struct store_intent **v, size_t n);
/* Builds the map out of what is recorded. */
int intents_map(struct mover *m, struct uidmap *map) MUST_USE;
/* Sets the number of the last intent, and how many messages and bytes are recorded as moved. */
int intents_recount(struct mover *m) MUST_USE;
/* Only the number of the last intent. */
int intents_number(struct mover *m) MUST_USE;

#endif
