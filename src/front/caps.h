/* What is advertised: the new host's capabilities, cut to what the translation knows. */
#ifndef WHERRY_FRONT_CAPS_H
#define WHERRY_FRONT_CAPS_H

#include <stdbool.h>
#include "wherry/base/buf.h"

/* Bits that a signed-in client is offered, given those of the new host. */
uint64_t front_caps_offer(uint64_t host);
/* Their names, in the order of the bits, separated by spaces. */
void front_caps_put(struct buf *out, uint64_t offered);
/* Before sign-in. starttls: may be begun; plain: passwords are taken on this connection as it is.
 */
void front_caps_put_guest(struct buf *out, bool starttls, bool plain);

#endif
