/*
 * Signing in (DESIGN section 8): the old host checks the password, the account's folder tree gets
 * ready, the new host is entered. Only a refusal by the old host counts as a wrong password;
 * everything else is UNAVAILABLE.
 */
#include "config.h"
#include "front/caps.h"
#include "front/session.h"
#include <string.h>

static void log_failed(struct session *s, const char *reason, const struct err *e)
{
    struct err none = {0};
    enum log_level level = e == NULL || e->code == E_AUTH ? LOG_INFO : LOG_WARN;
    log_event(worker_log(s->env->worker), level, "sign_in_failed",
              log_v("account", buf_slice(&s->try.key)), log_n("session", s->id),
              log_s("address", stream_peer(s->client)), log_s("cause", reason),
              log_e(e != NULL ? e : &none));
    worker_counters(s->env->worker)->sign_in_failures++;
}

/* Back to GUEST; an account that was attached is let go. */
static void give_up(struct session *s, const char *text)
{
    imapc_abort(&s->old);
    imapc_abort(&s->new_);
    if (s->account != NULL)
        account_detach(&s->account, &s->user);
    secret_free(&s->try.password);
    session_no(s, text);
    session_apply_limits(s);
    if (++s->try.attempts >= session_settings(s)->sign_in_attempts)
        session_bye(s, "sign_in_attempts", "Too many tries");
}

static void unavailable(struct session *s, const char *cause, const struct err *e, const char *text)
{
    log_failed(s, cause, e);
    give_up(s, text);
}

static void wrong_password(struct session *s, const char *cause)
{
    struct slice key = buf_slice(&s->try.key);
    const char *address = stream_peer(s->client);
    auth_note_failure(s->env->auth, address, key, session_now(s));
    uint64_t ms = auth_failure_delay(s->env->auth, address, key, session_now(s));
    log_failed(s, cause, NULL);
    imapc_abort(&s->old);
    secret_free(&s->try.password);
    timer_start(&s->beat, ms > 0 ? ms : 1);
    session_enter(s, S_PENALTY);
}

bool state_penalty(struct session *s)
{
    if (session_eof(s) && session_input(s).n == 0) {
        session_end(s, "client_closed");
        return true;
    }
    if (!s->beat.fired)
        return false;
    give_up(s, "[AUTHENTICATIONFAILED] Name or password is wrong");
    return true;
}

/* A connection to a host under the person's name. */
static struct imapc *connect_host(struct session *s, const struct mail_host *host,
                                  struct tls_ctx *tls)
{
    struct auth_creds creds = {0};
    if (auth_host_creds(session_settings(s), host, buf_slice(&s->try.login), &s->try.password,
                        &creds) != 0)
        return NULL;
    struct imapc_open o = {
        .host = host,
        .tls = tls,
        .creds = &creds,
        .client_address = stream_peer(s->client),
        .client_port = stream_peer_port(s->client),
        .timeout_seconds = session_settings(s)->host_timeout_seconds,
    };
    struct imapc *c = imapc_open(s->env->worker, &s->task, &o);
    auth_creds_free(&creds);
    return c;
}

struct imapc *session_connect_old(struct session *s)
{
    return connect_host(s, &session_settings(s)->old_imap, s->env->tls_old);
}

static void attach(struct session *s)
{
    struct err e = {0};
    s->user = (struct account_user){.task = &s->task};
    int rc = account_attach(s->env->accounts, &s->user, &s->task, buf_slice(&s->try.key),
                            buf_slice(&s->try.login), &s->try.password, &s->account, &e);
    if (rc != 0) {
        s->account = NULL;
        unavailable(s, "store", &e, "[UNAVAILABLE] Your account cannot be read just now");
        return;
    }
    session_enter(s, S_MIRROR);
}

void sign_in_begin(struct session *s)
{
    const struct settings *set = session_settings(s);
    struct slice login = buf_slice(&s->try.login);
    buf_free(&s->try.key);
    timer_stop(&s->beat);
    s->cmd.tag = slice_str(s->try.tag); /* the reader's memory does not last until the answer */
    if (s->try.password.n == 0 || s->try.password.n > AUTH_MAX_PASSWORD ||
        auth_check_login(set, login) != 0 || auth_account_key(set, login, &s->try.key) != 0) {
        wrong_password(s, "malformed");
        return;
    }
    if (set->verify_cache_seconds > 0 &&
        auth_cache_ok(s->env->auth, buf_slice(&s->try.key), &s->try.password, session_now(s),
                      set->verify_cache_seconds)) {
        attach(s);
        return;
    }
    s->old = session_connect_old(s);
    if (s->old == NULL)
        wrong_password(s, "malformed");
    else
        session_enter(s, S_CHECK);
}

/* What the old host says beside is of no interest; the connection is closed since hosts limit those
 * of a person. */
bool state_check(struct session *s)
{
    struct imapc_event ev;
    imapc_next(s->old, &ev);
    if (ev.kind == IMAPC_NONE) {
        if (session_eof(s) && session_input(s).n == 0) {
            session_end(s, "client_closed");
            return true;
        }
        return false;
    }
    if (ev.kind == IMAPC_READY) {
        struct slice key = buf_slice(&s->try.key);
        auth_cache_put(s->env->auth, key, &s->try.password, session_now(s));
        auth_note_success(s->env->auth, stream_peer(s->client), key);
        imapc_close(&s->old);
        attach(s);
    } else if (ev.kind == IMAPC_FAILED && ev.err->code == E_AUTH) {
        auth_cache_drop(s->env->auth, buf_slice(&s->try.key));
        wrong_password(s, "credentials");
    } else if (ev.kind == IMAPC_FAILED) {
        unavailable(s, "old_host", ev.err,
                    "[UNAVAILABLE] Your password cannot be checked just now");
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
    s->new_ = connect_host(s, &session_settings(s)->new_imap, s->env->tls_new);
    if (s->new_ == NULL)
        unavailable(s, "new_name", NULL, "[UNAVAILABLE] The new server has no such name");
    else
        session_enter(s, S_ENTER);
    return true;
}

static void entered(struct session *s)
{
    s->offered = front_caps_offer(imapc_caps(s->new_));
    /* A search may take a host minutes. The client would wait for it there, too; a host that is gone shows by TCP. */
    imapc_set_patient(s->new_, true);
    session_apply_limits(s);
    worker_counters(s->env->worker)->sign_ins++;
    s->try.attempts = 0;
    s->active_ms = session_now(s);
    timer_start(&s->clock, STALL_SECONDS * 1000);
    log_event(worker_log(s->env->worker), LOG_INFO, "sign_in",
              log_s("account", account_name(s->account)), log_n("session", s->id),
              log_s("address", stream_peer(s->client)), log_s("tls", stream_tls_info(s->client)));
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
