/* wherryctl left-behind: the messages and items that the new host refused, and where they are kept. */
#include "config.h"
#include "ctl.h"
#include <stdlib.h>
#include <string.h>

struct lefts {
    struct store_left *v;
    size_t n;
    uint64_t damaged;
};

static bool on_left(struct slice key, struct slice value, void *arg)
{
    struct lefts *ls = arg;
    (void)key;
    if ((ls->n & (ls->n - 1)) == 0)
        ls->v = mem_grow(ls->v, ls->n == 0 ? 1 : 2 * ls->n, sizeof(*ls->v));
    if (store_left_decode(&ls->v[ls->n], value) != 0)
        ls->damaged++;
    else
        ls->n++;
    return true;
}

static const char *account_name(const struct ctl_model *m, uint32_t id)
{
    for (size_t i = 0; i < m->n_accounts; i++) {
        if (m->accounts[i].record.id == id)
            return m->accounts[i].record.name;
    }
    return "?";
}

/* UTF-8 into out. Entries of a mailbox follow one another, so this is asked for once each. */
static void mailbox_name(struct store *s, const struct store_left *l, struct buf *out)
{
    struct store_unit u;
    buf_clear(out);
    if (store_get_unit(s, l->account, l->unit, &u) != 0)
        buf_puts(out, "?");
    else if (unit_is_collection(u.kind))
        buf_puts(out, u.view_name);
    else
        text_mailbox(out, u.view_name);
    store_unit_clear(&u);
}

static void json_left(struct json *j, const struct ctl_model *m, const struct store_left *l,
                      struct slice mailbox)
{
    struct buf file = {0};
    buf_printf(&file, "%s/%s", m->settings->spool_path, l->file);
    json_open(j, NULL, '{');
    json_str(j, "account", slice_str(account_name(m, l->account)));
    json_str(j, "mailbox", mailbox);
    if (l->name[0] != '\0')
        json_str(j, "item", slice_str(l->name));
    else
        json_num(j, "uid", l->old_uid);
    json_num(j, "size", l->size);
    json_int(j, "date", l->date);
    json_int(j, "when", l->when);
    json_str(j, "flags", slice_str(l->flags));
    json_str(j, "file", buf_slice(&file));
    json_str(j, "reason", slice_str(l->reason));
    json_close(j, '{');
    buf_free(&file);
}

static void put_left(struct buf *out, const struct ctl_model *m, const struct store_left *l)
{
    if (l->name[0] != '\0') {
        buf_puts(out, "  ");
        text_put(out, slice_str(l->name), 0, 0);
        buf_puts(out, ", ");
        text_put_bytes(out, l->size);
    } else {
        buf_printf(out, "  UID %u, ", (unsigned)l->old_uid);
        text_put_bytes(out, l->size);
        buf_puts(out, ", of ");
        text_put_time(out, l->date);
    }
    if (l->flags[0] != '\0') {
        buf_puts(out, ", flags ");
        text_put(out, slice_str(l->flags), 0, 0);
    }
    buf_puts(out, "\n    refused: ");
    text_put(out, slice_str(l->reason), 0, 0);
    buf_puts(out, "\n    kept in: ");
    text_put(out, slice_str(m->settings->spool_path), 0, 0);
    buf_putc(out, '/');
    text_put(out, slice_str(l->file), 0, 0);
    buf_putc(out, '\n');
}

static void left_json(struct buf *out, const struct ctl_model *m, struct store *s,
                      const struct lefts *ls)
{
    struct json j = {.out = out};
    struct buf mailbox = {0};
    json_open(&j, NULL, '{');
    json_num(&j, "total", ls->n);
    json_num(&j, "damaged_records", ls->damaged);
    json_open(&j, "left_behind", '[');
    for (size_t i = 0; i < ls->n; i++) {
        const struct store_left *l = &ls->v[i];
        if (i == 0 || l->account != l[-1].account || l->unit != l[-1].unit)
            mailbox_name(s, l, &mailbox);
        json_left(&j, m, l, buf_slice(&mailbox));
    }
    json_close(&j, '[');
    json_close(&j, '{');
    buf_putc(out, '\n');
    buf_free(&mailbox);
}

static void left_text(struct buf *out, const struct ctl_model *m, struct store *s,
                      const struct lefts *ls)
{
    struct buf mailbox = {0};
    for (size_t i = 0; i < ls->n; i++) {
        const struct store_left *l = &ls->v[i];
        if (i == 0 || l->account != l[-1].account || l->unit != l[-1].unit) {
            mailbox_name(s, l, &mailbox);
            buf_puts(out, i == 0 ? "" : "\n");
            text_put(out, slice_str(account_name(m, l->account)), 0, 0);
            buf_puts(out, ", ");
            text_put(out, buf_slice(&mailbox), 0, 0);
            buf_puts(out, ":\n");
        }
        put_left(out, m, l);
    }
    buf_free(&mailbox);
    if (ls->n == 0) {
        buf_puts(out, "Nothing was left behind.\n");
    } else {
        buf_putc(out, '\n');
        bool items = false;
        for (size_t i = 0; i < ls->n; i++)
            items = items || ls->v[i].name[0] != '\0';
        text_put_count(out, ls->n, items ? "message or item" : "message", items ? "messages and items" : "messages");
        buf_puts(out, " left behind.\n");
    }
    if (ls->damaged > 0)
        buf_printf(out, "%llu records cannot be read.\n", (unsigned long long)ls->damaged);
}

int ctl_show_left(const struct ctl_output *o, struct ctl_model *m, struct store *s, size_t index,
                  struct err *e)
{
    struct lefts ls = {0};
    struct buf key = {0};
    if (index != SIZE_MAX)
        store_key_account(&key, m->accounts[index].record.id);
    int rc = store_walk(s, STORE_LEFT, buf_slice(&key), on_left, &ls);
    buf_free(&key);
    if (rc != 0)
        err_set(e, rc, SCOPE_HOST, "the store cannot be read (%s)", err_name(rc));
    else if (o->json)
        left_json(o->out, m, s, &ls);
    else
        left_text(o->out, m, s, &ls);
    m->damaged += ls.damaged;
    for (size_t i = 0; i < ls.n; i++)
        store_left_clear(&ls.v[i]);
    free(ls.v);
    return rc;
}
