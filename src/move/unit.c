/*
 * Units: the state machine of DESIGN section 3 as a table, touches, maps.
 *
 * Each change of state is handed to the store before anything is told to a client; where it must be on disk first
 * (the switch, an intent) the caller waits for the batch.
 */
#include "move/move_priv.h"
#include <string.h>

/* ---- states ---- */

#define TO(state) (1U << (state))

/* From which state to which. The whole truth: unit_enter refuses the rest. */
static const unsigned allowed[] = {
    [UNIT_UNTOUCHED] = TO(UNIT_COPYING) | TO(UNIT_DELETED),
    [UNIT_COPYING] = TO(UNIT_COPYING) | TO(UNIT_SWITCHING) | TO(UNIT_UNTOUCHED) | TO(UNIT_DELETED),
    [UNIT_SWITCHING] = TO(UNIT_COPYING) | TO(UNIT_MOVED) | TO(UNIT_UNTOUCHED) | TO(UNIT_DELETED),
    [UNIT_MOVED] = TO(UNIT_DELETED),
    [UNIT_DELETED] = 0,
};

void unit_settle_state(struct store_unit *rec)
{
    if (rec->state == UNIT_COPYING || rec->state == UNIT_SWITCHING)
        rec->state = UNIT_UNTOUCHED;
}

static void gauge(uint64_t *g, int sign)
{
    *g = sign > 0 ? *g + 1 : *g - 1;
}

void unit_gauges(struct counters *c, const struct store_unit *rec, int sign)
{
    if (rec->state == UNIT_DELETED)
        return;
    if (rec->kind == UNIT_CALENDAR || rec->kind == UNIT_ADDRESSBOOK) {
        gauge(&c->collections, sign);
        gauge(rec->state == UNIT_MOVED       ? &c->collections_moved
              : rec->state == UNIT_UNTOUCHED ? &c->collections_untouched
                                             : &c->collections_copying,
              sign);
    }
    if (rec->kind != UNIT_MAILBOX)
        return;
    gauge(&c->mailboxes, sign);
    if (rec->state == UNIT_MOVED)
        gauge(&c->mailboxes_moved, sign);
    else if (rec->state == UNIT_UNTOUCHED)
        gauge(&c->mailboxes_untouched, sign);
    else
        gauge(&c->mailboxes_copying, sign);
}

static struct counters *counters_of(const struct unit *u)
{
    return worker_counters(u->account->all->env->worker);
}

static struct log *log_of(const struct unit *u)
{
    return worker_log(u->account->all->env->worker);
}

void unit_enter(struct unit *u, enum unit_state to)
{
    if ((allowed[u->rec.state] & TO(to)) == 0)
        abort(); /* a bug here could lose mail: stop before it does */
    log_event(log_of(u), LOG_DEBUG, "unit_state", log_s("account", u->account->rec.name),
              log_s("unit", u->rec.view_name), log_s("from", unit_state_name(u->rec.state)),
              log_s("to", unit_state_name(to)));
    unit_gauges(counters_of(u), &u->rec, -1);
    u->rec.state = to;
    unit_gauges(counters_of(u), &u->rec, 1);
}

/* A name without contents gets some, and they are on new: nothing of it is on old. */
void unit_open_folder(struct unit *u)
{
    u->rec.kind = UNIT_MAILBOX;
    u->rec.home = HOME_NEW;
    u->rec.state = UNIT_MOVED;
    free(u->rec.old_name);
    u->rec.old_name = mem_strdup("");
    unit_gauges(counters_of(u), &u->rec, 1);
}

/* What was found and not carried over will not be. */
void unit_close_count(struct unit *u)
{
    uint64_t found = u->rec.moved + u->rec.left_behind + u->rec.vanished;
    counters_of(u)->found += found - u->rec.found;
    u->rec.found = found;
}

bool unit_needs_old(const struct unit *u)
{
    bool moves = u->rec.kind == UNIT_MAILBOX || u->rec.kind == UNIT_CALENDAR || u->rec.kind == UNIT_ADDRESSBOOK;
    return moves && u->rec.home == HOME_OLD && u->rec.state != UNIT_DELETED;
}

bool unit_running(const struct unit *u)
{
    return u->mover != NULL || u->dav != NULL;
}

/* ---- making and freeing ---- */

static void add_to_account(struct account *a, struct unit *u)
{
    uint32_t need = u->rec.id;
    if (need > a->n_units) {
        a->units = mem_grow(a->units, need, sizeof(*a->units));
        while (a->n_units < need)
            a->units[a->n_units++] = NULL;
    }
    a->units[u->rec.id - 1] = u;
    if (u->rec.state != UNIT_DELETED)
        names_add(a, u);
}

struct unit *unit_new(struct account *a, enum unit_kind kind, enum unit_state state, enum unit_home home,
                      struct slice old_name, struct slice view_name, struct slice new_name)
{
    struct unit *u = mem_alloc(sizeof(*u));
    u->account = a;
    list_init(&u->seats);
    uidmap_init(&u->map);
    u->rec.account = a->rec.id;
    u->rec.id = a->rec.next_unit++;
    u->rec.kind = kind;
    u->rec.state = state;
    u->rec.home = home;
    u->rec.old_name = slice_dup(old_name);
    u->rec.view_name = slice_dup(view_name);
    u->rec.new_name = slice_dup(new_name);
    u->rec.reason = mem_strdup("");
    unit_gauges(counters_of(u), &u->rec, 1);
    add_to_account(a, u);
    return u;
}

/* Ids are handed out from 1 without gaps, so one beyond the account's next id is damage. */
struct unit *unit_from_record(struct account *a, struct store_unit *rec)
{
    if (rec->id == 0 || rec->id >= a->rec.next_unit)
        return NULL;
    struct unit *u = mem_alloc(sizeof(*u));
    u->account = a;
    list_init(&u->seats);
    uidmap_init(&u->map);
    u->rec = *rec;
    unit_settle_state(&u->rec);
    add_to_account(a, u);
    return u;
}

void unit_free(struct unit **up)
{
    struct unit *u = *up;
    if (u == NULL)
        return;
    unit_stop(u);
    store_unit_clear(&u->rec);
    uidmap_free(&u->map);
    free(u);
    *up = NULL;
}

void unit_set_reason(struct unit *u, const char *text)
{
    free(u->rec.reason);
    u->rec.reason = mem_strdup(text);
}

const struct store_unit *unit_record(const struct unit *u)
{
    return &u->rec;
}

void unit_progress(const struct unit *u, uint64_t *done, uint64_t *total)
{
    *done = u->done;
    *total = u->total > u->done ? u->total : u->done;
}

/* ---- touches ---- */

void unit_start(struct unit *u)
{
    struct accounts *all = u->account->all;
    if (unit_running(u) || u->in_queue)
        return;
    u->in_queue = true;
    u->account->movers++;
    list_append(&all->queue, &u->queued);
    accounts_run_queue(all);
}

bool accounts_room(const struct accounts *all)
{
    return all->movers < all->env->settings->movers && pace_room_copy(all);
}

bool account_room(const struct account *a)
{
    return a->running < a->all->env->settings->movers_per_account && pace_account_room(a);
}

void unit_begin(struct unit *u)
{
    u->account->all->movers++;
    u->account->running++;
    /* Collections may be known before the mailboxes are. */
    if (u->account->rec.state != ACCOUNT_MOVING && u->account->rec.state != ACCOUNT_NEW)
        account_enter(u->account, ACCOUNT_MOVING);
    if (unit_is_collection(u->rec.kind))
        u->dav = dav_mover_start(u);
    else
        u->mover = mover_start(u);
}

/* Where all places are taken, copies of the sweep make room for what people wait for. */
static bool make_account_room(struct account *a)
{
    while (!account_room(a))
        if (pace_account_rests(a) || !sweep_yield(a->all, a))
            return false;
    return true;
}

bool accounts_make_room(struct accounts *all)
{
    while (!accounts_room(all))
        if (pace_rests(all) || !sweep_yield(all, NULL))
            return false;
    return true;
}

void accounts_run_queue(struct accounts *all)
{
    struct list *it, *tmp;
    list_for_each_safe(it, tmp, &all->queue)
    {
        struct unit *u = container_of(it, struct unit, queued);
        if (!make_account_room(u->account))
            continue;
        if (!accounts_make_room(all))
            return;
        list_remove(&u->queued);
        u->in_queue = false;
        unit_begin(u);
    }
}

void unit_stop(struct unit *u)
{
    u->awaited_ms = 0;
    if (u->in_queue || u->in_looks) {
        list_remove(&u->queued);
        u->in_queue = u->in_looks = false;
        u->account->movers--;
    }
    if (unit_running(u)) {
        list_remove(&u->swept);
        mover_abort(&u->mover);
        dav_mover_abort(&u->dav);
        if (u->looking)
            unit_look_ended(u);
        u->account->all->movers--;
        u->account->running--;
        u->account->movers--;
        task_wake(&u->account->all->task);
    }
}

static void end_waiting(struct unit *u, bool failed)
{
    struct list *it;
    u->awaited_ms = 0;
    list_for_each(it, &u->account->users)
    {
        struct account_user *user = container_of(it, struct account_user, node);
        if (user->waiting == u) {
            user->waiting = NULL;
            user->failed = failed ? u : NULL;
        }
        task_wake(user->task);
    }
}

enum { MAX_PUSHES = 6 };

/* A host had too much to do: who waits goes on waiting, and nothing is said against the mailbox. */
static bool postpone(struct unit *u, bool swept)
{
    if (!u->pushed || ++u->pushes > MAX_PUSHES)
        return false;
    log_event(log_of(u), LOG_INFO, "copy_postponed", log_s("account", u->account->rec.name),
              log_s("unit", u->rec.view_name), log_n("times", u->pushes));
    if (!swept)
        unit_start(u);
    task_wake(&u->account->all->task);
    account_release(u->account);
    return true;
}

void unit_mover_done(struct unit *u, int result, bool progressed, const struct err *e)
{
    struct account *a = u->account;
    bool swept = !list_empty(&u->swept);
    u->mover = NULL;
    u->dav = NULL;
    list_remove(&u->swept);
    a->all->movers--;
    a->running--;
    a->movers--;
    if (result != 0 && postpone(u, swept))
        return;
    u->pushes = 0;
    if (result == 0) {
        if (u->rec.kind == UNIT_MAILBOX)
            rest_look(u); /* what is late comes later */
        pace_eased(a);
        account_settle(a);
    } else {
        u->err = *e;
        rest_begin(u, progressed, swept);
        counters_of(u)->copies_failed++;
        counters_of(u)->errors++;
        log_event(log_of(u), LOG_WARN, "copy_failed", log_s("account", a->rec.name),
                  log_s("unit", u->rec.view_name), log_s("class", err_name(e->code)), log_e(e));
    }
    end_waiting(u, result != 0);
    if (swept)
        sweep_ended(u, result, e);
    task_wake(&a->all->task);
    account_release(a);
}

enum readiness unit_touch(struct unit *u, struct account_user *user, struct err *e)
{
    if (u->rec.home == HOME_NEW || u->rec.kind == UNIT_FOLDER)
        return STATE_READY;
    if (u->rec.state == UNIT_DELETED) {
        err_set(e, E_NOTFOUND, SCOPE_UNIT, "the mailbox was deleted");
        return STATE_FAILED;
    }
    if (!unit_running(u) && !u->in_queue) {
        bool told = user->failed != u; /* this user waited for it and was not told yet */
        user->failed = NULL;
        if (!told || rest_lasts(u)) {
            if (u->err.code == 0) /* it failed before the account was loaded */
                err_set(&u->err, E_UNAVAIL, SCOPE_UNIT, "%s", u->rec.reason);
            *e = u->err;
            return STATE_FAILED;
        }
        if (u->rec.new_name[0] == '\0') {
            err_set(e, E_REFUSED, SCOPE_UNIT, "%s", u->rec.reason);
            return STATE_FAILED;
        }
        unit_start(u);
    }
    sweep_joined(u);
    user->waiting = u;
    if (u->awaited_ms == 0)
        u->awaited_ms = worker_now_ms(u->account->all->env->worker);
    return STATE_BUSY;
}

uint64_t unit_awaited_ms(const struct unit *u)
{
    return u->awaited_ms == 0 ? 0 : worker_now_ms(u->account->all->env->worker) - u->awaited_ms;
}

void unit_nudge(struct unit *u)
{
    if (u->rec.home == HOME_OLD && u->rec.state == UNIT_UNTOUCHED && u->rec.new_name[0] != '\0' && u->mover == NULL &&
        !u->in_queue && rest_until_ms(u) == 0)
        unit_start(u);
}

/* ---- maps ---- */

struct map_load {
    struct uidmap *map;
    int err;
};

static bool load_part(struct slice key, struct slice value, void *arg)
{
    struct map_load *l = arg;
    (void)key;
    l->err = uidmap_decode(l->map, value);
    return l->err == 0;
}

const struct uidmap *unit_map(struct unit *u, struct err *e)
{
    struct buf key = {0};
    struct map_load l = {.map = &u->map};
    if (u->map_loaded)
        return &u->map;
    store_key_unit(&key, u->rec.account, u->rec.id);
    int r = store_walk(u->account->all->env->store, STORE_UIDMAPS, buf_slice(&key), load_part, &l);
    buf_free(&key);
    if (r == 0)
        r = l.err;
    if (r == 0 && u->map.tail_new == 0) {
        if (u->rec.old_name[0] != '\0' && u->rec.kind == UNIT_MAILBOX)
            r = E_CORRUPT; /* a moved mailbox without its map must not be shown with wrong UIDs */
        else
            uidmap_identity(&u->map);
    }
    if (r != 0) {
        uidmap_free(&u->map);
        uidmap_init(&u->map);
        err_set(e, r, SCOPE_UNIT, "the UID map of the mailbox cannot be read from the store");
        return NULL;
    }
    u->map_loaded = true;
    return &u->map;
}

void unit_put_identity(struct store_batch *b, struct unit *u)
{
    struct buf key = {0}, value = {0};
    store_key_unit(&key, u->rec.account, u->rec.id);
    store_del_prefix(b, STORE_UIDMAPS, buf_slice(&key));
    buf_clear(&key);
    store_key_part(&key, u->rec.account, u->rec.id, 0);
    uidmap_encode(&value, &u->map, 0);
    store_put(b, STORE_UIDMAPS, buf_slice(&key), buf_slice(&value));
    buf_free(&key);
    buf_free(&value);
}

int unit_check_uidvalidity(struct unit *u, uint32_t new_uidvalidity)
{
    struct store_unit *r = &u->rec;
    int result = 0;
    if (r->new_uidvalidity == new_uidvalidity && r->view_uidvalidity != 0)
        return 0;
    struct store_batch *b = account_batch(u->account);
    if (r->view_uidvalidity == 0) {
        r->view_uidvalidity = new_uidvalidity > r->min_view_uidvalidity ? new_uidvalidity
                                                                        : r->min_view_uidvalidity + 1;
    } else {
        uint32_t high = r->view_uidvalidity + 1;
        r->view_uidvalidity = new_uidvalidity > high ? new_uidvalidity : high;
        uidmap_free(&u->map);
        uidmap_identity(&u->map);
        u->map_loaded = true;
        r->old_modseq = r->new_modseq = r->settled_modseq = 0; /* of numbers that nobody knows any more; the shift stays, so they only grow */
        unit_put_identity(b, u);
        if (intents_revive(u, b) != 0) /* of stragglers on their way; the next look tells that it cannot read them */
            counters_of(u)->errors++;
        result = E_CORRUPT;
        counters_of(u)->errors++;
        log_event(log_of(u), LOG_WARN, "uidvalidity_changed", log_s("account", u->account->rec.name),
                  log_s("unit", r->view_name), log_n("recorded", r->new_uidvalidity),
                  log_n("now", new_uidvalidity), log_n("shown", r->view_uidvalidity));
    }
    r->new_uidvalidity = new_uidvalidity;
    store_put_unit(b, &u->rec);
    store_submit(&b, NULL);
    return result;
}
