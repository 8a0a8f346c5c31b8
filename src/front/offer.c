/*
 * What the new host's submission service announces, for those who are not signed in yet: most
 * clients do not ask again after AUTH, so the first list has to be the right one.
 *
 * Asked when the first client says EHLO, and learnt again from each session that enters. Rejected:
 * a list in the configuration, which would be wrong one day.
 */
#include "config.h"
#include "front/submission.h"
#include <stdlib.h>

enum { ASK_AGAIN_MS = 30 * 1000, ASK_SECONDS = 10 };

/* Owner: the front. */
struct offer {
    struct front *front;
    struct task task;
    struct smtpc *c; /* asking */
    bool known;
    uint64_t asked_ms;
    struct smtp_ehlo ehlo;
};

static void wake_all(struct front *f)
{
    struct list *it;
    list_for_each(it, &f->visitors) task_wake(container_of(it, struct visitor, node)->task);
}

static void offer_step(struct task *t)
{
    struct offer *o = container_of(t, struct offer, task);
    struct smtpc_event ev;
    if (o->c == NULL)
        return;
    smtpc_next(o->c, &ev);
    if (ev.kind == SMTPC_READY) {
        o->known = true;
        o->ehlo = *smtpc_ehlo(o->c);
        smtpc_close(&o->c);
        wake_all(o->front);
    } else if (ev.kind == SMTPC_FAILED) {
        log_event(worker_log(o->front->env->worker), LOG_WARN, "submission_host_silent",
                  log_e(ev.err));
        smtpc_abort(&o->c);
        wake_all(o->front);
    }
}

static void ask(struct offer *o)
{
    struct env *env = o->front->env;
    const struct settings *set = env->settings;
    struct smtpc_open open = {
        .host = &set->new_submission,
        .tls = env->tls_new_submission,
        .hostname = set->hostname,
        .timeout_seconds = ASK_SECONDS,
    };
    o->asked_ms = worker_now_ms(env->worker);
    o->c = smtpc_open(env->worker, &o->task, &open);
}

static struct offer *offer_of(struct front *f)
{
    if (f->offer == NULL) {
        struct offer *o = f->offer = mem_alloc(sizeof(*o));
        o->front = f;
        task_init(&o->task, f->env->worker, offer_step);
    }
    return f->offer;
}

enum readiness offer_get(struct front *f, struct smtp_ehlo *out)
{
    struct offer *o = offer_of(f);
    *out = o->ehlo;
    if (o->known)
        return STATE_READY;
    out->ext = SMTP_BIT(PIPELINING) | SMTP_BIT(8BITMIME) | SMTP_BIT(ENHANCEDSTATUSCODES);
    if (o->c == NULL &&
        (o->asked_ms == 0 || worker_now_ms(f->env->worker) - o->asked_ms >= ASK_AGAIN_MS))
        ask(o);
    return o->c != NULL ? STATE_BUSY : STATE_FAILED;
}

void offer_learn(struct front *f, const struct smtp_ehlo *ehlo)
{
    struct offer *o = offer_of(f);
    o->known = true;
    o->ehlo = *ehlo;
}

void offer_free(struct offer **o)
{
    if (*o == NULL)
        return;
    task_stop(&(*o)->task);
    smtpc_abort(&(*o)->c);
    free(*o);
    *o = NULL;
}
