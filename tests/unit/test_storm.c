/*
 * Hundreds of streams that are closed and aborted at any moment, in the clear and in TLS, with
 * owners that stop and go on reading: whatever arrives is the beginning of what was sent, nothing
 * is left behind, and the sanitizers see all of it. The moves come from a fixed seed, their timing
 * from the kernel.
 */
#include "config.h"
#include "unit.h"
#include <stdlib.h>
#include <string.h>
#include "net_peer.h"
#include "wherry/base/clock.h"
#include "wherry/base/mem.h"

enum { DIALLERS = 24, ACCEPTED = 600, ENOUGH = 300, STORM_MS = 20000 };

struct storm {
    struct worker *w;
    struct tls_ctx *sctx, *cctx;
    struct listener *plain, *tls;
    struct peer dialler[DIALLERS];
    struct peer *accepted; /* ACCEPTED */
    unsigned n;
    uint32_t seed;
};

static uint32_t roll(struct storm *m, uint32_t sides)
{
    m->seed = m->seed * 1664525u + 1013904223u;
    return (m->seed >> 8) % sides;
}

static void on_accept(struct stream *s, void *arg)
{
    struct storm *m = arg;
    if (m->n == ACCEPTED) {
        stream_close(&s);
        return;
    }
    struct peer *p = &m->accepted[m->n++];
    peer_init(p, m->w);
    p->s = s;
    p->discard = true;
    p->to_send = roll(m, 400000);
    stream_set_owner(s, &p->task);
}

static void let_go(struct storm *m, struct peer *p)
{
    assert_false(p->wrong);
    if (roll(m, 2) == 0)
        stream_close(&p->s);
    else
        stream_abort(&p->s);
    task_stop(&p->task);
}

static void shake(struct storm *m, struct peer *p)
{
    if (p->s == NULL)
        return;
    switch (roll(m, 12)) {
    case 0:
        let_go(m, p);
        break;
    case 1:
    case 2:
        p->hold = !p->hold;
        task_wake(&p->task);
        break;
    case 3:
        stream_set_in_limit(p->s, roll(m, 100000));
        break;
    case 4:
        p->to_send += roll(m, 300000);
        task_wake(&p->task);
        break;
    default:
        if (stream_state(p->s) >= STREAM_EOF && !p->hold)
            let_go(m, p);
        break;
    }
}

static void dial(struct storm *m, struct peer *p)
{
    bool tls = roll(m, 2) == 0;
    *p = (struct peer){0};
    peer_dial(p, m->w, listener_port(tls ? m->tls : m->plain), tls ? m->cctx : NULL);
    p->discard = true;
    p->to_send = roll(m, 400000);
}

static void test_storm(void **state)
{
    struct storm *m = *state;
    uint64_t end = clock_mono_ms() + STORM_MS;
    while (clock_mono_ms() < end && m->n < ENOUGH) {
        for (unsigned i = 0; i < DIALLERS; i++) {
            if (m->dialler[i].s == NULL)
                dial(m, &m->dialler[i]);
            else if (roll(m, 4) == 0)
                shake(m, &m->dialler[i]);
        }
        for (unsigned i = 0; i < m->n; i++) {
            if (roll(m, 4) == 0)
                shake(m, &m->accepted[i]);
        }
        worker_turn(m->w, 1);
    }
    assert_true(m->n > 0);
    listener_close(&m->plain); /* callers may still be in the queue */
    listener_close(&m->tls);
    for (unsigned i = 0; i < DIALLERS; i++)
        let_go(m, &m->dialler[i]);
    for (unsigned i = 0; i < m->n; i++)
        let_go(m, &m->accepted[i]);
    TURN_UNTIL(m->w, worker_streams(m->w) == 0, 8000);
}

static int setup(void **state)
{
    struct storm *m = mem_alloc(sizeof(*m));
    struct certs *certs = certs_new();
    *state = m;
    if (certs == NULL)
        return -1;
    m->seed = 20260;
    m->accepted = mem_array(ACCEPTED, sizeof(*m->accepted));
    char *pem = mem_strdup(certs_file(certs, "good.pem"));
    assert_int_equal(tls_server_new(&m->sctx, pem, certs_file(certs, "good.key"), NULL), 0);
    assert_int_equal(tls_client_new(&m->cctx, certs_file(certs, "ca.pem"), true, NULL), 0);
    free(pem);
    certs_free(&certs);
    m->w = worker_new(NULL, NULL);
    assert_int_equal(listener_open(&m->plain, m->w, "127.0.0.1:0", NULL, on_accept, m, NULL), 0);
    assert_int_equal(listener_open(&m->tls, m->w, "127.0.0.1:0", m->sctx, on_accept, m, NULL), 0);
    return 0;
}

static int teardown(void **state)
{
    struct storm *m = *state;
    listener_close(&m->plain);
    listener_close(&m->tls);
    worker_free(&m->w);
    tls_ctx_free(&m->sctx);
    tls_ctx_free(&m->cctx);
    free(m->accepted);
    free(m);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_storm, setup, teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
