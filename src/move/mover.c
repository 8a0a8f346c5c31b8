/*
 * The mover's brain: one phase after the other, from two connections to the switch.
 *
 *   SIGN_IN  OPEN  QUIET  MATCH  SEEK  COPY  NOOP … SEEK  SELECT  COMPARE  TIDY  LAST  SEEK  (HOLD  LAST  SEEK)  SWITCH
 *
 * What was committed is enough to go on from after any end; so a lost connection just begins again at SIGN_IN. Rejected: an
 * own path for resuming (the first copy is a resume of nothing).
 */
#include "move/mover_priv.h"
#include <stdio.h>
#include <string.h>

enum { MAX_RESTARTS = 5, BARREN_RESTARTS = 2 };

static void mover_step(struct task *t);

int mover_fail(struct mover *m, int code, enum err_scope scope, const char *fmt, ...)
{
    char text[180];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return err_set(&m->err, code, scope, "%s", text);
}

int mover_store_failed(struct mover *m, int result)
{
    return mover_fail(m, result, SCOPE_UNIT, "the store: %s",
                      result == E_FULL ? "no space left on its disk" : err_name(result));
}

void store_barrier(struct mover *m)
{
    struct store_batch *b = account_batch(m->account);
    m->wait.task = &m->task;
    store_submit(&b, &m->wait);
}

static const char *phase_name(enum mover_phase p)
{
    static const char *const names[] = {"sign_in", "look", "open",    "quiet", "match", "seek", "copy",   "noop",
                                        "select",  "compare", "tidy",  "last", "hold", "rest", "switch", "over"};
    return names[p];
}

void mover_enter(struct mover *m, enum mover_phase phase)
{
    log_event(worker_log(m->env->worker), LOG_DEBUG, "mover_phase", log_s("account", m->account->rec.name),
              log_s("unit", m->unit->rec.view_name), log_s("from", phase_name(m->phase)),
              log_s("to", phase_name(phase)));
    m->phase = phase;
}

/* ---- beginning and end ---- */

static void sign_in(struct mover *m)
{
    struct account *a = m->account;
    const struct settings *s = m->env->settings;
    m->old_ready = m->new_ready = m->selected = m->tidied = false;
    m->old_due = m->new_due = 0;
    err_clear(&m->err);
    mover_enter(m, MV_SIGN_IN);
    if (conn_open(&m->old, m->env, &m->task, &s->old_imap, m->env->tls_old, buf_slice(&a->login),
                  &a->password) != 0 ||
        m->look || /* most often there is nothing to do on new */
        conn_open(&m->new, m->env, &m->task, &s->new_imap, m->env->tls_new, buf_slice(&a->login),
                  &a->password) != 0)
        task_wake(&m->task);
    conn_set_client(&m->old, a->client_address, a->client_port);
    conn_set_client(&m->new, a->client_address, a->client_port);
}

struct mover *mover_start(struct unit *u)
{
    struct mover *m = mem_alloc(sizeof(*m));
    m->unit = u;
    m->account = u->account;
    m->env = u->account->all->env;
    m->began_ms = worker_now_ms(m->env->worker);
    task_init(&m->task, m->env->worker, mover_step);
    timer_init(&m->quiet.timer, &m->task);
    timer_init(&m->hold.timer, &m->task);
    throttle_seat_init(&m->seat, &m->task);
    m->look = u->looking;
    if (!m->look)
        unit_enter(u, UNIT_COPYING);
    sign_in(m);
    return m;
}

static void let_go(struct mover *m)
{
    if (m->wait.pending)
        store_wait_forget(m->env->store, &m->wait);
    memset(&m->wait, 0, sizeof(m->wait));
    timer_stop(&m->quiet.timer);
    hold_end(m);
    throttle_leave(&m->account->all->throttle, &m->seat);
    copy_free(m);
    match_free(m);
    compare_free(m);
    conn_abort(&m->old);
    conn_abort(&m->new);
}

void mover_wake(struct mover *m)
{
    task_wake(&m->task);
}

void mover_abort(struct mover **mp)
{
    struct mover *m = *mp;
    if (m == NULL)
        return;
    let_go(m);
    task_stop(&m->task);
    free(m->nuls);
    free(m);
    *mp = NULL;
}

static void over(struct mover *m, int result)
{
    struct unit *u = m->unit;
    struct err e = m->err;
    bool look = m->look;
    uint64_t moved = m->moved;
    u->pushed = result != 0 && (m->old.pushed || m->new.pushed);
    if (u->pushed)
        pace_pushed(m->account, m->old.pushed, e.text);
    let_go(m);
    task_stop(&m->task);
    if (result != 0 && !look) {
        unit_enter(u, UNIT_UNTOUCHED);
        unit_set_reason(u, e.text);
        struct store_batch *b = account_batch(m->account);
        store_put_unit(b, &u->rec);
        store_submit(&b, NULL);
    }
    free(m->nuls);
    free(m);
    if (look)
        unit_look_done(u, result, moved, &e);
    else
        unit_mover_done(u, result, moved > 0, &e);
}

/* A host that went away in the middle is tried again from what is committed, a few times. */
static void failed(struct mover *m)
{
    bool lost = m->err.scope == SCOPE_HOST || m->err.code == E_CLOSED;
    bool worth = m->progressed ? m->restarts < MAX_RESTARTS : m->restarts < BARREN_RESTARTS;
    if (m->again) { /* it learnt something, and goes on with that */
        m->again = false;
        let_go(m);
        sign_in(m);
        return;
    }
    if (!lost || !worth || m->look || m->phase == MV_SIGN_IN || m->phase == MV_SWITCH) {
        over(m, m->err.code);
        return;
    }
    log_event(worker_log(m->env->worker), LOG_INFO, "copy_restarted", log_s("account", m->account->rec.name),
              log_s("unit", m->unit->rec.view_name), log_s("phase", phase_name(m->phase)), log_e(&m->err));
    let_go(m);
    m->restarts++;
    m->progressed = false;
    sign_in(m);
}

/* ---- MV_SEEK: sequence numbers are dense, UIDs are not ---- */

static void ask_seek(struct mover *m)
{
    imapc_command(m->old.imap, "FETCH %u (UID)", m->seek_mid);
    m->seek_uid = 0;
    m->old_due = 1;
}

/* The number of the first message above copied_to is in [seek_lo, seek_hi]. */
static int advance_seek(struct mover *m)
{
    if (m->seek_uid == 0)
        return mover_fail(m, E_CLOSED, SCOPE_UNIT, "message %u of the old mailbox went away meanwhile",
                          m->seek_mid);
    if (m->seek_uid > m->unit->rec.copied_to)
        m->seek_hi = m->seek_mid;
    else
        m->seek_lo = m->seek_mid + 1;
    return 0;
}

static void enter_seek(struct mover *m);

static void sought(struct mover *m)
{
    if (m->seek_expunges != m->old.expunges) { /* numbers moved while it was sought */
        enter_seek(m);
        return;
    }
    struct store_unit *u = &m->unit->rec;
    struct counters *c = worker_counters(m->env->worker);
    uint64_t settled = u->moved + u->left_behind + u->vanished;
    uint32_t first = m->seek_lo, rest = m->old.exists - first + 1;
    if (m->look) {
        if (rest > 0)
            copy_begin(m, first, m->old.exists);
        mover_enter(m, rest > 0 ? MV_COPY : MV_OVER);
        return;
    }
    c->found += settled + rest - u->found;
    u->found = settled + rest;
    m->unit->done = settled;
    m->unit->total = u->found;
    bool work = rest > 0 || !m->tidied;
    if (m->hold.round_began_ms != 0) {
        hold_next(m, work);
        if (!work || m->phase != MV_SEEK)
            return;
    }
    if (rest > 0) {
        m->tidied = false;
        copy_begin(m, first, m->old.exists);
        mover_enter(m, MV_COPY);
    } else {
        mover_enter(m, MV_SELECT);
    }
}

static void enter_seek(struct mover *m)
{
    mover_enter(m, MV_SEEK);
    m->seek_lo = 1;
    m->seek_expunges = m->old.expunges;
    m->seek_hi = m->old.exists + 1;
    m->seek_mid = m->old.exists; /* most often it is the end */
    if (m->unit->rec.copied_to == 0 || m->old.exists == 0) {
        sought(m);
        return;
    }
    ask_seek(m);
}

/* ---- MV_NOOP, MV_LAST ---- */

/* Asks for news. */
static void enter_noop(struct mover *m, enum mover_phase phase)
{
    mover_enter(m, phase);
    m->old_due = 1;
    if (phase == MV_LAST)
        hold_round(m);
    /* Before the news: what is news later has a higher one. */
    if (phase == MV_LAST && conn_ask_modseq(&m->old, m->unit->rec.old_name))
        m->old_due++;
    if (phase == MV_LAST && conn_ask_modseq(&m->new, m->unit->rec.new_name))
        m->new_due++;
    imapc_command(m->old.imap, "NOOP");
    store_barrier(m);
}

static void enter_select(struct mover *m)
{
    if (m->hold.round_began_ms == 0)
        m->hold.round_began_ms = worker_now_ms(m->env->worker);
    if (m->selected)
        return;
    m->selected = true;
    imapc_begin(m->new.imap);
    imapc_puts(m->new.imap, "SELECT ");
    imapc_put_string(m->new.imap, slice_str(m->unit->rec.new_name));
    imapc_end(m->new.imap);
    m->new_due = 1;
}

/* ---- events ---- */

static int on_tagged(struct mover *m, struct conn *c)
{
    unsigned *due = c == &m->old ? &m->old_due : &m->new_due;
    if (m->phase == MV_COPY)
        return 0;
    if (*due > 0)
        (*due)--;
    if (c->cond == COND_OK)
        return 0;
    if (conn_code_is(c, "ALREADYEXISTS")) /* a delivery makes INBOX in this moment: soon it opens */
        return conn_refused(c, &m->err, SCOPE_HOST, "the mailbox is just being made");
    switch (m->phase) {
    case MV_LOOK:
    case MV_OPEN:
    case MV_SELECT:
        return conn_refused(c, &m->err, SCOPE_UNIT,
                            c == &m->old ? "the old host does not open the mailbox"
                                         : "the new host does not open the mailbox");
    case MV_COMPARE: /* a flag that is not taken is no reason to stop */
        if (compare_is_listing(m, c))
            return conn_refused(c, &m->err, SCOPE_UNIT,
                                c == &m->old ? "the old host does not list the mailbox"
                                             : "the new host does not list the mailbox");
        m->compare.differs = m->compare.refused = true;
        log_event(worker_log(m->env->worker), LOG_WARN, "store_refused", log_s("account", m->account->rec.name),
                  log_s("unit", m->unit->rec.view_name), log_v("text", buf_slice(&c->text)));
        return 0;
    case MV_TIDY:
        return tidy_refused(m, c);
    case MV_MATCH:
        return conn_refused(c, &m->err, SCOPE_UNIT, "the mailbox could not be tidied");
    default:
        return 0;
    }
}

static int on_event(struct mover *m, struct conn *c, enum conn_event ev)
{
    bool old = c == &m->old;
    if (ev == CONN_FAILED) {
        m->err = c->err;
        return m->err.code;
    }
    if (ev == CONN_READY) {
        *(old ? &m->old_ready : &m->new_ready) = true;
        return 0;
    }
    if (old && ev == CONN_LINE)
        news_line(m);
    if (ev == CONN_TAGGED) {
        if (old && m->compare.news.id != 0 && c->id == m->compare.news.id)
            news_listed(m);
        int r = on_tagged(m, c);
        if (r != 0)
            return r;
    }
    switch (m->phase) {
    case MV_QUIET:
    case MV_OPEN:
        if (ev == CONN_LINE && !old)
            conn_status(c);
        return 0;
    case MV_MATCH:
        if (ev == CONN_FETCH)
            match_event(m, c);
        return 0;
    case MV_SEEK:
        if (ev == CONN_FETCH && old && c->fetch.seq == m->seek_mid && c->fetch.uid != 0)
            m->seek_uid = c->fetch.uid;
        else if (ev == CONN_FETCH && old)
            news_flags(m, &c->fetch);
        return 0;
    case MV_COPY:
        return old ? copy_old_event(m, ev) : copy_new_event(m, ev);
    case MV_HOLD:
    case MV_REST:
    case MV_NOOP:
    case MV_SELECT:
    case MV_COMPARE:
    case MV_LAST:
        if (ev == CONN_LINE)
            conn_status(c);
        if (ev == CONN_FETCH)
            compare_event(m, c);
        return 0;
    case MV_TIDY:
        return tidy_event(m, c, ev);
    default:
        return 0;
    }
}

static int pump(struct mover *m, struct conn *c, bool *any)
{
    while (c == &m->new || m->phase != MV_COPY || copy_wants_old(m)) {
        bool metered = c == &m->old && m->phase == MV_COPY;
        if (metered && !throttle_may(&m->account->all->throttle, &m->seat, m->env->settings->bytes_per_second))
            return 0;
        enum conn_event ev = conn_next(c);
        if (metered && (ev == CONN_BYTES || ev == CONN_BODY_END))
            throttle_took(&m->account->all->throttle, &m->seat, c->bytes.n);
        if (ev == CONN_NONE)
            return 0;
        *any = true;
        int r = on_event(m, c, ev);
        if (r != 0)
            return r;
    }
    return 0;
}

/* ---- advancing: only when no reply is due (but in COPY, which keeps its own account) ---- */

static int advance_match(struct mover *m)
{
    if (m->renumbered)
        return match_taken_back(m);
    if (m->match.n > 0)
        return match_settle(m);
    if (!m->wait.pending)
        enter_seek(m);
    return 0;
}

static int advance_compare(struct mover *m)
{
    if (m->compare.done && m->compare.chunk == CHUNK_NONE) {
        compare_record(m);
        mover_enter(m, MV_TIDY);
        return compare_trust(m);
    }
    return compare_advance(m);
}

static int enter_match(struct mover *m)
{
    mover_enter(m, MV_MATCH);
    return m->renumbered ? match_take_back(m) : match_begin(m);
}

static int enter_quiet(struct mover *m)
{
    bool needed;
    mover_enter(m, MV_QUIET);
    int r = quiet_begin(m, &needed);
    return r != 0 || needed ? r : enter_match(m);
}

static int advance_copy(struct mover *m)
{
    bool done;
    int r = copy_advance(m, &done);
    if (r == 0 && done)
        enter_noop(m, MV_NOOP);
    return r;
}

static void advance_sign_in(struct mover *m)
{
    if (m->look && m->old_ready && m->new.imap == NULL)
        look_begin(m);
    else if (m->look && m->old_ready && m->new_ready)
        look_open(m);
    else if (m->old_ready && m->new_ready)
        open_begin(m);
}

static int advance_idle(struct mover *m)
{
    int r = 0;
    switch (m->phase) {
    case MV_SIGN_IN:
        advance_sign_in(m);
        return 0;
    case MV_LOOK:
        return look_examined(m);
    case MV_OPEN:
        return m->opened ? enter_quiet(m) : m->look ? look_opened(m) : open_done(m);
    case MV_QUIET:
        return quiet_waits(m) || !quiet_over(m) ? 0 : enter_match(m);
    case MV_MATCH:
        return advance_match(m);
    case MV_SEEK:
        r = advance_seek(m);
        if (r == 0 && m->seek_lo >= m->seek_hi)
            sought(m);
        else if (r == 0) {
            m->seek_mid = m->seek_lo + (m->seek_hi - m->seek_lo) / 2;
            ask_seek(m);
        }
        return r;
    case MV_NOOP:
        if (!m->uidplus && !m->look) /* where a straggler stands need not be known */
            return enter_match(m);
        enter_seek(m);
        return 0;
    case MV_SELECT:
        if (!m->selected) {
            enter_select(m);
            return 0;
        }
        if (m->new.not_sticky) /* no map of them could be kept */
            return mover_fail(m, E_NOTSUP, SCOPE_UNIT, "the UIDs of the new host's mailbox do not last (UIDNOTSTICKY)");
        r = compare_begin(m);
        mover_enter(m, MV_COMPARE);
        return r;
    case MV_COMPARE:
        return advance_compare(m);
    case MV_TIDY:
        r = tidy_advance(m);
        if (r == 0 && m->tidied)
            enter_noop(m, MV_LAST);
        return r;
    case MV_LAST:
        if (compare_again(m))
            m->tidied = false;
        enter_seek(m);
        return 0;
    case MV_HOLD:
    case MV_REST:
        if (hold_over(m))
            enter_noop(m, MV_LAST);
        return 0;
    default:
        return 0;
    }
}

/* One move, if there is one. *moved tells. */
static int advance(struct mover *m, bool *moved)
{
    enum mover_phase before = m->phase;
    int r;
    if (m->phase == MV_COPY) {
        r = advance_copy(m);
    } else if (m->old_due + m->new_due > 0 || m->wait.pending) {
        return m->phase == MV_TIDY ? tidy_pump(m) : 0;
    } else if (m->wait.id != 0 && m->wait.result != 0) {
        return mover_store_failed(m, m->wait.result);
    } else {
        r = advance_idle(m);
    }
    bool waits = m->phase == MV_SIGN_IN || m->phase == MV_COPY || quiet_waits(m) || hold_waits(m);
    if (m->phase == MV_OVER)
        return 0;
    *moved = m->phase != before || (!waits && m->old_due + m->new_due == 0 && !m->wait.pending);
    return r;
}

static void mover_step(struct task *t)
{
    struct mover *m = container_of(t, struct mover, task);
    bool again = true;
    int r = 0;
    if (m->phase != MV_COPY)
        throttle_leave(&m->account->all->throttle, &m->seat);
    while (r == 0 && again) {
        again = false;
        if (m->phase == MV_SWITCH) {
            if (m->wait.pending)
                return;
            if (m->unit->rec.state != UNIT_SWITCHING) {
                r = switch_begin(m);
            } else if (m->wait.result != 0) {
                r = mover_store_failed(m, m->wait.result);
            } else {
                switch_done(m);
                conn_close(&m->old);
                conn_close(&m->new);
                over(m, 0);
                return;
            }
            continue;
        }
        r = pump(m, &m->new, &again);
        if (r == 0)
            r = pump(m, &m->old, &again);
        bool moved = false;
        if (r == 0 && m->phase != MV_OVER)
            r = advance(m, &moved);
        again = again || moved;
        if (r == 0 && m->phase == MV_OVER) { /* a look is */
            if (m->wait.pending)
                return;
            if (m->wait.result != 0)
                r = mover_store_failed(m, m->wait.result);
            conn_close(&m->old);
            conn_close(&m->new);
            over(m, r);
            return;
        }
    }
    throttle_pass(&m->account->all->throttle, &m->seat); /* there was nothing to read in its turn */
    if (r != 0)
        failed(m);
}
