/* Streams in the clear: dialling, listening, backpressure, closing. */
#include "config.h"
#include "unit.h"
#include "net_peer.h"
#include <stdio.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include "wherry/base/clock.h"
#include "wherry/base/mem.h"

struct fixture {
    struct worker *w;
    struct server v;
    struct peer c;
};

static int setup(void **state)
{
    struct fixture *f = mem_alloc(sizeof(*f));
    f->w = worker_new(NULL, NULL);
    server_open(&f->v, f->w, NULL);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    peer_free(&f->c);
    server_free(&f->v);
    TURN_UNTIL(f->w, worker_streams(f->w) == 0, 3000); /* what was closed may still say goodbye */
    worker_free(&f->w);
    free(f);
    return 0;
}

/* A connection between f->c and f->v.peer[0]. */
static struct peer *connect_pair(struct fixture *f)
{
    peer_dial(&f->c, f->w, listener_port(f->v.l), NULL);
    assert_int_equal(stream_state(f->c.s), STREAM_CONNECTING);
    until_state(f->w, &f->c, STREAM_OPEN);
    TURN_UNTIL(f->w, f->v.n == 1, 2000);
    return &f->v.peer[0];
}

static void test_echo(void **state)
{
    struct fixture *f = *state;
    f->v.model.echo = true;
    struct peer *p = connect_pair(f);
    stream_write(f->c.s, "hello ", 6);
    stream_put(f->c.s, SLICE_LIT("world"));
    TURN_UNTIL(f->w, f->c.got.len == 11, 2000);
    assert_memory_equal(buf_slice(&f->c.got).p, "hello world", 11);
    assert_string_equal(stream_peer(f->c.s), "127.0.0.1");
    assert_int_equal(stream_peer_port(f->c.s), listener_port(f->v.l));
    assert_string_equal(stream_peer(p->s), "127.0.0.1");
    assert_true(stream_peer_port(p->s) != 0);
    assert_int_equal(stream_bytes_in(p->s), 11);
    assert_int_equal(stream_bytes_out(p->s), 11);
    assert_int_equal(stream_pending(p->s), 0);
    assert_false(stream_is_tls(p->s));
    assert_string_equal(stream_tls_info(p->s), "");
    assert_null(stream_in(p->s)->mem); /* idle: no buffer */
}

/* What is written before the connection stands goes out when it does. */
static void test_write_early(void **state)
{
    struct fixture *f = *state;
    peer_dial(&f->c, f->w, listener_port(f->v.l), NULL);
    stream_write(f->c.s, "early", 5);
    TURN_UNTIL(f->w, f->v.n == 1 && f->v.peer[0].got.len == 5, 2000);
}

static void test_bulk_echo(void **state)
{
    struct fixture *f = *state;
    const uint64_t total = 100 * 1024 * 1024;
    f->v.model.echo = true;
    f->c.discard = true;
    f->c.to_send = total;
    struct peer *p = connect_pair(f);
    TURN_UNTIL(f->w, f->c.taken == total, 60000);
    assert_false(f->c.wrong);
    assert_true(f->c.most_in <= STREAM_IN_LIMIT);
    assert_true(p->most_in <= STREAM_IN_LIMIT);
    assert_true(f->c.most_out < STREAM_OUT_HIGH + 4096);
    assert_true(p->most_out < STREAM_OUT_HIGH + STREAM_IN_LIMIT);
}

/* A peer that does not consume stops the sender; when it goes on all arrives. */
static void test_backpressure(void **state)
{
    struct fixture *f = *state;
    const uint64_t total = 32 * 1024 * 1024;
    f->v.model.hold = true;
    f->v.model.discard = true;
    struct peer *p = connect_pair(f);
    stream_set_in_limit(p->s, 1);
    f->c.to_send = total;
    task_wake(&f->c.task);
    for (int i = 0; i < 50; i++)
        worker_turn(f->w, 10);
    assert_int_equal(stream_in(p->s)->len, 1024); /* the least limit */
    assert_true(f->c.to_send > 0);
    assert_true(stream_pending(f->c.s) > STREAM_OUT_LOW);
    stream_set_in_limit(p->s, STREAM_IN_LIMIT);
    p->hold = false;
    task_wake(&p->task);
    TURN_UNTIL(f->w, p->taken == total, 30000);
    assert_false(p->wrong);
}

/* The client says its last byte; the answer still reaches it. */
static void test_half_close(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(listener_port(f->v.l))};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(write(fd, "ask", 3), 3);
    shutdown(fd, SHUT_WR);
    TURN_UNTIL(f->w, f->v.n == 1 && stream_state(f->v.peer[0].s) == STREAM_EOF, 2000);
    struct peer *p = &f->v.peer[0];
    assert_int_equal(p->got.len, 3);
    assert_int_equal(stream_err(p->s)->code, 0);
    stream_write(p->s, "answer", 6);
    stream_close(&p->s);
    assert_null(p->s);
    TURN_UNTIL(f->w, worker_streams(f->w) == 0, 2000);
    char back[16];
    assert_int_equal(read(fd, back, sizeof(back)), 6);
    assert_int_equal(read(fd, back, sizeof(back)), 0);
    close(fd);
}

/* Closing sends all that is pending, however much, to a peer that reads slowly. */
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
    stream_close(&f->c.s); /* NULL is allowed */
    TURN_UNTIL(f->w, stream_state(p->s) == STREAM_EOF, 5000);
    TURN_UNTIL(f->w, p->taken == total, 1000);
    assert_false(p->wrong);
}

/* The last words arrive although the peer sent what nobody read. */
static void test_close_with_unread_input(void **state)
{
    struct fixture *f = *state;
    f->v.model.hold = true;
    struct peer *p = connect_pair(f);
    f->c.to_send = 4 * 1024 * 1024;
    task_wake(&f->c.task);
    TURN_UNTIL(f->w, stream_in(p->s)->len >= STREAM_IN_LIMIT, 2000);
    stream_write(p->s, "* BYE\r\n", 7);
    stream_close(&p->s);
    TURN_UNTIL(f->w, f->c.got.len == 7, 3000);
    until_state(f->w, &f->c, STREAM_EOF);
}

/* A peer that neither reads nor closes costs a closed stream a bounded time. */
static void test_close_is_bounded(void **state)
{
    struct fixture *f = *state;
    f->v.model.hold = true;
    connect_pair(f);
    stream_write(f->c.s, "x", 1);
    stream_close(&f->c.s);
    uint64_t began = clock_mono_ms();
    TURN_UNTIL(f->w, worker_streams(f->w) == 1, 3000);
    assert_true(clock_mono_ms() - began < 2500);
}

static void test_abort_everywhere(void **state)
{
    struct fixture *f = *state;
    peer_dial(&f->c, f->w, listener_port(f->v.l), NULL);
    stream_abort(&f->c.s); /* before the first turn */
    peer_dial(&f->c, f->w, listener_port(f->v.l), NULL);
    worker_turn(f->w, 0);
    stream_abort(&f->c.s); /* connecting */
    peer_dial(&f->c, f->w, listener_port(f->v.l), NULL);
    until_state(f->w, &f->c, STREAM_OPEN);
    f->c.to_send = 4 * 1024 * 1024; /* bytes queued in libuv */
    task_wake(&f->c.task);
    worker_turn(f->w, 0);
    stream_abort(&f->c.s);
    for (int i = 0; i < 20; i++)
        worker_turn(f->w, 1);
    struct dial d = {.host = "localhost", .port = listener_port(f->v.l), .timeout_ms = 1000};
    f->c.s = stream_dial(f->w, &f->c.task, &d);
    worker_turn(f->w, 0);
    stream_abort(&f->c.s); /* in the look-up */
    f->c.s = stream_dial(f->w, &f->c.task, &d);
    worker_turn(f->w, 0);
    stream_close(&f->c.s);
    stream_abort(&f->c.s);
}

static void test_peer_resets(void **state)
{
    struct fixture *f = *state;
    f->v.model.hold = true;
    struct peer *p = connect_pair(f);
    stream_write(f->c.s, "unread", 6);
    TURN_UNTIL(f->w, stream_in(p->s)->len == 6, 2000);
    stream_set_in_limit(p->s, 1024);
    f->c.to_send = 1024 * 1024;
    task_wake(&f->c.task);
    TURN_UNTIL(f->w, stream_in(p->s)->len == 1024, 2000);
    stream_abort(&p->s); /* with input unread the kernel resets */
    until_state(f->w, &f->c, STREAM_FAILED);
    assert_int_equal(stream_err(f->c.s)->code, E_CLOSED);
    assert_int_equal(stream_err(f->c.s)->scope, SCOPE_HOST);
    stream_write(f->c.s, "dropped", 7);
    assert_int_equal(stream_pending(f->c.s), 0);
    stream_close(&f->c.s);
}

struct hasty {
    struct peer c;
    int fd;
};

/* Its peer says BYE and resets; before that was read it writes. */
static void hasty_step(struct task *t)
{
    struct hasty *h = container_of(t, struct hasty, c.task);
    struct linger reset = {.l_onoff = 1};
    if (h->fd >= 0 && stream_state(h->c.s) == STREAM_OPEN) {
        assert_int_equal(write(h->fd, "* BYE\r\n", 7), 7);
        setsockopt(h->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        close(h->fd);
        h->fd = -1;
        stream_write(h->c.s, "a NOOP\r\n", 8);
    }
}

/* What the peer said before it hung up is delivered although writing has failed by then. */
static void test_last_words(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t n = sizeof(a);
    struct hasty h = {.fd = -1};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    peer_dial(&h.c, f->w, ntohs(a.sin_port), NULL);
    h.c.task.step = hasty_step;
    TURN_UNTIL(f->w, stream_state(h.c.s) == STREAM_OPEN, 2000);
    h.fd = accept(fd, NULL, NULL);
    task_wake(&h.c.task);
    until_state(f->w, &h.c, STREAM_FAILED);
    assert_int_equal(h.fd, -1);
    assert_int_equal(stream_err(h.c.s)->code, E_CLOSED);
    assert_int_equal(stream_in(h.c.s)->len, 7);
    peer_free(&h.c);
    close(fd);
}

/* -- dialling -- */

static void dial_fails(struct fixture *f, const struct dial *d, int code, const char *text)
{
    peer_init(&f->c, f->w);
    f->c.s = stream_dial(f->w, &f->c.task, d);
    assert_int_equal(stream_state(f->c.s), STREAM_CONNECTING);
    until_state(f->w, &f->c, STREAM_FAILED);
    assert_int_equal(stream_err(f->c.s)->code, code);
    assert_non_null(strstr(stream_err(f->c.s)->text, text));
    assert_true(f->c.steps > 0);
    stream_close(&f->c.s);
}

static void test_dial_closed_port(void **state)
{
    struct fixture *f = *state;
    uint16_t port = listener_port(f->v.l);
    listener_close(&f->v.l);
    struct dial d = {.host = "127.0.0.1", .port = port};
    dial_fails(f, &d, E_UNAVAIL, "connection refused");
}

static void test_dial_no_such_host(void **state)
{
    struct dial d = {.host = "no-such-host.invalid", .port = 1, .timeout_ms = 4000};
    struct dial empty = {.host = "", .port = 1, .timeout_ms = 4000};
    dial_fails(*state, &d, E_UNAVAIL, "no-such-host.invalid");
    dial_fails(*state, &empty, E_UNAVAIL, "");
}

/* A listening socket whose backlog is full drops what comes: nobody answers. */
static void test_dial_black_hole(void **state)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t n = sizeof(a);
    int held[8], fd = socket(AF_INET, SOCK_STREAM, 0);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(fd, 0), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    for (int i = 0; i < 8; i++) {
        held[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        int rc = connect(held[i], (struct sockaddr *)&a, sizeof(a));
        (void)rc;
    }
    struct dial d = {.host = "127.0.0.1", .port = ntohs(a.sin_port), .timeout_ms = 300};
    uint64_t began = clock_mono_ms();
    dial_fails(*state, &d, E_TIMEOUT, "took too long");
    assert_in_range(clock_mono_ms() - began, 290, 3000);
    for (int i = 0; i < 8; i++)
        close(held[i]);
    close(fd);
}

/* localhost may be ::1 first, where nobody listens: the next address is tried. */
static void test_dial_by_name(void **state)
{
    struct fixture *f = *state;
    peer_init(&f->c, f->w);
    struct dial d = {.host = "localhost", .port = listener_port(f->v.l)};
    f->c.s = stream_dial(f->w, &f->c.task, &d);
    until_state(f->w, &f->c, STREAM_OPEN);
    assert_int_equal(stream_err(f->c.s)->code, 0);
}

/* -- listening -- */

static void never(struct stream *s, void *arg)
{
    (void)arg;
    stream_abort(&s);
}

static void test_listen_addresses(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {"",        "127.0.0.1",   "localhost:0",   "127.0.0.1:65536",
                                      "::1:143", "[::1]",       "[127.0.0.1]:0", "127.0.0.1:-1",
                                      ":143",    "1.2.3.4:14x", "[::1:0"};
    struct listener *l, *again;
    struct err e;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        err_clear(&e);
        assert_int_equal(listener_open(&l, f->w, bad[i], NULL, never, NULL, &e), E_INVAL);
        assert_null(l);
        assert_true(strlen(e.text) > 0);
    }
    char taken[40];
    snprintf(taken, sizeof(taken), "127.0.0.1:%u", (unsigned)listener_port(f->v.l));
    assert_int_equal(listener_open(&l, f->w, taken, NULL, never, NULL, &e), E_IO);
    assert_non_null(strstr(e.text, taken));
    /* IPv4 and IPv6 do not get in each other's way on one port. */
    if (listener_open(&l, f->w, "[::]:0", NULL, never, NULL, &e) != 0)
        return; /* a machine without IPv6 */
    snprintf(taken, sizeof(taken), "0.0.0.0:%u", (unsigned)listener_port(l));
    assert_int_equal(listener_open(&again, f->w, taken, NULL, never, NULL, &e), 0);
    listener_close(&again);
    peer_init(&f->c, f->w);
    struct dial d = {.host = "::1", .port = listener_port(l), .timeout_ms = 2000};
    f->c.s = stream_dial(f->w, &f->c.task, &d);
    until_state(f->w, &f->c, STREAM_OPEN);
    assert_string_equal(stream_peer(f->c.s), "::1");
    listener_close(&l);
    listener_close(&l);
}

static void close_in_accept(struct stream *s, void *arg)
{
    stream_abort(&s);
    listener_close(arg);
}

static void test_closed_in_accept(void **state)
{
    struct fixture *f = *state;
    struct listener *l;
    assert_int_equal(listener_open(&l, f->w, "127.0.0.1:0", NULL, close_in_accept, &l, NULL), 0);
    peer_dial(&f->c, f->w, listener_port(l), NULL);
    TURN_UNTIL(f->w, l == NULL, 2000);
}

static void test_pause(void **state)
{
    struct fixture *f = *state;
    listener_pause(f->v.l, true);
    peer_dial(&f->c, f->w, listener_port(f->v.l), NULL);
    until_state(f->w, &f->c, STREAM_OPEN);
    for (int i = 0; i < 5; i++)
        worker_turn(f->w, 10);
    assert_int_equal(f->v.n, 0);
    listener_pause(f->v.l, false);
    TURN_UNTIL(f->w, f->v.n == 1, 2000);
}

/* Without descriptors accepting rests, without spinning; the caller is served afterwards. */
static void test_out_of_descriptors(void **state)
{
    struct fixture *f = *state;
    struct rlimit old, few;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    peer_dial(&f->c, f->w, listener_port(f->v.l), NULL);
    worker_turn(f->w, 0); /* its socket is made */
    int top = dup(0);
    close(top);
    few = (struct rlimit){.rlim_cur = (rlim_t)top, .rlim_max = old.rlim_max};
    if (f->v.n > 0)
        return;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    unsigned turns = 0;
    uint64_t end = clock_mono_ms() + 300;
    while (clock_mono_ms() < end) {
        worker_turn(f->w, 100);
        turns++;
    }
    assert_int_equal(f->v.n, 0);
    assert_true(turns < 50);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    TURN_UNTIL(f->w, f->v.n == 1, 3000);
}

/* worker_free() closes what its owners forgot. */
static void test_free_with_open_streams(void **state)
{
    struct fixture *f = *state;
    connect_pair(f);
    struct worker *w = worker_new(NULL, NULL);
    struct peer a = {0}, b = {0}, c = {0};
    struct listener *l;
    peer_dial(&a, w, listener_port(f->v.l), NULL);
    TURN_UNTIL(w, stream_state(a.s) == STREAM_OPEN, 2000);
    stream_write(a.s, "x", 1);
    peer_dial(&b, w, listener_port(f->v.l), NULL);
    peer_init(&c, w);
    struct dial d = {.host = "localhost", .port = 1};
    c.s = stream_dial(w, &c.task, &d);
    worker_turn(w, 0);
    assert_int_equal(listener_open(&l, w, "127.0.0.1:0", NULL, never, NULL, NULL), 0);
    stream_close(&a.s);
    worker_free(&w);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_echo),
        TEST(test_write_early),
        TEST(test_bulk_echo),
        TEST(test_backpressure),
        TEST(test_half_close),
        TEST(test_close_flushes),
        TEST(test_close_with_unread_input),
        TEST(test_close_is_bounded),
        TEST(test_abort_everywhere),
        TEST(test_peer_resets),
        TEST(test_last_words),
        TEST(test_dial_closed_port),
        TEST(test_dial_no_such_host),
        TEST(test_dial_black_hole),
        TEST(test_dial_by_name),
        TEST(test_listen_addresses),
        TEST(test_closed_in_accept),
        TEST(test_pause),
        TEST(test_out_of_descriptors),
        TEST(test_free_with_open_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
