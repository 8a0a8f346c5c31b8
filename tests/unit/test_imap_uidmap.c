/* The UID map: examples, then random maps against a table that holds every pair. */
#include "unit.h"
#include "wherry/base/mem.h"
#include "wherry/imap/set.h"
#include "wherry/imap/uidmap.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* view 10..14 -> 1..5, 20 -> 6, 30..31 -> 10..11; tail 1000 <-> 12 */
static void example(struct uidmap *m)
{
    uidmap_init(m);
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(uidmap_add(m, 10 + i, 1 + i), 0);
    assert_int_equal(uidmap_add(m, 20, 6), 0);
    assert_int_equal(uidmap_add(m, 30, 10), 0);
    assert_int_equal(uidmap_add(m, 31, 11), 0);
    assert_int_equal(m->n, 3);
    assert_int_equal(uidmap_set_tail(m, 1000, 12), 0);
}

static void building(void **state)
{
    (void)state;
    struct uidmap m;
    uidmap_init(&m);
    assert_int_equal(uidmap_add(&m, 0, 1), E_INVAL);
    assert_int_equal(uidmap_add(&m, 1, 0), E_INVAL);
    assert_int_equal(uidmap_add(&m, 5, 5), 0);
    assert_int_equal(uidmap_add(&m, 5, 6), E_INVAL);
    assert_int_equal(uidmap_add(&m, 6, 5), E_INVAL);
    assert_int_equal(uidmap_set_tail(&m, 5, 6), E_INVAL);
    assert_int_equal(uidmap_set_tail(&m, 6, 5), E_INVAL);
    assert_int_equal(uidmap_set_tail(&m, 0, 0), E_INVAL);
    assert_int_equal(uidmap_next_to_view(&m, 100), 6);
    assert_int_equal(uidmap_set_tail(&m, 6, 6), 0);
    assert_int_equal(uidmap_add(&m, 100, 100), E_INVAL);
    uidmap_free(&m);
    assert_int_equal(uidmap_add(&m, UINT32_MAX, UINT32_MAX), 0);
    assert_int_equal(uidmap_add(&m, 1, 1), E_INVAL);
    assert_int_equal(uidmap_next_to_view(&m, 100), UINT32_MAX);
    uidmap_free(&m);
}

static void looking_up(void **state)
{
    (void)state;
    struct uidmap m;
    static const uint32_t pairs[][2] = {
        {10, 1},  {14, 5},    {20, 6},    {30, 10},
        {31, 11}, {1000, 12}, {1001, 13}, {UINT32_MAX, UINT32_MAX - 988}};
    example(&m);
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        assert_int_equal(uidmap_to_new(&m, pairs[i][0]), pairs[i][1]);
        assert_int_equal(uidmap_to_view(&m, pairs[i][1]), pairs[i][0]);
    }
    static const uint32_t no_view[] = {0, 1, 9, 15, 19, 21, 32, 999};
    for (size_t i = 0; i < sizeof(no_view) / sizeof(no_view[0]); i++)
        assert_int_equal(uidmap_to_new(&m, no_view[i]), 0);
    static const uint32_t no_new[] = {0, 7, 9, UINT32_MAX - 987, UINT32_MAX};
    for (size_t i = 0; i < sizeof(no_new) / sizeof(no_new[0]); i++)
        assert_int_equal(uidmap_to_view(&m, no_new[i]), 0);
    assert_int_equal(uidmap_next_to_view(&m, 12), 1000);
    assert_int_equal(uidmap_next_to_view(&m, 15), 1003);
    assert_int_equal(uidmap_next_to_view(&m, 3), 1000);
    assert_int_equal(uidmap_next_to_view(&m, UINT32_MAX), UINT32_MAX);
    uidmap_free(&m);
    uidmap_identity(&m);
    assert_int_equal(uidmap_to_new(&m, 1), 1);
    assert_int_equal(uidmap_to_view(&m, UINT32_MAX), UINT32_MAX);
    assert_int_equal(uidmap_to_view(&m, 0), 0);
    uidmap_free(&m);
}

static void to_new(const struct uidmap *m, const char *set, const char *want)
{
    struct buf b = {0};
    buf_puts(&b, "x");
    assert_int_equal(uidmap_set_to_new(m, slice_str(set), &b), *want != 0);
    assert_string_equal(buf_cstr(&b) + 1, want);
    buf_free(&b);
}

static void to_view(const struct uidmap *m, const char *set, const char *want)
{
    struct buf b = {0};
    buf_puts(&b, "x");
    assert_int_equal(uidmap_set_to_view(m, slice_str(set), &b), *want != 0);
    assert_string_equal(buf_cstr(&b) + 1, want);
    buf_free(&b);
}

static void sets(void **state)
{
    (void)state;
    struct uidmap m;
    struct buf b = {0};
    example(&m);
    to_new(&m, "*", "*");
    to_new(&m, "*:*", "*");
    to_new(&m, "1:*", "1:*");
    to_new(&m, "*:12", "3:*");
    to_new(&m, "15:*", "6:*");
    to_new(&m, "40:*", "12:*");
    to_new(&m, "1005:*", "17:*");
    to_new(&m, "1:4294967295", "1:4294966307");
    to_new(&m, "31:10", "1:11");
    to_new(&m, "10,11,14,13,20:25", "1:2,5,4,6");
    to_new(&m, "14,20", "5:6");
    to_new(&m, "1:9", "");
    to_new(&m, "15,16:19,40:999", "");
    to_new(&m, "32:1000", "12");
    to_view(&m, "1:11", "10:14,20,30:31");
    to_view(&m, "11:1", "10:14,20,30:31");
    to_view(&m, "3,6:10", "12,20,30");
    to_view(&m, "7:9", "");
    to_view(&m, "11:13", "31,1000:1001");
    to_view(&m, "9:12", "30:31,1000");
    to_view(&m, "100:4294967295", "1088:4294967295");
    to_view(&m, "4294967295", "");
    static const char *const bad[] = {"", "0", "1,", "x", "1:2:3"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(uidmap_set_to_new(&m, slice_str(bad[i]), &b), E_INVAL);
        assert_int_equal(uidmap_set_to_view(&m, slice_str(bad[i]), &b), E_INVAL);
    }
    assert_int_equal(uidmap_set_to_view(&m, slice_str("1,5:*"), &b), E_INVAL);
    assert_int_equal(uidmap_set_to_view(&m, slice_str("1,*"), &b), E_INVAL);
    assert_int_equal(b.len, 0);
    uidmap_free(&m);
    to_new(&m, "5:*", "*"); /* nothing is mapped, but the last message is meant in any case */
    to_new(&m, "5", "");
    to_view(&m, "5", "");
    buf_free(&b);
}

/* A tail that leads beyond the last number of the other side. */
static void steep_tail(void **state)
{
    (void)state;
    struct uidmap m;
    uint32_t lo, hi;
    uidmap_init(&m);
    assert_int_equal(uidmap_set_tail(&m, 5, UINT32_MAX - 1), 0);
    assert_int_equal(uidmap_to_new(&m, 6), UINT32_MAX);
    assert_int_equal(uidmap_to_new(&m, 7), 0);
    to_new(&m, "6:9", "4294967295");
    to_new(&m, "7:9", "");
    to_new(&m, "7:*", "*");
    assert_true(uidmap_range_to_new(&m, 1, UINT32_MAX, &lo, &hi));
    assert_int_equal(lo, UINT32_MAX - 1);
    assert_int_equal(hi, UINT32_MAX);
    assert_false(uidmap_range_to_new(&m, 9, 8, &lo, &hi));
    assert_int_equal(lo, 0);
    uidmap_free(&m);
}

static uint64_t seed = 1;

static uint32_t rnd(uint32_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % below;
}

/* Every pair of a small map; new_of[view] and view_of[new], 0 for none. */
enum { TOP = 400 };
struct model {
    uint32_t new_of[TOP], view_of[TOP];
};

static void random_map(struct uidmap *m, struct model *t, bool tail)
{
    uint32_t view = 0, new_uid = 0, gap = 1 + rnd(4), n = rnd(60);
    memset(t, 0, sizeof(*t));
    uidmap_init(m);
    for (uint32_t i = 0; i < n; i++) {
        view += 1 + (rnd(gap) == 0 ? rnd(5) : 0);
        new_uid += 1 + (rnd(gap + 1) == 0 ? rnd(4) : 0);
        assert_int_equal(uidmap_add(m, view, new_uid), 0);
        t->new_of[view] = new_uid;
        t->view_of[new_uid] = view;
    }
    if (!tail)
        return;
    view += 1 + rnd(9);
    new_uid += 1 + rnd(3);
    assert_int_equal(uidmap_set_tail(m, view, new_uid), 0);
    for (; view < TOP && new_uid < TOP; view++, new_uid++) {
        t->new_of[view] = new_uid;
        t->view_of[new_uid] = view;
    }
}

/* The model's answer for the range of one side. */
static bool model_range(const uint32_t *of, uint32_t lo, uint32_t hi, uint32_t *olo, uint32_t *ohi)
{
    *olo = *ohi = 0;
    for (uint32_t i = lo; i <= hi; i++) {
        if (of[i] == 0)
            continue;
        if (*olo == 0)
            *olo = of[i];
        *ohi = of[i];
    }
    return *olo != 0;
}

static void check_lookups(const struct uidmap *m, const struct model *t)
{
    uint32_t last_view = 0, last_new = 0;
    for (uint32_t i = 0; i < TOP / 2; i++) {
        uint32_t n = uidmap_to_new(m, i), v = uidmap_to_view(m, i);
        assert_int_equal(n, t->new_of[i]);
        assert_int_equal(v, t->view_of[i]);
        assert_true(n == 0 || (n > last_new && uidmap_to_view(m, n) == i));
        assert_true(v == 0 || (v > last_view && uidmap_to_new(m, v) == i));
        last_new = n != 0 ? n : last_new;
        last_view = v != 0 ? v : last_view;
    }
}

static void check_ranges(const struct uidmap *m, const struct model *t)
{
    for (unsigned k = 0; k < 200; k++) {
        uint32_t lo = 1 + rnd(TOP / 2), hi = lo + rnd(TOP / 2 - lo + 1), a, b, c, d;
        assert_int_equal(uidmap_range_to_new(m, lo, hi, &a, &b),
                         model_range(t->new_of, lo, hi, &c, &d));
        assert_int_equal(a, c);
        assert_int_equal(b, d);
        assert_int_equal(uidmap_range_to_view(m, lo, hi, &a, &b),
                         model_range(t->view_of, lo, hi, &c, &d));
        assert_int_equal(a, c);
        assert_int_equal(b, d);
    }
}

/* Marks what a set names, as far as the model reaches. */
static void mark(struct slice set, bool *seen)
{
    uint32_t lo, hi;
    while (imap_set_next(&set, &lo, &hi) == 1) {
        assert_true(lo != 0 && lo <= hi);
        for (uint32_t i = lo; i <= hi && i < TOP; i++)
            seen[i] = true;
    }
}

/* A set of the view names, on new, the same messages; a set of new names, in the view, these and
 * nothing else. */
static void check_sets(const struct uidmap *m, const struct model *t)
{
    struct buf set = {0}, out = {0};
    bool asked[TOP] = {false}, got[TOP] = {false};
    struct set_writer w;
    imap_set_begin(&w, &set);
    for (unsigned k = 0; k < 6; k++) {
        uint32_t lo = 1 + rnd(TOP / 2);
        imap_set_add(&w, lo, lo + rnd(5));
    }
    assert_true(imap_set_end(&w));
    mark(buf_slice(&set), asked);
    assert_true(uidmap_set_to_new(m, buf_slice(&set), &out) >= 0);
    mark(buf_slice(&out), got);
    for (uint32_t i = 1; i < TOP; i++) {
        if (t->view_of[i] != 0)
            assert_int_equal(got[i], asked[t->view_of[i]]);
    }
    buf_clear(&out);
    memset(got, 0, sizeof(got));
    assert_true(uidmap_set_to_view(m, buf_slice(&set), &out) >= 0);
    mark(buf_slice(&out), got);
    for (uint32_t i = 1; i < TOP / 2; i++)
        assert_int_equal(got[i], t->new_of[i] != 0 && asked[t->new_of[i]]);
    buf_free(&set);
    buf_free(&out);
}

static void assert_same_map(const struct uidmap *a, const struct uidmap *b)
{
    assert_int_equal(a->n, b->n);
    if (a->n > 0)
        assert_memory_equal(a->runs, b->runs, a->n * sizeof(*a->runs));
    assert_int_equal(a->tail_view, b->tail_view);
    assert_int_equal(a->tail_new, b->tail_new);
}

static void check_wire(const struct uidmap *m)
{
    struct buf wire = {0};
    struct uidmap back;
    uidmap_init(&back);
    uidmap_encode(&wire, m, 0);
    assert_int_equal(uidmap_decode(&back, buf_slice(&wire)), 0);
    assert_same_map(m, &back);
    uidmap_free(&back);
    for (size_t n = 0; n < wire.len; n++) {
        assert_int_equal(uidmap_decode(&back, slice_make(wire.mem + wire.off, n)), E_CORRUPT);
        assert_int_equal(back.n, 0);
        assert_null(back.runs);
    }
    buf_putc(&wire, 0);
    assert_int_equal(uidmap_decode(&back, buf_slice(&wire)), E_CORRUPT);
    buf_free(&wire);
}

static void random_maps(void **state)
{
    (void)state;
    for (unsigned k = 0; k < 2000; k++) {
        struct uidmap m;
        static struct model t;
        random_map(&m, &t, k % 3 != 0);
        check_lookups(&m, &t);
        check_ranges(&m, &t);
        check_sets(&m, &t);
        check_wire(&m);
        uidmap_free(&m);
    }
}

static void large_map(void **state)
{
    (void)state;
    enum { RUNS = 100000 };
    struct uidmap m, back;
    struct buf wire = {0};
    size_t bytes = 0;
    uidmap_init(&m);
    uidmap_init(&back);
    for (uint32_t i = 0; i < RUNS; i++)
        assert_int_equal(uidmap_add(&m, 10 + i * 3, 1 + i), 0);
    assert_int_equal(uidmap_set_tail(&m, 1000000, RUNS + 1), 0);
    assert_int_equal(m.n, RUNS);
    assert_true(m.cap * sizeof(*m.runs) < (size_t)2 << 20);
    assert_int_equal(uidmap_parts(&m), (RUNS + UIDMAP_PART - 1) / UIDMAP_PART);
    for (size_t part = 0; part < uidmap_parts(&m); part++) {
        buf_clear(&wire);
        uidmap_encode(&wire, &m, part);
        bytes += wire.len;
        assert_int_equal(uidmap_decode(&back, buf_slice(&wire)), 0);
        /* The same part again, or one out of its turn, is not taken. */
        assert_int_equal(uidmap_decode(&back, buf_slice(&wire)), E_CORRUPT);
    }
    assert_same_map(&m, &back);
    assert_true(bytes < (size_t)1 << 20);
    /* A set that names every run again and again is cut off. */
    struct buf set = {0}, out = {0};
    for (unsigned i = 0; i < 200; i++)
        buf_puts(&set, i == 0 ? "1:100000" : ",1:100000");
    assert_int_equal(uidmap_set_to_view(&m, buf_slice(&set), &out), E_LIMIT);
    assert_int_equal(out.len, 0);
    buf_free(&set);
    buf_free(&out);
    buf_free(&wire);
    uidmap_free(&m);
    uidmap_free(&back);
}

static void corrupt(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
    } t[] = {
        {"\x02\0\0\0\0", 5},                                /* version */
        {"\x01\x01\0\0\0", 5},                              /* half a tail */
        {"\x01\0\0\x01\0", 5},                              /* part 1 first */
        {"\x01\0\0\0\x01", 5},                              /* a run is missing */
        {"\x01\0\0\0\x01\0\x01\0", 8},                      /* UID 0 */
        {"\x01\0\0\0\x02\x01\x01\0\0\0\0", 11},             /* two runs that are one */
        {"\x01\x02\x01\0\x01\x01\x01\0", 8},                /* tail inside the runs */
        {"\x01\x01\x01\0\x80\0", 6},                        /* overlong */
        {"\x01\x01\x01\0\0\0", 6},                          /* bytes left */
        {"\x01\x80\x80\x80\x80\x10\x01\0\0", 9},            /* over 32 bits */
        {"\x01\0\0\0\x01\x02\x01\xff\xff\xff\xff\x0f", 12}, /* a run beyond the last UID */
    };
    struct uidmap m;
    uidmap_init(&m);
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        assert_int_equal(uidmap_decode(&m, slice_make(t[i].bytes, t[i].n)), E_CORRUPT);
        assert_int_equal(m.n + m.tail_view + m.tail_new, 0);
    }
    assert_int_equal(uidmap_decode(&m, slice_make("\x01\x01\x01\0\0", 5)), 0);
    assert_int_equal(m.tail_view, 1);
    uidmap_free(&m);
}

static void check_gaps(const struct uidmap *m, const char *set, const char *want)
{
    struct buf out = {0};
    int rc = uidmap_gaps(m, slice_str(set), &out);
    assert_int_equal(rc, want == NULL ? E_INVAL : want[0] != '\0');
    assert_string_equal(buf_cstr(&out), want != NULL ? want : "");
    buf_free(&out);
}

static void gaps(void **state)
{
    (void)state;
    struct uidmap m;
    uidmap_init(&m);
    check_gaps(&m, "1:*", "1:4294967295"); /* not closed: nothing is mapped */
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(uidmap_add(&m, 10 + i, 1 + i), 0);
    assert_int_equal(uidmap_add(&m, 20, 6), 0);
    assert_int_equal(uidmap_add(&m, 21, 9), 0); /* two runs without a gap in the view */
    assert_int_equal(uidmap_set_tail(&m, 100, 50), 0);
    check_gaps(&m, "1:*", "1:9,15:19,22:99");
    check_gaps(&m, "*:1", "1:9,15:19,22:99");
    check_gaps(&m, "1:4294967295", "1:9,15:19,22:99");
    check_gaps(&m, "10:14", "");
    check_gaps(&m, "12:21", "15:19");
    check_gaps(&m, "21:12", "15:19");
    check_gaps(&m, "16,18:19,20,30", "16,18:19,30");
    check_gaps(&m, "9,10,15", "9,15");
    check_gaps(&m, "99:120", "99");
    check_gaps(&m, "100:*", "");
    check_gaps(&m, "*", "");
    check_gaps(&m, "", NULL);
    check_gaps(&m, "1:x", NULL);
    uidmap_free(&m);
    uidmap_identity(&m);
    check_gaps(&m, "1:*", "");
    uidmap_free(&m);
    assert_int_equal(uidmap_set_tail(&m, 5, 1), 0); /* nothing was there */
    check_gaps(&m, "1:*", "1:4");
    uidmap_free(&m);
}

/* Each UID of a set is in the gaps, or is mapped, or is in the tail. */
static void gaps_by_one(void **state)
{
    (void)state;
    struct uidmap m;
    uidmap_init(&m);
    uint32_t view = 0, new = 0, dice = 7;
    for (unsigned i = 0; i < 200; i++) {
        dice = dice * 1103515245 + 12345;
        view += 1 + (dice >> 16) % 3;
        new += 1 + (dice >> 20) % 2;
        assert_int_equal(uidmap_add(&m, view, new), 0);
    }
    assert_int_equal(uidmap_set_tail(&m, view + 10, new + 1), 0);
    struct buf out = {0};
    assert_int_equal(uidmap_gaps(&m, SLICE_LIT("3:1000"), &out), 1);
    bool *in = mem_array(2000, sizeof(*in));
    struct slice set = buf_slice(&out);
    uint32_t lo, hi;
    while (imap_set_next(&set, &lo, &hi) == 1)
        for (; lo <= hi; lo++)
            in[lo] = true;
    for (uint32_t u = 1; u < 1100; u++)
        assert_int_equal(in[u], u >= 3 && u < view + 10 && uidmap_to_new(&m, u) == 0);
    free(in);
    buf_free(&out);
    /* A peer that names a map of many gaps many times is bounded. */
    struct buf many = {0};
    buf_puts(&many, "1:1000");
    for (unsigned i = 0; i < 20000; i++)
        buf_puts(&many, ",1:1000");
    assert_int_equal(uidmap_gaps(&m, buf_slice(&many), &out), E_LIMIT);
    assert_int_equal(out.len, 0);
    buf_free(&many);
    buf_free(&out);
    uidmap_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(building),   cmocka_unit_test(looking_up),  cmocka_unit_test(sets),
        cmocka_unit_test(steep_tail), cmocka_unit_test(random_maps), cmocka_unit_test(large_map),
        cmocka_unit_test(corrupt),    cmocka_unit_test(gaps),        cmocka_unit_test(gaps_by_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
