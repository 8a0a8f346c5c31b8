/*
 * The lexer.
 * What: one token at the start of a slice, and a cursor over arguments that lie in memory whole.
 * Why: commands and responses are split by the same rules, so that what one side takes for a
 * literal the other does too; nothing is copied, a token borrows from the input. Rejected: a lexer
 * that keeps state between calls (a token is short, and a fresh start at each call cannot go wrong
 * when input is split), and a tree of parsed arguments (allocation that a peer sizes).
 */
#include "wherry/imap/lex.h"
#include <string.h>

enum cls { PLAIN, STOP, SECTION, REFUSED };

/* What a byte does to an atom. Controls are refused; 8-bit bytes are taken, since servers send
 * them. */
static const uint8_t cls[256] = {
    [0x00] = REFUSED, [0x01] = REFUSED, [0x02] = REFUSED, [0x03] = REFUSED, [0x04] = REFUSED,
    [0x05] = REFUSED, [0x06] = REFUSED, [0x07] = REFUSED, [0x08] = REFUSED, [0x09] = REFUSED,
    [0x0a] = REFUSED, [0x0b] = REFUSED, [0x0c] = REFUSED, [0x0d] = STOP,    [0x0e] = REFUSED,
    [0x0f] = REFUSED, [0x10] = REFUSED, [0x11] = REFUSED, [0x12] = REFUSED, [0x13] = REFUSED,
    [0x14] = REFUSED, [0x15] = REFUSED, [0x16] = REFUSED, [0x17] = REFUSED, [0x18] = REFUSED,
    [0x19] = REFUSED, [0x1a] = REFUSED, [0x1b] = REFUSED, [0x1c] = REFUSED, [0x1d] = REFUSED,
    [0x1e] = REFUSED, [0x1f] = REFUSED, [0x7f] = REFUSED, [' '] = STOP,     ['('] = STOP,
    [')'] = STOP,     ['"'] = STOP,     ['['] = SECTION,
};

/* The place of the lexer: i is the next byte; at_end says that no bytes follow in. */
struct scan {
    struct slice in;
    size_t i;
    int mode;
    size_t max;
    bool at_end;
};

/* Skips a quoted string whose opening quote is at s->i. */
static enum codec scan_quoted(struct scan *s)
{
    const uint8_t *p = s->in.p;
    size_t i = s->i + 1;
    for (; i < s->in.n; i++) {
        uint8_t c = p[i];
        if (c == '"') {
            s->i = i + 1;
            return CODEC_DONE;
        }
        if (c == '\\') {
            if (++i == s->in.n)
                break;
            c = p[i];
        }
        if (c == 0 || c == '\r' || c == '\n')
            return CODEC_BAD;
    }
    return CODEC_MORE;
}

/* "{n}" CRLF at s->i, which is moved past it. */
static enum codec scan_literal_head(struct scan *s, uint64_t *size, bool *nonsync)
{
    const uint8_t *p = s->in.p;
    size_t n = s->in.n, i = s->i + 1, first = i;
    uint64_t v = 0;
    for (; i < n && p[i] >= '0' && p[i] <= '9'; i++) {
        uint64_t digit = p[i] - '0';
        if (v > (UINT64_MAX - digit) / 10 || i - first >= 24)
            return CODEC_BAD;
        v = v * 10 + digit;
    }
    if (i == n)
        return CODEC_MORE;
    if (i == first)
        return CODEC_BAD;
    *nonsync = p[i] == '+' || p[i] == '-';
    if (*nonsync)
        i++;
    static const char tail[] = "}\r\n";
    for (size_t k = 0; k < 3; k++, i++) {
        if (i == n)
            return CODEC_MORE;
        if (p[i] != (uint8_t)tail[k])
            return CODEC_BAD;
    }
    *size = v;
    s->i = i;
    return CODEC_DONE;
}

/* Past the content of a literal when it lies in the input (LEX_INLINE). */
static enum codec scan_literal_body(struct scan *s, uint64_t size)
{
    if (s->i > s->max || size > s->max - s->i)
        return CODEC_BAD;
    if (size > s->in.n - s->i)
        return CODEC_MORE;
    s->i += (size_t)size;
    return CODEC_DONE;
}

static bool opens_section(const uint8_t *p, size_t n)
{
    struct slice s = slice_make(p, n);
    return slice_is_nocase(s, "BODY") || slice_is_nocase(s, "BODY.PEEK") ||
           slice_is_nocase(s, "BINARY") || slice_is_nocase(s, "BINARY.PEEK") ||
           slice_is_nocase(s, "BINARY.SIZE");
}

/* "[HEADER.FIELDS ("A" B)]": s->i is at the bracket. A header's name may be an inline literal in a
 * command. */
static enum codec scan_section(struct scan *s)
{
    for (s->i++; s->i < s->in.n;) {
        uint8_t c = s->in.p[s->i];
        enum codec r = CODEC_DONE;
        if (c == '"') {
            r = scan_quoted(s);
        } else if (c == '{' && s->mode == LEX_INLINE) {
            uint64_t size;
            bool nonsync;
            r = scan_literal_head(s, &size, &nonsync);
            if (r == CODEC_DONE)
                r = scan_literal_body(s, size);
        } else if (cls[c] == REFUSED || c == '\r') {
            r = CODEC_BAD;
        } else {
            s->i++;
        }
        if (r != CODEC_DONE)
            return r;
        if (c == ']')
            return CODEC_DONE;
    }
    return CODEC_MORE;
}

/* An atom that ends in what a reader of lines would take for a literal: refused, so that nobody
 * disagrees. */
static bool ends_like_literal(const uint8_t *p, size_t n)
{
    if (n < 3 || p[n - 1] != '}')
        return false;
    size_t i = n - 1;
    if (p[i - 1] == '+' || p[i - 1] == '-')
        i--;
    size_t end = i;
    while (i > 0 && p[i - 1] >= '0' && p[i - 1] <= '9')
        i--;
    return i < end && i > 0 && p[i - 1] == '{';
}

static enum codec scan_atom(struct scan *s)
{
    const uint8_t *p = s->in.p;
    size_t first = s->i, n = s->in.n, i = first;
    for (;;) {
        while (i < n && cls[p[i]] == PLAIN)
            i++;
        s->i = i;
        if (i == n)
            return s->at_end && i > first ? CODEC_DONE : CODEC_MORE;
        if (cls[p[i]] == REFUSED)
            return CODEC_BAD;
        if (cls[p[i]] == STOP)
            break;
        if (opens_section(p + first, i - first)) {
            enum codec r = scan_section(s);
            if (r != CODEC_DONE)
                return r;
            i = s->i;
        } else {
            i++;
        }
    }
    if (i == first || (p[i] == '\r' && ends_like_literal(p + first, i - first)))
        return CODEC_BAD;
    return CODEC_DONE;
}

static enum codec scan_eol(struct scan *s)
{
    if (s->i + 1 == s->in.n)
        return s->at_end ? CODEC_BAD : CODEC_MORE;
    if (s->in.p[s->i + 1] != '\n')
        return CODEC_BAD;
    s->i += 2;
    return CODEC_DONE;
}

/* A literal at s->i, "~" included. */
static enum codec scan_literal(struct scan *s, struct tok *t)
{
    t->kind = TOK_LITERAL;
    t->binary = s->in.p[s->i] == '~';
    if (t->binary)
        s->i++;
    enum codec r = scan_literal_head(s, &t->size, &t->nonsync);
    if (r != CODEC_DONE || s->mode != LEX_INLINE)
        return r;
    size_t body = s->i;
    r = scan_literal_body(s, t->size);
    if (r == CODEC_DONE)
        t->text = slice_make(s->in.p + body, s->i - body);
    return r;
}

static enum codec scan_token(struct scan *s, struct tok *t)
{
    const uint8_t *p = s->in.p;
    size_t first = s->i;
    enum codec r;
    switch (p[first]) {
    case '(':
    case ')':
        t->kind = p[first] == '(' ? TOK_OPEN : TOK_CLOSE;
        s->i++;
        return CODEC_DONE;
    case '"':
        t->kind = TOK_QUOTED;
        r = scan_quoted(s);
        if (r == CODEC_DONE)
            t->text = slice_make(p + first + 1, s->i - first - 2);
        return r;
    case '\r':
        t->kind = TOK_EOL;
        return scan_eol(s);
    case '{':
        return scan_literal(s, t);
    case '~':
        if (first + 1 == s->in.n && !s->at_end)
            return CODEC_MORE;
        if (first + 1 < s->in.n && p[first + 1] == '{')
            return scan_literal(s, t);
        break;
    default:
        break;
    }
    t->kind = TOK_ATOM;
    r = scan_atom(s);
    if (r == CODEC_DONE)
        t->text = slice_make(p + first, s->i - first);
    return r;
}

static enum codec lex(struct scan *s, size_t *used, struct tok *out)
{
    memset(out, 0, sizeof(*out));
    *used = 0;
    if (s->in.n == 0)
        return CODEC_MORE;
    bool space = s->in.p[0] == ' ';
    s->i = space;
    size_t first = s->i;
    enum codec r = s->i < s->in.n ? scan_token(s, out) : CODEC_MORE;
    if (r == CODEC_DONE && s->i > s->max)
        r = CODEC_BAD;
    if (r == CODEC_MORE && (s->at_end || s->in.n > s->max))
        r = CODEC_BAD;
    if (r != CODEC_DONE) {
        memset(out, 0, sizeof(*out));
        return r;
    }
    out->space = space;
    out->raw = slice_make(s->in.p + first, s->i - first);
    *used = s->i;
    return CODEC_DONE;
}

enum codec imap_lex(struct slice in, int mode, size_t max, size_t *used, struct tok *out)
{
    struct scan s = {.in = in, .mode = mode, .max = max};
    return lex(&s, used, out);
}

void imap_unquote(struct buf *out, struct slice quoted)
{
    size_t from = 0;
    for (size_t i = 0; i < quoted.n; i++) {
        if (quoted.p[i] != '\\')
            continue;
        buf_put(out, quoted.p + from, i - from);
        from = ++i;
    }
    if (from < quoted.n)
        buf_put(out, quoted.p + from, quoted.n - from);
}

void imap_args_init(struct imap_args *a, struct slice in)
{
    *a = (struct imap_args){.rest = in};
}

bool imap_args_done(const struct imap_args *a)
{
    return !a->bad && a->rest.n == 0;
}

/* The next token without moving; *used as imap_lex. */
static bool args_next(struct imap_args *a, struct tok *t, size_t *used)
{
    memset(t, 0, sizeof(*t));
    *used = 0;
    if (a->bad || a->rest.n == 0)
        return false;
    struct scan s = {.in = a->rest, .mode = LEX_INLINE, .max = SIZE_MAX, .at_end = true};
    if (lex(&s, used, t) == CODEC_DONE && t->kind != TOK_EOL)
        return true;
    memset(t, 0, sizeof(*t));
    a->bad = true;
    return false;
}

bool imap_args_peek(struct imap_args *a, struct tok *t)
{
    size_t used;
    return args_next(a, t, &used);
}

bool imap_args_tok(struct imap_args *a, struct tok *t)
{
    size_t used;
    if (!args_next(a, t, &used)) {
        a->bad = true;
        return false;
    }
    a->rest = slice_make(a->rest.p + used, a->rest.n - used);
    return true;
}

bool imap_args_atom(struct imap_args *a, struct slice *out)
{
    struct tok t;
    *out = (struct slice){0};
    if (!imap_args_tok(a, &t))
        return false;
    if (t.kind != TOK_ATOM) {
        a->bad = true;
        return false;
    }
    *out = t.text;
    return true;
}

bool imap_args_astring(struct imap_args *a, struct buf *out)
{
    struct tok t;
    if (!imap_args_tok(a, &t))
        return false;
    switch (t.kind) {
    case TOK_ATOM:
    case TOK_LITERAL:
        buf_put_slice(out, t.text);
        return true;
    case TOK_QUOTED:
        imap_unquote(out, t.text);
        return true;
    case TOK_OPEN:
    case TOK_CLOSE:
    case TOK_EOL:
        break;
    }
    a->bad = true;
    return false;
}

bool imap_args_u32(struct imap_args *a, uint32_t *out)
{
    struct slice s;
    *out = 0;
    if (!imap_args_atom(a, &s))
        return false;
    if (slice_u32(s, out) != 0)
        a->bad = true;
    return !a->bad;
}

bool imap_args_value(struct imap_args *a, struct slice *raw)
{
    struct tok t;
    size_t depth = 0;
    const uint8_t *first = NULL;
    *raw = (struct slice){0};
    do {
        if (!imap_args_tok(a, &t))
            return false;
        if (first == NULL)
            first = t.raw.p;
        if (t.kind == TOK_OPEN) {
            depth++;
        } else if (t.kind == TOK_CLOSE) {
            if (depth == 0) {
                a->bad = true;
                return false;
            }
            depth--;
        }
    } while (depth > 0);
    *raw = slice_make(first, (size_t)(a->rest.p - first));
    return true;
}

/* ASTRING-CHAR of RFC 3501: an atom's characters and "]". */
static bool is_astring_char(uint8_t c)
{
    return c > 0x20 && c < 0x7f && strchr("(){%*\"\\", c) == NULL;
}

bool imap_put_quoted(struct buf *out, struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == 0 || s.p[i] == '\r' || s.p[i] == '\n' || s.p[i] >= 0x80)
            return false;
    }
    buf_putc(out, '"');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"' || s.p[i] == '\\')
            buf_putc(out, '\\');
        buf_putc(out, (char)s.p[i]);
    }
    buf_putc(out, '"');
    return true;
}

bool imap_put_astring(struct buf *out, struct slice s)
{
    size_t i = 0;
    while (i < s.n && is_astring_char(s.p[i]))
        i++;
    /* NIL as an atom would be read as nothing where a string is optional; "[" may open a section.
     */
    if (s.n == 0 || i < s.n || slice_is_nocase(s, "NIL") || memchr(s.p, '[', s.n) != NULL)
        return imap_put_quoted(out, s);
    buf_put_slice(out, s);
    return true;
}
