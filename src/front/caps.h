/* What is advertised: the new host's capabilities, cut to what the translation knows. */
#ifndef WHERRY_FRONT_CAPS_H
#define WHERRY_FRONT_CAPS_H

#include <stdbool.h>
#include "wherry/base/buf.h"

/* A row of the table in wherry-imap(7): the table has all that is offered, and what is known to be hidden. */
struct cap_row {
    const char *name; /* "X-*": all that begin so */
    const char *how;  /* "Own", "Own, before sign-in", "Passed on", "Translated", "Hidden" */
    const char *why;  /* a phrase */
};
bool front_caps_row(unsigned i, struct cap_row *out); /* false after the last */

/* Bits that a signed-in client is offered, given those of the new host. */
uint64_t front_caps_offer(uint64_t host);
/* Their names, in the order of the bits, separated by spaces; append_limit: the number of APPENDLIMIT (RFC 7889). */
void front_caps_put(struct buf *out, uint64_t offered, uint64_t append_limit);
/* Before sign-in. starttls: may be begun; plain: passwords are taken on this connection as it is.
 */
void front_caps_put_guest(struct buf *out, bool starttls, bool plain);

#endif
