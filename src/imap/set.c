/*
 * Sequence sets.
 * What: a set is read range by range and written range by range.
 * Why: a set of a client may name millions of numbers in a few bytes; it is never expanded.
 * Rejected: an array of ranges, which a peer would size.
 */
#include "wherry/imap/set.h"

static int take_number(struct slice *in, uint32_t *out)
{
    uint64_t v = 0;
    size_t i = 0;
    if (in->n > 0 && in->p[0] == '*') {
        *out = SET_STAR;
        i = 1;
    } else {
        for (; i < in->n && in->p[i] >= '0' && in->p[i] <= '9'; i++) {
            v = v * 10 + (uint64_t)(in->p[i] - '0');
            if (v > UINT32_MAX)
                return E_INVAL;
        }
        if (v == 0)
            return E_INVAL;
        *out = (uint32_t)v;
    }
    *in = slice_make(in->p + i, in->n - i);
    return 0;
}

static int take_range(struct slice *in, uint32_t *lo, uint32_t *hi)
{
    if (take_number(in, lo) != 0)
        return E_INVAL;
    *hi = *lo;
    if (in->n > 0 && in->p[0] == ':') {
        *in = slice_make(in->p + 1, in->n - 1);
        if (take_number(in, hi) != 0)
            return E_INVAL;
    }
    if (in->n == 0)
        return 1;
    if (in->p[0] != ',' || in->n == 1)
        return E_INVAL;
    *in = slice_make(in->p + 1, in->n - 1);
    return 1;
}

int imap_set_next(struct slice *in, uint32_t *lo, uint32_t *hi)
{
    *lo = *hi = 0;
    if (in->n == 0)
        return 0;
    int r = take_range(in, lo, hi);
    if (r < 0)
        *lo = *hi = 0;
    return r;
}

bool imap_set_valid(struct slice in)
{
    uint32_t lo, hi;
    if (in.n == 0)
        return false;
    for (;;) {
        int r = imap_set_next(&in, &lo, &hi);
        if (r <= 0)
            return r == 0;
    }
}

static void put_number(struct buf *out, uint32_t v)
{
    if (v == SET_STAR)
        buf_putc(out, '*');
    else
        buf_printf(out, "%lu", (unsigned long)v);
}

static void flush(struct set_writer *w)
{
    if (!w->open)
        return;
    if (w->any)
        buf_putc(w->out, ',');
    put_number(w->out, w->lo);
    if (w->hi != w->lo) {
        buf_putc(w->out, ':');
        put_number(w->out, w->hi);
    }
    w->any = true;
    w->open = false;
}

void imap_set_begin(struct set_writer *w, struct buf *out)
{
    *w = (struct set_writer){.out = out};
}

void imap_set_add(struct set_writer *w, uint32_t lo, uint32_t hi)
{
    if (w->open && w->hi != SET_STAR && w->hi != UINT32_MAX && lo == w->hi + 1) {
        w->hi = hi;
        return;
    }
    flush(w);
    w->lo = lo;
    w->hi = hi;
    w->open = true;
}

bool imap_set_end(struct set_writer *w)
{
    flush(w);
    return w->any;
}
