/*
 * Collections as front sees them: found by path, hrefs and ETags of moved ones translated with what the copy recorded. See
 * move/dav.h. Rows are read one by one from the store's memory map: a listing of thousands costs as many look-ups and holds none.
 */
#include "move/dav_priv.h"
#include <string.h>

#define MARK "wherry:"

/* ---- names ---- */

void dav_names_add(struct account *a, struct unit *u)
{
    hash_put(a->by_path, slice_str(u->rec.view_name), u);
    if (u->rec.new_name[0] != '\0')
        hash_put(a->by_new_path, slice_str(u->rec.new_name), u);
}

void dav_names_del(struct account *a, struct unit *u)
{
    if (hash_get(a->by_path, slice_str(u->rec.view_name)) == u)
        hash_del(a->by_path, slice_str(u->rec.view_name));
    if (hash_get(a->by_new_path, slice_str(u->rec.new_name)) == u)
        hash_del(a->by_new_path, slice_str(u->rec.new_name));
}

struct unit *collection_at(struct account *a, struct slice key)
{
    return hash_get(a->by_path, key);
}

struct unit *collection_at_new(struct account *a, struct slice key)
{
    return hash_get(a->by_new_path, key);
}

struct unit *dav_unit_new(struct account *a, enum unit_kind kind, enum unit_home home, const char *old_href, const char *new_href,
                          const char *title, const char *components)
{
    struct buf view = {0}, new = {0};
    int r = path_key(slice_str(old_href), &view);
    if (new_href[0] != '\0' && r == 0)
        r = path_key(slice_str(new_href), &new);
    if (r != 0)
        abort(); /* both were decoded before */
    struct unit *u = unit_new(a, kind, home == HOME_OLD ? UNIT_UNTOUCHED : UNIT_MOVED, home,
                              home == HOME_OLD ? buf_slice(&view) : slice_str(""), buf_slice(&view), buf_slice(&new));
    u->rec.old_href = mem_strdup(old_href);
    u->rec.new_href = mem_strdup(new_href);
    u->rec.title = mem_strdup(title);
    u->rec.components = mem_strdup(components);
    u->rec.spelling = mem_strdup("");
    u->rec.old_token = mem_strdup("");
    u->rec.new_token = mem_strdup("");
    u->rec.old_ctag = mem_strdup("");
    u->rec.new_ctag = mem_strdup("");
    buf_free(&view);
    buf_free(&new);
    return u;
}

static struct unit *find(struct hash *h, struct slice path, struct slice *rest)
{
    struct buf key = {0};
    struct unit *u = NULL;
    size_t n = path.n;
    *rest = slice_make(NULL, 0);
    if (n > 0 && path.p[n - 1] != '/') { /* the collection without its slash */
        buf_put_slice(&key, path);
        buf_putc(&key, '/');
        u = hash_get(h, buf_slice(&key));
        buf_free(&key);
        if (u != NULL)
            return u;
    }
    while (n > 0 && u == NULL) {
        while (n > 0 && path.p[n - 1] != '/')
            n--;
        u = n > 0 ? hash_get(h, slice_make(path.p, n)) : NULL;
        if (u != NULL)
            *rest = slice_make(path.p + n, path.n - n);
        n -= n > 0;
    }
    return u;
}

struct unit *collection_find(struct account *a, struct slice path, struct slice *rest)
{
    return find(a->by_path, path, rest);
}

struct unit *collection_find_new(struct account *a, struct slice path, struct slice *rest)
{
    return find(a->by_new_path, path, rest);
}

void collections_walk(struct account *a, account_walk_cb *cb, void *arg)
{
    for (uint32_t i = 0; i < a->n_units; i++) {
        struct unit *u = a->units[i];
        if (u != NULL && unit_is_collection(u->rec.kind) && u->rec.state != UNIT_DELETED && !cb(u, arg))
            return;
    }
}

/* ---- accounts ---- */

const struct store_account *account_record(const struct account *a)
{
    return &a->rec;
}

static bool configured(const struct account *a)
{
    const struct settings *s = a->all->env->settings;
    return a->all->env->dav != NULL && s->old_dav.url != NULL && s->new_dav.url != NULL;
}

enum readiness collections_ready(struct account *a, struct err *e)
{
    struct err none;
    if (a->rec.dav == DAV_KNOWN)
        return STATE_READY;
    if (a->dav_mirror != NULL)
        return STATE_BUSY;
    if (a->dav_mirror_err.code == 0)
        err_set(&none, E_UNAVAIL, SCOPE_ACCOUNT, "the collections could not be read a moment ago");
    else
        none = a->dav_mirror_err;
    if (e != NULL)
        *e = none;
    return STATE_FAILED;
}

void dav_account_attached(struct account *a)
{
    if (!configured(a) || a->rec.dav == DAV_KNOWN || a->dav_mirror != NULL || collections_rest(a))
        return;
    err_clear(&a->dav_mirror_err);
    a->dav_mirror = dav_mirror_start(a);
}

bool dav_can(const struct account *a)
{
    const struct settings *s = a->all->env->settings;
    bool alone = s->old_dav.sign_in != DAV_SIGN_IN_SAME && s->new_dav.sign_in != DAV_SIGN_IN_SAME;
    return configured(a) && (alone || !list_empty(&a->users));
}

/* ---- touches and writes ---- */

enum readiness collection_touch(struct unit *u, struct account_user *user, struct err *e)
{
    if (u->rec.kind != UNIT_STAYS)
        return unit_touch(u, user, e);
    err_set(e, E_NOTSUP, SCOPE_UNIT, "%s", u->rec.reason);
    return STATE_FAILED;
}

bool collection_write_begin(struct unit *u)
{
    if (u->rec.home == HOME_OLD && u->held)
        return false;
    u->writes++;
    return true;
}

void collection_write_end(struct unit *u)
{
    if (u->writes > 0)
        u->writes--;
    if (u->writes == 0 && u->dav != NULL)
        dav_mover_wake(u->dav);
}

/* ---- hrefs ---- */

static int row_of(struct unit *u, struct slice name, struct store_item *i)
{
    return store_get_item(u->account->all->env->store, u->rec.account, u->rec.id, name, i);
}

static int row_of_new(struct unit *u, struct slice new_name, struct store_item *i)
{
    return store_get_item_new(u->account->all->env->store, u->rec.account, u->rec.id, new_name, i);
}

/* What of an href stands behind the collection's path, decoded and as spelled. E_INVAL: it is not in there. */
static int split(const char *path, struct slice href, struct buf *rest, struct buf *spelled)
{
    struct buf decoded = {0}, as_is = {0};
    size_t slashes = 0, n = strlen(path), i = 0;
    int r = http_path_decode(href, &decoded, &as_is);
    if (r == 0 && decoded.len + 1 == n && buf_slice(&decoded).p[decoded.len - 1] != '/')
        buf_putc(&decoded, '/');
    if (r == 0 && !slice_starts(buf_slice(&decoded), slice_make(path, n)))
        r = E_INVAL;
    for (const char *p = path; r == 0 && *p != '\0'; p++)
        slashes += *p == '/';
    if (r == 0) {
        struct slice s = buf_slice(&as_is);
        for (; i < s.n && slashes > 0; i++)
            slashes -= s.p[i] == '/';
        buf_put(rest, buf_slice(&decoded).p + n, decoded.len - n);
        buf_put(spelled, s.p + i, s.n - i);
    }
    buf_free(&decoded);
    buf_free(&as_is);
    return r;
}

static void put_collection(struct buf *out, const char *href, bool more)
{
    size_t n = strlen(href);
    buf_puts(out, href);
    if (more && n > 0 && href[n - 1] != '/')
        buf_putc(out, '/');
}

int collection_href_to_new(struct unit *u, struct slice href, struct buf *out)
{
    struct buf rest = {0}, spelled = {0};
    struct store_item i = {0};
    int r = split(u->rec.view_name, href, &rest, &spelled);
    if (r == 0) {
        put_collection(out, u->rec.new_href, rest.len > 0);
        if (rest.len > 0 && row_of(u, buf_slice(&rest), &i) == 0 && i.new_name[0] != '\0') {
            struct http_spelling plain = {0};
            http_spelling_put(&plain, slice_str(i.new_name), out);
        } else {
            buf_put_slice(out, buf_slice(&spelled));
        }
    }
    store_item_clear(&i);
    buf_free(&rest);
    buf_free(&spelled);
    return r;
}

/* In the way in which old spells names, as far as that was learned. */
static void put_as_old(const struct unit *u, struct slice name, struct slice spelled, struct buf *out)
{
    struct http_spelling s = {0};
    if (u->rec.spelling[0] == '\0') {
        buf_put_slice(out, spelled);
        return;
    }
    http_spelling_read(&s, slice_str(u->rec.spelling));
    http_spelling_put(&s, name, out);
}

int collection_href_to_view(struct unit *u, struct slice href, struct buf *out)
{
    struct buf rest = {0}, spelled = {0};
    struct store_item i = {0};
    int r = split(u->rec.new_name, href, &rest, &spelled);
    if (r == 0) {
        put_collection(out, u->rec.old_href, rest.len > 0);
        bool row = rest.len > 0 && row_of_new(u, buf_slice(&rest), &i) == 0;
        if (row && i.spelled[0] != '\0')
            buf_puts(out, i.spelled);
        else if (rest.len > 0)
            put_as_old(u, row ? slice_str(i.name) : buf_slice(&rest), buf_slice(&spelled), out);
    }
    store_item_clear(&i);
    buf_free(&rest);
    buf_free(&spelled);
    return r;
}

/* ---- ETags ---- */

static bool is_weak(struct slice tag)
{
    return tag.n >= 2 && tag.p[0] == 'W' && tag.p[1] == '/';
}

/* The tag with the mark within its quotes. */
static void put_marked(struct slice tag, struct buf *out)
{
    size_t at = is_weak(tag) ? 2 : 0;
    buf_put(out, tag.p, at);
    if (at < tag.n && tag.p[at] == '"')
        at++;
    buf_puts(out, "\"" MARK);
    buf_put(out, tag.p + at, tag.n - at);
    if (tag.n == 0 || tag.p[tag.n - 1] != '"' || at == tag.n)
        buf_putc(out, '"');
}

int collection_etag_to_view(struct unit *u, struct slice rest, struct slice etag, bool schedule, struct buf *out)
{
    struct store_item i = {0};
    int r = rest.n > 0 ? row_of(u, rest, &i) : E_NOTFOUND;
    const char *was = r == 0 && schedule ? i.old_tag : i.old_etag, *is = r == 0 && schedule ? i.new_tag : i.new_etag;
    if (r == 0 && i.state == ITEM_STORED && i.kept && was[0] != '\0' && !is_weak(etag) && slice_is(etag, is))
        buf_puts(out, was);
    else
        put_marked(etag, out);
    store_item_clear(&i);
    return r == E_NOTFOUND ? 0 : r;
}

int collection_etag_to_new(struct unit *u, struct slice rest, struct slice etag, bool schedule, struct buf *out)
{
    static const char never[] = "\"" MARK "never\"";
    struct store_item i = {0};
    size_t at = is_weak(etag) ? 2 : 0;
    struct slice inner = slice_make(etag.p + at, etag.n - at);
    if (slice_starts(inner, SLICE_LIT("\"" MARK))) {
        size_t skip = sizeof("\"" MARK) - 1;
        buf_put(out, etag.p, at);
        buf_putc(out, '"');
        buf_put(out, inner.p + skip, inner.n - skip);
        return 0;
    }
    int r = rest.n > 0 ? row_of(u, rest, &i) : E_NOTFOUND;
    const char *was = r == 0 && schedule ? i.old_tag : i.old_etag, *is = r == 0 && schedule ? i.new_tag : i.new_etag;
    if (r == 0 && i.state == ITEM_STORED && i.kept && was[0] != '\0' && slice_is(etag, was))
        buf_puts(out, is);
    else
        buf_puts(out, never);
    store_item_clear(&i);
    return r == E_NOTFOUND ? 0 : r;
}

/* ---- rows ---- */

struct walk {
    collection_item_cb *cb;
    void *arg;
    bool differs;
    int err;
};

static bool walk_one(struct slice key, struct slice value, void *arg)
{
    struct walk *w = arg;
    struct store_item i;
    (void)key;
    w->err = store_item_decode(&i, value);
    if (w->err != 0)
        return false;
    bool told = i.state == ITEM_FOREIGN || i.state == ITEM_LEFT || (i.state == ITEM_STORED && !i.kept);
    bool more = w->differs && !told ? true : w->cb(&i, w->arg);
    store_item_clear(&i);
    return more;
}

static int walk(struct unit *u, bool differs, collection_item_cb *cb, void *arg)
{
    struct buf key = {0};
    struct walk w = {.cb = cb, .arg = arg, .differs = differs};
    store_key_item(&key, u->rec.account, u->rec.id, slice_make(NULL, 0));
    int r = store_walk(u->account->all->env->store, STORE_ITEMS, buf_slice(&key), walk_one, &w);
    buf_free(&key);
    return r != 0 ? r : w.err;
}

int collection_differs_walk(struct unit *u, collection_item_cb *cb, void *arg)
{
    return walk(u, true, cb, arg);
}

int collection_items_walk(struct unit *u, collection_item_cb *cb, void *arg)
{
    return walk(u, false, cb, arg);
}

/* ---- structure ---- */

static bool in_home(const char *homes, struct slice path)
{
    for (unsigned i = 0;; i++) {
        struct slice home = line_of(slice_str(homes), i);
        struct buf key = {0};
        if (home.n == 0)
            return false;
        bool in = path_key(home, &key) == 0 && slice_starts(path, buf_slice(&key));
        buf_free(&key);
        if (in)
            return true;
    }
}

int collection_choose_new(struct account *a, enum unit_kind kind, struct slice path, struct buf *out)
{
    bool calendar = kind == UNIT_CALENDAR;
    struct slice home = line_of(slice_str(calendar ? a->rec.new_calendars : a->rec.new_books), 0), name = path, rest;
    struct http_spelling plain = {0};
    struct buf key = {0};
    if (!in_home(calendar ? a->rec.old_calendars : a->rec.old_books, path) || home.n == 0 || collection_find(a, path, &rest) != NULL)
        return E_INVAL;
    while (name.n > 0 && name.p[name.n - 1] == '/')
        name.n--;
    size_t from = name.n;
    while (from > 0 && name.p[from - 1] != '/')
        from--;
    name = slice_make(name.p + from, name.n - from);
    for (unsigned i = 1; i < 20 && name.n > 0; i++) {
        size_t before = out->len;
        buf_put_slice(out, home);
        if (home.p[home.n - 1] != '/')
            buf_putc(out, '/');
        http_spelling_put(&plain, name, out);
        if (i > 1)
            buf_printf(out, "-%u", i);
        buf_putc(out, '/');
        buf_clear(&key);
        struct slice made = buf_slice(out);
        int r = path_key(slice_make(made.p + before, made.n - before), &key);
        bool free_one = r == 0 && collection_at_new(a, buf_slice(&key)) == NULL;
        buf_free(&key);
        if (free_one)
            return 0;
        buf_truncate(out, before);
    }
    return E_INVAL;
}

void collection_created(struct account *a, enum unit_kind kind, struct slice view_href, struct slice new_href,
                        struct store_wait *wait)
{
    char *view = slice_dup(view_href), *new = slice_dup(new_href);
    struct store_batch *b = account_batch(a);
    struct unit *u = dav_unit_new(a, kind, HOME_NEW, view, new, "", "");
    store_put_unit(b, &u->rec);
    store_put_account(b, &a->rec);
    store_submit(&b, wait);
    free(view);
    free(new);
}

void collection_deleted(struct account *a, struct unit *u, struct store_wait *wait)
{
    struct store_batch *b = account_batch(a);
    struct buf key = {0};
    unit_stop(u);
    unit_enter(u, UNIT_DELETED);
    dav_names_del(a, u);
    store_key_unit(&key, u->rec.account, u->rec.id);
    store_del_prefix(b, STORE_ITEMS, buf_slice(&key));
    store_put_unit(b, &u->rec);
    store_submit(&b, wait);
    buf_free(&key);
    account_settle(a);
}
