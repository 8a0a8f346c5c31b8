/*
 * Listening. What: one socket, watched by uv_poll and accepted from in a task. Why not uv_listen():
 * out of descriptors it closes the callers' connections at once and says nothing; here they wait in
 * the backlog while accepting rests for a second. One connection a step, so that what on_accept
 * does, closing the listener included, happens beneath no loop of ours.
 */
#include "config.h"
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "stream_impl.h"
#include "tls_impl.h"
#include "worker_impl.h"
#include "wherry/base/mem.h"

enum { BACKLOG = 511, REST_MS = 1000 };

struct watch {
    uv_poll_t poll;
    struct listener *listener; /* NULL once detached; libuv frees the watch later */
};

struct listener {
    struct list all; /* worker->listeners */
    struct worker *worker;
    struct watch *watch;
    struct task task;
    struct timer rest;
    int fd;
    uint16_t port;
    bool paused;
    struct tls_ctx *tls; /* borrowed from app */
    listener_accept *on_accept;
    void *arg;
};

/* Splits "host:port" or "[host]:port" and reads it. */
static bool parse_address(const char *text, struct sockaddr_storage *out)
{
    const char *colon = strrchr(text, ':');
    char host[80];
    uint32_t port;
    if (colon == NULL || slice_u32(slice_str(colon + 1), &port) != 0 || port > UINT16_MAX)
        return false;
    size_t n = (size_t)(colon - text);
    bool v6 = n >= 2 && text[0] == '[' && text[n - 1] == ']';
    if (v6) {
        text++;
        n -= 2;
    }
    if (n >= sizeof(host))
        return false;
    memcpy(host, text, n);
    host[n] = '\0';
    return v6 ? uv_ip6_addr(host, (int)port, (struct sockaddr_in6 *)out) == 0
              : uv_ip4_addr(host, (int)port, (struct sockaddr_in *)out) == 0;
}

static int bind_socket(const struct sockaddr_storage *a)
{
    int on = 1;
    bool v6 = a->ss_family == AF_INET6;
    int fd = socket(a->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
        (!v6 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0) &&
        bind(fd, (const struct sockaddr *)a,
             v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in)) == 0 &&
        listen(fd, BACKLOG) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static uint16_t bound_port(int fd)
{
    struct sockaddr_storage a = {0};
    socklen_t n = sizeof(a);
    if (getsockname(fd, (struct sockaddr *)&a, &n) != 0)
        return 0;
    return ntohs(a.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&a)->sin6_port
                                         : ((struct sockaddr_in *)&a)->sin_port);
}

static void on_readable(uv_poll_t *h, int status, int events)
{
    (void)status;
    (void)events;
    struct watch *x = h->data;
    if (x->listener != NULL)
        task_wake(&x->listener->task);
}

static void watch(struct listener *l)
{
    if (l->paused || timer_running(&l->rest))
        uv_poll_stop(&l->watch->poll);
    else
        uv_poll_start(&l->watch->poll, UV_READABLE, on_readable);
}

static struct stream *adopt(struct listener *l, int fd, const struct sockaddr_storage *from)
{
    struct stream *s = stream_new(l->worker, NULL);
    stream_set_peer(s, (const struct sockaddr *)from);
    s->state = STREAM_OPEN;
    s->dial_ms = 0;
    s->sock = sock_new(l->worker, s);
    int rc = sock_adopt(s->sock, fd);
    if (rc < 0) {
        stream_on_error(s, rc);
    } else if (l->tls != NULL) {
        s->tls = tls_open(l->tls, NULL);
        stream_tls_begin(s);
    } else {
        stream_watch(s);
    }
    return s;
}

/* No descriptor or memory for the next connection: it waits in the kernel's queue. */
static void rest(struct listener *l, int why)
{
    if (l->worker->log != NULL)
        log_event(l->worker->log, LOG_WARN, "accept_rests", log_n("port", l->port),
                  log_s("reason", strerror(why)));
    timer_start(&l->rest, REST_MS);
    watch(l);
}

static void listener_step(struct task *t)
{
    struct listener *l = container_of(t, struct listener, task);
    struct sockaddr_storage from = {0};
    socklen_t n = sizeof(from);
    if (l->rest.fired) {
        timer_stop(&l->rest);
        watch(l);
    }
    if (l->paused || timer_running(&l->rest))
        return;
    int fd = accept4(l->fd, (struct sockaddr *)&from, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
        rest(l, errno);
        return;
    }
    if (fd < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return;
    task_wake(&l->task); /* perhaps there are more; errors of the one connection do not matter */
    if (fd >= 0)
        l->on_accept(adopt(l, fd, &from), l->arg); /* l may be gone now */
}

int listener_open(struct listener **out, struct worker *w, const char *address, struct tls_ctx *tls,
                  listener_accept *on_accept, void *arg, struct err *e)
{
    struct sockaddr_storage a = {0};
    *out = NULL;
    if (!parse_address(address, &a))
        return err_set(e, E_INVAL, SCOPE_NONE,
                       "\"%s\" is not an address and port, as in 0.0.0.0:143 or [::]:143", address);
    int fd = bind_socket(&a);
    if (fd < 0)
        return err_set(e, E_IO, SCOPE_NONE, "cannot listen on %s: %s", address, strerror(errno));
    struct listener *l = mem_alloc(sizeof(*l));
    *l = (struct listener){.worker = w, .fd = fd, .tls = tls, .on_accept = on_accept, .arg = arg};
    l->port = bound_port(fd);
    task_init(&l->task, w, listener_step);
    timer_init(&l->rest, &l->task);
    l->watch = mem_alloc(sizeof(*l->watch));
    l->watch->listener = l;
    l->watch->poll.data = l->watch;
    int rc = uv_poll_init(&w->loop, &l->watch->poll, fd);
    if (rc != 0) {
        close(fd);
        free(l->watch);
        free(l);
        return err_set(e, E_IO, SCOPE_NONE, "cannot listen on %s: %s", address, uv_strerror(rc));
    }
    list_append(&w->listeners, &l->all);
    watch(l);
    *out = l;
    return 0;
}

static void on_closed(uv_handle_t *h)
{
    free(h->data);
}

void listener_close(struct listener **lp)
{
    struct listener *l = *lp;
    if (l == NULL)
        return;
    *lp = NULL;
    l->watch->listener = NULL;
    uv_close((uv_handle_t *)&l->watch->poll, on_closed);
    close(l->fd);
    timer_stop(&l->rest);
    task_stop(&l->task);
    list_remove(&l->all);
    free(l);
}

void listeners_close_all(struct worker *w)
{
    while (!list_empty(&w->listeners)) {
        struct listener *l = container_of(w->listeners.next, struct listener, all);
        listener_close(&l);
    }
}

void listener_pause(struct listener *l, bool paused)
{
    l->paused = paused;
    watch(l);
}

void listener_set_tls(struct listener *l, struct tls_ctx *tls)
{
    l->tls = tls;
}

uint16_t listener_port(const struct listener *l)
{
    return l->port;
}
