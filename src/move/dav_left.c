/* Items that the new host refuses: byte for byte in the spool, one file each, beside those of mailboxes (see spool.c). */
#include "config.h"
#include "move/dav_mover.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct left_file {
    int fd;
    uint32_t number;
    char *path, *name; /* name: below the spool folder */
    uint64_t size;
    bool complete;
    int error;
};

static int io_failed(struct err *e, const char *what, int error)
{
    int code = error == ENOSPC || error == EDQUOT ? E_FULL : E_IO;
    return err_set(e, code, SCOPE_UNIT, "spool: %.80s: %s", what, strerror(error));
}

/* The spool's folder and the two below it; sync: they are written to the disk instead of made. */
static int folders(struct dav_mover *m, bool sync, struct buf *path, struct err *e)
{
    unsigned ids[2] = {m->unit->rec.account, m->unit->rec.id};
    buf_puts(path, m->env->settings->spool_path);
    for (int i = -1; i < 2; i++) {
        if (i >= 0)
            buf_printf(path, "/%u", ids[i]);
        if (!sync && mkdir(buf_cstr(path), 0700) != 0 && errno != EEXIST)
            return io_failed(e, buf_cstr(path), errno);
        if (!sync)
            continue;
        int fd = open(buf_cstr(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int r = fd >= 0 ? fsync(fd) : -1, error = errno;
        if (fd >= 0)
            close(fd);
        if (r != 0)
            return io_failed(e, buf_cstr(path), error);
    }
    return 0;
}

int left_open(struct left_file **out, struct dav_mover *m, uint32_t number, struct err *e)
{
    struct buf path = {0};
    const char *end = m->card ? "vcf" : "ics";
    struct left_file *f = mem_alloc(sizeof(*f));
    *out = f;
    f->fd = -1;
    f->number = number;
    int r = folders(m, false, &path, e);
    if (r == 0) {
        f->path = mem_printf("%s/%u.%s", buf_cstr(&path), number, end);
        f->name = mem_printf("%u/%u/%u.%s", m->unit->rec.account, m->unit->rec.id, number, end);
        buf_printf(&path, "/%u.%s.part", number, end);
        f->fd = open(buf_cstr(&path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (f->fd < 0)
            r = io_failed(e, buf_cstr(&path), errno);
    }
    buf_free(&path);
    return r;
}

int left_write(struct slice b, void *file)
{
    struct left_file *f = file;
    while (b.n > 0) {
        ssize_t n = write(f->fd, b.p, b.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            f->error = errno;
            return errno == ENOSPC || errno == EDQUOT ? E_FULL : E_IO;
        }
        f->size += (uint64_t)n;
        b = slice_make(b.p + n, b.n - (size_t)n);
    }
    return 0;
}

void left_free(struct left_file **fp)
{
    struct left_file *f = *fp;
    if (f == NULL)
        return;
    *fp = NULL;
    if (f->fd >= 0)
        close(f->fd);
    if (f->path != NULL && !f->complete) {
        char *part = mem_printf("%s.part", f->path);
        (void)unlink(part);
        free(part);
    }
    free(f->path);
    free(f->name);
    free(f);
}

static int close_file(struct left_file *f, struct dav_mover *m, struct err *e)
{
    struct buf path = {0};
    int r = fsync(f->fd) == 0 ? 0 : io_failed(e, "fsync", errno);
    if (close(f->fd) != 0 && r == 0)
        r = io_failed(e, "close", errno);
    f->fd = -1;
    buf_printf(&path, "%s.part", f->path);
    if (r == 0 && rename(buf_cstr(&path), f->path) != 0)
        r = io_failed(e, f->path, errno);
    buf_clear(&path);
    f->complete = r == 0;
    if (r == 0)
        r = folders(m, true, &path, e);
    buf_free(&path);
    return r;
}

int left_done(struct left_file *f, struct dav_mover *m, struct dav_item *i, const char *reason, struct store_batch **b,
              struct err *e)
{
    int r = close_file(f, m, e);
    if (r != 0)
        return r;
    struct store_left l = {.account = m->unit->rec.account,
                           .unit = m->unit->rec.id,
                           .old_uid = f->number,
                           .size = f->size,
                           .when = clock_real_us() / 1000000,
                           .file = f->name,
                           .reason = (char *)(uintptr_t)reason,
                           .name = i->row.name};
    *b = account_batch(m->account);
    i->left = f->number;
    i->row.state = ITEM_LEFT;
    i->row.kept = false;
    i->row.size = f->size;
    set_string(&i->row.old_etag, i->etag);
    dav_item_count(m, i, COUNT_LEFT);
    store_put_left(*b, &l);
    store_put_item(*b, &i->row);
    store_put_unit(*b, &m->unit->rec);
    log_event(worker_log(m->env->worker), LOG_WARN, "left_behind", log_s("account", m->account->rec.name),
              log_s("unit", m->unit->rec.view_name), log_s("item", i->row.name), log_n("size", (int64_t)l.size),
              log_s("file", l.file), log_s("reason", reason));
    return 0;
}

static bool note_left(struct slice key, struct slice value, void *arg)
{
    struct dav_mover *m = arg;
    struct store_left l;
    (void)key;
    if (store_left_decode(&l, value) == 0) {
        struct dav_item *i = dav_item_find(m, slice_str(l.name));
        if (i != NULL)
            i->left = l.old_uid;
        if (l.old_uid >= m->next_left)
            m->next_left = l.old_uid + 1;
    }
    store_left_clear(&l);
    return true;
}

int left_numbers(struct dav_mover *m)
{
    struct buf key = {0};
    m->next_left = 1;
    store_key_unit(&key, m->unit->rec.account, m->unit->rec.id);
    int r = store_walk(m->env->store, STORE_LEFT, buf_slice(&key), note_left, m);
    buf_free(&key);
    return r == 0 ? 0 : dav_fail(m, r, SCOPE_UNIT, "what was left behind cannot be read from the store");
}

void left_forget_item(struct dav_mover *m, struct dav_item *i, struct store_batch *b)
{
    struct buf key = {0};
    if (i->left == 0)
        return;
    store_key_part(&key, m->unit->rec.account, m->unit->rec.id, i->left);
    store_del(b, STORE_LEFT, buf_slice(&key));
    buf_free(&key);
    i->left = 0;
}
