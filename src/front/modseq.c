/* Mod-sequences of the view. See modseq.h. */
#include "config.h"
#include "front/modseq.h"

enum { LOWEST = 1 /* hosts refuse CHANGEDSINCE 0, and no message has a lower one */ };

/* The value is the one that was current at the switch. A higher one was told by the old host to a
 * client with stale DNS, with changes that never came to new. */
static bool in_sync(const struct modseq *m, uint64_t view)
{
    return m->old != 0 && m->new != 0 && view == m->old;
}

uint64_t modseq_to_new(const struct modseq *m, enum modseq_use use, uint64_t view)
{
    if (view > m->shift)
        return view - m->shift;
    switch (use) {
    case MODSEQ_AFTER:
        return in_sync(m, view) ? m->new : LOWEST;
    case MODSEQ_FROM:
        return view > 0 && in_sync(m, view - 1) ? m->new + 1 : 0;
    case MODSEQ_NOT_AFTER:
        return in_sync(m, view) ? m->new : 0;
    }
    return 0;
}

bool modseq_wants_gaps(const struct modseq *m, uint64_t view)
{
    if (view > m->shift)
        return false;
    return !in_sync(m, view) || !m->complete;
}

uint64_t modseq_to_view(uint64_t shift, uint64_t host)
{
    return host == 0 || host > (uint64_t)INT64_MAX - shift ? 0 : host + shift;
}
