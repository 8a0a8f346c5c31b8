/*
 * Carrying over, the answer: what the client counts is held against what new has.
 *
 * The map ascends, so what both know stands in the same order; what new has beyond it must follow, and what it has not (a
 * message that old expunged and did not tell yet, one that new refused, one that another session removed since) leaves a gap
 * in the client's numbers until an EXPUNGE may be told (seqs.h). A new message between those that the client counts cannot be
 * told at all: only somebody who goes past us can have done that, and the session ends.
 *
 * Flags: those that old told in the last moment, and all that changed on new since the comparison before the switch began.
 */
#include "config.h"
#include "front/carry.h"
#include "wherry/imap/caps.h"
#include "wherry/imap/set.h"

static void done_told(struct session *s, struct flight *f, const struct resp *r)
{
    (void)s;
    (void)f;
    (void)r;
}

static const struct command row_tell = {.name = "FETCH", .done = done_told};

enum { MAX_SET = 8000 /* bytes of a command line that any host takes */ };

/* ---- the comparison ---- */

struct walk {
    struct session *s;
    struct uidlist_at old, gone, new, changed;
    size_t ghost;            /* of those that old told by number */
    uint32_t num, host;      /* the client's number, new's */
    uint32_t top;            /* UIDs above came after the switch */
    struct buf *tell;        /* numbers of new */
    struct set_writer told;
    struct seqs found;
};

/* New's one in hand, as the view calls it; 0: the end, UINT32_MAX: none of the view's. */
static uint32_t new_uid(const struct walk *w)
{
    if (w->new.uid == 0)
        return 0;
    uint32_t uid = uidmap_to_view(unit_map(w->s->unit, &(struct err){0}), w->new.uid);
    return uid != 0 ? uid : UINT32_MAX;
}

static bool is_changed(struct walk *w, uint32_t what)
{
    while (w->changed.uid != 0 && w->changed.uid < what)
        uidlist_next(&w->changed);
    return w->changed.uid == what;
}

/* The client counts this one next. False: new has one before it that the client does not know. */
static bool step(struct walk *w, uint32_t uid)
{
    uint32_t new = new_uid(w);
    w->num++;
    if (new != 0 && new < uid)
        return false;
    if (new != uid) {
        (void)seqs_add(&w->found, w->num, uid);
        return true;
    }
    w->host++;
    uidlist_next(&w->new);
    if (is_changed(w, w->s->carry->by_uid ? uid : w->num))
        imap_set_add(&w->told, w->host, w->host);
    return true;
}

static bool next_is_ghost(const struct walk *w)
{
    const struct seqs *q = &w->s->seqs;
    return w->ghost < q->n && q->v[w->ghost].num == w->num + 1;
}

static bool walk_all(struct walk *w)
{
    for (;;) {
        bool old = w->old.uid != 0 && w->old.uid <= w->top, gone = w->gone.uid != 0;
        if (next_is_ghost(w)) {
            w->ghost++;
            (void)seqs_add(&w->found, ++w->num, 0);
        } else if (gone && (!old || w->gone.uid < w->old.uid)) {
            if (!step(w, w->gone.uid))
                return false;
            uidlist_next(&w->gone);
        } else if (old) {
            if (!step(w, w->old.uid))
                return false;
            uidlist_next(&w->old);
        } else {
            return w->ghost == w->s->seqs.n;
        }
    }
}

/* What follows on new follows for the client, too. */
static bool all_in_view(struct walk *w)
{
    for (; w->new.uid != 0; uidlist_next(&w->new)) {
        if (new_uid(w) == UINT32_MAX)
            return false;
        w->num++;
    }
    return true;
}

static bool compare(struct session *s, struct buf *tell)
{
    struct carry *c = s->carry;
    struct walk w = {.s = s, .top = unit_record(s->unit)->copied_to, .tell = tell};
    uidlist_sort(&c->side[HOME_OLD].uids);
    uidlist_sort(&c->side[HOME_NEW].uids);
    uidlist_sort(&c->vanished);
    uidlist_sort(&c->changed);
    w.old = uidlist_first(&c->side[HOME_OLD].uids);
    w.new = uidlist_first(&c->side[HOME_NEW].uids);
    w.gone = uidlist_first(&c->vanished);
    w.changed = uidlist_first(&c->changed);
    imap_set_begin(&w.told, tell);
    bool ok = walk_all(&w) && all_in_view(&w);
    (void)imap_set_end(&w.told);
    if (!ok) {
        seqs_free(&w.found);
        return false;
    }
    seqs_free(&s->seqs);
    s->seqs = w.found;
    s->seqs.total = w.num;
    return true;
}

bool carry_settle(struct session *s)
{
    struct err e = {0};
    struct buf tell = {0};
    const struct uidmap *map = unit_map(s->unit, &e);
    bool ok = map != NULL && compare(s, &tell);
    if (ok) {
        s->side = HOME_NEW;
        s->view.map = map;
        s->view.modseq_shift = unit_record(s->unit)->modseq_shift;
        s->view.seqs = s->seqs.n > 0 ? &s->seqs : NULL;
        unit_rise(&s->seat);
        uint32_t exists = s->seqs.total;
        if (s->back == S_IDLE) { /* a command is in progress that lets them be told */
            exists -= (uint32_t)s->seqs.n;
            session_tell_gone(s);
        }
        session_printf(s, "* %lu EXISTS\r\n", (unsigned long)exists);
        buf_free(&s->carry->tell);
        s->carry->tell = tell;
    } else {
        buf_free(&tell);
    }
    return ok;
}

/* ---- telling ---- */

static void fetch(struct session *s, const char *set, uint64_t since)
{
    uint32_t id = since > 0 ? imapc_command(s->new_, "FETCH %s (UID FLAGS) (CHANGEDSINCE %llu)", set,
                                            (unsigned long long)since)
                            : imapc_command(s->new_, "FETCH %s (UID FLAGS)", set);
    flight_new(s, HOME_NEW, id, &row_tell, slice_str(""))->silent = true;
}

static void tell_flags(struct session *s)
{
    const struct store_unit *u = unit_record(s->unit);
    struct carry *c = s->carry;
    if (uidlist_count(&c->side[HOME_NEW].uids) == 0)
        return;
    /* What a person changed on new during the copy is told with all the rest where new does not count changes. */
    if ((imapc_caps(s->new_) & CAP_BIT(CONDSTORE)) == 0 || u->new_modseq == 0 || c->tell.len > MAX_SET) {
        fetch(s, "1:*", 0);
        return;
    }
    s->host_enabled[HOME_NEW] |= CAP_BIT(CONDSTORE);
    fetch(s, "1:*", u->new_modseq);
    if (c->tell.len > 0)
        fetch(s, buf_cstr(&c->tell), 0);
}

/* What "$" means, saved anew; those that are gone are left out, as they are by any host (RFC 5182 section 2.1). */
static void save(struct session *s)
{
    struct carry *c = s->carry;
    struct buf set = {0};
    struct set_writer w;
    imap_set_begin(&w, &set);
    uidlist_sort(&c->saved);
    for (struct uidlist_at at = uidlist_first(&c->saved); at.uid != 0; uidlist_next(&at)) {
        uint32_t uid = uidmap_to_new(s->view.map, at.uid);
        if (uid != 0)
            imap_set_add(&w, uid, uid);
    }
    bool any = imap_set_end(&w);
    if (set.len > MAX_SET)
        session_bye(s, "carry_failed", "The mailbox was moved to another server, please connect again");
    else
        flight_new(s, HOME_NEW, imapc_command(s->new_, "SEARCH RETURN (SAVE) %s%s", any ? "UID " : "NOT ALL", buf_cstr(&set)),
                   &row_tell, slice_str(""))->silent = true;
    buf_free(&set);
}

void carry_tell(struct session *s)
{
    s->carry->phase = CARRY_TELL;
    tell_flags(s);
    if (s->saved)
        save(s);
}
