/* The LMDB environment: folder, lock of the daemon, schema, damage, growth. Why LMDB: readers never
 * wait, a crash leaves the last commit, another process may read. Rejected: SQLite (a second query
 * language and a journal to look after), a file per account (no transaction over two of them). */
#include "config.h"
#include "store/env.h"
#include "wherry/base/crash.h"
#include "wherry/base/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const table_names[STORE_TABLES] = {
    "meta", "accounts", "names", "units", "uidmaps", "intents", "items", "left_behind"};

int store_error(int rc)
{
    switch (rc) {
    case 0:
        return 0;
    case MDB_NOTFOUND:
        return E_NOTFOUND;
    case MDB_MAP_FULL:
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return E_FULL;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_INCOMPATIBLE:
        return E_CORRUPT;
    case MDB_BAD_VALSIZE:
        return E_INVAL;
    case MDB_TXN_FULL:
        return E_LIMIT;
    default:
        return E_IO;
    }
}

static int env_fail(struct store *s, struct err *e, int rc)
{
    int code = store_error(rc);
    if (code == E_CORRUPT)
        return err_set(
            e, code, SCOPE_HOST,
            "%.100s/data.mdb is damaged or no store of wherry: restore it from a backup (%s)",
            s->path, mdb_strerror(rc));
    return err_set(e, code == E_NOTFOUND ? E_IO : code, SCOPE_HOST,
                   "cannot open the store %.120s: %s", s->path, mdb_strerror(rc));
}

/* A path below the folder; the caller frees. */
static char *env_path(const struct store *s, const char *name)
{
    return mem_printf("%s/%s", s->path, name);
}

/* True while a daemon holds the folder. */
static bool daemon_runs(const struct store *s)
{
    char *path = env_path(s, "wherryd.lock");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    free(path);
    if (fd < 0)
        return false;
    bool held = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    close(fd);
    return held;
}

/* flock and not fcntl: it also keeps two stores of one process apart, and closing another
 * descriptor of the file does not lose it. The number in the file is for people. */
static int env_lock(struct store *s, struct err *e)
{
    char *path = env_path(s, "wherryd.lock");
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->lock_fd < 0) {
        int saved = errno;
        err_set(e, store_error(saved), SCOPE_HOST, "cannot open %.120s: %s", path, strerror(saved));
        free(path);
        return store_error(saved);
    }
    free(path);
    char pid[24] = {0};
    int r = flock(s->lock_fd, LOCK_EX | LOCK_NB);
    for (int i = 0; r != 0 && errno == EWOULDBLOCK && i < 5; i++) {
        usleep(10000); /* a reader holds it for a moment, see daemon_runs() */
        r = flock(s->lock_fd, LOCK_EX | LOCK_NB);
    }
    if (r == 0) {
        int n = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
        /* A full disk may leave the file empty, which costs nothing but the number. */
        if (ftruncate(s->lock_fd, 0) == 0 && pwrite(s->lock_fd, pid, (size_t)n, 0) < 0)
            return 0;
        return 0;
    }
    if (errno != EWOULDBLOCK)
        return err_set(e, E_IO, SCOPE_HOST, "cannot lock %.120s: %s", s->path, strerror(errno));
    if (pread(s->lock_fd, pid, sizeof(pid) - 1, 0) < 0)
        pid[0] = '\0';
    pid[strspn(pid, "0123456789")] = '\0';
    return err_set(e, E_EXISTS, SCOPE_HOST,
                   "another wherryd (process %s) already uses the store %.120s",
                   pid[0] == '\0' ? "unknown" : pid, s->path);
}

/* The folder itself, so that the names of fresh files survive a power cut. */
static void sync_folder(const struct store *s)
{
    int fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

static int env_prepare(struct store *s, struct err *e)
{
    if (s->read_only) {
        char *path = env_path(s, "data.mdb");
        int r = access(path, F_OK);
        free(path);
        if (r != 0)
            return err_set(e, E_NOTFOUND, SCOPE_HOST, "no store in %.120s: %s", s->path,
                           strerror(errno));
        return 0;
    }
    if (mkdir(s->path, 0700) != 0 && errno != EEXIST)
        return err_set(e, store_error(errno), SCOPE_HOST, "cannot make the folder %.120s: %s",
                       s->path, strerror(errno));
    return env_lock(s, e);
}

/*
 * A reader makes no files (root's would lock out the daemon's user). It goes without the table of
 * readers where that is missing or may not be written, which is safe only while nobody writes.
 */
static int env_flags(struct store *s, unsigned *flags, struct err *e)
{
    *flags = MDB_NOTLS;
    if (!s->read_only)
        return 0;
    *flags |= MDB_RDONLY;
    char *path = env_path(s, "lock.mdb");
    int r = access(path, R_OK | W_OK);
    int why = errno;
    free(path);
    if (r == 0)
        return 0;
    if (daemon_runs(s))
        return err_set(e, E_IO, SCOPE_HOST,
                       "cannot read %.120s while wherryd runs: %s (be its user or root)", s->path,
                       strerror(why));
    *flags |= MDB_NOLOCK;
    return 0;
}

int env_fill(struct store *s, off_t *was)
{
    MDB_envinfo info;
    MDB_stat stat;
    struct stat st;
    mdb_filehandle_t fd;
    if (was != NULL)
        *was = 0;
    int rc = mdb_env_get_fd(s->env, &fd);
    if (rc == 0)
        rc = mdb_env_stat(s->env, &stat);
    if (rc == 0)
        rc = mdb_env_info(s->env, &info);
    if (rc != 0)
        return rc;
    off_t want = (off_t)(info.me_last_pgno + 1) * (off_t)stat.ms_psize;
    if (fstat(fd, &st) != 0)
        return errno;
    if (st.st_size >= want)
        return 0;
    if (was != NULL)
        *was = st.st_size;
    return s->read_only || ftruncate(fd, want) == 0 ? 0 : errno;
}

/* Every value begins with a version, which is never 0. */
static bool value_ok(struct slice key, struct slice value, void *arg)
{
    (void)key;
    bool *ok = arg;
    *ok = value.n > 0 && value.p[0] != 0;
    return *ok;
}

/* Reads all there is: pages that were missing are zeroes now. */
static int check_filled(struct store *s)
{
    struct txn x;
    bool ok = true;
    txn_begin(&x, s, false);
    for (int t = 0; t < STORE_TABLES && ok; t++)
        txn_walk(&x, (enum store_table)t, slice_str(NULL), value_ok, &ok);
    int rc = txn_end(&x);
    return rc != 0 ? rc : ok ? 0 : MDB_CORRUPTED;
}

/* The file gets its old length back, so that the next start finds the damage too. */
static void unfill(struct store *s, off_t was)
{
    mdb_filehandle_t fd;
    if (s->env != NULL && !s->read_only && mdb_env_get_fd(s->env, &fd) == 0 && ftruncate(fd, was) != 0)
        return; /* the start fails anyhow */
}

static int open_tables(struct store *s, MDB_txn *t, unsigned flags)
{
    int rc = 0;
    for (int i = 0; i < STORE_TABLES && rc == 0; i++)
        rc = mdb_dbi_open(t, table_names[i], flags, &s->dbi[i]);
    return rc;
}

/* The schema of an environment that has tables; *schema 0 when it does not say. */
static int read_schema(struct store *s, MDB_txn *t, uint32_t *schema)
{
    MDB_val k = {6, (void *)(uintptr_t) "schema"}, v;
    MDB_dbi dbi;
    *schema = 0;
    int rc = mdb_dbi_open(t, table_names[STORE_META], 0, &dbi);
    if (rc == 0)
        rc = mdb_get(t, dbi, &k, &v);
    if (rc == MDB_NOTFOUND || rc == MDB_INCOMPATIBLE)
        return 0;
    if (rc != 0)
        return rc;
    const uint8_t *p = v.mv_data;
    if (v.mv_size == 5 && p[0] == 1)
        *schema = (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4];
    s->dbi[STORE_META] = dbi;
    return 0;
}

static int make_tables(struct store *s, MDB_txn *t)
{
    int rc = open_tables(s, t, MDB_CREATE);
    uint8_t value[] = {1, 0, 0, 0, STORE_SCHEMA};
    MDB_val k = {6, (void *)(uintptr_t) "schema"}, v = {sizeof(value), value};
    return rc != 0 ? rc : mdb_put(t, s->dbi[STORE_META], &k, &v, 0);
}

/* Opens the tables, or makes them in a fresh environment, in one transaction. */
static int env_tables(struct store *s, struct err *e)
{
    MDB_txn *t;
    MDB_dbi main_dbi;
    MDB_stat stat = {0};
    uint32_t schema = STORE_SCHEMA;
    int rc = mdb_txn_begin(s->env, NULL, s->read_only ? MDB_RDONLY : 0, &t);
    if (rc != 0)
        return env_fail(s, e, rc);
    rc = mdb_dbi_open(t, NULL, 0, &main_dbi);
    if (rc == 0)
        rc = mdb_stat(t, main_dbi, &stat);
    bool fresh = rc == 0 && stat.ms_entries == 0;
    if (rc == 0 && !fresh)
        rc = read_schema(s, t, &schema);
    if (rc == 0 && schema == STORE_SCHEMA)
        rc = !fresh ? open_tables(s, t, 0) : s->read_only ? MDB_NOTFOUND : make_tables(s, t);
    if (rc == MDB_NOTFOUND && !fresh)
        rc = MDB_CORRUPTED; /* our schema, and a table is missing */
    crash_point();
    if (rc != 0 || schema != STORE_SCHEMA)
        mdb_txn_abort(t);
    else
        rc = mdb_txn_commit(t);
    crash_point();
    if (fresh && rc == MDB_NOTFOUND)
        return err_set(e, E_NOTFOUND, SCOPE_HOST, "the store in %.120s is empty", s->path);
    if (rc != 0)
        return env_fail(s, e, rc);
    if (schema == 0)
        return err_set(e, E_CORRUPT, SCOPE_HOST,
                       "%.100s/data.mdb belongs to another program: choose another folder",
                       s->path);
    if (schema != STORE_SCHEMA)
        return err_set(
            e, E_CORRUPT, SCOPE_HOST,
            "the store %.100s has schema %u, this wherry knows %u: use the version that wrote it",
            s->path, schema, STORE_SCHEMA);
    if (fresh)
        sync_folder(s);
    return 0;
}

static int env_map(struct store *s, size_t map_start, struct err *e)
{
    MDB_envinfo info;
    int rc = mdb_env_info(s->env, &info);
    if (rc == 0 && !s->read_only && info.me_mapsize < map_start)
        rc = mdb_env_set_mapsize(s->env, map_start);
    return rc == 0 ? 0 : env_fail(s, e, rc);
}

/* The environment of LMDB, and the length of its file as env_fill(). */
static int env_create(struct store *s, off_t *was, struct err *e)
{
    unsigned flags;
    int r = env_flags(s, &flags, e);
    if (r != 0)
        return r;
    int rc = mdb_env_create(&s->env);
    if (rc == 0)
        rc = mdb_env_set_maxdbs(s->env, STORE_TABLES);
    if (rc == 0)
        rc = mdb_env_open(s->env, s->path, flags, 0600);
    if (rc == 0)
        rc = env_fill(s, was);
    for (int i = 0; rc == 0 && *was != 0 && s->read_only && i < 20; i++) {
        usleep(10000); /* the daemon may be between its commit and its env_fill() */
        rc = env_fill(s, was);
    }
    if (rc != 0)
        return env_fail(s, e, rc);
    if (*was != 0 && s->read_only)
        return err_set(
            e, E_CORRUPT, SCOPE_HOST,
            "%.80s/data.mdb is shorter than its header says: start wherryd, which checks it, or "
            "restore a backup",
            s->path);
    return 0;
}

int env_open(struct store *s, size_t map_start, struct err *e)
{
    off_t was = 0;
    s->lock_fd = -1;
    int r = env_prepare(s, e);
    if (r != 0)
        return r;
    if (uv_rwlock_init(&s->map_lock) != 0)
        return err_set(e, E_IO, SCOPE_HOST, "cannot make a lock");
    s->map_lock_made = true;
    r = env_create(s, &was, e);
    if (r == 0)
        r = env_map(s, map_start, e);
    if (r == 0)
        r = env_tables(s, e);
    if (r == 0 && was != 0) {
        int rc = check_filled(s);
        if (rc != 0)
            r = env_fail(s, e, rc);
    }
    if (r != 0 && was != 0)
        unfill(s, was);
    if (r == 0 && !s->read_only)
        mdb_reader_check(s->env, NULL);
    return r;
}

void env_close(struct store *s)
{
    if (s->env != NULL)
        mdb_env_close(s->env);
    s->env = NULL;
    if (s->map_lock_made)
        uv_rwlock_destroy(&s->map_lock);
    s->map_lock_made = false;
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    s->lock_fd = -1;
}

int env_grow(struct store *s)
{
    MDB_envinfo info;
    int rc = mdb_env_info(s->env, &info);
    if (rc != 0)
        return rc;
    if (info.me_mapsize > STORE_MAP_MAX / 2)
        return MDB_MAP_FULL;
    uv_rwlock_wrlock(&s->map_lock);
    rc = mdb_env_set_mapsize(s->env, info.me_mapsize * 2);
    uv_rwlock_wrunlock(&s->map_lock);
    return rc == ENOMEM ? MDB_MAP_FULL : rc;
}

bool env_is_full(struct store *s)
{
    static const uint8_t zeroes[65536];
    mdb_filehandle_t fd;
    MDB_envinfo info;
    MDB_stat stat;
    struct stat st;
    if (mdb_env_get_fd(s->env, &fd) != 0 || mdb_env_info(s->env, &info) != 0 ||
        mdb_env_stat(s->env, &stat) != 0 || fstat(fd, &st) != 0)
        return false;
    ssize_t n = pwrite(fd, zeroes, sizeof(zeroes), st.st_size);
    bool full = n < 0 ? store_error(errno) == E_FULL : n < (ssize_t)sizeof(zeroes);
    off_t used = (off_t)(info.me_last_pgno + 1) * (off_t)stat.ms_psize;
    return ftruncate(fd, used) == 0 && full;
}
