/*
 * The lines of which a large FETCH is made, "* 12 FETCH (UID 345 FLAGS (\Seen))", translated whole
 * and without tokens, and the numbers of SEARCH: a client that synchronises a large mailbox reads
 * hundreds of thousands of them, and going token by token costs as much as the host needs to make
 * them.
 *
 * Only what is plain is taken: known items without literals, escapes or nesting, and UIDs that are
 * mapped. Everything else is left for reply_feed(), and what comes out is the same to the byte (a
 * fuzz target holds them against each other).
 */
#include "config.h"
#include "front/modseq.h"
#include "front/reply.h"
#include <string.h>

enum {
    MAX_LINE = 8192,
    MAX_DEPTH = 50, /* of parentheses */
    GROWTH = 32, /* one UID and one mod-sequence may become longer */
    NUMBERS = 1024, /* so many at a time, of at most 11 bytes each */
    DIGITS = 10
};

struct line {
    const uint8_t *p, *end; /* end: at the CR */
    uint8_t *out;
    bool uid, modseq; /* it had one: another is left for the long way, since each may grow */
};

/* The run that the last UID was in: new in [lo, hi] is view = new + add (modulo 2^32). */
struct run {
    uint32_t lo, hi, add;
};

static bool find_run(const struct uidmap *m, uint32_t uid, struct run *r)
{
    size_t lo = 0, hi = m->n;
    if (m->tail_new != 0 && uid >= m->tail_new) {
        uint32_t room = UINT32_MAX - m->tail_view, reach = UINT32_MAX - m->tail_new;
        *r = (struct run){m->tail_new, m->tail_new + (room < reach ? room : reach),
                          m->tail_view - m->tail_new};
        return uid <= r->hi;
    }
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const struct uid_run *u = &m->runs[mid];
        if (uid < u->new) {
            hi = mid;
        } else if (uid - u->new >= u->len) {
            lo = mid + 1;
        } else {
            *r = (struct run){u->new, u->new + (u->len - 1), u->view - u->new};
            return true;
        }
    }
    return false;
}

static bool eat(struct line *l, const char *word, size_t n)
{
    if ((size_t)(l->end - l->p) < n || memcmp(l->p, word, n) != 0)
        return false;
    l->p += n;
    return true;
}

static void put(struct line *l, const void *p, size_t n)
{
    memcpy(l->out, p, n);
    l->out += n;
}

static bool number(struct line *l, uint32_t *out)
{
    uint64_t n = 0;
    const uint8_t *from = l->p;
    while (l->p < l->end && *l->p >= '0' && *l->p <= '9' && l->p - from < 11)
        n = n * 10 + (uint64_t)(*l->p++ - '0');
    *out = (uint32_t)n;
    return l->p > from && n > 0 && n <= UINT32_MAX && *from != '0';
}

static void put_number(struct line *l, uint64_t n)
{
    uint8_t digits[20];
    size_t i = sizeof(digits);
    do {
        digits[--i] = (uint8_t)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    put(l, digits + i, sizeof(digits) - i);
}

/* Atoms with single spaces between them, up to the closing parenthesis, which is eaten. */
static bool flags(struct line *l)
{
    const uint8_t *from = l->p;
    bool after_space = true;
    while (l->p < l->end && *l->p != ')') {
        uint8_t c = *l->p++;
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '\\' || c == '$' || c == '_' || c == '-';
        if (!plain && (c != ' ' || after_space))
            return false;
        after_space = c == ' ';
    }
    if (l->p == l->end || (after_space && l->p != from))
        return false;
    l->p++;
    put(l, "FLAGS (", 7);
    put(l, from, (size_t)(l->p - from));
    return true;
}

/* A byte of an atom that the long way passes on as it is, too. */
static bool plain_atom(uint8_t c)
{
    static const char special[] = "\"\\(){}[]%*";
    return c > 0x20 && c < 0x7f && memchr(special, c, sizeof(special) - 1) == NULL;
}

/* Behind a quote, up to and with the one that ends the string. */
static bool skip_quoted(struct line *l)
{
    while (l->p < l->end && *l->p != '"') {
        if (*l->p == '\\' && (++l->p == l->end || (*l->p != '"' && *l->p != '\\')))
            return false;
        if (*l->p < 0x20 || *l->p > 0x7e)
            return false;
        l->p++;
    }
    return l->p < l->end && *l->p++ == '"';
}

/* A parenthesized list of strings, atoms and lists behind its first parenthesis: ENVELOPE and its like hold nothing to
 * translate. */
static bool list(struct line *l, const char *name)
{
    const uint8_t *from = l->p;
    unsigned depth = 1;
    uint8_t before = '(';
    while (depth > 0 && l->p < l->end) {
        uint8_t c = *l->p++;
        bool ok;
        switch (c) {
        case '(':
            ok = ++depth <= MAX_DEPTH;
            break;
        case ')':
            ok = before != ' ';
            depth--;
            break;
        case ' ':
            ok = before != ' ' && before != '(';
            break;
        case '"':
            ok = skip_quoted(l);
            break;
        default:
            ok = plain_atom(c);
            break;
        }
        if (!ok)
            return false;
        before = c;
    }
    if (depth > 0)
        return false;
    put(l, name, strlen(name));
    put(l, from, (size_t)(l->p - from));
    return true;
}

/* What stands between two quotes, up to and with the second. */
static bool date(struct line *l)
{
    const uint8_t *from = l->p;
    while (l->p < l->end && *l->p != '"') {
        if (*l->p < 0x20 || *l->p > 0x7e || *l->p == '\\')
            return false;
        l->p++;
    }
    if (l->p == l->end)
        return false;
    l->p++;
    put(l, "INTERNALDATE \"", 14);
    put(l, from, (size_t)(l->p - from));
    return true;
}

/* Digits and both parentheses that follow. */
static bool modseq(struct line *l, uint64_t shift)
{
    const uint8_t *from = l->p;
    uint64_t n = 0;
    while (l->p < l->end && *l->p >= '0' && *l->p <= '9' && l->p - from < 19)
        n = n * 10 + (uint64_t)(*l->p++ - '0');
    if (l->modseq || l->p == from || *from == '0' || !eat(l, ")", 1))
        return false;
    n = modseq_to_view(shift, n);
    l->modseq = true;
    put(l, "MODSEQ (", 8);
    put_number(l, n);
    put(l, ")", 1);
    return n != 0;
}

static bool item(struct line *l, const struct reply_view *v, struct run *r)
{
    const struct uidmap *m = v->map;
    uint32_t n;
    if (eat(l, "UID ", 4)) {
        if (l->uid || !number(l, &n) || ((n < r->lo || n > r->hi) && !find_run(m, n, r)))
            return false;
        l->uid = true;
        put(l, "UID ", 4);
        put_number(l, (uint32_t)(n + r->add));
        return true;
    }
    if (eat(l, "FLAGS (", 7))
        return flags(l);
    if (eat(l, "INTERNALDATE \"", 14))
        return date(l);
    if (eat(l, "ENVELOPE (", 10))
        return list(l, "ENVELOPE (");
    if (eat(l, "BODYSTRUCTURE (", 15))
        return list(l, "BODYSTRUCTURE (");
    if (eat(l, "BODY (", 6))
        return list(l, "BODY (");
    if (v->modseq && eat(l, "MODSEQ (", 8))
        return modseq(l, v->modseq_shift);
    if (!eat(l, "RFC822.SIZE ", 12) || !number(l, &n))
        return false;
    put(l, "RFC822.SIZE ", 12);
    put_number(l, n);
    return true;
}

static bool translate(struct line *l, const struct reply_view *v, struct run *r)
{
    uint32_t seq;
    if (!eat(l, "* ", 2) || !number(l, &seq) || !eat(l, " FETCH (", 8))
        return false;
    put(l, "* ", 2);
    put_number(l, seq);
    put(l, " FETCH (", 8);
    for (;;) {
        if (!item(l, v, r))
            return false;
        if (eat(l, ")", 1))
            break;
        if (!eat(l, " ", 1))
            return false;
        put(l, " ", 1);
    }
    put(l, ")\r\n", 3);
    return l->p == l->end;
}

size_t reply_fast(const struct reply_view *v, struct slice in, struct buf *out)
{
    struct run r = {1, 0, 0};
    size_t used = 0;
    if (!v->open || v->map == NULL || v->seqs != NULL)
        return 0;
    while (in.n > used) {
        const uint8_t *at = in.p + used;
        size_t left = in.n - used;
        const uint8_t *lf = memchr(at, '\n', left < MAX_LINE ? left : MAX_LINE);
        if (lf == NULL || lf - at < 2 || lf[-1] != '\r')
            break;
        struct line l = {
            .p = at, .end = lf - 1, .out = buf_reserve(out, (size_t)(lf - at) + GROWTH)};
        uint8_t *from = l.out;
        if (!translate(&l, v, &r))
            break;
        buf_commit(out, (size_t)(l.out - from));
        used += (size_t)(lf - at) + 1;
    }
    return used;
}

size_t reply_fast_numbers(const struct reply *r, const struct reply_view *v, struct slice in,
                          struct buf *out)
{
    struct run run = {1, 0, 0};
    struct line l = {.p = in.p, .end = in.p + in.n};
    const uint8_t *done = in.p;
    uint32_t n;
    if (r->kind != REPLY_NUMBERS || r->depth != 0 || (v->uid_numbers ? v->map == NULL : v->seqs != NULL))
        return 0;
    l.out = buf_reserve(out, NUMBERS * (DIGITS + 1));
    uint8_t *from = l.out;
    for (unsigned i = 0; i < NUMBERS; i++) {
        if (!eat(&l, " ", 1) || !number(&l, &n) || l.p == l.end || (*l.p != ' ' && *l.p != '\r'))
            break;
        if (v->uid_numbers) {
            if ((n < run.lo || n > run.hi) && !find_run(v->map, n, &run))
                break;
            n += run.add;
        }
        put(&l, " ", 1);
        put_number(&l, n);
        done = l.p;
    }
    buf_commit(out, (size_t)(l.out - from));
    return (size_t)(done - in.p);
}
