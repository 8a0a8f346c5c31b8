/* Allocation that succeeds or aborts, and secrets that are wiped. */
#ifndef WHERRY_BASE_MEM_H
#define WHERRY_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include "wherry/base/buf.h"

void *mem_alloc(size_t n);                 /* zeroed */
void *mem_array(size_t n, size_t size);    /* zeroed, n * size checked */
void *mem_grow(void *p, size_t n, size_t size); /* realloc of n * size, checked; new part not zeroed */
char *mem_strdup(const char *s);           /* NULL stays NULL */
char *mem_printf(const char *fmt, ...) PRINTF(1, 2);

/* The container of a member. */
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/*
 * A secret (password, key). Kept out of core dumps (MADV_DONTDUMP on its own mapping is not worth it: the
 * process turns dumps off), wiped by secret_free and before each change. Owner: whoever embeds it.
 */
struct secret {
    char *p; /* NUL-terminated, NULL when empty */
    size_t n;
};

void secret_set(struct secret *s, struct slice v);
void secret_copy(struct secret *to, const struct secret *from);
bool secret_equal(const struct secret *a, const struct secret *b); /* constant time in the shorter */
void secret_free(struct secret *s);
struct slice secret_slice(const struct secret *s);

#endif
