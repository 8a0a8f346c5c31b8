/*
 * Stragglers: what reaches the old mailbox after the switch (a late MX, a client with stale DNS) is carried into the new one
 * as new mail, for as long as `grace` lasts.
 *
 * A look is a mover's run over a unit that is at home on new and stays there: the same connections, batches, intents and
 * matching. What differs is here. Only UIDs above the highest that was ever settled count, never a comparison, so what a
 * person moved or deleted does not come back. Messages go one at a time, each with its own intent: after a crash at most one of
 * them is in doubt, and nothing that a person may have seen already is taken away to get them into order. No map
 * rows: they are new mail in the tail of the view.
 *
 * Looks are bounded (one at a time per account, only while no copy waits for a mover, at most one per mailbox in
 * look_seconds) and nobody waits for them. When the old host is down none begins for a while.
 */
#include "move/mover_priv.h"
#include <string.h>

enum { STUCK_TRIES = 3, FOLDERS_LESS = 5 };

/* ---- when ---- */

static bool in_grace(const struct unit *u)
{
    const struct settings *s = u->account->all->env->settings;
    return u->rec.finished + (int64_t)s->grace_seconds > clock_real_us() / 1000000;
}

bool unit_may_be_looked_at(const struct unit *u)
{
    const struct accounts *all = u->account->all;
    return u->rec.home == HOME_NEW && u->rec.state == UNIT_MOVED && u->rec.kind == UNIT_MAILBOX &&
           u->rec.old_name[0] != '\0' && u->rec.new_name[0] != '\0' && in_grace(u) && u->mover == NULL &&
           !u->in_queue && !u->in_looks && !rest_lasts(u) && worker_now_ms(all->env->worker) >= all->look_rest_ms;
}

void unit_look(struct unit *u)
{
    struct accounts *all = u->account->all;
    if (!unit_may_be_looked_at(u))
        return;
    u->in_looks = true;
    u->account->movers++;
    list_append(&all->looks, &u->queued);
    task_wake(&all->task);
}

void looks_rest(struct accounts *all)
{
    all->look_rest_ms = worker_now_ms(all->env->worker) + all->env->settings->retry_seconds * (uint64_t)1000;
}

void looks_run(struct accounts *all)
{
    struct list *it, *tmp;
    list_for_each_safe(it, tmp, &all->looks)
    {
        struct unit *u = container_of(it, struct unit, queued);
        if (!accounts_room(all) || !list_empty(&all->queue))
            return;
        if (u->account->looks > 0 || !account_room(u->account))
            continue;
        list_remove(&u->queued);
        u->in_looks = false;
        u->looking = true;
        u->account->looks++;
        all->movers++;
        u->account->running++;
        u->mover = mover_start(u);
    }
}

static bool moves_or_moved_lately(struct unit *u, void *arg)
{
    bool *yes = arg;
    if (u->rec.kind == UNIT_MAILBOX && u->rec.old_name[0] != '\0' && (u->rec.home == HOME_OLD || in_grace(u)))
        *yes = true;
    return !*yes;
}

/*
 * A client with stale DNS may have made a mailbox on old. Both trees are listed again, less often than one mailbox is looked
 * at.
 */
void account_look(struct account *a)
{
    const struct settings *s = a->all->env->settings;
    bool due = false;
    if (s->grace_seconds == 0 || a->rec.state == ACCOUNT_NEW || a->mirror != NULL || list_empty(&a->users) ||
        worker_now_ms(a->all->env->worker) < a->all->look_rest_ms)
        return;
    account_walk(a, moves_or_moved_lately, &due);
    if (due && !rest_folders(a, (uint64_t)s->look_seconds * 1000 * FOLDERS_LESS))
        a->mirror = mirror_start_again(a);
}

/* INBOX is where late mail arrives; the others are looked at when they are opened, and where a glance shows news. */
static bool look_at_inbox(struct slice key, void *value, void *arg)
{
    struct account *a = value;
    (void)key;
    (void)arg;
    struct unit *inbox = account_find(a, SLICE_LIT("INBOX"));
    if (!list_empty(&a->users) && inbox != NULL)
        unit_look(inbox);
    account_look(a);
    return true;
}

void looks_tick(struct accounts *all)
{
    const struct settings *s = all->env->settings;
    if (timer_running(&all->look_timer))
        return;
    if (all->look_timer.fired)
        rests_tidy(all);
    if (all->look_timer.fired && s->grace_seconds > 0)
        hash_walk(all->by_key, look_at_inbox, NULL);
    timer_start(&all->look_timer, (uint64_t)s->look_seconds * 1000);
}

/* ---- the run ---- */

void look_begin(struct mover *m)
{
    mover_enter(m, MV_LOOK);
    open_ask_old(m);
    m->old_due = 1;
    store_barrier(m); /* what was written before is read now */
}

static int dial_new(struct mover *m)
{
    struct account *a = m->account;
    mover_enter(m, MV_SIGN_IN);
    if (conn_open(&m->new, m->env, &m->task, &m->env->settings->new_imap, m->env->tls_new, buf_slice(&a->login),
                  &a->password) != 0)
        return mover_fail(m, m->new.err.code, SCOPE_HOST, "%s", m->new.err.text);
    conn_set_client(&m->new, a->client_address, a->client_port);
    return 0;
}

/* The unit as it is now, and no intent any more, in one transaction. */
static void hand_in(struct mover *m, struct store_batch **b)
{
    const struct store_unit *u = &m->unit->rec;
    struct buf key = {0};
    store_key_unit(&key, u->account, u->id);
    store_del_prefix(*b, STORE_INTENTS, buf_slice(&key));
    buf_free(&key);
    store_put_unit(*b, u);
    m->wait.task = &m->task;
    store_submit(b, &m->wait);
}

/* Numbered anew on old: nobody can say which of it was carried over, so only what comes from now on counts. */
static int begin_anew(struct mover *m)
{
    struct store_unit *u = &m->unit->rec;
    struct store_batch *b = account_batch(m->account);
    log_event(worker_log(m->env->worker), LOG_WARN, "old_uidvalidity_changed",
              log_s("account", m->account->rec.name), log_s("unit", u->view_name),
              log_n("recorded", u->old_uidvalidity), log_n("now", m->old.uidvalidity),
              log_n("not_looked_at", m->old.exists));
    worker_counters(m->env->worker)->errors++;
    u->old_uidvalidity = m->old.uidvalidity;
    u->copied_to = u->straggler_uid = m->old.uidnext - 1;
    hand_in(m, &b);
    mover_enter(m, MV_OVER);
    return 0;
}

int look_examined(struct mover *m)
{
    struct store_unit *u = &m->unit->rec;
    struct store_intent *sent;
    size_t n;
    if (m->old.uidvalidity == 0 || m->old.uidnext == 0)
        return mover_fail(m, E_PROTO, SCOPE_UNIT, "the old host does not tell UIDVALIDITY and UIDNEXT");
    int r = intents_number(m);
    if (r != 0)
        return r;
    if (u->old_uidvalidity != 0 && u->old_uidvalidity != m->old.uidvalidity)
        return begin_anew(m);
    r = intents_load(m, 1, INTENT_SENT, 1, &sent, &n);
    intents_free(&sent, n);
    if (r != 0)
        return r;
    if (u->old_uidvalidity == 0) { /* recorded with what is settled first */
        u->old_uidvalidity = m->old.uidvalidity;
        u->copied_to = 0;
    }
    if (n == 0 && (m->old.exists == 0 || m->old.uidnext - 1 <= u->copied_to)) {
        mover_enter(m, MV_OVER);
        return 0;
    }
    return dial_new(m);
}

void look_open(struct mover *m)
{
    mover_enter(m, MV_OPEN);
    open_learn_caps(m);
    open_ask_new(m);
    m->new_due = 1;
    m->opened = false;
}

int look_opened(struct mover *m)
{
    struct unit *u = m->unit;
    if (m->new.uidvalidity == 0 || m->new.uidnext == 0)
        return mover_fail(m, E_PROTO, SCOPE_UNIT, "the new host does not tell UIDVALIDITY and UIDNEXT");
    if (u->rec.new_uidvalidity != 0 && u->rec.new_uidvalidity != m->new.uidvalidity)
        return mover_fail(m, E_UNAVAIL, SCOPE_UNIT,
                          "the new host changed the mailbox's UIDVALIDITY; it must be opened first");
    if (unit_check_uidvalidity(u, m->new.uidvalidity) != 0)
        return mover_fail(m, E_UNAVAIL, SCOPE_UNIT, "the mailbox's UIDVALIDITY cannot be recorded");
    m->opened = true;
    return 0;
}

/* A client with stale DNS may have seen it under that UID, which now belongs to another message. */
static void check_headroom(struct mover *m, uint32_t uid)
{
    struct err e = {0};
    const struct uidmap *map = unit_map(m->unit, &e);
    if (m->headroom_told || map == NULL || map->n == 0 || uid < map->tail_view)
        return;
    m->headroom_told = true;
    log_event(worker_log(m->env->worker), LOG_WARN, "headroom_exceeded", log_s("account", m->account->rec.name),
              log_s("unit", m->unit->rec.view_name), log_n("uid", uid), log_n("tail", map->tail_view));
}

static void count(struct mover *m, uint64_t n)
{
    m->unit->rec.stragglers += n;
    worker_counters(m->env->worker)->stragglers += n;
    m->moved += n;
}

void look_settle(struct mover *m, struct batch *b)
{
    struct store_unit *u = &m->unit->rec;
    struct store_batch *s = account_batch(m->account);
    struct buf key = {0};
    for (uint32_t k = 0; k < b->n; k++) {
        const struct copy_msg *g = &b->msgs[k];
        u->copied_to = u->straggler_uid = g->uid;
        check_headroom(m, g->uid);
        if (g->status != MSG_STORED)
            continue;
        count(m, 1);
        m->bytes += g->size;
        if (g->new_uid >= m->new.uidnext)
            m->new.uidnext = g->new_uid + 1;
    }
    unit_close_count(m->unit);
    store_key_part(&key, u->account, u->id, b->number);
    store_del(s, STORE_INTENTS, buf_slice(&key));
    buf_free(&key);
    store_put_unit(s, u);
    m->copy.settled.task = &m->task;
    store_submit(&s, &m->copy.settled);
    m->unit->stuck = 0;
}

/* The old host lists it and does not send it. In the end it must not keep what came after it from being seen. */
int look_stuck(struct mover *m, struct copy_msg *g, const char *flags)
{
    struct unit *u = m->unit;
    u->stuck = u->stuck_uid == g->uid ? u->stuck + 1 : 1;
    u->stuck_uid = g->uid;
    if (u->stuck < STUCK_TRIES)
        return mover_fail(m, E_UNAVAIL, SCOPE_UNIT, "the old host does not send message %u", g->uid);
    struct spool *none = spool_new();
    spool_record(m, none, g->uid, g->when, flags, "the old host does not give its contents");
    spool_free(&none);
    g->status = MSG_LEFT;
    return 0;
}

/*
 * Which of the stragglers on their way had been stored? Each was sent only after the one before it was: so all before the last
 * that is found were, wherever a person has put them since.
 */
int look_match(struct mover *m, struct look_found *f)
{
    struct store_unit *u = &m->unit->rec;
    struct store_batch *b = account_batch(m->account);
    uint64_t stored = 0, again = 0;
    size_t proven = 0;
    for (size_t i = 0; i < f->n; i++)
        if (f->v[i].on_old && f->v[i].on_new)
            proven = i + 1;
    for (size_t i = 0; i < f->n; i++) {
        if (i >= proven && f->v[i].on_old && !f->v[i].left) {
            again = f->n - i;
            break;
        }
        stored += (i < proven || f->v[i].on_new) && !f->v[i].left;
        if (f->v[i].old_uid > u->copied_to)
            u->copied_to = u->straggler_uid = f->v[i].old_uid;
    }
    count(m, stored);
    left_forget(m, b, &m->match.left, u->copied_to + 1);
    unit_close_count(m->unit);
    hand_in(m, &b);
    log_event(worker_log(m->env->worker), LOG_INFO, "stragglers_resumed", log_s("account", m->account->rec.name),
              log_s("unit", u->view_name), log_n("adopted", (int64_t)stored), log_n("again", (int64_t)again));
    return 0;
}

/* ---- the end ---- */

void unit_look_ended(struct unit *u)
{
    u->looking = false;
    u->account->looks--;
}

void unit_look_done(struct unit *u, int result, uint64_t found, const struct err *e)
{
    struct account *a = u->account;
    struct accounts *all = a->all;
    struct log *log = worker_log(all->env->worker);
    u->mover = NULL;
    all->movers--;
    a->running--;
    a->movers--;
    unit_look_ended(u);
    if (found > 0)
        log_event(log, LOG_INFO, "stragglers", log_s("account", a->rec.name), log_s("unit", u->rec.view_name),
                  log_n("messages", (int64_t)found), log_n("in_all", (int64_t)u->rec.stragglers));
    if (result == 0) {
        rest_look(u);
    } else {
        rest_begin(u, found > 0, false);
        if (e->scope == SCOPE_HOST && e->code != E_AUTH)
            looks_rest(all);
        log_event(log, LOG_INFO, "stragglers_later", log_s("account", a->rec.name),
                  log_s("unit", u->rec.view_name), log_s("class", err_name(e->code)), log_e(e));
    }
    task_wake(&all->task);
    account_release(a);
}
