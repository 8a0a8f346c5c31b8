/* DEFLATE: bursts through the codec, and above a stream with its limits. */
#include "config.h"
#include "unit.h"
#include "net_peer.h"
#include "net/deflate_impl.h"
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "wherry/base/mem.h"

static struct buf squeeze(struct deflater *z, const void *p, size_t n)
{
    struct buf out = {0};
    deflater_run(z, slice_make(p, n), &out);
    return out;
}

/* What is compressed in two bursts comes out at the end of each, however the bytes are cut and however little room
 * there is. */
static void bursts_and_cuts(void **state)
{
    (void)state;
    static const char first[] = "* 1 FETCH (FLAGS (\\Seen))\r\n* 2 FETCH (FLAGS (\\Seen))\r\n";
    static const char second[] = "a OK FETCH (FLAGS (\\Seen)) done\r\n";
    struct deflater *d = deflater_new();
    struct buf one = squeeze(d, first, sizeof(first) - 1), two = squeeze(d, second, sizeof(second) - 1);
    for (size_t cut = 1; cut < one.len + two.len; cut++) {
        for (size_t room = 1; room < 40; room += 13) {
            struct inflater *z = inflater_new();
            struct buf in = {0}, out = {0}, all = {0};
            buf_put_slice(&all, buf_slice(&one));
            buf_put_slice(&all, buf_slice(&two));
            while (all.len > 0) {
                size_t n = all.len < cut ? all.len : cut, before;
                bool more = false;
                buf_put(&in, buf_slice(&all).p, n);
                buf_consume(&all, n);
                do {
                    before = out.len;
                    assert_int_equal(inflater_run(z, &in, &out, room, &more), CODEC_MORE);
                    assert_true(out.len - before <= room);
                } while (in.len > 0 || more);
                if (cut == one.len && all.len == two.len)
                    assert_int_equal(out.len, sizeof(first) - 1);
            }
            assert_int_equal(out.len, sizeof(first) + sizeof(second) - 2);
            assert_memory_equal(buf_slice(&out).p, first, sizeof(first) - 1);
            assert_memory_equal(buf_slice(&out).p + sizeof(first) - 1, second, sizeof(second) - 1);
            buf_free(&in);
            buf_free(&out);
            buf_free(&all);
            inflater_free(&z);
        }
    }
    buf_free(&one);
    buf_free(&two);
    deflater_free(&d);
}

/* No burst tells anything about another one: the same bytes give the same bytes. */
static void bursts_share_nothing(void **state)
{
    (void)state;
    struct deflater *d = deflater_new();
    struct buf one = squeeze(d, "abcabcabcabc", 12), other = squeeze(d, "something else", 14),
               again = squeeze(d, "abcabcabcabc", 12), none = squeeze(d, "", 0);
    assert_int_equal(one.len, again.len);
    assert_memory_equal(buf_slice(&one).p, buf_slice(&again).p, one.len);
    assert_int_equal(none.len, 0);
    buf_free(&one);
    buf_free(&other);
    buf_free(&again);
    deflater_free(&d);
}

static void nonsense(void **state)
{
    (void)state;
    static const uint8_t stored_and_last[] = {0x01, 0x02, 0x00, 0xfd, 0xff, 'o', 'k', 'x'};
    struct inflater *z = inflater_new();
    struct buf in = {0}, out = {0};
    bool more = true;
    buf_puts(&in, "\xff\xff\xff\xff");
    assert_int_equal(inflater_run(z, &in, &out, 100, &more), CODEC_BAD);
    assert_false(more);
    inflater_free(&z);
    z = inflater_new();
    buf_free(&in);
    buf_put(&in, stored_and_last, sizeof(stored_and_last));
    assert_int_equal(inflater_run(z, &in, &out, 100, &more), CODEC_DONE);
    assert_true(slice_is(buf_slice(&out), "ok"));
    assert_int_equal(in.len, 1); /* what follows is not touched */
    inflater_free(&z);
    inflater_free(&z);
    buf_free(&in);
    buf_free(&out);
}

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
    TURN_UNTIL(f->w, worker_streams(f->w) == 0, 3000);
    worker_free(&f->w);
    free(f);
    return 0;
}

static struct peer *connect_pair(struct fixture *f)
{
    peer_dial(&f->c, f->w, listener_port(f->v.l), NULL);
    until_state(f->w, &f->c, STREAM_OPEN);
    TURN_UNTIL(f->w, f->v.n == 1, 2000);
    return &f->v.peer[0];
}

/* Both ends go over after a line in the clear; what is right behind the line is compressed already. */
static void over_a_stream(void **state)
{
    struct fixture *f = *state;
    f->v.model.hold = true;
    struct peer *p = connect_pair(f);
    stream_write(f->c.s, "go\r\n", 4);
    assert_int_equal(stream_start_deflate(f->c.s), 0);
    assert_int_equal(stream_start_deflate(f->c.s), E_INVAL);
    stream_write(f->c.s, "hello hello hello hello hello hello", 35);
    TURN_UNTIL(f->w, stream_in(p->s)->len > 4, 2000);
    assert_memory_equal(buf_slice(stream_in(p->s)).p, "go\r\n", 4);
    buf_consume(stream_in(p->s), 4);
    stream_resume(p->s);
    assert_int_equal(stream_start_deflate(p->s), 0);
    assert_true(stream_is_deflated(p->s));
    assert_int_equal(stream_start_tls_client(p->s, NULL, "x"), E_INVAL);
    p->hold = false;
    TURN_UNTIL(f->w, p->got.len == 35, 2000);
    assert_int_equal(stream_bytes_in(p->s), 4 + 35);
    assert_int_equal(stream_bytes_out(f->c.s), 4 + 35);
    assert_int_equal(stream_pending(f->c.s), 0);
    assert_null(stream_in(p->s)->mem);
    stream_write(p->s, "back", 4);
    TURN_UNTIL(f->w, f->c.got.len == 4, 2000);
    stream_close(&f->c.s);
    until_state(f->w, p, STREAM_EOF);
    assert_int_equal(stream_err(p->s)->code, 0);
}

/* Much that inflates from little: never more than the limit is held, nothing is lost, and the end comes after it. */
static void bounded(void **state)
{
    struct fixture *f = *state;
    const size_t total = 24 * 1024 * 1024;
    uint8_t *zeros = mem_array(total, 1);
    f->v.model.hold = true;
    struct peer *p = connect_pair(f);
    assert_int_equal(stream_start_deflate(f->c.s), 0);
    assert_int_equal(stream_start_deflate(p->s), 0);
    stream_write(f->c.s, zeros, total);
    stream_close(&f->c.s);
    for (int i = 0; i < 50; i++)
        worker_turn(f->w, 5);
    assert_int_equal(stream_in(p->s)->len, STREAM_IN_LIMIT);
    assert_int_equal(stream_state(p->s), STREAM_OPEN);
    p->hold = false;
    task_wake(&p->task);
    TURN_UNTIL(f->w, p->taken == total, 20000);
    assert_true(p->most_in <= STREAM_IN_LIMIT);
    until_state(f->w, p, STREAM_EOF);
    assert_int_equal(p->got.len, total);
    assert_memory_equal(buf_slice(&p->got).p, zeros, total);
    free(zeros);
}

/* There and back again, with backpressure on either side. */
static void bulk_echo(void **state)
{
    struct fixture *f = *state;
    const uint64_t total = 20 * 1024 * 1024;
    f->v.model.echo = true;
    struct peer *p = connect_pair(f);
    assert_int_equal(stream_start_deflate(f->c.s), 0);
    assert_int_equal(stream_start_deflate(p->s), 0);
    f->c.discard = true;
    f->c.to_send = total;
    task_wake(&f->c.task);
    TURN_UNTIL(f->w, f->c.taken == total, 60000);
    assert_false(f->c.wrong);
    assert_true(f->c.most_in <= STREAM_IN_LIMIT && p->most_in <= STREAM_IN_LIMIT);
    assert_true(p->most_out < STREAM_OUT_HIGH + STREAM_IN_LIMIT);
}

static void not_deflate(void **state)
{
    struct fixture *f = *state;
    struct peer *p = connect_pair(f);
    assert_int_equal(stream_start_deflate(p->s), 0);
    stream_write(f->c.s, "a1 NOOP\r\n\xff\xff", 11);
    until_state(f->w, p, STREAM_EOF);
    assert_int_equal(stream_err(p->s)->code, E_PROTO);
    stream_write(p->s, "* BYE\r\n", 7); /* which may still be said */
    stream_close(&p->s);
    TURN_UNTIL(f->w, f->c.got.len > 0, 2000);
    struct inflater *z = inflater_new();
    struct buf out = {0};
    bool more;
    assert_int_equal(inflater_run(z, &f->c.got, &out, 100, &more), CODEC_MORE);
    assert_true(slice_is(buf_slice(&out), "* BYE\r\n"));
    buf_free(&out);
    inflater_free(&z);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bursts_and_cuts),
        cmocka_unit_test(bursts_share_nothing),
        cmocka_unit_test(nonsense),
        cmocka_unit_test_setup_teardown(over_a_stream, setup, teardown),
        cmocka_unit_test_setup_teardown(bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(bulk_echo, setup, teardown),
        cmocka_unit_test_setup_teardown(not_deflate, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
