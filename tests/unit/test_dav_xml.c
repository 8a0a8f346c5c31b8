/* The XML door and Multi-Status: what comes out is the same however the input is cut; what is hostile is refused. */
#include "config.h"
#include "unit.h"
#include <stdlib.h>
#include <string.h>
#include "wherry/base/mem.h"
#include "wherry/dav/multistatus.h"

static const char answer[] =
    "<?xml version='1.0' encoding='UTF-8'?>\n"
    "<!-- a comment --><D:multistatus xmlns:D='DAV:' xmlns='urn:ietf:params:xml:ns:caldav' xmlns:A='http://apple.com/ns/ical/'>"
    "<D:response><D:href> /a/b%40c/ </D:href><D:propstat><D:prop><D:resourcetype><D:collection/><calendar/></D:resourcetype>"
    "<A:calendar-color A:symbolic=\"a&quot;&#10;b\">#ff&amp;00</A:calendar-color><D:displayname><![CDATA[x<y]]> \xc3\xa9</D:displayname>"
    "<supported-calendar-component-set><comp name='VEVENT'/><comp name='VTODO'/></supported-calendar-component-set>"
    "<calendar-home-set><D:href>/homes/1/</D:href><D:href>/homes/2/</D:href></calendar-home-set></D:prop>"
    "<D:status>HTTP/1.1 200 OK</D:status></D:propstat>"
    "<D:propstat><D:prop><D:getetag/></D:prop><D:status>HTTP/1.1 404 Not Found</D:status><D:responsedescription><D:x/>no"
    "</D:responsedescription></D:propstat></D:response>"
    "<D:response><D:href>/gone</D:href><D:status>HTTP/1.1 404 Not Found</D:status></D:response>"
    "<D:sync-token>data:,1-2</D:sync-token></D:multistatus>";

struct seen {
    unsigned n;
    struct buf text; /* everything, as one text */
};

static int note(struct dav_response *r, void *arg)
{
    struct seen *s = arg;
    s->n++;
    buf_printf(&s->text, "%s %u\n", buf_cstr(&r->href), r->status);
    for (size_t i = 0; i < r->n_props; i++) {
        struct dav_prop *p = &r->props[i];
        buf_printf(&s->text, " {%s}%s %u [%s] [%s]", p->ns, p->name, p->status, buf_cstr(&p->text), buf_cstr(&p->href));
        buf_printf(&s->text, " %s\n", buf_cstr(&p->xml));
        for (size_t k = 0; k < p->n_names; k++)
            buf_printf(&s->text, "  %s\n", p->names[k]);
    }
    return 0;
}

static int read_cut(const char *in, size_t n, size_t cut, struct seen *s, struct buf *token)
{
    struct multistatus *m = multistatus_new(0, 100, 100000, note, s);
    uint8_t *a = mem_alloc(cut), *b = mem_alloc(n - cut); /* blocks of their own, for the sanitizer */
    memcpy(a, in, cut);
    memcpy(b, in + cut, n - cut);
    int r = multistatus_feed(m, slice_make(a, cut), false);
    if (r == 0)
        r = multistatus_feed(m, slice_make(b, n - cut), true);
    if (token != NULL)
        buf_put_slice(token, multistatus_token(m));
    free(a);
    free(b);
    multistatus_free(&m);
    return r;
}

static void reads_an_answer(void **state)
{
    (void)state;
    struct seen s = {0};
    struct buf token = {0};
    assert_int_equal(read_cut(answer, sizeof(answer) - 1, 0, &s, &token), 0);
    assert_int_equal(s.n, 2);
    assert_string_equal(buf_cstr(&token), "data:,1-2");
    const char *t = buf_cstr(&s.text);
    assert_memory_equal(t, "/a/b%40c/ 0\n", 12);
    assert_non_null(strstr(t, " {DAV:}resourcetype 200 []"));
    assert_non_null(strstr(t, "  urn:ietf:params:xml:ns:caldav calendar\n"));
    assert_non_null(strstr(t, "[#ff&00] [] <A:calendar-color xmlns:A=\"http://apple.com/ns/ical/\" "
                              "A:symbolic=\"a&quot;&#10;b\">#ff&amp;00</A:calendar-color>"));
    assert_non_null(strstr(t, "[x<y \xc3\xa9]"));
    assert_non_null(strstr(t, "<comp xmlns=\"urn:ietf:params:xml:ns:caldav\" name=\"VTODO\"></comp>"));
    assert_non_null(strstr(t, "[/homes/1/] "));
    assert_non_null(strstr(t, " {DAV:}getetag 404 []"));
    assert_non_null(strstr(t, "/gone 404\n"));
    buf_free(&s.text);
    buf_free(&token);
}

static void however_it_is_cut(void **state)
{
    (void)state;
    struct seen whole = {0};
    assert_int_equal(read_cut(answer, sizeof(answer) - 1, 0, &whole, NULL), 0);
    for (size_t cut = 1; cut < sizeof(answer); cut++) {
        struct seen s = {0};
        struct buf token = {0};
        assert_int_equal(read_cut(answer, sizeof(answer) - 1, cut, &s, &token), 0);
        assert_true(slice_eq(buf_slice(&whole.text), buf_slice(&s.text)));
        assert_string_equal(buf_cstr(&token), "data:,1-2");
        buf_free(&s.text);
        buf_free(&token);
    }
    buf_free(&whole.text);
}

/* An answer that ends early is an error wherever it ends. */
static void half_of_it_is_not_enough(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof(answer) - 1; n++) {
        struct seen s = {0};
        assert_int_equal(read_cut(answer, n, n / 2, &s, NULL), E_PROTO);
        buf_free(&s.text);
    }
}

static void refuses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int want;
    } rows[] = {
        {"<!DOCTYPE a [<!ENTITY b 'c'>]><D:multistatus xmlns:D='DAV:'>&b;</D:multistatus>", E_PROTO},
        {"<!DOCTYPE a SYSTEM 'http://127.0.0.1:1/x'><D:multistatus xmlns:D='DAV:'/>", E_PROTO},
        {"<D:multistatus xmlns:D='DAV:'>&nothing;</D:multistatus>", E_PROTO},
        {"<D:multistatus xmlns:D='DAV:'><E:x/></D:multistatus>", E_PROTO},
        {"<D:multistatus xmlns:D='DAV:'/><D:multistatus xmlns:D='DAV:'/>", E_PROTO},
        {"<html/>", E_PROTO},
        {"not XML", E_PROTO},
        {"", E_PROTO},
        {"<D:multistatus xmlns:D='DAV:'>\x01</D:multistatus>", E_PROTO},
        {"<D:multistatus xmlns:D='DAV:'>\xff\xfe</D:multistatus>", E_PROTO},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct seen s = {0};
        size_t n = strlen(rows[i].text);
        for (size_t cut = 0; cut <= n; cut++)
            assert_int_equal(read_cut(rows[i].text, n, cut, &s, NULL), rows[i].want);
        assert_int_equal(s.n, 0);
        buf_free(&s.text);
    }
}

static int ignore(const struct xml_event *ev, void *arg)
{
    (void)ev;
    (void)arg;
    return 0;
}

static int feed_text(const struct buf *b, uint64_t max_bytes, uint64_t max_text)
{
    struct xml_in *x = xml_in_new(max_bytes, max_text, ignore, NULL);
    int r = xml_feed(x, buf_slice(b), true);
    if (r != 0)
        assert_true(xml_error(x)[0] != '\0');
    xml_in_free(&x);
    return r;
}

static void keeps_its_bounds(void **state)
{
    (void)state;
    struct buf b = {0};
    for (int i = 0; i < XML_DEPTH_MAX; i++)
        buf_puts(&b, "<a>");
    for (int i = 0; i < XML_DEPTH_MAX; i++)
        buf_puts(&b, "</a>");
    assert_int_equal(feed_text(&b, 0, 0), 0);
    assert_int_equal(feed_text(&b, b.len - 1, 0), E_LIMIT);
    assert_int_equal(feed_text(&b, b.len, 0), 0);
    buf_clear(&b);
    for (int i = 0; i <= XML_DEPTH_MAX; i++)
        buf_puts(&b, "<a>");
    for (int i = 0; i <= XML_DEPTH_MAX; i++)
        buf_puts(&b, "</a>");
    assert_int_equal(feed_text(&b, 0, 0), E_LIMIT);
    buf_clear(&b);
    buf_puts(&b, "<a");
    for (int i = 0; i <= XML_ATTRS_MAX; i++)
        buf_printf(&b, " b%d='c'", i);
    buf_puts(&b, "/>");
    assert_int_equal(feed_text(&b, 0, 0), E_LIMIT);
    buf_clear(&b);
    buf_puts(&b, "<a>12345678</a>");
    assert_int_equal(feed_text(&b, 0, 8), 0);
    assert_int_equal(feed_text(&b, 0, 7), E_LIMIT);
    buf_clear(&b);
    buf_puts(&b, "<a b='");
    for (int i = 0; i < 1000000; i++)
        buf_putc(&b, 'x');
    assert_int_equal(feed_text(&b, 0, 0), E_LIMIT);
    buf_free(&b);
}

/* A text of many megabytes is told in pieces and not gathered. */
static void long_texts_stream(void **state)
{
    (void)state;
    struct xml_in *x = xml_in_new(0, 0, ignore, NULL);
    char piece[4096];
    memset(piece, 'a', sizeof(piece));
    assert_int_equal(xml_feed(x, SLICE_LIT("<a>"), false), 0);
    for (int i = 0; i < 5000; i++)
        assert_int_equal(xml_feed(x, slice_make(piece, sizeof(piece)), false), 0);
    assert_int_equal(xml_feed(x, SLICE_LIT("</a>"), true), 0);
    xml_in_free(&x);
}

static void bounds_of_an_answer(void **state)
{
    (void)state;
    struct seen s = {0};
    struct multistatus *m = multistatus_new(0, 1, 100000, note, &s);
    assert_int_equal(multistatus_feed(m, slice_str(answer), true), E_LIMIT);
    multistatus_free(&m);
    m = multistatus_new(0, 10, 300, note, &s);
    assert_int_equal(multistatus_feed(m, slice_str(answer), true), E_LIMIT);
    multistatus_free(&m);
    buf_free(&s.text);
}

static int rewrite(const struct xml_event *ev, void *arg)
{
    xml_put_event(arg, ev);
    return 0;
}

/* What is written from the pieces reads as the same pieces. */
static void writes_what_it_read(void **state)
{
    (void)state;
    struct buf once = {0}, twice = {0};
    struct xml_in *x = xml_in_new(0, 0, rewrite, &once);
    assert_int_equal(xml_feed(x, slice_str(answer), true), 0);
    xml_in_free(&x);
    x = xml_in_new(0, 0, rewrite, &twice);
    assert_int_equal(xml_feed(x, buf_slice(&once), true), 0);
    xml_in_free(&x);
    assert_true(slice_eq(buf_slice(&once), buf_slice(&twice)));
    struct seen a = {0}, b = {0};
    assert_int_equal(read_cut(answer, sizeof(answer) - 1, 0, &a, NULL), 0);
    assert_int_equal(read_cut((const char *)buf_slice(&once).p, once.len, 0, &b, NULL), 0);
    assert_true(slice_eq(buf_slice(&a.text), buf_slice(&b.text)));
    buf_free(&a.text);
    buf_free(&b.text);
    buf_free(&once);
    buf_free(&twice);
}

static void texts_are_escaped(void **state)
{
    (void)state;
    struct buf b = {0};
    xml_put_text(&b, SLICE_LIT("a<b>&\r\n\x01\xc3\xa9\xff\xed\xa0\x80\xf0\x9f\x98\x80\xc3"));
    assert_string_equal(buf_cstr(&b), "a&lt;b&gt;&amp;&#13;\n\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
                                      "\xef\xbf\xbd\xf0\x9f\x98\x80\xef\xbf\xbd");
    buf_free(&b);
}

static void note_error(struct slice ns, struct slice name, struct slice href, void *arg)
{
    struct buf *out = arg;
    buf_put_slice(out, ns);
    buf_putc(out, ' ');
    buf_put_slice(out, name);
    buf_putc(out, ' ');
    buf_put_slice(out, href);
    buf_putc(out, '\n');
}

static void errors_are_read(void **state)
{
    (void)state;
    struct buf b = {0};
    dav_error_read(SLICE_LIT("<D:error xmlns:D='DAV:'><C:no-uid-conflict xmlns:C='urn:ietf:params:xml:ns:caldav'><D:href>/a"
                             "</D:href><D:href>/b</D:href></C:no-uid-conflict><D:x/></D:error>"),
                   note_error, &b);
    assert_string_equal(buf_cstr(&b), "urn:ietf:params:xml:ns:caldav no-uid-conflict /a\nDAV: x \n");
    buf_clear(&b);
    dav_error_read(SLICE_LIT("<html><D:x xmlns:D='DAV:'/></html>"), note_error, &b);
    dav_error_read(SLICE_LIT("plain"), note_error, &b);
    assert_int_equal(b.len, 0);
    buf_free(&b);
}

static void requests_are_sound(void **state)
{
    (void)state;
    static const struct dav_name names[] = {
        {NS_DAV, "getetag"}, {NS_APPLE, "calendar-color"}, {NS_CS, "getctag"}, {NS_APPLE, "calendar-order"}};
    const struct slice hrefs[] = {SLICE_LIT("/a&b"), SLICE_LIT("/c")};
    struct buf b = {0};
    dav_put_propfind(&b, names, 4);
    assert_int_equal(feed_text(&b, 0, 0), 0);
    assert_non_null(strstr(buf_cstr(&b), "<D:propfind xmlns:D=\"DAV:\" xmlns:n1=\"http://apple.com/ns/ical/\" "
                                         "xmlns:n2=\"http://calendarserver.org/ns/\"><D:prop><D:getetag/><n1:calendar-color/>"
                                         "<n2:getctag/><n1:calendar-order/></D:prop></D:propfind>"));
    buf_clear(&b);
    dav_put_multiget(&b, false, hrefs, 2);
    assert_int_equal(feed_text(&b, 0, 0), 0);
    assert_non_null(strstr(buf_cstr(&b), "<D:href>/a&amp;b</D:href>"));
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_an_answer),     cmocka_unit_test(however_it_is_cut),
        cmocka_unit_test(half_of_it_is_not_enough), cmocka_unit_test(refuses),
        cmocka_unit_test(keeps_its_bounds),    cmocka_unit_test(long_texts_stream),
        cmocka_unit_test(bounds_of_an_answer), cmocka_unit_test(writes_what_it_read),
        cmocka_unit_test(texts_are_escaped),   cmocka_unit_test(errors_are_read),
        cmocka_unit_test(requests_are_sound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
