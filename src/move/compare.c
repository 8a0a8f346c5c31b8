/*
 * Before the switch both sides are compared, chunk by chunk, and made to agree: every message that is still on old must be
 * on new, what vanished there goes, what the new host had of its own is noted. So the delta and the verification are one
 * pass that never holds more than a chunk.
 *
 * Flags follow old where they changed there, and stay where a person changed them on new: see flags.h. For that the intent
 * records what old showed when they were sent, and after each comparison what it showed then, but only when new
 * has taken it: until then the same difference is found again. Only where this ends between the two, and old is
 * changed back before it goes on, does the first change pass for one of new's.
 *
 * A message that a person deleted on new during the copy cannot be told from one that new lost. It stays away from the mailbox
 * and is kept in the spool, where it is listed.
 */
#include "move/flags.h"
#include "move/mover_priv.h"
#include <string.h>

enum { CHUNK_INTENTS = 20 };

static void chunk_free(struct compare *x)
{
    for (uint32_t i = 0; i < x->n; i++) {
        free(x->msgs[i].old_flags);
        free(x->msgs[i].new_flags);
    }
    free(x->msgs);
    intents_free(&x->intents, x->n_intents);
    x->msgs = NULL;
    x->n = 0;
    x->n_intents = 0;
    x->chunk = CHUNK_NONE;
}

void compare_free(struct mover *m)
{
    struct compare *x = &m->compare;
    chunk_free(x);
    buf_free(&x->foreign);
    buf_free(&x->gone);
    store_batch_free(&x->records);
    news_free(m);
    uidlist_free(&x->again);
    free(x->late);
    free(x->left.uids);
    spool_free(&x->spool);
    resend_free(&x->resend);
    free(x->behind);
    memset(x, 0, sizeof(*x));
}

int compare_begin(struct mover *m)
{
    struct compare *x = &m->compare;
    x->done = false;
    x->expect = m->old.exists;
    x->expunges = m->old.expunges;
    news_ask(m);
    if (x->next_batch == 0)
        x->next_batch = 1;
    int r = left_load(m, &x->left);
    uidlist_free(&x->again);
    x->again = x->news.changed;
    x->news.changed = (struct uidlist){.n = 0};
    buf_clear(&x->foreign);
    buf_clear(&x->gone);
    imap_set_begin(&x->foreign_w, &x->foreign);
    imap_set_begin(&x->gone_w, &x->gone);
    x->tidy_step = 0;
    if (conn_ask_modseq(&m->new, m->unit->rec.new_name))
        m->new_due++;
    return r;
}

/* ---- a chunk ---- */

static void take_intents(struct compare *x, struct store_intent *v, size_t n)
{
    uint32_t total = 0;
    x->intents = v;
    x->n_intents = n;
    for (size_t i = 0; i < n; i++)
        total += v[i].n;
    x->msgs = mem_array(total + 1, sizeof(*x->msgs));
    for (size_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < v[i].n; k++)
            x->msgs[x->n++] = (struct compare_msg){.old_uid = v[i].msgs[k].old_uid,
                                                   .new_uid = v[i].msgs[k].new_uid,
                                                   .intent = (uint32_t)i,
                                                   .at = k,
                                                   .size = v[i].msgs[k].size,
                                                   .base = v[i].msgs[k].flags};
}

/* The last chunk reaches up to all that is settled on old, so that nothing in between is overlooked. */
static int ask_chunk(struct mover *m)
{
    struct compare *x = &m->compare;
    struct store_intent *v;
    size_t n;
    int r = intents_load(m, x->next_batch, INTENT_STORED, CHUNK_INTENTS, &v, &n);
    if (r != 0) {
        intents_free(&v, n);
        return r;
    }
    bool last = n < CHUNK_INTENTS;
    take_intents(x, v, n);
    if (n > 0)
        x->next_batch = v[n - 1].batch + 1;
    x->chunk = CHUNK_NEXT;
    x->top_old = last ? m->unit->rec.copied_to : x->n > 0 ? x->msgs[x->n - 1].old_uid : x->old_high;
    x->top_new = x->n > 0 ? x->msgs[x->n - 1].new_uid : x->new_high;
    if (x->top_old > x->old_high) {
        x->old_id = imapc_command(m->old.imap, "UID FETCH %u:%u (UID FLAGS)", x->old_high + 1, x->top_old);
        m->old_due++;
    }
    if (x->top_new > x->new_high) {
        x->new_id = imapc_command(m->new.imap, "UID FETCH %u:%u (UID FLAGS RFC822.SIZE)", x->new_high + 1,
                                  x->top_new);
        m->new_due++;
    }
    x->done = last;
    return 0;
}

static struct compare_msg *find(struct compare *x, uint32_t uid, bool by_new)
{
    uint32_t lo = 0, hi = x->n;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        uint32_t at = by_new ? x->msgs[mid].new_uid : x->msgs[mid].old_uid;
        if (at == uid)
            return &x->msgs[mid];
        if (at < uid)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

static void add_late(struct compare *x, uint32_t old_uid, bool was_moved)
{
    for (size_t i = 0; i < x->n_late; i++)
        if (x->late[i].uid == old_uid)
            return; /* told twice */
    x->late = mem_grow(x->late, x->n_late + 1, sizeof(*x->late));
    x->late[x->n_late++] = (struct late_msg){.uid = old_uid, .was_moved = was_moved};
}

static void on_old(struct mover *m, const struct fetch *f)
{
    struct compare *x = &m->compare;
    struct compare_msg *g = find(x, f->uid, false);
    struct buf flags = {0};
    bool next = x->chunk == CHUNK_NEXT && f->uid > x->old_high && f->uid <= x->top_old;
    if (!next && (x->chunk != CHUNK_AGAIN || g == NULL)) {
        if (f->uid <= x->top_old)
            news_changed(m, f->uid);
        return;
    }
    if (g == NULL) {
        x->told++;
        if (!left_has(&x->left, f->uid))
            add_late(x, f->uid, false); /* it exists and was not carried over */
        return;
    }
    x->told += !g->on_old && next;
    g->on_old = true;
    if (!f->has_flags || f->bad)
        return; /* what cannot be read is left as it was copied */
    flags_clean(m, f->uid, buf_slice(&f->flags), &flags);
    free(g->old_flags);
    g->old_flags = slice_dup(buf_slice(&flags));
    buf_free(&flags);
}

static void on_new(struct mover *m, const struct fetch *f)
{
    struct compare *x = &m->compare;
    struct compare_msg *g = find(x, f->uid, true);
    struct buf flags = {0};
    if (g == NULL) {
        if (x->chunk == CHUNK_NEXT && f->uid > x->new_high && f->uid <= x->top_new)
            imap_set_add(&x->foreign_w, f->uid, f->uid);
        return;
    }
    g->on_new = true;
    if (!f->has_flags || f->bad)
        return;
    flags_clean(m, f->uid, buf_slice(&f->flags), &flags);
    free(g->new_flags);
    g->new_flags = slice_dup(buf_slice(&flags));
    if (f->has_size)
        g->new_size = f->size;
    buf_free(&flags);
}

void compare_event(struct mover *m, struct conn *c)
{
    bool asked = c->fetch.uid != 0 && m->compare.chunk != CHUNK_NONE;
    if (c == &m->old && asked)
        on_old(m, &c->fetch);
    else if (c == &m->old)
        news_flags(m, &c->fetch);
    else if (asked)
        on_new(m, &c->fetch);
}

/* ---- making them agree ---- */

/* It was counted as moved; unless it is in the spool it counts as vanished. */
static void uncount(struct mover *m, const struct compare_msg *g)
{
    struct compare *x = &m->compare;
    x->unmoved++;
    x->unmoved_bytes += g->size;
    x->vanished += !left_has(&x->left, g->old_uid);
}

static void note(struct mover *m, const char *event, const struct compare_msg *g)
{
    log_event(worker_log(m->env->worker), LOG_WARN, event, log_s("account", m->account->rec.name),
              log_s("unit", m->unit->rec.view_name), log_n("uid", g->old_uid),
              log_n("size", (int64_t)g->size), log_n("new_size", (int64_t)g->new_size));
}

static void change_flags(struct mover *m, const struct compare_msg *g, char sign, struct buf *flags)
{
    if (flags->len == 0)
        return;
    imapc_command(m->new.imap, "UID STORE %u %cFLAGS.SILENT (%s)", g->new_uid, sign, buf_cstr(flags));
    m->new_due++;
}

static void settle_flags(struct mover *m, struct compare_msg *g)
{
    struct buf add = {0}, remove = {0};
    /* Who was in sync with old does not know what a person changed on new, be it before new_modseq. */
    if (flags_merge(g->base, slice_str(g->old_flags), slice_str(g->new_flags), &add, &remove))
        m->compare.differs = true;
    change_flags(m, g, '+', &add);
    change_flags(m, g, '-', &remove);
    g->base = flags_digest(slice_str(g->old_flags));
    buf_free(&add);
    buf_free(&remove);
}

/* What is gone or missing is counted once, however often it is looked at. */
static bool counted(struct mover *m, const struct compare_msg *g)
{
    struct compare *x = &m->compare;
    if (x->chunk == CHUNK_AGAIN && (uidlist_has(&x->news.gone, g->old_uid) || left_has(&x->left, g->old_uid)))
        return true;
    if (g->on_old && g->on_new)
        return false;
    x->told -= x->chunk == CHUNK_AGAIN && !g->on_old && x->told > 0;
    x->news.unknown = x->news.unknown || !uidlist_add(&x->news.gone, g->old_uid);
    uidlist_sort(&x->news.gone);
    return false;
}

static void settle_one(struct mover *m, struct compare_msg *g)
{
    struct compare *x = &m->compare;
    if (!g->on_old && g->on_new && !m->can_expunge)
        return; /* it cannot be taken away alone, and is shown for once more */
    if (counted(m, g))
        return;
    if (!g->on_old) {
        uncount(m, g);
        if (g->on_new)
            imap_set_add(&x->gone_w, g->new_uid, g->new_uid);
        return;
    }
    if (!g->on_new) {
        note(m, "lost_on_new", g);
        uncount(m, g);
        if (!left_has(&x->left, g->old_uid))
            add_late(x, g->old_uid, true);
        return;
    }
    if (g->new_size != g->size)
        note(m, "size_differs", g);
    if (g->old_flags != NULL && g->new_flags != NULL)
        settle_flags(m, g);
}

/* What old showed is what new has, or keeps otherwise: the next change on old is one from there. */
static void record_flags(struct mover *m)
{
    struct compare *x = &m->compare;
    bool *changed = mem_array(x->n_intents + 1, sizeof(*changed));
    for (uint32_t i = 0; i < x->n; i++) {
        const struct compare_msg *g = &x->msgs[i];
        struct intent_msg *rec = &x->intents[g->intent].msgs[g->at];
        changed[g->intent] = changed[g->intent] || rec->flags != g->base;
        rec->flags = g->base;
    }
    for (size_t i = 0; i < x->n_intents; i++) {
        if (changed[i] && x->records == NULL)
            x->records = account_batch(m->account);
        if (changed[i])
            store_put_intent(x->records, &x->intents[i]);
    }
    free(changed);
}

void compare_record(struct mover *m)
{
    struct compare *x = &m->compare;
    if (x->refused)
        store_batch_free(&x->records);
    if (x->records == NULL)
        return;
    m->wait.task = &m->task;
    store_submit(&x->records, &m->wait);
}

/* First what changed, then what came. */
static int next_chunk(struct mover *m)
{
    return m->compare.again.n > 0 ? again_chunk(m) : ask_chunk(m);
}

int compare_advance(struct mover *m)
{
    struct compare *x = &m->compare;
    if (x->records != NULL) {
        compare_record(m);
        return 0;
    }
    if (x->chunk == CHUNK_NONE) {
        if (x->new_modseq == 0) /* a pass may go on with what was copied since the last one */
            x->new_modseq = m->new.modseq;
        return next_chunk(m);
    }
    for (uint32_t i = 0; i < x->n; i++)
        settle_one(m, &x->msgs[i]);
    record_flags(m);
    if (x->chunk == CHUNK_NEXT) {
        x->old_high = x->top_old;
        x->new_high = x->top_new;
    }
    chunk_free(x);
    for (size_t i = 0; i < x->n_late && !m->doubted; i++)
        if (x->late[i].was_moved) { /* perhaps that connection has not seen it yet: ask on another one */
            m->doubted = m->again = true;
            return mover_fail(m, E_UNAVAIL, SCOPE_UNIT, "the new host does not list what it stored");
        }
    return x->done ? 0 : next_chunk(m);
}

/* A host that keeps messages to itself must not have them taken for expunged. */
int compare_trust(struct mover *m)
{
    const struct compare *x = &m->compare;
    uint32_t expunged = m->old.expunges - x->expunges;
    uint32_t least = x->expect > expunged ? x->expect - expunged : 0;
    if (x->told >= least)
        return 0;
    return mover_fail(m, E_UNAVAIL, SCOPE_UNIT, "the old host told of %u messages only, where it has %u", x->told,
                      least);
}

bool compare_is_listing(const struct mover *m, const struct conn *c)
{
    return c->id == (c == &m->old ? m->compare.old_id : m->compare.new_id);
}

enum { MAX_ROUNDS = 5 };

bool compare_again(struct mover *m)
{
    struct compare *x = &m->compare;
    /* While the gate is closed only somebody who goes past us changes anything: that has to come to an end. */
    unsigned rounds = x->rounds + unit_gate_closed(m->unit);
    if (!news_any(m) || rounds > MAX_ROUNDS)
        return false;
    if (x->news.unknown || x->refused) /* what new did not take is tried once more */
        compare_free(m);
    x->rounds = rounds;
    return true;
}
