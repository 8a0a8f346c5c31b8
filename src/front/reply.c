/* Untagged data on its way to the client. See reply.h. */
#include "config.h"
#include "front/modseq.h"
#include "front/reply.h"
#include "wherry/imap/lex.h"

/* The order is that of frequency. */
static const struct {
    const char *name;
    enum reply_kind kind;
} kinds[] = {
    {"FETCH", REPLY_FETCH},       {"EXISTS", REPLY_PASS},     {"EXPUNGE", REPLY_PASS},
    {"LIST", REPLY_LIST},         {"STATUS", REPLY_STATUS},   {"RECENT", REPLY_PASS},
    {"SEARCH", REPLY_NUMBERS},    {"FLAGS", REPLY_PASS},      {"LSUB", REPLY_LIST},
    {"ESEARCH", REPLY_ESEARCH},   {"SORT", REPLY_NUMBERS},    {"THREAD", REPLY_THREAD},
    {"VANISHED", REPLY_VANISHED}, {"ENABLED", REPLY_ENABLED},
    {"QUOTA", REPLY_QUOTA},     {"QUOTAROOT", REPLY_QUOTA}, {"METADATA", REPLY_NAMED},
    {"ACL", REPLY_NAMED},       {"MYRIGHTS", REPLY_NAMED},  {"LISTRIGHTS", REPLY_NAMED},
};

enum { ITEM_OTHER, ITEM_UID, ITEM_MODSEQ };

enum reply_kind reply_kind_of(struct slice name)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
        if (slice_is_nocase(name, kinds[i].name))
            return kinds[i].kind;
    return REPLY_DROP;
}

void reply_put_num(struct buf *out, uint64_t n)
{
    char digits[20];
    size_t i = sizeof(digits);
    do {
        digits[--i] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    buf_put(out, digits + i, sizeof(digits) - i);
}

static uint32_t seq_to_view(const struct reply_view *v, uint32_t n)
{
    return v->seqs == NULL ? n : seqs_to_view(v->seqs, n);
}

static void put_raw(struct buf *out, const struct tok *t)
{
    if (t->space)
        buf_putc(out, ' ');
    buf_put_slice(out, t->raw);
}

static void begin(struct reply *r, const struct reply_view *v, const struct resp *in,
                  struct buf *out)
{
    r->kind = reply_kind_of(in->name);
    r->depth = r->item = 0;
    r->value = r->emitted = r->closed = r->pass = false;
    r->num = r->kind == REPLY_FETCH ? seq_to_view(v, in->num) : in->num;
    if (v->seqs != NULL && slice_is_nocase(in->name, "EXISTS"))
        r->num += (uint32_t)v->seqs->n;
    bool account = r->kind == REPLY_LIST || r->kind == REPLY_STATUS || r->kind == REPLY_ENABLED ||
                   r->kind == REPLY_QUOTA || r->kind == REPLY_NAMED;
    bool gathered = account || r->kind == REPLY_ESEARCH;
    bool mailbox = !account;
    if (mailbox && (!v->open || (v->map == NULL && r->kind != REPLY_PASS)))
        r->kind = REPLY_DROP;
    if (r->kind == REPLY_VANISHED && !v->vanished)
        r->kind = REPLY_DROP;
    if (r->kind == REPLY_DROP || r->kind == REPLY_FETCH || r->kind == REPLY_VANISHED || gathered)
        return;
    buf_put(out, "* ", 2);
    if (in->has_num) {
        reply_put_num(out, r->num);
        buf_putc(out, ' ');
    }
    buf_put_slice(out, in->name);
}

/* A FETCH of which no item is for the client is not shown at all, so its beginning waits for the
 * first one. */
static void before_item(struct reply *r, struct buf *out)
{
    if (r->emitted) {
        buf_putc(out, ' ');
        return;
    }
    r->emitted = true;
    buf_put(out, "* ", 2);
    reply_put_num(out, r->num);
    buf_put(out, " FETCH (", 8);
}

static uint32_t to_view(struct reply *r, const struct reply_view *v, const struct tok *t)
{
    uint32_t n, uid = 0;
    if (slice_u32(t->text, &n) == 0)
        uid = uidmap_to_view(v->map, n);
    r->unmapped += uid == 0;
    return uid;
}

static void item_name(struct reply *r, const struct tok *t, struct buf *out)
{
    r->value = true;
    r->item = ITEM_OTHER;
    if (t->text.n == 3 && slice_is_nocase(t->text, "UID"))
        r->item = ITEM_UID;
    else if (t->text.n == 6 && slice_is_nocase(t->text, "MODSEQ"))
        r->item = ITEM_MODSEQ;
    if (r->item != ITEM_OTHER)
        return;
    before_item(r, out);
    buf_put_slice(out, t->raw);
    r->pass = t->kind == TOK_LITERAL;
}

static void put_item(struct reply *r, struct buf *out, const char *before, uint64_t n,
                     const char *after)
{
    before_item(r, out);
    buf_puts(out, before);
    reply_put_num(out, n);
    buf_puts(out, after);
}

static void held_value(struct reply *r, const struct reply_view *v, const struct tok *t,
                       struct buf *out)
{
    uint64_t n;
    if (r->item == ITEM_UID) {
        uint32_t uid = to_view(r, v, t);
        if (uid != 0)
            put_item(r, out, "UID ", uid, "");
    } else if (t->kind == TOK_ATOM && v->modseq && slice_u64(t->text, &n) == 0) {
        n = modseq_to_view(v->modseq_shift, n);
        if (n != 0)
            put_item(r, out, "MODSEQ (", n, ")");
    }
}

/* Items come as name and value in turn; a value is a token or a list with all that it holds. */
static void fetch_tok(struct reply *r, const struct reply_view *v, const struct tok *t,
                      struct buf *out)
{
    if (r->depth == 0) {
        if (t->kind == TOK_OPEN && !r->closed)
            r->depth = 1;
        return;
    }
    if (r->depth == 1 && (!r->value || t->kind == TOK_CLOSE)) {
        if (t->kind == TOK_CLOSE) {
            if (r->emitted)
                buf_putc(out, ')');
            r->depth = 0;
            r->closed = true;
        } else {
            item_name(r, t, out);
        }
        return;
    }
    if (t->kind == TOK_OPEN)
        r->depth++;
    else if (t->kind == TOK_CLOSE)
        r->depth--;
    if (r->item == ITEM_OTHER) {
        put_raw(out, t);
        r->pass = t->kind == TOK_LITERAL;
    } else if (t->kind != TOK_OPEN && t->kind != TOK_CLOSE) {
        held_value(r, v, t, out);
    }
    if (r->depth == 1)
        r->value = false;
}

/* "(MODSEQ 5)" after the numbers of SEARCH and SORT (RFC 7162 3.1.5). */
static void number_modseq(struct reply *r, const struct reply_view *v, const struct tok *t,
                          struct buf *out)
{
    uint64_t n = 0;
    if (r->item == ITEM_MODSEQ && r->depth == 1 && v->modseq && slice_u64(t->text, &n) == 0)
        n = modseq_to_view(v->modseq_shift, n);
    else
        n = 0;
    r->item = slice_is_nocase(t->text, "MODSEQ") ? ITEM_MODSEQ : ITEM_OTHER;
    if (n == 0)
        return;
    buf_puts(out, " (MODSEQ ");
    reply_put_num(out, n);
    buf_putc(out, ')');
}

/* THREAD. An opening parenthesis waits for what follows (r->value; r->emitted: with its space),
 * since Cyrus ends the line with "(MODSEQ 5)" too (r->closed: within that). */
static void thread_tok(struct reply *r, const struct reply_view *v, const struct tok *t,
                       struct buf *out)
{
    uint32_t n = 0;
    if (t->kind == TOK_ATOM && r->value && r->depth == 1 && slice_is_nocase(t->text, "MODSEQ"))
        r->closed = true;
    if (r->value && !r->closed)
        buf_puts(out, r->emitted ? " (" : "(");
    r->value = t->kind == TOK_OPEN && !r->closed;
    r->emitted = r->value && t->space;
    if (t->kind == TOK_OPEN) {
        r->depth++;
    } else if (t->kind == TOK_CLOSE) {
        if (!r->closed)
            buf_putc(out, ')');
        r->depth -= r->depth > 0;
        r->closed = r->closed && r->depth > 0;
    } else if (t->kind == TOK_ATOM && r->closed) {
        number_modseq(r, v, t, out);
    } else if (t->kind == TOK_ATOM) {
        n = v->uid_numbers ? to_view(r, v, t) : slice_u32(t->text, &n) == 0 ? seq_to_view(v, n) : 0;
    }
    if (n != 0 && t->space)
        buf_putc(out, ' ');
    if (n != 0)
        reply_put_num(out, n);
}

/* Of SEARCH and SORT. */
static void number_tok(struct reply *r, const struct reply_view *v, const struct tok *t,
                       struct buf *out)
{
    if (t->kind == TOK_OPEN)
        r->depth++;
    else if (t->kind == TOK_CLOSE && r->depth > 0)
        r->depth--;
    if (t->kind != TOK_ATOM)
        return;
    if (r->depth > 0) {
        number_modseq(r, v, t, out);
        return;
    }
    uint32_t n = 0;
    if (v->uid_numbers)
        n = to_view(r, v, t);
    else if (slice_u32(t->text, &n) != 0)
        n = 0;
    else
        n = seq_to_view(v, n);
    if (n == 0)
        return;
    if (t->space)
        buf_putc(out, ' ');
    reply_put_num(out, n);
}

/* [(EARLIER)] set. Nothing is shown where the view has none of them. */
static void vanished_tok(struct reply *r, const struct reply_view *v, const struct tok *t,
                         struct buf *out)
{
    size_t mark = out->len;
    if (t->kind == TOK_OPEN)
        r->value = true;
    if (t->kind != TOK_ATOM || !t->space || r->closed)
        return;
    buf_puts(out, r->value ? "* VANISHED (EARLIER) " : "* VANISHED ");
    r->closed = true; /* one set */
    r->emitted = uidmap_set_to_view(v->map, t->text, out) > 0;
    if (!r->emitted)
        buf_truncate(out, mark);
}

static void feed_tok(struct reply *r, const struct reply_view *v, const struct tok *t,
                     struct buf *out)
{
    r->pass = false;
    switch (r->kind) {
    case REPLY_PASS:
        put_raw(out, t);
        r->pass = t->kind == TOK_LITERAL;
        break;
    case REPLY_FETCH:
        fetch_tok(r, v, t, out);
        break;
    case REPLY_NUMBERS:
        number_tok(r, v, t, out);
        break;
    case REPLY_THREAD:
        thread_tok(r, v, t, out);
        break;
    case REPLY_VANISHED:
        vanished_tok(r, v, t, out);
        break;
    case REPLY_DROP:
    case REPLY_ENABLED:
    case REPLY_ESEARCH:
    case REPLY_LIST:
    case REPLY_STATUS:
    case REPLY_QUOTA:
    case REPLY_NAMED:
        break;
    }
}

void reply_feed(struct reply *r, const struct reply_view *v, const struct resp *in, struct buf *out)
{
    if (in->kind == RESP_BEGIN) {
        begin(r, v, in, out);
        return;
    }
    bool waits = r->kind == REPLY_FETCH || r->kind == REPLY_VANISHED;
    bool shown =
        waits || r->kind == REPLY_PASS || r->kind == REPLY_NUMBERS || r->kind == REPLY_THREAD;
    if (!shown)
        return;
    if (in->kind == RESP_TOK) {
        feed_tok(r, v, &in->tok, out);
    } else if (in->kind == RESP_BYTES) {
        if (r->pass)
            buf_put_slice(out, in->bytes);
    } else if (in->kind == RESP_END) {
        if (!waits || r->emitted)
            buf_put(out, "\r\n", 2);
    }
}

bool reply_passes_bytes(const struct reply *r)
{
    return r->pass;
}

static int esearch_pair(const struct reply_view *v, bool uid, struct slice name, struct slice value,
                        struct buf *out)
{
    uint32_t n;
    uint64_t modseq;
    bool one = slice_is_nocase(name, "MIN") || slice_is_nocase(name, "MAX");
    if (one || slice_is_nocase(name, "COUNT")) {
        if (slice_u32(value, &n) != 0)
            return E_PROTO;
        if (one)
            n = uid ? uidmap_to_view(v->map, n) : seq_to_view(v, n);
        if (!one || n != 0) {
            buf_putc(out, ' ');
            buf_put_slice(out, name);
            buf_putc(out, ' ');
            reply_put_num(out, n);
        }
    } else if (slice_is_nocase(name, "ALL")) {
        size_t mark = out->len;
        buf_puts(out, " ALL ");
        int rc = 1;
        if (uid)
            rc = uidmap_set_to_view(v->map, value, out);
        else if (v->seqs != NULL)
            rc = seqs_set_to_view(v->seqs, value, out);
        else
            buf_put_slice(out, value);
        if (rc <= 0)
            buf_truncate(out, mark);
        return rc < 0 ? E_PROTO : 0;
    } else if (slice_is_nocase(name, "MODSEQ") && v->modseq && slice_u64(value, &modseq) == 0) {
        modseq = modseq_to_view(v->modseq_shift, modseq);
        if (modseq == 0)
            return 0;
        buf_puts(out, " MODSEQ ");
        reply_put_num(out, modseq);
    }
    return 0;
}

int reply_esearch(const struct reply_view *v, struct slice line, struct buf *out)
{
    struct imap_args a;
    struct tok t;
    struct slice name, value;
    size_t mark = out->len;
    bool uid = false;
    imap_args_init(&a, line);
    buf_puts(out, "* ESEARCH");
    if (imap_args_peek(&a, &t) && t.kind == TOK_OPEN) {
        if (!imap_args_value(&a, &value))
            goto bad;
        if (v->search_tag.n == 0) { /* nobody asked */
            buf_truncate(out, mark);
            return 0;
        }
        buf_puts(out, " (TAG \"");
        buf_put_slice(out, v->search_tag);
        buf_puts(out, "\")");
    }
    if (imap_args_peek(&a, &t) && slice_is_nocase(t.text, "UID")) {
        uid = imap_args_atom(&a, &name);
        buf_puts(out, " UID");
    }
    while (!imap_args_done(&a))
        if (!imap_args_atom(&a, &name) || !imap_args_value(&a, &value) ||
            esearch_pair(v, uid, name, value, out) != 0)
            goto bad;
    buf_puts(out, "\r\n");
    return 0;
bad:
    buf_truncate(out, mark);
    return E_PROTO;
}

enum { VANISHED_LINE = 8000 };

void reply_vanished_earlier(struct slice set, struct buf *out)
{
    while (set.n > 0) {
        size_t n = set.n;
        if (n > VANISHED_LINE)
            for (n = VANISHED_LINE; n > 1 && set.p[n] != ',';) /* no range is that long */
                n--;
        buf_puts(out, "* VANISHED (EARLIER) ");
        buf_put(out, set.p, n);
        buf_puts(out, "\r\n");
        set = n < set.n ? slice_make(set.p + n + 1, set.n - n - 1) : slice_str("");
    }
}
