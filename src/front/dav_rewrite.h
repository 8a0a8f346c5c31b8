/*
 * XML on its way through: the same document with its hrefs, entity tags, change tags and sync tokens in the other side's terms,
 * and without the responses that are not to be seen. Answers of hosts and requests of clients take the same way.
 *
 * Nothing is known here of accounts: what a value becomes is asked of the owner. Memory: one value (VALUE_MAX), and what is put out
 * and was not taken; a response whose href has not come yet is held in it.
 */
#ifndef WHERRY_FRONT_DAV_REWRITE_H
#define WHERRY_FRONT_DAV_REWRITE_H

#include "wherry/dav/xml.h"

enum { DAV_VALUE_MAX = 16 * 1024 };

/* What an href is for, where the same path on one host is several on the other. */
enum href_role { HREF_ANY, HREF_RESPONSE, HREF_PRINCIPAL, HREF_CALENDARS, HREF_BOOKS };

/* Each appends to out and returns 0; anything else: see there. NULL: the value stays. */
struct rewrite_ops {
    /* Not 0: the element goes. For RESPONSE: the whole response goes. */
    int (*href)(void *arg, enum href_role role, struct slice href, struct buf *out);
    /* Of the item whose response it is in. Not 0: the value becomes empty, so that it matches nothing. */
    int (*etag)(void *arg, struct slice etag, bool schedule, struct buf *out);
    int (*token)(void *arg, bool ctag, struct slice token, struct buf *out);
};

enum rewrite_part {
    REWRITE_WHOLE,
    REWRITE_OPEN, /* without the end of the root, for responses that follow */
    REWRITE_INNER /* the responses alone, each able to stand in another document */
};

struct rewrite; /* opaque */
/* ops is copied. */
struct rewrite *rewrite_new(const struct rewrite_ops *ops, void *arg, enum rewrite_part part);
void rewrite_free(struct rewrite **r);
/* As xml_feed(). */
int rewrite_feed(struct rewrite *r, struct slice bytes, bool last) MUST_USE;
/* What may be put out now; rewrite_take() says how much of it was. */
struct slice rewrite_out(const struct rewrite *r);
void rewrite_take(struct rewrite *r, size_t n);
/* For OPEN, at the end: what closes the root. */
struct slice rewrite_tail(const struct rewrite *r);
const char *rewrite_error(const struct rewrite *r);
/* Whether that is the root element. */
bool rewrite_root_is(const struct rewrite *r, const char *ns, const char *name);

#endif
