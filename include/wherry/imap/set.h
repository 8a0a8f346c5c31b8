/* Sequence sets (RFC 3501 section 9, seq-range): "1,3:5,7:*". */
#ifndef WHERRY_IMAP_SET_H
#define WHERRY_IMAP_SET_H

#include "wherry/base/buf.h"

enum { SET_STAR = 0 }; /* "*" is told as 0 */

/*
 * Takes the next range off *in; lo and hi as written ("5:3" gives 5, 3), SET_STAR for "*".
 * 1: a range; 0: the end; E_INVAL: not a set ("", "0", "1,", "1:2:3", over 2^32-1), outputs zeroed.
 */
int imap_set_next(struct slice *in, uint32_t *lo, uint32_t *hi) MUST_USE;
bool imap_set_valid(struct slice in);
/* Appends a range, joined by a comma and merged with the last one when adjacent. lo <= hi; hi may be SET_STAR. */
struct set_writer {
    struct buf *out;
    uint32_t lo, hi;
    bool open, any;
};
void imap_set_begin(struct set_writer *w, struct buf *out);
void imap_set_add(struct set_writer *w, uint32_t lo, uint32_t hi);
/* Returns true when anything was written. */
bool imap_set_end(struct set_writer *w);

#endif
