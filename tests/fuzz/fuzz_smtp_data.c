/* The octets of DATA: however they are cut the same passes, and what passes ends a message in one
 * place only, for a host that is lax as for one that is strict. */
#include "config.h"
#include "fuzz.h"
#include "wherry/smtp/cmd.h"

static enum codec run(struct slice in, size_t step, size_t *passed)
{
    struct smtp_data d = {0};
    *passed = 0;
    while (*passed < in.n) {
        size_t n = in.n - *passed < step ? in.n - *passed : step, used;
        enum codec r = smtp_data_next(&d, slice_make(in.p + *passed, n), &used);
        must(used <= n && (r != CODEC_MORE || used == n));
        *passed += used;
        if (r != CODEC_MORE)
            return r;
    }
    return CODEC_MORE;
}

/* A line of one dot, where any of CR, LF and CRLF counts as an end of line. */
static bool lax_end(const uint8_t *p, size_t n, size_t *at)
{
    for (size_t i = 0; i + 1 < n; i++) {
        bool start = i == 0 || p[i - 1] == '\n' || p[i - 1] == '\r';
        if (p[i] == '.' && start && (p[i + 1] == '\n' || p[i + 1] == '\r')) {
            *at = i;
            return true;
        }
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_make(data, size);
    size_t whole, cut, at;
    enum codec r = run(in, size + 1, &whole);
    must(run(in, 1, &cut) == r && cut == whole);
    must(run(in, 3, &cut) == r && cut == whole);
    bool ends = lax_end(data, whole, &at);
    if (r == CODEC_DONE)
        must(ends && at + 3 == whole);
    else
        must(!ends || (at + 2 == whole && data[whole - 1] == '\r')); /* its LF is missing */
    return 0;
}
