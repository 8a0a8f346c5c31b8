/*
 * Who uses a mailbox on the old host while it is copied: its seats, and the gate before them.
 *
 * A session takes a seat for a mailbox that it has selected on old, and for each command on its way into one. The home of a
 * unit changes only when the gate is closed and every seat is empty or held, which means that its session stands at a
 * command boundary and begins nothing. So what sessions do on old is over before the last delta is taken, and whatever they
 * do next goes to the home that the transaction made.
 *
 * Rejected: a lock that sessions wait for (they wait for commands, and those for each other across mailboxes; a gate that
 * opens again after a while cannot hang).
 */
#include "move/move_priv.h"

static void wake_mover(struct unit *u)
{
    if (u->mover != NULL)
        mover_wake(u->mover);
}

static void wake_seats(struct unit *u)
{
    struct list *it;
    list_for_each(it, &u->seats)
        task_wake(container_of(it, struct unit_seat, node)->task);
}

bool unit_sit(struct unit *u, struct unit_seat *seat, struct task *task)
{
    if (u->rec.kind != UNIT_MAILBOX || u->rec.home != HOME_OLD || u->rec.state == UNIT_DELETED || u->gate_closed)
        return false;
    unit_rise(seat);
    seat->unit = u;
    seat->task = task;
    seat->held = false;
    list_append(&u->seats, &seat->node);
    return true;
}

void unit_rise(struct unit_seat *seat)
{
    if (seat->unit == NULL)
        return;
    list_remove(&seat->node);
    wake_mover(seat->unit);
    seat->unit = NULL;
    seat->held = false;
}

void unit_pass_seat(struct unit_seat *from, struct unit_seat *to)
{
    unit_rise(to);
    if (from->unit == NULL)
        return;
    *to = (struct unit_seat){.unit = from->unit, .task = from->task, .held = from->held};
    list_append(&to->unit->seats, &to->node);
    list_remove(&from->node);
    from->unit = NULL;
    from->held = false;
}

void unit_hold_seat(struct unit_seat *seat, bool held)
{
    seat->held = held;
    if (held && seat->unit != NULL)
        wake_mover(seat->unit);
}

bool unit_gate_closed(const struct unit *u)
{
    return u->gate_closed;
}

void unit_close_gate(struct unit *u)
{
    if (u->gate_closed)
        return;
    u->gate_closed = true;
    wake_seats(u);
}

/* Whoever waits is woken: those that were held, and those that have touched it. */
void unit_open_gate(struct unit *u)
{
    if (!u->gate_closed)
        return;
    u->gate_closed = false;
    wake_seats(u);
    account_wake(u->account);
}

bool unit_is_used(const struct unit *u)
{
    return !list_empty(&u->seats);
}

bool unit_all_held(const struct unit *u)
{
    struct list *it;
    list_for_each(it, &u->seats)
        if (!container_of(it, const struct unit_seat, node)->held)
            return false;
    return true;
}

enum { MOST_TURNS = 2 };

bool account_take_turn(struct account *a)
{
    if (a->turns >= MOST_TURNS)
        return false;
    a->turns++;
    return true;
}

void account_give_turn(struct account *a)
{
    a->turns--;
    account_wake(a);
}
