/* The token bucket of all copies; see throttle.h. Rejected: a rate per mover (it would change with their number, and a mover that
 * waits for its new host would waste its share). */
#include "move/throttle.h"

enum { LEAST_DEPTH = 64 * 1024, DEPTH_PART = 10 /* of a second */ };

/* ---- the bucket ---- */

void bucket_fill(struct bucket *b, uint64_t rate, uint64_t now_ms)
{
    uint64_t ms = now_ms > b->at_ms ? now_ms - b->at_ms : 0;
    int64_t depth = (int64_t)(rate / DEPTH_PART > LEAST_DEPTH ? rate / DEPTH_PART : LEAST_DEPTH) * 1000;
    uint64_t full_ms = depth > b->milli ? (uint64_t)(depth - b->milli) / rate + 1 : 0;
    b->at_ms = now_ms;
    b->milli += (int64_t)((ms < full_ms ? ms : full_ms) * rate);
    if (b->milli > depth)
        b->milli = depth;
}

void bucket_take(struct bucket *b, uint64_t bytes)
{
    b->milli -= (int64_t)bytes * 1000;
}

uint64_t bucket_wait_ms(const struct bucket *b, uint64_t rate)
{
    return b->milli > 0 ? 0 : (uint64_t)-b->milli / rate + 1;
}

/* ---- the line ---- */

static struct throttle_seat *pop(struct throttle *t)
{
    struct throttle_seat *s = container_of(t->line.next, struct throttle_seat, node);
    list_remove(&s->node);
    task_wake(s->task);
    return s;
}

/* The first in the line gets its turn, at once or when there is something to take. */
static void next(struct throttle *t)
{
    if (t->granted != NULL || list_empty(&t->line))
        return;
    if (t->rate == 0) {
        while (!list_empty(&t->line))
            (void)pop(t);
        return;
    }
    bucket_fill(&t->bucket, t->rate, worker_now_ms(t->task.worker));
    uint64_t ms = bucket_wait_ms(&t->bucket, t->rate);
    if (ms > 0) {
        timer_start(&t->timer, ms);
        return;
    }
    t->granted = pop(t);
    t->granted->granted = true;
}

static void step(struct task *task)
{
    next(container_of(task, struct throttle, task));
}

void throttle_init(struct throttle *t, struct worker *w)
{
    *t = (struct throttle){0};
    list_init(&t->line);
    task_init(&t->task, w, step);
    timer_init(&t->timer, &t->task);
    t->bucket.at_ms = worker_now_ms(w);
}

void throttle_stop(struct throttle *t)
{
    timer_stop(&t->timer);
    task_stop(&t->task);
}

void throttle_seat_init(struct throttle_seat *s, struct task *task)
{
    *s = (struct throttle_seat){.task = task};
    list_init(&s->node);
}

bool throttle_may(struct throttle *t, struct throttle_seat *s, uint64_t rate)
{
    bool changed = rate != t->rate;
    t->rate = rate;
    if (changed)
        next(t); /* those who wait, wait for another moment now */
    if (rate == 0 || s->granted)
        return true;
    if (!list_empty(&s->node))
        return false;
    bucket_fill(&t->bucket, rate, worker_now_ms(t->task.worker));
    if (t->granted == NULL && list_empty(&t->line) && bucket_wait_ms(&t->bucket, rate) == 0)
        return true;
    list_append(&t->line, &s->node);
    next(t);
    return s->granted;
}

void throttle_took(struct throttle *t, struct throttle_seat *s, uint64_t bytes)
{
    if (t->rate != 0)
        bucket_take(&t->bucket, bytes);
    throttle_pass(t, s);
}

void throttle_pass(struct throttle *t, struct throttle_seat *s)
{
    if (!s->granted)
        return;
    s->granted = false;
    t->granted = NULL;
    next(t);
}

void throttle_leave(struct throttle *t, struct throttle_seat *s)
{
    list_remove(&s->node);
    throttle_pass(t, s);
}
