/* Commands of the client on their way to the new host: the translator as a pure function. */
#include "config.h"
#include "unit.h"
#include "front/translate.h"
#include "wherry/imap/caps.h"
#include <stdlib.h>
#include <string.h>

/* View 10..14 -> 1..5, 20..29 -> 6..15, tail 5000 -> 100. */
static void make_map(struct uidmap *m)
{
    uidmap_init(m);
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(uidmap_add(m, 10 + i, 1 + i), 0);
    for (uint32_t i = 0; i < 10; i++)
        assert_int_equal(uidmap_add(m, 20 + i, 6 + i), 0);
    assert_int_equal(uidmap_set_tail(m, 5000, 100), 0);
}

/* INBOX.x -> x, "no" does not exist, "odd" needs a literal. */
static int to_new(void *arg, struct slice view, struct buf *out)
{
    (void)arg;
    if (slice_is(view, "no"))
        return E_INVAL;
    if (slice_is(view, "odd")) {
        buf_puts(out, "o\r\nd");
        return 0;
    }
    struct slice prefix = slice_str("INBOX.");
    buf_put_slice(out, slice_starts(view, prefix) ? slice_make(view.p + 6, view.n - 6) : view);
    return 0;
}

struct row {
    const char *grammar, *in, *out; /* out NULL: BAD, "" nothing mapped */
};

static void check_rows(const struct row *rows, size_t n, uint64_t caps)
{
    struct uidmap map;
    make_map(&map);
    const struct tr_view v = {&map, caps, to_new, NULL};
    for (size_t i = 0; i < n; i++) {
        struct tr_out out = {0};
        enum tr r = tr_command(rows[i].grammar, &v, slice_str(rows[i].in), &out);
        enum tr want = rows[i].out == NULL ? TR_BAD : TR_OK;
        if (r != want)
            fail_msg("%s: %d instead of %d (%s)", rows[i].in, (int)r, (int)want, out.error);
        if (r == TR_OK && strcmp(buf_cstr(&out.text), rows[i].out) != 0)
            fail_msg("%s: %s instead of %s", rows[i].in, buf_cstr(&out.text), rows[i].out);
        if (r == TR_BAD)
            assert_non_null(out.error);
        tr_clear(&out);
    }
    uidmap_free(&map);
}
#define CHECK(rows, caps) check_rows(rows, sizeof(rows) / sizeof(*(rows)), caps)

static void fetch_and_store(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"qi", "1:* (UID FLAGS)", "1:* (UID FLAGS)"},
        {"qi", "1,5:3 body.peek[HEADER.FIELDS (A B)]<0.10>",
         "1,5:3 body.peek[HEADER.FIELDS (A B)]<0.10>"},
        {"qi", "1 FULL", "1 FULL"},
        {"ui", "10:14 FLAGS", "1:5 FLAGS"},
        {"ui", "12:21,25 (RFC822.SIZE)", "3:7,11 (RFC822.SIZE)"},
        {"ui", "14:10 FLAGS", "1:5 FLAGS"},
        {"ui", "5000:* FLAGS", "100:* FLAGS"},
        {"ui", "* FLAGS", "* FLAGS"},
        {"ui", "10:14  FLAGS", NULL},
        {"ui", "10:14", NULL},
        {"ui", "10:x FLAGS", NULL},
        {"ui", "0 FLAGS", NULL},
        {"qi", "1 (X-MAILBOX)", NULL},
        {"qi", "1 EMAILID", NULL},
        {"qi", "1 FLAGS (CHANGEDSINCE 5)", NULL},
        {"qi", "1 (FLAGS", NULL},
        {"qi", "1 ()", NULL},
        {"qi", "1 \"FLAGS\"", NULL},
        {"qi", "", NULL},
        {"ua", "10 +FLAGS.SILENT (\\Deleted key)", "1 +FLAGS.SILENT (\\Deleted key)"},
        {"ua", "10 flags ()", "1 flags ()"},
        {"ua", "10 -FLAGS \\Seen key", "1 -FLAGS \\Seen key"},
        {"ua", "10 (UNCHANGEDSINCE 5) FLAGS ()", NULL},
        {"ua", "10 FLAGS", NULL},
        {"ua", "10 FLAGS (a", NULL},
        {"ua", "10 FLAGS (a) b", NULL},
        {"ua", "10 WHAT (a)", NULL},
    };
    CHECK(rows, 0);
}

static void mailboxes(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"m", "INBOX", "\"INBOX\""},
        {"m", "\"INBOX.a b\"", "\"a b\""},
        {"m", "{7}\r\nINBOX.x", "\"x\""},
        {"m", "{7+}\r\nINBOX.x", "\"x\""},
        {"m", "odd", "{4}\r\no\r\nd"},
        {"mm", "INBOX.a \"INBOX.b\\\"c\"", "\"a\" \"b\\\"c\""},
        {"um", "10:12,28 INBOX.Trash", "1:3,14 \"Trash\""},
        {"qm", "1 x", "1 \"x\""},
        {"ml", "INBOX.a (MESSAGES uidnext)", "\"a\" (MESSAGES uidnext)"},
        {"ml", "INBOX.a ()", NULL},
        {"ml", "INBOX.a (MAILBOXID)", NULL},
        {"ml", "INBOX.a MESSAGES", NULL},
        {"m", "", NULL},
        {"m", "a b", NULL},
        {"m", "(a)", NULL},
        {"m", "a (CONDSTORE)", NULL},
        {"m", "{9}\r\nshort", NULL},
        {"mw", "INBOX.a ", "\"a\" "},
        {"mw", "INBOX.a (\\Seen key) ", "\"a\" (\\Seen key) "},
        {"mw", "INBOX.a (\\Seen) \" 1-Jan-2020 00:00:00 +0000\" ",
         "\"a\" (\\Seen) \" 1-Jan-2020 00:00:00 +0000\" "},
        {"mw", "INBOX.a CATENATE ", NULL},
        {"mw", "INBOX.a (\\Seen ", NULL},
    };
    CHECK(rows, 0);
}

static void outcomes(void **state)
{
    (void)state;
    struct uidmap map;
    make_map(&map);
    const struct tr_view v = {&map, 0, to_new, NULL};
    struct tr_out out = {0};
    assert_int_equal(tr_command("ui", &v, slice_str("15:19,30:40 FLAGS"), &out), TR_NOTHING);
    tr_clear(&out);
    assert_int_equal(tr_command("ui", &v, slice_str("15 JUNK"), &out), TR_BAD);
    tr_clear(&out);
    assert_int_equal(tr_command("m", &v, slice_str("no"), &out), TR_NAME);
    tr_clear(&out);
    assert_int_equal(tr_command("m", &v, slice_str("no x"), &out), TR_BAD);
    tr_clear(&out);
    assert_int_equal(tr_command("mm", &v, slice_str("no x"), &out), TR_NAME);
    assert_string_equal(buf_cstr(&out.view_name[out.names]), "no");
    tr_clear(&out);
    assert_int_equal(tr_command("mm", &v, slice_str("INBOX.a INBOX.b"), &out), TR_OK);
    assert_int_equal(out.names, 2);
    assert_string_equal(buf_cstr(&out.view_name[1]), "INBOX.b");
    assert_string_equal(buf_cstr(&out.new_name[1]), "b");
    tr_clear(&out);
    const struct tr_view none = {NULL, 0, to_new, NULL};
    assert_int_equal(tr_command("ui", &none, slice_str("1 FLAGS"), &out), TR_BAD);
    tr_clear(&out);
    uidmap_free(&map);
}

static void searches(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"s", "ALL", "ALL"},
        {"s", "UID 10:12", "UID 1:3"},
        {"s", "uid 10 unseen", "UID 1 unseen"},
        {"s", "NOT UID 15", "NOT NOT ALL"},
        {"s", "OR UID 10 (UID 11 NOT UID 12)", "OR UID 1 (UID 2 NOT UID 3)"},
        {"s", "1:5 UID *", "1:5 UID *"},
        {"s", "OR (UID 15:19) SUBJECT \"UID 10\"", "OR (NOT ALL) SUBJECT \"UID 10\""},
        {"s", "CHARSET UTF-8 SUBJECT {6}\r\nUID 10 UID 20",
         "CHARSET UTF-8 SUBJECT {6}\r\nUID 10 UID 6"},
        {"s", "HEADER Subject UID UID 10", "HEADER Subject UID UID 1"},
        {"s", "SUBJECT UID UID 14", "SUBJECT UID UID 5"},
        {"s", "(((SEEN)))", "(((SEEN)))"},
        {"s", "SEEN (UID 10)", "SEEN (UID 1)"},
        {"s", "", NULL},
        {"s", "WHAT", NULL},
        {"s", "UID", NULL},
        {"s", "UID x", NULL},
        {"s", "(SEEN", NULL},
        {"s", "SEEN)", NULL},
        {"s", "()", NULL},
        {"s", "NOT", NULL},
        {"s", "OR SEEN", NULL},
        {"s", "HEADER x", NULL},
        {"s", "SEEN  SEEN", NULL},
        {"s", "$", NULL},
        {"s", "MODSEQ 5", NULL},
        {"s", "OLDER 5", NULL},
        {"s", "RETURN (MIN) ALL", NULL},
        {"s", "(SEEN)(SEEN)", NULL},
    };
    CHECK(rows, 0);
    static const struct row more[] = {
        {"s", "OLDER 5", "OLDER 5"},
        {"s", "RETURN (MIN COUNT) UID 10", "RETURN (MIN COUNT) UID 1"},
        {"s", "RETURN () CHARSET UTF-8 ALL", "RETURN () CHARSET UTF-8 ALL"},
        {"s", "RETURN (SAVE) ALL", NULL},
        {"o", "(REVERSE DATE) UTF-8 UID 10:11", "(REVERSE DATE) UTF-8 UID 1:2"},
        {"o", "(DATE) UTF-8", NULL},
        {"o", "RETURN (MIN) (DATE) UTF-8 ALL", NULL},
        {"t", "REFERENCES UTF-8 UID 10", "REFERENCES UTF-8 UID 1"},
        {"t", "REFERENCES UTF-8", NULL},
    };
    CHECK(more, CAP_BIT(WITHIN) | CAP_BIT(ESEARCH) | CAP_BIT(SORT));
}

static void deep(void **state)
{
    (void)state;
    const struct tr_view v = {NULL, 0, to_new, NULL};
    struct buf in = {0};
    struct tr_out out = {0};
    for (unsigned i = 0; i < 100000; i++)
        buf_putc(&in, '(');
    assert_int_equal(tr_command("s", &v, buf_slice(&in), &out), TR_BAD);
    tr_clear(&out);
    buf_clear(&in);
    for (unsigned i = 0; i < 100000; i++)
        buf_puts(&in, "NOT ");
    buf_puts(&in, "SEEN");
    assert_int_equal(tr_command("s", &v, buf_slice(&in), &out), TR_BAD);
    tr_clear(&out);
    buf_free(&in);
}

/* No prefix of a command may read past its end or be taken for the whole. */
static void every_prefix(void **state)
{
    (void)state;
    struct uidmap map;
    make_map(&map);
    const struct tr_view v = {&map, ~(uint64_t)0, to_new, NULL};
    static const char *const g[] = {"ui", "ua", "um", "mm", "ml", "s", "o", "t", "mw"};
    static const char text[] =
        "RETURN (MIN) CHARSET {3}\r\nabc OR UID 10:14 (NOT HEADER \"a\\\"b\" x) 1:*";
    for (size_t k = 0; k < sizeof(g) / sizeof(*g); k++) {
        for (size_t n = 0; n < sizeof(text); n++) {
            struct slice cut = slice_make(slice_dup(slice_make(text, n)), n);
            struct tr_out out = {0};
            (void)tr_command(g[k], &v, cut, &out);
            tr_clear(&out);
            free((void *)(uintptr_t)cut.p);
        }
    }
    uidmap_free(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(fetch_and_store),
                                       cmocka_unit_test(mailboxes),
                                       cmocka_unit_test(outcomes),
                                       cmocka_unit_test(searches),
                                       cmocka_unit_test(deep),
                                       cmocka_unit_test(every_prefix)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
