/*
 * The writer thread. What: takes all batches that are queued, commits them as one transaction (one
 * fsync), and answers on the loop. If the group fails its batches are tried one by one, so one bad
 * batch fails alone. A full map grows and the group is tried again. Why a thread of its own and not
 * libuv's pool: the order of commits is the order of submission, and look-ups never wait behind a
 * slow disk.
 */
#include "config.h"
#include "store/env.h"
#include "wherry/base/mem.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#define GROUP_BATCHES 1000u
#define GROUP_BYTES ((size_t)8 << 20)
#define CHECK_READERS_EVERY 64u

/* Owner: the store. What stands below mutex belongs to it. */
struct writer {
    struct store *s;
    uv_thread_t thread;
    struct list pending; /* loop thread: what was submitted and is not answered */
    uint64_t next_id;
    unsigned commits; /* writer thread */

    uv_mutex_t mutex;
    uv_cond_t wake;
    struct list queue, done;
    bool stop;
    bool posted;   /* ring() is on its way */
    size_t map_to; /* the map has grown to so many bytes, not told yet */
};

static void list_move_all(struct list *from, struct list *to)
{
    struct list *it, *tmp;
    list_for_each_safe(it, tmp, from)
    {
        list_remove(it);
        list_append(to, it);
    }
}

static struct store_batch *batch_of(struct list *link)
{
    return container_of(link, struct store_batch, link);
}

/* ---- the thread ---- */

static void note_growth(struct writer *w)
{
    MDB_envinfo info;
    if (mdb_env_info(w->s->env, &info) != 0)
        return;
    uv_mutex_lock(&w->mutex);
    w->map_to = info.me_mapsize;
    uv_mutex_unlock(&w->mutex);
}

/* Commits the batches from first up to end (not included) as one. Returns an LMDB code. */
static int commit_run(struct writer *w, struct list *first, const struct list *end)
{
    for (;;) {
        struct txn x;
        txn_begin(&x, w->s, true);
        for (struct list *it = first; it != end; it = it->next) {
            if (batch_of(it)->result == 0)
                batch_apply(&x, batch_of(it));
        }
        int rc = txn_end(&x);
        if (rc == MDB_MAP_FULL) { /* ends: the map has a largest size */
            rc = env_grow(w->s);
            if (rc == 0) {
                note_growth(w);
                continue;
            }
        }
        if (rc == 0)
            env_fill(w->s, NULL); /* what was committed stays so, whatever this says */
        return rc == EIO && env_is_full(w->s) ? ENOSPC : rc;
    }
}

static void commit_group(struct writer *w, struct list *group)
{
    if (w->commits++ % CHECK_READERS_EVERY == 0)
        mdb_reader_check(w->s->env,
                         NULL); /* a reader that was killed would keep old pages in use */
    int rc = commit_run(w, group->next, group);
    if (rc == 0)
        return;
    bool alone = group->next->next == group;
    struct list *it;
    list_for_each(it, group)
    {
        struct store_batch *b = batch_of(it);
        if (!alone && b->result == 0)
            rc = commit_run(w, it, it->next);
        if (b->result == 0)
            b->result = store_error(rc);
    }
}

/* Moves what may be committed together to group; false when the thread is to end. */
static bool take_group(struct writer *w, struct list *group)
{
    size_t bytes = 0;
    uv_mutex_lock(&w->mutex);
    while (list_empty(&w->queue) && !w->stop)
        uv_cond_wait(&w->wake, &w->mutex);
    for (unsigned n = 0; n < GROUP_BATCHES && !list_empty(&w->queue); n++) {
        struct store_batch *b = batch_of(w->queue.next);
        bytes += b->ops.len;
        if (n > 0 && bytes > GROUP_BYTES)
            break;
        list_remove(&b->link);
        list_append(group, &b->link);
    }
    uv_mutex_unlock(&w->mutex);
    return !list_empty(group);
}

static void ring(void *arg);

static void writer_main(void *arg)
{
    struct writer *w = arg;
    struct list group;
    list_init(&group);
    while (take_group(w, &group)) {
        commit_group(w, &group);
        uv_mutex_lock(&w->mutex);
        list_move_all(&group, &w->done);
        bool post = !w->posted;
        w->posted = true;
        uv_mutex_unlock(&w->mutex);
        if (post)
            worker_post(w->s->worker, ring, w);
    }
}

/* ---- the loop ---- */

static void answer(struct writer *w, struct store_batch *b)
{
    list_remove(&b->link);
    list_remove(&b->pending);
    if (b->wait != NULL) {
        b->wait->result = b->result;
        b->wait->pending = false;
        task_wake(b->wait->task);
    } else if (b->result != 0) {
        worker_counters(w->s->worker)->errors++;
        log_event(worker_log(w->s->worker), LOG_ERROR, "store_failed",
                  log_s("error", err_name(b->result)), log_s("path", w->s->path));
    }
    store_batch_free(&b);
}

static void deliver(struct writer *w)
{
    struct list done, *it, *tmp;
    list_init(&done);
    uv_mutex_lock(&w->mutex);
    list_move_all(&w->done, &done);
    size_t map_to = w->map_to;
    w->map_to = 0;
    uv_mutex_unlock(&w->mutex);
    if (map_to != 0)
        log_event(worker_log(w->s->worker), LOG_INFO, "store_map_grown",
                  log_n("bytes", (int64_t)map_to));
    list_for_each_safe(it, tmp, &done) answer(w, batch_of(it));
}

static void ring(void *arg)
{
    struct writer *w = arg;
    uv_mutex_lock(&w->mutex);
    w->posted = false;
    uv_mutex_unlock(&w->mutex);
    deliver(w);
}

void store_submit(struct store_batch **bp, struct store_wait *wait)
{
    struct store_batch *b = *bp;
    struct writer *w = b->s->writer;
    *bp = NULL;
    b->wait = wait;
    if (wait != NULL) {
        wait->pending = true;
        wait->result = 0;
        wait->id = ++w->next_id;
    }
    list_append(&w->pending, &b->pending);
    uv_mutex_lock(&w->mutex);
    list_append(&w->queue, &b->link);
    uv_cond_signal(&w->wake);
    uv_mutex_unlock(&w->mutex);
}

void store_wait_forget(struct store *s, struct store_wait *wait)
{
    if (!wait->pending)
        return;
    struct list *it;
    list_for_each(it, &s->writer->pending)
    {
        struct store_batch *b = container_of(it, struct store_batch, pending);
        if (b->wait == wait)
            b->wait = NULL;
    }
    wait->pending = false;
}

int writer_start(struct store *s, struct err *e)
{
    struct writer *w = mem_alloc(sizeof(*w));
    w->s = s;
    list_init(&w->pending);
    list_init(&w->queue);
    list_init(&w->done);
    if (uv_mutex_init(&w->mutex) != 0 || uv_cond_init(&w->wake) != 0)
        abort();
    /* Signals are for the loop's thread. */
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = uv_thread_create(&w->thread, writer_main, w);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc != 0) {
        uv_mutex_destroy(&w->mutex);
        uv_cond_destroy(&w->wake);
        free(w);
        return err_set(e, E_IO, SCOPE_HOST, "cannot start the writer: %s", uv_strerror(rc));
    }
    s->writer = w;
    return 0;
}

void writer_stop(struct store *s)
{
    struct writer *w = s->writer;
    if (w == NULL)
        return;
    uv_mutex_lock(&w->mutex);
    w->stop = true;
    uv_cond_signal(&w->wake);
    uv_mutex_unlock(&w->mutex);
    uv_thread_join(&w->thread);
    worker_unpost(s->worker, ring, w);
    deliver(w);
    uv_mutex_destroy(&w->mutex);
    uv_cond_destroy(&w->wake);
    free(w);
    s->writer = NULL;
}
