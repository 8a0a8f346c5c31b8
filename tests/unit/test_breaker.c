/* The breaker: when a host is left alone, and for how long. */
#include "config.h"
#include "unit.h"
#include "wherry/client/breaker.h"

static void fails(struct breaker *b, unsigned times, uint64_t now)
{
    for (unsigned i = 0; i < times; i++) {
        assert_true(breaker_enter(b, now));
        (void)breaker_leave(b, BREAKER_FAILED, now);
    }
}

static void opens_and_closes(void **state)
{
    struct breaker b = {0};
    (void)state;
    fails(&b, 2, 1000);
    assert_true(breaker_enter(&b, 1000));
    assert_false(breaker_leave(&b, BREAKER_ANSWERED, 1000)); /* not in a row any more */
    fails(&b, 2, 1000);
    assert_true(breaker_enter(&b, 1000));
    assert_true(breaker_leave(&b, BREAKER_FAILED, 1000));
    assert_true(breaker_is_open(&b));
    assert_false(breaker_enter(&b, 1000 + 874));
    assert_true(breaker_enter(&b, 1000 + 1126)); /* one */
    assert_false(breaker_enter(&b, 1000 + 1126));
    assert_false(breaker_leave(&b, BREAKER_FAILED, 2200));
    assert_false(breaker_enter(&b, 2200 + 1749)); /* twice as long */
    assert_true(breaker_enter(&b, 2200 + 2251));
    assert_true(breaker_leave(&b, BREAKER_ANSWERED, 5000));
    assert_false(breaker_is_open(&b));
    assert_true(breaker_enter(&b, 5000));
    assert_true(breaker_enter(&b, 5000));
    assert_int_equal(b.trying, 2);
}

static void rests_are_bounded(void **state)
{
    struct breaker b = {0};
    uint64_t now = 1;
    (void)state;
    fails(&b, 3, now);
    for (int i = 0; i < 40; i++) {
        now = b.until_ms;
        fails(&b, 1, now);
        assert_true(b.until_ms - now <= 15000 + 15000 / 8);
    }
    assert_true(b.until_ms - now >= 15000 - 15000 / 8);
}

/* Many fail together: that is one failure of the host, and one rest. */
static void many_at_once(void **state)
{
    struct breaker b = {0};
    (void)state;
    for (int i = 0; i < 20; i++)
        assert_true(breaker_enter(&b, 10));
    for (int i = 0; i < 20; i++)
        (void)breaker_leave(&b, BREAKER_FAILED, 10 + (uint64_t)i);
    assert_int_equal(b.trying, 0);
    assert_true(b.until_ms <= 30 + 1126);
}

static void a_probe_that_is_dropped(void **state)
{
    struct breaker b = {0};
    (void)state;
    fails(&b, 3, 1);
    assert_true(breaker_enter(&b, 5000));
    assert_false(breaker_leave(&b, BREAKER_DROPPED, 5001));
    assert_true(breaker_is_open(&b));
    assert_true(breaker_enter(&b, 5002)); /* another one may */
}

/* A host that says nothing: those that wait stay few. */
static void silence(void **state)
{
    struct breaker b = {0};
    unsigned in = 0;
    (void)state;
    for (uint64_t now = 100000; now < 130000; now += 10)
        in += breaker_enter(&b, now);
    assert_int_equal(in, 500); /* as many as came in the first five seconds */
    (void)breaker_leave(&b, BREAKER_ANSWERED, 130000);
    assert_true(breaker_enter(&b, 130001));
    for (int i = 0; i < 100; i++) /* slow, but alive */
        assert_true(breaker_enter(&b, 134000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(opens_and_closes), cmocka_unit_test(rests_are_bounded),
                                       cmocka_unit_test(many_at_once), cmocka_unit_test(a_probe_that_is_dropped),
                                       cmocka_unit_test(silence)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
