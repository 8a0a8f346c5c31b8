/* JSON (RFC 8259), written only. Rejected: a library, for forty lines. */
#include "config.h"
#include "ctl.h"
#include <string.h>
#include <wchar.h>

static void put_text(struct buf *out, struct slice s)
{
    mbstate_t state;
    memset(&state, 0, sizeof(state));
    buf_putc(out, '"');
    for (size_t i = 0; i < s.n;) {
        wchar_t c;
        uint8_t b = s.p[i];
        size_t n = b == 0 ? 1 : mbrtowc(&c, (const char *)s.p + i, s.n - i, &state);
        if (n == (size_t)-1 || n == (size_t)-2) {
            memset(&state, 0, sizeof(state));
            buf_puts(out, "\\ufffd");
            n = 1;
        } else if (b == '"' || b == '\\') {
            buf_printf(out, "\\%c", b);
        } else if (b < 0x20 || b == 0x7f) {
            buf_printf(out, "\\u%04x", b);
        } else {
            buf_put(out, s.p + i, n);
        }
        i += n;
    }
    buf_putc(out, '"');
}

static void put_key(struct json *j, const char *key)
{
    if (j->comma)
        buf_putc(j->out, ',');
    if (key != NULL) {
        put_text(j->out, slice_str(key));
        buf_putc(j->out, ':');
    }
    j->comma = true;
}

void json_open(struct json *j, const char *key, char bracket)
{
    put_key(j, key);
    buf_putc(j->out, bracket);
    j->comma = false;
}

void json_close(struct json *j, char bracket)
{
    buf_putc(j->out, bracket == '{' ? '}' : ']');
    j->comma = true;
}

void json_str(struct json *j, const char *key, struct slice s)
{
    put_key(j, key);
    put_text(j->out, s);
}

void json_num(struct json *j, const char *key, uint64_t n)
{
    put_key(j, key);
    buf_printf(j->out, "%llu", (unsigned long long)n);
}

void json_int(struct json *j, const char *key, int64_t n)
{
    put_key(j, key);
    buf_printf(j->out, "%lld", (long long)n);
}

void json_bool(struct json *j, const char *key, bool b)
{
    put_key(j, key);
    buf_puts(j->out, b ? "true" : "false");
}
