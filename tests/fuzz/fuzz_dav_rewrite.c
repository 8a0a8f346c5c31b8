/* XML told in other terms. What comes out is XML again, and the same however the input was split: the first byte says how. */
#include "config.h"
#include "fuzz.h"
#include "front/dav_rewrite.h"

static int href(void *arg, enum href_role role, struct slice v, struct buf *out)
{
    (void)arg;
    buf_put_slice(out, v);
    buf_putc(out, '<');
    return v.n % 5 == 1 && role != HREF_CALENDARS ? -1 : 0;
}

static int etag(void *arg, struct slice v, bool schedule, struct buf *out)
{
    (void)arg;
    buf_put_slice(out, v);
    return schedule ? -1 : 0;
}

static int token(void *arg, bool ctag, struct slice v, struct buf *out)
{
    (void)arg;
    buf_puts(out, ctag ? "&c" : "&t");
    buf_put_slice(out, v);
    return 0;
}

static const struct rewrite_ops ops = {href, etag, token};

static int run(struct slice in, size_t step, enum rewrite_part part, struct buf *out)
{
    struct rewrite *r = rewrite_new(&ops, NULL, part);
    int rc = 0;
    do {
        size_t n = in.n < step ? in.n : step;
        rc = rewrite_feed(r, slice_make(in.p, n), n == in.n);
        struct slice got = rewrite_out(r);
        buf_put_slice(out, got);
        rewrite_take(r, got.n);
        in.p += n;
        in.n -= n;
    } while (in.n > 0 && rc == 0);
    buf_put_slice(out, rewrite_tail(r));
    rewrite_free(&r);
    return rc;
}

static int nothing(const struct xml_event *ev, void *arg)
{
    (void)ev;
    (void)arg;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct slice in = slice_make(data + 1, size - 1);
    struct buf a = {0}, b = {0};
    enum rewrite_part part = data[0] % 3 == 0 ? REWRITE_INNER : data[0] % 3 == 1 ? REWRITE_OPEN : REWRITE_WHOLE;
    int whole = run(in, in.n, part, &a), split = run(in, data[0] % 32u + 1, part, &b);
    must((whole == 0) == (split == 0));
    must(whole != 0 || slice_eq(buf_slice(&a), buf_slice(&b)));
    if (whole == 0 && part != REWRITE_INNER) {
        struct xml_in *x = xml_in_new(0, 0, nothing, NULL);
        must(xml_feed(x, buf_slice(&a), true) == 0);
        xml_in_free(&x);
    }
    buf_free(&a);
    buf_free(&b);
    return 0;
}
