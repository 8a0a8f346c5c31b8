/*
 * Signing in (DESIGN section 8): the old host checks the password, the account's folder tree gets
 * ready, the new host is entered. Only a refusal by the old host counts as a wrong password;
 * everything else is UNAVAILABLE.
 */
#include "config.h"
#include "front/caps.h"
#include "front/session.h"
#include <string.h>

/* Back to GUEST; an account that was attached is let go. */
static void give_up(struct session *s, const char *text)
{
    imapc_abort(&s->new_);
    if (s->account != NULL)
        account_detach(&s->account, &s->user);
    bool last = door_give_up(&s->door);
    session_no(s, text);
    session_apply_limits(s);
    if (last)
        session_bye(s, "sign_in_attempts", "Too many tries");
}

static void unavailable(struct session *s, const char *cause, const struct err *e, const char *text)
{
    door_log_failed(&s->door, cause, e);
    give_up(s, text);
}

struct imapc *session_connect_old(struct session *s)
{
    return door_connect_imap(&s->door, &s->task, &session_settings(s)->old_imap, s->env->tls_old);
}

static void attach(struct session *s)
{
    struct err e = {0};
    s->user = (struct account_user){
        .task = &s->task, .address = stream_peer(s->client), .port = stream_peer_port(s->client)};
    int rc = account_attach(s->env->accounts, &s->user, &s->task, buf_slice(&s->door.key),
                            buf_slice(&s->door.login), &s->door.password, &s->account, &e);
    if (rc != 0) {
        s->account = NULL;
        unavailable(s, "store", &e, "[UNAVAILABLE] Your account cannot be read just now");
        return;
    }
    session_enter(s, S_MIRROR);
}

void sign_in_begin(struct session *s)
{
    s->cmd.tag = slice_str(s->try.tag); /* the reader's memory does not last until the answer */
    timer_stop(&s->beat);
    door_knock(&s->door);
    session_enter(s, S_CHECK);
}

bool state_check(struct session *s)
{
    if (session_eof(s) && session_input(s).n == 0 && !door_delays(&s->door)) {
        session_end(s, "client_closed");
        return true;
    }
    switch (door_step(&s->door)) {
    case DOOR_WAIT:
        return false;
    case DOOR_RIGHT:
        attach(s);
        break;
    case DOOR_WRONG:
        give_up(s, "[AUTHENTICATIONFAILED] Name or password is wrong");
        break;
    case DOOR_UNAVAILABLE:
        give_up(s, "[UNAVAILABLE] Your password cannot be checked just now");
        break;
    }
    return true;
}

bool state_mirror(struct session *s)
{
    struct err e = {0};
    if (session_eof(s) && session_input(s).n == 0) {
        session_end(s, "client_closed");
        return true;
    }
    switch (account_ready(s->account, &e)) {
    case STATE_BUSY:
        session_progress(s, slice_str(s->try.tag), 0, 0,
                         "Preparing your mailboxes on the new server");
        return false;
    case STATE_FAILED:
        unavailable(s, "mirror", &e, "[UNAVAILABLE] Your mailboxes cannot be prepared just now");
        return true;
    case STATE_READY:
        break;
    }
    timer_stop(&s->beat);
    if (!door_try(&s->door, HOME_NEW)) {
        give_up(s, "[UNAVAILABLE] The new server cannot be reached");
        return true;
    }
    s->new_ =
        door_connect_imap(&s->door, &s->task, &session_settings(s)->new_imap, s->env->tls_new);
    if (s->new_ == NULL)
        unavailable(s, "new_name", NULL, "[UNAVAILABLE] The new server has no such name");
    else
        session_enter(s, S_ENTER);
    return true;
}

static void entered(struct session *s)
{
    s->offered = front_caps_offer(imapc_caps(s->new_));
    session_enable(s, 0);
    /* A search may take a host minutes. The client would wait for it there, too; a host that is
     * gone shows by TCP. */
    imapc_set_patient(s->new_, true);
    session_apply_limits(s);
    s->active_ms = s->awake_ms = session_now(s);
    timer_start(&s->clock, (uint64_t)session_settings(s)->stall_seconds * 1000);
    door_passed(&s->door, account_name(s->account));
    struct buf text = {0};
    buf_puts(&text, "[");
    session_put_capability(s, &text);
    buf_puts(&text, "] Signed in");
    session_ok(s, buf_cstr(&text));
    buf_free(&text);
}

bool state_enter(struct session *s)
{
    struct imapc_event ev;
    imapc_next(s->new_, &ev);
    if (ev.kind == IMAPC_NONE)
        return false;
    if (ev.kind == IMAPC_READY || ev.kind == IMAPC_FAILED)
        door_tried(&s->door, HOME_NEW, s->new_, ev.err);
    if (ev.kind == IMAPC_READY) {
        entered(s);
    } else if (ev.kind == IMAPC_FAILED) {
        bool refused = ev.err->code == E_AUTH;
        unavailable(s, refused ? "new_host_refused" : "new_host", ev.err,
                    refused ? "[UNAVAILABLE] The new server does not let you in yet"
                            : "[UNAVAILABLE] The new server cannot be reached");
    }
    return true;
}
