/*
 * What is remembered of past sign-ins: passwords that were right, and failures.
 *
 * Both are tables of bounded size in order of age: the oldest entry makes room. Only the answer to
 * a failed try is ever held up, so nobody can lock a person out by guessing. Success clears the
 * count of its pair of account and address and not that of the address: else an account of one's
 * own would be a way to guess at others' freely. Rejected: keeping a digest without a key (a memory
 * image could then be searched for common passwords).
 */
#include "config.h"
#include "wherry/auth/auth.h"
#include "wherry/base/hash.h"
#include "wherry/base/list.h"
#include <arpa/inet.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

enum {
    CACHE_MAX = 10000,
    FAILURES_MAX = 5000, /* of each of the two kinds */
    FORGET_MS = 15 * 60 * 1000,
    MAC_BYTES = 32
};

/* One entry of a table; owner: the table. */
struct entry {
    struct list node;
    char *key;
    size_t key_len;
    uint64_t when_ms; /* of the check, or of the last failure */
    unsigned failures;
    uint8_t mac[MAC_BYTES];
};

struct table {
    struct hash *by_key;
    struct list by_age; /* oldest first */
    size_t max;
};

struct auth {
    struct table cache, addresses, pairs;
    uint8_t key[MAC_BYTES];
};

static void table_init(struct table *t, size_t max)
{
    t->by_key = hash_new();
    list_init(&t->by_age);
    t->max = max;
}

static void table_drop(struct table *t, struct entry *e)
{
    hash_del(t->by_key, slice_make(e->key, e->key_len));
    list_remove(&e->node);
    OPENSSL_cleanse(e->mac, sizeof(e->mac));
    free(e->key);
    free(e);
}

static void table_free(struct table *t)
{
    struct list *it, *tmp;
    list_for_each_safe(it, tmp, &t->by_age) table_drop(t, container_of(it, struct entry, node));
    hash_free(&t->by_key);
}

/* The entry of the key, made when absent, as the youngest. */
static struct entry *table_touch(struct table *t, struct slice key, uint64_t now_ms)
{
    struct entry *e = hash_get(t->by_key, key);
    if (e == NULL) {
        if (hash_count(t->by_key) >= t->max)
            table_drop(t, container_of(t->by_age.next, struct entry, node));
        e = mem_alloc(sizeof(*e));
        e->key = slice_dup(key);
        e->key_len = key.n;
        hash_put(t->by_key, key, e);
    } else {
        list_remove(&e->node);
    }
    list_append(&t->by_age, &e->node);
    e->when_ms = now_ms;
    return e;
}

struct auth *auth_new(void)
{
    struct auth *a = mem_alloc(sizeof(*a));
    if (RAND_bytes(a->key, sizeof(a->key)) != 1)
        abort(); /* without randomness no TLS either */
    table_init(&a->cache, CACHE_MAX);
    table_init(&a->addresses, FAILURES_MAX);
    table_init(&a->pairs, FAILURES_MAX);
    return a;
}

void auth_free(struct auth **a)
{
    if (*a == NULL)
        return;
    table_free(&(*a)->cache);
    table_free(&(*a)->addresses);
    table_free(&(*a)->pairs);
    OPENSSL_cleanse((*a)->key, sizeof((*a)->key));
    free(*a);
    *a = NULL;
}

/* HMAC-SHA256 of the account's length, the account and the password. */
static void mac_of(const struct auth *a, struct slice account, const struct secret *password,
                   uint8_t mac[MAC_BYTES])
{
    struct buf in = {0};
    uint32_t n = htonl((uint32_t)account.n);
    (void)buf_reserve(&in, sizeof(n) + account.n + password->n); /* one piece, wiped below */
    buf_put(&in, &n, sizeof(n));
    buf_put_slice(&in, account);
    buf_put_slice(&in, secret_slice(password));
    unsigned len = MAC_BYTES;
    struct slice s = buf_slice(&in);
    if (HMAC(EVP_sha256(), a->key, sizeof(a->key), s.p, s.n, mac, &len) == NULL)
        abort(); /* out of memory */
    buf_wipe(&in);
}

bool auth_cache_ok(struct auth *a, struct slice account, const struct secret *password,
                   uint64_t now_ms, unsigned ttl_seconds)
{
    struct entry *e = hash_get(a->cache.by_key, account);
    if (e == NULL)
        return false;
    if (now_ms < e->when_ms || now_ms - e->when_ms >= (uint64_t)ttl_seconds * 1000) {
        table_drop(&a->cache, e);
        return false;
    }
    uint8_t mac[MAC_BYTES];
    mac_of(a, account, password, mac);
    bool same = CRYPTO_memcmp(mac, e->mac, sizeof(mac)) == 0;
    OPENSSL_cleanse(mac, sizeof(mac));
    return same;
}

void auth_cache_put(struct auth *a, struct slice account, const struct secret *password,
                    uint64_t now_ms)
{
    mac_of(a, account, password, table_touch(&a->cache, account, now_ms)->mac);
}

void auth_cache_drop(struct auth *a, struct slice account)
{
    struct entry *e = hash_get(a->cache.by_key, account);
    if (e != NULL)
        table_drop(&a->cache, e);
}

/* Appends what an address counts as: an IPv4 address whole (also when mapped into IPv6), an IPv6
 * one by its /64. */
static void put_network(struct buf *out, const char *address)
{
    struct in_addr v4;
    struct in6_addr v6;
    size_t n = strcspn(address, "%"); /* the zone of a link-local address */
    char text[INET6_ADDRSTRLEN] = "";
    if (n < sizeof(text))
        memcpy(text, address, n);
    if (inet_pton(AF_INET, text, &v4) == 1) {
        buf_put(out, &v4, sizeof(v4));
    } else if (inet_pton(AF_INET6, text, &v6) == 1) {
        if (IN6_IS_ADDR_V4MAPPED(&v6))
            buf_put(out, v6.s6_addr + 12, 4);
        else
            buf_put(out, v6.s6_addr, 8);
    } else {
        buf_put(out, address, n < 64 ? n : 64);
    }
}

bool auth_same_network(const char *a, const char *b)
{
    struct buf x = {0}, y = {0};
    if (strcmp(a, b) == 0)
        return true;
    if (strchr(a, ':') == NULL || strchr(b, ':') == NULL)
        return false;
    put_network(&x, a);
    put_network(&y, b);
    bool same = slice_eq(buf_slice(&x), buf_slice(&y));
    buf_free(&x);
    buf_free(&y);
    return same;
}

/* The network comes with its length, so that no other pair gives the same bytes. */
static void put_pair(struct buf *out, const char *address, struct slice account)
{
    struct buf net = {0};
    put_network(&net, address);
    buf_putc(out, (char)net.len);
    buf_put_slice(out, buf_slice(&net));
    buf_put_slice(out, account);
    buf_free(&net);
}

static void count_failure(struct table *t, struct slice key, uint64_t now_ms)
{
    const struct entry *old = hash_get(t->by_key, key);
    bool stale = old != NULL && now_ms - old->when_ms >= FORGET_MS;
    struct entry *e = table_touch(t, key, now_ms);
    if (stale)
        e->failures = 0;
    if (e->failures < 1000)
        e->failures++;
}

void auth_note_failure(struct auth *a, const char *address, struct slice account, uint64_t now_ms)
{
    struct buf key = {0};
    put_network(&key, address);
    count_failure(&a->addresses, buf_slice(&key), now_ms);
    buf_clear(&key);
    put_pair(&key, address, account);
    count_failure(&a->pairs, buf_slice(&key), now_ms);
    buf_free(&key);
}

void auth_note_success(struct auth *a, const char *address, struct slice account)
{
    struct buf key = {0};
    put_pair(&key, address, account);
    struct entry *e = hash_get(a->pairs.by_key, buf_slice(&key));
    if (e != NULL)
        table_drop(&a->pairs, e);
    buf_free(&key);
}

static uint64_t delay_of(const struct table *t, struct slice key, uint64_t now_ms)
{
    const struct entry *e = hash_get(t->by_key, key);
    if (e == NULL || e->failures == 0 || now_ms - e->when_ms >= FORGET_MS)
        return 0;
    unsigned doublings = e->failures - 1 < 4 ? e->failures - 1 : 4;
    return (uint64_t)1000 << doublings;
}

uint64_t auth_failure_delay(const struct auth *a, const char *address, struct slice account,
                            uint64_t now_ms)
{
    struct buf key = {0};
    put_network(&key, address);
    uint64_t by_address = delay_of(&a->addresses, buf_slice(&key), now_ms);
    buf_clear(&key);
    put_pair(&key, address, account);
    uint64_t by_pair = delay_of(&a->pairs, buf_slice(&key), now_ms);
    buf_free(&key);
    return by_address > by_pair ? by_address : by_pair;
}
