/*
 * Arguments of the commands about mailboxes rather than messages: CREATE with a use (RFC 6154), QUOTA (RFC 9208), ACL
 * (RFC 4314), METADATA (RFC 5464). See translate.h.
 *
 * A quota root may be called like a mailbox of the new host, so it is translated too. Rights, identifiers and the
 * names and values of entries mean the same on both sides and pass on.
 */
#include "config.h"
#include "front/translate.h"
#include "wherry/imap/caps.h"

static bool is_string(const struct tok *t)
{
    return t->kind == TOK_ATOM || t->kind == TOK_QUOTED || t->kind == TOK_LITERAL;
}

static bool is_number(struct slice s)
{
    uint64_t n;
    return slice_u64(s, &n) == 0;
}

enum tr tr_string(struct imap_args *a, struct tr_out *out)
{
    struct tok t;
    if (!imap_args_tok(a, &t) || !is_string(&t))
        return tr_bad(out, "String expected");
    tr_put(&out->text, &t);
    return TR_OK;
}

/* A string for the host that may hold anything but a NUL. */
static void put_string(struct buf *out, struct slice s)
{
    size_t mark = out->len;
    if (imap_put_quoted(out, s))
        return;
    buf_truncate(out, mark);
    buf_printf(out, "{%zu}\r\n", s.n);
    buf_put_slice(out, s);
}

enum tr tr_root(const struct tr_view *v, struct imap_args *a, struct tr_out *out)
{
    struct tok t;
    struct buf view = {0}, root = {0};
    if (!imap_args_tok(a, &t) || !is_string(&t))
        return tr_bad(out, "Quota root expected");
    tr_decode(&view, &t);
    if (v->root_to_new != NULL)
        v->root_to_new(v->arg, buf_slice(&view), &root);
    else
        buf_put_slice(&root, buf_slice(&view));
    if (t.space)
        buf_putc(&out->text, ' ');
    put_string(&out->text, buf_slice(&root));
    buf_free(&view);
    buf_free(&root);
    return TR_OK;
}

enum tr tr_limits(struct imap_args *a, struct tr_out *out)
{
    struct tok t;
    if (!imap_args_tok(a, &t) || t.kind != TOK_OPEN)
        return tr_bad(out, "List of resources and limits expected");
    tr_put(&out->text, &t);
    for (unsigned n = 0; imap_args_tok(a, &t); n++) {
        tr_put(&out->text, &t);
        if (t.kind == TOK_CLOSE)
            return n % 2 == 0 ? TR_OK : tr_bad(out, "Limit expected");
        if (t.kind != TOK_ATOM || (n % 2 == 1 && !is_number(t.text)))
            return tr_bad(out, n % 2 == 1 ? "Limit expected" : "Resource expected");
    }
    return tr_bad(out, "Closing parenthesis expected");
}

/* Flags of special use up to the closing parenthesis. */
static enum tr use_list(struct imap_args *a, struct tr_out *out)
{
    struct tok t;
    if (!imap_args_tok(a, &t) || t.kind != TOK_OPEN)
        return tr_bad(out, "List of uses expected");
    tr_put(&out->text, &t);
    while (imap_args_tok(a, &t)) {
        tr_put(&out->text, &t);
        if (t.kind == TOK_CLOSE)
            return TR_OK;
        if (t.kind != TOK_ATOM || t.text.n < 2 || t.text.p[0] != '\\')
            return tr_bad(out, "Use expected");
    }
    return tr_bad(out, "Closing parenthesis expected");
}

enum tr tr_create(const struct tr_view *v, struct imap_args *a, struct tr_out *out)
{
    struct tok t;
    if (!imap_args_peek(a, &t))
        return TR_OK;
    if (!imap_args_tok(a, &t) || t.kind != TOK_OPEN || (v->caps & CAP_BIT(CREATE_SPECIAL_USE)) == 0)
        return tr_bad(out, "Nothing is expected after the name");
    tr_put(&out->text, &t);
    if (!imap_args_tok(a, &t) || t.kind != TOK_ATOM || !slice_is_nocase(t.text, "USE"))
        return tr_bad(out, "USE expected");
    tr_put(&out->text, &t);
    if (!imap_args_peek(a, &t) || !t.space)
        return tr_bad(out, "List of uses expected");
    enum tr r = use_list(a, out);
    if (r != TR_OK)
        return r;
    if (!imap_args_tok(a, &t) || t.kind != TOK_CLOSE)
        return tr_bad(out, "Closing parenthesis expected");
    tr_put(&out->text, &t);
    return TR_OK;
}

/* ---- METADATA ---- */

/* A mailbox, or "" for what belongs to the server. */
enum tr tr_mailbox_or_server(const struct tr_view *v, struct imap_args *a, struct tr_out *out)
{
    struct tok t;
    if (imap_args_peek(a, &t) && (t.kind == TOK_QUOTED || t.kind == TOK_LITERAL) && t.text.n == 0) {
        (void)imap_args_tok(a, &t);
        buf_puts(&out->text, t.space ? " \"\"" : "\"\"");
        return TR_OK;
    }
    return tr_mailbox(v, a, out);
}

static bool is_entry(const struct tok *t)
{
    return is_string(t) && (t->kind == TOK_LITERAL || (t->text.n > 1 && t->text.p[0] == '/'));
}

/* "(MAXSIZE n DEPTH d)", in any order. */
static enum tr get_options(struct imap_args *a, struct tr_out *out)
{
    struct tok t;
    (void)imap_args_tok(a, &t);
    struct buf *text = &out->text;
    buf_putc(text, '(');
    while (imap_args_tok(a, &t) && t.kind == TOK_ATOM) {
        bool size = slice_is_nocase(t.text, "MAXSIZE"), depth = slice_is_nocase(t.text, "DEPTH");
        tr_put(text, &t);
        if ((!size && !depth) || !imap_args_tok(a, &t) || t.kind != TOK_ATOM || !t.space)
            return tr_bad(out, "MAXSIZE or DEPTH expected");
        if (size ? !is_number(t.text)
                 : !slice_is(t.text, "0") && !slice_is(t.text, "1") && !slice_is_nocase(t.text, "infinity"))
            return tr_bad(out, size ? "Number expected" : "0, 1 or infinity expected");
        tr_put(text, &t);
    }
    if (a->bad || t.kind != TOK_CLOSE)
        return tr_bad(out, "Closing parenthesis expected");
    buf_putc(text, ')');
    return TR_OK;
}

static enum tr get_entries(struct imap_args *a, struct tr_out *out)
{
    struct tok t;
    if (!imap_args_tok(a, &t))
        return tr_bad(out, "Entries expected");
    tr_put(&out->text, &t);
    if (t.kind != TOK_OPEN)
        return is_entry(&t) ? TR_OK : tr_bad(out, "Entries expected");
    for (unsigned n = 0; imap_args_tok(a, &t); n++) {
        tr_put(&out->text, &t);
        if (t.kind == TOK_CLOSE)
            return n > 0 ? TR_OK : tr_bad(out, "Entries expected");
        if (!is_entry(&t))
            return tr_bad(out, "Entry expected");
    }
    return tr_bad(out, "Closing parenthesis expected");
}

/* Reads options from their own cursor: RFC 5464's grammar has them before the mailbox, its examples behind. Both are in
 * use; the host gets them as in the grammar. */
static enum tr lead_options(struct imap_args *a, struct tr_out *out, bool *behind)
{
    struct tok t;
    struct slice skipped;
    struct imap_args ahead = *a;
    *behind = false;
    if (imap_args_peek(a, &t) && t.kind == TOK_OPEN)
        return get_options(a, out);
    if (!imap_args_tok(&ahead, &t) || !imap_args_peek(&ahead, &t) || t.kind != TOK_OPEN)
        return TR_OK;
    struct imap_args options = ahead;
    if (!imap_args_value(&ahead, &skipped) || imap_args_done(&ahead))
        return TR_OK; /* the list of entries */
    *behind = true;
    enum tr r = get_options(&options, out);
    if (r == TR_OK)
        buf_putc(&out->text, ' ');
    return r;
}

enum tr tr_get_metadata(const struct tr_view *v, struct imap_args *a, struct tr_out *out)
{
    struct tok t;
    struct slice skipped;
    bool behind;
    size_t mark = out->text.len;
    enum tr r = lead_options(a, out, &behind);
    if (r != TR_OK)
        return r;
    if (!behind && out->text.len > mark && (!imap_args_peek(a, &t) || !t.space))
        return tr_bad(out, "Mailbox name expected");
    r = tr_mailbox_or_server(v, a, out);
    if (r == TR_BAD)
        return r;
    if (behind)
        (void)imap_args_value(a, &skipped);
    if (!imap_args_peek(a, &t) || !t.space)
        return tr_bad(out, "Entries expected");
    enum tr e = get_entries(a, out);
    return e == TR_OK ? r : e;
}

enum tr tr_set_metadata(struct imap_args *a, struct tr_out *out)
{
    struct tok t;
    if (!imap_args_tok(a, &t) || t.kind != TOK_OPEN)
        return tr_bad(out, "List of entries and values expected");
    tr_put(&out->text, &t);
    for (unsigned n = 0; imap_args_tok(a, &t); n++) {
        tr_put(&out->text, &t);
        if (t.kind == TOK_CLOSE)
            return n > 0 && n % 2 == 0 ? TR_OK : tr_bad(out, "Value expected");
        bool value = t.kind == TOK_QUOTED || t.kind == TOK_LITERAL ||
                     (t.kind == TOK_ATOM && slice_is_nocase(t.text, "NIL"));
        if (n % 2 == 0 ? !is_entry(&t) : !value)
            return tr_bad(out, n % 2 == 0 ? "Entry expected" : "Value expected");
    }
    return tr_bad(out, "Closing parenthesis expected");
}
