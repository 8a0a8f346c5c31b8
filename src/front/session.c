/*
 * The life of a session: its step, its clock, its end. See session.h.
 *
 * Rejected: a callback per upstream event. Events are pulled while the client takes output, so that
 * backpressure needs no code of its own.
 */
#include "config.h"
#include "front/session.h"
#include <stdlib.h>
#include <string.h>

static const char *state_name(enum session_state s)
{
    static const char *const names[] = {
#define X(id, name) #name,
        SESSION_STATES(X)
#undef X
    };
    return names[s];
}

static bool state_step(struct session *s)
{
    switch (s->state) {
#define X(id, name)                                                                                \
    case S_##id:                                                                                   \
        return state_##name(s);
        SESSION_STATES(X)
#undef X
    }
    return false;
}

bool state_end(struct session *s)
{
    (void)s;
    return false;
}

void session_enter(struct session *s, enum session_state next)
{
    if (s->state == next)
        return;
    log_event(worker_log(s->env->worker), LOG_DEBUG, "session_state", log_n("session", s->id),
              log_s("from", state_name(s->state)), log_s("to", state_name(next)));
    s->state = next;
}

const struct settings *session_settings(const struct session *s)
{
    return s->env->settings;
}

uint64_t session_now(const struct session *s)
{
    return worker_now_ms(s->env->worker);
}

void session_wake(struct session *s)
{
    task_wake(&s->task);
}

struct slice session_input(struct session *s)
{
    return buf_slice(stream_in(s->client));
}

/* Before sign-in what was read may have held a password: it does not stay behind in the stream's
 * memory. */
void session_consume(struct session *s, size_t n)
{
    struct buf *in = stream_in(s->client);
    if (s->new_ == NULL && n > 0)
        explicit_bzero(in->mem + in->off, n);
    buf_consume(in, n);
    stream_resume(s->client);
}

bool session_eof(struct session *s)
{
    return stream_state(s->client) >= STREAM_EOF;
}

void session_flush(struct session *s)
{
    if (s->out.len == 0)
        return;
    stream_put(s->client, buf_slice(&s->out));
    buf_clear(&s->out);
}

void session_end(struct session *s, const char *reason)
{
    if (s->state == S_END)
        return;
    s->reason = reason;
    session_enter(s, S_END);
}

void session_bye(struct session *s, const char *reason, const char *text)
{
    if (s->state == S_END)
        return;
    if (!s->midline && s->state != S_HANDSHAKE)
        session_tagged(s, slice_str("*"), "BYE", text);
    session_end(s, reason);
}

/* Small before sign-in: nobody has to be trusted with memory who was not let in. */
void session_apply_limits(struct session *s)
{
    const struct settings *set = session_settings(s);
    struct cmd_limits l = {.line = set->line_bytes,
                           .literals = set->literal_bytes,
                           .message = set->message_bytes,
                           .count = 1000,
                           .nonsync = LITERAL_MINUS_BYTES};
    if (s->account == NULL)
        l = (struct cmd_limits){.line = set->line_bytes < 4096 ? set->line_bytes : 4096,
                                .id_line = GUEST_ID_BYTES,
                                .literals = 2048,
                                .message = 0,
                                .count = 4};
    imap_cmd_set_limits(&s->reader, &l);
}

static void note_traffic(struct session *s)
{
    struct counters *c = worker_counters(s->env->worker);
    uint64_t in = stream_bytes_in(s->client), out = stream_bytes_out(s->client);
    if (in == s->seen_in && out == s->seen_out)
        return;
    c->bytes_from_clients += in - s->seen_in;
    c->bytes_to_clients += out - s->seen_out;
    s->seen_in = in;
    s->seen_out = out;
    s->active_ms = session_now(s);
}

static uint64_t stall_ms(const struct session *s)
{
    return (uint64_t)session_settings(s)->stall_seconds * 1000;
}

/* How long the client may be silent in this state, 0: as long as it likes. */
static uint64_t patience_ms(struct session *s)
{
    const struct settings *set = session_settings(s);
    if (stream_pending(s->client) > 0 || s->state == S_APPEND)
        return stall_ms(s);
    if (session_eof(s)) /* it may wait for its replies, but not for ever for those of a host that says nothing */
        return stall_ms(s);
    switch (s->state) {
    case S_READY:
        if (!imap_cmd_idle(&s->reader))
            return stall_ms(s);
        return s->n_flights == 0 ? (uint64_t)set->idle_seconds * 1000 : 0;
    default:
        return 0;
    }
}

static void look_at_clock(struct session *s)
{
    if (!s->clock.fired)
        return;
    uint64_t silent = session_now(s) - s->active_ms;
    bool guest = s->state == S_HANDSHAKE || s->state == S_GUEST || s->state == S_SASL;
    if (guest) {
        session_bye(s, "sign_in_timeout", "Nobody signed in for too long");
        return;
    }
    if (s->account == NULL) {
        timer_start(&s->clock, 1000); /* a password is being checked */
        return;
    }
    uint64_t allowed = patience_ms(s);
    if (allowed > 0 && silent >= allowed) {
        session_bye(s, "idle", "Idle for too long");
        return;
    }
    uint64_t next = allowed > 0 ? allowed - silent : stall_ms(s);
    timer_start(&s->clock, next < stall_ms(s) ? next : stall_ms(s));
}

/*
 * Copies go on without the session, and so does what was forwarded whole. A command that is half
 * written must never be completed by what comes after it.
 */
static void close_upstream(struct session *s)
{
    if (s->append.open && s->target == HOME_OLD)
        imapc_abort(&s->old);
    else if (s->append.open)
        imapc_abort(&s->new_);
    imapc_close(&s->new_);
    imapc_close(&s->old);
}

static void session_free(struct session *s)
{
    note_traffic(s);
    log_event(worker_log(s->env->worker), LOG_INFO, "session_end",
              log_s("account", s->account != NULL ? account_name(s->account) : NULL),
              log_n("session", s->id), log_s("address", stream_peer(s->client)),
              log_s("reason", s->reason), log_n("bytes_in", (int64_t)s->seen_in),
              log_n("bytes_out", (int64_t)s->seen_out));
    carry_free(s); /* wakes the account's sessions */
    task_stop(&s->task);
    timer_stop(&s->clock);
    timer_stop(&s->beat);
    timer_stop(&s->rest);
    timer_stop(&s->turn);
    unit_rise(&s->seat);
    unit_rise(&s->dest_seat);
    store_wait_forget(s->env->store, &s->wait);
    close_upstream(s);
    while (!list_empty(&s->flights))
        upstream_flight_free(s, container_of(s->flights.next, struct flight, node));
    if (s->account != NULL)
        account_detach(&s->account, &s->user);
    stream_close(&s->client);
    imap_cmd_free(&s->reader);
    imap_line_free(&s->inlets[HOME_OLD].line);
    imap_line_free(&s->inlets[HOME_NEW].line);
    uidmap_free(&s->identity);
    list_free(&s->list);
    transfer_free(&s->transfer);
    seqs_free(&s->seqs);
    tr_clear(&s->args);
    buf_free(&s->out);
    buf_free(&s->later);
    buf_free(&s->held);
    door_free(&s->door);
    visitor_leave(&s->visitor);
    free(s);
}

static void session_abort(struct visitor *v)
{
    struct session *s = container_of(v, struct session, visitor);
    s->reason = "stopped";
    session_free(s);
}

/* A daemon that is told to stop ends sessions where no command is half done. */
static void look_at_drain(struct session *s)
{
    bool waiting = s->state == S_READY || s->state == S_GUEST || s->state == S_SASL ||
                   s->state == S_TOUCH || s->state == S_IDLE || s->state == S_HELD || s->state == S_MIRROR ||
                   s->state == S_HANDSHAKE || door_delays(&s->door);
    if (s->front->draining && waiting && (s->state != S_READY || s->n_flights == 0))
        session_bye(s, "drain", "The server is going down, please connect again");
}

/* A stream of which nothing more can be understood. */
static void look_at_stream(struct session *s)
{
    if (stream_state(s->client) == STREAM_EOF && stream_err(s->client)->code == E_PROTO)
        session_bye(s, "not_deflate", "What came was not compressed as it should be");
}

static void session_step(struct task *t)
{
    struct session *s = container_of(t, struct session, task);
    bool progress = true;
    note_traffic(s);
    look_at_clock(s);
    host_look_at_old(s);
    look_at_drain(s);
    look_at_stream(s);
    while (progress && s->state != S_END) {
        if (stream_state(s->client) == STREAM_FAILED && !door_delays(&s->door)) {
            session_end(s, "client_lost");
            break;
        }
        progress = upstream_pump(s, HOME_NEW);
        progress = upstream_pump(s, HOME_OLD) || progress;
        progress = state_step(s) || progress;
    }
    if (s->state != S_END)
        look_at_drain(s);
    session_flush(s);
    buf_trim(&s->out);
    buf_trim(&s->later);
    if (s->state == S_END)
        session_free(s);
}

void session_new(struct front *f, struct stream *client, bool implicit_tls)
{
    struct session *s = mem_alloc(sizeof(*s));
    s->front = f;
    s->env = f->env;
    s->client = client;
    s->reason = "";
    s->secure = implicit_tls;
    s->state = S_HANDSHAKE;
    s->side = HOME_NEW;
    uidmap_identity(&s->identity);
    s->active_ms = worker_now_ms(f->env->worker);
    list_init(&s->flights);
    task_init(&s->task, f->env->worker, session_step);
    timer_init(&s->clock, &s->task);
    timer_init(&s->beat, &s->task);
    timer_init(&s->rest, &s->task);
    timer_init(&s->turn, &s->task);
    struct cmd_limits none = {.line = 1024, .literals = 0, .message = 0, .count = 0};
    imap_cmd_init(&s->reader, &none);
    session_apply_limits(s);
    stream_set_owner(client, &s->task);
    visitor_enter(&s->visitor, f, &s->task, client);
    s->visitor.abort = session_abort;
    s->id = s->visitor.id;
    door_init(&s->door, f->env, &s->task, client, "imap", s->id);
    timer_start(&s->clock, (uint64_t)f->env->settings->sign_in_seconds * 1000);
    task_wake(&s->task);
}
