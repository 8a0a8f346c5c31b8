/* Intents in the store: what was sent to the new host, and what of it is known to be there. */
#include "move/mover_priv.h"
#include <string.h>

static int walk(const struct unit *u, store_walk_cb *cb, void *arg)
{
    struct buf key = {0};
    store_key_unit(&key, u->rec.account, u->rec.id);
    int r = store_walk(u->account->all->env->store, STORE_INTENTS, buf_slice(&key), cb, arg);
    buf_free(&key);
    return r;
}

/* By number, not by a walk from the start: the comparison reads a long list in many short pieces. */
int intents_load(struct mover *m, uint32_t from, enum intent_state state, size_t max,
                 struct store_intent **out, size_t *n)
{
    struct buf key = {0}, value = {0};
    int r = 0;
    *out = NULL;
    *n = 0;
    for (uint32_t number = from; number <= m->batches && *n < max && r == 0; number++) {
        struct store_intent i;
        buf_clear(&key);
        buf_clear(&value);
        store_key_part(&key, m->unit->rec.account, m->unit->rec.id, number);
        r = store_get(m->env->store, STORE_INTENTS, buf_slice(&key), &value);
        if (r == 0)
            r = store_intent_decode(&i, buf_slice(&value));
        if (r == 0 && state != 0 && i.state != state) {
            store_intent_clear(&i);
        } else if (r == 0) {
            *out = mem_grow(*out, *n + 1, sizeof(**out));
            (*out)[(*n)++] = i;
        } else if (r == E_NOTFOUND) {
            r = 0;
        }
    }
    buf_free(&key);
    buf_free(&value);
    return r == 0 ? 0 : mover_store_failed(m, r);
}

void intents_free(struct store_intent **v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        store_intent_clear(&(*v)[i]);
    free(*v);
    *v = NULL;
}

struct build {
    struct uidmap *map;
    uint32_t last;
    uint64_t moved, bytes;
    int err;
};

static bool build_one(struct slice key, struct slice value, void *arg)
{
    struct build *b = arg;
    struct store_intent i;
    (void)key;
    b->err = store_intent_decode(&i, value);
    if (b->err != 0)
        return false;
    b->last = i.batch;
    for (uint32_t k = 0; i.state == INTENT_STORED && k < i.n; k++) {
        b->moved++;
        b->bytes += i.msgs[k].size;
    }
    for (uint32_t k = 0; b->map != NULL && i.state == INTENT_STORED && k < i.n && b->err == 0; k++)
        b->err = uidmap_add(b->map, i.msgs[k].old_uid, i.msgs[k].new_uid);
    store_intent_clear(&i);
    return b->err == 0;
}

int intents_map(struct mover *m, struct uidmap *map)
{
    struct build b = {.map = map};
    int r = walk(m->unit, build_one, &b);
    if (r == 0)
        r = b.err;
    if (r == E_INVAL)
        return mover_fail(m, E_CORRUPT, SCOPE_UNIT, "the new host's UIDs do not ascend with the old ones");
    return r == 0 ? 0 : mover_store_failed(m, r);
}

/* What was counted in memory may be more or less than what got to the disk; the records themselves tell. */
int intents_recount(struct mover *m)
{
    struct build b = {0};
    struct counters *c = worker_counters(m->env->worker);
    struct store_unit *u = &m->unit->rec;
    int r = walk(m->unit, build_one, &b);
    m->batches = b.last;
    if (r == 0 && b.err == 0) {
        c->moved += b.moved - u->moved; /* unsigned: a difference below zero comes out right */
        c->bytes_moved += b.bytes - u->bytes;
        u->moved = b.moved;
        u->bytes = b.bytes;
    }
    if (r == 0)
        r = b.err;
    return r == 0 ? 0 : mover_store_failed(m, r);
}

int intents_number(struct mover *m)
{
    struct build b = {0};
    int r = walk(m->unit, build_one, &b);
    m->batches = b.last;
    if (r == 0)
        r = b.err;
    return r == 0 ? 0 : mover_store_failed(m, r);
}

struct revive {
    struct store_batch *out;
    int err;
};

static bool revive_one(struct slice key, struct slice value, void *arg)
{
    struct revive *v = arg;
    struct store_intent i;
    (void)key;
    v->err = store_intent_decode(&i, value);
    if (v->err != 0)
        return false;
    i.new_uidnext = 1;
    if (i.state == INTENT_FOREIGN) /* of messages that nobody knows any more */
        i.n = 0;
    if (i.state == INTENT_STORED)
        i.state = INTENT_SENT;
    store_put_intent(v->out, &i);
    store_intent_clear(&i);
    return true;
}

int intents_revive(struct unit *u, struct store_batch *b)
{
    struct revive v = {.out = b};
    int r = walk(u, revive_one, &v);
    return r == 0 ? v.err : r;
}
