/* Opening, closing and reading. Why a short transaction per call: one that stays open keeps every
 * page that is replaced meanwhile, and the file grows. */
#include "config.h"
#include "store/env.h"
#include "wherry/base/mem.h"
#include "wherry/store/records.h"
#include <stdlib.h>

static int next_account(struct store *s)
{
    struct txn x;
    struct slice key;
    txn_begin(&x, s, false);
    s->next_account = 1;
    if (txn_last(&x, STORE_ACCOUNTS, &key)) {
        uint32_t id;
        if (store_key_read(key, &id, 1) == 0 && id < UINT32_MAX)
            s->next_account = id + 1;
        else
            x.ret = MDB_CORRUPTED;
    }
    return store_error(txn_end(&x));
}

int store_open_sized(struct store **out, struct worker *w, const char *path, bool read_only,
                     size_t map_start, struct err *e)
{
    *out = NULL;
    struct store *s = mem_alloc(sizeof(*s));
    s->path = mem_strdup(path);
    s->read_only = read_only;
    s->worker = w;
    int r = env_open(s, map_start, e);
    if (r == 0) {
        r = next_account(s);
        if (r != 0)
            err_set(e, r, SCOPE_HOST, "the store %.100s is damaged: restore it from a backup",
                    path);
    }
    if (r == 0 && !read_only)
        r = writer_start(s, e);
    if (r != 0)
        store_close(&s);
    *out = s;
    return r;
}

int store_open(struct store **out, struct worker *w, const char *path, bool read_only,
               struct err *e)
{
    return store_open_sized(out, w, path, read_only, STORE_MAP_START, e);
}

void store_close(struct store **sp)
{
    struct store *s = *sp;
    if (s == NULL)
        return;
    writer_stop(s);
    env_close(s);
    free(s->path);
    free(s);
    *sp = NULL;
}

const char *store_path(const struct store *s)
{
    return s->path;
}

int store_get(struct store *s, enum store_table t, struct slice key, struct buf *out)
{
    struct txn x;
    struct slice value;
    txn_begin(&x, s, false);
    bool found = txn_get(&x, t, key, &value);
    if (found)
        buf_put_slice(out, value);
    int rc = txn_end(&x);
    return rc != 0 ? store_error(rc) : found ? 0 : E_NOTFOUND;
}

int store_walk(struct store *s, enum store_table t, struct slice prefix, store_walk_cb *cb,
               void *arg)
{
    struct txn x;
    txn_begin(&x, s, false);
    txn_walk(&x, t, prefix, cb, arg);
    return store_error(txn_end(&x));
}

uint32_t store_next_account(struct store *s)
{
    if (s->next_account == UINT32_MAX)
        abort();
    return s->next_account++;
}
