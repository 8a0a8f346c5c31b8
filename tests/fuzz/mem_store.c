/* See mem.h: the store without a disk. The records and their codecs are the real ones. */
#include "config.h"
#include "mem.h"
#include "fuzz.h"
#include "wherry/base/list.h"
#include "wherry/base/mem.h"
#include "wherry/store/records.h"
#include <string.h>

struct row {
    enum store_table table;
    struct buf key, value;
};

struct store {
    struct row *rows; /* by table and key */
    size_t n;
    uint32_t next_account;
    struct list waits; /* of struct mem_wait */
};

struct mem_wait {
    struct list node;
    struct store_wait *wait;
};

struct op {
    bool del, prefix;
    enum store_table table;
    struct buf key, value;
};

struct store_batch {
    struct store *s;
    struct op *ops;
    size_t n;
};

struct store *mem_store(struct worker *w)
{
    struct store *s = mem_alloc(sizeof(*s));
    (void)w;
    s->next_account = 1;
    list_init(&s->waits);
    return s;
}

void mem_store_free(struct store **s)
{
    while (mem_store_answer(*s))
        ;
    for (size_t i = 0; i < (*s)->n; i++) {
        buf_free(&(*s)->rows[i].key);
        buf_free(&(*s)->rows[i].value);
    }
    free((*s)->rows);
    free(*s);
    *s = NULL;
}

/* The first row that is not below. */
static size_t seek(const struct store *s, enum store_table t, struct slice key)
{
    size_t i = 0;
    while (i < s->n && (s->rows[i].table < t || (s->rows[i].table == t && slice_cmp(buf_slice(&s->rows[i].key), key) < 0)))
        i++;
    return i;
}

static bool at(const struct store *s, size_t i, enum store_table t, struct slice key, bool prefix)
{
    return i < s->n && s->rows[i].table == t &&
           (prefix ? slice_starts(buf_slice(&s->rows[i].key), key) : slice_eq(buf_slice(&s->rows[i].key), key));
}

static void remove_row(struct store *s, size_t i)
{
    buf_free(&s->rows[i].key);
    buf_free(&s->rows[i].value);
    memmove(&s->rows[i], &s->rows[i + 1], (s->n - i - 1) * sizeof(*s->rows));
    s->n--;
}

static void apply(struct store *s, struct op *o)
{
    size_t i = seek(s, o->table, buf_slice(&o->key));
    while (at(s, i, o->table, buf_slice(&o->key), o->prefix))
        remove_row(s, i);
    if (!o->del) {
        s->rows = mem_grow(s->rows, s->n + 1, sizeof(*s->rows));
        memmove(&s->rows[i + 1], &s->rows[i], (s->n - i) * sizeof(*s->rows));
        s->n++;
        s->rows[i] = (struct row){o->table, o->key, o->value};
        o->key = o->value = (struct buf){0};
    }
}

struct store_batch *store_batch_new(struct store *s)
{
    struct store_batch *b = mem_alloc(sizeof(*b));
    b->s = s;
    return b;
}

void store_batch_free(struct store_batch **b)
{
    if (*b == NULL)
        return;
    for (size_t i = 0; i < (*b)->n; i++) {
        buf_free(&(*b)->ops[i].key);
        buf_free(&(*b)->ops[i].value);
    }
    free((*b)->ops);
    free(*b);
    *b = NULL;
}

static void add(struct store_batch *b, bool del, bool prefix, enum store_table t, struct slice key, struct slice value)
{
    must(key.n > 0 && key.n <= 511);
    b->ops = mem_grow(b->ops, b->n + 1, sizeof(*b->ops));
    b->ops[b->n] = (struct op){.del = del, .prefix = prefix, .table = t};
    buf_put_slice(&b->ops[b->n].key, key);
    buf_put_slice(&b->ops[b->n].value, value);
    b->n++;
}

void store_put(struct store_batch *b, enum store_table t, struct slice key, struct slice value)
{
    must(value.n > 0 && value.p[0] != 0);
    add(b, false, false, t, key, value);
}

void store_del(struct store_batch *b, enum store_table t, struct slice key)
{
    add(b, true, false, t, key, slice_make(NULL, 0));
}

void store_del_prefix(struct store_batch *b, enum store_table t, struct slice prefix)
{
    add(b, true, true, t, prefix, slice_make(NULL, 0));
}

void store_submit(struct store_batch **b, struct store_wait *wait)
{
    struct store *s = (*b)->s;
    for (size_t i = 0; i < (*b)->n; i++)
        apply(s, &(*b)->ops[i]);
    store_batch_free(b);
    if (wait == NULL)
        return;
    struct mem_wait *x = mem_alloc(sizeof(*x));
    x->wait = wait;
    wait->pending = true;
    wait->result = 0;
    wait->id++;
    list_append(&s->waits, &x->node);
}

void store_wait_forget(struct store *s, struct store_wait *wait)
{
    struct list *it, *tmp;
    list_for_each_safe(it, tmp, &s->waits)
    {
        struct mem_wait *x = container_of(it, struct mem_wait, node);
        if (x->wait == wait) {
            list_remove(it);
            free(x);
        }
    }
    wait->pending = false;
}

bool mem_store_answer(struct store *s)
{
    struct list *it = s->waits.next;
    if (list_empty(&s->waits))
        return false;
    struct mem_wait *x = container_of(it, struct mem_wait, node);
    list_remove(it);
    x->wait->pending = false;
    task_wake(x->wait->task);
    free(x);
    return true;
}

int store_get(struct store *s, enum store_table t, struct slice key, struct buf *out)
{
    size_t i = seek(s, t, key);
    if (!at(s, i, t, key, false))
        return E_NOTFOUND;
    buf_put_slice(out, buf_slice(&s->rows[i].value));
    return 0;
}

int store_walk(struct store *s, enum store_table t, struct slice prefix, store_walk_cb *cb, void *arg)
{
    for (size_t i = seek(s, t, prefix); at(s, i, t, prefix, true); i++)
        if (!cb(buf_slice(&s->rows[i].key), buf_slice(&s->rows[i].value), arg))
            break;
    return 0;
}

uint32_t store_next_account(struct store *s)
{
    return s->next_account++;
}
