/*
 * Text for a terminal. Names come from people and servers: nothing of them may steer the terminal.
 *
 * main has set a UTF-8 locale, so the C library says what is a character and how wide it is.
 */
#include "config.h"
#include "ctl.h"
#include "wherry/imap/names.h"
#include <string.h>
#include <time.h>
#include <wchar.h>
#include <wctype.h>

/* Marks that turn the direction of writing, and invisible ones: a name could pass for another with
 * them. */
static bool is_hidden(wchar_t c)
{
    return c == 0x61c || c == 0xfeff || (c >= 0x200b && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f);
}

/* One character: its bytes are taken from *s, what to write is set. Returns its columns. */
static unsigned next_char(struct slice *s, struct slice *write)
{
    mbstate_t state;
    wchar_t c = 0;
    memset(&state, 0, sizeof(state));
    size_t n = mbrtowc(&c, (const char *)s->p, s->n, &state);
    bool bad = n == 0 || n == (size_t)-1 || n == (size_t)-2;
    if (bad)
        n = 1;
    int columns = bad ? -1 : wcwidth(c);
    *write =
        columns < 0 || is_hidden(c) || !iswprint((wint_t)c) ? SLICE_LIT("?") : slice_make(s->p, n);
    *s = slice_make(s->p + n, s->n - n);
    return columns < 0 || write->p[0] == '?' ? 1 : (unsigned)columns;
}

unsigned text_width(struct slice s)
{
    unsigned columns = 0;
    struct slice w;
    while (s.n > 0)
        columns += next_char(&s, &w);
    return columns;
}

void text_put(struct buf *out, struct slice s, unsigned pad, unsigned most)
{
    unsigned columns = 0;
    bool cut = most > 3 && text_width(s) > most;
    while (s.n > 0) {
        struct slice w;
        unsigned c = next_char(&s, &w);
        if (cut && columns + c > most - 3) {
            buf_puts(out, "...");
            columns += 3;
            break;
        }
        buf_put_slice(out, w);
        columns += c;
    }
    for (; columns < pad; columns++)
        buf_putc(out, ' ');
}

void text_put_bytes(struct buf *out, uint64_t bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double v = (double)bytes / 1024;
    unsigned i = 0;
    if (bytes < 1024) {
        buf_printf(out, "%llu B", (unsigned long long)bytes);
        return;
    }
    for (; v >= 1023.95 && i < 5; i++)
        v /= 1024;
    buf_printf(out, "%.1f %s", v, units[i]);
}

void text_put_time(struct buf *out, int64_t seconds)
{
    struct tm tm;
    time_t t = (time_t)seconds;
    if (seconds == 0 || gmtime_r(&t, &tm) == NULL) {
        buf_putc(out, '-');
        return;
    }
    buf_printf(out, "%04d-%02d-%02d %02d:%02d UTC", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
               tm.tm_hour, tm.tm_min);
}

void text_put_bar(struct buf *out, double share, unsigned columns)
{
    /* Full only when all is done, empty only when nothing is. */
    unsigned filled = (unsigned)(share * columns);
    if (filled == 0 && share > 0)
        filled = 1;
    if (filled >= columns && share < 1)
        filled = columns - 1;
    buf_putc(out, '[');
    for (unsigned i = 0; i < columns; i++)
        buf_putc(out, i < filled ? '#' : '.');
    buf_putc(out, ']');
}

void text_mailbox(struct buf *out, const char *wire)
{
    if (name_to_utf8(slice_str(wire), out) != 0)
        buf_puts(out, wire);
}

void text_put_count(struct buf *out, uint64_t n, const char *one, const char *many)
{
    buf_printf(out, "%llu %s", (unsigned long long)n, n == 1 ? one : many);
}
