/*
 * APPEND (RFC 3501 6.3.11, RFC 3502) and REPLACE (RFC 8508): the message streams from the client to the new host and is
 * never held.
 *
 * A client with a synchronising literal hears "+ " only once the new host wants the message, so a
 * NO costs it nothing. Where the host says NO to a message of which a client with a
 * non-synchronising literal has sent a part already, the rest is thrown away. A command that is
 * half written upstream can only be broken off with its connection.
 */
#include "config.h"
#include "front/session.h"
#include "wherry/imap/caps.h"
#include <string.h>

static struct imapc *host(struct session *s)
{
    return session_host(s, s->target);
}

static void offer(struct session *s)
{
    struct append *a = &s->append;
    a->left = s->cmd.size;
    a->phase = s->cmd.nonsync ? APPEND_STREAM : APPEND_OFFER;
    command_put_args(host(s), buf_slice(&s->args.text));
    imapc_literal(host(s), s->cmd.size, s->cmd.binary, !s->cmd.nonsync);
}

/* Literals that may hold a NUL (RFC 3516 section 4.4). */
static bool takes_binary(struct session *s)
{
    return (s->offered & imapc_caps(host(s)) & CAP_BIT(BINARY)) != 0;
}

bool append_run(struct session *s)
{
    if (s->dest != s->target)
        return command_refuse(s, "[CANNOT] That mailbox is on another server; append to it instead", NULL);
    if (s->args.nobody)
        return command_refuse(s, "[NONEXISTENT] There is no such message", NULL);
    if (s->cmd.binary && !takes_binary(s)) {
        session_bad(s, "Binary literals are not offered");
        return true;
    }
    struct append *a = &s->append;
    a->id = imapc_begin(host(s));
    imapc_puts(host(s), s->row->name);
    imapc_puts(host(s), " ");
    a->open = true;
    offer(s);
    unit_pass_seat(&s->dest_seat, &command_flight(s, s->target, a->id)->seat);
    s->errors = 0;
    session_enter(s, S_APPEND);
    return true;
}

/* Tagged reply of new. Before the command was whole: a refusal instead of "+ ", or one that came
 * early. */
void append_done(struct session *s, struct flight *f, const struct resp *r)
{
    struct append *a = &s->append;
    upstream_put_tagged(s, f, r, session_out(s));
    if (s->state != S_APPEND || !a->open || a->id != f->id || !a->waiting)
        return;
    a->open = false;
    a->refused = true;
    if (a->phase == APPEND_OFFER)
        session_done(s);
}

static bool stream_message(struct session *s)
{
    struct append *a = &s->append;
    struct slice in = session_input(s);
    if (a->left == 0) {
        imap_cmd_message_done(&s->reader);
        a->offered = false;
        a->phase = APPEND_NEXT;
        return true;
    }
    if (in.n == 0 && session_eof(s))
        session_end(s, "client_closed");
    if (in.n == 0 || (!a->refused && imapc_full(host(s))))
        return false;
    size_t n = a->left < in.n ? (size_t)a->left : in.n;
    if (!a->refused)
        imapc_put(host(s), slice_make(in.p, n));
    session_consume(s, n);
    a->left -= n;
    return true;
}

/* What new was told cannot be taken back, and must not be completed either. */
static void break_off(struct session *s, const char *reason, const char *text)
{
    if (s->append.open)
        session_bye(s, reason, text);
    else
        session_done(s);
}

static void another(struct session *s)
{
    const struct tr_view v = {.map = s->view.map, .caps = s->offered};
    buf_free(&s->args.text);
    if (s->append.refused) {
        session_done(s); /* refuses this one, too */
    } else if ((s->offered & imapc_caps(host(s)) & CAP_BIT(MULTIAPPEND)) == 0 || strcmp(s->row->name, "APPEND") != 0 ||
               (s->cmd.binary && !takes_binary(s)) ||
               tr_command("w", &v, s->cmd.args, &s->args) != TR_OK) {
        break_off(s, "append_syntax", "That was no message to append");
    } else {
        imapc_puts(host(s), s->args.text.len > 1 ? " " : "");
        offer(s);
    }
}

static bool next_part(struct session *s)
{
    size_t used = 0;
    enum codec c = imap_cmd_next(&s->reader, session_input(s), &used, &s->cmd);
    session_consume(s, used);
    if (c != CODEC_DONE) {
        if (session_eof(s))
            session_end(s, "client_closed");
        return false;
    }
    if (s->cmd.kind == CMD_MESSAGE) {
        s->append.offered = true;
        another(s);
    } else if (s->cmd.kind == CMD_READY && s->cmd.args.n == 0) {
        if (s->append.open)
            imapc_end(host(s));
        s->append.open = false;
        session_done(s);
    } else if (s->cmd.fatal) {
        session_bye(s, "protocol", "What came was no IMAP");
    } else {
        break_off(s, "append_syntax", "An APPEND ended in a way that cannot be understood");
    }
    return true;
}

bool state_append(struct session *s)
{
    switch (s->append.phase) {
    case APPEND_OFFER:
        if (imapc_waiting(host(s)))
            return false;
        session_continue(s, "Send the message");
        s->append.phase = APPEND_STREAM;
        return true;
    case APPEND_STREAM:
        return stream_message(s);
    case APPEND_NEXT:
        return next_part(s);
    }
    return false;
}
