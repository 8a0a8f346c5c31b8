/*
 * What a client sends, gathered command by command.
 * What: lines are joined over their small literals; the message of an APPEND is left to the
 * session. A command is handed out only when every token of it can be read. Why: everything that
 * decides where a command goes is in its arguments, which are short; messages are long and are
 * never looked at. Where a command ends is decided here alone, from the literals at the ends of
 * lines. Rejected: events token by token (each command would need its own state to be continued),
 * and going on after a line whose end is in doubt (what is data to one reader would be a command to
 * another).
 */
#include "wherry/imap/cmd.h"
#include <string.h>

enum {
    ST_LINE,    /* gathering a line */
    ST_LITERAL, /* gathering a small literal */
    ST_MESSAGE, /* the session moves a message */
    ST_SKIP,    /* swallowing a literal */
    ST_OVER     /* an event that ended the command was given: the next call forgets it */
};
enum { MAX_DEPTH = 64, MAX_TAG = 128, MAX_NAME = 64 };

/* The literal at the end of a line. */
struct tail {
    size_t at; /* where "{" or "~" is, in text */
    uint64_t size;
    bool found, nonsync, binary;
};

void imap_cmd_init(struct cmd_reader *c, const struct cmd_limits *limits)
{
    *c = (struct cmd_reader){.limits = *limits};
}

void imap_cmd_set_limits(struct cmd_reader *c, const struct cmd_limits *limits)
{
    c->limits = *limits;
}

static void forget(struct cmd_reader *c)
{
    struct cmd_limits limits = c->limits;
    buf_wipe(&c->text);
    buf_wipe(&c->name);
    imap_cmd_init(c, &limits);
}

void imap_cmd_free(struct cmd_reader *c)
{
    forget(c);
}

bool imap_cmd_idle(const struct cmd_reader *c)
{
    return c->state == ST_OVER || (c->state == ST_LINE && c->text.len == 0 && !c->refuse);
}

static struct slice part(const struct cmd_reader *c, size_t from, size_t to)
{
    return from < to ? slice_make(buf_slice(&c->text).p + from, to - from) : (struct slice){0};
}

/* Fills the error and ends the command: at once, or by swallowing the rest when the client sends it
 * anyway. */
static enum codec fail(struct cmd_reader *c, const struct tail *t, const char *why, struct cmd *cmd)
{
    cmd->kind = CMD_ERROR;
    cmd->tag = part(c, 0, c->tag_n);
    cmd->name = buf_slice(&c->name);
    cmd->error = why;
    c->refuse = true;
    c->left = t != NULL ? t->size : 0;
    c->state = t != NULL && t->found && t->nonsync ? ST_SKIP : ST_OVER;
    return CODEC_DONE;
}

static enum codec fail_fatal(struct cmd_reader *c, const char *why, struct cmd *cmd)
{
    cmd->fatal = true;
    return fail(c, NULL, why, cmd);
}

/* Looks for "{n}", "{n+}" or "~{n}" at the end of the line that text holds. False: a size out of
 * all bounds. */
static bool find_tail(const struct cmd_reader *c, struct tail *t)
{
    const uint8_t *p = buf_slice(&c->text).p;
    size_t n = c->text.len, i;
    *t = (struct tail){0};
    if (n < c->segment + 3 || p[n - 1] != '}')
        return true;
    i = n - 1;
    bool plus = p[i - 1] == '+' || p[i - 1] == '-';
    i -= plus;
    size_t end = i;
    while (i > c->segment && p[i - 1] >= '0' && p[i - 1] <= '9')
        i--;
    if (i == end || i == c->segment || p[i - 1] != '{')
        return true;
    if (slice_u64(slice_make(p + i, end - i), &t->size) != 0 || t->size > INT64_MAX)
        return false;
    t->at = i - 1;
    t->found = true;
    t->nonsync = plus;
    t->binary = t->at > c->segment && p[t->at - 1] == '~';
    t->at -= t->binary;
    return true;
}

/* RFC 3501: 1*<any ASTRING-CHAR except "+">. */
static bool is_tag_char(uint8_t c)
{
    return c > 0x20 && c < 0x7f && strchr("(){%*\"\\+", c) == NULL;
}

static bool is_name_char(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           (c != 0 && strchr("-._=", c) != NULL);
}

/* Appends the word at *i to name in upper case; false when there is none or it is too long. */
static bool take_name(struct cmd_reader *c, size_t *i)
{
    const uint8_t *p = buf_slice(&c->text).p;
    size_t first = *i;
    while (*i < c->text.len && is_name_char(p[*i])) {
        char up = (char)(p[*i] >= 'a' && p[*i] <= 'z' ? p[*i] - 32 : p[*i]);
        if (*i - first >= MAX_NAME)
            return false;
        buf_putc(&c->name, up);
        ++*i;
    }
    return *i > first && (*i == c->text.len || p[*i] == ' ');
}

/* Tag and name, once a line is there. NULL, or what is wrong. */
static const char *parse_head(struct cmd_reader *c)
{
    const uint8_t *p = buf_slice(&c->text).p;
    size_t n = c->text.len, i = 0;
    c->parsed = true;
    if (n == 0)
        return "Empty line";
    while (i < n && is_tag_char(p[i]))
        i++;
    if (i == 0 || i > MAX_TAG || (i < n && p[i] != ' '))
        return "Invalid tag";
    c->tag_n = i;
    if (i == n)
        return "Command missing";
    i++;
    if (!take_name(c, &i))
        return "Invalid command name";
    if (slice_is(buf_slice(&c->name), "UID")) {
        buf_putc(&c->name, ' ');
        if (i++ == n || !take_name(c, &i))
            return "UID needs a command";
    }
    c->args = i < n ? i + 1 : n;
    return NULL;
}

/*
 * Reads the tokens of [from, to). NULL, or what is wrong. *depth: parentheses open at the end;
 * *values: values completed or begun at the top level.
 */
static const char *check_tokens(const struct cmd_reader *c, size_t from, size_t to, size_t *depth,
                                size_t *values)
{
    struct imap_args a;
    struct tok t;
    *depth = *values = 0;
    imap_args_init(&a, part(c, from, to));
    while (a.rest.n > 0 && imap_args_tok(&a, &t)) {
        *values += *depth == 0;
        if (t.kind == TOK_OPEN && ++*depth > MAX_DEPTH)
            return "Parentheses nested too deeply";
        if (t.kind == TOK_CLOSE && (*depth)-- == 0)
            return "Unbalanced parentheses";
        if (t.kind == TOK_LITERAL && !t.binary && t.text.n > 0 && memchr(t.text.p, 0, t.text.n))
            return "NUL in a literal";
    }
    return a.bad ? "Invalid arguments" : NULL;
}

/* Where the arguments before place at end: spaces of the last line are left out, those of a literal
 * are not. */
static size_t trim(const struct cmd_reader *c, size_t at)
{
    size_t floor = c->segment > c->args ? c->segment : c->args;
    while (at > floor && buf_slice(&c->text).p[at - 1] == ' ')
        at--;
    return at;
}

/* The literal at t is the message of an APPEND or REPLACE: it comes after the mailbox's name, and not within
 * parentheses. */
static bool is_message(const struct cmd_reader *c, const struct tail *t)
{
    size_t depth, values;
    struct slice name = buf_slice(&c->name);
    bool replace = slice_is(name, "REPLACE") || slice_is(name, "UID REPLACE");
    if (!replace && !slice_is(name, "APPEND"))
        return false;
    if (check_tokens(c, c->args, trim(c, t->at), &depth, &values) != NULL)
        return false;
    return depth == 0 && (c->message || values > replace);
}

static enum codec message_literal(struct cmd_reader *c, const struct tail *t, struct cmd *cmd)
{
    if (c->limits.message == 0)
        return fail(c, t, "Sign in first", cmd);
    if (t->size > c->limits.message) {
        cmd->too_big = true;
        return fail(c, t, "Message too big", cmd);
    }
    size_t from = c->args, end = trim(c, t->at);
    if (from < end && buf_slice(&c->text).p[from] == ' ')
        from++;
    cmd->kind = CMD_MESSAGE;
    cmd->tag = part(c, 0, c->tag_n);
    cmd->name = buf_slice(&c->name);
    cmd->args = part(c, from, end);
    cmd->size = t->size;
    cmd->nonsync = t->nonsync;
    cmd->binary = t->binary;
    c->left = t->size;
    c->nonsync = t->nonsync;
    c->message = true;
    c->state = ST_MESSAGE;
    return CODEC_DONE;
}

/* A small literal follows the line. MORE: go on reading. */
static enum codec small_literal(struct cmd_reader *c, const struct tail *t, struct cmd *cmd)
{
    size_t used = c->literal_bytes;
    if (++c->count > c->limits.count) {
        cmd->too_big = true;
        return fail(c, t, "Too many literals", cmd);
    }
    if (used > c->limits.literals || t->size > c->limits.literals - used) {
        cmd->too_big = true;
        return fail(c, t, "Literal too big", cmd);
    }
    buf_puts(&c->text, "\r\n");
    c->literal_bytes += (size_t)t->size;
    c->left = t->size;
    c->nonsync = t->nonsync;
    c->state = ST_LITERAL;
    if (t->nonsync)
        return CODEC_MORE;
    cmd->kind = CMD_CONTINUE;
    cmd->tag = part(c, 0, c->tag_n);
    cmd->name = buf_slice(&c->name);
    return CODEC_DONE;
}

static enum codec ready(struct cmd_reader *c, struct cmd *cmd)
{
    size_t depth, values;
    if (c->text.len > c->args)
        buf_truncate(&c->text, trim(c, c->text.len));
    const char *why = check_tokens(c, c->args, c->text.len, &depth, &values);
    if (why == NULL && depth > 0)
        why = "Unbalanced parentheses";
    if (c->message && c->text.len > c->args)
        why = "Junk after the message";
    if (why != NULL)
        return fail(c, NULL, why, cmd);
    cmd->kind = CMD_READY;
    cmd->tag = part(c, 0, c->tag_n);
    cmd->name = buf_slice(&c->name);
    cmd->args = part(c, c->args, c->text.len);
    c->state = ST_OVER;
    return CODEC_DONE;
}

/* text ends in a line whose CRLF was taken off. MORE: go on reading. */
static enum codec line_done(struct cmd_reader *c, struct cmd *cmd)
{
    struct tail t;
    if (!find_tail(c, &t))
        return fail_fatal(c, "Invalid literal", cmd);
    if (c->refuse) {
        c->left = t.size;
        if (t.found && t.nonsync)
            c->state = ST_SKIP;
        else
            forget(c);
        return CODEC_MORE;
    }
    const char *why = c->parsed ? NULL : parse_head(c);
    if (why != NULL) {
        buf_clear(&c->name);
        return fail(c, &t, why, cmd);
    }
    if (c->message && c->segment == c->args && c->text.len > c->args &&
        buf_slice(&c->text).p[c->args] != ' ')
        return fail(c, &t, "Junk after the message", cmd);
    if (!t.found)
        return ready(c, cmd);
    if (t.at < c->args)
        return fail(c, &t, "Invalid arguments", cmd);
    if (t.nonsync && c->limits.nonsync > 0 && t.size > c->limits.nonsync)
        return fail(c, &t, "A non-synchronizing literal may not be that long", cmd);
    return is_message(c, &t) ? message_literal(c, &t, cmd) : small_literal(c, &t, cmd);
}

/* The command whose first bytes are those in text and then in is ID. */
static bool is_id(const struct cmd_reader *c, struct slice in)
{
    static const char name[] = " ID ";
    uint8_t head[64];
    size_t n = c->text.len < sizeof(head) ? c->text.len : sizeof(head);
    if (n > 0)
        memcpy(head, buf_slice(&c->text).p, n);
    size_t more = in.n < sizeof(head) - n ? in.n : sizeof(head) - n;
    memcpy(head + n, in.p, more);
    n += more;
    const uint8_t *space = memchr(head, ' ', n);
    size_t at = space != NULL ? (size_t)(space - head) : n;
    return n - at >= sizeof(name) - 1 && slice_is_nocase(slice_make(head + at, sizeof(name) - 1), name);
}

/* Takes what there is of a line, CRLF included. */
static enum codec read_line(struct cmd_reader *c, struct slice in, size_t *used, struct cmd *cmd)
{
    const uint8_t *lf = memchr(in.p, '\n', in.n);
    size_t n = lf != NULL ? (size_t)(lf - in.p) + 1 : in.n;
    size_t have = c->text.len - c->literal_bytes;
    size_t most = c->limits.line;
    if (have + n > most + 2 && c->limits.id_line > most && is_id(c, in))
        most = c->limits.id_line;
    if (have + n > most + 2) {
        cmd->too_big = true;
        if (!c->parsed) { /* for the tag */
            buf_put(&c->text, in.p, have < most && n > most - have ? most - have : 0);
            (void)parse_head(c);
        }
        return fail_fatal(c, "Command line too long", cmd);
    }
    buf_put(&c->text, in.p, n);
    *used = n;
    if (lf == NULL)
        return CODEC_MORE;
    if (c->text.len < c->segment + 2 || buf_slice(&c->text).p[c->text.len - 2] != '\r')
        return fail_fatal(c, "Lines end in CRLF", cmd);
    buf_truncate(&c->text, c->text.len - 2);
    return line_done(c, cmd);
}

/* Takes what there is of a literal, to keep it or to drop it. */
static enum codec read_literal(struct cmd_reader *c, struct slice in, size_t *used)
{
    size_t n = in.n < c->left ? in.n : (size_t)c->left;
    if (c->state == ST_LITERAL)
        buf_put(&c->text, in.p, n);
    else if (c->text.len > 0)
        buf_truncate(&c->text, 0);
    *used = n;
    c->left -= n;
    if (c->left == 0) {
        if (c->state == ST_SKIP)
            c->segment = c->literal_bytes = c->tag_n = c->args = 0;
        else
            c->segment = c->text.len;
        c->state = ST_LINE;
    }
    return CODEC_MORE;
}

enum codec imap_cmd_next(struct cmd_reader *c, struct slice in, size_t *used, struct cmd *cmd)
{
    *cmd = (struct cmd){0};
    *used = 0;
    if (c->state == ST_OVER)
        forget(c);
    for (;;) {
        size_t n = 0;
        enum codec r = CODEC_MORE;
        struct slice rest =
            *used < in.n ? slice_make(in.p + *used, in.n - *used) : (struct slice){0};
        if (c->state == ST_MESSAGE)
            return CODEC_MORE;
        if (rest.n == 0 && (c->state == ST_LINE || c->left > 0))
            return CODEC_MORE;
        if (c->state == ST_LINE)
            r = read_line(c, rest, &n, cmd);
        else
            r = read_literal(c, rest, &n);
        *used += n;
        if (r != CODEC_MORE)
            return r;
    }
}

/* What stood before the message is forgotten, its tag and name are kept. */
void imap_cmd_message_done(struct cmd_reader *c)
{
    if (c->state != ST_MESSAGE)
        return;
    size_t head = c->args;
    buf_truncate(&c->text, head);
    c->segment = head;
    c->literal_bytes = 0;
    c->count = 0;
    c->left = 0;
    c->state = ST_LINE;
}

void imap_cmd_refuse(struct cmd_reader *c)
{
    switch (c->state) {
    case ST_MESSAGE:
    case ST_LITERAL:
        c->refuse = true;
        c->state = c->nonsync ? ST_SKIP : ST_OVER;
        break;
    case ST_LINE:
        if (c->text.len > 0)
            c->refuse = true;
        break;
    default:
        break;
    }
}

enum codec imap_line_next(struct slice in, size_t max, struct slice *line, size_t *used)
{
    *line = (struct slice){0};
    *used = 0;
    const uint8_t *lf = in.n > 0 ? memchr(in.p, '\n', in.n) : NULL;
    if (lf == NULL)
        return in.n > max + 1 ? CODEC_BAD : CODEC_MORE;
    size_t n = (size_t)(lf - in.p);
    if (n == 0 || n - 1 > max || in.p[n - 1] != '\r')
        return CODEC_BAD;
    if (memchr(in.p, '\r', n - 1) != NULL || memchr(in.p, 0, n - 1) != NULL)
        return CODEC_BAD;
    *line = slice_make(in.p, n - 1);
    *used = n + 1;
    return CODEC_DONE;
}
