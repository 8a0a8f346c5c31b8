/*
 * Flags that both hosts' people change while a mailbox is copied, merged three ways. Lists are those of flags_clean:
 * system flags and keywords with one space between them.
 */
#ifndef WHERRY_MOVE_FLAGS_H
#define WHERRY_MOVE_FLAGS_H

#include "wherry/base/buf.h"

/*
 * What a list holds, in a number that is small for most of them: the five system flags as bits, and a hash of the keywords,
 * whose order and case do not matter (RFC 9051 2.3.2). Never FLAGS_UNKNOWN.
 */
enum { FLAGS_UNKNOWN = 0 };
uint32_t flags_digest(struct slice flags);

/*
 * How the list on new has to change. base is the digest of what old showed when the two were last made to agree. A
 * system flag that old changed since then follows old; else it stays as it is on new, whoever changed it there. Keywords are one
 * thing: those of old where new's are as they were, those of new where old's are, and both where both changed. Without a
 * base everything follows old. add and remove are lists, each empty when there is nothing to do; true when
 * new keeps other flags than old afterwards.
 */
bool flags_merge(uint32_t base, struct slice old, struct slice new, struct buf *add, struct buf *remove);

#endif
