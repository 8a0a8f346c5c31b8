/*
 * Mod-sequences of the view (DESIGN section 4): those of the new host, shifted above all that the
 * old host has handed out for the mailbox, and may still hand out. What a client keeps from the old
 * host is below the shift.
 */
#ifndef WHERRY_FRONT_MODSEQ_H
#define WHERRY_FRONT_MODSEQ_H

#include <stdbool.h>
#include <stdint.h>

/* All zero: a mailbox that is shown with the numbers it has. */
struct modseq {
    uint64_t shift;
    uint64_t old, new; /* HIGHESTMODSEQ of both at the switch, 0: none was told */
    bool complete;     /* every message that old had at the switch is in the view */
};

enum modseq_use {
    MODSEQ_AFTER,    /* CHANGEDSINCE, QRESYNC: what has a higher one */
    MODSEQ_FROM,     /* SEARCH MODSEQ: what has this one or a higher one */
    MODSEQ_NOT_AFTER /* UNCHANGEDSINCE: what has no higher one */
};

/*
 * A value of the client as the new host's. Who was in sync with old when the mailbox was moved asks
 * for what came since then; who was not asks for everything, and its UNCHANGEDSINCE fits no
 * message.
 */
uint64_t modseq_to_new(const struct modseq *m, enum modseq_use use, uint64_t view);

/* Who knows the mailbox as of this value may believe that messages exist which the view never had.
 */
bool modseq_wants_gaps(const struct modseq *m, uint64_t view);

/* 0 where there is none: the host's was 0, or the sum is beyond what RFC 7162 allows (63 bits). */
uint64_t modseq_to_view(uint64_t shift, uint64_t host);

#endif
