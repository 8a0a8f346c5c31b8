/*
 * The spool: messages that the new host refuses, byte for byte, one file each: account id / unit id / old UID .eml.
 *
 * Written on the loop's thread, fsync included: it happens for the few odd messages of a mailbox, and the record that
 * names the file must not be committed before the file is durable. Rejected: keeping them in LMDB (an administrator
 * wants to open them with what is at hand).
 */
#include "config.h"
#include "move/mover_priv.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct spool {
    int fd;
    char *name; /* below the spool folder */
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
    free((*s)->name);
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
        buf_printf(&path, "/%u.eml", old_uid);
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
    int r = fsync(s->fd) == 0 ? 0 : io_failed(m, "fsync");
    if (close(s->fd) != 0 && r == 0)
        r = io_failed(m, "close");
    s->fd = -1;
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
    struct buf key = {0}, value = {0};
    struct store_batch *b = account_batch(m->account);
    store_key_part(&key, l.account, l.unit, l.old_uid);
    store_left_encode(&value, &l);
    store_put(b, STORE_LEFT, buf_slice(&key), buf_slice(&value));
    store_submit(&b, NULL);
    m->unit->rec.left_behind++;
    worker_counters(m->env->worker)->left_behind++;
    log_event(worker_log(m->env->worker), LOG_WARN, "left_behind", log_s("account", m->account->rec.name),
              log_s("unit", m->unit->rec.view_name), log_n("uid", old_uid), log_n("size", (int64_t)l.size),
              log_s("file", l.file), log_s("reason", reason));
    buf_free(&key);
    buf_free(&value);
    store_left_clear(&l);
}
