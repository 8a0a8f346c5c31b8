/* The switch of a collection: its home, its tokens, and the rows of all that differs from old, in one transaction. */
#include "move/dav_mover.h"
#include <string.h>

/* What only new has, and parts of items that were split: known as foreign from now on, if they are there. */
static void settle_foreign(struct dav_item *i, struct store_batch *b)
{
    bool there = i->now_etag != NULL;
    if (!there && i->row.state != 0)
        store_del_item(b, &i->row);
    i->row.state = there ? ITEM_FOREIGN : 0;
    if (!there)
        return;
    set_string(&i->row.new_etag, i->now_etag);
    store_put_item(b, &i->row);
}

static uint64_t put_rows(struct dav_mover *m, struct store_batch *b)
{
    uint64_t differs = 0;
    for (size_t k = 0; k < m->n; k++) {
        struct dav_item *i = m->items[k];
        if (i->part)
            settle_foreign(i, b);
        else if (i->row.state == ITEM_STORED)
            store_put_item(b, &i->row);
        else if (i->row.state != 0 && i->row.state != ITEM_LEFT)
            store_del_item(b, &i->row); /* nothing of it is anywhere */
        differs += i->row.state == ITEM_FOREIGN || i->row.state == ITEM_LEFT || (i->row.state == ITEM_STORED && !i->row.kept);
    }
    return differs;
}

static void settle(struct dav_mover *m, struct store_unit *u)
{
    uint64_t found = u->moved + u->left_behind + u->vanished;
    u->home = HOME_NEW;
    u->finished = clock_real_us() / 1000000;
    u->found = found;
    set_string(&u->old_token, m->listed_old.token != NULL ? m->listed_old.token : "");
    set_string(&u->old_ctag, m->listed_old.ctag != NULL ? m->listed_old.ctag : "");
    set_string(&u->new_token, m->listed_new.token != NULL ? m->listed_new.token : "");
    set_string(&u->new_ctag, m->listed_new.ctag != NULL ? m->listed_new.ctag : "");
    struct buf spelling = {0};
    http_spelling_text(&m->spelling, &spelling);
    set_slice(&u->spelling, buf_slice(&spelling));
    buf_free(&spelling);
}

void dav_switch_begin(struct dav_mover *m)
{
    struct unit *u = m->unit;
    struct store_batch *b = account_batch(m->account);
    struct counters *c = worker_counters(m->env->worker);
    uint64_t found = u->rec.found;
    unit_enter(u, UNIT_SWITCHING);
    u->rec.differs = put_rows(m, b);
    settle(m, &u->rec);
    c->items_found += u->rec.found - found;
    /* Shown as moved only once it is on disk. */
    struct store_unit moved = u->rec;
    char none[] = "";
    moved.state = UNIT_MOVED;
    moved.reason = none;
    u->rec.home = HOME_OLD;
    store_put_unit(b, &moved);
    m->wait.task = &m->task;
    store_submit(&b, &m->wait);
}

void dav_switch_done(struct dav_mover *m)
{
    struct unit *u = m->unit;
    uint64_t now = worker_now_ms(m->env->worker);
    u->rec.home = HOME_NEW;
    unit_set_reason(u, "");
    unit_enter(u, UNIT_MOVED);
    u->done = u->total = u->rec.found;
    log_event(worker_log(m->env->worker), LOG_INFO, "moved", log_s("account", m->account->rec.name),
              log_s("unit", u->rec.view_name), log_n("found", (int64_t)u->rec.found), log_n("moved", (int64_t)u->rec.moved),
              log_n("left_behind", (int64_t)u->rec.left_behind), log_n("vanished", (int64_t)u->rec.vanished),
              log_n("differs", (int64_t)u->rec.differs), log_n("bytes", (int64_t)u->rec.bytes),
              log_n("held_ms", (int64_t)(now - m->hold_ms)), log_n("ms", (int64_t)(now - m->began_ms)));
}
