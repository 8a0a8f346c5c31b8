/* Replies: cut anywhere they are the same; written out again they read the same; no line can be
 * forged. */
#include "config.h"
#include "fuzz.h"
#include "wherry/smtp/reply.h"
#include <string.h>

static enum codec run(struct slice in, size_t step, struct smtp_reply *r, size_t *done)
{
    enum codec c = CODEC_MORE;
    *done = 0;
    for (size_t end = 0; c == CODEC_MORE && end < in.n;) {
        size_t used;
        end = in.n - end > step ? end + step : in.n;
        c = smtp_reply_next(r, slice_make(in.p + *done, end - *done), &used);
        *done += used;
        must(*done <= end && r->text.len <= SMTP_MAX_REPLY + SMTP_MAX_REPLY_LINES);
    }
    return c;
}

static void look(const struct smtp_reply *r)
{
    struct smtp_ehlo e;
    struct buf out = {0};
    smtp_ehlo_parse(r, &e);
    smtp_ehlo_put(&out, e.ext, e.size);
    must(fuzz_within(smtp_reply_queue_id(r), buf_slice(&r->text)));
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_make(data, size);
    struct smtp_reply a = {0}, b = {0};
    struct buf one = {0}, two = {0};
    size_t used, cut;
    enum codec c = run(in, size + 1, &a, &used);
    enum codec d = run(in, 1, &b, &cut);
    must(c == d);
    if (c == CODEC_DONE) {
        must(used == cut && a.code >= 200 && a.code <= 599);
        look(&a);
        smtp_reply_put(&one, &a);
        must(run(buf_slice(&one), 7, &b, &cut) == CODEC_DONE && cut == one.len);
        smtp_reply_put(&two, &b);
        must(slice_eq(buf_slice(&one), buf_slice(&two)));
    }
    buf_free(&one);
    buf_free(&two);
    smtp_reply_free(&a);
    smtp_reply_free(&b);
    return 0;
}
