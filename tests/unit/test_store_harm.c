/* The store in harm's way: damaged and foreign files, a full disk, kill -9. */
#include "config.h"
#include "store_fixture.h"
#include "wherry/base/clock.h"
#include "wherry/base/mem.h"
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

static void another_schema_is_refused(void **state)
{
    struct fixture *f = *state;
    struct store_batch *b = store_batch_new(f->s);
    store_put(b, STORE_META, SLICE_LIT("schema"), SLICE_LIT("\1\0\0\0\7"));
    assert_int_equal(fixture_submit(f, &b), 0);
    store_close(&f->s);
    expect_refused(f, E_CORRUPT, "schema 7");
    expect_refused(f, E_CORRUPT, "schema 7");
}

static void a_foreign_environment_is_refused(void **state)
{
    struct fixture *f = *state;
    store_close(&f->s);
    fixture_remove_files(f->dir);
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
    fixture_path(f, path);
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
    fixture_path(f, path);
    memset(value, 'v', sizeof(value));
    value[sizeof(value) - 1] = '\0';
    struct store_batch *b = store_batch_new(f->s);
    for (unsigned i = 0; i < 200; i++) {
        snprintf(key, sizeof(key), "key%u", i);
        fixture_put(b, key, value);
    }
    assert_int_equal(fixture_submit(f, &b), 0);
    store_close(&f->s);
    assert_int_equal(stat(path, &st), 0);
    char *whole = mem_alloc((size_t)st.st_size);
    int fd = open(path, O_RDWR);
    assert_int_equal(read(fd, whole, (size_t)st.st_size), st.st_size);
    unsigned refused = 0;
    for (off_t n = 8192; n < st.st_size; n += 4096) {
        assert_int_equal(ftruncate(fd, n), 0);
        assert_int_equal(fixture_fork(open_to_read, f), -E_CORRUPT);
        struct err e = {0};
        struct store *s;
        int r = store_open(&s, f->w, f->dir, false, &e);
        if (r == 0) { /* only free pages were lost: all must be there */
            for (unsigned i = 0; i < 200; i++) {
                snprintf(key, sizeof(key), "key%u", i);
                fixture_expect(s, key, value);
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
    fixture_open(f);
    fixture_expect(f->s, "key7", value);
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
            fixture_put(b, key, big);
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
    fixture_worker(f);
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
    assert_int_equal(fixture_fork(fill_up_limited, f), 0);
    fixture_open(f);
    struct store_batch *b = store_batch_new(f->s);
    fixture_put(b, "k", "v");
    assert_int_equal(fixture_submit(f, &b), 0);
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
        fixture_open(f);
        return;
    }
    fixture_open(f);
    int r = fill_up(f);
    /* Something else makes room: the store goes on without a restart. */
    int more = mount("none", f->dir, "tmpfs", MS_REMOUNT, "size=8m");
    struct store_batch *b = store_batch_new(f->s);
    fixture_put(b, "k", "v");
    int after = fixture_submit(f, &b);
    store_close(&f->s);
    assert_int_equal(umount(f->dir), 0);
    fixture_open(f);
    assert_int_equal(r, 0);
    assert_int_equal(more, 0);
    assert_int_equal(after, 0);
}

/* ---- kill -9 ---- */

/* Writes batches of three keys until somebody ends it; tells each answer through the pipe. */
static int write_until_killed(struct fixture *f, int up)
{
    fixture_worker(f);
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
        fixture_remove_files(f->dir);
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
        fixture_open(f);
        struct census c = {0};
        assert_int_equal(store_walk(f->s, STORE_ITEMS, slice_str(""), on_census, &c), 0);
        assert_int_equal(c.keys % 3, 0); /* each batch whole */
        assert_true(last >= 200);
        assert_true(c.next >= last); /* and all that was answered is there */
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(another_schema_is_refused),   T(a_foreign_environment_is_refused),
        T(other_files_are_refused),     T(short_files_are_refused),
        T(a_file_that_may_not_grow),    T(a_full_disk),
        T(a_kill_leaves_whole_batches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
