/*
 * The first sign-in of a person, if it is to submit mail: the account becomes known, its folder
 * tree is mirrored and INBOX moves, just as if IMAP had been spoken. A submission session is short,
 * so none of this hangs off it.
 */
#include "config.h"
#include "front/submission.h"
#include <stdlib.h>

/* Owner: the front. */
struct starter {
    struct list node;
    struct front *front;
    struct task task;
    struct account *account;
    struct account_user user;
};

static void starter_free(struct starter *s)
{
    task_stop(&s->task);
    if (s->account != NULL)
        account_detach(&s->account, &s->user);
    list_remove(&s->node);
    free(s);
}

/* Stays until the copy of INBOX is over: the account must keep its password as long as it may have
 * to be begun. */
static void starter_step(struct task *t)
{
    struct starter *s = container_of(t, struct starter, task);
    struct err e = {0};
    enum readiness r = account_ready(s->account, &e);
    if (r == STATE_READY) {
        struct unit *inbox = account_find(s->account, slice_str("INBOX"));
        r = inbox == NULL ? STATE_READY : unit_touch(inbox, &s->user, &e);
    }
    if (r == STATE_BUSY)
        return;
    if (r == STATE_FAILED)
        log_event(worker_log(s->front->env->worker), LOG_WARN, "start_of_account_failed",
                  log_s("account", account_name(s->account)), log_e(&e));
    starter_free(s);
}

/* One is enough, however many sessions a person opens meanwhile. */
static bool known(const struct front *f, const struct starter *s)
{
    struct list *it;
    list_for_each(it, &f->starters)
    {
        const struct starter *other = container_of(it, struct starter, node);
        if (other != s && other->account == s->account)
            return true;
    }
    return false;
}

void starter_begin(struct front *f, const struct door *d)
{
    const struct settings *set = f->env->settings;
    struct err e = {0};
    if (set->old_imap.host == NULL || set->new_imap.host == NULL || f->draining)
        return;
    struct starter *s = mem_alloc(sizeof(*s));
    s->front = f;
    task_init(&s->task, f->env->worker, starter_step);
    list_append(&f->starters, &s->node);
    s->user = (struct account_user){
        .task = &s->task, .address = stream_peer(d->client), .port = stream_peer_port(d->client)};
    if (account_attach(f->env->accounts, &s->user, &s->task, buf_slice(&d->key),
                       buf_slice(&d->login), &d->password, &s->account, &e) != 0) {
        log_event(worker_log(f->env->worker), LOG_WARN, "start_of_account_failed",
                  log_v("account", buf_slice(&d->key)), log_e(&e));
        starter_free(s);
        return;
    }
    if (known(f, s))
        starter_free(s);
    else
        task_wake(&s->task);
}

void starters_free(struct front *f)
{
    while (!list_empty(&f->starters))
        starter_free(container_of(f->starters.next, struct starter, node));
}
