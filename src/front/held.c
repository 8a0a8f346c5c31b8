/*
 * A session that has a mailbox selected on old while that is about to move. When the gate is closed (move/seat.c) it begins no
 * command; once nothing is in flight it stands still, until the mailbox is at home on new and the session is carried there,
 * or the gate is open again.
 *
 *   READY, DRAIN, TOUCH, IDLE -> HELD -> CARRY -> back
 *                                     -> back (the gate is open again)
 *
 * The command that DRAIN or TOUCH wait with is begun anew afterwards, since it was translated for old. IDLE is ended and begun
 * again at the host; the client idles all the time.
 */
#include "config.h"
#include "front/carry.h"

bool held_called(const struct session *s)
{
    const struct unit *u = s->seat.unit;
    return u != NULL && s->side == HOME_OLD && (unit_gate_closed(u) || unit_record(u)->home == HOME_NEW);
}

static void stand_still(struct session *s, enum session_state back)
{
    s->back = back;
    unit_rise(&s->dest_seat); /* the command takes another one when it begins anew */
    tr_clear(&s->args);
    timer_stop(&s->turn);
    session_enter(s, S_HELD);
    unit_hold_seat(&s->seat, true);
}

bool held_look(struct session *s)
{
    if (!held_called(s) || s->n_flights > 0 || s->midline)
        return false;
    stand_still(s, s->state == S_READY || s->state == S_IDLE ? s->state : S_DRAIN);
    return true;
}

void held_go_on(struct session *s)
{
    enum session_state back = s->back;
    s->back = S_READY;
    if (back == S_IDLE)
        idle_again(s);
    else
        session_enter(s, back);
}

bool state_held(struct session *s)
{
    const struct unit *u = s->seat.unit;
    if (session_eof(s) && session_input(s).n == 0) {
        session_end(s, "client_closed");
        return true;
    }
    if (unit_record(u)->state == UNIT_DELETED) {
        session_bye(s, "mailbox_deleted", "The mailbox was deleted, please connect again");
    } else if (unit_record(u)->home == HOME_NEW) {
        if (!account_take_turn(s->account))
            return false;
        carry_begin(s);
    } else if (!unit_gate_closed(u)) {
        unit_hold_seat(&s->seat, false);
        held_go_on(s);
    } else {
        return false;
    }
    return true;
}
