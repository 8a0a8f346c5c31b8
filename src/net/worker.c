/*
 * The worker. What: a turn is one poll of libuv, whose callbacks only record facts and wake tasks,
 * and then a phase in which timers, signals, posts and woken tasks run and the gathered output is
 * sent. Why: tasks run beneath nobody's frame, so any of them may free any object. Rejected:
 * running the tasks from a prepare or check handle inside uv_run(), which puts libuv's frames below
 * them and needs an idle handle to keep the loop from blocking; here the choice is the mode of the
 * next uv_run().
 */
#include "config.h"
#include "worker_impl.h"
#include "deflate_impl.h"
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include "wherry/base/err.h"
#include "wherry/base/mem.h"

enum { FREE_MS = 5000 }; /* how long worker_free() waits for a look-up in libuv's pool */

static void on_alarm(uv_timer_t *h)
{
    (void)h; /* it only ends the poll; timers_expire() looks at the clock */
}

static void on_poke(uv_async_t *h)
{
    (void)h; /* likewise; run_posts() looks at the list */
}

void task_init(struct task *t, struct worker *w, task_step *step)
{
    list_init(&t->ready);
    t->worker = w;
    t->step = step;
}

void task_wake(struct task *t)
{
    if (t != NULL && list_empty(&t->ready))
        list_append(&t->worker->ready, &t->ready);
}

void task_stop(struct task *t)
{
    list_remove(&t->ready);
}

struct worker *worker_new(struct log *log, struct counters *counters)
{
    struct worker *w = mem_alloc(sizeof(*w));
    if (uv_loop_init(&w->loop) != 0 || uv_timer_init(&w->loop, &w->alarm) != 0 ||
        uv_async_init(&w->loop, &w->poke, on_poke) != 0 ||
        pthread_mutex_init(&w->post_lock, NULL) != 0)
        abort(); /* out of memory or descriptors before anything began */
    /* A peer that is gone is an error of write(), not the end of the process. */
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);
    list_init(&w->ready);
    list_init(&w->dirty);
    list_init(&w->streams);
    list_init(&w->listeners);
    w->post_last = &w->post_first;
    w->scratch = mem_array(WORKER_SCRATCH, 1);
    w->log = log;
    w->counters = counters;
    return w;
}

static void close_left(uv_handle_t *h, void *arg)
{
    (void)arg;
    if (!uv_is_closing(h))
        uv_close(h, NULL);
}

/* Runs close callbacks until the loop is empty. False when a look-up in the pool does not end. */
static bool drain(struct worker *w)
{
    uv_update_time(&w->loop);
    uint64_t until = uv_now(&w->loop) + FREE_MS;
    for (;;) {
        uv_run(&w->loop, UV_RUN_NOWAIT);
        if (uv_loop_close(&w->loop) == 0)
            return true;
        if (uv_now(&w->loop) >= until)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = 1000 * 1000}, NULL);
    }
}

void worker_free(struct worker **wp)
{
    struct worker *w = *wp;
    if (w == NULL)
        return;
    *wp = NULL;
    listeners_close_all(w);
    streams_abort_all(w);
    uv_walk(&w->loop, close_left, NULL);
    if (!drain(w))
        return; /* a thread of the pool still writes to the loop: better leaked than torn away */
    while (w->post_first != NULL) {
        struct post *p = w->post_first;
        w->post_first = p->next;
        free(p);
    }
    pthread_mutex_destroy(&w->post_lock);
    buf_free(&w->cipher);
    deflater_free(&w->deflater);
    free(w->scratch);
    free(w->heap);
    free(w);
}

static void run_signals(struct worker *w)
{
    for (unsigned i = 0; i < w->nsignals; i++) {
        struct signal_watch *s = &w->signals[i];
        if (!s->pending)
            continue;
        s->pending = false;
        s->cb(w, s->signo, s->arg);
    }
}

/* The first post, taken off; NULL when there is none. */
static struct post *take_post(struct worker *w)
{
    pthread_mutex_lock(&w->post_lock);
    struct post *p = w->post_first;
    if (p != NULL) {
        w->post_first = p->next;
        if (p->next == NULL)
            w->post_last = &w->post_first;
    }
    pthread_mutex_unlock(&w->post_lock);
    return p;
}

/* One at a time, since a callback may unpost another. As bounded as the tasks: the rest waits a turn. */
static void run_posts(struct worker *w)
{
    for (unsigned n = 0; n < WORKER_STEPS; n++) {
        struct post *p = take_post(w);
        if (p == NULL)
            return;
        p->cb(p->arg);
        free(p);
    }
    uv_async_send(&w->poke);
}

static void run_tasks(struct worker *w)
{
    for (unsigned n = 0; n < WORKER_STEPS && !list_empty(&w->ready); n++) {
        struct task *t = container_of(w->ready.next, struct task, ready);
        list_remove(&t->ready);
        t->step(t); /* t may be gone now */
    }
}

/* All that runs outside of libuv's callbacks. */
static void run_phase(struct worker *w)
{
    uv_update_time(&w->loop);
    timers_expire(w);
    run_signals(w);
    run_posts(w);
    run_tasks(w);
    streams_flush(w);
}

/* Polls until something happens, the next timer is due or until_ms has come. */
static int poll_once(struct worker *w, uint64_t until_ms)
{
    uv_update_time(&w->loop);
    uint64_t now = uv_now(&w->loop), due = timers_next(w);
    if (due > until_ms)
        due = until_ms;
    bool wait = due > now && list_empty(&w->ready) && !w->stopping;
    if (!wait || due == UINT64_MAX)
        uv_timer_stop(&w->alarm);
    else
        uv_timer_start(&w->alarm, on_alarm, due - now, 0);
    return uv_run(&w->loop, wait ? UV_RUN_ONCE : UV_RUN_NOWAIT) < 0 ? E_IO : 0;
}

int worker_run(struct worker *w)
{
    int rc = 0;
    run_phase(w);
    while (rc == 0 && !w->stopping) {
        rc = poll_once(w, UINT64_MAX);
        run_phase(w);
    }
    w->stopping = false;
    return rc;
}

void worker_stop(struct worker *w)
{
    w->stopping = true;
}

void worker_turn(struct worker *w, uint64_t ms)
{
    uv_update_time(&w->loop);
    if (poll_once(w, worker_now_ms(w) + ms) == 0)
        run_phase(w);
}

uint64_t worker_now_ms(const struct worker *w)
{
    return uv_now(&w->loop);
}

struct log *worker_log(struct worker *w)
{
    return w->log;
}

struct counters *worker_counters(struct worker *w)
{
    return w->counters;
}

void *worker_uv_loop(struct worker *w)
{
    return &w->loop;
}

void worker_set_env(struct worker *w, void *env)
{
    w->env = env;
}

void *worker_env(const struct worker *w)
{
    return w->env;
}

size_t worker_streams(const struct worker *w)
{
    return w->nstreams;
}

static void on_signal(uv_signal_t *h, int signo)
{
    (void)signo;
    struct signal_watch *s = h->data;
    s->pending = true;
}

int worker_on_signal(struct worker *w, int signo,
                     void (*cb)(struct worker *w, int signo, void *arg), void *arg)
{
    if (w->nsignals == WORKER_SIGNALS)
        return E_LIMIT;
    struct signal_watch *s = &w->signals[w->nsignals];
    *s = (struct signal_watch){.worker = w, .cb = cb, .arg = arg, .signo = signo};
    if (uv_signal_init(&w->loop, &s->handle) != 0)
        return E_IO;
    s->handle.data = s;
    w->nsignals++; /* the handle is in use even if the next call fails */
    return uv_signal_start(&s->handle, on_signal, signo) == 0 ? 0 : E_IO;
}

void worker_post(struct worker *w, void (*cb)(void *arg), void *arg)
{
    struct post *p = mem_alloc(sizeof(*p));
    *p = (struct post){.cb = cb, .arg = arg};
    pthread_mutex_lock(&w->post_lock);
    *w->post_last = p;
    w->post_last = &p->next;
    pthread_mutex_unlock(&w->post_lock);
    uv_async_send(&w->poke);
}

void worker_unpost(struct worker *w, void (*cb)(void *arg), const void *arg)
{
    pthread_mutex_lock(&w->post_lock);
    struct post **link = &w->post_first;
    while (*link != NULL) {
        struct post *p = *link;
        if (p->cb == cb && p->arg == arg) {
            *link = p->next;
            free(p);
        } else {
            link = &p->next;
        }
    }
    w->post_last = link;
    pthread_mutex_unlock(&w->post_lock);
}
