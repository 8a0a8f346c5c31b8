/*
 * Small responses gathered whole, and what LIST and NAMESPACE say.
 * What: tokens are put together again, literals inline, so that the cursor over arguments reads
 * them. Why: these are short and are needed at once; only bodies are worth streaming. Rejected: a
 * state machine per response.
 */
#include "wherry/imap/resp.h"

static int put(struct resp_line *l, struct slice s, bool space, size_t max)
{
    space = space && l->buf.len > 0;
    if (l->over || l->buf.len + space > max || s.n > max - l->buf.len - space) {
        l->over = true;
        return E_LIMIT;
    }
    if (space)
        buf_putc(&l->buf, ' ');
    buf_put_slice(&l->buf, s);
    return 0;
}

int imap_line_feed(struct resp_line *l, const struct resp *r, size_t max)
{
    switch (r->kind) {
    case RESP_BEGIN:
        buf_clear(&l->buf);
        buf_clear(&l->name);
        l->has_num = r->has_num;
        l->num = r->num;
        l->over = r->name.n > max;
        if (!l->over)
            buf_put_slice(&l->name, r->name);
        return l->over ? E_LIMIT : 0;
    case RESP_TOK:
        return put(l, r->tok.raw, r->tok.space, max);
    case RESP_BYTES:
        return put(l, r->bytes, false, max);
    case RESP_END:
        return l->over ? E_LIMIT : 1;
    default:
        return 0;
    }
}

void imap_line_free(struct resp_line *l)
{
    buf_free(&l->buf);
    buf_free(&l->name);
    *l = (struct resp_line){0};
}

/* What is between the parentheses of a list. */
static bool take_list(struct imap_args *a, struct slice *out)
{
    struct slice raw;
    *out = (struct slice){0};
    if (!imap_args_value(a, &raw) || raw.n < 2 || raw.p[0] != '(')
        return false;
    *out = slice_make(raw.p + 1, raw.n - 2);
    return true;
}

/* A separator: one quoted character, or NIL for none. An empty string is taken for none too. */
static bool take_sep(struct imap_args *a, char *sep)
{
    struct tok t;
    *sep = 0;
    if (!imap_args_tok(a, &t))
        return false;
    if (t.kind == TOK_ATOM)
        return slice_is_nocase(t.text, "NIL");
    if (t.kind != TOK_QUOTED && t.kind != TOK_LITERAL)
        return false;
    struct slice s = t.text;
    if (t.kind == TOK_QUOTED && s.n == 2 && s.p[0] == '\\')
        s = slice_make(s.p + 1, 1);
    if (s.n > 1)
        return false;
    *sep = s.n == 1 ? (char)s.p[0] : 0;
    return true;
}

int imap_parse_list(struct slice line, struct list_data *out)
{
    struct imap_args a;
    size_t before = out->name.len;
    imap_args_init(&a, line);
    if (take_list(&a, &out->flags) && take_sep(&a, &out->sep) && imap_args_astring(&a, &out->name))
        return 0;
    out->flags = (struct slice){0};
    out->sep = 0;
    buf_truncate(&out->name, before);
    return E_PROTO;
}

bool imap_flag_in(struct slice flags, const char *flag)
{
    size_t i = 0;
    while (i < flags.n) {
        size_t first = i;
        while (i < flags.n && flags.p[i] != ' ')
            i++;
        if (slice_is_nocase(slice_make(flags.p + first, i - first), flag))
            return true;
        i++;
    }
    return false;
}

/* One "(prefix sep …)" off the inside of a namespace list. */
static bool take_namespace(struct imap_args *a, struct buf *prefix, char *sep)
{
    struct slice inside;
    struct imap_args item;
    if (!take_list(a, &inside))
        return false;
    imap_args_init(&item, inside);
    return imap_args_astring(&item, prefix) && take_sep(&item, sep);
}

/* A kind of namespace: NIL or a list. The first prefix goes to *sep and prefix, or all to it, one a
 * line. */
static bool take_kind(struct imap_args *a, bool all, struct buf *prefix, char *sep)
{
    struct slice raw;
    struct imap_args list;
    if (!imap_args_value(a, &raw))
        return false;
    if (slice_is_nocase(raw, "NIL"))
        return true;
    if (raw.n < 2 || raw.p[0] != '(')
        return false;
    imap_args_init(&list, slice_make(raw.p + 1, raw.n - 2));
    for (bool first = true; list.rest.n > 0; first = false) {
        struct buf one = {0};
        char c;
        bool ok = take_namespace(&list, &one, &c);
        if (ok && (all || first)) {
            buf_put_slice(prefix, buf_slice(&one));
            if (all)
                buf_putc(prefix, '\n');
            else
                *sep = c;
        }
        buf_free(&one);
        if (!ok)
            return false;
    }
    return true;
}

int imap_parse_namespace(struct slice line, struct namespace_data *out)
{
    struct imap_args a;
    imap_args_init(&a, line);
    *out = (struct namespace_data){0};
    if (take_kind(&a, false, &out->personal, &out->sep) &&
        take_kind(&a, true, &out->others, NULL) && take_kind(&a, true, &out->shared, NULL))
        return 0;
    imap_namespace_free(out);
    return E_PROTO;
}

void imap_namespace_free(struct namespace_data *n)
{
    buf_free(&n->personal);
    buf_free(&n->others);
    buf_free(&n->shared);
    *n = (struct namespace_data){0};
}
