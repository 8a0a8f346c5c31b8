/* Commands that the session answers by itself, and IDLE. */
#include "config.h"
#include "front/session.h"
#include "wherry/imap/caps.h"
#include <string.h>

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

/* RFC 2971. What clients tell about themselves is of no use here. */
bool own_id(struct session *s)
{
    struct imap_args a;
    struct slice value;
    imap_args_init(&a, s->cmd.args);
    if (!imap_args_value(&a, &value) || !imap_args_done(&a)) {
        session_bad(s, "A list of fields or NIL is expected");
        return true;
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

void idle_go(struct session *s)
{
    if (s->idle != IDLE_ASKED)
        return;
    s->idle = IDLE_ON;
    session_continue(s, "idling");
}

void idle_done(struct session *s, struct flight *f, const struct resp *r)
{
    if (s->idle_error != NULL)
        session_tagged(s, slice_str(f->tag), "BAD", s->idle_error);
    else
        upstream_put_tagged(s, f, r, session_out(s));
}

bool state_idle(struct session *s)
{
    struct slice line;
    size_t used = 0;
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
