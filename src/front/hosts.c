/*
 * The session's two connections (DESIGN section 4). The one to new lasts as long as the session; the one to old is
 * opened when a command needs it and closed after a rest, since hosts limit the connections of a person, and lasts
 * while a mailbox is selected there.
 */
#include "config.h"
#include "front/session.h"
#include "wherry/imap/caps.h"

struct imapc *session_host(struct session *s, enum unit_home side)
{
    return side == HOME_OLD ? s->old : s->new_;
}

bool session_selected(const struct session *s)
{
    return s->unit != NULL || s->side == HOME_OLD;
}

bool host_old_ready(struct session *s)
{
    return s->old != NULL && imapc_ready(s->old) && !imapc_full(s->old);
}

static uint64_t old_rest_ms(const struct session *s)
{
    return (uint64_t)session_settings(s)->old_rest_seconds * 1000;
}

enum readiness host_old_try(struct session *s)
{
    if (s->old == NULL) {
        bool lately = s->old_failed_ms != 0 && session_now(s) - s->old_failed_ms < old_rest_ms(s);
        if (!lately)
            s->old = session_connect_old(s);
        s->host_enabled[HOME_OLD] = 0;
        if (s->old == NULL)
            return STATE_FAILED;
        timer_start(&s->rest, old_rest_ms(s));
    }
    if (!host_old_ready(s))
        return STATE_BUSY;
    timer_start(&s->rest, old_rest_ms(s));
    return STATE_READY;
}

bool state_old(struct session *s)
{
    switch (host_old_try(s)) {
    case STATE_FAILED:
        return command_refuse(s, "[UNAVAILABLE] The old server cannot be reached", NULL);
    case STATE_BUSY:
        return false;
    case STATE_READY:
        break;
    }
    return command_run(s);
}

/* A host without UNSELECT is asked for a mailbox that does not exist: that leaves the selected one,
 * too (RFC 3501 6.3.1). */
void host_leave_mailbox(struct session *s)
{
    struct imapc *c = session_host(s, s->side);
    if (!session_selected(s) || c == NULL)
        return;
    if ((imapc_caps(c) & CAP_BIT(UNSELECT)) != 0)
        (void)imapc_command(c, "UNSELECT");
    else
        (void)imapc_command(c, "EXAMINE \"no such mailbox %u\"", (unsigned)s->id);
}

/*
 * Hosts do not bear a silent connection for ever. The reply is nobody's. Where a mailbox is selected on new the command that
 * is about to go there may name messages by numbers, which a NOOP would let the host change (RFC 3501 7.4.1): then the
 * command itself keeps it awake, or while that waits for a copy, one during which numbers stay.
 */
void host_keep_awake(struct session *s)
{
    if (session_now(s) - s->awake_ms < (uint64_t)session_settings(s)->keep_awake_seconds * 1000)
        return;
    s->awake_ms = session_now(s);
    if (s->unit == NULL || s->side == HOME_OLD)
        (void)imapc_command(s->new_, "NOOP");
    else if (s->state == S_TOUCH)
        (void)imapc_command(s->new_, "FETCH 1 (FLAGS)");
}

static bool old_in_use(struct session *s)
{
    struct list *it;
    bool append = s->state == S_APPEND && s->target == HOME_OLD; /* it may be answered before its end */
    if (s->side == HOME_OLD || s->state == S_OLD || s->state == S_LIST || append)
        return true;
    list_for_each(it, &s->flights)
    {
        if (container_of(it, struct flight, node)->side == HOME_OLD)
            return true;
    }
    return false;
}

void host_look_at_old(struct session *s)
{
    if (!s->rest.fired)
        return;
    timer_stop(&s->rest);
    if (s->account == NULL)
        return;
    if (old_in_use(s))
        timer_start(&s->rest, old_rest_ms(s));
    else
        imapc_close(&s->old);
}

static const char gone[] = "[UNAVAILABLE] The old server cannot be reached";

void host_lost_old(struct session *s, const struct err *e)
{
    struct list *it, *tmp;
    struct inlet *in = &s->inlets[HOME_OLD];
    bool needed = s->side == HOME_OLD || (s->midline && s->mid_side == HOME_OLD) ||
                  (s->state == S_APPEND && s->target == HOME_OLD);
    log_event(worker_log(s->env->worker), LOG_WARN, "old_host_lost",
              log_s("account", account_name(s->account)), log_n("session", s->id), log_e(e));
    imapc_abort(&s->old);
    imap_line_free(&in->line);
    in->gathering = false;
    s->old_failed_ms = session_now(s);
    if (needed) {
        session_bye(s, "old_host_lost", "[UNAVAILABLE] The connection to the old server was lost");
        return;
    }
    list_for_each_safe(it, tmp, &s->flights)
    {
        struct flight *f = container_of(it, struct flight, node);
        if (f->side != HOME_OLD)
            continue;
        if (!f->silent)
            session_tagged(s, slice_str(f->tag), "NO", gone);
        upstream_flight_free(s, f);
    }
    if (s->state == S_OLD)
        (void)command_refuse(s, gone, NULL);
}

void host_lost_new(struct session *s, const struct err *e)
{
    log_event(worker_log(s->env->worker), LOG_WARN, "new_host_lost",
              log_s("account", account_name(s->account)), log_n("session", s->id), log_e(e));
    session_bye(s, "new_host_lost", "[UNAVAILABLE] The connection to the mail server was lost");
}
