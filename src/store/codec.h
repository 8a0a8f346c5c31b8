/*
 * Numbers and strings of the records. Reading goes through a cursor that keeps its first error:
 * every later read gives zero, and codec_end() tells. Numbers are base-128, low groups first, in
 * their shortest form.
 */
#ifndef WHERRY_STORE_CODEC_H
#define WHERRY_STORE_CODEC_H

#include <stdbool.h>
#include <stdint.h>
#include "wherry/base/buf.h"

struct codec_in {
    const uint8_t *p;
    size_t n;
    bool bad;
};

void codec_put_u64(struct buf *out, uint64_t v);
void codec_put_i64(struct buf *out, int64_t v);     /* zigzag */
void codec_put_str(struct buf *out, const char *s); /* NULL is "" */

uint8_t codec_u8(struct codec_in *in);
uint64_t codec_u64(struct codec_in *in);
uint32_t codec_u32(struct codec_in *in);
int64_t codec_i64(struct codec_in *in);
/* One of first..last, else the cursor is bad and 0 comes back. */
unsigned codec_enum(struct codec_in *in, unsigned first, unsigned last);
/* A copy that the caller frees, "" after an error; a NUL within is an error. Never NULL. */
char *codec_str(struct codec_in *in);
/* Opens a value of that version. */
struct codec_in codec_open(struct slice value, uint8_t version);
/* 0, or E_CORRUPT after an error or with bytes left over. */
int codec_end(const struct codec_in *in) MUST_USE;

#endif
