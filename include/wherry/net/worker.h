/*
 * The worker: one event loop in one thread, a ready queue of tasks, and timers.
 *
 * Callbacks of the loop only record facts and wake a task; the worker then steps each woken task, outside
 * of any callback, until the queue is empty. So no code runs beneath somebody else's frame, and an object
 * may be freed in its own step. Nothing here is shared between threads except worker_post().
 */
#ifndef WHERRY_NET_WORKER_H
#define WHERRY_NET_WORKER_H

#include <stdbool.h>
#include <stdint.h>
#include "wherry/base/counters.h"
#include "wherry/base/list.h"
#include "wherry/base/log.h"

struct worker;
struct task;

typedef void task_step(struct task *t);

/* Embedded in its owner; the step function uses container_of. */
struct task {
    struct list ready; /* on the worker's ready queue, or on no list */
    struct worker *worker;
    task_step *step;
};

void task_init(struct task *t, struct worker *w, task_step *step);
/* Queues the task once, however often it is called. From the loop's thread only. NULL is allowed. */
void task_wake(struct task *t);
/* Takes it off the queue; call before freeing the owner. */
void task_stop(struct task *t);

/* A one-shot timer that wakes a task. Embedded; stopping it is immediate, so the owner may be freed. */
struct timer {
    uint64_t due_ms;
    size_t pos;  /* place in the heap + 1, 0 when not running */
    struct task *task;
    bool fired;  /* set when it ran out; cleared by timer_start and timer_stop */
};

void timer_init(struct timer *t, struct task *task);
void timer_start(struct timer *t, uint64_t ms); /* from now; restarts */
void timer_stop(struct timer *t);
bool timer_running(const struct timer *t);

/*
 * All state of the process hangs off here. log (may be NULL) and counters are borrowed from app; env is
 * app's own context (the layers above net keep theirs in it through the typed accessors they declare).
 * Ignores SIGPIPE for the process. Aborts when there are no descriptors for the loop.
 */
struct worker *worker_new(struct log *log, struct counters *counters);
/* After worker_run returned. Closes what is left on the loop; what was posted and did not run is dropped. */
void worker_free(struct worker **w);
/* Runs until worker_stop(). Returns 0 or E_IO. */
int worker_run(struct worker *w) MUST_USE;
void worker_stop(struct worker *w);
/* One turn of the loop, waiting at most ms (0: not at all); for tests. */
void worker_turn(struct worker *w, uint64_t ms);
uint64_t worker_now_ms(const struct worker *w); /* monotonic, as of this turn */
/* Streams that exist, those included that are sending their last bytes after stream_close(). */
size_t worker_streams(const struct worker *w);
void worker_set_env(struct worker *w, void *env);
void *worker_env(const struct worker *w);
struct log *worker_log(struct worker *w);
struct counters *worker_counters(struct worker *w);
void *worker_uv_loop(struct worker *w); /* uv_loop_t *, for net, app and the store's writer only */

/*
 * Signals (SIGTERM, SIGHUP…): cb runs on the loop as a task step would. At most 8. Returns 0, E_IO
 * or E_LIMIT.
 */
int worker_on_signal(struct worker *w, int signo, void (*cb)(struct worker *w, int signo, void *arg),
                     void *arg) MUST_USE;

/*
 * Work from another thread: cb(arg) runs on the loop soon. The only call here that is thread-safe.
 * Used by the store's writer and by look-ups that libuv runs in its pool.
 */
void worker_post(struct worker *w, void (*cb)(void *arg), void *arg);
/* Drops what was posted with this cb and arg and did not run yet, before arg is freed. Loop thread. */
void worker_unpost(struct worker *w, void (*cb)(void *arg), const void *arg);

#endif
