/*
 * Streams. What: the buffers, states and backpressure of a connection, whatever is beneath. Why:
 * sessions and clients then differ only in what they read and write. Output is gathered in one
 * buffer and sent at the end of the turn, so that a hundred small writes are one packet; what the
 * kernel does not take leaves with its buffer, uncopied. Rejected: writing through at once (a
 * system call and a TLS record per fragment); uv_write alone (a callback per write even when the
 * kernel has room).
 */
#include "config.h"
#include "stream_impl.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tls_impl.h"
#include "worker_impl.h"
#include "wherry/base/mem.h"

enum {
    IN_LIMIT_MIN = 1024,
    TLS_ROOM_MIN = 4096 /* a small in_limit must not cut records into single bytes */
};

static void stream_step(struct task *t)
{
    struct stream *s = container_of(t, struct stream, task);
    if (s->closing != CLOSING_NOT)
        close_step(s);
    else if (s->state == STREAM_CONNECTING)
        dial_step(s);
    else if (s->state == STREAM_HANDSHAKE && s->timer.fired)
        stream_fail(s, E_TIMEOUT, "the TLS handshake with %s took too long", s->peer);
}

struct stream *stream_new(struct worker *w, struct task *owner)
{
    struct stream *s = mem_alloc(sizeof(*s));
    s->worker = w;
    s->owner = owner;
    s->in_limit = STREAM_IN_LIMIT;
    task_init(&s->task, w, stream_step);
    timer_init(&s->timer, &s->task);
    list_init(&s->dirty);
    list_append(&w->streams, &s->all);
    w->nstreams++;
    return s;
}

/* Lets go of everything below the buffers. */
static void disconnect(struct stream *s)
{
    timer_stop(&s->timer);
    list_remove(&s->dirty);
    dial_drop(s);
    sock_close(&s->sock);
    s->reading = false;
    buf_wipe(&s->out);
}

void stream_free(struct stream *s)
{
    disconnect(s);
    task_stop(&s->task);
    tls_close(&s->tls);
    stream_deflate_free(s);
    list_remove(&s->all);
    s->worker->nstreams--;
    buf_wipe(&s->in);
    free(s);
}

static void put_address(const struct sockaddr *a, char text[INET6_ADDRSTRLEN], uint16_t *port)
{
    if (a->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)a;
        inet_ntop(AF_INET, &v4->sin_addr, text, INET6_ADDRSTRLEN);
        *port = ntohs(v4->sin_port);
    } else if (a->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)a;
        inet_ntop(AF_INET6, &v6->sin6_addr, text, INET6_ADDRSTRLEN);
        *port = ntohs(v6->sin6_port);
    }
}

void stream_set_peer(struct stream *s, const struct sockaddr *a)
{
    put_address(a, s->peer, &s->peer_port);
}

void stream_enter(struct stream *s, enum stream_state state)
{
    static const char *const names[] = {"connecting", "handshake", "open", "eof", "failed"};
    if (s->worker->log != NULL && s->worker->log->level == LOG_DEBUG)
        log_event(s->worker->log, LOG_DEBUG, "stream", log_s("from", names[s->state]),
                  log_s("to", names[state]), log_s("peer", s->peer), log_n("port", s->peer_port),
                  log_s("tls", stream_tls_info(s)),
                  log_s("reason", s->err.code != 0 ? s->err.text : NULL));
    s->state = state;
    task_wake(s->closing != CLOSING_NOT ? &s->task : s->owner);
}

void stream_failed(struct stream *s)
{
    if (s->state == STREAM_FAILED)
        return;
    disconnect(s);
    stream_enter(s, STREAM_FAILED);
}

void stream_fail(struct stream *s, int code, const char *fmt, ...)
{
    if (s->state == STREAM_FAILED)
        return;
    char text[sizeof(s->err.text)];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    err_set(&s->err, code, SCOPE_HOST, "%s", text);
    stream_failed(s);
}

static void note_loss(struct stream *s, int status)
{
    char why[80];
    int code = E_IO;
    if (status == -ECONNRESET || status == -EPIPE)
        code = E_CLOSED;
    else if (status == -ETIMEDOUT || status == -EHOSTUNREACH)
        code = E_TIMEOUT;
    err_set(&s->err, code, SCOPE_HOST, "connection with %s lost: %s", s->peer,
            sock_strerror(status, why, sizeof(why)));
}

void stream_on_error(struct stream *s, int status)
{
    if (s->state == STREAM_FAILED)
        return;
    note_loss(s, status);
    stream_failed(s);
}

/*
 * Writing failed. A peer that hung up has often said why, and that is still in the kernel: while
 * reading goes on its end is awaited, which comes at once.
 */
void stream_on_write_error(struct stream *s, int status)
{
    if (s->state == STREAM_FAILED)
        return;
    if (s->state != STREAM_OPEN || !s->reading) {
        stream_on_error(s, status);
        return;
    }
    if (!s->mute)
        note_loss(s, status);
    s->mute = true;
    buf_wipe(&s->out);
}

/* -- input -- */

size_t stream_read_room(const struct stream *s)
{
    if (s->in.len >= s->in_limit || stream_input_waits(s))
        return 0;
    size_t room = s->in_limit - s->in.len;
    return s->tls != NULL && room < TLS_ROOM_MIN ? TLS_ROOM_MIN : room;
}

void stream_watch(struct stream *s)
{
    bool want = s->sock != NULL && !stream_input_waits(s);
    if (s->closing == CLOSING_NOT || s->state == STREAM_HANDSHAKE)
        want = want && (s->state == STREAM_HANDSHAKE ||
                        (s->state == STREAM_OPEN && s->in.len < s->in_limit));
    else
        want = want && s->state == STREAM_OPEN;
    if (want == s->reading)
        return;
    s->reading = want;
    int rc = sock_read(s->sock, want);
    if (rc < 0)
        stream_on_error(s, rc);
}

void stream_on_read(struct stream *s, struct slice v)
{
    if (s->tls != NULL) {
        stream_tls_input(s, v);
    } else if (s->closing == CLOSING_NOT) {
        buf_put_slice(stream_input(s), v);
        if (s->deflated != NULL) {
            stream_inflate(s);
        } else {
            s->bytes_in += v.n;
            task_wake(s->owner);
        }
    }
    if (s->state == STREAM_EOF)
        stream_watch(s);
    else if (s->in.len >= s->in_limit || stream_input_waits(s))
        stream_touch(s); /* most owners consume in this turn: only if not, reading is stopped */
}

void stream_on_eof(struct stream *s)
{
    s->reading = false; /* libuv has stopped by itself */
    if (s->mute) {
        stream_failed(s);
        return;
    }
    if (s->state == STREAM_HANDSHAKE) {
        stream_fail(s, E_CLOSED, "%s closed the connection in the TLS handshake", s->peer);
        return;
    }
    if (s->tls != NULL)
        err_set(&s->err, E_TLS, SCOPE_HOST, "%s closed the connection without close_notify",
                s->peer);
    stream_input_ended(s);
}

struct buf *stream_in(struct stream *s)
{
    return &s->in;
}

void stream_resume(struct stream *s)
{
    buf_trim(&s->in);
    if (s->state == STREAM_OPEN)
        stream_watch(s);
    if (stream_input_waits(s))
        stream_touch(s); /* there is room for more in the next turn */
}

void stream_set_in_limit(struct stream *s, size_t bytes)
{
    s->in_limit = bytes > IN_LIMIT_MIN ? bytes : IN_LIMIT_MIN;
    if (s->state == STREAM_OPEN)
        stream_watch(s);
}

/* -- output -- */

void stream_touch(struct stream *s)
{
    if (list_empty(&s->dirty))
        list_append(&s->worker->dirty, &s->dirty);
}

void stream_write(struct stream *s, const void *p, size_t n)
{
    if (s->state == STREAM_FAILED || s->mute || n == 0)
        return;
    buf_put(&s->out, p, n);
    s->bytes_out += n;
    if (stream_full(s))
        s->was_full = true;
    if (s->state == STREAM_OPEN || s->state == STREAM_EOF)
        stream_touch(s);
}

void stream_put(struct stream *s, struct slice v)
{
    stream_write(s, v.p, v.n);
}

size_t stream_pending(const struct stream *s)
{
    return stream_unsent(s) + (s->sock != NULL ? sock_queued(s->sock) : 0);
}

bool stream_full(const struct stream *s)
{
    return stream_pending(s) >= STREAM_OUT_HIGH;
}

/* Tells who waits for room. */
static void drained(struct stream *s)
{
    size_t pending = stream_pending(s);
    if (s->closing != CLOSING_NOT)
        task_wake(&s->task);
    else if (s->was_full && pending <= STREAM_OUT_LOW) {
        s->was_full = false;
        task_wake(s->owner);
    }
}

static void flush(struct stream *s)
{
    stream_inflate(s);
    stream_watch(s);
    if (s->state != STREAM_OPEN && s->state != STREAM_EOF)
        return;
    int rc = 0;
    while (rc >= 0 && stream_unsent(s) > 0 && sock_queued(s->sock) == 0) {
        struct buf *out = stream_output(s);
        rc = s->tls != NULL ? stream_tls_output(s, out) : sock_send(s->sock, out);
    }
    if (rc < 0) {
        stream_on_write_error(s, rc);
        return;
    }
    stream_output_done(s);
    drained(s);
}

void streams_flush(struct worker *w)
{
    while (!list_empty(&w->dirty)) {
        struct stream *s = container_of(w->dirty.next, struct stream, dirty);
        list_remove(&s->dirty);
        flush(s);
    }
}

void stream_on_sent(struct stream *s)
{
    if (stream_unsent(s) > 0)
        stream_touch(s);
    drained(s);
}

/* -- STARTTLS -- */

static int start_tls(struct stream *s, struct tls_ctx *ctx, const char *host)
{
    if (s->state != STREAM_OPEN || s->tls != NULL || s->deflated != NULL)
        return E_INVAL;
    if (s->in.len > 0)
        return E_PROTO;
    int rc = sock_send(s->sock, &s->out); /* what was said in the clear */
    if (s->out.len == 0)
        buf_wipe(&s->out);
    if (rc < 0) {
        stream_on_error(s, rc);
        return 0; /* the owner is told through the state, as for any other loss */
    }
    s->tls = tls_open(ctx, host);
    stream_tls_begin(s);
    return 0;
}

int stream_start_tls_server(struct stream *s, struct tls_ctx *ctx)
{
    return start_tls(s, ctx, NULL);
}

int stream_start_tls_client(struct stream *s, struct tls_ctx *ctx, const char *host)
{
    int rc = start_tls(s, ctx, host);
    if (rc == 0 && s->state == STREAM_HANDSHAKE)
        timer_start(&s->timer, s->dial_ms);
    return rc;
}

/* -- what the owner may ask -- */

enum stream_state stream_state(const struct stream *s)
{
    return s->state;
}

const struct err *stream_err(const struct stream *s)
{
    return &s->err;
}

bool stream_is_tls(const struct stream *s)
{
    return s->tls != NULL;
}

const char *stream_tls_info(const struct stream *s)
{
    return s->tls != NULL ? tls_info(s->tls) : "";
}

const char *stream_peer(const struct stream *s)
{
    return s->peer;
}

uint16_t stream_peer_port(const struct stream *s)
{
    return s->peer_port;
}

bool stream_local(const struct stream *s, char address[STREAM_ADDRESS], uint16_t *port)
{
    struct sockaddr_storage a;
    address[0] = '\0';
    *port = 0;
    if (s->sock != NULL && sock_local(s->sock, &a) == 0)
        put_address((const struct sockaddr *)&a, address, port);
    return address[0] != '\0';
}

void stream_set_owner(struct stream *s, struct task *owner)
{
    s->owner = owner;
    task_wake(owner);
}

uint64_t stream_bytes_in(const struct stream *s)
{
    return s->bytes_in;
}

uint64_t stream_bytes_out(const struct stream *s)
{
    return s->bytes_out;
}
