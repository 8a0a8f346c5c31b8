/* Slices, buffers, allocation and secrets. */
#include "config.h"
#include "unit.h"
#include "wherry/base/buf.h"
#include "wherry/base/mem.h"
#include <stdlib.h>
#include <string.h>

static void slices_compare(void **state)
{
    (void)state;
    assert_true(slice_is(slice_str("abc"), "abc"));
    assert_false(slice_is(slice_str("abc"), "abcd"));
    assert_true(slice_is_nocase(slice_str("InBox"), "INBOX"));
    /* '[' and '{' are 32 apart as letters are, and yet not the same. */
    assert_false(slice_is_nocase(slice_str("["), "{"));
    assert_true(slice_eq(slice_str(NULL), slice_str("")));
    assert_true(slice_starts(slice_str("abc"), slice_str("")));
    assert_true(slice_starts(slice_str("abc"), slice_str("ab")));
    assert_false(slice_starts(slice_str("a"), slice_str("ab")));
    assert_true(slice_cmp(slice_str("a"), slice_str("ab")) < 0);
    assert_true(slice_cmp(slice_str("b"), slice_str("ab")) > 0);
    assert_true(slice_cmp(slice_str("\xff"), slice_str("a")) > 0);
    assert_int_equal(slice_cmp(slice_str("x"), slice_str("x")), 0);
    assert_true(slice_eq(SLICE_LIT("a\0b"), slice_make("a\0b", 3)));
    char *s = slice_dup(slice_str(NULL));
    assert_string_equal(s, "");
    free(s);
}

static void slices_are_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int r64;
        uint64_t v;
        int r32;
    } rows[] = {
        {"0", 0, 0, 0},
        {"007", 0, 7, 0},
        {"4294967295", 0, UINT32_MAX, 0},
        {"4294967296", 0, 4294967296u, E_INVAL},
        {"18446744073709551615", 0, UINT64_MAX, E_INVAL},
        {"18446744073709551616", E_INVAL, 0, E_INVAL},
        {"99999999999999999999999", E_INVAL, 0, E_INVAL},
        {"", E_INVAL, 0, E_INVAL},
        {"+1", E_INVAL, 0, E_INVAL},
        {"-1", E_INVAL, 0, E_INVAL},
        {" 1", E_INVAL, 0, E_INVAL},
        {"1a", E_INVAL, 0, E_INVAL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t v = 9;
        uint32_t w = 9;
        assert_int_equal(slice_u64(slice_str(rows[i].text), &v), rows[i].r64);
        assert_true(v == rows[i].v);
        assert_int_equal(slice_u32(slice_str(rows[i].text), &w), rows[i].r32);
        assert_true(w == (rows[i].r32 == 0 ? (uint32_t)rows[i].v : 0));
    }
}

static void buffer_appends_and_consumes(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_string_equal(buf_cstr(&b), "");
    buf_puts(&b, "hello ");
    buf_put_slice(&b, slice_str("world"));
    buf_put(&b, NULL, 0);
    buf_putc(&b, '!');
    assert_string_equal(buf_cstr(&b), "hello world!");
    buf_consume(&b, 6);
    assert_true(slice_is(buf_slice(&b), "world!"));
    buf_truncate(&b, 5);
    buf_printf(&b, "-%d-%s", 42, "x");
    assert_true(slice_is(buf_slice(&b), "world-42-x"));
    buf_trim(&b);
    assert_int_equal(b.len, 10);
    buf_consume(&b, 10);
    assert_non_null(b.mem);
    buf_trim(&b);
    assert_null(b.mem);
    buf_puts(&b, "again");
    buf_wipe(&b);
    assert_null(b.mem);
    assert_int_equal(b.len, 0);
    buf_free(&b);
}

static void printf_longer_than_the_first_guess(void **state)
{
    (void)state;
    struct buf b = {0};
    char text[1000];
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    buf_printf(&b, "<%s>", text);
    assert_int_equal(b.len, 1001);
    assert_int_equal(buf_slice(&b).p[1000], '>');
    for (size_t n = 120; n < 136; n++) { /* around the guess */
        buf_clear(&b);
        buf_printf(&b, "%.*s", (int)n, text);
        assert_int_equal(b.len, n);
    }
    buf_free(&b);
}

/* Against a plain array, with many sizes of appends and consumes. */
static void buffer_against_a_model(void **state)
{
    (void)state;
    static uint8_t model[1 << 16];
    size_t from = 0, to = 0;
    struct buf b = {0};
    uint32_t x = 12345;
    while (to < sizeof(model) - 300) {
        x = x * 1664525u + 1013904223u;
        size_t n = (x >> 16) % 300;
        uint8_t *p = buf_reserve(&b, n);
        for (size_t i = 0; i < n; i++)
            p[i] = model[to + i] = (uint8_t)(x >> (i % 24));
        buf_commit(&b, n);
        to += n;
        x = x * 1664525u + 1013904223u;
        n = (x >> 16) % (to - from + 1);
        buf_consume(&b, n);
        from += n;
        assert_int_equal(b.len, to - from);
        assert_true(slice_eq(buf_slice(&b), slice_make(model + from, to - from)));
    }
    assert_true(b.cap <= 2048); /* a steady stream does not let it grow */
    buf_free(&b);
}

static void secrets(void **state)
{
    (void)state;
    struct secret a = {0}, b = {0};
    assert_true(secret_equal(&a, &b));
    secret_set(&a, slice_str("pass"));
    assert_false(secret_equal(&a, &b));
    secret_copy(&b, &a);
    assert_true(secret_equal(&a, &b));
    secret_set(&b, slice_make(b.p + 1, 3)); /* from its own memory */
    assert_true(slice_is(secret_slice(&b), "ass"));
    assert_false(secret_equal(&a, &b));
    secret_set(&a, slice_str("asd"));
    assert_false(secret_equal(&a, &b));
    secret_free(&a);
    secret_copy(&b, &a);
    assert_null(b.p);
    secret_free(&b);
}

static void allocation(void **state)
{
    (void)state;
    char *s = mem_printf("%s-%05d", "a", 7);
    assert_string_equal(s, "a-00007");
    free(s);
    assert_null(mem_strdup(NULL));
    uint32_t *v = mem_array(4, sizeof(*v));
    assert_int_equal(v[3], 0);
    v[0] = 7;
    v = mem_grow(v, 400, sizeof(*v));
    assert_int_equal(v[0], 7);
    free(v);
    free(mem_alloc(0));
    free(mem_array(0, 8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_compare),
        cmocka_unit_test(slices_are_numbers),
        cmocka_unit_test(buffer_appends_and_consumes),
        cmocka_unit_test(printf_longer_than_the_first_guess),
        cmocka_unit_test(buffer_against_a_model),
        cmocka_unit_test(secrets),
        cmocka_unit_test(allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
