/*
 * SELECT, EXAMINE, CLOSE, UNSELECT. What the host says during SELECT is held (it is a few
 * lines) until its UIDVALIDITY is known, since only then is it sure which map and which UIDVALIDITY
 * the view has.
 */
#include "config.h"
#include "front/session.h"
#include "wherry/imap/caps.h"

void session_deselect(struct session *s)
{
    s->side = HOME_NEW;
    s->unit = NULL;
    s->view_uidvalidity = 0;
    s->view.open = false;
    s->view.map = NULL;
    s->view.modseq_shift = 0;
    s->selecting = (struct selecting){.on = false};
}

bool select_run(struct session *s)
{
    struct err e = {0};
    if (s->side != s->target)
        host_leave_mailbox(s);
    session_deselect(s);
    s->side = s->target;
    s->selecting.on = true;
    s->selecting.unit = s->touch;
    s->view.open = true;
    if (s->side == HOME_OLD) {
        s->view.map = &s->identity;
    } else if (s->touch != NULL) {
        s->view.map = unit_map(s->touch, &e);
        s->view.modseq_shift = unit_record(s->touch)->modseq_shift;
    }
    return command_forward(s);
}

/* The mailbox is open on new: learn its identity there and take over its map. */
static int adopt(struct session *s, struct flight *f, struct err *e)
{
    struct unit *u = s->selecting.unit;
    if (s->selecting.uidvalidity == 0)
        return err_set(e, E_PROTO, SCOPE_UNIT, "The mail server told no UIDVALIDITY");
    if (s->side == HOME_OLD) { /* shown as it is there */
        s->view_uidvalidity = s->selecting.uidvalidity;
        return 0;
    }
    if (u == NULL)
        u = account_find_new(s->account, buf_slice(&f->new_name));
    if (u == NULL)
        return err_set(e, E_INVAL, SCOPE_UNIT, "The name of this mailbox cannot be shown");
    int rc = unit_check_uidvalidity(u, s->selecting.uidvalidity);
    if (rc != 0 && rc != E_CORRUPT)
        return err_set(e, rc, SCOPE_UNIT, "The state of this mailbox cannot be recorded");
    const struct uidmap *map = unit_map(u, e);
    if (map == NULL)
        return E_CORRUPT;
    s->unit = u;
    s->view.map = map;
    s->view.modseq_shift = unit_record(u)->modseq_shift;
    s->view_uidvalidity = unit_record(u)->view_uidvalidity;
    return 0;
}

void select_done(struct session *s, struct flight *f, const struct resp *r)
{
    struct err e = {0};
    if (r->cond != COND_OK) {
        session_deselect(s);
        upstream_put_tagged(s, f, r, session_out(s));
        return;
    }
    uint32_t uidnext = s->selecting.uidnext;
    if (adopt(s, f, &e) != 0) {
        host_leave_mailbox(s);
        session_deselect(s);
        log_event(worker_log(s->env->worker), LOG_WARN, "select_failed",
                  log_s("account", account_name(s->account)), log_n("session", s->id),
                  log_v("mailbox", buf_slice(&f->view_name)), log_e(&e));
        struct buf text = {0};
        buf_printf(&text, "[UNAVAILABLE] %s", e.text);
        session_tagged(s, slice_str(f->tag), "NO", buf_cstr(&text));
        buf_free(&text);
        return;
    }
    s->selecting.on = false;
    s->read_only = slice_is_nocase(r->code, "READ-ONLY");
    buf_put_slice(&s->out, buf_slice(&s->held));
    session_printf(s, "* OK [UIDVALIDITY %lu] UIDs valid\r\n", (unsigned long)s->view_uidvalidity);
    if (uidnext != 0)
        session_printf(s, "* OK [UIDNEXT %lu] Predicted next UID\r\n",
                       (unsigned long)uidmap_next_to_view(s->view.map, uidnext));
    upstream_put_tagged(s, f, r, session_out(s));
}

/* Where old lacks UNSELECT its connection is given up instead. */
bool unselect_run(struct session *s)
{
    if (s->side == HOME_NEW || (imapc_caps(s->old) & CAP_BIT(UNSELECT)) != 0)
        return command_forward(s);
    session_deselect(s);
    imapc_close(&s->old);
    session_ok(s, "Left");
    return true;
}

void close_done(struct session *s, struct flight *f, const struct resp *r)
{
    if (r->cond == COND_OK)
        session_deselect(s);
    upstream_put_tagged(s, f, r, session_out(s));
}
