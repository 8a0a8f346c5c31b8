/*
 * Special use of mailboxes (RFC 6154): by attribute, or by name where a host has no attributes. \All and \Flagged are
 * views of other mailboxes: nothing is carried into those.
 */
#ifndef WHERRY_MOVE_SPECIAL_H
#define WHERRY_MOVE_SPECIAL_H

#include "wherry/base/buf.h"

enum special_use { USE_NONE, USE_ARCHIVE, USE_DRAFTS, USE_JUNK, USE_SENT, USE_TRASH, SPECIAL_USES };

const char *special_attribute(enum special_use use); /* "\\Sent" */
/* The first one in a list of attributes. */
enum special_use special_of_flags(struct slice flags);
/*
 * What a name (one level, modified UTF-7) is commonly used for. configured: settings.special_use, which comes before the
 * built-in list. *rank: the lower, the surer. The case of letters is ignored.
 */
enum special_use special_of_name(char *const *configured, struct slice level, unsigned *rank);

#endif
