/*
 * After the comparison: what vanished on old goes from new, what the new host had of its own is carried behind the migrated
 * messages, and what could not be carried over at all goes to the spool.
 */
#include "move/mover_priv.h"
#include <string.h>

enum tidy_step { TIDY_GHOSTS, TIDY_GHOSTS_ASKED, TIDY_GONE, TIDY_FOREIGN, TIDY_COPIED, TIDY_LATE, TIDY_SPOOLING, TIDY_DONE };

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

/* Within the same mailbox: the copies get higher UIDs, with their flags and dates. */
static void carry_foreign(struct mover *m)
{
    struct compare *x = &m->compare;
    bool move = (imapc_caps(m->new.imap) & CAP_BIT(MOVE)) != 0;
    imapc_begin(m->new.imap);
    imapc_printf(m->new.imap, "UID %s %s ", move ? "MOVE" : "COPY", buf_cstr(&x->foreign));
    imapc_put_string(m->new.imap, slice_str(m->unit->rec.new_name));
    imapc_end(m->new.imap);
    m->new_due++;
    log_event(worker_log(m->env->worker), LOG_INFO, "foreign_carried", log_s("account", m->account->rec.name),
              log_s("unit", m->unit->rec.view_name));
    if (move)
        buf_clear(&x->foreign);
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
        if (ev == CONN_FETCH && x->tidy_step == TIDY_GHOSTS_ASKED)
            match_event(m, c);
        return 0;
    }
    if (x->tidy_step != TIDY_SPOOLING || x->spool == NULL) {
        x->news = x->news || ev == CONN_FETCH;
        return 0;
    }
    if (ev == CONN_FETCH && m->old.fetch.uid == x->late[x->n_late - 1].uid)
        x->late_told = true;
    return spool_event(m, x->spool, ev);
}

/* Of the old host only one message at a time is asked for; it may be past reading. */
int tidy_refused(struct mover *m, struct conn *c)
{
    bool spooling = c == &m->old && m->compare.tidy_step == TIDY_SPOOLING;
    if (!spooling || c->cond != COND_NO || conn_temporary(c))
        return conn_refused(c, &m->err, SCOPE_UNIT, "the mailbox could not be tidied");
    m->compare.late_told = true;
    return 0;
}

/* Each step asks; the next begins when all replies are there. */
int tidy_advance(struct mover *m)
{
    struct compare *x = &m->compare;
    int r = 0;
    while (r == 0 && m->old_due == 0 && m->new_due == 0 && x->tidy_step != TIDY_DONE) {
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
            if (x->foreign.len > 0)
                carry_foreign(m);
            x->tidy_step = TIDY_COPIED;
            break;
        case TIDY_COPIED:
            r = expunge(m, &x->foreign); /* empty when MOVE did it */
            x->tidy_step = TIDY_LATE;
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
