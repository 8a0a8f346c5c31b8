/* Content lines (RFC 5545 3.1, RFC 6350 3.2): taken off a body one by one, unfolded, and their parts. */
#ifndef WHERRY_SRC_DAV_LINES_H
#define WHERRY_SRC_DAV_LINES_H

#include <stdbool.h>
#include "wherry/base/buf.h"

struct lines {
    struct slice rest;
    struct buf text;   /* of the line, unfolded, without its end */
    struct slice raw;  /* as it stands, folds and end included; borrowed from the body */
    struct slice name; /* without group, borrowed from text, as the next three */
    struct slice group;
    struct slice params; /* ";A=b;C=d", empty when there are none */
    struct slice value;
};

struct lines lines_open(struct slice body);
/* False at the end. A line without a colon has an empty name, and is all value. */
bool lines_next(struct lines *l);
void lines_close(struct lines *l);
bool line_is(const struct lines *l, const char *name);
/* BEGIN or END of this component; what NULL: of any. */
bool line_begins(const struct lines *l, const char *what);
bool line_ends(const struct lines *l, const char *what);

/* Takes one parameter off params: its name and value as they stand, quotes included. A bare word of vCard 2.1 has no value. */
bool line_param(struct slice *params, struct slice *name, struct slice *value);
/* The value of the parameter, without quotes; empty when there is none. */
struct slice line_param_of(const struct lines *l, const char *name);
/* Writes a line, folded at 75 bytes, with CRLF. */
void line_put(struct buf *out, struct slice text);

#endif
