/*
 * COPY and MOVE from a mailbox at home on one host to one on the other (RFC 3501 6.4.7, RFC 6851): the host where the
 * mailbox is selected is asked for the messages one after the other, and each streams into APPEND at the other one.
 *
 * All or nothing, as COPY has to be: one MULTIAPPEND where the destination takes it, else one APPEND after the other,
 * and what was stored is expunged again if a later one fails. The destination is written to on a connection of its own,
 * since breaking that off is the only way to take back half a command. MOVE removes the messages once they are stored.
 *
 * Memory: the list of messages with flags and dates (MAX_MESSAGES), no body. Rejected: several bodies in flight (hosts mix
 * the replies of pipelined commands, and this is rare).
 */
#include "config.h"
#include "front/session.h"
#include "wherry/imap/caps.h"
#include "wherry/imap/set.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_MESSAGES = 100000, MAX_TEXT = 16 * 1024 * 1024 };
enum { QUIET_MS = 1000 /* before the first line that tells how far it is */ };

enum transfer_phase {
    TR_LIST,   /* the source lists, the destination is entered */
    TR_PROBE,  /* does the destination mailbox exist? */
    TR_BODY,   /* messages go over */
    TR_STORED, /* the destination has to say that it has them */
    TR_REMOVE, /* MOVE: they go from the source */
    TR_ENTER,  /* a new connection to the destination, to take back what was stored */
    TR_UNDO
};

struct item {
    uint32_t uid, dest_uid; /* dest_uid 0: not stored, or not told */
    bool stored;
    uint32_t flags, date; /* in text, NUL-terminated */
};

struct transfer {
    enum transfer_phase phase;
    struct imapc *dest;
    bool move, multi, listed, failed;
    bool answered; /* MULTIAPPEND's reply came */
    bool expunging;
    struct buf text;
    struct item *items;
    size_t n, at; /* at: on its way, or the next one */
    /* source */
    struct fetch fetch;
    bool in_fetch, in_body, had_body, asked;
    bool told; /* the source spoke of the message that is on its way */
    bool due; /* the source's reply to a step of the removal */
    /* destination */
    uint32_t probe_id, append_id, undo_id;
    bool open; /* an APPEND is being written */
    uint32_t validity;
    char error[200]; /* why it failed, with a code */
};

static void done_list(struct session *s, struct flight *f, const struct resp *r);
static void done_body(struct session *s, struct flight *f, const struct resp *r);
static void done_remove(struct session *s, struct flight *f, const struct resp *r);

static const struct command row_list = {.name = "FETCH", .done = done_list};
static const struct command row_body = {.name = "FETCH", .done = done_body};
static const struct command row_remove = {.name = "EXPUNGE", .done = done_remove};

void transfer_free(struct transfer **tp)
{
    struct transfer *t = *tp;
    if (t == NULL)
        return;
    imapc_abort(&t->dest);
    imap_fetch_free(&t->fetch);
    buf_free(&t->text);
    free(t->items);
    free(t);
    *tp = NULL;
}

static void fly(struct session *s, const struct command *row, uint32_t id)
{
    struct flight *f = command_flight(s, s->side, id);
    f->row = row;
    f->silent = true;
}

static const char *text_at(const struct transfer *t, uint32_t off)
{
    return (const char *)buf_slice(&t->text).p + off;
}

static uint32_t keep(struct transfer *t, struct slice s)
{
    uint32_t off = (uint32_t)t->text.len;
    buf_put_slice(&t->text, s);
    buf_putc(&t->text, '\0');
    return off;
}

static void connect_dest(struct session *s)
{
    const struct settings *set = session_settings(s);
    bool old = s->dest == HOME_OLD;
    struct transfer *t = s->transfer;
    t->dest = door_connect_imap(&s->door, &s->task, old ? &set->old_imap : &set->new_imap,
                                old ? s->env->tls_old : s->env->tls_new);
}

/* ---- the end ---- */

static struct slice failure(const struct transfer *t)
{
    return t->error[0] != '\0' ? slice_str(t->error) : slice_str("[UNAVAILABLE] The copy failed");
}

static void finish_failed(struct session *s)
{
    struct buf text = {0};
    buf_put_slice(&text, failure(s->transfer));
    session_no(s, buf_cstr(&text));
    buf_free(&text);
}

static void put_stored(const struct transfer *t, struct buf *out)
{
    struct set_writer w;
    imap_set_begin(&w, out);
    for (size_t i = 0; i < t->n; i++)
        if (t->items[i].stored && t->items[i].dest_uid != 0)
            imap_set_add(&w, t->items[i].dest_uid, t->items[i].dest_uid);
    (void)imap_set_end(&w);
}

/* What was stored goes again, so that the client finds either all or nothing. */
static void undo(struct session *s)
{
    struct transfer *t = s->transfer;
    struct imapc *c = t->dest;
    struct buf set = {0};
    put_stored(t, &set);
    (void)imapc_begin(c);
    imapc_puts(c, "SELECT ");
    imapc_put_string(c, buf_slice(&s->args.new_name[0]));
    imapc_end(c);
    imapc_command(c, "UID STORE %s +FLAGS.SILENT (\\Deleted)", buf_cstr(&set));
    t->undo_id = imapc_command(c, "UID EXPUNGE %s", buf_cstr(&set));
    buf_free(&set);
    t->phase = TR_UNDO;
}

/* Nothing more is read of the source's bodies; text says why, with a code. */
static void fail(struct session *s, const char *text)
{
    struct transfer *t = s->transfer;
    bool any = false;
    if (t->failed)
        return;
    t->failed = true;
    snprintf(t->error, sizeof(t->error), "%s", text);
    for (size_t i = 0; i < t->n; i++)
        any = any || (t->items[i].stored && t->items[i].dest_uid != 0);
    if (t->open || t->dest == NULL || !imapc_ready(t->dest))
        imapc_abort(&t->dest); /* half a command stores nothing */
    t->open = false;
    if (!any) {
        imapc_close(&t->dest);
        return;
    }
    if (t->dest != NULL) {
        undo(s);
        return;
    }
    t->phase = TR_ENTER;
    connect_dest(s);
}

/* ---- the source ---- */

static bool is_keyword(struct slice f)
{
    for (size_t i = 0; i < f.n; i++)
        if (f.p[i] <= ' ' || f.p[i] >= 0x7f || memchr("(){}%*\"\\[]", f.p[i], 10) != NULL)
            return false;
    return f.n > 0;
}

/* Flags that any host takes; a \Recent or a keyword that is no atom would spoil the whole. */
static uint32_t keep_flags(struct transfer *t, struct slice flags)
{
    static const char *const system[] = {"\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft"};
    struct buf out = {0};
    while (flags.n > 0) {
        const uint8_t *sp = memchr(flags.p, ' ', flags.n);
        struct slice one = slice_make(flags.p, sp != NULL ? (size_t)(sp - flags.p) : flags.n);
        size_t skip = one.n + (sp != NULL);
        bool ok = is_keyword(one);
        flags = slice_make(flags.p + skip, flags.n - skip);
        for (size_t i = 0; i < sizeof(system) / sizeof(*system); i++)
            ok = ok || slice_is_nocase(one, system[i]);
        if (!ok)
            continue;
        if (out.len > 0)
            buf_putc(&out, ' ');
        buf_put_slice(&out, one);
    }
    uint32_t off = keep(t, buf_slice(&out));
    buf_free(&out);
    return off;
}

static void add_item(struct session *s, const struct fetch *f)
{
    struct transfer *t = s->transfer;
    for (size_t i = t->n; i > 0 && t->items[i - 1].uid >= f->uid; i--)
        if (t->items[i - 1].uid == f->uid)
            return; /* told twice */
    if (t->n >= MAX_MESSAGES || t->text.len > MAX_TEXT) {
        fail(s, "[LIMIT] Too many messages at once");
        return;
    }
    if ((t->n & (t->n - 1)) == 0)
        t->items = mem_grow(t->items, t->n == 0 ? 1 : 2 * t->n, sizeof(*t->items));
    struct item *it = &t->items[t->n++];
    *it = (struct item){.uid = f->uid};
    it->flags = keep_flags(t, buf_slice(&f->flags));
    it->date = keep(t, buf_slice(&f->date));
}

/* News about a message, which the client has to hear. */
static void pass_flags(struct session *s, const struct fetch *f)
{
    struct buf *out = session_out(s);
    uint32_t uid = f->uid != 0 ? uidmap_to_view(s->view.map, f->uid) : 0;
    buf_printf(out, "* %u FETCH (", (unsigned)f->seq);
    if (uid != 0)
        buf_printf(out, "UID %u ", (unsigned)uid);
    if (f->modseq != 0 && s->view.modseq)
        buf_printf(out, "MODSEQ (%llu) ", (unsigned long long)(f->modseq + s->view.modseq_shift));
    buf_puts(out, "FLAGS (");
    buf_put_slice(out, buf_slice(&f->flags));
    buf_puts(out, "))\r\n");
}

static void put_head(struct session *s, uint64_t size)
{
    struct transfer *t = s->transfer;
    struct imapc *c = t->dest;
    const struct item *it = &t->items[t->at];
    if (!t->open) {
        t->append_id = imapc_begin(c);
        imapc_puts(c, "APPEND ");
        imapc_put_string(c, buf_slice(&s->args.new_name[0]));
        t->open = true;
    }
    imapc_printf(c, " (%s) ", text_at(t, it->flags));
    if (text_at(t, it->date)[0] != '\0') {
        imapc_put_string(c, slice_str(text_at(t, it->date)));
        imapc_puts(c, " ");
    }
    imapc_literal(c, size, false, false);
}

static void body_begin(struct session *s)
{
    struct transfer *t = s->transfer;
    if (t->failed || t->phase != TR_BODY || !t->asked || t->had_body)
        return;
    if (t->fetch.body_size == 0) {
        fail(s, "[CANNOT] One of the messages is empty, which the other server does not take");
        return;
    }
    t->in_body = t->had_body = true;
    put_head(s, t->fetch.body_size);
}

static void body_bytes(struct session *s, struct slice bytes, bool last)
{
    struct transfer *t = s->transfer;
    if (!t->in_body || t->failed)
        return;
    if (bytes.n > 0 && memchr(bytes.p, 0, bytes.n) != NULL) {
        fail(s, "[CANNOT] One of the messages holds a NUL, which IMAP cannot carry");
        return;
    }
    imapc_put(t->dest, bytes);
    t->in_body = !last;
    if (last && !t->multi) {
        imapc_end(t->dest);
        t->open = false;
    }
}

static const char unreadable[] = "[UNAVAILABLE] A message could not be read";

static void fetch_done(struct session *s)
{
    struct transfer *t = s->transfer;
    const struct fetch *f = &t->fetch;
    t->in_fetch = false;
    t->told = t->told || f->bad || (t->at < t->n && f->uid == t->items[t->at].uid);
    if (f->bad) {
        if (t->phase == TR_LIST)
            fail(s, unreadable);
        return;
    }
    if (t->phase == TR_LIST && f->uid != 0 && f->has_date && !t->failed)
        add_item(s, f);
    else if (f->has_flags)
        pass_flags(s, f);
}

bool transfer_takes(struct session *s, enum unit_home side, const struct resp *r)
{
    struct transfer *t = s->transfer;
    if (t == NULL || side != s->side || t->phase == TR_REMOVE)
        return false;
    if (r->kind == RESP_BEGIN && r->has_num && slice_is_nocase(r->name, "FETCH"))
        t->in_fetch = true;
    if (!t->in_fetch)
        return false;
    switch (imap_fetch_feed(&t->fetch, r)) {
    case FETCH_BODY:
        body_begin(s);
        break;
    case FETCH_BYTES:
        body_bytes(s, t->fetch.bytes, false);
        break;
    case FETCH_BODY_END:
        body_bytes(s, t->fetch.bytes, true);
        break;
    case FETCH_BODY_WHOLE:
        body_begin(s);
        body_bytes(s, t->fetch.bytes, true);
        break;
    case FETCH_DONE:
        fetch_done(s);
        break;
    case FETCH_NONE:
    case FETCH_BAD:
        break;
    }
    return true;
}

bool transfer_full(const struct session *s)
{
    const struct transfer *t = s->transfer;
    return t != NULL && t->in_body && !t->failed && t->dest != NULL && imapc_full(t->dest);
}

static void done_list(struct session *s, struct flight *f, const struct resp *r)
{
    struct transfer *t = s->transfer;
    (void)f;
    t->listed = true;
    if (r->cond != COND_OK) {
        struct buf text = {0};
        reply_text(&text, r->text, slice_str(""), slice_str(""));
        fail(s, buf_cstr(&text));
        buf_free(&text);
    }
}

/* The message is over when the source has told its end and the destination, where it is asked for each, that it has it. */
static void next_item(struct transfer *t)
{
    if (t->asked || (t->had_body && !t->items[t->at].stored))
        return;
    t->at++;
    t->had_body = false;
}

/*
 * One that went away meanwhile is not copied, and no failure (RFC 2180 4.4). One that is there and does not come is: who
 * hears OK may expunge it.
 */
static void done_body(struct session *s, struct flight *f, const struct resp *r)
{
    struct transfer *t = s->transfer;
    (void)f;
    t->asked = false;
    if (t->failed)
        return;
    bool gone = !t->told && (r->cond == COND_OK || slice_is_nocase(r->code, "EXPUNGEISSUED"));
    if (t->in_body || (!t->had_body && !gone)) {
        fail(s, unreadable);
        return;
    }
    if (t->had_body && t->multi)
        t->items[t->at].stored = true; /* once the command is answered */
    next_item(t);
}

/* Once the first of them may be gone nothing is taken back: better twice than not at all. */
static void done_remove(struct session *s, struct flight *f, const struct resp *r)
{
    struct transfer *t = s->transfer;
    (void)f;
    t->due = false;
    if (r->cond == COND_OK)
        return;
    if (!t->expunging) {
        fail(s, "[CANNOT] The messages cannot be removed from here, so they were not moved");
        return;
    }
    t->failed = true;
    snprintf(t->error, sizeof(t->error), "[CANNOT] The messages were copied, but could not be removed");
    imapc_close(&t->dest);
}

/* ---- the destination ---- */

static void take_uids(struct transfer *t, struct slice code)
{
    struct imap_args a;
    struct slice word = {0}, set = {0};
    uint32_t lo = 1, hi = 0;
    imap_args_init(&a, code);
    if (!imap_args_atom(&a, &word) || !slice_is_nocase(word, "APPENDUID") ||
        !imap_args_u32(&a, &t->validity) || !imap_args_atom(&a, &set))
        return;
    for (size_t i = t->multi ? 0 : t->at; i < t->n && (t->multi || i == t->at); i++) {
        if (!t->items[i].stored)
            continue;
        if (lo > hi && imap_set_next(&set, &lo, &hi) != 1)
            return;
        t->items[i].dest_uid = lo++;
    }
}

static void refused(struct session *s, const struct resp *r)
{
    struct transfer *t = s->transfer;
    struct buf text = {0};
    static const char *const codes[] = {"TRYCREATE", "OVERQUOTA", "LIMIT", "TOOBIG", "NOPERM", "CANNOT"};
    for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++)
        if (slice_is_nocase(r->code, codes[i]))
            buf_printf(&text, "[%s] ", codes[i]);
    reply_text(&text, r->text, buf_slice(&s->args.new_name[0]), buf_slice(&s->args.view_name[0]));
    if (t->multi)
        for (size_t i = 0; i < t->n; i++)
            t->items[i].stored = false;
    fail(s, buf_cstr(&text));
    buf_free(&text);
}

static void appended(struct session *s, const struct resp *r)
{
    struct transfer *t = s->transfer;
    if (t->open || r->cond != COND_OK) { /* open: answered before its end, which is a refusal too */
        refused(s, r);
        return;
    }
    t->answered = true;
    if (!t->multi)
        t->items[t->at].stored = true;
    take_uids(t, r->code);
    if (!t->multi)
        next_item(t);
}

static void dest_tagged(struct session *s, const struct imapc_event *ev)
{
    struct transfer *t = s->transfer;
    if (ev->id == t->undo_id && t->phase == TR_UNDO) {
        if (ev->resp.cond != COND_OK)
            log_event(worker_log(s->env->worker), LOG_WARN, "copy_not_undone",
                      log_s("account", account_name(s->account)), log_n("session", s->id),
                      log_v("mailbox", buf_slice(&s->args.view_name[0])));
        imapc_close(&t->dest);
    } else if (ev->id == t->probe_id && t->phase == TR_PROBE) {
        if (ev->resp.cond == COND_OK)
            t->phase = TR_BODY;
        else
            fail(s, "[TRYCREATE] There is no such mailbox");
    } else if (ev->id == t->append_id && !t->failed) {
        appended(s, &ev->resp);
    }
}

/* True when something came. */
static bool pump_dest(struct session *s)
{
    struct transfer *t = s->transfer;
    struct imapc_event ev;
    if (t->dest == NULL)
        return false;
    imapc_next(t->dest, &ev);
    if (ev.kind == IMAPC_FAILED) {
        bool undoing = t->phase == TR_ENTER || t->phase == TR_UNDO;
        log_event(worker_log(s->env->worker), LOG_WARN, undoing ? "copy_not_undone" : "copy_host_lost",
                  log_s("account", account_name(s->account)), log_n("session", s->id), log_e(ev.err));
        imapc_abort(&t->dest);
        t->open = false;
        if (!undoing && t->phase != TR_REMOVE) /* it has them by then, and the source may have them no more */
            fail(s, "[UNAVAILABLE] The other server cannot be reached");
    } else if (ev.kind == IMAPC_RESP && ev.resp.kind == RESP_TAGGED) {
        dest_tagged(s, &ev);
    } else if (ev.kind == IMAPC_READY) {
        t->multi = (imapc_caps(t->dest) & CAP_BIT(MULTIAPPEND)) != 0;
        if (t->phase == TR_ENTER)
            undo(s);
    }
    return ev.kind != IMAPC_NONE;
}

/* ---- moving on ---- */

static bool put_copyuid(struct session *s, struct buf *out)
{
    struct transfer *t = s->transfer;
    struct code_dest d = {0};
    struct set_writer from, to;
    struct buf source = {0}, dest = {0};
    bool ok = t->validity != 0 &&
              upstream_find_dest(s, s->dest, buf_slice(&s->args.view_name[0]),
                                 buf_slice(&s->args.new_name[0]), t->validity, &d);
    imap_set_begin(&from, &source);
    imap_set_begin(&to, &dest);
    for (size_t i = 0; ok && i < t->n; i++) {
        const struct item *it = &t->items[i];
        if (!it->stored)
            continue;
        uint32_t uid = uidmap_to_view(s->view.map, it->uid);
        uint32_t dest_uid = it->dest_uid != 0 ? uidmap_to_view(d.map, it->dest_uid) : 0;
        ok = uid != 0 && dest_uid != 0;
        if (ok) {
            imap_set_add(&from, uid, uid);
            imap_set_add(&to, dest_uid, dest_uid);
        }
    }
    ok = imap_set_end(&from) && ok;
    ok = imap_set_end(&to) && ok;
    if (ok)
        buf_printf(out, "[COPYUID %u %s %s] ", (unsigned)d.view_uidvalidity, buf_cstr(&source), buf_cstr(&dest));
    buf_free(&source);
    buf_free(&dest);
    return ok;
}

/* COPYUID is told before the EXPUNGEs (RFC 6851 4.3). False: there is nothing to remove. */
static bool remove_source(struct session *s)
{
    struct transfer *t = s->transfer;
    struct imapc *c = session_host(s, s->side);
    struct set_writer w;
    struct buf set = {0}, line = {0};
    imap_set_begin(&w, &set);
    for (size_t i = 0; i < t->n; i++)
        if (t->items[i].stored)
            imap_set_add(&w, t->items[i].uid, t->items[i].uid);
    t->due = imap_set_end(&w);
    if (t->due && t->expunging) {
        if (put_copyuid(s, &line))
            session_printf(s, "* OK %sMoved\r\n", buf_cstr(&line));
        fly(s, &row_remove, imapc_command(c, "UID EXPUNGE %s", buf_cstr(&set)));
    } else if (t->due) {
        fly(s, &row_remove,
            imapc_command(c, "UID STORE %s +FLAGS.SILENT (\\Deleted)", buf_cstr(&set)));
    }
    buf_free(&set);
    buf_free(&line);
    return t->due;
}

static void finish(struct session *s)
{
    struct transfer *t = s->transfer;
    struct buf text = {0};
    if (!t->move)
        (void)put_copyuid(s, &text);
    buf_puts(&text, t->move ? "Moved" : "Copied");
    imapc_close(&t->dest);
    session_ok(s, buf_cstr(&text));
    buf_free(&text);
}

static void probe(struct session *s)
{
    struct transfer *t = s->transfer;
    t->phase = TR_PROBE;
    t->probe_id = imapc_begin(t->dest);
    imapc_puts(t->dest, "STATUS ");
    imapc_put_string(t->dest, buf_slice(&s->args.new_name[0]));
    imapc_puts(t->dest, " (UIDNEXT)");
    imapc_end(t->dest);
}

static void next_body(struct session *s)
{
    struct transfer *t = s->transfer;
    if (t->at < t->n) {
        t->asked = true;
        t->told = false;
        fly(s, &row_body,
            imapc_command(session_host(s, s->side), "UID FETCH %u (BODY.PEEK[])", (unsigned)t->items[t->at].uid));
        return;
    }
    if (t->open)
        imapc_end(t->dest);
    t->open = false;
    t->phase = TR_STORED;
}

/* True when something was done. */
static bool advance(struct session *s)
{
    struct transfer *t = s->transfer;
    switch (t->phase) {
    case TR_LIST:
        if (!t->listed || t->dest == NULL || !imapc_ready(t->dest))
            return false;
        probe(s);
        return true;
    case TR_BODY:
        if (t->asked || (t->had_body && !t->items[t->at].stored))
            return false;
        next_body(s);
        return true;
    case TR_STORED:
        if (t->append_id != 0 && !t->answered)
            return false;
        t->phase = TR_REMOVE;
        if (!t->move || !remove_source(s))
            finish(s);
        return true;
    case TR_REMOVE:
        if (t->due)
            return false;
        if (!t->expunging) {
            t->expunging = true;
            (void)remove_source(s);
        } else {
            finish(s);
        }
        return true;
    default:
        return false;
    }
}

bool transfer_run(struct session *s)
{
    struct slice text = buf_slice(&s->args.text);
    const uint8_t *space = memchr(text.p, ' ', text.n);
    struct imapc *c = session_host(s, s->side);
    bool move = strcmp(s->row->name, "MOVE") == 0 || strcmp(s->row->name, "UID MOVE") == 0;
    if (move && s->read_only) /* hosts answer OK to a STORE in it, and do nothing */
        return command_refuse(s, "[CANNOT] This mailbox is open for reading only", NULL);
    if (move && (imapc_caps(c) & CAP_BIT(UIDPLUS)) == 0)
        return command_refuse(s, "[CANNOT] The server cannot remove single messages; copy them instead", NULL);
    struct transfer *t = s->transfer = mem_alloc(sizeof(*t));
    t->move = move;
    imap_fetch_init(&t->fetch);
    buf_putc(&t->text, '\0');
    s->errors = 0;
    timer_start(&s->beat, QUIET_MS);
    fly(s, &row_list,
        imapc_command(c, "%sFETCH %.*s (UID FLAGS INTERNALDATE)", (s->row->flags & CF_UID) != 0 ? "UID " : "",
                      (int)(space != NULL ? (size_t)(space - text.p) : text.n), (const char *)text.p));
    connect_dest(s);
    session_enter(s, S_TRANSFER);
    if (t->dest == NULL)
        fail(s, "[UNAVAILABLE] The other server has no such name");
    return true;
}

/* A client that sends no more still gets its answer, and nothing is left half copied or half removed. */
bool state_transfer(struct session *s)
{
    struct transfer *t = s->transfer;
    bool any = pump_dest(s);
    session_progress(s, s->cmd.tag, t->at, t->n, "Copying between the servers");
    if (!t->failed)
        return advance(s) || any;
    /* The source's replies come first, then the answer. */
    if (t->dest != NULL || t->asked || t->due || !t->listed || s->midline)
        return any;
    finish_failed(s);
    return true;
}
