/*
 * Accounts in memory: loaded at the first sign-in, kept while a session or a mover needs them, and forgotten only
 * after all they wrote is committed (a reload must never read an older state than the one that was shown).
 */
#include "move/move_priv.h"
#include <string.h>

static void accounts_step(struct task *t);

/* ---- totals for the gauges ---- */

struct totals {
    struct accounts *all;
    struct counters *c;
    uint32_t last; /* the account noted last; units come by account */
};

static bool add_unit_totals(struct slice key, struct slice value, void *arg)
{
    struct store_unit u;
    struct totals *t = arg;
    (void)key;
    if (store_unit_decode(&u, value) == 0) {
        struct counters *c = t->c;
        bool moves = u.kind != UNIT_FOLDER && u.kind != UNIT_STAYS;
        bool items = unit_is_collection(u.kind);
        if (moves && u.home == HOME_OLD && u.state != UNIT_DELETED && u.account != t->last) {
            t->last = u.account;
            sweep_note_absent(t->all, u.account);
        }
        unit_settle_state(&u);
        unit_gauges(c, &u, 1);
        *(items ? &c->items_found : &c->found) += u.found;
        *(items ? &c->items_moved : &c->moved) += u.moved;
        *(items ? &c->items_left_behind : &c->left_behind) += u.left_behind;
        *(items ? &c->items_vanished : &c->vanished) += u.vanished;
        c->stragglers += u.stragglers;
        c->bytes_moved += u.bytes;
        store_unit_clear(&u);
    }
    return true;
}

static bool add_account(struct slice key, struct slice value, void *arg)
{
    struct totals *t = arg;
    struct store_account rec;
    (void)key;
    t->c->accounts++;
    if (store_account_decode(&rec, value) == 0) {
        t->c->accounts_moved += rec.state == ACCOUNT_MOVED;
        store_account_clear(&rec);
    }
    return true;
}

int accounts_new(struct accounts **out, struct env *env, struct err *e)
{
    struct accounts *all = mem_alloc(sizeof(*all));
    struct totals t = {.all = all, .c = worker_counters(env->worker)};
    *out = NULL;
    all->env = env;
    all->by_key = hash_new();
    all->rests = hash_new();
    list_init(&all->queue);
    list_init(&all->looks);
    list_init(&all->released);
    list_init(&all->mirrors);
    list_init(&all->dav_wanting);
    throttle_init(&all->throttle, env->worker);
    task_init(&all->task, env->worker, accounts_step);
    timer_init(&all->look_timer, &all->task);
    sweep_init(all);
    if (store_walk(env->store, STORE_ACCOUNTS, slice_str(""), add_account, &t) != 0 ||
        store_walk(env->store, STORE_UNITS, slice_str(""), add_unit_totals, &t) != 0) {
        accounts_free(&all);
        return err_set(e, E_CORRUPT, SCOPE_HOST, "the store's accounts cannot be read");
    }
    looks_tick(all);
    task_wake(&all->task);
    *out = all;
    return 0;
}

unsigned accounts_movers(const struct accounts *a)
{
    return a->movers;
}

void accounts_reload(struct accounts *all)
{
    sweep_reload(all);
}

void accounts_drain(struct accounts *all)
{
    all->sweep.drained = true;
}

static void account_free(struct account *a)
{
    sweep_leave(a);
    list_remove(&a->dav_wanting);
    free(a->order);
    hash_del(a->all->by_key, buf_slice(&a->key));
    list_remove(&a->released);
    if (a->barrier.pending)
        store_wait_forget(a->all->env->store, &a->barrier);
    mirror_abort(&a->mirror);
    dav_mirror_abort(&a->dav_mirror);
    for (uint32_t i = 0; i < a->n_units; i++)
        unit_free(&a->units[i]);
    free(a->units);
    hash_free(&a->by_view);
    hash_free(&a->by_new);
    hash_free(&a->by_path);
    hash_free(&a->by_new_path);
    store_account_clear(&a->rec);
    buf_free(&a->key);
    buf_free(&a->login);
    secret_free(&a->password);
    free(a->client_address);
    free(a);
}

static bool gather(struct slice key, void *value, void *arg)
{
    (void)key;
    struct list *all = arg;
    struct account *a = value;
    list_remove(&a->released);
    list_append(all, &a->released);
    return true;
}

void accounts_free(struct accounts **ap)
{
    struct accounts *all = *ap;
    struct list gone, *it, *tmp;
    if (all == NULL)
        return;
    list_init(&gone);
    hash_walk(all->by_key, gather, &gone);
    list_for_each_safe(it, tmp, &gone)
        account_free(container_of(it, struct account, released));
    timer_stop(&all->look_timer);
    sweep_free(all);
    throttle_stop(&all->throttle);
    task_stop(&all->task);
    hash_free(&all->by_key);
    rests_free(&all->rests);
    free(all);
    *ap = NULL;
}

/* Frees those whose barrier was reached and that nobody came back to. */
static void accounts_step(struct task *t)
{
    struct accounts *all = container_of(t, struct accounts, task);
    struct list *it, *tmp;
    mirrors_run(all);
    accounts_run_queue(all);
    looks_tick(all);
    looks_run(all);
    dav_wants_run(all);
    sweep_run(all);
    list_for_each_safe(it, tmp, &all->released)
    {
        struct account *a = container_of(it, struct account, released);
        if (!a->barrier.pending)
            account_free(a);
    }
}

void account_release(struct account *a)
{
    if (list_empty(&a->users) && (!sweep_can(a) || (a->movers == 0 && a->all->sweep.in_ring > a->all->env->settings->movers)))
        sweep_leave(a);
    if (!list_empty(&a->users) || a->mirror != NULL || a->dav_mirror != NULL || a->movers > 0 || !list_empty(&a->dav_wanting))
        return;
    secret_free(&a->password);
    if (!list_empty(&a->sweeping))
        return;
    if (!list_empty(&a->released))
        return;
    list_append(&a->all->released, &a->released);
    if (a->barrier.pending) /* covers less than was written since */
        store_wait_forget(a->all->env->store, &a->barrier);
    struct store_batch *b = account_batch(a);
    a->barrier.task = &a->all->task;
    store_submit(&b, &a->barrier);
}

void account_wake(struct account *a)
{
    struct list *it;
    list_for_each(it, &a->users)
        task_wake(container_of(it, struct account_user, node)->task);
}

struct store_batch *account_batch(struct account *a)
{
    return store_batch_new(a->all->env->store);
}

/* ---- states ---- */

#define TO(state) (1U << (state))

/* Back from MOVED: the old host has a mailbox again that came later. */
static const unsigned allowed[] = {
    [ACCOUNT_NEW] = TO(ACCOUNT_KNOWN),
    [ACCOUNT_KNOWN] = TO(ACCOUNT_MOVING) | TO(ACCOUNT_MOVED),
    [ACCOUNT_MOVING] = TO(ACCOUNT_MOVED),
    [ACCOUNT_MOVED] = TO(ACCOUNT_MOVING),
};

static void log_moved(const struct account *a)
{
    uint64_t n = 0, moved = 0, left = 0, bytes = 0;
    for (uint32_t i = 0; i < a->n_units; i++) {
        const struct unit *u = a->units[i];
        if (u == NULL || u->rec.kind != UNIT_MAILBOX || u->rec.old_name[0] == '\0')
            continue;
        n += u->rec.state == UNIT_MOVED;
        moved += u->rec.moved;
        left += u->rec.left_behind;
        bytes += u->rec.bytes;
    }
    log_event(worker_log(a->all->env->worker), LOG_INFO, "account_moved", log_s("account", a->rec.name),
              log_n("mailboxes", (int64_t)n), log_n("moved", (int64_t)moved), log_n("left_behind", (int64_t)left),
              log_n("bytes", (int64_t)bytes));
}

void account_enter(struct account *a, enum account_state to)
{
    struct counters *c = worker_counters(a->all->env->worker);
    if ((allowed[a->rec.state] & TO(to)) == 0)
        abort(); /* a bug here could call an account moved that is not */
    log_event(worker_log(a->all->env->worker), LOG_DEBUG, "account_state", log_s("account", a->rec.name),
              log_s("from", account_state_name(a->rec.state)), log_s("to", account_state_name(to)));
    c->accounts_moved -= a->rec.state == ACCOUNT_MOVED;
    c->accounts_moved += to == ACCOUNT_MOVED;
    bool mirrored = a->rec.state == ACCOUNT_NEW; /* the mirror recorded it already */
    a->rec.state = to;
    if (!mirrored) {
        struct store_batch *b = account_batch(a);
        store_put_account(b, &a->rec);
        store_submit(&b, NULL);
    }
    if (to == ACCOUNT_MOVED)
        log_moved(a);
}

void account_settle(struct account *a)
{
    if (a->rec.state == ACCOUNT_NEW || a->mirror != NULL || a->dav_mirror != NULL)
        return;
    while (a->settled < a->n_units && (a->units[a->settled] == NULL || !unit_needs_old(a->units[a->settled])))
        a->settled++;
    bool all = a->settled == a->n_units;
    if (all && a->rec.state != ACCOUNT_MOVED)
        account_enter(a, ACCOUNT_MOVED);
    else if (!all && a->rec.state == ACCOUNT_MOVED)
        account_enter(a, ACCOUNT_MOVING);
}

/* ---- loading ---- */

struct load {
    struct account *a;
    int err;
};

static bool load_unit(struct slice key, struct slice value, void *arg)
{
    struct load *l = arg;
    struct store_unit rec;
    (void)key;
    l->err = store_unit_decode(&rec, value);
    if (l->err != 0)
        return false;
    if (unit_from_record(l->a, &rec) == NULL) {
        store_unit_clear(&rec);
        l->err = E_CORRUPT;
        return false;
    }
    return true;
}

static int load_record(struct account *a, uint32_t id)
{
    struct buf key = {0}, value = {0};
    struct load l = {.a = a};
    store_key_account(&key, id);
    int r = store_get(a->all->env->store, STORE_ACCOUNTS, buf_slice(&key), &value);
    if (r == 0)
        r = store_account_decode(&a->rec, buf_slice(&value));
    if (r == 0)
        r = store_walk(a->all->env->store, STORE_UNITS, buf_slice(&key), load_unit, &l);
    if (r == 0)
        r = l.err;
    buf_free(&key);
    buf_free(&value);
    return r == E_NOTFOUND ? E_CORRUPT : r;
}

static void create_record(struct account *a)
{
    a->rec.id = store_next_account(a->all->env->store);
    a->rec.name = slice_dup(buf_slice(&a->key));
    a->rec.state = ACCOUNT_NEW;
    a->rec.first_seen = a->rec.last_seen = clock_real_us() / 1000000;
    a->rec.next_unit = 1;
    a->rec.old_prefix = mem_strdup("");
    a->rec.new_prefix = mem_strdup("");
    a->rec.login = mem_strdup("");
    a->rec.others = mem_strdup("");
    a->rec.shared = mem_strdup("");
    a->rec.old_principal = mem_strdup("");
    a->rec.new_principal = mem_strdup("");
    a->rec.old_calendars = mem_strdup("");
    a->rec.new_calendars = mem_strdup("");
    a->rec.old_books = mem_strdup("");
    a->rec.new_books = mem_strdup("");
    worker_counters(a->all->env->worker)->accounts++;
    struct store_batch *b = account_batch(a);
    store_put_account(b, &a->rec);
    store_submit(&b, NULL);
    log_event(worker_log(a->all->env->worker), LOG_INFO, "account_new", log_s("account", a->rec.name));
}

static int account_load(struct accounts *all, struct slice key, struct account **out, struct err *e)
{
    struct account *a = mem_alloc(sizeof(*a));
    uint32_t id;
    a->all = all;
    list_init(&a->users);
    list_init(&a->released);
    list_init(&a->sweeping);
    list_init(&a->dav_wanting);
    a->by_view = hash_new();
    a->by_new = hash_new();
    a->by_path = hash_new();
    a->by_new_path = hash_new();
    buf_put_slice(&a->key, key);
    int r = store_find_account(all->env->store, key, &id);
    if (r == E_NOTFOUND) {
        create_record(a);
        r = 0;
    } else if (r == 0) {
        r = load_record(a, id);
    }
    hash_put(all->by_key, key, a);
    if (r != 0) {
        account_free(a);
        *out = NULL;
        return err_set(e, r, SCOPE_ACCOUNT, "the account's records cannot be read from the store");
    }
    *out = a;
    return 0;
}

int account_open(struct accounts *all, uint32_t id, struct account **out)
{
    struct store_account rec;
    struct err e = {0};
    int r = store_get_account(all->env->store, id, &rec);
    *out = NULL;
    if (r != 0)
        return r;
    *out = hash_get(all->by_key, slice_str(rec.name));
    if (*out == NULL)
        r = account_load(all, slice_str(rec.name), out, &e);
    store_account_clear(&rec);
    return r;
}

/* ---- users ---- */

/* The spelling that the old host let in: the way in there for a master user later on. */
static void learn_login(struct account *a, struct slice login)
{
    a->rec.last_seen = clock_real_us() / 1000000;
    buf_clear(&a->login);
    buf_put_slice(&a->login, login);
    if (slice_is(login, a->rec.login))
        return;
    free(a->rec.login);
    a->rec.login = slice_dup(login);
    struct store_batch *b = account_batch(a);
    store_put_account(b, &a->rec);
    store_submit(&b, NULL);
}

int account_attach(struct accounts *all, struct account_user *u, struct task *task, struct slice key,
                   struct slice login, const struct secret *password, struct account **out, struct err *e)
{
    struct account *a = hash_get(all->by_key, key);
    *out = NULL;
    if (a == NULL) {
        int r = account_load(all, key, &a, e);
        if (r != 0)
            return r;
    }
    list_remove(&a->released);
    u->task = task;
    u->waiting = NULL;
    u->failed = NULL;
    list_append(&a->users, &u->node);
    learn_login(a, login);
    secret_copy(&a->password, password);
    if (u->address != NULL) {
        free(a->client_address);
        a->client_address = mem_strdup(u->address);
        a->client_port = u->port;
    }
    bool mail = all->env->settings->old_imap.host != NULL && all->env->settings->new_imap.host != NULL;
    if (a->rec.state == ACCOUNT_NEW && a->mirror == NULL && mail) {
        err_clear(&a->mirror_err);
        a->mirror = mirror_start(a);
    }
    dav_account_attached(a);
    dav_want(a);
    account_settle(a);
    sweep_enrol(a);
    if (mail)
        account_look(a);
    *out = a;
    return 0;
}

void account_detach(struct account **ap, struct account_user *u)
{
    struct account *a = *ap;
    if (a == NULL)
        return;
    list_remove(&u->node);
    u->waiting = NULL;
    *ap = NULL;
    account_release(a);
}

enum readiness account_ready(struct account *a, struct err *e)
{
    if (a->rec.state != ACCOUNT_NEW)
        return STATE_READY;
    if (a->mirror != NULL)
        return STATE_BUSY;
    if (e != NULL)
        *e = a->mirror_err;
    return STATE_FAILED;
}

const char *account_name(const struct account *a)
{
    return a->rec.name;
}

struct name_style account_view_style(const struct account *a)
{
    return (struct name_style){.sep = a->rec.old_sep, .prefix = a->rec.old_prefix};
}

struct name_style account_new_style(const struct account *a)
{
    return (struct name_style){.sep = a->rec.new_sep, .prefix = a->rec.new_prefix};
}

const char *account_others(const struct account *a)
{
    return a->rec.others;
}

const char *account_shared(const struct account *a)
{
    return a->rec.shared;
}

void account_walk(struct account *a, account_walk_cb *cb, void *arg)
{
    for (uint32_t i = 0; i < a->n_units; i++)
        if (a->units[i] != NULL && a->units[i]->rec.state != UNIT_DELETED && !unit_is_collection(a->units[i]->rec.kind))
            if (!cb(a->units[i], arg))
                return;
}
