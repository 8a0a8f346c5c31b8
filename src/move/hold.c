/*
 * From the rounds of the delta to the switch.
 *
 * While sessions use the mailbox on old, rounds follow one another (LAST, SEEK, COPY, COMPARE, TIDY) until one took less than
 * a second. Then the gate is closed (see seat.c), and when everybody stands still one more LAST tells whether anything is
 * left to do. Where nobody uses it the gate is closed before LAST, which then is the last one indeed.
 *
 *   LAST -> SEEK -> nothing left, gate closed       -> SWITCH
 *                -> nothing left, or a short round  -> HOLD -> all held -> LAST …
 *                                                           -> too late -> REST -> LAST …
 *                -> something left                  -> the next round
 *
 * A session that does not come to a command boundary (it reads a large message slowly) must not stop the others for long: so
 * HOLD gives up after a while and tries again later, a longer while each time.
 */
#include "move/mover_priv.h"

enum {
    SHORT_ROUND_MS = 1000,
    MOST_ROUNDS = 50,    /* a mailbox in which so much happens is switched with a longer pause */
    HOLD_MS = 2000,      /* doubled with each try */
    HOLD_MOST_MS = 32000,
    REST_MS = 1000,      /* likewise */
    CLOSED_MOST_MS = 10000 /* with work to do while others stand still */
};

static uint64_t now_ms(const struct mover *m)
{
    return worker_now_ms(m->env->worker);
}

static void close_gate(struct mover *m)
{
    if (unit_gate_closed(m->unit))
        return;
    unit_close_gate(m->unit);
    m->hold.closed_ms = now_ms(m);
}

static uint64_t backed_off(uint64_t ms, unsigned tries)
{
    for (unsigned i = 0; i < tries && ms < HOLD_MOST_MS; i++)
        ms *= 2;
    return ms < HOLD_MOST_MS ? ms : HOLD_MOST_MS;
}

void hold_round(struct mover *m)
{
    uint64_t now = now_ms(m);
    if (m->hold.round_began_ms != 0)
        m->hold.round_ms = now - m->hold.round_began_ms + 1;
    m->hold.round_began_ms = now;
    m->hold.rounds++;
    if (!unit_is_used(m->unit))
        close_gate(m);
}

void hold_begin(struct mover *m)
{
    mover_enter(m, MV_HOLD);
    close_gate(m);
    timer_start(&m->hold.timer, backed_off(HOLD_MS, m->hold.tries));
    task_wake(&m->task);
}

static void give_up(struct mover *m)
{
    unit_open_gate(m->unit);
    log_event(worker_log(m->env->worker), LOG_INFO, "switch_postponed", log_s("account", m->account->rec.name),
              log_s("unit", m->unit->rec.view_name), log_n("try", m->hold.tries + 1));
}

bool hold_waits(const struct mover *m)
{
    return m->phase == MV_HOLD || m->phase == MV_REST;
}

bool hold_over(struct mover *m)
{
    if (m->phase == MV_REST || unit_all_held(m->unit)) {
        if (m->phase == MV_REST && !m->hold.timer.fired)
            return false;
        timer_stop(&m->hold.timer);
        return true;
    }
    if (!m->hold.timer.fired)
        return false;
    give_up(m);
    mover_enter(m, MV_REST);
    timer_start(&m->hold.timer, backed_off(REST_MS, m->hold.tries++));
    return false;
}

void hold_next(struct mover *m, bool work)
{
    bool closed = unit_gate_closed(m->unit);
    bool quick = m->hold.round_ms != 0 && m->hold.round_ms < SHORT_ROUND_MS;
    if (!work && closed) {
        mover_enter(m, MV_SWITCH);
        return;
    }
    if (!closed && (!work || quick || m->hold.rounds > MOST_ROUNDS)) {
        hold_begin(m);
        return;
    }
    /* What is left may take long: nobody has to stand still for it. */
    if (closed && unit_is_used(m->unit) && now_ms(m) - m->hold.closed_ms > CLOSED_MOST_MS)
        give_up(m);
    else if (closed && !unit_is_used(m->unit) && !quick)
        unit_open_gate(m->unit);
}

void hold_end(struct mover *m)
{
    timer_stop(&m->hold.timer);
    unit_open_gate(m->unit);
    m->hold.round_ms = m->hold.round_began_ms = 0;
    m->hold.rounds = 0;
}
