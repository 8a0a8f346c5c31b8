/*
 * Opening both mailboxes, and what is still true of what was recorded about them.
 */
#include "move/mover_priv.h"

void open_learn_caps(struct mover *m)
{
    m->can_expunge = (imapc_caps(m->new.imap) & CAP_BIT(UIDPLUS)) != 0;
    m->uidplus = m->can_expunge && !m->untold;
    m->multi = (imapc_caps(m->new.imap) & CAP_BIT(MULTIAPPEND)) != 0 &&
               (imapc_caps(m->new.imap) & CAP_BIT(LITERAL_PLUS)) != 0;
}

void open_ask_old(struct mover *m)
{
    imapc_begin(m->old.imap);
    imapc_puts(m->old.imap, "EXAMINE ");
    imapc_put_string(m->old.imap, slice_str(m->unit->rec.old_name));
    imapc_end(m->old.imap);
}

void open_ask_new(struct mover *m)
{
    imapc_begin(m->new.imap);
    imapc_puts(m->new.imap, "STATUS ");
    imapc_put_string(m->new.imap, slice_str(m->unit->rec.new_name));
    imapc_puts(m->new.imap, " (UIDNEXT UIDVALIDITY)");
    imapc_end(m->new.imap);
}

void open_begin(struct mover *m)
{
    mover_enter(m, MV_OPEN);
    open_learn_caps(m);
    open_ask_old(m);
    open_ask_new(m);
    m->old_due = m->new_due = 1;
    m->opened = false;
    store_barrier(m); /* what was written before is read now */
}

/* Everything that was recorded means nothing any more; what it speaks of is not on new. */
void open_forget(struct mover *m, struct store_batch *b)
{
    struct store_unit *u = &m->unit->rec;
    struct counters *c = worker_counters(m->env->worker);
    struct buf key = {0};
    store_key_unit(&key, u->account, u->id);
    store_del_prefix(b, STORE_INTENTS, buf_slice(&key));
    store_del_prefix(b, STORE_LEFT, buf_slice(&key));
    buf_free(&key);
    c->moved -= u->moved;
    c->left_behind -= u->left_behind;
    c->vanished -= u->vanished;
    c->bytes_moved -= u->bytes;
    u->moved = u->left_behind = u->vanished = u->bytes = 0;
    u->copied_to = 0;
    u->old_uidvalidity = m->old.uidvalidity;
    m->batches = 0;
    store_put_unit(b, u);
}

static void note_begin(struct mover *m)
{
    struct store_unit *u = &m->unit->rec;
    u->attempts++;
    u->started = clock_real_us() / 1000000;
    log_event(worker_log(m->env->worker), LOG_INFO, "copy_begin", log_s("account", m->account->rec.name),
              log_s("unit", u->view_name), log_n("messages", m->old.exists),
              log_n("settled", (int64_t)(u->moved + u->left_behind + u->vanished)),
              log_n("attempt", u->attempts));
}

/* The new mailbox has other UIDs, or is another one: what was sent is looked for in it (MV_MATCH). */
static int revive(struct mover *m, struct store_batch *b)
{
    struct store_unit *u = &m->unit->rec;
    struct counters *c = worker_counters(m->env->worker);
    log_event(worker_log(m->env->worker), LOG_WARN, "new_uidvalidity_changed",
              log_s("account", m->account->rec.name), log_s("unit", u->view_name),
              log_n("recorded", u->new_uidvalidity), log_n("now", m->new.uidvalidity));
    c->moved -= u->moved;
    c->bytes_moved -= u->bytes;
    u->moved = u->bytes = 0;
    m->revived = true;
    int r = intents_revive(m->unit, b);
    return r == 0 ? 0 : mover_store_failed(m, r);
}

int open_done(struct mover *m)
{
    struct store_unit *u = &m->unit->rec;
    struct store_batch *b;
    if (m->old.uidvalidity == 0 || m->new.uidvalidity == 0 || m->new.uidnext == 0)
        return mover_fail(m, E_PROTO, SCOPE_UNIT, "the %s host does not tell UIDVALIDITY and UIDNEXT",
                          m->old.uidvalidity == 0 ? "old" : "new");
    int r = intents_recount(m);
    if (r != 0)
        return r;
    bool begun = u->copied_to > 0 || m->batches > 0;
    m->renumbered = begun && u->old_uidvalidity != m->old.uidvalidity;
    m->revived = false;
    b = account_batch(m->account);
    if (m->renumbered)
        log_event(worker_log(m->env->worker), LOG_WARN, "old_uidvalidity_changed",
                  log_s("account", m->account->rec.name), log_s("unit", u->view_name),
                  log_n("recorded", u->old_uidvalidity), log_n("now", m->old.uidvalidity));
    else
        u->old_uidvalidity = m->old.uidvalidity;
    if (begun && u->new_uidvalidity != 0 && u->new_uidvalidity != m->new.uidvalidity)
        r = revive(m, b);
    if (r != 0) {
        store_batch_free(&b);
        return r;
    }
    u->new_uidvalidity = m->new.uidvalidity;
    if (m->restarts == 0)
        note_begin(m);
    store_put_unit(b, u);
    m->opened = true;
    m->wait.task = &m->task;
    store_submit(&b, &m->wait);
    return 0;
}
