/*
 * The store: what must survive (accounts, units, UID maps, intents, what was left behind), in LMDB.
 *
 * Reads happen on the loop, inside one step, and copy out. Writes are gathered in a batch, handed to one
 * writer thread, committed in groups (one fsync for many batches; each batch whole or not at all) and
 * answered on the loop: a loop never waits for the disk. Batches are committed in the order in which they
 * were submitted. LMDB itself is not visible above this layer.
 */
#ifndef WHERRY_STORE_STORE_H
#define WHERRY_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include "wherry/base/buf.h"
#include "wherry/base/err.h"
#include "wherry/net/worker.h"

struct store;

enum store_table {
    STORE_META,
    STORE_ACCOUNTS,   /* account id                          -> struct store_account */
    STORE_NAMES,      /* account key (canonical user name)    -> account id */
    STORE_UNITS,      /* account id, unit id                  -> struct store_unit */
    STORE_UIDMAPS,    /* account id, unit id, part            -> runs (imap/uidmap.h encodes) */
    STORE_INTENTS,    /* account id, unit id, batch           -> struct store_intent */
    STORE_ITEMS,      /* account id, unit id, 'v' name        -> struct store_item; 'n' name on new -> name in the view */
    STORE_LEFT,       /* account id, unit id, old UID         -> struct store_left */
    STORE_TABLES
};

/*
 * Opens or creates the environment in the folder path (made with mode 0700 when absent). read_only is for
 * the control program: no writer, no worker (NULL). A second daemon on the same folder is E_EXISTS. A schema of
 * another version, or damage: E_CORRUPT with a sentence that says what to do.
 */
int store_open(struct store **out, struct worker *w, const char *path, bool read_only,
               struct err *e) MUST_USE;
/* Waits for the batches that were submitted. */
void store_close(struct store **s);
const char *store_path(const struct store *s);

/* ---- writing ---- */

/* Filled by the store; embedded in who waits. Not freed while pending; see store_wait_forget. */
struct store_wait {
    struct task *task; /* woken when done; set by the caller */
    bool pending;
    /* Valid when !pending: 0; E_FULL; E_IO; E_CORRUPT; E_INVAL (a key of 0 or more than 511 bytes) or E_LIMIT
     * (too much for one transaction). Unless it is 0 nothing of the batch was stored. */
    int result;
    uint64_t id;
};

struct store_batch;
struct store_batch *store_batch_new(struct store *s);
void store_batch_free(struct store_batch **b); /* one that was not submitted */
/* Values begin with a version byte, which is never 0. The slices are copied. */
void store_put(struct store_batch *b, enum store_table t, struct slice key, struct slice value);
void store_del(struct store_batch *b, enum store_table t, struct slice key); /* absent is no error */
void store_del_prefix(struct store_batch *b, enum store_table t, struct slice prefix);
/*
 * Takes the batch. wait may be NULL (fire and forget; failures are logged and counted). What waits for the disk
 * is held in memory: who submits much waits for the answers (one batch in flight per unit is plenty).
 */
void store_submit(struct store_batch **b, struct store_wait *wait);
/* The waiter goes away; the batch is committed all the same. */
void store_wait_forget(struct store *s, struct store_wait *wait);

/* ---- reading (loop thread, or a read-only store) ---- */

/* Appends the value to out. 0, E_NOTFOUND, E_CORRUPT, E_IO. */
int store_get(struct store *s, enum store_table t, struct slice key, struct buf *out) MUST_USE;
/* Walks keys with the prefix in order; stops when cb returns false. key and value borrow until cb returns,
 * which may read the store. One snapshot from the first to the last. 0, E_CORRUPT, E_IO. */
typedef bool store_walk_cb(struct slice key, struct slice value, void *arg);
int store_walk(struct store *s, enum store_table t, struct slice prefix, store_walk_cb *cb,
               void *arg) MUST_USE;

#endif
