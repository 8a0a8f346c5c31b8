/* Commands that the session answers by itself, and IDLE. */
#include "config.h"
#include "front/session.h"
#include "wherry/imap/caps.h"
#include <string.h>

enum { ID_VALUE = 128, ID_ALL = 600 }; /* bytes of a client's ID that go to a host */

bool own_capability(struct session *s)
{
    if (s->cmd.args.n > 0) {
        session_bad(s, "CAPABILITY takes no arguments");
        return true;
    }
    struct buf *out = session_out(s);
    buf_puts(out, "* ");
    session_put_capability(s, out);
    buf_puts(out, "\r\n");
    session_ok(s, "That is all");
    return true;
}

/* A field of the client's that may go to a host: what says which program it is. What a proxy says (x-…) would be
 * believed, and the rest of RFC 2971 is nobody's business. */
static bool id_field_goes(struct slice name)
{
    static const char *const names[] = {"name", "version", "os", "os-version", "vendor", "support-url"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (slice_is_nocase(name, names[i]))
            return true;
    return false;
}

static void put_id_field(struct buf *out, struct slice name, struct slice value)
{
    size_t mark = out->len;
    if (!id_field_goes(name) || value.n > ID_VALUE || mark > ID_ALL)
        return;
    buf_puts(out, mark > 0 ? " " : "");
    if (!imap_put_quoted(out, name) || (buf_putc(out, ' '), !imap_put_quoted(out, value)))
        buf_truncate(out, mark);
}

/* One field and its value, which may be NIL. False: that is none. */
static bool take_id_field(struct imap_args *a, struct buf *out)
{
    struct buf name = {0}, value = {0};
    struct tok t;
    bool ok = imap_args_peek(a, &t) && t.kind != TOK_ATOM && imap_args_astring(a, &name) && name.len <= 30 &&
              imap_args_peek(a, &t);
    bool nil = ok && t.kind == TOK_ATOM && slice_is_nocase(t.text, "NIL");
    ok = ok && (nil || t.kind != TOK_ATOM) && imap_args_astring(a, &value) && value.len <= 1024;
    if (ok && !nil)
        put_id_field(out, buf_slice(&name), buf_slice(&value));
    buf_free(&name);
    buf_free(&value);
    return ok;
}

/* "(" fields ")" or NIL (RFC 2971 section 3.3). */
static bool take_id(struct slice args, struct buf *out)
{
    struct imap_args a;
    struct tok t;
    imap_args_init(&a, args);
    if (!imap_args_tok(&a, &t))
        return false;
    if (t.kind == TOK_ATOM)
        return slice_is_nocase(t.text, "NIL") && imap_args_done(&a);
    if (t.kind != TOK_OPEN)
        return false;
    for (unsigned n = 0; imap_args_peek(&a, &t) && t.kind != TOK_CLOSE; n++)
        if (n == 30 || !take_id_field(&a, out))
            return false;
    return imap_args_tok(&a, &t) && imap_args_done(&a);
}

static void tell_id(struct imapc *c, struct slice id)
{
    if (c == NULL || !imapc_ready(c) || (imapc_caps(c) & CAP_BIT(ID)) == 0)
        return;
    imapc_begin(c);
    imapc_puts(c, "ID (");
    imapc_put(c, id);
    imapc_puts(c, ")");
    imapc_end(c); /* the reply is nobody's */
}

/* RFC 2971. The client is told of us, and nothing of the hosts; they are told which program it is: before sign-in
 * together with its address, later as it comes. */
bool own_id(struct session *s)
{
    struct buf id = {0};
    if (!take_id(s->cmd.args, &id)) {
        buf_free(&id);
        session_bad(s, "A list of fields or NIL is expected");
        return true;
    }
    if (id.len > 0 && !slice_eq(buf_slice(&id), buf_slice(&s->door.id))) {
        buf_free(&s->door.id);
        s->door.id = id;
        tell_id(s->new_, buf_slice(&id));
        tell_id(s->old, buf_slice(&id));
    } else {
        buf_free(&id);
    }
    session_printf(s, "* ID (\"name\" \"wherry\" \"version\" \"%s\")\r\n", PACKAGE_VERSION);
    session_ok(s, "Pleased to meet you");
    return true;
}

static void put_namespace(struct buf *out, struct slice prefix, char sep)
{
    size_t mark = out->len;
    buf_putc(out, '(');
    if (!imap_put_quoted(out, prefix)) {
        buf_truncate(out, mark);
        return;
    }
    if (sep == '\0')
        buf_puts(out, " NIL)");
    else
        buf_printf(out, " \"%s%c\")", sep == '\\' ? "\\" : "", sep);
}

/* Those that stay on the old host. */
static void put_namespaces(struct buf *out, const char *prefixes, char sep)
{
    struct slice rest = slice_str(prefixes);
    if (rest.n == 0) {
        buf_puts(out, " NIL");
        return;
    }
    buf_puts(out, " (");
    while (rest.n > 0) {
        const uint8_t *nl = memchr(rest.p, '\n', rest.n);
        size_t n = nl != NULL ? (size_t)(nl - rest.p) : rest.n;
        put_namespace(out, slice_make(rest.p, n), sep);
        n += nl != NULL;
        rest = slice_make(rest.p + n, rest.n - n);
    }
    buf_putc(out, ')');
}

/* RFC 2342: the namespaces of the old host. */
bool own_namespace(struct session *s)
{
    struct name_style style = account_view_style(s->account);
    struct buf *out = session_out(s);
    buf_puts(out, "* NAMESPACE (");
    put_namespace(out, slice_str(style.prefix), style.sep);
    buf_putc(out, ')');
    put_namespaces(out, account_others(s->account), style.sep);
    put_namespaces(out, account_shared(s->account), style.sep);
    buf_puts(out, "\r\n");
    session_ok(s, "That is all");
    return true;
}

bool own_logout(struct session *s)
{
    if (s->cmd.args.n > 0) {
        session_bad(s, "LOGOUT takes no arguments");
        return true;
    }
    if (!s->midline) {
        session_printf(s, "* BYE Good bye\r\n");
        session_tagged(s, s->cmd.tag, "OK", "Signed out");
    }
    session_end(s, "logout");
    return true;
}

/*
 * RFC 4978. What follows the command is compressed already; what precedes its answer has been answered, since it is a
 * barrier. After sign-in only: no password is ever near a text whose compressed size tells something about it.
 */
bool own_compress(struct session *s)
{
    struct imap_args a;
    struct slice mechanism;
    imap_args_init(&a, s->cmd.args);
    if (!imap_args_atom(&a, &mechanism) || !imap_args_done(&a)) {
        session_bad(s, "COMPRESS takes a mechanism");
    } else if (stream_is_deflated(s->client)) {
        session_no(s, "[COMPRESSIONACTIVE] Compression is on already");
    } else if (!slice_is_nocase(mechanism, "DEFLATE")) {
        session_no(s, "[CANNOT] DEFLATE is known");
    } else {
        s->offered &= ~CAP_BIT(COMPRESS_DEFLATE);
        session_ok(s, "Compressed from here on");
        session_flush(s);
        if (stream_start_deflate(s->client) != 0)
            session_end(s, "client_lost");
    }
    return true;
}

bool own_refuse_signed_in(struct session *s)
{
    session_bad(s, "You are signed in already");
    return true;
}

/* ---- IDLE (RFC 2177) ---- */

bool idle_run(struct session *s)
{
    s->idle = IDLE_ASKED;
    s->idle_error = NULL;
    command_flight(s, s->side, imapc_command(session_host(s, s->side), "IDLE"));
    s->errors = 0;
    session_enter(s, S_IDLE);
    return true;
}

void idle_again(struct session *s)
{
    s->idle = IDLE_AGAIN;
    command_flight(s, s->side, imapc_command(session_host(s, s->side), "IDLE"));
    session_enter(s, S_IDLE);
}

void idle_go(struct session *s)
{
    if (s->idle == IDLE_ASKED)
        session_continue(s, "idling");
    if (s->idle == IDLE_ASKED || s->idle == IDLE_AGAIN)
        s->idle = IDLE_ON;
}

void idle_done(struct session *s, struct flight *f, const struct resp *r)
{
    if (s->idle == IDLE_BREAK)
        return;
    if (s->idle_error != NULL)
        session_tagged(s, slice_str(f->tag), "BAD", s->idle_error);
    else
        upstream_put_tagged(s, f, r, session_out(s));
}

bool state_idle(struct session *s)
{
    struct slice line;
    size_t used = 0;
    if (s->n_flights == 0 && s->idle == IDLE_BREAK) {
        if (s->midline)
            return false;
        if (!held_look(s)) /* it was called off meanwhile */
            idle_again(s);
        return true;
    }
    if (s->n_flights == 0) {
        session_done(s);
        return true;
    }
    if (session_eof(s) && session_input(s).n == 0) {
        session_end(s, "client_closed");
        return true;
    }
    if (s->idle != IDLE_ON)
        return false;
    if (held_called(s)) {
        imapc_raw(session_host(s, s->side), SLICE_LIT("DONE\r\n"));
        s->idle = IDLE_BREAK;
        return true;
    }
    switch (imap_line_next(session_input(s), 1024, &line, &used)) {
    case CODEC_MORE:
        if (session_eof(s))
            session_end(s, "client_closed");
        return false;
    case CODEC_BAD:
        session_bye(s, "protocol", "DONE was expected");
        return true;
    case CODEC_DONE:
        break;
    }
    if (!slice_is_nocase(line, "DONE"))
        s->idle_error = "DONE was expected";
    session_consume(s, used);
    imapc_raw(session_host(s, s->side), SLICE_LIT("DONE\r\n"));
    s->idle = IDLE_OVER;
    return true;
}
