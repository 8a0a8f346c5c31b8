/* Listeners, and the limits on who may connect. See front.h. */
#include "config.h"
#include "front/dav.h"
#include "front/session.h"
#include "front/submission.h"
#include <stdlib.h>

void visitor_enter(struct visitor *v, struct front *f, struct task *task, struct stream *client)
{
    struct counters *c = worker_counters(f->env->worker);
    v->front = f;
    v->task = task;
    v->client = client;
    v->id = ++f->next_id;
    list_append(&f->visitors, &v->node);
    c->sessions = ++f->n_visitors;
    c->sessions_total++;
}

void visitor_leave(struct visitor *v)
{
    list_remove(&v->node);
    worker_counters(v->front->env->worker)->sessions = --v->front->n_visitors;
}

/* Anybody with IPv6 has a /64 of addresses. */
static unsigned count_address(const struct front *f, const char *address)
{
    unsigned n = 0;
    struct list *it;
    list_for_each(it, &f->visitors)
    {
        const struct visitor *v = container_of(it, struct visitor, node);
        n += auth_same_network(stream_peer(v->client), address);
    }
    return n;
}

static void refuse(struct front *f, struct stream *s, const char *reason, const char *line)
{
    log_event(worker_log(f->env->worker), LOG_WARN, "connection_refused",
              log_s("address", stream_peer(s)), log_s("reason", reason));
    if (stream_state(s) == STREAM_OPEN) {
        stream_put(s, slice_str(line));
        stream_close(&s);
    } else {
        stream_abort(&s); /* no handshake for one that is not wanted */
    }
}

enum refusal { REFUSE_DRAIN, REFUSE_MANY, REFUSE_ADDRESS };

#define BUSY                                                                                       \
    "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 30\r\nContent-Length: 0\r\n"                  \
    "Connection: close\r\n\r\n"
static const struct {
    const char *reason, *line[GATE_DAV + 1];
} refusals[] = {
    {"drain",
     {"* BYE The server is going down\r\n", "421 4.3.2 The server is going down\r\n", BUSY}},
    {"max_connections",
     {"* BYE [LIMIT] Too many connections\r\n", "421 4.7.0 Too many connections\r\n", BUSY}},
    {"max_connections_per_address",
     {"* BYE [LIMIT] Too many connections from your address\r\n",
      "421 4.7.0 Too many connections from your address\r\n", BUSY}},
};
#undef BUSY

static void refuse_for(const struct gate *g, struct stream *s, enum refusal why)
{
    refuse(g->front, s, refusals[why].reason, refusals[why].line[g->kind]);
}

static void on_accept(struct stream *s, void *arg)
{
    const struct gate *g = arg;
    struct front *f = g->front;
    const struct settings *set = f->env->settings;
    if (f->draining)
        refuse_for(g, s, REFUSE_DRAIN);
    else if (f->n_visitors >= set->max_connections)
        refuse_for(g, s, REFUSE_MANY);
    else if (count_address(f, stream_peer(s)) >= set->max_connections_per_address)
        refuse_for(g, s, REFUSE_ADDRESS);
    else if (g->kind == GATE_SUBMISSION)
        submission_new(f, s, g->implicit);
    else if (g->kind == GATE_DAV)
        davs_new(f, s, g->implicit);
    else
        session_new(f, s, g->implicit);
}

static struct tls_ctx *tls_of(const struct front *f, enum gate_kind kind)
{
    return kind == GATE_DAV ? f->env->tls_server_http : f->env->tls_server;
}

static int open_list(struct front *f, char *const *addresses, bool implicit,
                     enum gate_kind kind, struct err *e)
{
    for (; addresses != NULL && *addresses != NULL; addresses++) {
        if (implicit && tls_of(f, kind) == NULL)
            return err_set(e, E_TLS, SCOPE_NONE,
                           "%s is to speak TLS, but no certificate is configured", *addresses);
        struct gate *g = mem_alloc(sizeof(*g));
        *g = (struct gate){.front = f, .implicit = implicit, .kind = kind};
        int rc = listener_open(&g->listener, f->env->worker, *addresses,
                               implicit ? tls_of(f, kind) : NULL, on_accept, g, e);
        if (rc != 0) {
            free(g);
            return rc;
        }
        f->gates = mem_grow(f->gates, f->n_gates + 1, sizeof(*f->gates));
        f->gates[f->n_gates++] = g;
    }
    return 0;
}

int front_start(struct front **out, struct env *env, struct err *e)
{
    struct front *f = mem_alloc(sizeof(*f));
    f->env = env;
    list_init(&f->visitors);
    list_init(&f->starters);
    int rc = open_list(f, env->settings->listen_imap, false, GATE_IMAP, e);
    if (rc == 0)
        rc = open_list(f, env->settings->listen_imaps, true, GATE_IMAP, e);
    if (rc == 0)
        rc = open_list(f, env->settings->listen_submission, false, GATE_SUBMISSION, e);
    if (rc == 0)
        rc = open_list(f, env->settings->listen_submissions, true, GATE_SUBMISSION, e);
    if (rc == 0) /* there is no STARTTLS: with a certificate it is HTTPS */
        rc = open_list(f, env->settings->listen_dav, env->tls_server_http != NULL, GATE_DAV, e);
    if (rc != 0)
        front_free(&f);
    *out = f;
    return rc;
}

static void close_listeners(struct front *f)
{
    for (unsigned i = 0; i < f->n_gates; i++) {
        listener_close(&f->gates[i]->listener);
        free(f->gates[i]);
    }
    free(f->gates);
    f->gates = NULL;
    f->n_gates = 0;
}

void front_drain(struct front *f)
{
    struct list *it;
    f->draining = true;
    close_listeners(f);
    list_for_each(it, &f->visitors) task_wake(container_of(it, struct visitor, node)->task);
}

bool front_idle(const struct front *f)
{
    return f->n_visitors == 0;
}

void front_free(struct front **f)
{
    if (*f == NULL)
        return;
    close_listeners(*f);
    while (!list_empty(&(*f)->visitors)) {
        struct visitor *v = container_of((*f)->visitors.next, struct visitor, node);
        v->abort(v);
    }
    starters_free(*f);
    davs_realm_free(*f);
    offer_free(&(*f)->offer);
    free(*f);
    *f = NULL;
}

void front_reload(struct front *f)
{
    for (unsigned i = 0; i < f->n_gates; i++)
        if (f->gates[i]->implicit && tls_of(f, f->gates[i]->kind) != NULL)
            listener_set_tls(f->gates[i]->listener, tls_of(f, f->gates[i]->kind));
}

uint16_t front_port(const struct front *f, unsigned i)
{
    return i < f->n_gates ? listener_port(f->gates[i]->listener) : 0;
}
