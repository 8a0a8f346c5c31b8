/*
 * FETCH data, gathered.
 * What: the items of one FETCH response into fields, the body passed on in pieces.
 * Why: hosts differ in the order of items, in what they send unasked, and a body must not be held.
 * Rejected: one handler per order, and a list of items for the caller to search.
 */
#include "wherry/imap/resp.h"
#include "wherry/imap/caps.h"

enum { ST_IDLE, ST_OPEN, ST_NAME, ST_VALUE, ST_LIST, ST_BYTES, ST_END, ST_SKIP };
enum { IT_OTHER, IT_UID, IT_FLAGS, IT_DATE, IT_SIZE, IT_MODSEQ, IT_BODY, IT_HEADER };
enum { MAX_FLAGS = 8192, MAX_HEADER = 65536 };

void imap_fetch_init(struct fetch *f)
{
    *f = (struct fetch){.max_header = MAX_HEADER};
}

void imap_fetch_free(struct fetch *f)
{
    buf_free(&f->flags);
    buf_free(&f->date);
    buf_free(&f->header);
    buf_free(&f->text);
    imap_fetch_init(f);
}

static void begin(struct fetch *f, const struct resp *r)
{
    struct fetch fresh = {.flags = f->flags,
                          .date = f->date,
                          .header = f->header,
                          .text = f->text,
                          .max_header = f->max_header,
                          .seq = r->num,
                          .state = ST_OPEN};
    *f = fresh;
    buf_clear(&f->flags);
    buf_clear(&f->date);
    buf_clear(&f->header);
    buf_clear(&f->text);
}

static enum fetch_event fail(struct fetch *f)
{
    f->bad = true;
    f->state = ST_SKIP;
    return FETCH_BAD;
}

static bool starts_nocase(struct slice s, const char *prefix, size_t n)
{
    return s.n >= n && slice_eq_nocase(slice_make(s.p, n), slice_make(prefix, n));
}

/* BODY[], BINARY[] and their partial forms "BODY[]<0>" are a message's body. */
static int item_of(struct slice s)
{
    static const struct {
        const char *name;
        int item;
    } table[] = {{"UID", IT_UID},          {"FLAGS", IT_FLAGS},   {"INTERNALDATE", IT_DATE},
                 {"RFC822.SIZE", IT_SIZE}, {"MODSEQ", IT_MODSEQ}, {"RFC822", IT_BODY},
                 {"BODY[]", IT_BODY},      {"BINARY[]", IT_BODY}, {"RFC822.HEADER", IT_HEADER}};
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (slice_is_nocase(s, table[i].name))
            return table[i].item;
    }
    if (starts_nocase(s, "BODY[HEADER", 11))
        return IT_HEADER;
    if (starts_nocase(s, "BODY[]<", 7) || starts_nocase(s, "BINARY[]<", 9))
        return IT_BODY;
    return IT_OTHER;
}

static void put_header(struct fetch *f, struct slice s)
{
    size_t room = f->header.len < f->max_header ? f->max_header - f->header.len : 0;
    buf_put(&f->header, s.p, s.n < room ? s.n : room);
}

static enum fetch_event number_value(struct fetch *f, const struct tok *t)
{
    uint64_t v;
    if (t->kind != TOK_ATOM || slice_u64(t->text, &v) != 0)
        return fail(f);
    if (f->item == IT_SIZE) {
        f->size = v;
        f->has_size = true;
        return FETCH_NONE;
    }
    if (v == 0 || v > UINT32_MAX)
        return fail(f);
    f->uid = (uint32_t)v;
    return FETCH_NONE;
}

static enum fetch_event date_value(struct fetch *f, const struct tok *t)
{
    if (t->kind != TOK_QUOTED || imap_date_parse(t->text, &f->when) != 0)
        return fail(f);
    buf_clear(&f->date);
    buf_put_slice(&f->date, t->text);
    f->has_date = true;
    return FETCH_NONE;
}

/* A body or header that is not a literal: quoted, or NIL. */
static enum fetch_event text_value(struct fetch *f, const struct tok *t)
{
    bool nil = t->kind == TOK_ATOM && slice_is_nocase(t->text, "NIL");
    if (t->kind != TOK_QUOTED && !nil)
        return fail(f);
    if (f->item == IT_BODY && nil) {
        f->body_nil = true;
        return FETCH_NONE;
    }
    if (nil)
        return FETCH_NONE;
    buf_clear(&f->text);
    imap_unquote(&f->text, t->text);
    if (f->item == IT_HEADER) {
        buf_clear(&f->header);
        put_header(f, buf_slice(&f->text));
        buf_clear(&f->text);
        return FETCH_NONE;
    }
    f->body_size = f->text.len;
    f->bytes = buf_slice(&f->text);
    return FETCH_BODY_WHOLE;
}

static enum fetch_event literal_value(struct fetch *f, const struct tok *t)
{
    if (f->item != IT_BODY && f->item != IT_HEADER && f->item != IT_OTHER)
        return fail(f);
    f->state = ST_BYTES;
    if (f->item == IT_HEADER)
        buf_clear(&f->header);
    if (f->item != IT_BODY)
        return FETCH_NONE;
    f->body_size = t->size;
    return FETCH_BODY;
}

static enum fetch_event value(struct fetch *f, const struct tok *t)
{
    if (t->kind == TOK_CLOSE)
        return fail(f);
    if (t->kind == TOK_OPEN) {
        if (f->item != IT_FLAGS && f->item != IT_MODSEQ && f->item != IT_OTHER)
            return fail(f);
        if (f->item == IT_FLAGS) {
            f->has_flags = true;
            buf_clear(&f->flags);
        }
        f->depth = 1;
        f->state = ST_LIST;
        return FETCH_NONE;
    }
    f->state = ST_NAME;
    if (t->kind == TOK_LITERAL)
        return literal_value(f, t);
    switch (f->item) {
    case IT_UID:
    case IT_SIZE:
        return number_value(f, t);
    case IT_DATE:
        return date_value(f, t);
    case IT_BODY:
    case IT_HEADER:
        return text_value(f, t);
    case IT_OTHER:
        return FETCH_NONE;
    default:
        return fail(f);
    }
}

static enum fetch_event list_atom(struct fetch *f, struct slice s)
{
    if (f->item == IT_MODSEQ)
        return slice_u64(s, &f->modseq) == 0 ? FETCH_NONE : fail(f);
    if (f->item != IT_FLAGS || slice_is_nocase(s, "\\Recent"))
        return FETCH_NONE;
    if (f->flags.len + s.n >= MAX_FLAGS)
        return fail(f);
    if (f->flags.len > 0)
        buf_putc(&f->flags, ' ');
    buf_put_slice(&f->flags, s);
    return FETCH_NONE;
}

static enum fetch_event list(struct fetch *f, const struct tok *t)
{
    bool simple = f->item == IT_FLAGS || f->item == IT_MODSEQ;
    switch (t->kind) {
    case TOK_OPEN:
        f->depth++;
        return simple ? fail(f) : FETCH_NONE;
    case TOK_CLOSE:
        if (--f->depth == 0)
            f->state = ST_NAME;
        return FETCH_NONE;
    case TOK_ATOM:
        return list_atom(f, t->text);
    case TOK_QUOTED:
    case TOK_LITERAL: /* its bytes come as RESP_BYTES, which ST_LIST drops */
    case TOK_EOL:
        break;
    }
    return simple ? fail(f) : FETCH_NONE;
}

static enum fetch_event token(struct fetch *f, const struct tok *t)
{
    switch (f->state) {
    case ST_OPEN:
        if (t->kind != TOK_OPEN || f->seq == 0)
            return fail(f);
        f->state = ST_NAME;
        return FETCH_NONE;
    case ST_NAME:
        if (t->kind == TOK_CLOSE) {
            f->state = ST_END;
            return FETCH_NONE;
        }
        if (t->kind != TOK_ATOM)
            return fail(f);
        f->item = item_of(t->text);
        f->state = ST_VALUE;
        return FETCH_NONE;
    case ST_VALUE:
        return value(f, t);
    case ST_LIST:
        return list(f, t);
    case ST_SKIP:
        return FETCH_NONE;
    default:
        return fail(f);
    }
}

static enum fetch_event bytes(struct fetch *f, const struct resp *r)
{
    if (f->state != ST_BYTES)
        return FETCH_NONE;
    if (r->last)
        f->state = ST_NAME;
    if (f->item == IT_HEADER)
        put_header(f, r->bytes);
    if (f->item != IT_BODY)
        return FETCH_NONE;
    f->bytes = r->bytes;
    return r->last ? FETCH_BODY_END : FETCH_BYTES;
}

enum fetch_event imap_fetch_feed(struct fetch *f, const struct resp *r)
{
    f->bytes = (struct slice){0};
    if (r->kind == RESP_BEGIN) {
        if (slice_is_nocase(r->name, "FETCH"))
            begin(f, r);
        else
            f->state = ST_IDLE;
        return FETCH_NONE;
    }
    if (f->state == ST_IDLE)
        return FETCH_NONE;
    if (r->kind == RESP_TOK)
        return token(f, &r->tok);
    if (r->kind == RESP_BYTES)
        return bytes(f, r);
    if (r->kind != RESP_END)
        return FETCH_NONE;
    f->bad = f->bad || f->state != ST_END;
    f->state = ST_IDLE;
    return FETCH_DONE;
}
