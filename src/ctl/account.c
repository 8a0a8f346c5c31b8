/* wherryctl account: one account, mailbox by mailbox. */
#include "config.h"
#include "ctl.h"
#include <stdlib.h>
#include <string.h>

struct units {
    struct store_unit *v;
    size_t n;
    uint64_t damaged;
};

static bool on_unit(struct slice key, struct slice value, void *arg)
{
    struct units *us = arg;
    (void)key;
    if ((us->n & (us->n - 1)) == 0)
        us->v = mem_grow(us->v, us->n == 0 ? 1 : 2 * us->n, sizeof(*us->v));
    struct store_unit *u = &us->v[us->n];
    if (store_unit_decode(u, value) != 0) {
        us->damaged++;
        return true;
    }
    if (u->state == UNIT_DELETED) /* what was not copied by then never will be */
        u->found = u->moved + u->left_behind + u->vanished;
    us->n++;
    return true;
}

/* INBOX first, the others by name, deleted ones last. */
static int by_name(const void *a, const void *b)
{
    const struct store_unit *x = a, *y = b;
    if ((x->state == UNIT_DELETED) != (y->state == UNIT_DELETED))
        return x->state == UNIT_DELETED ? 1 : -1;
    bool xi = slice_is_nocase(slice_str(x->view_name), "INBOX");
    bool yi = slice_is_nocase(slice_str(y->view_name), "INBOX");
    if (xi != yi)
        return xi ? -1 : 1;
    return strcmp(x->view_name, y->view_name);
}

static const char *state_word(const struct store_unit *u)
{
    if (u->kind == UNIT_FOLDER)
        return u->state == UNIT_DELETED ? unit_state_name(u->state) : "folder";
    if (u->old_name[0] == '\0' && u->state == UNIT_MOVED)
        return "new";
    return unit_state_name(u->state);
}

static void json_unit(struct json *j, const struct store_unit *u)
{
    struct buf name = {0};
    text_mailbox(&name, u->view_name);
    json_open(j, NULL, '{');
    json_str(j, "name", buf_slice(&name));
    json_str(j, "wire_name", slice_str(u->view_name));
    json_str(j, "old_name", slice_str(u->old_name));
    json_str(j, "new_name", slice_str(u->new_name));
    json_str(j, "kind", slice_str(u->kind == UNIT_FOLDER ? "folder" : "mailbox"));
    json_str(j, "state", slice_str(unit_state_name(u->state)));
    json_str(j, "home", slice_str(u->home == HOME_NEW ? "new" : "old"));
    json_num(j, "uidvalidity", u->view_uidvalidity);
    json_num(j, "found", u->found);
    json_num(j, "moved", u->moved);
    json_num(j, "left_behind", u->left_behind);
    json_num(j, "vanished", u->vanished);
    json_num(j, "stragglers", u->stragglers);
    json_num(j, "bytes", u->bytes);
    json_num(j, "attempts", u->attempts);
    json_int(j, "started", u->started);
    json_int(j, "finished", u->finished);
    json_str(j, "reason", slice_str(u->reason));
    json_close(j, '{');
    buf_free(&name);
}

static void json_prefixes(struct json *j, struct slice rest)
{
    while (rest.n > 0) {
        const uint8_t *end = memchr(rest.p, '\n', rest.n);
        size_t n = end == NULL ? rest.n : (size_t)(end - rest.p);
        json_str(j, NULL, slice_make(rest.p, n));
        n += end != NULL;
        rest = slice_make(rest.p + n, rest.n - n);
    }
}

static void account_json(struct buf *out, const struct ctl_account *a, const struct units *us)
{
    struct json j = {.out = out};
    const struct store_account *r = &a->record;
    json_open(&j, NULL, '{');
    json_str(&j, "name", slice_str(r->name));
    json_str(&j, "state", slice_str(account_state_name(r->state)));
    json_int(&j, "first_seen", r->first_seen);
    json_int(&j, "last_seen", r->last_seen);
    json_bool(&j, "complete", ctl_account_complete(a));
    json_num(&j, "bytes", a->counts.bytes);
    json_num(&j, "damaged_records", us->damaged);
    json_open(&j, "not_moved", '[');
    json_prefixes(&j, slice_str(r->others));
    json_prefixes(&j, slice_str(r->shared));
    json_close(&j, '[');
    json_open(&j, "mailboxes", '[');
    for (size_t i = 0; i < us->n; i++)
        if (!unit_is_collection(us->v[i].kind))
            json_unit(&j, &us->v[i]);
    json_close(&j, '[');
    collections_json(&j, us->v, us->n);
    json_close(&j, '{');
    buf_putc(out, '\n');
}

static void put_unit(struct buf *out, const struct store_unit *u, unsigned name_columns)
{
    struct buf name = {0};
    text_mailbox(&name, u->view_name);
    text_put(out, buf_slice(&name), name_columns, name_columns);
    buf_free(&name);
    buf_printf(out, "  %s", state_word(u));
    if (u->found > 0 || (u->state == UNIT_MOVED && u->old_name[0] != '\0')) {
        buf_printf(out, "%*s %8llu %8llu %6llu %8llu  ", 9 - (int)strlen(state_word(u)), "",
                   (unsigned long long)u->found, (unsigned long long)u->moved,
                   (unsigned long long)u->left_behind, (unsigned long long)u->vanished);
        text_put_bytes(out, u->bytes);
    }
    if (u->stragglers > 0)
        buf_printf(out, "  + %llu late", (unsigned long long)u->stragglers);
    buf_putc(out, '\n');
    if (u->reason[0] != '\0' && u->state != UNIT_MOVED && u->state != UNIT_DELETED) {
        buf_printf(out, "    try %u failed: ", (unsigned)u->attempts);
        text_put(out, slice_str(u->reason), 0, 0);
        buf_putc(out, '\n');
    }
}

static void put_head(struct buf *out, const struct ctl_account *a)
{
    const struct store_account *r = &a->record;
    const struct ctl_counts *c = &a->counts;
    text_put(out, slice_str(r->name), 0, 0);
    buf_printf(out, ": %s, first seen ", account_state_name(r->state));
    text_put_time(out, r->first_seen);
    buf_puts(out, ", last seen ");
    text_put_time(out, r->last_seen);
    buf_printf(out, "\n%llu of ", (unsigned long long)c->done);
    text_put_count(out, c->mailboxes, "mailbox", "mailboxes");
    buf_printf(
        out,
        " moved; messages: %llu found = %llu moved + %llu left behind + %llu vanished + %llu to "
        "copy\n\n",
        (unsigned long long)c->found, (unsigned long long)c->moved,
        (unsigned long long)c->left_behind, (unsigned long long)c->vanished,
        (unsigned long long)c->to_copy);
}

static void put_prefixes(struct buf *out, const char *what, const char *prefixes)
{
    struct buf text = {0};
    if (prefixes[0] == '\0')
        return;
    for (const char *p = prefixes; *p != '\0'; p++) {
        if (*p != '\n')
            buf_putc(&text, *p);
        else if (p[1] != '\0')
            buf_puts(&text, ", ");
    }
    buf_printf(out, "\nNot moved, served from the old host (%s): ", what);
    text_put(out, text.len > 0 ? buf_slice(&text) : SLICE_LIT("\"\""), 0, 0);
    buf_putc(out, '\n');
    buf_free(&text);
}

static void account_text(const struct ctl_output *o, const struct ctl_account *a,
                         const struct units *us)
{
    unsigned name = 7;
    for (size_t i = 0; i < us->n; i++) {
        struct buf text = {0};
        if (unit_is_collection(us->v[i].kind))
            continue;
        text_mailbox(&text, us->v[i].view_name);
        unsigned w = text_width(buf_slice(&text));
        buf_free(&text);
        if (w > name)
            name = w;
    }
    unsigned most = o->width > 80 ? o->width - 58 : 22;
    if (name > most)
        name = most;
    put_head(o->out, a);
    text_put(o->out, SLICE_LIT("mailbox"), name, 0);
    buf_puts(o->out, "  state        found    moved   left vanished  bytes\n");
    for (size_t i = 0; i < us->n; i++)
        if (!unit_is_collection(us->v[i].kind))
            put_unit(o->out, &us->v[i], name);
    collections_text(o, us->v, us->n);
    put_prefixes(o->out, "other people's mailboxes", a->record.others);
    put_prefixes(o->out, "shared mailboxes", a->record.shared);
    if (us->damaged > 0)
        buf_printf(o->out, "\n%llu records cannot be read.\n", (unsigned long long)us->damaged);
}

int ctl_show_account(const struct ctl_output *o, struct ctl_model *m, struct store *s, size_t index,
                     struct err *e)
{
    struct units us = {0};
    struct buf key = {0};
    const struct ctl_account *a = &m->accounts[index];
    store_key_account(&key, a->record.id);
    int rc = store_walk(s, STORE_UNITS, buf_slice(&key), on_unit, &us);
    buf_free(&key);
    if (rc != 0) {
        err_set(e, rc, SCOPE_HOST, "the store cannot be read (%s)", err_name(rc));
    } else {
        if (us.n > 0)
            qsort(us.v, us.n, sizeof(*us.v), by_name);
        if (o->json)
            account_json(o->out, a, &us);
        else
            account_text(o, a, &us);
        m->damaged += us.damaged;
    }
    for (size_t i = 0; i < us.n; i++)
        store_unit_clear(&us.v[i]);
    free(us.v);
    return rc;
}
