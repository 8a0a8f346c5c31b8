/* Sequence sets, internal dates, capabilities, flag lists: what is read and written again says the
 * same. */
#include "config.h"
#include "fuzz.h"
#include "wherry/imap/caps.h"
#include "wherry/imap/set.h"

/* Writes the ranges of in (turned, so that lo <= hi); false when it is no set. */
static bool rewrite(struct slice in, struct buf *out)
{
    struct set_writer w;
    uint32_t lo, hi;
    int r;
    imap_set_begin(&w, out);
    while ((r = imap_set_next(&in, &lo, &hi)) == 1) {
        bool turn = hi != SET_STAR && (lo == SET_STAR || lo > hi);
        imap_set_add(&w, turn ? hi : lo, turn ? lo : hi);
    }
    must(r == 0 || (r == E_INVAL && lo == 0 && hi == 0));
    return imap_set_end(&w) && r == 0;
}

static void sets(struct slice in)
{
    struct buf once = {0}, twice = {0};
    bool ok = rewrite(in, &once);
    must(ok == imap_set_valid(in));
    if (ok) {
        must(imap_set_valid(buf_slice(&once)));
        must(rewrite(buf_slice(&once), &twice));
        must(slice_eq(buf_slice(&once), buf_slice(&twice)));
    }
    buf_free(&once);
    buf_free(&twice);
}

static void dates(struct slice in)
{
    struct buf text = {0};
    int64_t when, back = 0;
    if (imap_date_parse(in, &when) == 0) {
        imap_date_format(&text, when);
        must(text.len == 26 && imap_date_parse(buf_slice(&text), &back) == 0);
        must(back == when || when < -62167219200 || when > 253402300799);
    } else {
        must(when == 0);
    }
    buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_make(data, size);
    if (size > 4096)
        return 0;
    sets(in);
    dates(in);
    (void)imap_caps_parse(in);
    struct slice a = slice_make(data, size / 2), b = slice_make(data + size / 2, size - size / 2);
    must(imap_flags_same(in, in));
    must(imap_flags_same(a, b) == imap_flags_same(b, a));
    return 0;
}
