/*
 * DEFLATE above a stream, beneath its owner. What: bytes between the two buffers of the stream and what goes over the
 * wire or through TLS. Why here and not in the session: its buffers, limits and states then stay those of any stream.
 * A little input may be a thousand times as long when it is inflated: no more than in_limit of it is ever there, and no
 * more than that is made in a turn, so that a stream can neither fill the memory nor keep the loop for itself.
 */
#include "config.h"
#include "stream_impl.h"
#include <stdlib.h>
#include "deflate_impl.h"
#include "worker_impl.h"
#include "wherry/base/mem.h"

/* Owner: the stream. */
struct deflated {
    struct inflater *inflater;
    struct buf in;   /* compressed, while there is no room in stream.in */
    struct buf wire; /* compressed, on its way out; at first what was written before */
    bool more;       /* the inflater has bytes although in is empty */
    bool ended;      /* the peer's last byte is in: the stream is at its end when all is inflated */
};

int stream_start_deflate(struct stream *s)
{
    if ((s->state != STREAM_OPEN && s->state != STREAM_EOF) || s->deflated != NULL)
        return E_INVAL;
    struct deflated *d = s->deflated = mem_alloc(sizeof(*d));
    d->inflater = inflater_new();
    d->wire = s->out;
    d->in = s->in;
    s->out = s->in = (struct buf){0};
    s->bytes_in -= d->in.len; /* counted as what it inflates to */
    if (s->state == STREAM_EOF && d->in.len > 0) {
        d->ended = true;
        stream_enter(s, STREAM_OPEN);
    }
    stream_touch(s);
    return 0;
}

bool stream_is_deflated(const struct stream *s)
{
    return s->deflated != NULL;
}

void stream_deflate_free(struct stream *s)
{
    struct deflated *d = s->deflated;
    if (d == NULL)
        return;
    s->deflated = NULL;
    inflater_free(&d->inflater);
    buf_free(&d->in);
    buf_free(&d->wire);
    free(d);
}

struct buf *stream_input(struct stream *s)
{
    return s->deflated != NULL ? &s->deflated->in : &s->in;
}

bool stream_input_waits(const struct stream *s)
{
    const struct deflated *d = s->deflated;
    return d != NULL && (d->in.len > 0 || d->more || d->ended);
}

void stream_input_drop(struct stream *s)
{
    struct deflated *d = s->deflated;
    if (d == NULL)
        return;
    buf_free(&d->in);
    d->more = false;
    if (d->ended && s->state == STREAM_OPEN)
        stream_enter(s, STREAM_EOF);
}

void stream_input_ended(struct stream *s)
{
    struct deflated *d = s->deflated;
    if (d == NULL || s->closing != CLOSING_NOT || (d->in.len == 0 && !d->more)) {
        stream_enter(s, STREAM_EOF);
        return;
    }
    d->ended = true;
    stream_touch(s);
}

void stream_inflate(struct stream *s)
{
    struct deflated *d = s->deflated;
    size_t before = s->in.len;
    if (d == NULL || s->state != STREAM_OPEN || before >= s->in_limit || !stream_input_waits(s))
        return;
    enum codec c = inflater_run(d->inflater, &d->in, &s->in, s->in_limit - before, &d->more);
    s->bytes_in += s->in.len - before;
    if (s->in.len > before)
        task_wake(s->owner);
    else
        buf_trim(&s->in);
    buf_trim(&d->in);
    if (c == CODEC_BAD)
        err_set(&s->err, E_PROTO, SCOPE_HOST, "%s sent what is not DEFLATE", s->peer);
    if (c != CODEC_MORE)
        buf_free(&d->in);
    if (c != CODEC_MORE || (d->ended && d->in.len == 0 && !d->more)) {
        d->ended = false;
        stream_enter(s, STREAM_EOF);
    } else if (stream_input_waits(s) && s->in.len < s->in_limit) {
        stream_touch(s);
    }
}

struct buf *stream_output(struct stream *s)
{
    struct deflated *d = s->deflated;
    if (d == NULL)
        return &s->out;
    if (d->wire.len == 0 && s->out.len > 0) {
        if (s->worker->deflater == NULL)
            s->worker->deflater = deflater_new();
        deflater_run(s->worker->deflater, buf_slice(&s->out), &d->wire);
        buf_clear(&s->out);
    }
    return &d->wire;
}

size_t stream_unsent(const struct stream *s)
{
    return s->out.len + (s->deflated != NULL ? s->deflated->wire.len : 0);
}

void stream_output_done(struct stream *s)
{
    if (s->out.len == 0)
        buf_wipe(&s->out); /* it may have held a password on its way to a host */
    if (s->deflated != NULL)
        buf_trim(&s->deflated->wire);
}
