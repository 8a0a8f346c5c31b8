/*
 * Hash table from byte strings to pointers (accounts, names). Keys are copied; values are borrowed.
 * Seeded (SipHash or the like), so that a peer cannot choose collisions. Rejected: uthash (macros).
 */
#ifndef WHERRY_BASE_HASH_H
#define WHERRY_BASE_HASH_H

#include <stdbool.h>
#include "wherry/base/buf.h"

struct hash; /* opaque */

struct hash *hash_new(void);
void hash_free(struct hash **h); /* the values are not touched */
void *hash_get(const struct hash *h, struct slice key); /* NULL when absent */
void hash_put(struct hash *h, struct slice key, void *value); /* replaces */
void *hash_del(struct hash *h, struct slice key);             /* the value that was there, or NULL */
size_t hash_count(const struct hash *h);
/* Walks all entries in no order; the callback must not change the table; stops when it returns false. */
void hash_walk(const struct hash *h, bool (*cb)(struct slice key, void *value, void *arg), void *arg);

#endif
