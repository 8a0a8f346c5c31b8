/*
 * Lines and commands of clients. See cmd.h.
 *
 * Parameters are kept as they are written: what they mean is the new host's matter, and what is not
 * read here cannot be read differently from there. Rejected: forgiving a bare LF as many servers
 * do, which is what smuggling lives on.
 */
#include "config.h"
#include "wherry/smtp/cmd.h"
#include <string.h>

enum codec smtp_line_next(struct slice in, size_t max, struct slice *line, size_t *used)
{
    *line = slice_make(NULL, 0);
    *used = 0;
    size_t look = in.n < max ? in.n : max;
    const uint8_t *lf = look == 0 ? NULL : memchr(in.p, '\n', look);
    size_t n = lf == NULL ? look : (size_t)(lf - in.p) + 1;
    const uint8_t *cr = n == 0 ? NULL : memchr(in.p, '\r', n);
    if (n > 0 && memchr(in.p, '\0', n) != NULL)
        return CODEC_BAD;
    if (lf == NULL) /* a CR is fine as the last byte seen so far */
        return look == max || (cr != NULL && cr != in.p + n - 1) ? CODEC_BAD : CODEC_MORE;
    if (cr == NULL || cr + 1 != lf)
        return CODEC_BAD;
    *line = slice_make(in.p, n - 2);
    *used = n;
    return CODEC_DONE;
}

static const struct {
    const char *name;
    enum smtp_verb verb;
    size_t max;
} verbs[] = {
    {"AUTH", SMTP_AUTH, SMTP_MAX_AUTH},
    {"BDAT", SMTP_BDAT, SMTP_MAX_COMMAND},
    {"DATA", SMTP_DATA, SMTP_MAX_COMMAND},
    {"EHLO", SMTP_EHLO, SMTP_MAX_COMMAND},
    {"EXPN", SMTP_EXPN, SMTP_MAX_COMMAND},
    {"HELO", SMTP_HELO, SMTP_MAX_COMMAND},
    {"HELP", SMTP_HELP, SMTP_MAX_COMMAND},
    {"MAIL", SMTP_MAIL, SMTP_MAX_PATH_COMMAND},
    {"NOOP", SMTP_NOOP, SMTP_MAX_COMMAND},
    {"QUIT", SMTP_QUIT, SMTP_MAX_COMMAND},
    {"RCPT", SMTP_RCPT, SMTP_MAX_PATH_COMMAND},
    {"RSET", SMTP_RSET, SMTP_MAX_COMMAND},
    {"STARTTLS", SMTP_STARTTLS, SMTP_MAX_COMMAND},
    {"VRFY", SMTP_VRFY, SMTP_MAX_COMMAND},
};

static bool blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static struct slice skip_blanks(struct slice s)
{
    while (s.n > 0 && blank(s.p[0]))
        s = slice_make(s.p + 1, s.n - 1);
    return s;
}

static struct slice cut_blanks(struct slice s)
{
    while (s.n > 0 && blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

/* Up to the next blank; *rest is what follows. */
static struct slice word(struct slice *rest)
{
    struct slice s = skip_blanks(*rest);
    size_t n = 0;
    while (n < s.n && !blank(s.p[n]))
        n++;
    *rest = slice_make(s.p + n, s.n - n);
    return slice_make(s.p, n);
}

static bool controls(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((s.p[i] < ' ' && s.p[i] != '\t') || s.p[i] == 0x7f)
            return true;
    return false;
}

/* The length of "<…>" at the front, 0 when it is none. A '>' within a quoted local part does not
 * end it. */
static size_t path_length(struct slice s)
{
    bool quoted = false;
    if (s.n == 0 || s.p[0] != '<')
        return 0;
    for (size_t i = 1; i < s.n; i++) {
        if (quoted && s.p[i] == '\\')
            i++;
        else if (s.p[i] == '"')
            quoted = !quoted;
        else if (!quoted && s.p[i] == '>')
            return i + 1;
        else if (s.p[i] == '<' || (!quoted && blank(s.p[i])))
            return 0;
    }
    return 0;
}

/* "FROM:" or "TO:", a path, parameters. A blank behind the colon is common and harmless. */
static void parse_path(struct smtp_cmd *c, const char *label)
{
    struct slice s = c->args, key, value, rest;
    size_t n = strlen(label);
    c->fault = SMTP_BAD_ARGS;
    if (s.n < n || !slice_is_nocase(slice_make(s.p, n), label))
        return;
    s = skip_blanks(slice_make(s.p + n, s.n - n));
    n = path_length(s);
    if (n == 0 || (n < s.n && !blank(s.p[n])))
        return;
    c->path = slice_make(s.p, n);
    c->params = skip_blanks(slice_make(s.p + n, s.n - n));
    rest = c->params;
    while (rest.n > 0)
        if (!smtp_param_next(&rest, &key, &value))
            return;
    c->fault = SMTP_FINE;
}

static void parse_bdat(struct smtp_cmd *c)
{
    struct slice rest = c->args, size = word(&rest), last = word(&rest);
    bool known = last.n == 0 || slice_is_nocase(last, "LAST");
    if (slice_u64(size, &c->size) != 0 || c->size > INT64_MAX || !known ||
        skip_blanks(rest).n > 0) {
        c->size = 0;
        c->fault = SMTP_BAD_ARGS;
        return;
    }
    c->last = last.n > 0;
}

static void parse_args(struct smtp_cmd *c)
{
    switch (c->verb) {
    case SMTP_MAIL:
        parse_path(c, "FROM:");
        break;
    case SMTP_RCPT:
        parse_path(c, "TO:");
        break;
    case SMTP_BDAT:
        parse_bdat(c);
        break;
    case SMTP_EHLO:
    case SMTP_HELO:
    case SMTP_VRFY:
    case SMTP_EXPN:
    case SMTP_AUTH:
        if (c->args.n == 0)
            c->fault = SMTP_BAD_ARGS;
        break;
    case SMTP_DATA:
    case SMTP_RSET:
    case SMTP_QUIT:
    case SMTP_STARTTLS:
        if (c->args.n > 0)
            c->fault = SMTP_BAD_ARGS;
        break;
    default:
        break;
    }
}

void smtp_cmd_parse(struct slice line, struct smtp_cmd *out)
{
    struct slice rest = line;
    size_t max = SMTP_MAX_COMMAND;
    *out = (struct smtp_cmd){0};
    size_t n = 0;
    while (n < line.n && !blank(line.p[n]))
        n++;
    struct slice name = slice_make(line.p, n);
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (slice_is_nocase(name, verbs[i].name)) {
            out->verb = verbs[i].verb;
            max = verbs[i].max;
        }
    }
    rest = slice_make(line.p + n, line.n - n);
    out->args = cut_blanks(skip_blanks(rest));
    if (line.n + 2 > max)
        out->fault = SMTP_TOO_LONG;
    else if (controls(line))
        out->fault = SMTP_BAD_ARGS;
    else
        parse_args(out);
    if (out->fault != SMTP_FINE) {
        out->path = out->params = slice_make(NULL, 0);
    }
}

bool smtp_param_next(struct slice *rest, struct slice *key, struct slice *value)
{
    struct slice w = word(rest);
    const uint8_t *eq = w.n == 0 ? NULL : memchr(w.p, '=', w.n);
    *key = eq == NULL ? w : slice_make(w.p, (size_t)(eq - w.p));
    *value = eq == NULL ? slice_make(NULL, 0) : slice_make(eq + 1, w.n - key->n - 1);
    return key->n > 0;
}

void smtp_xtext_put(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (c <= ' ' || c > '~' || c == '+' || c == '=')
            buf_printf(out, "+%02X", (unsigned)c);
        else
            buf_putc(out, (char)c);
    }
}
