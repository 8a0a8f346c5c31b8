/* Replies of hosts. See reply.h. A line's text is kept as it came and made harmless where it is
 * written out. */
#include "config.h"
#include "wherry/smtp/cmd.h"
#include "wherry/smtp/reply.h"
#include <string.h>

void smtp_reply_free(struct smtp_reply *r)
{
    buf_free(&r->text);
    *r = (struct smtp_reply){0};
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* "250-text", "250 text" or "250". */
static int take_line(struct smtp_reply *r, struct slice line)
{
    if (line.n < 3 || line.p[0] < '2' || line.p[0] > '5' || !is_digit(line.p[1]) ||
        !is_digit(line.p[2]) || (line.n > 3 && line.p[3] != ' ' && line.p[3] != '-'))
        return E_PROTO;
    unsigned code = (line.p[0] - '0') * 100u + (line.p[1] - '0') * 10u + (line.p[2] - '0');
    if (r->more && code != r->code)
        return E_PROTO;
    if (r->lines == SMTP_MAX_REPLY_LINES || r->text.len + line.n > SMTP_MAX_REPLY)
        return E_LIMIT;
    r->code = code;
    r->lines++;
    r->more = line.n > 3 && line.p[3] == '-';
    if (line.n > 4)
        buf_put(&r->text, line.p + 4, line.n - 4);
    buf_putc(&r->text, '\n');
    return 0;
}

enum codec smtp_reply_next(struct smtp_reply *r, struct slice in, size_t *used)
{
    *used = 0;
    if (!r->more) {
        buf_clear(&r->text);
        r->code = r->lines = 0;
    }
    do {
        struct slice line;
        size_t n;
        enum codec c =
            smtp_line_next(slice_make(in.p + *used, in.n - *used), SMTP_MAX_REPLY_LINE, &line, &n);
        if (c == CODEC_MORE)
            return CODEC_MORE;
        if (c == CODEC_BAD || take_line(r, line) != 0) {
            smtp_reply_free(r);
            return CODEC_BAD;
        }
        *used += n;
    } while (r->more);
    return CODEC_DONE;
}

struct slice smtp_reply_line(const struct smtp_reply *r, unsigned n)
{
    struct slice rest = buf_slice(&r->text);
    while (rest.n > 0) {
        const uint8_t *end = memchr(rest.p, '\n', rest.n);
        size_t len = end == NULL ? rest.n : (size_t)(end - rest.p);
        if (n-- == 0)
            return slice_make(rest.p, len);
        len += end != NULL;
        rest = slice_make(rest.p + len, rest.n - len);
    }
    return slice_make(NULL, 0);
}

void smtp_reply_put(struct buf *out, const struct smtp_reply *r)
{
    struct slice rest = buf_slice(&r->text);
    while (rest.n > 0) {
        const uint8_t *end = memchr(rest.p, '\n', rest.n);
        size_t len = end == NULL ? rest.n : (size_t)(end - rest.p);
        bool last = end == NULL || len + 1 == rest.n;
        buf_printf(out, "%03u%c", r->code, last ? ' ' : '-');
        for (size_t i = 0; i < len; i++) {
            uint8_t c = rest.p[i];
            buf_putc(out, (c < ' ' && c != '\t') || c == 0x7f ? '?' : (char)c);
        }
        buf_puts(out, "\r\n");
        len += end != NULL;
        rest = slice_make(rest.p + len, rest.n - len);
    }
}

struct slice smtp_reply_queue_id(const struct smtp_reply *r)
{
    static const char *const marks[] = {"queued as ", "id=", "Queued mail for delivery "};
    struct slice text = smtp_reply_line(r, r->lines > 0 ? r->lines - 1 : 0);
    for (size_t m = 0; m < sizeof(marks) / sizeof(marks[0]); m++) {
        size_t n = strlen(marks[m]);
        for (size_t i = 0; i + n <= text.n; i++) {
            if (memcmp(text.p + i, marks[m], n) != 0)
                continue;
            size_t from = i + n, to = from;
            while (to < text.n && to - from < 100 && text.p[to] > ' ' && text.p[to] < 0x7f &&
                   text.p[to] != ',' && text.p[to] != ')')
                to++;
            return slice_make(text.p + from, to - from);
        }
    }
    return slice_make(NULL, 0);
}
