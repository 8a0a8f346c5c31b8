/*
 * After the comparison: what vanished on old goes from new, what the new host had of its own is carried behind the migrated
 * messages, and what could not be carried over at all goes to the spool.
 */
#include "move/mover_priv.h"
#include <string.h>

enum tidy_step {
    TIDY_GHOSTS,
    TIDY_GHOSTS_ASKED,
    TIDY_GONE,
    TIDY_FOREIGN,       /* see foreign.c */
    TIDY_BEHIND,        /* what stands there was told; was a try broken off? */
    TIDY_FOREIGN_ASKED, /* then what had been copied by it goes */
    TIDY_FOREIGN_GONE,
    TIDY_RECORD,
    TIDY_CARRY,
    TIDY_CARRIED,
    TIDY_RESEND, /* or one by one, see resend.c */
    TIDY_FORGET,
    TIDY_LATE,
    TIDY_SPOOLING,
    TIDY_DONE
};

static int expunge(struct mover *m, struct buf *set)
{
    if (set->len == 0)
        return 0;
    const char *s = buf_cstr(set);
    if (!m->can_expunge)
        return mover_fail(m, E_NOTSUP, SCOPE_UNIT, "the new host cannot expunge single messages (no UIDPLUS)");
    imapc_command(m->new.imap, "UID STORE %s +FLAGS.SILENT (\\Deleted)", s);
    imapc_command(m->new.imap, "UID EXPUNGE %s", s);
    m->new_due += 2;
    return 0;
}

static int begin_late(struct mover *m)
{
    struct compare *x = &m->compare;
    x->spool = spool_new();
    x->late_told = false;
    int r = spool_open(m, x->spool, x->late[x->n_late - 1].uid);
    if (r == 0) {
        imapc_command(m->old.imap, "UID FETCH %u (UID BODY.PEEK[])", x->late[x->n_late - 1].uid);
        m->old_due++;
    }
    return r;
}

/* Until now it counted as vanished; it stays so where the old host knows nothing of it any more. */

static void end_late(struct mover *m)
{
    struct compare *x = &m->compare;
    struct late_msg late = x->late[--x->n_late];
    if (spool_complete(x->spool) || x->late_told) {
        if (late.was_moved) {
            x->vanished--;
        } else if (m->unit->rec.vanished > 0) {
            m->unit->rec.vanished--;
            worker_counters(m->env->worker)->vanished--;
        }
        spool_record(m, x->spool, late.uid, 0, "",
                     spool_complete(x->spool) ? "the message could not be carried over in its place"
                                              : "the old host does not give its contents");
    }
    spool_free(&x->spool);
}

int tidy_event(struct mover *m, struct conn *c, enum conn_event ev)
{
    struct compare *x = &m->compare;
    if (c == &m->new) {
        if (ev == CONN_FETCH && (x->tidy_step == TIDY_GHOSTS_ASKED || x->tidy_step == TIDY_FOREIGN_ASKED))
            match_event(m, c);
        if (ev == CONN_FETCH && x->tidy_step == TIDY_BEHIND)
            foreign_behind(m, c->fetch.uid);
        return x->tidy_step == TIDY_RESEND ? resend_event(m, x->resend, ev) : 0;
    }
    if (x->tidy_step != TIDY_SPOOLING || x->spool == NULL) {
        if (ev == CONN_FETCH)
            news_flags(m, &m->old.fetch);
        return 0;
    }
    if (ev == CONN_FETCH && m->old.fetch.uid == x->late[x->n_late - 1].uid)
        x->late_told = true;
    return spool_event(m, x->spool, ev);
}

int tidy_pump(struct mover *m)
{
    struct compare *x = &m->compare;
    return x->tidy_step == TIDY_RESEND ? resend_pump(m, x->resend) : 0;
}

/* The new host does not carry messages within a mailbox that way: the next one is tried. */
static void carry_refused(struct mover *m)
{
    struct compare *x = &m->compare;
    bool move = foreign_by_move(m);
    *(move ? &m->no_move : &m->no_copy) = true;
    log_event(worker_log(m->env->worker), LOG_INFO, "carry_refused", log_s("account", m->account->rec.name),
              log_s("unit", m->unit->rec.view_name), log_s("by", move ? "MOVE" : "COPY"), log_v("said", buf_slice(&m->new.text)));
    x->tidy_step = move ? TIDY_RECORD : TIDY_CARRY;
}

/* Of the old host only one message at a time is asked for; it may be past reading. */
int tidy_refused(struct mover *m, struct conn *c)
{
    if (c == &m->new && m->compare.tidy_step == TIDY_CARRIED && !conn_temporary(c)) {
        carry_refused(m);
        return 0;
    }
    bool spooling = c == &m->old && m->compare.tidy_step == TIDY_SPOOLING;
    if (!spooling || c->cond != COND_NO || conn_temporary(c))
        return conn_refused(c, &m->err, SCOPE_UNIT, "the mailbox could not be tidied");
    m->compare.late_told = true;
    return 0;
}

/* What a try that was broken off had copied already is there twice. */
static int expunge_copied(struct mover *m)
{
    struct buf copied = {0};
    int r = foreign_settle(m, &copied);
    if (r == 0)
        r = expunge(m, &copied);
    buf_free(&copied);
    return r;
}

static int advance_resend(struct mover *m)
{
    struct compare *x = &m->compare;
    bool done;
    int r = resend_advance(m, x->resend, &done);
    if (r != 0 || !done)
        return r;
    resend_free(&x->resend);
    x->tidy_step = TIDY_FORGET;
    return expunge(m, &x->foreign);
}

static int advance_foreign(struct mover *m)
{
    struct compare *x = &m->compare;
    bool any;
    int r;
    switch ((enum tidy_step)x->tidy_step) {
    case TIDY_FOREIGN:
        r = foreign_ask_behind(m, &any);
        x->tidy_step = any ? TIDY_BEHIND : TIDY_LATE;
        return r;
    case TIDY_BEHIND:
        x->tidy_step = TIDY_FOREIGN_ASKED;
        foreign_add_behind(m);
        return foreign_ask(m);
    case TIDY_FOREIGN_ASKED:
        x->tidy_step = m->match.n > 0 ? TIDY_FOREIGN_GONE : TIDY_RECORD;
        return m->match.n > 0 ? expunge_copied(m) : 0;
    case TIDY_FOREIGN_GONE:
        x->tidy_step = foreign_between(m) ? TIDY_RECORD : TIDY_LATE;
        return foreign_forget(m);
    case TIDY_RECORD:
        x->tidy_step = TIDY_CARRY;
        return foreign_record(m);
    case TIDY_CARRY:
        x->tidy_step = m->no_copy ? TIDY_RESEND : TIDY_CARRIED;
        if (m->no_copy)
            x->resend = resend_new(m);
        else
            foreign_carry(m);
        return 0;
    case TIDY_RESEND:
        return advance_resend(m);
    case TIDY_CARRIED:
        x->tidy_step = TIDY_FORGET;
        return foreign_by_move(m) ? 0 : expunge(m, &x->foreign);
    default:
        x->tidy_step = TIDY_LATE;
        return foreign_forget(m);
    }
}

/* Each step asks; the next begins when all replies are there, and what it records is on disk. */
int tidy_advance(struct mover *m)
{
    struct compare *x = &m->compare;
    int r = 0;
    while (r == 0 && m->old_due == 0 && m->new_due == 0 && !m->wait.pending && x->tidy_step != TIDY_DONE) {
        switch ((enum tidy_step)x->tidy_step) {
        case TIDY_GHOSTS:
            imap_set_end(&x->foreign_w);
            imap_set_end(&x->gone_w);
            r = match_ghosts(m);
            x->tidy_step = m->match.n > 0 ? TIDY_GHOSTS_ASKED : TIDY_GONE;
            break;
        case TIDY_GHOSTS_ASKED:
            r = match_settle(m);
            x->tidy_step = TIDY_GONE;
            break;
        case TIDY_GONE:
            r = expunge(m, &x->gone);
            x->tidy_step = TIDY_FOREIGN;
            break;
        case TIDY_FOREIGN:
        case TIDY_BEHIND:
        case TIDY_FOREIGN_ASKED:
        case TIDY_FOREIGN_GONE:
        case TIDY_RECORD:
        case TIDY_CARRY:
        case TIDY_CARRIED:
        case TIDY_RESEND:
        case TIDY_FORGET:
            r = advance_foreign(m);
            break;
        case TIDY_LATE:
            x->tidy_step = x->n_late > 0 ? TIDY_SPOOLING : TIDY_DONE;
            if (x->n_late > 0)
                r = begin_late(m);
            break;
        case TIDY_SPOOLING:
            end_late(m);
            x->tidy_step = TIDY_LATE;
            break;
        case TIDY_DONE:
            break;
        }
    }
    m->tidied = r == 0 && x->tidy_step == TIDY_DONE && m->old_due == 0 && m->new_due == 0;
    return r;
}
