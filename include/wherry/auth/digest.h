/* SHA-256 of what comes in pieces (FIPS 180-4). */
#ifndef WHERRY_AUTH_DIGEST_H
#define WHERRY_AUTH_DIGEST_H

#include "wherry/base/buf.h"

enum { DIGEST_BYTES = 32 };

struct digest; /* opaque; owner: who made it */

/* Ready for the first message. Aborts when there is no memory. */
struct digest *digest_new(void);
void digest_free(struct digest **d);
void digest_put(struct digest *d, struct slice s);
/* The sum of what was put since the last one; begins anew. */
void digest_end(struct digest *d, uint8_t out[DIGEST_BYTES]);

#endif
