/* See the header. Why numbers of variable length: a batch of a hundred messages must stay on one
 * page. Rejected: a schema compiler (four records), structs as they lie in memory. */
#include "config.h"
#include "store/codec.h"
#include "wherry/base/mem.h"
#include <string.h>

void codec_put_u64(struct buf *out, uint64_t v)
{
    uint8_t bytes[10];
    size_t n = 0;
    while (v >= 0x80) {
        bytes[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    bytes[n++] = (uint8_t)v;
    buf_put(out, bytes, n);
}

void codec_put_i64(struct buf *out, int64_t v)
{
    codec_put_u64(out, (uint64_t)v << 1 ^ (v < 0 ? UINT64_MAX : 0));
}

void codec_put_str(struct buf *out, const char *s)
{
    struct slice v = slice_str(s);
    codec_put_u64(out, v.n);
    buf_put_slice(out, v);
}

static uint64_t codec_fail(struct codec_in *in)
{
    in->bad = true;
    in->n = 0;
    return 0;
}

uint8_t codec_u8(struct codec_in *in)
{
    if (in->n == 0)
        return (uint8_t)codec_fail(in);
    in->n--;
    return *in->p++;
}

uint64_t codec_u64(struct codec_in *in)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t c = codec_u8(in);
        if (in->bad)
            return 0;
        if (shift == 63 && c > 1)
            break; /* more than 64 bits */
        v |= (uint64_t)(c & 0x7f) << shift;
        if ((c & 0x80) == 0)
            return c == 0 && shift > 0 ? codec_fail(in) : v; /* not the shortest form */
    }
    return codec_fail(in);
}

uint32_t codec_u32(struct codec_in *in)
{
    uint64_t v = codec_u64(in);
    return (uint32_t)(v > UINT32_MAX ? codec_fail(in) : v);
}

int64_t codec_i64(struct codec_in *in)
{
    uint64_t v = codec_u64(in);
    return (int64_t)(v >> 1 ^ (v & 1 ? UINT64_MAX : 0));
}

unsigned codec_enum(struct codec_in *in, unsigned first, unsigned last)
{
    uint64_t v = codec_u64(in);
    return (unsigned)(in->bad || v < first || v > last ? codec_fail(in) : v);
}

char *codec_str(struct codec_in *in)
{
    uint64_t n = codec_u64(in);
    if (n > in->n || (n > 0 && memchr(in->p, '\0', (size_t)n) != NULL)) {
        codec_fail(in);
        return mem_strdup("");
    }
    char *s = slice_dup(slice_make(in->p, (size_t)n));
    in->p += n;
    in->n -= (size_t)n;
    return s;
}

struct codec_in codec_open(struct slice value, uint8_t version)
{
    struct codec_in in = {.p = value.p, .n = value.n};
    if (codec_u8(&in) != version)
        codec_fail(&in);
    return in;
}

int codec_end(const struct codec_in *in)
{
    return in->bad || in->n != 0 ? E_CORRUPT : 0;
}
