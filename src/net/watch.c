/*
 * uv_poll behind a task. What: the callback adds to a set and wakes the task. Why: libcurl must be called outside of libuv's
 * callbacks, like everything else here. Rejected: streams for a library that insists on its own sockets.
 */
#include "config.h"
#include "worker_impl.h"
#include <stdlib.h>
#include "wherry/base/mem.h"
#include "wherry/net/watch.h"

struct watch {
    uv_poll_t poll;
    struct task *task;
    int fd;
    unsigned want, happened;
};

struct watch *watch_open(struct worker *w, int fd, struct task *task)
{
    struct watch *h = mem_alloc(sizeof(*h));
    if (uv_poll_init(&w->loop, &h->poll, fd) != 0) {
        free(h);
        return NULL;
    }
    h->poll.data = h;
    h->task = task;
    h->fd = fd;
    return h;
}

static void on_poll(uv_poll_t *p, int status, int events)
{
    struct watch *h = p->data;
    if (status < 0)
        h->happened |= WATCH_ERROR;
    if (events & UV_READABLE)
        h->happened |= WATCH_READ;
    if (events & UV_WRITABLE)
        h->happened |= WATCH_WRITE;
    task_wake(h->task);
}

void watch_want(struct watch *h, unsigned events)
{
    int mask = (events & WATCH_READ ? UV_READABLE : 0) | (events & WATCH_WRITE ? UV_WRITABLE : 0);
    h->want = events;
    if (mask == 0)
        uv_poll_stop(&h->poll);
    else if (uv_poll_start(&h->poll, mask, on_poll) != 0) {
        h->happened |= WATCH_ERROR;
        task_wake(h->task);
    }
}

int watch_fd(const struct watch *h)
{
    return h->fd;
}

unsigned watch_take(struct watch *h)
{
    unsigned happened = h->happened;
    h->happened = 0;
    /* What nobody wants any more was recorded before. */
    return happened & (h->want | WATCH_ERROR);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void watch_close(struct watch **hp)
{
    struct watch *h = *hp;
    if (h == NULL)
        return;
    *hp = NULL;
    uv_poll_stop(&h->poll);
    uv_close((uv_handle_t *)&h->poll, on_closed);
}
