/* TLS beneath streams: implicit and STARTTLS, certificates, how connections end. */
#include "config.h"
#include "unit.h"
#include "net_peer.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "wherry/base/clock.h"
#include "wherry/base/mem.h"

struct fixture {
    struct certs *certs;
    struct tls_ctx *sctx, *cctx, *lax;
    struct worker *w;
    struct server v; /* implicit TLS */
    struct server plain;
    struct peer c;
};

static struct tls_ctx *server_ctx(struct certs *certs, const char *name)
{
    struct tls_ctx *c = NULL;
    struct err e = {0};
    char pem[20], key[20];
    snprintf(pem, sizeof(pem), "%s.pem", name);
    snprintf(key, sizeof(key), "%s.key", name);
    char *file = mem_strdup(certs_file(certs, pem));
    assert_int_equal(tls_server_new(&c, file, certs_file(certs, key), &e), 0);
    free(file);
    return c;
}

static struct tls_ctx *client_ctx(struct certs *certs, const char *ca)
{
    struct tls_ctx *c = NULL;
    const char *file = ca != NULL ? certs_file(certs, ca) : NULL;
    assert_int_equal(tls_client_new(&c, file, ca != NULL, NULL), 0);
    return c;
}

static int make_all(void **state)
{
    struct fixture *f = mem_alloc(sizeof(*f));
    *state = f;
    f->certs = certs_new();
    if (f->certs == NULL)
        return -1;
    f->sctx = server_ctx(f->certs, "good");
    f->cctx = client_ctx(f->certs, "ca.pem");
    f->lax = client_ctx(f->certs, NULL);
    return 0;
}

static int remove_all(void **state)
{
    struct fixture *f = *state;
    tls_ctx_free(&f->sctx);
    tls_ctx_free(&f->cctx);
    tls_ctx_free(&f->lax);
    certs_free(&f->certs);
    free(f);
    return 0;
}

static int setup(void **state)
{
    struct fixture *f = *state;
    f->w = worker_new(NULL, NULL);
    server_open(&f->v, f->w, f->sctx);
    server_open(&f->plain, f->w, NULL);
    peer_init(&f->c, f->w);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    peer_free(&f->c);
    server_free(&f->v);
    server_free(&f->plain);
    TURN_UNTIL(f->w, worker_streams(f->w) == 0, 3000);
    worker_free(&f->w);
    f->v = f->plain = (struct server){0};
    f->c = (struct peer){0};
    return 0;
}

static struct peer *connect_pair(struct fixture *f)
{
    peer_dial(&f->c, f->w, listener_port(f->v.l), f->cctx);
    until_state(f->w, &f->c, STREAM_OPEN);
    TURN_UNTIL(f->w, f->v.n == 1 && stream_state(f->v.peer[0].s) == STREAM_OPEN, 2000);
    return &f->v.peer[0];
}

static void test_echo(void **state)
{
    struct fixture *f = *state;
    f->v.model.echo = true;
    peer_dial(&f->c, f->w, listener_port(f->v.l), f->cctx);
    stream_write(f->c.s, "early", 5); /* queued until the handshake is over */
    TURN_UNTIL(f->w, f->c.got.len == 5, 3000);
    struct peer *p = &f->v.peer[0];
    assert_true(stream_is_tls(p->s));
    assert_non_null(strstr(stream_tls_info(p->s), "TLSv1.3 TLS_"));
    assert_string_equal(stream_tls_info(p->s), stream_tls_info(f->c.s));
    assert_int_equal(stream_bytes_in(p->s), 5);
    assert_int_equal(stream_bytes_out(p->s), 5);
    assert_null(stream_in(p->s)->mem);
    assert_int_equal(stream_pending(p->s), 0);
}

static void test_bulk_echo(void **state)
{
    struct fixture *f = *state;
    const uint64_t total = 100 * 1024 * 1024;
    f->v.model.echo = true;
    f->c.discard = true;
    struct peer *p = connect_pair(f);
    f->c.to_send = total;
    task_wake(&f->c.task);
    TURN_UNTIL(f->w, f->c.taken == total, 60000);
    assert_false(f->c.wrong);
    assert_true(f->c.most_in <= STREAM_IN_LIMIT + 20 * 1024);
    assert_true(p->most_in <= STREAM_IN_LIMIT + 20 * 1024);
    assert_true(p->most_out < STREAM_OUT_HIGH + STREAM_IN_LIMIT + 20 * 1024);
}

static void test_backpressure(void **state)
{
    struct fixture *f = *state;
    const uint64_t total = 32 * 1024 * 1024;
    f->v.model.hold = true;
    f->v.model.discard = true;
    struct peer *p = connect_pair(f);
    stream_set_in_limit(p->s, 1024);
    f->c.to_send = total;
    task_wake(&f->c.task);
    for (int i = 0; i < 50; i++)
        worker_turn(f->w, 10);
    assert_in_range(stream_in(p->s)->len, 1024, 1024 + 20 * 1024);
    assert_true(f->c.to_send > 0);
    assert_true(stream_pending(f->c.s) > STREAM_OUT_LOW);
    p->hold = false;
    task_wake(&p->task);
    TURN_UNTIL(f->w, p->taken == total, 30000);
    assert_false(p->wrong);
}

/* -- certificates -- */

static void try_host(struct fixture *f, const char *cert, const char *ca, const char *host,
                     const char *error)
{
    struct tls_ctx *sctx = server_ctx(f->certs, cert), *cctx = client_ctx(f->certs, ca);
    struct dial d = {.host = host, .port = listener_port(f->v.l), .tls = cctx, .timeout_ms = 4000};
    listener_set_tls(f->v.l, sctx);
    f->v.n = 0;
    f->c.steps = 0;
    f->c.s = stream_dial(f->w, &f->c.task, &d);
    tls_ctx_free(&cctx); /* only borrowed during the call */
    until_state(f->w, &f->c, error != NULL ? STREAM_FAILED : STREAM_OPEN);
    if (error != NULL) {
        assert_int_equal(stream_err(f->c.s)->code, E_TLS);
        if (strstr(stream_err(f->c.s)->text, error) == NULL)
            print_error("%s\n", stream_err(f->c.s)->text);
        assert_non_null(strstr(stream_err(f->c.s)->text, error));
        assert_non_null(strstr(stream_err(f->c.s)->text, host));
        until_state(f->w, &f->v.peer[0], STREAM_FAILED); /* by the alert */
        assert_int_equal(stream_err(f->v.peer[0].s)->code, E_TLS);
    } else {
        until_state(f->w, &f->v.peer[0], STREAM_OPEN);
    }
    stream_abort(&f->c.s);
    peer_free(&f->v.peer[0]);
    f->v.n = 0;
    listener_set_tls(f->v.l, f->sctx);
    tls_ctx_free(&sctx);
}

static void test_certificates(void **state)
{
    struct fixture *f = *state;
    try_host(f, "good", "ca.pem", "127.0.0.1", NULL);
    try_host(f, "good", "ca.pem", "localhost", NULL);
    try_host(f, "self", "self.pem", "127.0.0.1", NULL); /* the host's own, pinned */
    try_host(f, "name", "ca.pem", "localhost", "hostname mismatch");
    try_host(f, "name", "ca.pem", "127.0.0.1", "IP address mismatch");
    try_host(f, "cn", "ca.pem", "localhost", "hostname mismatch"); /* RFC 9525: not the CN */
    try_host(f, "good", "other.pem", "127.0.0.1", "unable to get local issuer certificate");
    try_host(f, "self", "ca.pem", "127.0.0.1", "self-signed certificate");
    try_host(f, "name", NULL, "localhost", NULL); /* verification off */
    try_host(f, "self", NULL, "127.0.0.1", NULL);
}

/* -- STARTTLS -- */

static struct peer *plain_pair(struct fixture *f)
{
    peer_dial(&f->c, f->w, listener_port(f->plain.l), NULL);
    until_state(f->w, &f->c, STREAM_OPEN);
    TURN_UNTIL(f->w, f->plain.n == 1, 2000);
    return &f->plain.peer[0];
}

static void test_starttls(void **state)
{
    struct fixture *f = *state;
    struct peer *p = plain_pair(f);
    stream_write(f->c.s, "STARTTLS", 8);
    TURN_UNTIL(f->w, p->got.len == 8, 2000);
    stream_write(p->s, "OK", 2); /* in the clear although TLS begins in the same step */
    assert_int_equal(stream_start_tls_server(p->s, f->sctx), 0);
    assert_int_equal(stream_state(p->s), STREAM_HANDSHAKE);
    TURN_UNTIL(f->w, f->c.got.len == 2, 2000);
    assert_int_equal(stream_start_tls_client(f->c.s, f->cctx, "localhost"), 0);
    stream_write(f->c.s, "inside", 6);
    until_state(f->w, &f->c, STREAM_OPEN);
    TURN_UNTIL(f->w, p->got.len == 14, 2000);
    assert_true(stream_is_tls(p->s));
    assert_int_equal(stream_start_tls_server(p->s, f->sctx), E_INVAL);
    assert_int_equal(stream_start_tls_client(f->c.s, f->cctx, "localhost"), E_INVAL);
}

/* Bytes that came in the clear before the handshake must not be taken for bytes from within. */
static void test_starttls_injection(void **state)
{
    struct fixture *f = *state;
    f->plain.model.hold = true;
    struct peer *p = plain_pair(f);
    f->c.hold = true;
    stream_write(f->c.s, "STARTTLS\r\na LOGIN", 17);
    stream_write(p->s, "OK\r\n* OK more", 13);
    TURN_UNTIL(f->w, stream_in(p->s)->len == 17 && stream_in(f->c.s)->len == 13, 2000);
    buf_consume(stream_in(p->s), 10);
    buf_consume(stream_in(f->c.s), 4);
    assert_int_equal(stream_start_tls_server(p->s, f->sctx), E_PROTO);
    assert_int_equal(stream_start_tls_client(f->c.s, f->cctx, "localhost"), E_PROTO);
    assert_int_equal(stream_state(p->s), STREAM_OPEN);
    assert_false(stream_is_tls(p->s));
}

/* Likewise for what was still in the kernel then: it is no TLS record. */
static void test_starttls_late_injection(void **state)
{
    struct fixture *f = *state;
    struct peer *p = plain_pair(f);
    stream_write(f->c.s, "a LOGIN me secret\r\n", 19);
    assert_int_equal(stream_start_tls_server(p->s, f->sctx), 0);
    until_state(f->w, p, STREAM_FAILED);
    assert_int_equal(stream_err(p->s)->code, E_TLS);
    assert_int_equal(stream_in(p->s)->len, 0);
    assert_int_equal(p->got.len, 0);
}

/* -- how connections end -- */

static void test_close_notify(void **state)
{
    struct fixture *f = *state;
    struct peer *p = connect_pair(f);
    stream_write(f->c.s, "last", 4);
    stream_close(&f->c.s);
    until_state(f->w, p, STREAM_EOF);
    TURN_UNTIL(f->w, p->got.len == 4, 1000);
    assert_int_equal(stream_err(p->s)->code, 0);
    stream_write(p->s, "ignored", 7); /* the other half is still open */
    stream_close(&p->s);
}

static void test_truncated(void **state)
{
    struct fixture *f = *state;
    struct peer *p = connect_pair(f);
    stream_write(p->s, "hello", 5);
    TURN_UNTIL(f->w, f->c.got.len == 5,
               1000);      /* nothing unread (a ticket, say): FIN and no reset */
    stream_abort(&f->c.s); /* without close_notify */
    until_state(f->w, p, STREAM_EOF);
    assert_int_equal(stream_err(p->s)->code, E_TLS);
    assert_non_null(strstr(stream_err(p->s)->text, "close_notify"));
}

static void test_close_flushes(void **state)
{
    struct fixture *f = *state;
    f->v.model.discard = true;
    struct peer *p = connect_pair(f);
    const uint64_t total = 8 * 1024 * 1024;
    uint8_t *all = mem_array(total, 1);
    for (uint64_t i = 0; i < total; i++)
        all[i] = pattern(i);
    stream_write(f->c.s, all, total);
    free(all);
    stream_close(&f->c.s);
    until_state(f->w, p, STREAM_EOF);
    TURN_UNTIL(f->w, p->taken == total, 5000);
    assert_int_equal(stream_err(p->s)->code, 0);
    assert_false(p->wrong);
}

static void bye_at_once(struct stream *s, void *arg)
{
    (void)arg;
    stream_write(s, "* BYE too many\r\n", 16);
    stream_close(&s);
}

/* A greeting that turns the caller away still goes through the handshake. */
static void test_close_in_handshake(void **state)
{
    struct fixture *f = *state;
    struct listener *l;
    assert_int_equal(listener_open(&l, f->w, "127.0.0.1:0", f->sctx, bye_at_once, NULL, NULL), 0);
    peer_dial(&f->c, f->w, listener_port(l), f->cctx);
    until_state(f->w, &f->c, STREAM_EOF);
    TURN_UNTIL(f->w, f->c.got.len == 16, 1000);
    assert_int_equal(stream_err(f->c.s)->code, 0);
    listener_close(&l);
}

static int raw_connect(struct fixture *f)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(listener_port(f->v.l))};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

static void test_garbage_for_a_hello(void **state)
{
    struct fixture *f = *state;
    int fd = raw_connect(f);
    assert_int_equal(write(fd, "a001 LOGIN me secret\r\n", 22), 22);
    TURN_UNTIL(f->w, f->v.n == 1 && stream_state(f->v.peer[0].s) == STREAM_FAILED, 2000);
    assert_int_equal(stream_err(f->v.peer[0].s)->code, E_TLS);
    close(fd);
}

static void test_gone_in_handshake(void **state)
{
    struct fixture *f = *state;
    int fd = raw_connect(f);
    assert_int_equal(write(fd, "\x16\x03\x01", 3), 3);
    close(fd);
    TURN_UNTIL(f->w, f->v.n == 1 && stream_state(f->v.peer[0].s) == STREAM_FAILED, 2000);
    assert_int_equal(stream_err(f->v.peer[0].s)->code, E_CLOSED);
}

/* A host that accepts and then says nothing. */
static void test_handshake_timeout(void **state)
{
    struct fixture *f = *state;
    struct dial d = {
        .host = "127.0.0.1", .port = listener_port(f->plain.l), .tls = f->cctx, .timeout_ms = 300};
    f->c.s = stream_dial(f->w, &f->c.task, &d);
    until_state(f->w, &f->c, STREAM_FAILED);
    assert_int_equal(stream_err(f->c.s)->code, E_TIMEOUT);
    stream_abort(&f->c.s);
    d.tls = NULL;
    f->c.s = stream_dial(f->w, &f->c.task, &d);
    until_state(f->w, &f->c, STREAM_OPEN);
    assert_int_equal(stream_start_tls_client(f->c.s, f->cctx, "localhost"), 0);
    until_state(f->w, &f->c, STREAM_FAILED);
    assert_int_equal(stream_err(f->c.s)->code, E_TIMEOUT);
}

static void test_abort_in_handshake(void **state)
{
    struct fixture *f = *state;
    for (int turns = 0; turns < 6; turns++) {
        peer_dial(&f->c, f->w, listener_port(f->v.l), f->cctx);
        for (int i = 0; i < turns; i++)
            worker_turn(f->w, 5);
        stream_abort(&f->c.s);
    }
    for (int i = 0; i < 10; i++)
        worker_turn(f->w, 5);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_echo),
        TEST(test_bulk_echo),
        TEST(test_backpressure),
        TEST(test_certificates),
        TEST(test_starttls),
        TEST(test_starttls_injection),
        TEST(test_starttls_late_injection),
        TEST(test_close_notify),
        TEST(test_truncated),
        TEST(test_close_flushes),
        TEST(test_close_in_handshake),
        TEST(test_garbage_for_a_hello),
        TEST(test_gone_in_handshake),
        TEST(test_handshake_timeout),
        TEST(test_abort_in_handshake),
    };
    return cmocka_run_group_tests(tests, make_all, remove_all);
}
