/*
 * Measures what a relay of streams costs: processor time for 150 MB from one stream to another, and
 * memory for a thousand idle sessions. Not a test (`make tests/unit/bench_net &&
 * tests/unit/bench_net`): numbers that depend on the machine do not fail a build. The other ends
 * run in child processes, so that only the relay's own costs are counted.
 */
#include "config.h"
#include "unit.h"
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "net_peer.h"
#include "wherry/base/mem.h"

enum { TOTAL = 150 * 1000 * 1000, IDLE = 1000 };

struct relay {
    struct worker *w;
    struct task task;
    struct stream *from, *to;
    uint64_t moved;
};

static double cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)u.ru_utime.tv_sec + (double)u.ru_stime.tv_sec +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void relay_step(struct task *t)
{
    struct relay *r = container_of(t, struct relay, task);
    if (r->from == NULL || r->to == NULL)
        return;
    struct slice v = buf_slice(stream_in(r->from));
    if (v.n > 0 && !stream_full(r->to)) {
        stream_put(r->to, v);
        buf_consume(stream_in(r->from), v.n);
        stream_resume(r->from);
        r->moved += v.n;
    }
}

static void accept_from(struct stream *s, void *arg)
{
    struct relay *r = arg;
    r->from = s;
    stream_set_owner(s, &r->task);
    task_wake(&r->task);
}

static void accept_to(struct stream *s, void *arg)
{
    struct relay *r = arg;
    r->to = s;
    stream_set_owner(s, &r->task);
    task_wake(&r->task);
}

/* A child that sends (n > 0) or takes all that comes. */
static pid_t end(uint16_t port, struct tls_ctx *tls, uint64_t n)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    struct worker *w = worker_new(NULL, NULL);
    struct peer p = {.discard = n == 0, .to_send = n};
    struct buf junk = {0};
    memset(buf_reserve(&junk, 65536), 'x', 65536);
    peer_dial(&p, w, port, tls);
    p.to_send = 0;
    uint64_t left = n;
    while (stream_state(p.s) < STREAM_EOF) {
        while (left > 0 && !stream_full(p.s)) {
            size_t k = left < 65536 ? (size_t)left : 65536;
            stream_write(p.s, junk.mem, k);
            left -= k;
        }
        worker_turn(w, 1000);
        buf_clear(stream_in(p.s));
        stream_resume(p.s);
    }
    _exit(0);
}

static void bench_relay(const char *what, struct tls_ctx *s, struct tls_ctx *c)
{
    struct relay r = {.w = worker_new(NULL, NULL)};
    struct listener *a, *b;
    task_init(&r.task, r.w, relay_step);
    assert_int_equal(listener_open(&a, r.w, "127.0.0.1:0", s, accept_from, &r, NULL), 0);
    assert_int_equal(listener_open(&b, r.w, "127.0.0.1:0", s, accept_to, &r, NULL), 0);
    double before = cpu_seconds();
    pid_t one = end(listener_port(a), c, TOTAL), two = end(listener_port(b), c, 0);
    while (r.moved < TOTAL)
        worker_turn(r.w, 1000);
    while (stream_pending(r.to) > 0)
        worker_turn(r.w, 1000);
    printf("relay of 150 MB, %s: %.2f s of processor time\n", what, cpu_seconds() - before);
    kill(one, SIGKILL);
    kill(two, SIGKILL);
    waitpid(one, NULL, 0);
    waitpid(two, NULL, 0);
    stream_abort(&r.from);
    stream_abort(&r.to);
    listener_close(&a);
    listener_close(&b);
    worker_free(&r.w);
}

struct crowd {
    struct worker *w;
    unsigned n, open;
    struct task task;
    struct stream *s[IDLE];
    bool greeted[IDLE];
};

static void crowd_step(struct task *t)
{
    struct crowd *c = container_of(t, struct crowd, task);
    for (unsigned i = 0; i < c->n; i++) {
        if (stream_state(c->s[i]) == STREAM_OPEN && !c->greeted[i]) {
            stream_put(c->s[i], SLICE_LIT("* OK ready\r\n"));
            c->greeted[i] = true;
            c->open++;
        }
    }
}

static void accept_crowd(struct stream *s, void *arg)
{
    struct crowd *c = arg;
    c->s[c->n++] = s;
    stream_set_owner(s, &c->task);
    task_wake(&c->task);
}

static pid_t callers(uint16_t port, struct tls_ctx *tls)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    struct worker *w = worker_new(NULL, NULL);
    struct peer *p = mem_array(IDLE, sizeof(*p));
    for (unsigned i = 0; i < IDLE; i++) {
        peer_dial(&p[i], w, port, tls);
        while (p[i].got.len == 0)
            worker_turn(w, 1000);
    }
    for (;;)
        worker_turn(w, 1000);
}

static long rss_kib(void)
{
    long pages = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f == NULL || fscanf(f, "%ld %ld", &pages, &resident) != 2)
        resident = 0;
    if (f != NULL)
        fclose(f);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static void bench_idle(const char *what, struct tls_ctx *s, struct tls_ctx *c)
{
    struct crowd *k = mem_alloc(sizeof(*k));
    struct listener *l;
    k->w = worker_new(NULL, NULL);
    task_init(&k->task, k->w, crowd_step);
    assert_int_equal(listener_open(&l, k->w, "127.0.0.1:0", s, accept_crowd, k, NULL), 0);
    pid_t pid = callers(listener_port(l), c);
    while (k->open < 10)
        worker_turn(k->w, 1000);
    long rss = rss_kib();
    struct mallinfo2 m = mallinfo2();
    while (k->open < IDLE)
        worker_turn(k->w, 1000);
    struct mallinfo2 n = mallinfo2();
    printf("idle, %s: %ld KiB resident, %.1f KiB of heap a session\n", what,
           (rss_kib() - rss) / (IDLE - 10),
           (double)(n.uordblks + n.hblkhd - m.uordblks - m.hblkhd) / 1024 / (IDLE - 10));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    listener_close(&l);
    worker_free(&k->w);
    free(k);
}

int main(void)
{
    struct rlimit lim;
    getrlimit(RLIMIT_NOFILE, &lim);
    lim.rlim_cur = lim.rlim_max;
    setrlimit(RLIMIT_NOFILE, &lim);
    setvbuf(stdout, NULL, _IOLBF, 0);
    struct certs *certs = certs_new();
    struct tls_ctx *s = NULL, *c = NULL;
    char *pem = mem_strdup(certs_file(certs, "good.pem"));
    assert_int_equal(tls_server_new(&s, pem, certs_file(certs, "good.key"), NULL), 0);
    assert_int_equal(tls_client_new(&c, certs_file(certs, "ca.pem"), true, NULL), 0);
    bench_relay("plain", NULL, NULL);
    bench_relay("TLS on both sides", s, c);
    bench_idle("plain", NULL, NULL);
    bench_idle("TLS", s, c);
    tls_ctx_free(&s);
    tls_ctx_free(&c);
    certs_free(&certs);
    free(pem);
    return 0;
}
