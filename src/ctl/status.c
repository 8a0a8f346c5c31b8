/* wherryctl status: how far it is, in all and account by account. */
#include "config.h"
#include "ctl.h"
#include <string.h>

enum { MOST_NEEDING = 5 }; /* accounts in the last line */

static void json_counts(struct json *j, const struct ctl_counts *c, bool complete)
{
    json_open(j, "mailboxes", '{');
    json_num(j, "total", c->mailboxes);
    json_num(j, "untouched", c->untouched);
    json_num(j, "copying", c->copying);
    json_num(j, "switching", c->switching);
    json_num(j, "moved", c->done);
    json_num(j, "made_on_new", c->made_new);
    json_num(j, "deleted", c->deleted);
    json_num(j, "failing", c->failing);
    json_close(j, '{');
    json_open(j, "messages", '{');
    json_num(j, "found", c->found);
    json_num(j, "moved", c->moved);
    json_num(j, "left_behind", c->left_behind);
    json_num(j, "vanished", c->vanished);
    json_num(j, "to_copy", c->to_copy);
    json_close(j, '{');
    json_num(j, "stragglers", c->stragglers);
    json_num(j, "bytes", c->bytes);
    json_bool(j, "complete", complete);
}

/* With nobody known there is nothing of which all could have moved. */
static bool all_complete(const struct ctl_model *m)
{
    return m->n_accounts > 0 && ctl_accounts_complete(m) == m->n_accounts && m->damaged == 0;
}

/* Accounts that have something at home on the old host, or whose mailboxes are not known; and those with whose other
 * namespaces it is still asked. */
static void count_needs(const struct ctl_model *m, size_t *own, size_t *others)
{
    *own = *others = 0;
    for (size_t i = 0; i < m->n_accounts; i++) {
        const struct store_account *a = &m->accounts[i].record;
        *own += !ctl_account_complete(&m->accounts[i]);
        *others += a->others[0] != '\0' || a->shared[0] != '\0';
    }
}

static bool old_host_needed(const struct ctl_model *m)
{
    size_t own, others;
    count_needs(m, &own, &others);
    return m->n_accounts == 0 || m->damaged > 0 || own + others > 0;
}

/* The first of those that are at home on the old host. */
static void json_needing(struct json *j, const struct ctl_account *a)
{
    json_open(j, "needing_old", '[');
    for (int i = 0; i < CTL_NEEDING && a->needing[i] != NULL; i++) {
        struct buf name = {0};
        text_mailbox(&name, a->needing[i]);
        json_str(j, NULL, buf_slice(&name));
        buf_free(&name);
    }
    json_close(j, '[');
}

static void status_json(struct buf *out, const struct ctl_model *m)
{
    struct json j = {.out = out};
    json_open(&j, NULL, '{');
    json_str(&j, "store", slice_str(m->settings->store_path));
    json_str(&j, "hosts", buf_slice(&m->hosts));
    json_open(&j, "accounts", '{');
    json_num(&j, "total", m->n_accounts);
    json_num(&j, "moved", ctl_accounts_complete(m));
    json_close(&j, '{');
    json_counts(&j, &m->total, all_complete(m));
    json_num(&j, "damaged_records", m->damaged);
    json_bool(&j, "old_host_needed", old_host_needed(m));
    json_open(&j, "by_account", '[');
    for (size_t i = 0; i < m->n_accounts; i++) {
        const struct store_account *a = &m->accounts[i].record;
        json_open(&j, NULL, '{');
        json_str(&j, "name", slice_str(a->name));
        json_str(&j, "state", slice_str(account_state_name(a->state)));
        json_int(&j, "first_seen", a->first_seen);
        json_int(&j, "last_seen", a->last_seen);
        json_counts(&j, &m->accounts[i].counts, ctl_account_complete(&m->accounts[i]));
        json_needing(&j, &m->accounts[i]);
        json_close(&j, '{');
    }
    json_close(&j, '[');
    json_close(&j, '{');
    buf_putc(out, '\n');
}

/* Adds ", n what" for what there is of it. */
static void put_some(struct buf *out, uint64_t n, const char *what)
{
    if (n > 0)
        buf_printf(out, ", %llu %s", (unsigned long long)n, what);
}

static void put_totals(struct buf *out, const struct ctl_model *m)
{
    const struct ctl_counts *c = &m->total;
    buf_printf(out, "accounts   %zu: %zu moved\n", m->n_accounts, ctl_accounts_complete(m));
    buf_printf(out, "mailboxes  %llu: %llu moved", (unsigned long long)c->mailboxes,
               (unsigned long long)c->done);
    put_some(out, c->copying, "being copied");
    put_some(out, c->switching, "being switched");
    put_some(out, c->untouched, "untouched");
    put_some(out, c->failing, "with a failure");
    buf_putc(out, '\n');
    if (c->made_new > 0 || c->deleted > 0)
        buf_printf(out, "           besides: %llu made on the new host, %llu deleted\n",
                   (unsigned long long)c->made_new, (unsigned long long)c->deleted);
    buf_printf(
        out,
        "messages   %llu found = %llu moved + %llu left behind + %llu vanished + %llu to copy\n",
        (unsigned long long)c->found, (unsigned long long)c->moved,
        (unsigned long long)c->left_behind, (unsigned long long)c->vanished,
        (unsigned long long)c->to_copy);
    buf_puts(out, "bytes      ");
    text_put_bytes(out, c->bytes);
    buf_puts(out, " moved\n");
    if (c->stragglers > 0)
        buf_printf(out, "late       %llu that reached the old host after the move\n",
                   (unsigned long long)c->stragglers);
}

/* NAME [####....]  50 %  3 of 6 mailboxes  1234 messages */
static void put_account(struct buf *out, const struct ctl_account *a, unsigned name, unsigned bar)
{
    const struct ctl_counts *c = &a->counts;
    double share = ctl_account_complete(a) ? 1 : c->share;
    text_put(out, slice_str(a->record.name), name, name);
    buf_putc(out, ' ');
    text_put_bar(out, share, bar);
    buf_printf(out, " %3u %%  %llu of ", (unsigned)(share * 100), (unsigned long long)c->done);
    text_put_count(out, c->mailboxes, "mailbox", "mailboxes");
    buf_puts(out, ", ");
    text_put_count(out, c->moved, "message", "messages");
    put_some(out, c->left_behind, "left behind");
    put_some(out, c->failing, "with a failure");
    buf_putc(out, '\n');
}

static void put_accounts(struct buf *out, const struct ctl_model *m, unsigned width)
{
    unsigned name = 8, rest;
    for (size_t i = 0; i < m->n_accounts; i++) {
        unsigned w = text_width(slice_str(m->accounts[i].record.name));
        if (w > name)
            name = w;
    }
    if (name > width / 3)
        name = width / 3 < 8 ? 8 : width / 3;
    rest = width > name + 45 ? width - name - 45 : 0;
    for (size_t i = 0; i < m->n_accounts; i++)
        put_account(out, &m->accounts[i], name, rest < 10 ? 10 : rest > 40 ? 40 : rest);
}

static void put_verdict(struct buf *out, const struct ctl_model *m)
{
    const struct ctl_counts *c = &m->total;
    if (m->damaged > 0)
        buf_printf(out, "%llu records of the store cannot be read: these numbers are not all.\n",
                   (unsigned long long)m->damaged);
    if (m->n_accounts == 0) {
        buf_puts(out, "Nobody has signed in yet.\n");
    } else if (all_complete(m)) {
        buf_puts(out, "Everything known has moved.\n");
    } else if (c->done < c->mailboxes) {
        buf_puts(out, "Not all has moved: ");
        text_put_count(out, c->mailboxes - c->done, "mailbox is", "mailboxes are");
        buf_puts(out, " still at home on the old host.\n");
    } else if (m->damaged == 0) {
        buf_puts(out, "Not all has moved: the mailboxes of ");
        text_put_count(out, m->n_accounts - ctl_accounts_complete(m), "account", "accounts");
        buf_puts(out, " are not known yet.\n");
    }
    if (c->left_behind > 0) {
        text_put_count(out, c->left_behind, "message was", "messages were");
        buf_puts(out, " refused by the new host and kept: see wherryctl left-behind.\n");
    }
}

/* "INBOX, Sent and 3 more" */
static void put_needing(struct buf *out, const struct ctl_account *a)
{
    uint64_t rest = a->counts.mailboxes - a->counts.done;
    for (int i = 0; i < CTL_NEEDING && a->needing[i] != NULL; i++) {
        struct buf name = {0};
        text_mailbox(&name, a->needing[i]);
        buf_puts(out, i > 0 ? ", " : " ");
        text_put(out, buf_slice(&name), 0, 40);
        buf_free(&name);
        rest--;
    }
    if (a->record.state == ACCOUNT_NEW)
        buf_puts(out, " all, none is known yet");
    else if (rest > 0)
        buf_printf(out, " and %llu more", (unsigned long long)rest);
}

/* Which they are, as far as a line can hold them. */
static void put_accounts_needing(struct buf *out, const struct ctl_model *m, size_t all)
{
    size_t told = 0;
    buf_puts(out, " (");
    for (size_t i = 0; i < m->n_accounts && told < MOST_NEEDING; i++) {
        if (ctl_account_complete(&m->accounts[i]))
            continue;
        buf_puts(out, told++ > 0 ? "; " : "");
        text_put(out, slice_str(m->accounts[i].record.name), 0, 60);
        buf_putc(out, ':');
        put_needing(out, &m->accounts[i]);
    }
    if (all > told) {
        buf_puts(out, "; and ");
        text_put_count(out, all - told, "account more", "accounts more");
    }
    buf_putc(out, ')');
}

/* The last line: may the old host go? */
static void put_old_host(struct buf *out, const struct ctl_model *m)
{
    size_t own, others;
    count_needs(m, &own, &others);
    if (!old_host_needed(m)) {
        buf_puts(out, "No mailbox known needs the old host any longer; it still checks passwords.\n");
        return;
    }
    buf_puts(out, "The old host is still needed");
    if (own > 0) {
        buf_puts(out, ": mailboxes of ");
        text_put_count(out, own, "account", "accounts");
        buf_puts(out, " are at home there");
        put_accounts_needing(out, m, own);
    } else if (others > 0) {
        buf_puts(out, ": it serves the shared and other people's mailboxes of ");
        text_put_count(out, others, "account", "accounts");
    }
    buf_puts(out, ".\n");
}

/* "imap a|imap b|dav c|dav d": a pair on a line. */
static void put_hosts(struct buf *out, struct slice hosts)
{
    bool second = false;
    if (hosts.n == 0)
        return;
    for (;;) {
        const uint8_t *bar = memchr(hosts.p, '|', hosts.n);
        size_t n = bar != NULL ? (size_t)(bar - hosts.p) : hosts.n;
        text_put(out, slice_make(hosts.p, n), 0, 0);
        buf_puts(out, second || bar == NULL ? "\n" : " -> ");
        second = !second;
        if (bar == NULL)
            break;
        hosts = slice_make(bar + 1, hosts.n - n - 1);
    }
    buf_putc(out, '\n');
}

void ctl_show_status(const struct ctl_output *o, const struct ctl_model *m)
{
    if (o->json) {
        status_json(o->out, m);
        return;
    }
    put_hosts(o->out, buf_slice(&m->hosts));
    put_totals(o->out, m);
    buf_putc(o->out, '\n');
    if (m->n_accounts > 0) {
        put_accounts(o->out, m, o->width);
        buf_putc(o->out, '\n');
    }
    put_verdict(o->out, m);
    put_old_host(o->out, m);
}
