/*
 * Mailbox names between two hosts, and LIST patterns.
 * What: prefix off and on, separators exchanged, what cannot stand in a name replaced.
 * Why: a pure function gives a proposal; whether the name is free and is taken is seen by who asks
 * the host. Rejected: making every name reversible by an escape: people would see the escapes in
 * their folder list. Where the way back differs, *exact says so and the pair is kept in the store
 * anyway.
 */
#include "wherry/imap/names.h"
#include <string.h>

static const char inbox[] = "INBOX";
enum {
    INBOX_LEN = sizeof(inbox) - 1,
    SHORT_LEVEL = 40 /* bytes of a level that is cut: hosts have limits on levels and on whole names */
};

bool name_is_inbox(struct slice name)
{
    return slice_is_nocase(name, inbox);
}

/* INBOX is the first level, and is not all of the name. */
static bool is_below_inbox(struct slice name, char sep)
{
    return sep != 0 && name.n > INBOX_LEN && name.p[INBOX_LEN] == (uint8_t)sep &&
           name_is_inbox(slice_make(name.p, INBOX_LEN));
}

void name_canon(struct slice name, char sep, struct buf *out)
{
    if (name_is_inbox(name) || is_below_inbox(name, sep)) {
        buf_put(out, inbox, INBOX_LEN);
        name = slice_make(name.p + INBOX_LEN, name.n - INBOX_LEN);
    }
    buf_put_slice(out, name);
}

static uint8_t upper(uint8_t c)
{
    return c >= 'a' && c <= 'z' ? (uint8_t)(c - 32) : c;
}

/*
 * One row of a table: at[j] says that the first j bytes of the pattern match the name so far. One
 * more byte of the name (nocase: its case does not count) gives the next row, in place.
 */
static void match_step(bool *at, struct slice pattern, uint8_t c, bool nocase, char sep)
{
    bool diagonal = at[0];
    at[0] = false;
    for (size_t j = 1; j <= pattern.n; j++) {
        uint8_t p = pattern.p[j - 1];
        bool above = at[j];
        if (p == '*' || p == '%')
            at[j] = at[j - 1] || (above && (p == '*' || sep == 0 || c != (uint8_t)sep));
        else
            at[j] = diagonal && (nocase ? upper(p) == upper(c) : p == c);
        diagonal = above;
    }
}

bool name_matches(struct slice pattern, struct slice name, char sep)
{
    bool at[NAME_MAX_BYTES + 1] = {true};
    if (pattern.n > NAME_MAX_BYTES || name.n > NAME_MAX_BYTES)
        return false;
    size_t fold = name_is_inbox(name) || is_below_inbox(name, sep) ? INBOX_LEN : 0;
    for (size_t j = 1; j <= pattern.n; j++)
        at[j] = at[j - 1] && (pattern.p[j - 1] == '*' || pattern.p[j - 1] == '%');
    for (size_t i = 0; i < name.n; i++)
        match_step(at, pattern, name.p[i], i < fold, sep);
    return at[pattern.n];
}

/* Takes the next level off *rest; false at the end. sep 0: all is one level. *last: none follows.
 */
static bool next_level(struct slice *rest, char sep, struct slice *level, bool *last)
{
    if (rest->p == NULL)
        return false;
    const uint8_t *p = sep != 0 && rest->n > 0 ? memchr(rest->p, (uint8_t)sep, rest->n) : NULL;
    *last = p == NULL;
    if (*last) {
        *level = *rest;
        *rest = (struct slice){0};
        return true;
    }
    *level = slice_make(rest->p, (size_t)(p - rest->p));
    *rest = slice_make(p + 1, rest->n - level->n - 1);
    return true;
}

/* One level for a host whose separator is sep. A level that is no modified UTF-7 is made so: "&" to
 * "&-". */
static void put_level(struct buf *out, struct slice level, char sep)
{
    bool valid = name_is_mutf7(level);
    if (level.n == 0)
        buf_putc(out, '_');
    for (size_t i = 0; i < level.n; i++) {
        uint8_t c = level.p[i];
        if (c < 0x20 || c >= 0x7f || (sep != 0 && c == (uint8_t)sep))
            c = '_';
        buf_putc(out, (char)c);
        if (!valid && c == '&')
            buf_putc(out, '-');
    }
}

static void put_levels(struct buf *out, struct slice name, char from, char to)
{
    struct slice level;
    bool last;
    while (next_level(&name, from, &level, &last)) {
        put_level(out, level, to);
        if (!last)
            buf_putc(out, to != 0 ? to : '_');
    }
}

/* The name without the prefix of its host; false when it is outside. */
static bool take_prefix(struct slice *name, const struct name_style *style)
{
    struct slice prefix = slice_str(style->prefix);
    if (prefix.n == 0)
        return true;
    if (name->n <= prefix.n)
        return false;
    struct slice head = slice_make(name->p, prefix.n);
    bool same = is_below_inbox(prefix, style->sep)
                    ? slice_eq_nocase(slice_make(head.p, INBOX_LEN), slice_str(inbox)) &&
                          slice_eq(slice_make(head.p + INBOX_LEN, head.n - INBOX_LEN),
                                   slice_make(prefix.p + INBOX_LEN, prefix.n - INBOX_LEN))
                    : slice_eq(head, prefix);
    if (!same)
        return false;
    *name = slice_make(name->p + prefix.n, name->n - prefix.n);
    return true;
}

/* The mapping without the way back. Appends to out; E_INVAL as name_map. */
static int map_once(struct slice name, const struct name_style *from, const struct name_style *to,
                    struct buf *out)
{
    size_t before = out->len;
    if (name.n == 0 || name.n > NAME_MAX_BYTES)
        return E_INVAL;
    if (name_is_inbox(name)) {
        buf_put(out, inbox, INBOX_LEN);
        return 0;
    }
    if (!take_prefix(&name, from))
        return E_INVAL;
    bool below = slice_str(from->prefix).n == 0 && is_below_inbox(name, from->sep);
    if (below) {
        buf_put(out, inbox, INBOX_LEN);
        buf_putc(out, to->sep != 0 ? to->sep : '_');
        name = slice_make(name.p + INBOX_LEN + 1, name.n - INBOX_LEN - 1);
    } else {
        buf_puts(out, to->prefix != NULL ? to->prefix : "");
    }
    put_levels(out, name, from->sep, to->sep);
    struct slice all = buf_slice(out);
    all = slice_make(all.p + before, all.n - before);
    if (name_is_inbox(all)) /* a mailbox that is not the inbox must not become it */
        buf_putc(out, '_');
    if (out->len - before > NAME_MAX_BYTES) {
        buf_truncate(out, before);
        return E_INVAL;
    }
    return 0;
}

int name_map(struct slice name, const struct name_style *from, const struct name_style *to,
             struct buf *out, bool *exact)
{
    struct buf there = {0}, back = {0}, canon = {0};
    *exact = false;
    int r = map_once(name, from, to, &there);
    if (r == 0) {
        buf_put_slice(out, buf_slice(&there));
        name_canon(name, from->sep, &canon);
        *exact = map_once(buf_slice(&there), to, from, &back) == 0 &&
                 slice_eq(buf_slice(&back), buf_slice(&canon));
    }
    buf_free(&there);
    buf_free(&back);
    buf_free(&canon);
    return r;
}

static bool is_safe(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == ' ' ||
           c == '_' || c == '-';
}

static void put_safe(struct buf *out, struct slice level, size_t most)
{
    size_t before = out->len;
    if (level.n == 0)
        buf_putc(out, '_');
    for (size_t i = 0; i < level.n && out->len - before < most; i++) {
        const uint8_t *dash = level.p[i] == '&' ? memchr(level.p + i, '-', level.n - i) : NULL;
        buf_putc(out, is_safe(level.p[i]) ? (char)level.p[i] : '_');
        if (dash != NULL)
            i = (size_t)(dash - level.p);
    }
}

int name_safe(struct slice name, char sep, unsigned n, struct buf *out)
{
    size_t before = out->len;
    struct slice level;
    bool last;
    if (name.n == 0 || name.n > NAME_MAX_BYTES)
        return E_INVAL;
    while (next_level(&name, sep, &level, &last)) {
        put_safe(out, level, n < 2 ? NAME_MAX_BYTES : SHORT_LEVEL);
        if (!last)
            buf_putc(out, sep);
    }
    if (n > 0)
        buf_printf(out, "_%u", n);
    if (out->len - before > NAME_MAX_BYTES) {
        buf_truncate(out, before);
        return E_INVAL;
    }
    return 0;
}

struct slice name_parent(struct slice name, char sep)
{
    for (size_t i = name.n; sep != 0 && i > 0; i--) {
        if (name.p[i - 1] == (uint8_t)sep)
            return slice_make(name.p, i - 1);
    }
    return (struct slice){0};
}
