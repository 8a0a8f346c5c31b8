/* Slices and growable buffers. What: see the header. Why one flat block with a read offset:
 * literals go through here in large pieces and most consumers want contiguous bytes. Rejected: a
 * chain of blocks (every parser would have to join them), and realloc (it can leave a copy of a
 * password in freed memory). */
#include "config.h"
#include "wherry/base/buf.h"
#include "wherry/base/mem.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_MIN_CAP 64u

struct slice slice_make(const void *p, size_t n)
{
    return (struct slice){p, n};
}

struct slice slice_str(const char *s)
{
    return s == NULL ? (struct slice){NULL, 0} : (struct slice){(const uint8_t *)s, strlen(s)};
}

bool slice_eq(struct slice a, struct slice b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool slice_is(struct slice a, const char *s)
{
    return slice_eq(a, slice_str(s));
}

static uint8_t ascii_lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

bool slice_eq_nocase(struct slice a, struct slice b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++) {
        if (ascii_lower(a.p[i]) != ascii_lower(b.p[i]))
            return false;
    }
    return true;
}

bool slice_is_nocase(struct slice a, const char *s)
{
    return slice_eq_nocase(a, slice_str(s));
}

bool slice_starts(struct slice a, struct slice prefix)
{
    return a.n >= prefix.n && (prefix.n == 0 || memcmp(a.p, prefix.p, prefix.n) == 0);
}

int slice_cmp(struct slice a, struct slice b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n == 0 ? 0 : memcmp(a.p, b.p, n);
    if (c != 0)
        return c;
    return a.n < b.n ? -1 : a.n > b.n;
}

static int slice_number(struct slice a, uint64_t max, uint64_t *out)
{
    *out = 0;
    if (a.n == 0)
        return E_INVAL;
    uint64_t v = 0;
    for (size_t i = 0; i < a.n; i++) {
        if (a.p[i] < '0' || a.p[i] > '9')
            return E_INVAL;
        uint64_t digit = (uint64_t)(a.p[i] - '0');
        if (v > max / 10 || v * 10 > max - digit)
            return E_INVAL;
        v = v * 10 + digit;
    }
    *out = v;
    return 0;
}

int slice_u64(struct slice a, uint64_t *out)
{
    return slice_number(a, UINT64_MAX, out);
}

int slice_u32(struct slice a, uint32_t *out)
{
    uint64_t v;
    int r = slice_number(a, UINT32_MAX, &v);
    *out = (uint32_t)v;
    return r;
}

char *slice_dup(struct slice a)
{
    char *s = mem_array(a.n + 1, 1);
    if (a.n > 0)
        memcpy(s, a.p, a.n);
    return s;
}

void buf_free(struct buf *b)
{
    free(b->mem);
    *b = (struct buf){0};
}

void buf_wipe(struct buf *b)
{
    if (b->mem != NULL)
        explicit_bzero(b->mem, b->cap);
    buf_free(b);
}

struct slice buf_slice(const struct buf *b)
{
    return (struct slice){b->mem == NULL ? NULL : b->mem + b->off, b->len};
}

/* The old block is zeroed before it is given back: the buffer may hold a password. */
static void buf_grow(struct buf *b, size_t need)
{
    size_t cap = b->cap < BUF_MIN_CAP ? BUF_MIN_CAP : b->cap;
    while (cap < need) {
        if (cap > SIZE_MAX / 2)
            abort();
        cap *= 2;
    }
    uint8_t *mem = mem_grow(NULL, cap, 1);
    if (b->len > 0)
        memcpy(mem, b->mem + b->off, b->len);
    if (b->mem != NULL)
        explicit_bzero(b->mem, b->cap);
    free(b->mem);
    b->mem = mem;
    b->off = 0;
    b->cap = cap;
}

uint8_t *buf_reserve(struct buf *b, size_t n)
{
    if (n > SIZE_MAX - b->len)
        abort();
    size_t need = b->len + n;
    if (need > b->cap) {
        buf_grow(b, need);
    } else if (need > b->cap - b->off) {
        /* Moving is paid for by the bytes consumed before it, unless few were: then a larger block.
         */
        if (b->off >= b->len) {
            memmove(b->mem, b->mem + b->off, b->len);
            b->off = 0;
        } else {
            buf_grow(b, b->cap + 1);
        }
    } else if (b->mem == NULL) {
        buf_grow(b, BUF_MIN_CAP);
    }
    return b->mem + b->off + b->len;
}

void buf_commit(struct buf *b, size_t n)
{
    if (n > b->cap - b->off - b->len)
        abort();
    b->len += n;
}

void buf_put(struct buf *b, const void *p, size_t n)
{
    if (n == 0)
        return;
    memcpy(buf_reserve(b, n), p, n);
    b->len += n;
}

void buf_puts(struct buf *b, const char *s)
{
    buf_put(b, s, strlen(s));
}

void buf_put_slice(struct buf *b, struct slice s)
{
    buf_put(b, s.p, s.n);
}

void buf_putc(struct buf *b, char c)
{
    buf_put(b, &c, 1);
}

void buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    size_t room = 128;
    int n = vsnprintf((char *)buf_reserve(b, room), room, fmt, ap);
    if (n < 0)
        abort();
    if ((size_t)n >= room) {
        room = (size_t)n + 1;
        n = vsnprintf((char *)buf_reserve(b, room), room, fmt, again);
    }
    va_end(again);
    buf_commit(b, (size_t)n);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(b, fmt, ap);
    va_end(ap);
}

void buf_consume(struct buf *b, size_t n)
{
    if (n > b->len)
        abort();
    b->len -= n;
    b->off = b->len == 0 ? 0 : b->off + n;
}

void buf_truncate(struct buf *b, size_t n)
{
    if (n > b->len)
        abort();
    b->len = n;
}

void buf_clear(struct buf *b)
{
    b->off = b->len = 0;
}

void buf_trim(struct buf *b)
{
    if (b->len == 0)
        buf_free(b);
}

const char *buf_cstr(struct buf *b)
{
    *buf_reserve(b, 1) = '\0';
    return (const char *)(b->mem + b->off);
}
