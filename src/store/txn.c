/* Transactions that keep their first error. Why: five calls in a row need one check, at the end,
 * and none can be forgotten. Rejected: LMDB's calls spread over the tables' files. */
#include "config.h"
#include "store/env.h"
#include "wherry/base/crash.h"

#define MAP_RETRIES 8

static MDB_val to_val(struct slice s)
{
    return (MDB_val){s.n, (void *)(uintptr_t)s.p};
}

static struct slice to_slice(MDB_val v)
{
    return slice_make(v.mv_data, v.mv_size);
}

/* Another process has made the map larger: take its size over. */
static int adopt_map(struct store *s)
{
    uv_rwlock_wrlock(&s->map_lock);
    int rc = mdb_env_set_mapsize(s->env, 0);
    uv_rwlock_wrunlock(&s->map_lock);
    return rc;
}

void txn_begin(struct txn *x, struct store *s, bool write)
{
    *x = (struct txn){.s = s, .write = write};
    for (int i = 0; i < MAP_RETRIES; i++) {
        if (!write)
            uv_rwlock_rdlock(&s->map_lock);
        x->ret = mdb_txn_begin(s->env, NULL, write ? 0 : MDB_RDONLY, &x->t);
        if (x->ret == 0)
            return;
        x->t = NULL;
        if (!write)
            uv_rwlock_rdunlock(&s->map_lock);
        if (x->ret != MDB_MAP_RESIZED)
            return;
        int rc = adopt_map(s);
        if (rc != 0) {
            x->ret = rc;
            return;
        }
    }
}

bool txn_get(struct txn *x, enum store_table t, struct slice key, struct slice *value)
{
    *value = slice_make(NULL, 0);
    if (x->ret != 0 || key.n == 0 || key.n > (size_t)mdb_env_get_maxkeysize(x->s->env))
        return false;
    MDB_val k = to_val(key), v;
    int rc = mdb_get(x->t, x->s->dbi[t], &k, &v);
    if (rc == 0)
        *value = to_slice(v);
    else if (rc != MDB_NOTFOUND)
        x->ret = rc;
    return rc == 0;
}

void txn_put(struct txn *x, enum store_table t, struct slice key, struct slice value)
{
    if (x->ret != 0)
        return;
    MDB_val k = to_val(key), v = to_val(value);
    x->ret = mdb_put(x->t, x->s->dbi[t], &k, &v, 0);
}

void txn_del(struct txn *x, enum store_table t, struct slice key)
{
    if (x->ret != 0)
        return;
    MDB_val k = to_val(key);
    int rc = mdb_del(x->t, x->s->dbi[t], &k, NULL);
    if (rc != MDB_NOTFOUND)
        x->ret = rc;
}

/* Puts the cursor on the first key that is not below prefix. */
static int cursor_seek(MDB_cursor *c, struct slice prefix, MDB_val *k, MDB_val *v)
{
    *k = to_val(prefix);
    return mdb_cursor_get(c, k, v, prefix.n == 0 ? MDB_FIRST : MDB_SET_RANGE);
}

void txn_del_prefix(struct txn *x, enum store_table t, struct slice prefix)
{
    MDB_cursor *c;
    MDB_val k, v;
    if (x->ret == 0)
        x->ret = mdb_cursor_open(x->t, x->s->dbi[t], &c);
    if (x->ret != 0)
        return;
    /* After a removal the cursor's place depends on the page: seek each time. */
    int rc = cursor_seek(c, prefix, &k, &v);
    while (rc == 0 && slice_starts(to_slice(k), prefix)) {
        rc = mdb_cursor_del(c, 0);
        if (rc == 0)
            rc = cursor_seek(c, prefix, &k, &v);
    }
    if (rc != MDB_NOTFOUND)
        x->ret = rc;
    mdb_cursor_close(c);
}

void txn_walk(struct txn *x, enum store_table t, struct slice prefix, store_walk_cb *cb, void *arg)
{
    MDB_cursor *c;
    MDB_val k, v;
    if (x->ret != 0 || prefix.n > (size_t)mdb_env_get_maxkeysize(x->s->env))
        return;
    x->ret = mdb_cursor_open(x->t, x->s->dbi[t], &c);
    if (x->ret != 0)
        return;
    int rc = cursor_seek(c, prefix, &k, &v);
    while (rc == 0 && slice_starts(to_slice(k), prefix)) {
        if (!cb(to_slice(k), to_slice(v), arg))
            break;
        rc = mdb_cursor_get(c, &k, &v, MDB_NEXT);
    }
    if (rc != MDB_NOTFOUND)
        x->ret = rc;
    mdb_cursor_close(c);
}

bool txn_last(struct txn *x, enum store_table t, struct slice *key)
{
    *key = slice_make(NULL, 0);
    MDB_cursor *c;
    MDB_val k, v;
    if (x->ret == 0)
        x->ret = mdb_cursor_open(x->t, x->s->dbi[t], &c);
    if (x->ret != 0)
        return false;
    int rc = mdb_cursor_get(c, &k, &v, MDB_LAST);
    mdb_cursor_close(c);
    if (rc == 0)
        *key = to_slice(k);
    else if (rc != MDB_NOTFOUND)
        x->ret = rc;
    return rc == 0;
}

int txn_end(struct txn *x)
{
    if (x->t == NULL)
        return x->ret;
    if (x->write && x->ret == 0) {
        crash_point();
        x->ret = mdb_txn_commit(x->t);
        crash_point();
    } else {
        mdb_txn_abort(x->t);
    }
    x->t = NULL;
    if (!x->write)
        uv_rwlock_rdunlock(&x->s->map_lock);
    return x->ret;
}
