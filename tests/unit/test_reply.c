/* Replies of the new host on their way to the client, through the real parser, cut at every byte.
 */
#include "config.h"
#include "unit.h"
#include "front/caps.h"
#include "front/reply.h"
#include "wherry/imap/caps.h"
#include <string.h>

static void make_map(struct uidmap *m)
{
    uidmap_init(m);
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(uidmap_add(m, 10 + i, 1 + i), 0);
    for (uint32_t i = 0; i < 10; i++)
        assert_int_equal(uidmap_add(m, 20 + i, 6 + i), 0);
    assert_int_equal(uidmap_set_tail(m, 5000, 100), 0);
}

/* Feeds text in pieces of cut bytes; gathered kinds of data are left out. */
static uint64_t run(const struct reply_view *v, struct slice text, size_t cut, struct buf *out)
{
    struct resp_reader reader;
    struct reply r = {0};
    struct resp ev;
    struct buf in = {0};
    imap_resp_init(&reader);
    for (size_t at = 0; at < text.n; at += cut) {
        size_t used = 0, n = text.n - at < cut ? text.n - at : cut;
        buf_put(&in, text.p + at, n);
        while (imap_resp_next(&reader, buf_slice(&in), &used, &ev) == CODEC_DONE) {
            if (ev.kind >= RESP_BEGIN)
                reply_feed(&r, v, &ev, out);
            buf_consume(&in, used);
        }
        buf_consume(&in, used);
    }
    assert_int_equal(in.len, 0);
    buf_free(&in);
    return r.unmapped;
}

static void check(const struct reply_view *v, const char *text, const char *want)
{
    for (size_t cut = 1; cut <= strlen(text); cut++) {
        struct buf out = {0};
        (void)run(v, slice_str(text), cut, &out);
        if (strcmp(buf_cstr(&out), want) != 0)
            fail_msg("cut %zu of %s: %s", cut, text, buf_cstr(&out));
        buf_free(&out);
    }
}

static void fetches(void **state)
{
    (void)state;
    struct uidmap map;
    make_map(&map);
    struct reply_view v = {.open = true, .map = &map, .modseq_shift = 1000};
    check(&v, "* 1 FETCH (UID 1 FLAGS (\\Seen key))\r\n",
          "* 1 FETCH (UID 10 FLAGS (\\Seen key))\r\n");
    check(&v, "* 7 FETCH (FLAGS () UID 100)\r\n", "* 7 FETCH (FLAGS () UID 5000)\r\n");
    check(&v, "* 1 FETCH (BODY[] {5}\r\nUID 1 UID 2)\r\n",
          "* 1 FETCH (BODY[] {5}\r\nUID 1 UID 11)\r\n");
    check(&v, "* 1 FETCH (UID 6 BODY[HEADER.FIELDS (A UID)] \"x (UID 1)\" BODY[TEXT]<0> NIL)\r\n",
          "* 1 FETCH (UID 20 BODY[HEADER.FIELDS (A UID)] \"x (UID 1)\" BODY[TEXT]<0> NIL)\r\n");
    check(&v, "* 1 FETCH (ENVELOPE (\"d\" {3}\r\nUID ((NIL NIL \"a\" UID)) 5) UID 1)\r\n",
          "* 1 FETCH (ENVELOPE (\"d\" {3}\r\nUID ((NIL NIL \"a\" UID)) 5) UID 10)\r\n");
    check(&v, "* 1 FETCH (MODSEQ (77) UID 1)\r\n", "* 1 FETCH (UID 10)\r\n");
    check(&v, "* 1 FETCH (MODSEQ (77))\r\n* 2 EXISTS\r\n", "* 2 EXISTS\r\n");
    check(&v, "* 1 FETCH (BINARY[1]<0> ~{5}\r\n(UID  UID 1 BINARY.SIZE[1] 5)\r\n",
          "* 1 FETCH (BINARY[1]<0> ~{5}\r\n(UID  UID 10 BINARY.SIZE[1] 5)\r\n");
    check(&v, "* 1 FETCH (PREVIEW \"UID 1\" SAVEDATE NIL UID 1)\r\n",
          "* 1 FETCH (PREVIEW \"UID 1\" SAVEDATE NIL UID 10)\r\n");
    check(&v, "* 1 FETCH (BODY[] {0}\r\n UID 1)\r\n", "* 1 FETCH (BODY[] {0}\r\n UID 10)\r\n");
    v.modseq = true;
    check(&v, "* 1 FETCH (MODSEQ (77) UID 1)\r\n", "* 1 FETCH (MODSEQ (1077) UID 10)\r\n");
    check(&v, "* 1 FETCH (UID 50 FLAGS ())\r\n* 2 FETCH (UID 50)\r\n", "* 1 FETCH (FLAGS ())\r\n");
    struct buf out = {0};
    assert_int_equal(run(&v, slice_str("* 1 FETCH (UID 50)\r\n"), 3, &out), 1);
    buf_free(&out);
    v.open = false;
    v.map = NULL;
    check(&v, "* 1 FETCH (UID 1 BODY[] {3}\r\nabc)\r\n* 3 EXISTS\r\n", "");
    uidmap_free(&map);
}

/* The short way makes the same, and takes no more than it understands. */
static void plain_lines(void **state)
{
    (void)state;
    struct uidmap map;
    make_map(&map);
    struct reply_view v = {.open = true, .map = &map};
    static const struct {
        const char *in, *out; /* out NULL: left for the long way */
    } rows[] = {
        {"* 1 FETCH (UID 1 FLAGS (\\Seen $x))\r\n", "* 1 FETCH (UID 10 FLAGS (\\Seen $x))\r\n"},
        {"* 7 FETCH (FLAGS () UID 15 RFC822.SIZE 9)\r\n",
         "* 7 FETCH (FLAGS () UID 29 RFC822.SIZE 9)\r\n"},
        {"* 7 FETCH (UID 4294967295)\r\n", NULL},
        {"* 7 FETCH (INTERNALDATE \" 1-Jan-2020 00:00:00 +0000\" UID 100)\r\n",
         "* 7 FETCH (INTERNALDATE \" 1-Jan-2020 00:00:00 +0000\" UID 5000)\r\n"},
        {"* 7 FETCH (UID 50)\r\n", NULL},
        {"* 7 FETCH (UID 1)\n", NULL},
        {"* 7 FETCH (UID 1) \r\n", NULL},
        {"* 7 FETCH (UID 1", NULL},
        {"* 7 FETCH ()\r\n", NULL},
        {"* 7 FETCH (UID 1 )\r\n", NULL},
        {"* 7 FETCH (FLAGS (a  b))\r\n", NULL},
        {"* 7 FETCH (FLAGS (a \"b\"))\r\n", NULL},
        {"* 7 FETCH (BODY[] {1}\r\nx UID 1)\r\n", NULL},
        {"* 7 FETCH (MODSEQ (1) UID 1)\r\n", NULL},
        {"* 7 FETCH (UID 1 UID 2)\r\n", NULL}, /* each could grow */
        {"* 7 FETCH (UID 1 ENVELOPE (\"a\" NIL ((\"x\" NIL \"a\" \"b\\\"c\\\\\")) NIL))\r\n",
         "* 7 FETCH (UID 10 ENVELOPE (\"a\" NIL ((\"x\" NIL \"a\" \"b\\\"c\\\\\")) NIL))\r\n"},
        {"* 7 FETCH (BODYSTRUCTURE ((\"TEXT\" \"PLAIN\" 12 3)(\"X\" \"Y\" ()) \"MIXED\") UID 2)\r\n",
         "* 7 FETCH (BODYSTRUCTURE ((\"TEXT\" \"PLAIN\" 12 3)(\"X\" \"Y\" ()) \"MIXED\") UID 11)\r\n"},
        {"* 7 FETCH (BODY (\"UID 1\") UID 1)\r\n", "* 7 FETCH (BODY (\"UID 1\") UID 10)\r\n"},
        {"* 7 FETCH (ENVELOPE ({3}\r\nabc NIL))\r\n", NULL},
        {"* 7 FETCH (ENVELOPE (a  b))\r\n", NULL},
        {"* 7 FETCH (ENVELOPE ( a))\r\n", NULL},
        {"* 7 FETCH (ENVELOPE (a ))\r\n", NULL},
        {"* 7 FETCH (ENVELOPE (\"a\\x\"))\r\n", NULL},
        {"* 7 FETCH (ENVELOPE (\"a\\\"))\r\n", NULL},
        {"* 7 FETCH (ENVELOPE (\"a\x01\"))\r\n", NULL},
        {"* 7 FETCH (ENVELOPE (a UID 1)\r\n", NULL},
        {"* 7 EXISTS\r\n", NULL},
        {"* 0 FETCH (UID 1)\r\n", NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct buf in = {0}, out = {0};
        buf_puts(&in, rows[i].in);
        size_t used = reply_fast(&v, buf_slice(&in), &out);
        assert_int_equal(used, rows[i].out != NULL ? in.len : 0);
        assert_string_equal(buf_cstr(&out), rows[i].out != NULL ? rows[i].out : "");
        if (rows[i].out != NULL)
            check(&v, rows[i].in, rows[i].out);
        buf_free(&in);
        buf_free(&out);
    }
    uidmap_free(&map);
}

/* What is left of a SEARCH that has begun: whole numbers with something behind them. */
static void plain_numbers(void **state)
{
    (void)state;
    struct uidmap map;
    make_map(&map);
    static const struct {
        bool uid;
        const char *in;
        size_t used;
        const char *out;
    } rows[] = {
        {true, " 1 2 5 15 100 101\r\n", 17, " 10 11 14 29 5000 5001"},
        {false, " 1 2 4294967295 7", 15, " 1 2 4294967295"},
        {true, " 1 50 2\r\n", 2, " 10"}, /* no such message in the view */
        {true, " 1 4294967295 2\r\n", 2, " 10"},
        {false, " 1 4294967296 2\r\n", 2, " 1"},
        {false, " 1 18446744073709551617 2\r\n", 2, " 1"},
        {false, " 1 02 3\r\n", 2, " 1"},
        {false, " 1 0 3\r\n", 2, " 1"},
        {false, " 1  3\r\n", 2, " 1"},
        {false, " 1 3\n", 2, " 1"},
        {false, " 1 3(MODSEQ 5)\r\n", 2, " 1"},
        {false, " 1 2 (MODSEQ 5)\r\n", 4, " 1 2"},
        {false, " (MODSEQ 5)\r\n", 0, ""},
        {false, "1 2\r\n", 0, ""},
        {false, "\r\n", 0, ""},
        {false, " ", 0, ""},
        {false, "", 0, ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct reply_view v = {.open = true, .map = &map, .uid_numbers = rows[i].uid};
        struct reply r = {.kind = REPLY_NUMBERS};
        struct buf out = {0};
        struct slice in = slice_str(rows[i].in);
        assert_int_equal(reply_fast_numbers(&r, &v, in, &out), rows[i].used);
        assert_string_equal(buf_cstr(&out), rows[i].out);
        r.depth = 1;
        assert_int_equal(reply_fast_numbers(&r, &v, in, &out), 0);
        r = (struct reply){.kind = REPLY_THREAD};
        assert_int_equal(reply_fast_numbers(&r, &v, in, &out), 0);
        buf_free(&out);
    }
    uidmap_free(&map);
}

static void plain_modseqs(void **state)
{
    (void)state;
    struct uidmap map;
    make_map(&map);
    struct reply_view v = {.open = true, .map = &map, .modseq = true, .modseq_shift = 1000};
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"* 7 FETCH (UID 1 FLAGS () MODSEQ (1))\r\n",
         "* 7 FETCH (UID 10 FLAGS () MODSEQ (1001))\r\n"},
        {"* 7 FETCH (MODSEQ (9223372036854774807))\r\n",
         "* 7 FETCH (MODSEQ (9223372036854775807))\r\n"},
        {"* 7 FETCH (MODSEQ (9223372036854774808) UID 1)\r\n", NULL},
        {"* 7 FETCH (MODSEQ (99999999999999999999) UID 1)\r\n", NULL},
        {"* 7 FETCH (MODSEQ (0) UID 1)\r\n", NULL},
        {"* 7 FETCH (MODSEQ () UID 1)\r\n", NULL},
        {"* 7 FETCH (MODSEQ (1 2) UID 1)\r\n", NULL},
        {"* 7 FETCH (MODSEQ (1) MODSEQ (1))\r\n", NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct buf out = {0};
        size_t used = reply_fast(&v, slice_str(rows[i].in), &out);
        assert_int_equal(used, rows[i].out != NULL ? strlen(rows[i].in) : 0);
        assert_string_equal(buf_cstr(&out), rows[i].out != NULL ? rows[i].out : "");
        if (rows[i].out != NULL)
            check(&v, rows[i].in, rows[i].out);
        buf_free(&out);
    }
    check(&v, "* 7 FETCH (MODSEQ (9223372036854774808) UID 1)\r\n", "* 7 FETCH (UID 10)\r\n");
    check(&v, "* 7 FETCH (MODSEQ (0))\r\n", "");
    uidmap_free(&map);
}

static void vanished(void **state)
{
    (void)state;
    struct uidmap map;
    make_map(&map);
    struct reply_view v = {.open = true, .map = &map, .vanished = true};
    check(&v, "* VANISHED 1:5\r\n", "* VANISHED 10:14\r\n");
    check(&v, "* VANISHED (EARLIER) 4:7,100\r\n", "* VANISHED (EARLIER) 13:14,20:21,5000\r\n");
    check(&v, "* vanished (earlier) 50\r\n* 3 EXISTS\r\n", "* 3 EXISTS\r\n");
    check(&v, "* VANISHED\r\n* VANISHED x\r\n* VANISHED 1:*\r\n* VANISHED (EARLIER)\r\n", "");
    check(&v, "* VANISHED 1 2\r\n", "* VANISHED 10\r\n");
    v.vanished = false;
    check(&v, "* VANISHED 1:5\r\n", "");
    v.vanished = true;
    v.open = false;
    check(&v, "* VANISHED 1:5\r\n", "");
    uidmap_free(&map);
    struct buf set = {0}, out = {0};
    reply_vanished_earlier(buf_slice(&set), &out);
    assert_int_equal(out.len, 0);
    reply_vanished_earlier(SLICE_LIT("5:6,9"), &out);
    assert_string_equal(buf_cstr(&out), "* VANISHED (EARLIER) 5:6,9\r\n");
    buf_clear(&out);
    buf_puts(&set, "1");
    for (unsigned i = 1; i < 3000; i++)
        buf_printf(&set, ",%u", 2 * i + 1);
    reply_vanished_earlier(buf_slice(&set), &out);
    struct buf joined = {0};
    struct slice rest = buf_slice(&out);
    const size_t head = strlen("* VANISHED (EARLIER) ");
    while (rest.n > 0) {
        const uint8_t *cr = memchr(rest.p, '\r', rest.n);
        size_t n = (size_t)(cr - rest.p);
        assert_true(n < 8100 && n > head);
        buf_printf(&joined, "%s%.*s", joined.len > 0 ? "," : "", (int)(n - head),
                   (const char *)rest.p + head);
        rest = slice_make(rest.p + n + 2, rest.n - n - 2);
    }
    assert_string_equal(buf_cstr(&joined), buf_cstr(&set));
    buf_free(&joined);
    buf_free(&set);
    buf_free(&out);
}

static void others(void **state)
{
    (void)state;
    struct uidmap map;
    make_map(&map);
    struct reply_view v = {.open = true, .map = &map};
    check(&v, "* 5 EXISTS\r\n* 0 RECENT\r\n* 3 EXPUNGE\r\n* FLAGS (\\Seen $x)\r\n",
          "* 5 EXISTS\r\n* 0 RECENT\r\n* 3 EXPUNGE\r\n* FLAGS (\\Seen $x)\r\n");
    check(&v, "* SEARCH\r\n* SEARCH 1 2 6\r\n", "* SEARCH\r\n* SEARCH 1 2 6\r\n");
    check(&v, "* VANISHED 1:5\r\n* X-JUNK {3}\r\nabc (UID 1)\r\n* CAPABILITY X\r\n* ENABLED X\r\n",
          "");
    v.uid_numbers = true;
    check(&v, "* SEARCH 1 2 6 100 (MODSEQ 5)\r\n", "* SEARCH 10 11 20 5000\r\n");
    check(&v, "* SORT 6 1\r\n", "* SORT 20 10\r\n");
    check(&v, "* THREAD (6) (MODSEQ 5)\r\n", "* THREAD (20)\r\n");
    check(&v, "* THREAD (1 2 (3)(4 5))(6)\r\n", "* THREAD (10 11 (12)(13 14))(20)\r\n");
    check(&v, "* SEARCH 50\r\n", "* SEARCH\r\n");
    v.modseq = true;
    v.modseq_shift = 1000;
    check(&v, "* SEARCH 1 6 (MODSEQ 5)\r\n", "* SEARCH 10 20 (MODSEQ 1005)\r\n");
    check(&v, "* SORT 6 1 (MODSEQ 5)\r\n", "* SORT 20 10 (MODSEQ 1005)\r\n");
    check(&v, "* THREAD (1)(2 (3)(4)) (MODSEQ 5)\r\n* THREAD (6)\r\n",
          "* THREAD (10)(11 (12)(13)) (MODSEQ 1005)\r\n* THREAD (20)\r\n");
    check(&v, "* SEARCH 1 (X 5) 6 (MODSEQ x)\r\n", "* SEARCH 10 20\r\n");
    v.map = NULL;
    check(&v, "* SEARCH 1\r\n* 3 EXISTS\r\n", "* 3 EXISTS\r\n");
    uidmap_free(&map);
}

static void esearch(void **state)
{
    (void)state;
    struct uidmap map;
    make_map(&map);
    struct reply_view v = {.open = true, .map = &map, .search_tag = slice_str("c7")};
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"(TAG \"w1\") UID MIN 1 MAX 100 COUNT 3 ALL 1:2,6",
         "* ESEARCH (TAG \"c7\") UID MIN 10 MAX 5000 COUNT 3 ALL 10:11,20\r\n"},
        {"(TAG \"w1\") COUNT 0", "* ESEARCH (TAG \"c7\") COUNT 0\r\n"},
        {"(TAG \"w1\") ALL 1:9 MODSEQ 5 WHAT (1 2)", "* ESEARCH (TAG \"c7\") ALL 1:9\r\n"},
        {"(TAG \"w1\") UID", "* ESEARCH (TAG \"c7\") UID\r\n"},
        {"(TAG \"w1\") ALL 1 MODSEQ 0", "* ESEARCH (TAG \"c7\") ALL 1\r\n"},
        {"", "* ESEARCH\r\n"},
        {"(TAG \"w1\") UID MIN", NULL},
        {"(TAG \"w1\") UID MIN x", NULL},
        {"(TAG \"w1\") UID ALL 1:x", NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct buf out = {0};
        int rc = reply_esearch(&v, slice_str(rows[i].in), &out);
        assert_int_equal(rc, rows[i].out != NULL ? 0 : E_PROTO);
        assert_string_equal(buf_cstr(&out), rows[i].out != NULL ? rows[i].out : "");
        buf_free(&out);
    }
    struct buf none = {0};
    v.search_tag = slice_str("");
    assert_int_equal(reply_esearch(&v, slice_str("(TAG \"w1\") COUNT 1"), &none), 0);
    assert_int_equal(none.len, 0);
    buf_free(&none);
    uidmap_free(&map);
}

static bool dest(void *arg, uint32_t new_uidvalidity, struct code_dest *out)
{
    out->map = arg;
    out->view_uidvalidity = 77;
    return new_uidvalidity == 5;
}

static void codes(void **state)
{
    (void)state;
    struct uidmap map, other;
    make_map(&map);
    uidmap_init(&other);
    uidmap_identity(&other);
    struct reply_view rv = {.open = true, .map = &map, .modseq_shift = 1000};
    struct code_view v = {&rv, true, dest, &other};
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"READ-WRITE", "READ-WRITE"},
        {"PERMANENTFLAGS (\\Seen \\*)", "PERMANENTFLAGS (\\Seen \\*)"},
        {"UNSEEN 5", "UNSEEN 5"},
        {"UIDNEXT 101", "UIDNEXT 5001"},
        {"UIDVALIDITY 5", ""},
        {"HIGHESTMODSEQ 5", ""},
        {"NOMODSEQ", ""},
        {"APPENDUID 5 200:210", "APPENDUID 77 200:210"},
        {"APPENDUID 6 200:210", ""},
        {"APPENDUID 5", ""},
        {"COPYUID 5 1:2,6 200:202", "COPYUID 77 10:11,20 200:202"},
        {"COPYUID 5 4:7 200:203", "COPYUID 77 13:14,20:21 200:203"},
        {"COPYUID 5 50 200", ""},
        {"MODIFIED 1:2", "MODIFIED 10:11"},
        {"MODIFIED 1:2,50", "MODIFIED 10:11"},
        {"MODIFIED 50", ""},
        {"CAPABILITY IMAP4rev1 X", ""},
        {"X-NEW INBOX/a", ""},
        {"MAILBOXID (abc)", ""},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct buf out = {0};
        bool shown = reply_code(&v, slice_str(rows[i].in), &out);
        if (shown != (rows[i].out[0] != '\0') || strcmp(buf_cstr(&out), rows[i].out) != 0)
            fail_msg("%s: %s", rows[i].in, buf_cstr(&out));
        buf_free(&out);
    }
    struct buf out = {0};
    assert_true(!reply_code(&v, slice_str("HIGHESTMODSEQ 0"), &out));
    rv.highest = true;
    v.uid_command = false;
    assert_true(!reply_code(&v, slice_str("HIGHESTMODSEQ 0"), &out));
    assert_true(reply_code(&v, slice_str("NOMODSEQ"), &out));
    buf_putc(&out, ',');
    assert_true(reply_code(&v, slice_str("HIGHESTMODSEQ 5"), &out));
    buf_putc(&out, ',');
    assert_true(reply_code(&v, slice_str("MODIFIED 1:2"), &out));
    assert_string_equal(buf_cstr(&out), "NOMODSEQ,HIGHESTMODSEQ 1005,MODIFIED 1:2");
    buf_free(&out);
    uidmap_free(&map);
    uidmap_free(&other);
}

static void texts(void **state)
{
    (void)state;
    struct buf out = {0};
    reply_text(&out, slice_str("No mailbox a/b: 'a/b' or xa/b\x01"), slice_str("a/b"),
               slice_str("INBOX.a.b"));
    assert_string_equal(buf_cstr(&out), "No mailbox INBOX.a.b: 'INBOX.a.b' or xa/b?");
    buf_free(&out);
}

static void capabilities(void **state)
{
    (void)state;
    struct buf out = {0};
    uint64_t host = imap_caps_parse(slice_str("IMAP4rev1 SASL-IR LITERAL+ IDLE UIDPLUS MOVE "
                                              "CONDSTORE QRESYNC UNSELECT SPECIAL-USE NOTIFY"));
    front_caps_put(&out, front_caps_offer(host), 77);
    assert_string_equal(
        buf_cstr(&out),
        "IMAP4rev1 LITERAL- UIDPLUS MOVE IDLE NAMESPACE UNSELECT CHILDREN ENABLE ID SPECIAL-USE "
        "LIST-EXTENDED LIST-STATUS APPENDLIMIT=77 COMPRESS=DEFLATE INPROGRESS");
    buf_clear(&out);
    host |= CAP_BIT(ENABLE);
    front_caps_put(&out, front_caps_offer(host), 77);
    assert_string_equal(buf_cstr(&out), "IMAP4rev1 LITERAL- UIDPLUS MOVE IDLE NAMESPACE UNSELECT CHILDREN ENABLE ID "
                                        "CONDSTORE QRESYNC SPECIAL-USE LIST-EXTENDED LIST-STATUS APPENDLIMIT=77 COMPRESS=DEFLATE "
                                        "INPROGRESS");
    buf_clear(&out);
    front_caps_put(&out, front_caps_offer(imap_caps_parse(slice_str("QUOTA QUOTA=RES-STORAGE QUOTA=RES-X ACL "
                                                                    "RIGHTS=kxten METADATA XLIST"))) &
                             ~front_caps_offer(0), 77);
    assert_string_equal(buf_cstr(&out), "QUOTA QUOTA=RES-STORAGE ACL RIGHTS=texkn METADATA");
    buf_free(&out);
    assert_int_equal(imap_caps_append_limit(slice_str("A APPENDLIMIT=12 APPENDLIMIT=13")), 12);
    assert_true(imap_caps_append_limit(slice_str("APPENDLIMIT APPENDLIMIT=x XAPPENDLIMIT=1")) == UINT64_MAX);
    front_caps_put_guest(&out, true, false);
    assert_string_equal(buf_cstr(&out),
                        "IMAP4rev1 LITERAL- SASL-IR ID ENABLE STARTTLS LOGINDISABLED");
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fetches),  cmocka_unit_test(plain_lines), cmocka_unit_test(plain_numbers),
        cmocka_unit_test(plain_modseqs),
        cmocka_unit_test(vanished), cmocka_unit_test(others),      cmocka_unit_test(esearch),
        cmocka_unit_test(codes),    cmocka_unit_test(texts),       cmocka_unit_test(capabilities)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
