/*
 * The mover of a collection.
 *
 * Both listings are compared by name and ETag, what differs is carried in batches (dav_batch.c), and old is looked at again until
 * nothing changed on it. Then new is listed: all that was stored must be there. Clients' changes are let through to old all the
 * while; for the switch they are held up (503) for as long as it takes to see that nothing changed meanwhile, two small requests
 * where the hosts tell a sync-token or a tag, two listings otherwise. Everything is found out anew from listings and rows
 * after a crash: rows of SENT say what may be on new, and its content decides.
 *
 * Rejected: sync-collection for the rounds (a listing of ETags is needed for the rows anyhow, and not all hosts have it); locking
 * the collection on old (RFC 4918 7: few hosts do).
 */
#include "move/dav_mover.h"
#include <stdio.h>
#include <string.h>

enum {
    ROUNDS = 4,  /* after so many the rest is done while changes are held up */
    SMALL = 30,  /* so few changes are, at once */
    HOLD_MAX_MS = 60 * 1000
};

static void mover_step(struct task *t);

void set_string(char **field, const char *v)
{
    char *copy = mem_strdup(v);
    free(*field);
    *field = copy;
}

void set_slice(char **field, struct slice v)
{
    char *copy = slice_dup(v);
    free(*field);
    *field = copy;
}

int dav_fail(struct dav_mover *m, int code, enum err_scope scope, const char *fmt, ...)
{
    va_list ap;
    char text[sizeof(m->err.text)];
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return err_set(&m->err, code, scope, "%s", text);
}

/* ---- items ---- */

static struct dav_item *item_new(struct dav_mover *m)
{
    struct dav_item *i = mem_alloc(sizeof(*i));
    if ((m->n & (m->n - 1)) == 0)
        m->items = mem_grow(m->items, m->n > 0 ? 2 * m->n : 1, sizeof(struct dav_item *));
    m->items[m->n++] = i;
    return i;
}

struct dav_item *dav_item_add(struct dav_mover *m, const char *name)
{
    struct dav_item *i = item_new(m);
    i->row.account = m->unit->rec.account;
    i->row.unit = m->unit->rec.id;
    char **strings[] = {&i->row.new_name, &i->row.spelled, &i->row.old_etag, &i->row.new_etag,
                        &i->row.old_tag,  &i->row.new_tag, &i->row.uid};
    for (size_t k = 0; k < sizeof(strings) / sizeof(strings[0]); k++)
        *strings[k] = mem_strdup("");
    i->row.name = mem_strdup(name);
    hash_put(m->by_name, slice_str(name), i);
    return i;
}

struct dav_item *dav_item_find(struct dav_mover *m, struct slice name)
{
    return hash_get(m->by_name, name);
}

struct dav_item *dav_item_find_new(struct dav_mover *m, struct slice new_name)
{
    struct dav_item *i = hash_get(m->by_new, new_name);
    if (i != NULL)
        return i;
    i = hash_get(m->by_name, new_name);
    return i != NULL && i->row.new_name[0] == '\0' ? i : NULL;
}

const char *dav_item_new_name(const struct dav_item *i)
{
    return i->row.new_name[0] != '\0' ? i->row.new_name : i->row.name;
}

void dav_item_rename(struct dav_mover *m, struct dav_item *i, const char *new_name)
{
    struct dav_item *there = dav_item_find_new(m, slice_str(new_name));
    if (there != NULL && there != i && there->part && there->row.state == 0) {
        /* It was thought to be new's own, and is this one. */
        hash_del(m->by_name, slice_str(there->row.name));
        set_string(&there->now_etag, NULL);
        there->todo = TODO_NONE;
    }
    if (i->row.new_name[0] != '\0')
        hash_del(m->by_new, slice_str(i->row.new_name));
    bool same = strcmp(new_name, i->row.name) == 0;
    set_string(&i->row.new_name, same ? "" : new_name);
    if (!same)
        hash_put(m->by_new, slice_str(new_name), i);
}

bool item_name_is_plain(const char *name)
{
    for (; *name != '\0'; name++)
        if (!((*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') || (*name >= '0' && *name <= '9') ||
              strchr("-._", *name) != NULL))
            return false;
    return true;
}

/* A plainer name of the same length at most, with a hash so that two do not become one, and a number from the second try on. */
static void put_plain(const struct dav_mover *m, const char *name, unsigned tries, struct buf *out)
{
    const char *dot = strrchr(name, '.');
    size_t stem = dot != NULL && dot != name ? (size_t)(dot - name) : strlen(name);
    bool plain = item_name_is_plain(name);
    uint64_t h = 14695981039346656037u;
    for (const char *p = name; *p != '\0'; p++)
        h = (h ^ (uint8_t)*p) * 1099511628211u;
    for (size_t i = 0; i < stem && i < 120; i++)
        buf_putc(out, item_name_is_plain((char[]){name[i], '\0'}) ? name[i] : '_');
    if (!plain)
        buf_printf(out, "-%08x", (unsigned)(h ^ h >> 32));
    if (plain || tries > 0)
        buf_printf(out, "-%u", tries + 2);
    buf_puts(out, m->card ? ".vcf" : ".ics");
}

bool item_rename(struct dav_mover *m, struct dav_item *i, unsigned tries)
{
    bool free_one = false;
    for (unsigned end = tries + 20; tries < end && !free_one; tries++) {
        struct buf out = {0};
        put_plain(m, i->row.name, tries, &out);
        free_one = dav_item_find_new(m, buf_slice(&out)) == NULL;
        if (free_one)
            dav_item_rename(m, i, buf_cstr(&out));
        buf_free(&out);
    }
    return free_one;
}

void dav_item_count(struct dav_mover *m, struct dav_item *i, enum dav_count to)
{
    struct store_unit *u = &m->unit->rec;
    struct counters *c = worker_counters(m->env->worker);
    uint64_t n[2] = {(to == COUNT_MOVED) - (uint64_t)(i->count == COUNT_MOVED),
                     (to == COUNT_LEFT) - (uint64_t)(i->count == COUNT_LEFT)};
    u->moved += n[0];
    c->items_moved += n[0];
    u->left_behind += n[1];
    c->items_left_behind += n[1];
    if (to == COUNT_MOVED && i->count != COUNT_MOVED) {
        u->bytes += i->row.size;
        c->bytes_moved += i->row.size;
    }
    i->count = to;
    m->unit->done = u->moved + u->left_behind;
}

void dav_vanished(struct dav_mover *m)
{
    m->unit->rec.vanished++;
    worker_counters(m->env->worker)->items_vanished++;
}

void dav_target(const struct dav_mover *m, bool old, const struct dav_item *i, struct buf *out)
{
    const char *href = old ? m->unit->rec.old_href : m->unit->rec.new_href;
    struct http_spelling plain = {0};
    size_t n = strlen(href);
    buf_puts(out, href);
    if (n == 0 || href[n - 1] != '/')
        buf_putc(out, '/');
    /* Not as spelled: some hosts list names with a bare '?', which is a query in a request. */
    http_spelling_put(&plain, slice_str(old ? i->row.name : dav_item_new_name(i)), out);
}

/* ---- beginning and end ---- */

static bool load_row(struct slice key, struct slice value, void *arg)
{
    struct dav_mover *m = arg;
    struct store_item row;
    uint32_t skip[2];
    (void)skip;
    if (key.n < 9 || key.p[8] != 'v')
        return true;
    if (store_item_decode(&row, value) != 0) {
        dav_fail(m, E_CORRUPT, SCOPE_UNIT, "an item's record cannot be read");
        return false;
    }
    struct dav_item *i = item_new(m);
    i->row = row;
    i->part = row.state == ITEM_FOREIGN;
    i->count = row.state == ITEM_STORED ? COUNT_MOVED : row.state == ITEM_LEFT ? COUNT_LEFT : COUNT_NONE;
    hash_put(m->by_name, slice_str(row.name), i);
    if (row.new_name[0] != '\0')
        hash_put(m->by_new, slice_str(row.new_name), i);
    return true;
}

static int load_rows(struct dav_mover *m)
{
    struct buf key = {0};
    store_key_unit(&key, m->unit->rec.account, m->unit->rec.id);
    int r = store_walk(m->env->store, STORE_ITEMS, buf_slice(&key), load_row, m);
    buf_free(&key);
    if (r != 0 && m->err.code == 0)
        dav_fail(m, r, SCOPE_UNIT, "the records of items cannot be read");
    return m->err.code == 0 ? left_numbers(m) : m->err.code;
}

static void enter(struct dav_mover *m, enum dav_phase phase)
{
    static const char *const names[] = {"options", "meta_old", "list_old", "meta_new", "list_new",
                                        "foreign", "work",     "drain",    "switch",   "over"};
    log_event(worker_log(m->env->worker), LOG_DEBUG, "collection_phase", log_s("account", m->account->rec.name),
              log_s("unit", m->unit->rec.view_name), log_s("to", names[phase]));
    m->phase = phase;
    switch (phase) {
    case DP_OPTIONS:
        ask_start(&m->ask, &m->new, &m->task,
                  &(struct ask_open){.method = "OPTIONS", .target = slice_str(m->unit->rec.new_href), .depth = -1});
        break;
    case DP_META_OLD:
    case DP_META_NEW:
        list_meta(m, phase == DP_META_OLD);
        break;
    case DP_LIST_OLD:
        meta_keep(&m->listed_old, &m->meta_old);
        list_items(m, true);
        break;
    case DP_LIST_NEW:
        meta_keep(&m->listed_new, &m->meta_new);
        list_items(m, false);
        break;
    case DP_DRAIN:
        m->unit->held = true;
        m->hold_ms = worker_now_ms(m->env->worker);
        break;
    default:
        break;
    }
}

struct dav_mover *dav_mover_start(struct unit *u)
{
    struct dav_mover *m = mem_alloc(sizeof(*m));
    m->unit = u;
    m->account = u->account;
    m->env = u->account->all->env;
    m->card = u->rec.kind == UNIT_ADDRESSBOOK;
    m->by_name = hash_new();
    m->by_new = hash_new();
    m->foreign_uids = hash_new();
    m->began_ms = worker_now_ms(m->env->worker);
    task_init(&m->task, m->env->worker, mover_step);
    timer_init(&m->timer, &m->task);
    unit_enter(u, UNIT_COPYING);
    u->rec.attempts++;
    if (u->rec.started == 0)
        u->rec.started = clock_real_us() / 1000000;
    struct store_batch *b = account_batch(m->account);
    store_put_unit(b, &u->rec);
    store_submit(&b, NULL);
    if (side_open(&m->old, m->account, true, &m->err) == 0 && side_open(&m->new, m->account, false, &m->err) == 0 &&
        load_rows(m) == 0)
        enter(m, DP_OPTIONS);
    task_wake(&m->task);
    return m;
}

static bool free_uid(struct slice key, void *value, void *arg)
{
    (void)key;
    (void)arg;
    free(value);
    return true;
}

static void let_go(struct dav_mover *m)
{
    batches_abort(m);
    ask_clear(&m->ask);
    m->unit->held = false;
    timer_stop(&m->timer);
    task_stop(&m->task);
    if (m->wait.pending)
        store_wait_forget(m->env->store, &m->wait);
    for (size_t k = 0; k < m->n; k++) {
        struct dav_item *i = m->items[k];
        store_item_clear(&i->row);
        free(i->etag);
        free(i->tag);
        free(i->now_etag);
        free(i->now_tag);
        free(i);
    }
    free(m->items);
    hash_free(&m->by_name);
    hash_free(&m->by_new);
    hash_walk(m->foreign_uids, free_uid, NULL);
    hash_free(&m->foreign_uids);
    meta_clear(&m->meta_old);
    meta_clear(&m->meta_new);
    meta_clear(&m->listed_old);
    meta_clear(&m->listed_new);
    side_close(&m->old);
    side_close(&m->new);
}

void dav_mover_abort(struct dav_mover **mp)
{
    if (*mp == NULL)
        return;
    let_go(*mp);
    free(*mp);
    *mp = NULL;
}

void dav_mover_wake(struct dav_mover *m)
{
    task_wake(&m->task);
}

static void over(struct dav_mover *m, int result)
{
    struct unit *u = m->unit;
    struct err e = m->err;
    bool progressed = m->done > 0;
    let_go(m);
    u->pushed = false;
    if (result != 0) {
        unit_enter(u, UNIT_UNTOUCHED);
        unit_set_reason(u, e.text);
        struct store_batch *b = account_batch(m->account);
        store_put_unit(b, &u->rec);
        store_submit(&b, NULL);
    }
    free(m);
    unit_mover_done(u, result, progressed, &e);
}

/* ---- phases ---- */

/* Nothing that was found to be done is forgotten when old has not changed since. */
static void after_old(struct dav_mover *m)
{
    size_t todo = m->todo;
    if (todo > 0 && todo <= SMALL && m->listed_once && m->hold_ms == 0) {
        enter(m, DP_DRAIN); /* listed once more when those on their way have come */
    } else if (todo > 0 && m->listed_once) {
        m->sealed = false;
        enter(m, DP_WORK);
    } else {
        enter(m, DP_META_NEW);
    }
}

static void after_new(struct dav_mover *m, size_t again)
{
    bool first = !m->listed_once;
    m->listed_once = true;
    m->sealed = again == 0;
    if (first || again > 0)
        enter(m, DP_WORK);
    else
        enter(m, m->hold_ms == 0 ? DP_DRAIN : DP_SWITCH);
}

static int answered(struct dav_mover *m)
{
    size_t n;
    int r;
    bool old = m->phase == DP_META_OLD || m->phase == DP_LIST_OLD;
    if (m->phase != DP_OPTIONS && m->phase != DP_FOREIGN && !ask_ok(&m->ask))
        return ask_error(&m->ask, old ? &m->old : &m->new, "listing the collection", &m->err);
    switch (m->phase) {
    case DP_OPTIONS:
        if (m->ask.err.code != 0 || m->ask.status == 401)
            return ask_error(&m->ask, &m->new, "the first request", &m->err);
        m->quiet = quiet_of(&m->ask, m->new.host);
        enter(m, DP_META_OLD);
        return 0;
    case DP_META_OLD:
        if (m->listed_once && meta_same(&m->meta_old, &m->listed_old))
            after_old(m);
        else
            enter(m, DP_LIST_OLD);
        return 0;
    case DP_LIST_OLD:
        m->todo = list_plan(m);
        after_old(m);
        return 0;
    case DP_META_NEW:
        if (m->sealed && meta_same(&m->meta_new, &m->listed_new))
            after_new(m, 0);
        else
            enter(m, DP_LIST_NEW);
        return 0;
    case DP_LIST_NEW:
        r = list_check(m, &n);
        if (r != 0)
            return r;
        if (m->listed_once) {
            after_new(m, n);
            return 0;
        }
        list_foreign(m, &n);
        if (n > 0)
            m->phase = DP_FOREIGN;
        else
            after_new(m, 0);
        return 0;
    default: /* DP_FOREIGN; without its answer an item may be there twice, and is found by the host's own check */
        after_new(m, 0);
        return 0;
    }
}

static int working(struct dav_mover *m)
{
    bool idle;
    int r = batches_run(m, &idle);
    if (r != 0 || !idle)
        return r;
    m->todo = 0;
    enter(m, m->hold_ms == 0 && ++m->rounds >= ROUNDS ? DP_DRAIN : DP_META_OLD);
    return 0;
}

/* True: the phase has changed, and the next may be able to go on. */
static bool advance(struct dav_mover *m, int *r)
{
    enum dav_phase was = m->phase;
    if (m->phase < DP_WORK) {
        if (!ask_step(&m->ask))
            return false;
        *r = answered(m);
    } else if (m->phase == DP_WORK) {
        *r = working(m);
    } else if (m->phase == DP_DRAIN && m->unit->writes == 0) {
        enter(m, DP_META_OLD);
    } else if (m->phase == DP_SWITCH) {
        dav_switch_begin(m);
        m->phase = DP_OVER;
    }
    return *r == 0 && m->phase != was;
}

static void mover_step(struct task *t)
{
    struct dav_mover *m = container_of(t, struct dav_mover, task);
    int r = m->err.code;
    m->timer.fired = false;
    while (r == 0 && m->phase != DP_OVER && advance(m, &r))
        ;
    if (r == 0 && m->phase == DP_OVER && !m->wait.pending) {
        if (m->wait.result == 0) {
            dav_switch_done(m);
            over(m, 0);
            return;
        }
        r = dav_fail(m, m->wait.result, SCOPE_UNIT, "the store refused to record the switch");
    }
    if (r == 0 && m->hold_ms != 0 && m->phase < DP_SWITCH && worker_now_ms(m->env->worker) > m->hold_ms + HOLD_MAX_MS)
        r = dav_fail(m, E_TIMEOUT, SCOPE_UNIT, "the collection never came to rest");
    if (r != 0)
        over(m, r);
}
