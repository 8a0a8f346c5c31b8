/* Responses as events, whole and split at every byte; FETCH, LIST and NAMESPACE gathered from them.
 */
#include "unit.h"
#include "wherry/imap/resp.h"
#include <stdio.h>
#include <string.h>

static void show(struct buf *out, const char *label, struct slice s)
{
    buf_printf(out, " %s=<", label);
    buf_put_slice(out, s);
    buf_puts(out, ">");
}

/* An event in one line; the pieces of a literal run together. */
static void render(struct buf *out, const struct resp *r)
{
    static const char *const conds[] = {"-", "OK", "NO", "BAD", "BYE", "PREAUTH"};
    static const char *const toks[] = {"atom", "quoted", "literal", "open", "close", "eol"};
    switch (r->kind) {
    case RESP_CONT:
        buf_puts(out, "cont");
        show(out, "text", r->text);
        break;
    case RESP_TAGGED:
    case RESP_STATUS:
        buf_puts(out, conds[r->cond]);
        show(out, "tag", r->tag);
        show(out, "code", r->code);
        show(out, "text", r->text);
        break;
    case RESP_BEGIN:
        buf_puts(out, "begin");
        if (r->has_num)
            buf_printf(out, " %u", r->num);
        show(out, "name", r->name);
        break;
    case RESP_TOK:
        buf_printf(out, "%s", toks[r->tok.kind]);
        if (r->tok.kind == TOK_LITERAL)
            buf_printf(out, " %u bytes=<", (unsigned)r->tok.size);
        else
            show(out, "raw", r->tok.raw);
        break;
    case RESP_BYTES:
        buf_put_slice(out, r->bytes);
        if (r->last)
            buf_puts(out, ">");
        break;
    case RESP_END:
        buf_puts(out, "end");
        break;
    default:
        fail();
    }
    if ((r->kind != RESP_TOK || r->tok.kind != TOK_LITERAL) && (r->kind != RESP_BYTES || r->last))
        buf_puts(out, "\n");
}

struct feed {
    struct resp_reader reader;
    struct slice in;
    size_t done, seen;
    struct buf out;
    struct fetch *fetch;
    void (*on_fetch)(struct buf *out, struct fetch *f, enum fetch_event e);
};

/* Lets the reader see the input up to end; what it does not use stays. */
static enum codec feed_to(struct feed *f, size_t end)
{
    f->seen = end;
    for (;;) {
        struct resp r;
        size_t used;
        /* A copy of exactly this size, so that reading past it is found out. */
        struct buf copy = {0};
        buf_put(&copy, f->in.p + f->done, end - f->done);
        enum codec c = imap_resp_next(&f->reader, buf_slice(&copy), &used, &r);
        if (c == CODEC_DONE && f->fetch != NULL)
            f->on_fetch(&f->out, f->fetch, imap_fetch_feed(f->fetch, &r));
        else if (c == CODEC_DONE)
            render(&f->out, &r);
        else
            assert_int_equal(r.kind, RESP_NONE);
        buf_free(&copy);
        if (c != CODEC_DONE) {
            assert_int_equal(used, 0);
            return c;
        }
        f->done += used;
        assert_true(f->done <= end);
    }
}

static void same(struct feed *f, const char *want)
{
    if (f->out.len != strlen(want) || memcmp(buf_slice(&f->out).p, want, f->out.len) != 0)
        print_error("got:\n%s\nwant:\n%s\n", buf_cstr(&f->out), want);
    assert_string_equal(buf_cstr(&f->out), want);
    assert_int_equal(f->done, f->in.n);
    assert_true(imap_resp_idle(&f->reader));
    buf_free(&f->out);
}

static void check(const char *input, const char *want)
{
    struct slice in = slice_str(input);
    for (size_t split = 0; split <= in.n; split++) {
        struct feed f = {.in = in};
        imap_resp_init(&f.reader);
        assert_int_equal(feed_to(&f, split), CODEC_MORE);
        assert_int_equal(feed_to(&f, in.n), CODEC_MORE);
        same(&f, want);
    }
    struct feed f = {.in = in};
    imap_resp_init(&f.reader);
    for (size_t end = 0; end <= in.n; end++)
        assert_int_equal(feed_to(&f, end), CODEC_MORE);
    same(&f, want);
}

static void refused_n(const char *input, size_t n)
{
    for (size_t step = 1; step <= n; step++) {
        struct feed f = {.in = slice_make(input, n)};
        enum codec c = CODEC_MORE;
        imap_resp_init(&f.reader);
        for (size_t end = 0; c == CODEC_MORE && end < n;) {
            end = end + step < n ? end + step : n;
            c = feed_to(&f, end);
        }
        assert_int_equal(c, CODEC_BAD);
        buf_free(&f.out);
    }
}

static void refused(const char *input)
{
    refused_n(input, strlen(input));
}

static void status(void **state)
{
    (void)state;
    check("* OK\r\n", "OK tag=<> code=<> text=<>\n");
    check("* OK \r\n", "OK tag=<> code=<> text=<>\n");
    check("a1 OK\r\n", "OK tag=<a1> code=<> text=<>\n");
    check("a1 no [TRYCREATE] No \"such (thing\r\n",
          "NO tag=<a1> code=<TRYCREATE> text=<No \"such (thing>\n");
    check("* PREAUTH hi\r\n* BYE\r\na.2 BAD  x\r\n",
          "PREAUTH tag=<> code=<> text=<hi>\nBYE tag=<> code=<> text=<>\n"
          "BAD tag=<a.2> code=<> text=<x>\n");
    check("* NO [BADCHARSET (\"x\")]\r\n", "NO tag=<> code=<BADCHARSET (\"x\")> text=<>\n");
    check("* OK [PERMANENTFLAGS (\\Seen k[1] x] \\*)] ok\r\n",
          "OK tag=<> code=<PERMANENTFLAGS (\\Seen k[1] x] \\*)> text=<ok>\n");
    check("* OK [X \"a]b\" c[d]]e\r\n", "OK tag=<> code=<X \"a]b\" c[d]> text=<e>\n");
    check("* OK [UNSEEN\r\n", "OK tag=<> code=<> text=<[UNSEEN>\n");
    check("* NO [ALERT] say \"]\r\n", "NO tag=<> code=<ALERT> text=<say \"]>\n");
    check("* NO [A \"b] c\r\n", "NO tag=<> code=<A \"b> text=<c>\n");
    check("* OK [] x\r\n", "OK tag=<> code=<> text=<x>\n");
    check("* OK caf\xc3\xa9 \x01\r\n", "OK tag=<> code=<> text=<caf\xc3\xa9 \x01>\n");
}

static void continuation(void **state)
{
    (void)state;
    check("+\r\n+ \r\n+ idling\r\n+ {5}\r\n+x\r\n",
          "cont text=<>\ncont text=<>\ncont text=<idling>\ncont text=<{5}>\ncont text=<x>\n");
}

static void data(void **state)
{
    (void)state;
    check("* SEARCH\r\n", "begin name=<SEARCH>\nend\n");
    check("* SEARCH \r\n", "begin name=<SEARCH>\nend\n");
    check("* SEARCH  1 2  \r\n", "begin name=<SEARCH>\natom raw=<1>\natom raw=<2>\nend\n");
    check("* 5 EXISTS\r\n* 0 recent\r\n",
          "begin 5 name=<EXISTS>\nend\nbegin 0 name=<recent>\nend\n");
    check("* LIST (\\A) \"\\\\\" a]b%*\r\n",
          "begin name=<LIST>\nopen raw=<(>\natom raw=<\\A>\nclose raw=<)>\n"
          "quoted raw=<\"\\\\\">\natom raw=<a]b%*>\nend\n");
    check("* LIST () NIL {0}\r\n\r\n", "begin name=<LIST>\nopen raw=<(>\nclose raw=<)>\n"
                                       "atom raw=<NIL>\nliteral 0 bytes=<>\nend\n");
    check("* 3 FETCH (BODY[HEADER.FIELDS (\"X\" Y)]<12> {5}\r\n)\r\n\"( UID 7 )\r\n",
          "begin 3 name=<FETCH>\nopen raw=<(>\natom raw=<BODY[HEADER.FIELDS (\"X\" Y)]<12>>\n"
          "literal 5 bytes=<)\r\n\"(>\natom raw=<UID>\natom raw=<7>\nclose raw=<)>\nend\n");
}

static void malformed(void **state)
{
    (void)state;
    refused("\r\n");
    refused("*\r\n");
    refused("* \r\n");
    refused("*  OK\r\n");
    refused("*OK\r\n");
    refused("a1\r\n");
    refused("a1 MAYBE x\r\n");
    refused("a1 BYE x\r\n");
    refused("* OK a\nb\r\n");
    refused("* OK a\rb\r\n");
    refused("* OK x\n");
    refused("a1 OK x\n");
    refused("* 4294967296 EXISTS\r\n");
    refused("* 12\r\n");
    refused("* 1x EXISTS\r\n");
    refused("* LIST (\r\n");
    refused("* LIST )\r\n");
    refused("* LIST \"a\r\n");
    refused("* LIST {x}\r\n");
    refused("* LIST {4294967296}\r\n");
    refused_n("* LIST a\0b\r\n", 12);
    refused("+ x\n");
}

static void bounds(void **state)
{
    (void)state;
    struct resp_reader r;
    struct resp e;
    size_t used;
    imap_resp_init(&r);
    r.max_token = 20;
    assert_int_equal(imap_resp_next(&r, slice_str("* OK 01234567890123456"), &used, &e), CODEC_BAD);
    assert_int_equal(imap_resp_next(&r, slice_str("* LIST aaaaaaaaaaaaaaaaaaaaa"), &used, &e),
                     CODEC_DONE);
    assert_int_equal(imap_resp_next(&r, slice_str(" aaaaaaaaaaaaaaaaaaaaa"), &used, &e), CODEC_BAD);
    /* The structure of mail that was forwarded a hundred times is no attack. */
    imap_resp_init(&r);
    assert_int_equal(imap_resp_next(&r, slice_str("* 1 FETCH ("), &used, &e), CODEC_DONE);
    for (unsigned i = 0; i < 400; i++)
        assert_int_equal(imap_resp_next(&r, slice_str("("), &used, &e), CODEC_DONE);
    imap_resp_init(&r);
    r.max_depth = 2;
    assert_int_equal(imap_resp_next(&r, slice_str("* X ((("), &used, &e), CODEC_DONE);
    assert_int_equal(imap_resp_next(&r, slice_str(" ((("), &used, &e), CODEC_DONE);
    assert_int_equal(imap_resp_next(&r, slice_str("(("), &used, &e), CODEC_DONE);
    assert_int_equal(imap_resp_next(&r, slice_str("("), &used, &e), CODEC_BAD);
    assert_int_equal(used, 0);
    assert_int_equal(e.kind, RESP_NONE);
}

/* FETCH: what happened, then the fields. */
static void on_fetch(struct buf *out, struct fetch *f, enum fetch_event e)
{
    switch (e) {
    case FETCH_NONE:
        break;
    case FETCH_BODY:
        buf_printf(out, "body %u <", (unsigned)f->body_size);
        break;
    case FETCH_BYTES:
        buf_put_slice(out, f->bytes);
        break;
    case FETCH_BODY_END:
        buf_put_slice(out, f->bytes);
        buf_puts(out, ">\n");
        break;
    case FETCH_BODY_WHOLE:
        buf_printf(out, "whole %u", (unsigned)f->body_size);
        show(out, "", f->bytes);
        buf_puts(out, "\n");
        break;
    case FETCH_BAD:
        buf_puts(out, "bad\n");
        break;
    case FETCH_DONE:
        buf_printf(out, "%u uid %u%s%s", f->seq, f->uid, f->bad ? " bad" : "",
                   f->body_nil ? " nil" : "");
        if (f->has_flags)
            show(out, "flags", buf_slice(&f->flags));
        if (f->has_date)
            buf_printf(out, " when=%ld", (long)f->when);
        if (f->has_size)
            buf_printf(out, " size=%u", (unsigned)f->size);
        if (f->modseq != 0)
            buf_printf(out, " modseq=%llu", (unsigned long long)f->modseq);
        if (f->header.len > 0)
            show(out, "header", buf_slice(&f->header));
        buf_puts(out, "\n");
        break;
    }
}

static void check_fetch(const char *input, const char *want)
{
    struct slice in = slice_str(input);
    for (size_t split = 0; split <= in.n; split++) {
        struct fetch fetch;
        struct feed f = {.in = in, .fetch = &fetch, .on_fetch = on_fetch};
        imap_resp_init(&f.reader);
        imap_fetch_init(&fetch);
        fetch.max_header = 12;
        assert_int_equal(feed_to(&f, split), CODEC_MORE);
        assert_int_equal(feed_to(&f, in.n), CODEC_MORE);
        same(&f, want);
        imap_fetch_free(&fetch);
    }
}

static void fetches(void **state)
{
    (void)state;
    check_fetch("* 1 FETCH (FLAGS (\\Seen \\recent $L) UID 4294967295)\r\n* 2 EXISTS\r\n"
                "* 3 FETCH (UID 9 FLAGS ())\r\n",
                "1 uid 4294967295 flags=<\\Seen $L>\n3 uid 9 flags=<>\n");
    check_fetch("* 1 FETCH (BODY[] {6}\r\na)\r\n b UID 2 RFC822.SIZE 6 MODSEQ (9223372036854775807)"
                " INTERNALDATE \" 1-Jan-1970 01:00:01 +0100\")\r\n",
                "body 6 <a)\r\n b>\n1 uid 2 when=1 size=6 modseq=9223372036854775807\n");
    check_fetch(
        "* 1 FETCH (UID 2 BODY[]<0> {0}\r\n X-GM (1 (\"2\" {1}\r\n)) y) RFC822 \"q\\\"q\")\r\n",
        "body 0 <>\nwhole 3 =<q\"q>\n1 uid 2\n");
    check_fetch("* 1 FETCH (BODY[] NIL BODY[1] {3}\r\nabc BODYSTRUCTURE ((\"a\" NIL) (1)))\r\n",
                "1 uid 0 nil\n");
    check_fetch("* 1 FETCH (BODY[HEADER.FIELDS (MESSAGE-ID)] {15}\r\nMessage-ID: <x> UID 3)\r\n",
                "1 uid 3 header=<Message-ID: >\n");
    check_fetch("* 1 FETCH (BODY[HEADER] \"x\" UID 3)\r\n", "1 uid 3 header=<x>\n");
    check_fetch("* 1 FETCH ()\r\n", "1 uid 0\n");
}

static void bad_fetches(void **state)
{
    (void)state;
    check_fetch("* 1 FETCH (UID 0 FLAGS (a))\r\n* 2 FETCH (UID 2)\r\n",
                "bad\n1 uid 0 bad\n2 uid 2\n");
    check_fetch("* 1 FETCH (UID x)\r\n", "bad\n1 uid 0 bad\n");
    check_fetch("* 1 FETCH (UID)\r\n", "bad\n1 uid 0 bad\n");
    check_fetch("* 1 FETCH\r\n", "1 uid 0 bad\n");
    check_fetch("* 1 FETCH x\r\n", "bad\n1 uid 0 bad\n");
    check_fetch("* 0 FETCH (UID 1)\r\n", "bad\n0 uid 0 bad\n");
    check_fetch("* 1 FETCH (FLAGS x)\r\n", "bad\n1 uid 0 bad\n");
    check_fetch("* 1 FETCH (FLAGS ((x)))\r\n", "bad\n1 uid 0 bad flags=<>\n");
    check_fetch("* 1 FETCH (UID {1}\r\n1 FLAGS ())\r\n", "bad\n1 uid 0 bad\n");
    check_fetch("* 1 FETCH (INTERNALDATE \"never\" BODY[] {2}\r\nab)\r\n", "bad\n1 uid 0 bad\n");
    check_fetch("* 1 FETCH (UID 1) x\r\n", "bad\n1 uid 1 bad\n");
    check_fetch("* 1 FETCH (BODY[] (x))\r\n", "bad\n1 uid 0 bad\n");
}

/* Gathers the first data response of input. */
static int gather(struct resp_line *l, const char *input, size_t max)
{
    struct slice in = slice_str(input);
    struct resp_reader r;
    int got = 0;
    imap_resp_init(&r);
    while (got == 0) {
        struct resp e;
        size_t used;
        assert_int_equal(imap_resp_next(&r, in, &used, &e), CODEC_DONE);
        got = imap_line_feed(l, &e, max);
        in = slice_make(in.p + used, in.n - used);
    }
    return got;
}

static void assert_buf(const struct buf *b, const char *want)
{
    assert_int_equal(b->len, strlen(want));
    assert_memory_equal(buf_slice(b).p, want, b->len);
}

static void lines(void **state)
{
    (void)state;
    struct resp_line l = {0};
    assert_int_equal(gather(&l, "* LIST (\\a)  \"/\" {5}\r\na \r\n) \r\n", 100), 1);
    assert_buf(&l.buf, "(\\a) \"/\" {5}\r\na \r\n)");
    assert_buf(&l.name, "LIST");
    assert_int_equal(gather(&l, "* 7 SEARCH\r\n", 100), 1);
    assert_int_equal(l.buf.len, 0);
    assert_true(l.has_num);
    assert_int_equal(l.num, 7);
    assert_int_equal(gather(&l, "* SEARCH 1 2345\r\n", 6), 1);
    assert_int_equal(gather(&l, "* SEARCH 1 23456\r\n", 6), E_LIMIT);
    imap_line_free(&l);
}

static void list_one(const char *line, const char *flags, char sep, const char *name)
{
    struct list_data d = {0};
    int r = imap_parse_list(slice_str(line), &d);
    if (flags == NULL) {
        assert_int_equal(r, E_PROTO);
        assert_int_equal(d.flags.n + d.name.len + (size_t)d.sep, 0);
    } else {
        assert_int_equal(r, 0);
        assert_int_equal(d.flags.n, strlen(flags));
        assert_memory_equal(d.flags.p, flags, d.flags.n);
        assert_int_equal(d.sep, sep);
        assert_buf(&d.name, name);
    }
    buf_free(&d.name);
}

static void lists(void **state)
{
    (void)state;
    list_one("(\\HasNoChildren \\Sent) \".\" \"INBOX.Sent \\\"x\"", "\\HasNoChildren \\Sent", '.',
             "INBOX.Sent \"x");
    list_one("() \"\\\\\" a\\b]", "", '\\', "a\\b]");
    list_one("() NIL INBOX", "", 0, "INBOX");
    list_one("() \"/\" {3}\r\na b", "", '/', "a b");
    list_one("() \"/\" x (\"CHILDINFO\" (\"SUBSCRIBED\"))", "", '/', "x");
    list_one("() \"/\"", NULL, 0, "");
    list_one("() \"//\" x", NULL, 0, "");
    list_one("x \"/\" x", NULL, 0, "");
    list_one("() / x", NULL, 0, "");
    list_one("() \"/\" (x)", NULL, 0, "");
    list_one("", NULL, 0, "");
    assert_true(imap_flag_in(slice_str("\\A \\noselect"), "\\Noselect"));
    assert_false(imap_flag_in(slice_str("\\A \\Noselectx"), "\\Noselect"));
    assert_false(imap_flag_in(slice_str(""), "\\Noselect"));
}

static void namespaces(void **state)
{
    (void)state;
    struct namespace_data n;
    assert_int_equal(imap_parse_namespace(slice_str("((\"INBOX.\" \".\")) NIL ((\"#shared.\" \".\")"
                                                    "(\"#public.\" \".\" \"X\" (\"a\")))"),
                                          &n),
                     0);
    assert_buf(&n.personal, "INBOX.");
    assert_int_equal(n.sep, '.');
    assert_int_equal(n.others.len, 0);
    assert_buf(&n.shared, "#shared.\n#public.\n");
    imap_namespace_free(&n);
    assert_int_equal(
        imap_parse_namespace(slice_str("((\"\" \"/\")(\"x/\" \"/\")) ((\"user/\" \"/\")) NIL"), &n),
        0);
    assert_int_equal(n.personal.len, 0);
    assert_int_equal(n.sep, '/');
    assert_buf(&n.others, "user/\n");
    assert_int_equal(n.shared.len, 0);
    imap_namespace_free(&n);
    assert_int_equal(imap_parse_namespace(slice_str("NIL NIL NIL"), &n), 0);
    assert_int_equal(n.sep, 0);
    imap_namespace_free(&n);
    static const char *const bad[] = {"", "NIL NIL", "x NIL NIL", "((\"a\")) NIL NIL",
                                      "(x) NIL NIL"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(imap_parse_namespace(slice_str(bad[i]), &n), E_PROTO);
        assert_int_equal(n.personal.len + n.others.len + n.shared.len, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status),      cmocka_unit_test(continuation), cmocka_unit_test(data),
        cmocka_unit_test(malformed),   cmocka_unit_test(bounds),       cmocka_unit_test(fetches),
        cmocka_unit_test(bad_fetches), cmocka_unit_test(lines),        cmocka_unit_test(lists),
        cmocka_unit_test(namespaces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
