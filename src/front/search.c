/*
 * Search programs (RFC 3501 6.4.4, RFC 4731, RFC 5032, RFC 5182, RFC 5256, RFC 5267, RFC 7162):
 * every key is known by name with the kinds of its arguments, since only so can a UID set be told
 * from a subject that looks like one. Everything but UID sets and mod-sequences is copied. A key
 * that is not in the table is refused: it might carry a UID or a mod-sequence.
 */
#include "config.h"
#include "front/translate.h"
#include "wherry/imap/caps.h"
#include "wherry/imap/set.h"

enum { MAX_DEPTH = 40 };

/* v: one value as it is, u: set of UIDs, k: another key, m: mod-sequence */
struct search_key {
    const char *name, *args;
    uint64_t needs; /* capability that must have been offered, 0: none */
};

static const struct search_key keys[] = {
    {"ALL", "", 0},
    {"ANSWERED", "", 0},
    {"BCC", "v", 0},
    {"BEFORE", "v", 0},
    {"BODY", "v", 0},
    {"CC", "v", 0},
    {"DELETED", "", 0},
    {"DRAFT", "", 0},
    {"FLAGGED", "", 0},
    {"FROM", "v", 0},
    {"HEADER", "vv", 0},
    {"KEYWORD", "v", 0},
    {"LARGER", "v", 0},
    {"NEW", "", 0},
    {"NOT", "k", 0},
    {"OLD", "", 0},
    {"ON", "v", 0},
    {"OR", "kk", 0},
    {"RECENT", "", 0},
    {"SEEN", "", 0},
    {"SENTBEFORE", "v", 0},
    {"SENTON", "v", 0},
    {"SENTSINCE", "v", 0},
    {"SINCE", "v", 0},
    {"SMALLER", "v", 0},
    {"SUBJECT", "v", 0},
    {"TEXT", "v", 0},
    {"TO", "v", 0},
    {"UID", "u", 0},
    {"UNANSWERED", "", 0},
    {"UNDELETED", "", 0},
    {"UNDRAFT", "", 0},
    {"UNFLAGGED", "", 0},
    {"UNKEYWORD", "v", 0},
    {"UNSEEN", "", 0},
    {"MODSEQ", "m", CAP_BIT(CONDSTORE)},
    {"OLDER", "v", CAP_BIT(WITHIN)},
    {"YOUNGER", "v", CAP_BIT(WITHIN)},
    {"SAVEDATESUPPORTED", "", CAP_BIT(SAVEDATE)},
    {"SAVEDBEFORE", "v", CAP_BIT(SAVEDATE)},
    {"SAVEDON", "v", CAP_BIT(SAVEDATE)},
    {"SAVEDSINCE", "v", CAP_BIT(SAVEDATE)},
};

static const struct search_key *key_find(struct slice name, uint64_t caps)
{
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
        if (slice_is_nocase(name, keys[i].name) && (keys[i].needs & ~caps) == 0)
            return &keys[i];
    return NULL;
}

static enum tr search_value(struct imap_args *a, struct tr_out *out)
{
    struct tok t;
    if (!imap_args_tok(a, &t) || !t.space ||
        (t.kind != TOK_ATOM && t.kind != TOK_QUOTED && t.kind != TOK_LITERAL))
        return tr_bad(out, "Value of a search key expected");
    tr_put(&out->text, &t);
    return TR_OK;
}

/* The key name is part of what is replaced, since "nothing" is another key. */
static enum tr search_uid(const struct tr_view *v, struct imap_args *a, const struct tok *key,
                          struct tr_out *out)
{
    struct tok t;
    if (!imap_args_tok(a, &t) || !t.space || t.kind != TOK_ATOM || v->map == NULL)
        return tr_bad(out, "Set of UIDs expected");
    if (key->space)
        buf_putc(&out->text, ' ');
    size_t mark = out->text.len;
    buf_puts(&out->text, "UID ");
    if (tr_is_saved(v, &t)) {
        buf_puts(&out->text, "$");
        return TR_OK;
    }
    int rc = uidmap_set_to_new(v->map, t.text, &out->text);
    if (rc < 0)
        return tr_bad(out, "Set of UIDs expected");
    if (rc == 0) {
        buf_truncate(&out->text, mark);
        buf_puts(&out->text, "NOT ALL");
    }
    return TR_OK;
}

/* ["/flags/…" priv|shared|all] number (RFC 7162 3.1.5) */
static enum tr search_modseq(const struct tr_view *v, struct imap_args *a, struct tr_out *out)
{
    struct tok t;
    uint64_t n;
    bool ok = imap_args_tok(a, &t) && t.space;
    if (ok && t.kind == TOK_QUOTED) {
        tr_put(&out->text, &t);
        ok = imap_args_tok(a, &t) && t.space && t.kind == TOK_ATOM;
        if (ok)
            tr_put(&out->text, &t);
        ok = ok && imap_args_tok(a, &t) && t.space;
    }
    if (!ok || t.kind != TOK_ATOM || slice_u64(t.text, &n) != 0 || n > INT64_MAX)
        return tr_bad(out, "Mod-sequence expected");
    n = modseq_to_new(&v->modseq, MODSEQ_FROM, n);
    buf_printf(&out->text, " %llu", (unsigned long long)n);
    out->condstore = true;
    return TR_OK;
}

static enum tr search_keys(const struct tr_view *v, struct imap_args *a, struct tr_out *out,
                           unsigned depth, bool inside);

static enum tr search_key(const struct tr_view *v, struct imap_args *a, struct tr_out *out,
                          unsigned depth, bool first)
{
    struct tok t;
    if (depth > MAX_DEPTH)
        return tr_bad(out, "Search is nested too deeply");
    if (!imap_args_tok(a, &t))
        return tr_bad(out, "Search key expected");
    if (t.space == first)
        return tr_bad(out, "One space between search keys expected");
    if (t.kind == TOK_OPEN) {
        tr_put(&out->text, &t);
        return search_keys(v, a, out, depth + 1, true);
    }
    if (t.kind != TOK_ATOM)
        return tr_bad(out, "Search key expected");
    const struct search_key *k = key_find(t.text, v->caps);
    if (k == NULL) {
        if (!imap_set_valid(t.text) && !tr_is_saved(v, &t))
            return tr_bad(out, "Unknown search key");
        if (!tr_put_seqs(v, &t, &out->text))
            buf_puts(&out->text, t.space ? " NOT ALL" : "NOT ALL");
        return TR_OK;
    }
    if (k->args[0] == 'u')
        return search_uid(v, a, &t, out);
    tr_put(&out->text, &t);
    if (k->args[0] == 'm')
        return search_modseq(v, a, out);
    for (const char *p = k->args; *p != '\0'; p++) {
        enum tr r = *p == 'k' ? search_key(v, a, out, depth + 1, false) : search_value(a, out);
        if (r != TR_OK)
            return r;
    }
    return TR_OK;
}

/* Keys up to the end, or up to the closing parenthesis of the list that was just opened. */
static enum tr search_keys(const struct tr_view *v, struct imap_args *a, struct tr_out *out,
                           unsigned depth, bool inside)
{
    for (bool first = inside;; first = false) {
        enum tr r = search_key(v, a, out, depth, first);
        if (r != TR_OK)
            return r;
        struct tok t;
        bool more = imap_args_peek(a, &t);
        if (!more)
            return inside || a->bad ? tr_bad(out, "Closing parenthesis expected") : TR_OK;
        if (t.kind == TOK_CLOSE) {
            if (!inside || !imap_args_tok(a, &t))
                return tr_bad(out, "Parenthesis was never opened");
            tr_put(&out->text, &t);
            return TR_OK;
        }
    }
}

/* RETURN (…) of RFC 4731 and RFC 5182. */
static enum tr search_return(const struct tr_view *v, struct imap_args *a, struct tr_out *out)
{
    static const char *const options[] = {"MIN", "MAX", "ALL", "COUNT"};
    struct tok t;
    if (!imap_args_tok(a, &t) || t.kind != TOK_OPEN)
        return tr_bad(out, "RETURN options expected");
    tr_put(&out->text, &t);
    while (imap_args_tok(a, &t)) {
        tr_put(&out->text, &t);
        if (t.kind == TOK_CLOSE)
            return TR_OK;
        bool ok = false;
        for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++)
            ok = ok || (t.kind == TOK_ATOM && slice_is_nocase(t.text, options[i]));
        if (t.kind == TOK_ATOM && slice_is_nocase(t.text, "SAVE"))
            ok = out->saves = (v->caps & CAP_BIT(SEARCHRES)) != 0;
        if (!ok)
            return tr_bad(out, "Unknown RETURN option");
    }
    return tr_bad(out, "Closing parenthesis expected");
}

/* The first key has a space before it unless it opens the arguments. */
static enum tr search_program(const struct tr_view *v, struct imap_args *a, struct tr_out *out,
                              bool first)
{
    enum tr r = search_key(v, a, out, 0, first);
    if (r != TR_OK || imap_args_done(a))
        return r;
    return search_keys(v, a, out, 0, false);
}

/* RETURN (…) if it is there and known; *any tells. */
static enum tr maybe_return(const struct tr_view *v, uint64_t needs, struct imap_args *a,
                            struct tr_out *out, bool *any)
{
    struct tok t;
    *any = imap_args_peek(a, &t) && slice_is_nocase(t.raw, "RETURN") && (v->caps & needs) != 0;
    if (!*any)
        return TR_OK;
    if (!imap_args_tok(a, &t))
        return tr_bad(out, "RETURN options expected");
    tr_put(&out->text, &t);
    return search_return(v, a, out);
}

enum tr tr_search(const struct tr_view *v, struct imap_args *a, struct tr_out *out)
{
    struct tok t;
    bool first, returns;
    enum tr r = maybe_return(v, CAP_BIT(ESEARCH), a, out, &returns);
    if (r != TR_OK)
        return r;
    first = !returns;
    if (imap_args_peek(a, &t) && slice_is_nocase(t.raw, "CHARSET")) {
        if (!imap_args_tok(a, &t))
            return tr_bad(out, "Charset expected");
        tr_put(&out->text, &t);
        r = search_value(a, out);
        if (r != TR_OK)
            return r;
        first = false;
    }
    return search_program(v, a, out, first);
}

enum tr tr_sort(const struct tr_view *v, struct imap_args *a, struct tr_out *out)
{
    struct tok t;
    bool returns;
    enum tr r = maybe_return(v, CAP_BIT(ESORT), a, out, &returns);
    if (r != TR_OK)
        return r;
    if (!imap_args_tok(a, &t) || t.kind != TOK_OPEN || t.space != returns)
        return tr_bad(out, "Sort criteria expected");
    tr_put(&out->text, &t);
    do {
        if (!imap_args_tok(a, &t) || (t.kind != TOK_ATOM && t.kind != TOK_CLOSE))
            return tr_bad(out, "Sort criteria expected");
        tr_put(&out->text, &t);
    } while (t.kind != TOK_CLOSE);
    r = search_value(a, out);
    return r == TR_OK ? search_program(v, a, out, false) : r;
}

enum tr tr_thread(const struct tr_view *v, struct imap_args *a, struct tr_out *out)
{
    struct tok t;
    if (!imap_args_tok(a, &t) || t.kind != TOK_ATOM)
        return tr_bad(out, "Threading algorithm expected");
    tr_put(&out->text, &t);
    enum tr r = search_value(a, out);
    return r == TR_OK ? search_program(v, a, out, false) : r;
}
