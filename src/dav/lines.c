/* See lines.h. What: a cursor over a body; only one line is unfolded at a time. */
#include "config.h"
#include "dav/lines.h"
#include <string.h>

struct lines lines_open(struct slice body)
{
    return (struct lines){.rest = body};
}

void lines_close(struct lines *l)
{
    buf_free(&l->text);
    *l = (struct lines){0};
}

/* Length of the line up to its end, and of the end itself. A lone CR ends one too. */
static size_t line_length(struct slice s, size_t from, size_t *end)
{
    size_t i = from;
    while (i < s.n && s.p[i] != '\n' && s.p[i] != '\r')
        i++;
    *end = i == s.n ? 0 : s.p[i] == '\r' && i + 1 < s.n && s.p[i + 1] == '\n' ? 2 : 1;
    return i - from;
}

static void split(struct lines *l)
{
    struct slice s = buf_slice(&l->text);
    size_t i = 0;
    bool quoted = false;
    l->group = l->params = l->name = slice_make(s.p, 0);
    l->value = s;
    while (i < s.n && s.p[i] != ';' && s.p[i] != ':')
        i++;
    size_t name_end = i;
    while (i < s.n && (quoted || s.p[i] != ':')) {
        quoted = s.p[i] == '"' ? !quoted : quoted;
        i++;
    }
    if (i == s.n)
        return;
    l->params = slice_make(s.p + name_end, i - name_end);
    l->value = slice_make(s.p + i + 1, s.n - i - 1);
    size_t dot = name_end;
    for (size_t k = 0; k < name_end; k++)
        if (s.p[k] == '.')
            dot = k;
    if (dot < name_end) {
        l->group = slice_make(s.p, dot);
        l->name = slice_make(s.p + dot + 1, name_end - dot - 1);
    } else {
        l->name = slice_make(s.p, name_end);
    }
}

bool lines_next(struct lines *l)
{
    size_t at = 0, end;
    if (l->rest.n == 0)
        return false;
    buf_clear(&l->text);
    for (;;) {
        size_t n = line_length(l->rest, at, &end);
        buf_put(&l->text, l->rest.p + at, n);
        at += n + end;
        if (end == 0 || at >= l->rest.n || (l->rest.p[at] != ' ' && l->rest.p[at] != '\t'))
            break;
        at++; /* the fold */
    }
    l->raw = slice_make(l->rest.p, at);
    l->rest = slice_make(l->rest.p + at, l->rest.n - at);
    split(l);
    return true;
}

bool line_is(const struct lines *l, const char *name)
{
    return slice_is_nocase(l->name, name);
}

static struct slice trimmed(struct slice v)
{
    while (v.n > 0 && (v.p[v.n - 1] == ' ' || v.p[v.n - 1] == '\t'))
        v.n--;
    return v;
}

bool line_begins(const struct lines *l, const char *what)
{
    return line_is(l, "BEGIN") && (what == NULL || slice_is_nocase(trimmed(l->value), what));
}

bool line_ends(const struct lines *l, const char *what)
{
    return line_is(l, "END") && (what == NULL || slice_is_nocase(trimmed(l->value), what));
}

bool line_param(struct slice *params, struct slice *name, struct slice *value)
{
    size_t i = 1, eq = 0;
    bool quoted = false;
    if (params->n < 2)
        return false;
    for (; i < params->n && (quoted || params->p[i] != ';'); i++) {
        quoted = params->p[i] == '"' ? !quoted : quoted;
        if (params->p[i] == '=' && eq == 0)
            eq = i;
    }
    *name = slice_make(params->p + 1, (eq != 0 ? eq : i) - 1);
    *value = eq != 0 ? slice_make(params->p + eq + 1, i - eq - 1) : slice_make(params->p + i, 0);
    *params = slice_make(params->p + i, params->n - i);
    return true;
}

struct slice line_param_of(const struct lines *l, const char *want)
{
    struct slice rest = l->params, name, value;
    while (line_param(&rest, &name, &value)) {
        if (!slice_is_nocase(name, want))
            continue;
        if (value.n >= 2 && value.p[0] == '"' && value.p[value.n - 1] == '"')
            return slice_make(value.p + 1, value.n - 2);
        return value;
    }
    return slice_make(NULL, 0);
}

void line_put(struct buf *out, struct slice s)
{
    size_t room = 75;
    while (s.n > room) {
        size_t n = room;
        while (n > 1 && (s.p[n] & 0xc0) == 0x80) /* not within a character */
            n--;
        buf_put(out, s.p, n);
        buf_puts(out, "\r\n ");
        s = slice_make(s.p + n, s.n - n);
        room = 74;
    }
    buf_put_slice(out, s);
    buf_puts(out, "\r\n");
}
