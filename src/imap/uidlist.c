/* See uidlist.h. */
#include "config.h"
#include "wherry/imap/uidlist.h"
#include "wherry/base/mem.h"
#include "wherry/imap/set.h"
#include <stdlib.h>
#include <string.h>

void uidlist_free(struct uidlist *l)
{
    free(l->v);
    *l = (struct uidlist){.n = 0};
}

static bool push(struct uidlist *l, uint32_t lo, uint32_t hi)
{
    if (l->n == UIDLIST_MOST)
        return false;
    if (l->n == l->cap) {
        l->cap = l->cap == 0 ? 16 : 2 * l->cap;
        l->v = mem_grow(l->v, l->cap, sizeof(*l->v));
    }
    l->v[l->n++] = (struct uid_range){lo, hi};
    return true;
}

bool uidlist_add_range(struct uidlist *l, uint32_t lo, uint32_t hi)
{
    struct uid_range *last = l->n > 0 ? &l->v[l->n - 1] : NULL;
    if (last != NULL && last->hi < UINT32_MAX && lo == last->hi + 1) {
        last->hi = hi;
        return true;
    }
    l->mixed = l->mixed || (last != NULL && lo <= last->hi);
    return push(l, lo, hi);
}

bool uidlist_add(struct uidlist *l, uint32_t uid)
{
    return uidlist_add_range(l, uid, uid);
}

bool uidlist_add_set(struct uidlist *l, struct slice set)
{
    uint32_t lo, hi;
    int rc;
    while ((rc = imap_set_next(&set, &lo, &hi)) > 0) {
        if (lo == SET_STAR || hi == SET_STAR || !uidlist_add_range(l, lo < hi ? lo : hi, lo < hi ? hi : lo))
            return false;
    }
    return rc == 0;
}

static int by_first(const void *a, const void *b)
{
    const struct uid_range *x = a, *y = b;
    return x->lo < y->lo ? -1 : x->lo > y->lo;
}

void uidlist_sort(struct uidlist *l)
{
    size_t kept = 0;
    if (!l->mixed)
        return;
    qsort(l->v, l->n, sizeof(*l->v), by_first);
    for (size_t i = 1; i < l->n; i++) {
        struct uid_range *last = &l->v[kept];
        if (l->v[i].lo <= last->hi || (last->hi < UINT32_MAX && l->v[i].lo == last->hi + 1)) {
            if (l->v[i].hi > last->hi)
                last->hi = l->v[i].hi;
        } else {
            l->v[++kept] = l->v[i];
        }
    }
    l->n = kept + 1;
    l->mixed = false;
}

uint32_t uidlist_nth(const struct uidlist *l, uint32_t num)
{
    for (size_t i = 0; i < l->n && num > 0; i++) {
        uint32_t len = l->v[i].hi - l->v[i].lo + 1;
        if (num <= len)
            return l->v[i].lo + (num - 1);
        num -= len;
    }
    return 0;
}

/* The range that it is in, or the place of one that it would be in. */
static size_t place(const struct uidlist *l, uint32_t uid)
{
    size_t lo = 0, hi = l->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (l->v[mid].hi < uid)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

bool uidlist_has(const struct uidlist *l, uint32_t uid)
{
    size_t at = place(l, uid);
    return at < l->n && l->v[at].lo <= uid;
}

bool uidlist_del(struct uidlist *l, uint32_t uid)
{
    size_t at = place(l, uid);
    if (at == l->n || l->v[at].lo > uid)
        return true;
    struct uid_range *r = &l->v[at];
    if (r->lo == r->hi) {
        memmove(r, r + 1, (--l->n - at) * sizeof(*r));
    } else if (uid == r->lo) {
        r->lo++;
    } else if (uid == r->hi) {
        r->hi--;
    } else {
        uint32_t hi = r->hi;
        r->hi = uid - 1;
        if (!push(l, uid + 1, hi))
            return false;
        struct uid_range last = l->v[l->n - 1];
        memmove(&l->v[at + 2], &l->v[at + 1], (l->n - at - 2) * sizeof(last));
        l->v[at + 1] = last;
    }
    return true;
}

uint64_t uidlist_count(const struct uidlist *l)
{
    uint64_t n = 0;
    for (size_t i = 0; i < l->n; i++)
        n += (uint64_t)(l->v[i].hi - l->v[i].lo) + 1;
    return n;
}

struct uidlist_at uidlist_first(const struct uidlist *l)
{
    return (struct uidlist_at){.l = l, .uid = l->n > 0 ? l->v[0].lo : 0};
}

void uidlist_next(struct uidlist_at *at)
{
    if (at->uid < at->l->v[at->i].hi)
        at->uid++;
    else
        at->uid = ++at->i < at->l->n ? at->l->v[at->i].lo : 0;
}
