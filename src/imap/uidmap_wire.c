/*
 * The UID map in the store.
 * What: per part a version, the tail, the part's number, and its runs as varints of the gaps
 * between them. Why: most gaps and lengths fit one byte, so 100,000 runs take some 300 KB; parts
 * keep a value small and let a reader see that the one it holds is not the one it needs. Rejected:
 * the array as it lies in memory (four times as large, and bound to the machine).
 */
#include "wherry/imap/uidmap.h"
#include "wherry/base/mem.h"
#include <stdlib.h>
#include <string.h>

enum { VERSION = 1 };

static void put_varint(struct buf *out, uint32_t v)
{
    for (; v >= 0x80; v >>= 7)
        buf_putc(out, (char)(v | 0x80));
    buf_putc(out, (char)v);
}

/* Sticky: after the first failure every read gives 0. Overlong forms are refused, so a map has one
 * encoding. */
struct reader {
    struct slice in;
    bool bad;
};

static uint32_t get_varint(struct reader *r)
{
    uint64_t v = 0;
    for (unsigned i = 0; !r->bad && i < r->in.n && i < 5; i++) {
        uint8_t c = r->in.p[i];
        v |= (uint64_t)(c & 0x7f) << (7 * i);
        if (c & 0x80)
            continue;
        if (v > UINT32_MAX || (c == 0 && i > 0))
            break;
        r->in = slice_make(r->in.p + i + 1, r->in.n - i - 1);
        return (uint32_t)v;
    }
    r->bad = true;
    return 0;
}

size_t uidmap_parts(const struct uidmap *m)
{
    return m->n == 0 ? 1 : (m->n + UIDMAP_PART - 1) / UIDMAP_PART;
}

void uidmap_encode(struct buf *out, const struct uidmap *m, size_t part)
{
    size_t first = part * UIDMAP_PART;
    size_t end = first < m->n ? (m->n - first > UIDMAP_PART ? first + UIDMAP_PART : m->n) : first;
    uint32_t view = 0, new = 0;
    put_varint(out, VERSION);
    put_varint(out, m->tail_view);
    put_varint(out, m->tail_new);
    put_varint(out, (uint32_t)part);
    put_varint(out, (uint32_t)(end - first));
    for (size_t i = first; i < end; i++) {
        const struct uid_run *r = &m->runs[i];
        put_varint(out, r->view - view);
        put_varint(out, r->new - new);
        put_varint(out, r->len - 1);
        view = r->view + r->len;
        new = r->new + r->len;
    }
}

/*
 * One run; view and new: the first numbers that are free (64 bits: one past the last may be 2^32).
 * first: the first of a part, whose numbers are absolute.
 */
static bool get_run(struct reader *r, uint64_t *view, uint64_t *new, bool first,
                    struct uid_run *out)
{
    uint32_t dv = get_varint(r), dn = get_varint(r), len = get_varint(r);
    uint64_t v = (first ? 0 : *view) + dv, n = (first ? 0 : *new) + dn, count = (uint64_t)len + 1;
    if (r->bad || v < *view || n < *new || v == 0 || n == 0)
        return false;
    if (!first && dv == 0 && dn == 0)
        return false;
    if (v + count - 1 > UINT32_MAX || n + count - 1 > UINT32_MAX)
        return false;
    *out = (struct uid_run){(uint32_t)v, (uint32_t)n, (uint32_t)count};
    *view = v + count;
    *new = n + count;
    return true;
}

static bool tail_fits(uint32_t tail_view, uint32_t tail_new, uint64_t view, uint64_t new)
{
    if (tail_view == 0 || tail_new == 0)
        return tail_view == tail_new;
    return tail_view >= view && tail_new >= new;
}

/* The free numbers after the runs that m has. */
static void next_free(const struct uidmap *m, uint64_t *view, uint64_t *new)
{
    *view = *new = 1;
    if (m->n > 0) {
        const struct uid_run *r = &m->runs[m->n - 1];
        *view = (uint64_t)r->view + r->len;
        *new = (uint64_t)r->new + r->len;
    }
}

int uidmap_decode(struct uidmap *m, struct slice value)
{
    struct reader r = {.in = value};
    uint32_t version = get_varint(&r), tail_view = get_varint(&r), tail_new = get_varint(&r);
    uint32_t part = get_varint(&r), count = get_varint(&r);
    uint64_t view, new;
    if (r.bad || version != VERSION || count > UIDMAP_PART || count > r.in.n / 3)
        return E_CORRUPT;
    if ((size_t)part * UIDMAP_PART != m->n || (part > 0 && count == 0))
        return E_CORRUPT;
    if (part > 0 && (tail_view != m->tail_view || tail_new != m->tail_new))
        return E_CORRUPT;
    struct uid_run *runs = mem_array((size_t)count + 1, sizeof(*runs));
    next_free(m, &view, &new);
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++)
        ok = get_run(&r, &view, &new, i == 0, &runs[i]);
    if (!ok || r.in.n != 0 || !tail_fits(tail_view, tail_new, view, new)) {
        free(runs);
        return E_CORRUPT;
    }
    if (m->n + count > m->cap) {
        m->cap = m->n + count;
        m->runs = mem_grow(m->runs, m->cap, sizeof(*m->runs));
    }
    if (count > 0)
        memcpy(m->runs + m->n, runs, count * sizeof(*runs));
    m->n += count;
    m->tail_view = tail_view;
    m->tail_new = tail_new;
    free(runs);
    return 0;
}
