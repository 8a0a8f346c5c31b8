/* See the header. Certificates are made by the openssl command, as an administrator would. */
#include "config.h"
#include "unit.h"
#include "net_peer.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "wherry/base/mem.h"

uint8_t pattern(uint64_t i)
{
    return (uint8_t)(i * 7 + i / 251);
}

static void take(struct peer *p)
{
    struct buf *in = stream_in(p->s);
    struct slice v = buf_slice(in);
    if (v.n > p->most_in)
        p->most_in = v.n;
    if (p->hold || v.n == 0)
        return;
    if (p->echo) {
        if (stream_full(p->s))
            return;
        stream_put(p->s, v);
    } else if (p->discard) {
        for (size_t i = 0; i < v.n; i++)
            p->wrong = p->wrong || v.p[i] != pattern(p->taken + i);
    } else {
        buf_put_slice(&p->got, v);
    }
    p->taken += v.n;
    buf_consume(in, v.n);
    stream_resume(p->s);
}

static void produce(struct peer *p)
{
    uint8_t chunk[4096];
    while (p->to_send > 0 && !stream_full(p->s)) {
        size_t n = p->to_send < sizeof(chunk) ? (size_t)p->to_send : sizeof(chunk);
        for (size_t i = 0; i < n; i++)
            chunk[i] = pattern(p->sent + i);
        stream_write(p->s, chunk, n);
        p->sent += n;
        p->to_send -= n;
    }
    if (stream_pending(p->s) > p->most_out)
        p->most_out = stream_pending(p->s);
}

static void peer_step(struct task *t)
{
    struct peer *p = container_of(t, struct peer, task);
    p->steps++;
    if (p->s == NULL)
        return;
    take(p);
    produce(p);
}

void peer_init(struct peer *p, struct worker *w)
{
    task_init(&p->task, w, peer_step);
}

void peer_dial(struct peer *p, struct worker *w, uint16_t port, struct tls_ctx *tls)
{
    peer_init(p, w);
    struct dial d = {.host = "127.0.0.1", .port = port, .tls = tls, .timeout_ms = 5000};
    p->s = stream_dial(w, &p->task, &d);
}

void peer_free(struct peer *p)
{
    stream_abort(&p->s);
    task_stop(&p->task);
    buf_free(&p->got);
}

static void on_accept(struct stream *s, void *arg)
{
    struct server *v = arg;
    if (v->n == sizeof(v->peer) / sizeof(v->peer[0])) {
        stream_abort(&s);
        return;
    }
    struct peer *p = &v->peer[v->n++];
    struct worker *w = p->task.worker;
    *p = v->model;
    peer_init(p, w);
    p->s = s;
    stream_set_owner(s, &p->task);
    task_wake(&p->task);
}

void server_open(struct server *v, struct worker *w, struct tls_ctx *implicit)
{
    struct err e = {0};
    for (size_t i = 0; i < sizeof(v->peer) / sizeof(v->peer[0]); i++)
        peer_init(&v->peer[i], w);
    assert_int_equal(listener_open(&v->l, w, "127.0.0.1:0", implicit, on_accept, v, &e), 0);
}

void server_free(struct server *v)
{
    for (unsigned i = 0; i < v->n; i++)
        peer_free(&v->peer[i]);
    listener_close(&v->l);
}

void until_state(struct worker *w, const struct peer *p, enum stream_state state)
{
    uint64_t end = worker_now_ms(w) + 5000;
    while (stream_state(p->s) != state && worker_now_ms(w) < end)
        worker_turn(w, 10);
    if (stream_state(p->s) != state)
        print_error("state %d, wanted %d: %s\n", (int)stream_state(p->s), (int)state,
                    stream_err(p->s)->text);
    assert_int_equal(stream_state(p->s), state);
}

/* -- certificates -- */

struct certs {
    char dir[200];
    char path[300];
};

static const char script[] =
    "set -e; cd \"$1\"; exec >log 2>&1\n"
    "issue() { # file subject extension issuer\n"
    "  openssl req -new -newkey rsa:2048 -nodes -keyout \"$1.key\" -out \"$1.csr\" -subj \"$2\"\n"
    "  printf '%s\\n' \"$3\" >\"$1.ext\"\n"
    "  openssl x509 -req -in \"$1.csr\" -CA \"$4.pem\" -CAkey \"$4.key\" -CAcreateserial \\\n"
    "    -days 2 -out \"$1.pem\" -extfile \"$1.ext\"\n"
    "}\n"
    "for ca in ca other; do\n"
    "  openssl req -x509 -newkey rsa:2048 -nodes -keyout $ca.key -out $ca.pem -days 2 \\\n"
    "    -subj \"/CN=$ca\" -addext basicConstraints=critical,CA:TRUE\n"
    "done\n"
    "issue good /CN=good 'subjectAltName=DNS:localhost,DNS:*.example.org,IP:127.0.0.1,IP:::1' ca\n"
    "issue name /CN=localhost 'subjectAltName=DNS:mail.example.net' ca\n"
    "issue cn /CN=localhost 'basicConstraints=CA:FALSE' ca\n"
    "openssl req -x509 -newkey rsa:2048 -nodes -keyout self.key -out self.pem -days 2 \\\n"
    "  -subj /CN=self -addext subjectAltName=IP:127.0.0.1\n"
    "openssl rsa -in self.key -aes128 -passout pass:x -out locked.key\n";

struct certs *certs_new(void)
{
    struct certs *c = mem_alloc(sizeof(*c));
    const char *tmp = getenv("TMPDIR");
    char command[sizeof(script) + 400];
    snprintf(c->dir, sizeof(c->dir), "%s/wherry-net.XXXXXX", tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(c->dir) == NULL) {
        free(c);
        return NULL;
    }
    snprintf(command, sizeof(command), "set -- '%s'\n%s", c->dir, script);
    if (system(command) != 0)
        certs_free(&c);
    return c;
}

void certs_free(struct certs **cp)
{
    struct certs *c = *cp;
    char command[300];
    if (c == NULL)
        return;
    *cp = NULL;
    snprintf(command, sizeof(command), "rm -rf '%s'", c->dir);
    if (system(command) != 0)
        print_error("cannot remove %s\n", c->dir);
    free(c);
}

const char *certs_file(struct certs *c, const char *name)
{
    snprintf(c->path, sizeof(c->path), "%s/%s", c->dir, name);
    return c->path;
}
