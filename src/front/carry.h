/*
 * A session that is carried over from old to new while its mailbox is selected (DESIGN section 6): held.c has the way to
 * and from the command boundary, carry.c asks both hosts, carry_tell.c compares and tells.
 */
#ifndef WHERRY_FRONT_CARRY_H
#define WHERRY_FRONT_CARRY_H

#include "front/session.h"
#include "wherry/imap/uidlist.h"

enum carry_phase {
    CARRY_ASK,   /* what does the client know, what is there on new? */
    CARRY_SAVED, /* and which messages does "$" mean? */
    CARRY_TELL   /* what differs is on its way to the client */
};

/* What one host says meanwhile. */
struct carry_side {
    struct uidlist uids;
    enum { CARRY_NOTHING, CARRY_NUMBERS, CARRY_SET, CARRY_FETCH } kind; /* of the reply that is coming in */
    bool again; /* messages went or came while it listed them */
    unsigned tries;
};

struct carry {
    enum carry_phase phase;
    struct carry_side side[HOME_NEW + 1];
    uint32_t exists; /* on new */
    uint32_t uidvalidity;
    struct fetch fetch;       /* of old, unasked */
    struct uidlist vanished;  /* UIDs that old told of, to who enabled QRESYNC */
    struct uidlist changed;   /* the client's numbers of messages whose flags old told, or their UIDs */
    struct uidlist saved;     /* what "$" means, UIDs */
    struct buf tell;          /* numbers of new whose flags the client is told */
    bool by_uid;              /* old speaks of UIDs where it is not asked */
    const char *failed;       /* why this cannot go on */
};

/* ---- carry.c ---- */
void carry_begin(struct session *s);
/* ---- carry_tell.c ---- */
/* Compares; the session is on new from then on. False: what differs cannot be told. */
bool carry_settle(struct session *s);
/* Asks new for what is to be told; the replies go to the client. */
void carry_tell(struct session *s);

#endif
