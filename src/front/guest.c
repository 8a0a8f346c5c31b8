/* A session before sign-in: greeting, STARTTLS, and the commands that need no account (RFC 3501 6.1
 * and 6.2). */
#include "config.h"
#include "front/caps.h"
#include "front/session.h"
#include "wherry/imap/caps.h"
#include <string.h>

bool session_plain_ok(const struct session *s)
{
    return door_plain_ok(s->env, s->client, s->secure);
}

/* Nothing that is over it would be taken in the end, wherever the mailbox is. */
uint64_t session_append_limit(struct session *s)
{
    uint64_t n = session_settings(s)->message_bytes;
    uint64_t host = imap_caps_append_limit(imapc_caps_text(s->new_));
    if (host < n)
        n = host;
    return s->env->old_append_limit != 0 && s->env->old_append_limit < n ? s->env->old_append_limit : n;
}

void session_put_capability(struct session *s, struct buf *out)
{
    buf_puts(out, "CAPABILITY ");
    if (s->account != NULL && s->new_ != NULL)
        front_caps_put(out, s->offered, session_append_limit(s));
    else
        front_caps_put_guest(out, !s->secure && s->env->tls_server != NULL, session_plain_ok(s));
}

bool state_handshake(struct session *s)
{
    if (stream_state(s->client) == STREAM_HANDSHAKE)
        return false;
    if (session_eof(s)) {
        session_end(s, "client_closed");
        return true;
    }
    if (!s->greeted) {
        struct buf *out = session_out(s);
        buf_puts(out, "* OK [");
        session_put_capability(s, out);
        buf_printf(out, "] %s ready\r\n", s->env->settings->hostname);
        s->greeted = true;
    }
    session_enter(s, S_GUEST);
    return true;
}

/* Bytes that came before the handshake were not sent by whom they seem to be from: RFC 9051 11.1.
 */
static void guest_starttls(struct session *s)
{
    if (s->cmd.args.n > 0) {
        session_bad(s, "STARTTLS takes no arguments");
    } else if (s->secure) {
        session_bad(s, "TLS is on already");
    } else if (s->env->tls_server == NULL) {
        session_no(s, "[UNAVAILABLE] This server has no certificate");
    } else if (session_input(s).n > 0) {
        session_tagged(s, s->cmd.tag, "BAD", "Commands came in the clear after STARTTLS");
        session_bye(s, "starttls_injection", "Commands came in the clear after STARTTLS");
    } else {
        session_ok(s, "Begin TLS now");
        session_flush(s);
        if (stream_start_tls_server(s->client, s->env->tls_server) != 0) {
            session_end(s, "starttls_failed");
            return;
        }
        s->secure = true;
        session_enter(s, S_HANDSHAKE);
    }
}

static bool password_allowed(struct session *s)
{
    if (s->cmd.tag.n >= sizeof(s->try.tag)) {
        session_bad(s, "Tag is too long");
        return false;
    }
    if (!session_plain_ok(s)) {
        session_no(s, "[PRIVACYREQUIRED] Passwords are taken under TLS only");
        return false;
    }
    memcpy(s->try.tag, s->cmd.tag.p, s->cmd.tag.n);
    s->try.tag[s->cmd.tag.n] = '\0';
    return true;
}

static void guest_login(struct session *s)
{
    if (!password_allowed(s))
        return;
    struct buf password = {0};
    struct imap_args a;
    buf_free(&s->door.login);
    imap_args_init(&a, s->cmd.args);
    bool ok = imap_args_astring(&a, &s->door.login) && imap_args_astring(&a, &password) &&
              imap_args_done(&a);
    if (ok)
        secret_set(&s->door.password, buf_slice(&password));
    buf_wipe(&password);
    if (ok)
        sign_in_begin(s);
    else
        session_bad(s, "LOGIN takes a name and a password");
}

static void sasl_plain(struct session *s, struct slice text)
{
    int rc = auth_plain_decode(text, &s->door.login, &s->door.password);
    if (rc == E_REFUSED)
        session_no(s, "[AUTHORIZATIONFAILED] Nobody may act for somebody else here");
    else if (rc != 0)
        session_bad(s, "Malformed PLAIN response");
    else
        sign_in_begin(s);
}

/* AUTHENTICATE LOGIN: name, then password, each in base64. */
static void sasl_login(struct session *s, struct slice text)
{
    struct buf plain = {0};
    bool name = s->door.login.len == 0;
    if (auth_unbase64(text, &plain) != 0 || plain.len == 0) {
        buf_wipe(&plain);
        session_bad(s, "Malformed base64");
        return;
    }
    if (name) {
        buf_put_slice(&s->door.login, buf_slice(&plain));
        session_continue(s, "UGFzc3dvcmQ6");
        session_enter(s, S_SASL);
    } else {
        secret_set(&s->door.password, buf_slice(&plain));
        sign_in_begin(s);
    }
    buf_wipe(&plain);
}

static void sasl_text(struct session *s, struct slice text)
{
    if (s->try.login_mechanism)
        sasl_login(s, text);
    else
        sasl_plain(s, text);
}

static void guest_authenticate(struct session *s)
{
    struct imap_args a;
    struct slice mechanism, initial = {0};
    if (!password_allowed(s))
        return;
    imap_args_init(&a, s->cmd.args);
    if (!imap_args_atom(&a, &mechanism) || (!imap_args_done(&a) && !imap_args_atom(&a, &initial)) ||
        !imap_args_done(&a)) {
        session_bad(s, "AUTHENTICATE takes a mechanism");
        return;
    }
    s->try.login_mechanism = slice_is_nocase(mechanism, "LOGIN");
    if (!s->try.login_mechanism && !slice_is_nocase(mechanism, "PLAIN")) {
        session_no(s, "[CANNOT] PLAIN and LOGIN are known");
        return;
    }
    buf_free(&s->door.login);
    secret_free(&s->door.password);
    if (initial.n > 0) {
        sasl_text(s, slice_is(initial, "=") ? slice_str("") : initial);
        return;
    }
    session_continue(s, s->try.login_mechanism ? "VXNlcm5hbWU6" : "");
    session_enter(s, S_SASL);
}

bool state_sasl(struct session *s)
{
    struct slice line;
    size_t used = 0;
    enum codec c = imap_line_next(session_input(s), 4096, &line, &used);
    s->cmd.tag = slice_str(s->try.tag);
    if (c == CODEC_MORE) {
        if (session_eof(s))
            session_end(s, "client_closed");
        return session_eof(s);
    }
    if (c == CODEC_BAD) {
        session_bye(s, "sasl_line", "That was no line of a sign-in");
        return true;
    }
    if (slice_is(line, "*"))
        session_bad(s, "Sign-in was canceled");
    else
        sasl_text(s, line);
    session_consume(s, used);
    return true;
}

bool guest_command(struct session *s)
{
    struct slice name = s->cmd.name;
    if (slice_is(name, "CAPABILITY"))
        return own_capability(s);
    if (slice_is(name, "ID"))
        return own_id(s);
    if (slice_is(name, "LOGOUT"))
        return own_logout(s);
    if (slice_is(name, "NOOP"))
        session_ok(s, "Nothing done");
    else if (slice_is(name, "STARTTLS"))
        guest_starttls(s);
    else if (slice_is(name, "LOGIN"))
        guest_login(s);
    else if (slice_is(name, "AUTHENTICATE"))
        guest_authenticate(s);
    else
        session_bad(s, "Sign in first");
    return true;
}

bool state_guest(struct session *s)
{
    if (!command_next(s))
        return false;
    if (s->cmd.kind == CMD_READY)
        return guest_command(s);
    if (s->cmd.kind == CMD_MESSAGE) {
        session_bad(s, "Sign in first"); /* which refuses the message, too */
    }
    return true;
}
