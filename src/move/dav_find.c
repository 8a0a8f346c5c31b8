/*
 * Discovery at one host (RFC 6764, 4791 6.2, 6352 7.1): the principal, its homes, and the collections in them. Templates of the
 * configuration take the place of what the host does not tell. The same for both hosts, so that names can be compared.
 */
#include "move/dav_priv.h"
#include <string.h>

enum { REDIRECTS_MAX = 5, HOMES_MAX = 8 };

const struct dav_name carried_props[CARRIED_PROPS] = {
    {NS_DAV, "displayname"},
    {NS_CALDAV, "calendar-description"},
    {NS_CARDDAV, "addressbook-description"},
    {NS_APPLE, "calendar-color"},
    {NS_APPLE, "calendar-order"},
    {NS_CALDAV, "calendar-timezone"},
    {NS_CALDAV, "schedule-calendar-transp"},
    {"http://inf-it.com/ns/ab/", "addressbook-color"},
};

struct slice line_of(struct slice list, unsigned i)
{
    for (;;) {
        const uint8_t *nl = list.n > 0 ? memchr(list.p, '\n', list.n) : NULL;
        size_t n = nl != NULL ? (size_t)(nl - list.p) : list.n;
        if (i == 0)
            return slice_make(list.p, n);
        if (nl == NULL)
            return slice_make(NULL, 0);
        i--;
        list = slice_make(nl + 1, list.n - n - 1);
    }
}

int path_key(struct slice href, struct buf *out)
{
    int r = http_path_decode(href, out, NULL);
    if (r != 0)
        buf_clear(out);
    else if (out->len == 0 || buf_slice(out).p[out->len - 1] != '/')
        buf_putc(out, '/');
    return r;
}

static void found_clear(struct found *x)
{
    free(x->href);
    free(x->path);
    free(x->stays);
    free(x->components);
    free(x->title);
    for (int i = 0; i < CARRIED_PROPS; i++) {
        free(x->carried[i]);
        free(x->texts[i]);
    }
}

void find_free(struct find *f)
{
    ask_clear(&f->ask);
    buf_free(&f->target);
    buf_free(&f->calendars);
    buf_free(&f->books);
    free(f->principal);
    for (size_t i = 0; i < f->n; i++)
        found_clear(&f->v[i]);
    free(f->v);
    *f = (struct find){0};
}

static void enter(struct find *f, enum find_phase phase);

static void fail(struct find *f, const char *what)
{
    ask_error(&f->ask, f->side, what, &f->err);
    f->phase = FIND_FAILED;
}

static void set_target(struct find *f, struct slice t)
{
    struct buf copy = {0};
    buf_put_slice(&copy, t);
    buf_clear(&f->target);
    buf_put_slice(&f->target, buf_slice(&copy));
    buf_free(&copy);
}

/* ---- the answers ---- */

static int on_root(struct dav_response *r, void *arg)
{
    struct find *f = arg;
    const struct dav_prop *p = dav_prop_find(r, NS_DAV, "current-user-principal");
    if (p == NULL || p->href.len == 0 || f->principal != NULL)
        return 0;
    struct slice path = side_path(f->side, buf_slice(&p->href));
    if (path.n > 0)
        f->principal = slice_dup(path);
    return 0;
}

static void add_homes(struct find *f, const struct dav_prop *p, struct buf *list)
{
    if (p == NULL || list->len > 0)
        return;
    for (unsigned i = 0; i < HOMES_MAX; i++) {
        struct slice path = side_path(f->side, line_of(buf_slice(&p->hrefs), i));
        if (path.n == 0)
            continue;
        buf_puts(list, list->len > 0 ? "\n" : "");
        buf_put_slice(list, path);
    }
}

static int on_principal(struct dav_response *r, void *arg)
{
    struct find *f = arg;
    add_homes(f, dav_prop_find(r, NS_CALDAV, "calendar-home-set"), &f->calendars);
    add_homes(f, dav_prop_find(r, NS_CARDDAV, "addressbook-home-set"), &f->books);
    return 0;
}

/* "VEVENT VTODO" */
static char *components_of(const struct dav_prop *p)
{
    static const char comp[] = NS_CALDAV " comp ";
    struct buf out = {0};
    for (size_t i = 0; p != NULL && i < p->n_names && out.len < 200; i++) {
        if (!slice_starts(slice_str(p->names[i]), slice_str(comp)))
            continue;
        buf_puts(&out, out.len > 0 ? " " : "");
        buf_puts(&out, p->names[i] + sizeof(comp) - 1);
    }
    char *s = mem_strdup(buf_cstr(&out));
    buf_free(&out);
    return s;
}

/* Why a resource of a home does not move; NULL: it does, or is no collection of interest (kind UNIT_FOLDER). */
static const char *judge(struct find *f, const struct dav_response *r, enum unit_kind *kind)
{
    const struct dav_prop *t = dav_prop_find(r, NS_DAV, "resourcetype");
    const struct dav_prop *owner = dav_prop_find(r, NS_DAV, "owner");
    bool calendar = dav_prop_has(t, NS_CALDAV, "calendar"), book = dav_prop_has(t, NS_CARDDAV, "addressbook");
    *kind = calendar ? UNIT_CALENDAR : book ? UNIT_ADDRESSBOOK : UNIT_FOLDER;
    if (dav_prop_has(t, NS_CALDAV, "schedule-inbox"))
        return "it is the scheduling inbox";
    if (dav_prop_has(t, NS_CALDAV, "schedule-outbox"))
        return "it is the scheduling outbox";
    if (dav_prop_has(t, NS_CS, "subscribed"))
        return "it is a subscription to somebody else's calendar";
    if (dav_prop_has(t, NS_CS, "notification"))
        return "it holds notifications";
    if (dav_prop_has(t, NS_CS, "dropbox-home") || dav_prop_has(t, NS_DAV, "managed-attachments-collection"))
        return "it holds attachments";
    if (!calendar && !book)
        return NULL;
    if (dav_prop_has(t, NS_CS, "shared"))
        return "somebody else shares it";
    if (owner != NULL && owner->href.len > 0 && f->principal != NULL) {
        struct buf a = {0}, b = {0};
        struct slice path = side_path(f->side, buf_slice(&owner->href));
        bool other = path_key(path, &a) == 0 && path_key(slice_str(f->principal), &b) == 0 &&
                     !slice_eq(buf_slice(&a), buf_slice(&b));
        buf_free(&a);
        buf_free(&b);
        if (other)
            return "it belongs to somebody else";
    }
    return NULL;
}

static bool known_already(const struct find *f, struct slice path)
{
    for (size_t i = 0; i < f->n; i++)
        if (slice_is(path, f->v[i].path))
            return true;
    return false;
}

static bool is_home(const struct find *f, struct slice path)
{
    const struct buf *lists[] = {&f->calendars, &f->books};
    bool is = false;
    for (int k = 0; k < 2; k++)
        for (unsigned i = 0; i < HOMES_MAX && !is; i++) {
            struct buf key = {0};
            struct slice home = line_of(buf_slice(lists[k]), i);
            is = home.n > 0 && path_key(home, &key) == 0 && slice_eq(buf_slice(&key), path);
            buf_free(&key);
        }
    return is;
}

static int on_home(struct dav_response *r, void *arg)
{
    struct find *f = arg;
    struct buf key = {0};
    enum unit_kind kind;
    struct slice href = side_path(f->side, buf_slice(&r->href));
    const char *stays = judge(f, r, &kind);
    bool skip = href.n == 0 || path_key(href, &key) != 0 || known_already(f, buf_slice(&key)) ||
                (kind == UNIT_FOLDER && stays == NULL) || (kind == UNIT_FOLDER && is_home(f, buf_slice(&key)));
    if (skip || f->n == DAV_COLLECTIONS_MAX) {
        buf_free(&key);
        return skip ? 0 : E_LIMIT;
    }
    f->v = mem_grow(f->v, f->n + 1, sizeof(*f->v));
    struct found *x = &f->v[f->n++];
    *x = (struct found){.href = slice_dup(href), .path = slice_dup(buf_slice(&key)), .kind = stays != NULL ? UNIT_STAYS : kind};
    x->stays = mem_strdup(stays);
    x->components = components_of(dav_prop_find(r, NS_CALDAV, "supported-calendar-component-set"));
    for (int i = 0; i < CARRIED_PROPS; i++) {
        const struct dav_prop *p = dav_prop_find(r, carried_props[i].ns, carried_props[i].name);
        if (p == NULL || (p->text.len == 0 && p->n_names == 0))
            continue;
        x->carried[i] = slice_dup(buf_slice(&p->xml));
        x->texts[i] = slice_dup(buf_slice(&p->text));
    }
    x->title = mem_strdup(x->texts[0] != NULL ? x->texts[0] : "");
    buf_free(&key);
    return 0;
}

/* ---- the requests ---- */

static void ask_for(struct find *f)
{
    static const struct dav_name root[] = {{NS_DAV, "current-user-principal"}};
    static const struct dav_name principal[] = {{NS_CALDAV, "calendar-home-set"}, {NS_CARDDAV, "addressbook-home-set"}};
    static const struct dav_name home[] = {{NS_DAV, "resourcetype"},
                                           {NS_DAV, "owner"},
                                           {NS_CALDAV, "supported-calendar-component-set"},
                                           {NS_DAV, "displayname"},
                                           {NS_CALDAV, "calendar-description"},
                                           {NS_CARDDAV, "addressbook-description"},
                                           {NS_APPLE, "calendar-color"},
                                           {NS_APPLE, "calendar-order"},
                                           {NS_CALDAV, "calendar-timezone"},
                                           {NS_CALDAV, "schedule-calendar-transp"},
                                           {"http://inf-it.com/ns/ab/", "addressbook-color"}};
    struct slice target = buf_slice(&f->target);
    switch (f->phase) {
    case FIND_ROOT:
    case FIND_WELL_KNOWN:
        ask_propfind(&f->ask, f->side, f->task, target, 0, root, 1, on_root, f);
        break;
    case FIND_PRINCIPAL:
        ask_propfind(&f->ask, f->side, f->task, target, 0, principal, 2, on_principal, f);
        break;
    default:
        ask_propfind(&f->ask, f->side, f->task, target, 1, home, sizeof(home) / sizeof(home[0]), on_home, f);
        break;
    }
}

/* The home to list next, calendars first; each once. */
static struct slice next_home(struct find *f)
{
    for (; f->home < 2 * HOMES_MAX; f->home++) {
        const struct buf *list = f->home < HOMES_MAX ? &f->calendars : &f->books;
        struct slice home = line_of(buf_slice(list), f->home % HOMES_MAX);
        bool again = false;
        for (unsigned i = 0; i < HOMES_MAX && f->home >= HOMES_MAX; i++)
            again = again || slice_eq(home, line_of(buf_slice(&f->calendars), i));
        if (home.n > 0 && !again) {
            f->home++;
            return home;
        }
    }
    return slice_make(NULL, 0);
}

static void enter(struct find *f, enum find_phase phase)
{
    f->phase = phase;
    f->redirects = 0;
    if (phase == FIND_ROOT) {
        set_target(f, buf_slice(&f->side->base));
    } else if (phase == FIND_WELL_KNOWN) {
        set_target(f, SLICE_LIT("/.well-known/caldav"));
    } else if (phase == FIND_PRINCIPAL) {
        if (f->calendars.len > 0 && f->books.len > 0) {
            enter(f, FIND_HOMES);
            return;
        }
        set_target(f, slice_str(f->principal));
    } else if (phase == FIND_HOMES) {
        struct slice home = next_home(f);
        if (home.n == 0) {
            f->unknown = f->calendars.len == 0 && f->books.len == 0;
            f->phase = FIND_DONE;
            return;
        }
        set_target(f, home);
    }
    ask_for(f);
}

static char *expand(const struct find *f, const char *tmpl, struct slice login)
{
    struct buf name = {0}, path = {0};
    char *s = NULL;
    if (tmpl != NULL && auth_expand(tmpl, login, f->side->all->env->settings->default_domain, &name) == 0) {
        /* '@' is plain to some and escaped by others; hosts take both. */
        struct http_spelling at = {.plain = {0, 1}};
        http_spelling_put(&at, buf_slice(&name), &path);
        s = mem_strdup(buf_cstr(&path));
    }
    buf_free(&name);
    buf_free(&path);
    return s;
}

void find_start(struct find *f, struct dav_side *side, struct task *task, struct slice login)
{
    *f = (struct find){.side = side, .task = task};
    char *calendars = expand(f, side->host->calendars, login), *books = expand(f, side->host->addressbooks, login);
    f->principal = expand(f, side->host->principal, login);
    if (calendars != NULL)
        buf_puts(&f->calendars, calendars);
    if (books != NULL)
        buf_puts(&f->books, books);
    free(calendars);
    free(books);
    if (f->principal != NULL)
        enter(f, FIND_PRINCIPAL);
    else
        enter(f, f->calendars.len > 0 && f->books.len > 0 ? FIND_HOMES : FIND_ROOT);
}

/* A redirect within the host is followed, by us, so that no credentials go elsewhere. */
static bool redirected(struct find *f)
{
    unsigned s = f->ask.status;
    if (f->ask.err.code != 0 || (s != 301 && s != 302 && s != 303 && s != 307 && s != 308) || f->redirects == REDIRECTS_MAX)
        return false;
    struct slice to = side_path(f->side, davr_field(f->ask.r, "location"));
    if (to.n == 0)
        return false;
    f->redirects++;
    set_target(f, to);
    ask_for(f);
    return true;
}

static void after_root(struct find *f)
{
    if (f->principal != NULL) {
        enter(f, FIND_PRINCIPAL);
    } else if (f->phase == FIND_ROOT && f->ask.err.code == 0 && f->ask.status != 401) {
        enter(f, FIND_WELL_KNOWN);
    } else if (ask_ok(&f->ask)) {
        err_set(&f->err, E_AUTH, SCOPE_ACCOUNT, "%s tells no principal", f->side->host->url);
        f->phase = FIND_FAILED;
    } else {
        fail(f, "discovery");
    }
}

bool find_step(struct find *f)
{
    while (f->phase < FIND_DONE && ask_step(&f->ask)) {
        if (redirected(f))
            continue;
        if (f->phase <= FIND_WELL_KNOWN) {
            after_root(f);
        } else if (!ask_ok(&f->ask) && !(f->phase == FIND_HOMES && f->ask.status == 404)) {
            fail(f, f->phase == FIND_PRINCIPAL ? "reading the principal" : "listing a home");
        } else {
            enter(f, FIND_HOMES);
        }
    }
    return f->phase >= FIND_DONE;
}
