/* Batches: a range of messages listed, intended, fetched, and at the end recorded. See mover_priv.h. */
#include "move/flags.h"
#include "move/mover_priv.h"
#include <string.h>

/* Of flags and dates in one batch; a host that tells the same again and again comes to an end here. */
enum { TEXT_MAX = 8 * 1024 * 1024 };

struct batch *batch_ask(struct mover *m, uint32_t lo, uint32_t hi)
{
    struct batch *b = mem_alloc(sizeof(*b));
    b->number = ++m->batches;
    b->lo = lo;
    b->hi = hi;
    b->n = hi - lo + 1;
    b->msgs = mem_array(b->n, sizeof(*b->msgs));
    buf_putc(&b->text, '\0'); /* offset 0 is the empty string */
    b->meta_id = imapc_command(m->old.imap, "FETCH %u:%u (UID FLAGS INTERNALDATE)", lo, hi);
    return b;
}

void batch_ask_bodies(struct mover *m, struct batch *b, uint32_t limit)
{
    struct set_writer w;
    struct buf set = {0};
    imap_set_begin(&w, &set);
    for (uint32_t i = 0; i < b->n && limit > 0; i++)
        if (b->msgs[i].status == MSG_LISTED) {
            imap_set_add(&w, b->msgs[i].seq, b->msgs[i].seq);
            b->msgs[i].asked = true;
            limit--;
        }
    b->stale = false;
    b->requested = true;
    if (imap_set_end(&w))
        b->body_id = imapc_command(m->old.imap, "FETCH %s (UID BODY.PEEK[])", buf_cstr(&set));
    buf_free(&set);
}

void batch_free(struct mover *m, struct batch **bp)
{
    struct batch *b = *bp;
    if (b == NULL)
        return;
    if (b->intent.pending)
        store_wait_forget(m->env->store, &b->intent);
    buf_free(&b->text);
    free(b->msgs);
    free(b);
    *bp = NULL;
}

uint32_t batch_store_text(struct batch *b, struct slice s)
{
    uint32_t off = (uint32_t)b->text.len;
    buf_put_slice(&b->text, s);
    buf_putc(&b->text, '\0');
    return off;
}

const char *batch_text(const struct batch *b, uint32_t off)
{
    return (const char *)buf_slice(&b->text).p + off;
}

/* Before the listing is complete messages stand at seq - lo; afterwards without gaps. */
struct copy_msg *batch_find(struct batch *b, uint32_t seq)
{
    uint32_t lo = 0, hi = b->n;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (b->msgs[mid].seq == seq)
            return &b->msgs[mid];
        if (b->msgs[mid].seq < seq)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

static bool is_atom(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] >= 0x7f || memchr("(){%*\"\\]", s.p[i], 8) != NULL)
            return false;
    return s.n > 0;
}

static bool is_plain_flag(struct slice s)
{
    static const char *const system[] = {"\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft"};
    for (size_t i = 0; i < sizeof(system) / sizeof(system[0]); i++)
        if (slice_is_nocase(s, system[i]))
            return true;
    return is_atom(s);
}

void flags_clean(struct mover *m, uint32_t uid, struct slice flags, struct buf *out)
{
    while (flags.n > 0) {
        const uint8_t *sp = memchr(flags.p, ' ', flags.n);
        struct slice one = slice_make(flags.p, sp != NULL ? (size_t)(sp - flags.p) : flags.n);
        size_t skip = one.n + (sp != NULL ? 1 : 0);
        flags = slice_make(flags.p + skip, flags.n - skip);
        if (one.n == 0 || slice_is_nocase(one, "\\Recent"))
            continue;
        if (is_plain_flag(one)) {
            if (out->len > 0)
                buf_putc(out, ' ');
            buf_put_slice(out, one);
        } else if (m->phase == MV_COPY) {
            log_event(worker_log(m->env->worker), LOG_WARN, "flag_dropped",
                      log_s("account", m->account->rec.name), log_s("unit", m->unit->rec.view_name),
                      log_n("uid", uid), log_v("flag", one));
        }
    }
}

void batch_add(struct mover *m, struct batch *b, const struct fetch *f)
{
    if (f->seq < b->lo || f->seq > b->hi || f->uid == 0 || b->text.len > TEXT_MAX)
        return; /* news about another message */
    struct copy_msg *msg = &b->msgs[f->seq - b->lo];
    struct buf flags = {0};
    if (!f->has_flags || f->bad) { /* it is there, but what it is cannot be read: the comparison looks again */
        if (msg->uid == 0) {
            msg->seq = f->seq;
            msg->uid = f->uid;
            msg->status = MSG_VANISHED;
        }
        return;
    }
    msg->seq = f->seq;
    msg->uid = f->uid;
    msg->when = f->when;
    msg->status = MSG_LISTED;
    for (size_t i = 0; i < m->n_nuls; i++)
        if (m->nuls[i] == f->uid) {
            msg->status = MSG_REFUSED;
            msg->reason = batch_store_text(b, SLICE_LIT("it holds a NUL byte, which IMAP cannot carry"));
        }
    flags_clean(m, f->uid, buf_slice(&f->flags), &flags);
    msg->flags = batch_store_text(b, buf_slice(&flags));
    msg->date = f->has_date ? batch_store_text(b, buf_slice(&f->date)) : 0;
    buf_free(&flags);
}

int batch_listed(struct mover *m, struct batch *b)
{
    uint32_t kept = 0, last = m->unit->rec.copied_to;
    for (uint32_t i = 0; i < b->n; i++) {
        if (b->msgs[i].uid == 0)
            continue; /* expunged on old, or news of it was lost: the comparison finds out which */
        if (b->msgs[i].uid <= last)
            return mover_fail(m, E_PROTO, SCOPE_UNIT, "the UIDs of the old host do not ascend (%u after %u)",
                              b->msgs[i].uid, last);
        last = b->msgs[i].uid;
        b->msgs[kept++] = b->msgs[i];
    }
    if (kept == 0) /* or the same range would be asked for without end */
        return mover_fail(m, E_CLOSED, SCOPE_HOST, "the old host tells nothing about messages %u to %u", b->lo, b->hi);
    b->untold = b->n - kept;
    b->n = kept;
    b->listed = true;
    return 0;
}

static void fill_intent(const struct mover *m, const struct batch *b, struct store_intent *i, bool stored)
{
    i->account = m->unit->rec.account;
    i->unit = m->unit->rec.id;
    i->batch = b->number;
    i->state = stored && m->uidplus ? INTENT_STORED : INTENT_SENT;
    i->new_uidnext = m->new.uidnext;
    i->msgs = mem_array(b->n + 1, sizeof(*i->msgs));
    for (uint32_t k = 0; k < b->n; k++) {
        const struct copy_msg *c = &b->msgs[k];
        if (stored ? c->status != MSG_STORED : c->status == MSG_REFUSED)
            continue;
        i->msgs[i->n++] = (struct intent_msg){
            .old_uid = c->uid, .new_uid = c->new_uid, .size = c->size, .date = c->when,
            .flags = flags_digest(slice_str(batch_text(b, c->flags)))};
    }
}

void batch_commit_intent(struct mover *m, struct batch *b)
{
    struct store_intent i = {0};
    struct store_batch *s = account_batch(m->account);
    fill_intent(m, b, &i, false);
    store_put_intent(s, &i);
    b->intent.task = &m->task;
    store_submit(&s, &b->intent);
    b->intended = true;
    store_intent_clear(&i);
}

void batch_settle(struct mover *m, struct batch *b)
{
    struct store_unit *u = &m->unit->rec;
    struct counters *c = worker_counters(m->env->worker);
    struct store_intent i = {0};
    struct store_batch *s = account_batch(m->account);
    if (m->look) {
        store_batch_free(&s);
        look_settle(m, b);
        return;
    }
    fill_intent(m, b, &i, true);
    for (uint32_t k = 0; k < b->n; k++) {
        const struct copy_msg *g = &b->msgs[k];
        u->copied_to = g->uid;
        if (g->status == MSG_STORED && m->uidplus) {
            u->moved++;
            u->bytes += g->size;
            c->moved++;
            c->bytes_moved += g->size;
        } else if (g->status == MSG_VANISHED) {
            u->vanished++;
            c->vanished++;
        }
        if (g->status == MSG_STORED) {
            m->moved++;
            m->bytes += g->size;
            if (g->new_uid >= m->new.uidnext)
                m->new.uidnext = g->new_uid + 1;
        }
    }
    u->vanished += b->untold;
    c->vanished += b->untold;
    m->unit->done += b->n + b->untold;
    m->progressed = true;
    store_put_intent(s, &i);
    store_put_unit(s, &m->unit->rec);
    m->copy.settled.task = &m->task;
    store_submit(&s, &m->copy.settled);
    store_intent_clear(&i);
    account_wake(m->account);
}

static void forget_intent(struct mover *m, struct store_batch *s, const struct batch *b, uint32_t from)
{
    struct buf key = {0};
    if (b == NULL || b->n == 0 || b->msgs[0].uid < from)
        return; /* some of its messages were stored before */
    store_key_part(&key, m->unit->rec.account, m->unit->rec.id, b->number);
    store_del(s, STORE_INTENTS, buf_slice(&key));
    buf_free(&key);
}

int batch_take_back(struct mover *m, uint32_t from)
{
    struct left_list left = {0};
    int r = left_load(m, &left);
    if (r != 0)
        return r;
    struct store_batch *s = account_batch(m->account);
    if (m->unit->rec.copied_to >= from)
        m->unit->rec.copied_to = from - 1;
    left_forget(m, s, &left, from);
    forget_intent(m, s, m->copy.cur, from);
    forget_intent(m, s, m->copy.next, from);
    store_put_unit(s, &m->unit->rec);
    store_submit(&s, NULL);
    free(left.uids);
    return 0;
}
