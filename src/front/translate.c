/* The walker of command grammars, and the arguments that are not search programs. See translate.h.
 */
#include "config.h"
#include "front/translate.h"
#include "wherry/imap/caps.h"
#include "wherry/imap/set.h"

enum tr tr_bad(struct tr_out *out, const char *why)
{
    out->error = why;
    return TR_BAD;
}

void tr_clear(struct tr_out *out)
{
    buf_free(&out->text);
    for (unsigned i = 0; i < 2; i++) {
        buf_free(&out->view_name[i]);
        buf_free(&out->new_name[i]);
    }
    out->names = 0;
    out->error = NULL;
    out->uids = (struct slice){0};
    out->by_uid = out->nobody = out->gone = out->saves = false;
    out->condstore = false;
    out->append_limit = false;
    buf_free(&out->select.known);
    out->select = (struct tr_select){.condstore = false};
    buf_free(&out->vanished);
}

void tr_put(struct buf *out, const struct tok *t)
{
    if (t->space)
        buf_putc(out, ' ');
    if (t->kind == TOK_LITERAL) {
        buf_printf(out, "%s{%zu}\r\n", t->binary ? "~" : "", t->text.n);
        buf_put_slice(out, t->text);
    } else {
        buf_put_slice(out, t->raw);
    }
}

void tr_decode(struct buf *out, const struct tok *t)
{
    if (t->kind == TOK_QUOTED)
        imap_unquote(out, t->text);
    else
        buf_put_slice(out, t->text);
}

/* What the last search kept (RFC 5182). The host has it, as the messages that it means. */
bool tr_is_saved(const struct tr_view *v, const struct tok *t)
{
    return t->kind == TOK_ATOM && (v->caps & CAP_BIT(SEARCHRES)) != 0 && slice_is(t->text, "$");
}

bool tr_put_seqs(const struct tr_view *v, const struct tok *t, struct buf *out)
{
    if (v->seqs == NULL || slice_is(t->text, "$")) {
        tr_put(out, t);
        return true;
    }
    size_t mark = out->len;
    if (t->space)
        buf_putc(out, ' ');
    bool any = seqs_set_to_host(v->seqs, t->text, out) > 0;
    if (!any)
        buf_truncate(out, mark);
    return any;
}

static enum tr arg_seq(const struct tr_view *v, struct imap_args *a, struct tr_out *out)
{
    struct tok t;
    if (!imap_args_tok(a, &t) || t.kind != TOK_ATOM ||
        (!imap_set_valid(t.text) && !tr_is_saved(v, &t)))
        return tr_bad(out, "Sequence set expected");
    out->gone = !tr_put_seqs(v, &t, &out->text);
    return TR_OK;
}

/* Of such a set the new host has no message. It is asked all the same, for a UID that none will ever have: then the client
 * hears what else there is to tell, in the form of replies to UID commands, and whether it may do this at all. */
static const char nobody[] = "4294967295";

static enum tr arg_uid(const struct tr_view *v, struct imap_args *a, struct tr_out *out)
{
    struct tok t;
    bool ok = imap_args_tok(a, &t) && t.kind == TOK_ATOM && v->map != NULL;
    bool saved = ok && tr_is_saved(v, &t);
    if (!ok || (!saved && !imap_set_valid(t.text)))
        return tr_bad(out, "Set of UIDs expected");
    out->by_uid = true;
    if (saved) {
        tr_put(&out->text, &t);
        return TR_OK;
    }
    out->uids = t.text;
    if (t.space)
        buf_putc(&out->text, ' ');
    int rc = uidmap_set_to_new(v->map, t.text, &out->text);
    if (rc < 0)
        return tr_bad(out, "Set of UIDs expected");
    out->nobody = rc == 0;
    if (out->nobody)
        buf_puts(&out->text, nobody);
    return TR_OK;
}

enum tr tr_mailbox(const struct tr_view *v, struct imap_args *a, struct tr_out *out)
{
    struct tok t;
    if (out->names >= 2 || !imap_args_tok(a, &t) || t.kind == TOK_OPEN || t.kind == TOK_CLOSE ||
        t.kind == TOK_EOL)
        return tr_bad(out, "Mailbox name expected");
    struct buf *view = &out->view_name[out->names], *new_name = &out->new_name[out->names];
    if (view->len > 0)
        return TR_NAME; /* one before it cannot be */
    tr_decode(view, &t);
    if (v->name_to_new(v->arg, buf_slice(view), new_name) != 0)
        return TR_NAME;
    out->names++;
    if (t.space)
        buf_putc(&out->text, ' ');
    size_t mark = out->text.len;
    if (imap_put_quoted(&out->text, buf_slice(new_name)))
        return TR_OK;
    buf_truncate(&out->text, mark);
    buf_printf(&out->text, "{%zu}\r\n", new_name->len);
    buf_put_slice(&out->text, buf_slice(new_name));
    return TR_OK;
}

/* Items of extensions, where the host has them. */
static bool fetch_extension(const struct tr_view *v, struct slice item)
{
    static const struct {
        const char *name;
        uint64_t needs;
    } items[] = {{"PREVIEW", CAP_BIT(PREVIEW)},
                 {"SAVEDATE", CAP_BIT(SAVEDATE)},
                 {"BINARY[", CAP_BIT(BINARY)},
                 {"BINARY.PEEK[", CAP_BIT(BINARY)},
                 {"BINARY.SIZE[", CAP_BIT(BINARY)}};
    for (size_t i = 0; i < sizeof(items) / sizeof(*items); i++) {
        struct slice want = slice_str(items[i].name);
        bool section = want.p[want.n - 1] == '[';
        if ((v->caps & items[i].needs) != 0 && (section ? item.n > want.n : item.n == want.n) &&
            slice_eq_nocase(slice_make(item.p, want.n), want))
            return true;
    }
    return false;
}

/* What may be fetched. Items that only some servers know could carry names or numbers of the new
 * host. */
static bool fetch_item_known(const struct tr_view *v, struct slice item, struct tr_out *out)
{
    static const char *const whole[] = {"ALL",         "FAST",         "FULL",   "ENVELOPE",
                                        "FLAGS",       "INTERNALDATE", "RFC822", "RFC822.HEADER",
                                        "RFC822.SIZE", "RFC822.TEXT",  "BODY",   "BODYSTRUCTURE",
                                        "UID"};
    static const char *const section[] = {"BODY[", "BODY.PEEK["};
    for (size_t i = 0; i < sizeof(whole) / sizeof(*whole); i++)
        if (slice_is_nocase(item, whole[i]))
            return true;
    if (slice_is_nocase(item, "MODSEQ"))
        return out->condstore = (v->caps & CAP_BIT(CONDSTORE)) != 0;
    for (size_t i = 0; i < sizeof(section) / sizeof(*section); i++) {
        struct slice want = slice_str(section[i]);
        if (item.n > want.n && slice_eq_nocase(slice_make(item.p, want.n), want))
            return true;
    }
    return fetch_extension(v, item);
}

/* "PREVIEW (LAZY)" (RFC 8970): the parentheses are the item's own, and not those of a FETCH modifier. */
static bool fetch_lazy(const struct tok *item, struct imap_args *a, struct tr_out *out)
{
    struct imap_args ahead = *a;
    struct tok t[3];
    if (item->kind != TOK_ATOM || !slice_is_nocase(item->text, "PREVIEW") || !imap_args_peek(&ahead, &t[0]) ||
        t[0].kind != TOK_OPEN || !imap_args_tok(&ahead, &t[0]) || !imap_args_tok(&ahead, &t[1]) ||
        !slice_is_nocase(t[1].text, "LAZY"))
        return true;
    if (!imap_args_tok(&ahead, &t[2]) || t[2].kind != TOK_CLOSE)
        return false;
    for (size_t i = 0; i < 3; i++)
        tr_put(&out->text, &t[i]);
    *a = ahead;
    return true;
}

static enum tr arg_fetch(const struct tr_view *v, struct imap_args *a, struct tr_out *out)
{
    struct tok t;
    if (!imap_args_tok(a, &t))
        return tr_bad(out, "FETCH items expected");
    bool list = t.kind == TOK_OPEN;
    tr_put(&out->text, &t);
    if (!list)
        return t.kind == TOK_ATOM && fetch_item_known(v, t.text, out) && fetch_lazy(&t, a, out)
                   ? TR_OK
                   : tr_bad(out, "Unknown FETCH item");
    unsigned n = 0;
    while (imap_args_tok(a, &t)) {
        tr_put(&out->text, &t);
        if (t.kind == TOK_CLOSE)
            return n > 0 ? TR_OK : tr_bad(out, "FETCH items expected");
        if (t.kind != TOK_ATOM || !fetch_item_known(v, t.text, out) || !fetch_lazy(&t, a, out))
            return tr_bad(out, "Unknown FETCH item");
        n++;
    }
    return tr_bad(out, "Closing parenthesis expected");
}

static enum tr arg_store(const struct tr_view *v, struct imap_args *a, struct tr_out *out)
{
    static const char *const actions[] = {"FLAGS", "FLAGS.SILENT"};
    struct tok t;
    if (imap_args_peek(a, &t) && t.kind == TOK_OPEN) {
        enum tr r = tr_unchanged_since(v, a, out);
        if (r != TR_OK)
            return r;
    }
    if (!imap_args_tok(a, &t) || t.kind != TOK_ATOM)
        return tr_bad(out, "FLAGS, +FLAGS or -FLAGS expected");
    struct slice name = t.text;
    if (name.n > 0 && (name.p[0] == '+' || name.p[0] == '-'))
        name = slice_make(name.p + 1, name.n - 1);
    if (!slice_is_nocase(name, actions[0]) && !slice_is_nocase(name, actions[1]))
        return tr_bad(out, "FLAGS, +FLAGS or -FLAGS expected");
    tr_put(&out->text, &t);
    unsigned n = 0, depth = 0;
    bool closed = false;
    while (!closed && imap_args_peek(a, &t) && imap_args_tok(a, &t)) {
        if (t.kind == TOK_OPEN && n == 0)
            depth++;
        else if (t.kind == TOK_CLOSE && depth > 0)
            closed = true;
        else if (t.kind != TOK_ATOM)
            return tr_bad(out, "Flags expected");
        tr_put(&out->text, &t);
        n++;
    }
    if (n == 0 || (depth > 0 && !closed))
        return tr_bad(out, "Flags expected");
    return TR_OK;
}

enum tr tr_status(const struct tr_view *v, struct imap_args *a, struct tr_out *out)
{
    static const char *const known[] = {"MESSAGES", "RECENT", "UIDNEXT", "UIDVALIDITY", "UNSEEN"};
    struct tok t;
    if (!imap_args_tok(a, &t) || t.kind != TOK_OPEN)
        return tr_bad(out, "List of STATUS items expected");
    tr_put(&out->text, &t);
    unsigned n = 0;
    while (imap_args_tok(a, &t)) {
        tr_put(&out->text, &t);
        if (t.kind == TOK_CLOSE)
            return n > 0 ? TR_OK : tr_bad(out, "List of STATUS items expected");
        bool ok = false;
        for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
            ok = ok || (t.kind == TOK_ATOM && slice_is_nocase(t.text, known[i]));
        if (t.kind == TOK_ATOM && slice_is_nocase(t.text, "HIGHESTMODSEQ"))
            ok = out->condstore = (v->caps & CAP_BIT(CONDSTORE)) != 0;
        if ((v->caps & CAP_BIT(STATUS_SIZE)) != 0)
            ok = ok || (t.kind == TOK_ATOM && slice_is_nocase(t.text, "SIZE"));
        if (t.kind == TOK_ATOM && slice_is_nocase(t.text, "APPENDLIMIT"))
            ok = out->append_limit = (v->caps & CAP_BIT(APPENDLIMIT)) != 0;
        if (!ok)
            return tr_bad(out, "Unknown STATUS item");
        n++;
    }
    return tr_bad(out, "Closing parenthesis expected");
}

/* [(flags)] [date-time]; the text ends with a space, ready for the literal. */
static enum tr arg_append(struct imap_args *a, struct tr_out *out)
{
    struct tok t;
    /* The space before the literal is no token. */
    if (a->rest.n > 0 && a->rest.p[a->rest.n - 1] == ' ')
        a->rest.n--;
    if (imap_args_peek(a, &t) && t.kind == TOK_OPEN) {
        do {
            if (!imap_args_tok(a, &t) ||
                (t.kind != TOK_ATOM && t.kind != TOK_OPEN && t.kind != TOK_CLOSE))
                return tr_bad(out, "Flags expected");
            tr_put(&out->text, &t);
        } while (t.kind != TOK_CLOSE);
    }
    if (imap_args_peek(a, &t)) {
        if (!imap_args_tok(a, &t) || t.kind != TOK_QUOTED)
            return tr_bad(out, "Flags, date-time or message expected");
        tr_put(&out->text, &t);
    }
    if (a->bad)
        return tr_bad(out, "Flags, date-time or message expected");
    buf_putc(&out->text, ' ');
    return TR_OK;
}

static enum tr argument(char kind, const struct tr_view *v, struct imap_args *a, struct tr_out *out)
{
    switch (kind) {
    case 'q':
        return arg_seq(v, a, out);
    case 'u':
        return arg_uid(v, a, out);
    case 'm':
        return tr_mailbox(v, a, out);
    case 'i':
        return arg_fetch(v, a, out);
    case 'a':
        return arg_store(v, a, out);
    case 'l':
        return tr_status(v, a, out);
    case 'c':
        return tr_changed_since(v, a, out);
    case 'p':
        return tr_select_params(v, a, out);
    case 'w':
        return arg_append(a, out);
    case 's':
        return tr_search(v, a, out);
    case 'o':
        return tr_sort(v, a, out);
    case 't':
        return tr_thread(v, a, out);
    case 'C':
        return tr_create(v, a, out);
    case 'n':
        return tr_string(a, out);
    case 'r':
        return tr_root(v, a, out);
    case 'L':
        return tr_limits(a, out);
    case 'g':
        return tr_get_metadata(v, a, out);
    case 'M':
        return tr_mailbox_or_server(v, a, out);
    case 'e':
        return tr_set_metadata(a, out);
    default:
        return tr_bad(out, "Arguments make no sense");
    }
}

/* Syntax comes first: a strange name must not hide a mistake that follows it. */
enum tr tr_command(const char *grammar, const struct tr_view *v, struct slice args,
                   struct tr_out *out)
{
    struct imap_args a;
    imap_args_init(&a, args);
    enum tr result = TR_OK;
    for (const char *g = grammar; *g != '\0'; g++) {
        struct tok t;
        if (*g != 'w' && imap_args_peek(&a, &t) && t.space != (g != grammar))
            return tr_bad(out, g == grammar ? "Too many spaces" : "Space expected");
        enum tr r = argument(*g, v, &a, out);
        if (r == TR_BAD)
            return r;
        if (r == TR_NAME)
            result = r;
    }
    if (!imap_args_done(&a))
        return tr_bad(out, "Too many arguments, or a string is not closed");
    return result;
}
