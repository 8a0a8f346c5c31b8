/* Batches of writes. What: operations one after another in one buffer (kind, table, lengths, key,
 * value), so that a batch of a thousand costs a few allocations and crosses to the writer as one
 * pointer. */
#include "config.h"
#include "store/env.h"
#include "wherry/base/mem.h"
#include <stdlib.h>
#include <string.h>

#define BATCH_KEY_MAX 511u /* LMDB as Debian builds it */

struct op {
    enum { OP_PUT = 1, OP_DEL, OP_DEL_PREFIX } kind;
    enum store_table table;
    uint32_t key, value; /* lengths of what follows */
};

struct store_batch *store_batch_new(struct store *s)
{
    struct store_batch *b = mem_alloc(sizeof(*b));
    b->s = s;
    list_init(&b->link);
    list_init(&b->pending);
    return b;
}

void store_batch_free(struct store_batch **b)
{
    if (*b == NULL)
        return;
    buf_free(&(*b)->ops);
    free(*b);
    *b = NULL;
}

static void batch_add(struct store_batch *b, const struct op *op, struct slice key,
                      struct slice value)
{
    buf_put(&b->ops, op, sizeof(*op));
    buf_put_slice(&b->ops, key);
    buf_put_slice(&b->ops, value);
}

/* What LMDB would refuse makes the whole batch fail: half of it must not be committed. */
static bool batch_key_ok(struct store_batch *b, enum store_table t, struct slice key)
{
    if (key.n == 0 || key.n > BATCH_KEY_MAX || (unsigned)t >= STORE_TABLES)
        b->result = E_INVAL;
    return b->result == 0;
}

void store_put(struct store_batch *b, enum store_table t, struct slice key, struct slice value)
{
    if (value.n > INT32_MAX)
        b->result = E_INVAL;
    if (!batch_key_ok(b, t, key))
        return;
    struct op op = {.kind = OP_PUT, .table = t, .key = (uint32_t)key.n, .value = (uint32_t)value.n};
    batch_add(b, &op, key, value);
}

void store_del(struct store_batch *b, enum store_table t, struct slice key)
{
    if (!batch_key_ok(b, t, key))
        return;
    struct op op = {.kind = OP_DEL, .table = t, .key = (uint32_t)key.n};
    batch_add(b, &op, key, slice_make(NULL, 0));
}

void store_del_prefix(struct store_batch *b, enum store_table t, struct slice prefix)
{
    if (!batch_key_ok(b, t, prefix))
        return;
    struct op op = {.kind = OP_DEL_PREFIX, .table = t, .key = (uint32_t)prefix.n};
    batch_add(b, &op, prefix, slice_make(NULL, 0));
}

void batch_apply(struct txn *x, const struct store_batch *b)
{
    struct slice rest = buf_slice(&b->ops);
    while (rest.n > 0 && x->ret == 0) {
        struct op op;
        memcpy(&op, rest.p, sizeof(op));
        struct slice key = slice_make(rest.p + sizeof(op), op.key);
        struct slice value = slice_make(key.p + op.key, op.value);
        switch (op.kind) {
        case OP_PUT:
            txn_put(x, op.table, key, value);
            break;
        case OP_DEL:
            txn_del(x, op.table, key);
            break;
        case OP_DEL_PREFIX:
            txn_del_prefix(x, op.table, key);
            break;
        }
        size_t used = sizeof(op) + op.key + op.value;
        rest = slice_make(rest.p + used, rest.n - used);
    }
}
