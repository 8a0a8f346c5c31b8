/*
 * Carrying messages over: two batches in hand, bodies spliced from the old host's FETCH into the new host's APPEND.
 *
 * The bodies of the next batch are asked for while the reply to this one's APPEND is due; they wait in the socket, not in
 * memory. An APPEND begins only after its intent is committed. Messages go out in ascending order and a refused group is
 * halved before anything after it is sent, so that new UIDs ascend with the old ones.
 */
#include "move/mover_priv.h"
#include <string.h>

void copy_begin(struct mover *m, uint32_t first_seq, uint32_t last_seq)
{
    struct copy *c = &m->copy;
    memset(c, 0, sizeof(*c));
    c->ask_seq = c->first_seq = first_seq;
    c->end_seq = last_seq;
    c->expunges = m->old.expunges;
    /* After a connection was lost in the middle of a group, a message of it may be the reason: begin with few. */
    c->group_limit = m->restarts > 0 || m->serial ? 1 : m->env->settings->batch_messages;
}

void copy_free(struct mover *m)
{
    batch_free(m, &m->copy.cur);
    batch_free(m, &m->copy.next);
    spool_free(&m->copy.spool);
    if (m->copy.settled.pending)
        store_wait_forget(m->env->store, &m->copy.settled);
}

/* ---- going out ---- */

static void put_head(struct mover *m, const struct batch *b, const struct copy_msg *msg, uint64_t size)
{
    struct imapc *n = m->new.imap;
    const char *date = batch_text(b, msg->date);
    imapc_printf(n, " (%s)", batch_text(b, msg->flags));
    if (date[0] != '\0') {
        imapc_puts(n, " ");
        imapc_put_string(n, slice_str(date));
    }
    imapc_puts(n, " ");
    imapc_literal(n, size, false, false);
}

static void begin_append(struct mover *m)
{
    struct imapc *n = m->new.imap;
    m->copy.append_id = imapc_begin(n);
    imapc_puts(n, "APPEND ");
    imapc_put_string(n, slice_str(m->unit->rec.new_name));
    m->copy.in_flight++;
}

static void close_group(struct mover *m)
{
    imapc_end(m->new.imap);
    m->copy.open = false;
    m->copy.closed = true;
}

/*
 * An empty literal makes Dovecot answer NO at once, before the MULTIAPPEND is at its end. It reads on to that end, but a host
 * that did not would take what follows, which is mail that anybody may have written, for commands. So an empty message
 * never has anything behind it in its command.
 */
static bool must_go_alone(const struct mover *m)
{
    return m->multi && m->old.fetch.body_size == 0 && m->copy.open && m->copy.group_n > 0;
}

static int body_begin(struct mover *m)
{
    struct copy *c = &m->copy;
    struct batch *b = c->cur;
    struct copy_msg *msg = b->stale ? NULL : batch_find(b, m->old.fetch.seq);
    c->in_body = true;
    c->msg = NULL;
    if (msg == NULL || msg->status != MSG_LISTED || !msg->asked)
        return 0;
    if (m->old.fetch.uid != 0 && m->old.fetch.uid != msg->uid)
        return mover_fail(m, E_CLOSED, SCOPE_HOST, "the old host renumbered messages");
    if (msg->seq <= c->last_sent) { /* what went before it has to be taken back: then one at a time */
        m->again = !m->serial;
        m->serial = true;
        return mover_fail(m, E_PROTO, SCOPE_UNIT, "the old host sends messages out of order");
    }
    if (must_go_alone(m)) {
        close_group(m);
        c->alone = true;
        b->stale = true;
        return 0;
    }
    c->msg = msg;
    c->last_sent = msg->seq;
    if (!c->open) {
        begin_append(m);
        c->open = true;
        c->group_n = 0;
        c->group_bytes = 0;
    }
    put_head(m, b, msg, m->old.fetch.body_size);
    msg->append_id = c->append_id;
    msg->size = m->old.fetch.body_size;
    return 0;
}

static void drop_bodies(struct batch *b)
{
    if (b != NULL && b->body_id != 0)
        b->stale = true;
}

/* None of the command's messages was stored. One alone is to blame itself; of several, ask again for half. */
static void refuse_command(struct mover *m, struct batch *b, uint32_t id)
{
    struct copy *c = &m->copy;
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->n; i++)
        n += b->msgs[i].status == MSG_SENT && b->msgs[i].append_id == id;
    for (uint32_t i = 0; i < b->n; i++) {
        struct copy_msg *g = &b->msgs[i];
        if (g->status != MSG_SENT || g->append_id != id)
            continue;
        g->status = n == 1 ? MSG_REFUSED : MSG_LISTED;
        if (n == 1) {
            g->reason = batch_store_text(b, slice_str(m->err.text));
            if (c->refused == 0)
                c->refused_from = g->uid;
            c->refused += g->size > 0; /* empty ones say nothing: many hosts refuse those */
        }
        if (g->seq <= c->last_sent && n > 1)
            c->last_sent = g->seq - 1;
    }
    if (n > 1)
        c->group_limit = n / 2;
    err_clear(&m->err);
    if (m->multi || n == 1) { /* what is on its way comes in the wrong place */
        drop_bodies(c->next);
        if (m->multi)
            drop_bodies(c->cur);
    }
}

/* The command was refused already; what belongs to it is sent, and its messages are sorted out. */
static void end_doomed(struct mover *m)
{
    struct copy *c = &m->copy;
    imapc_end(m->new.imap);
    c->open = false;
    c->doomed = false;
    refuse_command(m, c->cur, c->append_id);
}

static void body_end(struct mover *m)
{
    struct copy *c = &m->copy;
    c->in_body = false;
    if (c->msg == NULL)
        return;
    c->msg->status = MSG_SENT;
    c->msg->asked = false;
    c->group_n++;
    c->group_bytes += c->msg->size;
    if (c->doomed) {
        end_doomed(m);
    } else if (!m->multi) {
        imapc_end(m->new.imap);
        c->open = false;
    } else if (c->msg->size == 0 || c->group_n >= c->group_limit ||
               c->group_bytes >= m->env->settings->batch_bytes) {
        close_group(m);
    }
    c->msg = NULL;
}

/* ---- what the old host sends ---- */

static int on_old_tagged(struct mover *m)
{
    struct copy *c = &m->copy;
    struct batch *both[2] = {c->cur, c->next};
    if (m->old.cond == COND_BAD)
        return conn_refused(&m->old, &m->err, SCOPE_UNIT, "the old host refused FETCH");
    if (c->spool_id != 0 && m->old.id == c->spool_id) {
        c->spool_id = 0;
        return 0;
    }
    for (int i = 0; i < 2; i++) {
        struct batch *b = both[i];
        if (b != NULL && b->meta_id == m->old.id) {
            b->meta_id = 0;
            if (m->old.cond != COND_OK && !conn_code_is(&m->old, "EXPUNGEISSUED"))
                return conn_refused(&m->old, &m->err, SCOPE_UNIT, "the old host does not list its messages");
            return batch_listed(m, b);
        }
        if (b != NULL && b->body_id == m->old.id) {
            b->body_id = 0;
            /* Asked to send, a host means itself by [LIMIT]; asked to take, the message. */
            if (m->old.cond != COND_OK && (conn_temporary(&m->old) || conn_code_is(&m->old, "LIMIT")))
                return conn_refused(&m->old, &m->err, SCOPE_UNIT, "the old host does not send messages now");
        }
    }
    return 0;
}

/*
 * IMAP's literals carry no NUL (RFC 3501 section 9, CHAR8). Some hosts refuse it, some store another byte in silence, so such a
 * message belongs into the spool. It shows only in the middle of an APPEND: that is broken off before its end,
 * whereupon nothing of it is stored, and the copy goes on knowing.
 */
static int found_nul(struct mover *m, uint32_t uid)
{
    m->nuls = mem_grow(m->nuls, m->n_nuls + 1, sizeof(*m->nuls));
    m->nuls[m->n_nuls++] = uid;
    m->again = true;
    return mover_fail(m, E_REFUSED, SCOPE_MESSAGE, "message %u holds a NUL", uid);
}

/* A body for the spool, or one of the batch in hand, or one to drop. */
static int on_body(struct mover *m, enum conn_event ev)
{
    struct copy *c = &m->copy;
    if (c->spool_id != 0 && c->cur->body_id == 0 && (c->next == NULL || c->next->body_id == 0)) {
        return spool_event(m, c->spool, ev);
    }
    if (ev == CONN_BODY)
        return body_begin(m);
    if (c->msg != NULL && m->old.bytes.n > 0 && memchr(m->old.bytes.p, 0, m->old.bytes.n) != NULL)
        return found_nul(m, c->msg->uid);
    if (c->msg != NULL)
        imapc_put(m->new.imap, m->old.bytes);
    if (ev == CONN_BODY_END)
        body_end(m);
    return 0;
}

int copy_old_event(struct mover *m, enum conn_event ev)
{
    struct copy *c = &m->copy;
    switch (ev) {
    case CONN_FETCH:
        if (m->old.fetch.seq < c->first_seq)
            news_flags(m, &m->old.fetch);
        if (c->cur->meta_id != 0)
            batch_add(m, c->cur, &m->old.fetch);
        if (c->next != NULL && c->next->meta_id != 0)
            batch_add(m, c->next, &m->old.fetch);
        return 0;
    case CONN_BODY:
    case CONN_BYTES:
    case CONN_BODY_END:
        return on_body(m, ev);
    case CONN_TAGGED:
        return on_old_tagged(m);
    case CONN_LINE:
        if (m->old.expunges != c->expunges)
            return mover_fail(m, E_CLOSED, SCOPE_HOST, "the old host renumbered messages during FETCH");
        return 0;
    default:
        return 0;
    }
}

/*
 * Hosts work on several FETCHes at once and mix their replies (RFC 3501 5.5), so the bodies of one batch only are ever on
 * their way; when they cannot be taken, nothing is.
 */
bool copy_wants_old(const struct mover *m)
{
    const struct copy *c = &m->copy;
    const struct batch *b = c->cur;
    if (c->in_body)
        return c->msg == NULL || !imapc_full(m->new.imap);
    if (b == NULL)
        return true;
    if (b->body_id == 0) /* the turn of the next one comes when this one is settled */
        return c->next == NULL || c->next->body_id == 0 || c->next->stale;
    if (b->stale)
        return true;
    if (!b->intended || b->intent.pending || c->closed || imapc_full(m->new.imap))
        return false;
    return m->multi || c->in_flight < m->env->settings->batch_messages;
}

/* ---- what the new host says ---- */

/* "APPENDUID 38505 7:8": hands the UIDs to the messages that went with this command, in order. */
static int take_uids(struct mover *m, struct batch *b)
{
    struct imap_args a;
    struct slice word = {0}, set = {0};
    uint32_t validity = 0, lo = 1, hi = 0;
    imap_args_init(&a, buf_slice(&m->new.code));
    if (!imap_args_atom(&a, &word) || !slice_is_nocase(word, "APPENDUID") || !imap_args_u32(&a, &validity) ||
        !imap_args_atom(&a, &set)) { /* then they are found out as where there is no UIDPLUS */
        m->again = !m->untold;
        m->untold = true;
        return mover_fail(m, E_PROTO, SCOPE_UNIT, "the new host did not tell the UIDs of what it stored");
    }
    if (validity != m->unit->rec.new_uidvalidity)
        return mover_fail(m, E_UNAVAIL, SCOPE_UNIT, "the new host changed the mailbox's UIDVALIDITY");
    for (uint32_t i = 0; i < b->n; i++) {
        if (b->msgs[i].status != MSG_SENT || b->msgs[i].append_id != m->new.id)
            continue;
        if (lo > hi && imap_set_next(&set, &lo, &hi) != 1)
            return mover_fail(m, E_PROTO, SCOPE_UNIT, "the new host told fewer UIDs than messages");
        b->msgs[i].new_uid = lo++;
        b->msgs[i].status = MSG_STORED;
    }
    return 0;
}

static void mark_stored(struct mover *m, struct batch *b)
{
    for (uint32_t i = 0; i < b->n; i++)
        if (b->msgs[i].status == MSG_SENT && b->msgs[i].append_id == m->new.id)
            b->msgs[i].status = MSG_STORED;
}

/* Bodies that were on their way when a group was refused were dropped: they are to be asked for again. */
static void unask(struct batch *b)
{
    for (uint32_t i = 0; i < b->n; i++)
        if (b->msgs[i].status == MSG_LISTED)
            b->msgs[i].asked = false;
}

static uint32_t next_limit(const struct mover *m)
{
    uint32_t most = m->serial ? 1 : m->env->settings->batch_messages, twice = m->copy.group_limit * 2;
    return twice < most ? twice : most;
}

/*
 * NO before the command was at its end. A host that takes literals without asking reads on to that end, so the message in
 * hand is completed and the command closed; one that was asked for "+ " has not got the literal, and the client
 * drops what was queued of the command.
 */
static int answered_early(struct mover *m)
{
    struct copy *c = &m->copy;
    if (m->new.cond == COND_OK)
        return mover_fail(m, E_PROTO, SCOPE_HOST, "the new host answered APPEND before its end");
    if (conn_temporary(&m->new))
        return conn_refused(&m->new, &m->err, SCOPE_UNIT, "the new host does not take messages now");
    conn_refused(&m->new, &m->err, SCOPE_MESSAGE, "the new host refused it");
    c->doomed = true;
    if (c->msg == NULL) {
        end_doomed(m);
    } else if (imapc_refused(m->new.imap, c->append_id)) {
        c->msg->status = MSG_SENT;
        c->msg->asked = false;
        c->msg = NULL; /* the rest of its body is dropped */
        end_doomed(m);
    }
    return 0;
}

static int on_appended(struct mover *m)
{
    struct copy *c = &m->copy;
    struct batch *b = c->cur;
    bool ours = m->multi ? m->new.id == c->append_id : c->in_flight > 0;
    if (!ours)
        return 0;
    c->in_flight--;
    if (c->open && m->new.id == c->append_id)
        return answered_early(m);
    c->closed = false;
    if (m->new.cond == COND_OK) {
        c->group_limit = c->alone ? 1 : next_limit(m);
        c->alone = false;
        c->refused = 0;
        if (m->uidplus)
            return take_uids(m, b);
        mark_stored(m, b);
        return 0;
    }
    if (conn_temporary(&m->new))
        return conn_refused(&m->new, &m->err, SCOPE_UNIT, "the new host does not take messages now");
    conn_refused(&m->new, &m->err, SCOPE_MESSAGE, "the new host refused it");
    refuse_command(m, b, m->new.id);
    return 0;
}

int copy_new_event(struct mover *m, enum conn_event ev)
{
    return ev == CONN_TAGGED && m->copy.cur != NULL ? on_appended(m) : 0;
}

/* ---- moving on ---- */

static struct copy_msg *first_with(struct batch *b, enum copy_status status)
{
    for (uint32_t i = 0; i < b->n; i++)
        if (b->msgs[i].status == status)
            return &b->msgs[i];
    return NULL;
}

/* One refused message at a time is fetched again, into a file. True while that goes on. */
static int spool_refused(struct mover *m, bool *busy)
{
    struct copy *c = &m->copy;
    struct copy_msg *g = first_with(c->cur, MSG_REFUSED);
    *busy = g != NULL;
    if (g == NULL)
        return 0;
    if (c->spool == NULL) {
        drop_bodies(c->next);
        if (c->next != NULL && c->next->body_id != 0)
            return 0; /* what comes before it is dropped first */
        c->spool = spool_new();
        int r = spool_open(m, c->spool, g->uid);
        if (r == 0)
            c->spool_id = imapc_command(m->old.imap, "FETCH %u (UID BODY.PEEK[])", g->seq);
        return r;
    }
    if (c->spool_id != 0)
        return 0;
    if (spool_complete(c->spool)) {
        spool_record(m, c->spool, g->uid, g->when, batch_text(c->cur, g->flags), batch_text(c->cur, g->reason));
        g->status = MSG_LEFT;
    } else {
        g->status = MSG_VANISHED; /* the comparison looks again */
    }
    spool_free(&c->spool);
    return 0;
}

/* So many in a row are not to blame themselves: something is wrong with the new host, and the mailbox waits. */
enum { MAX_REFUSED = 50 };

static const char *last_reason(const struct batch *b)
{
    uint32_t reason = 0;
    for (uint32_t i = 0; i < b->n; i++)
        reason = b->msgs[i].reason != 0 ? b->msgs[i].reason : reason;
    return batch_text(b, reason);
}

static int too_many_refused(struct mover *m)
{
    struct copy *c = &m->copy;
    if (!c->tripped) {
        c->tripped = true;
        store_barrier(m);
    }
    if (m->wait.pending)
        return 0;
    int r = batch_take_back(m, c->refused_from);
    if (r != 0)
        return r;
    return mover_fail(m, E_REFUSED, SCOPE_UNIT, "%u messages in a row: %s", c->refused, last_reason(c->cur));
}

/* The batch in hand has no reply due. Settled: true. */
static int finish_batch(struct mover *m, bool *settled)
{
    struct copy *c = &m->copy;
    struct batch *b = c->cur;
    bool busy;
    *settled = false;
    if (c->refused >= MAX_REFUSED)
        return too_many_refused(m);
    int r = spool_refused(m, &busy);
    if (r != 0 || busy)
        return r;
    if (b->stale) {
        unask(b);
        b->stale = false;
    }
    for (uint32_t i = 0; i < b->n; i++)
        if (b->msgs[i].status == MSG_LISTED && b->msgs[i].asked)
            b->msgs[i].status = MSG_VANISHED; /* asked for, and not sent */
    if (first_with(b, MSG_LISTED) != NULL) {
        drop_bodies(c->next);
        batch_ask_bodies(m, b, c->group_limit);
        return 0;
    }
    struct copy_msg *stuck = m->look ? first_with(b, MSG_VANISHED) : NULL;
    if (stuck != NULL)
        return look_stuck(m, stuck, batch_text(b, stuck->flags));
    batch_settle(m, b);
    *settled = true;
    return 0;
}

static void ask_more(struct mover *m)
{
    struct copy *c = &m->copy;
    uint32_t size = m->look ? 1 : m->env->settings->batch_messages; /* see look.c */
    struct batch **slots[2] = {&c->cur, &c->next};
    for (int i = 0; i < 2; i++) {
        if (*slots[i] != NULL || c->ask_seq > c->end_seq)
            continue;
        uint32_t hi = c->end_seq - c->ask_seq < size ? c->end_seq : c->ask_seq + size - 1;
        *slots[i] = batch_ask(m, c->ask_seq, hi);
        c->ask_seq = hi + 1;
    }
}

static int commit_intents(struct mover *m)
{
    struct batch *both[2] = {m->copy.cur, m->copy.next};
    for (int i = 0; i < 2; i++) {
        struct batch *b = both[i];
        if (b != NULL && b->listed && !b->intended)
            batch_commit_intent(m, b);
        if (b != NULL && b->intended && !b->intent.pending && b->intent.result != 0)
            return mover_store_failed(m, b->intent.result);
    }
    /* What was stored and is not recorded as such would be met again as somebody else's. */
    const struct store_wait *s = &m->copy.settled;
    return s->pending || s->result == 0 ? 0 : mover_store_failed(m, s->result);
}

/* The one in hand is all sent: the next one's bodies may already set out. */
static void ask_ahead(struct mover *m)
{
    struct batch *b = m->copy.cur, *next = m->copy.next;
    if (!m->serial && next != NULL && next->listed && !next->requested && first_with(b, MSG_LISTED) == NULL &&
        first_with(b, MSG_REFUSED) == NULL)
        batch_ask_bodies(m, next, UINT32_MAX);
}

int copy_advance(struct mover *m, bool *done)
{
    struct copy *c = &m->copy;
    for (;;) {
        ask_more(m);
        int r = commit_intents(m);
        struct batch *b = c->cur;
        *done = b == NULL && !c->settled.pending;
        if (r != 0 || b == NULL || b->meta_id != 0)
            return r;
        if (!b->requested)
            batch_ask_bodies(m, b, m->serial ? 1 : UINT32_MAX);
        if (b->body_id != 0)
            return 0;
        if (c->open && m->multi)
            close_group(m);
        ask_ahead(m);
        if (c->in_flight > 0 || b->intent.pending || c->settled.pending)
            return 0;
        bool settled;
        r = finish_batch(m, &settled);
        if (r != 0 || !settled)
            return r;
        batch_free(m, &c->cur);
        c->cur = c->next;
        c->next = NULL;
    }
}
