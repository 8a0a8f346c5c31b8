/*
 * A connection to an IMAP host: from dialling to READY, then events.
 *
 * What: the sign-in is one state machine here, so that sessions and movers begin with a host that is ready.
 * Why a pull interface: the owner decides when to read on, and that is all the backpressure there is.
 * Rejected: callbacks per response (they run beneath the caller), a queue of parsed replies (it has no bound).
 */
#include "client/imap_priv.h"
#include <stdio.h>
#include <string.h>

enum {
    GREETING_SECONDS = 30,
    TOKEN_SLACK = 4096,
    SIGN_IN_TIMEOUTS = 3,
    PROXY_TTL = 4 /* how many more proxies may follow: a host that passes on to us must not go round for ever */
};

static int fail(struct imapc *c, int code, const char *fmt, ...) PRINTF(3, 4);

/* Fails once; the first reason stays. */
static int fail(struct imapc *c, int code, const char *fmt, ...)
{
    char text[160];
    va_list ap;
    if (c->state == IC_FAILED)
        return c->err.code;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    c->state = IC_FAILED;
    timer_stop(&c->timer);
    return err_set(&c->err, code, SCOPE_HOST, "%s:%u: %s", c->host, c->port, text);
}

struct imapc *imapc_open(struct worker *w, struct task *owner, const struct imapc_open *o)
{
    struct imapc *c = mem_alloc(sizeof(*c));
    c->owner = owner;
    c->host = mem_strdup(o->host->host);
    c->port = o->host->port;
    c->tls_mode = o->host->tls;
    c->tls = o->tls;
    c->worker = w;
    c->timeout_ms = (o->timeout_seconds != 0 ? o->timeout_seconds : GREETING_SECONDS) * (uint64_t)1000;
    buf_put_slice(&c->creds.authzid, buf_slice(&o->creds->authzid));
    buf_put_slice(&c->creds.authcid, buf_slice(&o->creds->authcid));
    secret_copy(&c->creds.password, &o->creds->password);
    imap_resp_init(&c->reader);
    timer_init(&c->timer, owner);
    struct dial d = {.host = c->host,
                     .port = c->port,
                     .tls = c->tls_mode == TLS_MODE_IMPLICIT ? o->tls : NULL,
                     .timeout_ms = c->timeout_ms};
    c->stream = stream_dial(w, owner, &d);
    c->state = IC_CONNECT;
    timer_start(&c->timer, c->timeout_ms);
    return c;
}

static void imapc_free(struct imapc *c)
{
    timer_stop(&c->timer);
    imapc_out_free(c);
    imap_line_free(&c->line);
    buf_free(&c->caps_text);
    auth_creds_free(&c->creds);
    buf_free(&c->id);
    free(c->host);
    free(c);
}

void imapc_close(struct imapc **c)
{
    if (*c == NULL)
        return;
    if ((*c)->state == IC_READY && !(*c)->waiting)
        imapc_command(*c, "LOGOUT");
    stream_close(&(*c)->stream);
    imapc_free(*c);
    *c = NULL;
}

void imapc_abort(struct imapc **c)
{
    if (*c == NULL)
        return;
    stream_abort(&(*c)->stream);
    imapc_free(*c);
    *c = NULL;
}

void imapc_set_owner(struct imapc *c, struct task *owner)
{
    c->owner = owner;
    c->timer.task = owner;
    stream_set_owner(c->stream, owner);
}

bool imapc_ready(const struct imapc *c)
{
    return c->state == IC_READY;
}

uint64_t imapc_caps(const struct imapc *c)
{
    return c->caps;
}

struct slice imapc_caps_text(const struct imapc *c)
{
    return buf_slice(&c->caps_text);
}

const char *imapc_peer(const struct imapc *c)
{
    return stream_peer(c->stream);
}

void imapc_set_patient(struct imapc *c, bool patient)
{
    c->patient = patient;
}

static void learn_caps(struct imapc *c, struct slice names)
{
    c->caps = imap_caps_parse(names);
    buf_clear(&c->caps_text);
    buf_put_slice(&c->caps_text, names);
    c->caps_known = true;
}

/* A code "CAPABILITY IMAP4rev1 …" teaches; any other is left alone. */
static void learn_code(struct imapc *c, struct slice code)
{
    struct slice word = SLICE_LIT("CAPABILITY ");
    if (code.n > word.n && slice_eq_nocase(slice_make(code.p, word.n), word))
        learn_caps(c, slice_make(code.p + word.n, code.n - word.n));
}

/* ---- enter a state: what to send ---- */

static void enter_sign_in(struct imapc *c);

static void enter_caps(struct imapc *c, enum imapc_state state)
{
    c->state = state;
    c->caps_known = false;
    c->wanted = imapc_command(c, "CAPABILITY");
}

static void enter_greeted(struct imapc *c)
{
    if (c->tls_mode == TLS_MODE_STARTTLS && !stream_is_tls(c->stream)) {
        c->state = IC_STARTTLS;
        c->wanted = imapc_command(c, "STARTTLS");
    } else if (!c->caps_known) {
        enter_caps(c, IC_CAPS);
    } else {
        enter_sign_in(c);
    }
}

/* Dovecot's names for what a proxy says; it believes those in login_trusted_networks. Other hosts have no use for them. */
void imapc_set_client(struct imapc *c, const struct imapc_client *who)
{
    struct buf *b = &c->id;
    buf_clear(b);
    if (who->id.n > 0)
        buf_put_slice(b, who->id);
    else
        buf_puts(b, "\"name\" \"wherry\"");
    buf_printf(b, " \"x-originating-ip\" \"%s\" \"x-originating-port\" \"%u\"", who->address, (unsigned)who->port);
    if (who->connected_address != NULL)
        buf_printf(b, " \"x-connected-ip\" \"%s\" \"x-connected-port\" \"%u\"", who->connected_address,
                   (unsigned)who->connected_port);
    if (who->session != NULL)
        buf_printf(b, " \"x-session-id\" \"%s\"", who->session);
    buf_printf(b, " \"x-proxy-ttl\" \"%u\"", (unsigned)PROXY_TTL);
}

static void send_id(struct imapc *c)
{
    if (c->id.len > 0 && (c->caps & CAP_BIT(ID)) != 0) {
        imapc_begin(c);
        imapc_puts(c, "ID (");
        imapc_put(c, buf_slice(&c->id));
        imapc_puts(c, ")");
        imapc_end(c);
    }
    buf_free(&c->id);
}

static void send_plain_response(struct imapc *c)
{
    struct buf b = {0};
    auth_plain_encode(&c->creds, &b);
    imapc_raw(c, buf_slice(&b));
    imapc_raw(c, SLICE_LIT("\r\n"));
    buf_wipe(&b);
}

static void enter_sign_in(struct imapc *c)
{
    send_id(c);
    c->caps_known = false;
    if (c->caps & CAP_BIT(AUTH_PLAIN)) {
        c->state = IC_AUTH;
        if (c->caps & CAP_BIT(SASL_IR)) {
            struct buf b = {0};
            auth_plain_encode(&c->creds, &b);
            c->wanted = imapc_begin(c);
            imapc_puts(c, "AUTHENTICATE PLAIN ");
            imapc_put(c, buf_slice(&b));
            imapc_end(c);
            buf_wipe(&b);
        } else {
            c->wanted = imapc_command(c, "AUTHENTICATE PLAIN");
        }
    } else if (c->creds.authzid.len > 0) {
        fail(c, E_NOTSUP, "no AUTH=PLAIN, so nobody can be signed in with an authorization identity");
    } else if (c->caps & CAP_BIT(LOGINDISABLED)) {
        fail(c, E_UNAVAIL, "LOGIN is disabled on this connection: TLS is wanted");
    } else {
        c->state = IC_AUTH;
        c->wanted = imapc_begin(c);
        imapc_puts(c, "LOGIN ");
        imapc_put_string(c, buf_slice(&c->creds.authcid));
        imapc_puts(c, " ");
        imapc_put_string(c, secret_slice(&c->creds.password));
        imapc_end(c);
    }
}

static void enter_ready(struct imapc *c)
{
    c->state = IC_READY;
    c->tell_ready = true;
    auth_creds_free(&c->creds);
    timer_start(&c->timer, c->timeout_ms);
}

/* ---- what came ---- */

static void on_greeting(struct imapc *c, const struct resp *r)
{
    if (r->kind != RESP_STATUS || r->cond == COND_BAD || r->cond == COND_NO)
        fail(c, E_PROTO, "no IMAP greeting");
    else if (r->cond == COND_BYE) {
        c->pushed_back = true;
        fail(c, E_UNAVAIL, "refused the connection: %.*s", (int)(r->text.n < 80 ? r->text.n : 80),
             (const char *)r->text.p);
    }
    else if (r->cond == COND_PREAUTH)
        fail(c, E_PROTO, "signs everybody in without a password (PREAUTH)");
    else {
        c->greeted = true;
        learn_code(c, r->code);
        enter_greeted(c);
    }
}

static void on_starttls(struct imapc *c, const struct resp *r)
{
    if (r->cond != COND_OK) {
        fail(c, E_TLS, "STARTTLS was refused");
        return;
    }
    /* The bytes of the reply itself are consumed first: whatever else is buffered came in the clear. */
    buf_consume(stream_in(c->stream), c->used);
    c->used = 0;
    c->caps_known = false;
    c->state = IC_TLS;
    if (stream_start_tls_client(c->stream, c->tls, c->host) != 0)
        fail(c, E_PROTO, "sent bytes in the clear after STARTTLS");
}

/* RFC 5530: which refusals say something about the password. */
static int sign_in_code(const struct resp *r)
{
    static const char *const temporary[] = {"UNAVAILABLE", "INUSE",         "LIMIT", "SERVERBUG",
                                            "THROTTLED",   "CONTACTADMIN", "PRIVACYREQUIRED"};
    if (r->cond == COND_BAD)
        return E_PROTO;
    for (size_t i = 0; i < sizeof(temporary) / sizeof(temporary[0]); i++)
        if (slice_is_nocase(r->code, temporary[i]))
            return E_UNAVAIL;
    return E_AUTH;
}

/* It would let the person in if there were fewer. */
static bool is_push_back(struct slice code)
{
    return slice_is_nocase(code, "LIMIT") || slice_is_nocase(code, "INUSE") || slice_is_nocase(code, "THROTTLED");
}

bool imapc_pushed_back(const struct imapc *c)
{
    return c->pushed_back;
}

bool imapc_answered(const struct imapc *c)
{
    return c->pushed_back || (c->greeted && c->err.code != E_TIMEOUT);
}

static bool holds(struct slice text, struct slice part)
{
    for (size_t i = 0; part.n > 0 && i + part.n <= text.n; i++)
        if (memcmp(text.p + i, part.p, part.n) == 0)
            return true;
    return false;
}

/* Hosts repeat what they do not understand; that may be the password, which must get into no log. */
static bool quotes_secret(const struct imapc *c, struct slice text)
{
    struct buf plain = {0};
    auth_plain_encode(&c->creds, &plain);
    size_t n = plain.len < 16 ? plain.len : 16; /* text may be cut anywhere */
    bool found = holds(text, secret_slice(&c->creds.password)) ||
                 holds(text, slice_make(buf_slice(&plain).p, n));
    buf_wipe(&plain);
    return found;
}

/* A refusal in the host's words, as far as they may be told. */
static void fail_quoting(struct imapc *c, int code, const char *what, struct slice text)
{
    int n = quotes_secret(c, text) ? 0 : (int)(text.n < 100 ? text.n : 100);
    fail(c, code, "%s: %.*s", what, n, (const char *)text.p);
}

static void on_auth(struct imapc *c, const struct resp *r)
{
    if (r->cond != COND_OK) {
        c->pushed_back = is_push_back(r->code);
        fail_quoting(c, sign_in_code(r), "sign-in refused", r->text);
        return;
    }
    learn_code(c, r->code);
    if (c->caps_known)
        enter_ready(c);
    else
        enter_caps(c, IC_CAPS_AFTER);
}

static void on_tagged(struct imapc *c, const struct resp *r)
{
    switch (c->state) {
    case IC_STARTTLS:
        on_starttls(c, r);
        break;
    case IC_AUTH:
        on_auth(c, r);
        break;
    case IC_CAPS:
    case IC_CAPS_AFTER:
        if (r->cond != COND_OK || !c->caps_known)
            fail(c, E_PROTO, "did not tell its capabilities");
        else if (c->state == IC_CAPS)
            enter_sign_in(c);
        else
            enter_ready(c);
        break;
    default:
        break;
    }
}

/* One event while the connection is not ready yet. */
static void sign_in_event(struct imapc *c, const struct resp *r, uint32_t id)
{
    if (c->state == IC_GREETING) {
        on_greeting(c, r);
        return;
    }
    switch (r->kind) {
    case RESP_TAGGED:
        if (id == c->wanted)
            on_tagged(c, r);
        break;
    case RESP_CONT:
        if (c->state == IC_AUTH && (c->caps & CAP_BIT(AUTH_PLAIN)) && !(c->caps & CAP_BIT(SASL_IR)))
            send_plain_response(c);
        else
            fail(c, E_PROTO, "asked for more during the sign-in");
        break;
    case RESP_STATUS:
        if (r->cond == COND_BYE)
            fail_quoting(c, E_UNAVAIL, "said goodbye during the sign-in", r->text);
        break;
    case RESP_BEGIN:
    case RESP_TOK:
    case RESP_BYTES:
    case RESP_END: {
        int n = imap_line_feed(&c->line, r, 64 * 1024);
        if (n < 0)
            fail(c, E_LIMIT, "sent too much during the sign-in");
        else if (n == 1) {
            struct slice args = buf_slice(&c->line.buf);
            while (args.n > 0 && args.p[0] == ' ')
                args = slice_make(args.p + 1, args.n - 1);
            if (slice_is_nocase(buf_slice(&c->line.name), "CAPABILITY"))
                learn_caps(c, args);
            imap_line_free(&c->line);
        }
        break;
    }
    default:
        break;
    }
}

/* "w12" -> 12; 0 for a tag that is not ours. */
static uint32_t tag_id(struct slice tag)
{
    uint32_t id = 0;
    if (tag.n < 2 || tag.p[0] != 'w' || slice_u32(slice_make(tag.p + 1, tag.n - 1), &id) != 0)
        return 0;
    return id;
}

/* True when the timer ran out and the host owed us something all the while. */
static bool silent_too_long(struct imapc *c)
{
    uint64_t moved = stream_bytes_in(c->stream) + stream_bytes_out(c->stream);
    /* What is there and was not looked at waits for the owner; half a line waits for the host. */
    bool quiet = moved == c->moved_seen && stream_in(c->stream)->len == c->left_over;
    bool due = c->state != IC_READY || c->in_flight > 0;
    c->moved_seen = moved;
    timer_start(&c->timer, c->timeout_ms);
    if (c->state != IC_READY && ++c->beats > SIGN_IN_TIMEOUTS)
        return true; /* it talks without coming to the point */
    return quiet && due && !c->patient;
}

/* Follows the stream: connected, handshake done, closed. Returns false when there is nothing to read yet. */
static bool follow_stream(struct imapc *c)
{
    enum stream_state s = stream_state(c->stream);
    if (s == STREAM_CONNECTING || s == STREAM_HANDSHAKE)
        return false;
    if (s == STREAM_FAILED && stream_in(c->stream)->len == 0) {
        const struct err *e = stream_err(c->stream);
        fail(c, e->code == E_TLS ? E_TLS : e->code == E_TIMEOUT ? E_TIMEOUT : E_CLOSED, "%s", e->text);
        return false;
    }
    if (c->state == IC_CONNECT)
        c->state = IC_GREETING;
    if (c->state == IC_TLS)
        enter_caps(c, IC_CAPS);
    return true;
}

/* One event out of the input. False: more input is needed (or it failed). */
static bool read_event(struct imapc *c, struct imapc_event *ev)
{
    struct buf *in = stream_in(c->stream);
    enum codec r = imap_resp_next(&c->reader, buf_slice(in), &c->used, &ev->resp);
    if (r == CODEC_BAD) {
        fail(c, E_PROTO, "sent what is not IMAP");
        return false;
    }
    c->left_over = 0;
    if (r == CODEC_DONE)
        return true;
    buf_consume(in, c->used);
    c->used = 0;
    c->left_over = in->len;
    if (stream_state(c->stream) >= STREAM_EOF) {
        fail(c, E_CLOSED, "closed the connection");
        return false;
    }
    size_t want = in->len + TOKEN_SLACK > STREAM_IN_LIMIT ? in->len + STREAM_IN_LIMIT : STREAM_IN_LIMIT;
    if (want != c->in_limit) {
        c->in_limit = want;
        stream_set_in_limit(c->stream, want);
    }
    stream_resume(c->stream);
    return false;
}

/* Settles what a response means for the connection itself. True when the owner is not to see it. */
static bool own_event(struct imapc *c, struct imapc_event *ev)
{
    if (ev->resp.kind == RESP_CONT && c->waiting) {
        imapc_out_continue(c);
        return true;
    }
    if (ev->resp.kind == RESP_TAGGED) {
        ev->id = tag_id(ev->resp.tag);
        if (ev->id == 0 || c->in_flight == 0) {
            fail(c, E_PROTO, "answered a command that was never sent");
            return true;
        }
        c->in_flight--;
        imapc_out_answered(c, ev->id);
    }
    if (c->state != IC_READY) {
        sign_in_event(c, &ev->resp, ev->id);
        return true;
    }
    return false;
}

static void consume_used(struct imapc *c)
{
    if (c->used == 0)
        return;
    buf_consume(stream_in(c->stream), c->used);
    c->used = 0;
    stream_resume(c->stream);
}

static struct slice peek(struct imapc *c, bool there)
{
    if (c->state != IC_READY || c->tell_ready || !there)
        return slice_str("");
    consume_used(c);
    return buf_slice(stream_in(c->stream));
}

struct slice imapc_peek(struct imapc *c)
{
    return peek(c, imap_resp_idle(&c->reader));
}

struct slice imapc_peek_tokens(struct imapc *c)
{
    return peek(c, imap_resp_between(&c->reader));
}

void imapc_skip(struct imapc *c, size_t n)
{
    c->used = n;
    consume_used(c);
}

void imapc_next(struct imapc *c, struct imapc_event *ev)
{
    ev->kind = IMAPC_NONE; /* the rest is zeroed by the codec, or below: this runs for every token */
    ev->id = 0;
    ev->err = NULL;
    consume_used(c);
    if (c->timer.fired && silent_too_long(c))
        fail(c, E_TIMEOUT, "no answer for %u seconds", (unsigned)(c->timeout_ms / 1000));
    while (c->state != IC_FAILED && !c->tell_ready && follow_stream(c)) {
        if (!read_event(c, ev))
            break;
        if (!own_event(c, ev)) {
            ev->kind = IMAPC_RESP;
            return;
        }
        buf_consume(stream_in(c->stream), c->used);
        c->used = 0;
        ev->id = 0;
    }
    memset(ev, 0, sizeof(*ev));
    if (c->state == IC_FAILED) {
        ev->kind = IMAPC_FAILED;
        ev->err = &c->err;
    } else if (c->tell_ready) {
        c->tell_ready = false;
        ev->kind = IMAPC_READY;
    }
}
