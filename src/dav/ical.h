/* What the files about items share. libical is included by ical.c alone. */
#ifndef WHERRY_SRC_DAV_ICAL_H
#define WHERRY_SRC_DAV_ICAL_H

#include <stdbool.h>
#include "wherry/base/buf.h"

/*
 * A text that two calendars have in common when they mean the same. False: libical cannot make sense of some of it, and *out
 * is as it was.
 */
bool ical_canon(struct slice body, struct buf *out);
/* A component's canonical text out of its lines: for properties as given, whatever they are. cards: of vCards. */
void lines_canon(struct slice body, bool cards, struct buf *out);
/* One line of such a text: parameters in order, without what is the default anyhow. */
void line_canon(struct slice group, struct slice name, struct slice params, struct slice value, bool card, struct buf *out);
/* Adds the sorted texts, each with a newline behind. */
struct texts {
    char **v;
    size_t n;
};
void texts_add(struct texts *t, struct buf *text); /* takes the bytes */
void texts_put(struct texts *t, struct buf *out);  /* and frees */
/* The definition of a time zone by its well-known name. False: there is none. */
bool ical_zone(const char *tzid, struct buf *out);
bool zone_is_known(struct slice tzid);
/* Writes cards of version 2.1 as 3.0. */
void card_modernise(struct slice body, struct buf *out);

#endif
