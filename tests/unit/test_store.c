/* The store: batches, their order, walks, growth, a second daemon, readers of other processes. */
#include "config.h"
#include "store_fixture.h"
#include "wherry/base/clock.h"
#include "wherry/base/mem.h"
#include "wherry/store/records.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void writes_and_reads(void **state)
{
    struct fixture *f = *state;
    struct store_batch *b = store_batch_new(f->s);
    fixture_put(b, "a", "1");
    fixture_put(b, "b", "2");
    fixture_put(b, "a", "3");
    fixture_put(b, "gone", "x");
    store_del(b, STORE_ITEMS, slice_str("gone"));
    store_del(b, STORE_ITEMS, slice_str("never"));
    fixture_put(b, "empty", "");
    fixture_expect(f->s, "a", NULL);
    assert_int_equal(fixture_submit(f, &b), 0);
    worker_turn(f->w, 0);
    assert_int_equal(f->steps, 1);
    fixture_expect(f->s, "a", "3");
    fixture_expect(f->s, "b", "2");
    fixture_expect(f->s, "gone", NULL);
    fixture_expect(f->s, "empty", "");
    fixture_expect(f->s, "", NULL);
    b = store_batch_new(f->s); /* one that is not submitted changes nothing */
    fixture_put(b, "a", "9");
    store_batch_free(&b);
    assert_null(b);
    fixture_expect(f->s, "a", "3");
    assert_string_equal(store_path(f->s), f->dir);
    store_close(&f->s);
    fixture_open(f);
    fixture_expect(f->s, "a", "3");
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
    fixture_put(b, "a", "1");
    fixture_put(b, "ab", "2");
    fixture_put(b, "ab\xff", "3");
    fixture_put(b, "ac", "4");
    fixture_put(b, "b", "5");
    store_put(b, STORE_UNITS, slice_str("ab"), slice_str("elsewhere"));
    assert_int_equal(fixture_submit(f, &b), 0);
    expect_walk(f->s, "", 0, "a=1 ab=2 ab\xff=3 ac=4 b=5 ");
    expect_walk(f->s, "ab", 0, "ab=2 ab\xff=3 ");
    expect_walk(f->s, "ab", 1, "ab=2 ");
    expect_walk(f->s, "abc", 0, "");
    expect_walk(f->s, "zz", 0, "");
    b = store_batch_new(f->s);
    store_del_prefix(b, STORE_ITEMS, slice_str("ab"));
    store_del_prefix(b, STORE_ITEMS, slice_str("nothing"));
    fixture_put(b, "ab2", "6");
    assert_int_equal(fixture_submit(f, &b), 0);
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
        fixture_put(b, key, "v");
    }
    fixture_put(b, "r", "1");
    assert_int_equal(fixture_submit(f, &b), 0);
    b = store_batch_new(f->s);
    store_del_prefix(b, STORE_ITEMS, slice_str("q"));
    store_del_prefix(b, STORE_ITEMS, slice_str("p0001"));
    assert_int_equal(fixture_submit(f, &b), 0);
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
    fixture_put(good, "good", "1");
    fixture_put(bad, "before", "1");
    fixture_put(bad, long_key, "1");
    fixture_put(bad, "after", "1");
    fixture_put(bad2, "before2", "1");
    store_put(bad2, STORE_ITEMS, slice_str(""), slice_str("x"));
    fixture_put(last, "last", "1");
    store_submit(&good, &w[0]);
    store_submit(&bad, &w[1]);
    store_submit(&bad2, &w[2]);
    store_submit(&last, &w[3]);
    assert_int_equal(fixture_await(f, &w[3]), 0);
    assert_int_equal(fixture_await(f, &w[0]), 0);
    assert_int_equal(fixture_await(f, &w[1]), E_INVAL);
    assert_int_equal(fixture_await(f, &w[2]), E_INVAL);
    fixture_expect(f->s, "good", "1");
    fixture_expect(f->s, "last", "1");
    fixture_expect(f->s, "before", NULL);
    fixture_expect(f->s, "after", NULL);
    fixture_expect(f->s, "before2", NULL);
    bad = store_batch_new(f->s); /* without a waiter it is counted */
    fixture_put(bad, long_key, "1");
    store_submit(&bad, NULL);
    last = store_batch_new(f->s);
    assert_int_equal(fixture_submit(f, &last), 0);
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
        fixture_put(b, "same", text);
        fixture_put(b, text, "own");
        w[i] = (struct store_wait){.task = &f->task};
        store_submit(&b, &w[i]);
    }
    for (unsigned i = 0; i < 200; i++) {
        assert_int_equal(fixture_await(f, &w[i]), 0);
        if (i > 0) {
            assert_false(w[i - 1].pending);
            assert_true(w[i].id > w[i - 1].id);
        }
        snprintf(text, sizeof(text), "%u", i);
        fixture_expect(f->s, text, "own");
    }
    fixture_expect(f->s, "same", "199");
}

static void a_waiter_may_go_away(void **state)
{
    struct fixture *f = *state;
    struct store_wait *wait = mem_alloc(sizeof(*wait));
    struct store_batch *b = store_batch_new(f->s);
    wait->task = &f->task;
    fixture_put(b, "k", "v");
    store_submit(&b, wait);
    store_wait_forget(f->s, wait);
    assert_false(wait->pending);
    store_wait_forget(f->s, wait); /* twice is no harm */
    free(wait);
    b = store_batch_new(f->s);
    assert_int_equal(fixture_submit(f, &b), 0);
    fixture_expect(f->s, "k", "v");
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
        fixture_put(b, key, "v");
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
    fixture_open(f);
    fixture_expect(f->s, "0", "v");
    fixture_expect(f->s, "49", "v");
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
        fixture_put(b, key, big);
        w[i] = (struct store_wait){.task = &f->task};
        store_submit(&b, &w[i]);
    }
    uint64_t end = clock_mono_ms() + WAIT_MS;
    while (w[199].pending && clock_mono_ms() < end) {
        worker_turn(f->w, 0);
        fixture_expect(f->s, "absent", NULL);
    }
    for (unsigned i = 0; i < 200; i++) {
        assert_int_equal(fixture_await(f, &w[i]), 0);
        snprintf(key, sizeof(key), "big%u", i);
        fixture_expect(f->s, key, big);
    }
    assert_true(map_size(f->s) > (size_t)20 << 20);
    size_t grown = map_size(f->s);
    store_close(&f->s);
    fixture_open(f);
    assert_true(map_size(f->s) > (size_t)19 << 20 && map_size(f->s) <= grown);
    fixture_expect(f->s, "big199", big);
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
    fixture_put(b, "k", "v");
    assert_int_equal(fixture_submit(f, &b), 0);
    fixture_expect(f->s, "k", "v");
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
    fixture_put(b, "k", "v");
    assert_int_equal(fixture_submit(f, &b), 0);
    assert_int_equal(fixture_fork(read_elsewhere, f), 0); /* the daemon runs */
    store_close(&f->s);
    assert_int_equal(fixture_fork(read_elsewhere, f), 0); /* it does not */
    char path[128];
    snprintf(path, sizeof(path), "%s/lock.mdb", f->dir);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(fixture_fork(read_elsewhere, f), 0); /* as from a backup */
    assert_int_equal(access(path, F_OK), -1);             /* and a reader leaves nothing there */
    fixture_open(f);
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
    fixture_put(b, "k", "v");
    assert_int_equal(fixture_submit(f, &b), 0);
    if (geteuid() != 0)
        return; /* only root can be somebody else */
    snprintf(path, sizeof(path), "%s/data.mdb", f->dir);
    assert_int_equal(chmod(path, 0644) + chmod(f->dir, 0755), 0);
    snprintf(path, sizeof(path), "%s/wherryd.lock", f->dir);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(fixture_fork(read_as_nobody, f), 1); /* not while the daemon runs */
    store_close(&f->s);
    assert_int_equal(fixture_fork(read_as_nobody, f), 0);
    fixture_open(f);
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
        fixture_put(b, key, big);
    }
    assert_int_equal(fixture_submit(f, &b), 0);
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

static bool stay_here(struct slice key, struct slice value, void *arg)
{
    (void)key;
    (void)value;
    if (write(*(int *)arg, "r", 1) == 1)
        pause();
    return false;
}

/* A reader that was killed within its transaction must not keep old pages in use for ever. */
static void killed_readers_cost_no_room(void **state)
{
    struct fixture *f = *state;
    char c, *big = mem_alloc(200001), path[128];
    struct stat st;
    int up[2];
    memset(big, 'x', 200000);
    struct store_batch *b = store_batch_new(f->s);
    fixture_put(b, "k", big);
    assert_int_equal(fixture_submit(f, &b), 0);
    assert_int_equal(pipe(up), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct store *s;
        if (store_open(&s, NULL, f->dir, true, NULL) == 0 &&
            store_walk(s, STORE_ITEMS, slice_str(NULL), stay_here, &up[1]) == 0)
            _exit(1);
        _exit(2);
    }
    assert_int_equal(read(up[0], &c, 1), 1);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    for (unsigned i = 0; i < 200; i++) {
        b = store_batch_new(f->s);
        fixture_put(b, "k", big);
        assert_int_equal(fixture_submit(f, &b), 0);
    }
    fixture_path(f, path);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_size < (off_t)20 << 20); /* 40 MB were written */
    close(up[0]);
    close(up[1]);
    free(big);
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
    assert_int_equal(fixture_submit(f, &b), 0);
    store_close(&f->s);
    fixture_open(f);
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

#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

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
        T(killed_readers_cost_no_room),
        T(accounts_and_identity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
