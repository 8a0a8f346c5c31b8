/*
 * Dialling. What: looks the name up in libuv's pool and tries one address after the other, all
 * within one bound of time. Why one after the other: the hosts are two, named by an administrator;
 * racing address families (RFC 8305) would show the old host connections that are dropped at once.
 * The look-up cannot be called back once it runs, so the dialer, not the stream, owns its request
 * and outlives it.
 */
#include "config.h"
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include "stream_impl.h"
#include "tls_impl.h"
#include "worker_impl.h"
#include "wherry/base/mem.h"

enum { ADDRESSES = 8, DIAL_MS = 30 * 1000, SLOT_MIN_MS = 250 };

enum phase { PHASE_START, PHASE_LOOKUP, PHASE_CONNECT };

struct dialer {
    uv_getaddrinfo_t req;
    struct stream *stream; /* NULL once the stream is gone or has no use for it */
    char *host;
    uint16_t port;
    enum phase phase;
    bool looking;  /* libuv has req */
    bool answered; /* the fact that the phase waits for; status says how it went */
    int status;
    uint64_t until_ms; /* for everything */
    unsigned n, next;
    struct sockaddr_storage address[ADDRESSES];
};

static void dialer_free(struct dialer *d)
{
    free(d->host);
    free(d);
}

void dial_drop(struct stream *s)
{
    struct dialer *d = s->dialer;
    if (d == NULL)
        return;
    s->dialer = NULL;
    d->stream = NULL;
    if (d->looking)
        uv_cancel((uv_req_t *)&d->req); /* on_lookup() frees it in any case */
    else
        dialer_free(d);
}

struct stream *stream_dial(struct worker *w, struct task *owner, const struct dial *d)
{
    struct stream *s = stream_new(w, owner);
    s->state = STREAM_CONNECTING;
    s->dial_ms = d->timeout_ms != 0 ? d->timeout_ms : DIAL_MS;
    s->dialer = mem_alloc(sizeof(*s->dialer));
    s->dialer->stream = s;
    s->dialer->host = mem_strdup(d->host);
    s->dialer->port = d->port;
    s->dialer->until_ms = worker_now_ms(w) + s->dial_ms;
    if (d->tls != NULL)
        s->tls = tls_open(d->tls, d->host); /* holds what it needs of the context */
    timer_start(&s->timer, s->dial_ms);
    task_wake(&s->task);
    return s;
}

static void add_address(struct dialer *d, const struct sockaddr *a)
{
    struct sockaddr_storage *to = &d->address[d->n];
    if (d->n == ADDRESSES)
        return;
    if (a->sa_family == AF_INET) {
        memcpy(to, a, sizeof(struct sockaddr_in));
        ((struct sockaddr_in *)to)->sin_port = htons(d->port);
    } else if (a->sa_family == AF_INET6) {
        memcpy(to, a, sizeof(struct sockaddr_in6));
        ((struct sockaddr_in6 *)to)->sin6_port = htons(d->port);
    } else {
        return;
    }
    d->n++;
}

static void on_lookup(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
    struct dialer *d = container_of(req, struct dialer, req);
    d->looking = false;
    if (d->stream != NULL) {
        for (struct addrinfo *a = list; a != NULL; a = a->ai_next)
            add_address(d, a->ai_addr);
        d->status = status;
        d->answered = true;
        task_wake(&d->stream->task);
    } else {
        dialer_free(d);
    }
    uv_freeaddrinfo(list);
}

void stream_on_connect(struct stream *s, int status)
{
    struct dialer *d = s->dialer;
    if (d == NULL)
        return;
    d->status = status;
    d->answered = true;
    task_wake(&s->task);
}

static uint64_t time_left(const struct stream *s)
{
    uint64_t now = worker_now_ms(s->worker);
    return s->dialer->until_ms > now ? s->dialer->until_ms - now : 0;
}

/* Begins with the next address; fails the stream when there is none. */
static void try_next(struct stream *s)
{
    struct dialer *d = s->dialer;
    char why[80];
    for (;;) {
        sock_close(&s->sock);
        uint64_t left = time_left(s);
        if (d->next == d->n || left == 0) {
            if (s->err.code == 0)
                err_set(&s->err, E_UNAVAIL, SCOPE_HOST, "%s has no address", d->host);
            stream_failed(s);
            return;
        }
        const struct sockaddr *to = (const struct sockaddr *)&d->address[d->next++];
        uint64_t slot = left / (d->n - d->next + 1);
        stream_set_peer(s, to);
        s->sock = sock_new(s->worker, s);
        d->phase = PHASE_CONNECT;
        d->answered = false;
        int rc = sock_connect(s->sock, to);
        if (rc == 0) {
            timer_start(&s->timer, slot > SLOT_MIN_MS ? slot : SLOT_MIN_MS);
            return;
        }
        err_set(&s->err, E_UNAVAIL, SCOPE_HOST, "cannot connect to %s (%s port %u): %s", d->host,
                s->peer, (unsigned)d->port, sock_strerror(rc, why, sizeof(why)));
    }
}

static void start(struct stream *s)
{
    struct dialer *d = s->dialer;
    char why[80];
    struct sockaddr_storage a = {0};
    if (uv_ip4_addr(d->host, 0, (struct sockaddr_in *)&a) == 0 ||
        uv_ip6_addr(d->host, 0, (struct sockaddr_in6 *)&a) == 0) {
        add_address(d, (const struct sockaddr *)&a);
        try_next(s);
        return;
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    int rc = uv_getaddrinfo(&s->worker->loop, &d->req, on_lookup, d->host, NULL, &hints);
    d->phase = PHASE_LOOKUP;
    d->looking = rc == 0;
    if (rc != 0)
        stream_fail(s, E_UNAVAIL, "cannot look %s up: %s", d->host,
                    sock_strerror(rc, why, sizeof(why)));
}

static void looked_up(struct stream *s)
{
    struct dialer *d = s->dialer;
    char why[80];
    if (d->answered && d->status == 0)
        try_next(s);
    else if (d->answered)
        stream_fail(s, E_UNAVAIL, "cannot look %s up: %s", d->host,
                    sock_strerror(d->status, why, sizeof(why)));
    else if (s->timer.fired)
        stream_fail(s, E_TIMEOUT, "looking %s up took too long", d->host);
}

static void connected(struct stream *s)
{
    uint64_t left = time_left(s);
    dial_drop(s);
    err_clear(&s->err); /* of addresses that failed before */
    timer_stop(&s->timer);
    sock_tune(s->sock);
    if (s->tls != NULL) {
        timer_start(&s->timer, left);
        stream_tls_begin(s);
        return;
    }
    stream_enter(s, STREAM_OPEN);
    stream_watch(s);
    if (s->out.len > 0)
        stream_touch(s);
}

static void tried(struct stream *s)
{
    struct dialer *d = s->dialer;
    char why[80];
    if (d->answered && d->status == 0) {
        connected(s);
    } else if (d->answered) {
        err_set(&s->err, E_UNAVAIL, SCOPE_HOST, "cannot connect to %s (%s port %u): %s", d->host,
                s->peer, (unsigned)d->port, sock_strerror(d->status, why, sizeof(why)));
        try_next(s);
    } else if (s->timer.fired) {
        err_set(&s->err, E_TIMEOUT, SCOPE_HOST, "connecting to %s (%s port %u) took too long",
                d->host, s->peer, (unsigned)d->port);
        try_next(s);
    }
}

void dial_step(struct stream *s)
{
    switch (s->dialer->phase) {
    case PHASE_START:
        start(s);
        break;
    case PHASE_LOOKUP:
        looked_up(s);
        break;
    case PHASE_CONNECT:
        tried(s);
        break;
    }
}
