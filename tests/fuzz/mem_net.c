/* See mem.h: net without a network. */
#include "config.h"
#include "mem.h"
#include "wherry/base/mem.h"
#include "fuzz.h"
#include <string.h>

enum { MOST_TIMERS = 4096, MOST_LISTENERS = 4, MOST_OUT = 8 << 20 };

struct stream {
    struct list all;
    struct worker *worker;
    struct task *owner;
    struct mem_far *far;
    enum stream_state state;
    struct buf in, out;
    size_t in_limit;
    uint64_t bytes_in, bytes_out;
    bool closing, was_full;
    struct err err;
};

struct listener {
    listener_accept *on_accept;
    void *arg;
};

struct worker {
    struct list ready, streams;
    struct timer *timers[MOST_TIMERS];
    size_t n_timers, n_streams;
    uint64_t now_ms;
    struct log *log;
    struct counters *counters;
    void *env;
    mem_dialled *dialled;
    void *dialled_arg;
    struct listener *listeners[MOST_LISTENERS];
    unsigned n_listeners;
    struct store *store;
};

/* ---- the worker ---- */

struct worker *mem_worker(struct log *log, struct counters *counters)
{
    struct worker *w = mem_alloc(sizeof(*w));
    list_init(&w->ready);
    list_init(&w->streams);
    w->now_ms = 1000000;
    w->log = log;
    w->counters = counters;
    return w;
}

void mem_worker_free(struct worker **w)
{
    must(list_empty(&(*w)->streams) && (*w)->n_timers == 0);
    free(*w);
    *w = NULL;
}

void mem_on_dial(struct worker *w, mem_dialled *cb, void *arg)
{
    w->dialled = cb;
    w->dialled_arg = arg;
}

void mem_use_store(struct worker *w, struct store *s)
{
    w->store = s;
}

uint64_t worker_now_ms(const struct worker *w)
{
    return w->now_ms;
}

struct log *worker_log(struct worker *w)
{
    return w->log;
}

struct counters *worker_counters(struct worker *w)
{
    return w->counters;
}

void task_init(struct task *t, struct worker *w, task_step *step)
{
    *t = (struct task){.worker = w, .step = step};
    list_init(&t->ready);
}

void task_wake(struct task *t)
{
    if (t != NULL && list_empty(&t->ready))
        list_append(&t->worker->ready, &t->ready);
}

void task_stop(struct task *t)
{
    if (t->worker != NULL)
        list_remove(&t->ready);
}

void timer_init(struct timer *t, struct task *task)
{
    *t = (struct timer){.task = task};
}

void timer_stop(struct timer *t)
{
    t->fired = false;
    if (t->pos == 0)
        return;
    struct worker *w = t->task->worker;
    struct timer *last = w->timers[--w->n_timers];
    w->timers[t->pos - 1] = last;
    last->pos = t->pos;
    t->pos = 0;
}

void timer_start(struct timer *t, uint64_t ms)
{
    timer_stop(t);
    struct worker *w = t->task->worker;
    must(w->n_timers < MOST_TIMERS);
    t->due_ms = ms < UINT64_MAX / 2 ? w->now_ms + ms : UINT64_MAX / 2;
    w->timers[w->n_timers++] = t;
    t->pos = w->n_timers;
}

bool timer_running(const struct timer *t)
{
    return t->pos > 0;
}

static struct timer *next_timer(const struct worker *w)
{
    struct timer *best = NULL;
    for (size_t i = 0; i < w->n_timers; i++)
        if (best == NULL || w->timers[i]->due_ms < best->due_ms)
            best = w->timers[i];
    return best;
}

/* ---- streams ---- */

static struct stream *make(struct worker *w, struct task *owner, struct mem_far *f)
{
    struct stream *s = mem_alloc(sizeof(*s));
    s->worker = w;
    s->owner = owner;
    s->far = f;
    s->in_limit = STREAM_IN_LIMIT;
    s->state = STREAM_OPEN;
    if (f != NULL)
        f->stream = s;
    list_append(&w->streams, &s->all);
    w->n_streams++;
    return s;
}

static void end(struct stream *s)
{
    struct mem_far *f = s->far;
    list_remove(&s->all);
    s->worker->n_streams--;
    buf_free(&s->in);
    buf_free(&s->out);
    free(s);
    if (f != NULL) {
        f->stream = NULL;
        f->gone(f);
    }
}

struct stream *stream_dial(struct worker *w, struct task *owner, const struct dial *d)
{
    struct stream *s = make(w, owner, w->dialled(w->dialled_arg, d->port));
    if (s->far == NULL) {
        s->state = STREAM_FAILED;
        err_set(&s->err, E_UNAVAIL, SCOPE_HOST, "refused");
    }
    task_wake(owner);
    return s;
}

/* Hands on what was said, both ways. True when anything was. */
static bool pump(struct stream *s)
{
    struct mem_far *f = s->far;
    bool any = false;
    if (f == NULL)
        return false;
    if (s->out.len > 0) {
        struct buf out = s->out;
        s->out = (struct buf){0};
        any = true;
        if (s->was_full)
            task_wake(s->owner);
        s->was_full = false;
        f->said(f, buf_slice(&out));
        buf_free(&out);
    }
    if (s->closing || s->state != STREAM_OPEN)
        return any;
    size_t room = s->in.len < s->in_limit ? s->in_limit - s->in.len : 0;
    size_t n = f->say.len < room ? f->say.len : room;
    if (f->piece > 0 && n > f->piece)
        n = f->piece;
    if (n > 0) {
        buf_put(&s->in, buf_slice(&f->say).p, n);
        buf_consume(&f->say, n);
        s->bytes_in += n;
        task_wake(s->owner);
        return true;
    }
    if (f->say.len == 0 && f->hang_up) {
        s->state = STREAM_EOF;
        task_wake(s->owner);
        return true;
    }
    return any;
}

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
    (void)s;
    return false;
}

const char *stream_peer(const struct stream *s)
{
    (void)s;
    return "192.0.2.9";
}

uint16_t stream_peer_port(const struct stream *s)
{
    (void)s;
    return 9;
}

bool stream_local(const struct stream *s, char address[STREAM_ADDRESS], uint16_t *port)
{
    (void)s;
    memcpy(address, "192.0.2.1", 10);
    *port = 143;
    return true;
}

const char *stream_tls_info(const struct stream *s)
{
    (void)s;
    return "";
}

void stream_set_owner(struct stream *s, struct task *owner)
{
    s->owner = owner;
    task_wake(owner);
}

struct buf *stream_in(struct stream *s)
{
    return &s->in;
}

void stream_resume(struct stream *s)
{
    buf_trim(&s->in);
}

void stream_set_in_limit(struct stream *s, size_t bytes)
{
    s->in_limit = bytes < 1024 ? 1024 : bytes;
}

void stream_write(struct stream *s, const void *p, size_t n)
{
    if (s->state == STREAM_FAILED)
        return;
    buf_put(&s->out, p, n);
    s->bytes_out += n;
    must(s->out.len < MOST_OUT); /* whoever writes has to heed stream_full() */
}

void stream_put(struct stream *s, struct slice v)
{
    stream_write(s, v.p, v.n);
}

size_t stream_pending(const struct stream *s)
{
    return s->out.len;
}

bool stream_full(const struct stream *s)
{
    struct stream *u = (struct stream *)(uintptr_t)s;
    u->was_full = u->was_full || s->out.len >= STREAM_OUT_HIGH;
    return s->out.len >= STREAM_OUT_HIGH;
}

int stream_start_tls_server(struct stream *s, struct tls_ctx *ctx)
{
    (void)s;
    (void)ctx;
    return E_INVAL;
}

int stream_start_tls_client(struct stream *s, struct tls_ctx *ctx, const char *host)
{
    (void)host;
    return stream_start_tls_server(s, ctx);
}

int stream_start_deflate(struct stream *s)
{
    (void)s;
    return E_INVAL; /* tests/fuzz/fuzz_deflate.c has that */
}

bool stream_is_deflated(const struct stream *s)
{
    (void)s;
    return false;
}

void stream_close(struct stream **s)
{
    if (*s == NULL)
        return;
    (*s)->closing = true;
    (*s)->owner = NULL;
    *s = NULL;
}

void stream_abort(struct stream **s)
{
    if (*s != NULL)
        end(*s);
    *s = NULL;
}

uint64_t stream_bytes_in(const struct stream *s)
{
    return s->bytes_in;
}

uint64_t stream_bytes_out(const struct stream *s)
{
    return s->bytes_out;
}

/* ---- listeners ---- */

int listener_open(struct listener **out, struct worker *w, const char *address, struct tls_ctx *tls,
                  listener_accept *on_accept, void *arg, struct err *e)
{
    (void)address;
    (void)tls;
    (void)e;
    must(w->n_listeners < MOST_LISTENERS);
    *out = mem_alloc(sizeof(**out));
    **out = (struct listener){on_accept, arg};
    w->listeners[w->n_listeners++] = *out;
    return 0;
}

void listener_close(struct listener **l)
{
    free(*l);
    *l = NULL;
}

void listener_set_tls(struct listener *l, struct tls_ctx *tls)
{
    (void)l;
    (void)tls;
}

uint16_t listener_port(const struct listener *l)
{
    (void)l;
    return 143;
}

void mem_connect(struct worker *w, unsigned i, struct mem_far *f)
{
    w->listeners[i]->on_accept(make(w, NULL, f), w->listeners[i]->arg);
}

/* ---- going on ---- */

static bool pump_all(struct worker *w)
{
    struct list *it, *tmp;
    bool any = false;
    list_for_each_safe(it, tmp, &w->streams)
    {
        struct stream *s = container_of(it, struct stream, all);
        any = pump(s) || any;
        if (s->closing && s->out.len == 0) {
            end(s);
            any = true;
        }
    }
    return any;
}

bool mem_run(struct worker *w, uint64_t until_ms, unsigned steps)
{
    for (;;) {
        bool any = w->store != NULL && mem_store_answer(w->store);
        for (; !list_empty(&w->ready); steps--) {
            struct task *t = container_of(w->ready.next, struct task, ready);
            if (steps == 0)
                return false;
            list_remove(&t->ready);
            t->step(t);
            any = true;
        }
        if (pump_all(w) || any)
            continue;
        struct timer *t = next_timer(w);
        if (t == NULL || t->due_ms > until_ms)
            return true;
        if (t->due_ms > w->now_ms)
            w->now_ms = t->due_ms;
        struct task *task = t->task;
        timer_stop(t);
        t->fired = true;
        task_wake(task);
    }
}

size_t mem_streams(const struct worker *w)
{
    return w->n_streams;
}
