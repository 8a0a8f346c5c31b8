/*
 * Byte slices and growable byte buffers.
 *
 * A slice borrows: it is good until the memory it points into changes. A buffer owns its memory; bytes
 * are appended at the end and consumed at the front, and an empty buffer gives its memory back when told
 * to (an idle session then costs nothing here). Running out of memory aborts.
 */
#ifndef WHERRY_BASE_BUF_H
#define WHERRY_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "wherry/base/err.h"

struct slice {
    const uint8_t *p;
    size_t n;
};

#define SLICE_LIT(s) ((struct slice){(const uint8_t *)("" s), sizeof(s) - 1})

struct slice slice_make(const void *p, size_t n);
struct slice slice_str(const char *s); /* NULL gives an empty slice */
bool slice_eq(struct slice a, struct slice b);
bool slice_is(struct slice a, const char *s);      /* bytes equal */
bool slice_is_nocase(struct slice a, const char *s); /* ASCII case ignored */
bool slice_eq_nocase(struct slice a, struct slice b);
bool slice_starts(struct slice a, struct slice prefix);
int slice_cmp(struct slice a, struct slice b); /* memcmp order, shorter first */
/* Decimal without sign, no leading '+', fits in 64 bits; E_INVAL otherwise and *out = 0. */
int slice_u64(struct slice a, uint64_t *out) MUST_USE;
int slice_u32(struct slice a, uint32_t *out) MUST_USE;
char *slice_dup(struct slice a); /* NUL-terminated copy, the caller frees */

struct buf {
    uint8_t *mem; /* NULL while empty */
    size_t off;   /* first unread byte */
    size_t len;   /* unread bytes */
    size_t cap;
};

void buf_free(struct buf *b);           /* leaves an empty, usable buffer */
void buf_wipe(struct buf *b);           /* as buf_free, but zeroes the memory first */
struct slice buf_slice(const struct buf *b);
void buf_put(struct buf *b, const void *p, size_t n);
void buf_puts(struct buf *b, const char *s);
void buf_put_slice(struct buf *b, struct slice s);
void buf_putc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);
void buf_vprintf(struct buf *b, const char *fmt, va_list ap) PRINTF(2, 0);
void buf_consume(struct buf *b, size_t n); /* n <= len */
void buf_truncate(struct buf *b, size_t n); /* keep the first n bytes, n <= len */
void buf_clear(struct buf *b);              /* keeps the memory */
void buf_trim(struct buf *b);               /* gives the memory back when empty */
/* Room for at least n more bytes at the end; buf_commit() says how many were written there. */
uint8_t *buf_reserve(struct buf *b, size_t n);
void buf_commit(struct buf *b, size_t n);
/* NUL-terminated view of the unread bytes (the NUL is not counted); good until the next change. */
const char *buf_cstr(struct buf *b);

#endif
