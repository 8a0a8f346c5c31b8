/*
 * Events, tasks and cards: what is in a body, whether two bodies mean the same, and how to make one that a host refuses
 * acceptable. libical lives behind this alone; vCards are read by their content lines (RFC 6350 3.2).
 *
 * Bodies are bounded by the caller; nesting, properties and lines are bounded here. Nothing here changes a body
 * that is good: item_repair() writes a new one.
 */
#ifndef WHERRY_DAV_ITEM_H
#define WHERRY_DAV_ITEM_H

#include <stdbool.h>
#include "wherry/base/buf.h"

enum item_kind { ITEM_EVENT = 1, ITEM_TODO = 2, ITEM_JOURNAL = 4, ITEM_FREEBUSY = 8, ITEM_CARD = 16, ITEM_LIST = 32 /* a group of cards */ };

enum item_fault {
    ITEM_NO_UID = 1,
    ITEM_NO_PRODID = 2,
    ITEM_NO_DTSTAMP = 4,
    ITEM_NO_VERSION = 8,
    ITEM_NO_VTIMEZONE = 16,  /* a TZID without a definition that is known by name */
    ITEM_MANY_UIDS = 32,     /* several objects in one resource */
    ITEM_METHOD = 64,        /* METHOD in a stored calendar */
    ITEM_OLD_CARD = 128,     /* vCard 2.1 */
    ITEM_MANY_CARDS = 256,
    ITEM_NO_FN = 512,
    ITEM_BROKEN = 1024       /* cannot be read at all: nothing here can help */
};

struct item_info {
    unsigned kinds, faults; /* sets of the above */
    char *uid;              /* the first, "" when there is none */
    bool scheduled;         /* has an ORGANIZER and an ATTENDEE */
};
void item_info_clear(struct item_info *i);

/* Looks at a body. card: it is from an address book. */
void item_inspect(struct slice body, bool card, struct item_info *out);
/*
 * Whether both mean the same: same components and properties with the same parameters and values, in any order, however
 * folded and whichever the line ends; what says only when and by which program it was written (PRODID, and for cards REV) does
 * not count. Definitions of a time zone count by their name where it is a well-known one.
 */
bool item_same(struct slice a, struct slice b, bool card);
/*
 * Writes a body without the faults, where that is safe; *done is the set that was mended (0: nothing could be). seed makes a UID that is
 * the same at each try (the item's name). ITEM_MANY_UIDS and ITEM_MANY_CARDS are not mended here but by item_split().
 */
void item_repair(struct slice body, bool card, struct slice seed, struct buf *out, unsigned *done);
/* One body for each UID, each with the time zones it needs. Returns how many; cb is called for each, 0 to go on. E_INVAL: cannot be
 * read. */
typedef int item_cb(struct slice uid, struct slice body, void *arg);
int item_split(struct slice body, bool card, item_cb *cb, void *arg) MUST_USE;
/* SCHEDULE-AGENT=CLIENT on each ORGANIZER and ATTENDEE (RFC 6638 7.1). False: nothing to change or cannot be read. */
bool item_schedule_by_client(struct slice body, struct buf *out);
/* Names of the faults, with ", " between. */
void item_faults_text(unsigned faults, struct buf *out);
/* Lone CR or LF become CRLF: what XML takes out of a body. */
void item_crlf(struct slice body, struct buf *out);

#endif
