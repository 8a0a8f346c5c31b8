/* What a LIST or LSUB asks for (RFC 3501 6.3.8, RFC 5258, RFC 5819, RFC 6154). See list.h. */
#include "config.h"
#include "front/list.h"

static bool bad(struct list_want *w, const char *why)
{
    w->error = why;
    return false;
}

static bool selection(struct list_want *w, struct imap_args *a)
{
    struct tok t;
    (void)imap_args_tok(a, &t);
    w->extended = true;
    while (imap_args_tok(a, &t) && t.kind == TOK_ATOM) {
        if (slice_is_nocase(t.text, "SUBSCRIBED"))
            w->only_subscribed = w->subscribed = true;
        else if (slice_is_nocase(t.text, "SPECIAL-USE"))
            w->only_special = w->special = true;
        else if (slice_is_nocase(t.text, "RECURSIVEMATCH"))
            w->recursive = true;
        else if (!slice_is_nocase(t.text, "REMOTE")) /* there are no remote mailboxes */
            return bad(w, "Unknown selection option");
    }
    if (a->bad || t.kind != TOK_CLOSE)
        return bad(w, "Closing parenthesis expected");
    if (w->recursive && !w->only_subscribed && !w->only_special)
        return bad(w, "RECURSIVEMATCH needs something to look for");
    return true;
}

static bool add_pattern(struct list_want *w, struct imap_args *a)
{
    struct buf pattern = {0};
    buf_put_slice(&pattern, buf_slice(&w->reference));
    size_t before = pattern.len;
    if (!imap_args_astring(a, &pattern)) {
        buf_free(&pattern);
        return bad(w, "Pattern expected");
    }
    w->root = pattern.len == before;
    w->patterns[w->n++] = pattern;
    return true;
}

static bool patterns(struct list_want *w, struct imap_args *a)
{
    struct tok t;
    if (!imap_args_peek(a, &t) || !t.space)
        return bad(w, "A reference and a pattern are expected");
    if (t.kind != TOK_OPEN || w->lsub)
        return add_pattern(w, a);
    (void)imap_args_tok(a, &t);
    w->extended = true;
    while (imap_args_peek(a, &t) && t.kind != TOK_CLOSE) {
        if (w->n == LIST_PATTERNS)
            return bad(w, "Too many patterns");
        if (!add_pattern(w, a))
            return false;
    }
    w->root = false;
    if (!imap_args_tok(a, &t) || w->n == 0)
        return bad(w, "Pattern expected");
    return true;
}

static bool status_items(struct list_want *w, struct imap_args *a, uint64_t caps)
{
    struct tok t;
    struct tr_out out = {0};
    const struct tr_view v = {.caps = caps};
    bool ok = imap_args_peek(a, &t) && t.space && tr_status(&v, a, &out) == TR_OK;
    struct slice text = buf_slice(&out.text);
    buf_clear(&w->status);
    if (ok) /* without the space that stood before it */
        buf_put_slice(&w->status, slice_make(text.p + 1, text.n - 1));
    w->condstore = out.condstore;
    w->append_limit = out.append_limit;
    tr_clear(&out);
    return ok || bad(w, "List of STATUS items expected");
}

static bool returns(struct list_want *w, struct imap_args *a, uint64_t caps)
{
    struct tok t;
    struct slice word;
    if (imap_args_done(a))
        return true;
    if (w->lsub || !imap_args_peek(a, &t) || !t.space || !imap_args_atom(a, &word) ||
        !slice_is_nocase(word, "RETURN") || !imap_args_tok(a, &t) || t.kind != TOK_OPEN || !t.space)
        return bad(w, "RETURN and a list of options are expected");
    w->extended = true;
    while (imap_args_tok(a, &t) && t.kind == TOK_ATOM) {
        if (slice_is_nocase(t.text, "SUBSCRIBED"))
            w->subscribed = true;
        else if (slice_is_nocase(t.text, "CHILDREN"))
            w->children = true;
        else if (slice_is_nocase(t.text, "SPECIAL-USE"))
            w->special = true;
        else if (!slice_is_nocase(t.text, "STATUS"))
            return bad(w, "Unknown return option");
        else if (!status_items(w, a, caps))
            return false;
    }
    if (t.kind != TOK_CLOSE || !imap_args_done(a))
        return bad(w, "Closing parenthesis expected");
    return true;
}

bool list_want_parse(struct list_want *w, bool lsub, struct slice args, uint64_t caps)
{
    struct imap_args a;
    struct tok t;
    imap_args_init(&a, args);
    w->lsub = lsub;
    bool options = !lsub && imap_args_peek(&a, &t) && t.kind == TOK_OPEN;
    if (options && !selection(w, &a))
        return false;
    if ((options && (!imap_args_peek(&a, &t) || !t.space)) || !imap_args_astring(&a, &w->reference))
        return bad(w, "A reference and a pattern are expected");
    if (!patterns(w, &a) || !returns(w, &a, caps))
        return false;
    w->root = w->root && !lsub && !w->only_subscribed && !w->only_special;
    if (!w->extended)
        w->children = w->special = !lsub;
    return true;
}

void list_want_free(struct list_want *w)
{
    for (unsigned i = 0; i < w->n; i++)
        buf_free(&w->patterns[i]);
    buf_free(&w->reference);
    buf_free(&w->status);
    *w = (struct list_want){0};
}

bool list_want_matches(const struct list_want *w, struct slice name, char sep)
{
    for (unsigned i = 0; i < w->n; i++)
        if (name_matches(buf_slice(&w->patterns[i]), name, sep))
            return true;
    return false;
}

static bool is_special(struct slice flag)
{
    static const char *const uses[] = {"\\All",  "\\Archive", "\\Drafts", "\\Flagged",
                                       "\\Junk", "\\Sent",    "\\Trash",  "\\Important"};
    for (size_t i = 0; i < sizeof(uses) / sizeof(*uses); i++)
        if (slice_is_nocase(flag, uses[i]))
            return true;
    return false;
}

/* What wherryd says itself, from the tree of the view. */
static bool is_own(struct slice flag)
{
    return slice_is_nocase(flag, "\\HasChildren") || slice_is_nocase(flag, "\\HasNoChildren") ||
           slice_is_nocase(flag, "\\Subscribed") || slice_is_nocase(flag, "\\Remote");
}

bool list_flags_put(const struct list_want *w, struct slice flags, struct buf *out)
{
    struct imap_args a;
    struct slice f;
    bool special = false;
    imap_args_init(&a, flags);
    while (imap_args_atom(&a, &f)) {
        bool use = is_special(f);
        special = special || use;
        if (is_own(f) || (use && !w->special && !w->lsub))
            continue;
        if (out->len > 0)
            buf_putc(out, ' ');
        buf_put_slice(out, f);
    }
    return special;
}
