/*
 * Closing. What: a closed stream sends what is pending, says goodbye in TLS, sends FIN and reads
 * away what the peer still sends until that ends too. Why: closing a socket with unread input makes
 * the kernel send a reset, which may destroy the BYE that explains the end. Each step is bounded in
 * time, so a peer that does nothing costs six seconds at most. Rejected: SO_LINGER, which blocks.
 */
#include "config.h"
#include "stream_impl.h"
#include "worker_impl.h"
#include "wherry/base/mem.h"

enum { FLUSH_MS = 5000, LINGER_MS = 1000 };

void close_step(struct stream *s)
{
    if (s->state == STREAM_FAILED || s->timer.fired) {
        stream_free(s);
        return;
    }
    if (s->closing == CLOSING_FLUSH) {
        if (s->state == STREAM_HANDSHAKE || stream_pending(s) > 0)
            return;
        if (s->tls != NULL)
            stream_tls_end(s);
        if (s->state == STREAM_FAILED)
            return; /* woken again */
        sock_finish(s->sock);
        s->closing = CLOSING_LINGER;
        timer_start(&s->timer, LINGER_MS);
    }
    if (s->state == STREAM_EOF && sock_queued(s->sock) == 0)
        stream_free(s);
}

void stream_close(struct stream **sp)
{
    struct stream *s = *sp;
    if (s == NULL)
        return;
    *sp = NULL;
    bool gone = s->state == STREAM_CONNECTING || s->state == STREAM_FAILED ||
                (s->state == STREAM_HANDSHAKE && s->out.len == 0);
    s->owner = NULL;
    if (gone) {
        stream_free(s);
        return;
    }
    s->closing = CLOSING_FLUSH;
    buf_wipe(&s->in);
    stream_input_drop(s);
    timer_start(&s->timer, FLUSH_MS);
    stream_watch(s);
    if (stream_unsent(s) > 0)
        stream_touch(s);
    task_wake(&s->task);
}

void stream_abort(struct stream **sp)
{
    struct stream *s = *sp;
    *sp = NULL;
    if (s != NULL)
        stream_free(s);
}

void streams_abort_all(struct worker *w)
{
    while (!list_empty(&w->streams))
        stream_free(container_of(w->streams.next, struct stream, all));
}
