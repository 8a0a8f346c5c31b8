/*
 * After a crash, a lost connection, or on a host that does not tell the UIDs of what it stores: which messages of the
 * intents that were not confirmed are on the new host?
 *
 * Both sides are asked for internal date, size and Message-ID; what was sent was sent in order, so one pass pairs them. A
 * message that is missing on new but still on old is a hole: what arrived after it would stand in the wrong order, so it is
 * taken away again and copied anew. An intent's messages that did not arrive are kept as ghosts until the switch: a slow
 * host may store them after we looked.
 */
#include "move/mover_priv.h"
#include <string.h>

#define MATCH_ITEMS "(UID INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])"

enum { MATCH_MAX_INTENTS = 100000, MATCH_MAX_KEYS = 8 * 1000 * 1000 };

void match_free(struct mover *m)
{
    struct match *x = &m->match;
    intents_free(&x->intents, x->n);
    free(x->old.v);
    free(x->new.v);
    free(x->left.uids);
    buf_free(&x->expunge);
    memset(x, 0, sizeof(*x));
}

/* FNV-1a: only equality within one mailbox matters. */
static uint64_t hash_bytes(uint64_t h, const void *p, size_t n)
{
    const uint8_t *b = p;
    for (size_t i = 0; i < n; i++)
        h = (h ^ b[i]) * 1099511628211ULL;
    return h;
}

/* The value of the Message-ID field without folding and blanks; empty when there is none. */
static void message_id(struct slice header, struct buf *out)
{
    const uint8_t *colon = header.n > 0 ? memchr(header.p, ':', header.n) : NULL;
    if (colon == NULL)
        return;
    for (const uint8_t *p = colon + 1; p < header.p + header.n; p++)
        if (*p > ' ')
            buf_putc(out, (char)*p);
}

static void add_key(struct match_list *l, const struct fetch *f)
{
    struct buf id = {0};
    struct match_key k = {.uid = f->uid, .size = f->size, .when = f->when};
    message_id(buf_slice(&f->header), &id);
    k.key = hash_bytes(14695981039346656037ULL, &f->when, sizeof(f->when));
    if (id.len > 0) {
        k.id = hash_bytes(14695981039346656037ULL, buf_slice(&id).p, id.len) | 1;
        k.key = hash_bytes(k.key, buf_slice(&id).p, id.len);
    } else
        k.key = hash_bytes(k.key, &f->size, sizeof(f->size));
    buf_free(&id);
    if (l->n >= MATCH_MAX_KEYS)
        return; /* more than fit into a mailbox; what is missing then is copied anew */
    if (l->n == l->cap) {
        l->cap = l->cap == 0 ? 64 : l->cap * 2;
        l->v = mem_grow(l->v, l->cap, sizeof(*l->v));
    }
    l->v[l->n++] = k;
}

static int by_uid(const void *a, const void *b)
{
    uint32_t x = ((const struct match_key *)a)->uid, y = ((const struct match_key *)b)->uid;
    return x < y ? -1 : x > y;
}

/* "n:*" means the last message even where that is below n: such ones are dropped. */
static void sort_list(struct match_list *l, uint32_t floor)
{
    size_t kept = 0;
    if (l->n == 0)
        return;
    qsort(l->v, l->n, sizeof(*l->v), by_uid);
    for (size_t i = 0; i < l->n; i++)
        if (l->v[i].uid >= floor && (kept == 0 || l->v[kept - 1].uid != l->v[i].uid))
            l->v[kept++] = l->v[i];
    l->n = kept;
}

static const struct match_key *find_uid(const struct match_list *l, uint32_t uid)
{
    struct match_key k = {.uid = uid};
    return l->n == 0 ? NULL : bsearch(&k, l->v, l->n, sizeof(k), by_uid);
}

/* The lowest UID on new that a message of the intents can have. */
static uint32_t floor_of(const struct match *x, const struct uidmap *map)
{
    uint32_t floor = 0;
    for (size_t i = 0; i < x->n; i++)
        if (floor == 0 || x->intents[i].new_uidnext < floor)
            floor = x->intents[i].new_uidnext;
    if (map->n > 0) {
        const struct uid_run *last = &map->runs[map->n - 1];
        if (!x->ghosts && last->new + last->len > floor)
            floor = last->new + last->len;
    }
    return floor == 0 ? 1 : floor;
}

static void ask_new(struct mover *m, uint32_t floor)
{
    if (!m->selected) {
        imapc_begin(m->new.imap);
        imapc_puts(m->new.imap, m->look ? "EXAMINE " : "SELECT ");
        imapc_put_string(m->new.imap, slice_str(m->unit->rec.new_name));
        imapc_end(m->new.imap);
        m->selected = true;
        m->new_due++;
    }
    imapc_command(m->new.imap, "UID FETCH %u:* " MATCH_ITEMS, floor);
    m->new_due++;
}

static int begin(struct mover *m, enum intent_state state)
{
    struct match *x = &m->match;
    struct uidmap map;
    match_free(m);
    x->ghosts = state == INTENT_VOID;
    int r = intents_load(m, 1, state, MATCH_MAX_INTENTS, &x->intents, &x->n);
    if (r != 0 || x->n == 0)
        return r;
    uidmap_init(&map);
    r = intents_map(m, &map);
    if (r == 0) {
        x->floor = floor_of(x, &map);
        ask_new(m, x->floor);
    }
    uidmap_free(&map);
    return r;
}

int match_begin(struct mover *m)
{
    struct match *x = &m->match;
    int r = begin(m, INTENT_SENT);
    uint32_t lo = 0, hi = 0;
    if (r != 0 || x->n == 0)
        return r;
    r = left_load(m, &x->left);
    if (r != 0)
        return r;
    for (size_t i = 0; i < x->n; i++)
        for (uint32_t k = 0; k < x->intents[i].n; k++) {
            uint32_t uid = x->intents[i].msgs[k].old_uid;
            lo = lo == 0 || uid < lo ? uid : lo;
            hi = uid > hi ? uid : hi;
        }
    if (hi != 0) {
        imapc_command(m->old.imap, "UID FETCH %u:%u " MATCH_ITEMS, lo, hi);
        m->old_due++;
    }
    return 0;
}

void match_ask(struct mover *m, const char *set)
{
    imapc_command(m->new.imap, "UID FETCH %s " MATCH_ITEMS, set);
    m->new_due++;
}

int match_ghosts(struct mover *m)
{
    return begin(m, INTENT_VOID);
}

void match_event(struct mover *m, struct conn *c)
{
    if (c->fetch.uid != 0 && c->fetch.has_date && !c->fetch.bad)
        add_key(c == &m->old ? &m->match.old : &m->match.new, &c->fetch);
}

/* ---- pairing ---- */

struct pairing {
    size_t next; /* candidate */
    uint32_t hole; /* old UID of the first one that is missing, 0: none */
    struct set_writer expunge;
    struct store_intent ghost;
};

static const struct match_key *pair(const struct match *x, struct pairing *p, const struct intent_msg *msg,
                                    const struct match_key *old)
{
    for (size_t i = p->next; i < x->new.n; i++) {
        const struct match_key *k = &x->new.v[i];
        /* Gone from old since it was sent: only what stands next can be it, and the date has to do. */
        bool same = old != NULL ? k->key == old->key : k->when == msg->date;
        /* A host may keep another date than it was given. */
        same = same || (i == p->next && old != NULL && old->id != 0 && k->id == old->id);
        if (same) {
            p->next = i + 1;
            return k;
        }
        if (old == NULL)
            break;
    }
    return NULL;
}

static void ghost_add(struct pairing *p, const struct intent_msg *msg, uint64_t key)
{
    struct store_intent *g = &p->ghost;
    g->msgs = mem_grow(g->msgs, g->n + 1, sizeof(*g->msgs));
    g->msgs[g->n] = *msg;
    g->msgs[g->n].new_uid = 0;
    g->msgs[g->n++].size = key; /* a ghost is known by its key */
}

/* Keeps in the intent what is on new in the right order; the rest becomes a ghost or is to be taken away. */
static void pair_intent(struct mover *m, struct store_intent *i, struct pairing *p)
{
    struct match *x = &m->match;
    struct store_unit *u = &m->unit->rec;
    struct counters *c = worker_counters(m->env->worker);
    uint32_t kept = 0;
    for (uint32_t k = 0; k < i->n; k++) {
        struct intent_msg msg = i->msgs[k];
        const struct match_key *old = find_uid(&x->old, msg.old_uid);
        const struct match_key *new = pair(x, p, &msg, old);
        if (new == NULL && old == NULL) { /* vanished before it was stored */
            u->vanished++;
            c->vanished++;
        } else if (new == NULL && p->hole == 0 && left_has(&x->left, msg.old_uid)) {
            continue; /* settled */
        } else if (new == NULL) {
            if (p->hole == 0)
                p->hole = msg.old_uid;
            if (!m->revived) /* else nothing is on its way there */
                ghost_add(p, &msg, old->key);
        } else if (p->hole != 0) {
            imap_set_add(&p->expunge, new->uid, new->uid);
            ghost_add(p, &msg, new->key); /* should this end before it is expunged */
        } else {
            msg.new_uid = new->uid;
            msg.size = new->size;
            i->msgs[kept++] = msg; /* with the flags it was sent with, which the intent recorded before */
            u->moved++;
            u->bytes += new->size;
            c->moved++;
            c->bytes_moved += new->size;
        }
    }
    i->n = kept;
    i->state = INTENT_STORED;
}

static uint32_t last_old(const struct match *x)
{
    uint32_t last = 0;
    for (size_t i = 0; i < x->n; i++)
        if (x->intents[i].n > 0 && x->intents[i].msgs[x->intents[i].n - 1].old_uid > last)
            last = x->intents[i].msgs[x->intents[i].n - 1].old_uid;
    return last;
}

static int take_away(struct mover *m)
{
    const char *set = buf_cstr(&m->match.expunge);
    if (!m->can_expunge)
        return mover_fail(m, E_NOTSUP, SCOPE_UNIT,
                          "messages stand in the wrong order on the new host, which cannot expunge single ones");
    imapc_command(m->new.imap, "UID STORE %s +FLAGS.SILENT (\\Deleted)", set);
    imapc_command(m->new.imap, "UID EXPUNGE %s", set);
    m->new_due += 2;
    return 0;
}

static void settle_sent(struct mover *m)
{
    struct match *x = &m->match;
    struct store_unit *u = &m->unit->rec;
    struct pairing p = {0};
    uint32_t last = last_old(x);
    struct store_batch *b = account_batch(m->account);
    imap_set_begin(&p.expunge, &x->expunge);
    p.ghost = (struct store_intent){.account = u->account, .unit = u->id, .state = INTENT_VOID};
    for (size_t i = 0; i < x->n; i++) {
        if (p.ghost.new_uidnext == 0)
            p.ghost.new_uidnext = x->intents[i].new_uidnext;
        pair_intent(m, &x->intents[i], &p);
        store_put_intent(b, &x->intents[i]);
    }
    imap_set_end(&p.expunge);
    if (p.ghost.n > 0) {
        p.ghost.batch = ++m->batches;
        store_put_intent(b, &p.ghost);
    }
    if (p.hole != 0)
        u->copied_to = p.hole - 1;
    else if (last > u->copied_to)
        u->copied_to = last;
    left_forget(m, b, &x->left, u->copied_to + 1);
    store_put_unit(b, &m->unit->rec);
    m->wait.task = &m->task;
    store_submit(&b, &m->wait);
    log_event(worker_log(m->env->worker), LOG_INFO, "copy_resumed", log_s("account", m->account->rec.name),
              log_s("unit", u->view_name), log_n("adopted", (int64_t)u->moved),
              log_n("again", p.ghost.n));
    store_intent_clear(&p.ghost);
}

static int by_key(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The ghosts stay recorded until the switch: it may come to an end before they are gone. */
static int settle_ghosts(struct mover *m)
{
    struct match *x = &m->match;
    struct uidmap map;
    struct set_writer w;
    size_t n = 0;
    uint64_t *keys = NULL;
    for (size_t i = 0; i < x->n; i++)
        n += x->intents[i].n;
    keys = mem_array(n + 1, sizeof(*keys));
    n = 0;
    for (size_t i = 0; i < x->n; i++)
        for (uint32_t j = 0; j < x->intents[i].n; j++)
            keys[n++] = x->intents[i].msgs[j].size;
    qsort(keys, n, sizeof(*keys), by_key);
    uidmap_init(&map);
    int r = intents_map(m, &map);
    imap_set_begin(&w, &x->expunge);
    for (size_t k = 0; r == 0 && k < x->new.n; k++)
        if (uidmap_to_view(&map, x->new.v[k].uid) == 0 &&
            bsearch(&x->new.v[k].key, keys, n, sizeof(*keys), by_key) != NULL)
            imap_set_add(&w, x->new.v[k].uid, x->new.v[k].uid);
    imap_set_end(&w);
    uidmap_free(&map);
    free(keys);
    return r;
}

/*
 * The old mailbox was numbered anew in the middle of the copy, so nobody can say which of its messages were carried over. What
 * is recorded as stored is expunged by its UIDs there; of what else came in since, only that which stands on
 * old as well (and will be copied).
 */
int match_take_back(struct mover *m)
{
    struct match *x = &m->match;
    struct uidmap map;
    match_free(m);
    int r = intents_load(m, 1, 0, MATCH_MAX_INTENTS, &x->intents, &x->n);
    uidmap_init(&map);
    if (r == 0)
        r = intents_map(m, &map);
    if (r == 0 && x->n > 0) {
        x->floor = floor_of(x, &(struct uidmap){0});
        if (map.n > 0 && map.runs[0].new < x->floor)
            x->floor = map.runs[0].new;
        ask_new(m, x->floor);
        if (m->old.exists > 0) {
            imapc_command(m->old.imap, "FETCH 1:%u " MATCH_ITEMS, m->old.exists);
            m->old_due++;
        }
    }
    uidmap_free(&map);
    return r;
}

static int taken_back_set(struct mover *m, struct set_writer *w)
{
    struct match *x = &m->match;
    struct uidmap map;
    size_t n = 0;
    uint64_t *keys = mem_array(x->old.n + 1, sizeof(*keys));
    for (size_t i = 0; i < x->old.n; i++)
        keys[n++] = x->old.v[i].key;
    qsort(keys, n, sizeof(*keys), by_key);
    uidmap_init(&map);
    int r = intents_map(m, &map);
    for (size_t k = 0; r == 0 && k < x->new.n; k++)
        if (uidmap_to_view(&map, x->new.v[k].uid) != 0 ||
            bsearch(&x->new.v[k].key, keys, n, sizeof(*keys), by_key) != NULL)
            imap_set_add(w, x->new.v[k].uid, x->new.v[k].uid);
    uidmap_free(&map);
    free(keys);
    return r;
}

/* First what is there goes, then the record of it. */
int match_taken_back(struct mover *m)
{
    struct match *x = &m->match;
    struct set_writer w;
    if (x->n > 0) {
        imap_set_begin(&w, &x->expunge);
        sort_list(&x->new, x->floor);
        int r = taken_back_set(m, &w);
        bool any = imap_set_end(&w);
        if (r == 0 && any)
            r = take_away(m);
        match_free(m);
        return r;
    }
    struct store_batch *b = account_batch(m->account);
    open_forget(m, b);
    m->renumbered = false;
    m->wait.task = &m->task;
    store_submit(&b, &m->wait);
    return 0;
}

static int settle_stragglers(struct mover *m)
{
    struct match *x = &m->match;
    struct pairing p = {0};
    struct look_found f = {0};
    for (size_t i = 0; i < x->n; i++)
        for (uint32_t k = 0; k < x->intents[i].n; k++) {
            const struct intent_msg *msg = &x->intents[i].msgs[k];
            const struct match_key *old = find_uid(&x->old, msg->old_uid);
            f.v = mem_grow(f.v, f.n + 1, sizeof(*f.v));
            f.v[f.n].old_uid = msg->old_uid;
            f.v[f.n].on_old = old != NULL;
            f.v[f.n].on_new = pair(x, &p, msg, old) != NULL;
            f.v[f.n++].left = left_has(&x->left, msg->old_uid);
        }
    int r = look_match(m, &f);
    free(f.v);
    return r;
}

int match_settle(struct mover *m)
{
    struct match *x = &m->match;
    int r = 0;
    sort_list(&x->old, 0);
    sort_list(&x->new, x->floor);
    if (m->look)
        r = settle_stragglers(m);
    else if (x->ghosts)
        r = settle_ghosts(m);
    else
        settle_sent(m);
    if (r == 0 && x->expunge.len > 0)
        r = take_away(m);
    match_free(m);
    return r;
}
