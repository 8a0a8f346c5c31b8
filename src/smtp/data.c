/*
 * The end of DATA, and what may not stand in it.
 *
 * Long runs are found with memchr; only the bytes around an end of line go through the states.
 * Rejected: removing and adding dots on the way (RFC 5321 4.5.2), which would change nothing but
 * could be wrong.
 */
#include "config.h"
#include "wherry/smtp/cmd.h"
#include <string.h>

enum { LINE_START, TEXT, CR, DOT, DOT_CR };

/* Length of the text before the next CR or LF. */
static size_t plain_run(struct slice in)
{
    const uint8_t *lf = memchr(in.p, '\n', in.n);
    size_t n = lf == NULL ? in.n : (size_t)(lf - in.p);
    const uint8_t *cr = n == 0 ? NULL : memchr(in.p, '\r', n);
    return cr == NULL ? n : (size_t)(cr - in.p);
}

enum codec smtp_data_next(struct smtp_data *d, struct slice in, size_t *used)
{
    size_t i = 0;
    while (i < in.n) {
        if (d->state == TEXT) {
            i += plain_run(slice_make(in.p + i, in.n - i));
            if (i == in.n)
                break;
        }
        uint8_t c = in.p[i];
        bool after_cr = d->state == CR || d->state == DOT_CR;
        if (after_cr ? c != '\n' : c == '\n') {
            *used = i;
            return CODEC_BAD;
        }
        i++;
        if (d->state == DOT_CR) {
            *used = i;
            d->state = LINE_START;
            return CODEC_DONE;
        }
        if (after_cr)
            d->state = LINE_START;
        else if (c == '\r')
            d->state = d->state == DOT ? DOT_CR : CR;
        else
            d->state = d->state == LINE_START && c == '.' ? DOT : TEXT;
    }
    *used = in.n;
    return CODEC_MORE;
}
