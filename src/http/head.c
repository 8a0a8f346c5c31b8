/* What clients are answered with, and entity tags in what they ask. See head.h. */
#include "config.h"
#include "wherry/http/head.h"
#include <string.h>
#include <time.h>

static const struct {
    unsigned status;
    const char *text;
} reasons[] = {
    {100, "Continue"}, {200, "OK"}, {201, "Created"}, {202, "Accepted"}, {204, "No Content"},
    {205, "Reset Content"}, {206, "Partial Content"}, {207, "Multi-Status"}, {208, "Already Reported"},
    {300, "Multiple Choices"}, {301, "Moved Permanently"}, {302, "Found"}, {303, "See Other"},
    {304, "Not Modified"}, {307, "Temporary Redirect"}, {308, "Permanent Redirect"}, {400, "Bad Request"},
    {401, "Unauthorized"}, {402, "Payment Required"}, {403, "Forbidden"}, {404, "Not Found"},
    {405, "Method Not Allowed"}, {406, "Not Acceptable"}, {408, "Request Timeout"}, {409, "Conflict"},
    {410, "Gone"}, {411, "Length Required"}, {412, "Precondition Failed"}, {413, "Content Too Large"},
    {414, "URI Too Long"}, {415, "Unsupported Media Type"}, {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"}, {421, "Misdirected Request"}, {422, "Unprocessable Content"},
    {423, "Locked"}, {424, "Failed Dependency"}, {428, "Precondition Required"},
    {429, "Too Many Requests"}, {431, "Request Header Fields Too Large"}, {500, "Internal Server Error"},
    {501, "Not Implemented"}, {502, "Bad Gateway"}, {503, "Service Unavailable"}, {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"}, {507, "Insufficient Storage"},
};

const char *http_reason(unsigned status)
{
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].status == status)
            return reasons[i].text;
    }
    return status < 300 ? "OK" : status < 400 ? "Redirect" : status < 500 ? "Refused" : "Failed";
}

void http_put_status(struct buf *out, unsigned status)
{
    buf_printf(out, "HTTP/1.1 %03u %s\r\n", status % 1000, http_reason(status));
}

void http_put_field(struct buf *out, const char *name, struct slice value)
{
    buf_puts(out, name);
    buf_puts(out, ": ");
    for (size_t i = 0; i < value.n; i++) {
        uint8_t c = value.p[i];
        buf_putc(out, (c < ' ' && c != '\t') || c == 0x7f ? ' ' : (char)c);
    }
    buf_puts(out, "\r\n");
}

bool http_put_field_as(struct buf *out, struct slice name, struct slice value)
{
    static const char token[] = "!#$%&'*+-.^_`|~";
    char text[128];
    if (name.n == 0 || name.n >= sizeof(text))
        return false;
    for (size_t i = 0; i < name.n; i++) {
        uint8_t c = name.p[i];
        bool letter = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        if (!letter && (c == '\0' || strchr(token, c) == NULL))
            return false;
        text[i] = (char)c;
    }
    text[name.n] = '\0';
    http_put_field(out, text, value);
    return true;
}

/* Not strftime: its names are the locale's. */
void http_put_date(struct buf *out, int64_t seconds)
{
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t t = (time_t)seconds;
    struct tm tm;
    if (gmtime_r(&t, &tm) == NULL)
        return;
    buf_printf(out, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", days + 3 * tm.tm_wday, tm.tm_mday,
               months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

void http_put_chunk(struct buf *out, struct slice bytes)
{
    if (bytes.n == 0)
        return;
    buf_printf(out, "%zx\r\n", bytes.n);
    buf_put_slice(out, bytes);
    buf_puts(out, "\r\n");
}

void http_put_last_chunk(struct buf *out)
{
    buf_puts(out, "0\r\n\r\n");
}

/* ---- entity tags ---- */

static void skip(struct slice *s, const char *set)
{
    while (s->n > 0 && s->p[0] != '\0' && strchr(set, s->p[0]) != NULL) {
        s->p++;
        s->n--;
    }
}

/* The length of the tag at the front; 0: there is none. */
static size_t tag_length(struct slice s)
{
    size_t i = s.n > 2 && s.p[0] == 'W' && s.p[1] == '/' ? 2 : 0;
    if (i >= s.n || s.p[i] != '"')
        return 0;
    for (i++; i < s.n; i++) {
        if (s.p[i] == '"')
            return i + 1;
        if (s.p[i] < ' ' || s.p[i] == 0x7f) /* blanks are not in the grammar, but in tags of old servers */
            return 0;
    }
    return 0;
}

enum codec http_etag_next(struct slice *rest, struct http_etag *out)
{
    *out = (struct http_etag){0};
    skip(rest, " \t,");
    if (rest->n == 0)
        return CODEC_MORE;
    size_t n = rest->p[0] == '*' ? 1 : tag_length(*rest);
    if (n == 0)
        return CODEC_BAD;
    out->any = rest->p[0] == '*';
    out->tag = slice_make(rest->p, n);
    rest->p += n;
    rest->n -= n;
    struct slice after = *rest;
    skip(&after, " \t");
    return after.n == 0 || after.p[0] == ',' ? CODEC_DONE : CODEC_BAD;
}

/* Up to and with the closing bracket; 0: it has none. */
static size_t bracketed(struct slice s, char end)
{
    const uint8_t *p = memchr(s.p, end, s.n);
    return p == NULL ? 0 : (size_t)(p - s.p) + 1;
}

static size_t bracketed_tag(struct slice s)
{
    size_t n = tag_length(slice_make(s.p + 1, s.n - 1));
    return n > 0 && n + 1 < s.n && s.p[n + 1] == ']' ? n + 2 : 0;
}

enum codec http_if_next(struct http_if *f, enum http_if_kind *kind, struct slice *text)
{
    *kind = HTTP_IF_TEXT;
    *text = slice_make(NULL, 0);
    if (f->rest.n == 0)
        return f->in_list ? CODEC_BAD : CODEC_MORE;
    uint8_t c = f->rest.p[0];
    size_t n = 0;
    if (c == ' ' || c == '\t') {
        n = 1;
    } else if (c == (f->in_list ? ')' : '(')) {
        f->in_list = !f->in_list;
        n = 1;
    } else if (c == '<') {
        n = bracketed(f->rest, '>');
        *kind = f->in_list ? HTTP_IF_TEXT : HTTP_IF_RESOURCE;
    } else if (f->in_list && c == '[') {
        n = bracketed_tag(f->rest);
        *kind = HTTP_IF_ETAG;
    } else if (f->in_list && f->rest.n > 3 && slice_is_nocase(slice_make(f->rest.p, 3), "Not")) {
        n = 3;
    }
    *text = slice_make(f->rest.p, n);
    f->rest.p += n;
    f->rest.n -= n;
    return n > 0 ? CODEC_DONE : CODEC_BAD;
}
