/*
 * LIST and LSUB (RFC 3501 6.3.8, 6.3.9; RFC 5258, 5819, 6154): the new host is asked for everything, the names are those
 * of the view, and the client's patterns and options are looked at here, since patterns do not survive another
 * separator. \HasChildren is told of the view's tree, which may differ from the new host's (INBOX has children where
 * the old host's prefix is "INBOX."). Namespaces that stay on the old host are asked for there, where a pattern may
 * mean them; while that host is away they are left out.
 *
 * Memory: one entry per mailbox while the command lasts. Rejected: a pattern per separator sent to new (levels that
 * contain the other separator would come out wrong); RETURN (STATUS …) sent to new, which would count what is still at
 * home on old.
 */
#include "config.h"
#include "front/list.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_ENTRIES = 200000 };

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
    hash_free(&l->index);
    hash_free(&l->parents);
    hash_free(&l->selected);
    hash_free(&l->beyond);
    hash_free(&l->sent);
    hash_free(&l->by_new);
    list_want_free(&l->want);
    buf_free(&l->tagged);
    free(l);
    *lp = NULL;
}

/* ---- asking ---- */

static bool index_unit(struct unit *u, void *arg)
{
    hash_put(arg, slice_str(unit_record(u)->new_name), u);
    return true;
}

static void put_sep(struct buf *out, char sep)
{
    if (sep == '\0')
        buf_puts(out, " NIL ");
    else
        buf_printf(out, " \"%s%c\" ", sep == '\\' || sep == '"' ? "\\" : "", sep);
}

/* LIST "" "" asks for the separator and the root of the reference (RFC 3501 6.3.8). */
static bool list_root(struct session *s, struct slice reference)
{
    struct name_style style = account_view_style(s->account);
    struct slice prefix = slice_str(style.prefix);
    bool inside = prefix.n > 0 && slice_starts(reference, prefix);
    struct buf *out = session_out(s);
    buf_puts(out, "* LIST (\\Noselect)");
    put_sep(out, style.sep);
    session_put_name(out, inside ? prefix : slice_str(""));
    buf_puts(out, "\r\n");
    session_ok(s, "Listed");
    return true;
}

/* Some name that begins with the prefix may match. */
static bool may_match(const struct list_want *w, struct slice prefix)
{
    for (unsigned i = 0; i < w->n; i++) {
        struct slice p = buf_slice(&w->patterns[i]);
        size_t n = 0;
        while (n < p.n && n < prefix.n && p.p[n] == prefix.p[n])
            n++;
        if (n == prefix.n || n == p.n || p.p[n] == '*' || p.p[n] == '%')
            return true;
    }
    return false;
}

/* Asks old for each namespace of that kind; without a connection it only says whether there is one to ask for. */
static bool ask_namespaces(struct session *s, const char *prefixes, bool send)
{
    struct slice rest = slice_str(prefixes);
    bool any = false;
    while (rest.n > 0) {
        const uint8_t *nl = memchr(rest.p, '\n', rest.n);
        size_t n = nl != NULL ? (size_t)(nl - rest.p) : rest.n;
        struct slice prefix = slice_make(rest.p, n);
        n += nl != NULL;
        rest = slice_make(rest.p + n, rest.n - n);
        if (!may_match(&s->list->want, prefix))
            continue;
        any = true;
        struct buf pattern = {0};
        buf_put_slice(&pattern, prefix);
        buf_putc(&pattern, '*');
        const char *verbs[] = {"LIST", "LSUB"};
        const struct list_want *w = &s->list->want;
        for (int i = 0; send && i < 2; i++) {
            if (i == 0 ? w->lsub : !w->lsub && !w->subscribed)
                continue;
            uint32_t id = imapc_begin(s->old);
            imapc_printf(s->old, "%s \"\" ", verbs[i]);
            imapc_put_string(s->old, buf_slice(&pattern));
            imapc_end(s->old);
            command_flight(s, HOME_OLD, id)->silent = true;
        }
        buf_free(&pattern);
    }
    return any;
}

static bool ask_old(struct session *s, bool send)
{
    bool others = ask_namespaces(s, account_others(s->account), send);
    return ask_namespaces(s, account_shared(s->account), send) || others;
}

static void ask_new(struct session *s)
{
    const struct list_want *w = &s->list->want;
    uint64_t both = CAP_BIT(LIST_EXTENDED) | CAP_BIT(SPECIAL_USE);
    bool ask_use = w->special && (imapc_caps(s->new_) & both) == both;
    if (!w->lsub)
        command_flight(s, HOME_NEW,
                       imapc_command(s->new_, ask_use ? "LIST \"\" \"*\" RETURN (SPECIAL-USE)" : "LIST \"\" \"*\""));
    if (w->lsub || w->subscribed)
        command_flight(s, HOME_NEW, imapc_command(s->new_, "LSUB \"\" \"*\""));
}

bool list_run(struct session *s)
{
    struct lister *l = mem_alloc(sizeof(*l));
    list_free(&s->list);
    s->list = l;
    if (!list_want_parse(&l->want, strcmp(s->row->name, "LSUB") == 0, s->cmd.args, s->offered)) {
        session_bad(s, l->want.error);
        return true;
    }
    if (l->want.root)
        return list_root(s, buf_slice(&l->want.reference));
    if (l->want.condstore)
        session_enable(s, CAP_BIT(CONDSTORE));
    l->sep = account_view_style(s->account).sep;
    l->by_new = hash_new();
    l->index = hash_new();
    account_walk(s->account, index_unit, l->by_new);
    ask_new(s);
    l->phase = ask_old(s, false) ? LIST_ASK_OLD : LIST_GATHER;
    session_enter(s, S_LIST);
    return true;
}

/* ---- what the hosts say ---- */

/*
 * The name in the view, appended; *folder: it holds no messages there. What is no mailbox (a
 * subscription of one that is gone, a level that cannot be selected) is not made one by being
 * listed.
 */
static bool view_name(struct session *s, const struct list_data *d, bool lsub, struct buf *out, bool *folder)
{
    struct lister *l = s->list;
    struct name_style from = account_new_style(s->account), to = account_view_style(s->account);
    struct slice new_name = buf_slice(&d->name);
    bool mailbox = !lsub && !imap_flag_in(d->flags, "\\Noselect") && !imap_flag_in(d->flags, "\\NonExistent");
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

static struct list_entry *entry_find(const struct lister *l, struct slice name)
{
    size_t at = (size_t)(uintptr_t)hash_get(l->index, name);
    return at > 0 ? &l->v[at - 1] : NULL;
}

static struct list_entry *entry_of(struct lister *l, struct slice name)
{
    struct list_entry *there = entry_find(l, name);
    if (there != NULL)
        return there;
    if ((l->n & (l->n - 1)) == 0)
        l->v = mem_grow(l->v, l->n == 0 ? 1 : 2 * l->n, sizeof(*l->v));
    struct list_entry *e = &l->v[l->n++];
    *e = (struct list_entry){.name = slice_dup(name), .flags = mem_strdup("")};
    hash_put(l->index, name, (void *)(uintptr_t)l->n);
    return e;
}

static void note_entry(struct lister *l, struct slice name, struct slice flags, bool lsub, bool folder)
{
    struct list_entry *e = entry_of(l, name);
    if (lsub && !l->want.lsub) {
        e->subscribed = e->subscribed || !imap_flag_in(flags, "\\Noselect");
        return;
    }
    if (e->listed)
        return;
    struct buf kept = {0};
    e->listed = true;
    e->special = list_flags_put(&l->want, flags, &kept);
    if (folder && !imap_flag_in(flags, "\\Noselect") && !imap_flag_in(flags, "\\NonExistent"))
        buf_puts(&kept, kept.len > 0 ? " \\Noselect" : "\\Noselect");
    free(e->flags);
    e->flags = mem_strdup(buf_cstr(&kept));
    buf_free(&kept);
}

void list_line(struct session *s, enum unit_home side, const struct resp_line *line)
{
    struct lister *l = s->list;
    struct list_data d = {0};
    struct buf name = {0};
    bool folder = false;
    bool lsub = slice_is_nocase(buf_slice(&line->name), "LSUB");
    if (l == NULL || l->index == NULL || l->phase > LIST_GATHER || l->n >= MAX_ENTRIES ||
        (lsub ? !l->want.lsub && !l->want.subscribed : l->want.lsub))
        return;
    if (imap_parse_list(buf_slice(&line->buf), &d) == 0) {
        bool ok = side == HOME_OLD ? account_is_others(s->account, buf_slice(&d.name))
                                   : view_name(s, &d, lsub, &name, &folder);
        if (ok)
            note_entry(l, buf_slice(side == HOME_OLD ? &d.name : &name), d.flags, lsub, folder);
    }
    buf_free(&name);
    buf_free(&d.name);
}

/* The old host's are silent: what it refuses is left out. */
void list_done(struct session *s, struct flight *f, const struct resp *r)
{
    struct lister *l = s->list;
    if (f->side == HOME_OLD || l == NULL || l->failed)
        return;
    l->failed = r->cond != COND_OK;
    if (l->failed)
        buf_clear(&l->tagged);
    if (l->failed || l->tagged.len == 0)
        upstream_put_tagged(s, f, r, &l->tagged);
}

/* ---- the answer ---- */

static bool is_selected(const struct lister *l, const struct list_entry *e)
{
    const struct list_want *w = &l->want;
    return (!w->only_subscribed || e->subscribed) && (!w->only_special || e->special) &&
           (e->listed || w->only_subscribed);
}

static void build_tree(struct lister *l)
{
    l->parents = hash_new();
    l->selected = hash_new();
    l->beyond = hash_new();
    l->sent = hash_new();
    for (size_t i = 0; i < l->n; i++) {
        struct slice name = slice_str(l->v[i].name);
        bool selected = l->want.recursive && is_selected(l, &l->v[i]);
        bool shown = selected && list_want_matches(&l->want, name, l->sep);
        for (struct slice p = name_parent(name, l->sep); p.n > 0; p = name_parent(p, l->sep)) {
            if (l->v[i].listed)
                hash_put(l->parents, p, l);
            if (selected)
                hash_put(l->selected, p, l);
            if (selected && !shown)
                hash_put(l->beyond, p, l);
        }
    }
}

static void put_flag(struct buf *out, size_t mark, const char *flag)
{
    buf_printf(out, "%s%s", out->len > mark ? " " : "", flag);
}

static void put_child_info(const struct lister *l, struct buf *out)
{
    const struct list_want *w = &l->want;
    buf_printf(out, " (\"CHILDINFO\" (%s%s%s))", w->only_subscribed ? "\"SUBSCRIBED\"" : "",
               w->only_subscribed && w->only_special ? " " : "", w->only_special ? "\"SPECIAL-USE\"" : "");
}

static void put_entry(struct session *s, struct slice name, const struct list_entry *e)
{
    struct lister *l = s->list;
    const struct list_want *w = &l->want;
    if (hash_get(l->sent, name) != NULL)
        return;
    hash_put(l->sent, name, l);
    struct buf *out = session_out(s);
    const char *flags = e != NULL && e->listed ? e->flags : w->extended ? "\\NonExistent" : "\\Noselect";
    buf_printf(out, "* %s (", w->lsub ? "LSUB" : "LIST");
    size_t mark = out->len;
    buf_puts(out, flags);
    if (w->subscribed && e != NULL && e->subscribed)
        put_flag(out, mark, "\\Subscribed");
    if (!w->lsub && w->children && !imap_flag_in(slice_str(flags), "\\Noinferiors"))
        put_flag(out, mark, hash_get(l->parents, name) != NULL ? "\\HasChildren" : "\\HasNoChildren");
    buf_putc(out, ')');
    put_sep(out, l->sep);
    session_put_name(out, name);
    if (hash_get(l->selected, name) != NULL)
        put_child_info(l, out);
    buf_puts(out, "\r\n");
}

/* Levels that are no mailboxes themselves, but have some below them: "%" finds them, and RECURSIVEMATCH does where what
 * is below was selected, and is not listed itself. */
static void put_parents(struct session *s, struct slice name)
{
    struct lister *l = s->list;
    for (struct slice p = name_parent(name, l->sep); p.n > 0; p = name_parent(p, l->sep)) {
        if (l->want.recursive && hash_get(l->beyond, p) == NULL)
            continue;
        const struct list_entry *e = entry_find(l, p);
        bool itself = e != NULL && (e->listed || l->want.only_subscribed); /* or its subscription only */
        if (!itself && list_want_matches(&l->want, p, l->sep))
            put_entry(s, p, e);
    }
}

static bool has_percent(const struct list_want *w)
{
    for (unsigned i = 0; i < w->n; i++)
        if (memchr(buf_slice(&w->patterns[i]).p, '%', w->patterns[i].len) != NULL)
            return true;
    return false;
}

static void send_entry(struct session *s, struct list_entry *e, bool percent)
{
    struct lister *l = s->list;
    const struct list_want *w = &l->want;
    struct slice name = slice_str(e->name);
    bool selected = is_selected(l, e);
    bool shown = selected || (w->recursive && hash_get(l->beyond, name) != NULL);
    if (shown && list_want_matches(w, name, l->sep)) {
        put_entry(s, name, e);
        e->ask = w->status.len > 0 && e->listed && !imap_flag_in(slice_str(e->flags), "\\Noselect") &&
                 !imap_flag_in(slice_str(e->flags), "\\NonExistent");
    }
    if (w->recursive || (percent && selected && !w->only_subscribed && !w->only_special))
        put_parents(s, name);
}

static bool send_entries(struct session *s)
{
    struct lister *l = s->list;
    bool percent = has_percent(&l->want);
    while (l->at < l->n && !stream_full(s->client)) {
        send_entry(s, &l->v[l->at++], percent);
        if (s->out.len >= FLUSH_AT)
            session_flush(s);
    }
    return l->at == l->n;
}

enum readiness list_old_try(struct session *s)
{
    if (s->beat.fired)
        return STATE_FAILED;
    enum readiness r = host_old_try(s);
    if (r == STATE_BUSY && !timer_running(&s->beat) && !imapc_ready(s->old))
        timer_start(&s->beat, LIST_OLD_MS);
    return r;
}

static bool gather(struct session *s)
{
    struct lister *l = s->list;
    if (l->phase == LIST_ASK_OLD) {
        enum readiness old = list_old_try(s);
        if (old == STATE_BUSY)
            return false;
        if (old == STATE_READY)
            (void)ask_old(s, true);
        l->phase = LIST_GATHER;
    }
    if (s->n_flights > 0)
        return false;
    build_tree(l);
    l->phase = LIST_SEND;
    return true;
}

bool state_list(struct session *s)
{
    struct lister *l = s->list;
    if (l->phase < LIST_SEND && !gather(s))
        return false;
    if (s->midline)
        return false;
    if (!l->failed && l->phase == LIST_SEND) {
        if (!send_entries(s))
            return false;
        l->phase = LIST_STATUS;
        l->at = 0;
    }
    if (!l->failed && !list_status_done(s))
        return false;
    buf_put_slice(&s->out, buf_slice(&l->tagged));
    session_done(s);
    return true;
}
