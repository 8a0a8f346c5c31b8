/* Requests to a DAV host that is scripted: answers cut at every byte, kept connections, bodies both ways, Digest, silence. */
#include "config.h"
#include "unit.h"
#include "net_peer.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "wherry/base/mem.h"
#include "wherry/client/dav.h"

struct fixture {
    struct worker *w;
    struct server v;
    struct davc *c;
    struct task task;
    struct dav_host host;
    struct dav_creds creds;
    char url[64];
};

static void nothing(struct task *t)
{
    (void)t;
}

static int setup(void **state)
{
    struct fixture *f = mem_alloc(sizeof(*f));
    f->w = worker_new(NULL, NULL);
    server_open(&f->v, f->w, NULL);
    f->c = davc_new(f->w);
    task_init(&f->task, f->w, nothing);
    snprintf(f->url, sizeof(f->url), "http://127.0.0.1:%u/base/", listener_port(f->v.l));
    f->host.url = f->url;
    f->host.verify = true;
    buf_puts(&f->creds.user, "alice");
    secret_set(&f->creds.password, SLICE_LIT("pass:word"));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    task_stop(&f->task);
    davc_free(&f->c);
    server_free(&f->v);
    dav_creds_free(&f->creds);
    TURN_UNTIL(f->w, worker_streams(f->w) == 0, 3000);
    worker_free(&f->w);
    free(f);
    return 0;
}

static struct davr *start(struct fixture *f, const char *method, const char *body)
{
    const struct dav_field depth = {SLICE_LIT("Depth"), SLICE_LIT("1")};
    struct davr_open o = {.host = &f->host,
                          .creds = &f->creds,
                          .method = method,
                          .target = SLICE_LIT("/a%40b/../c?x=%2F"),
                          .fields = &depth,
                          .n_fields = 1,
                          .body_kind = body != NULL ? DAVR_BODY_WHOLE : DAVR_NO_BODY,
                          .body = slice_str(body),
                          .timeout_seconds = 2};
    return davr_start(f->c, &f->task, &o);
}

struct result {
    struct buf body;
    unsigned status, heads;
    int code; /* of the failure */
    bool over;
};

static void pull(struct davr *r, struct result *x)
{
    struct davr_event ev;
    for (davr_next(r, &ev); ev.kind != DAVR_NONE && !x->over; davr_next(r, &ev)) {
        if (ev.kind == DAVR_HEAD) {
            x->heads++;
            x->status = davr_status(r);
        } else if (ev.kind == DAVR_BODY) {
            assert_true(ev.bytes.n > 0);
            buf_put_slice(&x->body, ev.bytes);
        } else {
            x->over = true;
            x->code = ev.kind == DAVR_FAILED ? ev.err->code : 0;
        }
    }
}

static void run(struct fixture *f, struct davr *r, struct result *x)
{
    uint64_t end = worker_now_ms(f->w) + 6000;
    while (!x->over && worker_now_ms(f->w) < end) {
        worker_turn(f->w, 10);
        pull(r, x);
    }
    assert_true(x->over);
}

static bool got_request(struct peer *p, const char *end)
{
    return p->got.len > 0 && strstr(buf_cstr(&p->got), end) != NULL;
}

static const char plain[] = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 207 Multi-Status\r\nDAV: 1, 3\r\nETag:  \"x\" \r\nConnection: "
                            "keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\nTrailer: t\r\n\r\n";

static void says_what_it_was_told(void **state)
{
    struct fixture *f = *state;
    struct result x = {0};
    struct davr *r = start(f, "REPORT", "<x/>");
    TURN_UNTIL(f->w, f->v.n == 1 && got_request(&f->v.peer[0], "<x/>"), 3000);
    const char *q = buf_cstr(&f->v.peer[0].got);
    assert_memory_equal(q, "REPORT /a%40b/../c?x=%2F HTTP/1.1\r\n", 35);
    assert_non_null(strstr(q, "\r\nDepth: 1\r\n"));
    assert_non_null(strstr(q, "\r\nContent-Length: 4\r\n"));
    assert_non_null(strstr(q, "\r\nAuthorization: Basic YWxpY2U6cGFzczp3b3Jk\r\n"));
    assert_null(strstr(q, "Expect"));
    assert_null(strstr(q, "Accept"));
    assert_null(strstr(q, "User-Agent"));
    stream_write(f->v.peer[0].s, plain, sizeof(plain) - 1);
    run(f, r, &x);
    assert_int_equal(x.status, 207);
    assert_int_equal(x.heads, 1);
    assert_string_equal(buf_cstr(&x.body), "hello world");
    assert_true(slice_is(davr_field(r, "etag"), "\"x\""));
    assert_int_equal(davr_field(r, "transfer-encoding").n, 0);
    const struct dav_field *fields;
    assert_int_equal(davr_fields(r, &fields), 2);
    assert_true(slice_is(fields[0].name, "DAV"));
    davr_free(&r);
    buf_free(&x.body);
}

/* One kept connection; the answer is cut at every byte, a turn of the loop between. */
static void however_it_is_cut(void **state)
{
    struct fixture *f = *state;
    for (size_t cut = 1; cut < sizeof(plain) - 1; cut++) {
        struct result x = {0};
        struct davr *r = start(f, "PROPFIND", NULL);
        TURN_UNTIL(f->w, f->v.n == 1 && got_request(&f->v.peer[0], "\r\n\r\n"), 3000);
        buf_clear(&f->v.peer[0].got);
        stream_write(f->v.peer[0].s, plain, cut);
        for (int i = 0; i < 3; i++) {
            worker_turn(f->w, 1);
            pull(r, &x);
        }
        stream_write(f->v.peer[0].s, plain + cut, sizeof(plain) - 1 - cut);
        run(f, r, &x);
        assert_int_equal(x.code, 0);
        assert_int_equal(x.status, 207);
        assert_string_equal(buf_cstr(&x.body), "hello world");
        davr_free(&r);
        buf_free(&x.body);
    }
    assert_int_equal(f->v.n, 1);
}

static void broken_answers(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text;
        int want;
    } rows[] = {
        {"SSH-2.0-x\r\n", E_PROTO},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", E_CLOSED},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", E_CLOSED},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", E_CLOSED},
        {"HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n", E_PROTO},
        {"HTTP/1.1 200 OK\r\nno field\r\n\r\n", E_PROTO},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct result x = {0};
        struct davr *r = start(f, "GET", NULL);
        TURN_UNTIL(f->w, f->v.n == i + 1 && got_request(&f->v.peer[i], "\r\n\r\n"), 3000);
        stream_write(f->v.peer[i].s, rows[i].text, strlen(rows[i].text));
        stream_close(&f->v.peer[i].s);
        run(f, r, &x);
        assert_int_equal(x.code, rows[i].want);
        davr_free(&r);
        buf_free(&x.body);
    }
}

static void a_head_without_end(void **state)
{
    struct fixture *f = *state;
    struct result x = {0};
    struct davr *r = start(f, "GET", NULL);
    TURN_UNTIL(f->w, f->v.n == 1 && got_request(&f->v.peer[0], "\r\n\r\n"), 3000);
    stream_write(f->v.peer[0].s, "HTTP/1.1 200 OK\r\n", 17);
    for (int i = 0; i < 3000; i++)
        stream_write(f->v.peer[0].s, "X-Field: 0123456789012345678901234567890123456789\r\n", 51);
    run(f, r, &x);
    assert_int_equal(x.code, E_LIMIT);
    davr_free(&r);
}

static void silence(void **state)
{
    struct fixture *f = *state;
    struct result x = {0};
    struct davr *r = start(f, "GET", NULL);
    run(f, r, &x);
    assert_int_equal(x.code, E_TIMEOUT);
    davr_free(&r);
    f->host.url = (char *)(uintptr_t)"http://127.0.0.1:1/";
    r = start(f, "GET", NULL);
    x = (struct result){0};
    run(f, r, &x);
    assert_int_equal(x.code, E_UNAVAIL);
    davr_free(&r);
}

/* A large answer that nobody takes stays with the host, and the host's time does not run then. */
static void backpressure(void **state)
{
    struct fixture *f = *state;
    enum { SIZE = 8 * 1024 * 1024 };
    struct davr_event ev;
    struct davr *r = start(f, "GET", NULL);
    TURN_UNTIL(f->w, f->v.n == 1 && got_request(&f->v.peer[0], "\r\n\r\n"), 3000);
    char head[80];
    int n = snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", SIZE);
    stream_write(f->v.peer[0].s, head, (size_t)n);
    f->v.peer[0].to_send = SIZE;
    task_wake(&f->v.peer[0].task);
    uint64_t until = worker_now_ms(f->w) + 2600;
    while (worker_now_ms(f->w) < until)
        worker_turn(f->w, 50);
    assert_true(f->v.peer[0].to_send > 0);
    uint64_t taken = 0;
    bool over = false;
    until = worker_now_ms(f->w) + 8000;
    while (!over && worker_now_ms(f->w) < until) {
        worker_turn(f->w, 10);
        for (davr_next(r, &ev); ev.kind != DAVR_NONE && !over; davr_next(r, &ev)) {
            assert_int_not_equal(ev.kind, DAVR_FAILED);
            for (size_t i = 0; ev.kind == DAVR_BODY && i < ev.bytes.n; i++)
                assert_int_equal(ev.bytes.p[i], pattern(taken++));
            assert_true(ev.bytes.n <= 2 * DAVR_WINDOW);
            over = ev.kind == DAVR_DONE;
        }
    }
    assert_true(over);
    assert_int_equal(taken, SIZE);
    davr_free(&r);
}

static void a_body_in_pieces(void **state)
{
    struct fixture *f = *state;
    struct result x = {0};
    struct davr_open o = {.host = &f->host,
                          .method = "PUT",
                          .target = SLICE_LIT("/x"),
                          .body_kind = DAVR_BODY_CHUNKED,
                          .timeout_seconds = 2};
    struct davr *r = davr_start(f->c, &f->task, &o);
    TURN_UNTIL(f->w, f->v.n == 1 && got_request(&f->v.peer[0], "\r\n\r\n"), 3000);
    davr_write(r, SLICE_LIT("abc"));
    TURN_UNTIL(f->w, got_request(&f->v.peer[0], "3\r\nabc\r\n"), 3000);
    uint64_t until = worker_now_ms(f->w) + 2300; /* we keep the host waiting: its time does not run */
    while (worker_now_ms(f->w) < until) {
        worker_turn(f->w, 50);
        pull(r, &x);
    }
    assert_false(x.over);
    davr_write(r, SLICE_LIT("de"));
    davr_end(r);
    TURN_UNTIL(f->w, got_request(&f->v.peer[0], "2\r\nde\r\n0\r\n\r\n"), 3000);
    assert_null(strstr(buf_cstr(&f->v.peer[0].got), "Authorization"));
    stream_write(f->v.peer[0].s, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", 43);
    run(f, r, &x);
    assert_int_equal(x.status, 201);
    davr_free(&r);
}

static void digest(void **state)
{
    struct fixture *f = *state;
    struct result x = {0};
    static const char no[] = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n\", qop=\"auth\"\r\n"
                             "Content-Length: 2\r\n\r\nno";
    struct davr *r = start(f, "PUT", "body");
    TURN_UNTIL(f->w, f->v.n == 1 && got_request(&f->v.peer[0], "\r\n\r\nbody"), 3000);
    struct buf *got = &f->v.peer[0].got;
    buf_clear(got);
    stream_write(f->v.peer[0].s, no, sizeof(no) - 1);
    TURN_UNTIL(f->w, got_request(&f->v.peer[0], "\r\n\r\n"), 3000);
    if (strstr(buf_cstr(got), "Digest ") == NULL) { /* it asks for the nonce anew */
        buf_clear(got);
        stream_write(f->v.peer[0].s, no, sizeof(no) - 1);
    }
    TURN_UNTIL(f->w, got_request(&f->v.peer[0], "\r\n\r\nbody"), 3000);
    assert_non_null(strstr(buf_cstr(got), "\r\nAuthorization: Digest username=\"alice\""));
    stream_write(f->v.peer[0].s, "HTTP/1.1 204 No Content\r\n\r\n", 27);
    run(f, r, &x);
    assert_int_equal(x.status, 204);
    assert_int_equal(x.body.len, 0);
    davr_free(&r);
}

static void what_cannot_be_sent(void **state)
{
    struct fixture *f = *state;
    static const struct dav_field bad = {SLICE_LIT("X"), SLICE_LIT("a\r\nB: c")};
    struct davr_open o = {.host = &f->host, .method = "GET", .target = SLICE_LIT("/x"), .fields = &bad, .n_fields = 1};
    struct davr_event ev;
    struct davr *r = davr_start(f->c, &f->task, &o);
    davr_next(r, &ev);
    assert_int_equal(ev.kind, DAVR_FAILED);
    assert_int_equal(ev.err->code, E_INVAL);
    davr_free(&r);
    o.n_fields = 0;
    o.target = SLICE_LIT("/x y");
    r = davr_start(f->c, &f->task, &o);
    davr_next(r, &ev);
    assert_int_equal(ev.kind, DAVR_FAILED);
    davr_free(&r);
    r = start(f, "GET", NULL); /* freed in the middle */
    TURN_UNTIL(f->w, f->v.n == 1, 3000);
    davr_free(&r);
}

static void hosts_are_split(void **state)
{
    (void)state;
    static const struct {
        const char *url, *origin, *path;
    } rows[] = {
        {"https://H.example:8443/dav/x/", "https://h.example:8443", "/dav/x/"},
        {"http://[::1]:80", "http://[::1]:80", "/"},
        {"https://a@b/", NULL, NULL},
        {"ftp://a/", NULL, NULL},
        {"https:///x", NULL, NULL},
        {"https://a/x?y", NULL, NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct dav_host h = {.url = (char *)(uintptr_t)rows[i].url};
        struct buf o = {0}, p = {0};
        assert_int_equal(dav_host_split(&h, &o, &p), rows[i].origin != NULL ? 0 : E_INVAL);
        if (rows[i].origin != NULL) {
            assert_string_equal(buf_cstr(&o), rows[i].origin);
            assert_string_equal(buf_cstr(&p), rows[i].path);
        }
        buf_free(&o);
        buf_free(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(says_what_it_was_told, setup, teardown),
        cmocka_unit_test_setup_teardown(however_it_is_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(broken_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(a_head_without_end, setup, teardown),
        cmocka_unit_test_setup_teardown(silence, setup, teardown),
        cmocka_unit_test_setup_teardown(backpressure, setup, teardown),
        cmocka_unit_test_setup_teardown(a_body_in_pieces, setup, teardown),
        cmocka_unit_test_setup_teardown(digest, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_sent, setup, teardown),
        cmocka_unit_test(hosts_are_split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
