/* Commands whole and split at every byte; messages that the session moves or refuses; bad input. */
#include "unit.h"
#include "wherry/imap/cmd.h"
#include <stdio.h>
#include <string.h>

static const struct cmd_limits limits = {.line = 100, .literals = 40, .message = 1000, .count = 3};

static void show(struct buf *out, const char *label, struct slice s)
{
    if (s.n == 0)
        return;
    buf_printf(out, " %s=<", label);
    buf_put_slice(out, s);
    buf_puts(out, ">");
}

static void render(struct buf *out, const struct cmd *c)
{
    static const char *const kinds[] = {"none", "continue", "message", "ready", "error"};
    buf_puts(out, kinds[c->kind]);
    show(out, "tag", c->tag);
    show(out, "name", c->name);
    show(out, "args", c->args);
    if (c->kind == CMD_MESSAGE)
        buf_printf(out, " size=%u%s%s", (unsigned)c->size, c->nonsync ? "+" : "",
                   c->binary ? "~" : "");
    if (c->kind == CMD_ERROR)
        buf_printf(out, " \"%s\"%s%s", c->error, c->fatal ? " fatal" : "",
                   c->too_big ? " too big" : "");
    buf_puts(out, "\n");
}

/* What the session does with messages. */
enum policy { TAKE, REFUSE };

struct feed {
    struct cmd_reader reader;
    struct slice in;
    size_t done;
    uint64_t message_left; /* bytes that the session has yet to move */
    enum policy policy;
    bool fatal;
    struct buf out;
};

static void event(struct feed *f, const struct cmd *c)
{
    render(&f->out, c);
    f->fatal = c->fatal;
    if (c->kind != CMD_MESSAGE)
        return;
    if (f->policy == REFUSE) {
        imap_cmd_refuse(&f->reader);
    } else {
        f->message_left = c->size;
        if (c->size == 0)
            imap_cmd_message_done(&f->reader);
    }
}

static void feed_to(struct feed *f, size_t end)
{
    while (!f->fatal) {
        if (f->message_left > 0) {
            size_t n = end - f->done;
            n = n < f->message_left ? n : (size_t)f->message_left;
            f->message_left -= n;
            f->done += n;
            if (f->message_left > 0)
                return;
            imap_cmd_message_done(&f->reader);
        }
        struct cmd c;
        size_t used;
        struct buf copy = {0};
        buf_put(&copy, f->in.p + f->done, end - f->done);
        enum codec r = imap_cmd_next(&f->reader, buf_slice(&copy), &used, &c);
        f->done += used;
        assert_true(f->done <= end);
        if (r == CODEC_DONE)
            event(f, &c);
        else
            assert_int_equal(c.kind, CMD_NONE);
        buf_free(&copy);
        if (r == CODEC_MORE)
            return;
        assert_int_equal(r, CODEC_DONE);
    }
}

static void finish(struct feed *f, const char *want)
{
    if (strcmp(buf_cstr(&f->out), want) != 0)
        print_error("got:\n%s\nwant:\n%s\n", buf_cstr(&f->out), want);
    assert_string_equal(buf_cstr(&f->out), want);
    if (!f->fatal) {
        assert_int_equal(f->done, f->in.n);
        assert_true(imap_cmd_idle(&f->reader));
        assert_null(f->reader.text.mem);
        assert_null(f->reader.name.mem);
    }
    imap_cmd_free(&f->reader);
    buf_free(&f->out);
}

static void check_n(enum policy policy, struct slice in, const char *want)
{
    for (size_t split = 0; split <= in.n; split++) {
        struct feed f = {.in = in, .policy = policy};
        imap_cmd_init(&f.reader, &limits);
        feed_to(&f, split);
        feed_to(&f, in.n);
        finish(&f, want);
    }
    struct feed f = {.in = in, .policy = policy};
    imap_cmd_init(&f.reader, &limits);
    for (size_t end = 0; end <= in.n; end++)
        feed_to(&f, end);
    finish(&f, want);
}

static void check(const char *input, const char *want)
{
    check_n(TAKE, slice_str(input), want);
}

static void plain(void **state)
{
    (void)state;
    check("a1 NOOP\r\nA.2 uid fetch 1:* (BODY[HEADER.FIELDS (X \"Y\")]<0.5>)\r\n",
          "ready tag=<a1> name=<NOOP>\n"
          "ready tag=<A.2> name=<UID FETCH> args=<1:* (BODY[HEADER.FIELDS (X \"Y\")]<0.5>)>\n");
    check("] login \"a b\" \"p\\\"}\"  \r\n",
          "ready tag=<]> name=<LOGIN> args=<\"a b\" \"p\\\"}\">\n");
    check("1 AUTHENTICATE PLAIN AGEAYg==\r\n",
          "ready tag=<1> name=<AUTHENTICATE> args=<PLAIN AGEAYg==>\n");
    check("1 authenticate plain =\r\n", "ready tag=<1> name=<AUTHENTICATE> args=<plain =>\n");
    check("1 LIST \"\" %\r\n", "ready tag=<1> name=<LIST> args=<\"\" %>\n");
    check("1 NOOP \r\n", "ready tag=<1> name=<NOOP>\n");
    check("1 SELECT caf\xc3\xa9\r\n", "ready tag=<1> name=<SELECT> args=<caf\xc3\xa9>\n");
}

static void small_literals(void **state)
{
    (void)state;
    check(
        "a LOGIN {3}\r\nx y {4+}\r\n\r\n}{\r\nb NOOP\r\n",
        "continue tag=<a> name=<LOGIN>\n"
        "ready tag=<a> name=<LOGIN> args=<{3}\r\nx y {4+}\r\n\r\n}{>\nready tag=<b> name=<NOOP>\n");
    check("a SELECT {0}\r\n\r\n", "continue tag=<a> name=<SELECT>\n"
                                  "ready tag=<a> name=<SELECT> args=<{0}\r\n>\n");
    check("a SEARCH TEXT {2+}\r\n   \r\n", "ready tag=<a> name=<SEARCH> args=<TEXT {2+}\r\n  >\n");
    check("a FETCH 1 BODY[HEADER.FIELDS ({1+}\r\nX)]\r\n",
          "ready tag=<a> name=<FETCH> args=<1 BODY[HEADER.FIELDS ({1+}\r\nX)]>\n");
}

/* LITERAL-: what is longer must be asked for. What a client sends nevertheless is swallowed. */
static void long_nonsync(void **state)
{
    (void)state;
    static const char text[] = "a APPEND x {4+}\r\nabcd\r\nb APPEND x {5}\r\nabcde\r\nc APPEND x {5+}\r\na {1}\r\n"
                               "d SELECT {5+}\r\nabcde\r\ne APPEND x {1+}\r\na {5+}\r\nabcde\r\nf NOOP\r\n";
    struct cmd_limits few = limits;
    few.nonsync = 4;
    for (size_t split = 0; split < sizeof(text); split++) {
        struct feed f = {.in = slice_make(text, sizeof(text) - 1), .policy = TAKE};
        imap_cmd_init(&f.reader, &few);
        feed_to(&f, split);
        feed_to(&f, f.in.n);
        finish(&f, "message tag=<a> name=<APPEND> args=<x> size=4+\nready tag=<a> name=<APPEND>\n"
                   "message tag=<b> name=<APPEND> args=<x> size=5\nready tag=<b> name=<APPEND>\n"
                   "error tag=<c> name=<APPEND> \"A non-synchronizing literal may not be that long\"\n"
                   "error tag=<d> name=<SELECT> \"A non-synchronizing literal may not be that long\"\n"
                   "message tag=<e> name=<APPEND> args=<x> size=1+\n"
                   "error tag=<e> name=<APPEND> \"A non-synchronizing literal may not be that long\"\n"
                   "ready tag=<f> name=<NOOP>\n");
    }
}

static void messages(void **state)
{
    (void)state;
    check("a APPEND \"x y\" (\\Seen) \" 1-Jan-2000 00:00:00 +0000\" {5+}\r\na{1}\r\r\nb NOOP\r\n",
          "message tag=<a> name=<APPEND> args=<\"x y\" (\\Seen) \" 1-Jan-2000 00:00:00 +0000\"> "
          "size=5+\n"
          "ready tag=<a> name=<APPEND>\nready tag=<b> name=<NOOP>\n");
    check("a append {1+}\r\nx ~{2}\r\nab (\\Foo) {0+}\r\n {1+}\r\n \r\n",
          "message tag=<a> name=<APPEND> args=<{1+}\r\nx> size=2~\n"
          "message tag=<a> name=<APPEND> args=<(\\Foo)> size=0+\n"
          "message tag=<a> name=<APPEND> size=1+\nready tag=<a> name=<APPEND>\n");
    check("a APPEND x {1+}\r\ny {3+} z\r\nb NOOP\r\n",
          "message tag=<a> name=<APPEND> args=<x> size=1+\n"
          "error tag=<a> name=<APPEND> \"Junk after the message\"\nready tag=<b> name=<NOOP>\n");
    check("a APPEND x {1+}\r\ny{3+}\r\nabc\r\nb NOOP\r\n",
          "message tag=<a> name=<APPEND> args=<x> size=1+\n"
          "error tag=<a> name=<APPEND> \"Junk after the message\"\nready tag=<b> name=<NOOP>\n");
    check("a APPEND x (y {1+}\r\nz) {2+}\r\nab\r\n",
          "message tag=<a> name=<APPEND> args=<x (y {1+}\r\nz)> size=2+\nready tag=<a> "
          "name=<APPEND>\n");
    check("a UID REPLACE 4 {1+}\r\nx (\\Seen) ~{2+}\r\nab\r\nb REPLACE 4 x {1}\r\ny\r\n",
          "message tag=<a> name=<UID REPLACE> args=<4 {1+}\r\nx (\\Seen)> size=2+~\n"
          "ready tag=<a> name=<UID REPLACE>\n"
          "message tag=<b> name=<REPLACE> args=<4 x> size=1\nready tag=<b> name=<REPLACE>\n");
    check("a REPLACE 4 {1+}\r\nx\r\n", "ready tag=<a> name=<REPLACE> args=<4 {1+}\r\nx>\n");
    check("a APPEND {1+}\r\nx\r\n", "ready tag=<a> name=<APPEND> args=<{1+}\r\nx>\n");
}

static void refused_messages(void **state)
{
    (void)state;
    check_n(REFUSE, slice_str("a APPEND x {3+}\r\nabc (\\Foo) {4+}\r\na{5} {0+}\r\n\r\nb NOOP\r\n"),
            "message tag=<a> name=<APPEND> args=<x> size=3+\nready tag=<b> name=<NOOP>\n");
    check_n(REFUSE, slice_str("a APPEND x {3}\r\nb NOOP\r\n"),
            "message tag=<a> name=<APPEND> args=<x> size=3\nready tag=<b> name=<NOOP>\n");
    check_n(REFUSE, slice_str("a APPEND x {3+}\r\nabc {4}\r\nb NOOP\r\n"),
            "message tag=<a> name=<APPEND> args=<x> size=3+\nready tag=<b> name=<NOOP>\n");
}

/* A message that is over the limit is swallowed, whatever it holds. */
static void big_messages(void **state)
{
    (void)state;
    struct buf in = {0};
    buf_puts(&in, "a APPEND x {1001+}\r\n");
    for (unsigned i = 0; i < 1001; i++)
        buf_putc(&in, i % 3 == 0 ? '\n' : '\0');
    buf_puts(&in, " {2+}\r\nxx\r\nb APPEND x {1001}\r\nc NOOP\r\n");
    check_n(TAKE, buf_slice(&in),
            "error tag=<a> name=<APPEND> \"Message too big\" too big\n"
            "error tag=<b> name=<APPEND> \"Message too big\" too big\nready tag=<c> name=<NOOP>\n");
    buf_free(&in);
}

static void malformed(void **state)
{
    (void)state;
    check("\r\na NOOP\r\n", "error \"Empty line\"\nready tag=<a> name=<NOOP>\n");
    check("a+ NOOP\r\n NOOP\r\n* NOOP\r\n",
          "error \"Invalid tag\"\nerror \"Invalid tag\"\nerror \"Invalid tag\"\n");
    check("a\r\na \r\na  NOOP\r\na (\r\na UID\r\na UID \r\na UID (\r\n",
          "error tag=<a> \"Command missing\"\nerror tag=<a> \"Invalid command name\"\n"
          "error tag=<a> \"Invalid command name\"\nerror tag=<a> \"Invalid command name\"\n"
          "error tag=<a> \"UID needs a command\"\n"
          "error tag=<a> \"UID needs a command\"\n"
          "error tag=<a> \"UID needs a command\"\n");
    check("\xff\xfe\x80\r\n\xc3\xa9 NOOP\r\na caf\xc3\xa9\r\n",
          "error \"Invalid tag\"\nerror \"Invalid tag\"\nerror tag=<a> \"Invalid command name\"\n");
    check("a X (a\r\na X a)\r\na X \"a\r\na X a  b\r\na X a\rb\r\na X x{1+}\r\ny\r\n",
          "error tag=<a> name=<X> \"Unbalanced parentheses\"\n"
          "error tag=<a> name=<X> \"Unbalanced parentheses\"\n"
          "error tag=<a> name=<X> \"Invalid arguments\"\nerror tag=<a> name=<X> \"Invalid "
          "arguments\"\n"
          "error tag=<a> name=<X> \"Invalid arguments\"\nerror tag=<a> name=<X> \"Invalid "
          "arguments\"\n");
    check_n(TAKE, SLICE_LIT("a X a\0b\r\na X {1+}\r\n\0\r\n"),
            "error tag=<a> name=<X> \"Invalid arguments\"\nerror tag=<a> name=<X> \"NUL in a "
            "literal\"\n");
    check("* {2+}\r\nab {1+}\r\nc\r\nb NOOP\r\n",
          "error \"Invalid tag\"\nready tag=<b> name=<NOOP>\n");
    check("a LOGIN{2}\r\nb NOOP\r\n",
          "error tag=<a> \"Invalid command name\"\nready tag=<b> name=<NOOP>\n");
}

static void too_much(void **state)
{
    (void)state;
    check("a X {41+}\r\n01234567890123456789012345678901234567890 {1+}\r\nx\r\nb NOOP\r\n",
          "error tag=<a> name=<X> \"Literal too big\" too big\nready tag=<b> name=<NOOP>\n");
    check("a X {41}\r\nb NOOP\r\n",
          "error tag=<a> name=<X> \"Literal too big\" too big\nready tag=<b> name=<NOOP>\n");
    check("a X {1+}\r\n1 {1+}\r\n1 {1+}\r\n1 {1+}\r\n1\r\nb NOOP\r\n",
          "error tag=<a> name=<X> \"Too many literals\" too big\nready tag=<b> name=<NOOP>\n");
    check("a X {18446744073709551616}\r\n", "error \"Invalid literal\" fatal\n");
    check("a NOOP\n", "error \"Lines end in CRLF\" fatal\n");
    check("\n", "error \"Lines end in CRLF\" fatal\n");
}

static void long_lines(void **state)
{
    (void)state;
    char line[200];
    struct cmd c;
    struct cmd_reader r;
    size_t used;
    memset(line, 'x', sizeof(line));
    memcpy(line, "a X ", 4);
    for (size_t n = 99; n <= 102; n++) {
        imap_cmd_init(&r, &limits);
        memcpy(line + n, "\r\n", 2);
        assert_int_equal(imap_cmd_next(&r, slice_make(line, n + 2), &used, &c), CODEC_DONE);
        assert_int_equal(c.kind, n <= 100 ? CMD_READY : CMD_ERROR);
        assert_int_equal(c.fatal, n > 100);
        imap_cmd_free(&r);
        for (size_t i = 1; n <= 100 && i < n + 2; i++) {
            imap_cmd_init(&r, &limits);
            assert_int_equal(imap_cmd_next(&r, slice_make(line, i), &used, &c), CODEC_MORE);
            assert_int_equal(imap_cmd_next(&r, slice_make(line + i, n + 2 - i), &used, &c),
                             CODEC_DONE);
            assert_int_equal(c.kind, CMD_READY);
            imap_cmd_free(&r);
        }
        memset(line + n, 'x', 2);
    }
    imap_cmd_init(&r, &limits);
    for (size_t i = 0; i < 102; i++)
        assert_int_equal(imap_cmd_next(&r, slice_make(line + i, 1), &used, &c), CODEC_MORE);
    assert_int_equal(imap_cmd_next(&r, slice_make(line, 1), &used, &c), CODEC_DONE);
    assert_true(c.fatal && c.too_big && c.kind == CMD_ERROR);
    assert_memory_equal(c.tag.p, "a", 1);
    imap_cmd_free(&r);
    /* ID may be longer, however it is cut, and nothing else may. */
    struct cmd_limits longer = {.line = 20, .id_line = 100};
    static const char id[] = "a iD (\"name\" \"value of many letters\")\r\n", other[] = "a IDX (\"name\" \"value of many letters\")\r\n";
    for (size_t i = 1; i < sizeof(id) - 1; i++) {
        imap_cmd_init(&r, &longer);
        assert_int_equal(imap_cmd_next(&r, slice_make(id, i), &used, &c), CODEC_MORE);
        assert_int_equal(imap_cmd_next(&r, slice_make(id + i, sizeof(id) - 1 - i), &used, &c), CODEC_DONE);
        assert_int_equal(c.kind, CMD_READY);
        assert_true(slice_is(c.name, "ID"));
        imap_cmd_free(&r);
        imap_cmd_init(&r, &longer);
        if (imap_cmd_next(&r, slice_make(other, i), &used, &c) == CODEC_MORE)
            assert_int_equal(imap_cmd_next(&r, slice_make(other + i, sizeof(other) - 1 - i), &used, &c), CODEC_DONE);
        assert_true(c.kind == CMD_ERROR && c.fatal && c.too_big);
        imap_cmd_free(&r);
    }
    imap_cmd_init(&r, &longer);
    memset(line, 'x', sizeof(line));
    memcpy(line, "a ID (", 6);
    assert_int_equal(imap_cmd_next(&r, slice_make(line, 103), &used, &c), CODEC_DONE);
    assert_true(c.kind == CMD_ERROR && c.fatal && c.too_big);
    imap_cmd_free(&r);
    /* A message is not taken before sign-in. */
    struct cmd_limits strict = {.line = 100, .literals = 40, .count = 3};
    imap_cmd_init(&r, &strict);
    assert_int_equal(imap_cmd_next(&r, slice_str("a APPEND x {1+}\r\n"), &used, &c), CODEC_DONE);
    assert_int_equal(c.kind, CMD_ERROR);
    assert_false(c.fatal);
    imap_cmd_free(&r);
}

static void refusing_midway(void **state)
{
    (void)state;
    struct cmd c;
    struct cmd_reader r;
    size_t used;
    imap_cmd_init(&r, &limits);
    /* A synchronising literal that the session does not want ends the command. */
    assert_int_equal(imap_cmd_next(&r, slice_str("a LOGIN {3}\r\n"), &used, &c), CODEC_DONE);
    assert_int_equal(c.kind, CMD_CONTINUE);
    imap_cmd_refuse(&r);
    assert_true(imap_cmd_idle(&r));
    /* The message was moved, and then is not wanted after all. */
    assert_int_equal(imap_cmd_next(&r, slice_str("b APPEND x {1+}\r\n"), &used, &c), CODEC_DONE);
    assert_false(imap_cmd_idle(&r));
    assert_int_equal(imap_cmd_next(&r, slice_str("y"), &used, &c), CODEC_MORE);
    assert_int_equal(used, 0);
    imap_cmd_message_done(&r);
    imap_cmd_refuse(&r);
    assert_int_equal(imap_cmd_next(&r, slice_str(" {2+}\r\nxx\r\nc NOOP\r\n"), &used, &c),
                     CODEC_DONE);
    assert_int_equal(c.kind, CMD_READY);
    assert_memory_equal(c.tag.p, "c", 1);
    imap_cmd_free(&r);
}

static void bare_lines(void **state)
{
    (void)state;
    struct slice line;
    size_t used;
    assert_int_equal(imap_line_next(slice_str("DONE\r\nx"), 10, &line, &used), CODEC_DONE);
    assert_int_equal(line.n, 4);
    assert_int_equal(used, 6);
    assert_int_equal(imap_line_next(slice_str("\r\n"), 10, &line, &used), CODEC_DONE);
    assert_int_equal(line.n, 0);
    assert_int_equal(imap_line_next(slice_str("DONE\r"), 4, &line, &used), CODEC_MORE);
    assert_int_equal(imap_line_next(slice_str(""), 4, &line, &used), CODEC_MORE);
    static const char *const bad[] = {"DONE\n", "DO\rNE\r\n", "0123456789a\r\n", "0123456789ab",
                                      "\n"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(imap_line_next(slice_str(bad[i]), 10, &line, &used), CODEC_BAD);
        assert_null(line.p);
        assert_int_equal(used, 0);
    }
    assert_int_equal(imap_line_next(slice_make("a\0b\r\n", 5), 10, &line, &used), CODEC_BAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain),           cmocka_unit_test(small_literals),
        cmocka_unit_test(long_nonsync),
        cmocka_unit_test(messages),        cmocka_unit_test(refused_messages),
        cmocka_unit_test(big_messages),    cmocka_unit_test(malformed),
        cmocka_unit_test(too_much),        cmocka_unit_test(long_lines),
        cmocka_unit_test(refusing_midway), cmocka_unit_test(bare_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
