/* What a peer says is DEFLATE: no more comes out than there is room for, and what we compress comes back. */
#include "config.h"
#include "fuzz.h"
#include "net/deflate_impl.h"

static void anything(struct slice data, size_t room)
{
    struct inflater *z = inflater_new();
    struct buf in = {0}, out = {0};
    enum codec c = CODEC_MORE;
    bool more = false;
    buf_put_slice(&in, data);
    for (unsigned turn = 0; c == CODEC_MORE && (in.len > 0 || more) && turn < 2000; turn++) {
        size_t before = in.len;
        buf_clear(&out);
        c = inflater_run(z, &in, &out, room, &more);
        must(out.len <= room);
        must(c != CODEC_MORE || in.len < before || out.len > 0 || !more);
    }
    must(c == CODEC_MORE || !more);
    inflater_free(&z);
    buf_free(&in);
    buf_free(&out);
}

static void there_and_back(struct slice data)
{
    struct deflater *d = deflater_new();
    struct inflater *z = inflater_new();
    struct buf wire = {0}, out = {0};
    bool more = false;
    size_t half = data.n / 2;
    deflater_run(d, slice_make(data.p, half), &wire);
    deflater_run(d, slice_make(data.p + half, data.n - half), &wire);
    if (wire.len > 0)
        must(inflater_run(z, &wire, &out, data.n + 1, &more) == CODEC_MORE);
    must(wire.len == 0 && slice_eq(buf_slice(&out), data));
    deflater_free(&d);
    inflater_free(&z);
    buf_free(&wire);
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct slice rest = slice_make(data + 1, size - 1);
    anything(rest, 1 + (size_t)data[0] * 64);
    there_and_back(rest);
    return 0;
}
