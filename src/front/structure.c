/*
 * CREATE, DELETE, RENAME: they act on the new host, and are recorded before the client hears OK.
 * RENAME of INBOX is what the new host makes of it (RFC 3501 6.3.5: its messages move to a new
 * mailbox, INBOX stays); INBOX is at home on new by then.
 */
#include "config.h"
#include "front/session.h"

/* The tagged reply waits in held until the store has it. */
static void commit(struct session *s, struct flight *f, const struct resp *r)
{
    upstream_put_tagged(s, f, r, &s->held);
    session_enter(s, S_COMMIT);
}

bool state_commit(struct session *s)
{
    if (s->wait.pending || s->midline)
        return false;
    buf_put_slice(&s->out, buf_slice(&s->held));
    session_done(s);
    return true;
}

static struct store_wait *waiter(struct session *s)
{
    s->wait = (struct store_wait){.task = &s->task};
    return &s->wait;
}

static struct slice without_end(struct slice name, char sep)
{
    return sep != '\0' && name.n > 1 && name.p[name.n - 1] == (uint8_t)sep
               ? slice_make(name.p, name.n - 1)
               : name;
}

/* A name without contents in the view may be a mailbox on new already, where new knows no such
 * names. */
static bool only_folder_exists(struct session *s, const struct resp *r, struct slice view)
{
    struct unit *u = account_find(s->account, view);
    return r->cond == COND_NO && slice_is_nocase(r->code, "ALREADYEXISTS") && u != NULL &&
           unit_record(u)->kind == UNIT_FOLDER;
}

void create_done(struct session *s, struct flight *f, const struct resp *r)
{
    struct slice view = without_end(buf_slice(&f->view_name), account_view_style(s->account).sep);
    struct slice name = without_end(buf_slice(&f->new_name), account_new_style(s->account).sep);
    struct resp ok = {.kind = RESP_TAGGED, .cond = COND_OK};
    bool exists = only_folder_exists(s, r, view);
    if (f->side == HOME_OLD || (r->cond != COND_OK && !exists)) {
        upstream_put_tagged(s, f, r, session_out(s));
        return;
    }
    account_created(s->account, view, name, waiter(s));
    commit(s, f, exists ? &ok : r);
}

/*
 * Hosts end the connection of who stays in a mailbox that is deleted, so it is left first. Where the host then
 * refuses to delete it, the client has to come again: its view of it is gone.
 */
bool delete_run(struct session *s)
{
    struct slice name = buf_slice(&s->args.view_name[0]);
    if (name_is_inbox(name)) {
        session_no(s, "[CANNOT] INBOX cannot be deleted");
        return true;
    }
    s->left_for_delete = s->unit != NULL && account_find(s->account, name) == s->unit;
    if (s->left_for_delete)
        host_leave_mailbox(s);
    return command_forward(s);
}

void delete_done(struct session *s, struct flight *f, const struct resp *r)
{
    struct unit *u = account_find(s->account, buf_slice(&f->view_name));
    if (r->cond != COND_OK || u == NULL) {
        upstream_put_tagged(s, f, r, session_out(s));
        if (s->left_for_delete)
            session_bye(s, "delete_refused",
                        "The mailbox has to be selected again, please connect again");
        return;
    }
    if (u == s->unit)
        session_deselect(s);
    account_deleted(s->account, u, waiter(s));
    commit(s, f, r);
}

void rename_done(struct session *s, struct flight *f, const struct resp *r)
{
    struct slice from = buf_slice(&s->args.view_name[0]), to = buf_slice(&s->args.view_name[1]);
    struct slice from_new = buf_slice(&s->args.new_name[0]),
                 to_new = buf_slice(&s->args.new_name[1]);
    if (f->side == HOME_OLD || r->cond != COND_OK) {
        upstream_put_tagged(s, f, r, session_out(s));
        return;
    }
    if (name_is_inbox(from))
        account_created(s->account, to, to_new, waiter(s));
    else
        account_renamed(s->account, from, to, from_new, to_new, waiter(s));
    commit(s, f, r);
}
