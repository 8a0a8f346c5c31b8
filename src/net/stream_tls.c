/*
 * TLS beneath a stream. What: carries records between the socket and the session. Why apart:
 * stream.c then knows nothing of records, and tls.c nothing of sockets. Records on their way out
 * are sealed into the worker's one buffer; only what the kernel does not take leaves with its
 * memory.
 */
#include "config.h"
#include "stream_impl.h"
#include <stdio.h>
#include "tls_impl.h"
#include "worker_impl.h"

enum { SEAL_AT_ONCE = 64 * 1024 }; /* plaintext sealed before the kernel is asked to take it */

/* Sends what the session had to say. */
static int send_records(struct stream *s)
{
    int rc = sock_send(s->sock, &s->worker->cipher);
    buf_clear(&s->worker->cipher);
    return rc;
}

static void broken(struct stream *s)
{
    int rc = send_records(s); /* the alert, if it gets through */
    (void)rc;
    stream_failed(s);
}

/* True when the session is ready for data. */
static bool handshake(struct stream *s, struct slice *records)
{
    enum codec c = tls_handshake(s->tls, records, &s->worker->cipher, &s->err);
    if (c == CODEC_BAD) {
        broken(s);
        return false;
    }
    int rc = send_records(s);
    if (rc < 0) {
        stream_on_error(s, rc);
        return false;
    }
    if (c == CODEC_MORE)
        return false;
    if (s->closing == CLOSING_NOT)
        timer_stop(&s->timer);
    stream_enter(s, STREAM_OPEN);
    if (stream_unsent(s) > 0)
        stream_touch(s);
    return true;
}

void stream_tls_begin(struct stream *s)
{
    struct slice none = {0};
    stream_enter(s, STREAM_HANDSHAKE);
    stream_watch(s);
    if (s->state == STREAM_HANDSHAKE)
        handshake(s, &none);
}

void stream_tls_input(struct stream *s, struct slice records)
{
    if (s->state == STREAM_HANDSHAKE && !handshake(s, &records))
        return;
    if (s->closing != CLOSING_NOT)
        return; /* nobody reads any more */
    struct buf *in = stream_input(s);
    size_t before = in->len;
    enum codec c = tls_read(s->tls, &records, in, &s->worker->cipher, &s->err);
    if (s->deflated != NULL) {
        stream_inflate(s);
    } else {
        s->bytes_in += in->len - before;
        if (in->len > before)
            task_wake(s->owner);
    }
    if (c == CODEC_BAD) {
        broken(s);
        return;
    }
    int rc = send_records(s);
    if (rc < 0)
        stream_on_error(s, rc);
    else if (c == CODEC_DONE && s->state == STREAM_OPEN)
        stream_input_ended(s);
}

int stream_tls_output(struct stream *s, struct buf *out)
{
    struct slice v = buf_slice(out);
    if (v.n > SEAL_AT_ONCE)
        v.n = SEAL_AT_ONCE;
    size_t n = v.n;
    while (v.n > 0) {
        if (tls_write(s->tls, &v, &s->worker->cipher, &s->err) < 0) {
            broken(s);
            return s->err.code;
        }
    }
    buf_consume(out, n);
    return send_records(s);
}

void stream_tls_end(struct stream *s)
{
    tls_notify(s->tls, &s->worker->cipher);
    int rc = send_records(s);
    if (rc < 0)
        stream_on_error(s, rc);
}
