/*
 * Modifiers of FETCH and STORE, and the parameters of SELECT (RFC 4466, RFC 7162): where a command
 * names a mod-sequence.
 *
 * Of QRESYNC the pairs of sequence numbers and UIDs are dropped: they only spare a host that does
 * not remember what was expunged the work to tell all of it, and the numbers are those of a mailbox
 * that is no longer there.
 */
#include "config.h"
#include "front/translate.h"
#include "wherry/imap/caps.h"
#include "wherry/imap/set.h"

static bool modseq_of(struct slice text, uint64_t *out)
{
    return slice_u64(text, out) == 0 && *out <= INT64_MAX;
}

/* Opens a list and takes its first word. */
static bool open_list(struct imap_args *a, struct tok *word)
{
    struct tok t;
    return imap_args_tok(a, &t) && t.kind == TOK_OPEN && imap_args_tok(a, word) &&
           word->kind == TOK_ATOM && !word->space;
}

static bool take_number(struct imap_args *a, uint64_t *n)
{
    struct tok t;
    return imap_args_tok(a, &t) && t.kind == TOK_ATOM && t.space && modseq_of(t.text, n);
}

static bool close_list(struct imap_args *a)
{
    struct tok t;
    return imap_args_tok(a, &t) && t.kind == TOK_CLOSE;
}

static void put_number(struct buf *out, const char *before, uint64_t n, const char *after)
{
    buf_printf(out, "%s%llu%s", before, (unsigned long long)n, after);
}

/* What lies in between is no message of the view, and the new host has never heard of it. */
static void add_gaps(const struct tr_view *v, struct slice set, uint64_t since, struct buf *out)
{
    if (!modseq_wants_gaps(&v->modseq, since))
        return;
    if (uidmap_gaps(v->map, set, out) < 0) /* too large as it was asked for: told once each */
        (void)(uidmap_gaps(v->map, SLICE_LIT("1:*"), out) < 0);
}

enum tr tr_changed_since(const struct tr_view *v, struct imap_args *a, struct tr_out *out)
{
    struct tok t;
    uint64_t since = 0;
    bool changed = false, vanished = false;
    if (!imap_args_peek(a, &t))
        return a->bad ? tr_bad(out, "FETCH modifiers expected") : TR_OK;
    if ((v->caps & CAP_BIT(CONDSTORE)) == 0)
        return tr_bad(out, "Unknown FETCH modifier");
    bool ok = open_list(a, &t);
    while (ok && t.kind != TOK_CLOSE) {
        if (slice_is_nocase(t.text, "CHANGEDSINCE") && !changed)
            changed = ok = take_number(a, &since);
        else if (slice_is_nocase(t.text, "VANISHED") && !vanished)
            vanished = true;
        else
            ok = false;
        ok = ok && imap_args_tok(a, &t) && (t.kind == TOK_ATOM ? t.space : t.kind == TOK_CLOSE);
    }
    if (!ok || !changed)
        return tr_bad(out, "(CHANGEDSINCE number) expected");
    if (vanished && ((v->enabled & CAP_BIT(QRESYNC)) == 0 || v->map == NULL || !out->by_uid))
        return tr_bad(out, "VANISHED is for UID FETCH with QRESYNC enabled");
    out->condstore = true;
    put_number(&out->text, " (CHANGEDSINCE ", modseq_to_new(&v->modseq, MODSEQ_AFTER, since),
               vanished ? " VANISHED)" : ")");
    if (vanished && out->uids.n > 0)
        add_gaps(v, out->uids, since, &out->vanished);
    return TR_OK;
}

enum tr tr_unchanged_since(const struct tr_view *v, struct imap_args *a, struct tr_out *out)
{
    struct tok t;
    uint64_t since = 0;
    if ((v->caps & CAP_BIT(CONDSTORE)) == 0 || !open_list(a, &t) ||
        !slice_is_nocase(t.text, "UNCHANGEDSINCE") || !take_number(a, &since) || !close_list(a))
        return tr_bad(out, "FLAGS, +FLAGS or -FLAGS expected");
    if (!imap_args_peek(a, &t) || !t.space)
        return tr_bad(out, "FLAGS, +FLAGS or -FLAGS expected");
    out->condstore = true;
    put_number(&out->text, " (UNCHANGEDSINCE ", modseq_to_new(&v->modseq, MODSEQ_NOT_AFTER, since),
               ")");
    return TR_OK;
}

/* (uidvalidity modseq [known-uids] [(known-sequence-set known-uid-set)]) */
static bool qresync(struct imap_args *a, struct tr_select *s)
{
    struct tok t;
    uint64_t validity = 0;
    bool ok = imap_args_tok(a, &t) && t.kind == TOK_OPEN && t.space && imap_args_tok(a, &t) &&
              t.kind == TOK_ATOM && !t.space && modseq_of(t.text, &validity) &&
              validity <= UINT32_MAX && take_number(a, &s->modseq) && imap_args_tok(a, &t);
    if (ok && t.kind == TOK_ATOM) {
        ok = t.space && imap_set_valid(t.text);
        buf_put_slice(&s->known, t.text);
        ok = ok && imap_args_tok(a, &t);
    }
    if (ok && t.kind == TOK_OPEN) {
        for (unsigned i = 0; i < 2 && ok; i++)
            ok = imap_args_tok(a, &t) && t.kind == TOK_ATOM && t.space == (i == 1) &&
                 imap_set_valid(t.text);
        ok = ok && close_list(a) && imap_args_tok(a, &t);
    }
    s->uidvalidity = (uint32_t)validity;
    s->qresync = true;
    return ok && t.kind == TOK_CLOSE;
}

enum tr tr_select_params(const struct tr_view *v, struct imap_args *a, struct tr_out *out)
{
    struct tok t;
    struct tr_select *s = &out->select;
    if (!imap_args_peek(a, &t))
        return a->bad ? tr_bad(out, "SELECT parameters expected") : TR_OK;
    bool ok = (v->caps & CAP_BIT(CONDSTORE)) != 0 && open_list(a, &t);
    while (ok && t.kind != TOK_CLOSE) {
        if (slice_is_nocase(t.text, "CONDSTORE"))
            s->condstore = true;
        else if (slice_is_nocase(t.text, "QRESYNC") && (v->caps & CAP_BIT(QRESYNC)) != 0 &&
                 !s->qresync)
            ok = qresync(a, s);
        else
            ok = false;
        ok = ok && imap_args_tok(a, &t) && (t.kind == TOK_ATOM ? t.space : t.kind == TOK_CLOSE);
    }
    if (!ok)
        return tr_bad(out, "Unknown SELECT parameter");
    if (s->qresync && (v->enabled & CAP_BIT(QRESYNC)) == 0)
        return tr_bad(out, "QRESYNC has to be enabled first");
    out->condstore = true;
    return TR_OK;
}

bool tr_select_put(const struct tr_view *v, const struct tr_select *s, uint32_t view_uidvalidity,
                   uint32_t new_uidvalidity, struct buf *out, struct buf *vanished)
{
    size_t mark = out->len;
    if (!s->qresync || v->map == NULL || s->uidvalidity != view_uidvalidity || new_uidvalidity == 0)
        return false;
    struct slice known = buf_slice(&s->known);
    add_gaps(v, known.n > 0 ? known : SLICE_LIT("1:*"), s->modseq, vanished);
    buf_printf(out, "(QRESYNC (%lu", (unsigned long)new_uidvalidity);
    put_number(out, " ", modseq_to_new(&v->modseq, MODSEQ_AFTER, s->modseq), "");
    if (known.n > 0) {
        buf_putc(out, ' ');
        if (uidmap_set_to_new(v->map, known, out) <= 0) {
            buf_truncate(out, mark); /* of what the client knows nothing is there */
            return false;
        }
    }
    buf_puts(out, "))");
    return true;
}
