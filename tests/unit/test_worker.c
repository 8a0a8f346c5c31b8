/* The worker: tasks, timers, posts, signals. */
#include "config.h"
#include "unit.h"
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "wherry/base/clock.h"
#include "wherry/base/mem.h"
#include "wherry/net/worker.h"

struct actor {
    struct task task;
    struct timer timer;
    struct actor *other;
    unsigned steps, fires;
    int *order; /* where the next one writes its id */
    int id;
};

static int setup(void **state)
{
    *state = worker_new(NULL, NULL);
    return 0;
}

static int teardown(void **state)
{
    struct worker *w = *state;
    worker_free(&w);
    assert_null(w);
    return 0;
}

static void count_step(struct task *t)
{
    struct actor *a = container_of(t, struct actor, task);
    a->steps++;
    if (a->timer.fired) {
        a->fires++;
        timer_stop(&a->timer);
    }
}

static void actor_init(struct actor *a, struct worker *w, task_step *step)
{
    *a = (struct actor){0};
    task_init(&a->task, w, step);
    timer_init(&a->timer, &a->task);
}

static void test_wake_once(void **state)
{
    struct actor a;
    actor_init(&a, *state, count_step);
    task_wake(NULL);
    for (int i = 0; i < 5; i++)
        task_wake(&a.task);
    worker_turn(*state, 0);
    assert_int_equal(a.steps, 1);
    worker_turn(*state, 0);
    assert_int_equal(a.steps, 1);
    task_wake(&a.task);
    task_stop(&a.task);
    task_stop(&a.task);
    worker_turn(*state, 0);
    assert_int_equal(a.steps, 1);
}

static void stop_other(struct task *t)
{
    struct actor *a = container_of(t, struct actor, task);
    a->steps++;
    task_stop(&a->other->task);
    timer_stop(&a->other->timer);
}

/* Of two woken tasks, of two timers that are due at once, the first stops the second. */
static void test_stop_each_other(void **state)
{
    struct worker *w = *state;
    struct actor a, b;
    actor_init(&a, w, stop_other);
    actor_init(&b, w, stop_other);
    a.other = &b;
    b.other = &a;
    task_wake(&a.task);
    task_wake(&b.task);
    worker_turn(w, 0);
    assert_int_equal(a.steps, 1);
    assert_int_equal(b.steps, 0);
    timer_start(&a.timer, 5);
    timer_start(&b.timer, 5);
    for (int i = 0; i < 10 && a.steps + b.steps < 2; i++)
        worker_turn(w, 20);
    worker_turn(w, 20);
    assert_int_equal(a.steps + b.steps, 2);
}

static void free_self(struct task *t)
{
    struct actor *a = container_of(t, struct actor, task);
    struct actor *b = a->other;
    if (b != NULL) {
        task_stop(&b->task);
        timer_stop(&b->timer);
        free(b);
    }
    free(a);
}

static void test_freed_in_step(void **state)
{
    struct actor *a = mem_alloc(sizeof(*a)), *b = mem_alloc(sizeof(*b));
    actor_init(a, *state, free_self);
    actor_init(b, *state, free_self);
    a->other = b;
    timer_start(&b->timer, 1);
    task_wake(&a->task);
    task_wake(&b->task);
    worker_turn(*state, 0);
    worker_turn(*state, 5);
}

static void wake_self(struct task *t)
{
    count_step(t);
    task_wake(t);
}

/* A task that never rests starves neither a timer nor another task. */
static void test_no_starvation(void **state)
{
    struct actor busy, timed;
    actor_init(&busy, *state, wake_self);
    actor_init(&timed, *state, count_step);
    task_wake(&busy.task);
    timer_start(&timed.timer, 10);
    uint64_t until = clock_mono_ms() + 2000;
    while (timed.fires == 0 && clock_mono_ms() < until)
        worker_turn(*state, 1000);
    assert_int_equal(timed.fires, 1);
    assert_true(busy.steps > 1000);
    task_stop(&busy.task);
}

static void test_timer_restart(void **state)
{
    struct actor a;
    actor_init(&a, *state, count_step);
    timer_start(&a.timer, 5);
    assert_true(timer_running(&a.timer));
    timer_start(&a.timer, 200);
    worker_turn(*state, 30);
    assert_int_equal(a.fires, 0);
    timer_start(&a.timer, 0);
    worker_turn(*state, 100);
    assert_int_equal(a.fires, 1);
    assert_false(timer_running(&a.timer));
    timer_start(&a.timer, UINT64_MAX);
    assert_true(timer_running(&a.timer));
    timer_stop(&a.timer);
    timer_stop(&a.timer);
    assert_false(timer_running(&a.timer));
}

enum { MANY = 5000 };

static void note_order(struct task *t)
{
    struct actor *a = container_of(t, struct actor, task);
    if (a->timer.fired)
        a->order[a->steps++] = a->id;
}

/* Thousands of timers, a third of them stopped again: the rest fire, none early. */
static void test_many_timers(void **state)
{
    struct worker *w = *state;
    struct actor *a = mem_array(MANY, sizeof(*a));
    uint64_t *due = mem_array(MANY, sizeof(*due));
    unsigned seed = 7;
    for (unsigned i = 0; i < MANY; i++) {
        actor_init(&a[i], w, count_step);
        seed = seed * 1103515245u + 12345u;
        due[i] = (seed >> 8) % 100;
        timer_start(&a[i].timer, due[i]);
    }
    uint64_t began = worker_now_ms(w);
    for (unsigned i = 0; i < MANY; i += 3)
        timer_stop(&a[i].timer);
    unsigned left = MANY - (MANY + 2) / 3, fired = 0;
    uint64_t until = clock_mono_ms() + 5000;
    while (fired < left && clock_mono_ms() < until) {
        worker_turn(w, 20);
        fired = 0;
        for (unsigned i = 0; i < MANY; i++) {
            fired += a[i].fires;
            if (a[i].fires > 0)
                assert_true(worker_now_ms(w) >= began + due[i]);
        }
    }
    assert_int_equal(fired, left);
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(a[i].fires, i % 3 == 0 ? 0 : 1);
    free(a);
    free(due);
}

/* Timers that run out in the same turn wake their tasks in the order of their due times. */
static void test_timer_order(void **state)
{
    struct worker *w = *state;
    struct actor a[8];
    int order[8] = {0};
    static const unsigned ms[8] = {5, 1, 7, 3, 2, 8, 6, 4};
    for (unsigned i = 0; i < 8; i++) {
        actor_init(&a[i], w, note_order);
        a[i].order = &order[ms[i] - 1];
        a[i].id = (int)ms[i];
        timer_start(&a[i].timer, ms[i]);
    }
    nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
    worker_turn(w, 0);
    for (int i = 0; i < 8; i++)
        assert_int_equal(order[i], i + 1);
}

struct mailbox {
    struct worker *w;
    unsigned got, want;
};

static void on_post(void *arg)
{
    struct mailbox *m = arg;
    m->got++;
    if (m->got == m->want)
        worker_stop(m->w);
}

static void *poster(void *arg)
{
    struct mailbox *m = arg;
    for (unsigned i = 0; i < 1000; i++)
        worker_post(m->w, on_post, m);
    return NULL;
}

static void test_post_from_threads(void **state)
{
    struct mailbox m = {.w = *state, .want = 2000};
    pthread_t a, b;
    assert_int_equal(pthread_create(&a, NULL, poster, &m), 0);
    assert_int_equal(pthread_create(&b, NULL, poster, &m), 0);
    assert_int_equal(worker_run(*state), 0);
    assert_int_equal(m.got, 2000);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
}

/* What was posted too late is dropped, not run and not leaked. */
static void test_post_then_free(void **state)
{
    struct worker *w = worker_new(NULL, NULL);
    struct mailbox m = {.w = w};
    (void)state;
    worker_post(w, on_post, &m);
    worker_free(&w);
    assert_int_equal(m.got, 0);
}

static void on_unpost(void *arg)
{
    struct mailbox *m = arg;
    worker_unpost(m->w, on_post, m);
}

/* An owner that goes away takes its posts along, also from within another post. */
static void test_unpost(void **state)
{
    struct worker *w = *state;
    struct mailbox a = {.w = w}, b = {.w = w};
    worker_post(w, on_post, &a);
    worker_post(w, on_post, &b);
    worker_post(w, on_post, &a);
    worker_unpost(w, on_post, &a);
    worker_post(w, on_unpost, &a);
    worker_post(w, on_post, &a);
    worker_post(w, on_post, &b);
    worker_turn(w, 0);
    assert_int_equal(a.got, 0);
    assert_int_equal(b.got, 2);
    worker_post(w, on_post, &a);
    worker_unpost(w, on_post, &a); /* the last one: the next is still found */
    worker_post(w, on_post, &b);
    worker_turn(w, 0);
    assert_int_equal(b.got, 3);
}

static void on_signal(struct worker *w, int signo, void *arg)
{
    int *seen = arg;
    *seen = signo;
    worker_stop(w);
}

static void test_signals(void **state)
{
    struct worker *w = *state;
    int term = 0, hup = 0;
    assert_int_equal(worker_on_signal(w, SIGTERM, on_signal, &term), 0);
    assert_int_equal(worker_on_signal(w, SIGHUP, on_signal, &hup), 0);
    kill(getpid(), SIGHUP);
    assert_int_equal(worker_run(w), 0);
    assert_int_equal(hup, SIGHUP);
    assert_int_equal(term, 0);
    kill(getpid(), SIGTERM);
    assert_int_equal(worker_run(w), 0);
    assert_int_equal(term, SIGTERM);
    for (int i = 0; i < 6; i++)
        assert_int_equal(worker_on_signal(w, SIGUSR1, on_signal, &term), 0);
    assert_int_equal(worker_on_signal(w, SIGUSR1, on_signal, &term), E_LIMIT);
}

static void test_sigpipe(void **state)
{
    int fd[2];
    (void)state;
    assert_int_equal(pipe(fd), 0);
    close(fd[0]);
    assert_int_equal(write(fd[1], "x", 1), -1);
    close(fd[1]);
}

static void test_stop_before_run(void **state)
{
    struct worker *w = *state;
    worker_stop(w);
    assert_int_equal(worker_run(w), 0);
    assert_null(worker_env(w));
    worker_set_env(w, &w);
    assert_ptr_equal(worker_env(w), &w);
    assert_int_equal(worker_streams(w), 0);
    w = NULL;
    worker_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_wake_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stop_each_other, setup, teardown),
        cmocka_unit_test_setup_teardown(test_freed_in_step, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_starvation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_timer_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_timers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_timer_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_post_from_threads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_post_then_free, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unpost, setup, teardown),
        cmocka_unit_test_setup_teardown(test_signals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sigpipe, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stop_before_run, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
