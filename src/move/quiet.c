/*
 * Before it is looked for what a broken-off copy had stored, the new host must be through with it: what the process that
 * died had sent is still in that host's sockets, and it goes on storing. So its mailbox is watched until nothing
 * has come for some seconds. Rejected: to match at once and sort out later what arrived since (after the switch it could
 * not be told from new mail).
 */
#include "move/mover_priv.h"

enum { LOOK_MS = 250, LONGEST_MS = 60000 };

static void look(struct mover *m)
{
    timer_stop(&m->quiet.timer);
    imapc_begin(m->new.imap);
    imapc_puts(m->new.imap, "STATUS ");
    imapc_put_string(m->new.imap, slice_str(m->unit->rec.new_name));
    imapc_puts(m->new.imap, " (UIDNEXT UIDVALIDITY)");
    imapc_end(m->new.imap);
    m->new_due++;
}

int quiet_begin(struct mover *m, bool *needed)
{
    struct store_intent *sent;
    size_t n;
    int r = intents_load(m, 1, INTENT_SENT, 1, &sent, &n);
    if (r == 0 && n == 0) { /* a COPY may be at work, too */
        intents_free(&sent, n);
        r = intents_load(m, 1, INTENT_FOREIGN, 1, &sent, &n);
    }
    *needed = r == 0 && n > 0 && m->env->settings->settle_seconds > 0;
    intents_free(&sent, n);
    if (!*needed)
        return r;
    m->quiet.began_ms = m->quiet.since_ms = worker_now_ms(m->env->worker);
    m->quiet.uidnext = m->new.uidnext;
    look(m);
    return 0;
}

bool quiet_waits(const struct mover *m)
{
    return timer_running(&m->quiet.timer);
}

bool quiet_over(struct mover *m)
{
    uint64_t now = worker_now_ms(m->env->worker);
    if (m->quiet.timer.fired) {
        look(m);
        return false;
    }
    if (m->new.uidnext != m->quiet.uidnext) {
        m->quiet.uidnext = m->new.uidnext;
        m->quiet.since_ms = now;
    }
    if (now - m->quiet.since_ms >= m->env->settings->settle_seconds * (uint64_t)1000 ||
        now - m->quiet.began_ms >= LONGEST_MS)
        return true;
    timer_start(&m->quiet.timer, LOOK_MS);
    return false;
}
