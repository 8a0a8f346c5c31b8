/*
 * The command table, and the way of a command: read, allowed?, (nothing in flight), translated,
 * (mailbox at home on new), run. Each stage is a state, entered where it has to wait.
 */
#include "config.h"
#include "front/caps.h"
#include "front/session.h"
#include "wherry/imap/caps.h"
#include <string.h>

#define BOTH (CF_AUTH | CF_SELECTED)
#define SEARCHES (CF_SELECTED | CF_BARRIER | CF_SEARCH)
#define METADATA CF_NEW | CF_EITHER, CAP_BIT(METADATA) | CAP_BIT(METADATA_SERVER)

static const struct command commands[] = {
    {"UID FETCH", CF_SELECTED | CF_UID, 0, "uic", NULL, NULL},
    {"FETCH", CF_SELECTED, 0, "qic", NULL, NULL},
    {"UID STORE", CF_SELECTED | CF_UID, 0, "ua", NULL, NULL},
    {"STORE", CF_SELECTED, 0, "qa", NULL, NULL},
    {"NOOP", BOTH, 0, "", NULL, NULL},
    {"IDLE", BOTH | CF_BARRIER, CAP_BIT(IDLE), "", idle_run, idle_done},
    {"APPEND", BOTH | CF_MESSAGE | CF_TOUCH, 0, "mw", append_run, append_done},
    {"UID REPLACE", CF_SELECTED | CF_UID | CF_MESSAGE | CF_TOUCH, CAP_BIT(REPLACE), "umw", append_run,
     append_done},
    {"REPLACE", CF_SELECTED | CF_MESSAGE | CF_TOUCH, CAP_BIT(REPLACE), "qmw", append_run, append_done},
    {"SELECT", BOTH | CF_BARRIER | CF_TOUCH, 0, "mp", select_run, select_done},
    {"EXAMINE", BOTH | CF_BARRIER | CF_TOUCH, 0, "mp", select_run, select_done},
    {"STATUS", BOTH, 0, "ml", status_run, NULL},
    {"UID SEARCH", SEARCHES | CF_UID, 0, "s", NULL, NULL},
    {"SEARCH", SEARCHES, 0, "s", NULL, NULL},
    {"UID SORT", SEARCHES | CF_UID, CAP_BIT(SORT), "o", NULL, NULL},
    {"SORT", SEARCHES, CAP_BIT(SORT), "o", NULL, NULL},
    {"UID THREAD", SEARCHES | CF_UID, 0, "t", NULL, NULL},
    {"THREAD", SEARCHES, 0, "t", NULL, NULL},
    {"UID COPY", CF_SELECTED | CF_UID | CF_TOUCH, 0, "um", NULL, NULL},
    {"COPY", CF_SELECTED | CF_TOUCH, 0, "qm", NULL, NULL},
    {"UID MOVE", CF_SELECTED | CF_UID | CF_TOUCH, CAP_BIT(MOVE), "um", NULL, NULL},
    {"MOVE", CF_SELECTED | CF_TOUCH, CAP_BIT(MOVE), "qm", NULL, NULL},
    {"UID EXPUNGE", CF_SELECTED | CF_UID, CAP_BIT(UIDPLUS), "u", NULL, NULL},
    {"EXPUNGE", CF_SELECTED, 0, "", NULL, NULL},
    {"CHECK", CF_SELECTED, 0, "", NULL, NULL},
    {"CLOSE", CF_SELECTED | CF_BARRIER, 0, "", NULL, close_done},
    {"UNSELECT", CF_SELECTED | CF_BARRIER, CAP_BIT(UNSELECT), "", unselect_run, close_done},
    {"LIST", BOTH | CF_BARRIER, 0, NULL, list_run, list_done},
    {"LSUB", BOTH | CF_BARRIER, 0, NULL, list_run, list_done},
    {"SUBSCRIBE", BOTH, 0, "m", NULL, NULL},
    {"UNSUBSCRIBE", BOTH, 0, "m", NULL, NULL},
    {"CREATE", BOTH | CF_BARRIER, 0, "mC", NULL, create_done},
    {"DELETE", BOTH | CF_BARRIER, 0, "m", delete_run, delete_done},
    {"RENAME", BOTH | CF_BARRIER | CF_TOUCH_INBOX, 0, "mm", NULL, rename_done},
    {"GETQUOTA", BOTH | CF_NEW, CAP_BIT(QUOTA), "r", NULL, NULL},
    {"GETQUOTAROOT", BOTH, CAP_BIT(QUOTA), "m", NULL, NULL},
    {"SETQUOTA", BOTH | CF_NEW, CAP_BIT(QUOTA), "rL", NULL, NULL},
    {"GETACL", BOTH, CAP_BIT(ACL), "m", NULL, NULL},
    {"SETACL", BOTH, CAP_BIT(ACL), "mnn", NULL, NULL},
    {"DELETEACL", BOTH, CAP_BIT(ACL), "mn", NULL, NULL},
    {"LISTRIGHTS", BOTH, CAP_BIT(ACL), "mn", NULL, NULL},
    {"MYRIGHTS", BOTH, CAP_BIT(ACL), "m", NULL, NULL},
    {"GETMETADATA", BOTH | METADATA, "g", NULL, NULL},
    {"SETMETADATA", BOTH | METADATA, "Me", NULL, NULL},
    {"NAMESPACE", BOTH | CF_BARRIER, 0, "", own_namespace, NULL},
    {"CAPABILITY", BOTH | CF_BARRIER, 0, "", own_capability, NULL},
    {"ID", BOTH | CF_BARRIER, 0, NULL, own_id, NULL},
    {"ENABLE", BOTH | CF_BARRIER, 0, NULL, own_enable, enable_done},
    {"COMPRESS", BOTH | CF_BARRIER, 0, NULL, own_compress, NULL},
    {"LOGOUT", BOTH | CF_BARRIER | CF_LOGOUT, 0, "", own_logout, NULL},
    {"LOGIN", BOTH | CF_BARRIER, 0, NULL, own_refuse_signed_in, NULL},
    {"AUTHENTICATE", BOTH | CF_BARRIER, 0, NULL, own_refuse_signed_in, NULL},
    {"STARTTLS", BOTH | CF_BARRIER, 0, NULL, own_refuse_signed_in, NULL},
};

static const struct command *command_find(struct slice name)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
        if (slice_is(name, commands[i].name))
            return &commands[i];
    return NULL;
}

bool command_next(struct session *s)
{
    size_t used = 0;
    enum codec c = imap_cmd_next(&s->reader, session_input(s), &used, &s->cmd);
    session_consume(s, used);
    if (c != CODEC_DONE) {
        s->cmd.kind = CMD_NONE;
        if (session_eof(s) && s->n_flights == 0)
            session_end(s, "client_closed");
        return false;
    }
    s->append.offered = s->cmd.kind == CMD_MESSAGE;
    if (s->cmd.kind == CMD_CONTINUE)
        session_continue(s, "Go on");
    if (s->cmd.kind == CMD_ERROR) {
        bool fatal = s->cmd.fatal;
        if (s->cmd.too_big)
            session_no(s, "[TOOBIG] That is more than this server takes");
        else
            session_bad(s, s->cmd.error);
        if (fatal)
            session_bye(s, "protocol", "What came was no IMAP");
    }
    return true;
}

/* STATUS asks the mailbox's home, all else acts on new, or brings the mailbox there first. What belongs to others
 * stays on old, under the name it has there. */
static int host_name(void *arg, struct slice view, struct buf *out)
{
    struct session *s = arg;
    char sep = account_view_style(s->account).sep, new_sep = account_new_style(s->account).sep;
    struct unit *u = account_find(s->account, view);
    if (account_is_others(s->account, view)) {
        buf_put_slice(out, view);
        return 0;
    }
    if (u != NULL && (u == s->dest_seat.unit || (s->row->run == status_run && unit_record(u)->home == HOME_OLD &&
                                                 unit_record(u)->kind == UNIT_MAILBOX))) {
        buf_puts(out, unit_record(u)->old_name);
        return 0;
    }
    /* CREATE of a name that ends in a separator announces inferiors: RFC 3501 6.3.3. */
    bool inferiors = sep != '\0' && view.n > 1 && view.p[view.n - 1] == (uint8_t)sep &&
                     strcmp(s->row->name, "CREATE") == 0;
    if (inferiors)
        view.n--;
    int rc = account_name_to_new(s->account, view, out);
    if (rc == 0 && inferiors && new_sep != '\0')
        buf_putc(out, new_sep);
    return rc;
}

/* SELECT takes the mailbox away even where it fails (RFC 3501 6.3.1). */
bool command_refuse(struct session *s, const char *text, const struct err *e)
{
    if (s->row->run == select_run) {
        host_leave_mailbox(s);
        session_deselect(s);
    }
    if (e != NULL)
        session_no_err(s, text, e);
    else
        session_no(s, text);
    return true;
}

/* The home of the mailbox that is named decides. Both names of RENAME have the same. */
static void command_route(struct session *s)
{
    if (s->args.names == 0)
        return;
    struct slice name = buf_slice(&s->args.view_name[0]);
    struct unit *u = account_find(s->account, name);
    s->dest = account_is_others(s->account, name) || (u != NULL && u == s->dest_seat.unit) ? HOME_OLD : HOME_NEW;
    if (s->row->run == status_run && u != NULL && unit_record(u)->kind == UNIT_MAILBOX)
        s->dest = unit_record(u)->home;
    if ((s->row->flags & CF_AUTH) != 0)
        s->target = s->dest;
}

/* A capability that the command needs is missing. */
static bool lacks(const struct command *row, uint64_t caps)
{
    uint64_t there = row->needs & caps;
    return (row->flags & CF_EITHER) != 0 ? there == 0 : there != row->needs;
}

bool command_run(struct session *s)
{
    if (s->target == HOME_OLD && !host_old_ready(s)) {
        session_enter(s, S_OLD);
        return true;
    }
    if (s->args.condstore)
        session_enable(s, CAP_BIT(CONDSTORE));
    host_enable(s, s->target);
    if (s->dest != s->target && s->row->run != append_run)
        return transfer_run(s);
    if (s->target == HOME_OLD && s->row->run != unselect_run &&
        lacks(s->row, front_caps_offer(imapc_caps(s->old))))
        return command_refuse(
            s, "[CANNOT] The old server, where this mailbox is, does not know this", NULL);
    return s->row->run != NULL ? s->row->run(s) : command_forward(s);
}

static bool find_touched(struct session *s)
{
    unsigned i = (s->row->flags & CF_TOUCH_INBOX) != 0 ? 0 : s->args.names - 1;
    struct slice name = buf_slice(&s->args.view_name[i]);
    if ((s->row->flags & CF_TOUCH_INBOX) != 0 && !name_is_inbox(name))
        return true;
    s->touch = account_find(s->account, name);
    return s->touch == NULL || unit_record(s->touch)->kind == UNIT_MAILBOX;
}

/* One that the new host did not take when the folder tree was mirrored has a reason on record. */
static bool no_such_name(struct session *s)
{
    struct unit *u = account_find(s->account, buf_slice(&s->args.view_name[s->args.names]));
    struct err e = {0};
    if (u == NULL || unit_record(u)->reason[0] == '\0')
        return command_refuse(s, "[CANNOT] There can be no mailbox of that name", NULL);
    (void)err_set(&e, E_REFUSED, SCOPE_UNIT, "%s", unit_record(u)->reason);
    return command_refuse(s, "UNAVAILABLE", &e);
}

/* Answers that are not a host's wait for those that are, so that they come in the order of the
 * commands. */
static bool has_to_wait(struct session *s)
{
    if ((s->n_flights == 0 && !s->midline) || s->hurry)
        return false;
    tr_clear(&s->args);
    session_enter(s, S_DRAIN);
    return true;
}

static bool command_touch(struct session *s)
{
    if (!find_touched(s))
        return has_to_wait(s) ||
               command_refuse(s, "[CANNOT] That name holds mailboxes, but no messages", NULL);
    if (s->touch == NULL)
        return command_run(s);
    s->awake_ms = session_now(s);
    timer_stop(&s->turn);
    session_enter(s, S_TOUCH);
    return true;
}

/* Each host answers in order; what goes to both waits for the other one's replies. */
static bool has_to_turn(struct session *s)
{
    struct list *it;
    if (s->dest != s->target)
        return has_to_wait(s);
    list_for_each(it, &s->flights)
    {
        if (container_of(it, struct flight, node)->side != s->target)
            return has_to_wait(s);
    }
    return false;
}

/* To have nothing to say of a message that is gone is no failure (RFC 2180 sections 4.1 and 4.2), not to copy it is. */
static bool those_are_gone(struct session *s)
{
    static const char text[] = "[EXPUNGEISSUED] Those messages are gone";
    if (strcmp(s->row->name, "FETCH") != 0 && strcmp(s->row->name, "STORE") != 0)
        return command_refuse(s, text, NULL);
    session_ok(s, text);
    return true;
}

static bool command_translate(struct session *s)
{
    uint64_t caps = s->offered;
    if (s->side == HOME_OLD && s->old != NULL && (s->row->flags & CF_AUTH) == 0)
        caps &= front_caps_offer(imapc_caps(s->old));
    const struct tr_view v = {.map = s->view.map,
                              .caps = caps,
                              .name_to_new = host_name,
                              .root_to_new = quota_root_to_new,
                              .arg = s,
                              .enabled = s->enabled,
                              .seqs = s->view.seqs,
                              .modseq = unit_modseq(s->unit)};
    bool selected = (s->row->flags & CF_SELECTED) != 0 && (s->row->flags & CF_NEW) == 0;
    s->target = s->dest = selected ? s->side : HOME_NEW;
    if (s->row->grammar == NULL)
        return command_run(s);
    switch (tr_command(s->row->grammar, &v, s->cmd.args, &s->args)) {
    case TR_BAD:
        if (!has_to_wait(s))
            session_bad(s, s->args.error);
        return true;
    case TR_NAME:
        return has_to_wait(s) || no_such_name(s);
    case TR_OK:
        break;
    }
    if (s->args.names == 2 && account_is_others(s->account, buf_slice(&s->args.view_name[0])) !=
                                  account_is_others(s->account, buf_slice(&s->args.view_name[1])))
        return has_to_wait(s) || command_refuse(s, "[CANNOT] A mailbox stays with whom it belongs to", NULL);
    if (s->args.gone)
        return has_to_wait(s) || those_are_gone(s);
    command_route(s);
    if (has_to_turn(s))
        return true;
    if ((s->row->flags & (CF_TOUCH | CF_TOUCH_INBOX)) != 0 && s->dest == HOME_NEW)
        return command_touch(s);
    return command_run(s);
}

/* The map was replaced under the session (the new host gave the mailbox another UIDVALIDITY): start
 * afresh. */
static bool view_gone(struct session *s)
{
    if (s->seat.unit != NULL && unit_record(s->seat.unit)->state == UNIT_DELETED)
        return true;
    return s->unit != NULL && s->side == HOME_NEW &&
           unit_record(s->unit)->view_uidvalidity != s->view_uidvalidity;
}

static const char *complaint(const struct session *s)
{
    const struct command *row = s->row;
    if (row == NULL || lacks(row, s->offered))
        return "Unknown command";
    if ((row->flags & (session_selected(s) ? CF_SELECTED : CF_AUTH)) == 0)
        return "Select a mailbox first";
    if (((row->flags & CF_MESSAGE) != 0) != (s->cmd.kind == CMD_MESSAGE))
        return "A message is expected with APPEND and REPLACE, and there only";
    return NULL;
}

/* Its numbers, if it has any, are not those of messages, and it is none of those during which no message may go. Nor one after
 * which the mailbox is not selected any more. */
static bool may_tell_gone(const struct command *row)
{
    bool leaves = row->run == select_run || row->done == close_done || row->run == own_logout;
    return !leaves && (row->grammar == NULL || row->grammar[0] == '\0' || strchr("qsot", row->grammar[0]) == NULL);
}

void session_tell_gone(struct session *s)
{
    seqs_flush(&s->seqs, s->view.vanished, session_out(s));
    s->view.seqs = NULL;
}

bool command_begin(struct session *s)
{
    if (view_gone(s)) {
        session_bye(s, "uidvalidity_changed", "The mailbox was replaced, please connect again");
        return true;
    }
    if (s->seat.unit != NULL)
        unit_nudge(s->seat.unit);
    const char *bad = complaint(s);
    if ((bad != NULL || (s->row->flags & CF_BARRIER) != 0) && has_to_wait(s)) {
        if (bad == NULL && (s->row->flags & CF_LOGOUT) != 0 && !timer_running(&s->beat))
            timer_start(&s->beat, LOGOUT_MS);
        return true;
    }
    if (bad == NULL && s->seqs.n > 0 && may_tell_gone(s->row)) {
        if (has_to_wait(s))
            return true;
        session_tell_gone(s);
    }
    if (bad == NULL)
        return command_translate(s);
    session_bad(s, bad);
    return true;
}

bool state_ready(struct session *s)
{
    if (held_called(s))
        return held_look(s);
    if (s->n_flights >= MAX_FLIGHTS || stream_full(s->client) || s->later.len > MAX_LATER ||
        imapc_full(s->new_) || (s->old != NULL && imapc_full(s->old)) || !command_next(s))
        return false;
    host_keep_awake(s);
    if (s->cmd.kind != CMD_READY && s->cmd.kind != CMD_MESSAGE)
        return true;
    s->row = command_find(s->cmd.name);
    return command_begin(s);
}

bool state_drain(struct session *s)
{
    s->hurry = s->row != NULL && (s->row->flags & CF_LOGOUT) != 0 && s->beat.fired;
    if ((s->n_flights > 0 || s->midline) && !s->hurry)
        return false;
    return held_look(s) || command_begin(s);
}

static bool waited_enough(struct session *s)
{
    uint64_t most = (uint64_t)session_settings(s)->wait_seconds * 1000, waited = unit_awaited_ms(s->touch);
    if (waited < most && !timer_running(&s->turn))
        timer_start(&s->turn, most - waited);
    return waited >= most;
}

/* The command begins anew, for old. RENAME of INBOX is what new makes of it, and waits. */
static bool serve_from_old(struct session *s)
{
    struct unit *u = s->touch;
    if ((s->row->flags & CF_TOUCH) == 0 || !unit_sit(u, &s->dest_seat, &s->task))
        return false;
    log_event(worker_log(s->env->worker), LOG_DEBUG, "served_from_old", log_s("account", account_name(s->account)),
              log_n("session", s->id), log_s("mailbox", unit_record(u)->view_name), log_s("command", s->row->name));
    s->touch = NULL;
    timer_stop(&s->turn);
    timer_stop(&s->beat);
    tr_clear(&s->args);
    return command_begin(s);
}

/* A client that went away does not stop the copy, but nobody waits for it any more. */
bool state_touch(struct session *s)
{
    struct err e = {0};
    uint64_t done = 0, total = 0;
    if (session_eof(s) && session_input(s).n == 0) {
        session_end(s, "client_closed");
        return true;
    }
    if (held_look(s))
        return true;
    switch (unit_touch(s->touch, &s->user, &e)) {
    case STATE_READY:
        timer_stop(&s->beat);
        return command_run(s);
    case STATE_BUSY:
        if (waited_enough(s) && serve_from_old(s))
            return true;
        host_keep_awake(s);
        unit_progress(s->touch, &done, &total);
        session_progress(s, s->cmd.tag, done, total, "Moving this mailbox to the new server");
        return false;
    case STATE_FAILED:
        if (serve_from_old(s))
            return true;
        break;
    }
    return command_refuse(s, "UNAVAILABLE", &e);
}

void command_put_args(struct imapc *c, struct slice text)
{
    if (memchr(text.p, '{', text.n) == NULL) {
        imapc_put(c, text);
        return;
    }
    struct imap_args a;
    struct tok t;
    imap_args_init(&a, text);
    while (imap_args_tok(&a, &t)) {
        if (t.space)
            imapc_puts(c, " ");
        if (t.kind == TOK_LITERAL && t.binary) {
            imapc_literal(c, t.text.n, true, false);
            imapc_put(c, t.text);
        } else if (t.kind == TOK_LITERAL)
            imapc_put_string(c, t.text);
        else
            imapc_put(c, t.raw);
    }
}

struct flight *flight_new(struct session *s, enum unit_home side, uint32_t id, const struct command *row, struct slice tag)
{
    struct flight *f = mem_alloc(sizeof(*f) + tag.n + 1);
    f->side = side;
    f->id = id;
    f->row = row;
    if (tag.n > 0)
        memcpy(f->tag, tag.p, tag.n);
    list_append(&s->flights, &f->node);
    s->n_flights++;
    return f;
}

struct flight *command_flight(struct session *s, enum unit_home side, uint32_t id)
{
    struct flight *f = flight_new(s, side, id, s->row, s->cmd.tag);
    f->modseq = s->args.condstore;
    f->append_limit = s->args.append_limit;
    if (s->args.names > 0) {
        buf_put_slice(&f->view_name, buf_slice(&s->args.view_name[s->args.names - 1]));
        buf_put_slice(&f->new_name, buf_slice(&s->args.new_name[s->args.names - 1]));
    }
    return f;
}

bool command_forward(struct session *s)
{
    struct imapc *c = session_host(s, s->target);
    if (s->args.by_uid) /* before the FETCH data: RFC 7162 3.2.6 */
        reply_vanished_earlier(buf_slice(&s->args.vanished), session_out(s));
    uint32_t id = imapc_begin(c);
    imapc_puts(c, s->row->name);
    if (s->args.text.len > 0) {
        imapc_puts(c, " ");
        command_put_args(c, buf_slice(&s->args.text));
    }
    imapc_end(c);
    struct flight *f = command_flight(s, s->target, id);
    unit_pass_seat(&s->dest_seat, &f->seat);
    s->saved = s->saved || s->args.saves;
    s->errors = 0;
    if ((s->row->flags & CF_SEARCH) != 0) {
        s->view.uid_numbers = (s->row->flags & CF_UID) != 0;
        s->view.search_tag = slice_str(f->tag);
    }
    if ((s->row->flags & CF_BARRIER) != 0)
        session_enter(s, S_WAIT);
    else
        session_done(s);
    return true;
}

bool state_wait(struct session *s)
{
    if (s->n_flights > 0)
        return false;
    session_done(s);
    return true;
}
