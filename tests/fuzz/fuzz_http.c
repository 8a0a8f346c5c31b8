/* HTTP requests, targets and entity tags. The first byte says how the rest is split; whole and split must read the same. */
#include "config.h"
#include "fuzz.h"
#include "wherry/http/head.h"
#include "wherry/http/request.h"
#include "wherry/http/uri.h"

static void look_at_path(const struct http_request *q)
{
    struct http_target t = {0};
    struct buf again = {0}, spelled = {0};
    struct http_spelling s = {0};
    if (http_target_parse(q->target, http_field(q, "Host"), true, &t) == 0 && !t.asterisk) {
        http_spelling_learn(&s, buf_slice(&t.spelled));
        http_spelling_put(&s, buf_slice(&t.path), &spelled);
        must(http_path_decode(buf_slice(&spelled), &again, NULL) == 0);
        must(slice_eq(buf_slice(&again), buf_slice(&t.path)));
    } else if (!t.asterisk) {
        must(t.path.len == 0 && t.spelled.len == 0);
    }
    buf_free(&again);
    buf_free(&spelled);
    http_target_free(&t);
}

static void look_at_tags(const struct http_request *q)
{
    struct slice rest = http_field(q, "If-Match"), text;
    struct http_etag tag;
    struct http_if f = {.rest = http_field(q, "If")};
    struct buf back = {0};
    enum http_if_kind kind;
    while (http_etag_next(&rest, &tag) == CODEC_DONE)
        must(tag.tag.n > 0);
    while (http_if_next(&f, &kind, &text) == CODEC_DONE)
        buf_put_slice(&back, text);
    must(slice_starts(http_field(q, "If"), buf_slice(&back)));
    buf_free(&back);
}

/* False: refused. */
static bool read_all(struct http_reader *r, struct slice in, struct buf *out)
{
    struct slice body;
    enum http_piece p;
    while ((p = http_read(r, &in, &body)) != HTTP_MORE && p != HTTP_BAD) {
        const struct http_request *q = http_reader_request(r);
        if (p == HTTP_START) {
            buf_printf(out, "<%s %zu %llu>", q->name, q->n_fields, (unsigned long long)q->length);
            buf_put_slice(out, q->target);
            look_at_path(q);
            look_at_tags(q);
        }
        buf_put_slice(out, body);
    }
    if (p == HTTP_BAD)
        must(http_bad_status(r) >= 400 && http_bad_reason(r) != NULL);
    else
        must(in.n == 0);
    return p == HTTP_MORE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct slice in = slice_make(data + 1, size - 1);
    struct http_reader *whole = http_reader_new(), *split = http_reader_new();
    struct buf a = {0}, b = {0};
    size_t step = data[0] % 64u + 1;
    bool good = read_all(whole, in, &a), same = true;
    for (size_t at = 0; at < in.n && same; at += step)
        same = read_all(split, slice_make(in.p + at, in.n - at < step ? in.n - at : step), &b);
    must(good == same && slice_eq(buf_slice(&a), buf_slice(&b)));
    buf_free(&a);
    buf_free(&b);
    http_reader_free(&whole);
    http_reader_free(&split);
    return 0;
}
