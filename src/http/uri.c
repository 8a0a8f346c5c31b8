/* Targets, paths and spellings. See uri.h. */
#include "config.h"
#include "wherry/http/uri.h"
#include <string.h>

static int hex(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One character of a path, decoded; *n is how many bytes it took. -1: not allowed. */
static int path_char(struct slice in, size_t *n)
{
    int c = in.p[0];
    *n = 1;
    if (c == '%') {
        int high = in.n > 2 ? hex(in.p[1]) : -1, low = in.n > 2 ? hex(in.p[2]) : -1;
        *n = 3;
        c = high < 0 || low < 0 ? -1 : high * 16 + low;
        if (c == '/')
            return -1;
    } else if (c == '?' || c == '#' || c >= 0x80 || c == ' ') {
        return -1;
    }
    return c < ' ' || c == 0x7f || c == '\\' ? -1 : c;
}

/* The segment that begins at start is "." or "..". */
static bool is_dots(const struct buf *path, size_t start)
{
    size_t n = path->len - start;
    return n > 0 && n <= 2 && memcmp(path->mem + path->off + start, "..", n) == 0;
}

int http_path_decode(struct slice path, struct buf *decoded, struct buf *spelled)
{
    size_t start = 0; /* of the segment, in decoded */
    buf_clear(decoded);
    if (spelled != NULL)
        buf_clear(spelled);
    if (path.n == 0 || path.p[0] != '/')
        return E_INVAL;
    while (path.n > 0) {
        size_t n;
        int c = path_char(path, &n);
        struct slice so_far = buf_slice(decoded);
        bool slash = c == '/', again = slash && so_far.n > 0 && so_far.p[so_far.n - 1] == '/';
        if (c < 0 || (slash && is_dots(decoded, start)))
            goto bad;
        if (!again) {
            buf_putc(decoded, (char)c);
            if (spelled != NULL)
                buf_put(spelled, path.p, n);
        }
        if (slash)
            start = decoded->len;
        path.p += n;
        path.n -= n;
    }
    if (!is_dots(decoded, start))
        return 0;
bad:
    buf_clear(decoded);
    if (spelled != NULL)
        buf_clear(spelled);
    return E_INVAL;
}

/* The host without the port that goes without saying. */
static struct slice bare_host(struct slice authority, const char *port)
{
    size_t n = strlen(port);
    if (authority.n > n && memcmp(authority.p + authority.n - n, port, n) == 0)
        authority.n -= n;
    return authority;
}

int http_uri_path(struct slice uri, struct slice host, struct slice *path)
{
    static const struct {
        const char *scheme, *port;
    } schemes[] = {{"http://", ":80"}, {"https://", ":443"}};
    *path = slice_make(NULL, 0);
    if (uri.n > 0 && uri.p[0] == '/' && (uri.n == 1 || uri.p[1] != '/')) { /* "//" would begin with a host */
        *path = uri;
        return 0;
    }
    for (size_t i = 0; i < 2; i++) {
        size_t n = strlen(schemes[i].scheme);
        if (uri.n <= n || !slice_is_nocase(slice_make(uri.p, n), schemes[i].scheme))
            continue;
        struct slice rest = slice_make(uri.p + n, uri.n - n);
        const uint8_t *slash = memchr(rest.p, '/', rest.n);
        size_t length = slash != NULL ? (size_t)(slash - rest.p) : rest.n;
        struct slice authority = bare_host(slice_make(rest.p, length), schemes[i].port);
        if (host.n > 0 && !slice_eq_nocase(authority, bare_host(host, schemes[i].port)))
            return E_INVAL;
        *path = slash != NULL ? slice_make(slash, rest.n - length) : SLICE_LIT("/");
        return 0;
    }
    return E_INVAL;
}

int http_target_parse(struct slice target, struct slice host, bool asterisk, struct http_target *out)
{
    struct slice path;
    buf_clear(&out->path);
    buf_clear(&out->spelled);
    out->query = slice_make(NULL, 0);
    out->asterisk = asterisk && slice_is(target, "*");
    if (out->asterisk)
        return 0;
    const uint8_t *q = target.n > 0 ? memchr(target.p, '?', target.n) : NULL;
    if (q != NULL) {
        out->query = slice_make(q, target.n - (size_t)(q - target.p));
        target.n = (size_t)(q - target.p);
        if (memchr(q, '#', out->query.n) != NULL)
            return E_INVAL;
    }
    if (target.n > 0 && target.p[0] == '/')
        path = target;
    else if (host.n == 0 || http_uri_path(target, host, &path) != 0)
        return E_INVAL;
    return http_path_decode(path, &out->path, &out->spelled);
}

void http_target_free(struct http_target *t)
{
    buf_free(&t->path);
    buf_free(&t->spelled);
    t->query = slice_make(NULL, 0);
}

/* ---- spellings ---- */

static bool bit(const uint64_t set[2], unsigned c)
{
    return (set[c / 64] >> (c % 64) & 1) != 0;
}

static void set_bit(uint64_t set[2], unsigned c)
{
    set[c / 64] |= 1ull << (c % 64);
}

static bool unreserved(unsigned c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void http_spelling_learn(struct http_spelling *s, struct slice path)
{
    while (path.n > 0) {
        size_t n;
        int c = path_char(path, &n);
        if (c < 0)
            return;
        if (n == 3)
            for (size_t i = 1; i < 3; i++) {
                if (path.p[i] >= 'a' && path.p[i] <= 'f')
                    s->lower = true;
            }
        if (c < 0x80)
            set_bit(n == 1 ? s->plain : s->quoted, (unsigned)c);
        path.p += n;
        path.n -= n;
    }
}

void http_spelling_put(const struct http_spelling *s, struct slice path, struct buf *out)
{
    const char *digits = s->lower ? "0123456789abcdef" : "0123456789ABCDEF";
    for (size_t i = 0; i < path.n; i++) {
        unsigned c = path.p[i];
        bool plain = c == '/' || (c > ' ' && c < 0x7f && c != '%' && c != '?' && c != '#' && c != '\\' &&
                                  (bit(s->plain, c) || (unreserved(c) && !bit(s->quoted, c))));
        if (plain) {
            buf_putc(out, (char)c);
        } else {
            buf_putc(out, '%');
            buf_putc(out, digits[c >> 4]);
            buf_putc(out, digits[c & 15]);
        }
    }
}

void http_spelling_text(const struct http_spelling *s, struct buf *out)
{
    buf_putc(out, s->lower ? 'a' : 'A');
    for (unsigned c = '!'; c < 0x7f; c++) {
        if (!unreserved(c) && c != '/' && bit(s->plain, c))
            buf_putc(out, (char)c);
    }
    if (bit(s->quoted, '~') && !bit(s->plain, '~'))
        buf_putc(out, '~'); /* the only one that is plain unless told so */
}

void http_spelling_read(struct http_spelling *s, struct slice text)
{
    *s = (struct http_spelling){0};
    if (text.n == 0 || (text.p[0] != 'a' && text.p[0] != 'A'))
        return;
    s->lower = text.p[0] == 'a';
    for (size_t i = 1; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (c == '~')
            set_bit(s->quoted, c);
        else if (c > ' ' && c < 0x7f && c != '%')
            set_bit(s->plain, c);
    }
}
