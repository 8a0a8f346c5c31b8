/* SMTP lines, commands, DATA, replies, EHLO: whole, split at every byte, and what must be refused.
 */
#include "unit.h"
#include "wherry/smtp/cmd.h"
#include "wherry/smtp/reply.h"
#include <string.h>

#define LIT(s) slice_make(s, sizeof(s) - 1)

static void lines(void **state)
{
    struct slice line;
    size_t used;
    (void)state;
    assert_int_equal(smtp_line_next(LIT("NOOP\r\nQUIT\r\n"), 512, &line, &used), CODEC_DONE);
    assert_true(slice_is(line, "NOOP") && used == 6);
    assert_int_equal(smtp_line_next(LIT("\r\n"), 512, &line, &used), CODEC_DONE);
    assert_true(line.n == 0 && used == 2);
    static const char whole[] = "MAIL FROM:<a@b>\r\n";
    for (size_t n = 0; n + 1 < sizeof(whole) - 1; n++)
        assert_int_equal(smtp_line_next(slice_make(whole, n), 512, &line, &used), CODEC_MORE);
    static const struct slice bad[] = {SLICE_LIT("NOOP\n"),     SLICE_LIT("\n"),
                                       SLICE_LIT("NO\rOP\r\n"), SLICE_LIT("NOOP\r\r\n"),
                                       SLICE_LIT("NO\nOP\r\n"), SLICE_LIT("a\rb"),
                                       SLICE_LIT("NO\0OP\r\n"), SLICE_LIT("DATA\n\r\n")};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(smtp_line_next(bad[i], 512, &line, &used), CODEC_BAD);
        assert_true(line.n == 0 && used == 0);
    }
    assert_int_equal(smtp_line_next(LIT("12345678\r\n"), 10, &line, &used), CODEC_DONE);
    assert_int_equal(smtp_line_next(LIT("123456789\r\n"), 10, &line, &used), CODEC_BAD);
    assert_int_equal(smtp_line_next(LIT("1234567890"), 10, &line, &used), CODEC_BAD);
    assert_int_equal(smtp_line_next(LIT("123456789"), 10, &line, &used), CODEC_MORE);
}

static struct smtp_cmd parse(const char *line)
{
    struct smtp_cmd c;
    smtp_cmd_parse(slice_str(line), &c);
    return c;
}

static void verbs(void **state)
{
    (void)state;
    assert_int_equal(parse("ehlo there").verb, SMTP_EHLO);
    assert_true(slice_is(parse("EHLO  [1.2.3.4] ").args, "[1.2.3.4]"));
    assert_int_equal(parse("EHLO").fault, SMTP_BAD_ARGS);
    assert_int_equal(parse("noop whatever").verb, SMTP_NOOP);
    assert_int_equal(parse("DATA").verb, SMTP_DATA);
    assert_int_equal(parse("DATA now").fault, SMTP_BAD_ARGS);
    assert_int_equal(parse("QUIT\t").fault, SMTP_FINE);
    assert_int_equal(parse("").verb, SMTP_UNKNOWN);
    assert_int_equal(parse("DATAX").verb, SMTP_UNKNOWN);
    assert_int_equal(parse("BURL imap://x LAST").verb, SMTP_UNKNOWN);
    assert_int_equal(parse("RSET\x01").fault, SMTP_BAD_ARGS);
    struct smtp_cmd c = parse("AUTH PLAIN AGEAYg==");
    assert_true(c.verb == SMTP_AUTH && slice_is(c.args, "PLAIN AGEAYg=="));
    c = parse("BDAT 86 LAST");
    assert_true(c.verb == SMTP_BDAT && c.size == 86 && c.last && c.fault == SMTP_FINE);
    c = parse("bdat 0");
    assert_true(c.size == 0 && !c.last && c.fault == SMTP_FINE);
    static const char *const bad[] = {"BDAT",
                                      "BDAT x",
                                      "BDAT 1 LAST x",
                                      "BDAT -1",
                                      "BDAT 1 FIRST",
                                      "BDAT +1",
                                      "BDAT 99999999999999999999",
                                      "BDAT 9223372036854775808"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(parse(bad[i]).fault, SMTP_BAD_ARGS);
}

static void paths(void **state)
{
    (void)state;
    struct smtp_cmd c = parse("MAIL FROM:<a@b.example> SIZE=12 BODY=8BITMIME");
    assert_true(c.verb == SMTP_MAIL && c.fault == SMTP_FINE);
    assert_true(slice_is(c.path, "<a@b.example>") && slice_is(c.params, "SIZE=12 BODY=8BITMIME"));
    struct slice key, value, rest = c.params;
    assert_true(smtp_param_next(&rest, &key, &value) && slice_is(key, "SIZE") &&
                slice_is(value, "12"));
    assert_true(smtp_param_next(&rest, &key, &value) && slice_is(key, "BODY") &&
                slice_is(value, "8BITMIME"));
    assert_false(smtp_param_next(&rest, &key, &value));
    assert_true(slice_is(parse("mail from: <>").path, "<>"));
    assert_true(slice_is(parse("RCPT TO:<\"a b>\\\"\"@c> NOTIFY=NEVER").path, "<\"a b>\\\"\"@c>"));
    assert_true(slice_is(parse("RCPT TO:<\xc3\xa4@\xc3\xb6.example> ORCPT=utf-8;x").path,
                         "<\xc3\xa4@\xc3\xb6.example>"));
    static const char *const bad[] = {"MAIL",
                                      "MAIL FROM:",
                                      "MAIL FROM:a@b",
                                      "MAIL TO:<a@b>",
                                      "MAIL FROM:<a@b",
                                      "MAIL FROM:<a@b>SIZE=1",
                                      "MAIL FROM:<a b@c>",
                                      "RCPT TO:<a@b> =x",
                                      "RCPT TO:<<a@b>>",
                                      "RCPT TO:<\"a@b>",
                                      "MAIL FROM <a@b>"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        c = parse(bad[i]);
        assert_int_equal(c.fault, SMTP_BAD_ARGS);
        assert_true(c.verb == SMTP_MAIL || c.verb == SMTP_RCPT);
        assert_true(c.path.n == 0);
    }
}

static void lengths(void **state)
{
    char text[SMTP_MAX_AUTH];
    struct smtp_cmd c;
    (void)state;
    memset(text, 'x', sizeof(text));
    memcpy(text, "NOOP ", 5);
    smtp_cmd_parse(slice_make(text, SMTP_MAX_COMMAND - 2), &c);
    assert_int_equal(c.fault, SMTP_FINE);
    smtp_cmd_parse(slice_make(text, SMTP_MAX_COMMAND - 1), &c);
    assert_true(c.fault == SMTP_TOO_LONG && c.verb == SMTP_NOOP);
    memcpy(text, "AUTH ", 5);
    smtp_cmd_parse(slice_make(text, SMTP_MAX_AUTH - 2), &c);
    assert_int_equal(c.fault, SMTP_FINE);
    memcpy(text, "RCPT ", 5);
    smtp_cmd_parse(slice_make(text, SMTP_MAX_PATH_COMMAND - 1), &c);
    assert_int_equal(c.fault, SMTP_TOO_LONG);
}

/* What passes before the end or the fault, and which it was; fed in steps. */
static enum codec data_run(struct slice in, size_t step, size_t *passed)
{
    struct smtp_data d = {0};
    *passed = 0;
    while (*passed < in.n) {
        size_t n = in.n - *passed < step ? in.n - *passed : step, used;
        enum codec r = smtp_data_next(&d, slice_make(in.p + *passed, n), &used);
        *passed += used;
        if (r != CODEC_MORE)
            return r;
        assert_int_equal(used, n);
    }
    return CODEC_MORE;
}

static void data_is(struct slice in, enum codec want, size_t passes)
{
    for (size_t step = 1; step <= in.n + 1; step++) {
        size_t passed;
        enum codec got = data_run(in, step, &passed);
        if (got != want || passed != passes)
            fail_msg("step %zu of \"%.*s\": %d after %zu", step, (int)in.n, (const char *)in.p, got,
                     passed);
    }
}

static void data_ends(void **state)
{
    (void)state;
    data_is(LIT(".\r\nQUIT\r\n"), CODEC_DONE, 3);
    data_is(LIT("a\r\n.\r\n"), CODEC_DONE, 6);
    data_is(LIT("a\r\n..\r\n.x\r\n...\r\n.\r\nRSET\r\n"), CODEC_DONE, 19);
    data_is(LIT("a.\r\n"), CODEC_MORE, 4);
    data_is(LIT("a\r\n."), CODEC_MORE, 4);
    data_is(LIT("a\r\n.\r"), CODEC_MORE, 5);
    data_is(LIT("\r\n\r\n.\r\n"), CODEC_DONE, 7);
    data_is(slice_make("\0\xff\r\n.\r\n", 7), CODEC_DONE, 7);
}

/* The published ways to end a message for one server and not for the other: none of them ends it,
 * nor passes. */
static void data_smuggling(void **state)
{
    (void)state;
    data_is(LIT("a\n.\n"), CODEC_BAD, 1);
    data_is(LIT("a\n.\r\nMAIL"), CODEC_BAD, 1);
    data_is(LIT("a\r\n.\nMAIL"), CODEC_BAD, 4);
    data_is(LIT("a\r.\rMAIL"), CODEC_BAD, 2);
    data_is(LIT("a\r.\r\nMAIL"), CODEC_BAD, 2);
    data_is(LIT("a\r\n.\rMAIL"), CODEC_BAD, 5);
    data_is(LIT("a\r\r\n.\r\n"), CODEC_BAD, 2);
    data_is(LIT("a\r\n.\r\r\n"), CODEC_BAD, 5);
    data_is(LIT("a\r\n\n.\r\n"), CODEC_BAD, 3);
    data_is(LIT("\n"), CODEC_BAD, 0);
    data_is(slice_make("a\r\0\n.\r\n", 7), CODEC_BAD, 2);
    data_is(slice_make("a\r\n.\0\r\n", 7), CODEC_MORE, 7);
}

/* Rendered as smtp_reply_put() writes it, "bad" or "more"; fed in steps. */
static void reply_is(struct slice in, const char *want)
{
    for (size_t step = 1; step <= in.n + 1; step++) {
        struct smtp_reply r = {0};
        struct buf out = {0};
        size_t from = 0;
        enum codec c = CODEC_MORE;
        for (size_t to = 0; c == CODEC_MORE && to < in.n;) {
            size_t used;
            to = to + step < in.n ? to + step : in.n;
            c = smtp_reply_next(&r, slice_make(in.p + from, to - from), &used);
            from += used;
        }
        if (c == CODEC_DONE)
            smtp_reply_put(&out, &r);
        else
            buf_puts(&out, c == CODEC_BAD ? "bad" : "more");
        assert_string_equal(buf_cstr(&out), want);
        buf_free(&out);
        smtp_reply_free(&r);
    }
}

static void replies(void **state)
{
    (void)state;
    reply_is(LIT("250 2.0.0 Ok\r\n"), "250 2.0.0 Ok\r\n");
    reply_is(LIT("250\r\n"), "250 \r\n");
    reply_is(LIT("250-a\r\n250-\r\n250 b\r\n220 x"), "250-a\r\n250-\r\n250 b\r\n");
    reply_is(LIT("550-5.1.1 \x01\x1b[2J\r\n550 x\ty\r\n"), "550-5.1.1 ??[2J\r\n550 x\ty\r\n");
    reply_is(LIT("250-a\r\n"), "more");
    reply_is(LIT("250-a\r\n251 b\r\n"), "bad");
    reply_is(LIT("250 a\n"), "bad");
    reply_is(LIT("250 a\r250 b\r\n"), "bad");
    reply_is(LIT("250-a\n250 b\r\n"), "bad");
    reply_is(LIT("250_a\r\n"), "bad");
    reply_is(LIT("+OK\r\n"), "bad");
    reply_is(LIT("150 a\r\n"), "bad");
    reply_is(LIT("999 a\r\n"), "bad");
    reply_is(LIT("\r\n"), "bad");
}

static void reply_bounds(void **state)
{
    struct smtp_reply r = {0};
    struct buf in = {0};
    size_t used;
    (void)state;
    for (unsigned i = 0; i < SMTP_MAX_REPLY_LINES + 1; i++)
        buf_puts(&in, "250-x\r\n");
    assert_int_equal(smtp_reply_next(&r, buf_slice(&in), &used), CODEC_BAD);
    assert_null(r.text.mem);
    buf_clear(&in);
    for (unsigned i = 0; i < 20; i++) {
        buf_puts(&in, "250-");
        for (unsigned k = 0; k < SMTP_MAX_REPLY_LINE - 6; k++)
            buf_putc(&in, 'x');
        buf_puts(&in, "\r\n");
    }
    assert_int_equal(smtp_reply_next(&r, buf_slice(&in), &used), CODEC_BAD);
    buf_free(&in);
}

static struct smtp_reply reply_of(const char *text)
{
    struct smtp_reply r = {0};
    size_t used;
    assert_int_equal(smtp_reply_next(&r, slice_str(text), &used), CODEC_DONE);
    return r;
}

static void queue_ids(void **state)
{
    static const char *const cases[][2] = {{"250 2.0.0 Ok: queued as 4XyZ12\r\n", "4XyZ12"},
                                           {"250 OK id=1rABcd-000\r\n", "1rABcd-000"},
                                           {"250 2.6.0 <x> Queued mail for delivery\r\n", ""},
                                           {"250 Ok\r\n", ""},
                                           {"250 queued as \r\n", ""}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct smtp_reply r = reply_of(cases[i][0]);
        assert_true(slice_is(smtp_reply_queue_id(&r), cases[i][1]));
        smtp_reply_free(&r);
    }
}

static void ehlo(void **state)
{
    struct smtp_ehlo e;
    struct buf out = {0};
    (void)state;
    struct smtp_reply r = reply_of(
        "250-PIPELINING\r\n250-size 52428800\r\n250-AUTH PLAIN LOGIN GSSAPI\r\n250-8BITMIME\r\n"
        "250-BURL imap\r\n250-XCLIENT ADDR PORT LOGIN DESTADDR\r\n250-AUTHX\r\n250 DSN\r\n");
    smtp_ehlo_parse(&r, &e);
    assert_int_equal(e.ext, SMTP_BIT(SIZE) | SMTP_BIT(AUTH) | SMTP_BIT(8BITMIME) |
                                SMTP_BIT(XCLIENT) | SMTP_BIT(DSN));
    assert_int_equal(e.size, 52428800);
    assert_int_equal(e.mechs, SMTP_MECH_PLAIN | SMTP_MECH_LOGIN);
    assert_int_equal(e.xattrs, SMTP_XADDR | SMTP_XPORT | SMTP_XLOGIN);
    smtp_ehlo_put(&out, e.ext & SMTP_EXT_PASSED, e.size);
    assert_string_equal(buf_cstr(&out), "250-8BITMIME\r\n250-SIZE 52428800\r\n250-DSN\r\n");
    buf_free(&out);
    smtp_reply_free(&r);
    smtp_xtext_put(&out, slice_str("a+b=c \xc3\xa4"));
    assert_string_equal(buf_cstr(&out), "a+2Bb+3Dc+20+C3+A4");
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),   cmocka_unit_test(verbs),        cmocka_unit_test(paths),
        cmocka_unit_test(lengths), cmocka_unit_test(data_ends),    cmocka_unit_test(data_smuggling),
        cmocka_unit_test(replies), cmocka_unit_test(reply_bounds), cmocka_unit_test(queue_ids),
        cmocka_unit_test(ehlo),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
