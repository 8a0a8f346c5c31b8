/*
 * Where a request goes: the collection that its path is in, that collection's home, and what has to happen before (DESIGN section 7).
 *
 * A request is looked at again after each wait, so that what it meets is as things are then: its home may have changed meanwhile.
 */
#include "config.h"
#include "front/dav.h"
#include "wherry/base/clock.h"
#include "wherry/http/head.h"
#include <string.h>

static bool is_write(enum http_method m)
{
    return m == METHOD_PUT || m == METHOD_PATCH || m == METHOD_POST || m == METHOD_DELETE || m == METHOD_PROPPATCH ||
           m == METHOD_MKCOL || m == METHOD_MKCALENDAR || m == METHOD_MOVE || m == METHOD_COPY || m == METHOD_ACL ||
           m == METHOD_LOCK || m == METHOD_UNLOCK;
}

/* Methods whose body is XML that may have to be told in other terms. */
static bool has_xml(enum http_method m)
{
    return m == METHOD_PROPFIND || m == METHOD_PROPPATCH || m == METHOD_REPORT || m == METHOD_MKCOL ||
           m == METHOD_MKCALENDAR || m == METHOD_ACL || m == METHOD_SEARCH || m == METHOD_LOCK;
}

/* PROPFIND without Depth means infinity (RFC 4918 9.1). */
static bool is_flat(const struct dav_session *d)
{
    return slice_is(http_field(d->q, "Depth"), "0");
}

/* ---- the account's collections ---- */

bool davs_state_ready(struct dav_session *d)
{
    struct err e = {0};
    enum readiness r = collections_ready(d->account, &e);
    /* Those who only look are not held up: until the collections are known all of it is on old. */
    bool waits = d->q->method != METHOD_PROPFIND && d->q->method != METHOD_OPTIONS;
    uint64_t now = davs_now(d);
    if (r == STATE_BUSY && waits && now < d->deadline_ms) {
        timer_start(&d->beat, d->deadline_ms - now);
        return false;
    }
    timer_stop(&d->beat);
    d->ready = r == STATE_READY;
    d->located = d->touched = false;
    davs_route(d);
    return true;
}

/* ---- what and where ---- */

static void find(struct dav_session *d, struct slice path, struct dav_place *p)
{
    *p = (struct dav_place){0};
    if (d->ready)
        p->unit = collection_find(d->account, path, &p->rest);
    if (p->unit == NULL)
        p->rest = slice_str("");
}

struct below {
    struct slice path;
    bool any, moved; /* a collection is in it; and one right in it has moved */
};

static bool look_below(struct unit *u, void *arg)
{
    struct below *b = arg;
    const struct store_unit *r = unit_record(u);
    struct slice name = slice_str(r->view_name);
    size_t n = b->path.n > 0 && b->path.p[b->path.n - 1] == '/' ? b->path.n : b->path.n + 1;
    if (name.n <= n || !slice_starts(name, b->path) || name.p[n - 1] != '/')
        return true;
    b->any = true;
    const uint8_t *slash = memchr(name.p + n, '/', name.n - n);
    b->moved = b->moved || (r->home == HOME_NEW && slash == name.p + name.n - 1);
    return !b->moved;
}

static struct below below(struct dav_session *d)
{
    struct below b = {.path = buf_slice(&d->target.path)};
    if (d->ready)
        collections_walk(d->account, look_below, &b);
    return b;
}

/* False: answered. */
static bool find_destination(struct dav_session *d)
{
    struct slice host = http_field(d->q, "Host"), path;
    if (http_field_count(d->q, "Destination") != 1 ||
        http_uri_path(http_field(d->q, "Destination"), slice_str(""), &path) != 0) {
        davs_say(d, 400, "COPY and MOVE need one Destination");
        return false;
    }
    if (http_uri_path(http_field(d->q, "Destination"), host, &path) != 0) {
        davs_say(d, 403, "The destination is on another server");
        return false;
    }
    if (http_path_decode(path, &d->destination.path, &d->destination.spelled) != 0) {
        davs_say(d, 400, "The destination is no path of this server");
        return false;
    }
    find(d, buf_slice(&d->destination.path), &d->to);
    return true;
}

/* False: answered. */
static bool locate(struct dav_session *d)
{
    enum http_method m = d->q->method;
    bool here; /* the collection itself */
    find(d, buf_slice(&d->target.path), &d->from);
    here = d->from.unit != NULL && d->from.rest.n == 0;
    d->plan = PLAN_FORWARD;
    d->located = true;
    if (m == METHOD_COPY || m == METHOD_MOVE) {
        d->plan = PLAN_COPY;
        return find_destination(d);
    }
    if (d->from.unit == NULL && m == METHOD_PROPFIND && !is_flat(d) && below(d).moved)
        d->plan = PLAN_LISTING;
    else if (d->from.unit == NULL && (m == METHOD_MKCALENDAR || m == METHOD_MKCOL) && d->ready)
        d->plan = PLAN_MAKE;
    else if (here && m == METHOD_DELETE)
        d->plan = PLAN_REMOVE;
    if (d->from.unit == NULL && m == METHOD_DELETE && below(d).any)
        davs_say(d, 403, "There are collections in it");
    else if (d->from.unit == NULL && d->plan == PLAN_FORWARD && d->ready && m != METHOD_OPTIONS &&
             davs_in_home(d, buf_slice(&d->target.path)))
        davs_say(d, 404, "There is nothing of this name");
    else
        return true;
    return false;
}

/* ---- touching ---- */

static bool touches(const struct dav_session *d)
{
    enum http_method m = d->q->method;
    return m == METHOD_PROPFIND ? !is_flat(d) : m != METHOD_OPTIONS;
}

static bool moves(const struct dav_place *p)
{
    return p->unit != NULL && unit_record(p->unit)->kind != UNIT_STAYS && unit_record(p->unit)->home == HOME_OLD;
}

/* How long a request may still wait for a copy that began then; one that takes longer is not waited for by each. */
static uint64_t patience(const struct dav_session *d, const struct unit *u)
{
    int64_t wait = davs_settings(d)->dav_wait_seconds;
    int64_t left = unit_record(u)->started + wait - clock_real_us() / 1000000;
    if (d->q->method == METHOD_PROPFIND || left <= 0)
        return 0;
    uint64_t end = d->deadline_ms, now = davs_now(d);
    return now >= end ? 0 : end - now;
}

/* True: wait. */
static bool touch(struct dav_session *d, struct dav_place *p)
{
    struct err e = {0};
    if (!moves(p) || collection_touch(p->unit, &d->user, &e) != STATE_BUSY)
        return false;
    uint64_t ms = patience(d, p->unit);
    if (ms == 0)
        return false;
    timer_start(&d->beat, ms);
    return true;
}

bool davs_state_touch(struct dav_session *d)
{
    if (touch(d, &d->from) || (d->plan == PLAN_COPY && touch(d, &d->to)))
        return false;
    timer_stop(&d->beat);
    d->touched = true;
    davs_route(d);
    return true;
}

/* ---- carrying it out ---- */

/* Chooses the home, and counts the write there. False: answered. */
static bool settle(struct dav_session *d, struct dav_place *p, bool writes)
{
    p->side = p->unit == NULL ? HOME_OLD : unit_record(p->unit)->home;
    if (!writes || p->unit == NULL || unit_record(p->unit)->kind == UNIT_STAYS || p->side == HOME_NEW)
        return true;
    if (!collection_write_begin(p->unit)) {
        davs_unavailable(d, "This collection is being moved to a new server just now");
        return false;
    }
    p->counted = true;
    return true;
}

/* The request's XML as the new host is to have it. False: answered. */
static bool translate_body(struct dav_session *d)
{
    struct buf raw = d->body;
    struct rewrite *w = rewrite_new(&davs_to_new, d, REWRITE_WHOLE);
    d->had_token = d->stale = false;
    int rc = rewrite_feed(w, buf_slice(&raw), true);
    bool sync = d->stale && d->plan == PLAN_FORWARD && rewrite_root_is(w, NS_DAV, "sync-collection");
    if (rc == 0 && !d->stale) {
        d->body = (struct buf){0};
        buf_put_slice(&d->body, rewrite_out(w));
        buf_free(&raw);
    }
    rewrite_free(&w);
    if (rc != 0)
        davs_say(d, 400, "The body of the request is no XML that can be read");
    else if (sync)
        davs_sync_begin(d);
    else if (d->stale)
        davs_error(d, 403, "D:valid-sync-token");
    return rc == 0 && !d->stale;
}

static void forward(struct dav_session *d)
{
    struct buf target = {0};
    int rc = 0;
    if (d->from.side == HOME_NEW) {
        if (d->body.len > 0 && !translate_body(d))
            return;
        rc = collection_href_to_new(d->from.unit, buf_slice(&d->target.spelled), &target);
    } else {
        buf_puts(&target, d->target.asterisk ? "*" : "");
        buf_put_slice(&target, buf_slice(&d->target.spelled));
    }
    buf_put_slice(&target, d->target.query);
    if (rc != 0)
        davs_say(d, 404, "There is nothing of this name");
    else
        davs_forward(d, d->from.side, buf_slice(&target), buf_slice(&d->body));
    buf_free(&target);
}

/* ---- a new collection ---- */

static int note_type(const struct xml_event *ev, void *arg)
{
    enum unit_kind *kind = arg;
    if (ev->kind == XML_START && xml_is(ev, NS_CARDDAV, "addressbook"))
        *kind = UNIT_ADDRESSBOOK;
    else if (ev->kind == XML_START && xml_is(ev, NS_CALDAV, "calendar"))
        *kind = UNIT_CALENDAR;
    return 0;
}

static void make(struct dav_session *d)
{
    struct xml_in *x = xml_in_new(0, 0, note_type, &d->make);
    d->make = d->q->method == METHOD_MKCALENDAR ? UNIT_CALENDAR : UNIT_FOLDER;
    int rc = d->body.len > 0 ? xml_feed(x, buf_slice(&d->body), true) : 0;
    xml_in_free(&x);
    if (rc != 0) {
        davs_say(d, 400, "The body of the request is no XML that can be read");
    } else if (d->make == UNIT_FOLDER ||
               collection_choose_new(d->account, d->make, buf_slice(&d->target.path), &d->new_href) != 0) {
        davs_say(d, 403, "Only calendars and address books can be made, in the place for them");
    } else if (d->body.len == 0 || translate_body(d)) {
        davs_forward(d, HOME_NEW, buf_slice(&d->new_href), buf_slice(&d->body));
    }
}

void davs_send(struct dav_session *d)
{
    forward(d);
}

/* Some hosts take a Destination as it stands there, and would store the escapes in it: such a name is better put. */
static bool is_plain(const struct http_target *t)
{
    struct slice v = buf_slice(&t->spelled);
    return memchr(v.p, '%', v.n) == NULL;
}

static void copy(struct dav_session *d)
{
    bool whole = (d->from.unit != NULL && d->from.rest.n == 0) || (d->to.unit != NULL && d->to.rest.n == 0);
    if (whole || (d->from.unit == NULL && below(d).any))
        davs_say(d, 403, "Collections cannot be copied or moved, only what is in them");
    else if (d->to.unit == NULL && d->ready)
        davs_say(d, 409, "The destination is in no calendar or address book");
    else if (d->from.unit == NULL && d->ready && davs_in_home(d, buf_slice(&d->target.path)))
        davs_say(d, 404, "There is nothing of this name");
    else if (d->from.unit == NULL && d->to.side == HOME_NEW)
        davs_say(d, 403, "This cannot be brought there");
    else if (d->from.side != d->to.side || (d->to.side == HOME_NEW && !is_plain(&d->destination)))
        davs_carry_begin(d);
    else
        forward(d);
}

static void run(struct dav_session *d)
{
    enum http_method m = d->q->method;
    bool takes = m == METHOD_MOVE; /* something goes away at the source */
    if (!settle(d, &d->from, d->plan == PLAN_COPY ? takes : is_write(m)) ||
        (d->plan == PLAN_COPY && !settle(d, &d->to, true)))
        return;
    switch (d->plan) {
    case PLAN_FORWARD:
    case PLAN_REMOVE:
        forward(d);
        break;
    case PLAN_LISTING:
        davs_listing_begin(d);
        break;
    case PLAN_MAKE:
        make(d);
        break;
    case PLAN_COPY:
        copy(d);
        break;
    }
}

void davs_route(struct dav_session *d)
{
    if (!d->located && !locate(d))
        return;
    if (has_xml(d->q->method) && !d->body_over) {
        davs_enter(d, DAVS_BODY);
    } else if (!d->touched && touches(d) && (moves(&d->from) || (d->plan == PLAN_COPY && moves(&d->to)))) {
        d->deadline_ms = davs_now(d) + (uint64_t)davs_settings(d)->dav_wait_seconds * 1000;
        davs_enter(d, DAVS_TOUCH);
    } else {
        run(d);
    }
}
