/* Events and cards: what is in them, what means the same, what is mended and how; cut and broken input does no harm. */
#include "config.h"
#include "unit.h"
#include <stdlib.h>
#include <string.h>
#include "wherry/base/mem.h"
#include "wherry/dav/item.h"

#define HEAD "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//a//b//EN\r\n"
#define TAIL "END:VCALENDAR\r\n"
#define EVENT(more) "BEGIN:VEVENT\r\nUID:u1\r\nDTSTAMP:20240101T000000Z\r\nDTSTART:20240501T100000Z\r\nDTEND:20240501T110000Z\r\n" more "END:VEVENT\r\n"

static unsigned faults_of(const char *body, bool card)
{
    struct item_info i;
    item_inspect(slice_str(body), card, &i);
    unsigned f = i.faults;
    item_info_clear(&i);
    return f;
}

static void inspects(void **state)
{
    (void)state;
    struct item_info i;
    item_inspect(slice_str(HEAD EVENT("ORGANIZER:mailto:a@b\r\nATTENDEE;CN=\"x;y:z\":mailto:c@d\r\n") TAIL), false, &i);
    assert_int_equal(i.faults, 0);
    assert_int_equal(i.kinds, ITEM_EVENT);
    assert_string_equal(i.uid, "u1");
    assert_true(i.scheduled);
    item_info_clear(&i);
    static const struct {
        const char *body;
        bool card;
        unsigned faults;
    } rows[] = {
        {HEAD "BEGIN:VTODO\r\nDTSTAMP:20240101T000000Z\r\nEND:VTODO\r\n" TAIL, false, ITEM_NO_UID},
        {HEAD "BEGIN:VEVENT\r\nUID:\r\nDTSTART:20240101\r\nEND:VEVENT\r\n" TAIL, false, ITEM_NO_UID | ITEM_NO_DTSTAMP},
        {"BEGIN:VCALENDAR\n" EVENT("") "END:VCALENDAR\n", false, ITEM_NO_PRODID | ITEM_NO_VERSION},
        {HEAD "METHOD:REQUEST\r\n" EVENT("") TAIL, false, ITEM_METHOD},
        {HEAD EVENT("") "BEGIN:VEVENT\r\nUID:u2\r\nDTSTAMP:20240101T000000Z\r\nEND:VEVENT\r\n" TAIL, false, ITEM_MANY_UIDS},
        {HEAD EVENT("") EVENT("RECURRENCE-ID:20240501T100000Z\r\n") TAIL, false, 0},
        {HEAD EVENT("RDATE;TZID=Europe/Berlin:20240501T100000\r\n") TAIL, false, ITEM_NO_VTIMEZONE},
        {HEAD EVENT("RDATE;TZID=\"Our own\":20240501T100000\r\n") TAIL, false, 0},
        {HEAD EVENT("BEGIN:VALARM\r\nUID:other\r\nEND:VALARM\r\n") TAIL, false, 0},
        {HEAD TAIL, false, ITEM_BROKEN},
        {HEAD EVENT(""), false, ITEM_BROKEN},
        {"hello", false, ITEM_BROKEN | ITEM_NO_PRODID | ITEM_NO_VERSION},
        {"BEGIN:VCARD\r\nVERSION:3.0\r\nUID:c\r\nFN:x\r\nEND:VCARD\r\n", true, 0},
        {"BEGIN:VCARD\r\nVERSION:2.1\r\nN:x\r\nEND:VCARD\r\n", true, ITEM_OLD_CARD | ITEM_NO_UID | ITEM_NO_FN},
        {"BEGIN:VCARD\r\nVERSION:3.0\r\nUID:c\r\nFN:x\r\n", true, ITEM_BROKEN},
    };
    for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++)
        assert_int_equal(faults_of(rows[k].body, rows[k].card), rows[k].faults);
}

static void the_same(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool card, same;
    } rows[] = {
        {HEAD EVENT("SUMMARY:a long\r\n  one\r\nLOCATION:x\r\n") TAIL, HEAD EVENT("LOCATION:x\r\nSUMMARY:a lo\r\n ng one\r\n") TAIL, false,
         true},
        {HEAD EVENT("RRULE:FREQ=WEEKLY;COUNT=3;INTERVAL=2;BYDAY=MO,TU\r\n") TAIL,
         HEAD EVENT("RRULE:FREQ=WEEKLY;INTERVAL=2;COUNT=3;BYDAY=MO,TU\r\n") TAIL, false, true},
        {HEAD EVENT("RRULE:FREQ=WEEKLY;COUNT=3\r\n") TAIL, HEAD EVENT("RRULE:FREQ=WEEKLY;COUNT=4\r\n") TAIL, false, false},
        {HEAD EVENT("CATEGORIES:a,b\r\n") TAIL, HEAD EVENT("CATEGORIES:a\r\nCATEGORIES:b\r\n") TAIL, false, true},
        {HEAD EVENT("ATTENDEE;ROLE=CHAIR;CN=x:mailto:a@b\r\n") TAIL, HEAD EVENT("ATTENDEE;CN=\"x\";ROLE=CHAIR:MAILTO:a@b\r\n") TAIL,
         false, true},
        {HEAD EVENT("ATTENDEE;CN=x:mailto:a@b\r\n") TAIL, HEAD EVENT("ATTENDEE;CN=y:mailto:a@b\r\n") TAIL, false, false},
        {HEAD EVENT("SUMMARY:x\r\n") TAIL, HEAD EVENT("SUMMARY:X\r\n") TAIL, false, false},
        {HEAD EVENT("") TAIL, HEAD EVENT("X-MORE:1\r\n") TAIL, false, false},
        {HEAD EVENT("EXDATE:20240508T100000Z,20240515T100000Z\r\n") TAIL,
         HEAD EVENT("EXDATE:20240508T100000Z\r\nEXDATE:20240515T100000Z\r\n") TAIL, false, true},
        {HEAD EVENT("RDATE;VALUE=DATE:20240508\r\n") TAIL, HEAD EVENT("RDATE:20240508T000000Z\r\n") TAIL, false, false},
        {HEAD EVENT("BEGIN:VALARM\r\nACTION:DISPLAY\r\nTRIGGER:-PT15M\r\nDESCRIPTION:x\r\nEND:VALARM\r\n") TAIL, HEAD EVENT("") TAIL, false,
         false},
        {"BEGIN:VCARD\r\nVERSION:3.0\r\nUID:c\r\nTEL;TYPE=HOME,VOICE:1\r\nREV:1\r\nEND:VCARD\r\n",
         "BEGIN:VCARD\nVERSION:3.0\nREV:2\nTEL;TYPE=voice;TYPE=home:1\nUID:c\nEND:VCARD\n", true, true},
        {"BEGIN:VCARD\r\nUID:c\r\nPHOTO;ENCODING=b:QUJD\r\nEND:VCARD\r\n", "BEGIN:VCARD\r\nUID:c\r\nPHOTO;ENCODING=B:QU\r\n  JD\r\nEND:VCARD\r\n",
         true, true},
        {"BEGIN:VCARD\r\nUID:c\r\nPHOTO;ENCODING=b:QUJD\r\nEND:VCARD\r\n", "BEGIN:VCARD\r\nUID:c\r\nPHOTO;ENCODING=b:QUJE\r\nEND:VCARD\r\n", true,
         false},
        {"BEGIN:VCARD\r\nUID:c\r\nNOTE:a\\, b\\Nc\r\nEND:VCARD\r\n", "BEGIN:VCARD\r\nUID:c\r\nNOTE:a\\, b\\nc\r\nEND:VCARD\r\n", true, true},
        {"BEGIN:VCARD\r\nUID:c\r\nNOTE:a\r\nEND:VCARD\r\n", "", true, false},
    };
    for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
        assert_int_equal(item_same(slice_str(rows[k].a), slice_str(rows[k].b), rows[k].card), rows[k].same);
        assert_int_equal(item_same(slice_str(rows[k].b), slice_str(rows[k].a), rows[k].card), rows[k].same);
    }
}

static void repaired(const char *body, bool card, unsigned done, const char *want)
{
    struct buf out = {0}, again = {0};
    unsigned d, d2;
    item_repair(slice_str(body), card, SLICE_LIT("name.ics"), &out, &d);
    assert_int_equal(d, done);
    if (want != NULL)
        assert_string_equal(buf_cstr(&out), want);
    item_repair(slice_str(body), card, SLICE_LIT("name.ics"), &again, &d2);
    assert_true(slice_eq(buf_slice(&out), buf_slice(&again))); /* each time the same */
    buf_free(&out);
    buf_free(&again);
}

static void repairs(void **state)
{
    (void)state;
    repaired("BEGIN:VCALENDAR\nMETHOD:REQUEST\nBEGIN:VEVENT\nUID:a\nCREATED:20200101T000000Z\nSUMMARY:x\nEND:VEVENT\nEND:VCALENDAR\n", false,
             ITEM_NO_PRODID | ITEM_NO_VERSION | ITEM_NO_DTSTAMP | ITEM_METHOD,
             "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//wherry//move//EN\r\nBEGIN:VEVENT\r\nDTSTAMP:20200101T000000Z\r\nUID:a\r\n"
             "CREATED:20200101T000000Z\r\nSUMMARY:x\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n");
    repaired(HEAD EVENT("") TAIL, false, 0, "");
    repaired(HEAD "BEGIN:VTODO\r\nDTSTAMP:20240101T000000Z\r\nEND:VTODO\r\n" TAIL, false, ITEM_NO_UID, NULL);
    repaired(HEAD EVENT("RDATE;TZID=Europe/Berlin:20240501T100000\r\n") TAIL, false, ITEM_NO_VTIMEZONE, NULL);
    repaired("hello", false, 0, "");
    repaired("BEGIN:VCARD\r\nVERSION:3.0\r\nUID:c\r\nN:x\r\nEND:VCARD\r\n", true, 0, "");
    repaired("BEGIN:VCARD\r\nVERSION:2.1\r\nUID:c\r\nN;CHARSET=ISO-8859-1;ENCODING=QUOTED-PRINTABLE:M=FCller;J=F6rg\r\nTEL;HOME;VOICE:1\r\n"
             "NOTE;ENCODING=QUOTED-PRINTABLE:a, b=0D=0Ac=\r\nd\r\nPHOTO;BASE64:QUJ\r\n D\r\nEND:VCARD\r\n",
             true, ITEM_OLD_CARD | ITEM_NO_FN,
             "BEGIN:VCARD\r\nFN:M\xc3\xbcller J\xc3\xb6rg\r\nVERSION:3.0\r\nUID:c\r\nN:M\xc3\xbcller;J\xc3\xb6rg\r\n"
             "TEL;TYPE=HOME;TYPE=VOICE:1\r\nNOTE:a\\, b\\ncd\r\nPHOTO;ENCODING=b:QUJD\r\nEND:VCARD\r\n");
}

static int note_part(struct slice uid, struct slice body, void *arg)
{
    struct buf *out = arg;
    buf_put_slice(out, uid);
    buf_putc(out, '\n');
    buf_put_slice(out, body);
    return 0;
}

static void splits(void **state)
{
    (void)state;
    struct buf out = {0};
    static const char zone[] = "BEGIN:VTIMEZONE\r\nTZID:x\r\nEND:VTIMEZONE\r\n";
    char *body = mem_printf(HEAD "%sBEGIN:VEVENT\r\nUID:a\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nUID:b\r\nEND:VEVENT\r\n"
                                 "BEGIN:VEVENT\r\nUID:a\r\nRECURRENCE-ID:1\r\nEND:VEVENT\r\n" TAIL,
                            zone);
    char *want = mem_printf("a\n" HEAD "%sBEGIN:VEVENT\r\nUID:a\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nUID:a\r\nRECURRENCE-ID:1\r\nEND:VEVENT\r\n" TAIL
                            "b\n" HEAD "%sBEGIN:VEVENT\r\nUID:b\r\nEND:VEVENT\r\n" TAIL,
                            zone, zone);
    assert_int_equal(item_split(slice_str(body), false, note_part, &out), 2);
    assert_string_equal(buf_cstr(&out), want);
    buf_clear(&out);
    assert_int_equal(item_split(slice_str("BEGIN:VCARD\r\nUID:1\r\nEND:VCARD\r\nBEGIN:VCARD\r\nFN:x\r\nEND:VCARD\r\n"), true, note_part, &out), 2);
    assert_int_equal(item_split(slice_str("nothing"), false, note_part, &out), E_INVAL);
    free(body);
    free(want);
    buf_free(&out);
}

static void schedules_by_client(void **state)
{
    (void)state;
    struct buf out = {0};
    assert_true(item_schedule_by_client(slice_str(HEAD EVENT("ORGANIZER;CN=a;SCHEDULE-AGENT=SERVER:mailto:a@b\r\nATTENDEE:mailto:c@d\r\n") TAIL), &out));
    assert_non_null(strstr(buf_cstr(&out), "\r\nORGANIZER;SCHEDULE-AGENT=CLIENT;CN=a:mailto:a@b\r\nATTENDEE;SCHEDULE-AGENT=CLIENT:mailto:c@d\r\n"));
    struct buf again = {0};
    assert_false(item_schedule_by_client(buf_slice(&out), &again));
    assert_true(slice_eq(buf_slice(&out), buf_slice(&again)));
    buf_free(&out);
    buf_free(&again);
}

/* Cut anywhere, in blocks of their own for the sanitizer: nothing but faults comes of it. */
static void cut_anywhere(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        HEAD EVENT("RRULE:FREQ=WEEKLY;COUNT=3\r\nATTENDEE;CN=\"a\r\n b\":mailto:x@y\r\n") TAIL,
        "BEGIN:VCARD\r\nVERSION:2.1\r\nN;CHARSET=ISO-8859-1;ENCODING=QUOTED-PRINTABLE:M=FC=\r\nx\r\nitem1.TEL;HOME:1\r\nEND:VCARD\r\n"};
    for (int card = 0; card < 2; card++) {
        size_t len = strlen(bodies[card]);
        for (size_t n = 0; n <= len; n++) {
            uint8_t *p = mem_alloc(n);
            struct slice cut = slice_make(p, n);
            struct item_info i;
            struct buf out = {0};
            unsigned done;
            memcpy(p, bodies[card], n);
            item_inspect(cut, card != 0, &i);
            /* the last line end may be missing */
            assert_int_equal((i.faults & ITEM_BROKEN) == 0, n >= len - 2);
            item_info_clear(&i);
            item_repair(cut, card != 0, SLICE_LIT("x"), &out, &done);
            if (n < len - 40 || n >= len - 2)
                assert_int_equal(item_same(cut, slice_str(bodies[card]), card != 0), n >= len - 2);
            buf_clear(&out);
            item_crlf(cut, &out);
            buf_free(&out);
            free(p);
        }
    }
}

static void line_ends(void **state)
{
    (void)state;
    struct buf out = {0};
    item_crlf(SLICE_LIT("a\nb\r\nc\rd\n\n"), &out);
    assert_string_equal(buf_cstr(&out), "a\r\nb\r\nc\r\nd\r\n\r\n");
    buf_clear(&out);
    item_faults_text(ITEM_NO_UID | ITEM_METHOD, &out);
    assert_string_equal(buf_cstr(&out), "no UID, METHOD");
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inspects), cmocka_unit_test(the_same),           cmocka_unit_test(repairs),      cmocka_unit_test(splits),
        cmocka_unit_test(schedules_by_client), cmocka_unit_test(cut_anywhere), cmocka_unit_test(line_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
