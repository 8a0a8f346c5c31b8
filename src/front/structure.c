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

/* The host does not like the name, rather than the command. One that is there already counts only where it is another
 * mailbox of the view, spelled in another case. */
static bool is_about_name(struct session *s, const struct resp *r, struct slice view, struct slice name)
{
    if (r->cond != COND_NO || account_find(s->account, view) != NULL)
        return false;
    if (slice_is_nocase(r->code, "ALREADYEXISTS"))
        return account_case_clash(s->account, name) != NULL;
    return r->code.n == 0 || slice_is_nocase(r->code, "CANNOT") || slice_is_nocase(r->code, "LIMIT") ||
           slice_is_nocase(r->code, "SERVERBUG");
}

/* A plain name is not refused for what it is. */
static bool is_plain(struct slice name, char sep)
{
    struct buf safe = {0};
    bool same = name.n < 100 && name_safe(name, sep, 0, &safe) == 0 && slice_eq(buf_slice(&safe), name);
    buf_free(&safe);
    return same;
}

/* Sends CREATE or RENAME again with another last name. False: there is none to try. */
static bool try_safe_name(struct session *s, struct flight *f, const struct resp *r)
{
    struct name_style style = account_new_style(s->account);
    unsigned i = s->args.names - 1;
    struct slice view = without_end(buf_slice(&s->args.view_name[i]), account_view_style(s->account).sep);
    struct buf *name = &s->args.new_name[i], safe = {0};
    struct slice refused = without_end(buf_slice(name), style.sep), skipped;
    bool clash = slice_is_nocase(r->code, "ALREADYEXISTS");
    if (f->side == HOME_OLD || !is_about_name(s, r, view, refused) ||
        (!clash && s->name_tries == 0 && is_plain(refused, style.sep)) ||
        account_safe_name(s->account, view, refused, &s->name_tries, &safe) != 0) {
        buf_free(&safe);
        return false;
    }
    buf_free(name);
    *name = safe;
    struct imap_args a;
    imap_args_init(&a, buf_slice(&s->args.text));
    for (unsigned k = 0; k <= i; k++)
        (void)imap_args_value(&a, &skipped);
    uint32_t id = imapc_begin(s->new_);
    imapc_puts(s->new_, s->row->name);
    for (unsigned k = 0; k <= i; k++) {
        imapc_puts(s->new_, " ");
        imapc_put_string(s->new_, buf_slice(&s->args.new_name[k]));
    }
    command_put_args(s->new_, a.rest);
    imapc_end(s->new_);
    command_flight(s, HOME_NEW, id);
    return true;
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
    if (!exists && try_safe_name(s, f, r))
        return;
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
    if (try_safe_name(s, f, r))
        return;
    if (f->side == HOME_OLD || r->cond != COND_OK) {
        upstream_put_tagged(s, f, r, session_out(s));
        return;
    }
    char sep = account_view_style(s->account).sep, new_sep = account_new_style(s->account).sep;
    struct buf from = {0}, to = {0};
    struct slice to_new = without_end(buf_slice(&s->args.new_name[1]), new_sep);
    name_canon(without_end(buf_slice(&s->args.view_name[0]), sep), sep, &from);
    name_canon(without_end(buf_slice(&s->args.view_name[1]), sep), sep, &to);
    if (name_is_inbox(buf_slice(&from)))
        account_created(s->account, buf_slice(&to), to_new, waiter(s));
    else
        account_renamed(s->account, buf_slice(&from), buf_slice(&to),
                        without_end(buf_slice(&s->args.new_name[0]), new_sep), to_new, waiter(s));
    buf_free(&from);
    buf_free(&to);
    commit(s, f, r);
}
