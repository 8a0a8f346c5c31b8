/*
 * What a server sends, as events.
 * What: status lines whole, data token by token, literals in the pieces in which they arrive.
 * Why: a message of any size passes without being held or copied; slices borrow from the owner's
 * input. Rejected: callbacks (the owner could not stop between two events), and gathering whole
 * responses first.
 *
 * Leniency, as real servers need it: spaces before the CRLF that ends data are dropped, several
 * spaces between tokens count as one (CAPABILITY and SEARCH of some hosts), a status may have no
 * text at all.
 */
#include "wherry/imap/resp.h"
#include <string.h>

enum { ST_START, ST_DATA, ST_LITERAL };

void imap_resp_init(struct resp_reader *r)
{
    *r = (struct resp_reader){
        .state = ST_START,
        .max_token = (size_t)1 << 20,
        .max_literal = UINT32_MAX,
        .max_depth = 1000,
    };
}

bool imap_resp_idle(const struct resp_reader *r)
{
    return r->state == ST_START;
}

bool imap_resp_between(const struct resp_reader *r)
{
    return r->state == ST_DATA && r->depth == 0;
}

static struct slice after(struct slice s, size_t n)
{
    return n == 0 ? s : slice_make(s.p + n, s.n - n);
}

/* The line at the start of in, without CRLF. A bare CR or LF is BAD, so that nothing relayed can
 * forge a line. */
static enum codec take_line(struct slice in, size_t max, struct slice *line)
{
    const uint8_t *lf = in.n > 0 ? memchr(in.p, '\n', in.n) : NULL;
    if (lf == NULL)
        return in.n > max ? CODEC_BAD : CODEC_MORE;
    size_t n = (size_t)(lf - in.p);
    if (n == 0 || n > max || in.p[n - 1] != '\r' || memchr(in.p, '\r', n - 1) != NULL)
        return CODEC_BAD;
    *line = slice_make(in.p, n - 1);
    return CODEC_DONE;
}

/*
 * Where the code that begins behind "[" ends: at a "]" outside quotes, parentheses and inner
 * brackets. 0: nowhere. Flags and names may hold any of these unbalanced; then the first "]" of the
 * line has to do.
 */
static size_t code_end(struct slice s)
{
    size_t paren = 0, bracket = 0;
    bool quoted = false;
    for (size_t i = 1; i < s.n; i++) {
        uint8_t c = s.p[i];
        if (quoted) {
            if (c == '\\')
                i++;
            else if (c == '"')
                quoted = false;
        } else if (c == '"') {
            quoted = true;
        } else if (c == '(') {
            paren++;
        } else if (c == ')') {
            paren -= paren > 0;
        } else if (c == '[' && paren == 0) {
            bracket++;
        } else if (c == ']' && paren == 0) {
            if (bracket == 0)
                return i;
            bracket--;
        }
    }
    const uint8_t *p = memchr(s.p, ']', s.n);
    return p != NULL ? (size_t)(p - s.p) : 0;
}

/* "[code] text" or "text" after the condition; rest begins with the space before it, or is empty.
 */
static void split_text(struct slice rest, struct resp *out)
{
    while (rest.n > 0 && rest.p[0] == ' ')
        rest = after(rest, 1);
    if (rest.n > 0 && rest.p[0] == '[') {
        size_t end = code_end(rest);
        if (end > 0) {
            out->code = slice_make(rest.p + 1, end - 1);
            rest = after(rest, end + 1);
            if (rest.n > 0 && rest.p[0] == ' ')
                rest = after(rest, 1);
        }
    }
    out->text = rest;
}

static enum imap_cond cond_of(struct slice s)
{
    static const struct {
        const char *name;
        enum imap_cond cond;
    } table[] = {{"OK", COND_OK},
                 {"NO", COND_NO},
                 {"BAD", COND_BAD},
                 {"BYE", COND_BYE},
                 {"PREAUTH", COND_PREAUTH}};
    if (s.n < 2 || s.n > 7)
        return COND_NONE;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (slice_is_nocase(s, table[i].name))
            return table[i].cond;
    }
    return COND_NONE;
}

static size_t word_length(struct slice s)
{
    size_t i = 0;
    while (i < s.n && s.p[i] != ' ')
        i++;
    return i;
}

static enum codec next_cont(struct resp_reader *r, struct slice in, size_t *used, struct resp *out)
{
    struct slice line = {0};
    enum codec c = take_line(in, r->max_token, &line);
    if (c != CODEC_DONE)
        return c;
    *used = line.n + 2;
    line = after(line, 1);
    out->kind = RESP_CONT;
    out->text = line.n > 0 && line.p[0] == ' ' ? after(line, 1) : line;
    return CODEC_DONE;
}

/* A status line whose tag is the first word ("*" included). */
static enum codec next_status(struct resp_reader *r, struct slice in, size_t *used,
                              struct resp *out)
{
    struct slice line = {0};
    enum codec c = take_line(in, r->max_token, &line);
    if (c != CODEC_DONE)
        return c;
    size_t n = word_length(line);
    if (n == 0 || n == line.n)
        return CODEC_BAD;
    struct slice tag = slice_make(line.p, n), rest = after(line, n + 1);
    n = word_length(rest);
    out->cond = cond_of(slice_make(rest.p, n));
    if (slice_is(tag, "*")) {
        out->kind = RESP_STATUS;
    } else {
        out->kind = RESP_TAGGED;
        out->tag = tag;
        if (out->cond == COND_BYE || out->cond == COND_PREAUTH)
            return CODEC_BAD;
    }
    if (out->cond == COND_NONE)
        return CODEC_BAD;
    split_text(after(rest, n), out);
    *used = line.n + 2;
    return CODEC_DONE;
}

/* One word of "* 12 FETCH": an atom, with the byte that ends it in sight. */
static enum codec take_word(struct slice in, size_t max, size_t *used, struct slice *word)
{
    struct tok t;
    enum codec c = imap_lex(in, LEX_STREAM, max, used, &t);
    if (c == CODEC_DONE && (t.kind != TOK_ATOM || !t.space))
        return CODEC_BAD;
    *word = t.text;
    return c;
}

/* in begins with "*". */
static enum codec next_untagged(struct resp_reader *r, struct slice in, size_t *used,
                                struct resp *out)
{
    size_t n = 0, m = 0;
    struct slice word;
    enum codec c = take_word(after(in, 1), r->max_token, &n, &word);
    if (c != CODEC_DONE)
        return c;
    n++;
    if (word.p[0] >= '0' && word.p[0] <= '9') {
        if (slice_u32(word, &out->num) != 0)
            return CODEC_BAD;
        out->has_num = true;
        c = take_word(after(in, n), r->max_token, &m, &word);
        if (c != CODEC_DONE)
            return c;
    } else if (cond_of(word) != COND_NONE) {
        return next_status(r, in, used, out);
    }
    out->kind = RESP_BEGIN;
    out->name = word;
    *used = n + m;
    r->state = ST_DATA;
    r->depth = 0;
    return CODEC_DONE;
}

static enum codec next_start(struct resp_reader *r, struct slice in, size_t *used, struct resp *out)
{
    if (in.n == 0)
        return CODEC_MORE;
    if (in.p[0] == '+')
        return next_cont(r, in, used, out);
    if (in.p[0] == '*') {
        if (in.n == 1)
            return CODEC_MORE;
        return next_untagged(r, in, used, out);
    }
    if (in.p[0] <= ' ')
        return CODEC_BAD;
    return next_status(r, in, used, out);
}

static enum codec next_data(struct resp_reader *r, struct slice in, size_t *used, struct resp *out)
{
    size_t skip = 0;
    while (skip + 1 < in.n && in.p[skip] == ' ' && in.p[skip + 1] == ' ')
        skip++;
    if (skip > r->max_token)
        return CODEC_BAD;
    enum codec c = imap_lex(after(in, skip), LEX_STREAM, r->max_token - skip, used, &out->tok);
    if (c != CODEC_DONE)
        return c;
    *used += skip;
    out->kind = RESP_TOK;
    switch (out->tok.kind) {
    case TOK_OPEN:
        if (++r->depth > r->max_depth)
            return CODEC_BAD;
        break;
    case TOK_CLOSE:
        if (r->depth == 0)
            return CODEC_BAD;
        r->depth--;
        break;
    case TOK_LITERAL:
        if (out->tok.size > r->max_literal)
            return CODEC_BAD;
        r->literal_left = out->tok.size;
        r->state = ST_LITERAL;
        break;
    case TOK_EOL:
        if (r->depth != 0)
            return CODEC_BAD;
        out->kind = RESP_END;
        memset(&out->tok, 0, sizeof(out->tok));
        r->state = ST_START;
        break;
    case TOK_ATOM:
    case TOK_QUOTED:
        break;
    }
    return CODEC_DONE;
}

static enum codec next_bytes(struct resp_reader *r, struct slice in, size_t *used, struct resp *out)
{
    if (in.n == 0 && r->literal_left > 0)
        return CODEC_MORE;
    size_t n = in.n < r->literal_left ? in.n : (size_t)r->literal_left;
    r->literal_left -= n;
    out->kind = RESP_BYTES;
    out->bytes = slice_make(in.p, n);
    out->last = r->literal_left == 0;
    *used = n;
    if (out->last)
        r->state = ST_DATA;
    return CODEC_DONE;
}

/* All zero, field by field: done for every token, and a memset of this size is a string instruction that takes long
 * to begin. */
static void clear(struct resp *out)
{
    static const struct slice none = {0};
    out->kind = RESP_NONE;
    out->cond = COND_NONE;
    out->has_num = out->last = false;
    out->num = 0;
    out->tag = out->code = out->text = out->name = out->bytes = none;
    out->tok.kind = TOK_ATOM;
    out->tok.space = out->tok.nonsync = out->tok.binary = false;
    out->tok.text = out->tok.raw = none;
    out->tok.size = 0;
}

enum codec imap_resp_next(struct resp_reader *r, struct slice in, size_t *used, struct resp *out)
{
    enum codec c;
    clear(out);
    *used = 0;
    switch (r->state) {
    case ST_START:
        c = next_start(r, in, used, out);
        break;
    case ST_DATA:
        c = next_data(r, in, used, out);
        break;
    default:
        c = next_bytes(r, in, used, out);
        break;
    }
    if (c != CODEC_DONE) {
        clear(out);
        *used = 0;
    }
    return c;
}
