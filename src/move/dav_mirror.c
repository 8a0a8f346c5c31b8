/*
 * The mirror of collections, at the first sign-in: what the person has on old is made on new, with its properties, and the pairs are
 * recorded. Safe to repeat: what is there under the same name is taken over, and nothing is recorded before all of it is there.
 * Properties are read back, since some hosts answer with success and drop them; what is not there is set again, one by one.
 */
#include "move/dav_priv.h"
#include <string.h>

enum dav_mirror_phase { DM_FIND, DM_MAKE, DM_READ_BACK, DM_SET, DM_COMMIT };
enum { NAME_TRIES = 20, SEGMENT_MAX = 200, REST_MS = 30 * 1000 };

/* A pair that is being made. */
struct pair {
    struct found *old;
    struct buf href, key; /* on new */
    bool exists;
};

struct dav_mirror {
    struct task task;
    struct account *account;
    enum dav_mirror_phase phase;
    struct dav_side old, new;
    struct find find_old, find_new;
    bool old_over, new_over;
    struct pair *pairs;
    size_t n, at;
    unsigned tries, prop;
    bool plain; /* made without properties: the host refused them */
    struct ask ask;
    struct found now; /* what the new collection has */
    bool told;
    struct store_wait wait;
    struct err err;
};

static void mirror_step(struct task *t);
static void next_pair(struct dav_mirror *m);

struct dav_mirror *dav_mirror_start(struct account *a)
{
    struct dav_mirror *m = mem_alloc(sizeof(*m));
    m->account = a;
    task_init(&m->task, a->all->env->worker, mirror_step);
    if (side_open(&m->old, a, true, &m->err) == 0 && side_open(&m->new, a, false, &m->err) == 0) {
        find_start(&m->find_old, &m->old, &m->task, buf_slice(&a->login));
        find_start(&m->find_new, &m->new, &m->task, buf_slice(&a->login));
    }
    task_wake(&m->task);
    return m;
}

static void now_clear(struct dav_mirror *m)
{
    for (int i = 0; i < CARRIED_PROPS; i++) {
        free(m->now.carried[i]);
        free(m->now.texts[i]);
    }
    m->now = (struct found){0};
}

void dav_mirror_abort(struct dav_mirror **mp)
{
    struct dav_mirror *m = *mp;
    if (m == NULL)
        return;
    *mp = NULL;
    task_stop(&m->task);
    if (m->wait.pending)
        store_wait_forget(m->account->all->env->store, &m->wait);
    ask_clear(&m->ask);
    find_free(&m->find_old);
    find_free(&m->find_new);
    now_clear(m);
    for (size_t i = 0; i < m->n; i++) {
        buf_free(&m->pairs[i].href);
        buf_free(&m->pairs[i].key);
    }
    free(m->pairs);
    side_close(&m->old);
    side_close(&m->new);
    free(m);
}

static struct log *log_of(const struct dav_mirror *m)
{
    return worker_log(m->account->all->env->worker);
}

static void over(struct dav_mirror *m, int result)
{
    struct account *a = m->account;
    a->dav_mirror_err = m->err;
    a->dav_mirror = NULL;
    if (result != 0) {
        rest_collections(a, REST_MS);
        log_event(log_of(m), LOG_WARN, "collections_failed", log_s("account", a->rec.name),
                  log_s("class", err_name(result)), log_e(&m->err));
    }
    dav_mirror_abort(&m);
    account_wake(a);
    dav_want(a);
    account_settle(a);
    sweep_enrol(a);
    task_wake(&a->all->task);
    account_release(a);
}

/* ---- names ---- */

/* The last part of a path, without its slash, as spelled. */
static struct slice last_segment(struct slice href)
{
    while (href.n > 0 && href.p[href.n - 1] == '/')
        href.n--;
    size_t i = href.n;
    while (i > 0 && href.p[i - 1] != '/')
        i--;
    return slice_make(href.p + i, href.n - i);
}

static const struct found *found_at(const struct find *f, struct slice key)
{
    for (size_t i = 0; i < f->n; i++)
        if (slice_is(key, f->v[i].path))
            return &f->v[i];
    return NULL;
}

static bool taken(const struct dav_mirror *m, struct slice key)
{
    for (size_t i = 0; i < m->n; i++)
        if (i != m->at && slice_eq(buf_slice(&m->pairs[i].key), key))
            return true;
    return collection_at_new(m->account, key) != NULL;
}

/* The name as old spells it, then a plainer one (some hosts take no escapes), then with numbers behind. */
static void put_name(struct slice name, unsigned tries, struct buf *out)
{
    struct buf plain = {0};
    for (size_t i = 0; i < name.n; i++) {
        uint8_t c = name.p[i];
        bool keep = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
        buf_putc(&plain, keep ? (char)c : '_');
        if (c == '%')
            i += 2;
    }
    bool differs = !slice_eq(buf_slice(&plain), name);
    buf_put_slice(out, tries == 0 ? name : buf_slice(&plain));
    if (tries > (differs ? 1U : 0U))
        buf_printf(out, "-%u", differs ? tries : tries + 1);
    buf_free(&plain);
}

/* Home on new and a name: with "-2" and so on behind where that is taken by something else. False: there is none left. */
static bool choose(struct dav_mirror *m)
{
    struct pair *p = &m->pairs[m->at];
    const struct buf *homes = p->old->kind == UNIT_CALENDAR ? &m->find_new.calendars : &m->find_new.books;
    struct slice home = line_of(buf_slice(homes), 0), name = last_segment(slice_str(p->old->href));
    if (home.n == 0 || name.n == 0 || name.n > SEGMENT_MAX)
        return false;
    for (; m->tries < NAME_TRIES; m->tries++) {
        buf_clear(&p->href);
        buf_clear(&p->key);
        buf_put_slice(&p->href, home);
        if (home.p[home.n - 1] != '/')
            buf_putc(&p->href, '/');
        put_name(name, m->tries, &p->href);
        buf_putc(&p->href, '/');
        if (path_key(buf_slice(&p->href), &p->key) != 0)
            return false;
        const struct found *there = found_at(&m->find_new, buf_slice(&p->key));
        p->exists = there != NULL;
        if (taken(m, buf_slice(&p->key)) || (there != NULL && there->kind != p->old->kind))
            continue;
        if (there != NULL) { /* in the host's own spelling */
            buf_clear(&p->href);
            buf_puts(&p->href, there->href);
        }
        return true;
    }
    return false;
}

/* ---- making and setting ---- */

static void put_set(const struct found *x, struct buf *out)
{
    for (int i = 0; i < CARRIED_PROPS; i++)
        if (x->carried[i] != NULL)
            buf_puts(out, x->carried[i]);
    if (x->kind != UNIT_CALENDAR || x->components[0] == '\0')
        return;
    buf_puts(out, "<C:supported-calendar-component-set>");
    for (struct slice rest = slice_str(x->components); rest.n > 0;) {
        const uint8_t *sp = memchr(rest.p, ' ', rest.n);
        size_t n = sp != NULL ? (size_t)(sp - rest.p) : rest.n;
        buf_puts(out, "<C:comp name=\"");
        xml_put_text(out, slice_make(rest.p, n));
        buf_puts(out, "\"/>");
        n += sp != NULL;
        rest = slice_make(rest.p + n, rest.n - n);
    }
    buf_puts(out, "</C:supported-calendar-component-set>");
}

static void ask_make(struct dav_mirror *m)
{
    struct pair *p = &m->pairs[m->at];
    bool calendar = p->old->kind == UNIT_CALENDAR;
    struct buf body = {0}, set = {0};
    if (!m->plain)
        put_set(p->old, &set);
    xml_put_head(&body);
    if (calendar)
        buf_puts(&body, "<C:mkcalendar xmlns:D=\"DAV:\" xmlns:C=\"" NS_CALDAV "\">");
    else
        buf_puts(&body, "<D:mkcol xmlns:D=\"DAV:\" xmlns:C=\"" NS_CARDDAV "\">");
    if (!calendar)
        buf_puts(&set, "<D:resourcetype><D:collection/><C:addressbook/></D:resourcetype>");
    if (set.len > 0) {
        buf_puts(&body, "<D:set><D:prop>");
        buf_put_slice(&body, buf_slice(&set));
        buf_puts(&body, "</D:prop></D:set>");
    }
    buf_puts(&body, calendar ? "</C:mkcalendar>\n" : "</D:mkcol>\n");
    ask_start(&m->ask, &m->new, &m->task,
              &(struct ask_open){.method = calendar ? "MKCALENDAR" : "MKCOL",
                                 .target = buf_slice(&p->href),
                                 .depth = -1,
                                 .type = set.len > 0 ? XML_TYPE : NULL, /* a body that sets nothing makes some hosts fall over */
                                 .body = buf_slice(&body)});
    buf_free(&body);
    buf_free(&set);
    m->phase = DM_MAKE;
}

static int on_back(struct dav_response *r, void *arg)
{
    struct dav_mirror *m = arg;
    const struct dav_prop *t = dav_prop_find(r, NS_DAV, "resourcetype");
    now_clear(m);
    m->told = true;
    m->now.kind = dav_prop_has(t, NS_CALDAV, "calendar")      ? UNIT_CALENDAR
                  : dav_prop_has(t, NS_CARDDAV, "addressbook") ? UNIT_ADDRESSBOOK
                                                               : UNIT_FOLDER;
    for (int i = 0; i < CARRIED_PROPS; i++) {
        const struct dav_prop *p = dav_prop_find(r, carried_props[i].ns, carried_props[i].name);
        if (p == NULL)
            continue;
        m->now.texts[i] = slice_dup(buf_slice(&p->text));
        m->now.carried[i] = slice_dup(buf_slice(&p->xml));
    }
    return 0;
}

static void ask_back(struct dav_mirror *m)
{
    struct dav_name names[CARRIED_PROPS + 1] = {{NS_DAV, "resourcetype"}};
    memcpy(names + 1, carried_props, sizeof(carried_props));
    m->told = false;
    ask_propfind(&m->ask, &m->new, &m->task, buf_slice(&m->pairs[m->at].href), 0, names, CARRIED_PROPS + 1, on_back, m);
    m->phase = DM_READ_BACK;
}

/* Text without blanks around it, and with line ends alike; a property without text counts by its elements. */
static bool prop_same(const struct found *a, const struct found *b, int i)
{
    if (b->carried[i] == NULL)
        return false;
    struct buf x = {0}, y = {0};
    const char *ta = a->texts[i], *tb = b->texts[i];
    if (ta[strspn(ta, " \r\n\t")] == '\0') { /* transparency and the like */
        bool same = (strstr(a->carried[i], "transparent") != NULL) == (strstr(b->carried[i], "transparent") != NULL);
        return same;
    }
    for (const char *p = ta; *p != '\0'; p++)
        if (*p > ' ' || *p < 0)
            buf_putc(&x, *p);
    for (const char *p = tb; *p != '\0'; p++)
        if (*p > ' ' || *p < 0)
            buf_putc(&y, *p);
    bool same = slice_eq(buf_slice(&x), buf_slice(&y));
    buf_free(&x);
    buf_free(&y);
    return same;
}

/* The next property that new does not have as old does; false: all is well, or was tried. */
static bool ask_set(struct dav_mirror *m)
{
    const struct found *old = m->pairs[m->at].old;
    while (m->prop < CARRIED_PROPS && (old->carried[m->prop] == NULL || prop_same(old, &m->now, (int)m->prop)))
        m->prop++;
    if (m->prop == CARRIED_PROPS)
        return false;
    struct buf body = {0};
    xml_put_head(&body);
    buf_puts(&body, "<D:propertyupdate xmlns:D=\"DAV:\"><D:set><D:prop>");
    buf_puts(&body, old->carried[m->prop]);
    buf_puts(&body, "</D:prop></D:set></D:propertyupdate>\n");
    ask_start(&m->ask, &m->new, &m->task,
              &(struct ask_open){.method = "PROPPATCH",
                                 .target = buf_slice(&m->pairs[m->at].href),
                                 .depth = -1,
                                 .type = XML_TYPE,
                                 .body = buf_slice(&body)});
    buf_free(&body);
    m->phase = DM_SET;
    return true;
}

/* ---- recording ---- */

static struct unit *record_unit(struct dav_mirror *m, const struct found *x, const struct pair *p)
{
    struct unit *u = dav_unit_new(m->account, x->kind, HOME_OLD, x->href, p != NULL ? buf_cstr((struct buf *)(uintptr_t)&p->href) : "",
                                  x->title, x->components);
    if (x->stays != NULL)
        unit_set_reason(u, x->stays);
    return u;
}

static void set_text(char **field, struct slice v)
{
    free(*field);
    *field = slice_dup(v);
}

static void commit(struct dav_mirror *m)
{
    struct account *a = m->account;
    struct store_batch *b = account_batch(a);
    size_t k = 0;
    set_text(&a->rec.old_principal, slice_str(m->find_old.principal));
    set_text(&a->rec.new_principal, slice_str(m->find_new.principal));
    set_text(&a->rec.old_calendars, buf_slice(&m->find_old.calendars));
    set_text(&a->rec.new_calendars, buf_slice(&m->find_new.calendars));
    set_text(&a->rec.old_books, buf_slice(&m->find_old.books));
    set_text(&a->rec.new_books, buf_slice(&m->find_new.books));
    for (size_t i = 0; i < m->find_old.n; i++) {
        struct found *x = &m->find_old.v[i];
        const struct pair *p = x->stays == NULL && k < m->n && m->pairs[k].old == x ? &m->pairs[k++] : NULL;
        if (collection_at(a, slice_str(x->path)) != NULL)
            continue;
        struct unit *u = record_unit(m, x, p);
        if (p != NULL && p->href.len == 0)
            unit_set_reason(u, "the new host has no place for it");
        store_put_unit(b, &u->rec);
        if (x->stays != NULL)
            log_event(log_of(m), LOG_INFO, "not_moved", log_s("account", a->rec.name), log_s("unit", x->path),
                      log_s("reason", x->stays));
    }
    struct store_account rec = a->rec; /* known only once it is on disk */
    rec.dav = DAV_KNOWN;
    rec.dav_seen = clock_real_us() / 1000000;
    if (rec.state == ACCOUNT_NEW && a->all->env->settings->old_imap.host == NULL)
        rec.state = ACCOUNT_KNOWN;
    store_put_account(b, &rec);
    m->wait.task = &m->task;
    m->phase = DM_COMMIT;
    store_submit(&b, &m->wait);
}

static void committed(struct dav_mirror *m)
{
    struct account *a = m->account;
    if (m->wait.result != 0) {
        err_set(&m->err, m->wait.result, SCOPE_ACCOUNT, "the store refused to record the collections");
        over(m, m->wait.result);
        return;
    }
    a->rec.dav = DAV_KNOWN;
    a->rec.dav_seen = clock_real_us() / 1000000;
    log_event(log_of(m), LOG_INFO, "collections_known", log_s("account", a->rec.name),
              log_n("collections", (int64_t)m->n), log_n("not_moved", (int64_t)(m->find_old.n - m->n)));
    if (a->rec.state == ACCOUNT_NEW && a->all->env->settings->old_imap.host == NULL)
        account_enter(a, ACCOUNT_KNOWN);
    account_settle(a);
    over(m, 0);
}

/* ---- the steps ---- */

static void next_pair(struct dav_mirror *m)
{
    for (; m->at < m->n; m->at++) {
        struct pair *p = &m->pairs[m->at];
        m->tries = m->prop = 0;
        m->plain = false;
        if (collection_at(m->account, slice_str(p->old->path)) != NULL)
            continue;
        if (!choose(m)) {
            buf_clear(&p->href);
            continue;
        }
        if (p->exists)
            ask_back(m);
        else
            ask_make(m);
        return;
    }
    commit(m);
}

static void plan(struct dav_mirror *m)
{
    m->pairs = mem_array(m->find_old.n, sizeof(*m->pairs));
    for (size_t i = 0; i < m->find_old.n; i++)
        if (m->find_old.v[i].stays == NULL)
            m->pairs[m->n++].old = &m->find_old.v[i];
    next_pair(m);
}

static int finding(struct dav_mirror *m)
{
    if (m->err.code != 0)
        return m->err.code;
    m->old_over = m->old_over || find_step(&m->find_old);
    m->new_over = m->new_over || find_step(&m->find_new);
    const struct find *bad = m->old_over && m->find_old.phase == FIND_FAILED   ? &m->find_old
                             : m->new_over && m->find_new.phase == FIND_FAILED ? &m->find_new
                                                                               : NULL;
    if (bad != NULL) {
        m->err = bad->err;
        return bad->err.code;
    }
    if (!m->old_over || !m->new_over)
        return 0;
    if (m->find_old.unknown)
        return err_set(&m->err, E_NOTFOUND, SCOPE_ACCOUNT, "%s has neither calendars nor contacts for the person", m->old.host->url);
    plan(m);
    return 0;
}

/* A name that is in use all the same, or properties that it does not take. */
static int made(struct dav_mirror *m)
{
    unsigned s = m->ask.status;
    bool trouble = s == 401 || s == 507 || (s >= 500 && m->plain);
    if (!(s / 100 == 2 && s != 207))
        log_event(log_of(m), LOG_DEBUG, "collection_refused", log_s("account", m->account->rec.name),
                  log_v("target", buf_slice(&m->pairs[m->at].href)), log_n("status", s), log_n("plain", m->plain),
                  log_v("answer", buf_slice(&m->ask.body)));
    if (m->ask.err.code != 0 || trouble)
        return ask_error(&m->ask, &m->new, "making a collection", &m->err);
    if (s / 100 == 2 && s != 207) {
        ask_back(m);
    } else if (!m->plain && s != 405) {
        m->plain = true;
        ask_make(m);
    } else {
        ask_back(m); /* it may be there */
    }
    return 0;
}

static int read_back(struct dav_mirror *m)
{
    struct pair *p = &m->pairs[m->at];
    if (m->ask.err.code != 0 || m->ask.status == 401 || m->ask.status >= 500)
        return ask_error(&m->ask, &m->new, "reading a collection back", &m->err);
    if (!m->told || m->now.kind != p->old->kind) {
        m->tries++;
        m->plain = false;
        if (!choose(m)) {
            buf_clear(&p->href);
            m->at++;
            next_pair(m);
        } else if (p->exists) {
            ask_back(m);
        } else {
            ask_make(m);
        }
        return 0;
    }
    if (ask_set(m))
        return 0;
    m->at++;
    next_pair(m);
    return 0;
}

static int set_one(struct dav_mirror *m)
{
    if (m->ask.err.code != 0)
        return ask_error(&m->ask, &m->new, "setting a property", &m->err);
    struct slice body = buf_slice(&m->ask.body);
    bool ok = m->ask.status == 200 || (m->ask.status == 207 && strstr(buf_cstr(&m->ask.body), " 200 ") != NULL);
    (void)body;
    if (!ok)
        log_event(log_of(m), LOG_INFO, "property_lost", log_s("account", m->account->rec.name),
                  log_s("unit", m->pairs[m->at].old->path), log_s("property", carried_props[m->prop].name),
                  log_n("status", m->ask.status));
    m->prop++;
    if (ask_set(m))
        return 0;
    m->at++;
    next_pair(m);
    return 0;
}

static void mirror_step(struct task *t)
{
    struct dav_mirror *m = container_of(t, struct dav_mirror, task);
    int r = 0;
    if (m->phase == DM_COMMIT) {
        if (!m->wait.pending)
            committed(m);
        return;
    }
    if (m->phase == DM_FIND) {
        r = finding(m);
    } else {
        while (r == 0 && m->phase != DM_COMMIT && ask_step(&m->ask))
            r = m->phase == DM_MAKE ? made(m) : m->phase == DM_READ_BACK ? read_back(m) : set_one(m);
    }
    if (r != 0)
        over(m, r);
}
