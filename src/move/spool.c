/*
 * The spool: messages that the new host refuses, byte for byte, one file each: account id / unit id / old UID .eml.
 *
 * Written on the loop's thread, fsync included: it happens for the few odd messages of a mailbox, and the record that
 * names the file must not be committed before the file is durable. Rejected: keeping them in LMDB (an administrator
 * wants to open them with what is at hand).
 */
#include "config.h"
#include "move/mover_priv.h"
#include "wherry/base/crash.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct spool {
    int fd;
    char *name; /* below the spool folder */
    char *path; /* of the file, which is called so with .part behind until it is whole */
    uint64_t size;
    bool complete;
};

struct spool *spool_new(void)
{
    struct spool *s = mem_alloc(sizeof(*s));
    s->fd = -1;
    return s;
}

void spool_free(struct spool **s)
{
    if (*s == NULL)
        return;
    if ((*s)->fd >= 0)
        close((*s)->fd);
    if ((*s)->path != NULL && !(*s)->complete) {
        char *part = mem_printf("%s.part", (*s)->path);
        (void)unlink(part);
        free(part);
    }
    free((*s)->name);
    free((*s)->path);
    free(*s);
    *s = NULL;
}

static int io_failed(struct mover *m, const char *what)
{
    int code = errno == ENOSPC || errno == EDQUOT ? E_FULL : E_IO;
    return mover_fail(m, code, SCOPE_UNIT, "spool: %s: %s", what, strerror(errno));
}

/* mkdir -p for the three levels that are ours. */
static int make_dirs(struct mover *m, struct buf *path)
{
    const char *top = m->env->settings->spool_path;
    unsigned ids[2] = {m->unit->rec.account, m->unit->rec.id};
    buf_puts(path, top);
    for (int i = -1; i < 2; i++) {
        if (i >= 0)
            buf_printf(path, "/%u", ids[i]);
        if (mkdir(buf_cstr(path), 0700) != 0 && errno != EEXIST)
            return io_failed(m, buf_cstr(path));
    }
    return 0;
}

int spool_open(struct mover *m, struct spool *s, uint32_t old_uid)
{
    struct buf path = {0};
    int r = make_dirs(m, &path);
    if (r == 0) {
        s->path = mem_printf("%s/%u.eml", buf_cstr(&path), old_uid);
        buf_printf(&path, "/%u.eml.part", old_uid);
        crash_point();
        s->fd = open(buf_cstr(&path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (s->fd < 0)
            r = io_failed(m, buf_cstr(&path));
        s->name = mem_printf("%u/%u/%u.eml", m->unit->rec.account, m->unit->rec.id, old_uid);
        s->size = 0;
    }
    buf_free(&path);
    return r;
}

static int put_bytes(struct mover *m, struct spool *s, struct slice b)
{
    crash_point();
    while (b.n > 0) {
        ssize_t n = write(s->fd, b.p, b.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return io_failed(m, "write");
        s->size += (uint64_t)n;
        b = slice_make(b.p + n, b.n - (size_t)n);
    }
    return 0;
}

/* The directory entries too must be on disk. */
static int sync_dir(struct mover *m, const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = fd >= 0 ? fsync(fd) : -1;
    if (fd >= 0)
        close(fd);
    return r == 0 ? 0 : io_failed(m, path);
}

static int close_file(struct mover *m, struct spool *s)
{
    const char *top = m->env->settings->spool_path;
    unsigned ids[2] = {m->unit->rec.account, m->unit->rec.id};
    struct buf path = {0};
    crash_point();
    int r = fsync(s->fd) == 0 ? 0 : io_failed(m, "fsync");
    if (close(s->fd) != 0 && r == 0)
        r = io_failed(m, "close");
    s->fd = -1;
    buf_printf(&path, "%s.part", s->path);
    crash_point();
    if (r == 0 && rename(buf_cstr(&path), s->path) != 0)
        r = io_failed(m, s->path);
    buf_clear(&path);
    crash_point();
    buf_puts(&path, top);
    for (int i = -1; i < 2 && r == 0; i++) {
        if (i >= 0)
            buf_printf(&path, "/%u", ids[i]);
        r = sync_dir(m, buf_cstr(&path));
    }
    buf_free(&path);
    s->complete = r == 0;
    return r;
}

int spool_event(struct mover *m, struct spool *s, enum conn_event ev)
{
    int r = 0;
    if (ev == CONN_BYTES || ev == CONN_BODY_END)
        r = put_bytes(m, s, m->old.bytes);
    return r == 0 && ev == CONN_BODY_END ? close_file(m, s) : r;
}

int spool_scratch(struct mover *m, int *fd)
{
    struct buf path = {0};
    int r = make_dirs(m, &path);
    if (r == 0) {
        buf_puts(&path, "/scratch.part");
        *fd = open(buf_cstr(&path), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (*fd < 0 || unlink(buf_cstr(&path)) != 0)
            r = io_failed(m, buf_cstr(&path));
    }
    buf_free(&path);
    return r;
}

bool spool_complete(const struct spool *s)
{
    return s->complete;
}

void spool_record(struct mover *m, struct spool *s, uint32_t old_uid, int64_t when, const char *flags,
                  const char *reason)
{
    struct store_left l = {.account = m->unit->rec.account,
                           .unit = m->unit->rec.id,
                           .old_uid = old_uid,
                           .size = s->size,
                           .date = when,
                           .when = clock_real_us() / 1000000,
                           .flags = mem_strdup(flags),
                           .file = mem_strdup(s->complete ? s->name : ""),
                           .reason = mem_strdup(reason)};
    struct store_batch *b = account_batch(m->account);
    m->unit->rec.left_behind++;
    store_put_left(b, &l);
    store_put_unit(b, &m->unit->rec);
    store_submit(&b, NULL);
    worker_counters(m->env->worker)->left_behind++;
    log_event(worker_log(m->env->worker), LOG_WARN, "left_behind", log_s("account", m->account->rec.name),
              log_s("unit", m->unit->rec.view_name), log_n("uid", old_uid), log_n("size", (int64_t)l.size),
              log_s("file", l.file), log_s("reason", reason));
    store_left_clear(&l);
}

static bool add_left(struct slice key, struct slice value, void *arg)
{
    struct left_list *l = arg;
    uint32_t ids[3];
    (void)value;
    if (store_key_read(key, ids, 3) == 0) {
        l->uids = mem_grow(l->uids, l->n + 1, sizeof(*l->uids));
        l->uids[l->n++] = ids[2];
    }
    return true;
}

int left_load(struct mover *m, struct left_list *l)
{
    struct buf key = {0};
    free(l->uids);
    *l = (struct left_list){0};
    store_key_unit(&key, m->unit->rec.account, m->unit->rec.id);
    int r = store_walk(m->env->store, STORE_LEFT, buf_slice(&key), add_left, l);
    buf_free(&key);
    return r == 0 ? 0 : mover_store_failed(m, r);
}

static int by_uid(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

bool left_has(const struct left_list *l, uint32_t uid)
{
    return l->n > 0 && bsearch(&uid, l->uids, l->n, sizeof(uid), by_uid) != NULL;
}

void left_forget(struct mover *m, struct store_batch *b, const struct left_list *l, uint32_t from)
{
    struct store_unit *u = &m->unit->rec;
    uint64_t kept = 0;
    for (size_t i = 0; i < l->n; i++) {
        struct buf key = {0};
        if (l->uids[i] < from) {
            kept++;
            continue;
        }
        store_key_part(&key, u->account, u->id, l->uids[i]);
        store_del(b, STORE_LEFT, buf_slice(&key));
        buf_free(&key);
    }
    worker_counters(m->env->worker)->left_behind += kept - u->left_behind;
    u->left_behind = kept;
}
