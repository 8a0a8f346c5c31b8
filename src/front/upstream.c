/*
 * What comes from the hosts: events are pulled while the client takes output, commands in flight
 * get their tagged replies, untagged data goes through the translator.
 */
#include "config.h"
#include "front/session.h"
#include <stdlib.h>
#include <string.h>

void upstream_flight_free(struct session *s, struct flight *f)
{
    if (s->view.search_tag.p == (const uint8_t *)f->tag)
        s->view.search_tag = slice_str("");
    list_remove(&f->node);
    s->n_flights--;
    unit_rise(&f->seat);
    buf_free(&f->view_name);
    buf_free(&f->new_name);
    free(f);
}

static struct flight *flight_find(struct session *s, enum unit_home side, uint32_t id)
{
    struct list *it;
    list_for_each(it, &s->flights)
    {
        struct flight *f = container_of(it, struct flight, node);
        if (f->side == side && f->id == id)
            return f;
    }
    return NULL;
}

/* ---- status replies ---- */

struct dest_arg {
    struct session *s;
    struct flight *f; /* NULL: none can be meant */
};

bool upstream_find_dest(struct session *s, enum unit_home side, struct slice view_name,
                        struct slice host_name, uint32_t uidvalidity, struct code_dest *out)
{
    struct err e = {0};
    if (side == HOME_OLD) { /* what is served from there is shown as it is */
        out->map = &s->identity;
        out->view_uidvalidity = uidvalidity;
        return true;
    }
    struct unit *u = account_find(s->account, view_name);
    if (u == NULL)
        u = account_find_new(s->account, host_name);
    if (u == NULL)
        return false;
    int rc = unit_check_uidvalidity(u, uidvalidity);
    if (rc != 0 && rc != E_CORRUPT)
        return false;
    out->map = unit_map(u, &e);
    out->view_uidvalidity = unit_record(u)->view_uidvalidity;
    return out->map != NULL && out->view_uidvalidity != 0;
}

/* Where APPEND, COPY or MOVE put messages. */
static bool find_dest(void *arg, uint32_t uidvalidity, struct code_dest *out)
{
    struct dest_arg *d = arg;
    return d->f != NULL && d->f->new_name.len > 0 &&
           upstream_find_dest(d->s, d->f->side, buf_slice(&d->f->view_name), buf_slice(&d->f->new_name),
                              uidvalidity, out);
}

static bool put_code(struct session *s, enum unit_home side, struct flight *f, struct slice code,
                     struct buf *out)
{
    static const struct reply_view none = {0};
    struct dest_arg d = {s, f};
    const struct code_view v = {side == s->side ? &s->view : &none, f != NULL && (f->row->flags & CF_UID) != 0, find_dest,
                                &d};
    size_t mark = out->len;
    buf_putc(out, '[');
    if (code.n > 0 && reply_code(&v, code, out)) {
        buf_puts(out, "] ");
        return true;
    }
    buf_truncate(out, mark);
    return false;
}

static const char *cond_name(enum imap_cond c)
{
    return c == COND_OK ? "OK" : c == COND_NO ? "NO" : "BAD";
}

void upstream_put_tagged(struct session *s, struct flight *f, const struct resp *r, struct buf *out)
{
    buf_puts(out, f->tag);
    buf_putc(out, ' ');
    buf_puts(out, cond_name(r->cond));
    buf_putc(out, ' ');
    put_code(s, f->side, f, r->code, out);
    if (r->text.n == 0)
        buf_puts(out, r->cond == COND_OK ? "Done" : "Refused");
    else
        reply_text(out, r->text, buf_slice(&f->new_name), buf_slice(&f->view_name));
    buf_puts(out, "\r\n");
}

static void on_tagged(struct session *s, enum unit_home side, const struct imapc_event *ev)
{
    struct flight *f = flight_find(s, side, ev->id);
    if (f == NULL)
        return;
    if (f->row->done != NULL)
        f->row->done(s, f, &ev->resp);
    else
        upstream_put_tagged(s, f, &ev->resp, session_out(s));
    upstream_flight_free(s, f);
}

/* MOVE tells its COPYUID before the tagged reply (RFC 6851 4.3), REPLACE its APPENDUID (RFC 8508 3.3). */
static struct flight *flight_of_move(struct session *s)
{
    static const char *const names[] = {"MOVE", "UID MOVE", "REPLACE", "UID REPLACE"};
    struct list *it;
    list_for_each(it, &s->flights)
    {
        struct flight *f = container_of(it, struct flight, node);
        for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
            if (strcmp(f->row->name, names[i]) == 0)
                return f;
    }
    return NULL;
}

/* Codes whose line means nothing without them. */
static bool only_its_code(struct slice name)
{
    static const char *const names[] = {"UIDNEXT",    "UIDVALIDITY", "HIGHESTMODSEQ", "NOMODSEQ",
                                        "CAPABILITY", "MAILBOXID",   "COPYUID",       "APPENDUID"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (slice_is_nocase(name, names[i]))
            return true;
    return false;
}

static bool kept_for_select(struct session *s, enum unit_home side, struct slice name,
                            struct imap_args *a)
{
    if (side != s->side)
        return false;
    if (slice_is_nocase(name, "HIGHESTMODSEQ") || slice_is_nocase(name, "NOMODSEQ"))
        s->selecting.modseq_told = true;
    if (!s->selecting.on)
        return false;
    if (slice_is_nocase(name, "CLOSED"))
        buf_clear(&s->held); /* what came before is not of this mailbox */
    if (slice_is_nocase(name, "UIDVALIDITY") && imap_args_u32(a, &s->selecting.uidvalidity)) {
        select_known(s);
        return true;
    }
    return slice_is_nocase(name, "UIDNEXT") && imap_args_u32(a, &s->selecting.uidnext);
}

static void on_status(struct session *s, enum unit_home side, const struct resp *r)
{
    struct imap_args a;
    struct slice name = {0};
    if ((side == HOME_OLD && s->side != side) || r->cond == COND_BYE || r->cond == COND_PREAUTH)
        return; /* the end of the connection is told by IMAPC_FAILED */
    if (carry_takes_status(s, side, r))
        return;
    imap_args_init(&a, r->code);
    if (r->code.n > 0 && (!imap_args_atom(&a, &name) || kept_for_select(s, side, name, &a)))
        return;
    struct buf *out = s->selecting.on && side == s->side ? &s->held : session_out(s);
    size_t mark = out->len;
    buf_printf(out, "* %s ", cond_name(r->cond));
    if (!put_code(s, side, flight_of_move(s), r->code, out) && only_its_code(name)) {
        buf_truncate(out, mark);
        return;
    }
    reply_text(out, r->text.n > 0 ? r->text : slice_str("Note"), slice_str(""), slice_str(""));
    buf_puts(out, "\r\n");
}

/* ---- untagged data ---- */

/* The view of what that host says: a mailbox is open at one of them only. */
static const struct reply_view *view_of(const struct session *s, enum unit_home side)
{
    static const struct reply_view closed = {.open = false};
    return side == s->side ? &s->view : &closed;
}

static void gathered(struct session *s, enum unit_home side)
{
    struct inlet *in = &s->inlets[side];
    if (in->reply.kind == REPLY_LIST) {
        list_line(s, side, &in->line);
    } else if (in->reply.kind == REPLY_STATUS) {
        status_line(s, side, buf_slice(&in->line.buf));
    } else if (in->reply.kind == REPLY_ENABLED) {
        enabled_line(s, side, buf_slice(&in->line.buf));
    } else if (in->reply.kind == REPLY_QUOTA) {
        quota_line(s, side, &in->line);
    } else if (in->reply.kind == REPLY_ESEARCH) {
        if (reply_esearch(view_of(s, side), buf_slice(&in->line.buf), session_out(s)) != 0)
            session_bye(s, "host_protocol", "The mail server sent nonsense");
    }
    imap_line_free(&in->line);
    in->gathering = false;
}

/* The name is there: the rest streams through. */
static void name_gathered(struct session *s, enum unit_home side)
{
    struct inlet *in = &s->inlets[side];
    bool shown = named_begin(s, side, &in->line, in->out);
    in->reply.kind = shown ? REPLY_PASS : REPLY_DROP;
    imap_line_free(&in->line);
    in->gathering = false;
    if (shown && in->out == &s->out) {
        s->midline = true;
        s->mid_side = side;
    }
}

/* A person's mailbox list or search result fits; what does not is a broken host. */
static void gather(struct session *s, enum unit_home side, const struct resp *r)
{
    struct inlet *in = &s->inlets[side];
    int rc = imap_line_feed(&in->line, r, MAX_GATHER);
    bool token = (r->kind == RESP_TOK && r->tok.kind != TOK_LITERAL) || (r->kind == RESP_BYTES && r->last);
    if (rc == 0 && in->reply.kind == REPLY_NAMED && token) {
        name_gathered(s, side);
    } else if (rc == 1) {
        gathered(s, side);
    } else if (rc < 0) {
        imap_line_free(&in->line);
        in->gathering = false;
        session_bye(s, "host_limit", "The mail server sent a line that is too long");
    }
}

static void note_unmapped(struct session *s, const struct reply *r)
{
    if (r->unmapped == 0 || s->unmapped_logged)
        return;
    s->unmapped_logged = true;
    log_event(worker_log(s->env->worker), LOG_WARN, "uid_not_mapped",
              log_s("account", account_name(s->account)), log_n("session", s->id),
              log_s("mailbox", s->unit != NULL ? unit_record(s->unit)->view_name : NULL));
}

static void data_begin(struct session *s, enum unit_home side, const struct resp *r)
{
    struct inlet *in = &s->inlets[side];
    in->out = s->selecting.on && side == s->side ? &s->held : &s->out;
    /* The host may tell it now, so what is gone may be told before. */
    if (s->seqs.n > 0 && side == s->side && (slice_is_nocase(r->name, "EXPUNGE") || slice_is_nocase(r->name, "VANISHED")))
        session_tell_gone(s);
    if (s->seqs.n > 0 && side == s->side && slice_is_nocase(r->name, "EXISTS"))
        s->seqs.total = r->num + (uint32_t)s->seqs.n;
    reply_feed(&in->reply, view_of(s, side), r, in->out);
    enum reply_kind k = in->reply.kind;
    in->gathering = k == REPLY_LIST || k == REPLY_STATUS || k == REPLY_ESEARCH ||
                    k == REPLY_ENABLED || k == REPLY_QUOTA || k == REPLY_NAMED;
    if (!in->gathering && k != REPLY_DROP && in->out == &s->out) {
        s->midline = true;
        s->mid_side = side;
    }
}

static void data_end(struct session *s, enum unit_home side)
{
    note_unmapped(s, &s->inlets[side].reply);
    if (s->held.len > MAX_HELD)
        session_bye(s, "host_limit", "The mail server says too much");
    if (!s->midline || s->mid_side != side)
        return;
    s->midline = false;
    buf_put_slice(&s->out, buf_slice(&s->later));
    buf_clear(&s->later);
}

/* Message bodies go straight to the client's stream. */
static bool passed_whole(struct session *s, const struct inlet *in, const struct resp *r)
{
    if (r->kind != RESP_BYTES || r->bytes.n < 2048 || in->out != &s->out || !s->midline ||
        !reply_passes_bytes(&in->reply))
        return false;
    session_flush(s);
    stream_put(s->client, r->bytes);
    return true;
}

static void on_data(struct session *s, enum unit_home side, const struct resp *r)
{
    struct inlet *in = &s->inlets[side];
    if (transfer_takes(s, side, r) || carry_takes(s, side, r))
        return;
    if (r->kind == RESP_BEGIN)
        data_begin(s, side, r);
    else if (!in->gathering && !passed_whole(s, in, r))
        reply_feed(&in->reply, view_of(s, side), r, in->out);
    if (in->gathering)
        gather(s, side, r);
    if (r->kind == RESP_END)
        data_end(s, side);
}

/* ---- events ---- */

static void on_failed(struct session *s, enum unit_home side, const struct err *e)
{
    if (side == HOME_OLD)
        host_lost_old(s, e);
    else
        host_lost_new(s, e);
}

static void on_event(struct session *s, enum unit_home side, const struct imapc_event *ev)
{
    if (ev->kind == IMAPC_FAILED) {
        on_failed(s, side, ev->err);
        return;
    }
    if (ev->kind != IMAPC_RESP)
        return;
    switch (ev->resp.kind) {
    case RESP_CONT:
        if (side == s->side && s->state == S_IDLE)
            idle_go(s);
        break;
    case RESP_TAGGED:
        on_tagged(s, side, ev);
        break;
    case RESP_STATUS:
        on_status(s, side, &ev->resp);
        break;
    case RESP_BEGIN:
    case RESP_TOK:
    case RESP_BYTES:
    case RESP_END:
        on_data(s, side, &ev->resp);
        break;
    case RESP_NONE:
        break;
    }
}

/* Lines and numbers that need no looking at token by token. True when there were any. */
static bool pass_plain(struct session *s, enum unit_home side)
{
    const struct inlet *from = &s->inlets[side];
    if (s->n_flights == 0 || s->selecting.on || !s->view.open || from->gathering ||
        side != s->side || s->transfer != NULL || s->carry != NULL)
        return false;
    bool numbers = s->midline && from->reply.kind == REPLY_NUMBERS;
    if (s->midline && !numbers)
        return false;
    struct imapc *c = session_host(s, side);
    struct slice in = numbers ? imapc_peek_tokens(c) : imapc_peek(c);
    if (in.n < 16)
        return false;
    size_t n = numbers ? reply_fast_numbers(&from->reply, &s->view, in, &s->out)
                       : reply_fast(&s->view, in, &s->out);
    if (n > 0)
        imapc_skip(c, n);
    return n > 0;
}

bool upstream_pump(struct session *s, enum unit_home side)
{
    bool any = false;
    while (s->state >= S_READY && s->state != S_END && !stream_full(s->client)) {
        struct imapc *c = session_host(s, side);
        struct imapc_event ev;
        if (c == NULL || (s->midline && s->mid_side != side) ||
            (side == s->side && transfer_full(s)))
            break;
        if (side == s->target)
            s->append.waiting = imapc_waiting(c);
        if (pass_plain(s, side)) {
            any = true;
            if (!s->midline || s->out.len >= FLUSH_AT)
                session_flush(s);
            continue;
        }
        imapc_next(c, &ev);
        if (ev.kind == IMAPC_NONE)
            break;
        any = true;
        on_event(s, side, &ev);
        if (s->out.len >= FLUSH_AT)
            session_flush(s);
    }
    return any;
}
