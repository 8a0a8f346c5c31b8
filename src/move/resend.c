/*
 * Foreign messages of a new host that copies nothing within a mailbox: each is fetched, and appended again.
 *
 * One connection has the mailbox open, and a host that is busy sending a message takes none meanwhile, so each message rests in
 * a file without a name between the two. What is about to come was recorded (foreign.c); only what the host says it stored is
 * expunged afterwards. Rejected: a second connection (nothing here is in a hurry), and memory (a message has any size).
 */
#include "config.h"
#include "move/mover_priv.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

enum resend_phase {
    RS_NEXT,
    RS_FETCH, /* its reply is due */
    RS_APPEND /* likewise; until all of the message is sent there is more to send */
};
enum { PIECE = 32 * 1024 };

struct resend {
    enum resend_phase phase;
    struct slice rest; /* of compare.foreign */
    uint32_t uid, hi;  /* in hand; the end of its range */
    int fd;
    uint64_t size, sent;
    bool body;              /* the FETCH response that is coming in holds one */
    bool told, whole, over; /* FETCH named it; its body is in the file; all of it was sent */
    struct buf flags, date;
    uint32_t append_id;
    struct buf stored; /* set of the originals that have a copy */
    struct set_writer stored_w;
};

struct resend *resend_new(struct mover *m)
{
    struct resend *r = mem_alloc(sizeof(*r));
    r->fd = -1;
    r->rest = buf_slice(&m->compare.foreign);
    imap_set_begin(&r->stored_w, &r->stored);
    return r;
}

static void drop_file(struct resend *r)
{
    if (r->fd >= 0)
        close(r->fd);
    r->fd = -1;
}

void resend_free(struct resend **rp)
{
    struct resend *r = *rp;
    if (r == NULL)
        return;
    drop_file(r);
    buf_free(&r->flags);
    buf_free(&r->date);
    buf_free(&r->stored);
    free(r);
    *rp = NULL;
}

/* ---- from the host to the file ---- */

static int put_bytes(struct mover *m, struct resend *r, struct slice b)
{
    while (b.n > 0) {
        ssize_t n = pwrite(r->fd, b.p, b.n, (off_t)r->size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return mover_fail(m, errno == ENOSPC || errno == EDQUOT ? E_FULL : E_IO, SCOPE_UNIT, "spool: write: %s",
                              strerror(errno));
        r->size += (uint64_t)n;
        b = slice_make(b.p + n, b.n - (size_t)n);
    }
    return 0;
}

static int begin_body(struct mover *m, struct resend *r)
{
    drop_file(r);
    r->body = true;
    r->whole = false;
    r->size = 0;
    return spool_scratch(m, &r->fd);
}

/* News about others come in between; a body that is not the one asked for is as good as none. */
static void end_fetch(struct mover *m, struct resend *r)
{
    const struct fetch *f = &m->new.fetch;
    bool body = r->body;
    r->body = false;
    if (f->uid != r->uid || f->bad || !f->has_flags)
        return;
    r->told = true;
    r->whole = r->whole || body;
    buf_clear(&r->flags);
    buf_clear(&r->date);
    flags_clean(m, r->uid, buf_slice(&f->flags), &r->flags);
    if (f->has_date)
        buf_put_slice(&r->date, buf_slice(&f->date));
}

int resend_event(struct mover *m, struct resend *r, enum conn_event ev)
{
    int rc = 0;
    if (r->phase != RS_FETCH)
        return 0;
    if (ev == CONN_BODY)
        return begin_body(m, r);
    if (ev == CONN_FETCH)
        end_fetch(m, r);
    if (ev == CONN_BYTES || ev == CONN_BODY_END)
        rc = r->fd < 0 ? 0 : put_bytes(m, r, m->new.bytes);
    return rc;
}

/* ---- from the file to the host ---- */

int resend_pump(struct mover *m, struct resend *r)
{
    struct imapc *n = m->new.imap;
    uint8_t piece[PIECE];
    if (r->phase != RS_APPEND || r->over || imapc_refused(n, r->append_id))
        return 0;
    while (r->sent < r->size && !imapc_waiting(n) && !imapc_full(n)) {
        uint64_t left = r->size - r->sent;
        ssize_t got = pread(r->fd, piece, left < PIECE ? (size_t)left : PIECE, (off_t)r->sent);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return mover_fail(m, E_IO, SCOPE_UNIT, "spool: read: %s", got < 0 ? strerror(errno) : "the file is too short");
        imapc_put(n, slice_make(piece, (size_t)got));
        r->sent += (uint64_t)got;
    }
    if (r->sent == r->size && !imapc_waiting(n)) {
        imapc_end(n);
        r->over = true;
    }
    return 0;
}

static int append(struct mover *m, struct resend *r)
{
    struct imapc *n = m->new.imap;
    r->append_id = imapc_begin(n);
    imapc_puts(n, "APPEND ");
    imapc_put_string(n, slice_str(m->unit->rec.new_name));
    imapc_printf(n, " (%s) ", buf_cstr(&r->flags));
    if (r->date.len > 0) {
        imapc_put_string(n, buf_slice(&r->date));
        imapc_puts(n, " ");
    }
    imapc_literal(n, r->size, false, false);
    m->new_due++;
    r->phase = RS_APPEND;
    r->sent = 0;
    r->over = false;
    return resend_pump(m, r);
}

/* ---- one after the other ---- */

static bool next_uid(struct resend *r)
{
    uint32_t lo, hi;
    if (r->uid < r->hi) {
        r->uid++;
        return true;
    }
    if (imap_set_next(&r->rest, &lo, &hi) != 1)
        return false;
    r->uid = lo;
    r->hi = hi;
    return true;
}

static int fetched(struct mover *m, struct resend *r)
{
    if (r->told && r->whole)
        return append(m, r);
    r->phase = RS_NEXT; /* expunged by now */
    return r->told ? mover_fail(m, E_PROTO, SCOPE_UNIT, "the new host does not send its message %u", r->uid) : 0;
}

int resend_advance(struct mover *m, struct resend *r, bool *done)
{
    *done = false;
    switch (r->phase) {
    case RS_APPEND:
        if (!r->over)
            return mover_fail(m, E_PROTO, SCOPE_HOST, "the new host answered APPEND before its end");
        imap_set_add(&r->stored_w, r->uid, r->uid);
        r->phase = RS_NEXT;
        return 0;
    case RS_FETCH:
        return fetched(m, r);
    case RS_NEXT:
        break;
    }
    drop_file(r);
    if (!next_uid(r)) {
        imap_set_end(&r->stored_w);
        buf_clear(&m->compare.foreign);
        buf_put_slice(&m->compare.foreign, buf_slice(&r->stored));
        *done = true;
        return 0;
    }
    r->told = r->whole = false;
    r->phase = RS_FETCH;
    imapc_command(m->new.imap, "UID FETCH %u (UID FLAGS INTERNALDATE BODY.PEEK[])", r->uid);
    m->new_due++;
    return 0;
}
