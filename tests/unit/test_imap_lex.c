/* The lexer, the cursor over arguments, and what they write back. */
#include "unit.h"
#include "wherry/imap/lex.h"
#include <stdio.h>
#include <string.h>

enum { MAX = 4096 };

/* Lexes text, which must be one token and all of it, then every shorter start of it, which must ask
 * for more. */
static struct tok one(const char *text, size_t extra, int mode)
{
    struct tok t, part;
    size_t used, n = strlen(text);
    struct slice in = slice_make(text, n);
    assert_int_equal(imap_lex(in, mode, MAX, &used, &t), CODEC_DONE);
    assert_int_equal(used, n - extra);
    for (size_t i = 0; i < used; i++) {
        assert_int_equal(imap_lex(slice_make(text, i), mode, MAX, &used, &part), CODEC_MORE);
        assert_int_equal(used, 0);
        assert_int_equal(part.kind, 0);
        assert_null(part.raw.p);
        used = n - extra;
    }
    return t;
}

static void refused(const char *text, size_t n)
{
    struct tok t;
    size_t used = 1;
    assert_int_equal(imap_lex(slice_make(text, n), LEX_STREAM, MAX, &used, &t), CODEC_BAD);
    assert_int_equal(used, 0);
    assert_null(t.raw.p);
}

static void assert_slice(struct slice s, const char *want)
{
    assert_int_equal(s.n, strlen(want));
    if (s.n > 0)
        assert_memory_equal(s.p, want, s.n);
}

static void atoms(void **state)
{
    (void)state;
    static const char *const atoms[] = {"UID",    "\\Seen", "\\*",     "NIL",    "1:5,7:*",
                                        "k[1]",   "a]b",    "$Label1", "~peter", "100%*",
                                        "BODY[]", "a=b",    "+FLAGS",  "x{y",    NULL};
    for (size_t i = 0; atoms[i] != NULL; i++) {
        char text[64];
        snprintf(text, sizeof(text), "%s)", atoms[i]);
        struct tok t = one(text, 1, LEX_STREAM);
        assert_int_equal(t.kind, TOK_ATOM);
        assert_slice(t.text, atoms[i]);
        assert_false(t.space);
    }
    struct tok t = one(" UID ", 1, LEX_STREAM);
    assert_true(t.space);
    assert_slice(t.text, "UID");
    assert_slice(t.raw, "UID");
    t = one("caf\xc3\xa9 ", 1, LEX_STREAM);
    assert_slice(t.text, "caf\xc3\xa9");
}

static void sections(void **state)
{
    (void)state;
    static const char *const atoms[] = {"BODY[HEADER.FIELDS (\"X ]\" Y)]<12>",
                                        "body.peek[1.2.MIME]", "BINARY[1]<0.5>",
                                        "BODY[HEADER.FIELDS (\"a\\\"]\" B)]", NULL};
    for (size_t i = 0; atoms[i] != NULL; i++) {
        char text[64];
        snprintf(text, sizeof(text), "%s ", atoms[i]);
        struct tok t = one(text, 1, LEX_STREAM);
        assert_int_equal(t.kind, TOK_ATOM);
        assert_slice(t.text, atoms[i]);
    }
    /* A literal within is read in a command only. */
    struct tok t = one("BODY[HEADER.FIELDS ({3+}\r\n]]] B)] ", 1, LEX_INLINE);
    assert_slice(t.text, "BODY[HEADER.FIELDS ({3+}\r\n]]] B)]");
    refused("BODY[HEADER.FIELDS ({3+}\r\n]]] B)] ", 36);
    refused("BODY[x\r\n", 8);
}

static void unquoting(void **state)
{
    (void)state;
    struct buf b = {0};
    struct tok t = one("\"a \\\"b\\\\) \xc3\xa9\"", 0, LEX_STREAM);
    assert_int_equal(t.kind, TOK_QUOTED);
    imap_unquote(&b, t.text);
    assert_slice(buf_slice(&b), "a \"b\\) \xc3\xa9");
    buf_clear(&b);
    imap_unquote(&b, slice_str("\\\\\\\"x\\"));
    assert_slice(buf_slice(&b), "\\\"x");
    buf_clear(&b);
    t = one("\"\"", 0, LEX_STREAM);
    assert_int_equal(t.text.n, 0);
    imap_unquote(&b, t.text);
    assert_int_equal(b.len, 0);
    buf_free(&b);
}

static void literals(void **state)
{
    (void)state;
    struct tok t = one("{12}\r\n", 0, LEX_STREAM);
    assert_int_equal(t.kind, TOK_LITERAL);
    assert_int_equal(t.size, 12);
    assert_false(t.nonsync || t.binary);
    t = one(" {0+}\r\n", 0, LEX_STREAM);
    assert_true(t.nonsync && t.space);
    assert_int_equal(t.size, 0);
    t = one("~{4294967296}\r\n", 0, LEX_STREAM);
    assert_true(t.binary);
    assert_true(t.size == 4294967296u);
    t = one("~{2-}\r\n\r)", 0, LEX_INLINE);
    assert_true(t.binary && t.nonsync);
    assert_slice(t.text, "\r)");
    assert_slice(t.raw, "~{2-}\r\n\r)");
    t = one("{0}\r\n", 0, LEX_INLINE);
    assert_int_equal(t.text.n, 0);
    refused("{}\r\n", 4);
    refused("{+}\r\n", 5);
    refused("{1 }\r\n", 6);
    refused("{99999999999999999999}\r\n", 24);
    refused("{1}\n", 4);
    refused("~{1}x", 5);
    /* A reader of lines would see a literal here. */
    refused("x{3}\r\n", 6);
    refused("x{3+}\r\n", 7);
}

static void bad_bytes(void **state)
{
    (void)state;
    refused("\n", 1);
    refused("\rx", 2);
    refused("  x ", 4);
    refused("\0", 1);
    refused("a\0b ", 4);
    refused("a\tb ", 4);
    refused("a\nb ", 4);
    refused("a\x7f ", 3);
    refused("\"a\0\"", 4);
    refused("\"a\r\n\"", 5);
    refused("\"a\\\n\"", 5);
    struct tok t = one("\r\n", 0, LEX_STREAM);
    assert_int_equal(t.kind, TOK_EOL);
    t = one(" \r\n", 0, LEX_STREAM);
    assert_int_equal(t.kind, TOK_EOL);
    assert_int_equal(one("(", 0, LEX_STREAM).kind, TOK_OPEN);
    assert_int_equal(one(" )", 0, LEX_STREAM).kind, TOK_CLOSE);
}

static void bounds(void **state)
{
    (void)state;
    struct tok t;
    size_t used;
    assert_int_equal(imap_lex(slice_str("abcde "), LEX_STREAM, 5, &used, &t), CODEC_DONE);
    assert_int_equal(imap_lex(slice_str("abcdef "), LEX_STREAM, 5, &used, &t), CODEC_BAD);
    assert_int_equal(imap_lex(slice_str("abcdef"), LEX_STREAM, 5, &used, &t), CODEC_BAD);
    assert_int_equal(imap_lex(slice_str("\"abcde"), LEX_STREAM, 5, &used, &t), CODEC_BAD);
    assert_int_equal(imap_lex(slice_str("{5}\r\n"), LEX_INLINE, 9, &used, &t), CODEC_BAD);
    assert_int_equal(imap_lex(slice_str("{5}\r\n"), LEX_INLINE, 10, &used, &t), CODEC_MORE);
}

static void args(void **state)
{
    (void)state;
    struct imap_args a;
    struct buf b = {0};
    struct slice s;
    struct tok t;
    uint32_t n;
    imap_args_init(&a, slice_str("12 \"x y\" {3}\r\na b (A (B \")\") {1+}\r\n)) INBOX"));
    assert_true(imap_args_peek(&a, &t));
    assert_true(imap_args_u32(&a, &n));
    assert_int_equal(n, 12);
    assert_true(imap_args_astring(&a, &b));
    assert_true(imap_args_astring(&a, &b));
    assert_slice(buf_slice(&b), "x ya b");
    assert_true(imap_args_value(&a, &s));
    assert_slice(s, "(A (B \")\") {1+}\r\n))");
    assert_false(imap_args_done(&a));
    assert_true(imap_args_value(&a, &s));
    assert_slice(s, "INBOX");
    assert_true(imap_args_done(&a));
    assert_false(imap_args_peek(&a, &t));
    assert_true(imap_args_done(&a));
    assert_false(imap_args_tok(&a, &t));
    assert_false(imap_args_done(&a));
    buf_free(&b);
}

static void args_sticky(void **state)
{
    (void)state;
    static const char *const bad[] = {")",         "(a", "(a))", "a  b", "\"",
                                      "{3}\r\nab", "a ", "\r\n", ""};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct imap_args a;
        struct slice s;
        uint32_t n = 7;
        imap_args_init(&a, slice_str(bad[i]));
        while (imap_args_value(&a, &s))
            assert_non_null(s.p);
        assert_null(s.p);
        assert_true(a.bad);
        assert_false(imap_args_atom(&a, &s));
        assert_false(imap_args_u32(&a, &n));
        assert_int_equal(n, 0);
    }
    struct imap_args a;
    uint32_t n = 7;
    imap_args_init(&a, slice_str("4294967296 1"));
    assert_false(imap_args_u32(&a, &n));
    assert_int_equal(n, 0);
    assert_false(imap_args_u32(&a, &n));
}

static void putting(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } t[] = {{"INBOX", "INBOX"},         {"", "\"\""},
             {"a b", "\"a b\""},         {"nil", "\"nil\""},
             {"a\"\\", "\"a\\\"\\\\\""}, {"a]b", "a]b"},
             {"[Gmail]", "\"[Gmail]\""}, {"100%", "\"100%\""},
             {"\x01", "\"\x01\""}};
    struct buf b = {0};
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        assert_true(imap_put_astring(&b, slice_str(t[i].in)));
        assert_slice(buf_slice(&b), t[i].out);
        buf_clear(&b);
    }
    assert_false(imap_put_astring(&b, slice_str("a\nb")));
    assert_false(imap_put_astring(&b, slice_str("caf\xc3\xa9")));
    assert_false(imap_put_quoted(&b, slice_make("a\0b", 3)));
    assert_int_equal(b.len, 0);
    assert_true(imap_put_quoted(&b, slice_str("x")));
    assert_slice(buf_slice(&b), "\"x\"");
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(atoms),    cmocka_unit_test(sections),    cmocka_unit_test(unquoting),
        cmocka_unit_test(literals), cmocka_unit_test(bad_bytes),   cmocka_unit_test(bounds),
        cmocka_unit_test(args),     cmocka_unit_test(args_sticky), cmocka_unit_test(putting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
