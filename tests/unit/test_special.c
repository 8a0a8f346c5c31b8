/* What mailboxes are for, by attribute and by name. */
#include "config.h"
#include "unit.h"
#include "move/special.h"
#include "wherry/imap/names.h"

static enum special_use of(char *const *configured, const char *utf8, unsigned *rank)
{
    struct buf name = {0};
    assert_int_equal(name_from_utf8(slice_str(utf8), &name), 0);
    enum special_use use = special_of_name(configured, buf_slice(&name), rank);
    buf_free(&name);
    return use;
}

static void attributes(void **state)
{
    (void)state;
    assert_int_equal(special_of_flags(slice_str("\\HasNoChildren \\SENT")), USE_SENT);
    assert_int_equal(special_of_flags(slice_str("\\All \\Flagged")), USE_NONE);
    assert_int_equal(special_of_flags(slice_str("")), USE_NONE);
    for (int i = USE_NONE + 1; i < SPECIAL_USES; i++)
        assert_int_equal(special_of_flags(slice_str(special_attribute((enum special_use)i))), i);
}

static void names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum special_use use;
    } rows[] = {
        {"Sent", USE_SENT},
        {"sENT iTEMS", USE_SENT},
        {"Gesendete Objekte", USE_SENT},
        {"éléments Envoyés", USE_SENT},
        {"ÉLÉMENTS ENVOYÉS", USE_SENT},
        {"WYSŁANE", USE_SENT},
        {"lähetetyt", USE_SENT},
        {"отправленные", USE_SENT},
        {"送信済み", USE_SENT},
        {"已发送", USE_SENT},
        {"ENTWÜRFE", USE_DRAFTS},
        {"ЧЕРНОВИКИ", USE_DRAFTS},
        {"草稿", USE_DRAFTS},
        {"Papierkorb", USE_TRASH},
        {"KOŠ", USE_TRASH},
        {"usunięte", USE_TRASH},
        {"ゴミ箱", USE_TRASH},
        {"spam", USE_JUNK},
        {"NEVYŽÁDANÁ POŠTA", USE_JUNK},
        {"søppelpost", USE_JUNK},
        {"Archiv", USE_ARCHIVE},
        {"АРХИВ", USE_ARCHIVE},
        {"Sent ", USE_NONE},
        {"Sen", USE_NONE},
        {"Sent/2019", USE_NONE},
        {"", USE_NONE},
        {"ß", USE_NONE},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        unsigned rank;
        enum special_use use = of(NULL, rows[i].name, &rank);
        if (use != rows[i].use)
            fail_msg("%s: %d", rows[i].name, (int)use);
        assert_true(use == USE_NONE || rank > 0);
    }
    unsigned first, second;
    (void)of(NULL, "Sent", &first);
    (void)of(NULL, "Gesendet", &second);
    assert_true(first < second);
    assert_int_equal(special_of_name(NULL, slice_str("Gel&APY-scht"), &first), USE_TRASH);
    assert_int_equal(special_of_name(NULL, slice_str("&no utf-7"), &first), USE_NONE);
    assert_int_equal(special_of_name(NULL, slice_str("a\xc3"), &first), USE_NONE);
}

static void configured(void **state)
{
    (void)state;
    char raus[] = "sent=Raus", none[] = "NONE=Spam", trash[] = "Trash=Sent", bad[] = "x";
    char *const list[] = {raus, bad, none, trash, NULL};
    unsigned rank;
    assert_int_equal(of(list, "RAUS", &rank), USE_SENT);
    assert_int_equal(rank, 0);
    assert_int_equal(of(list, "spam", &rank), USE_NONE);
    assert_int_equal(of(list, "sent", &rank), USE_TRASH);
    assert_int_equal(of(list, "Gesendet", &rank), USE_SENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(attributes), cmocka_unit_test(names),
                                       cmocka_unit_test(configured)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
