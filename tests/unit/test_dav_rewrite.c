/* XML told in other terms: values changed in place, responses left out, documents joined; whole and split at every byte. */
#include "unit.h"
#include "front/dav_rewrite.h"
#include <stdio.h>
#include <string.h>

/* "/new/x" becomes "/old/x"; "/gone…" goes; everything else stays. The role is told by its letter. */
static int href(void *arg, enum href_role role, struct slice v, struct buf *out)
{
    (void)arg;
    if (slice_starts(v, SLICE_LIT("/gone")))
        return -1;
    if (!slice_starts(v, SLICE_LIT("/new/"))) {
        buf_put_slice(out, v);
        return 0;
    }
    buf_printf(out, "/old%c/%.*s", "arpcb"[role], (int)(v.n - 5), (const char *)v.p + 5);
    return 0;
}

static int etag(void *arg, struct slice v, bool schedule, struct buf *out)
{
    (void)arg;
    if (slice_is(v, "\"bad\""))
        return -1;
    buf_printf(out, "<%s%.*s>", schedule ? "s" : "", (int)v.n, (const char *)v.p);
    return 0;
}

static int token(void *arg, bool ctag, struct slice v, struct buf *out)
{
    (void)arg;
    buf_printf(out, "urn:%s:%.*s", ctag ? "c" : "t", (int)v.n, (const char *)v.p);
    return 0;
}

static const struct rewrite_ops ops = {href, etag, token};

static int feed_all(struct rewrite *r, const char *in, size_t at, struct buf *out)
{
    size_t n = strlen(in);
    const struct slice pieces[] = {{(const uint8_t *)in, at}, {(const uint8_t *)in + at, n - at}};
    int rc = 0;
    for (int i = 0; i < 2 && rc == 0; i++) {
        rc = rewrite_feed(r, pieces[i], i == 1);
        struct slice got = rewrite_out(r);
        buf_put_slice(out, got);
        rewrite_take(r, got.n);
    }
    return rc;
}

static void check(enum rewrite_part part, const char *in, const char *want, const char *tail)
{
    for (size_t at = 0; at <= strlen(in); at++) {
        struct rewrite *r = rewrite_new(&ops, NULL, part);
        struct buf out = {0};
        assert_int_equal(feed_all(r, in, at, &out), 0);
        const char *text = buf_cstr(&out), *head = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n";
        if (part != REWRITE_INNER) {
            assert_memory_equal(text, head, strlen(head));
            text += strlen(head);
        }
        assert_string_equal(text, want);
        assert_true(slice_is(rewrite_tail(r), tail));
        buf_free(&out);
        rewrite_free(&r);
    }
}

#define LISTING                                                                                    \
    "<D:multistatus xmlns:D=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:caldav\" "                   \
    "xmlns:S=\"http://calendarserver.org/ns/\">"                                                   \
    "<D:response><D:href> /new/a%40b.ics\n</D:href><D:propstat><D:prop><D:getetag>\"1\"</D:getetag>" \
    "<C:schedule-tag>\"2\"</C:schedule-tag><C:calendar-data>a&lt;\"&#13;\n</C:calendar-data>"      \
    "<D:owner><D:href>/new/p</D:href></D:owner></D:prop></D:propstat></D:response>"               \
    "<D:response><D:href>/gone/x</D:href><D:propstat><D:prop><D:getetag>\"9\"</D:getetag></D:prop></D:propstat></D:response>" \
    "<D:response><D:href>/else/</D:href><D:propstat><D:prop><D:getetag>\"bad\"</D:getetag><S:getctag>7</S:getctag>" \
    "<D:sync-token/><D:acl><D:href>/gone/y</D:href></D:acl></D:prop></D:propstat></D:response>"    \
    "<D:sync-token>5</D:sync-token></D:multistatus>"

static void whole(void **state)
{
    (void)state;
    check(REWRITE_WHOLE, LISTING,
          "<D:multistatus xmlns:D=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:caldav\" xmlns:S=\"http://calendarserver.org/ns/\">"
          "<D:response><D:href>/oldr/a%40b.ics</D:href><D:propstat><D:prop><D:getetag>&lt;\"1\"&gt;</D:getetag>"
          "<C:schedule-tag>&lt;s\"2\"&gt;</C:schedule-tag><C:calendar-data>a&lt;\"&#13;\n</C:calendar-data>"
          "<D:owner><D:href>/oldp/p</D:href></D:owner></D:prop></D:propstat></D:response>"
          "<D:response><D:href>/else/</D:href><D:propstat><D:prop><D:getetag></D:getetag><S:getctag>urn:c:7</S:getctag>"
          "<D:sync-token></D:sync-token><D:acl></D:acl></D:prop></D:propstat></D:response>"
          "<D:sync-token>urn:t:5</D:sync-token></D:multistatus>",
          "");
}

static void joined(void **state)
{
    (void)state;
    check(REWRITE_OPEN, "<m:multistatus xmlns:m=\"DAV:\"><m:response><m:href>/new/</m:href></m:response></m:multistatus>",
          "<m:multistatus xmlns:m=\"DAV:\"><m:response><m:href>/oldr/</m:href></m:response>", "</m:multistatus>");
    check(REWRITE_INNER,
          "<multistatus xmlns=\"DAV:\"> <response><href>/new/</href><propstat><prop><getetag>1</getetag></prop></propstat></response>\n"
          "<response><href>/gone</href></response><sync-token>1</sync-token></multistatus>",
          "<response xmlns=\"DAV:\"><href xmlns=\"DAV:\">/oldr/</href><propstat xmlns=\"DAV:\"><prop xmlns=\"DAV:\">"
          "<getetag xmlns=\"DAV:\">&lt;1&gt;</getetag></prop></propstat></response>",
          "");
}

static void roles(void **state)
{
    (void)state;
    check(REWRITE_WHOLE,
          "<prop xmlns=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:caldav\" xmlns:R=\"urn:ietf:params:xml:ns:carddav\">"
          "<C:calendar-home-set><href>/new/1</href><href>/new/2</href></C:calendar-home-set>"
          "<R:addressbook-home-set><href>/new/3</href></R:addressbook-home-set>"
          "<current-user-principal><href>/new/4</href></current-user-principal><href>/new/5</href></prop>",
          "<prop xmlns=\"DAV:\" xmlns:C=\"urn:ietf:params:xml:ns:caldav\" xmlns:R=\"urn:ietf:params:xml:ns:carddav\">"
          "<C:calendar-home-set><href>/oldc/1</href><href>/oldc/2</href></C:calendar-home-set>"
          "<R:addressbook-home-set><href>/oldb/3</href></R:addressbook-home-set>"
          "<current-user-principal><href>/oldp/4</href></current-user-principal><href>/olda/5</href></prop>",
          "");
}

/* An element where a value should be, and names that only look like one. */
static void no_values(void **state)
{
    (void)state;
    check(REWRITE_WHOLE,
          "<a xmlns=\"DAV:\" xmlns:x=\"urn:x\"><href>/new/<b>/new/</b></href><x:href>/new/</x:href><getetag><c/>1</getetag></a>",
          "<a xmlns=\"DAV:\" xmlns:x=\"urn:x\"><href>/new/<b>/new/</b></href><x:href>/new/</x:href><getetag><c></c>1</getetag></a>", "");
}

static void bad(void **state)
{
    static const char *const documents[] = {"<a>", "<a></b>", "x", "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>", "<a>&b;</a>", ""};
    (void)state;
    for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
        struct rewrite *r = rewrite_new(&ops, NULL, REWRITE_WHOLE);
        assert_int_not_equal(rewrite_feed(r, slice_str(documents[i]), true), 0);
        assert_true(strlen(rewrite_error(r)) > 0);
        rewrite_free(&r);
    }
    struct rewrite *r = rewrite_new(&ops, NULL, REWRITE_WHOLE);
    struct buf in = {0};
    buf_puts(&in, "<href xmlns=\"DAV:\">");
    for (int i = 0; i <= DAV_VALUE_MAX; i++)
        buf_putc(&in, 'a');
    assert_int_equal(rewrite_feed(r, buf_slice(&in), false), E_LIMIT);
    buf_free(&in);
    rewrite_free(&r);
}

/* Nothing of a response is put out before it is known whether it is to be seen. */
static void held(void **state)
{
    (void)state;
    struct rewrite *r = rewrite_new(&ops, NULL, REWRITE_WHOLE);
    assert_int_equal(rewrite_feed(r, slice_str("<multistatus xmlns=\"DAV:\"><response><status>x</status>"), false), 0);
    struct slice got = rewrite_out(r);
    const char *shown = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<multistatus xmlns=\"DAV:\">";
    assert_true(slice_is(got, shown));
    rewrite_take(r, got.n);
    assert_int_equal(rewrite_out(r).n, 0);
    assert_int_equal(rewrite_feed(r, slice_str("<href>/gone</href><status>x</status></response><b/>"), false), 0);
    got = rewrite_out(r);
    assert_true(slice_is(got, "<b></b>"));
    assert_true(rewrite_root_is(r, NS_DAV, "multistatus"));
    assert_false(rewrite_root_is(r, NS_DAV, "error"));
    rewrite_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(whole),     cmocka_unit_test(joined), cmocka_unit_test(roles),
                                       cmocka_unit_test(no_values), cmocka_unit_test(bad),    cmocka_unit_test(held)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
