/*
 * The UID map: strictly monotone, from the UIDs of the view to those of the new host, as runs
 * (view_first, new_first, length) with an open tail new >= t <-> view = new - t + T.
 * A million messages without gaps cost 12 bytes.
 */
#ifndef WHERRY_IMAP_UIDMAP_H
#define WHERRY_IMAP_UIDMAP_H

#include <stdbool.h>
#include "wherry/base/buf.h"

struct uid_run {
    uint32_t view, new, len;
};

struct uidmap {
    struct uid_run *runs; /* ascending in both; owned */
    size_t n, cap;
    uint32_t tail_view, tail_new; /* T, t; 0, 0: no tail yet */
};

void uidmap_init(struct uidmap *m);
void uidmap_identity(struct uidmap *m); /* no runs, tail 1 <-> 1 */
void uidmap_free(struct uidmap *m);
/* One more pair, above all others in both; extends the last run where it can. E_INVAL if not ascending. */
int uidmap_add(struct uidmap *m, uint32_t view, uint32_t new_uid) MUST_USE;
/* Closes the map: T and t above all runs (E_INVAL else). */
int uidmap_set_tail(struct uidmap *m, uint32_t tail_view, uint32_t tail_new) MUST_USE;

uint32_t uidmap_to_view(const struct uidmap *m, uint32_t new_uid); /* 0: none */
uint32_t uidmap_to_new(const struct uidmap *m, uint32_t view);     /* 0: none */
/* The part of [lo, hi] that is mapped, as a range of the other side (bounds exist there). lo <= hi. */
bool uidmap_range_to_new(const struct uidmap *m, uint32_t lo, uint32_t hi, uint32_t *nlo, uint32_t *nhi);
bool uidmap_range_to_view(const struct uidmap *m, uint32_t lo, uint32_t hi, uint32_t *vlo, uint32_t *vhi);
/* Next UID of the view that a message not yet there will get, given the new host's UIDNEXT. */
uint32_t uidmap_next_to_view(const struct uidmap *m, uint32_t new_uidnext);

/*
 * A whole set of the view as one of the new host, appended to out. "*" stays "*"; "v:*" begins at the first
 * mapped UID >= v (a "v:*" above everything still means the last message, as RFC 3501 says). Reversed ranges are
 * turned. Returns 1, 0 when nothing of it is mapped (out unchanged), E_INVAL for what is no set, E_LIMIT when the
 * result would take over 8 MiB (out unchanged).
 */
int uidmap_set_to_new(const struct uidmap *m, struct slice set, struct buf *out) MUST_USE;
/* The same in the other direction for sets that a server sent (no "*"). One range may become several: a range of
 * new UIDs that spans runs is cut at their borders, so that the number of UIDs it names never grows. Order kept. */
int uidmap_set_to_view(const struct uidmap *m, struct slice set, struct buf *out) MUST_USE;

/*
 * What of a set of the view no message can have: UIDs below the tail that no run covers, appended to out as a set. "*" is the
 * last UID below the tail. Returns 1, 0 for none (out unchanged), E_INVAL for what is no set, E_LIMIT as above.
 */
int uidmap_gaps(const struct uidmap *m, struct slice set, struct buf *out) MUST_USE;

/*
 * Wire form for the store: varints of differences; part k of a map that is longer than UIDMAP_PART runs.
 * Encodes runs [first, first + UIDMAP_PART) and, in every part, the tail. Returns the number of parts by
 * uidmap_parts (at least 1). Decoding appends to *m and
 * takes the parts in their order only; E_CORRUPT leaves *m as it was. A map has exactly one encoding.
 */
enum { UIDMAP_PART = 8192 };
size_t uidmap_parts(const struct uidmap *m);
void uidmap_encode(struct buf *out, const struct uidmap *m, size_t part);
int uidmap_decode(struct uidmap *m, struct slice value) MUST_USE;

#endif
