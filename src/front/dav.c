/*
 * The life of a session of calendars and contacts: its step, its clock, its end. See dav.h.
 *
 * Rejected: several requests of a connection at the hosts at once. Answers have to go in order, and clients that want more open
 * more connections.
 */
#include "config.h"
#include "front/dav.h"
#include <stdlib.h>
#include <string.h>

static const char *state_name(enum dav_session_state s)
{
    static const char *const names[] = {
#define X(id, name) #name,
        DAV_STATES(X)
#undef X
    };
    return names[s];
}

static bool state_step(struct dav_session *d)
{
    switch (d->state) {
#define X(id, name)                                                                                \
    case DAVS_##id:                                                                                \
        return davs_state_##name(d);
        DAV_STATES(X)
#undef X
    }
    return false;
}

bool davs_state_end(struct dav_session *d)
{
    (void)d;
    return false;
}

void davs_enter(struct dav_session *d, enum dav_session_state next)
{
    if (d->state == next || d->state == DAVS_END)
        return;
    log_event(worker_log(d->env->worker), LOG_DEBUG, "session_state", log_n("session", d->id),
              log_s("from", state_name(d->state)), log_s("to", state_name(next)));
    d->state = next;
}

void davs_end(struct dav_session *d, const char *reason)
{
    if (d->state == DAVS_END)
        return;
    d->reason = reason;
    davs_enter(d, DAVS_END);
}

const struct settings *davs_settings(const struct dav_session *d)
{
    return d->env->settings;
}

uint64_t davs_now(const struct dav_session *d)
{
    return worker_now_ms(d->env->worker);
}

struct slice davs_input(struct dav_session *d)
{
    return buf_slice(stream_in(d->client));
}

/* A head holds a password: it does not stay behind in the stream's memory. */
void davs_consume(struct dav_session *d, size_t n)
{
    struct buf *in = stream_in(d->client);
    if (d->state == DAVS_HEAD && n > 0)
        explicit_bzero(in->mem + in->off, n);
    buf_consume(in, n);
    stream_resume(d->client);
}

bool davs_eof(const struct dav_session *d)
{
    return stream_state(d->client) >= STREAM_EOF;
}

void davs_log(struct dav_session *d, enum log_level level, const char *event, const char *cause, const struct err *e)
{
    struct err none = {0};
    log_event(worker_log(d->env->worker), level, event, log_v("account", buf_slice(&d->account_key)),
              log_n("session", d->id), log_s("cause", cause), log_e(e != NULL ? e : &none));
}

static void flush(struct dav_session *d)
{
    if (d->out.len == 0)
        return;
    stream_put(d->client, buf_slice(&d->out));
    buf_clear(&d->out);
}

/* ---- the clock ---- */

static void note_traffic(struct dav_session *d)
{
    struct counters *c = worker_counters(d->env->worker);
    uint64_t in = stream_bytes_in(d->client), out = stream_bytes_out(d->client);
    if (in == d->seen_in && out == d->seen_out)
        return;
    c->bytes_from_clients += in - d->seen_in;
    c->bytes_to_clients += out - d->seen_out;
    d->seen_in = in;
    d->seen_out = out;
    d->active_ms = davs_now(d);
}

/* Whether it is the client that keeps us waiting; the hosts have bounds of their own. */
static bool client_is_due(const struct dav_session *d)
{
    if (stream_pending(d->client) > 0)
        return true;
    switch (d->state) {
    case DAVS_HANDSHAKE:
    case DAVS_HEAD:
    case DAVS_BODY:
    case DAVS_DISCARD:
        return true;
    case DAVS_FORWARD:
        return !d->body_over && !davr_full(d->up);
    default:
        return false;
    }
}

static void too_slow(struct dav_session *d)
{
    bool half = (d->state == DAVS_HEAD && !http_reader_idle(d->reader)) || d->state == DAVS_BODY;
    d->close = true;
    if (half && !d->head_sent)
        davs_say(d, 408, "The request did not come to its end");
    davs_end(d, d->signed_in ? "idle" : "sign_in_timeout");
}

static void look_at_clock(struct dav_session *d)
{
    const struct settings *set = davs_settings(d);
    if (!d->clock.fired)
        return;
    uint64_t allowed = (uint64_t)(d->signed_in ? set->dav_idle_seconds : set->sign_in_seconds) * 1000;
    uint64_t silent = davs_now(d) - d->active_ms;
    if (!client_is_due(d) || silent < allowed)
        timer_start(&d->clock, silent < allowed ? allowed - silent : 1000);
    else
        too_slow(d);
}

/* Somebody who never signs in may not keep a connection by saying something now and then. */
static void look_at_sign_in(struct dav_session *d)
{
    if (d->signed_in || !d->clock.fired || d->state == DAVS_CHECK || d->state == DAVS_REALM)
        return;
    too_slow(d);
}

static void look_at_drain(struct dav_session *d)
{
    bool between = d->state == DAVS_HANDSHAKE || (d->state == DAVS_HEAD && http_reader_idle(d->reader));
    if (d->front->draining && (between || door_delays(&d->door)))
        davs_end(d, "drain");
}

/* ---- the end ---- */

static void davs_free(struct dav_session *d)
{
    note_traffic(d);
    log_event(worker_log(d->env->worker), LOG_INFO, "session_end", log_s("protocol", "dav"),
              log_v("account", buf_slice(&d->account_key)), log_n("session", d->id),
              log_s("address", stream_peer(d->client)), log_s("reason", d->reason),
              log_n("requests", d->requests), log_n("bytes_in", (int64_t)d->seen_in),
              log_n("bytes_out", (int64_t)d->seen_out));
    davs_request_clear(d);
    task_stop(&d->task);
    timer_stop(&d->clock);
    timer_stop(&d->beat);
    door_free(&d->door);
    dav_creds_free(&d->creds[HOME_OLD]);
    dav_creds_free(&d->creds[HOME_NEW]);
    if (d->account != NULL)
        account_detach(&d->account, &d->user);
    http_reader_free(&d->reader);
    visitor_leave(&d->visitor);
    if (d->broken)
        stream_abort(&d->client);
    else
        stream_close(&d->client);
    buf_free(&d->account_key);
    buf_free(&d->out);
    free(d);
}

static void davs_abort(struct visitor *v)
{
    struct dav_session *d = container_of(v, struct dav_session, visitor);
    d->reason = "stopped";
    davs_free(d);
}

/* What was sent to the old host may still arrive there: the switch must not come before the host has said. */
static void client_lost(struct dav_session *d)
{
    bool counted = d->from.counted || d->to.counted;
    d->reason = "client_lost";
    if (counted && d->up != NULL && d->body_over && d->state == DAVS_FORWARD)
        davs_enter(d, DAVS_LEAVE);
    else if (!(counted && d->state == DAVS_CARRY) && d->state != DAVS_RECORD)
        davs_enter(d, DAVS_END);
}

bool davs_state_leave(struct dav_session *d)
{
    struct davr_event ev;
    do {
        davr_next(d->up, &ev);
    } while (ev.kind == DAVR_HEAD || ev.kind == DAVR_BODY);
    if (ev.kind == DAVR_NONE)
        return false;
    davs_end(d, d->reason);
    return true;
}

static void davs_step(struct task *t)
{
    struct dav_session *d = container_of(t, struct dav_session, task);
    bool progress = true;
    note_traffic(d);
    look_at_sign_in(d);
    look_at_clock(d);
    look_at_drain(d);
    while (progress && d->state != DAVS_END) {
        if (stream_state(d->client) == STREAM_FAILED && d->state != DAVS_LEAVE && !door_delays(&d->door))
            client_lost(d);
        progress = state_step(d);
    }
    if (d->state != DAVS_END)
        look_at_drain(d);
    flush(d);
    buf_trim(&d->out);
    if (d->state == DAVS_END)
        davs_free(d);
}

bool davs_state_handshake(struct dav_session *d)
{
    if (stream_state(d->client) == STREAM_HANDSHAKE)
        return false;
    if (davs_eof(d) && davs_input(d).n == 0)
        davs_end(d, "client_closed");
    else
        davs_enter(d, DAVS_HEAD);
    return true;
}

void davs_new(struct front *f, struct stream *client, bool tls)
{
    struct dav_session *d = mem_alloc(sizeof(*d));
    d->front = f;
    d->env = f->env;
    d->client = client;
    d->reason = "";
    d->secure = tls;
    d->state = DAVS_HANDSHAKE;
    d->active_ms = davs_now(d);
    d->reader = http_reader_new();
    task_init(&d->task, f->env->worker, davs_step);
    timer_init(&d->clock, &d->task);
    timer_init(&d->beat, &d->task);
    stream_set_owner(client, &d->task);
    visitor_enter(&d->visitor, f, &d->task, client);
    d->visitor.abort = davs_abort;
    d->id = d->visitor.id;
    door_init(&d->door, f->env, &d->task, client, "dav", d->id);
    d->door.front = f;
    d->door.dav = f->env->settings->auth_by == AUTH_BY_DAV;
    timer_start(&d->clock, (uint64_t)f->env->settings->sign_in_seconds * 1000);
    task_wake(&d->task);
}
