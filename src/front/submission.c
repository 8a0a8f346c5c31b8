/*
 * The life of a submission session: its step, its clock, its end. See submission.h.
 *
 * Rejected: one session type for IMAP and SMTP. What they share is the door and the visitor;
 * commands, order of replies and what is streamed have nothing in common.
 */
#include "config.h"
#include "front/submission.h"
#include <stdlib.h>
#include <string.h>

static const char *state_name(enum submission_state s)
{
    static const char *const names[] = {
#define X(id, name) #name,
        SUBMISSION_STATES(X)
#undef X
    };
    return names[s];
}

static bool state_step(struct submission *s)
{
    switch (s->state) {
#define X(id, name)                                                                                \
    case SUB_##id:                                                                                 \
        return submission_state_##name(s);
        SUBMISSION_STATES(X)
#undef X
    }
    return false;
}

bool submission_state_end(struct submission *s)
{
    (void)s;
    return false;
}

void submission_enter(struct submission *s, enum submission_state next)
{
    if (s->state == next || s->state == SUB_END)
        return;
    log_event(worker_log(s->env->worker), LOG_DEBUG, "session_state", log_n("session", s->id),
              log_s("from", state_name(s->state)), log_s("to", state_name(next)));
    s->state = next;
}

const struct settings *submission_settings(const struct submission *s)
{
    return s->env->settings;
}

struct slice submission_input(struct submission *s)
{
    return buf_slice(stream_in(s->client));
}

/* Before sign-in what was read may have held a password: it does not stay behind in the stream's
 * memory. */
void submission_consume(struct submission *s, size_t n)
{
    struct buf *in = stream_in(s->client);
    if (!s->signed_in && n > 0)
        explicit_bzero(in->mem + in->off, n);
    buf_consume(in, n);
    stream_resume(s->client);
}

bool submission_eof(struct submission *s)
{
    return stream_state(s->client) >= STREAM_EOF;
}

void submission_flush(struct submission *s)
{
    if (s->out.len == 0)
        return;
    stream_put(s->client, buf_slice(&s->out));
    buf_clear(&s->out);
}

void submission_end(struct submission *s, const char *reason)
{
    if (s->state == SUB_END)
        return;
    s->reason = reason;
    submission_enter(s, SUB_END);
}

void submission_bye(struct submission *s, const char *reason, const char *line)
{
    if (s->state == SUB_END)
        return;
    if (s->state != SUB_HANDSHAKE)
        buf_printf(&s->out, "%s\r\n", line);
    submission_end(s, reason);
}

/* Replies that are due are waited for even when the client is gone, so that the log has them. */
bool submission_state_leave(struct submission *s)
{
    if (s->n_turns > 0)
        return false;
    submission_end(s, s->reason);
    return true;
}

static void note_traffic(struct submission *s)
{
    struct counters *c = worker_counters(s->env->worker);
    uint64_t in = stream_bytes_in(s->client), out = stream_bytes_out(s->client);
    if (in == s->seen_in && out == s->seen_out)
        return;
    c->bytes_from_clients += in - s->seen_in;
    c->bytes_to_clients += out - s->seen_out;
    s->seen_in = in;
    s->seen_out = out;
    s->active_ms = worker_now_ms(s->env->worker);
}

/* Whether it is the client that keeps us waiting. */
static bool client_is_due(const struct submission *s)
{
    return s->n_turns == 0 || s->open != NULL || s->state == SUB_DATA || s->state == SUB_CHUNK ||
           stream_pending(s->client) > 0;
}

static void look_at_clock(struct submission *s)
{
    if (!s->clock.fired)
        return;
    uint64_t silent = worker_now_ms(s->env->worker) - s->active_ms;
    uint64_t allowed = (uint64_t)submission_settings(s)->submission_idle_seconds * 1000;
    if (!s->signed_in) {
        if (s->state == SUB_CHECK || s->state == SUB_ENTER)
            timer_start(&s->clock, 1000); /* the hosts have their own bounds */
        else
            submission_bye(s, "sign_in_timeout", "421 4.4.2 Nobody signed in for too long");
        return;
    }
    if (silent < allowed)
        timer_start(&s->clock, allowed - silent);
    else if (client_is_due(s))
        submission_bye(s, "idle", "421 4.4.2 Idle for too long");
    else
        timer_start(&s->clock, allowed);
}

/* A daemon that is told to stop ends sessions where nothing is half done. */
static void look_at_drain(struct submission *s)
{
    bool waiting = s->state == SUB_COMMAND || s->state == SUB_SASL || s->state == SUB_HANDSHAKE ||
                   s->state == SUB_OFFER || door_delays(&s->door);
    if (s->front->draining && waiting && s->n_turns == 0)
        submission_bye(s, "drain", "421 4.3.2 The server is going down, please connect again");
}

/* A message that is half written must never be ended by what comes after it. */
static void close_upstream(struct submission *s)
{
    bool half = s->state != SUB_ENTER && (s->open != NULL || s->chunk_left > 0);
    if (half || !s->signed_in)
        smtpc_abort(&s->up);
    smtpc_close(&s->up);
}

static void submission_free(struct submission *s)
{
    note_traffic(s);
    log_event(worker_log(s->env->worker), LOG_INFO, "session_end", log_s("protocol", "submission"),
              log_v("account", s->signed_in ? buf_slice(&s->door.key) : slice_str("")),
              log_n("session", s->id), log_s("address", stream_peer(s->client)),
              log_s("reason", s->reason), log_n("bytes_in", (int64_t)s->seen_in),
              log_n("bytes_out", (int64_t)s->seen_out));
    task_stop(&s->task);
    timer_stop(&s->clock);
    timer_stop(&s->beat);
    close_upstream(s);
    submission_turns_free(s);
    door_free(&s->door);
    visitor_leave(&s->visitor);
    stream_close(&s->client);
    buf_free(&s->out);
    buf_free(&s->helo);
    free(s);
}

static void submission_abort(struct visitor *v)
{
    struct submission *s = container_of(v, struct submission, visitor);
    s->reason = "stopped";
    submission_free(s);
}

static void submission_step(struct task *t)
{
    struct submission *s = container_of(t, struct submission, task);
    bool progress = true;
    note_traffic(s);
    look_at_clock(s);
    look_at_drain(s);
    while (progress && s->state != SUB_END) {
        if (stream_state(s->client) == STREAM_FAILED && s->state != SUB_LEAVE &&
            !door_delays(&s->door)) {
            bool due = s->n_turns > 0 && s->open == NULL && s->chunk_left == 0;
            s->reason = "client_lost";
            submission_enter(s, due ? SUB_LEAVE : SUB_END);
            continue;
        }
        progress = submission_pump(s);
        progress = state_step(s) || progress;
    }
    if (s->state != SUB_END)
        look_at_drain(s);
    submission_flush(s);
    buf_trim(&s->out);
    if (s->state == SUB_END)
        submission_free(s);
}

void submission_new(struct front *f, struct stream *client, bool implicit_tls)
{
    struct submission *s = mem_alloc(sizeof(*s));
    s->front = f;
    s->env = f->env;
    s->client = client;
    s->reason = "";
    s->secure = implicit_tls;
    s->state = SUB_HANDSHAKE;
    s->active_ms = worker_now_ms(f->env->worker);
    list_init(&s->turns);
    task_init(&s->task, f->env->worker, submission_step);
    timer_init(&s->clock, &s->task);
    timer_init(&s->beat, &s->task);
    stream_set_owner(client, &s->task);
    stream_set_in_limit(client, IN_LIMIT);
    visitor_enter(&s->visitor, f, &s->task, client);
    s->visitor.abort = submission_abort;
    s->id = s->visitor.id;
    door_init(&s->door, f->env, &s->task, client, "submission", s->id);
    timer_start(&s->clock, (uint64_t)f->env->settings->sign_in_seconds * 1000);
    task_wake(&s->task);
}
