/*
 * A connection to a submission host. See client/smtp.h; the same shape as client/imap.c.
 *
 * After each change of what the host may think of us (TLS, XCLIENT, AUTH) EHLO is said again, so
 * that what it announces last is what holds.
 */
#include "config.h"
#include "wherry/client/smtp.h"
#include "wherry/smtp/cmd.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEFAULT_SECONDS = 30,
    HELO_MAX = 128,
    SIGN_IN_TIMEOUTS = 4 /* how long a host may go on without coming to the point */
};

enum smtpc_state {
    SC_CONNECT,
    SC_GREETING,
    SC_EHLO,
    SC_STARTTLS,
    SC_TLS,
    SC_XCLIENT,
    SC_AUTH,
    SC_READY,
    SC_FAILED
};
/* What answers the next 334. */
enum auth_step { STEP_NONE, STEP_PLAIN, STEP_LOGIN_NAME, STEP_LOGIN_PASSWORD };

struct smtpc {
    struct stream *stream;
    struct timer timer;
    enum smtpc_state state;
    enum auth_step step;
    struct err err;
    char *host, *hostname;
    uint16_t port;
    enum tls_mode tls_mode;
    struct tls_ctx *tls;
    bool wants_auth, authed, xclient_done, login_told;
    struct auth_creds creds;
    char *client_address;
    uint16_t client_port;
    struct buf client_helo, client_login;
    uint64_t timeout_ms, moved_seen;
    size_t left_over; /* of the input: the reader wants more than that */
    struct smtp_reply reply;
    struct smtp_ehlo ehlo;
    unsigned due, beats;
    bool tell_ready;
};

static int fail(struct smtpc *c, int code, const char *fmt, ...) PRINTF(3, 4);

/* Fails once; the first reason stays. */
static int fail(struct smtpc *c, int code, const char *fmt, ...)
{
    char text[160];
    va_list ap;
    if (c->state == SC_FAILED)
        return c->err.code;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    c->state = SC_FAILED;
    timer_stop(&c->timer);
    return err_set(&c->err, code, SCOPE_HOST, "%s:%u: %s", c->host, c->port, text);
}

/* With the host's own words. */
static void fail_reply(struct smtpc *c, int code, const char *what)
{
    struct slice text = smtp_reply_line(&c->reply, 0);
    fail(c, code, "%s: %u %.*s", what, c->reply.code, (int)(text.n < 90 ? text.n : 90),
         (const char *)text.p);
}

struct smtpc *smtpc_open(struct worker *w, struct task *owner, const struct smtpc_open *o)
{
    struct smtpc *c = mem_alloc(sizeof(*c));
    c->host = mem_strdup(o->host->host);
    c->port = o->host->port;
    c->hostname = mem_strdup(o->hostname);
    c->tls_mode = o->host->tls;
    c->tls = o->tls;
    c->timeout_ms =
        (o->timeout_seconds != 0 ? o->timeout_seconds : DEFAULT_SECONDS) * (uint64_t)1000;
    if (o->creds != NULL) {
        c->wants_auth = true;
        buf_put_slice(&c->creds.authzid, buf_slice(&o->creds->authzid));
        buf_put_slice(&c->creds.authcid, buf_slice(&o->creds->authcid));
        secret_copy(&c->creds.password, &o->creds->password);
    }
    c->client_address = mem_strdup(o->client_address);
    c->client_port = o->client_port;
    buf_put(&c->client_helo, o->client_helo.p,
            o->client_helo.n < HELO_MAX ? o->client_helo.n : HELO_MAX);
    buf_put_slice(&c->client_login, o->client_login);
    timer_init(&c->timer, owner);
    struct dial d = {.host = c->host,
                     .port = c->port,
                     .tls = c->tls_mode == TLS_MODE_IMPLICIT ? o->tls : NULL,
                     .timeout_ms = c->timeout_ms};
    c->stream = stream_dial(w, owner, &d);
    timer_start(&c->timer, c->timeout_ms);
    return c;
}

static void smtpc_free(struct smtpc *c)
{
    timer_stop(&c->timer);
    smtp_reply_free(&c->reply);
    auth_creds_free(&c->creds);
    buf_free(&c->client_helo);
    buf_free(&c->client_login);
    free(c->client_address);
    free(c->hostname);
    free(c->host);
    free(c);
}

void smtpc_close(struct smtpc **c)
{
    if (*c == NULL)
        return;
    if ((*c)->state == SC_READY)
        smtpc_puts(*c, "QUIT\r\n");
    stream_close(&(*c)->stream);
    smtpc_free(*c);
    *c = NULL;
}

void smtpc_abort(struct smtpc **c)
{
    if (*c == NULL)
        return;
    stream_abort(&(*c)->stream);
    smtpc_free(*c);
    *c = NULL;
}

const struct smtp_ehlo *smtpc_ehlo(const struct smtpc *c)
{
    return &c->ehlo;
}

bool smtpc_is_tls(const struct smtpc *c)
{
    return stream_is_tls(c->stream);
}

void smtpc_put(struct smtpc *c, struct slice s)
{
    stream_put(c->stream, s);
}

void smtpc_puts(struct smtpc *c, const char *s)
{
    stream_put(c->stream, slice_str(s));
}

void smtpc_expect(struct smtpc *c)
{
    if (c->due++ == 0 && c->timeout_ms > 0)
        timer_start(&c->timer, c->timeout_ms);
}

unsigned smtpc_due(const struct smtpc *c)
{
    return c->due;
}

bool smtpc_full(const struct smtpc *c)
{
    return stream_full(c->stream);
}

void smtpc_set_timeout(struct smtpc *c, unsigned seconds)
{
    c->timeout_ms = seconds * (uint64_t)1000;
    timer_stop(&c->timer);
    if (seconds > 0)
        timer_start(&c->timer, c->timeout_ms);
}

/* ---- enter a state: what to send ---- */

static void send_line(struct smtpc *c, enum smtpc_state state, struct buf *line)
{
    buf_puts(line, "\r\n");
    c->state = state;
    smtpc_expect(c);
    smtpc_put(c, buf_slice(line));
    buf_wipe(line);
}

static void enter_ehlo(struct smtpc *c)
{
    struct buf line = {0};
    buf_printf(&line, "EHLO %s", c->hostname);
    send_line(c, SC_EHLO, &line);
}

static void put_attr(struct buf *line, const char *name, struct slice value)
{
    buf_printf(line, " %s=", name);
    smtp_xtext_put(line, value);
}

/* Only what the host offers to take: it may know fewer attributes than Postfix. */
static void enter_xclient(struct smtpc *c)
{
    struct buf line = {0}, address = {0};
    unsigned take = c->ehlo.xattrs;
    const char *a = c->client_address;
    c->xclient_done = true;
    buf_puts(&line, "XCLIENT");
    if (strncmp(a, "::ffff:", 7) == 0 && strchr(a, '.') != NULL)
        a += 7;
    buf_printf(&address, "%s%s", strchr(a, ':') != NULL ? "IPV6:" : "", a);
    if (take & SMTP_XADDR)
        put_attr(&line, "ADDR", buf_slice(&address));
    if (take & SMTP_XPORT)
        buf_printf(&line, " PORT=%u", (unsigned)c->client_port);
    if (take & SMTP_XPROTO)
        buf_puts(&line, " PROTO=ESMTP");
    if ((take & SMTP_XHELO) && c->client_helo.len > 0)
        put_attr(&line, "HELO", buf_slice(&c->client_helo));
    if ((take & SMTP_XLOGIN) && c->client_login.len > 0) {
        put_attr(&line, "LOGIN", buf_slice(&c->client_login));
        c->login_told = true;
    }
    send_line(c, SC_XCLIENT, &line);
    buf_free(&address);
}

static void enter_auth_plain(struct smtpc *c)
{
    struct buf line = {0}, text = {0};
    auth_plain_encode(&c->creds, &text);
    buf_puts(&line, "AUTH PLAIN");
    if (text.len <= 480) { /* with initial response, unless the line would be too long for some */
        (void)buf_reserve(&line, text.len + 8);
        buf_putc(&line, ' ');
        buf_put_slice(&line, buf_slice(&text));
        c->step = STEP_NONE;
    } else {
        c->step = STEP_PLAIN;
    }
    buf_wipe(&text);
    send_line(c, SC_AUTH, &line);
}

static void enter_auth(struct smtpc *c)
{
    struct buf line = {0};
    if ((c->ehlo.mechs & SMTP_MECH_PLAIN) != 0) {
        enter_auth_plain(c);
    } else if (c->creds.authzid.len > 0) {
        fail(c, E_NOTSUP,
             "no AUTH PLAIN, so nobody can be signed in with an authorization identity");
    } else if ((c->ehlo.mechs & SMTP_MECH_LOGIN) != 0) {
        buf_puts(&line, "AUTH LOGIN");
        c->step = STEP_LOGIN_NAME;
        send_line(c, SC_AUTH, &line);
    } else {
        fail(c, E_NOTSUP, "offers neither AUTH PLAIN nor AUTH LOGIN");
    }
}

static void enter_ready(struct smtpc *c)
{
    c->state = SC_READY;
    c->tell_ready = true;
    auth_creds_free(&c->creds);
    c->creds = (struct auth_creds){0};
}

static void enter_next(struct smtpc *c)
{
    struct buf line = {0};
    if (c->tls_mode == TLS_MODE_STARTTLS && !stream_is_tls(c->stream)) {
        buf_puts(&line, "STARTTLS");
        if ((c->ehlo.ext & SMTP_BIT(STARTTLS)) != 0)
            send_line(c, SC_STARTTLS, &line);
        else
            fail(c, E_TLS, "does not offer STARTTLS");
        buf_free(&line);
    } else if (c->client_address != NULL && !c->xclient_done &&
               (c->ehlo.ext & SMTP_BIT(XCLIENT)) != 0) {
        enter_xclient(c);
    } else if (!c->wants_auth || c->authed || (c->login_told && c->ehlo.mechs == 0)) {
        enter_ready(c);
    } else {
        enter_auth(c);
    }
}

/* ---- what came ---- */

static void on_starttls(struct smtpc *c)
{
    if (c->reply.code != 220) {
        fail_reply(c, E_TLS, "STARTTLS was refused");
        return;
    }
    c->state = SC_TLS;
    if (stream_start_tls_client(c->stream, c->tls, c->host) != 0)
        fail(c, E_PROTO, "sent bytes in the clear after STARTTLS");
}

static void on_challenge(struct smtpc *c)
{
    struct buf line = {0};
    switch (c->step) {
    case STEP_PLAIN:
        auth_plain_encode(&c->creds, &line);
        c->step = STEP_NONE;
        break;
    case STEP_LOGIN_NAME:
        auth_base64(buf_slice(&c->creds.authcid), &line);
        c->step = STEP_LOGIN_PASSWORD;
        break;
    case STEP_LOGIN_PASSWORD:
        auth_base64(secret_slice(&c->creds.password), &line);
        c->step = STEP_NONE;
        break;
    case STEP_NONE:
        fail(c, E_PROTO, "asked for more during the sign-in");
        return;
    }
    send_line(c, SC_AUTH, &line);
}

static bool holds(struct slice text, struct slice part)
{
    for (size_t i = 0; part.n > 0 && i + part.n <= text.n; i++)
        if (memcmp(text.p + i, part.p, part.n) == 0)
            return true;
    return false;
}

/* Hosts repeat what they do not understand; that may be the password, which must get into no log.
 */
static bool quotes_secret(const struct smtpc *c, struct slice text)
{
    struct buf plain = {0}, password = {0};
    auth_plain_encode(&c->creds, &plain);
    auth_base64(secret_slice(&c->creds.password), &password);
    size_t n = plain.len < 16 ? plain.len : 16; /* what is repeated may be cut anywhere */
    size_t m = c->creds.password.n < 9 ? c->creds.password.n / 3 * 4 : 12;
    bool found = holds(text, secret_slice(&c->creds.password)) ||
                 holds(text, slice_make(buf_slice(&plain).p, n)) ||
                 holds(text, slice_make(buf_slice(&password).p, m));
    buf_wipe(&plain);
    buf_wipe(&password);
    return found;
}

/* RFC 4954 6: only 535 says something about the password. */
static void on_auth(struct smtpc *c)
{
    unsigned code = c->reply.code;
    if (code == 334) {
        on_challenge(c);
    } else if (code == 235 ||
               (code == 503 && c->login_told)) { /* 503: XCLIENT LOGIN was the sign-in */
        c->authed = true;
        enter_ehlo(c);
    } else {
        int why = code == 535 ? E_AUTH : code < 500 ? E_UNAVAIL : E_REFUSED;
        if (quotes_secret(c, smtp_reply_line(&c->reply, 0)))
            fail(c, why, "sign-in refused: %u", code);
        else
            fail_reply(c, why, "sign-in refused");
    }
}

/* One reply while the connection is not ready yet. */
static void sign_in_reply(struct smtpc *c)
{
    switch (c->state) {
    case SC_GREETING:
        if (c->reply.code == 220)
            enter_ehlo(c);
        else
            fail_reply(c, E_UNAVAIL, "refused the connection");
        break;
    case SC_EHLO:
        if (c->reply.code != 250) {
            fail_reply(c, c->reply.code < 500 ? E_UNAVAIL : E_PROTO, "refused EHLO");
        } else {
            smtp_ehlo_parse(&c->reply, &c->ehlo);
            enter_next(c);
        }
        break;
    case SC_STARTTLS:
        on_starttls(c);
        break;
    case SC_XCLIENT:
        if (c->reply.code / 100 == 2) {
            enter_ehlo(c);
        } else {
            c->login_told = false;
            enter_next(c);
        }
        break;
    case SC_AUTH:
        on_auth(c);
        break;
    default:
        fail(c, E_PROTO, "said something out of turn");
        break;
    }
}

static bool silent_too_long(struct smtpc *c)
{
    uint64_t moved = stream_bytes_in(c->stream) + stream_bytes_out(c->stream);
    bool quiet = moved == c->moved_seen && stream_in(c->stream)->len == c->left_over;
    bool due = c->state != SC_READY || c->due > 0;
    c->moved_seen = moved;
    if (c->timeout_ms > 0)
        timer_start(&c->timer, c->timeout_ms);
    else
        timer_stop(&c->timer);
    if (c->state != SC_READY && ++c->beats > SIGN_IN_TIMEOUTS)
        return true;
    return quiet && due && c->timeout_ms > 0;
}

/* Connected, handshake done, closed. False when there is nothing to read yet. */
static bool follow_stream(struct smtpc *c)
{
    enum stream_state s = stream_state(c->stream);
    if (s == STREAM_CONNECTING || s == STREAM_HANDSHAKE)
        return false;
    if (s == STREAM_FAILED && stream_in(c->stream)->len == 0) {
        const struct err *e = stream_err(c->stream);
        fail(c,
             e->code == E_TLS       ? E_TLS
             : e->code == E_TIMEOUT ? E_TIMEOUT
                                    : E_CLOSED,
             "%s", e->text);
        return false;
    }
    if (c->state == SC_CONNECT) {
        c->state = SC_GREETING;
        c->due = 1;
    }
    if (c->state == SC_TLS)
        enter_ehlo(c);
    return true;
}

/* A whole reply out of the input. False: more input is needed (or it failed). */
static bool read_reply(struct smtpc *c)
{
    size_t used;
    struct buf *in = stream_in(c->stream);
    enum codec r = smtp_reply_next(&c->reply, buf_slice(in), &used);
    buf_consume(in, used);
    stream_resume(c->stream);
    c->left_over = r == CODEC_MORE ? in->len : 0;
    if (r == CODEC_BAD) {
        fail(c, E_PROTO, "sent what is not SMTP");
        return false;
    }
    if (r == CODEC_MORE) {
        if (stream_state(c->stream) >= STREAM_EOF)
            fail(c, E_CLOSED, "closed the connection");
        return false;
    }
    if (c->due == 0) {
        if (c->reply.code == 421)
            fail_reply(c, E_CLOSED, "said goodbye");
        else
            fail(c, E_PROTO, "answered what was never asked");
        return false;
    }
    c->due--;
    /* Until it is ready nothing is pipelined: what comes too early would be taken for the reply to
     * what is said next, and every reply from there on for that of another command. */
    if (c->state != SC_READY && in->len > 0) {
        fail(c, E_PROTO, "answered what was never asked");
        return false;
    }
    return true;
}

void smtpc_next(struct smtpc *c, struct smtpc_event *ev)
{
    *ev = (struct smtpc_event){0};
    if (c->timer.fired && silent_too_long(c))
        fail(c, E_TIMEOUT, "no answer for %u seconds", (unsigned)(c->timeout_ms / 1000));
    while (c->state != SC_FAILED && !c->tell_ready && follow_stream(c) && read_reply(c)) {
        if (c->state == SC_READY) {
            ev->kind = SMTPC_REPLY;
            ev->reply = &c->reply;
            return;
        }
        sign_in_reply(c);
    }
    if (c->state == SC_FAILED) {
        ev->kind = SMTPC_FAILED;
        ev->err = &c->err;
    } else if (c->tell_ready) {
        c->tell_ready = false;
        ev->kind = SMTPC_READY;
    }
}
