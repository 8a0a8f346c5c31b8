/* vCard 2.1 to 3.0 (RFC 2426): types get their name, quoted-printable becomes UTF-8, base64 is called so, text is escaped. */
#include "config.h"
#include "dav/ical.h"
#include "dav/lines.h"
#include <string.h>

static int hex(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Quoted-printable and the character set; a soft line break is gone already. */
static void decode(struct slice v, bool quoted, bool latin1, struct buf *out)
{
    for (size_t i = 0; i < v.n; i++) {
        uint8_t c = v.p[i];
        if (quoted && c == '=' && i + 2 < v.n && hex(v.p[i + 1]) >= 0 && hex(v.p[i + 2]) >= 0) {
            c = (uint8_t)(hex(v.p[i + 1]) * 16 + hex(v.p[i + 2]));
            i += 2;
        }
        if (latin1 && c >= 0x80) {
            buf_putc(out, (char)(0xc0 | c >> 6));
            buf_putc(out, (char)(0x80 | (c & 0x3f)));
        } else {
            buf_putc(out, (char)c);
        }
    }
}

static bool is_structured(const struct lines *l)
{
    return line_is(l, "N") || line_is(l, "ADR") || line_is(l, "ORG") || line_is(l, "GEO");
}

/* Text of 3.0: commas and line breaks are escaped, semicolons where they divide nothing. */
static void put_text(const struct lines *l, struct slice v, struct buf *out)
{
    for (size_t i = 0; i < v.n; i++) {
        uint8_t c = v.p[i];
        if (c == '\\' && i + 1 < v.n && strchr(";,:\\nN", v.p[i + 1]) != NULL) {
            buf_put(out, v.p + i, 2);
            i++;
        } else if (c == '\r' || c == '\n') {
            buf_puts(out, "\\n");
            i += c == '\r' && i + 1 < v.n && v.p[i + 1] == '\n';
        } else if (c == '\\') {
            buf_puts(out, "\\\\");
        } else if (c == ',' && !line_is(l, "CATEGORIES")) {
            buf_puts(out, "\\,");
        } else if (c == ';' && !is_structured(l)) {
            buf_puts(out, line_is(l, "CATEGORIES") ? "," : "\\;");
        } else {
            buf_putc(out, (char)c);
        }
    }
}

struct card_params {
    bool quoted, base64, latin1, uri;
};

/* Writes those that stay. */
static struct card_params put_params(const struct lines *l, struct buf *out)
{
    struct card_params p = {0};
    struct slice rest = l->params, name, value;
    while (line_param(&rest, &name, &value)) {
        struct slice word = value.n > 0 ? value : name;
        bool encoding = value.n == 0 || slice_is_nocase(name, "ENCODING");
        if (encoding && slice_is_nocase(word, "QUOTED-PRINTABLE")) {
            p.quoted = true;
        } else if (encoding && (slice_is_nocase(word, "BASE64") || slice_is_nocase(word, "B"))) {
            p.base64 = true;
            buf_puts(out, ";ENCODING=b");
        } else if (slice_is_nocase(name, "CHARSET")) {
            p.latin1 = slice_is_nocase(value, "ISO-8859-1") || slice_is_nocase(value, "ISO-8859-15");
        } else if (encoding && (slice_is_nocase(word, "8BIT") || slice_is_nocase(word, "7BIT"))) {
            continue;
        } else {
            p.uri = p.uri || (slice_is_nocase(name, "VALUE") && !slice_is_nocase(value, "TEXT"));
            buf_putc(out, ';');
            buf_put_slice(out, value.n > 0 ? name : SLICE_LIT("TYPE"));
            buf_putc(out, '=');
            buf_put_slice(out, word);
        }
    }
    return p;
}

static void put_line(const struct lines *l, struct slice v, struct buf *out)
{
    struct buf line = {0}, value = {0};
    if (l->group.n > 0) {
        buf_put_slice(&line, l->group);
        buf_putc(&line, '.');
    }
    buf_put_slice(&line, l->name);
    struct card_params p = put_params(l, &line);
    buf_putc(&line, ':');
    if (p.base64) {
        for (size_t i = 0; i < v.n; i++)
            if (v.p[i] > ' ')
                buf_putc(&line, (char)v.p[i]);
    } else {
        decode(v, p.quoted, p.latin1, &value);
        if (p.uri || line_is(l, "URL") || line_is(l, "BEGIN") || line_is(l, "END"))
            buf_put_slice(&line, buf_slice(&value));
        else
            put_text(l, buf_slice(&value), &line);
    }
    line_put(out, buf_slice(&line));
    buf_free(&line);
    buf_free(&value);
}

static bool is_quoted_printable(const struct lines *l)
{
    struct slice rest = l->params, name, value;
    while (line_param(&rest, &name, &value))
        if (slice_is_nocase(value.n > 0 ? value : name, "QUOTED-PRINTABLE"))
            return true;
    return false;
}

/* A soft line break joins the next line as it stands. */
static void join_soft_breaks(struct lines *l, struct buf *value)
{
    buf_put_slice(value, l->value);
    while (value->len > 0 && buf_slice(value).p[value->len - 1] == '=' && l->rest.n > 0) {
        size_t n = 0, end;
        while (n < l->rest.n && l->rest.p[n] != '\r' && l->rest.p[n] != '\n')
            n++;
        end = n < l->rest.n ? (l->rest.p[n] == '\r' && n + 1 < l->rest.n && l->rest.p[n + 1] == '\n' ? 2U : 1U) : 0;
        buf_truncate(value, value->len - 1);
        buf_put(value, l->rest.p, n);
        l->rest = slice_make(l->rest.p + n + end, l->rest.n - n - end);
    }
}

void card_modernise(struct slice body, struct buf *out)
{
    struct lines l = lines_open(body);
    while (lines_next(&l)) {
        struct buf value = {0};
        if (l.text.len == 0 || l.name.n == 0)
            continue;
        if (line_is(&l, "VERSION"))
            buf_puts(&value, "3.0");
        else if (is_quoted_printable(&l))
            join_soft_breaks(&l, &value);
        else
            buf_put_slice(&value, l.value);
        put_line(&l, buf_slice(&value), out);
        buf_free(&value);
    }
    lines_close(&l);
}
