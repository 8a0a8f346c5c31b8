/* HTTP: requests whole, in every split and byte by byte; what must be refused; targets, spellings, heads, entity tags. */
#include "unit.h"
#include "wherry/http/head.h"
#include "wherry/http/request.h"
#include "wherry/http/uri.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIT(s) slice_make(s, sizeof(s) - 1)

static void put_start(struct buf *out, const struct http_request *q)
{
    buf_printf(out, "{%s %.*s%s%s%s%s", q->name, (int)q->target.n, (const char *)q->target.p, q->http10 ? " 1.0" : "",
               q->keep_alive ? "" : " close", q->expect ? " expect" : "", q->chunked ? " chunked" : "");
    if (q->length > 0)
        buf_printf(out, " %llu", (unsigned long long)q->length);
    for (size_t i = 0; i < q->n_fields; i++)
        buf_printf(out, "|%.*s=%.*s", (int)q->fields[i].name.n, (const char *)q->fields[i].name.p,
                   (int)q->fields[i].value.n, (const char *)q->fields[i].value.p);
    buf_puts(out, "}");
}

/* All that can be read of the input, as text; false when it was refused. Each piece lies in memory of its own. */
static bool read_some(struct http_reader *r, struct slice in, struct buf *out)
{
    char *copy = slice_dup(in);
    struct slice rest = slice_make(copy, in.n), body;
    enum http_piece p;
    while ((p = http_read(r, &rest, &body)) != HTTP_MORE && p != HTTP_BAD) {
        if (p == HTTP_START)
            put_start(out, http_reader_request(r));
        else if (p == HTTP_BODY)
            buf_put_slice(out, body);
        else
            buf_puts(out, "$");
    }
    if (p == HTTP_BAD)
        buf_printf(out, "!%u", http_bad_status(r));
    else
        assert_int_equal(rest.n, 0);
    free(copy);
    return p == HTTP_MORE;
}

static void check_split(struct slice in, size_t at, const char *want)
{
    struct http_reader *r = http_reader_new();
    struct buf out = {0};
    if (read_some(r, slice_make(in.p, at), &out))
        (void)read_some(r, slice_make(in.p + at, in.n - at), &out);
    assert_string_equal(buf_cstr(&out), want);
    buf_free(&out);
    http_reader_free(&r);
}

static void check(struct slice in, const char *want)
{
    struct http_reader *r = http_reader_new();
    struct buf out = {0};
    bool good = true;
    for (size_t at = 0; at <= in.n; at++)
        check_split(in, at, want);
    for (size_t i = 0; i < in.n && good; i++)
        good = read_some(r, slice_make(in.p + i, 1), &out);
    assert_string_equal(buf_cstr(&out), want);
    buf_free(&out);
    http_reader_free(&r);
}

static void good_requests(void **state)
{
    (void)state;
    check(LIT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "{GET /|Host=a}$");
    check(LIT("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), "{GET /|Host=a}$");
    check(LIT("GET / HTTP/1.0\r\n\r\n"), "{GET / 1.0 close}$");
    check(LIT("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), "{GET / 1.0|Connection=keep-alive}$");
    check(LIT("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), "{GET / close|Host=a|Connection=close}$");
    check(LIT("OPTIONS * HTTP/1.1\r\nHost: a\r\nX-Empty:\r\nX-Last:  b c \t\r\n\r\n"),
          "{OPTIONS *|Host=a|X-Empty=|X-Last=b c}$");
    check(LIT("PUT /a%20b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-Continue\r\n\r\nhello"),
          "{PUT /a%20b expect 5|Host=a|Content-Length=5|Expect=100-Continue}hello$");
    check(LIT("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"), "{PUT /x|Host=a|Content-Length=0}$");
    check(LIT("REPORT /c/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"
              "3\r\nabc\r\n0A;x=\"y\"\r\n0123456789\r\n0\r\n\r\n"),
          "{REPORT /c/ chunked|Host=a|Transfer-Encoding=Chunked}abc0123456789$");
    check(LIT("PROPFIND / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
              "MKCALENDAR /d HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nde"
              "GET /f HTTP/1.1\r\nHost: a\r\n\r\n"),
          "{PROPFIND / 3|Host=a|Content-Length=3}abc${MKCALENDAR /d 2|Host=a|Content-Length=2}de${GET /f|Host=a}$");
    check(LIT("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n"),
          "{GET /|Host=a|Upgrade=h2c|Connection=Upgrade}${GET /b|Host=a}$");
    check(LIT("GET / HTTP/1.1\r\nHost: a\r\nX: \xc3\xa9\r\n\r\n"), "{GET /|Host=a|X=\xc3\xa9}$");
}

struct refused {
    struct slice in;
    const char *want;
};
#define BAD(text, want) {{(const uint8_t *)(text), sizeof(text) - 1}, want}

static const struct refused refused[] = {
    /* line ends, folding, blanks */
    BAD("GET / HTTP/1.1\nHost: a\r\n\r\n", "!400"),
    BAD("GET / HTTP/1.1\r\nHost: a\n\r\n", "!400"),
    BAD("GET / HTTP/1.1\r\nHost: a\r\n\n", "!400"),
    BAD("GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", "!400"),
    BAD("GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", "!400"),
    BAD("GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\tc\r\n\r\n", "!400"),
    BAD("GET / HTTP/1.1\r\n X: b\r\nHost: a\r\n\r\n", "!400"),
    BAD("GET / HTTP/1.1\r\nHost : a\r\n\r\n", "!400"),
    BAD("GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n", "!400"),
    BAD("\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "!400"),
    BAD("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "!400"),
    /* lengths */
    BAD("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", "!400"),
    BAD("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello", "!400"),
    BAD("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "!400"),
    BAD("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", "!400"),
    BAD("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello", "!400"),
    BAD("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nhello", "!400"),
    BAD("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", "!400"),
    BAD("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", "!400"),
    BAD("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", "!400"),
    /* codings */
    BAD("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "!501"),
    BAD("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "!400"),
    BAD("PUT / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "!400"),
    /* chunks */
    BAD("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
        "{PUT / chunked|Host=a|Transfer-Encoding=chunked}!400"),
    BAD("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "{PUT / chunked|Host=a|Transfer-Encoding=chunked}!400"),
    BAD("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n",
        "{PUT / chunked|Host=a|Transfer-Encoding=chunked}abc!400"),
    BAD("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\n0\r\n\r\n",
        "{PUT / chunked|Host=a|Transfer-Encoding=chunked}abc!400"),
    BAD("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n11111111111111111\r\n",
        "{PUT / chunked|Host=a|Transfer-Encoding=chunked}!400"),
    BAD("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n",
        "{PUT / chunked|Host=a|Transfer-Encoding=chunked}!400"),
    /* hosts, versions, methods */
    BAD("GET / HTTP/1.1\r\n\r\n", "!400"),
    BAD("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "!400"),
    BAD("GET / HTTP/2.0\r\nHost: a\r\n\r\n", "!505"),
    BAD("GET / HTTP/1.7\r\nHost: a\r\n\r\n", "!505"),
    BAD("BREW / HTTP/1.1\r\nHost: a\r\n\r\n", "!501"),
    BAD("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", "!400"),
    BAD("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", "!400"),
    BAD("GET / HTTP/1.1\r\nHost: a\r\nExpect: magic\r\n\r\n", "!417"),
    BAD("GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", "!400"),
    BAD("GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n", "!400"),
    /* after close nothing may come */
    BAD("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "{GET / close|Host=a|Connection=close}$!400"),
};

static void bad_requests(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        check(refused[i].in, refused[i].want);
}

static void expect_status(struct buf *in, unsigned status)
{
    struct http_reader *r = http_reader_new();
    struct slice rest = buf_slice(in), body;
    enum http_piece p;
    while ((p = http_read(r, &rest, &body)) != HTTP_MORE && p != HTTP_BAD)
        assert_int_equal(body.n > 0, p == HTTP_BODY);
    assert_int_equal(p, HTTP_BAD);
    assert_int_equal(http_bad_status(r), status);
    assert_true(strlen(http_bad_reason(r)) > 0);
    assert_int_equal(http_read(r, &rest, &body), HTTP_BAD);
    http_reader_free(&r);
    buf_free(in);
}

static void limits(void **state)
{
    struct buf in = {0};
    (void)state;
    buf_puts(&in, "GET /");
    for (int i = 0; i < HTTP_TARGET_MAX; i++)
        buf_putc(&in, 'a');
    buf_puts(&in, " HTTP/1.1\r\nHost: a\r\n\r\n");
    expect_status(&in, 414);
    buf_puts(&in, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
    for (int i = 0; i < HTTP_HEAD_MAX; i++)
        buf_putc(&in, 'a');
    expect_status(&in, 431);
    buf_puts(&in, "GET / HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < HTTP_FIELDS_MAX; i++)
        buf_puts(&in, "X: y\r\n");
    buf_puts(&in, "\r\n");
    expect_status(&in, 431);
    buf_puts(&in, "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;");
    for (int i = 0; i < HTTP_EXTENSION_MAX; i++)
        buf_putc(&in, 'a');
    buf_puts(&in, "a=b\r\nx\r\n0\r\n\r\n");
    expect_status(&in, 400);
}

static void lookup(void **state)
{
    struct http_reader *r = http_reader_new();
    struct slice in = LIT("GET / HTTP/1.1\r\nHost: a\r\nIf-Match: \"1\"\r\nDAV: 1, Calendar-Access ,x\r\nif-match: \"2\"\r\n\r\n"), body;
    struct buf all = {0};
    (void)state;
    assert_true(http_reader_idle(r));
    assert_int_equal(http_read(r, &in, &body), HTTP_START);
    assert_false(http_reader_idle(r));
    const struct http_request *q = http_reader_request(r);
    assert_int_equal(http_field_count(q, "IF-MATCH"), 2);
    http_field_join(q, "if-match", &all);
    assert_string_equal(buf_cstr(&all), "\"1\", \"2\"");
    assert_true(http_list_has(http_field(q, "dav"), "calendar-access"));
    assert_true(http_list_has(http_field(q, "dav"), "X"));
    assert_false(http_list_has(http_field(q, "dav"), "calendar"));
    assert_int_equal(http_field(q, "none").n, 0);
    http_reader_wipe(r);
    assert_int_equal(http_field(q, "dav").n, 0);
    buf_free(&all);
    http_reader_free(&r);
}

static void target(const char *text, const char *host, const char *path, const char *spelled, const char *query)
{
    struct http_target t = {0};
    int rc = http_target_parse(slice_str(text), slice_str(host), false, &t);
    assert_int_equal(rc, path == NULL ? E_INVAL : 0);
    assert_string_equal(buf_cstr(&t.path), path == NULL ? "" : path);
    assert_string_equal(buf_cstr(&t.spelled), path == NULL ? "" : spelled);
    if (path != NULL)
        assert_true(slice_is(t.query, query));
    http_target_free(&t);
}

static void targets(void **state)
{
    struct http_target t = {0};
    (void)state;
    target("/a%40b/%c3%A9?x=%2F", "h", "/a@b/\xc3\xa9", "/a%40b/%c3%A9", "?x=%2F");
    target("/a//b///", "h", "/a/b/", "/a/b/", "");
    target("/a%252Fb", "h", "/a%2Fb", "/a%252Fb", "");
    target("http://H:80/x", "h", "/x", "/x", "");
    target("https://h:8443/x/.y/..z", "H:8443", "/x/.y/..z", "/x/.y/..z", "");
    target("https://h", "h", "/", "/", "");
    static const char *const bad[] = {"", "x", "*", "/a/../b", "/a/..", "/./a", "/.", "/a/%2e%2E/b", "/%2e", "/a%2Fb", "/a%5Cb",
                                      "/a\\b", "/%", "/%4", "/%zz", "/a%00b", "/a%0ab", "/a#b", "/a?b#c", "/a\xc3\xa9",
                                      "https://other/x", "https://h:81/x", "ftp://h/x", "https://u@h/x", "/a%7f"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        target(bad[i], "h", NULL, "", "");
    target("https://h/x", "", NULL, "", "");
    assert_int_equal(http_target_parse(LIT("*"), LIT("h"), true, &t), 0);
    assert_true(t.asterisk);
    struct slice path;
    assert_int_equal(http_uri_path(LIT("//h/x"), LIT("h"), &path), E_INVAL);
    assert_int_equal(http_uri_path(LIT("/x/"), LIT("h"), &path), 0);
    assert_true(slice_is(path, "/x/"));
    assert_int_equal(http_uri_path(LIT("http://any/x"), slice_str(""), &path), 0);
    assert_true(slice_is(path, "/x"));
}

static void spell(const char *seen, const char *path, const char *want, const char *text)
{
    struct http_spelling s = {0}, again;
    struct buf out = {0}, saved = {0};
    http_spelling_learn(&s, slice_str(seen));
    http_spelling_put(&s, slice_str(path), &out);
    assert_string_equal(buf_cstr(&out), want);
    http_spelling_text(&s, &saved);
    assert_string_equal(buf_cstr(&saved), text);
    http_spelling_read(&again, buf_slice(&saved));
    buf_clear(&out);
    http_spelling_put(&again, slice_str(path), &out);
    assert_string_equal(buf_cstr(&out), want);
    buf_free(&out);
    buf_free(&saved);
}

static void spellings(void **state)
{
    struct http_spelling s;
    (void)state;
    spell("", "/a@b c/\xc3\xa9%2F~", "/a%40b%20c/%C3%A9%252F~", "A");
    spell("/x@y!/", "/a@b!?#\\\x01", "/a@b!%3F%23%5C%01", "A!@");
    spell("/%c3%a9/%7e", "/\xc3\xa9~", "/%c3%a9%7e", "a~");
    spell("/a%40b/c@d", "/@", "/@", "A@");
    http_spelling_read(&s, LIT("Z@"));
    assert_int_equal(s.plain[0] | s.plain[1], 0);
}

static void heads(void **state)
{
    struct buf out = {0};
    (void)state;
    http_put_status(&out, 207);
    http_put_field(&out, "X", LIT("a\r\nb\tc"));
    assert_true(http_put_field_as(&out, LIT("ETag"), LIT("\"1\"")));
    assert_false(http_put_field_as(&out, LIT("a b"), LIT("1")));
    assert_false(http_put_field_as(&out, LIT(""), LIT("1")));
    http_put_chunk(&out, LIT("hello world, hello"));
    http_put_chunk(&out, LIT(""));
    http_put_last_chunk(&out);
    assert_string_equal(buf_cstr(&out), "HTTP/1.1 207 Multi-Status\r\nX: a  b\tc\r\nETag: \"1\"\r\n12\r\nhello world, hello\r\n0\r\n\r\n");
    buf_clear(&out);
    http_put_date(&out, 784111777);
    assert_string_equal(buf_cstr(&out), "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_string_equal(http_reason(599), "Failed");
    buf_free(&out);
}

static void etags(void **state)
{
    struct slice list = LIT(" \"a,b\", W/\"c\" ,*"), empty = LIT(" , ");
    struct http_etag t;
    (void)state;
    assert_int_equal(http_etag_next(&list, &t), CODEC_DONE);
    assert_true(slice_is(t.tag, "\"a,b\"") && !t.any);
    assert_int_equal(http_etag_next(&list, &t), CODEC_DONE);
    assert_true(slice_is(t.tag, "W/\"c\""));
    assert_int_equal(http_etag_next(&list, &t), CODEC_DONE);
    assert_true(t.any);
    assert_int_equal(http_etag_next(&list, &t), CODEC_MORE);
    assert_int_equal(http_etag_next(&empty, &t), CODEC_MORE);
    static const char *const bad[] = {"a", "\"a", "W/", "W/x", "\"a\" \"b\"", "\"a\"b", "\"a\x01\""};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct slice one = slice_str(bad[i]);
        assert_int_equal(http_etag_next(&one, &t), CODEC_BAD);
    }
}

static const char *walk_if(const char *field, struct buf *out)
{
    struct http_if f = {.rest = slice_str(field)};
    enum http_if_kind kind;
    struct slice text;
    enum codec c;
    buf_clear(out);
    while ((c = http_if_next(&f, &kind, &text)) == CODEC_DONE) {
        buf_puts(out, kind == HTTP_IF_TEXT ? "" : kind == HTTP_IF_ETAG ? "e:" : "r:");
        buf_put_slice(out, text);
    }
    buf_puts(out, c == CODEC_BAD ? "!" : "");
    return buf_cstr(out);
}

static void if_fields(void **state)
{
    struct buf out = {0};
    (void)state;
    assert_string_equal(walk_if("(<urn:lock> [\"a b\"]) (Not <urn:x>)", &out), "(<urn:lock> e:[\"a b\"]) (Not <urn:x>)");
    assert_string_equal(walk_if("(<urn:lock> [\"a\tb\"])", &out), "(<urn:lock> !");
    assert_string_equal(walk_if("<http://h/a> (<urn:lock> [\"a\"])\t(Not [W/\"b\"])", &out),
                        "r:<http://h/a> (<urn:lock> e:[\"a\"])\t(Not e:[W/\"b\"])");
    assert_string_equal(walk_if("([\"a]b\"])", &out), "(e:[\"a]b\"])");
    static const char *const bad[] = {"(", "([\"a\"", "(])", "x", "((", ")", "<a", "[\"a\"]", "(<a)"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_non_null(strchr(walk_if(bad[i], &out), '!'));
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(good_requests), cmocka_unit_test(bad_requests),
                                       cmocka_unit_test(limits),        cmocka_unit_test(lookup),
                                       cmocka_unit_test(targets),       cmocka_unit_test(spellings),
                                       cmocka_unit_test(heads),         cmocka_unit_test(etags),
                                       cmocka_unit_test(if_fields)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
