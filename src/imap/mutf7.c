/*
 * Modified UTF-7 (RFC 3501 section 5.1.3).
 * What: mailbox names to UTF-8 and back; only the one canonical spelling is taken.
 * Why: a name has to come back byte for byte, so what could be spelled in two ways is refused and
 * passed on as it is. Rejected: iconv (its UTF-7 is another one, and it accepts what servers
 * refuse).
 */
#include "wherry/imap/names.h"
#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static int value_of(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == ',' ? 63 : -1;
}

static bool is_direct(uint32_t c)
{
    return c >= 0x20 && c < 0x7f;
}

static void put_utf8(struct buf *out, uint32_t c)
{
    if (c < 0x80) {
        buf_putc(out, (char)c);
    } else if (c < 0x800) {
        buf_putc(out, (char)(0xc0 | c >> 6));
        buf_putc(out, (char)(0x80 | (c & 0x3f)));
    } else if (c < 0x10000) {
        buf_putc(out, (char)(0xe0 | c >> 12));
        buf_putc(out, (char)(0x80 | (c >> 6 & 0x3f)));
        buf_putc(out, (char)(0x80 | (c & 0x3f)));
    } else {
        buf_putc(out, (char)(0xf0 | c >> 18));
        buf_putc(out, (char)(0x80 | (c >> 12 & 0x3f)));
        buf_putc(out, (char)(0x80 | (c >> 6 & 0x3f)));
        buf_putc(out, (char)(0x80 | (c & 0x3f)));
    }
}

/* UTF-16 code units to characters. */
struct units {
    struct buf *out;
    uint32_t high; /* a high surrogate that waits for its other half */
};

static bool put_unit(struct units *u, uint32_t c)
{
    bool low = c >= 0xdc00 && c < 0xe000, high = c >= 0xd800 && c < 0xdc00;
    if (u->high != 0) {
        if (!low)
            return false;
        put_utf8(u->out, 0x10000 + ((u->high - 0xd800) << 10) + (c - 0xdc00));
        u->high = 0;
        return true;
    }
    if (low || c == 0 || is_direct(c))
        return false;
    if (high)
        u->high = c;
    else
        put_utf8(u->out, c);
    return true;
}

/* The base64 between "&" and "-"; run is not empty. */
static bool decode_run(struct slice run, struct buf *out)
{
    struct units u = {.out = out};
    uint32_t acc = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < run.n; i++) {
        int v = value_of(run.p[i]);
        if (v < 0)
            return false;
        acc = (acc << 6 | (uint32_t)v) & 0x3fffff;
        bits += 6;
        if (bits >= 16) {
            bits -= 16;
            if (!put_unit(&u, acc >> bits & 0xffff))
                return false;
        }
    }
    return u.high == 0 && bits < 6 && (acc & ((1u << bits) - 1)) == 0;
}

static bool decode(struct slice name, struct buf *out)
{
    size_t run_end = 0; /* right behind the last base64 run: another may not follow at once */
    for (size_t i = 0; i < name.n; i++) {
        uint8_t c = name.p[i];
        if (!is_direct(c))
            return false;
        if (c != '&') {
            buf_putc(out, (char)c);
            continue;
        }
        const uint8_t *dash = memchr(name.p + i, '-', name.n - i);
        if (dash == NULL)
            return false;
        struct slice run = slice_make(name.p + i + 1, (size_t)(dash - name.p) - i - 1);
        if (run.n == 0) {
            buf_putc(out, '&');
        } else {
            if ((run_end != 0 && run_end == i) || !decode_run(run, out))
                return false;
            run_end = i + run.n + 2;
        }
        i += run.n + 1;
    }
    return true;
}

int name_to_utf8(struct slice mutf7, struct buf *out)
{
    struct buf tmp = {0};
    bool ok = decode(mutf7, &tmp);
    if (ok)
        buf_put_slice(out, buf_slice(&tmp));
    buf_free(&tmp);
    return ok ? 0 : E_INVAL;
}

bool name_is_mutf7(struct slice name)
{
    struct buf tmp = {0};
    bool ok = decode(name, &tmp);
    buf_free(&tmp);
    return ok;
}

/* The next character of UTF-8; 0 for what is none (overlong, surrogate, above U+10FFFF, NUL). */
static uint32_t take_utf8(struct slice *in)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t c = in->p[0];
    size_t n = c < 0x80 ? 1 : c < 0xc0 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf8 ? 4 : 0;
    if (n == 0 || n > in->n)
        return 0;
    uint32_t v = n == 1 ? c : c & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((in->p[i] & 0xc0) != 0x80)
            return 0;
        v = v << 6 | (in->p[i] & 0x3f);
    }
    if (v < least[n] || v > 0x10ffff || (v >= 0xd800 && v < 0xe000))
        return 0;
    *in = slice_make(in->p + n, in->n - n);
    return v;
}

/* A base64 run under way. */
struct run {
    struct buf *out;
    uint32_t acc;
    unsigned bits;
    bool open;
};

static void run_unit(struct run *r, uint32_t unit)
{
    if (!r->open)
        buf_putc(r->out, '&');
    r->open = true;
    r->acc = r->acc << 16 | unit;
    r->bits += 16;
    while (r->bits >= 6) {
        r->bits -= 6;
        buf_putc(r->out, alphabet[r->acc >> r->bits & 0x3f]);
    }
}

static void run_close(struct run *r)
{
    if (!r->open)
        return;
    if (r->bits > 0)
        buf_putc(r->out, alphabet[r->acc << (6 - r->bits) & 0x3f]);
    buf_putc(r->out, '-');
    *r = (struct run){.out = r->out};
}

int name_from_utf8(struct slice utf8, struct buf *out)
{
    size_t before = out->len;
    struct run r = {.out = out};
    while (utf8.n > 0) {
        uint32_t c = take_utf8(&utf8);
        if (c == 0) {
            buf_truncate(out, before);
            return E_INVAL;
        }
        if (is_direct(c)) {
            run_close(&r);
            buf_putc(out, (char)c);
            if (c == '&')
                buf_putc(out, '-');
        } else if (c < 0x10000) {
            run_unit(&r, c);
        } else {
            run_unit(&r, 0xd800 + ((c - 0x10000) >> 10));
            run_unit(&r, 0xdc00 + ((c - 0x10000) & 0x3ff));
        }
    }
    run_close(&r);
    return 0;
}
