/*
 * Replies in the order of the commands (RFC 2920 3.2), the new host's and our own, and what is
 * written of a message.
 */
#include "config.h"
#include "front/submission.h"
#include <stdlib.h>

struct turn *submission_turn(struct submission *s, enum turn_kind kind, bool due)
{
    struct turn *t = mem_alloc(sizeof(*t));
    t->kind = kind;
    t->due = due;
    list_append(&s->turns, &t->node);
    s->n_turns++;
    if (due)
        smtpc_expect(s->up);
    return t;
}

static void turn_free(struct submission *s, struct turn *t)
{
    if (s->open == t)
        s->open = NULL;
    list_remove(&t->node);
    s->n_turns--;
    buf_free(&t->own);
    buf_free(&t->queue_id);
    free(t);
}

/* One line per message, without anything of its content. */
static void log_message(struct submission *s, const struct turn *t, const char *verdict)
{
    log_event(worker_log(s->env->worker), LOG_INFO, "message",
              log_v("account", buf_slice(&s->door.key)), log_n("session", s->id),
              log_v("queue_id", buf_slice(&t->queue_id)), log_n("size", (int64_t)t->bytes),
              log_n("recipients", s->recipients), log_s("verdict", verdict),
              log_n("code", t->code));
}

static void message_over(struct submission *s, const struct turn *t)
{
    struct counters *c = worker_counters(s->env->worker);
    unsigned kind = t->code / 100;
    if (kind == 2) {
        c->messages_submitted++;
        c->bytes_submitted += t->bytes;
    }
    log_message(s, t,
                t->code == 0 ? "lost"
                : kind == 2  ? "accepted"
                : kind == 4  ? "deferred"
                             : "refused");
    s->recipients = 0;
}

void submission_turns_free(struct submission *s)
{
    while (!list_empty(&s->turns)) {
        struct turn *t = container_of(s->turns.next, struct turn, node);
        if (t->kind == TURN_MESSAGE)
            log_message(s, t, t->open ? "aborted" : "unknown");
        turn_free(s, t);
    }
}

void submission_answer(struct submission *s)
{
    while (!list_empty(&s->turns)) {
        struct turn *t = container_of(s->turns.next, struct turn, node);
        if (t->due || t->open)
            return;
        if (t->kind == TURN_MAIL && t->code / 100 == 2)
            s->recipients = 0;
        else if (t->kind == TURN_RCPT && t->code / 100 == 2)
            s->recipients++;
        else if (t->kind == TURN_MESSAGE)
            message_over(s, t);
        buf_put_slice(&s->out, buf_slice(&t->own));
        turn_free(s, t);
    }
    if (s->out.len >= SUBMISSION_FLUSH_AT)
        submission_flush(s);
}

void submission_say(struct submission *s, const char *line)
{
    struct turn *t = submission_turn(s, TURN_OTHER, false);
    buf_printf(&t->own, "%s\r\n", line);
    s->errors = 0;
    submission_answer(s);
}

void submission_bad(struct submission *s, const char *line)
{
    unsigned errors = s->errors + 1;
    submission_say(s, line);
    s->errors = errors;
    if (errors >= submission_settings(s)->max_errors) {
        submission_say(s, "421 4.7.0 Too many bad commands");
        s->reason = "too_many_errors";
        submission_enter(s, SUB_LEAVE);
    }
}

void submission_lost(struct submission *s, const char *cause, const struct err *e)
{
    struct list *it;
    struct err none = {0};
    log_event(worker_log(s->env->worker), LOG_WARN, "submission_host_lost",
              log_v("account", buf_slice(&s->door.key)), log_n("session", s->id),
              log_s("cause", cause), log_e(e != NULL ? e : &none));
    smtpc_abort(&s->up);
    s->lost = true;
    s->discard = true;
    list_for_each(it, &s->turns)
    {
        struct turn *t = container_of(it, struct turn, node);
        if (!t->due)
            continue;
        t->due = false;
        t->code = 0;
        buf_clear(&t->own);
        buf_puts(&t->own,
                 "451 4.4.2 The connection to the mail server was lost, please try again\r\n");
    }
    submission_answer(s);
    if (s->state == SUB_ASKED)
        submission_enter(s, SUB_COMMAND);
}

/*
 * The host answered a message or chunk of which it does not have the end: the connection cannot be
 * used any more, since what follows would be commands to it. A refusal is kept for the client;
 * "yes" to half a message is worth nothing.
 */
static void early(struct submission *s, struct turn *t, const struct smtp_reply *r)
{
    unsigned code = r->code;
    if (code / 100 == 2 || code == 421) {
        submission_lost(s, "early_reply", NULL);
        return;
    }
    t->due = false;
    smtp_reply_put(&t->own, r);
    submission_lost(s, "early_reply", NULL);
    t->code = code;
}

static struct turn *first_due(struct submission *s)
{
    struct list *it;
    list_for_each(it, &s->turns)
    {
        struct turn *t = container_of(it, struct turn, node);
        if (t->due)
            return t;
    }
    return NULL;
}

static void take_reply(struct submission *s, const struct smtp_reply *r)
{
    struct turn *t = first_due(s);
    unsigned code = r->code;
    bool go_on = t != NULL && t->kind == TURN_DATA && code == 354;
    /* "Go on" in any other place would have the client send a message where commands are read. */
    if (t == NULL || (code / 100 == 3 && !go_on) || (t->kind == TURN_DATA && code / 100 == 2)) {
        submission_lost(s, "out_of_turn", NULL);
        return;
    }
    if (t->open) {
        early(s, t, r);
        return;
    }
    t->due = false;
    t->code = code;
    if (t->own.len == 0)
        smtp_reply_put(&t->own, r);
    if (t->kind == TURN_MESSAGE && code / 100 == 2)
        buf_put_slice(&t->queue_id, smtp_reply_queue_id(r));
    bool asked = t->kind == TURN_DATA;
    if (t->kind == TURN_MESSAGE)
        smtpc_set_timeout(s->up, submission_settings(s)->host_timeout_seconds);
    submission_answer(s);
    if (go_on)
        submission_data_begin(s);
    else if (asked && s->state == SUB_ASKED)
        submission_enter(s, SUB_COMMAND);
    if (code == 421) {
        submission_lost(s, "goodbye", NULL);
        submission_end(s, "new_host_closed");
    }
}

bool submission_pump(struct submission *s)
{
    bool any = false;
    while (s->up != NULL && s->signed_in && s->state != SUB_END && !stream_full(s->client)) {
        struct smtpc_event ev;
        smtpc_next(s->up, &ev);
        if (ev.kind == SMTPC_NONE)
            break;
        any = true;
        if (ev.kind == SMTPC_REPLY) {
            take_reply(s, ev.reply);
        } else if (ev.kind == SMTPC_FAILED) {
            struct err e = *ev.err;
            submission_lost(s, "connection", &e);
        }
    }
    return any;
}
