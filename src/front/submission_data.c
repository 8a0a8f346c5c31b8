/*
 * Messages on their way through: DATA looked at for its end and for bare CR and LF, BDAT counted.
 * Neither is held: what the new host does not take waits in the client's kernel.
 *
 * When the new host is gone the rest is read and thrown away, since clients listen for an answer
 * only at the end.
 */
#include "config.h"
#include "front/submission.h"

bool submission_state_asked(struct submission *s)
{
    (void)s; /* the reply moves it on: submission_turn.c */
    return false;
}

static void message_begin(struct submission *s, struct turn *t)
{
    t->open = true;
    s->open = t;
    smtpc_set_timeout(s->up, 0);
}

/* The new host said 354. */
void submission_data_begin(struct submission *s)
{
    message_begin(s, submission_turn(s, TURN_MESSAGE, true));
    s->data = (struct smtp_data){0};
    s->discard = false;
    submission_enter(s, SUB_DATA);
}

static void message_end(struct submission *s)
{
    unsigned patience = submission_settings(s)->host_timeout_seconds;
    if (s->open != NULL)
        s->open->open = false;
    s->open = NULL;
    if (s->up != NULL)
        smtpc_set_timeout(s->up, patience > FINAL_SECONDS ? patience : FINAL_SECONDS);
    submission_enter(s, SUB_COMMAND);
    submission_answer(s);
}

/* The new host must never see the end of it, nor read its rest as commands. */
static void bare_newline(struct submission *s)
{
    if (s->open != NULL)
        s->open->code = 521;
    smtpc_abort(&s->up);
    submission_flush(s);
    submission_bye(s, "bare_newline", "521 5.5.2 A CR or LF stands alone in the message");
}

/* True when nothing can be moved now; the client may be gone. */
static bool must_wait(struct submission *s)
{
    if (submission_input(s).n == 0) {
        if (submission_eof(s))
            submission_end(s, "client_lost");
        return true;
    }
    return !s->discard && smtpc_full(s->up);
}

bool submission_state_data(struct submission *s)
{
    size_t used;
    if (must_wait(s))
        return false;
    struct slice in = submission_input(s);
    enum codec c = smtp_data_next(&s->data, in, &used);
    if (!s->discard)
        smtpc_put(s->up, slice_make(in.p, used));
    if (s->open != NULL)
        s->open->bytes += used;
    if (c == CODEC_BAD) {
        bare_newline(s);
        return true;
    }
    submission_consume(s, used);
    if (c == CODEC_DONE) {
        if (s->open != NULL)
            s->open->bytes -= 3; /* the dot that ends it */
        message_end(s);
    }
    return true;
}

void submission_chunk_skip(struct submission *s, uint64_t size)
{
    if (s->state != SUB_COMMAND || size == 0)
        return;
    s->chunk_left = size;
    s->discard = true;
    submission_enter(s, SUB_CHUNK);
}

void submission_chunk_begin(struct submission *s, const struct smtp_cmd *c)
{
    struct buf line = {0};
    if ((smtpc_ehlo(s->up)->ext & SMTP_BIT(CHUNKING)) == 0) {
        submission_bad(s, "502 5.5.1 BDAT is not available");
        submission_chunk_skip(s, c->size);
        return;
    }
    struct turn *t = submission_turn(s, c->last ? TURN_MESSAGE : TURN_CHUNK, true);
    s->chunk_bytes += c->size;
    t->bytes = s->chunk_bytes;
    if (c->last)
        s->chunk_bytes = 0;
    buf_printf(&line, "BDAT %llu%s\r\n", (unsigned long long)c->size, c->last ? " LAST" : "");
    smtpc_put(s->up, buf_slice(&line));
    buf_free(&line);
    s->errors = 0;
    s->discard = false;
    s->chunk_left = c->size;
    message_begin(s, t);
    submission_enter(s, SUB_CHUNK);
}

bool submission_state_chunk(struct submission *s)
{
    if (s->chunk_left > 0) {
        if (must_wait(s))
            return false;
        struct slice in = submission_input(s);
        size_t n = in.n < s->chunk_left ? in.n : (size_t)s->chunk_left;
        if (!s->discard)
            smtpc_put(s->up, slice_make(in.p, n));
        s->chunk_left -= n;
        submission_consume(s, n);
    }
    if (s->chunk_left == 0)
        message_end(s);
    return true;
}
