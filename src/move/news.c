/*
 * What people change on old behind the back of the comparison. The mover has the old mailbox open, so it is told as any client
 * is: by message number. UID SEARCH says at the beginning of each pass which message has which number, EXPUNGE moves the
 * list on. So a round compares what changed, and not the whole mailbox.
 *
 * A list that does not add up, or news about who knows what, has everything compared again.
 */
#include "move/mover_priv.h"

enum { MOST_CHANGED = 20000 /* ranges; beyond that all is compared again */, LIST_TRIES = 3, BRIEF_MOST = 20000 };

void news_free(struct mover *m)
{
    struct news *n = &m->compare.news;
    if (m->old.numbers == &n->listed)
        m->old.numbers = NULL;
    uidlist_free(&n->uids);
    uidlist_free(&n->listed);
    uidlist_free(&n->changed);
    uidlist_free(&n->gone);
    *n = (struct news){.id = 0};
}

static void ask(struct mover *m)
{
    struct news *n = &m->compare.news;
    n->tries++;
    n->expunges = m->old.expunges;
    uidlist_free(&n->listed);
    m->old.numbers = &n->listed;
    /* In short, unless the mailbox is so full of gaps that this would be the longer form. */
    size_t ranges = n->numbers ? n->uids.n : m->old.exists;
    bool brief = (imapc_caps(m->old.imap) & CAP_BIT(ESEARCH)) != 0 && ranges < BRIEF_MOST;
    n->id = imapc_command(m->old.imap, "UID SEARCH %sALL", brief ? "RETURN (ALL) " : "");
    m->old_due++;
}

void news_changed(struct mover *m, uint32_t old_uid)
{
    struct news *n = &m->compare.news;
    if (uidlist_has(&n->gone, old_uid))
        return;
    n->unknown = n->unknown || n->changed.n >= MOST_CHANGED || !uidlist_add(&n->changed, old_uid);
    uidlist_sort(&n->changed);
}

void news_line(struct mover *m)
{
    struct news *n = &m->compare.news;
    const struct resp_line *l = &m->old.line;
    if (!m->compare.begun || !l->has_num || !slice_is_nocase(buf_slice(&l->name), "EXPUNGE"))
        return;
    uint32_t uid = uidlist_nth(&n->uids, l->num);
    n->unknown = n->unknown || !n->numbers;
    if (uid == 0) /* it was not there when the list was made, and is not compared yet */
        return;
    news_changed(m, uid);
    n->unknown = n->unknown || !uidlist_del(&n->uids, uid);
}

void news_flags(struct mover *m, const struct fetch *f)
{
    struct news *n = &m->compare.news;
    if (!m->compare.begun)
        return;
    uint32_t uid = f->uid != 0 ? f->uid : uidlist_nth(&n->uids, f->seq);
    n->unknown = n->unknown || (f->uid == 0 && !n->numbers);
    if (uid != 0)
        news_changed(m, uid);
}

void news_ask(struct mover *m)
{
    m->compare.news.tries = 0;
    ask(m);
}

/* What went without an EXPUNGE. */
static void compare_lists(struct mover *m)
{
    struct news *n = &m->compare.news;
    struct uidlist_at before = uidlist_first(&n->uids), now = uidlist_first(&n->listed);
    for (; before.uid != 0; uidlist_next(&before)) {
        while (now.uid != 0 && now.uid < before.uid)
            uidlist_next(&now);
        if (now.uid != before.uid)
            news_changed(m, before.uid);
    }
}

void news_listed(struct mover *m)
{
    struct news *n = &m->compare.news;
    m->old.numbers = NULL;
    n->id = 0;
    uidlist_sort(&n->listed);
    m->compare.begun = true;
    /* Else messages went or came while it was made. */
    bool fits = n->expunges == m->old.expunges && uidlist_count(&n->listed) == m->old.exists;
    if (!fits && n->tries < LIST_TRIES) {
        ask(m);
        return;
    }
    n->numbers = fits;
    if (!fits)
        return;
    compare_lists(m);
    uidlist_free(&n->uids);
    n->uids = n->listed;
    n->listed = (struct uidlist){.n = 0};
}

bool news_any(const struct mover *m)
{
    return m->compare.news.unknown || m->compare.news.changed.n > 0;
}
