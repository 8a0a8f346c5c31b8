/*
 * The sweep: mailboxes of people who have shown up move without anybody opening them, at low priority.
 *
 * Accounts take turns, one mailbox each, so that a huge one does not hold up the others; within an account INBOX goes first,
 * then what has a special use, then the rest by name. A copy that somebody waits for takes the place of one of the sweep,
 * which goes on later from what is recorded. An account is worked on while somebody is signed in to it, or at any time where
 * a master user opens both hosts; then those that are not in memory are loaded, at most as many as there are movers.
 *
 * Rejected: a queue of all mailboxes (it would be millions, and wrong as soon as one is opened); a share of the movers kept
 * free for people (with one mover there is none).
 */
#include "move/move_priv.h"
#include <string.h>

enum {
    LOADS_A_STEP = 8,
    PASS_LEAST_MS = 10 * 1000, /* between two rounds over what is not in memory */
    HOST_REST_MS = 1000,       /* after a host failed, doubled each time */
    HOST_REST_MAX_MS = 60 * 1000
};

static uint64_t now_ms(const struct accounts *all)
{
    return worker_now_ms(all->env->worker);
}

static struct log *log_of(const struct accounts *all)
{
    return worker_log(all->env->worker);
}

/* ---- what is not in memory ---- */

static void put_absent(struct sweep *s, uint32_t id)
{
    struct buf key = {0};
    store_key_account(&key, id);
    if (hash_get(s->known, buf_slice(&key)) == NULL) {
        hash_put(s->known, buf_slice(&key), s);
        if (s->n == s->cap) {
            uint32_t *more = mem_array(s->cap > 0 ? 2 * s->cap : 64, sizeof(*more));
            for (size_t i = 0; i < s->n; i++)
                more[i] = s->absent[(s->first + i) % s->cap];
            free(s->absent);
            s->absent = more;
            s->cap = s->cap > 0 ? 2 * s->cap : 64;
            s->first = 0;
        }
        s->absent[(s->first + s->n++) % s->cap] = id;
    }
    buf_free(&key);
}

static uint32_t take_absent(struct sweep *s)
{
    struct buf key = {0};
    uint32_t id = s->absent[s->first];
    s->first = (s->first + 1) % s->cap;
    s->n--;
    store_key_account(&key, id);
    hash_del(s->known, buf_slice(&key));
    buf_free(&key);
    return id;
}

void sweep_note_absent(struct accounts *all, uint32_t id)
{
    put_absent(&all->sweep, id);
}

void sweep_init(struct accounts *all)
{
    list_init(&all->sweep.ring);
    list_init(&all->sweep.running);
    all->sweep.known = hash_new();
    timer_init(&all->sweep.timer, &all->task);
}

void sweep_free(struct accounts *all)
{
    timer_stop(&all->sweep.timer);
    hash_free(&all->sweep.known);
    free(all->sweep.absent);
    all->sweep.absent = NULL;
}

static bool by_master(const struct mail_host *h)
{
    return h->sign_in == SIGN_IN_MASTER || h->sign_in == SIGN_IN_AUTHZID;
}

/* Both hosts can be entered without the person's password. */
static bool alone(const struct accounts *all)
{
    return by_master(&all->env->settings->old_imap) && by_master(&all->env->settings->new_imap);
}

bool sweep_can(const struct account *a)
{
    const struct accounts *all = a->all;
    if (!all->env->settings->sweep || all->sweep.drained)
        return false;
    return !list_empty(&a->users) || (alone(all) && a->login.len > 0);
}

/* ---- the round ---- */

void sweep_enrol(struct account *a)
{
    if (!list_empty(&a->sweeping) || a->rec.state == ACCOUNT_NEW || a->rec.state == ACCOUNT_MOVED || !sweep_can(a))
        return;
    list_remove(&a->released);
    list_append(&a->all->sweep.ring, &a->sweeping);
    a->all->sweep.in_ring++;
    task_wake(&a->all->task);
}

static void forget_order(struct account *a)
{
    free(a->order);
    a->order = NULL;
    a->n_order = a->next = 0;
}

void sweep_leave(struct account *a)
{
    if (list_empty(&a->sweeping))
        return;
    list_remove(&a->sweeping);
    a->all->sweep.in_ring--;
    forget_order(a);
    if (a->rec.state != ACCOUNT_MOVED)
        put_absent(&a->all->sweep, a->rec.id);
}

/* INBOX, special uses and collections, the rest. */
static int rank(const struct unit *u)
{
    if (unit_is_collection(u->rec.kind)) /* small, and looked at every few minutes */
        return 1;
    return name_is_inbox(slice_str(u->rec.view_name)) ? 0 : u->rec.special ? 1 : 2;
}

int sweep_compare(const struct unit *a, const struct unit *b)
{
    int ra = rank(a), rb = rank(b);
    return ra != rb ? ra - rb : strcmp(a->rec.view_name, b->rec.view_name);
}

static int by_turn(const void *a, const void *b)
{
    return sweep_compare(*(const struct unit *const *)a, *(const struct unit *const *)b);
}

/* Can be copied at all; perhaps not now. */
static bool movable(const struct unit *u)
{
    return u != NULL && unit_needs_old(u) && u->rec.new_name[0] != '\0' &&
           (u->rec.kind == UNIT_MAILBOX || dav_can(u->account));
}

static void make_order(struct account *a)
{
    struct unit **v = mem_array(a->n_units, sizeof(*v));
    forget_order(a);
    for (uint32_t i = 0; i < a->n_units; i++)
        if (movable(a->units[i]))
            v[a->n_order++] = a->units[i];
    if (a->n_order > 0)
        qsort(v, a->n_order, sizeof(*v), by_turn);
    a->order = mem_array(a->n_order, sizeof(*a->order));
    for (uint32_t i = 0; i < a->n_order; i++)
        a->order[i] = v[i]->rec.id; /* units may go away meanwhile */
    free(v);
}

static struct unit *next_unit(struct account *a)
{
    if (a->order == NULL)
        make_order(a);
    while (a->next < a->n_order) {
        struct unit *u = a->units[a->order[a->next++] - 1];
        if (movable(u) && !unit_running(u) && !u->in_queue && rest_until_ms(u) == 0)
            return u;
    }
    return NULL;
}

/* The round of the account is over: what is left rests, is being copied, or cannot move. False: it leaves. */
static bool look_later(struct account *a, uint64_t now)
{
    uint64_t at = UINT64_MAX;
    bool busy = false;
    for (uint32_t i = 0; i < a->n_order; i++) {
        struct unit *u = a->units[a->order[i] - 1];
        if (!movable(u))
            continue;
        uint64_t until = rest_until_ms(u);
        busy = busy || unit_running(u) || u->in_queue;
        if (!unit_running(u) && !u->in_queue && until < at)
            at = until > now ? until : now + 1;
    }
    forget_order(a);
    if (at != UINT64_MAX)
        a->sweep_after_ms = at;
    return busy || (at != UINT64_MAX && !list_empty(&a->users));
}

/* A place is left to what its person opens meanwhile. */
static bool account_full(const struct account *a)
{
    unsigned most = a->all->env->settings->movers_per_account;
    return !account_room(a) || (most > 1 && a->running >= most - 1);
}

/* One mailbox of the account, if one can begin now. */
static bool try_account(struct account *a, uint64_t now)
{
    struct accounts *all = a->all;
    struct unit *u = NULL;
    if (!sweep_can(a) || a->rec.state == ACCOUNT_MOVED) {
        sweep_leave(a);
    } else if (now >= a->sweep_after_ms && !account_full(a)) {
        u = next_unit(a);
        if (u == NULL && !look_later(a, now))
            sweep_leave(a);
    }
    if (list_empty(&a->sweeping))
        account_release(a);
    if (u == NULL)
        return false;
    list_append(&all->sweep.running, &u->swept);
    a->movers++;
    worker_counters(all->env->worker)->copies_swept++;
    unit_begin(u);
    return true;
}

static void load_one(struct accounts *all, uint32_t id)
{
    struct account *a;
    int r = account_open(all, id, &a);
    if (r != 0) {
        log_event(log_of(all), LOG_WARN, "sweep_skips", log_n("id", id), log_s("class", err_name(r)));
        return;
    }
    if (!list_empty(&a->users))
        return; /* it is in the round, or will be */
    if (a->login.len == 0)
        buf_puts(&a->login, a->rec.login);
    if (a->rec.state != ACCOUNT_NEW)
        account_settle(a);
    sweep_enrol(a);
    account_release(a);
}

/* True: more can be loaded at once. */
static bool load_some(struct accounts *all, uint64_t now)
{
    struct sweep *s = &all->sweep;
    if (!alone(all) || s->n == 0)
        return false;
    if (s->pass == 0 && now >= s->pass_after_ms) {
        uint64_t ms = (uint64_t)all->env->settings->retry_seconds * 1000;
        s->pass = s->n;
        s->pass_after_ms = now + (ms > PASS_LEAST_MS ? ms : PASS_LEAST_MS);
    }
    for (int i = 0; i < LOADS_A_STEP && s->pass > 0 && s->n > 0 && s->in_ring < all->env->settings->movers; i++) {
        s->pass--;
        load_one(all, take_absent(s));
    }
    if (s->n == 0)
        s->pass = 0;
    return s->pass > 0 && s->in_ring < all->env->settings->movers;
}

/* When the next rest ends, of whomever, or the next round over the absent ones begins. */
static void set_timer(struct accounts *all, uint64_t now, bool sweeps)
{
    struct sweep *s = &all->sweep;
    uint64_t at = pace_next_ms(all, now);
    struct list *it;
    bool rests = s->rest_until_ms > now;
    if (sweeps && rests && s->rest_until_ms < at)
        at = s->rest_until_ms;
    if (sweeps && !rests && alone(all) && s->n > 0 && s->pass == 0 && s->pass_after_ms < at)
        at = s->pass_after_ms;
    list_for_each(it, &s->ring)
    {
        struct account *a = container_of(it, struct account, sweeping);
        if (sweeps && !rests && a->sweep_after_ms > now && a->sweep_after_ms < at)
            at = a->sweep_after_ms;
    }
    timer_stop(&s->timer);
    if (at != UINT64_MAX)
        timer_start(&s->timer, at > now ? at - now : 1);
}

static void leave_all(struct accounts *all)
{
    struct list *it, *tmp;
    list_for_each_safe(it, tmp, &all->sweep.ring)
    {
        struct account *a = container_of(it, struct account, sweeping);
        sweep_leave(a);
        account_release(a);
    }
}

void sweep_run(struct accounts *all)
{
    struct sweep *s = &all->sweep;
    uint64_t now = now_ms(all);
    if (!all->env->settings->sweep || s->drained) {
        leave_all(all);
        set_timer(all, now, false);
        return;
    }
    if (now >= s->rest_until_ms) {
        bool more = load_some(all, now);
        unsigned idle = 0;
        while (accounts_room(all) && idle < s->in_ring) {
            struct account *a = container_of(s->ring.next, struct account, sweeping);
            list_remove(&a->sweeping);
            list_append(&s->ring, &a->sweeping);
            bool began = try_account(a, now);
            idle = began ? 0 : idle + !list_empty(&a->sweeping); /* one that left is not counted in the ring either */
        }
        if (more)
            task_wake(&all->task);
    }
    set_timer(all, now, true);
}

static bool enrol_one(struct slice key, void *value, void *arg)
{
    struct account *a = value;
    (void)key;
    (void)arg;
    if (!list_empty(&a->users))
        sweep_enrol(a);
    return true;
}

void sweep_reload(struct accounts *all)
{
    all->sweep.rest_until_ms = all->sweep.pass_after_ms = 0;
    hash_walk(all->by_key, enrol_one, NULL);
    task_wake(&all->task);
}

/* ---- copies of the sweep ---- */

void sweep_ended(struct unit *u, int result, const struct err *e)
{
    struct account *a = u->account;
    struct sweep *s = &a->all->sweep;
    uint64_t now = now_ms(a->all);
    if (result == 0) {
        s->failures = 0;
        return;
    }
    if (e->code == E_AUTH || e->scope == SCOPE_ACCOUNT) { /* so it would be with each of them */
        for (uint32_t i = 0; i < a->n_units; i++)
            if (movable(a->units[i]) && !unit_running(a->units[i]) && a->units[i] != u &&
                unit_is_collection(a->units[i]->rec.kind) == unit_is_collection(u->rec.kind))
                rest_begin(a->units[i], false, true);
    } else if (e->scope == SCOPE_HOST && now >= s->rest_until_ms) { /* of several at once only the first counts */
        s->rest_until_ms = now + pace_backed_off(HOST_REST_MS, ++s->failures, HOST_REST_MAX_MS);
        log_event(log_of(a->all), LOG_INFO, "sweep_rests", log_n("ms", (int64_t)(s->rest_until_ms - now)), log_e(e));
    }
}

void sweep_joined(struct unit *u)
{
    list_remove(&u->swept);
}

/* In the switch its transaction may be on disk already: that one is over soon anyhow. */
static struct unit *youngest(struct sweep *s, const struct account *a)
{
    for (struct list *it = s->running.prev; it != &s->running; it = it->prev) {
        struct unit *u = container_of(it, struct unit, swept);
        if (u->rec.state == UNIT_COPYING && (a == NULL || u->account == a))
            return u;
    }
    return NULL;
}

bool sweep_yield(struct accounts *all, const struct account *a)
{
    struct unit *u = youngest(&all->sweep, a);
    if (u == NULL)
        return false;
    log_event(log_of(all), LOG_DEBUG, "sweep_yields", log_s("account", u->account->rec.name),
              log_s("unit", u->rec.view_name));
    unit_stop(u);
    unit_enter(u, UNIT_UNTOUCHED);
    struct store_batch *b = account_batch(u->account);
    store_put_unit(b, &u->rec);
    store_submit(&b, NULL);
    account_release(u->account);
    return true;
}
