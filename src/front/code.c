/* Response codes (RFC 3501 7.1, RFC 4315, RFC 5530, RFC 7162) on their way to the client. See
 * reply.h. */
#include "config.h"
#include "front/modseq.h"
#include "front/reply.h"
#include "wherry/imap/lex.h"
#include "wherry/imap/set.h"

enum code_action {
    CODE_PASS,
    CODE_UIDNEXT,
    CODE_APPENDUID,
    CODE_COPYUID,
    CODE_MODSEQ,
    CODE_NOMODSEQ,
    CODE_MODIFIED
};

/* UIDVALIDITY is missing here on purpose: only SELECT knows which one to show. */
static const struct {
    const char *name;
    enum code_action action;
} codes[] = {
    {"ALERT", CODE_PASS},
    {"READ-ONLY", CODE_PASS},
    {"READ-WRITE", CODE_PASS},
    {"TRYCREATE", CODE_PASS},
    {"UNSEEN", CODE_PASS},
    {"PERMANENTFLAGS", CODE_PASS},
    {"PARSE", CODE_PASS},
    {"BADCHARSET", CODE_PASS},
    {"CLOSED", CODE_PASS},
    {"UNAVAILABLE", CODE_PASS},
    {"AUTHORIZATIONFAILED", CODE_PASS},
    {"EXPIRED", CODE_PASS},
    {"CONTACTADMIN", CODE_PASS},
    {"NOPERM", CODE_PASS},
    {"INUSE", CODE_PASS},
    {"EXPUNGEISSUED", CODE_PASS},
    {"CORRUPTION", CODE_PASS},
    {"SERVERBUG", CODE_PASS},
    {"CLIENTBUG", CODE_PASS},
    {"CANNOT", CODE_PASS},
    {"LIMIT", CODE_PASS},
    {"OVERQUOTA", CODE_PASS},
    {"ALREADYEXISTS", CODE_PASS},
    {"NONEXISTENT", CODE_PASS},
    {"TOOBIG", CODE_PASS},
    {"HASCHILDREN", CODE_PASS},
    {"UNKNOWN-CTE", CODE_PASS},
    {"USEATTR", CODE_PASS},
    {"METADATA", CODE_PASS},
    {"THROTTLED", CODE_PASS},
    {"UIDNEXT", CODE_UIDNEXT},
    {"APPENDUID", CODE_APPENDUID},
    {"COPYUID", CODE_COPYUID},
    {"HIGHESTMODSEQ", CODE_MODSEQ},
    {"NOMODSEQ", CODE_NOMODSEQ},
    {"MODIFIED", CODE_MODIFIED},
};

/* How many numbers a set names; 0 for one with "*" or none at all. */
static uint64_t set_count(struct slice set)
{
    uint64_t n = 0;
    uint32_t lo, hi;
    int rc;
    while ((rc = imap_set_next(&set, &lo, &hi)) > 0) {
        if (lo == SET_STAR || hi == SET_STAR)
            return 0;
        n += 1 + (uint64_t)(lo < hi ? hi - lo : lo - hi);
    }
    return rc < 0 ? 0 : n;
}

/* A set of which every UID must be known in the view. */
static bool put_whole_set(const struct uidmap *map, struct slice set, struct buf *out)
{
    size_t mark = out->len;
    if (map == NULL || uidmap_set_to_view(map, set, out) <= 0)
        return false;
    return set_count(slice_make(buf_slice(out).p + mark, out->len - mark)) == set_count(set);
}

static bool put_dest(const struct code_view *v, struct slice validity, struct code_dest *d,
                     struct buf *out)
{
    uint32_t n;
    if (slice_u32(validity, &n) != 0 || n == 0 || v->dest == NULL || !v->dest(v->arg, n, d))
        return false;
    reply_put_num(out, d->view_uidvalidity);
    buf_putc(out, ' ');
    return true;
}

/* APPENDUID validity set; COPYUID validity source-set destination-set. */
static bool code_uids(const struct code_view *v, struct imap_args *a, bool copy, struct buf *out)
{
    struct slice validity, source, dest;
    struct code_dest d;
    if (!imap_args_atom(a, &validity) || (copy && !imap_args_atom(a, &source)) ||
        !imap_args_atom(a, &dest))
        return false;
    buf_puts(out, copy ? "COPYUID " : "APPENDUID ");
    if (!put_dest(v, validity, &d, out))
        return false;
    if (copy) {
        if (!put_whole_set(v->view->map, source, out))
            return false;
        buf_putc(out, ' ');
    }
    return put_whole_set(d.map, dest, out);
}

static bool code_uidnext(const struct code_view *v, struct imap_args *a, struct buf *out)
{
    uint32_t n;
    if (v->view->map == NULL || !imap_args_u32(a, &n))
        return false;
    n = uidmap_next_to_view(v->view->map, n);
    buf_puts(out, "UIDNEXT ");
    reply_put_num(out, n);
    return n != 0;
}

static bool code_modified(const struct code_view *v, struct imap_args *a, struct buf *out)
{
    struct slice set;
    if (!imap_args_atom(a, &set) || !imap_set_valid(set))
        return false;
    buf_puts(out, "MODIFIED ");
    /* Those that are known: without the code the client would take all for done. */
    if (v->uid_command)
        return v->view->map != NULL && uidmap_set_to_view(v->view->map, set, out) > 0;
    if (v->view->seqs != NULL)
        return seqs_set_to_view(v->view->seqs, set, out) > 0;
    buf_put_slice(out, set);
    return true;
}

/* Every SELECT tells it, whoever asks: it is no data of a message. */
static bool code_modseq(const struct code_view *v, struct imap_args *a, struct buf *out)
{
    struct slice value;
    uint64_t n;
    if (!v->view->highest || !v->view->open || !imap_args_atom(a, &value) ||
        slice_u64(value, &n) != 0)
        return false;
    n = modseq_to_view(v->view->modseq_shift, n);
    buf_puts(out, "HIGHESTMODSEQ ");
    reply_put_num(out, n);
    return n != 0;
}

static bool code_put(enum code_action action, const struct code_view *v, struct slice code,
                     struct imap_args *a, struct buf *out)
{
    switch (action) {
    case CODE_PASS:
        buf_put_slice(out, code);
        return true;
    case CODE_UIDNEXT:
        return code_uidnext(v, a, out);
    case CODE_APPENDUID:
        return code_uids(v, a, false, out);
    case CODE_COPYUID:
        return code_uids(v, a, true, out);
    case CODE_MODSEQ:
        return code_modseq(v, a, out);
    case CODE_NOMODSEQ:
        buf_put_slice(out, code);
        return v->view->highest;
    case CODE_MODIFIED:
        return code_modified(v, a, out);
    }
    return false;
}

bool reply_code(const struct code_view *v, struct slice code, struct buf *out)
{
    size_t mark = out->len;
    struct imap_args a;
    struct slice name;
    imap_args_init(&a, code);
    if (!imap_args_atom(&a, &name))
        return false;
    for (size_t i = 0; i < sizeof(codes) / sizeof(*codes); i++) {
        if (!slice_is_nocase(name, codes[i].name))
            continue;
        if (code_put(codes[i].action, v, code, &a, out))
            return true;
        break;
    }
    buf_truncate(out, mark);
    return false;
}

static bool is_word(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '&' ||
           c == '_';
}

static bool whole_word(struct slice text, size_t at, size_t n)
{
    return (at == 0 || !is_word(text.p[at - 1])) && (at + n == text.n || !is_word(text.p[at + n]));
}

void reply_text(struct buf *out, struct slice text, struct slice from, struct slice to)
{
    for (size_t i = 0; i < text.n;) {
        struct slice rest = slice_make(text.p + i, text.n - i);
        if (from.n > 2 && slice_starts(rest, from) && whole_word(text, i, from.n)) {
            buf_put_slice(out, to);
            i += from.n;
            continue;
        }
        uint8_t c = text.p[i++];
        buf_putc(out, c < 0x20 || c == 0x7f ? '?' : (char)c);
    }
}
