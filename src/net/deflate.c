/*
 * The door to zlib. What: bursts of bytes in and out of raw DEFLATE. Why a compressor without memory: a reader of
 * DEFLATE does not care whether later bursts refer to earlier ones, so one compressor is enough for all sessions, and
 * an idle one costs only what the peer's own history needs. Rejected: a compressor per session (256 KiB each, for a few
 * per cent of size), and a smaller window for reading (a peer may refer back 32 KiB, RFC 4978 section 4).
 */
#include "config.h"
#include "deflate_impl.h"
#include <limits.h>
#include <stdlib.h>
#define ZLIB_CONST /* next_in points to const */
#include <zlib.h>
#include "wherry/base/mem.h"

enum {
    WINDOW_BITS = -15,       /* raw, and all that a peer may refer to */
    LEVEL = 4,               /* 6 takes twice as long to make mail 4 % smaller */
    MEMORY_LEVEL = 8,
    INFLATE_AT_ONCE = 16384, /* how much out grows before there is something to put there */
    DEFLATE_AT_ONCE = 16384
};

struct inflater {
    z_stream z;
};

struct deflater {
    z_stream z;
};

static void *take(void *arg, unsigned items, unsigned size)
{
    (void)arg;
    return mem_array(items, size);
}

static void give(void *arg, void *p)
{
    (void)arg;
    free(p);
}

struct inflater *inflater_new(void)
{
    struct inflater *z = mem_alloc(sizeof(*z));
    z->z.zalloc = take;
    z->z.zfree = give;
    if (inflateInit2(&z->z, WINDOW_BITS) != Z_OK)
        abort(); /* another version of zlib than that of its header */
    return z;
}

void inflater_free(struct inflater **z)
{
    if (*z == NULL)
        return;
    inflateEnd(&(*z)->z);
    free(*z);
    *z = NULL;
}

enum codec inflater_run(struct inflater *z, struct buf *in, struct buf *out, size_t room, bool *more)
{
    int rc = Z_OK;
    while (rc == Z_OK && room > 0) {
        size_t n = room < INFLATE_AT_ONCE ? room : INFLATE_AT_ONCE;
        size_t have = in->len < INT_MAX ? in->len : INT_MAX;
        z->z.next_in = buf_slice(in).p;
        z->z.avail_in = (unsigned)have;
        z->z.next_out = buf_reserve(out, n);
        z->z.avail_out = (unsigned)n;
        rc = inflate(&z->z, Z_SYNC_FLUSH);
        buf_consume(in, have - z->z.avail_in);
        buf_commit(out, n - z->z.avail_out);
        room -= n - z->z.avail_out;
        *more = z->z.avail_out == 0;
        if (!*more && in->len == 0)
            break;
    }
    if (rc == Z_OK || rc == Z_BUF_ERROR)
        return CODEC_MORE;
    *more = false;
    return rc == Z_STREAM_END ? CODEC_DONE : CODEC_BAD;
}

struct deflater *deflater_new(void)
{
    struct deflater *z = mem_alloc(sizeof(*z));
    z->z.zalloc = take;
    z->z.zfree = give;
    if (deflateInit2(&z->z, LEVEL, Z_DEFLATED, WINDOW_BITS, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
        abort();
    return z;
}

void deflater_free(struct deflater **z)
{
    if (*z == NULL)
        return;
    deflateEnd(&(*z)->z);
    free(*z);
    *z = NULL;
}

static void deflate_some(struct deflater *z, int flush, struct buf *out)
{
    do {
        z->z.next_out = buf_reserve(out, DEFLATE_AT_ONCE);
        z->z.avail_out = DEFLATE_AT_ONCE;
        (void)deflate(&z->z, flush); /* Z_BUF_ERROR at worst: nothing was left to do */
        buf_commit(out, DEFLATE_AT_ONCE - z->z.avail_out);
    } while (z->z.avail_out == 0);
}

void deflater_run(struct deflater *z, struct slice v, struct buf *out)
{
    deflateReset(&z->z);
    while (v.n > 0) {
        size_t n = v.n < INT_MAX ? v.n : INT_MAX;
        z->z.next_in = v.p;
        z->z.avail_in = (unsigned)n;
        deflate_some(z, n < v.n ? Z_NO_FLUSH : Z_SYNC_FLUSH, out);
        v = slice_make(v.p + n, v.n - n);
    }
}
