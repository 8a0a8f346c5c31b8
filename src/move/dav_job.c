/*
 * One item on its way: fetched where the batch's REPORT did not give it, put, mended and put again where it was refused, compared
 * where new has something under its name or UID already, and left behind at last. Each answer leads to the next step; there is
 * no step that can come for ever (tries, names and mending are counted).
 *
 * An answer that says nothing about the item (401, 429, 503, 507) ends or holds up the unit and never leaves an item behind.
 */
#include "move/dav_mover.h"
#include <string.h>

enum { TRIES_MAX = 4, NAMES_MAX = 5, REFUSED_MAX = 100, PATIENCE_MS = 1000, PARTS_MAX = 1000 };

/* ---- invitations ---- */

enum dav_scheduling quiet_of(const struct ask *a, const struct dav_host *h)
{
    struct slice server = davr_field(a->r, "server"), dav = davr_field(a->r, "dav");
    char *s = slice_dup(server), *d = slice_dup(dav);
    enum dav_scheduling q = DAV_SCHEDULING_AUTO; /* nobody knows: all of them */
    if (h->scheduling != DAV_SCHEDULING_AUTO)
        q = h->scheduling;
    else if (strstr(s, "Cyrus") != NULL)
        q = DAV_SCHEDULING_ENABLED;
    else if (strstr(d, "nc-") != NULL || strstr(d, "nextcloud") != NULL)
        q = DAV_SCHEDULING_NEXTCLOUD;
    else if (davr_field(a->r, "x-sabre-version").n > 0)
        q = DAV_SCHEDULING_REPLY;
    else if (dav.n > 0 && strstr(d, "auto-schedule") == NULL)
        q = DAV_SCHEDULING_NONE; /* it says what it can, and that is not among it (RFC 6638 2) */
    free(s);
    free(d);
    return q;
}

size_t quiet_fields(const struct dav_mover *m, struct dav_field out[DAV_QUIET_FIELDS])
{
    bool all = m->quiet == DAV_SCHEDULING_AUTO;
    size_t n = 0;
    if (all || m->quiet == DAV_SCHEDULING_REPLY || m->quiet == DAV_SCHEDULING_NEXTCLOUD)
        out[n++] = (struct dav_field){SLICE_LIT("Schedule-Reply"), SLICE_LIT("F")};
    if (all || m->quiet == DAV_SCHEDULING_ENABLED)
        out[n++] = (struct dav_field){SLICE_LIT("Scheduling-Enabled"), SLICE_LIT("F")};
    if (all || m->quiet == DAV_SCHEDULING_NEXTCLOUD)
        out[n++] = (struct dav_field){SLICE_LIT("X-NC-DISABLE-SCHEDULING"), SLICE_LIT("true")};
    return n;
}

/* ---- the body ---- */

/* Where no header is known to work, the event itself says that its client does the scheduling. */
static void keep_quiet(struct dav_mover *m, struct job *j, bool scheduled)
{
    struct buf out = {0};
    if (m->card || !scheduled || (m->quiet != DAV_SCHEDULING_CLIENT && m->quiet != DAV_SCHEDULING_AUTO))
        return;
    if (item_schedule_by_client(j->sent.len > 0 ? buf_slice(&j->sent) : buf_slice(&j->body), &out)) {
        buf_free(&j->sent);
        j->sent = out;
        j->agent = true;
    } else {
        buf_free(&out);
    }
}

void job_learn(struct dav_mover *m, struct job *j)
{
    struct item_info info;
    struct dav_item *i = j->item;
    item_inspect(buf_slice(&j->body), m->card, &info);
    j->have = true;
    j->faults = info.faults;
    set_string(&j->uid, info.uid);
    set_string(&i->row.uid, info.uid);
    i->row.size = j->body.len;
    keep_quiet(m, j, info.scheduled);
    j->step = JOB_PUT;
    const char *there = info.uid[0] != '\0' ? hash_get(m->foreign_uids, slice_str(info.uid)) : NULL;
    if (there != NULL && i->row.state != ITEM_STORED && strcmp(there, dav_item_new_name(i)) != 0) {
        dav_item_rename(m, i, there);
        j->adopt = true;
        j->step = JOB_PEEK;
    }
    item_info_clear(&info);
}

/* ---- what is sent ---- */

static void send(struct dav_batch *b, struct lane *l, struct job *j, const char *method, bool old, const struct ask_open *more)
{
    struct dav_mover *m = b->m;
    struct buf target = {0};
    struct ask_open o = *more;
    dav_target(m, old, j->item, &target);
    o.method = method;
    o.target = buf_slice(&target);
    o.depth = -1;
    ask_start(&l->ask, old ? &m->old : &m->new, &m->task, &o);
    buf_free(&target);
}

static void send_put(struct dav_batch *b, struct lane *l, struct job *j)
{
    struct dav_field f[DAV_QUIET_FIELDS + 1];
    size_t n = quiet_fields(b->m, f);
    bool match = j->match != NULL && j->match[0] != '\0';
    if (match)
        f[n++] = (struct dav_field){SLICE_LIT("If-Match"), slice_str(j->match)};
    else
        f[n++] = (struct dav_field){SLICE_LIT("If-None-Match"), SLICE_LIT("*")};
    send(b, l, j, "PUT", false,
         &(struct ask_open){.type = b->m->card ? "text/vcard; charset=utf-8" : "text/calendar; charset=utf-8",
                            .body = j->sent.len > 0 ? buf_slice(&j->sent) : buf_slice(&j->body),
                            .fields = f,
                            .n_fields = n});
}

static void send_delete(struct dav_batch *b, struct lane *l, struct job *j)
{
    struct dav_field f[DAV_QUIET_FIELDS + 1];
    size_t n = quiet_fields(b->m, f);
    const char *etag = j->match != NULL ? j->match : j->item->row.new_etag;
    if (etag[0] != '\0')
        f[n++] = (struct dav_field){SLICE_LIT("If-Match"), slice_str(etag)};
    send(b, l, j, "DELETE", false, &(struct ask_open){.fields = f, .n_fields = n});
}

void job_begin(struct dav_batch *b, struct lane *l, struct job *j)
{
    struct ask_open get = {.body_max = DAV_ITEM_BYTES};
    j->active = true;
    switch (j->step) {
    case JOB_GET:
        send(b, l, j, "GET", true, &get);
        break;
    case JOB_PEEK:
    case JOB_CHECK:
        send(b, l, j, "GET", false, &get);
        break;
    case JOB_PUT:
        send_put(b, l, j);
        break;
    case JOB_DELETE:
        send_delete(b, l, j);
        break;
    default:
        send(b, l, j, "GET", true, &(struct ask_open){.sink = left_write, .arg = l->file});
        break;
    }
}

/* ---- refusals ---- */

struct precondition {
    struct buf name, href;
};

static void note_precondition(struct slice ns, struct slice name, struct slice href, void *arg)
{
    struct precondition *p = arg;
    (void)ns;
    if (p->name.len > 0)
        return;
    buf_put_slice(&p->name, name);
    buf_put_slice(&p->href, href);
}

/* The name did not do: another one. */
static bool rename_item(struct dav_mover *m, struct job *j)
{
    return j->names < NAMES_MAX && item_rename(m, j->item, j->names++);
}

struct parts {
    struct dav_batch *b;
    struct job *whole;
    size_t index, n; /* index: of the whole in the batch, whose array may move */
};

static int add_part(struct slice uid, struct slice body, void *arg)
{
    struct parts *p = arg;
    struct dav_mover *m = p->b->m;
    struct job *whole = &p->b->jobs[p->index];
    (void)uid;
    if (p->n++ == 0) { /* the first takes the place of the whole */
        buf_clear(&whole->sent);
        buf_put_slice(&whole->sent, body);
        return 0;
    }
    if (p->n > PARTS_MAX)
        return E_LIMIT;
    const char *name = whole->item->row.name, *dot = strrchr(name, '.');
    char *own = mem_printf("%.*s-part%zu%s", (int)(dot != NULL ? (size_t)(dot - name) : strlen(name)), name, p->n,
                           m->card ? ".vcf" : ".ics");
    struct dav_item *i = dav_item_find_new(m, slice_str(own));
    if (i == NULL)
        i = dav_item_add(m, own);
    free(own);
    i->part = true;
    i->busy = true;
    struct job *j = dav_job_add(p->b, i, JOB_PUT);
    buf_put_slice(&j->body, body);
    job_learn(m, j);
    return 0;
}

static bool split(struct dav_batch *b, struct job *j)
{
    struct parts p = {.b = b, .index = (size_t)(j - b->jobs)};
    if (j->split || (j->faults & (ITEM_MANY_UIDS | ITEM_MANY_CARDS)) == 0)
        return false;
    struct buf body = {0};
    buf_put_slice(&body, buf_slice(&j->body)); /* the array of jobs may move */
    int n = item_split(buf_slice(&body), b->m->card, add_part, &p);
    buf_free(&body);
    j = &b->jobs[p.index];
    j->split = true;
    if (n < 0)
        buf_clear(&j->sent);
    return n > 1;
}

static bool mend(struct dav_mover *m, struct job *j)
{
    struct buf out = {0};
    unsigned done = 0;
    if (j->mended != 0)
        return false;
    item_repair(j->sent.len > 0 ? buf_slice(&j->sent) : buf_slice(&j->body), m->card, slice_str(j->item->row.name), &out, &done);
    j->mended = done;
    if (done == 0) {
        buf_free(&out);
        return false;
    }
    buf_free(&j->sent);
    j->sent = out;
    return true;
}

static int refused(struct dav_batch *b, struct job *j, const char *why)
{
    struct dav_mover *m = b->m;
    size_t index = (size_t)(j - b->jobs);
    set_string(&j->reason, why);
    j->step = JOB_PUT;
    bool parted = split(b, j);
    j = &b->jobs[index];
    if (parted || mend(m, j))
        return 0;
    if (!item_name_is_plain(j->item->row.name) && j->names == 0 && j->item->row.new_name[0] == '\0' && rename_item(m, j))
        return 0;
    if (++m->refused > REFUSED_MAX)
        return dav_fail(m, E_REFUSED, SCOPE_UNIT, "the new host refuses one item after the other: %s", why);
    j->step = JOB_SPOOL;
    return 0;
}

/* ---- answers ---- */

/* The host, not the item: 0 when it is to be asked again later. */
static int host_trouble(struct dav_mover *m, struct lane *l, struct job *j, bool old)
{
    unsigned s = l->ask.status;
    bool patient = l->ask.err.code == E_CLOSED || (l->ask.err.code == 0 && (s == 429 || s == 503 || s == 502 || s == 504));
    if (patient && j->tries++ < TRIES_MAX) {
        m->pause_until_ms = worker_now_ms(m->env->worker) + (uint64_t)PATIENCE_MS * j->tries;
        timer_start(&m->timer, (uint64_t)PATIENCE_MS * j->tries);
        return 0;
    }
    return ask_error(&l->ask, old ? &m->old : &m->new, "an item", &m->err);
}

static bool is_trouble(const struct ask *a)
{
    unsigned s = a->status;
    return a->err.code != 0 || s == 401 || s == 407 || s == 408 || s == 429 || s == 507 || s == 502 || s == 503 || s == 504;
}

static int got_old(struct dav_batch *b, struct lane *l, struct job *j)
{
    unsigned s = l->ask.status;
    if (l->ask.err.code == E_LIMIT) {
        set_string(&j->reason, "it is larger than 16 MiB");
        j->step = JOB_SPOOL;
        return 0;
    }
    if (is_trouble(&l->ask))
        return host_trouble(b->m, l, j, true);
    if (s == 404 || s == 410) {
        j->vanished = true;
        j->step = j->item->row.state == ITEM_STORED ? JOB_DELETE : JOB_OVER;
        return 0;
    }
    if (s != 200) {
        if (j->tries++ < TRIES_MAX)
            return 0;
        return ask_error(&l->ask, &b->m->old, "an item", &b->m->err);
    }
    buf_clear(&j->body);
    buf_put_slice(&j->body, buf_slice(&l->ask.body));
    job_learn(b->m, j);
    return 0;
}

/* A UID that stands elsewhere: in this collection it is the same item, in another there is no room for it. */
static int conflict(struct dav_batch *b, struct job *j, struct slice href)
{
    struct dav_mover *m = b->m;
    struct buf path = {0};
    const char *own = m->unit->rec.new_name;
    struct slice at = side_path(&m->new, href);
    bool here = at.n > 0 && http_path_decode(at, &path, NULL) == 0 && path.len > strlen(own) &&
                slice_starts(buf_slice(&path), slice_str(own));
    if (here && !j->adopt) {
        dav_item_rename(m, j->item, buf_cstr(&path) + strlen(own));
        j->adopt = true;
        j->step = JOB_PEEK;
        buf_free(&path);
        return 0;
    }
    char *why = mem_printf("the new host has its UID in another place already: %.200s", buf_cstr(&path));
    buf_free(&path);
    set_string(&j->reason, why);
    free(why);
    j->step = JOB_SPOOL;
    return 0;
}

static int put_answered(struct dav_batch *b, struct lane *l, struct job *j)
{
    struct dav_mover *m = b->m;
    unsigned s = l->ask.status;
    if (is_trouble(&l->ask))
        return host_trouble(m, l, j, false);
    if (s / 100 == 2 && s != 207) {
        m->refused = 0;
        j->step = JOB_SENT;
        return 0;
    }
    if (s == 412) {
        j->step = JOB_PEEK;
        return ++j->tries > 2 * TRIES_MAX ? refused(b, j, "the name is taken") : 0;
    }
    if (s == 500 && j->tries++ < 1)
        return 0;
    struct precondition p = {{0}, {0}};
    dav_error_read(buf_slice(&l->ask.body), note_precondition, &p);
    int r;
    if (slice_is(buf_slice(&p.name), "no-uid-conflict")) {
        r = conflict(b, j, buf_slice(&p.href));
    } else {
        char *why = mem_printf("status %u%s%.80s", s, p.name.len > 0 ? ", " : "", buf_cstr(&p.name));
        r = refused(b, j, why);
        free(why);
    }
    buf_free(&p.name);
    buf_free(&p.href);
    return r;
}

/* Something is there under the name: ours, the same, one that came by itself, or another. */
static int peeked(struct dav_batch *b, struct lane *l, struct job *j)
{
    struct dav_mover *m = b->m;
    struct slice etag = davr_field(l->ask.r, "etag");
    if (l->ask.err.code == E_LIMIT)
        return refused(b, j, "something else stands under its name");
    if (is_trouble(&l->ask))
        return host_trouble(m, l, j, false);
    if (l->ask.status != 200 && j->gone) {
        j->vanished = true;
        j->step = JOB_OVER;
        return 0;
    }
    if (l->ask.status != 200) {
        j->step = JOB_PUT;
        set_string(&j->match, NULL);
        return j->tries++ < TRIES_MAX ? 0 : refused(b, j, "the new host shows and does not show it");
    }
    struct slice back = buf_slice(&l->ask.body);
    struct item_info there;
    item_inspect(back, m->card, &there);
    bool same = item_same(buf_slice(&j->body), back, m->card), uid = strcmp(there.uid, j->uid != NULL ? j->uid : "") == 0;
    item_info_clear(&there);
    if (j->gone) { /* taken away if it is what was sent */
        bool sent = j->item->row.uid[0] != '\0' && etag.n > 0 && uid;
        set_slice(&j->match, etag);
        j->vanished = !sent;
        j->step = sent ? JOB_DELETE : JOB_OVER;
        return 0;
    }
    if (same || (uid && j->adopt) || (uid && !j->ours && j->item->row.state != ITEM_STORED)) {
        job_judge(m, j, etag, back);
    } else if (uid && etag.n > 0) { /* it was ours, and old has a later one */
        set_slice(&j->match, etag);
        j->step = JOB_PUT;
    } else if (rename_item(m, j)) {
        set_string(&j->match, NULL);
        j->adopt = false;
        j->step = JOB_PUT;
    } else {
        return refused(b, j, "its name is taken");
    }
    return 0;
}

void job_judge(struct dav_mover *m, struct job *j, struct slice etag, struct slice back)
{
    struct dav_item *i = j->item;
    bool strong = etag.n > 0 && etag.p[0] == '"';
    i->row.kept = strong && !j->split && item_same(buf_slice(&j->body), back, m->card);
    i->row.mended = j->mended;
    i->row.state = i->part ? ITEM_FOREIGN : ITEM_STORED;
    set_slice(&i->row.new_etag, etag);
    set_string(&i->row.old_etag, i->etag);
    set_string(&i->row.old_tag, i->tag);
    j->step = JOB_OVER;
}

static int checked(struct dav_batch *b, struct lane *l, struct job *j)
{
    if (l->ask.err.code != E_LIMIT && is_trouble(&l->ask))
        return host_trouble(b->m, l, j, false);
    if (l->ask.status == 404 || l->ask.status == 410) {
        if (j->tries++ < TRIES_MAX) {
            set_string(&j->match, NULL);
            j->step = JOB_PUT;
            return 0;
        }
        return refused(b, j, "the new host said that it had stored it, and does not have it");
    }
    job_judge(b->m, j, davr_field(l->ask.r, "etag"), buf_slice(&l->ask.body));
    return 0;
}

static int deleted(struct dav_batch *b, struct lane *l, struct job *j)
{
    if (is_trouble(&l->ask))
        return host_trouble(b->m, l, j, false);
    unsigned s = l->ask.status;
    if (s / 100 != 2 && s != 404 && s != 410 && s != 412)
        return j->tries++ < TRIES_MAX ? 0 : ask_error(&l->ask, &b->m->new, "deleting an item", &b->m->err);
    j->vanished = true;
    j->step = JOB_OVER;
    return 0;
}

static int spooled(struct dav_batch *b, struct lane *l, struct job *j)
{
    struct dav_mover *m = b->m;
    struct store_batch *batch = NULL;
    if (l->ask.err.code == 0 && (l->ask.status == 404 || l->ask.status == 410)) {
        j->vanished = true;
        j->step = JOB_OVER;
        return 0;
    }
    if (!ask_ok(&l->ask))
        return host_trouble(m, l, j, true);
    if (j->item->part) { /* the whole is in the spool, or will be */
        j->step = JOB_OVER;
        return 0;
    }
    int r = left_done(l->file, m, j->item, j->reason, &batch, &m->err);
    if (r == 0)
        store_submit(&batch, NULL);
    j->step = JOB_OVER;
    return r;
}

int job_answered(struct dav_batch *b, struct lane *l, struct job *j)
{
    j->active = false;
    switch (j->step) {
    case JOB_GET:
        return got_old(b, l, j);
    case JOB_PUT:
        return put_answered(b, l, j);
    case JOB_PEEK:
        return peeked(b, l, j);
    case JOB_CHECK:
        return checked(b, l, j);
    case JOB_DELETE:
        return deleted(b, l, j);
    default:
        return spooled(b, l, j);
    }
}
