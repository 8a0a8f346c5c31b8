/*
 * A person's collections begin to move as soon as they are known, at their first sign-in of whichever kind: they are small, and
 * clients look at them every few minutes. As copies that nobody waits for they make room for what is opened. The account is
 * kept, with its password, until each was tried; what fails waits for the next sign-in.
 */
#include "move/dav_priv.h"

static bool wanted(const struct unit *u)
{
    return u != NULL && unit_is_collection(u->rec.kind) && unit_needs_old(u) && u->rec.new_name[0] != '\0' && rest_until_ms(u) == 0;
}

static bool any_wanted(const struct account *a)
{
    for (uint32_t i = 0; i < a->n_units; i++)
        if (wanted(a->units[i]))
            return true;
    return false;
}

void dav_want(struct account *a)
{
    struct accounts *all = a->all;
    if (a->rec.dav != DAV_KNOWN || all->env->dav == NULL || all->sweep.drained || !list_empty(&a->dav_wanting) || !any_wanted(a))
        return;
    list_append(&all->dav_wanting, &a->dav_wanting);
    task_wake(&all->task);
}

static void begin(struct unit *u)
{
    struct accounts *all = u->account->all;
    list_append(&all->sweep.running, &u->swept);
    u->account->movers++;
    worker_counters(all->env->worker)->copies_swept++;
    unit_begin(u);
}

/* A place is left to what its person opens meanwhile. */
static bool room(const struct account *a)
{
    unsigned most = a->all->env->settings->movers_per_account;
    return accounts_room(a->all) && account_room(a) && (most == 1 || a->running < most - 1);
}

static bool run_account(struct account *a)
{
    bool left = false;
    for (uint32_t i = 0; i < a->n_units; i++) {
        struct unit *u = a->units[i];
        if (!wanted(u))
            continue;
        if (!unit_running(u) && !u->in_queue && room(a))
            begin(u);
        left = true;
    }
    return left;
}

void dav_wants_run(struct accounts *all)
{
    struct list *it, *tmp;
    list_for_each_safe(it, tmp, &all->dav_wanting)
    {
        struct account *a = container_of(it, struct account, dav_wanting);
        if (!all->sweep.drained && run_account(a))
            continue;
        list_remove(&a->dav_wanting);
        account_release(a);
    }
}
