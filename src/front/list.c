/*
 * LIST and LSUB (RFC 3501 6.3.8, 6.3.9): the new host is asked for everything, the names are those
 * of the view, and the client's pattern is matched here, since patterns do not survive another
 * separator. \HasChildren is told of the view's tree, which may differ from the new host's (INBOX
 * has children where the old host's prefix is "INBOX.").
 *
 * Memory: one entry per mailbox while the command lasts. Rejected: a pattern per separator sent to
 * new; levels that contain the other separator would come out wrong.
 */
#include "config.h"
#include "front/session.h"
#include "wherry/base/hash.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_ENTRIES = 200000 };

struct entry {
    char *name, *flags; /* of the view; without brackets */
};

struct lister {
    bool lsub;
    char sep;
    struct buf pattern;
    struct entry *v;
    size_t n, at; /* at: next to be looked at while sending */
    struct hash *names, *parents, *sent;
    struct hash *by_new; /* units by their name on new */
    struct buf tagged;   /* the reply to end with */
};

static bool has_percent(const struct lister *l)
{
    return memchr(buf_slice(&l->pattern).p, '%', l->pattern.len) != NULL;
}

void list_free(struct lister **lp)
{
    struct lister *l = *lp;
    if (l == NULL)
        return;
    for (size_t i = 0; i < l->n; i++) {
        free(l->v[i].name);
        free(l->v[i].flags);
    }
    free(l->v);
    hash_free(&l->names);
    hash_free(&l->parents);
    hash_free(&l->sent);
    hash_free(&l->by_new);
    buf_free(&l->pattern);
    buf_free(&l->tagged);
    free(l);
    *lp = NULL;
}

static bool index_unit(struct unit *u, void *arg)
{
    hash_put(arg, slice_str(unit_record(u)->new_name), u);
    return true;
}

/* LIST "" "" asks for the separator and the root of the reference (RFC 3501 6.3.8). */
static bool list_root(struct session *s, struct slice reference)
{
    struct name_style style = account_view_style(s->account);
    struct slice prefix = slice_str(style.prefix);
    bool inside = prefix.n > 0 && slice_starts(reference, prefix);
    struct buf *out = session_out(s);
    buf_puts(out, "* LIST (\\Noselect) ");
    buf_printf(out, style.sep != '\0' ? "\"%s%c\" " : "NIL ", style.sep == '\\' ? "\\" : "",
               style.sep);
    if (!imap_put_quoted(out, inside ? prefix : slice_str("")))
        buf_puts(out, "\"\"");
    buf_puts(out, "\r\n");
    session_ok(s, "Listed");
    return true;
}

bool list_run(struct session *s)
{
    struct buf reference = {0}, pattern = {0};
    struct imap_args a;
    imap_args_init(&a, s->cmd.args);
    bool ok =
        imap_args_astring(&a, &reference) && imap_args_astring(&a, &pattern) && imap_args_done(&a);
    bool root = ok && pattern.len == 0 && strcmp(s->row->name, "LIST") == 0;
    if (ok && !root) {
        struct lister *l = mem_alloc(sizeof(*l));
        l->lsub = strcmp(s->row->name, "LSUB") == 0;
        l->sep = account_view_style(s->account).sep;
        buf_put_slice(&l->pattern, buf_slice(&reference));
        buf_put_slice(&l->pattern, buf_slice(&pattern));
        l->by_new = hash_new();
        account_walk(s->account, index_unit, l->by_new);
        list_free(&s->list);
        s->list = l;
        uint32_t id = imapc_command(s->new_, "%s \"\" \"*\"", s->row->name);
        command_flight(s, HOME_NEW, id);
        session_enter(s, S_WAIT);
    }
    if (!ok)
        session_bad(s, "A reference and a pattern are expected");
    else if (root)
        list_root(s, buf_slice(&reference));
    buf_free(&reference);
    buf_free(&pattern);
    return true;
}

/*
 * The name in the view, appended; *folder: it holds no messages there. What is no mailbox (a
 * subscription of one that is gone, a level that cannot be selected) is not made one by being
 * listed.
 */
static bool view_name(struct session *s, const struct list_data *d, struct buf *out, bool *folder)
{
    struct lister *l = s->list;
    struct name_style from = account_new_style(s->account), to = account_view_style(s->account);
    struct slice new_name = buf_slice(&d->name);
    bool mailbox = !l->lsub && !imap_flag_in(d->flags, "\\Noselect") &&
                   !imap_flag_in(d->flags, "\\NonExistent");
    struct buf canon = {0};
    name_canon(new_name, from.sep, &canon);
    struct unit *u = hash_get(l->by_new, buf_slice(&canon));
    buf_free(&canon);
    if (u == NULL && mailbox)
        u = account_find_new(s->account, new_name);
    *folder = u != NULL && unit_record(u)->kind == UNIT_FOLDER;
    bool exact;
    if (u == NULL)
        return !mailbox && name_map(new_name, &from, &to, out, &exact) == 0;
    buf_puts(out, unit_record(u)->view_name);
    return out->len > 0;
}

/* Attributes as the host said, but those of children, which the view's tree decides. */
static char *kept_flags(struct slice flags, bool folder)
{
    struct buf out = {0};
    struct imap_args a;
    struct slice f;
    imap_args_init(&a, flags);
    while (imap_args_atom(&a, &f)) {
        if (slice_is_nocase(f, "\\HasChildren") || slice_is_nocase(f, "\\HasNoChildren"))
            continue;
        if (out.len > 0)
            buf_putc(&out, ' ');
        buf_put_slice(&out, f);
    }
    if (folder && !imap_flag_in(flags, "\\Noselect"))
        buf_puts(&out, out.len > 0 ? " \\Noselect" : "\\Noselect");
    char *s = mem_strdup(buf_cstr(&out));
    buf_free(&out);
    return s;
}

void list_line(struct session *s, enum unit_home side, const struct resp_line *line)
{
    struct lister *l = s->list;
    struct list_data d = {0};
    struct buf name = {0};
    bool folder;
    if (l == NULL || side == HOME_OLD || l->n >= MAX_ENTRIES ||
        !slice_is_nocase(buf_slice(&line->name), l->lsub ? "LSUB" : "LIST"))
        return;
    if (imap_parse_list(buf_slice(&line->buf), &d) == 0 && view_name(s, &d, &name, &folder)) {
        if ((l->n & (l->n - 1)) == 0)
            l->v = mem_grow(l->v, l->n == 0 ? 1 : 2 * l->n, sizeof(*l->v));
        l->v[l->n].name = mem_strdup(buf_cstr(&name));
        l->v[l->n++].flags = kept_flags(d.flags, folder);
    }
    buf_free(&name);
    buf_free(&d.name);
}

static void build_tree(struct lister *l)
{
    l->names = hash_new();
    l->parents = hash_new();
    l->sent = hash_new();
    for (size_t i = 0; i < l->n; i++) {
        struct slice name = slice_str(l->v[i].name);
        hash_put(l->names, name, l);
        for (struct slice p = name_parent(name, l->sep); p.n > 0; p = name_parent(p, l->sep))
            hash_put(l->parents, p, l);
    }
}

void list_done(struct session *s, struct flight *f, const struct resp *r)
{
    struct lister *l = s->list;
    if (r->cond != COND_OK) {
        upstream_put_tagged(s, f, r, session_out(s));
        return;
    }
    build_tree(l);
    upstream_put_tagged(s, f, r, &l->tagged);
    session_enter(s, S_LIST);
}

static void put_entry(struct session *s, struct slice name, const char *flags)
{
    struct lister *l = s->list;
    struct buf *out = session_out(s);
    bool children = hash_get(l->parents, name) != NULL;
    if (hash_get(l->sent, name) != NULL)
        return;
    hash_put(l->sent, name, l);
    buf_printf(out, "* %s (%s", l->lsub ? "LSUB" : "LIST", flags);
    if (!l->lsub && !imap_flag_in(slice_str(flags), "\\Noinferiors"))
        buf_printf(out, "%s%s", flags[0] != '\0' ? " " : "",
                   children ? "\\HasChildren" : "\\HasNoChildren");
    if (l->sep == '\0')
        buf_puts(out, ") NIL ");
    else
        buf_printf(out, ") \"%s%c\" ", l->sep == '\\' ? "\\" : "", l->sep);
    size_t mark = out->len;
    if (!imap_put_quoted(out, name)) {
        buf_truncate(out, mark);
        buf_printf(out, "{%zu}\r\n", name.n);
        buf_put_slice(out, name);
    }
    buf_puts(out, "\r\n");
}

/* "%" also finds a level that is no mailbox itself, but has some below it. */
static void put_parents(struct session *s, struct slice name)
{
    struct lister *l = s->list;
    for (struct slice p = name_parent(name, l->sep); p.n > 0; p = name_parent(p, l->sep))
        if (hash_get(l->names, p) == NULL && name_matches(buf_slice(&l->pattern), p, l->sep))
            put_entry(s, p, "\\Noselect");
}

bool state_list(struct session *s)
{
    struct lister *l = s->list;
    if (s->midline)
        return false;
    bool percent = has_percent(l);
    while (l->at < l->n && !stream_full(s->client)) {
        const struct entry *e = &l->v[l->at++];
        struct slice name = slice_str(e->name);
        if (name_matches(buf_slice(&l->pattern), name, l->sep))
            put_entry(s, name, e->flags);
        else if (percent)
            put_parents(s, name);
        if (s->out.len >= FLUSH_AT)
            session_flush(s);
    }
    if (l->at < l->n)
        return false;
    buf_put_slice(&s->out, buf_slice(&l->tagged));
    session_done(s);
    return true;
}
