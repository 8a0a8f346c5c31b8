/* Allocation and secrets. Why abort: no caller can do anything sensible without memory, and code
 * paths that nobody can test are worse than a restart (every state is persisted first). Rejected:
 * arenas. */
#include "config.h"
#include "wherry/base/mem.h"
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *mem_check(void *p)
{
    if (p == NULL)
        abort();
    return p;
}

void *mem_alloc(size_t n)
{
    return mem_check(calloc(1, n == 0 ? 1 : n));
}

void *mem_array(size_t n, size_t size)
{
    if (n == 0 || size == 0)
        return mem_alloc(1);
    return mem_check(calloc(n, size)); /* calloc checks the product */
}

void *mem_grow(void *p, size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        abort();
    return mem_check(realloc(p, bytes == 0 ? 1 : bytes));
}

char *mem_strdup(const char *s)
{
    if (s == NULL)
        return NULL;
    size_t n = strlen(s) + 1;
    return memcpy(mem_grow(NULL, n, 1), s, n);
}

char *mem_printf(const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        abort();
    char *s = mem_grow(NULL, (size_t)n + 1, 1);
    vsnprintf(s, (size_t)n + 1, fmt, again);
    va_end(again);
    return s;
}

void secret_set(struct secret *s, struct slice v)
{
    char *p = slice_dup(v); /* first, since v may be what s holds */
    secret_free(s);
    s->p = p;
    s->n = v.n;
}

void secret_copy(struct secret *to, const struct secret *from)
{
    if (from->p == NULL)
        secret_free(to);
    else
        secret_set(to, secret_slice(from));
}

bool secret_equal(const struct secret *a, const struct secret *b)
{
    size_t n = a->n < b->n ? a->n : b->n;
    volatile unsigned char diff = a->n != b->n;
    for (size_t i = 0; i < n; i++)
        diff = (unsigned char)(diff | (unsigned char)(a->p[i] ^ b->p[i]));
    return diff == 0;
}

void secret_free(struct secret *s)
{
    if (s->p != NULL)
        explicit_bzero(s->p, s->n + 1);
    free(s->p);
    s->p = NULL;
    s->n = 0;
}

struct slice secret_slice(const struct secret *s)
{
    return slice_make(s->p, s->n);
}
