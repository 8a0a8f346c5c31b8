/*
 * Sockets. What: uv_tcp_t with its requests, cut off from the stream by one pointer. Why: libuv
 * answers uv_close() later, and the stream's owner does not want to wait. Rejected: counting the
 * handles in the session and freeing it in the last callback, which leaks as soon as one is
 * forgotten.
 */
#include "config.h"
#include "sock.h"
#include <stdlib.h>
#include <unistd.h>
#include "stream_impl.h"
#include "worker_impl.h"
#include "wherry/base/crash.h"
#include "wherry/base/mem.h"

enum { KEEPALIVE_S = 120 };

struct sock {
    uv_tcp_t tcp;
    struct worker *worker;
    struct stream *stream; /* NULL once detached */
    union {
        uv_connect_t connect;
        uv_shutdown_t shutdown; /* never while it connects */
    } req;
};

struct sending {
    uv_write_t req;
    struct buf bytes;
};

const char *sock_strerror(int status, char *out, size_t size)
{
    return uv_strerror_r(status, out, size);
}

struct sock *sock_new(struct worker *w, struct stream *s)
{
    struct sock *k = mem_alloc(sizeof(*k));
    k->worker = w;
    k->stream = s;
    uv_tcp_init(&w->loop, &k->tcp); /* makes no descriptor yet, so it does not fail */
    k->tcp.data = k;
    return k;
}

void sock_tune(struct sock *k)
{
    uv_tcp_nodelay(&k->tcp, 1);
    uv_tcp_keepalive(&k->tcp, 1, KEEPALIVE_S);
}

int sock_local(const struct sock *k, struct sockaddr_storage *out)
{
    int n = sizeof(*out);
    return uv_tcp_getsockname(&k->tcp, (struct sockaddr *)out, &n);
}

int sock_adopt(struct sock *k, int fd)
{
    int rc = uv_tcp_open(&k->tcp, fd);
    if (rc != 0)
        close(fd);
    else
        sock_tune(k);
    return rc;
}

static void on_connect(uv_connect_t *req, int status)
{
    struct sock *k = req->handle->data;
    if (k->stream != NULL)
        stream_on_connect(k->stream, status);
}

int sock_connect(struct sock *k, const struct sockaddr *to)
{
    return uv_tcp_connect(&k->req.connect, &k->tcp, to, on_connect);
}

/* All reads go to the worker's scratch memory: the callback below copies out before the next one.
 */
static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *b)
{
    (void)suggested;
    struct sock *k = h->data;
    size_t n = k->stream != NULL ? stream_read_room(k->stream) : 0; /* 0 ends this turn's reading */
    *b = uv_buf_init((char *)k->worker->scratch,
                     (unsigned)(n < WORKER_SCRATCH ? n : WORKER_SCRATCH));
}

static void on_read(uv_stream_t *h, ssize_t n, const uv_buf_t *b)
{
    struct sock *k = h->data;
    if (k->stream == NULL || n == 0 || n == UV_ENOBUFS)
        return;
    if (n > 0)
        stream_on_read(k->stream, slice_make(b->base, (size_t)n));
    else if (n == UV_EOF)
        stream_on_eof(k->stream);
    else
        stream_on_error(k->stream, (int)n);
}

int sock_read(struct sock *k, bool on)
{
    uv_stream_t *h = (uv_stream_t *)&k->tcp;
    return on ? uv_read_start(h, on_alloc, on_read) : uv_read_stop(h);
}

static void on_sent(uv_write_t *req, int status)
{
    struct sending *x = container_of(req, struct sending, req);
    struct sock *k = req->handle->data;
    buf_wipe(&x->bytes);
    free(x);
    if (k->stream == NULL)
        return;
    if (status < 0)
        stream_on_write_error(k->stream, status);
    else
        stream_on_sent(k->stream);
}

/* Sends a part of it, and no more ever. */
static void crash_half_way(uv_stream_t *h, struct slice v)
{
#ifdef ENABLE_CRASH_POINTS
    if (!crash_is_now())
        return;
    uv_buf_t u = uv_buf_init((char *)(uintptr_t)v.p, (unsigned)(v.n / 2));
    (void)uv_try_write(h, &u, 1);
    crash_now();
#else
    (void)h;
    (void)v;
#endif
}

int sock_send(struct sock *k, struct buf *b)
{
    uv_stream_t *h = (uv_stream_t *)&k->tcp;
    struct slice v = buf_slice(b);
    if (v.n == 0)
        return 0;
    uv_buf_t u = uv_buf_init((char *)b->mem + b->off, (unsigned)v.n);
    crash_point();
    crash_half_way(h, v);
    int n = uv_try_write(h, &u, 1); /* UV_EAGAIN too while something is queued already */
    if (n < 0 && n != UV_EAGAIN) {
        buf_clear(b);
        return n;
    }
    if (n > 0)
        buf_consume(b, (size_t)n);
    crash_point();
    if (b->len == 0)
        return 0;
    struct sending *x = mem_alloc(sizeof(*x));
    x->bytes = *b;
    *b = (struct buf){0};
    u = uv_buf_init((char *)x->bytes.mem + x->bytes.off, (unsigned)x->bytes.len);
    int rc = uv_write(&x->req, h, &u, 1, on_sent);
    if (rc != 0) {
        buf_wipe(&x->bytes);
        free(x);
    }
    return rc;
}

size_t sock_queued(const struct sock *k)
{
    return k->tcp.write_queue_size;
}

static void on_shutdown(uv_shutdown_t *req, int status)
{
    (void)req;
    (void)status; /* the end comes as EOF, as an error of reading or as the timer of the close */
}

void sock_finish(struct sock *k)
{
    uv_shutdown(&k->req.shutdown, (uv_stream_t *)&k->tcp, on_shutdown);
}

static void on_closed(uv_handle_t *h)
{
    free(h->data);
}

void sock_close(struct sock **kp)
{
    struct sock *k = *kp;
    if (k == NULL)
        return;
    *kp = NULL;
    k->stream = NULL;
    uv_close((uv_handle_t *)&k->tcp, on_closed);
}
