/* wherryctl verify: what the comparison of both hosts found, mailbox by mailbox while it goes on. */
#include "config.h"
#include "ctl.h"
#include "wherry/verify/verify.h"
#include <stdio.h>
#include <string.h>

enum { MOST_DIFFERENCES = 20 }; /* of a mailbox that are told one by one */

struct telling {
    const struct ctl_output *o;
    struct json json;
    struct buf name; /* of the account */
    uint64_t mailboxes, same, differs, failed;
    uint64_t accounts, accounts_failed;
    bool named;
};

/* Long runs are to be followed, and nothing is gathered. */
static void flush(const struct ctl_output *o)
{
    struct slice s = buf_slice(o->out);
    if (o->keep)
        return;
    (void)fwrite(s.p, 1, s.n, stdout); /* what fails here fails at the end, too */
    (void)fflush(stdout);
    buf_clear(o->out);
}

static void put_some(struct buf *out, uint64_t n, const char *what)
{
    if (n > 0)
        buf_printf(out, ", %llu %s", (unsigned long long)n, what);
}

static void put_difference(struct buf *out, const struct verify_difference *d)
{
    if (d->old_uid != 0)
        buf_printf(out, "      UID %u", (unsigned)d->old_uid);
    else
        buf_printf(out, "      UID %u of the new host", (unsigned)d->new_uid);
    if (d->old_uid != 0 && d->new_uid != 0)
        buf_printf(out, " (new %u)", (unsigned)d->new_uid);
    buf_printf(out, " %s", verify_kind_text(d->kind));
    if (d->detail[0] != '\0') {
        buf_puts(out, ": ");
        text_put(out, slice_str(d->detail), 0, 0);
    }
    buf_putc(out, '\n');
}

static void put_mailbox(struct telling *t, const struct verify_mailbox *m)
{
    struct buf *out = t->o->out;
    struct buf name = {0};
    if (!t->named) {
        text_put(out, buf_slice(&t->name), 0, 0);
        buf_puts(out, ":\n");
        t->named = true;
    }
    text_mailbox(&name, m->unit->view_name);
    buf_puts(out, m->err.code != 0 || m->differs > 0 ? "  ! " : "    ");
    text_put(out, buf_slice(&name), 0, 0);
    buf_printf(out, ": %llu the same", (unsigned long long)m->same);
    put_some(out, m->changed, "with flags that were changed since");
    put_some(out, m->gone_new, "expunged since");
    put_some(out, m->gone_old, "gone from the old host since");
    put_some(out, m->added, "new since");
    put_some(out, m->brought, "brought over later");
    put_some(out, m->left_behind, "left behind and kept");
    put_some(out, m->differs, m->differs == 1 ? "difference" : "differences");
    buf_putc(out, '\n');
    for (size_t i = 0; i < m->n; i++)
        put_difference(out, &m->first[i]);
    if (m->differs > m->n)
        buf_printf(out, "      and %llu more\n", (unsigned long long)(m->differs - m->n));
    if (m->err.code != 0) {
        buf_puts(out, "      not compared to the end: ");
        text_put(out, slice_str(m->err.text), 0, 0);
        buf_putc(out, '\n');
    }
    buf_free(&name);
}

static void json_differences(struct json *j, const struct verify_mailbox *m)
{
    json_open(j, "differ", '{');
    for (unsigned k = 0; k < VERIFY_KINDS; k++)
        json_num(j, verify_kind_name((enum verify_kind)k), m->differ[k]);
    json_close(j, '{');
    json_open(j, "differences", '[');
    for (size_t i = 0; i < m->n; i++) {
        json_open(j, NULL, '{');
        json_str(j, "kind", slice_str(verify_kind_name(m->first[i].kind)));
        json_num(j, "uid", m->first[i].old_uid);
        json_num(j, "new_uid", m->first[i].new_uid);
        json_str(j, "detail", slice_str(m->first[i].detail));
        json_close(j, '{');
    }
    json_close(j, '[');
}

static void json_mailbox(struct json *j, const struct telling *t, const struct verify_mailbox *m)
{
    struct buf name = {0};
    text_mailbox(&name, m->unit->view_name);
    json_open(j, NULL, '{');
    json_str(j, "account", buf_slice(&t->name));
    json_str(j, "mailbox", buf_slice(&name));
    json_num(j, "on_old", m->on_old);
    json_num(j, "on_new", m->on_new);
    json_num(j, "same", m->same);
    json_num(j, "changed", m->changed);
    json_num(j, "gone_new", m->gone_new);
    json_num(j, "gone_old", m->gone_old);
    json_num(j, "added", m->added);
    json_num(j, "brought", m->brought);
    json_num(j, "left_behind", m->left_behind);
    json_num(j, "total_differences", m->differs);
    json_differences(j, m);
    json_str(j, "error", slice_str(m->err.code != 0 ? m->err.text : ""));
    json_close(j, '{');
    buf_free(&name);
}

static void on_mailbox(const struct verify_mailbox *m, void *arg)
{
    struct telling *t = arg;
    t->mailboxes++;
    t->same += m->same;
    t->differs += m->differs;
    t->failed += m->err.code != 0;
    if (t->o->json)
        json_mailbox(&t->json, t, m);
    else
        put_mailbox(t, m);
    flush(t->o);
}

static void one_account(struct telling *t, struct verify *v, const struct ctl_account *a)
{
    struct err e = {0};
    buf_clear(&t->name);
    buf_puts(&t->name, a->record.name);
    t->named = false;
    t->accounts++;
    if (verify_account(v, &a->record, &e) == 0)
        return;
    t->accounts_failed++;
    struct buf *out = t->o->out;
    if (t->o->json) {
        json_open(&t->json, NULL, '{');
        json_str(&t->json, "account", buf_slice(&t->name));
        json_str(&t->json, "error", slice_str(e.text));
        json_close(&t->json, '{');
    } else {
        text_put(out, buf_slice(&t->name), 0, 0);
        buf_puts(out, ": not compared: ");
        text_put(out, slice_str(e.text), 0, 0);
        buf_putc(out, '\n');
    }
    flush(t->o);
}

static void put_verdict(struct telling *t)
{
    struct buf *out = t->o->out;
    buf_putc(out, '\n');
    text_put_count(out, t->mailboxes, "mailbox of ", "mailboxes of ");
    text_put_count(out, t->accounts, "account", "accounts");
    buf_printf(out, ": %llu messages are the same on both hosts; ", (unsigned long long)t->same);
    if (t->differs == 0)
        buf_puts(out, "nothing differs");
    else
        text_put_count(out, t->differs, "difference", "differences");
    if (t->failed > 0 || t->accounts_failed > 0) {
        buf_puts(out, "; not compared to the end: ");
        text_put_count(out, t->accounts_failed, "account, ", "accounts, ");
        text_put_count(out, t->failed, "mailbox", "mailboxes");
    }
    buf_puts(out, ".\n");
}

bool ctl_verify(const struct ctl_output *o, const struct ctl_model *m, struct store *s, size_t index,
                const struct ctl_verify *how)
{
    struct telling t = {.o = o, .json = {.out = o->out}};
    struct verify v = {.settings = m->settings,
                       .store = s,
                       .digest = how->digest,
                       .password = how->password,
                       .most = MOST_DIFFERENCES,
                       .cb = on_mailbox,
                       .arg = &t};
    if (o->json) {
        json_open(&t.json, NULL, '{');
        json_open(&t.json, "mailboxes", '[');
    }
    for (size_t i = 0; i < m->n_accounts; i++)
        if (index == SIZE_MAX || index == i)
            one_account(&t, &v, &m->accounts[i]);
    if (o->json) {
        json_close(&t.json, '[');
        json_num(&t.json, "accounts", t.accounts);
        json_num(&t.json, "same", t.same);
        json_num(&t.json, "differences", t.differs);
        json_num(&t.json, "not_compared", t.failed + t.accounts_failed);
        json_close(&t.json, '{');
        buf_putc(o->out, '\n');
    } else {
        put_verdict(&t);
    }
    buf_free(&t.name);
    return t.differs == 0 && t.failed == 0 && t.accounts_failed == 0;
}
