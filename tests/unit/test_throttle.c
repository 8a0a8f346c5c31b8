/* The token bucket: its rate in every step, its depth, its debts; and that movers take turns. */
#include "config.h"
#include "unit.h"
#include "move/throttle.h"

enum { RATE = 1000000 };

/* However unevenly it is looked at, what may be taken in ten seconds is the rate, and one depth at most. */
static void rate_holds(void **state)
{
    (void)state;
    static const uint64_t pieces[] = {1, 100, 4096, 65536, 86000};
    for (size_t p = 0; p < sizeof(pieces) / sizeof(pieces[0]); p++) {
        struct bucket b = {0};
        uint64_t now = 0, taken = 0;
        while (now < 10000) {
            bucket_fill(&b, RATE, now);
            while (bucket_wait_ms(&b, RATE) == 0) {
                bucket_take(&b, pieces[p]);
                taken += pieces[p];
            }
            now += bucket_wait_ms(&b, RATE);
        }
        assert_in_range(taken, RATE * 10 * 99 / 100, RATE * 10 + RATE / 10 + 86000);
    }
}

static void fills_by_thousandths(void **state)
{
    (void)state;
    struct bucket b = {.milli = -65536000}; /* one byte a millisecond is 1000 a second */
    for (uint64_t now = 1; now <= 65536; now++) {
        assert_int_not_equal(bucket_wait_ms(&b, 1000), 0);
        bucket_fill(&b, 1000, now);
    }
    assert_int_equal(b.milli, 0);
    assert_int_equal(bucket_wait_ms(&b, 1000), 1);
}

static void has_a_bottom_and_a_brim(void **state)
{
    (void)state;
    struct bucket b = {0};
    bucket_fill(&b, RATE, 1000u * 3600 * 24 * 365);
    assert_int_equal(b.milli, RATE / 10 * 1000ll);
    bucket_take(&b, 5 * RATE);
    assert_int_equal(bucket_wait_ms(&b, RATE), 4901); /* a debt of 4.9 seconds */
    bucket_fill(&b, RATE, b.at_ms + 20000);
    assert_int_equal(b.milli, RATE / 10 * 1000ll);
    b.milli = 0;
    bucket_fill(&b, 64ull << 30, b.at_ms + (1ull << 40)); /* no overflow at the largest rate */
    assert_true(b.milli > 0);
    bucket_fill(&b, RATE, 0); /* a clock that went back takes nothing away */
    assert_true(b.milli > 0);
}

struct mover {
    struct task task;
    struct throttle *throttle;
    struct throttle_seat seat;
    uint64_t rate, taken;
    unsigned most_in_a_row, *last, id, row;
};

static void take(struct task *t)
{
    struct mover *m = container_of(t, struct mover, task);
    while (m->taken < 400000 && throttle_may(m->throttle, &m->seat, m->rate)) {
        m->row = *m->last == m->id ? m->row + 1 : 1;
        *m->last = m->id;
        m->most_in_a_row = m->row > m->most_in_a_row ? m->row : m->most_in_a_row;
        m->taken += 20000;
        throttle_took(m->throttle, &m->seat, 20000);
    }
    throttle_pass(m->throttle, &m->seat);
}

static void all_take_turns(void **state)
{
    (void)state;
    struct counters counters = {0};
    struct worker *w = worker_new(NULL, &counters);
    struct throttle t;
    struct mover m[4] = {0};
    unsigned last = 99;
    throttle_init(&t, w);
    for (unsigned i = 0; i < 4; i++) {
        task_init(&m[i].task, w, take);
        throttle_seat_init(&m[i].seat, &m[i].task);
        m[i].throttle = &t;
        m[i].rate = RATE;
        m[i].last = &last;
        m[i].id = i;
        task_wake(&m[i].task);
    }
    for (int i = 0; i < 100000 && m[0].taken + m[1].taken < 400000; i++)
        worker_turn(w, 50);
    uint64_t low = UINT64_MAX, high = 0;
    for (unsigned i = 0; i < 4; i++) {
        low = m[i].taken < low ? m[i].taken : low;
        high = m[i].taken > high ? m[i].taken : high;
    }
    assert_true(high - low <= 20000 * 7); /* the first may find a full bucket */
    /* One that goes away in its turn hands it on. */
    throttle_leave(&t, &m[0].seat);
    task_stop(&m[0].task);
    for (int i = 0; i < 100000 && m[1].taken + m[2].taken + m[3].taken < 1200000; i++)
        worker_turn(w, 50);
    assert_int_equal(m[1].taken + m[2].taken + m[3].taken, 1200000);
    for (unsigned i = 1; i < 4; i++)
        task_stop(&m[i].task);
    throttle_stop(&t);
    worker_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rate_holds),
        cmocka_unit_test(fills_by_thousandths),
        cmocka_unit_test(has_a_bottom_and_a_brim),
        cmocka_unit_test(all_take_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
