/*
 * Inside the store only: the environment, its transactions and the writer. lmdb.h is included here
 * and nowhere above.
 */
#ifndef WHERRY_STORE_ENV_H
#define WHERRY_STORE_ENV_H

#include <lmdb.h>
#include <uv.h>
#include "wherry/base/list.h"
#include "wherry/store/store.h"

#define STORE_SCHEMA 1u
#define STORE_MAP_START ((size_t)256 << 20)
#define STORE_MAP_MAX ((size_t)(SIZE_MAX > UINT32_MAX ? (uint64_t)16 << 40 : (uint64_t)1 << 30))

/* Owner of the environment, the lock of the daemon and the writer. */
struct store {
    char *path;
    MDB_env *env;
    MDB_dbi dbi[STORE_TABLES];
    /* Held for reading while a read transaction is open, for writing while the map changes its
     * size. */
    uv_rwlock_t map_lock;
    bool map_lock_made;
    bool read_only;
    int lock_fd; /* -1 when read-only */
    struct worker *worker;
    struct writer *writer;
    uint32_t next_account;
};

/* E_* for what LMDB or the system answered. */
int store_error(int rc);

/* The folder, its lock, the environment and the tables, without a writer. map_start: bytes. */
int env_open(struct store *s, size_t map_start, struct err *e) MUST_USE;
void env_close(struct store *s);
/* Doubles the map. 0 or an LMDB code. Not with a transaction of this thread open. */
int env_grow(struct store *s) MUST_USE;
/*
 * LMDB does not write pages at the end of the file that were freed in the transaction that made
 * them. Makes the file as long as its header says (not when read-only), so that a shorter one is
 * known to be damaged, and no look at a missing page ends in SIGBUS. Returns an LMDB code; *was:
 * the length that it had if it was too short, else 0 (may be NULL).
 */
int env_fill(struct store *s, off_t *was);

/*
 * LMDB calls a write that was cut short EIO. Tells whether the disk (or quota, or limit of the
 * file's size) was the reason by trying to make the file longer, and gives back the room that the
 * failed commit took.
 */
bool env_is_full(struct store *s);

/* As store_open, with the size of a fresh map, so that tests need not write much to see it grow. */
int store_open_sized(struct store **out, struct worker *w, const char *path, bool read_only,
                     size_t map_start, struct err *e) MUST_USE;

/*
 * A transaction that keeps its first error: every later call does nothing, and txn_end() tells it.
 * Codes in ret are LMDB's.
 */
struct txn {
    struct store *s;
    MDB_txn *t;
    bool write;
    int ret;
};

void txn_begin(struct txn *x, struct store *s, bool write);
/* False, and *value empty, when the key is absent (which is no error) or after an error. */
bool txn_get(struct txn *x, enum store_table t, struct slice key, struct slice *value);
void txn_put(struct txn *x, enum store_table t, struct slice key, struct slice value);
void txn_del(struct txn *x, enum store_table t, struct slice key);
void txn_del_prefix(struct txn *x, enum store_table t, struct slice prefix);
void txn_walk(struct txn *x, enum store_table t, struct slice prefix, store_walk_cb *cb, void *arg);
/* The highest key of the table, as txn_get. */
bool txn_last(struct txn *x, enum store_table t, struct slice *key);
/* Commits (writing, no error so far) or aborts; returns ret. */
int txn_end(struct txn *x) MUST_USE;

/*
 * Writes of one caller: operations one after another in ops. Owner: the caller until
 * store_submit(), then the writer's queue, then the list of finished ones, freed on the loop.
 */
struct store_batch {
    struct list link;    /* queue or finished list, under the writer's mutex */
    struct list pending; /* loop thread only: submitted and not yet answered */
    struct store *s;
    struct store_wait *wait; /* loop thread only */
    struct buf ops;
    int result;
};

void batch_apply(struct txn *x, const struct store_batch *b);

int writer_start(struct store *s, struct err *e) MUST_USE;
void writer_stop(struct store *s); /* after everything submitted is committed and answered */

#endif
