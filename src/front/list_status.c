/*
 * LIST … RETURN (STATUS …) (RFC 5819): each mailbox that was listed is asked for at its home, some at a time. Where a
 * host refuses, or the old one is away, the line is left out, as the RFC allows. Each home answers like to a STATUS of
 * the client.
 */
#include "config.h"
#include "front/list.h"
#include <string.h>

enum { ASKED_AT_ONCE = 32 };

/* The tagged reply is nobody's. */
static void asked(struct session *s, struct flight *f, const struct resp *r)
{
    (void)s;
    (void)f;
    (void)r;
}

static const struct command status_row = {"STATUS", 0, 0, NULL, status_run, asked};

static void ask(struct session *s, enum unit_home home, struct slice view, struct slice name)
{
    struct imapc *c = session_host(s, home);
    struct buf items = {0};
    host_enable(s, home);
    if (status_items_for(c, buf_slice(&s->list->want.status), &items)) {
        uint32_t id = imapc_begin(c);
        imapc_puts(c, "STATUS ");
        imapc_put_string(c, name);
        imapc_puts(c, " ");
        imapc_put(c, buf_slice(&items));
        imapc_end(c);
        struct flight *f = command_flight(s, home, id);
        f->row = &status_row;
        f->silent = true;
        f->modseq = s->list->want.condstore;
        f->append_limit = s->list->want.append_limit;
        buf_put_slice(&f->view_name, view);
        buf_put_slice(&f->new_name, name);
    }
    buf_free(&items);
}

/* False: it cannot be asked for yet. */
static bool ask_entry(struct session *s, const struct list_entry *e)
{
    struct slice view = slice_str(e->name);
    struct unit *u = account_find(s->account, view);
    bool others = account_is_others(s->account, view);
    if (!others && (u == NULL || unit_record(u)->kind != UNIT_MAILBOX))
        return true;
    bool old = others || unit_record(u)->home == HOME_OLD;
    enum readiness ready = old ? list_old_try(s) : imapc_full(s->new_) ? STATE_BUSY : STATE_READY;
    if (ready == STATE_READY)
        ask(s, old ? HOME_OLD : HOME_NEW, view,
            others ? view : slice_str(old ? unit_record(u)->old_name : unit_record(u)->new_name));
    return ready != STATE_BUSY;
}

bool list_status_done(struct session *s)
{
    struct lister *l = s->list;
    while (l->at < l->n && s->n_flights < ASKED_AT_ONCE) {
        if (l->v[l->at].ask && !ask_entry(s, &l->v[l->at]))
            return false;
        l->at++;
    }
    return l->at == l->n && s->n_flights == 0;
}
