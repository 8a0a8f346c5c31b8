/*
 * Requests as they come in: the head, who it is from, and the XML of the body.
 *
 * Every request carries the password (RFC 7617). It is checked as at the other doors, where what the old host said lately is believed
 * for a while; the account stays attached as long as the connection goes on with the same name and password.
 */
#include "config.h"
#include "front/dav.h"
#include <string.h>

enum http_piece davs_read(struct dav_session *d, struct slice *piece, size_t *used)
{
    struct slice in = davs_input(d);
    size_t before = in.n;
    enum http_piece p = http_read(d->reader, &in, piece);
    *used = before - in.n;
    return p;
}

void davs_continue(struct dav_session *d)
{
    if (!d->q->expect || d->continued || d->head_sent)
        return;
    d->continued = true;
    stream_put(d->client, SLICE_LIT("HTTP/1.1 100 Continue\r\n\r\n"));
}

/* ---- refusals ---- */

static void refuse_head(struct dav_session *d, unsigned status, const char *why)
{
    log_event(worker_log(d->env->worker), LOG_INFO, "bad_request", log_n("session", d->id),
              log_s("address", stream_peer(d->client)), log_n("status", status), log_s("reason", why));
    d->close = d->lingers = true;
    davs_say(d, status, why);
}

bool davs_state_realm(struct dav_session *d)
{
    const char *realm;
    struct buf more = {0};
    if (!davs_realm(d->front, &realm))
        return false;
    buf_printf(&more, "WWW-Authenticate: Basic realm=\"%s\", charset=\"UTF-8\"\r\n", realm);
    if (++d->errors >= davs_settings(d)->max_errors)
        d->close = true;
    davs_answer(d, 401, buf_cstr(&more), SLICE_LIT("Sign in with your name and password\n"));
    buf_free(&more);
    return true;
}

/* ---- signing in ---- */

/* Basic (RFC 7617): base64 of name, colon, password. */
static int read_basic(struct dav_session *d, struct slice field)
{
    struct buf plain = {0};
    int rc = E_INVAL;
    buf_free(&d->door.login);
    secret_free(&d->door.password);
    if (field.n > 6 && slice_is_nocase(slice_make(field.p, 6), "Basic ")) {
        struct slice text = slice_make(field.p + 6, field.n - 6);
        while (text.n > 0 && text.p[0] == ' ') {
            text.p++;
            text.n--;
        }
        rc = auth_unbase64(text, &plain);
    }
    struct slice v = buf_slice(&plain);
    const uint8_t *colon = rc == 0 && v.n > 0 ? memchr(v.p, ':', v.n) : NULL;
    if (colon != NULL) {
        size_t n = (size_t)(colon - v.p);
        buf_put(&d->door.login, v.p, n);
        secret_set(&d->door.password, slice_make(colon + 1, v.n - n - 1));
    }
    buf_wipe(&plain);
    return colon != NULL ? 0 : E_INVAL;
}

static void forget_account(struct dav_session *d)
{
    if (d->account != NULL)
        account_detach(&d->account, &d->user);
    dav_creds_free(&d->creds[HOME_OLD]);
    dav_creds_free(&d->creds[HOME_NEW]);
    buf_free(&d->account_key);
}

/* The old host is always entered with what the person typed: an administrator could reach what is other people's. */
static int take_creds(struct dav_session *d, struct err *e)
{
    const struct settings *set = davs_settings(d);
    struct slice login = buf_slice(&d->door.login);
    dav_creds_free(&d->creds[HOME_OLD]);
    dav_creds_free(&d->creds[HOME_NEW]);
    if (dav_own_creds(set, &set->old_dav, login, &d->door.password, &d->creds[HOME_OLD]) != 0 ||
        dav_host_creds(set, &set->new_dav, login, &d->door.password, &d->creds[HOME_NEW]) != 0)
        return err_set(e, E_INVAL, SCOPE_ACCOUNT, "the hosts have no such name");
    return 0;
}

static int attach(struct dav_session *d, struct err *e)
{
    struct slice key = buf_slice(&d->door.key);
    if (d->account != NULL && slice_eq(key, buf_slice(&d->account_key)))
        return take_creds(d, e);
    forget_account(d);
    d->user = (struct account_user){
        .task = &d->task, .address = stream_peer(d->client), .port = stream_peer_port(d->client)};
    int rc = take_creds(d, e);
    if (rc == 0)
        rc = account_attach(d->env->accounts, &d->user, &d->task, key, buf_slice(&d->door.login),
                            &d->door.password, &d->account, e);
    if (rc != 0) {
        d->account = NULL;
        forget_account(d);
        return rc;
    }
    buf_put_slice(&d->account_key, key);
    door_passed(&d->door, account_name(d->account));
    return 0;
}

static void signed_in(struct dav_session *d)
{
    struct err e = {0};
    if (attach(d, &e) != 0) {
        door_log_failed(&d->door, "store", &e);
        davs_unavailable(d, "Your account cannot be read just now");
        return;
    }
    if (!d->signed_in)
        timer_start(&d->clock, (uint64_t)davs_settings(d)->dav_idle_seconds * 1000);
    d->signed_in = true;
    d->errors = 0;
    d->door.attempts = 0;
    d->deadline_ms = davs_now(d) + (uint64_t)davs_settings(d)->dav_wait_seconds * 1000;
    davs_enter(d, DAVS_READY);
}

bool davs_state_check(struct dav_session *d)
{
    if (davs_eof(d) && stream_state(d->client) == STREAM_FAILED && !door_delays(&d->door)) {
        davs_end(d, "client_closed");
        return true;
    }
    switch (door_step(&d->door)) {
    case DOOR_WAIT:
        return false;
    case DOOR_RIGHT:
        signed_in(d);
        break;
    case DOOR_WRONG:
        forget_account(d);
        d->close = door_give_up(&d->door) || d->close;
        davs_enter(d, DAVS_REALM);
        break;
    case DOOR_UNAVAILABLE:
        forget_account(d);
        d->close = door_give_up(&d->door) || d->close;
        davs_unavailable(d, "Your password cannot be checked just now");
        break;
    }
    return true;
}

/* ---- the head ---- */

static void begin(struct dav_session *d)
{
    struct slice host = http_field(d->q, "Host");
    d->requests++;
    worker_counters(d->env->worker)->dav_requests++;
    if (http_target_parse(d->q->target, host, d->q->method == METHOD_OPTIONS, &d->target) != 0) {
        refuse_head(d, 400, "The target is no path of this server");
    } else if (d->q->method == METHOD_OTHER) {
        davs_say(d, 501, "This method is not known here");
    } else if (!door_plain_ok(d->env, d->client, d->secure)) {
        d->close = true;
        davs_say(d, 403, "Passwords are taken under TLS only");
    } else if (read_basic(d, http_field(d->q, "Authorization")) != 0) {
        davs_enter(d, DAVS_REALM);
    } else {
        door_knock(&d->door);
        davs_enter(d, DAVS_CHECK);
    }
}

bool davs_state_head(struct dav_session *d)
{
    struct slice piece, nothing = {0};
    size_t used;
    if (davs_eof(d) && davs_input(d).n == 0) {
        davs_end(d, "client_closed");
        return true;
    }
    if (d->front->draining && http_reader_idle(d->reader))
        return false;
    if (stream_full(d->client))
        return false;
    d->close = d->head_sent = d->continued = d->body_over = d->stale = false;
    d->body_bytes = 0;
    enum http_piece p = davs_read(d, &piece, &used);
    davs_consume(d, used);
    if (p == HTTP_BAD) {
        refuse_head(d, http_bad_status(d->reader), http_bad_reason(d->reader));
        return true;
    }
    if (p != HTTP_START)
        return false;
    d->q = http_reader_request(d->reader);
    d->close = !d->q->keep_alive;
    if (!d->q->has_body)
        d->body_over = http_read(d->reader, &nothing, &piece) == HTTP_END;
    begin(d);
    return true;
}

/* ---- the XML of the body ---- */

bool davs_state_body(struct dav_session *d)
{
    struct slice piece;
    size_t used;
    davs_continue(d);
    enum http_piece p = davs_read(d, &piece, &used);
    d->body_bytes += piece.n;
    bool fits = d->body_bytes <= davs_settings(d)->dav_body_bytes;
    if (fits)
        buf_put_slice(&d->body, piece);
    davs_consume(d, used);
    if (!fits) {
        davs_say(d, 413, "The XML of the request is too long");
    } else if (p == HTTP_BAD) {
        refuse_head(d, http_bad_status(d->reader), http_bad_reason(d->reader));
    } else if (p == HTTP_END) {
        d->body_over = true;
        davs_route(d);
    } else if (p == HTTP_MORE && davs_eof(d)) {
        davs_end(d, "client_closed");
    } else {
        return p == HTTP_BODY;
    }
    return true;
}
