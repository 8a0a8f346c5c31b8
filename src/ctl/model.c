/*
 * From the records of the store to sums that add up.
 *
 * A mailbox that a person deleted after its copy keeps what was moved out of it in the sums, and
 * nothing of it is "still to copy". One that was made on the new host has nothing to move and is
 * not counted as moved.
 */
#include "config.h"
#include "ctl.h"
#include <stdlib.h>
#include <string.h>

static void count_messages(struct ctl_counts *c, const struct store_unit *u)
{
    uint64_t settled = u->moved + u->left_behind + u->vanished;
    uint64_t rest = u->found > settled && u->state != UNIT_DELETED ? u->found - settled : 0;
    c->found += settled + rest;
    c->moved += u->moved;
    c->left_behind += u->left_behind;
    c->vanished += u->vanished;
    c->to_copy += rest;
    c->bytes += u->bytes;
    c->stragglers += u->stragglers;
}

/* The part of a mailbox that is over, 0 to 1. */
static double unit_share(const struct store_unit *u)
{
    uint64_t settled = u->moved + u->left_behind + u->vanished;
    if (u->state == UNIT_MOVED)
        return 1;
    if (u->found == 0)
        return 0;
    /* The switch is still to come. */
    double share = (double)settled / (double)u->found;
    return share > 0.99 ? 0.99 : share;
}

void ctl_count_unit(struct ctl_counts *c, const struct store_unit *u)
{
    if (u->kind != UNIT_MAILBOX)
        return;
    count_messages(c, u);
    if (u->state == UNIT_DELETED) {
        c->deleted++;
        return;
    }
    if (u->old_name[0] == '\0') {
        c->made_new++;
        return;
    }
    c->mailboxes++;
    c->untouched += u->state == UNIT_UNTOUCHED;
    c->copying += u->state == UNIT_COPYING;
    c->switching += u->state == UNIT_SWITCHING;
    c->done += u->state == UNIT_MOVED;
    c->failing += u->state != UNIT_MOVED && u->reason[0] != '\0';
    c->share += (unit_share(u) - c->share) / (double)c->mailboxes; /* the mean so far */
}

bool ctl_account_complete(const struct ctl_account *a)
{
    return a->record.state != ACCOUNT_NEW && a->counts.done == a->counts.mailboxes;
}

size_t ctl_accounts_complete(const struct ctl_model *m)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n_accounts; i++)
        n += ctl_account_complete(&m->accounts[i]);
    return n;
}

static void add_counts(struct ctl_counts *to, const struct ctl_counts *c)
{
    if (to->mailboxes + c->mailboxes > 0)
        to->share = (to->share * (double)to->mailboxes + c->share * (double)c->mailboxes) /
                    (double)(to->mailboxes + c->mailboxes);
    to->mailboxes += c->mailboxes;
    to->untouched += c->untouched;
    to->copying += c->copying;
    to->switching += c->switching;
    to->done += c->done;
    to->made_new += c->made_new;
    to->deleted += c->deleted;
    to->failing += c->failing;
    to->found += c->found;
    to->moved += c->moved;
    to->left_behind += c->left_behind;
    to->stragglers += c->stragglers;
    to->vanished += c->vanished;
    to->to_copy += c->to_copy;
    to->bytes += c->bytes;
}

static bool on_account(struct slice key, struct slice value, void *arg)
{
    struct ctl_model *m = arg;
    struct store_account a;
    (void)key;
    if (store_account_decode(&a, value) != 0) {
        m->damaged++;
        return true;
    }
    if ((m->n_accounts & (m->n_accounts - 1)) == 0)
        m->accounts =
            mem_grow(m->accounts, m->n_accounts == 0 ? 1 : 2 * m->n_accounts, sizeof(*m->accounts));
    m->accounts[m->n_accounts++] = (struct ctl_account){.record = a};
    return true;
}

static void note_need(struct ctl_account *a, const struct store_unit *u)
{
    int i = 0;
    if (u->kind != UNIT_MAILBOX || u->state == UNIT_MOVED || u->state == UNIT_DELETED || u->old_name[0] == '\0')
        return;
    while (i < CTL_NEEDING && a->needing[i] != NULL)
        i++;
    if (i < CTL_NEEDING)
        a->needing[i] = mem_strdup(u->view_name);
}

/* Units come in the order of their accounts, as the accounts did. */
struct unit_walk {
    struct ctl_model *m;
    size_t at;
};

static bool on_unit(struct slice key, struct slice value, void *arg)
{
    struct unit_walk *w = arg;
    struct ctl_model *m = w->m;
    struct store_unit u;
    (void)key;
    if (store_unit_decode(&u, value) != 0) {
        m->damaged++;
        return true;
    }
    while (w->at < m->n_accounts && m->accounts[w->at].record.id < u.account)
        w->at++;
    /* An account that came between the two walks is shown next time. */
    if (w->at < m->n_accounts && m->accounts[w->at].record.id == u.account) {
        ctl_count_unit(&m->accounts[w->at].counts, &u);
        note_need(&m->accounts[w->at], &u);
    }
    store_unit_clear(&u);
    return true;
}

int ctl_model_read(struct ctl_model *m, struct store *s, const struct settings *settings,
                   struct err *e)
{
    struct unit_walk w = {.m = m};
    *m = (struct ctl_model){.settings = settings};
    int rc = store_identity_get(s, &m->hosts);
    if (rc == 0)
        rc = store_walk(s, STORE_ACCOUNTS, slice_make(NULL, 0), on_account, m);
    if (rc == 0)
        rc = store_walk(s, STORE_UNITS, slice_make(NULL, 0), on_unit, &w);
    if (rc != 0) {
        ctl_model_free(m);
        return err_set(e, rc, SCOPE_HOST, "the store in %.120s cannot be read (%s)", store_path(s),
                       err_name(rc));
    }
    for (size_t i = 0; i < m->n_accounts; i++)
        add_counts(&m->total, &m->accounts[i].counts);
    return 0;
}

void ctl_model_free(struct ctl_model *m)
{
    for (size_t i = 0; i < m->n_accounts; i++) {
        store_account_clear(&m->accounts[i].record);
        for (int k = 0; k < CTL_NEEDING; k++)
            free(m->accounts[i].needing[k]);
    }
    free(m->accounts);
    buf_free(&m->hosts);
    m->accounts = NULL;
    m->n_accounts = 0;
}

int ctl_model_find(const struct ctl_model *m, const char *name, size_t *index)
{
    struct buf full = {0};
    int rc = E_NOTFOUND;
    buf_puts(&full, name);
    if (strchr(name, '@') == NULL && m->settings->default_domain != NULL)
        buf_printf(&full, "@%s", m->settings->default_domain);
    for (size_t i = 0; i < m->n_accounts; i++) {
        const char *have = m->accounts[i].record.name;
        bool same = slice_is(buf_slice(&full), have) ||
                    (m->settings->fold_case && slice_is_nocase(buf_slice(&full), have));
        if (strcmp(have, name) == 0 || (same && rc != 0)) {
            *index = i;
            rc = 0;
        }
        if (strcmp(have, name) == 0)
            break;
    }
    buf_free(&full);
    return rc;
}
