/* Who goes first within an account. */
#include "config.h"
#include "unit.h"
#include "move/move_priv.h"
#include <string.h>

static int by_turn(const void *a, const void *b)
{
    return sweep_compare(a, b);
}

static void inbox_then_special_then_names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool special;
    } rows[] = {{"Zoo", false}, {"Trash", true}, {"INBOX.deep", false}, {"INBOX", false}, {"Archive", false}, {"Sent", true}};
    static const char *const want[] = {"INBOX", "Sent", "Trash", "Archive", "INBOX.deep", "Zoo"};
    enum { N = sizeof(rows) / sizeof(rows[0]) };
    struct unit units[N];
    char names[N][16];
    memset(units, 0, sizeof(units));
    for (size_t i = 0; i < N; i++) {
        memcpy(names[i], rows[i].name, strlen(rows[i].name) + 1);
        units[i].rec.view_name = names[i];
        units[i].rec.special = rows[i].special;
    }
    qsort(units, N, sizeof(units[0]), by_turn);
    for (size_t i = 0; i < N; i++)
        assert_string_equal(units[i].rec.view_name, want[i]);
}

/* Rests get longer, not all of the same length, and have an end. */
static void rests_grow(void **state)
{
    (void)state;
    for (unsigned times = 1; times < 70; times++) {
        uint64_t whole = times < 7 ? 1000u << (times - 1) : 60000;
        whole = whole < 60000 ? whole : 60000;
        uint64_t got = pace_backed_off(1000, times, 60000);
        assert_in_range(got, whole - whole / 8, whole + whole / 8 + 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inbox_then_special_then_names),
        cmocka_unit_test(rests_grow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
