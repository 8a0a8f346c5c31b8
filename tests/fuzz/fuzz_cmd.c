/*
 * Commands: however the input is cut, the same commands come out of it; a command that is handed
 * out can be read to its end; memory stays within the limits.
 */
#include "config.h"
#include "fuzz.h"
#include "wherry/imap/cmd.h"

static const struct cmd_limits limits = {.line = 200, .id_line = 300, .literals = 60, .message = 500, .count = 4};

static void add(uint64_t *h, struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        *h = (*h ^ s.p[i]) * 1099511628211u;
    *h = (*h ^ s.n) * 1099511628211u;
}

static void add_number(uint64_t *h, uint64_t v)
{
    *h = (*h ^ v) * 1099511628211u;
}

static void readable(struct slice args)
{
    struct imap_args a;
    struct slice raw;
    imap_args_init(&a, args);
    while (a.rest.n > 0)
        must(imap_args_value(&a, &raw));
    must(imap_args_done(&a));
}

struct session {
    struct cmd_reader reader;
    uint64_t hash, message_left;
    bool over;
};

static void event(struct session *s, const struct cmd *c)
{
    add_number(&s->hash, c->kind);
    add_number(&s->hash, c->size);
    add_number(&s->hash, c->nonsync * 8u + c->binary * 4u + c->fatal * 2u + c->too_big);
    if (!c->fatal) { /* how much of a line that is too long was seen depends on the cut */
        add(&s->hash, c->tag);
        add(&s->hash, c->name);
    }
    add(&s->hash, c->args);
    must((c->kind == CMD_ERROR) == (c->error != NULL));
    s->over = c->fatal;
    if (c->kind == CMD_READY)
        readable(c->args);
    if (c->kind == CMD_CONTINUE && c->name.n % 4 == 3)
        imap_cmd_refuse(&s->reader);
    if (c->kind != CMD_MESSAGE)
        return;
    must(c->size <= limits.message);
    if (c->size % 3 == 2)
        imap_cmd_refuse(&s->reader);
    else if (c->size == 0)
        imap_cmd_message_done(&s->reader);
    else
        s->message_left = c->size;
}

/* Moves what there is of a message; returns how much. */
static size_t move(struct session *s, size_t n)
{
    n = n < s->message_left ? n : (size_t)s->message_left;
    s->message_left -= n;
    if (n > 0 && s->message_left == 0)
        imap_cmd_message_done(&s->reader);
    return n;
}

static uint64_t run(struct slice in, size_t step)
{
    struct session s = {0};
    size_t done = 0;
    imap_cmd_init(&s.reader, &limits);
    for (size_t end = 0; !s.over && end < in.n;) {
        end = in.n - end > step ? end + step : in.n;
        for (enum codec r = CODEC_DONE; r == CODEC_DONE && !s.over;) {
            struct cmd c;
            size_t used;
            done += move(&s, end - done);
            if (s.message_left > 0)
                break;
            struct slice rest = slice_make(in.p + done, end - done);
            r = imap_cmd_next(&s.reader, rest, &used, &c);
            must(r != CODEC_BAD && used <= rest.n);
            must(s.reader.text.len <= limits.id_line + limits.literals + 2);
            done += used;
            if (r == CODEC_DONE)
                event(&s, &c);
            else
                must(done == end && c.kind == CMD_NONE);
        }
    }
    add_number(&s.hash, imap_cmd_idle(&s.reader) && s.message_left == 0);
    imap_cmd_free(&s.reader);
    return s.hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_make(data, size), line;
    size_t used;
    if (size > 8192)
        return 0;
    uint64_t whole = run(in, SIZE_MAX);
    must(run(in, 1) == whole);
    must(run(in, 5) == whole);
    enum codec r = imap_line_next(in, 100, &line, &used);
    must(r == CODEC_DONE ? used == line.n + 2 && line.n <= 100 : used == 0 && line.p == NULL);
    return 0;
}
