/* Lines of the session's own. They never cut into a reply that is streaming through: they wait for
 * its end. */
#include "config.h"
#include "front/session.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct buf *session_out(struct session *s)
{
    return s->midline ? &s->later : &s->out;
}

void session_printf(struct session *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(session_out(s), fmt, ap);
    va_end(ap);
}

void session_tagged(struct session *s, struct slice tag, const char *cond, const char *text)
{
    struct buf *out = session_out(s);
    if (tag.n == 0)
        buf_putc(out, '*');
    buf_put_slice(out, tag);
    buf_putc(out, ' ');
    buf_puts(out, cond);
    buf_putc(out, ' ');
    reply_text(out, slice_str(text), slice_str(""), slice_str(""));
    buf_puts(out, "\r\n");
}

void session_continue(struct session *s, const char *text)
{
    session_printf(s, "+ %s\r\n", text);
}

void session_put_name(struct buf *out, struct slice name)
{
    size_t mark = out->len;
    if (imap_put_quoted(out, name))
        return;
    buf_truncate(out, mark);
    buf_printf(out, "{%zu}\r\n", name.n);
    buf_put_slice(out, name);
}

void session_done(struct session *s)
{
    if (s->append.offered)
        imap_cmd_refuse(&s->reader);
    tr_clear(&s->args);
    list_free(&s->list);
    transfer_free(&s->transfer);
    buf_free(&s->held);
    timer_stop(&s->beat);
    s->row = NULL;
    s->hurry = false;
    s->name_tries = 0;
    s->touch = NULL;
    timer_stop(&s->turn);
    unit_rise(&s->dest_seat);
    s->append = (struct append){.phase = APPEND_OFFER};
    if (s->state != S_END)
        session_enter(s, s->new_ != NULL && s->account != NULL ? S_READY : S_GUEST);
}

void session_ok(struct session *s, const char *text)
{
    session_tagged(s, s->cmd.tag, "OK", text);
    s->errors = 0;
    session_done(s);
}

void session_no(struct session *s, const char *text)
{
    session_tagged(s, s->cmd.tag, "NO", text);
    session_done(s);
}

void session_no_err(struct session *s, const char *code, const struct err *e)
{
    char text[300];
    snprintf(text, sizeof(text), "[%s] %s", code, e->text[0] != '\0' ? e->text : err_name(e->code));
    session_no(s, text);
}

void session_bad(struct session *s, const char *text)
{
    session_tagged(s, s->cmd.tag, "BAD", text);
    s->errors++;
    session_done(s);
    if (s->errors >= session_settings(s)->max_errors)
        session_bye(s, "too_many_errors", "Too many bad commands");
}

/* RFC 9585. Old clients show the text, or ignore the line. */
void session_progress(struct session *s, struct slice tag, uint64_t done, uint64_t total,
                      const char *text)
{
    if (timer_running(&s->beat))
        return;
    struct buf *out = session_out(s);
    if (out->len > MAX_LATER || stream_full(s->client))
        return;
    buf_puts(out, "* OK [INPROGRESS (\"");
    buf_put_slice(out, tag);
    if (total > 0 && done <= total)
        buf_printf(out, "\" %llu %llu)] %s", (unsigned long long)done, (unsigned long long)total,
                   text);
    else
        buf_printf(out, "\" NIL NIL)] %s", text);
    if (total > 0 && done <= total)
        buf_printf(out, ", %llu of %llu done", (unsigned long long)done, (unsigned long long)total);
    buf_puts(out, "\r\n");
    unsigned seconds = session_settings(s)->progress_seconds;
    timer_start(&s->beat, (uint64_t)(seconds > 0 ? seconds : 1) * 1000);
}
