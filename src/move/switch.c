/*
 * The switch: the transaction that makes new the unit's home, with the map that its UIDs are seen through from then on.
 * Nothing is shown as moved before that is on disk.
 */
#include "move/mover_priv.h"

enum { LEAST_ROOM = 1 << 20 }; /* UIDs for what comes after the switch */

/*
 * Mod-sequences. Clients with stale DNS are still handed some by the old host, and none of those may ever be told for a
 * change on new. Hosts count changes, some of them those of the whole account, or microseconds; this is enough for 12
 * days of these, and leaves numbers that fit a double.
 */
static const uint64_t MODSEQ_HEADROOM = (uint64_t)1 << 40;
static const uint64_t MOST_MODSEQ = (uint64_t)1 << 62; /* RFC 7162: 63 bits */

static void put_map(struct store_batch *b, const struct store_unit *u, const struct uidmap *map)
{
    struct buf key = {0}, value = {0};
    store_key_unit(&key, u->account, u->id);
    store_del_prefix(b, STORE_INTENTS, buf_slice(&key));
    store_del_prefix(b, STORE_UIDMAPS, buf_slice(&key));
    for (size_t part = 0; part < uidmap_parts(map); part++) {
        buf_clear(&key);
        buf_clear(&value);
        store_key_part(&key, u->account, u->id, (uint32_t)part);
        uidmap_encode(&value, map, part);
        store_put(b, STORE_UIDMAPS, buf_slice(&key), buf_slice(&value));
    }
    buf_free(&key);
    buf_free(&value);
}

/*
 * So near the end of all UIDs, or mod-sequences, that new mail would soon have none in the view: clients have to begin anew with another
 * UIDVALIDITY, and the new host's UIDs.
 */
static bool is_worn_out(const struct mover *m)
{
    uint32_t used = m->old.uidnext > m->unit->rec.copied_to ? m->old.uidnext : m->unit->rec.copied_to;
    return used > UINT32_MAX - LEAST_ROOM || m->old.modseq > MOST_MODSEQ - MODSEQ_HEADROOM ||
           m->compare.new_modseq > MOST_MODSEQ;
}

static uint32_t validity_of(const struct mover *m)
{
    const struct store_unit *u = &m->unit->rec;
    if (!is_worn_out(m))
        return u->old_uidvalidity;
    return u->new_uidvalidity > u->old_uidvalidity ? u->new_uidvalidity : u->old_uidvalidity + 1;
}

/* T: above everything that the old host has handed out, and will while clients with stale DNS still see it. */
static int close_map(struct mover *m, struct uidmap *map)
{
    uint32_t next = m->old.uidnext > m->unit->rec.copied_to ? m->old.uidnext : m->unit->rec.copied_to + 1;
    uint32_t headroom = m->env->settings->uid_headroom;
    uint32_t tail_new = 1;
    if (is_worn_out(m)) {
        uidmap_free(map);
        uidmap_identity(map);
        return 0;
    }
    if (map->n > 0)
        tail_new = map->runs[map->n - 1].new + map->runs[map->n - 1].len;
    if (headroom > UINT32_MAX - LEAST_ROOM / 2 - next)
        headroom = 0;
    if (uidmap_set_tail(map, next + headroom, tail_new) != 0)
        return mover_fail(m, E_CORRUPT, SCOPE_UNIT, "the UID map does not close");
    return 0;
}

/*
 * Who was in sync with old at its last mod-sequence is in sync with what the comparison saw on new, or made of it. That
 * began after new_modseq was read: what a person changes on new since then has a higher one. So have the mover's own
 * last corrections, which are told once more; a value read after them could hide somebody else's change.
 */
static void put_modseqs(const struct mover *m, struct store_unit *u)
{
    bool counts = (imapc_caps(m->old.imap) & CAP_BIT(CONDSTORE)) != 0 && !is_worn_out(m);
    u->old_modseq = counts ? m->old.modseq : 0;
    u->new_modseq = counts && !m->compare.differs ? m->compare.new_modseq : 0;
    u->modseq_shift = counts ? m->old.modseq + MODSEQ_HEADROOM : 0;
    u->settled_modseq = m->new.modseq;
}

/* What the comparison found out. */
static void settle_counts(const struct mover *m, struct store_unit *u)
{
    const struct compare *x = &m->compare;
    u->moved -= x->unmoved;
    u->bytes -= x->unmoved_bytes;
    u->vanished += x->vanished;
}

int switch_begin(struct mover *m)
{
    struct store_unit moved = m->unit->rec; /* shown as moved only once it is on disk */
    struct uidmap map;
    char none[] = "";
    uidmap_init(&map);
    int r = intents_map(m, &map);
    if (r == 0)
        r = close_map(m, &map);
    if (r == 0) {
        struct store_batch *b = account_batch(m->account);
        unit_enter(m->unit, UNIT_SWITCHING);
        moved.state = UNIT_MOVED;
        settle_counts(m, &moved);
        moved.home = HOME_NEW;
        moved.straggler_uid = moved.copied_to;
        moved.view_uidvalidity = validity_of(m);
        put_modseqs(m, &moved);
        moved.found = moved.moved + moved.left_behind + moved.vanished;
        moved.finished = clock_real_us() / 1000000;
        moved.reason = none;
        put_map(b, &moved, &map);
        store_put_unit(b, &moved);
        m->wait.task = &m->task;
        store_submit(&b, &m->wait);
    }
    uidmap_free(&map);
    return r;
}

void switch_done(struct mover *m)
{
    struct unit *u = m->unit;
    struct counters *c = worker_counters(m->env->worker);
    uint64_t ms = worker_now_ms(m->env->worker) - m->began_ms;
    c->moved -= m->compare.unmoved;
    c->bytes_moved -= m->compare.unmoved_bytes;
    c->vanished += m->compare.vanished;
    settle_counts(m, &u->rec);
    uint64_t found = u->rec.moved + u->rec.left_behind + u->rec.vanished;
    c->found += found - u->rec.found;
    u->rec.found = found;
    u->rec.view_uidvalidity = validity_of(m);
    put_modseqs(m, &u->rec);
    u->rec.home = HOME_NEW;
    u->rec.straggler_uid = u->rec.copied_to;
    u->rec.finished = clock_real_us() / 1000000;
    unit_set_reason(u, "");
    unit_enter(u, UNIT_MOVED);
    u->done = u->total = found;
    log_event(worker_log(m->env->worker), LOG_INFO, "moved", log_s("account", m->account->rec.name),
              log_s("unit", u->rec.view_name), log_n("found", (int64_t)found),
              log_n("moved", (int64_t)u->rec.moved), log_n("left_behind", (int64_t)u->rec.left_behind),
              log_n("vanished", (int64_t)u->rec.vanished), log_n("bytes", (int64_t)u->rec.bytes),
              log_n("ms", (int64_t)ms));
}
