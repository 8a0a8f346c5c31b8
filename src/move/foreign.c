/*
 * Foreign messages, those of the new host's own, are carried behind the migrated ones: by MOVE, else by COPY or (resend.c) APPEND,
 * and EXPUNGE, between which this may come to an end. So what is to be copied is recorded first, and afterwards those that have a copy
 * (by the same date, Message-ID or size) among what stands behind the migrated ones are only expunged. The copy that stands
 * at the end stays, since it is in its place. Rejected: to expunge the copies (they may be read already).
 *
 * They keep their order: where some stand between migrated messages, those that came later and stand behind already are carried
 * along. Rejected: to leave those alone, whereupon a mail stands before the one that it answers.
 */
#include "move/mover_priv.h"
#include <string.h>

enum { MAX_RECORDS = 100000, RECORD_MESSAGES = 1000 };
static const uint32_t REACH = 1000000; /* UIDs behind the migrated ones that are looked at */

bool foreign_by_move(const struct mover *m)
{
    return !m->no_move && (imapc_caps(m->new.imap) & CAP_BIT(MOVE)) != 0;
}

/* ---- what stands behind ---- */

/* Never "*", nor the number that some hosts take for it: they mean the last message, which may be a migrated one. */
static uint32_t reach(uint32_t from)
{
    return from < UINT32_MAX - 1 - REACH ? from + REACH : UINT32_MAX - 1;
}

int foreign_ask_behind(struct mover *m, bool *any)
{
    uint32_t from = m->compare.new_high + 1;
    struct store_intent *v;
    size_t n;
    int r = intents_load(m, 1, INTENT_FOREIGN, 1, &v, &n);
    *any = m->compare.foreign.len > 0 || n > 0;
    intents_free(&v, n);
    if (r == 0 && *any) {
        imapc_command(m->new.imap, "UID FETCH %u:%u (UID)", from, reach(from));
        m->new_due++;
    }
    return r;
}

bool foreign_between(const struct mover *m)
{
    struct slice set = buf_slice(&m->compare.foreign);
    uint32_t lo, hi;
    return imap_set_next(&set, &lo, &hi) == 1 && lo <= m->compare.new_high;
}

void foreign_behind(struct mover *m, uint32_t uid)
{
    struct compare *x = &m->compare;
    if (uid <= x->new_high || x->n_behind == REACH)
        return;
    x->behind = mem_grow(x->behind, x->n_behind + 1, sizeof(*x->behind));
    x->behind[x->n_behind++] = uid;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

void foreign_add_behind(struct mover *m)
{
    struct compare *x = &m->compare;
    struct buf set = {0};
    struct set_writer w;
    uint32_t last = 0;
    if (x->n_behind > 0)
        qsort(x->behind, x->n_behind, sizeof(*x->behind), by_number);
    imap_set_begin(&w, &set);
    for (size_t i = 0; i < x->n_behind; i++) {
        if (x->behind[i] != last) /* some may have been told twice */
            imap_set_add(&w, x->behind[i], x->behind[i]);
        last = x->behind[i];
    }
    if (imap_set_end(&w)) {
        if (x->foreign.len > 0)
            buf_putc(&x->foreign, ',');
        buf_put_slice(&x->foreign, buf_slice(&set));
    }
    buf_free(&set);
    free(x->behind);
    x->behind = NULL;
    x->n_behind = 0;
}

/* The first UID above all that are migrated or known to stand behind them. */
static uint32_t first_unknown(const struct mover *m)
{
    struct slice set = buf_slice(&m->compare.foreign);
    uint32_t lo, hi, last = m->compare.new_high;
    while (imap_set_next(&set, &lo, &hi) == 1)
        last = hi > last ? hi : last;
    return last + 1;
}

/* ---- the record ---- */

static void put_record(struct mover *m, struct store_batch *b, struct store_intent *i)
{
    if (i->n == 0)
        return;
    i->batch = ++m->batches;
    store_put_intent(b, i);
    i->n = 0;
}

int foreign_record(struct mover *m)
{
    struct slice set = buf_slice(&m->compare.foreign);
    struct intent_msg msgs[RECORD_MESSAGES];
    struct store_intent i = {.account = m->unit->rec.account, .unit = m->unit->rec.id, .state = INTENT_FOREIGN, .msgs = msgs};
    uint32_t lo, hi;
    if (foreign_by_move(m))
        return 0;
    if (!m->can_expunge) /* or each attempt would leave another copy */
        return mover_fail(m, E_NOTSUP, SCOPE_UNIT, "the new host cannot expunge single messages (no UIDPLUS)");
    i.new_uidnext = first_unknown(m); /* a copy comes behind all that is there */
    struct store_batch *b = account_batch(m->account);
    while (imap_set_next(&set, &lo, &hi) == 1)
        for (uint32_t uid = lo; uid <= hi && uid != 0; uid++) {
            if (i.n == RECORD_MESSAGES)
                put_record(m, b, &i);
            msgs[i.n++] = (struct intent_msg){.old_uid = uid};
        }
    put_record(m, b, &i);
    m->wait.task = &m->task;
    store_submit(&b, &m->wait);
    return 0;
}

int foreign_forget(struct mover *m)
{
    struct store_intent *v;
    size_t n;
    struct buf key = {0};
    int r = intents_load(m, 1, INTENT_FOREIGN, MAX_RECORDS, &v, &n);
    if (r == 0 && n > 0) {
        struct store_batch *b = account_batch(m->account);
        for (size_t i = 0; i < n; i++) {
            buf_clear(&key);
            store_key_part(&key, m->unit->rec.account, m->unit->rec.id, v[i].batch);
            store_del(b, STORE_INTENTS, buf_slice(&key));
        }
        m->wait.task = &m->task;
        store_submit(&b, &m->wait);
    }
    buf_free(&key);
    intents_free(&v, n);
    return r;
}

/* ---- after a try that came to no end ---- */

int foreign_ask(struct mover *m)
{
    struct match *x = &m->match;
    struct buf set = {0};
    match_free(m);
    int r = intents_load(m, 1, INTENT_FOREIGN, MAX_RECORDS, &x->intents, &x->n);
    if (r != 0 || x->n == 0)
        return r;
    x->floor = UINT32_MAX;
    for (size_t i = 0; i < x->n; i++)
        if (x->intents[i].new_uidnext < x->floor)
            x->floor = x->intents[i].new_uidnext;
    buf_printf(&set, "%s,%u:*", buf_cstr(&m->compare.foreign), x->floor);
    match_ask(m, buf_cstr(&set));
    buf_free(&set);
    return 0;
}

static int by_key(const void *a, const void *b)
{
    const struct match_key *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->uid < y->uid ? -1 : x->uid > y->uid;
}

/* What stands behind and is not migrated may be a copy, once: sorted by key. */
static int take_copies(struct mover *m, struct match_list *copies)
{
    const struct match_list *all = &m->match.new;
    struct uidmap map;
    uidmap_init(&map);
    int r = intents_map(m, &map);
    copies->v = mem_array(all->n + 1, sizeof(*copies->v));
    for (size_t i = 0; r == 0 && i < all->n; i++)
        if (all->v[i].uid >= m->match.floor && uidmap_to_view(&map, all->v[i].uid) == 0)
            copies->v[copies->n++] = all->v[i];
    uidmap_free(&map);
    if (copies->n > 0)
        qsort(copies->v, copies->n, sizeof(*copies->v), by_key);
    size_t kept = 0;
    for (size_t i = 0; i < copies->n; i++) /* some may have been told twice */
        if (kept == 0 || by_key(&copies->v[kept - 1], &copies->v[i]) != 0)
            copies->v[kept++] = copies->v[i];
    copies->n = kept;
    return r;
}

static struct match_key *first_of(struct match_list *copies, uint64_t key)
{
    size_t lo = 0, hi = copies->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (copies->v[mid].key < key)
            lo = mid + 1;
        else
            hi = mid;
    }
    return copies->v + lo;
}

/* Takes one of that key that is no other's. */
static bool take_copy(struct match_list *copies, uint64_t key)
{
    for (struct match_key *k = first_of(copies, key); k < copies->v + copies->n && k->key == key; k++)
        if (!k->taken) {
            k->taken = true;
            return true;
        }
    return false;
}

static bool is_taken(struct match_list *copies, const struct match_key *told)
{
    for (struct match_key *k = first_of(copies, told->key); k < copies->v + copies->n && k->key == told->key; k++)
        if (k->uid == told->uid)
            return k->taken;
    return false;
}

static bool is_recorded(const struct match *x, uint32_t uid)
{
    for (size_t i = 0; i < x->n; i++) {
        uint32_t lo = 0, hi = x->intents[i].n;
        while (lo < hi) {
            uint32_t mid = lo + (hi - lo) / 2;
            if (x->intents[i].msgs[mid].old_uid == uid)
                return true;
            if (x->intents[i].msgs[mid].old_uid < uid)
                lo = mid + 1;
            else
                hi = mid;
        }
    }
    return false;
}

static int by_uid(const void *a, const void *b)
{
    const struct match_key *x = a, *y = b;
    return x->uid < y->uid ? -1 : x->uid > y->uid;
}

static const struct match_key *told_of(const struct match_list *l, uint32_t uid)
{
    struct match_key k = {.uid = uid};
    return l->n == 0 ? NULL : bsearch(&k, l->v, l->n, sizeof(k), by_uid);
}

int foreign_settle(struct mover *m, struct buf *copied)
{
    struct match *x = &m->match;
    struct match_list copies = {0};
    struct buf rest = {0};
    struct set_writer gone_w, rest_w;
    struct slice set = buf_slice(&m->compare.foreign);
    uint32_t lo, hi;
    int r = take_copies(m, &copies);
    if (x->new.n > 0)
        qsort(x->new.v, x->new.n, sizeof(*x->new.v), by_uid);
    imap_set_begin(&gone_w, copied);
    imap_set_begin(&rest_w, &rest);
    while (r == 0 && imap_set_next(&set, &lo, &hi) == 1)
        for (uint32_t uid = lo; uid <= hi && uid != 0; uid++) {
            const struct match_key *k = told_of(&x->new, uid);
            if (k != NULL && is_recorded(x, uid) && take_copy(&copies, k->key))
                imap_set_add(&gone_w, uid, uid);
            else if (k == NULL || uid <= m->compare.new_high || !is_taken(&copies, k)) /* a copy there is in its place */
                imap_set_add(&rest_w, uid, uid);
        }
    imap_set_end(&gone_w);
    imap_set_end(&rest_w);
    buf_clear(&m->compare.foreign);
    buf_put_slice(&m->compare.foreign, buf_slice(&rest));
    buf_free(&rest);
    free(copies.v);
    match_free(m);
    return r;
}

void foreign_carry(struct mover *m)
{
    struct compare *x = &m->compare;
    bool move = foreign_by_move(m);
    uint32_t behind = first_unknown(m);
    imapc_begin(m->new.imap);
    imapc_printf(m->new.imap, "UID %s %s", move ? "MOVE" : "COPY", buf_cstr(&x->foreign));
    if (move) /* and what came since it was looked at */
        imapc_printf(m->new.imap, ",%u:%u", behind, reach(behind));
    imapc_puts(m->new.imap, " ");
    imapc_put_string(m->new.imap, slice_str(m->unit->rec.new_name));
    imapc_end(m->new.imap);
    m->new_due++;
    log_event(worker_log(m->env->worker), LOG_INFO, "foreign_carried", log_s("account", m->account->rec.name),
              log_s("unit", m->unit->rec.view_name));
}
