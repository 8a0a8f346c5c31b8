/* Flags that change on both hosts: what the digest tells apart, and every case of the merge. */
#include "config.h"
#include "unit.h"
#include "move/flags.h"

static uint32_t digest(const char *flags)
{
    return flags_digest(slice_str(flags));
}

static void digests(void **state)
{
    (void)state;
    static const char *const different[] = {"",       "\\Seen", "\\Draft", "\\Seen \\Draft", "a",  "b",
                                            "\\Seen a", "a b",    "a b c",   "ab",             "a a1"};
    for (size_t i = 0; i < sizeof(different) / sizeof(different[0]); i++) {
        assert_int_not_equal(digest(different[i]), FLAGS_UNKNOWN);
        for (size_t k = 0; k < i; k++)
            assert_int_not_equal(digest(different[i]), digest(different[k]));
    }
    assert_int_equal(digest("\\seen b \\DRAFT A"), digest("a \\Draft B \\Seen"));
    assert_int_equal(digest(" \\Seen  a "), digest("\\Seen a"));
    assert_true(digest("\\Seen \\Answered \\Flagged \\Deleted \\Draft") < 64); /* one byte on disk */
}

struct row {
    const char *base, *old, *new; /* base NULL: not known */
    const char *add, *remove;
    bool differs;
};

static void merges(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"", "", "", "", "", false},
        {"", "\\Seen", "", "\\Seen", "", false},              /* old */
        {"\\Seen", "", "\\Seen", "", "\\Seen", false},
        {"", "", "\\Seen", "", "", true},                     /* new */
        {"\\Seen", "\\Seen", "", "", "", true},
        {"", "\\Seen", "\\Seen", "", "", false},              /* both, the same */
        {"", "\\Flagged", "\\Seen", "\\Flagged", "", true},   /* both, each another */
        {"\\Seen", "\\Draft", "\\Seen \\Answered", "\\Draft", "\\Seen", true},
        {"\\Deleted", "", "\\Deleted \\Flagged", "", "\\Deleted", true},
        {"", "\\Seen", "\\seen", "", "", false},
        {"a", "a b", "a", "b", "", false},                    /* keywords: old */
        {"a b", "b", "B a", "", "a", false},
        {"a", "a", "a b", "", "", true},                      /* new */
        {"a", "a", "", "", "", true},
        {"a", "a", "A", "", "", false},
        {"", "x", "y", "x", "", true},                        /* both: only added */
        {"a b", "b", "a", "b", "", true},
        {"a", "a b", "a b", "", "", false},
        {"a", "", "a b", "", "", true},
        {NULL, "\\Seen a", "\\Draft b", "\\Seen a", "\\Draft b", false},
        {NULL, "", "\\Flagged", "", "\\Flagged", false},
        {"\\Seen a", "\\Seen a", "\\Flagged b", "", "", true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *r = &rows[i];
        struct buf add = {0}, remove = {0};
        bool differs = flags_merge(r->base != NULL ? digest(r->base) : FLAGS_UNKNOWN, slice_str(r->old),
                                   slice_str(r->new), &add, &remove);
        assert_string_equal(buf_cstr(&add), r->add);
        assert_string_equal(buf_cstr(&remove), r->remove);
        assert_int_equal(differs, r->differs);
        buf_free(&add);
        buf_free(&remove);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests),
        cmocka_unit_test(merges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
