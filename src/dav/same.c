/* Whether two bodies mean the same: both are brought into one form, and the texts compared. */
#include "config.h"
#include "dav/ical.h"
#include "dav/lines.h"
#include "wherry/base/mem.h"
#include "wherry/dav/item.h"
#include <stdlib.h>
#include <string.h>

enum { NESTING_MAX = 8, PARAMS_MAX = 64 };

void texts_add(struct texts *t, struct buf *text)
{
    if ((t->n & (t->n - 1)) == 0) /* a power of two: full */
        t->v = mem_grow(t->v, t->n > 0 ? 2 * t->n : 1, sizeof(*t->v));
    t->v[t->n++] = slice_dup(buf_slice(text));
    buf_free(text);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void texts_put(struct texts *t, struct buf *out)
{
    if (t->n > 0)
        qsort(t->v, t->n, sizeof(*t->v), by_text);
    for (size_t i = 0; i < t->n; i++) {
        buf_puts(out, t->v[i]);
        buf_putc(out, '\n');
        free(t->v[i]);
    }
    free(t->v);
    *t = (struct texts){0};
}

bool zone_is_known(struct slice tzid)
{
    static const char *const areas[] = {"Africa/", "America/",   "Antarctica/", "Arctic/", "Asia/", "Atlantic/",
                                        "Europe/", "Australia/", "Indian/",     "Pacific/", "Etc/"};
    for (size_t i = 0; i < sizeof(areas) / sizeof(areas[0]); i++)
        if (slice_starts(tzid, slice_str(areas[i])))
            return tzid.n < 64 && memchr(tzid.p, '.', tzid.n) == NULL;
    return slice_is(tzid, "UTC") || slice_is(tzid, "GMT");
}

static void put_upper(struct buf *out, struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        buf_putc(out, (char)(s.p[i] >= 'a' && s.p[i] <= 'z' ? s.p[i] - ('a' - 'A') : s.p[i]));
}

/* The type that the value has anyhow. */
static bool is_default_type(struct slice name, struct slice value)
{
    static const char *const date_times[] = {"DTSTART", "DTEND", "DUE", "EXDATE", "RDATE", "RECURRENCE-ID", "DTSTAMP",
                                             "CREATED", "LAST-MODIFIED", "COMPLETED"};
    if (slice_is_nocase(value, "TEXT"))
        return true;
    for (size_t i = 0; i < sizeof(date_times) / sizeof(date_times[0]); i++)
        if (slice_is_nocase(name, date_times[i]))
            return slice_is_nocase(value, "DATE-TIME");
    if (slice_is_nocase(name, "TRIGGER") || slice_is_nocase(name, "DURATION"))
        return slice_is_nocase(value, "DURATION");
    return slice_is_nocase(value, slice_is_nocase(name, "RRULE") ? "RECUR" : "CAL-ADDRESS") ||
           (slice_is_nocase(value, "URI") && slice_is_nocase(name, "URL"));
}

/* One parameter for each value: TYPE=a,b is TYPE=a;TYPE=b. */
static void add_params(struct texts *t, struct slice prop, struct slice name, struct slice value, bool card)
{
    size_t from = 0;
    bool quoted = false, list = !card || slice_is_nocase(name, "TYPE");
    if (!card && slice_is_nocase(name, "VALUE") && is_default_type(prop, value))
        return;
    for (size_t i = 0; i <= value.n; i++) {
        if (i < value.n && value.p[i] == '"')
            quoted = !quoted;
        if (i < value.n && (quoted || value.p[i] != ',' || !list))
            continue;
        struct slice one = slice_make(value.p + from, i - from);
        struct buf text = {0};
        if (one.n >= 2 && one.p[0] == '"' && one.p[one.n - 1] == '"')
            one = slice_make(one.p + 1, one.n - 2);
        put_upper(&text, name.n > 0 ? name : SLICE_LIT("TYPE"));
        buf_putc(&text, '=');
        if (slice_is_nocase(name, "TYPE") || slice_is_nocase(name, "VALUE") || slice_is_nocase(name, "ENCODING"))
            put_upper(&text, one);
        else
            buf_put_slice(&text, one);
        if (t->n < PARAMS_MAX)
            texts_add(t, &text);
        buf_free(&text);
        from = i + 1;
    }
}

static bool value_is_uri(struct slice name)
{
    static const char *const names[] = {"ORGANIZER", "ATTENDEE"};
    for (size_t i = 0; i < 2; i++)
        if (slice_is_nocase(name, names[i]))
            return true;
    return false;
}

/* Escapes that are optional, and blanks in base64, do not count. */
static void put_value(struct buf *out, struct slice name, struct slice v, bool base64)
{
    size_t i = 0;
    if (value_is_uri(name) && v.n > 7 && slice_is_nocase(slice_make(v.p, 7), "mailto:")) {
        buf_puts(out, "mailto:");
        i = 7;
    }
    for (; i < v.n; i++) {
        if (base64 && (v.p[i] == ' ' || v.p[i] == '\t'))
            continue;
        if (v.p[i] == '\\' && i + 1 < v.n && (v.p[i + 1] == ':' || v.p[i + 1] == '"'))
            continue;
        if (v.p[i] == '\\' && i + 1 < v.n && v.p[i + 1] == 'N') {
            buf_puts(out, "\\n");
            i++;
        } else if (v.p[i] == '\\' && i + 1 < v.n) {
            buf_put(out, v.p + i, 2);
            i++;
        } else {
            buf_putc(out, (char)v.p[i]);
        }
    }
}

void line_canon(struct slice group, struct slice name, struct slice params, struct slice value, bool card, struct buf *out)
{
    struct slice pname, pvalue;
    struct texts t = {0};
    bool base64 = false;
    put_upper(out, group);
    buf_putc(out, '.');
    put_upper(out, name);
    while (line_param(&params, &pname, &pvalue)) {
        bool encoding = slice_is_nocase(pname, "ENCODING");
        base64 = base64 || (encoding && (slice_is_nocase(pvalue, "b") || slice_is_nocase(pvalue, "base64")));
        if (pvalue.n == 0 && !card)
            continue;
        if (pvalue.n == 0) { /* a bare word */
            add_params(&t, name, SLICE_LIT("TYPE"), pname, card);
            continue;
        }
        add_params(&t, name, pname, encoding && base64 ? SLICE_LIT("B") : pvalue, card);
    }
    texts_put(&t, out);
    buf_putc(out, ':');
    put_value(out, name, value, base64);
}

/* ---- by their lines alone ---- */

struct level {
    struct texts t;
    struct buf begin;
    bool zone; /* a definition of a well-known time zone: left out */
};

static bool counts(const struct lines *l, bool cards)
{
    if (line_is(l, "PRODID") || line_is(l, "VERSION"))
        return false;
    return cards ? !line_is(l, "REV") : !(line_is(l, "CALSCALE") && slice_is_nocase(l->value, "GREGORIAN"));
}

static void close_level(struct level *levels, unsigned *depth, struct buf *out)
{
    struct level *v = &levels[--*depth];
    struct buf text = {0};
    buf_put_slice(&text, buf_slice(&v->begin));
    texts_put(&v->t, &text);
    buf_puts(&text, "END");
    buf_free(&v->begin);
    if (v->zone) {
        buf_free(&text);
    } else if (*depth > 0) {
        texts_add(&levels[*depth - 1].t, &text);
    } else {
        buf_put_slice(out, buf_slice(&text));
        buf_putc(out, '\n');
        buf_free(&text);
    }
    *v = (struct level){0};
}

void lines_canon(struct slice body, bool cards, struct buf *out)
{
    struct level levels[NESTING_MAX] = {{{0}, {0}, false}};
    unsigned depth = 0;
    struct lines l = lines_open(body);
    while (lines_next(&l)) {
        struct buf text = {0};
        if (line_begins(&l, NULL) && depth < NESTING_MAX) {
            levels[depth] = (struct level){0};
            buf_puts(&levels[depth].begin, "BEGIN:");
            put_upper(&levels[depth++].begin, l.value);
            buf_putc(&levels[depth - 1].begin, '\n');
            continue;
        }
        if (line_ends(&l, NULL) && depth > 0) {
            close_level(levels, &depth, out);
            continue;
        }
        if (l.text.len == 0 || !counts(&l, cards))
            continue;
        line_canon(l.group, l.name, l.params, l.value, cards, &text);
        if (depth > 0) {
            bool zone = !cards && line_is(&l, "TZID") && zone_is_known(l.value);
            levels[depth - 1].zone = levels[depth - 1].zone || zone;
            texts_add(&levels[depth - 1].t, &text);
        } else {
            buf_put_slice(out, buf_slice(&text));
            buf_putc(out, '\n');
        }
        buf_free(&text);
    }
    while (depth > 0)
        close_level(levels, &depth, out);
    lines_close(&l);
}

static void canon(struct slice body, bool card, bool by_lines, struct buf *out)
{
    if (card || by_lines || !ical_canon(body, out))
        lines_canon(body, card, out);
}

bool item_same(struct slice a, struct slice b, bool card)
{
    struct buf x = {0}, y = {0};
    bool same = slice_eq(a, b);
    for (int by_lines = card ? 1 : 0; by_lines < 2 && !same; by_lines++) {
        buf_clear(&x);
        buf_clear(&y);
        canon(a, card, by_lines != 0, &x);
        canon(b, card, by_lines != 0, &y);
        same = x.len > 0 && slice_eq(buf_slice(&x), buf_slice(&y));
    }
    buf_free(&x);
    buf_free(&y);
    return same;
}
