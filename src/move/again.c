/*
 * Comparing again what changed on old since it was compared: single messages, wherever they are recorded, asked for by their
 * UIDs on both hosts.
 */
#include "move/mover_priv.h"

enum { AGAIN_MESSAGES = 200 /* at once; their UIDs fit a command line */ };

static bool stored_from(struct mover *m, uint32_t number, struct store_intent *out, int *r)
{
    struct store_intent *v;
    size_t n;
    bool any = false;
    while (!any) {
        *r = intents_load(m, number, INTENT_STORED, 1, &v, &n);
        if (*r != 0 || n == 0) {
            intents_free(&v, n);
            return false;
        }
        any = v[0].n > 0;
        if (any)
            *out = v[0];
        else
            number = v[0].batch + 1;
        if (!any)
            intents_free(&v, n);
        else
            free(v);
    }
    return true;
}

/* The intent that records it: their numbers ascend as the UIDs do. False: none does. */
static bool find_intent(struct mover *m, uint32_t uid, struct store_intent *out, int *r)
{
    uint32_t lo = 1, hi = m->batches;
    bool any = false;
    *r = 0;
    while (lo <= hi && *r == 0) {
        struct store_intent i = {0};
        uint32_t mid = lo + (hi - lo) / 2;
        if (!stored_from(m, mid, &i, r) || i.batch > hi || i.msgs[0].old_uid > uid) {
            store_intent_clear(&i);
            hi = mid - 1;
            continue;
        }
        if (any)
            store_intent_clear(out);
        *out = i;
        any = true;
        lo = i.batch + 1;
    }
    return any && *r == 0;
}

static bool find_msg(const struct store_intent *i, uint32_t uid, uint32_t *at)
{
    for (*at = 0; *at < i->n; ++*at)
        if (i->msgs[*at].old_uid == uid)
            return true;
    return false;
}

static void add_msg(struct compare *x, uint32_t intent, uint32_t at)
{
    const struct intent_msg *g = &x->intents[intent].msgs[at];
    x->msgs[x->n++] = (struct compare_msg){.old_uid = g->old_uid,
                                           .new_uid = g->new_uid,
                                           .intent = intent,
                                           .at = at,
                                           .size = g->size,
                                           .base = g->flags};
}

/* One of those that changed. Where no intent has it, it is not on new, or not compared yet. */
static int take(struct mover *m, uint32_t uid)
{
    struct compare *x = &m->compare;
    struct store_intent *last = x->n_intents > 0 ? &x->intents[x->n_intents - 1] : NULL, found = {0};
    uint32_t at;
    int r;
    if (last != NULL && uid <= last->msgs[last->n - 1].old_uid) {
        if (find_msg(last, uid, &at))
            add_msg(x, (uint32_t)x->n_intents - 1, at);
        return 0;
    }
    if (!find_intent(m, uid, &found, &r) || !find_msg(&found, uid, &at)) {
        store_intent_clear(&found);
        return r;
    }
    x->intents = mem_grow(x->intents, x->n_intents + 1, sizeof(*x->intents));
    x->intents[x->n_intents++] = found;
    add_msg(x, (uint32_t)x->n_intents - 1, at);
    return 0;
}

static void ask(struct mover *m)
{
    struct compare *x = &m->compare;
    struct set_writer old_w, new_w;
    struct buf old = {0}, new = {0};
    imap_set_begin(&old_w, &old);
    imap_set_begin(&new_w, &new);
    for (uint32_t i = 0; i < x->n; i++) {
        imap_set_add(&old_w, x->msgs[i].old_uid, x->msgs[i].old_uid);
        imap_set_add(&new_w, x->msgs[i].new_uid, x->msgs[i].new_uid);
    }
    bool any = imap_set_end(&old_w) && imap_set_end(&new_w);
    if (any) {
        x->old_id = imapc_command(m->old.imap, "UID FETCH %s (UID FLAGS)", buf_cstr(&old));
        x->new_id = imapc_command(m->new.imap, "UID FETCH %s (UID FLAGS RFC822.SIZE)", buf_cstr(&new));
        m->old_due++;
        m->new_due++;
    }
    buf_free(&old);
    buf_free(&new);
}

int again_chunk(struct mover *m)
{
    struct compare *x = &m->compare;
    int r = 0;
    x->msgs = mem_array(AGAIN_MESSAGES, sizeof(*x->msgs));
    x->chunk = CHUNK_AGAIN;
    for (unsigned i = 0; i < AGAIN_MESSAGES && x->again.n > 0 && r == 0; i++) {
        uint32_t uid = x->again.v[0].lo;
        r = take(m, uid);
        (void)uidlist_del(&x->again, uid); /* the first of a range: always possible */
    }
    ask(m);
    return r;
}
