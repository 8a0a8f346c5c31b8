/* Commands of the client on their way to the new host: the translator as a pure function. */
#include "config.h"
#include "unit.h"
#include "front/list.h"
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
    const struct tr_view v = {.map = &map,
                              .caps = caps,
                              .name_to_new = to_new,
                              .enabled = caps,
                              .modseq = {.shift = 1000, .old = 500, .new = 70, .complete = true}};
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
        {"qi", "1 BINARY[1]", NULL},
        {"qi", "1 PREVIEW", NULL},
        {"qi", "1 SAVEDATE", NULL},
        {"s", "SAVEDON 1-Jan-2020", NULL},
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
    const struct tr_view v = {.map = &map, .name_to_new = to_new};
    struct tr_out out = {0};
    assert_int_equal(tr_command("ui", &v, slice_str("15:19,30:40 FLAGS"), &out), TR_OK);
    assert_string_equal(buf_cstr(&out.text), "4294967295 FLAGS");
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
    const struct tr_view none = {.name_to_new = to_new};
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
        {"o", "RETURN (MIN) (DATE) UTF-8 ALL", NULL}, /* without ESORT */
        {"t", "REFERENCES UTF-8 UID 10", "REFERENCES UTF-8 UID 1"},
        {"t", "REFERENCES UTF-8", NULL},
    };
    CHECK(more, CAP_BIT(WITHIN) | CAP_BIT(ESEARCH) | CAP_BIT(SORT));
}

/* What only some hosts can. */
static void extensions(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"qi", "1 BINARY[1.2]", "1 BINARY[1.2]"},
        {"ui", "10 (UID binary.peek[]<0.100> BINARY.SIZE[1])", "1 (UID binary.peek[]<0.100> BINARY.SIZE[1])"},
        {"qi", "1 BINARY", NULL},
        {"qi", "1 BINARY.PEEK", NULL},
        {"qi", "1 PREVIEW", "1 PREVIEW"},
        {"qi", "1 PREVIEW (LAZY)", "1 PREVIEW (LAZY)"},
        {"ui", "10 (PREVIEW (lazy) SAVEDATE UID)", "1 (PREVIEW (lazy) SAVEDATE UID)"},
        {"qi", "1 (PREVIEW SAVEDATE)", "1 (PREVIEW SAVEDATE)"},
        {"qi", "1 (PREVIEW (LAZY X))", NULL},
        {"qi", "1 (PREVIEW (FUZZY))", NULL},
        {"qi", "1 (PREVIEW (LAZY", NULL},
        {"qi", "1 (FLAGS (LAZY))", NULL},
        {"qi", "1 PREVIEWS", NULL},
        {"qi", "1 SAVEDATE (LAZY)", NULL},
        {"s", "SAVEDATESUPPORTED UID 10", "SAVEDATESUPPORTED UID 1"},
        {"s", "NOT SAVEDBEFORE 1-Jan-2020", "NOT SAVEDBEFORE 1-Jan-2020"},
        {"s", "OR SAVEDON 1-Jan-2020 SAVEDSINCE 2-Jan-2020", "OR SAVEDON 1-Jan-2020 SAVEDSINCE 2-Jan-2020"},
        {"s", "SAVEDSINCE", NULL},
        {"umw", "11 INBOX.a (\\Seen) \" 1-Jan-2000 00:00:00 +0000\"",
         "2 \"a\" (\\Seen) \" 1-Jan-2000 00:00:00 +0000\" "},
        {"qmw", "4 INBOX.a", "4 \"a\" "},
        {"qmw", "INBOX.a", NULL},
    };
    CHECK(rows, CAP_BIT(BINARY) | CAP_BIT(PREVIEW) | CAP_BIT(SAVEDATE) | CAP_BIT(REPLACE));
}

static void deep(void **state)
{
    (void)state;
    const struct tr_view v = {.name_to_new = to_new};
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
    const struct tr_view v = {
        .map = &map, .caps = ~(uint64_t)0, .name_to_new = to_new, .enabled = ~(uint64_t)0};
    static const char *const g[] = {"ui", "uic", "ua", "um", "mm", "ml", "mp", "s",   "o",
                                    "t",  "mw",  "mC", "rL", "g",  "Me", "mnn"};
    static const char text[] =
        "RETURN (MIN) CHARSET {3}\r\nabc OR UID 10:14 (NOT HEADER \"a\\\"b\" x) 1:*";
    for (size_t k = 0; k < sizeof(g) / sizeof(*g); k++) {
        for (size_t n = 0; n < sizeof(text); n++) {
            struct slice cut = slice_make(slice_dup(slice_make(text, n)), n);
            struct tr_out out = {0};
            struct list_want want = {0};
            (void)tr_command(g[k], &v, cut, &out);
            (void)list_want_parse(&want, false, cut, 0);
            tr_clear(&out);
            list_want_free(&want);
            free((void *)(uintptr_t)cut.p);
        }
    }
    uidmap_free(&map);
}

/* The switch was at 500 on old and 70 on new, the shift is 1000. */
static void mod_sequences(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"qic", "1 (MODSEQ FLAGS)", "1 (MODSEQ FLAGS)"},
        {"qic", "1 FLAGS (CHANGEDSINCE 1080)", "1 FLAGS (CHANGEDSINCE 80)"},
        {"qic", "1 FLAGS (changedsince 500)", "1 FLAGS (CHANGEDSINCE 70)"},
        {"qic", "1 FLAGS (CHANGEDSINCE 501)", "1 FLAGS (CHANGEDSINCE 1)"},
        {"qic", "1 FLAGS (CHANGEDSINCE 1000)", "1 FLAGS (CHANGEDSINCE 1)"},
        {"qic", "1 FLAGS (CHANGEDSINCE 499)", "1 FLAGS (CHANGEDSINCE 1)"},
        {"qic", "1 FLAGS (CHANGEDSINCE 0)", "1 FLAGS (CHANGEDSINCE 1)"},
        {"uic", "10:20 (FLAGS) (CHANGEDSINCE 1001 VANISHED)",
         "1:6 (FLAGS) (CHANGEDSINCE 1 VANISHED)"},
        {"uic", "10 FLAGS (VANISHED CHANGEDSINCE 500)", "1 FLAGS (CHANGEDSINCE 70 VANISHED)"},
        {"uic", "$ FLAGS (CHANGEDSINCE 500 VANISHED)", "$ FLAGS (CHANGEDSINCE 70 VANISHED)"},
        {"qic", "1 FLAGS (CHANGEDSINCE 500 VANISHED)", NULL},
        {"uic", "10 FLAGS (VANISHED)", NULL},
        {"uic", "10 FLAGS (CHANGEDSINCE)", NULL},
        {"uic", "10 FLAGS (CHANGEDSINCE x)", NULL},
        {"uic", "10 FLAGS (CHANGEDSINCE 9223372036854775808)", NULL},
        {"uic", "10 FLAGS (CHANGEDSINCE 5 CHANGEDSINCE 5)", NULL},
        {"uic", "10 FLAGS (CHANGEDSINCE 5", NULL},
        {"uic", "10 FLAGS (CHANGEDSINCE 5) 6", NULL},
        {"uic", "10 FLAGS(CHANGEDSINCE 5)", NULL},
        {"uic", "10 FLAGS ()", NULL},
        {"ua", "10 (UNCHANGEDSINCE 1071) FLAGS ()", "1 (UNCHANGEDSINCE 71) FLAGS ()"},
        {"ua", "10 (UNCHANGEDSINCE 500) +FLAGS.SILENT (a)",
         "1 (UNCHANGEDSINCE 70) +FLAGS.SILENT (a)"},
        {"ua", "10 (UNCHANGEDSINCE 499) FLAGS ()", "1 (UNCHANGEDSINCE 0) FLAGS ()"},
        {"ua", "10 (UNCHANGEDSINCE 501) FLAGS ()", "1 (UNCHANGEDSINCE 0) FLAGS ()"},
        {"ua", "10 (UNCHANGEDSINCE 0) FLAGS ()", "1 (UNCHANGEDSINCE 0) FLAGS ()"},
        {"ua", "10 (UNCHANGEDSINCE) FLAGS ()", NULL},
        {"ua", "10 (UNCHANGEDSINCE 5 6) FLAGS ()", NULL},
        {"ua", "10 (UNCHANGEDSINCE 5)", NULL},
        {"ua", "10 (UNCHANGEDSINCE 5)FLAGS ()", NULL},
        {"s", "MODSEQ 1080 UID 10", "MODSEQ 80 UID 1"},
        {"s", "OR MODSEQ 501 (MODSEQ 500)", "OR MODSEQ 71 (MODSEQ 0)"},
        {"s", "OR MODSEQ 502 (MODSEQ 0)", "OR MODSEQ 0 (MODSEQ 0)"},
        {"s", "MODSEQ \"/flags/\\\\draft\" all 1080 SEEN",
         "MODSEQ \"/flags/\\\\draft\" all 80 SEEN"},
        {"s", "MODSEQ \"/flags/x\" 5", NULL},
        {"s", "MODSEQ", NULL},
        {"s", "MODSEQ SEEN", NULL},
        {"ml", "INBOX.a (HIGHESTMODSEQ UIDNEXT)", "\"a\" (HIGHESTMODSEQ UIDNEXT)"},
        {"mp", "INBOX.a", "\"a\""},
        {"mp", "INBOX.a (CONDSTORE)", "\"a\""},
        {"mp", "INBOX.a (QRESYNC (7 500 10:20 (1,2 10,20)) CONDSTORE)", "\"a\""},
        {"mp", "INBOX.a (QRESYNC (7 500 (1,2 10,20)))", "\"a\""},
        {"mp", "INBOX.a ()", NULL},
        {"mp", "INBOX.a (WHAT)", NULL},
        {"mp", "INBOX.a (QRESYNC)", NULL},
        {"mp", "INBOX.a (QRESYNC (7))", NULL},
        {"mp", "INBOX.a (QRESYNC (4294967296 5))", NULL},
        {"mp", "INBOX.a (QRESYNC (7 5 x))", NULL},
        {"mp", "INBOX.a (QRESYNC (7 5 1:2 (1)))", NULL},
        {"mp", "INBOX.a (QRESYNC (7 5) QRESYNC (7 5))", NULL},
        {"mp", "INBOX.a (QRESYNC (7 5)", NULL},
    };
    const uint64_t caps = CAP_BIT(CONDSTORE) | CAP_BIT(QRESYNC) | CAP_BIT(SEARCHRES);
    CHECK(rows, caps);
    static const struct row hidden[] = {
        {"qic", "1 MODSEQ", NULL},
        {"qic", "1 FLAGS (CHANGEDSINCE 5)", NULL},
        {"ua", "10 (UNCHANGEDSINCE 5) FLAGS ()", NULL},
        {"s", "MODSEQ 5", NULL},
        {"ml", "INBOX.a (HIGHESTMODSEQ)", NULL},
        {"mp", "INBOX.a (CONDSTORE)", NULL},
        {"ui", "$ FLAGS", NULL},
        {"s", "UID $", NULL},
    };
    CHECK(hidden, 0);
    static const struct row condstore[] = {
        {"mp", "INBOX.a (QRESYNC (7 5))", NULL},
        {"uic", "10 FLAGS (CHANGEDSINCE 5 VANISHED)", NULL},
    };
    CHECK(condstore, CAP_BIT(CONDSTORE));
}

static void saved_results(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"s", "RETURN (SAVE) UID 10", "RETURN (SAVE) UID 1"},
        {"s", "RETURN (SAVE MIN) $ UID 10", "RETURN (SAVE MIN) $ UID 1"},
        {"s", "UID $ SEEN", "UID $ SEEN"},
        {"s", "NOT $", "NOT $"},
        {"qi", "$ FLAGS", "$ FLAGS"},
        {"ui", "$ FLAGS", "$ FLAGS"},
        {"ua", "$ +FLAGS (a)", "$ +FLAGS (a)"},
        {"um", "$ INBOX.a", "$ \"a\""},
        {"u", "$", "$"},
        {"ui", "$,1 FLAGS", NULL},
        {"s", "UID 1,$", NULL},
        {"s", "RETURN (PARTIAL 1:5) ALL", NULL},
        {"o", "RETURN (SAVE ALL) (DATE) UTF-8 $", "RETURN (SAVE ALL) (DATE) UTF-8 $"},
        {"o", "RETURN (MIN) (DATE) UTF-8 UID 10", "RETURN (MIN) (DATE) UTF-8 UID 1"},
        {"o", "RETURN (UPDATE) (DATE) UTF-8 ALL", NULL},
        {"o", "RETURN (MIN)(DATE) UTF-8 ALL", NULL},
    };
    CHECK(rows, CAP_BIT(SEARCHRES) | CAP_BIT(ESEARCH) | CAP_BIT(ESORT));
}

static void check_vanished(const struct modseq *modseq, const char *command, const char *want)
{
    struct uidmap map;
    make_map(&map);
    const uint64_t all = ~(uint64_t)0;
    const struct tr_view v = {
        .map = &map, .caps = all, .name_to_new = to_new, .enabled = all, .modseq = *modseq};
    struct tr_out out = {0};
    enum tr r = tr_command("uic", &v, slice_str(command), &out);
    assert_int_equal(r, TR_OK);
    assert_true(out.condstore);
    assert_string_equal(buf_cstr(&out.vanished), want);
    tr_clear(&out);
    uidmap_free(&map);
}

/* What the view never had, or has no more, is told to who may believe otherwise. */
static void gaps(void **state)
{
    (void)state;
    struct modseq m = {.shift = 1000, .old = 500, .new = 70, .complete = true};
    check_vanished(&m, "1:* FLAGS (CHANGEDSINCE 499 VANISHED)", "1:9,15:19,30:4999");
    check_vanished(&m, "9:16 FLAGS (CHANGEDSINCE 1 VANISHED)", "9,15:16");
    check_vanished(&m, "15:16 FLAGS (CHANGEDSINCE 1 VANISHED)", "15:16"); /* nothing is mapped */
    check_vanished(&m, "1:* FLAGS (CHANGEDSINCE 499)", "");
    check_vanished(&m, "1:* FLAGS (CHANGEDSINCE 500 VANISHED)", "");
    check_vanished(&m, "1:* FLAGS (CHANGEDSINCE 501 VANISHED)", "1:9,15:19,30:4999");
    check_vanished(&m, "1:* FLAGS (CHANGEDSINCE 1000 VANISHED)", "1:9,15:19,30:4999");
    check_vanished(&m, "1:* FLAGS (CHANGEDSINCE 1001 VANISHED)", "");
    m.complete = false; /* something was left behind */
    check_vanished(&m, "1:* FLAGS (CHANGEDSINCE 500 VANISHED)", "1:9,15:19,30:4999");
    check_vanished(&m, "1:* FLAGS (CHANGEDSINCE 1001 VANISHED)", "");
    m = (struct modseq){.complete = true}; /* old had none */
    check_vanished(&m, "1:* FLAGS (CHANGEDSINCE 1 VANISHED)", "");
    check_vanished(&m, "$ FLAGS (CHANGEDSINCE 1 VANISHED)", "");
}

static void check_qresync(const struct modseq *m, const char *params, const char *want,
                          const char *vanished)
{
    struct uidmap map;
    make_map(&map);
    const uint64_t all = ~(uint64_t)0;
    const struct tr_view none = {.caps = all, .name_to_new = to_new, .enabled = all};
    const struct tr_view v = {.map = &map, .modseq = *m};
    struct tr_out out = {0};
    struct buf text = {0};
    assert_int_equal(tr_command("mp", &none, slice_str(params), &out), TR_OK);
    assert_int_equal(tr_select_put(&v, &out.select, 7, 3, &text, &out.vanished), want[0] != '\0');
    assert_string_equal(buf_cstr(&text), want);
    assert_string_equal(buf_cstr(&out.vanished), vanished);
    buf_free(&text);
    tr_clear(&out);
    uidmap_free(&map);
}

static void select_params(void **state)
{
    (void)state;
    const struct modseq m = {.shift = 1000, .old = 500, .new = 70, .complete = true};
    check_qresync(&m, "x (QRESYNC (7 500))", "(QRESYNC (3 70))", "");
    check_qresync(&m, "x (QRESYNC (7 499))", "(QRESYNC (3 1))", "1:9,15:19,30:4999");
    check_qresync(&m, "x (QRESYNC (7 1003 10:21))", "(QRESYNC (3 3 1:7))", "");
    check_qresync(&m, "x (QRESYNC (7 400 10:21 (1:3 10:12)))", "(QRESYNC (3 1 1:7))", "15:19");
    check_qresync(&m, "x (QRESYNC (7 400 16:18))", "", "16:18");
    check_qresync(&m, "x (QRESYNC (8 400))", "", ""); /* another mailbox */
    check_qresync(&m, "x (CONDSTORE)", "", "");
}

/* No value ever turns into one that hides a change. */
static void modseq_values(void **state)
{
    (void)state;
    const struct modseq zero = {.complete = true}, late = {.shift = 1000, .complete = true};
    assert_int_equal(modseq_to_new(&zero, MODSEQ_AFTER, 5), 5);
    assert_int_equal(modseq_to_new(&zero, MODSEQ_AFTER, 0), 1);
    assert_int_equal(modseq_to_new(&zero, MODSEQ_FROM, 0), 0);
    assert_int_equal(modseq_to_new(&zero, MODSEQ_NOT_AFTER, 0), 0);
    assert_false(modseq_wants_gaps(&zero, 1));
    /* Neither host told one at the switch. */
    assert_int_equal(modseq_to_new(&late, MODSEQ_AFTER, 900), 1);
    assert_int_equal(modseq_to_new(&late, MODSEQ_FROM, 900), 0);
    assert_int_equal(modseq_to_new(&late, MODSEQ_NOT_AFTER, 900), 0);
    assert_true(modseq_wants_gaps(&late, 900));
    assert_int_equal(modseq_to_view(1000, 5), 1005);
    assert_int_equal(modseq_to_view(1000, 0), 0);
    assert_int_equal(modseq_to_view(1000, INT64_MAX), 0);
    assert_int_equal(modseq_to_view(1000, INT64_MAX - 1000), INT64_MAX);
    for (uint64_t host = 1; host < 100; host++)
        assert_int_equal(modseq_to_new(&late, MODSEQ_AFTER, modseq_to_view(1000, host)), host);
}

/* A root that is a mailbox is called like it. */
static void root_to_new(void *arg, struct slice view, struct buf *out)
{
    (void)to_new(arg, view, out);
}

static void about_mailboxes(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"mC", "INBOX.a", "\"a\""},
        {"mC", "INBOX.a (USE (\\Sent))", "\"a\" (USE (\\Sent))"},
        {"mC", "INBOX.a (USE (\\Sent \\Drafts))", "\"a\" (USE (\\Sent \\Drafts))"},
        {"mC", "INBOX.a (use ())", "\"a\" (use ())"},
        {"mC", "INBOX.a (USE (Sent))", NULL},
        {"mC", "INBOX.a (USE(\\Sent))", NULL},
        {"mC", "INBOX.a (USE (\\Sent)", NULL},
        {"mC", "INBOX.a (X (\\Sent))", NULL},
        {"mC", "INBOX.a USE", NULL},
        {"r", "\"User quota\"", "\"User quota\""},
        {"r", "INBOX.a", "\"a\""},
        {"r", "\"\"", "\"\""},
        {"r", "{7}\r\nINBOX.a", "\"a\""},
        {"r", "()", NULL},
        {"rL", "INBOX.a (STORAGE 5 MESSAGE 0)", "\"a\" (STORAGE 5 MESSAGE 0)"},
        {"rL", "INBOX.a ()", "\"a\" ()"},
        {"rL", "INBOX.a (STORAGE)", NULL},
        {"rL", "INBOX.a (STORAGE -1)", NULL},
        {"rL", "INBOX.a STORAGE 5", NULL},
        {"mnn", "INBOX.a \"x y\" +lr", "\"a\" \"x y\" +lr"},
        {"mnn", "INBOX.a {1}\r\nx lr", "\"a\" {1}\r\nx lr"},
        {"mnn", "INBOX.a x", NULL},
        {"mnn", "INBOX.a x (l)", NULL},
        {"mn", "INBOX.a x y", NULL},
        {"g", "INBOX.a /a/b", "\"a\" /a/b"},
        {"g", "\"\" /a/b", "\"\" /a/b"},
        {"g", "INBOX.a (/a/b \"/c d\")", "\"a\" (/a/b \"/c d\")"},
        {"g", "(DEPTH 1) INBOX.a /a", "(DEPTH 1) \"a\" /a"},
        {"g", "(MAXSIZE 5 DEPTH infinity) INBOX.a (/a /b)", "(MAXSIZE 5 DEPTH infinity) \"a\" (/a /b)"},
        {"g", "INBOX.a (MAXSIZE 5) (/a /b)", "(MAXSIZE 5) \"a\" (/a /b)"},
        {"g", "INBOX.a (MAXSIZE 5) /a", "(MAXSIZE 5) \"a\" /a"},
        {"g", "(DEPTH 2) INBOX.a /a", NULL},
        {"g", "(DEPTH) INBOX.a /a", NULL},
        {"g", "(X 1) INBOX.a /a", NULL},
        {"g", "(DEPTH 1)INBOX.a /a", NULL},
        {"g", "INBOX.a a", NULL},
        {"g", "INBOX.a ()", NULL},
        {"g", "INBOX.a (MAXSIZE 5)", NULL},
        {"g", "INBOX.a", NULL},
        {"g", "INBOX.a /a /b", NULL},
        {"Me", "INBOX.a (/a \"x\" /b NIL)", "\"a\" (/a \"x\" /b NIL)"},
        {"Me", "\"\" (/a {3}\r\nx\r\n)", "\"\" (/a {3}\r\nx\r\n)"},
        {"Me", "INBOX.a (/a ~{1}\r\nx)", "\"a\" (/a ~{1}\r\nx)"},
        {"Me", "INBOX.a (/a)", NULL},
        {"Me", "INBOX.a (/a x)", NULL},
        {"Me", "INBOX.a ()", NULL},
        {"Me", "INBOX.a (a \"x\")", NULL},
        {"Me", "INBOX.a (/a \"x\"", NULL},
    };
    struct uidmap map;
    make_map(&map);
    const struct tr_view v = {
        .map = &map, .caps = ~(uint64_t)0, .name_to_new = to_new, .root_to_new = root_to_new};
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct tr_out out = {0};
        enum tr r = tr_command(rows[i].grammar, &v, slice_str(rows[i].in), &out);
        if (r != (rows[i].out == NULL ? TR_BAD : TR_OK))
            fail_msg("%s: %d (%s)", rows[i].in, (int)r, out.error);
        if (r == TR_OK)
            assert_string_equal(buf_cstr(&out.text), rows[i].out);
        tr_clear(&out);
    }
    uidmap_free(&map);
    static const struct row off[] = {
        {"mC", "INBOX.a (USE (\\Sent))", NULL},
        {"ml", "INBOX.a (SIZE)", NULL},
    };
    CHECK(off, 0);
    static const struct row size[] = {{"ml", "INBOX.a (SIZE MESSAGES)", "\"a\" (SIZE MESSAGES)"}};
    CHECK(size, CAP_BIT(STATUS_SIZE));
    static const struct row missing[] = {{"g", "(DEPTH 1) no (", NULL}, {"Me", "no (/a", NULL}};
    CHECK(missing, 0);
}

static void list_arguments(void **state)
{
    (void)state;
    static const struct {
        const char *args, *pattern, *status; /* pattern NULL: BAD; the last one */
        unsigned n;
        bool extended, root;
    } rows[] = {
        {"\"\" *", "*", "", 1, false, false},
        {"INBOX. %", "INBOX.%", "", 1, false, false},
        {"\"\" \"\"", "", "", 1, false, true},
        {"() \"\" \"\"", "", "", 1, true, true},
        {"(SUBSCRIBED) \"\" \"\"", "", "", 1, true, false},
        {"\"\" (\"\")", "", "", 1, true, false},
        {"\"\" (a b c)", "c", "", 3, true, false},
        {"\"\" * RETURN ()", "*", "", 1, true, false},
        {"\"\" * return (status (messages UIDNEXT) children)", "*", "(messages UIDNEXT)", 1, true, false},
        {"(remote recursivematch subscribed) x y", "xy", "", 1, true, false},
        {"(recursivematch special-use) x {1}\r\ny", "xy", "", 1, true, false},
        {"(recursivematch) x y", NULL, NULL, 0, false, false},
        {"(x) x y", NULL, NULL, 0, false, false},
        {"(subscribed)x y", NULL, NULL, 0, false, false},
        {"(subscribed x y", NULL, NULL, 0, false, false},
        {"\"\"", NULL, NULL, 0, false, false},
        {"\"\" a b", NULL, NULL, 0, false, false},
        {"\"\" ()", NULL, NULL, 0, false, false},
        {"\"\" (a (b))", NULL, NULL, 0, false, false},
        {"\"\" * RETURN", NULL, NULL, 0, false, false},
        {"\"\" * RETURN (x)", NULL, NULL, 0, false, false},
        {"\"\" * RETURN () x", NULL, NULL, 0, false, false},
        {"\"\" * RETURN (STATUS)", NULL, NULL, 0, false, false},
        {"\"\" * RETURN (STATUS ())", NULL, NULL, 0, false, false},
        {"\"\" * RETURN (STATUS (SIZE))", NULL, NULL, 0, false, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct list_want w = {0};
        bool ok = list_want_parse(&w, false, slice_str(rows[i].args), 0);
        if (ok != (rows[i].pattern != NULL))
            fail_msg("%s: %s", rows[i].args, ok ? "taken" : w.error);
        if (ok) {
            assert_int_equal(w.n, rows[i].n);
            assert_string_equal(buf_cstr(&w.patterns[w.n - 1]), rows[i].pattern);
            assert_string_equal(buf_cstr(&w.status), rows[i].status);
            assert_int_equal(w.extended, rows[i].extended);
            assert_int_equal(w.root, rows[i].root);
        }
        list_want_free(&w);
    }
    struct list_want w = {0};
    struct buf many = {0};
    buf_puts(&many, "\"\" (");
    for (int i = 0; i <= LIST_PATTERNS; i++)
        buf_puts(&many, i > 0 ? " x" : "x");
    buf_putc(&many, ')');
    assert_false(list_want_parse(&w, false, buf_slice(&many), 0));
    list_want_free(&w);
    buf_free(&many);
    assert_false(list_want_parse(&w, true, slice_str("\"\" * RETURN (CHILDREN)"), 0));
    list_want_free(&w);
}

static void list_flags(void **state)
{
    (void)state;
    struct list_want w = {.extended = true};
    struct buf out = {0};
    assert_true(list_flags_put(&w, slice_str("\\HasChildren \\Sent \\Subscribed \\Marked"), &out));
    assert_string_equal(buf_cstr(&out), "\\Marked");
    w.special = true;
    assert_true(list_flags_put(&w, slice_str("\\sent"), &out));
    assert_string_equal(buf_cstr(&out), "\\Marked \\sent");
    assert_false(list_flags_put(&w, slice_str("\\Noselect"), &out));
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(fetch_and_store),
                                       cmocka_unit_test(mailboxes),
                                       cmocka_unit_test(outcomes),
                                       cmocka_unit_test(searches),
                                       cmocka_unit_test(extensions),
                                       cmocka_unit_test(deep),
                                       cmocka_unit_test(mod_sequences),
                                       cmocka_unit_test(saved_results),
                                       cmocka_unit_test(gaps),
                                       cmocka_unit_test(select_params),
                                       cmocka_unit_test(modseq_values),
                                       cmocka_unit_test(every_prefix),
                                       cmocka_unit_test(about_mailboxes),
                                       cmocka_unit_test(list_arguments),
                                       cmocka_unit_test(list_flags)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
