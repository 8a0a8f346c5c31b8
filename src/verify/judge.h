/* What becomes of two lists of messages and a map between them; see verify.c. Inside verify only. */
#ifndef WHERRY_VERIFY_JUDGE_H
#define WHERRY_VERIFY_JUDGE_H

#include "verify/side.h"
#include "wherry/imap/uidmap.h"

/* Owner: struct run in verify.c; one mailbox. */
struct judge {
    const struct verify *v;
    const struct store_unit *unit;
    struct side *old, *new;
    struct uidmap map;
    struct store_left *lefts; /* ascending */
    size_t n_lefts;
    struct verify_difference *first;
    struct verify_mailbox result; /* first and n are set at the end */
};

/* Reads what the store has of the mailbox. 0, or what cannot be read in result.err. */
int judge_begin(struct judge *j, const struct verify *v, const struct store_unit *u, struct side *old, struct side *new) MUST_USE;
void judge_free(struct judge *j);
/* Both mailboxes are open: is what was recorded about them still true? Else result.err says so. */
bool judge_opened(struct judge *j);
/* Takes what can be taken from both sides. True: all is looked at. */
bool judge_step(struct judge *j);

#endif
