/*
 * The source of a copy between the hosts: what it lists, the bodies that it sends, and for MOVE how the messages go from it.
 * See transfer.c.
 *
 * Memory: uid, flags and date of each message, at most MAX_MESSAGES and MAX_TEXT bytes.
 */
#include "config.h"
#include "front/transfer.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_MESSAGES = 100000, MAX_TEXT = 16 * 1024 * 1024 };

static void done_list(struct session *s, struct flight *f, const struct resp *r);
static void done_body(struct session *s, struct flight *f, const struct resp *r);
static void done_remove(struct session *s, struct flight *f, const struct resp *r);
static void done_restore(struct session *s, struct flight *f, const struct resp *r);
static void done_looked(struct session *s, struct flight *f, const struct resp *r);

static const struct command row_list = {.name = "FETCH", .done = done_list};
static const struct command row_body = {.name = "FETCH", .done = done_body};
static const struct command row_remove = {.name = "EXPUNGE", .done = done_remove};
static const struct command row_restore = {.name = "STORE", .done = done_restore};
static const struct command row_looked = {.name = "FETCH", .done = done_looked};

static void fly(struct session *s, const struct command *row, uint32_t id)
{
    struct flight *f = command_flight(s, s->side, id);
    f->row = row;
    f->silent = true;
}

static uint32_t keep(struct transfer *t, struct slice s)
{
    uint32_t off = (uint32_t)t->text.len;
    buf_put_slice(&t->text, s);
    buf_putc(&t->text, '\0');
    return off;
}

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
    if (t->n >= MAX_MESSAGES || t->text.len > MAX_TEXT) {
        transfer_fail(s, "[LIMIT] Too many messages at once");
        return;
    }
    if ((t->n & (t->n - 1)) == 0)
        t->items = mem_grow(t->items, t->n == 0 ? 1 : 2 * t->n, sizeof(*t->items));
    struct transfer_item *it = &t->items[t->n++];
    *it = (struct transfer_item){.uid = f->uid};
    it->flags = keep_flags(t, buf_slice(&f->flags));
    it->date = keep(t, buf_slice(&f->date));
}

/* News about a message, which the client has to hear. */
static void pass_flags(struct session *s, const struct fetch *f)
{
    struct buf *out = session_out(s);
    uint32_t uid = f->uid != 0 ? uidmap_to_view(s->view.map, f->uid) : 0;
    uint32_t seq = s->view.seqs != NULL ? seqs_to_view(s->view.seqs, f->seq) : f->seq;
    buf_printf(out, "* %u FETCH (", (unsigned)seq);
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
    const struct transfer_item *it = &t->items[t->at];
    if (!t->open) {
        t->append_id = imapc_begin(c);
        imapc_puts(c, "APPEND ");
        imapc_put_string(c, buf_slice(&s->args.new_name[0]));
        t->open = true;
    }
    imapc_printf(c, " (%s) ", transfer_text(t, it->flags));
    if (transfer_text(t, it->date)[0] != '\0') {
        imapc_put_string(c, slice_str(transfer_text(t, it->date)));
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
        transfer_fail(s, "[CANNOT] One of the messages is empty, which the other server does not take");
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
        transfer_fail(s, "[CANNOT] One of the messages holds a NUL, which IMAP cannot carry");
        return;
    }
    imapc_put(t->dest, bytes);
    t->in_body = !last;
    if (last && !t->multi) {
        imapc_end(t->dest);
        t->open = false;
    }
}

static int by_uid(const void *a, const void *b)
{
    uint32_t x = ((const struct transfer_item *)a)->uid, y = ((const struct transfer_item *)b)->uid;
    return x < y ? -1 : x > y;
}

/* Ascending, each once: a host may tell of one twice. */
static void settle_list(struct transfer *t)
{
    size_t kept = 0;
    if (t->n > 0)
        qsort(t->items, t->n, sizeof(*t->items), by_uid);
    for (size_t i = 0; i < t->n; i++)
        if (kept == 0 || t->items[kept - 1].uid != t->items[i].uid)
            t->items[kept++] = t->items[i];
    t->n = kept;
}

static bool was_deleted(const struct transfer *t, const struct transfer_item *it)
{
    return imap_flag_in(slice_str(transfer_text(t, it->flags)), "\\Deleted");
}

static void note_mark(struct transfer *t, const struct fetch *f)
{
    struct transfer_item key = {.uid = f->uid};
    struct transfer_item *it = bsearch(&key, t->items, t->n, sizeof(key), by_uid);
    if (it != NULL && !was_deleted(t, it))
        it->marked = imap_flag_in(buf_slice(&f->flags), "\\Deleted");
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
            transfer_fail(s, unreadable);
        return;
    }
    if (t->phase == TR_RESTORE && f->uid != 0 && f->has_flags)
        note_mark(t, f);
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
    settle_list(t);
    if (r->cond != COND_OK) {
        struct buf text = {0};
        reply_text(&text, r->text, slice_str(""), slice_str(""));
        transfer_fail(s, buf_cstr(&text));
        buf_free(&text);
    }
}

/* The message is over when the source has told its end and the destination, where it is asked for each, that it has it. */
void source_next(struct transfer *t)
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
        transfer_fail(s, unreadable);
        return;
    }
    if (t->had_body && t->multi)
        t->items[t->at].stored = true; /* once the command is answered */
    source_next(t);
}

/* ---- MOVE: the messages go ---- */

static const char not_moved[] = "[CANNOT] The messages cannot be removed from here, so they were not moved";
static const char kept[] = "[CANNOT] The messages were copied, but could not be removed";

/* What was stored; unmarked_only: without what bore \\Deleted before. False: nothing. */
static bool put_set(const struct transfer *t, bool unmarked_only, struct buf *out)
{
    struct set_writer w;
    imap_set_begin(&w, out);
    for (size_t i = 0; i < t->n; i++) {
        const struct transfer_item *it = &t->items[i];
        if (it->stored && (!unmarked_only || !was_deleted(t, it)))
            imap_set_add(&w, it->uid, it->uid);
    }
    return imap_set_end(&w);
}

/*
 * A STORE that was refused may have marked some of them all the same, and the client's next EXPUNGE would take those: so
 * the marks are taken off and what is left of them is looked at, before the copies go.
 */
static void restore(struct session *s)
{
    struct transfer *t = s->transfer;
    struct imapc *c = session_host(s, s->side);
    struct buf set = {0};
    if (!put_set(t, true, &set)) {
        transfer_fail(s, not_moved);
        return;
    }
    t->phase = TR_RESTORE;
    t->due = true;
    fly(s, &row_restore, imapc_command(c, "UID STORE %s -FLAGS.SILENT (\\Deleted)", buf_cstr(&set)));
    fly(s, &row_looked, imapc_command(c, "UID FETCH %s (FLAGS)", buf_cstr(&set)));
    buf_free(&set);
}

static void done_restore(struct session *s, struct flight *f, const struct resp *r)
{
    (void)s;
    (void)f;
    (void)r;
}

static void done_looked(struct session *s, struct flight *f, const struct resp *r)
{
    struct transfer *t = s->transfer;
    bool marked = r->cond != COND_OK;
    (void)f;
    t->due = false;
    for (size_t i = 0; i < t->n; i++)
        marked = marked || t->items[i].marked;
    if (marked)
        transfer_fail_kept(s, kept);
    else
        transfer_fail(s, not_moved);
}

/* Once the first of them may be gone nothing is taken back: better twice than not at all. */
static void done_remove(struct session *s, struct flight *f, const struct resp *r)
{
    struct transfer *t = s->transfer;
    (void)f;
    t->due = false;
    if (r->cond == COND_OK)
        return;
    if (t->expunging)
        transfer_fail_kept(s, kept);
    else
        restore(s);
}

/* COPYUID is told before the EXPUNGEs (RFC 6851 4.3). False: there is nothing to remove. */
bool source_remove(struct session *s)
{
    struct transfer *t = s->transfer;
    struct imapc *c = session_host(s, s->side);
    struct buf set = {0}, line = {0};
    t->due = put_set(t, false, &set);
    if (t->due && t->expunging) {
        if (transfer_put_copyuid(s, &line))
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

void source_list(struct session *s)
{
    struct slice text = buf_slice(&s->args.text);
    const uint8_t *space = memchr(text.p, ' ', text.n);
    bool uid = (s->row->flags & CF_UID) != 0;
    fly(s, &row_list,
        imapc_command(session_host(s, s->side), "%sFETCH %.*s (UID FLAGS INTERNALDATE)", uid ? "UID " : "",
                      (int)(space != NULL ? (size_t)(space - text.p) : text.n), (const char *)text.p));
}

void source_ask_body(struct session *s)
{
    struct transfer *t = s->transfer;
    t->asked = true;
    t->told = false;
    fly(s, &row_body,
        imapc_command(session_host(s, s->side), "UID FETCH %u (BODY.PEEK[])", (unsigned)t->items[t->at].uid));
}
