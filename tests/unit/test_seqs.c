/* Message numbers and lists of UIDs while a session is carried over, held against plain arrays. */
#include "front/seqs.h"
#include "wherry/imap/uidlist.h"
#include "unit.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT = 60, ROUNDS = 2000 };

struct model {
    bool gone[COUNT + 1]; /* by the client's number */
    struct seqs s;
};

static void make(struct model *m, unsigned seed)
{
    memset(m, 0, sizeof(*m));
    srand(seed);
    m->s.total = COUNT;
    for (unsigned i = 0; i < seed % 12; i++) {
        uint32_t num = 1 + (uint32_t)rand() % COUNT;
        assert_int_equal(seqs_add(&m->s, num, num + 1000), !m->gone[num]);
        m->gone[num] = true;
    }
}

static void test_numbers(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < ROUNDS; seed++) {
        struct model m;
        uint32_t host = 0;
        make(&m, seed);
        for (uint32_t n = 1; n <= COUNT; n++) {
            host += !m.gone[n];
            assert_int_equal(seqs_to_host(&m.s, n), m.gone[n] ? 0 : host);
            if (!m.gone[n])
                assert_int_equal(seqs_to_view(&m.s, host), n);
        }
        assert_int_equal(seqs_to_view(&m.s, host + 1), COUNT + 1); /* one that comes now */
        seqs_free(&m.s);
    }
}

/* The numbers of a set, as flags. */
static void numbers(const char *set, bool *in)
{
    memset(in, 0, COUNT + 1);
    for (const char *p = set; *p != '\0';) {
        char *end;
        unsigned long lo = strtoul(p, &end, 10), hi = lo;
        if (*end == ':')
            hi = strtoul(end + 1, &end, 10);
        for (; lo <= hi; lo++)
            in[lo] = true;
        p = *end == ',' ? end + 1 : end;
    }
}

static void test_sets(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < ROUNDS; seed++) {
        struct model m;
        struct buf out = {0}, back = {0};
        bool want[COUNT + 1] = {false}, got[COUNT + 1];
        char set[40];
        make(&m, seed);
        unsigned lo = 1 + (unsigned)rand() % COUNT, hi = 1 + (unsigned)rand() % COUNT, one = 1 + (unsigned)rand() % COUNT;
        snprintf(set, sizeof(set), seed % 3 == 0 ? "%u:*" : "%u:%u,%u", lo, hi, one);
        unsigned from = lo < hi ? lo : hi, to = lo < hi ? hi : lo;
        for (unsigned n = 1; n <= COUNT; n++)
            want[n] = !m.gone[n] && (seed % 3 == 0 ? n >= lo : (n >= from && n <= to) || n == one);
        bool any = false;
        for (unsigned n = 1; n <= COUNT; n++)
            any = any || want[n];
        assert_int_equal(seqs_set_to_host(&m.s, slice_str(set), &out), any);
        if (any) {
            assert_int_equal(seqs_set_to_view(&m.s, buf_slice(&out), &back), 1);
            numbers(buf_cstr(&back), got);
            assert_memory_equal(got, want, sizeof(got));
        }
        buf_free(&out);
        buf_free(&back);
        seqs_free(&m.s);
    }
}

static void test_no_sets(void **state)
{
    struct seqs s = {.total = 5};
    struct buf out = {0};
    (void)state;
    buf_puts(&out, "x");
    assert_true(seqs_add(&s, 2, 7));
    assert_int_equal(seqs_set_to_host(&s, slice_str("1,x"), &out), E_INVAL);
    assert_int_equal(seqs_set_to_host(&s, slice_str("2"), &out), 0);
    assert_int_equal(seqs_set_to_view(&s, slice_str("1:*"), &out), E_INVAL);
    assert_string_equal(buf_cstr(&out), "x");
    s.total = 2;
    assert_int_equal(seqs_set_to_host(&s, slice_str("*"), &out), 0);
    buf_free(&out);
    seqs_free(&s);
}

static void test_flush(void **state)
{
    struct seqs s = {.total = 9};
    struct buf out = {0};
    (void)state;
    assert_true(seqs_add(&s, 4, 40) && seqs_add(&s, 2, 0) && seqs_add(&s, 5, 50));
    seqs_flush(&s, false, &out);
    assert_string_equal(buf_cstr(&out), "* 5 EXPUNGE\r\n* 4 EXPUNGE\r\n* 2 EXPUNGE\r\n");
    assert_int_equal(s.n, 0);
    buf_clear(&out);
    assert_true(seqs_add(&s, 4, 40) && seqs_add(&s, 2, 0) && seqs_add(&s, 5, 41));
    seqs_flush(&s, true, &out);
    assert_string_equal(buf_cstr(&out), "* 2 EXPUNGE\r\n* VANISHED 40:41\r\n");
    buf_free(&out);
    seqs_free(&s);
}

static void test_uidlist(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < ROUNDS; seed++) {
        struct uidlist l = {0};
        bool in[COUNT + 1] = {false};
        uint64_t n = 0;
        srand(seed);
        for (unsigned i = 0; i < seed % 90; i++) {
            uint32_t uid = 1 + (uint32_t)rand() % COUNT;
            n += !in[uid];
            in[uid] = true;
            assert_true(uidlist_add(&l, uid));
            if (uid < COUNT && rand() % 2 == 0) {
                n += !in[uid + 1];
                in[uid + 1] = true;
                assert_true(uidlist_add(&l, uid + 1));
            }
        }
        uidlist_sort(&l);
        assert_int_equal(uidlist_count(&l), n);
        for (unsigned i = 0; i < 10; i++) {
            uint32_t uid = 1 + (uint32_t)rand() % COUNT;
            assert_int_equal(uidlist_has(&l, uid), in[uid]);
            n -= in[uid];
            in[uid] = false;
            assert_true(uidlist_del(&l, uid));
            assert_int_equal(uidlist_count(&l), n);
        }
        uint32_t num = 0;
        struct uidlist_at at = uidlist_first(&l);
        for (uint32_t uid = 1; uid <= COUNT; uid++) {
            if (!in[uid])
                continue;
            assert_int_equal(at.uid, uid);
            assert_int_equal(uidlist_nth(&l, ++num), uid);
            uidlist_next(&at);
        }
        assert_int_equal(uidlist_nth(&l, num + 1), 0);
        assert_int_equal(at.uid, 0);
        uidlist_free(&l);
    }
}

static void test_uidlist_end(void **state)
{
    struct uidlist l = {0};
    (void)state;
    assert_true(uidlist_add(&l, UINT32_MAX) && uidlist_add(&l, 1));
    uidlist_sort(&l);
    struct uidlist_at at = uidlist_first(&l);
    assert_int_equal(at.uid, 1);
    uidlist_next(&at);
    assert_int_equal(at.uid, UINT32_MAX);
    uidlist_next(&at);
    assert_int_equal(at.uid, 0);
    uidlist_free(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers), cmocka_unit_test(test_sets),    cmocka_unit_test(test_no_sets),
        cmocka_unit_test(test_flush),   cmocka_unit_test(test_uidlist), cmocka_unit_test(test_uidlist_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
