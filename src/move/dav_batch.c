/*
 * Batches of items: their bodies come in one REPORT, rows that say what is about to be sent are committed, several are put at once on
 * connections of their own, one REPORT reads them back, and the rows are committed. Two batches are in work at a time, so
 * that old and new both have something to do.
 */
#include "move/dav_mover.h"
#include <string.h>

static void batch_free(struct dav_batch **bp)
{
    struct dav_batch *b = *bp;
    if (b == NULL)
        return;
    *bp = NULL;
    if (b->wait.pending)
        store_wait_forget(b->m->env->store, &b->wait);
    ask_clear(&b->ask);
    for (int i = 0; i < DAV_LANES; i++) {
        ask_clear(&b->lanes[i].ask);
        left_free(&b->lanes[i].file);
    }
    for (size_t i = 0; i < b->n; i++) {
        struct job *j = &b->jobs[i];
        j->item->busy = false;
        buf_free(&j->body);
        buf_free(&j->sent);
        free(j->uid);
        free(j->match);
        free(j->reason);
    }
    free(b->jobs);
    free(b);
}

void batches_abort(struct dav_mover *m)
{
    for (int i = 0; i < DAV_BATCHES; i++)
        batch_free(&m->batches[i]);
}

struct job *dav_job_add(struct dav_batch *b, struct dav_item *i, enum job_step step)
{
    b->jobs = mem_grow(b->jobs, b->n + 1, sizeof(*b->jobs));
    struct job *j = &b->jobs[b->n++];
    *j = (struct job){.item = i, .step = step};
    return j;
}

/* Takes the next items that need something. NULL: none does. */
static struct dav_batch *gather(struct dav_mover *m)
{
    struct dav_batch *b = NULL;
    uint64_t bytes = 0;
    for (; m->next < m->n; m->next++) {
        struct dav_item *i = m->items[m->next];
        if (i->todo == TODO_NONE || i->busy)
            continue;
        if (b != NULL && (b->n == DAV_BATCH_ITEMS || bytes + i->size > DAV_BATCH_BYTES))
            break;
        if (b == NULL) {
            b = mem_alloc(sizeof(*b));
            b->m = m;
        }
        bool gone = i->todo == TODO_DELETE;
        struct job *j = dav_job_add(b, i, gone ? JOB_DELETE : JOB_GET);
        j->ours = i->row.state == ITEM_STORED || i->row.state == ITEM_SENT;
        if (i->todo == TODO_UPDATE || (i->row.state == ITEM_STORED && !gone))
            set_string(&j->match, i->row.new_etag);
        if (gone && i->row.state == ITEM_SENT) {
            j->gone = true;
            j->step = JOB_PEEK;
            set_string(&j->uid, i->row.uid);
        }
        if (gone && (i->row.state == ITEM_LEFT || i->row.state == 0)) {
            j->vanished = true;
            j->step = JOB_OVER;
        }
        i->busy = true;
        i->todo = TODO_NONE;
        bytes += i->size;
    }
    return b;
}

/* ---- bodies and what came back ---- */

static struct job *job_of(struct dav_batch *b, bool old, struct slice href)
{
    struct dav_mover *m = b->m;
    struct buf path = {0};
    const char *own = old ? m->unit->rec.old_name : m->unit->rec.new_name;
    size_t n = strlen(own);
    struct job *j = NULL;
    if (side_decode(old ? &m->old : &m->new, href, &path) == 0 && slice_starts(buf_slice(&path), slice_make(own, n))) {
        struct slice name = slice_make(buf_slice(&path).p + n, path.len - n);
        for (size_t i = 0; i < b->n && j == NULL; i++)
            if (slice_is(name, old ? b->jobs[i].item->row.name : dav_item_new_name(b->jobs[i].item)))
                j = &b->jobs[i];
    }
    buf_free(&path);
    return j;
}

static const struct dav_prop *data_of(const struct dav_batch *b, const struct dav_response *r)
{
    return b->m->card ? dav_prop_find(r, NS_CARDDAV, "address-data") : dav_prop_find(r, NS_CALDAV, "calendar-data");
}

static int on_body(struct dav_response *r, void *arg)
{
    struct dav_batch *b = arg;
    const struct dav_prop *data = data_of(b, r), *etag = dav_prop_find(r, NS_DAV, "getetag");
    struct job *j = data != NULL ? job_of(b, true, buf_slice(&r->href)) : NULL;
    if (j == NULL || j->step != JOB_GET || data->text.len == 0)
        return 0;
    item_crlf(buf_slice(&data->text), &j->body); /* XML took the CRs */
    if (etag != NULL) /* this is the one that the body has */
        set_slice(&j->item->etag, buf_slice(&etag->text));
    job_learn(b->m, j);
    return 0;
}

static int on_back(struct dav_response *r, void *arg)
{
    struct dav_batch *b = arg;
    const struct dav_prop *data = data_of(b, r), *etag = dav_prop_find(r, NS_DAV, "getetag");
    struct job *j = data != NULL && etag != NULL ? job_of(b, false, buf_slice(&r->href)) : NULL;
    if (j != NULL && j->step == JOB_SENT && data->text.len > 0)
        job_judge(b->m, j, buf_slice(&etag->text), buf_slice(&data->text));
    return 0;
}

static bool ask_bodies(struct dav_batch *b, bool old)
{
    struct dav_mover *m = b->m;
    struct slice *hrefs = mem_array(b->n, sizeof(*hrefs));
    struct buf *targets = mem_array(b->n, sizeof(*targets)), body = {0};
    size_t n = 0;
    for (size_t i = 0; i < b->n; i++) {
        struct job *j = &b->jobs[i];
        if (j->step != (old ? JOB_GET : JOB_SENT))
            continue;
        dav_target(m, old, j->item, &targets[n]);
        hrefs[n] = buf_slice(&targets[n]);
        n++;
    }
    bool worth = n > 1 && !(old ? m->old_no_multiget : m->new_no_multiget);
    if (worth) {
        dav_put_multiget(&body, m->card, hrefs, n);
        ask_start(&b->ask, old ? &m->old : &m->new, &m->task,
                  &(struct ask_open){.method = "REPORT",
                                     .target = slice_str(old ? m->unit->rec.old_href : m->unit->rec.new_href),
                                     .depth = 1,
                                     .type = XML_TYPE,
                                     .body = buf_slice(&body),
                                     .cb = old ? on_body : on_back,
                                     .arg = b,
                                     .response_bytes = DAV_ITEM_BYTES});
    }
    for (size_t i = 0; i < n; i++)
        buf_free(&targets[i]);
    free(targets);
    free(hrefs);
    buf_free(&body);
    return worth;
}

/* A REPORT that is not understood, or whose answer is broken by what is in an item, is done without: one by one. */
static void bodies_over(struct dav_batch *b, bool old)
{
    unsigned s = b->ask.status;
    if (b->ask.err.code == 0 && (s == 501 || s == 405 || s == 400 || s == 403 || s == 415))
        *(old ? &b->m->old_no_multiget : &b->m->new_no_multiget) = true;
    ask_clear(&b->ask);
}

/* ---- records ---- */

static void put_intents(struct dav_batch *b)
{
    struct store_batch *s = account_batch(b->m->account);
    for (size_t i = 0; i < b->n; i++) {
        struct store_item row = b->jobs[i].item->row;
        if (row.state == ITEM_STORED && b->jobs[i].step == JOB_DELETE)
            row.state = ITEM_GONE;
        else if (row.state == 0)
            row.state = b->jobs[i].item->row.state = ITEM_SENT;
        else
            continue;
        store_put_item(s, &row);
    }
    b->wait.task = &b->m->task;
    store_submit(&s, &b->wait);
    b->step = BATCH_INTENT;
}

static void record(struct dav_batch *b)
{
    struct dav_mover *m = b->m;
    struct store_batch *s = account_batch(m->account);
    for (size_t k = 0; k < b->n; k++) {
        struct job *j = &b->jobs[k];
        struct dav_item *i = j->item;
        if (j->vanished) {
            left_forget_item(m, i, s);
            store_del_item(s, &i->row);
            dav_item_count(m, i, COUNT_NONE);
            if (!i->part)
                dav_vanished(m);
            i->row.state = 0;
            continue;
        }
        if (i->row.state == ITEM_STORED) {
            left_forget_item(m, i, s);
            dav_item_count(m, i, COUNT_MOVED);
        }
        if (i->row.state != 0)
            store_put_item(s, &i->row);
    }
    store_put_unit(s, &m->unit->rec);
    b->wait.task = &m->task;
    store_submit(&s, &b->wait);
    b->step = BATCH_RECORD;
    account_wake(m->account);
}

/* ---- lanes ---- */

static int lane_start(struct dav_batch *b, struct lane *l, size_t k)
{
    struct job *j = &b->jobs[k];
    l->job = k + 1;
    if (j->step == JOB_SPOOL) {
        left_free(&l->file);
        int r = left_open(&l->file, b->m, b->m->next_left++, &b->m->err);
        if (r != 0)
            return r;
    }
    job_begin(b, l, j);
    return 0;
}

/* *busy: something is under way or to be done. */
static int lanes_run(struct dav_batch *b, bool *busy)
{
    bool pause = worker_now_ms(b->m->env->worker) < b->m->pause_until_ms;
    int r = 0;
    *busy = false;
    for (int i = 0; i < DAV_LANES && r == 0; i++) {
        struct lane *l = &b->lanes[i];
        while (r == 0) {
            if (l->job != 0) {
                if (!ask_step(&l->ask)) {
                    *busy = true;
                    break;
                }
                r = job_answered(b, l, &b->jobs[l->job - 1]);
                l->job = 0;
                ask_clear(&l->ask);
                left_free(&l->file);
                continue;
            }
            size_t k = 0;
            while (k < b->n && (b->jobs[k].active || b->jobs[k].step == JOB_SENT || b->jobs[k].step == JOB_OVER))
                k++;
            if (k == b->n)
                break;
            *busy = true;
            if (pause)
                break;
            r = lane_start(b, l, k);
        }
    }
    for (size_t k = 0; k < b->n; k++)
        *busy = *busy || (b->jobs[k].step != JOB_SENT && b->jobs[k].step != JOB_OVER);
    return r;
}

/* What the REPORT did not bring is asked for alone. */
static bool check_rest(struct dav_batch *b)
{
    bool any = false;
    for (size_t k = 0; k < b->n; k++) {
        if (b->jobs[k].step != JOB_SENT)
            continue;
        b->jobs[k].step = JOB_CHECK;
        any = true;
    }
    return any;
}

static int work(struct dav_batch *b)
{
    bool busy;
    int r = lanes_run(b, &busy);
    if (r != 0 || busy)
        return r;
    if (ask_bodies(b, false)) {
        b->step = BATCH_VERIFY;
    } else if (!check_rest(b)) {
        record(b);
        return 0;
    }
    return 1; /* more can be done at once */
}

/* One step; 1: more can be done at once, 0: it waits, or a negative code. */
static int batch_step(struct dav_batch *b)
{
    switch (b->step) {
    case BATCH_FETCH:
        if (!b->asked) {
            b->asked = true;
            if (ask_bodies(b, true))
                return 0;
        } else if (!ask_step(&b->ask)) {
            return 0;
        } else {
            bodies_over(b, true);
        }
        put_intents(b);
        return 0;
    case BATCH_INTENT:
        if (b->wait.pending)
            return 0;
        if (b->wait.result != 0)
            return dav_fail(b->m, b->wait.result, SCOPE_UNIT, "the store refused to record what is about to be sent");
        b->step = BATCH_WORK;
        return 1;
    case BATCH_WORK:
        return work(b);
    case BATCH_VERIFY:
        if (!ask_step(&b->ask))
            return 0;
        bodies_over(b, false);
        check_rest(b);
        b->step = BATCH_WORK;
        return 1;
    default:
        return 0;
    }
}

int batches_run(struct dav_mover *m, bool *idle)
{
    *idle = true;
    for (int k = 0; k < DAV_BATCHES; k++) {
        int r = 1;
        while (r == 1) {
            if (m->batches[k] == NULL)
                m->batches[k] = gather(m);
            struct dav_batch *b = m->batches[k];
            if (b == NULL)
                break;
            *idle = false;
            if (b->step == BATCH_RECORD) {
                if (b->wait.pending)
                    break;
                if (b->wait.result != 0)
                    return dav_fail(m, b->wait.result, SCOPE_UNIT, "the store refused to record items");
                m->done += b->n;
                batch_free(&m->batches[k]);
                *idle = true;
                continue;
            }
            r = batch_step(b);
            if (r < 0)
                return r;
        }
        *idle = *idle && m->batches[k] == NULL;
    }
    for (int k = 0; k < DAV_BATCHES; k++)
        *idle = *idle && m->batches[k] == NULL;
    return 0;
}
