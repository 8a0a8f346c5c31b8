/* See seqs.h. Rejected: the list of all UIDs that a client knows (800 KB for a large mailbox, for each session). */
#include "config.h"
#include "front/seqs.h"
#include "wherry/base/mem.h"
#include "wherry/imap/set.h"
#include <stdlib.h>
#include <string.h>

void seqs_free(struct seqs *s)
{
    free(s->v);
    *s = (struct seqs){.n = 0};
}

/* How many of them the client counts below this number. */
static size_t below(const struct seqs *s, uint32_t view)
{
    size_t lo = 0, hi = s->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (s->v[mid].num < view)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static bool is_gone(const struct seqs *s, uint32_t view)
{
    size_t at = below(s, view);
    return at < s->n && s->v[at].num == view;
}

bool seqs_add(struct seqs *s, uint32_t num, uint32_t uid)
{
    size_t at = below(s, num);
    if (at < s->n && s->v[at].num == num)
        return false;
    if (s->n == s->cap) {
        s->cap = s->cap == 0 ? 16 : 2 * s->cap;
        s->v = mem_grow(s->v, s->cap, sizeof(*s->v));
    }
    memmove(s->v + at + 1, s->v + at, (s->n - at) * sizeof(*s->v));
    s->v[at] = (struct seq_ghost){.num = num, .uid = uid};
    s->n++;
    return true;
}

/* v[i].num - i never descends: so many messages that are there stand before it, and one. */
uint32_t seqs_to_view(const struct seqs *s, uint32_t host)
{
    size_t lo = 0, hi = s->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (s->v[mid].num - mid <= host)
            lo = mid + 1;
        else
            hi = mid;
    }
    return host + (uint32_t)lo;
}

uint32_t seqs_to_host(const struct seqs *s, uint32_t view)
{
    return is_gone(s, view) ? 0 : view - (uint32_t)below(s, view);
}

int seqs_set_to_host(const struct seqs *s, struct slice set, struct buf *out)
{
    struct set_writer w;
    size_t mark = out->len;
    uint32_t lo, hi;
    int rc;
    imap_set_begin(&w, out);
    while ((rc = imap_set_next(&set, &lo, &hi)) > 0) {
        lo = lo == SET_STAR ? s->total : lo;
        hi = hi == SET_STAR ? s->total : hi;
        if (lo > hi) {
            uint32_t t = lo;
            lo = hi;
            hi = t;
        }
        uint32_t first = lo - (uint32_t)below(s, lo);
        uint32_t last = hi - (uint32_t)below(s, hi) - is_gone(s, hi);
        if (first <= last && first > 0)
            imap_set_add(&w, first, last);
    }
    bool any = imap_set_end(&w);
    if (rc < 0)
        buf_truncate(out, mark);
    return rc < 0 ? E_INVAL : any;
}

int seqs_set_to_view(const struct seqs *s, struct slice set, struct buf *out)
{
    struct set_writer w;
    size_t mark = out->len;
    uint32_t lo, hi;
    int rc;
    imap_set_begin(&w, out);
    while ((rc = imap_set_next(&set, &lo, &hi)) > 0) {
        if (lo == SET_STAR || hi == SET_STAR || lo > hi) {
            rc = -1;
            break;
        }
        uint32_t from = seqs_to_view(s, lo), to = seqs_to_view(s, hi);
        for (size_t i = below(s, from); i < s->n && s->v[i].num < to; i++) {
            if (from < s->v[i].num)
                imap_set_add(&w, from, s->v[i].num - 1);
            from = s->v[i].num + 1;
        }
        imap_set_add(&w, from, to);
    }
    if (!imap_set_end(&w) || rc < 0) {
        buf_truncate(out, mark);
        return E_INVAL;
    }
    return 1;
}

static void put_vanished(const struct seqs *s, struct buf *out)
{
    struct set_writer w;
    struct buf set = {0};
    imap_set_begin(&w, &set);
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].uid != 0)
            imap_set_add(&w, s->v[i].uid, s->v[i].uid);
    if (imap_set_end(&w)) {
        buf_puts(out, "* VANISHED ");
        buf_put_slice(out, buf_slice(&set));
        buf_puts(out, "\r\n");
    }
    buf_free(&set);
}

void seqs_flush(struct seqs *s, bool vanished, struct buf *out)
{
    for (size_t i = s->n; i > 0; i--)
        if (!vanished || s->v[i - 1].uid == 0)
            buf_printf(out, "* %lu EXPUNGE\r\n", (unsigned long)s->v[i - 1].num);
    if (vanished)
        put_vanished(s, out);
    seqs_free(s);
}
