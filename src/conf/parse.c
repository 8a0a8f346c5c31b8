/*
 * From the text of the file to a list of values with their lines, by libconfuse.
 *
 * libconfuse 3.3 counts a line that ends in a comment twice, takes the end of the file inside a
 * section for granted, and ends the process when it cannot read; so the file is read elsewhere and
 * looked over here first: comments become blanks, and what is left open is an error with the line
 * where it began. Values are taken as text in a callback, and go through the table afterwards, so
 * that one wrong value does not hide the next.
 */
#include "config.h"
#include "conf_internal.h"
#include <confuse.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 8, MAX_GIVEN = 10000 };

/* libconfuse's callbacks come without an argument of ours; this lives only while conf_parse_text
 * runs. */
static _Thread_local struct conf_parse *parsing;

/* ---- looking over the text ---- */

struct scan {
    struct conf_parse *parse;
    char *p, *end;
    unsigned line;
    unsigned depth, opened[MAX_DEPTH];
    bool in_word;
};

/* p is on the quote; afterwards behind the closing one. */
static bool scan_string(struct scan *s)
{
    char quote = *s->p++;
    unsigned began = s->line;
    for (; s->p < s->end && *s->p != quote; s->p++) {
        if (*s->p == '\\' && s->p + 1 < s->end)
            s->p++;
        if (*s->p == '\n')
            s->line++;
    }
    if (s->p >= s->end) {
        conf_error(s->parse, began, "the string that begins here does not end");
        return false;
    }
    s->p++;
    return true;
}

/* Blanks out up to, not including, stop or the end of the file. */
static void blank_until(struct scan *s, const char *stop)
{
    size_t n = strlen(stop);
    while (s->p < s->end && ((size_t)(s->end - s->p) < n || memcmp(s->p, stop, n) != 0)) {
        if (*s->p == '\n')
            s->line++;
        else
            *s->p = ' ';
        s->p++;
    }
}

/* False: not a comment, or one that does not end. */
static bool scan_comment(struct scan *s, bool *failed)
{
    bool two = s->p + 1 < s->end;
    if (s->in_word)
        return false;
    if (*s->p == '#' || (two && s->p[0] == '/' && s->p[1] == '/')) {
        blank_until(s, "\n");
        return true;
    }
    if (!two || s->p[0] != '/' || s->p[1] != '*')
        return false;
    unsigned began = s->line;
    s->p[1] = ' '; /* so that it is not part of its own end */
    blank_until(s, "*/");
    if (s->p >= s->end) {
        conf_error(s->parse, began, "the comment that begins here does not end");
        *failed = true;
        return false;
    }
    s->p[0] = s->p[1] = ' ';
    s->p += 2;
    return true;
}

static bool scan_brace(struct scan *s)
{
    if (*s->p == '{') {
        if (s->depth == MAX_DEPTH) {
            conf_error(s->parse, s->line, "too many braces inside one another");
            return false;
        }
        s->opened[s->depth++] = s->line;
    } else if (s->depth == 0) {
        conf_error(s->parse, s->line, "this closing brace closes nothing");
        return false;
    } else {
        s->depth--;
    }
    return true;
}

/* One character outside strings and comments. */
static bool scan_plain(struct scan *s)
{
    char c = *s->p;
    if (c == '\n')
        s->line++;
    if (c == '\r')
        *s->p = ' ';
    if ((unsigned char)c < ' ' && strchr("\n\r\t", c) == NULL) {
        conf_error(s->parse, s->line, "control character in the file");
        return false;
    }
    if ((c == '{' || c == '}') && !scan_brace(s))
        return false;
    s->in_word = strchr(" \t\r\n={}()+,", c) == NULL;
    s->p++;
    return true;
}

static bool look_over(struct conf_parse *p, struct buf *text)
{
    struct scan s = {.parse = p, .p = (char *)text->mem + text->off, .line = 1};
    bool failed = false;
    s.end = s.p + text->len;
    if (text->len >= 3 && memcmp(s.p, "\xef\xbb\xbf", 3) == 0)
        memset(s.p, ' ', 3);
    if (memchr(s.p, 0, text->len) != NULL) {
        conf_error(p, 0, "is not a text file");
        return false;
    }
    while (s.p < s.end) {
        bool ok = true;
        if (*s.p == '"' || *s.p == '\'') {
            ok = scan_string(&s);
            s.in_word = false;
        } else if (!scan_comment(&s, &failed)) {
            ok = !failed && scan_plain(&s);
        }
        if (!ok)
            return false;
    }
    if (s.depth > 0) {
        conf_error(p, s.opened[s.depth - 1], "the brace that is opened here is not closed");
        return false;
    }
    return true;
}

/* ---- libconfuse ---- */

static int on_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
    struct conf_parse *p = parsing;
    *(const char **)result = value; /* libconfuse keeps a copy, of which no use is made */
    if (p->n_given == MAX_GIVEN) {
        cfg_error(cfg, "too many settings");
        return -1;
    }
    p->given = mem_grow(p->given, p->n_given + 1, sizeof(*p->given));
    p->given[p->n_given++] = (struct conf_given){
        .row = (unsigned)opt->def.number, .line = (unsigned)cfg->line, .text = mem_strdup(value)};
    return 0;
}

__attribute__((format(printf, 2, 0))) static void on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
    struct buf text = {0};
    buf_vprintf(&text, fmt, ap);
    parsing->stopped = true;
    conf_error(parsing, cfg != NULL && cfg->line > 0 ? (unsigned)cfg->line : 0, "%s",
               buf_cstr(&text));
    buf_free(&text);
}

static void free_options(cfg_opt_t *opts)
{
    for (cfg_opt_t *o = opts; o->name != NULL; o++) {
        if (o->type == CFGT_SEC) {
            free_options(o->subopts);
            free((void *)(uintptr_t)o->name);
        }
    }
    free(opts);
}

/*
 * libconfuse's options for the rows first to end, all below one section whose path takes `skip`
 * characters. The number of the row travels in the default number, which an option of type string
 * has no other use for.
 */
static cfg_opt_t *make_options(const struct conf_option *t, unsigned first, unsigned end,
                               size_t skip)
{
    cfg_opt_t *opts = mem_array(end - first + 1, sizeof(*opts));
    cfg_opt_t *o = opts;
    for (unsigned i = first; i < end; o++) {
        const char *name = t[i].path + skip;
        const char *dot = strchr(name, '.');
        o->flags = CFGF_NODEFAULT;
        if (dot == NULL) {
            o->name = name;
            o->type = CFGT_STR;
            o->parsecb = on_value;
            o->def.number = i;
            if (conf_is_list(&t[i]))
                o->flags |= CFGF_LIST;
            i++;
            continue;
        }
        size_t n = (size_t)(dot - t[i].path) + 1;
        unsigned from = i;
        while (i < end && strncmp(t[i].path, t[from].path, n) == 0)
            i++;
        o->name = slice_dup(slice_make(name, (size_t)(dot - name)));
        o->type = CFGT_SEC;
        o->subopts = make_options(t, from, i, n);
    }
    return opts;
}

void conf_parse_text(struct conf_parse *p, struct buf *text)
{
    if (text->len == 0 || !look_over(p, text)) {
        p->stopped = text->len > 0;
        return;
    }
    unsigned n;
    const struct conf_option *t = conf_table(&n);
    cfg_opt_t *opts = make_options(t, 0, n, 0);
    cfg_t *cfg = cfg_init(opts, CFGF_NONE);
    if (cfg == NULL)
        abort(); /* out of memory */
    cfg_set_error_function(cfg, on_error);
    parsing = p;
    if (cfg_parse_buf(cfg, buf_cstr(text)) != CFG_SUCCESS && !p->stopped) {
        p->stopped = true;
        conf_error(p, cfg->line > 0 ? (unsigned)cfg->line : 0, "cannot be parsed");
    }
    parsing = NULL;
    cfg_free(cfg);
    free_options(opts);
}

void conf_parse_clear(struct conf_parse *p)
{
    for (unsigned i = 0; i < p->n_given; i++)
        free(p->given[i].text);
    free(p->given);
    p->given = NULL;
    p->n_given = 0;
}
