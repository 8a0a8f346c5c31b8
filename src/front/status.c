/*
 * STATUS (RFC 3501 6.3.10): answered by the home of the mailbox. The numbers of one that is at home
 * on old are those of the view already.
 */
#include "config.h"
#include "front/session.h"
#include "wherry/imap/caps.h"
#include <string.h>

bool status_items_for(struct imapc *c, struct slice items, struct buf *out)
{
    struct imap_args a;
    struct tok t;
    bool sized = (imapc_caps(c) & CAP_BIT(STATUS_SIZE)) != 0, own = false;
    bool condstore = (imapc_caps(c) & CAP_BIT(CONDSTORE)) != 0;
    imap_args_init(&a, items);
    while (imap_args_tok(&a, &t)) {
        bool is_modseq = slice_is_nocase(t.text, "HIGHESTMODSEQ");
        bool is_limit = slice_is_nocase(t.text, "APPENDLIMIT");
        own = own || is_modseq || is_limit;
        if (t.kind != TOK_ATOM || (slice_is_nocase(t.text, "SIZE") && !sized) || (is_modseq && !condstore) || is_limit)
            continue;
        buf_putc(out, out->len == 0 ? '(' : ' ');
        buf_put_slice(out, t.text);
    }
    if (out->len == 0 && own) /* it is told without the host */
        buf_puts(out, "(MESSAGES");
    buf_putc(out, ')');
    return out->len > 1;
}

/* What the host does not know is left out of its answer; that alone it cannot be asked. */
static bool cut_items(struct session *s)
{
    struct imap_args a;
    struct slice name;
    struct buf items = {0};
    imap_args_init(&a, buf_slice(&s->args.text));
    bool ok = imap_args_value(&a, &name) && status_items_for(session_host(s, s->target), a.rest, &items);
    if (ok) {
        buf_truncate(&s->args.text, s->args.text.len - a.rest.n);
        buf_putc(&s->args.text, ' ');
        buf_put_slice(&s->args.text, buf_slice(&items));
    }
    buf_free(&items);
    return ok;
}

bool status_run(struct session *s)
{
    struct unit *u = account_find(s->account, buf_slice(&s->args.view_name[0]));
    if (u != NULL && unit_record(u)->kind == UNIT_FOLDER) {
        session_no(s, "[CANNOT] That name holds mailboxes, but no messages");
        return true;
    }
    if (!cut_items(s)) {
        session_no(s, "[CANNOT] The old server, where this mailbox is, does not know that");
        return true;
    }
    return command_forward(s);
}

/* The command that the line answers: by name, else the first that has no answer yet. */
static struct flight *flight_of(struct session *s, enum unit_home side, struct slice name)
{
    struct flight *first = NULL;
    struct list *it;
    list_for_each(it, &s->flights)
    {
        struct flight *f = container_of(it, struct flight, node);
        if (f->side != side || f->answered || f->row->run != status_run)
            continue;
        if (slice_eq(buf_slice(&f->new_name), name))
            return f;
        if (first == NULL)
            first = f;
    }
    return first;
}

struct status_view {
    enum unit_home side;
    const struct uidmap *map;
    uint32_t uidvalidity;
    uint64_t modseq_shift;
    bool modseq; /* CONDSTORE was offered */
    bool modseq_told;
};

static void put_pair(struct status_view *v, struct slice name, uint64_t n, struct buf *out,
                     bool *first)
{
    bool pass = slice_is_nocase(name, "MESSAGES") || slice_is_nocase(name, "RECENT") ||
                slice_is_nocase(name, "UNSEEN") || slice_is_nocase(name, "SIZE");
    if (slice_is_nocase(name, "UIDNEXT") && (v->side == HOME_OLD || v->map != NULL)) {
        if (v->side == HOME_NEW)
            n = n <= UINT32_MAX ? uidmap_next_to_view(v->map, (uint32_t)n) : 0;
        pass = n != 0;
    } else if (slice_is_nocase(name, "UIDVALIDITY") &&
               (v->side == HOME_OLD || v->uidvalidity != 0)) {
        if (v->side == HOME_NEW)
            n = v->uidvalidity;
        pass = n != 0;
    } else if (slice_is_nocase(name, "HIGHESTMODSEQ") && v->modseq &&
               (v->side == HOME_OLD || v->map != NULL)) {
        if (v->side == HOME_NEW)
            n = modseq_to_view(v->modseq_shift, n);
        pass = v->modseq_told = true;
    }
    if (!pass)
        return;
    if (!*first)
        buf_putc(out, ' ');
    *first = false;
    buf_put_slice(out, name);
    buf_putc(out, ' ');
    reply_put_num(out, n);
}

/* Walks "(NAME n NAME n)"; with find set only that number is wanted, else all go to out. */
static bool walk_pairs(struct slice list, const char *find, uint64_t *found, struct status_view *v,
                       struct buf *out)
{
    struct imap_args a;
    struct tok t;
    struct slice name, value;
    bool first = true;
    imap_args_init(&a, list);
    if (!imap_args_tok(&a, &t) || t.kind != TOK_OPEN)
        return false;
    while (imap_args_peek(&a, &t) && t.kind == TOK_ATOM) {
        uint64_t n;
        if (!imap_args_atom(&a, &name) || !imap_args_value(&a, &value))
            return false;
        if (slice_u64(value, &n) != 0)
            continue;
        if (find == NULL)
            put_pair(v, name, n, out, &first);
        else if (slice_is_nocase(name, find))
            *found = n;
    }
    return true;
}

/* Who the mailbox is on new decides about the map, so its UIDVALIDITY is looked at first. */
static void look_up(struct session *s, struct flight *f, struct slice pairs, struct status_view *v)
{
    struct err e = {0};
    uint64_t n = 0;
    struct unit *u = account_find(s->account, buf_slice(&f->view_name));
    if (u == NULL)
        u = account_find_new(s->account, buf_slice(&f->new_name));
    if (u == NULL || !walk_pairs(pairs, "UIDVALIDITY", &n, v, NULL))
        return;
    if (n > 0 && n <= UINT32_MAX) {
        int rc = unit_check_uidvalidity(u, (uint32_t)n);
        if (rc != 0 && rc != E_CORRUPT)
            return;
    }
    v->map = unit_map(u, &e);
    v->uidvalidity = unit_record(u)->view_uidvalidity;
    v->modseq_shift = unit_record(u)->modseq_shift;
}

void status_line(struct session *s, enum unit_home side, struct slice line)
{
    struct imap_args a;
    struct buf name = {0};
    imap_args_init(&a, line);
    bool ok = imap_args_astring(&a, &name);
    struct flight *f = ok ? flight_of(s, side, buf_slice(&name)) : NULL;
    buf_free(&name);
    if (f == NULL)
        return;
    f->answered = true;
    struct slice pairs = a.rest;
    if (pairs.n > 0 && pairs.p[0] == ' ')
        pairs = slice_make(pairs.p + 1, pairs.n - 1);
    struct status_view v = {.side = side, .modseq = s->view.highest};
    if (side == HOME_NEW)
        look_up(s, f, pairs, &v);
    struct buf *out = session_out(s);
    buf_puts(out, "* STATUS ");
    if (!imap_put_astring(out, buf_slice(&f->view_name)))
        session_put_name(out, buf_slice(&f->view_name));
    buf_puts(out, " (");
    size_t mark = out->len;
    (void)walk_pairs(pairs, NULL, NULL, &v, out);
    if (f->modseq && !v.modseq_told) /* RFC 7162 3.1.7: none are kept */
        buf_puts(out, out->len > mark ? " HIGHESTMODSEQ 0" : "HIGHESTMODSEQ 0");
    if (f->append_limit) /* RFC 7889 section 3.2: for all mailboxes the same */
        buf_printf(out, "%sAPPENDLIMIT %llu", out->len > mark ? " " : "",
                   (unsigned long long)session_append_limit(s));
    buf_puts(out, ")\r\n");
}
