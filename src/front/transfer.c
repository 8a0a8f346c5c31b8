/*
 * COPY and MOVE from a mailbox at home on one host to one on the other (RFC 3501 6.4.7, RFC 6851): the host where the
 * mailbox is selected is asked for the messages one after the other, and each streams into APPEND at the other one.
 *
 * All or nothing, as COPY has to be: one MULTIAPPEND where the destination takes it, else one APPEND after the other,
 * and what was stored is expunged again if a later one fails. The destination is written to on a connection of its own,
 * since breaking that off is the only way to take back half a command. MOVE removes the messages once they are stored.
 *
 * Memory: the list of messages with flags and dates (see transfer_source.c), no body. Rejected: several bodies in flight (hosts mix
 * the replies of pipelined commands, and this is rare).
 */
#include "config.h"
#include "front/transfer.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { QUIET_MS = 1000 /* before the first line that tells how far it is */ };

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

const char *transfer_text(const struct transfer *t, uint32_t off)
{
    return (const char *)buf_slice(&t->text).p + off;
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

static void finish_failed(struct session *s)
{
    char text[sizeof(s->transfer->error)];
    memcpy(text, s->transfer->error, sizeof(text)); /* it goes away with the transfer */
    session_no(s, text);
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

void transfer_fail_kept(struct session *s, const char *text)
{
    struct transfer *t = s->transfer;
    t->failed = true;
    snprintf(t->error, sizeof(t->error), "%s", text);
    imapc_close(&t->dest);
}

/* Nothing more is read of the source's bodies. */
void transfer_fail(struct session *s, const char *text)
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
    transfer_fail(s, buf_cstr(&text));
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
        source_next(t);
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
            transfer_fail(s, "[TRYCREATE] There is no such mailbox");
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
        if (!undoing && t->phase != TR_REMOVE && t->phase != TR_RESTORE) /* it has them by then, and the source may have them no more */
            transfer_fail(s, "[UNAVAILABLE] The other server cannot be reached");
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

bool transfer_put_copyuid(struct session *s, struct buf *out)
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
        const struct transfer_item *it = &t->items[i];
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

static void finish(struct session *s)
{
    struct transfer *t = s->transfer;
    struct buf text = {0};
    if (!t->move)
        (void)transfer_put_copyuid(s, &text);
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
        source_ask_body(s);
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
        if (!t->move || !source_remove(s))
            finish(s);
        return true;
    case TR_REMOVE:
        if (t->due)
            return false;
        if (!t->expunging) {
            t->expunging = true;
            (void)source_remove(s);
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
    source_list(s);
    connect_dest(s);
    session_enter(s, S_TRANSFER);
    if (t->dest == NULL)
        transfer_fail(s, "[UNAVAILABLE] The other server has no such name");
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
