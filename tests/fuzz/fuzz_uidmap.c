/*
 * The UID map: the first two bytes say how long its stored form is, which follows; the rest is a
 * set. A map that is taken is written back to the same bytes, and both directions agree.
 */
#include "config.h"
#include "fuzz.h"
#include "wherry/imap/set.h"
#include "wherry/imap/uidmap.h"

static void check_pair(const struct uidmap *m, uint32_t v)
{
    uint32_t n = uidmap_to_new(m, v), back = uidmap_to_view(m, v);
    uint32_t lo, hi;
    must(n == 0 || uidmap_to_view(m, n) == v);
    must(back == 0 || uidmap_to_new(m, back) == v);
    must(uidmap_range_to_new(m, v, v, &lo, &hi) == (n != 0));
    must(lo == n && hi == n);
    must(uidmap_range_to_view(m, v, v, &lo, &hi) == (back != 0));
    must(lo == back && hi == back);
    if (uidmap_range_to_new(m, 1, v, &lo, &hi))
        must(lo <= hi && uidmap_to_view(m, lo) != 0 && uidmap_to_view(m, hi) <= v);
    if (uidmap_range_to_new(m, v, UINT32_MAX, &lo, &hi))
        must(lo <= hi && uidmap_to_view(m, lo) >= v);
}

static void around(const struct uidmap *m, uint32_t v)
{
    check_pair(m, v - 1);
    check_pair(m, v);
    check_pair(m, v + 1);
}

static void sets(const struct uidmap *m, struct slice set)
{
    struct buf out = {0}, back = {0};
    int r = uidmap_set_to_new(m, set, &out);
    must(r == 1 ? imap_set_valid(buf_slice(&out)) : out.len == 0);
    must((r == E_INVAL) == !imap_set_valid(set));
    if (r == 1 && uidmap_set_to_view(m, buf_slice(&out), &back) == 1)
        must(imap_set_valid(buf_slice(&back)));
    buf_clear(&out);
    r = uidmap_set_to_view(m, set, &out);
    must(r == 1 ? imap_set_valid(buf_slice(&out)) : out.len == 0);
    buf_free(&out);
    buf_free(&back);
}

/* What is told to be missing has no number on the other side, and lies below the tail. */
static void gaps(const struct uidmap *m, struct slice set)
{
    struct buf out = {0};
    uint32_t lo, hi;
    if (uidmap_gaps(m, set, &out) > 0) {
        struct slice told = buf_slice(&out);
        while (imap_set_next(&told, &lo, &hi) > 0) {
            uint32_t a, b;
            must(lo != SET_STAR && lo <= hi && (m->tail_view == 0 || hi < m->tail_view));
            must(!uidmap_range_to_new(m, lo, hi, &a, &b));
        }
    } else {
        must(out.len == 0);
    }
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct uidmap m;
    struct buf wire = {0};
    if (size < 2 || size > 4096)
        return 0;
    size_t n = data[0] + data[1] * 256u;
    n = n < size - 2 ? n : size - 2;
    struct slice stored = slice_make(data + 2, n), set = slice_make(data + 2 + n, size - 2 - n);
    uidmap_init(&m);
    if (uidmap_decode(&m, stored) == 0) {
        uidmap_encode(&wire, &m, 0);
        must(uidmap_parts(&m) == 1 && slice_eq(buf_slice(&wire), stored));
    } else {
        must(m.n == 0 && m.tail_view == 0);
    }
    for (size_t i = 0; i < m.n; i++) {
        around(&m, m.runs[i].view);
        around(&m, m.runs[i].new);
        around(&m, m.runs[i].view + m.runs[i].len);
        around(&m, m.runs[i].new + m.runs[i].len);
    }
    around(&m, m.tail_view);
    around(&m, m.tail_new);
    sets(&m, set);
    gaps(&m, set);
    buf_free(&wire);
    uidmap_free(&m);
    return 0;
}
