/* Listeners, and the limits on who may connect. See front.h. */
#include "config.h"
#include "front/session.h"
#include <stdlib.h>
#include <string.h>

static unsigned count_address(const struct front *f, const char *address)
{
    unsigned n = 0;
    struct list *it;
    list_for_each(it, &f->sessions)
    {
        const struct session *s = container_of(it, struct session, node);
        n += strcmp(stream_peer(s->client), address) == 0;
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

static void accepted(struct front *f, struct stream *s, bool implicit)
{
    const struct settings *set = f->env->settings;
    if (f->draining)
        refuse(f, s, "drain", "* BYE The server is going down\r\n");
    else if (f->n_sessions >= set->max_connections)
        refuse(f, s, "max_connections", "* BYE [LIMIT] Too many connections\r\n");
    else if (count_address(f, stream_peer(s)) >= set->max_connections_per_address)
        refuse(f, s, "max_connections_per_address",
               "* BYE [LIMIT] Too many connections from your address\r\n");
    else
        session_new(f, s, implicit);
}

static void on_accept_clear(struct stream *s, void *arg)
{
    accepted(arg, s, false);
}

static void on_accept_tls(struct stream *s, void *arg)
{
    accepted(arg, s, true);
}

static int open_list(struct front *f, char *const *addresses, bool implicit, struct err *e)
{
    for (; addresses != NULL && *addresses != NULL; addresses++) {
        if (implicit && f->env->tls_server == NULL)
            return err_set(e, E_TLS, SCOPE_NONE,
                           "%s is to speak TLS, but no certificate is configured", *addresses);
        struct listener *l;
        int rc = listener_open(&l, f->env->worker, *addresses, implicit ? f->env->tls_server : NULL,
                               implicit ? on_accept_tls : on_accept_clear, f, e);
        if (rc != 0)
            return rc;
        f->listeners = mem_grow(f->listeners, f->n_listeners + 1, sizeof(*f->listeners));
        f->implicit = mem_grow(f->implicit, f->n_listeners + 1, sizeof(*f->implicit));
        f->listeners[f->n_listeners] = l;
        f->implicit[f->n_listeners++] = implicit;
    }
    return 0;
}

int front_start(struct front **out, struct env *env, struct err *e)
{
    struct front *f = mem_alloc(sizeof(*f));
    f->env = env;
    list_init(&f->sessions);
    int rc = open_list(f, env->settings->listen_imap, false, e);
    if (rc == 0)
        rc = open_list(f, env->settings->listen_imaps, true, e);
    if (rc != 0)
        front_free(&f);
    *out = f;
    return rc;
}

static void close_listeners(struct front *f)
{
    for (unsigned i = 0; i < f->n_listeners; i++)
        listener_close(&f->listeners[i]);
    free(f->listeners);
    free(f->implicit);
    f->listeners = NULL;
    f->implicit = NULL;
    f->n_listeners = 0;
}

void front_drain(struct front *f)
{
    struct list *it;
    f->draining = true;
    close_listeners(f);
    list_for_each(it, &f->sessions) session_wake(container_of(it, struct session, node));
}

bool front_idle(const struct front *f)
{
    return f->n_sessions == 0;
}

void front_free(struct front **f)
{
    if (*f == NULL)
        return;
    close_listeners(*f);
    while (!list_empty(&(*f)->sessions))
        session_abort(container_of((*f)->sessions.next, struct session, node));
    free(*f);
    *f = NULL;
}

void front_reload(struct front *f)
{
    for (unsigned i = 0; i < f->n_listeners; i++)
        if (f->implicit[i] && f->env->tls_server != NULL)
            listener_set_tls(f->listeners[i], f->env->tls_server);
}

uint16_t front_port(const struct front *f, unsigned i)
{
    return i < f->n_listeners ? listener_port(f->listeners[i]) : 0;
}
