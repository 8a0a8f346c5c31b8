/*
 * The UID map: look-up, ranges, whole sets.
 * What: binary search over runs that ascend on both sides, and an open tail.
 * Why: the map is monotone, so a range stays one range and sequence numbers need no map at all; a
 * mailbox without gaps is one run, however large. Rejected: a table of pairs (megabytes), and a
 * hash (no ranges).
 */
#include "wherry/imap/uidmap.h"
#include "wherry/base/mem.h"
#include "wherry/imap/set.h"
#include <stdlib.h>

/* Most bytes of one translated set: a peer may name every run many times. */
enum { MAX_SET = 8 << 20 };

/* One side of the map as the other sees it, so that both directions are one piece of code. */
struct side {
    const struct uidmap *m;
    bool to_view;
};

static uint32_t from_of(struct side s, size_t i)
{
    return s.to_view ? s.m->runs[i].new : s.m->runs[i].view;
}

static uint32_t to_of(struct side s, size_t i)
{
    return s.to_view ? s.m->runs[i].view : s.m->runs[i].new;
}

static uint32_t tail_from(struct side s)
{
    return s.to_view ? s.m->tail_new : s.m->tail_view;
}

static uint32_t tail_to(struct side s)
{
    return s.to_view ? s.m->tail_view : s.m->tail_new;
}

static uint32_t last_of(uint32_t first, uint32_t len)
{
    return first + (len - 1);
}

void uidmap_init(struct uidmap *m)
{
    *m = (struct uidmap){0};
}

void uidmap_identity(struct uidmap *m)
{
    uidmap_init(m);
    m->tail_view = m->tail_new = 1;
}

void uidmap_free(struct uidmap *m)
{
    free(m->runs);
    uidmap_init(m);
}

int uidmap_add(struct uidmap *m, uint32_t view, uint32_t new_uid)
{
    if (view == 0 || new_uid == 0 || m->tail_view != 0)
        return E_INVAL;
    if (m->n > 0) {
        struct uid_run *r = &m->runs[m->n - 1];
        uint32_t view_last = last_of(r->view, r->len), new_last = last_of(r->new, r->len);
        if (view <= view_last || new_uid <= new_last)
            return E_INVAL;
        if (view == view_last + 1 && new_uid == new_last + 1) {
            r->len++;
            return 0;
        }
    }
    if (m->n == m->cap) {
        size_t cap = m->cap < 8 ? 8 : m->cap + m->cap / 2;
        m->runs = mem_grow(m->runs, cap, sizeof(*m->runs));
        m->cap = cap;
    }
    m->runs[m->n++] = (struct uid_run){view, new_uid, 1};
    return 0;
}

int uidmap_set_tail(struct uidmap *m, uint32_t tail_view, uint32_t tail_new)
{
    if (tail_view == 0 || tail_new == 0)
        return E_INVAL;
    if (m->n > 0) {
        const struct uid_run *r = &m->runs[m->n - 1];
        if (tail_view <= last_of(r->view, r->len) || tail_new <= last_of(r->new, r->len))
            return E_INVAL;
    }
    m->tail_view = tail_view;
    m->tail_new = tail_new;
    return 0;
}

/* How many runs begin at or below v. */
static size_t runs_upto(struct side s, uint32_t v)
{
    size_t lo = 0, hi = s.m->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (from_of(s, mid) <= v)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static bool in_tail(struct side s, uint32_t v)
{
    return tail_from(s) != 0 && v >= tail_from(s);
}

/* The place of v in the tail of the other side; 0 when it is above all numbers there. */
static uint32_t through_tail(struct side s, uint32_t v)
{
    uint32_t d = v - tail_from(s);
    return d > UINT32_MAX - tail_to(s) ? 0 : tail_to(s) + d;
}

static uint32_t lookup(struct side s, uint32_t v)
{
    if (v == 0)
        return 0;
    if (in_tail(s, v))
        return through_tail(s, v);
    size_t i = runs_upto(s, v);
    if (i == 0)
        return 0;
    uint32_t d = v - from_of(s, i - 1);
    return d < s.m->runs[i - 1].len ? to_of(s, i - 1) + d : 0;
}

/* The image of the first mapped number >= v; 0: none. */
static uint32_t first_from(struct side s, uint32_t v)
{
    if (v == 0)
        v = 1;
    if (in_tail(s, v))
        return through_tail(s, v);
    size_t i = runs_upto(s, v);
    if (i > 0 && v - from_of(s, i - 1) < s.m->runs[i - 1].len)
        return to_of(s, i - 1) + (v - from_of(s, i - 1));
    return i < s.m->n ? to_of(s, i) : tail_to(s);
}

/* The image of the last mapped number <= v; 0: none. */
static uint32_t last_upto(struct side s, uint32_t v)
{
    if (in_tail(s, v)) {
        uint32_t to = through_tail(s, v);
        return to != 0 ? to : UINT32_MAX;
    }
    size_t i = runs_upto(s, v);
    if (i == 0)
        return 0;
    uint32_t d = v - from_of(s, i - 1), len = s.m->runs[i - 1].len;
    return to_of(s, i - 1) + (d < len ? d : len - 1);
}

static bool range(struct side s, uint32_t lo, uint32_t hi, uint32_t *olo, uint32_t *ohi)
{
    *olo = *ohi = 0;
    if (lo > hi)
        return false;
    uint32_t first = first_from(s, lo), last = last_upto(s, hi);
    /* Monotone: nothing is mapped between lo and hi exactly when the images cross. */
    if (first == 0 || last == 0 || first > last)
        return false;
    *olo = first;
    *ohi = last;
    return true;
}

uint32_t uidmap_to_view(const struct uidmap *m, uint32_t new_uid)
{
    return lookup((struct side){m, true}, new_uid);
}

uint32_t uidmap_to_new(const struct uidmap *m, uint32_t view)
{
    return lookup((struct side){m, false}, view);
}

bool uidmap_range_to_new(const struct uidmap *m, uint32_t lo, uint32_t hi, uint32_t *nlo,
                         uint32_t *nhi)
{
    return range((struct side){m, false}, lo, hi, nlo, nhi);
}

bool uidmap_range_to_view(const struct uidmap *m, uint32_t lo, uint32_t hi, uint32_t *vlo,
                          uint32_t *vhi)
{
    return range((struct side){m, true}, lo, hi, vlo, vhi);
}

uint32_t uidmap_next_to_view(const struct uidmap *m, uint32_t new_uidnext)
{
    struct side s = {m, true};
    if (m->tail_new != 0) {
        if (new_uidnext < m->tail_new)
            return m->tail_view;
        uint32_t v = through_tail(s, new_uidnext);
        return v != 0 ? v : UINT32_MAX;
    }
    if (m->n == 0)
        return 1;
    uint32_t last = last_of(m->runs[m->n - 1].view, m->runs[m->n - 1].len);
    return last < UINT32_MAX ? last + 1 : UINT32_MAX;
}

static void swap_if(uint32_t *lo, uint32_t *hi)
{
    if (*hi != SET_STAR && (*lo == SET_STAR || *lo > *hi)) {
        uint32_t t = *lo;
        *lo = *hi;
        *hi = t;
    }
}

/* "*" and "v:*": what the last message is, only the new host knows. */
static void add_open_range(const struct uidmap *m, struct set_writer *w, uint32_t lo)
{
    uint32_t first = lo == SET_STAR ? 0 : first_from((struct side){m, false}, lo);
    if (first == 0)
        imap_set_add(w, SET_STAR, SET_STAR);
    else
        imap_set_add(w, first, SET_STAR);
}

int uidmap_set_to_new(const struct uidmap *m, struct slice set, struct buf *out)
{
    struct set_writer w;
    uint32_t lo, hi, nlo, nhi;
    size_t before = out->len;
    if (!imap_set_valid(set))
        return E_INVAL;
    imap_set_begin(&w, out);
    while (imap_set_next(&set, &lo, &hi) == 1) {
        swap_if(&lo, &hi);
        if (hi == SET_STAR)
            add_open_range(m, &w, lo);
        else if (uidmap_range_to_new(m, lo, hi, &nlo, &nhi))
            imap_set_add(&w, nlo, nhi);
        if (out->len - before > MAX_SET) {
            buf_truncate(out, before);
            return E_LIMIT;
        }
    }
    return imap_set_end(&w);
}

/* Every piece of new UIDs [lo, hi] that lies in one run or in the tail. */
static int add_pieces(const struct uidmap *m, struct set_writer *w, uint32_t lo, uint32_t hi,
                      size_t limit)
{
    struct side s = {m, true};
    size_t i = runs_upto(s, lo);
    for (i -= i > 0; i < m->n && m->runs[i].new <= hi; i++) {
        const struct uid_run *r = &m->runs[i];
        uint32_t last = last_of(r->new, r->len);
        if (last < lo)
            continue;
        uint32_t a = lo > r->new ? lo : r->new, b = hi < last ? hi : last;
        imap_set_add(w, r->view + (a - r->new), r->view + (b - r->new));
        if (w->out->len > limit)
            return E_LIMIT;
    }
    if (!in_tail(s, hi))
        return 0;
    uint32_t first = through_tail(s, lo > m->tail_new ? lo : m->tail_new);
    if (first != 0)
        imap_set_add(w, first, last_upto(s, hi));
    return 0;
}

int uidmap_set_to_view(const struct uidmap *m, struct slice set, struct buf *out)
{
    struct set_writer w;
    uint32_t lo, hi;
    size_t before = out->len;
    if (!imap_set_valid(set))
        return E_INVAL;
    imap_set_begin(&w, out);
    while (imap_set_next(&set, &lo, &hi) == 1) {
        int r = E_INVAL;
        swap_if(&lo, &hi);
        if (lo != SET_STAR && hi != SET_STAR)
            r = add_pieces(m, &w, lo, hi, before + MAX_SET);
        if (r != 0) {
            buf_truncate(out, before);
            return r;
        }
    }
    return imap_set_end(&w);
}

/* Every piece of [lo, hi] of the view that no run covers. */
static int add_gaps(const struct uidmap *m, struct set_writer *w, uint32_t lo, uint32_t hi,
                    size_t limit)
{
    struct side s = {m, false};
    size_t i = runs_upto(s, lo);
    uint64_t at = lo; /* the first that is not looked at; one past the last may be 2^32 */
    for (i -= i > 0; i < m->n && m->runs[i].view <= hi; i++) {
        const struct uid_run *r = &m->runs[i];
        if (r->view > at)
            imap_set_add(w, (uint32_t)at, r->view - 1);
        if ((uint64_t)r->view + r->len > at)
            at = (uint64_t)r->view + r->len;
        if (w->out->len > limit)
            return E_LIMIT;
    }
    if (at <= hi)
        imap_set_add(w, (uint32_t)at, hi);
    return 0;
}

int uidmap_gaps(const struct uidmap *m, struct slice set, struct buf *out)
{
    struct set_writer w;
    uint32_t lo, hi, top = m->tail_view != 0 ? m->tail_view - 1 : UINT32_MAX;
    size_t before = out->len;
    if (!imap_set_valid(set))
        return E_INVAL;
    imap_set_begin(&w, out);
    while (imap_set_next(&set, &lo, &hi) == 1) {
        int r = 0;
        swap_if(&lo, &hi);
        if (hi == SET_STAR)
            hi = UINT32_MAX;
        if (lo == SET_STAR)
            continue; /* "*" alone: a message that exists */
        if (hi > top)
            hi = top;
        if (lo <= hi)
            r = add_gaps(m, &w, lo, hi, before + MAX_SET);
        if (r != 0) {
            buf_truncate(out, before);
            return r;
        }
    }
    return imap_set_end(&w);
}
