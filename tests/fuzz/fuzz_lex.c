/* The lexer and the cursor: tokens lie within the input, a shorter input asks for more, strings
 * come back. */
#include "config.h"
#include "fuzz.h"
#include "wherry/imap/lex.h"

static void tokens(struct slice in, int mode, size_t max)
{
    for (;;) {
        struct tok t, part;
        size_t used, none;
        enum codec r = imap_lex(in, mode, max, &used, &t);
        if (r != CODEC_DONE) {
            must(used == 0 && t.raw.p == NULL && t.text.p == NULL && t.size == 0);
            return;
        }
        must(used > 0 && used <= in.n && used <= max);
        must(fuzz_within(t.raw, in) && fuzz_within(t.text, t.raw));
        must(t.raw.n + t.space == used);
        must(imap_lex(slice_make(in.p, used - 1), mode, max, &none, &part) == CODEC_MORE);
        in = slice_make(in.p + used, in.n - used);
    }
}

static void cursor(struct slice in)
{
    struct imap_args a, b;
    struct slice raw;
    imap_args_init(&a, in);
    while (imap_args_value(&a, &raw)) {
        struct buf text = {0}, wire = {0}, back = {0};
        must(fuzz_within(raw, in) && raw.n > 0);
        imap_args_init(&b, raw);
        if (imap_args_astring(&b, &text) && imap_put_astring(&wire, buf_slice(&text))) {
            imap_args_init(&b, buf_slice(&wire));
            must(imap_args_astring(&b, &back) && imap_args_done(&b));
            must(slice_eq(buf_slice(&text), buf_slice(&back)));
        }
        buf_free(&text);
        buf_free(&wire);
        buf_free(&back);
    }
    must(raw.p == NULL && a.bad);
    uint32_t n;
    imap_args_init(&a, in);
    must(imap_args_u32(&a, &n) || n == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_make(data, size);
    struct buf quoted = {0};
    tokens(in, LEX_STREAM, 64);
    tokens(in, LEX_STREAM, SIZE_MAX);
    tokens(in, LEX_INLINE, 64);
    tokens(in, LEX_INLINE, SIZE_MAX);
    cursor(in);
    imap_unquote(&quoted, in);
    must(quoted.len <= size);
    buf_free(&quoted);
    return 0;
}
