/*
 * The old host asked about itself: without a password, once, for the realm that it refuses with, so that clients find what they
 * stored; and with one, whether it is right (auth.by = dav).
 *
 * A host that lets everybody in cannot tell a right password from a wrong one: then nobody is let in.
 */
#include "config.h"
#include "front/dav_ask.h"
#include <stdlib.h>
#include <string.h>
#include "wherry/dav/multistatus.h"

enum { REALM_REST_MS = 30 * 1000, ASK_BYTES = 256 * 1024, REALM_MAX = 200 };

/* ---- one question ---- */

static int on_response(struct dav_response *r, void *arg)
{
    struct dav_ask *a = arg;
    const struct dav_prop *p = dav_prop_find(r, NS_DAV, "current-user-principal");
    a->known = a->known || (p != NULL && p->href.len > 0 && !dav_prop_has(p, NS_DAV, "unauthenticated"));
    return 0;
}

void dav_ask_free(struct dav_ask *a)
{
    davr_free(&a->r);
    multistatus_free(&a->m);
}

void dav_ask_start(struct dav_ask *a, struct env *env, struct task *task, const struct dav_creds *creds,
                   bool bare)
{
    static const struct dav_name wanted[] = {{NS_DAV, "current-user-principal"}};
    static const struct dav_field fields[] = {{SLICE_LIT("Depth"), SLICE_LIT("0")},
                                              {SLICE_LIT("Content-Type"), SLICE_LIT("application/xml; charset=utf-8")}};
    struct buf body = {0}, origin = {0}, path = {0};
    *a = (struct dav_ask){0};
    dav_put_propfind(&body, wanted, 1);
    if (dav_host_split(&env->settings->old_dav, &origin, &path) != 0)
        buf_puts(&path, "/");
    struct davr_open o = {
        .host = &env->settings->old_dav,
        .creds = creds,
        .method = "PROPFIND",
        .target = buf_slice(&path),
        .fields = fields,
        .n_fields = bare ? 1 : 2,
        .body_kind = bare ? DAVR_NO_BODY : DAVR_BODY_WHOLE,
        .body = buf_slice(&body),
        .timeout_seconds = env->settings->host_timeout_seconds,
    };
    a->r = davr_start(env->dav, task, &o);
    a->m = multistatus_new(ASK_BYTES, 100, ASK_BYTES, on_response, a);
    buf_free(&body);
    buf_free(&origin);
    buf_free(&path);
}

bool dav_ask_step(struct dav_ask *a, const struct err **e)
{
    struct davr_event ev;
    *e = NULL;
    for (;;) {
        davr_next(a->r, &ev);
        if (ev.kind == DAVR_NONE)
            return false;
        if (ev.kind == DAVR_FAILED) {
            *e = ev.err;
            return true;
        }
        a->status = davr_status(a->r);
        bool last = ev.kind == DAVR_DONE;
        if (ev.kind != DAVR_HEAD && a->status == 207 && !a->broken)
            a->broken = multistatus_feed(a->m, last ? slice_str("") : ev.bytes, last) != 0;
        if (last)
            return true;
    }
}

/* ---- the realm ---- */

/* Owner: the front. */
struct dav_realm {
    struct front *front;
    struct task task;
    struct dav_ask ask;
    bool asking, answered;
    bool bare; /* the question was asked without a body */
    bool open; /* whoever comes is somebody to it */
    uint64_t asked_ms;
    char text[REALM_MAX + 1];
};

/* The value of realm in a challenge; only what may stand in a quoted string as it is. */
static void take_realm(struct dav_realm *m, struct slice challenge)
{
    static const char word[] = "realm=\"";
    size_t n = 0;
    for (size_t i = 0; i + sizeof(word) - 1 <= challenge.n; i++) {
        if (!slice_is_nocase(slice_make(challenge.p + i, sizeof(word) - 1), word))
            continue;
        for (i += sizeof(word) - 1; i < challenge.n && challenge.p[i] != '"' && n < REALM_MAX; i++) {
            uint8_t c = challenge.p[i];
            if (c >= ' ' && c != 0x7f && c != '\\')
                m->text[n++] = (char)c;
        }
        break;
    }
    m->text[n] = '\0';
}

static void wake_all(struct front *f)
{
    struct list *it;
    list_for_each(it, &f->visitors) task_wake(container_of(it, struct visitor, node)->task);
}

static void realm_step(struct task *t)
{
    struct dav_realm *m = container_of(t, struct dav_realm, task);
    const struct err *e;
    if (!m->asking || !dav_ask_step(&m->ask, &e))
        return;
    if (e != NULL && !m->bare) { /* it may have refused, and closed, before it had all */
        dav_ask_free(&m->ask);
        m->bare = true;
        dav_ask_start(&m->ask, m->front->env, &m->task, NULL, true);
        task_wake(&m->task);
        return;
    }
    m->asking = false;
    m->answered = e == NULL && m->ask.status < 500;
    m->open = e == NULL && (m->ask.known || (m->bare && m->ask.status != 401));
    if (e == NULL && m->ask.status == 401)
        take_realm(m, davr_field(m->ask.r, "WWW-Authenticate"));
    if (e != NULL)
        log_event(worker_log(t->worker), LOG_WARN, "old_host_failed", log_s("cause", "realm"), log_e(e));
    dav_ask_free(&m->ask);
    wake_all(m->front);
}

static struct dav_realm *ask_realm(struct front *f)
{
    uint64_t now = worker_now_ms(f->env->worker);
    struct dav_realm *m = f->realm;
    if (m == NULL) {
        m = f->realm = mem_alloc(sizeof(*m));
        m->front = f;
        task_init(&m->task, f->env->worker, realm_step);
    }
    if (!m->asking && !m->answered && (m->asked_ms == 0 || now - m->asked_ms > REALM_REST_MS)) {
        m->asking = true;
        m->bare = false;
        m->asked_ms = now;
        dav_ask_start(&m->ask, f->env, &m->task, NULL, false);
        task_wake(&m->task);
    }
    return m;
}

bool davs_realm(struct front *f, const char **realm)
{
    struct dav_realm *m = ask_realm(f);
    *realm = m->text[0] != '\0' ? m->text : f->env->settings->hostname;
    return !m->asking;
}

enum readiness dav_host_asks(struct front *f)
{
    struct dav_realm *m = ask_realm(f);
    if (m->asking)
        return STATE_BUSY;
    return m->answered && !m->open ? STATE_READY : STATE_FAILED;
}

void davs_realm_free(struct front *f)
{
    if (f->realm == NULL)
        return;
    task_stop(&f->realm->task);
    if (f->realm->asking)
        dav_ask_free(&f->realm->ask);
    free(f->realm);
    f->realm = NULL;
}
