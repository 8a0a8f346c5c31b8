/* Hash table, chained, grown by doubling. Why SipHash-1-3 (Aumasson, Bernstein) with a key per
 * table: user names and mailbox names come from peers. Why chains: entries never move, so a walk is
 * simple and a removal leaves no tombstones. */
#include "config.h"
#include "wherry/base/hash.h"
#include "wherry/base/mem.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define HASH_MIN_SLOTS 8u

struct hash_entry {
    struct hash_entry *next;
    uint64_t h;
    void *value;
    size_t n;
    uint8_t key[];
};

struct hash {
    uint64_t k0, k1;
    struct hash_entry **slots;
    size_t nslots; /* a power of two */
    size_t count;
};

static uint64_t rotl(uint64_t x, unsigned b)
{
    return x << b | x >> (64 - b);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[0] = rotl(v[0], 32);
    v[2] += v[3];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[2] = rotl(v[2], 32);
}

static uint64_t load_le(const uint8_t *p, size_t n)
{
    uint64_t x = 0;
    for (size_t i = 0; i < n; i++)
        x |= (uint64_t)p[i] << (8 * i);
    return x;
}

static uint64_t siphash13(uint64_t k0, uint64_t k1, struct slice in)
{
    uint64_t v[4] = {k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du, k0 ^ 0x6c7967656e657261u,
                     k1 ^ 0x7465646279746573u};
    size_t i = 0;
    for (; in.n - i >= 8; i += 8) {
        uint64_t m = load_le(in.p + i, 8);
        v[3] ^= m;
        sip_round(v);
        v[0] ^= m;
    }
    uint64_t last = (uint64_t)in.n << 56;
    if (in.n > i)
        last |= load_le(in.p + i, in.n - i);
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    sip_round(v);
    sip_round(v);
    sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

struct hash *hash_new(void)
{
    struct hash *h = mem_alloc(sizeof(*h));
    uint64_t key[2];
    ssize_t n;
    do
        n = getrandom(key, sizeof(key), 0);
    while (n < 0 && errno == EINTR);
    if (n != (ssize_t)sizeof(key))
        abort();
    h->k0 = key[0];
    h->k1 = key[1];
    h->nslots = HASH_MIN_SLOTS;
    h->slots = mem_array(h->nslots, sizeof(struct hash_entry *));
    return h;
}

void hash_free(struct hash **hp)
{
    struct hash *h = *hp;
    if (h == NULL)
        return;
    for (size_t i = 0; i < h->nslots; i++) {
        struct hash_entry *e = h->slots[i];
        while (e != NULL) {
            struct hash_entry *next = e->next;
            free(e);
            e = next;
        }
    }
    free(h->slots);
    free(h);
    *hp = NULL;
}

/* The link that points at the entry of key, or at the NULL where it would go. */
static struct hash_entry **hash_link(const struct hash *h, struct slice key, uint64_t x)
{
    struct hash_entry **link = &h->slots[x & (h->nslots - 1)];
    while (*link != NULL) {
        struct hash_entry *e = *link;
        if (e->h == x && slice_eq(slice_make(e->key, e->n), key))
            break;
        link = &e->next;
    }
    return link;
}

void *hash_get(const struct hash *h, struct slice key)
{
    struct hash_entry *e = *hash_link(h, key, siphash13(h->k0, h->k1, key));
    return e == NULL ? NULL : e->value;
}

static void hash_double(struct hash *h)
{
    size_t nslots = h->nslots * 2;
    struct hash_entry **slots = mem_array(nslots, sizeof(struct hash_entry *));
    for (size_t i = 0; i < h->nslots; i++) {
        struct hash_entry *e = h->slots[i];
        while (e != NULL) {
            struct hash_entry *next = e->next;
            struct hash_entry **to = &slots[e->h & (nslots - 1)];
            e->next = *to;
            *to = e;
            e = next;
        }
    }
    free(h->slots);
    h->slots = slots;
    h->nslots = nslots;
}

void hash_put(struct hash *h, struct slice key, void *value)
{
    uint64_t x = siphash13(h->k0, h->k1, key);
    struct hash_entry **link = hash_link(h, key, x);
    if (*link != NULL) {
        (*link)->value = value;
        return;
    }
    struct hash_entry *e = mem_alloc(sizeof(*e) + key.n);
    e->h = x;
    e->value = value;
    e->n = key.n;
    if (key.n > 0)
        memcpy(e->key, key.p, key.n);
    *link = e;
    if (++h->count > h->nslots)
        hash_double(h);
}

void *hash_del(struct hash *h, struct slice key)
{
    struct hash_entry **link = hash_link(h, key, siphash13(h->k0, h->k1, key));
    struct hash_entry *e = *link;
    if (e == NULL)
        return NULL;
    void *value = e->value;
    *link = e->next;
    free(e);
    h->count--;
    return value;
}

size_t hash_count(const struct hash *h)
{
    return h->count;
}

void hash_walk(const struct hash *h, bool (*cb)(struct slice key, void *value, void *arg),
               void *arg)
{
    for (size_t i = 0; i < h->nslots; i++) {
        for (const struct hash_entry *e = h->slots[i]; e != NULL; e = e->next) {
            if (!cb(slice_make(e->key, e->n), e->value, arg))
                return;
        }
    }
}
