/*
 * The inside of a worker, for the files of src/net only. Owner: whoever called worker_new().
 * Streams and listeners are on its lists only so that worker_free() finds what was left open.
 */
#ifndef WHERRY_SRC_NET_WORKER_IMPL_H
#define WHERRY_SRC_NET_WORKER_IMPL_H

#include <pthread.h>
#include <uv.h>
#include "wherry/base/buf.h"
#include "wherry/net/worker.h"

enum {
    WORKER_SCRATCH =
        64 * 1024, /* one read; shared by all streams, so that idle ones hold nothing */
    WORKER_SIGNALS = 8,
    WORKER_STEPS = 1000 /* per turn; then the loop polls, so that no task starves the sockets */
};

struct deflater;

struct signal_watch {
    uv_signal_t handle;
    struct worker *worker;
    void (*cb)(struct worker *w, int signo, void *arg);
    void *arg;
    int signo;
    bool pending;
};

struct post {
    struct post *next;
    void (*cb)(void *arg);
    void *arg;
};

struct worker {
    uv_loop_t loop;
    uv_timer_t alarm; /* the one libuv timer: the head of the heap, or the end of a bounded turn */
    uv_async_t poke;  /* worker_post() from another thread */
    struct list ready;
    struct list dirty; /* streams with output to send at the end of the turn */
    struct list streams, listeners;
    size_t nstreams;
    struct timer **heap; /* binary heap by due_ms */
    size_t heap_len, heap_cap;
    pthread_mutex_t post_lock; /* guards the two below */
    struct post *post_first, **post_last;
    struct signal_watch signals[WORKER_SIGNALS];
    unsigned nsignals;
    bool stopping;
    uint8_t *scratch;  /* WORKER_SCRATCH bytes */
    struct buf cipher; /* TLS records on their way out; empty between calls */
    struct deflater *deflater; /* of all compressed streams; NULL until the first one */
    struct log *log;
    struct counters *counters;
    void *env;
};

/* Wakes the tasks of all timers that are due. */
void timers_expire(struct worker *w);
/* When the next timer is due; UINT64_MAX without any. */
uint64_t timers_next(const struct worker *w);

/* The end of a turn: hands the gathered output of all dirty streams to the kernel. */
void streams_flush(struct worker *w);
/* For worker_free(). */
void streams_abort_all(struct worker *w);
void listeners_close_all(struct worker *w);

#endif
