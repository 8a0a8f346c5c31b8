/* Sequence sets, capabilities, internal dates, flag lists. */
#include "unit.h"
#include "wherry/imap/caps.h"
#include "wherry/imap/set.h"
#include <string.h>

static void assert_buf(struct buf *b, const char *want)
{
    assert_string_equal(buf_cstr(b), want);
    buf_clear(b);
}

static void reading(void **state)
{
    (void)state;
    struct slice in = slice_str("1,5:3,7:*,*,*:2,4294967295");
    static const uint32_t want[][2] = {{1, 1}, {5, 3}, {7, 0},
                                       {0, 0}, {0, 2}, {UINT32_MAX, UINT32_MAX}};
    uint32_t lo, hi;
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        assert_int_equal(imap_set_next(&in, &lo, &hi), 1);
        assert_int_equal(lo, want[i][0]);
        assert_int_equal(hi, want[i][1]);
    }
    assert_int_equal(imap_set_next(&in, &lo, &hi), 0);
    assert_true(imap_set_valid(slice_str("1,5:3,7:*")));
    static const char *const bad[] = {
        "",     "0",  "1,", ",1", "1:2:3", "1:", ":1",           "4294967296", "1:0",
        "1,,2", "1 ", "a",  "**", "*1",    "-1", "1:4294967296", "1;2"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(imap_set_valid(slice_str(bad[i])));
    in = slice_str("1:0");
    lo = hi = 7;
    assert_int_equal(imap_set_next(&in, &lo, &hi), E_INVAL);
    assert_int_equal(lo, 0);
    assert_int_equal(hi, 0);
}

static void writing(void **state)
{
    (void)state;
    struct buf b = {0};
    struct set_writer w;
    imap_set_begin(&w, &b);
    assert_false(imap_set_end(&w));
    imap_set_begin(&w, &b);
    imap_set_add(&w, 1, 1);
    imap_set_add(&w, 2, 2);
    imap_set_add(&w, 4, 6);
    imap_set_add(&w, 7, 9);
    imap_set_add(&w, 3, 3);
    imap_set_add(&w, UINT32_MAX, UINT32_MAX);
    imap_set_add(&w, 11, SET_STAR);
    imap_set_add(&w, 1, 1);
    imap_set_add(&w, SET_STAR, SET_STAR);
    assert_true(imap_set_end(&w));
    assert_buf(&b, "1:2,4:9,3,4294967295,11:*,1,*");
    imap_set_begin(&w, &b);
    imap_set_add(&w, 5, 6);
    imap_set_add(&w, 7, SET_STAR);
    assert_true(imap_set_end(&w));
    assert_buf(&b, "5:*");
    buf_free(&b);
}

static void caps(void **state)
{
    (void)state;
    uint64_t c =
        imap_caps_parse(slice_str(" IMAP4rev1  literal+ AUTH=plain X-FOO APPENDLIMIT=35 SORTX "));
    assert_true(c == (CAP_BIT(IMAP4REV1) | CAP_BIT(LITERAL_PLUS) | CAP_BIT(AUTH_PLAIN) |
                      CAP_BIT(APPENDLIMIT)));
    assert_true(imap_caps_parse(slice_str("")) == 0);
    assert_true(imap_caps_parse(slice_str("RIGHTS=kxte")) == CAP_BIT(RIGHTS));
    assert_true(imap_caps_parse(slice_str("rights=NTEKX")) == CAP_BIT(RIGHTS_N));
    assert_true(imap_caps_parse(slice_str("RIGHTS=kx RIGHTS= RIGHTS")) == 0);
    for (unsigned i = 0; i < CAPI_COUNT; i++) {
        assert_true(imap_caps_parse(slice_str(imap_cap_name(i))) == (uint64_t)1 << i);
    }
    assert_string_equal(imap_cap_name(CAPI_COUNT), "");
}

static void dates(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        int64_t when;
        const char *out;
    } t[] = {{"17-Jul-1996 02:44:25 -0700", 837596665, "17-Jul-1996 09:44:25 +0000"},
             {" 1-jan-1970 00:00:00 +0000", 0, "01-Jan-1970 00:00:00 +0000"},
             {"1-Jan-1970 00:00:00 +0100", -3600, "31-Dec-1969 23:00:00 +0000"},
             {"29-Feb-2024 23:59:60 +0000", 1709251200, "01-Mar-2024 00:00:00 +0000"},
             {"01-Jan-0000 00:00:00 +0000", -62167219200, "01-Jan-0000 00:00:00 +0000"},
             {"31-Dec-9999 23:59:59 +0000", 253402300799, "31-Dec-9999 23:59:59 +0000"}};
    struct buf b = {0};
    int64_t when;
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        assert_int_equal(imap_date_parse(slice_str(t[i].in), &when), 0);
        assert_true(when == t[i].when);
        imap_date_format(&b, when);
        assert_buf(&b, t[i].out);
    }
    static const char *const bad[] = {"",
                                      "29-Feb-2023 00:00:00 +0000",
                                      "00-Jan-2000 00:00:00 +0000",
                                      "32-Jan-2000 00:00:00 +0000",
                                      "01-Foo-2000 00:00:00 +0000",
                                      "01-Jan-2000 24:00:00 +0000",
                                      "01-Jan-2000 00:00:00 x0000",
                                      "01-Jan-2000 00:00:00 +0060",
                                      "01-Jan-2000 00:00:00 +00000",
                                      "01-Jan-200 00:00:00 +0000",
                                      "01 Jan-2000 00:00:00 +0000"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        when = 7;
        assert_int_equal(imap_date_parse(slice_str(bad[i]), &when), E_INVAL);
        assert_true(when == 0);
    }
    imap_date_format(&b, INT64_MAX);
    assert_buf(&b, "31-Dec-9999 23:59:59 +0000");
    imap_date_format(&b, INT64_MIN);
    assert_buf(&b, "01-Jan-0000 00:00:00 +0000");
    buf_free(&b);
}

static void every_day(void **state)
{
    (void)state;
    struct buf b = {0};
    int64_t back;
    for (int64_t when = -62167219200 + 12345; when < 253402300799; when += 86400 * 3) {
        imap_date_format(&b, when);
        assert_int_equal(b.len, 26);
        assert_int_equal(imap_date_parse(buf_slice(&b), &back), 0);
        assert_true(back == when);
        buf_clear(&b);
    }
    buf_free(&b);
}

static bool same(const char *a, const char *b)
{
    bool r = imap_flags_same(slice_str(a), slice_str(b));
    assert_int_equal(r, imap_flags_same(slice_str(b), slice_str(a)));
    return r;
}

static void flags(void **state)
{
    (void)state;
    assert_true(same("", ""));
    assert_true(same("\\Recent", ""));
    assert_true(same("\\Seen $L \\recent", "$L \\SEEN"));
    assert_true(same("a a", "a"));
    assert_false(same("a", "A"));
    assert_false(same("\\Seen", ""));
    assert_false(same("\\Seen a", "\\Seen b"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading), cmocka_unit_test(writing),   cmocka_unit_test(caps),
        cmocka_unit_test(dates),   cmocka_unit_test(every_day), cmocka_unit_test(flags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
