/*
 * How long a mailbox rests after a copy of it, or a look for stragglers, failed: twice as long each time.
 *
 * Kept beside the accounts and not in their units, since an account is forgotten as soon as nobody is signed in, and clients that
 * come and go every second would otherwise start a copy each time. Rejected: keeping it in the store (a restart of the
 * daemon is a good reason to try again at once).
 */
#include "move/move_priv.h"

enum { REST_MAX_MS = 10 * 60 * 1000 };

struct rest {
    uint64_t until_ms;
    bool swept; /* the last copy was the sweep's */
    unsigned failures; /* in a row, without any message carried over in between */
};

static struct rest *find(const struct account *a, uint32_t unit)
{
    struct buf key = {0};
    store_key_unit(&key, a->rec.id, unit);
    struct rest *r = hash_get(a->all->rests, buf_slice(&key));
    buf_free(&key);
    return r;
}

static struct rest *make(struct account *a, uint32_t unit)
{
    struct rest *r = find(a, unit);
    if (r == NULL) {
        struct buf key = {0};
        r = mem_alloc(sizeof(*r));
        store_key_unit(&key, a->rec.id, unit);
        hash_put(a->all->rests, buf_slice(&key), r);
        buf_free(&key);
    }
    return r;
}

void rest_look(struct unit *u)
{
    const struct env *env = u->account->all->env;
    *make(u->account, u->rec.id) = (struct rest){.until_ms = worker_now_ms(env->worker) +
                                         (uint64_t)env->settings->look_seconds * 1000};
}

void rest_begin(struct unit *u, bool progressed, bool swept)
{
    struct accounts *all = u->account->all;
    struct rest *r = make(u->account, u->rec.id);
    uint64_t ms = (uint64_t)all->env->settings->retry_seconds * 1000;
    uint64_t most = ms > REST_MAX_MS ? ms : REST_MAX_MS;
    r->swept = swept;
    r->failures = progressed ? 1 : r->failures + 1;
    r->until_ms = worker_now_ms(all->env->worker) + pace_backed_off(ms, r->failures, most);
}

static bool lasts(const struct account *a, const struct rest *r)
{
    return r != NULL && worker_now_ms(a->all->env->worker) < r->until_ms;
}

bool rest_lasts(const struct unit *u)
{
    const struct rest *r = find(u->account, u->rec.id);
    return lasts(u->account, r) && !r->swept;
}

uint64_t rest_until_ms(const struct unit *u)
{
    const struct rest *r = find(u->account, u->rec.id);
    return lasts(u->account, r) ? r->until_ms : 0;
}

/* Units count from 1: the account's own has 0. */
bool rest_folders(struct account *a, uint64_t ms)
{
    if (lasts(a, find(a, 0)))
        return true;
    *make(a, 0) = (struct rest){.until_ms = worker_now_ms(a->all->env->worker) + ms};
    return false;
}

void rest_collections(struct account *a, uint64_t ms)
{
    *make(a, UINT32_MAX) = (struct rest){.until_ms = worker_now_ms(a->all->env->worker) + ms};
}

bool collections_rest(const struct account *a)
{
    return lasts(a, find(a, UINT32_MAX));
}

void rest_end(struct unit *u)
{
    struct buf key = {0};
    store_key_unit(&key, u->rec.account, u->rec.id);
    free(hash_del(u->account->all->rests, buf_slice(&key)));
    buf_free(&key);
}

struct stale {
    struct buf keys;
    uint64_t now_ms;
};

/* A failure is remembered: the next one rests longer. All keys have one length. */
static bool note_stale(struct slice key, void *value, void *arg)
{
    const struct rest *r = value;
    struct stale *s = arg;
    if (r->failures == 0 && r->until_ms <= s->now_ms)
        buf_put_slice(&s->keys, key);
    return true;
}

void rests_tidy(struct accounts *all)
{
    struct stale s = {.now_ms = worker_now_ms(all->env->worker)};
    struct buf one = {0};
    store_key_unit(&one, 0, 0);
    hash_walk(all->rests, note_stale, &s);
    for (struct slice rest = buf_slice(&s.keys); rest.n >= one.len; rest = slice_make(rest.p + one.len, rest.n - one.len))
        free(hash_del(all->rests, slice_make(rest.p, one.len)));
    buf_free(&one);
    buf_free(&s.keys);
}

static bool free_one(struct slice key, void *value, void *arg)
{
    (void)key;
    (void)arg;
    free(value);
    return true;
}

void rests_free(struct hash **rests)
{
    if (*rests != NULL)
        hash_walk(*rests, free_one, NULL);
    hash_free(rests);
}
