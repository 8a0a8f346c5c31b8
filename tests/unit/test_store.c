/* The store: batches, order, growth, damage, a second daemon, readers of other processes, kill -9.
 */
#include "config.h"
#include "unit.h"
#include "store/env.h"
#include "wherry/base/clock.h"
#include "wherry/base/mem.h"
#include "wherry/store/records.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SMALL_MAP ((size_t)64 << 10)
#define WAIT_MS 20000u

/* A folder, a worker and what hangs off it. */
struct fixture {
    char dir[64];
    struct log log;
    struct counters counters;
    struct worker *w;
    struct store *s;
    struct task task;
    unsigned steps;
};

static void on_task(struct task *t)
{
    container_of(t, struct fixture, task)->steps++;
}

static void open_small(struct fixture *f)
{
    struct err e = {0};
    if (store_open_sized(&f->s, f->w, f->dir, false, SMALL_MAP, &e) != 0)
        fail_msg("%s", e.text);
}

static void make_worker(struct fixture *f)
{
    f->log = (struct log){.fd = -1, .level = LOG_ERROR};
    f->w = worker_new(&f->log, &f->counters);
    task_init(&f->task, f->w, on_task);
}

static int setup(void **state)
{
    struct fixture *f = mem_alloc(sizeof(*f));
    snprintf(f->dir, sizeof(f->dir), "/tmp/wherry-store-XXXXXX");
    if (mkdtemp(f->dir) == NULL)
        return -1;
    make_worker(f);
    open_small(f);
    *state = f;
    return 0;
}

static void remove_files(const char *dir)
{
    static const char *const names[] = {"data.mdb", "lock.mdb", "wherryd.lock"};
    char path[128];
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        unlink(path);
    }
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    store_close(&f->s);
    task_stop(&f->task);
    worker_free(&f->w);
    remove_files(f->dir);
    rmdir(f->dir);
    free(f);
    return 0;
}

static void put(struct store_batch *b, const char *key, const char *value)
{
    store_put(b, STORE_ITEMS, slice_str(key), slice_str(value));
}

static int await(struct fixture *f, struct store_wait *wait)
{
    uint64_t end = clock_mono_ms() + WAIT_MS;
    while (wait->pending && clock_mono_ms() < end)
        worker_turn(f->w, 10);
    assert_false(wait->pending);
    return wait->result;
}

static int submit_and_wait(struct fixture *f, struct store_batch **b)
{
    struct store_wait wait = {.task = &f->task};
    store_submit(b, &wait);
    assert_null(*b);
    assert_true(wait.pending);
    return await(f, &wait);
}

static void expect(struct store *s, const char *key, const char *want)
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

static void writes_and_reads(void **state)
{
    struct fixture *f = *state;
    struct store_batch *b = store_batch_new(f->s);
    put(b, "a", "1");
    put(b, "b", "2");
    put(b, "a", "3");
    put(b, "gone", "x");
    store_del(b, STORE_ITEMS, slice_str("gone"));
    store_del(b, STORE_ITEMS, slice_str("never"));
    put(b, "empty", "");
    expect(f->s, "a", NULL);
    assert_int_equal(submit_and_wait(f, &b), 0);
    worker_turn(f->w, 0);
    assert_int_equal(f->steps, 1);
    expect(f->s, "a", "3");
    expect(f->s, "b", "2");
    expect(f->s, "gone", NULL);
    expect(f->s, "empty", "");
    expect(f->s, "", NULL);
    b = store_batch_new(f->s); /* one that is not submitted changes nothing */
    put(b, "a", "9");
    store_batch_free(&b);
    assert_null(b);
    expect(f->s, "a", "3");
    assert_string_equal(store_path(f->s), f->dir);
    store_close(&f->s);
    open_small(f);
    expect(f->s, "a", "3");
}

struct walk {
    struct buf seen;
    unsigned n, stop_at;
};

static bool on_entry(struct slice key, struct slice value, void *arg)
{
    struct walk *w = arg;
    buf_printf(&w->seen, "%.*s=%.*s ", (int)key.n, (const char *)key.p, (int)value.n,
               (const char *)value.p);
    return ++w->n != w->stop_at;
}

static void expect_walk(struct store *s, const char *prefix, unsigned stop_at, const char *want)
{
    struct walk w = {.stop_at = stop_at};
    assert_int_equal(store_walk(s, STORE_ITEMS, slice_str(prefix), on_entry, &w), 0);
    assert_string_equal(buf_cstr(&w.seen), want);
    buf_free(&w.seen);
}

static void walks_and_prefixes(void **state)
{
    struct fixture *f = *state;
    struct store_batch *b = store_batch_new(f->s);
    put(b, "a", "1");
    put(b, "ab", "2");
    put(b, "ab\xff", "3");
    put(b, "ac", "4");
    put(b, "b", "5");
    store_put(b, STORE_UNITS, slice_str("ab"), slice_str("elsewhere"));
    assert_int_equal(submit_and_wait(f, &b), 0);
    expect_walk(f->s, "", 0, "a=1 ab=2 ab\xff=3 ac=4 b=5 ");
    expect_walk(f->s, "ab", 0, "ab=2 ab\xff=3 ");
    expect_walk(f->s, "ab", 1, "ab=2 ");
    expect_walk(f->s, "abc", 0, "");
    expect_walk(f->s, "zz", 0, "");
    b = store_batch_new(f->s);
    store_del_prefix(b, STORE_ITEMS, slice_str("ab"));
    store_del_prefix(b, STORE_ITEMS, slice_str("nothing"));
    put(b, "ab2", "6");
    assert_int_equal(submit_and_wait(f, &b), 0);
    expect_walk(f->s, "", 0, "a=1 ab2=6 ac=4 b=5 ");
    struct buf v = {0};
    assert_int_equal(store_get(f->s, STORE_UNITS, slice_str("ab"), &v), 0);
    buf_free(&v);
}

static void many_keys_under_a_prefix_go(void **state)
{
    struct fixture *f = *state;
    struct store_batch *b = store_batch_new(f->s);
    char key[32];
    for (unsigned i = 0; i < 20000; i++) {
        snprintf(key, sizeof(key), "%c%08u", "pq"[i % 2], i);
        put(b, key, "v");
    }
    put(b, "r", "1");
    assert_int_equal(submit_and_wait(f, &b), 0);
    b = store_batch_new(f->s);
    store_del_prefix(b, STORE_ITEMS, slice_str("q"));
    store_del_prefix(b, STORE_ITEMS, slice_str("p0001"));
    assert_int_equal(submit_and_wait(f, &b), 0);
    struct walk w = {0};
    assert_int_equal(store_walk(f->s, STORE_ITEMS, slice_str(""), on_entry, &w), 0);
    assert_int_equal(w.n, 5001);
    buf_free(&w.seen);
}

/* A batch that LMDB would refuse fails as a whole, and alone. */
static void bad_batches_fail_alone(void **state)
{
    struct fixture *f = *state;
    static char long_key[600];
    memset(long_key, 'k', sizeof(long_key) - 1);
    struct store_batch *good = store_batch_new(f->s), *bad = store_batch_new(f->s),
                       *bad2 = store_batch_new(f->s), *last = store_batch_new(f->s);
    struct store_wait w[4] = {{0}, {0}, {0}, {0}};
    put(good, "good", "1");
    put(bad, "before", "1");
    put(bad, long_key, "1");
    put(bad, "after", "1");
    put(bad2, "before2", "1");
    store_put(bad2, STORE_ITEMS, slice_str(""), slice_str("x"));
    put(last, "last", "1");
    store_submit(&good, &w[0]);
    store_submit(&bad, &w[1]);
    store_submit(&bad2, &w[2]);
    store_submit(&last, &w[3]);
    assert_int_equal(await(f, &w[3]), 0);
    assert_int_equal(await(f, &w[0]), 0);
    assert_int_equal(await(f, &w[1]), E_INVAL);
    assert_int_equal(await(f, &w[2]), E_INVAL);
    expect(f->s, "good", "1");
    expect(f->s, "last", "1");
    expect(f->s, "before", NULL);
    expect(f->s, "after", NULL);
    expect(f->s, "before2", NULL);
    bad = store_batch_new(f->s); /* without a waiter it is counted */
    put(bad, long_key, "1");
    store_submit(&bad, NULL);
    last = store_batch_new(f->s);
    assert_int_equal(submit_and_wait(f, &last), 0);
    assert_int_equal(f->counters.errors, 1);
}

/* 200 batches that each overwrite what the one before wrote: answered in order, the last one stays.
 */
static void order_is_kept(void **state)
{
    struct fixture *f = *state;
    struct store_wait w[200];
    char text[32];
    for (unsigned i = 0; i < 200; i++) {
        struct store_batch *b = store_batch_new(f->s);
        snprintf(text, sizeof(text), "%u", i);
        put(b, "same", text);
        put(b, text, "own");
        w[i] = (struct store_wait){.task = &f->task};
        store_submit(&b, &w[i]);
    }
    for (unsigned i = 0; i < 200; i++) {
        assert_int_equal(await(f, &w[i]), 0);
        if (i > 0) {
            assert_false(w[i - 1].pending);
            assert_true(w[i].id > w[i - 1].id);
        }
        snprintf(text, sizeof(text), "%u", i);
        expect(f->s, text, "own");
    }
    expect(f->s, "same", "199");
}

static void a_waiter_may_go_away(void **state)
{
    struct fixture *f = *state;
    struct store_wait *wait = mem_alloc(sizeof(*wait));
    struct store_batch *b = store_batch_new(f->s);
    wait->task = &f->task;
    put(b, "k", "v");
    store_submit(&b, wait);
    store_wait_forget(f->s, wait);
    assert_false(wait->pending);
    store_wait_forget(f->s, wait); /* twice is no harm */
    free(wait);
    b = store_batch_new(f->s);
    assert_int_equal(submit_and_wait(f, &b), 0);
    expect(f->s, "k", "v");
}

/* Closing commits and answers what was submitted, though the loop does not turn any more. */
static void closing_waits(void **state)
{
    struct fixture *f = *state;
    struct store_wait w[50];
    char key[32];
    for (unsigned i = 0; i < 50; i++) {
        struct store_batch *b = store_batch_new(f->s);
        snprintf(key, sizeof(key), "%u", i);
        put(b, key, "v");
        w[i] = (struct store_wait){.task = &f->task};
        store_submit(&b, &w[i]);
    }
    store_close(&f->s);
    assert_null(f->s);
    for (unsigned i = 0; i < 50; i++) {
        assert_false(w[i].pending);
        assert_int_equal(w[i].result, 0);
    }
    worker_turn(f->w, 0); /* nothing of it is on its way any more */
    open_small(f);
    expect(f->s, "0", "v");
    expect(f->s, "49", "v");
}

static size_t map_size(struct store *s)
{
    MDB_envinfo info;
    assert_int_equal(mdb_env_info(s->env, &info), 0);
    return info.me_mapsize;
}

/* Many megabytes into a map of 64 KiB, while the loop reads all the time. */
static void the_map_grows(void **state)
{
    struct fixture *f = *state;
    char key[32], *big = mem_alloc(100001);
    struct store_wait w[200];
    memset(big, 'x', 100000);
    assert_true(map_size(f->s) <= (size_t)1 << 20);
    for (unsigned i = 0; i < 200; i++) {
        struct store_batch *b = store_batch_new(f->s);
        snprintf(key, sizeof(key), "big%u", i);
        put(b, key, big);
        w[i] = (struct store_wait){.task = &f->task};
        store_submit(&b, &w[i]);
    }
    uint64_t end = clock_mono_ms() + WAIT_MS;
    while (w[199].pending && clock_mono_ms() < end) {
        worker_turn(f->w, 0);
        expect(f->s, "absent", NULL);
    }
    for (unsigned i = 0; i < 200; i++) {
        assert_int_equal(await(f, &w[i]), 0);
        snprintf(key, sizeof(key), "big%u", i);
        expect(f->s, key, big);
    }
    assert_true(map_size(f->s) > (size_t)20 << 20);
    size_t grown = map_size(f->s);
    store_close(&f->s);
    open_small(f);
    assert_true(map_size(f->s) > (size_t)19 << 20 && map_size(f->s) <= grown);
    expect(f->s, "big199", big);
    free(big);
}

static void a_second_daemon_is_refused(void **state)
{
    struct fixture *f = *state;
    struct store *other = (struct store *)1;
    struct err e = {0};
    assert_int_equal(store_open(&other, f->w, f->dir, false, &e), E_EXISTS);
    assert_null(other);
    char pid[32];
    snprintf(pid, sizeof(pid), "(process %ld)", (long)getpid());
    assert_non_null(strstr(e.text, pid));
    assert_non_null(strstr(e.text, f->dir));
    struct store_batch *b = store_batch_new(f->s); /* the first one goes on */
    put(b, "k", "v");
    assert_int_equal(submit_and_wait(f, &b), 0);
    expect(f->s, "k", "v");
}

/* Runs fn in a process of its own; its result, or -1 when a signal ended it. */
static int in_child(int (*fn)(struct fixture *f), struct fixture *f)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(fn(f));
    int st = 0;
    assert_int_equal(waitpid(pid, &st, 0), pid);
    return WIFEXITED(st) ? WEXITSTATUS(st) : -1;
}

static int read_elsewhere(struct fixture *f)
{
    struct store *s;
    struct err e = {0};
    struct buf v = {0};
    if (store_open(&s, NULL, f->dir, true, &e) != 0) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    int r = store_get(s, STORE_ITEMS, slice_str("k"), &v);
    bool ok = r == 0 && slice_is(buf_slice(&v), "v");
    buf_free(&v);
    store_close(&s);
    return ok ? 0 : 2;
}

static void others_may_read(void **state)
{
    struct fixture *f = *state;
    struct store_batch *b = store_batch_new(f->s);
    put(b, "k", "v");
    assert_int_equal(submit_and_wait(f, &b), 0);
    assert_int_equal(in_child(read_elsewhere, f), 0); /* the daemon runs */
    store_close(&f->s);
    assert_int_equal(in_child(read_elsewhere, f), 0); /* it does not */
    char path[128];
    snprintf(path, sizeof(path), "%s/lock.mdb", f->dir);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(in_child(read_elsewhere, f), 0); /* as from a backup */
    assert_int_equal(access(path, F_OK), -1);         /* and a reader leaves nothing there */
    open_small(f);
}

/* Not root, a folder that it may only read. */
static int read_as_nobody(struct fixture *f)
{
    if (setgid(65534) != 0 || setuid(65534) != 0)
        return 77;
    return read_elsewhere(f);
}

static void a_folder_may_be_read_only(void **state)
{
    struct fixture *f = *state;
    char path[128];
    struct store_batch *b = store_batch_new(f->s);
    put(b, "k", "v");
    assert_int_equal(submit_and_wait(f, &b), 0);
    if (geteuid() != 0)
        return; /* only root can be somebody else */
    snprintf(path, sizeof(path), "%s/data.mdb", f->dir);
    assert_int_equal(chmod(path, 0644) + chmod(f->dir, 0755), 0);
    snprintf(path, sizeof(path), "%s/wherryd.lock", f->dir);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(in_child(read_as_nobody, f), 1); /* not while the daemon runs */
    store_close(&f->s);
    assert_int_equal(in_child(read_as_nobody, f), 0);
    open_small(f);
}

/* A reader that was open before the daemon's map grew goes on. */
static int read_across_growth(struct fixture *f)
{
    struct store *s;
    struct err e = {0};
    struct buf v = {0};
    char go = 'r';
    if (store_open(&s, NULL, f->dir, true, &e) != 0)
        return 1;
    int up = (int)f->steps >> 8, down = (int)f->steps & 0xff;
    if (write(up, &go, 1) != 1 || read(down, &go, 1) != 1)
        return 2;
    int r = store_get(s, STORE_ITEMS, slice_str("big99"), &v);
    bool ok = r == 0 && v.len == 100000;
    buf_free(&v);
    store_close(&s);
    return ok ? 0 : 3;
}

static void readers_follow_the_growth(void **state)
{
    struct fixture *f = *state;
    int up[2], down[2];
    char c;
    assert_int_equal(pipe(up) + pipe(down), 0);
    f->steps = (unsigned)up[1] << 8 | (unsigned)down[0];
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(read_across_growth(f));
    assert_int_equal(read(up[0], &c, 1), 1);
    char key[32], *big = mem_alloc(100001);
    memset(big, 'x', 100000);
    struct store_batch *b = store_batch_new(f->s);
    for (unsigned i = 0; i < 100; i++) {
        snprintf(key, sizeof(key), "big%u", i);
        put(b, key, big);
    }
    assert_int_equal(submit_and_wait(f, &b), 0);
    free(big);
    assert_int_equal(write(down[1], "g", 1), 1);
    int st;
    assert_int_equal(waitpid(pid, &st, 0), pid);
    assert_true(WIFEXITED(st));
    assert_int_equal(WEXITSTATUS(st), 0);
    for (int i = 0; i < 2; i++) {
        close(up[i]);
        close(down[i]);
    }
}

static void accounts_and_identity(void **state)
{
    struct fixture *f = *state;
    uint32_t id = 9;
    char name[] = "user@example.org", inbox[] = "INBOX";
    struct buf text = {0};
    assert_int_equal(store_identity_get(f->s, &text), 0);
    assert_int_equal(text.len, 0);
    assert_int_equal(store_find_account(f->s, slice_str(name), &id), E_NOTFOUND);
    assert_int_equal(id, 0);
    assert_int_equal(store_next_account(f->s), 1);
    assert_int_equal(store_next_account(f->s), 2);
    struct store_batch *b = store_batch_new(f->s);
    struct store_account a = {.id = 2, .name = name, .state = ACCOUNT_KNOWN};
    struct store_unit u = {.account = 2,
                           .id = 1,
                           .kind = UNIT_MAILBOX,
                           .state = UNIT_COPYING,
                           .home = HOME_OLD,
                           .old_name = inbox,
                           .view_name = inbox,
                           .new_name = inbox};
    struct intent_msg m = {.old_uid = 5};
    struct store_intent i = {
        .account = 2, .unit = 1, .batch = 1, .state = INTENT_SENT, .n = 1, .msgs = &m};
    struct store_left l = {.account = 2, .unit = 1, .old_uid = 5};
    store_identity_put(b, slice_str("imap old.example:993|imap new.example:143"));
    store_put_account(b, &a);
    store_put_unit(b, &u);
    store_put_intent(b, &i);
    store_put_left(b, &l);
    assert_int_equal(submit_and_wait(f, &b), 0);
    store_close(&f->s);
    open_small(f);
    assert_int_equal(store_identity_get(f->s, &text), 0);
    assert_string_equal(buf_cstr(&text), "imap old.example:993|imap new.example:143");
    assert_int_equal(store_find_account(f->s, slice_str(name), &id), 0);
    assert_int_equal(id, 2);
    assert_int_equal(store_next_account(f->s), 3);
    struct store_account got;
    struct store_unit unit;
    assert_int_equal(store_get_account(f->s, 2, &got), 0);
    assert_string_equal(got.name, name);
    store_account_clear(&got);
    assert_int_equal(store_get_account(f->s, 3, &got), E_NOTFOUND);
    assert_int_equal(store_get_unit(f->s, 2, 1, &unit), 0);
    assert_string_equal(unit.view_name, "INBOX");
    store_unit_clear(&unit);
    buf_clear(&text);
    struct buf key = {0};
    store_key_part(&key, 2, 1, 5);
    assert_int_equal(store_get(f->s, STORE_LEFT, buf_slice(&key), &text), 0);
    buf_clear(&key);
    store_key_part(&key, 2, 1, 1);
    assert_int_equal(store_get(f->s, STORE_INTENTS, buf_slice(&key), &text), 0);
    buf_free(&key);
    buf_free(&text);
}

/* ---- damage ---- */

static void expect_refused(struct fixture *f, int code, const char *word)
{
    struct err e = {0};
    struct store *s;
    assert_int_equal(store_open(&s, f->w, f->dir, false, &e), code);
    assert_null(s);
    if (strstr(e.text, word) == NULL)
        fail_msg("\"%s\" is not in: %s", word, e.text);
    assert_int_equal(e.scope, SCOPE_HOST);
}

static void data_path(const struct fixture *f, char path[128])
{
    snprintf(path, 128, "%s/data.mdb", f->dir);
}

static void another_schema_is_refused(void **state)
{
    struct fixture *f = *state;
    struct store_batch *b = store_batch_new(f->s);
    store_put(b, STORE_META, SLICE_LIT("schema"), SLICE_LIT("\1\0\0\0\7"));
    assert_int_equal(submit_and_wait(f, &b), 0);
    store_close(&f->s);
    expect_refused(f, E_CORRUPT, "schema 7");
    expect_refused(f, E_CORRUPT, "schema 7");
}

static void a_foreign_environment_is_refused(void **state)
{
    struct fixture *f = *state;
    store_close(&f->s);
    remove_files(f->dir);
    MDB_env *env;
    MDB_txn *t;
    MDB_dbi dbi;
    MDB_val k = {1, (void *)(uintptr_t) "k"};
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_open(env, f->dir, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &t), 0);
    assert_int_equal(mdb_dbi_open(t, NULL, 0, &dbi), 0);
    assert_int_equal(mdb_put(t, dbi, &k, &k, 0), 0);
    assert_int_equal(mdb_txn_commit(t), 0);
    mdb_env_close(env);
    expect_refused(f, E_CORRUPT, "another program");
}

static void other_files_are_refused(void **state)
{
    struct fixture *f = *state;
    char path[128], junk[10000];
    data_path(f, path);
    store_close(&f->s);
    memset(junk, 'j', sizeof(junk));
    int fd = open(path, O_WRONLY | O_TRUNC);
    assert_int_equal(write(fd, junk, sizeof(junk)), sizeof(junk));
    close(fd);
    expect_refused(f, E_CORRUPT, "backup");
    assert_int_equal(truncate(path, 100), 0);
    expect_refused(f, E_CORRUPT, "backup");
    struct err e = {0};
    struct store *s;
    assert_int_equal(store_open(&s, NULL, "/nonexistent/wherry", true, &e), E_NOTFOUND);
    assert_int_equal(store_open(&s, f->w, "/nonexistent/wherry", false, &e), E_IO);
    assert_non_null(strstr(e.text, "/nonexistent/wherry"));
}

static int open_to_read(struct fixture *f)
{
    struct store *s;
    struct err e = {0};
    int r = store_open(&s, NULL, f->dir, true, &e);
    store_close(&s);
    return -r;
}

/* A file cut short anywhere is refused, again and again, and never ends in SIGBUS. */
static void short_files_are_refused(void **state)
{
    struct fixture *f = *state;
    char path[128], key[32], value[400];
    struct stat st;
    data_path(f, path);
    memset(value, 'v', sizeof(value));
    value[sizeof(value) - 1] = '\0';
    struct store_batch *b = store_batch_new(f->s);
    for (unsigned i = 0; i < 200; i++) {
        snprintf(key, sizeof(key), "key%u", i);
        put(b, key, value);
    }
    assert_int_equal(submit_and_wait(f, &b), 0);
    store_close(&f->s);
    assert_int_equal(stat(path, &st), 0);
    char *whole = mem_alloc((size_t)st.st_size);
    int fd = open(path, O_RDWR);
    assert_int_equal(read(fd, whole, (size_t)st.st_size), st.st_size);
    unsigned refused = 0;
    for (off_t n = 8192; n < st.st_size; n += 4096) {
        assert_int_equal(ftruncate(fd, n), 0);
        assert_int_equal(in_child(open_to_read, f), -E_CORRUPT);
        struct err e = {0};
        struct store *s;
        int r = store_open(&s, f->w, f->dir, false, &e);
        if (r == 0) { /* only free pages were lost: all must be there */
            for (unsigned i = 0; i < 200; i++) {
                snprintf(key, sizeof(key), "key%u", i);
                expect(s, key, value);
            }
            store_close(&s);
        } else {
            assert_int_equal(r, E_CORRUPT);
            expect_refused(f, E_CORRUPT, "backup");
            refused++;
        }
        assert_int_equal(pwrite(fd, whole, (size_t)st.st_size, 0), st.st_size);
    }
    assert_true(refused > 10);
    close(fd);
    free(whole);
    open_small(f);
    expect(f->s, "key7", value);
}

/* ---- a disk that is full ---- */

/* Fills until E_FULL, then: what was committed is there, the last batch is not, and deleting goes
 * on. */
static int fill_up(struct fixture *f)
{
    char key[32], *big = mem_alloc(50001);
    memset(big, 'x', 50000);
    unsigned i;
    int r = 0;
    for (i = 0; i < 2000 && r == 0; i++) {
        struct store_batch *b = store_batch_new(f->s);
        struct store_wait wait = {.task = &f->task};
        for (unsigned part = 0; part < 2; part++) {
            snprintf(key, sizeof(key), "%u.%u", i, part);
            put(b, key, big);
        }
        store_submit(&b, &wait);
        while (wait.pending)
            worker_turn(f->w, 10);
        r = wait.result;
    }
    if (r != E_FULL || i < 3)
        return 10;
    for (unsigned k = 0; k < i; k++) {
        for (unsigned part = 0; part < 2; part++) {
            struct buf v = {0};
            snprintf(key, sizeof(key), "%u.%u", k, part);
            int got = store_get(f->s, STORE_ITEMS, slice_str(key), &v);
            bool ok = k == i - 1 ? got == E_NOTFOUND : got == 0 && slice_is(buf_slice(&v), big);
            buf_free(&v);
            if (!ok)
                return 11;
        }
    }
    free(big);
    return 0;
}

static int fill_up_limited(struct fixture *f)
{
    signal(SIGXFSZ, SIG_IGN);
    make_worker(f);
    struct rlimit lim = {3 << 20, 3 << 20};
    if (setrlimit(RLIMIT_FSIZE, &lim) != 0)
        return 20;
    struct err e = {0};
    if (store_open_sized(&f->s, f->w, f->dir, false, SMALL_MAP, &e) != 0)
        return 21;
    int r = fill_up(f);
    store_close(&f->s);
    worker_free(&f->w);
    return r;
}

static void a_file_that_may_not_grow(void **state)
{
    struct fixture *f = *state;
    store_close(&f->s);
    assert_int_equal(in_child(fill_up_limited, f), 0);
    open_small(f);
    struct store_batch *b = store_batch_new(f->s);
    put(b, "k", "v");
    assert_int_equal(submit_and_wait(f, &b), 0);
    struct buf v = {0};
    assert_int_equal(store_get(f->s, STORE_ITEMS, slice_str("0.0"), &v), 0);
    assert_int_equal(v.len, 50000);
    buf_free(&v);
}

static void a_full_disk(void **state)
{
    struct fixture *f = *state;
    store_close(&f->s);
    if (mount("none", f->dir, "tmpfs", 0, "size=2m") != 0) {
        print_message("cannot mount a tmpfs here (%s): the limited file stands for it\n",
                      strerror(errno));
        open_small(f);
        return;
    }
    open_small(f);
    int r = fill_up(f);
    /* Something else makes room: the store goes on without a restart. */
    int more = mount("none", f->dir, "tmpfs", MS_REMOUNT, "size=8m");
    struct store_batch *b = store_batch_new(f->s);
    put(b, "k", "v");
    int after = submit_and_wait(f, &b);
    store_close(&f->s);
    assert_int_equal(umount(f->dir), 0);
    open_small(f);
    assert_int_equal(r, 0);
    assert_int_equal(more, 0);
    assert_int_equal(after, 0);
}

/* ---- kill -9 ---- */

/* Writes batches of three keys until somebody ends it; tells each answer through the pipe. */
static int write_until_killed(struct fixture *f, int up)
{
    make_worker(f);
    struct err e = {0};
    if (store_open_sized(&f->s, f->w, f->dir, false, SMALL_MAP, &e) != 0)
        return 1;
    struct store_wait w[64];
    uint32_t sent = 0, done = 0;
    char key[32], value[3000];
    memset(value, 'v', sizeof(value));
    for (;;) {
        while (sent - done < 64) {
            struct store_batch *b = store_batch_new(f->s);
            for (unsigned part = 0; part < 3; part++) {
                snprintf(key, sizeof(key), "%08u.%u", sent, part);
                store_put(b, STORE_ITEMS, slice_str(key), slice_make(value, 1 + sent * 37 % 2999));
            }
            w[sent % 64] = (struct store_wait){.task = &f->task};
            store_submit(&b, &w[sent % 64]);
            sent++;
        }
        worker_turn(f->w, 10);
        while (done < sent && !w[done % 64].pending) {
            if (w[done % 64].result != 0)
                return 2;
            done++;
            if (write(up, &done, sizeof(done)) != sizeof(done))
                return 3;
        }
    }
}

struct census {
    unsigned keys;
    uint32_t next;
};

static bool on_census(struct slice key, struct slice value, void *arg)
{
    struct census *c = arg;
    char want[32];
    snprintf(want, sizeof(want), "%08u.%u", c->next, c->keys % 3);
    assert_true(slice_is(key, want));
    assert_int_equal(value.n, 1 + c->next * 37 % 2999);
    if (++c->keys % 3 == 0)
        c->next++;
    return true;
}

static void a_kill_leaves_whole_batches(void **state)
{
    struct fixture *f = *state;
    for (unsigned round = 0; round < 12; round++) {
        int up[2];
        store_close(&f->s);
        remove_files(f->dir);
        assert_int_equal(pipe(up), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            close(up[0]);
            _exit(write_until_killed(f, up[1]));
        }
        close(up[1]);
        uint32_t done = 0, last = 0;
        while (last < 200 + round * 13 && read(up[0], &done, sizeof(done)) == sizeof(done))
            last = done;
        usleep(round * 700);
        assert_int_equal(kill(pid, SIGKILL), 0);
        int st;
        assert_int_equal(waitpid(pid, &st, 0), pid);
        assert_true(WIFSIGNALED(st));
        while (read(up[0], &done, sizeof(done)) == sizeof(done))
            last = done;
        close(up[0]);
        open_small(f);
        struct census c = {0};
        assert_int_equal(store_walk(f->s, STORE_ITEMS, slice_str(""), on_census, &c), 0);
        assert_int_equal(c.keys % 3, 0); /* each batch whole */
        assert_true(last >= 200);
        assert_true(c.next >= last); /* and all that was answered is there */
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(writes_and_reads),
        T(walks_and_prefixes),
        T(many_keys_under_a_prefix_go),
        T(bad_batches_fail_alone),
        T(order_is_kept),
        T(a_waiter_may_go_away),
        T(closing_waits),
        T(the_map_grows),
        T(a_second_daemon_is_refused),
        T(others_may_read),
        T(a_folder_may_be_read_only),
        T(readers_follow_the_growth),
        T(accounts_and_identity),
        T(another_schema_is_refused),
        T(a_foreign_environment_is_refused),
        T(other_files_are_refused),
        T(short_files_are_refused),
        T(a_file_that_may_not_grow),
        T(a_full_disk),
        T(a_kill_leaves_whole_batches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
