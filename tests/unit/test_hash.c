/* The hash table, against a plain array. */
#include "config.h"
#include "unit.h"
#include "wherry/base/hash.h"
#include <stdio.h>
#include <string.h>

static void basics(void **state)
{
    (void)state;
    struct hash *h = hash_new();
    int a, b;
    assert_null(hash_get(h, slice_str("x")));
    assert_null(hash_del(h, slice_str("x")));
    hash_put(h, slice_str("x"), &a);
    assert_ptr_equal(hash_get(h, slice_str("x")), &a);
    hash_put(h, slice_str("x"), &b);
    assert_ptr_equal(hash_get(h, slice_str("x")), &b);
    assert_int_equal(hash_count(h), 1);
    hash_put(h, slice_str(""), &a);
    hash_put(h, SLICE_LIT("x\0y"), &a);
    assert_int_equal(hash_count(h), 3);
    assert_ptr_equal(hash_get(h, slice_str("")), &a);
    assert_ptr_equal(hash_get(h, slice_str("x")), &b);
    assert_ptr_equal(hash_del(h, slice_str("x")), &b);
    assert_null(hash_get(h, slice_str("x")));
    assert_int_equal(hash_count(h), 2);
    hash_free(&h);
    assert_null(h);
    hash_free(&h);
}

struct walk {
    unsigned char seen[5000];
    unsigned n, stop_at;
};

static bool on_entry(struct slice key, void *value, void *arg)
{
    struct walk *w = arg;
    uint32_t i;
    assert_int_equal(slice_u32(slice_make(key.p + 4, key.n - 4), &i), 0);
    assert_ptr_equal(value, &w->seen[i]);
    w->seen[i]++;
    return ++w->n != w->stop_at;
}

static void many(void **state)
{
    (void)state;
    static struct walk w;
    memset(&w, 0, sizeof(w));
    struct hash *h = hash_new();
    char key[32];
    for (unsigned i = 0; i < 5000; i++) {
        int n = snprintf(key, sizeof(key), "user%u", i);
        hash_put(h, slice_make(key, (size_t)n), &w.seen[i]);
    }
    for (unsigned i = 0; i < 5000; i += 3) {
        int n = snprintf(key, sizeof(key), "user%u", i);
        assert_ptr_equal(hash_del(h, slice_make(key, (size_t)n)), &w.seen[i]);
    }
    hash_walk(h, on_entry, &w);
    assert_int_equal(w.n, hash_count(h));
    for (unsigned i = 0; i < 5000; i++)
        assert_int_equal(w.seen[i], i % 3 != 0);
    w.n = 0;
    w.stop_at = 10;
    hash_walk(h, on_entry, &w);
    assert_int_equal(w.n, 10);
    hash_free(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(basics), cmocka_unit_test(many)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
