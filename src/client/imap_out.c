/*
 * The writing half of the IMAP client: tags, strings, and literals that may have to wait for the host's "+ ".
 *
 * While a "+ " is due everything written is queued in order, with marks where the next wait begins and where each
 * command ends, so callers write commands as if nothing ever had to wait.
 */
#include "client/imap_priv.h"
#include <stdio.h>
#include <string.h>

static void mark(struct imapc *c, uint32_t id, bool hold)
{
    c->marks = mem_grow(c->marks, c->n_marks + 1, sizeof(*c->marks));
    c->marks[c->n_marks++] = (struct out_mark){.at = c->queue.len, .id = id, .hold = hold};
}

static void drop_marks(struct imapc *c, size_t n)
{
    if (n == 0)
        return; /* there may be no array yet */
    if (n < c->n_marks)
        memmove(c->marks, c->marks + n, (c->n_marks - n) * sizeof(*c->marks));
    c->n_marks -= n;
}

static void put(struct imapc *c, struct slice s)
{
    if (c->open_id != 0 && c->open_id == c->refused_id)
        return;
    if (c->waiting)
        buf_put_slice(&c->queue, s);
    else
        stream_put(c->stream, s);
}

uint32_t imapc_begin(struct imapc *c)
{
    if (++c->last_id == 0)
        c->last_id = 1;
    c->open_id = c->last_id;
    if (c->in_flight == 0 && c->state == IC_READY) {
        c->moved_seen = 0; /* silence is counted from here */
        timer_start(&c->timer, c->timeout_ms);
    }
    c->in_flight++;
    imapc_printf(c, "w%u ", (unsigned)c->open_id);
    return c->open_id;
}

void imapc_put(struct imapc *c, struct slice s)
{
    put(c, s);
}

void imapc_puts(struct imapc *c, const char *s)
{
    put(c, slice_str(s));
}

void imapc_printf(struct imapc *c, const char *fmt, ...)
{
    struct buf b = {0};
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    put(c, buf_slice(&b));
    buf_free(&b);
}

void imapc_put_string(struct imapc *c, struct slice s)
{
    struct buf b = {0};
    if (s.n <= 1000 && imap_put_quoted(&b, s)) {
        put(c, buf_slice(&b));
    } else {
        imapc_literal(c, s.n, false, false);
        put(c, s);
    }
    buf_wipe(&b);
}

void imapc_end(struct imapc *c)
{
    put(c, SLICE_LIT("\r\n"));
    if (c->waiting && c->open_id != c->refused_id)
        mark(c, c->open_id, false);
    c->open_id = 0;
}

uint32_t imapc_command(struct imapc *c, const char *fmt, ...)
{
    struct buf b = {0};
    va_list ap;
    uint32_t id = imapc_begin(c);
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    put(c, buf_slice(&b));
    imapc_end(c);
    buf_free(&b);
    return id;
}

void imapc_raw(struct imapc *c, struct slice s)
{
    put(c, s);
}

void imapc_literal(struct imapc *c, uint64_t size, bool binary, bool sync)
{
    bool plus = (c->caps & CAP_BIT(LITERAL_PLUS)) ||
                ((c->caps & CAP_BIT(LITERAL_MINUS)) && size <= 4096);
    bool wait = sync || !plus;
    if (c->open_id != 0 && c->open_id == c->refused_id)
        return;
    imapc_printf(c, "%s{%llu%s}\r\n", binary ? "~" : "", (unsigned long long)size, wait ? "" : "+");
    if (!wait)
        return;
    if (c->waiting) {
        mark(c, c->open_id, true);
    } else {
        c->waiting = true;
        c->waiting_id = c->open_id;
    }
}

bool imapc_waiting(const struct imapc *c)
{
    return c->waiting;
}

bool imapc_refused(const struct imapc *c, uint32_t id)
{
    return id != 0 && c->refused_id == id;
}

bool imapc_full(const struct imapc *c)
{
    return stream_full(c->stream) || c->queue.len >= STREAM_OUT_HIGH;
}

size_t imapc_pending(const struct imapc *c)
{
    return stream_pending(c->stream) + c->queue.len;
}

unsigned imapc_in_flight(const struct imapc *c)
{
    return c->in_flight;
}

static void consume_queue(struct imapc *c, size_t n)
{
    buf_consume(&c->queue, n);
    for (size_t i = 0; i < c->n_marks; i++)
        c->marks[i].at -= n;
}

/* Sends what is queued up to the next place that waits. */
void imapc_out_continue(struct imapc *c)
{
    size_t i = 0;
    while (i < c->n_marks && !c->marks[i].hold)
        i++;
    c->waiting = i < c->n_marks;
    size_t n = c->waiting ? c->marks[i].at : c->queue.len;
    if (c->waiting)
        c->waiting_id = c->marks[i].id;
    stream_put(c->stream, slice_make(buf_slice(&c->queue).p, n));
    drop_marks(c, c->waiting ? i + 1 : c->n_marks);
    consume_queue(c, n);
    buf_trim(&c->queue);
}

/* The command is over. If it was waiting for its "+ ", the rest of it must not be sent. */
void imapc_out_answered(struct imapc *c, uint32_t id)
{
    if (!c->waiting || c->waiting_id != id)
        return;
    size_t i = 0;
    while (i < c->n_marks && !(c->marks[i].id == id && !c->marks[i].hold))
        i++;
    if (i == c->n_marks) { /* still being written: all that is queued belongs to it */
        buf_clear(&c->queue);
        c->n_marks = 0;
        c->refused_id = id;
    } else {
        size_t n = c->marks[i].at;
        drop_marks(c, i + 1);
        consume_queue(c, n);
    }
    c->waiting = false;
    if (c->queue.len > 0)
        imapc_out_continue(c);
}

void imapc_out_free(struct imapc *c)
{
    buf_wipe(&c->queue);
    free(c->marks);
    c->marks = NULL;
}
