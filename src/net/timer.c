/*
 * Timers. What: a binary heap of one-shot timers, embedded in their owners, behind one libuv timer.
 * Why: stopping is immediate, so an owner can be freed at once, and a session needs several that
 * are restarted with each command. Rejected: one uv_timer_t each (150 bytes, closed only by a
 * callback after the owner wants to be gone); a wheel (the heap costs nothing at ten thousand
 * timers).
 */
#include "config.h"
#include "worker_impl.h"
#include "wherry/base/mem.h"

static void place(struct worker *w, size_t i, struct timer *t)
{
    w->heap[i] = t;
    t->pos = i + 1;
}

static void sift_up(struct worker *w, size_t i, struct timer *t)
{
    while (i > 0) {
        size_t parent = (i - 1) / 2;
        if (w->heap[parent]->due_ms <= t->due_ms)
            break;
        place(w, i, w->heap[parent]);
        i = parent;
    }
    place(w, i, t);
}

static void sift_down(struct worker *w, size_t i, struct timer *t)
{
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= w->heap_len)
            break;
        if (child + 1 < w->heap_len && w->heap[child + 1]->due_ms < w->heap[child]->due_ms)
            child++;
        if (t->due_ms <= w->heap[child]->due_ms)
            break;
        place(w, i, w->heap[child]);
        i = child;
    }
    place(w, i, t);
}

static void heap_remove(struct worker *w, struct timer *t)
{
    size_t i = t->pos - 1;
    struct timer *last = w->heap[--w->heap_len];
    t->pos = 0;
    if (last == t)
        return;
    if (i > 0 && w->heap[(i - 1) / 2]->due_ms > last->due_ms)
        sift_up(w, i, last);
    else
        sift_down(w, i, last);
}

void timer_init(struct timer *t, struct task *task)
{
    *t = (struct timer){.task = task};
}

void timer_start(struct timer *t, uint64_t ms)
{
    struct worker *w = t->task->worker;
    timer_stop(t);
    uint64_t now = worker_now_ms(w);
    t->due_ms = ms < UINT64_MAX - now ? now + ms : UINT64_MAX - 1;
    if (w->heap_len == w->heap_cap) {
        w->heap_cap = w->heap_cap > 0 ? w->heap_cap * 2 : 64;
        w->heap = mem_grow(w->heap, w->heap_cap, sizeof(struct timer *));
    }
    w->heap_len++;
    sift_up(w, w->heap_len - 1, t);
}

void timer_stop(struct timer *t)
{
    t->fired = false;
    if (t->pos > 0)
        heap_remove(t->task->worker, t);
}

bool timer_running(const struct timer *t)
{
    return t->pos > 0;
}

void timers_expire(struct worker *w)
{
    uint64_t now = worker_now_ms(w);
    while (w->heap_len > 0 && w->heap[0]->due_ms <= now) {
        struct timer *t = w->heap[0];
        heap_remove(w, t);
        t->fired = true;
        task_wake(t->task);
    }
}

uint64_t timers_next(const struct worker *w)
{
    return w->heap_len > 0 ? w->heap[0]->due_ms : UINT64_MAX;
}
