/* See breaker.h. */
#include "config.h"
#include "wherry/client/breaker.h"
#include <sys/random.h>

enum { OPEN_AFTER = 3, REST_MS = 1000, REST_MAX_MS = 15000, MANY = 32, SILENCE_MS = 5000 };

static uint64_t rest_ms(unsigned times)
{
    uint64_t ms = REST_MS, r = 0;
    for (unsigned i = 0; i < times && ms < REST_MAX_MS; i++)
        ms *= 2;
    ms = ms < REST_MAX_MS ? ms : REST_MAX_MS;
    if (getrandom(&r, sizeof(r), 0) != (ssize_t)sizeof(r))
        r = ms / 8;
    return ms - ms / 8 + r % (ms / 4 + 1);
}

bool breaker_is_open(const struct breaker *b)
{
    return b->until_ms != 0;
}

bool breaker_enter(struct breaker *b, uint64_t now_ms)
{
    if (breaker_is_open(b)) {
        if (b->probing || now_ms < b->until_ms)
            return false;
        b->probing = true;
    } else if (b->trying == 0) {
        b->answered_ms = now_ms;
    } else if (b->trying >= MANY && now_ms - b->answered_ms >= SILENCE_MS) {
        return false;
    }
    b->trying++;
    return true;
}

bool breaker_leave(struct breaker *b, enum breaker_end end, uint64_t now_ms)
{
    bool was = breaker_is_open(b);
    b->trying--;
    if (end == BREAKER_ANSWERED) {
        b->failures = 0;
        b->until_ms = 0;
        b->probing = false;
        b->answered_ms = now_ms;
    } else if (end == BREAKER_FAILED) {
        b->failures++;
        if (b->failures >= OPEN_AFTER && (!was || b->probing || now_ms >= b->until_ms)) {
            b->until_ms = now_ms + rest_ms(b->failures - OPEN_AFTER);
            b->probing = false;
        }
    } else if (b->trying == 0) {
        b->probing = false;
    }
    return was != breaker_is_open(b);
}
