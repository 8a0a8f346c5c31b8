/*
 * Reads one mailbox in chunks by sequence numbers: they are dense where UIDs are not, and they do not move while nothing but
 * FETCH is sent (RFC 3501 7.4.1). A chunk is asked for when the last one is used up, so no more than one is held.
 */
#include "config.h"
#include "verify/side.h"
#include "wherry/imap/set.h"
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_BYTES = 4 << 20, MOST_GONE = 1 << 19 };

void side_init(struct side *s, const char *name, bool digest)
{
    *s = (struct side){.name = name};
    imap_fetch_init(&s->fetch);
    if (digest)
        s->digest = digest_new();
}

static void forget(struct side *s)
{
    while (s->n > 0)
        side_pop(s);
    s->first = 0;
    free(s->gone);
    s->gone = NULL;
    s->n_gone = 0;
    s->gone_known = false;
}

void side_free(struct side *s)
{
    forget(s);
    imapc_close(&s->imap);
    imap_fetch_free(&s->fetch);
    imap_line_free(&s->line);
    digest_free(&s->digest);
}

static void fail(struct side *s, int code, const char *what, struct slice text)
{
    if (s->err.code == 0)
        err_set(&s->err, code, SCOPE_UNIT, "the %s host %s%s%.*s", s->name, what, text.n > 0 ? ": " : "",
                (int)(text.n < 100 ? text.n : 100), (const char *)text.p);
    s->state = SIDE_END;
}

static void examine(struct side *s)
{
    s->state = SIDE_OPEN;
    s->id = imapc_begin(s->imap);
    imapc_puts(s->imap, "EXAMINE ");
    imapc_put_string(s->imap, slice_str(s->mailbox));
    if (s->enabled && s->since > 0)
        imapc_printf(s->imap, " (QRESYNC (%u %llu))", s->uidvalidity, (unsigned long long)s->since);
    imapc_end(s->imap);
    s->gone_known = s->enabled && s->since > 0;
    s->uidvalidity = 0;
}

void side_open(struct side *s, const char *mailbox, uint64_t since, uint32_t uidvalidity)
{
    forget(s);
    err_clear(&s->err);
    s->mailbox = mailbox;
    s->since = since;
    s->exists = s->last_uid = 0;
    s->uidvalidity = uidvalidity;
    s->next_seq = 1;
    bool can = (imapc_caps(s->imap) & CAP_BIT(QRESYNC)) != 0 && (imapc_caps(s->imap) & CAP_BIT(ENABLE)) != 0;
    if (since > 0 && can && !s->enabled) {
        s->state = SIDE_ENABLE;
        s->id = imapc_command(s->imap, "ENABLE QRESYNC");
        return;
    }
    examine(s);
}

static void ask(struct side *s)
{
    if (s->next_seq > s->exists) {
        s->state = SIDE_END;
        return;
    }
    uint32_t hi = s->exists - s->next_seq < SIDE_CHUNK ? s->exists : s->next_seq + SIDE_CHUNK - 1;
    bool modseq = s->since > 0 && (imapc_caps(s->imap) & CAP_BIT(CONDSTORE)) != 0;
    s->id = imapc_command(s->imap, "FETCH %u:%u (UID FLAGS INTERNALDATE RFC822.SIZE%s%s)", s->next_seq, hi,
                          modseq ? " MODSEQ" : "", s->digest != NULL ? " BODY.PEEK[]" : "");
    s->next_seq = hi + 1;
}

/* ---- what came ---- */

static void learn_code(struct side *s, struct slice code)
{
    const struct slice word = SLICE_LIT("UIDVALIDITY ");
    uint32_t v;
    if (code.n > word.n && slice_eq_nocase(slice_make(code.p, word.n), word) &&
        slice_u32(slice_make(code.p + word.n, code.n - word.n), &v) == 0)
        s->uidvalidity = v;
}

/* "(EARLIER) 41,43:116" */
static void on_vanished(struct side *s, struct slice rest)
{
    uint32_t lo, hi;
    int r = 0;
    while (rest.n > 0 && (*rest.p < '0' || *rest.p > '9'))
        rest = slice_make(rest.p + 1, rest.n - 1);
    while (s->n_gone < MOST_GONE && (r = imap_set_next(&rest, &lo, &hi)) == 1) {
        if ((s->n_gone & (s->n_gone - 1)) == 0)
            s->gone = mem_grow(s->gone, s->n_gone == 0 ? 1 : 2 * s->n_gone, sizeof(*s->gone));
        s->gone[s->n_gone++] = lo < hi ? (struct gone){lo, hi} : (struct gone){hi, lo};
    }
    if (r != 0)
        s->gone_known = false;
}

static int by_first(const void *a, const void *b)
{
    const struct gone *x = a, *y = b;
    return x->lo < y->lo ? -1 : x->lo > y->lo;
}

/* In order, and none over another. */
static void sort_gone(struct side *s)
{
    size_t kept = 0;
    if (s->n_gone == 0)
        return;
    qsort(s->gone, s->n_gone, sizeof(*s->gone), by_first);
    for (size_t i = 1; i < s->n_gone; i++) {
        if (s->gone[i].lo > s->gone[kept].hi)
            s->gone[++kept] = s->gone[i];
        else if (s->gone[i].hi > s->gone[kept].hi)
            s->gone[kept].hi = s->gone[i].hi;
    }
    s->n_gone = kept + 1;
}

static void on_line(struct side *s)
{
    if (s->line.has_num && slice_is_nocase(buf_slice(&s->line.name), "EXISTS") && s->state == SIDE_OPEN)
        s->exists = s->line.num;
    if (slice_is_nocase(buf_slice(&s->line.name), "VANISHED") && s->state == SIDE_OPEN)
        on_vanished(s, buf_slice(&s->line.buf));
}

/* A whole message: news of others have no date. */
static void on_message(struct side *s)
{
    const struct fetch *f = &s->fetch;
    if (s->state != SIDE_LIST || f->uid == 0 || (!f->has_date && !f->bad))
        return;
    if (f->bad || !f->has_flags || !f->has_size || (s->digest != NULL && !s->has_body && !f->body_nil)) {
        fail(s, E_PROTO, "tells too little of a message", slice_make(NULL, 0));
        return;
    }
    if (f->uid <= s->last_uid || s->n == SIDE_CHUNK) {
        fail(s, E_PROTO, "lists messages that were not asked for, or not in their order", slice_make(NULL, 0));
        return;
    }
    struct entry *e = &s->entries[(s->first + s->n++) % SIDE_CHUNK];
    *e = (struct entry){.uid = f->uid,
                        .size = s->has_body ? s->body_size : f->size,
                        .modseq = f->modseq,
                        .date = f->when,
                        .flags = slice_dup(buf_slice(&f->flags)),
                        .has_body = s->has_body};
    memcpy(e->sum, s->sum, sizeof(e->sum));
    s->last_uid = f->uid;
}

static void on_fetch(struct side *s, const struct resp *r)
{
    switch (imap_fetch_feed(&s->fetch, r)) {
    case FETCH_BYTES:
    case FETCH_BODY_END:
    case FETCH_BODY_WHOLE:
        if (s->digest != NULL)
            digest_put(s->digest, s->fetch.bytes);
        s->body_size += s->fetch.bytes.n;
        if (s->digest != NULL && (r->kind != RESP_BYTES || r->last)) {
            digest_end(s->digest, s->sum);
            s->has_body = true;
        }
        break;
    case FETCH_DONE:
        on_message(s);
        s->in_fetch = false;
        break;
    default:
        break;
    }
}

static void on_data(struct side *s, const struct resp *r)
{
    if (r->kind == RESP_BEGIN) {
        s->in_fetch = r->has_num && slice_is_nocase(r->name, "FETCH");
        s->has_body = false;
        s->body_size = 0;
    }
    if (s->in_fetch) {
        on_fetch(s, r);
        return;
    }
    int n = imap_line_feed(&s->line, r, LINE_MAX_BYTES);
    if (n < 0)
        s->gone_known = false; /* nothing else is that long */
    else if (n == 1)
        on_line(s);
    if (r->kind == RESP_END)
        imap_line_free(&s->line);
}

static void on_tagged(struct side *s, const struct resp *r)
{
    s->id = 0;
    if (s->state == SIDE_ENABLE) {
        s->enabled = r->cond == COND_OK;
        examine(s);
    } else if (s->state == SIDE_OPEN && r->cond != COND_OK) {
        fail(s, E_REFUSED, "does not open the mailbox", r->text);
    } else if (s->state == SIDE_OPEN) {
        s->state = SIDE_LIST;
        sort_gone(s);
    } else if (s->state == SIDE_LIST && r->cond != COND_OK) {
        fail(s, E_REFUSED, "does not list its messages", r->text);
    }
}

static void on_resp(struct side *s, const struct imapc_event *ev)
{
    switch (ev->resp.kind) {
    case RESP_STATUS:
        learn_code(s, ev->resp.code);
        break;
    case RESP_TAGGED:
        if (ev->id == s->id)
            on_tagged(s, &ev->resp);
        break;
    case RESP_BEGIN:
    case RESP_TOK:
    case RESP_BYTES:
    case RESP_END:
        on_data(s, &ev->resp);
        break;
    default:
        break;
    }
}

int side_step(struct side *s, struct err *e)
{
    struct imapc_event ev;
    for (;;) {
        if (s->state == SIDE_LIST && s->id == 0) {
            if (s->n > 0)
                return 0;
            ask(s);
        }
        imapc_next(s->imap, &ev);
        if (ev.kind == IMAPC_NONE)
            return 0;
        if (ev.kind == IMAPC_FAILED) {
            *e = *ev.err;
            return e->code;
        }
        if (ev.kind == IMAPC_READY)
            s->state = SIDE_IDLE;
        else if (ev.resp.kind == RESP_STATUS && ev.resp.cond == COND_BYE)
            return err_set(e, E_UNAVAIL, SCOPE_HOST, "the %s host said goodbye: %.*s", s->name,
                           (int)(ev.resp.text.n < 100 ? ev.resp.text.n : 100), (const char *)ev.resp.text.p);
        else
            on_resp(s, &ev);
    }
}

const struct entry *side_peek(const struct side *s)
{
    return s->n > 0 ? &s->entries[s->first] : NULL;
}

void side_pop(struct side *s)
{
    free(s->entries[s->first].flags);
    s->first = (s->first + 1) % SIDE_CHUNK;
    s->n--;
}

bool side_was_expunged(const struct side *s, uint32_t uid)
{
    size_t lo = 0, hi = s->gone_known ? s->n_gone : 0;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (uid >= s->gone[mid].lo && uid <= s->gone[mid].hi)
            return true;
        if (uid < s->gone[mid].lo)
            hi = mid;
        else
            lo = mid + 1;
    }
    return false;
}
