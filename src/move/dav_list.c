/*
 * Listings of a collection at both hosts, and what follows from them. An item is known by its name and its ETag alone here: what
 * has the ETag that was recorded with the copy needs nothing.
 */
#include "move/dav_mover.h"
#include <string.h>

enum { FOREIGN_MAX = 500, LOSSES_MAX = 2 };

void meta_clear(struct dav_meta *x)
{
    free(x->token);
    free(x->ctag);
    *x = (struct dav_meta){0};
}

void meta_keep(struct dav_meta *to, const struct dav_meta *from)
{
    set_string(&to->token, from->token);
    set_string(&to->ctag, from->ctag);
}

static bool same_text(const char *a, const char *b)
{
    return a != NULL && b != NULL && a[0] != '\0' && strcmp(a, b) == 0;
}

bool meta_same(const struct dav_meta *a, const struct dav_meta *b)
{
    return same_text(a->token, b->token) || same_text(a->ctag, b->ctag);
}

static int on_meta(struct dav_response *r, void *arg)
{
    struct dav_meta *x = arg;
    const struct dav_prop *token = dav_prop_find(r, NS_DAV, "sync-token"), *ctag = dav_prop_find(r, NS_CS, "getctag");
    meta_clear(x);
    x->token = token != NULL ? slice_dup(buf_slice(&token->text)) : NULL;
    x->ctag = ctag != NULL ? slice_dup(buf_slice(&ctag->text)) : NULL;
    return 0;
}

void list_meta(struct dav_mover *m, bool old)
{
    static const struct dav_name names[] = {{NS_DAV, "sync-token"}, {NS_CS, "getctag"}, {NS_DAV, "resourcetype"}};
    struct dav_meta *x = old ? &m->meta_old : &m->meta_new;
    meta_clear(x);
    ask_propfind(&m->ask, old ? &m->old : &m->new, &m->task, slice_str(old ? m->unit->rec.old_href : m->unit->rec.new_href), 0,
                 names, 3, on_meta, x);
}

/* The name of an item right in the collection, decoded, and as spelled; false: something else. */
static bool item_name(const struct dav_mover *m, bool old, const struct dav_response *r, struct buf *name, struct slice *spelled)
{
    const char *path = old ? m->unit->rec.old_name : m->unit->rec.new_name;
    const struct dav_prop *type = dav_prop_find(r, NS_DAV, "resourcetype");
    struct slice href = side_path(old ? &m->old : &m->new, buf_slice(&r->href));
    struct buf decoded = {0};
    size_t n = strlen(path);
    bool is = r->status / 100 != 4 && !dav_prop_has(type, NS_DAV, "collection") &&
              side_decode(old ? &m->old : &m->new, buf_slice(&r->href), &decoded) == 0 && decoded.len > n && memcmp(buf_slice(&decoded).p, path, n) == 0 &&
              memchr(buf_slice(&decoded).p + n, '/', decoded.len - n) == NULL;
    if (is) {
        size_t i = href.n;
        while (i > 0 && href.p[i - 1] != '/')
            i--;
        *spelled = slice_make(href.p + i, href.n - i);
        buf_put(name, buf_slice(&decoded).p + n, decoded.len - n);
    }
    buf_free(&decoded);
    return is;
}

static void put_text(char **field, const struct dav_prop *p)
{
    set_slice(field, p != NULL ? buf_slice(&p->text) : slice_str(""));
}

static int on_old(struct dav_response *r, void *arg)
{
    struct dav_mover *m = arg;
    struct buf name = {0};
    struct slice spelled;
    if (item_name(m, true, r, &name, &spelled)) {
        struct dav_item *i = dav_item_find(m, buf_slice(&name));
        const struct dav_prop *size = dav_prop_find(r, NS_DAV, "getcontentlength");
        if (i == NULL)
            i = dav_item_add(m, buf_cstr(&name));
        put_text(&i->etag, dav_prop_find(r, NS_DAV, "getetag"));
        put_text(&i->tag, dav_prop_find(r, NS_CALDAV, "schedule-tag"));
        if (size == NULL || slice_u64(buf_slice(&size->text), &i->size) != 0)
            i->size = 0;
        set_slice(&i->row.spelled, slice_eq(spelled, buf_slice(&name)) ? slice_str("") : spelled);
        struct buf path = {0};
        buf_putc(&path, '/');
        buf_put_slice(&path, spelled);
        http_spelling_learn(&m->spelling, buf_slice(&path));
        buf_free(&path);
    }
    buf_free(&name);
    return m->n > DAV_ITEMS_MAX ? E_LIMIT : 0;
}

static int on_new(struct dav_response *r, void *arg)
{
    struct dav_mover *m = arg;
    struct buf name = {0};
    struct slice spelled;
    if (item_name(m, false, r, &name, &spelled)) {
        struct dav_item *i = dav_item_find_new(m, buf_slice(&name));
        if (i == NULL) { /* only new has it, as far as we know; its name may be another item's in the view */
            char *own = slice_dup(buf_slice(&name));
            while (dav_item_find(m, slice_str(own)) != NULL) {
                char *longer = mem_printf("new-%s", own);
                free(own);
                own = longer;
            }
            i = dav_item_add(m, own);
            free(own);
            dav_item_rename(m, i, buf_cstr(&name));
            i->part = true;
        }
        put_text(&i->now_etag, dav_prop_find(r, NS_DAV, "getetag"));
        put_text(&i->now_tag, dav_prop_find(r, NS_CALDAV, "schedule-tag"));
    }
    buf_free(&name);
    return m->n > 2 * DAV_ITEMS_MAX ? E_LIMIT : 0;
}

void list_items(struct dav_mover *m, bool old)
{
    static const struct dav_name names[] = {{NS_DAV, "getetag"},
                                            {NS_DAV, "resourcetype"},
                                            {NS_DAV, "getcontentlength"},
                                            {NS_CALDAV, "schedule-tag"}};
    for (size_t k = 0; k < m->n; k++) {
        struct dav_item *i = m->items[k];
        set_string(old ? &i->etag : &i->now_etag, NULL);
        set_string(old ? &i->tag : &i->now_tag, NULL);
    }
    ask_propfind(&m->ask, old ? &m->old : &m->new, &m->task, slice_str(old ? m->unit->rec.old_href : m->unit->rec.new_href), 1,
                 names, m->card ? 3 : 4, old ? on_old : on_new, m);
}

/* ---- UIDs of what only new has ---- */

static int on_foreign(struct dav_response *r, void *arg)
{
    struct dav_mover *m = arg;
    struct buf name = {0};
    struct slice spelled;
    const struct dav_prop *data =
        m->card ? dav_prop_find(r, NS_CARDDAV, "address-data") : dav_prop_find(r, NS_CALDAV, "calendar-data");
    if (data != NULL && item_name(m, false, r, &name, &spelled)) {
        struct item_info info;
        item_inspect(buf_slice(&data->text), m->card, &info);
        if (info.uid[0] != '\0')
            free(hash_get(m->foreign_uids, slice_str(info.uid)));
        if (info.uid[0] != '\0')
            hash_put(m->foreign_uids, slice_str(info.uid), slice_dup(buf_slice(&name)));
        item_info_clear(&info);
    }
    buf_free(&name);
    return 0;
}

void list_foreign(struct dav_mover *m, size_t *n)
{
    struct slice *hrefs = mem_array(FOREIGN_MAX, sizeof(*hrefs));
    struct buf *targets = mem_array(FOREIGN_MAX, sizeof(*targets)), body = {0};
    *n = 0;
    for (size_t k = 0; k < m->n && *n < FOREIGN_MAX; k++) {
        struct dav_item *i = m->items[k];
        if (!i->part || i->now_etag == NULL || i->row.state != 0)
            continue;
        dav_target(m, false, i, &targets[*n]);
        hrefs[*n] = buf_slice(&targets[*n]);
        (*n)++;
    }
    if (*n > 0) {
        dav_put_multiget(&body, m->card, hrefs, *n);
        ask_start(&m->ask, &m->new, &m->task,
                  &(struct ask_open){.method = "REPORT",
                                     .target = slice_str(m->unit->rec.new_href),
                                     .depth = 1,
                                     .type = XML_TYPE,
                                     .body = buf_slice(&body),
                                     .cb = on_foreign,
                                     .arg = m,
                                     .response_bytes = DAV_ITEM_BYTES});
    }
    for (size_t k = 0; k < *n; k++)
        buf_free(&targets[k]);
    free(targets);
    free(hrefs);
    buf_free(&body);
}

/* ---- what follows ---- */

/* What many hosts mistake for the end of a path, in listings and reports: such a name is another one on new. */
static void spare_trouble(struct dav_mover *m, struct dav_item *i)
{
    if (i->row.state == 0 && i->row.new_name[0] == '\0' && strpbrk(i->row.name, "?#\\") != NULL)
        item_rename(m, i, 0);
}

static enum dav_todo todo_of(const struct dav_item *i)
{
    bool there = i->etag != NULL;
    switch (i->row.state) {
    case ITEM_STORED:
        if (!there)
            return TODO_DELETE;
        return i->etag[0] != '\0' && strcmp(i->etag, i->row.old_etag) == 0 ? TODO_NONE : TODO_UPDATE;
    case ITEM_LEFT:
        if (!there)
            return TODO_DELETE;
        return i->etag[0] != '\0' && strcmp(i->etag, i->row.old_etag) == 0 ? TODO_NONE : TODO_COPY;
    case ITEM_SENT:
    case ITEM_GONE:
        return there ? TODO_COPY : TODO_DELETE;
    default:
        return there ? TODO_COPY : TODO_NONE;
    }
}

size_t list_plan(struct dav_mover *m)
{
    struct store_unit *u = &m->unit->rec;
    size_t todo = 0;
    uint64_t listed = 0;
    for (size_t k = 0; k < m->n; k++) {
        struct dav_item *i = m->items[k];
        if (i->part && i->etag == NULL)
            continue;
        if (i->part) { /* old has one of that name after all */
            i->part = false;
            i->row.state = 0;
        }
        spare_trouble(m, i);
        i->todo = todo_of(i);
        todo += i->todo != TODO_NONE;
        listed += i->etag != NULL;
    }
    m->next = 0;
    uint64_t found = listed + u->vanished;
    if (found > u->found) {
        worker_counters(m->env->worker)->items_found += found - u->found;
        u->found = found;
    }
    m->unit->total = listed;
    return todo;
}

/* A copy that new does not list is made again; one that it shows another ETag for was changed there. */
int list_check(struct dav_mover *m, size_t *again)
{
    *again = 0;
    for (size_t k = 0; k < m->n; k++) {
        struct dav_item *i = m->items[k];
        if (i->row.state != ITEM_STORED || i->part)
            continue;
        if (i->now_etag != NULL) {
            bool same = strcmp(i->now_etag, i->row.new_etag) == 0;
            i->row.kept = i->row.kept && same && i->now_etag[0] != '\0';
            if (!same)
                set_string(&i->row.new_etag, i->now_etag);
            set_string(&i->row.new_tag, i->now_tag);
            continue;
        }
        if (++i->losses > LOSSES_MAX)
            return dav_fail(m, E_PROTO, SCOPE_UNIT, "the new host stores items and does not list them");
        i->row.state = ITEM_SENT;
        dav_item_count(m, i, COUNT_NONE);
        i->todo = TODO_COPY;
        (*again)++;
    }
    m->next = 0;
    return 0;
}
