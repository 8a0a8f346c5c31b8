/*
 * SELECT, EXAMINE, CLOSE, UNSELECT. What the host says during SELECT is held (it is a few
 * lines) until its UIDVALIDITY is known, since only then is it sure which map and which UIDVALIDITY
 * the view has.
 */
#include "config.h"
#include "front/session.h"
#include "wherry/imap/caps.h"
#include <string.h>

void session_deselect(struct session *s)
{
    unit_rise(&s->seat);
    seqs_free(&s->seqs);
    s->saved = false;
    s->view.seqs = NULL;
    s->side = HOME_NEW;
    s->unit = NULL;
    s->view_uidvalidity = 0;
    s->view.open = false;
    s->view.map = NULL;
    s->view.modseq_shift = 0;
    s->selecting = (struct selecting){.on = false};
}

struct modseq unit_modseq(const struct unit *u)
{
    if (u == NULL)
        return (struct modseq){.shift = 0};
    const struct store_unit *r = unit_record(u);
    return (struct modseq){.shift = r->modseq_shift,
                           .old = r->old_modseq,
                           .new = r->new_modseq,
                           .complete = r->left_behind == 0};
}

/* (QRESYNC (…)) or (CONDSTORE), as the host takes it. */
static void put_params(struct session *s)
{
    const struct tr_view v = {.map = s->view.map, .modseq = unit_modseq(s->touch)};
    struct buf *out = &s->args.text;
    uint32_t view = 0, host = s->args.select.uidvalidity;
    if ((imapc_caps(session_host(s, s->side)) & CAP_BIT(CONDSTORE)) == 0 || !s->args.condstore)
        return;
    if (s->side == HOME_OLD) {
        view = host;
    } else if (s->touch != NULL) {
        view = unit_record(s->touch)->view_uidvalidity;
        host = unit_record(s->touch)->new_uidvalidity;
    }
    buf_putc(out, ' ');
    bool ours = (s->host_enabled[s->side] & CAP_BIT(QRESYNC)) != 0;
    s->selecting.qresync =
        ours && tr_select_put(&v, &s->args.select, view, host, out, &s->args.vanished);
    if (!s->selecting.qresync)
        buf_puts(out, "(CONDSTORE)");
}

bool select_run(struct session *s)
{
    struct err e = {0};
    bool elsewhere = s->side != s->target && session_selected(s);
    if (elsewhere)
        host_leave_mailbox(s);
    session_deselect(s);
    if (elsewhere && (s->enabled & CAP_BIT(CONDSTORE)) != 0) /* its host cannot say it */
        buf_puts(&s->held, "* OK [CLOSED] The other mailbox was left\r\n");
    s->side = s->target;
    s->selecting.on = true;
    unit_pass_seat(&s->dest_seat, &s->seat);
    s->selecting.unit = s->side == HOME_OLD ? s->seat.unit : s->touch;
    s->view.open = true;
    if (s->side == HOME_OLD) {
        s->view.map = &s->identity;
    } else if (s->touch != NULL) {
        s->view.map = unit_map(s->touch, &e);
        s->view.modseq_shift = unit_record(s->touch)->modseq_shift;
    }
    put_params(s);
    return command_forward(s);
}

/* The mailbox is open on new: learn its identity there and take over its map. */
static int adopt(struct session *s, struct flight *f, struct err *e)
{
    struct unit *u = s->selecting.unit;
    if (s->selecting.uidvalidity == 0)
        return err_set(e, E_PROTO, SCOPE_UNIT, "The mail server told no UIDVALIDITY");
    if (s->side == HOME_OLD) { /* shown as it is there */
        s->unit = u; /* one of the account's own, which is copied meanwhile */
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
    unit_look(u);
    return 0;
}

/* Which mailbox it is is certain: what was held goes out. */
static void begin_view(struct session *s)
{
    uint32_t uidnext = s->selecting.uidnext;
    s->selecting.on = false;
    buf_put_slice(&s->out, buf_slice(&s->held));
    buf_clear(&s->held);
    session_printf(s, "* OK [UIDVALIDITY %lu] UIDs valid\r\n", (unsigned long)s->view_uidvalidity);
    if (uidnext != 0)
        session_printf(s, "* OK [UIDNEXT %lu] Predicted next UID\r\n",
                       (unsigned long)uidmap_next_to_view(s->view.map, uidnext));
    if (s->view_uidvalidity == s->args.select.uidvalidity) /* it may have changed just now */
        reply_vanished_earlier(buf_slice(&s->args.vanished), session_out(s));
}

void select_known(struct session *s)
{
    struct err e = {0};
    const struct unit *u = s->selecting.unit;
    if (!s->selecting.qresync)
        return;
    if (s->side == HOME_NEW &&
        (u == NULL || s->view.map == NULL || unit_record(u)->view_uidvalidity == 0 ||
         unit_record(u)->new_uidvalidity != s->selecting.uidvalidity))
        return;
    if (adopt(s, NULL, &e) == 0)
        begin_view(s);
}

void select_done(struct session *s, struct flight *f, const struct resp *r)
{
    struct err e = {0};
    if (r->cond != COND_OK) {
        session_deselect(s);
        upstream_put_tagged(s, f, r, session_out(s));
        return;
    }
    if (s->selecting.on && adopt(s, f, &e) != 0) {
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
    s->read_only = slice_is_nocase(r->code, "READ-ONLY") || strcmp(f->row->name, "EXAMINE") == 0;
    if (s->selecting.on)
        begin_view(s);
    if (s->view.highest && !s->selecting.modseq_told)
        session_printf(s, "* OK [NOMODSEQ] Mod-sequences are not kept here\r\n");
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
    upstream_put_tagged(s, f, r, session_out(s));
    if (r->cond == COND_OK)
        session_deselect(s);
}
