/*
 * Which mailbox of old becomes which on new: names chosen so that no two share one, and mailboxes of special use put
 * together with those that the new host has for it.
 */
#include "move/mirror_priv.h"
#include <limits.h>
#include <string.h>

/* Where no attribute says so, the name of a mailbox at the top of the personal namespace does. */
static enum special_use use_of_name(struct mirror *m, const struct mirror_tree *t, struct slice name, unsigned *rank)
{
    struct slice prefix = buf_slice(&t->ns.personal);
    if (prefix.n > 0 && (name.n <= prefix.n || !slice_starts(name, prefix)))
        return USE_NONE;
    name = slice_make(name.p + prefix.n, name.n - prefix.n);
    if (t->sep != '\0' && memchr(name.p, t->sep, name.n) != NULL)
        return USE_NONE;
    return special_of_name(m->account->all->env->settings->special_use, name, rank);
}

static int by_view(const void *a, const void *b)
{
    return strcmp(((const struct mirror_entry *)a)->view, ((const struct mirror_entry *)b)->view);
}

static void set_styles(struct mirror *m)
{
    struct store_account *r = &m->account->rec;
    r->old_sep = m->old.sep;
    r->new_sep = m->new.sep;
    free(r->old_prefix);
    free(r->new_prefix);
    free(r->others);
    free(r->shared);
    r->old_prefix = slice_dup(buf_slice(&m->old.ns.personal));
    r->new_prefix = slice_dup(buf_slice(&m->new.ns.personal));
    r->others = slice_dup(buf_slice(&m->old.ns.others));
    r->shared = slice_dup(buf_slice(&m->old.ns.shared));
}

/* Drops what does not move, adds INBOX where it was not listed, and sorts parents before children. */
static void settle_entries(struct mirror *m)
{
    size_t kept = 0;
    if (mirror_entry_find(m, slice_str("INBOX")) == NULL)
        mirror_entry_add(m, slice_str("INBOX"))->listed = true;
    for (size_t i = 0; i < m->n; i++) {
        struct mirror_entry *e = &m->entries[i];
        if (!e->listed || account_is_others(m->account, slice_str(e->old))) {
            free(e->old);
            continue;
        }
        e->view = mem_strdup(e->old);
        m->entries[kept++] = *e;
    }
    m->n = kept;
    qsort(m->entries, m->n, sizeof(*m->entries), by_view);
}

/* Makes the unit; its name on new is chosen so that no two share one. */
static void choose(struct mirror *m, struct mirror_entry *e)
{
    struct account *a = m->account;
    struct buf name = {0};
    if (e->use_special)
        buf_puts(&name, e->new);
    else if (names_choose_new(a, slice_str(e->view), &name) != 0) {
        e->reason = mem_strdup("the name cannot be expressed on the new host");
        e->exists = true; /* nothing to create */
    }
    free(e->new);
    e->new = slice_dup(buf_slice(&name));
    struct unit *u = unit_new(a, e->folder ? UNIT_FOLDER : UNIT_MAILBOX, UNIT_UNTOUCHED, HOME_OLD,
                              slice_str(e->old), slice_str(e->view), buf_slice(&name));
    unsigned rank;
    u->rec.special = e->special != USE_NONE || use_of_name(m, &m->old, slice_str(e->old), &rank) != USE_NONE;
    if (e->folder || hash_get(m->new.names, buf_slice(&name)) != NULL || name_is_inbox(buf_slice(&name)))
        e->exists = true;
    buf_free(&name);
}

static bool learn_by_name(struct slice name, void *value, void *arg)
{
    struct mirror *m = arg;
    unsigned rank;
    enum special_use use = use_of_name(m, &m->new, name, &rank);
    if (use == USE_NONE || value != &m->new)
        return true;
    bool first = m->new.special[use] == NULL;
    if (!first && rank >= m->new.special_rank[use]) /* an attribute has rank 0 */
        return true;
    free(m->new.special[use]);
    m->new.special[use] = slice_dup(name);
    m->new.special_rank[use] = rank + 1;
    return true;
}

/* How well the mailbox fits the use; the least is best. */
static unsigned rank_for(struct mirror *m, const struct mirror_entry *e, enum special_use use, struct slice namesake)
{
    unsigned rank;
    bool same = slice_is(namesake, e->view);
    if (e->folder || e->use_special || name_is_inbox(slice_str(e->view)))
        return UINT_MAX;
    if (e->special != USE_NONE)
        return e->special != use ? UINT_MAX : same ? 0 : 1;
    if (same)
        return 2;
    return use_of_name(m, &m->old, slice_str(e->view), &rank) == use ? 3 + rank : UINT_MAX;
}

/*
 * "Sent Items (\Sent)" of old goes to the new host's own \Sent, whatever that is called there: the one with the attribute,
 * else the namesake of the new host's, else one with a common name. A namesake that has to give way gets another name.
 */
static void settle_special(struct mirror *m)
{
    struct name_style from = account_new_style(m->account), to = account_view_style(m->account);
    hash_walk(m->new.names, learn_by_name, m);
    for (int use = USE_NONE + 1; use < SPECIAL_USES; use++) {
        struct buf namesake = {0};
        struct mirror_entry *best = NULL;
        unsigned least = UINT_MAX;
        bool exact;
        if (m->new.special[use] == NULL ||
            name_map(slice_str(m->new.special[use]), &from, &to, &namesake, &exact) != 0)
            continue;
        for (size_t i = 0; i < m->n; i++) {
            unsigned rank = rank_for(m, &m->entries[i], (enum special_use)use, buf_slice(&namesake));
            if (rank < least) {
                least = rank;
                best = &m->entries[i];
            }
        }
        if (best != NULL) {
            best->use_special = true;
            best->new = mem_strdup(m->new.special[use]);
        }
        buf_free(&namesake);
    }
}

/* A use that new has no mailbox for goes along with the first one that had it on old. */
static void settle_create_uses(struct mirror *m)
{
    bool given[SPECIAL_USES] = {false};
    if ((imapc_caps(m->new.conn.imap) & CAP_BIT(CREATE_SPECIAL_USE)) == 0)
        return;
    for (size_t i = 0; i < m->n; i++) {
        struct mirror_entry *e = &m->entries[i];
        bool has = m->new.special[e->special] != NULL && m->new.special_rank[e->special] == 0;
        e->create_use = e->special != USE_NONE && !has && !given[e->special] && !e->exists;
        given[e->special] |= e->create_use;
    }
}

/* A second mirror after one that failed begins with an account without units. */
static void forget_units(struct account *a)
{
    for (uint32_t i = 0; i < a->n_units; i++) {
        if (a->units[i] == NULL)
            continue;
        names_del(a, a->units[i]);
        unit_gauges(worker_counters(a->all->env->worker), &a->units[i]->rec, -1);
        unit_free(&a->units[i]);
    }
    free(a->units);
    a->units = NULL;
    a->n_units = a->settled = 0;
    a->rec.next_unit = 1;
}

void mirror_plan(struct mirror *m)
{
    forget_units(m->account);
    set_styles(m);
    settle_entries(m);
    settle_special(m);
    for (size_t i = 0; i < m->n; i++) /* these have their names already */
        if (m->entries[i].use_special)
            choose(m, &m->entries[i]);
    for (size_t i = 0; i < m->n; i++)
        if (!m->entries[i].use_special)
            choose(m, &m->entries[i]);
    settle_create_uses(m);
    m->phase = MI_CREATE;
    m->next = 0;
}

/* ---- a known account ---- */

/* A person made a mailbox of that name on new meanwhile: what is in the other one comes into it, as late mail does. */
static void join(struct mirror *m, struct unit *u, const struct mirror_entry *e, struct store_batch *b)
{
    struct err err = {0};
    if (u->rec.old_name[0] != '\0' || u->rec.home != HOME_NEW || u->rec.kind != UNIT_MAILBOX ||
        unit_map(u, &err) == NULL) {
        log_event(worker_log(m->account->all->env->worker), LOG_WARN, "folder_not_taken",
                  log_s("account", m->account->rec.name), log_s("unit", e->view));
        return;
    }
    free(u->rec.old_name);
    u->rec.old_name = mem_strdup(e->old);
    u->rec.old_uidvalidity = 0;
    u->rec.copied_to = u->rec.straggler_uid = 0;
    u->rec.finished = clock_real_us() / 1000000;
    unit_put_identity(b, u); /* a unit with a name on old must have a map */
    store_put_unit(b, &u->rec);
}

/* True when there is something to be created on new. */
static bool is_wanted(struct mirror *m, struct mirror_entry *e, struct unit *known, struct store_batch *b)
{
    if (e->folder)
        return false;
    if (known != NULL) { /* the process may have ended before it was created */
        if (known->rec.state != UNIT_UNTOUCHED || known->rec.kind != UNIT_MAILBOX ||
            known->rec.new_name[0] == '\0' || name_is_inbox(slice_str(known->rec.new_name)) ||
            !slice_is(slice_str(e->view), known->rec.view_name) ||
            hash_get(m->new.names, slice_str(known->rec.new_name)) != NULL)
            return false;
        e->new = mem_strdup(known->rec.new_name);
        return true;
    }
    struct unit *namesake = account_find(m->account, slice_str(e->view));
    if (namesake != NULL)
        join(m, namesake, e, b);
    return namesake == NULL;
}

void mirror_plan_again(struct mirror *m)
{
    struct account *a = m->account;
    struct store_batch *b = account_batch(a);
    size_t kept = 0;
    settle_entries(m);
    for (size_t i = 0; i < m->n; i++) {
        struct mirror_entry e = m->entries[i];
        if (is_wanted(m, &e, hash_get(m->by_old, slice_str(e.old)), b)) {
            m->entries[kept++] = e;
        } else {
            free(e.old);
            free(e.view);
        }
    }
    m->n = kept;
    for (size_t i = 0; i < m->n; i++)
        if (m->entries[i].new == NULL) {
            choose(m, &m->entries[i]);
            store_put_unit(b, &account_find(a, slice_str(m->entries[i].view))->rec);
        }
    store_put_account(b, &a->rec);
    store_submit(&b, NULL);
    m->phase = MI_CREATE;
    m->next = 0;
}
