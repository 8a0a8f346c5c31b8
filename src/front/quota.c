/*
 * Replies that name a mailbox or a quota root and have nothing else to be translated: QUOTA and QUOTAROOT (RFC 9208), ACL,
 * LISTRIGHTS and MYRIGHTS (RFC 4314), METADATA (RFC 5464).
 *
 * Of the latter only the name is held; what follows streams through, since values may be long. A quota root is a name of
 * the host's own choosing: Cyrus takes that of a mailbox, Dovecot one from its configuration. One that a mailbox of new
 * has is shown as that mailbox is called in the view. Any other passes, marked where a mailbox of the view has that name,
 * so that the way back is plain.
 */
#include "config.h"
#include "front/session.h"
#include <string.h>

static const char mark[] = " (quota)";

struct by_new_arg {
    struct slice name;
    struct unit *found;
};

static bool same_new_name(struct unit *u, void *arg)
{
    struct by_new_arg *b = arg;
    if (slice_is(b->name, unit_record(u)->new_name))
        b->found = u;
    return b->found == NULL;
}

/* Without making one known that was not. */
static struct unit *known_new(struct session *s, struct slice name)
{
    struct by_new_arg b = {.name = name};
    account_walk(s->account, same_new_name, &b);
    return b.found;
}

/* Without the mark, when it is one. */
static struct slice unmarked(struct slice root)
{
    size_t n = sizeof(mark) - 1;
    if (root.n <= n || memcmp(root.p + root.n - n, mark, n) != 0)
        return slice_make(root.p, 0);
    return slice_make(root.p, root.n - n);
}

static bool is_mailbox(struct session *s, struct slice view)
{
    struct unit *u = account_find(s->account, view);
    return u != NULL && unit_record(u)->new_name[0] != '\0';
}

void quota_root_to_new(void *arg, struct slice view, struct buf *out)
{
    struct session *s = arg;
    struct slice bare = unmarked(view);
    if (is_mailbox(s, view))
        buf_puts(out, unit_record(account_find(s->account, view))->new_name);
    else if (bare.n > 0 && is_mailbox(s, bare))
        buf_put_slice(out, bare);
    else
        buf_put_slice(out, view);
}

static void root_to_view(struct session *s, enum unit_home side, struct slice root, struct buf *out)
{
    struct unit *u = side == HOME_NEW ? known_new(s, root) : NULL;
    if (u != NULL) {
        buf_puts(out, unit_record(u)->view_name);
        return;
    }
    buf_put_slice(out, root);
    if (side == HOME_NEW && is_mailbox(s, root))
        buf_puts(out, mark);
}

static struct flight *flight_naming(struct session *s, enum unit_home side, struct slice name)
{
    struct list *it;
    list_for_each(it, &s->flights)
    {
        struct flight *f = container_of(it, struct flight, node);
        if (f->side == side && slice_eq(buf_slice(&f->new_name), name))
            return f;
    }
    return NULL;
}

/* The mailbox in the view; false: there is none. "" stands for the server. */
static bool name_to_view(struct session *s, enum unit_home side, struct slice name, struct buf *out)
{
    struct flight *f = flight_naming(s, side, name);
    if (name.n == 0)
        return true;
    if (f != NULL) {
        buf_put_slice(out, buf_slice(&f->view_name));
        return true;
    }
    if (side == HOME_OLD) {
        buf_put_slice(out, name);
        return account_is_others(s->account, name);
    }
    struct unit *u = account_find_new(s->account, name);
    if (u != NULL)
        buf_puts(out, unit_record(u)->view_name);
    return u != NULL;
}

static bool put_root(struct session *s, enum unit_home side, struct imap_args *a, struct buf *out)
{
    struct buf root = {0}, view = {0};
    bool ok = imap_args_astring(a, &root);
    if (ok) {
        root_to_view(s, side, buf_slice(&root), &view);
        session_put_name(out, buf_slice(&view));
    }
    buf_free(&root);
    buf_free(&view);
    return ok;
}

static bool put_roots(struct session *s, enum unit_home side, struct imap_args *a, struct buf *out)
{
    struct buf name = {0}, view = {0};
    bool ok = imap_args_astring(a, &name) && name_to_view(s, side, buf_slice(&name), &view);
    buf_puts(out, "* QUOTAROOT ");
    if (ok)
        session_put_name(out, buf_slice(&view));
    while (ok && !imap_args_done(a)) {
        buf_putc(out, ' ');
        ok = put_root(s, side, a, out);
    }
    buf_free(&name);
    buf_free(&view);
    return ok;
}

void quota_line(struct session *s, enum unit_home side, const struct resp_line *line)
{
    struct imap_args a;
    struct slice values;
    struct buf *out = session_out(s);
    size_t before = out->len;
    imap_args_init(&a, buf_slice(&line->buf));
    bool ok;
    if (slice_is_nocase(buf_slice(&line->name), "QUOTAROOT")) {
        ok = put_roots(s, side, &a, out);
    } else {
        buf_puts(out, "* QUOTA ");
        ok = put_root(s, side, &a, out) && imap_args_value(&a, &values) && imap_args_done(&a);
        if (ok) {
            buf_putc(out, ' ');
            buf_put_slice(out, values);
        }
    }
    if (ok)
        buf_puts(out, "\r\n");
    else
        buf_truncate(out, before);
}

bool named_begin(struct session *s, enum unit_home side, const struct resp_line *line, struct buf *out)
{
    struct imap_args a;
    struct buf name = {0}, view = {0};
    imap_args_init(&a, buf_slice(&line->buf));
    bool ok = imap_args_astring(&a, &name) && name_to_view(s, side, buf_slice(&name), &view);
    if (ok) {
        buf_puts(out, "* ");
        buf_put_slice(out, buf_slice(&line->name));
        buf_putc(out, ' ');
        session_put_name(out, buf_slice(&view));
    }
    buf_free(&name);
    buf_free(&view);
    return ok;
}
