/* The log. What: one line per event, built whole and written with one write(2), so that lines of
 * several threads never mix. Why escaping here and nowhere else: whoever logs hands over a peer's
 * bytes as they are. Rejected: syslog(3) (no fields; systemd takes standard error), stdio (buffers,
 * and splits long lines). */
#include "config.h"
#include "wherry/base/log.h"
#include "wherry/base/clock.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOG_LINE_MAX 4096u  /* with the newline; no more than PIPE_BUF, so a pipe takes it whole */
#define LOG_VALUE_MAX 1024u /* after escaping */
#define LOG_TAIL 24u        /* room for the mark of a cut line and its end */
#define LOG_CUT "\xe2\x80\xa6" /* an ellipsis ends a value that was cut */

static const char *const level_names[] = {"debug", "info", "warn", "error"};

struct log_field log_v(const char *name, struct slice value)
{
    return (struct log_field){.name = name, .type = LOG_SLICE, .s = value};
}

struct log_field log_s(const char *name, const char *value)
{
    return (struct log_field){.name = name, .type = LOG_STR, .s = slice_str(value)};
}

struct log_field log_n(const char *name, int64_t value)
{
    return (struct log_field){.name = name, .type = LOG_NUM, .n = value};
}

struct log_field log_d(const char *name, double value)
{
    return (struct log_field){.name = name, .type = LOG_REAL, .d = value};
}

struct log_field log_e(const struct err *e)
{
    return log_s("reason", e == NULL ? NULL : e->text);
}

/*
 * One character of UTF-8 (RFC 3629: no overlong forms, no surrogates). Returns its length and sets
 * *cp; 0 when the bytes at p are not one.
 */
static size_t utf8_char(const uint8_t *p, size_t n, uint32_t *cp)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (p[0] < 0x80) {
        *cp = p[0];
        return 1;
    }
    size_t len = (p[0] & 0xe0) == 0xc0   ? 2
                 : (p[0] & 0xf0) == 0xe0 ? 3
                 : (p[0] & 0xf8) == 0xf0 ? 4
                                         : 0;
    if (len == 0 || len > n)
        return 0;
    uint32_t c = p[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3fu);
    }
    if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *cp = c;
    return len;
}

/* Characters that end a line, steer a terminal or turn the direction of writing. */
static bool is_control(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x61c || (c >= 0x200e && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

/* Writes the escaped form of the character at p into esc (at most 8 bytes); returns the bytes read.
 */
static size_t escape_char(const uint8_t *p, size_t n, enum log_format format, char esc[9],
                          size_t *len)
{
    uint32_t c = 0;
    size_t took = utf8_char(p, n, &c);
    int w;
    if (took == 0) {
        /* JSON cannot hold a byte that is not UTF-8: U+FFFD stands for it. */
        w = format == LOG_JSON ? snprintf(esc, 9, "\\ufffd") : snprintf(esc, 9, "\\x%02x", p[0]);
        took = 1;
    } else if (c == '"' || c == '\\') {
        w = snprintf(esc, 9, "\\%c", (char)c);
    } else if (c == '\n' || c == '\r' || c == '\t') {
        w = snprintf(esc, 9, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
    } else if (is_control(c)) {
        w = snprintf(esc, 9, "\\u%04x", c & 0xffffu);
    } else {
        memcpy(esc, p, took);
        w = (int)took;
    }
    *len = (size_t)w;
    return took;
}

static void put_quoted(struct buf *out, struct slice v, enum log_format format, size_t room)
{
    size_t cut = sizeof(LOG_CUT) - 1, used = 0, mark_at = 0;
    size_t start = out->len + 1;
    buf_putc(out, '"');
    for (size_t i = 0; i < v.n;) {
        char esc[9];
        size_t len;
        size_t took = escape_char(v.p + i, v.n - i, format, esc, &len);
        if (used + len > room) {
            buf_truncate(out, start + mark_at);
            buf_puts(out, LOG_CUT);
            break;
        }
        buf_put(out, esc, len);
        used += len;
        i += took;
        if (used + cut <= room)
            mark_at = used; /* the last place where the ellipsis still fits */
    }
    buf_putc(out, '"');
}

/* logfmt: a value goes without quotes only if it holds nothing but plain printing characters. */
static bool is_plain(struct slice v)
{
    if (v.n == 0)
        return false;
    for (size_t i = 0; i < v.n; i++) {
        if (v.p[i] <= ' ' || v.p[i] >= 0x7f || v.p[i] == '"' || v.p[i] == '=' || v.p[i] == '\\')
            return false;
    }
    return true;
}

static void put_name(struct buf *out, enum log_format format, const char *name)
{
    if (out->len > 0 && !(format == LOG_JSON && out->len == 1))
        buf_putc(out, format == LOG_JSON ? ',' : ' ');
    if (format == LOG_JSON)
        buf_putc(out, '"');
    for (size_t i = 0; name[i] != '\0' && i < 64; i++) {
        char c = name[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '-' || c == '.';
        buf_putc(out, ok ? c : '_');
    }
    buf_puts(out, format == LOG_JSON ? "\":" : "=");
}

static void put_value(struct buf *out, enum log_format format, const struct log_field *f,
                      size_t room)
{
    switch (f->type) {
    case LOG_NUM:
        buf_printf(out, "%lld", (long long)f->n);
        return;
    case LOG_REAL:
        if (isfinite(f->d) && fabs(f->d) < 1e15)
            buf_printf(out, "%.3f", f->d);
        else if (isfinite(f->d))
            buf_printf(out, "%.6g", f->d);
        else
            buf_puts(out, format == LOG_JSON ? "null" : "nan");
        return;
    case LOG_STR:
    case LOG_SLICE:
        if (format == LOG_LOGFMT && f->s.n <= room && is_plain(f->s))
            buf_put_slice(out, f->s);
        else
            put_quoted(out, f->s, format, room);
        return;
    }
}

/* False when the line has no room left for it. */
static bool put_field(struct buf *out, enum log_format format, const struct log_field *f)
{
    if (f->name == NULL || f->name[0] == '\0')
        return true;
    if ((f->type == LOG_STR || f->type == LOG_SLICE) && f->s.p == NULL)
        return true;
    /* Name with its marks (at most 68), a number (at most 24) or two quotes and some text. */
    size_t least = 68 + 32;
    if (out->len + least + LOG_TAIL > LOG_LINE_MAX)
        return false;
    put_name(out, format, f->name);
    size_t room = LOG_LINE_MAX - LOG_TAIL - 2 - out->len;
    put_value(out, format, f, room < LOG_VALUE_MAX ? room : LOG_VALUE_MAX);
    return true;
}

static void put_time(struct buf *out, enum log_format format, int64_t now_us)
{
    int64_t sec = now_us / 1000000, us = now_us % 1000000;
    if (us < 0) {
        us += 1000000;
        sec--;
    }
    time_t t = (time_t)sec;
    struct tm tm = {0};
    gmtime_r(&t, &tm);
    char text[80];
    snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", tm.tm_year + 1900,
             tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)us);
    struct log_field f = log_s("ts", text);
    put_field(out, format, &f);
}

void log_format_line(struct buf *out, enum log_format format, int64_t now_us, enum log_level level,
                     const char *event, const struct log_field *f, size_t n)
{
    struct buf line = {0};
    if (format == LOG_JSON)
        buf_putc(&line, '{');
    put_time(&line, format, now_us);
    const struct log_field head[] = {
        log_s("level", level_names[level <= LOG_ERROR ? level : LOG_ERROR]), log_s("event", event)};
    put_field(&line, format, &head[0]);
    put_field(&line, format, &head[1]);
    bool whole = true;
    for (size_t i = 0; i < n && whole; i++)
        whole = put_field(&line, format, &f[i]);
    if (!whole) {
        put_name(&line, format, "truncated");
        buf_putc(&line, '1');
    }
    buf_puts(&line, format == LOG_JSON ? "}\n" : "\n");
    buf_put_slice(out, buf_slice(&line));
    buf_free(&line);
}

void log_fields(struct log *l, enum log_level level, const char *event, const struct log_field *f,
                size_t n)
{
    if (l == NULL)
        return;
    l->troubles += level >= LOG_WARN;
    if (level < l->level)
        return;
    struct buf line = {0};
    log_format_line(&line, l->format, clock_real_us(), level, event, f, n);
    struct slice s = buf_slice(&line);
    int saved = errno; /* callers may log between a failure and its report */
    ssize_t w;
    do
        w = write(l->fd, s.p, s.n);
    while (w < 0 && errno == EINTR);
    errno = saved;
    if (w != (ssize_t)s.n)
        l->dropped++;
    buf_free(&line);
}
