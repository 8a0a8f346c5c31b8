/* See the header. */
#include "config.h"
#include "store_fixture.h"
#include "wherry/base/clock.h"
#include "wherry/base/mem.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void on_task(struct task *t)
{
    container_of(t, struct fixture, task)->steps++;
}

void fixture_path(const struct fixture *f, char path[128])
{
    snprintf(path, 128, "%s/data.mdb", f->dir);
}

void fixture_open(struct fixture *f)
{
    struct err e = {0};
    if (store_open_sized(&f->s, f->w, f->dir, false, SMALL_MAP, &e) != 0)
        fail_msg("%s", e.text);
}

void fixture_worker(struct fixture *f)
{
    f->log = (struct log){.fd = -1, .level = LOG_ERROR};
    f->w = worker_new(&f->log, &f->counters);
    task_init(&f->task, f->w, on_task);
}

int fixture_setup(void **state)
{
    struct fixture *f = mem_alloc(sizeof(*f));
    snprintf(f->dir, sizeof(f->dir), "/tmp/wherry-store-XXXXXX");
    if (mkdtemp(f->dir) == NULL)
        return -1;
    fixture_worker(f);
    fixture_open(f);
    *state = f;
    return 0;
}

void fixture_remove_files(const char *dir)
{
    static const char *const names[] = {"data.mdb", "lock.mdb", "wherryd.lock"};
    char path[128];
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        unlink(path);
    }
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    store_close(&f->s);
    task_stop(&f->task);
    worker_free(&f->w);
    fixture_remove_files(f->dir);
    rmdir(f->dir);
    free(f);
    return 0;
}

void fixture_put(struct store_batch *b, const char *key, const char *value)
{
    store_put(b, STORE_ITEMS, slice_str(key), slice_str(value));
}

int fixture_await(struct fixture *f, struct store_wait *wait)
{
    uint64_t end = clock_mono_ms() + WAIT_MS;
    while (wait->pending && clock_mono_ms() < end)
        worker_turn(f->w, 10);
    assert_false(wait->pending);
    return wait->result;
}

int fixture_submit(struct fixture *f, struct store_batch **b)
{
    struct store_wait wait = {.task = &f->task};
    store_submit(b, &wait);
    assert_null(*b);
    assert_true(wait.pending);
    return fixture_await(f, &wait);
}

void fixture_expect(struct store *s, const char *key, const char *want)
{
    struct buf v = {0};
    int r = store_get(s, STORE_ITEMS, slice_str(key), &v);
    if (want == NULL) {
        assert_int_equal(r, E_NOTFOUND);
        assert_int_equal(v.len, 0);
    } else {
        assert_int_equal(r, 0);
        assert_string_equal(buf_cstr(&v), want);
    }
    buf_free(&v);
}

int fixture_fork(int (*fn)(struct fixture *f), struct fixture *f)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(fn(f));
    int st = 0;
    assert_int_equal(waitpid(pid, &st, 0), pid);
    return WIFEXITED(st) ? WEXITSTATUS(st) : -1;
}
