/* The UIDs of a mailbox in their order, as ranges: 8 bytes for each gap. Pure. */
#ifndef WHERRY_IMAP_UIDLIST_H
#define WHERRY_IMAP_UIDLIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "wherry/base/buf.h"

struct uidlist {
    struct uid_range {
        uint32_t lo, hi;
    } *v;
    size_t n, cap;
    bool mixed; /* they did not ascend: uidlist_sort() */
};

/* At most so many ranges, 32 MiB; what is beyond is counted in none. */
enum { UIDLIST_MOST = 4 * 1024 * 1024 };

void uidlist_free(struct uidlist *l); /* leaves it empty and usable */
bool uidlist_add(struct uidlist *l, uint32_t uid); /* false: too many */
bool uidlist_add_range(struct uidlist *l, uint32_t lo, uint32_t hi);
bool uidlist_add_set(struct uidlist *l, struct slice set); /* as a host tells it; false: too many, or no such set */
void uidlist_sort(struct uidlist *l); /* afterwards each is there once, ascending */
uint64_t uidlist_count(const struct uidlist *l);
/* Of a sorted one: */
uint32_t uidlist_nth(const struct uidlist *l, uint32_t num); /* from 1; 0: there are not so many */
bool uidlist_has(const struct uidlist *l, uint32_t uid);
bool uidlist_del(struct uidlist *l, uint32_t uid); /* false: too many ranges, it is still there */

/* Goes through a sorted one. */
struct uidlist_at {
    const struct uidlist *l;
    size_t i;
    uint32_t uid; /* the one in hand, 0: the end */
};
struct uidlist_at uidlist_first(const struct uidlist *l);
void uidlist_next(struct uidlist_at *at);

#endif
