/*
 * A host that is down is left alone for a while, so that people who sign in hear so at once instead of waiting for it one
 * behind the other. Owner: env; one for each host. Without I/O and without a clock of its own.
 *
 * Closed: everybody may try. After some failures in a row it opens: nobody may for a second, then one, and if that one
 * fails nobody for twice as long, give or take an eighth, at most 15 s. A host that takes connections and says nothing fails
 * only after its timeout; so where many are waiting and none was answered for some seconds nobody else is let in to wait.
 */
#ifndef WHERRY_CLIENT_BREAKER_H
#define WHERRY_CLIENT_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

struct breaker {
    unsigned failures; /* in a row */
    unsigned trying;   /* now */
    uint64_t until_ms; /* nobody may before; 0: closed */
    bool probing;      /* the one that may is at it */
    uint64_t answered_ms; /* the last answer, or when somebody began to wait while nobody did */
};

enum breaker_end {
    BREAKER_ANSWERED, /* the host is there, whatever it said */
    BREAKER_FAILED,
    BREAKER_DROPPED /* nobody waited for the end */
};

/* True: try, and tell the end by breaker_leave(). */
bool breaker_enter(struct breaker *b, uint64_t now_ms);
/* True when that opened or closed it: worth a line in the log; look at breaker_is_open(). */
bool breaker_leave(struct breaker *b, enum breaker_end end, uint64_t now_ms);
bool breaker_is_open(const struct breaker *b);

#endif
