/*
 * sync-collection (RFC 6578) with a token of the old host's, on a collection that has moved. Who comes with one has to be told what changed on
 * old from then to the switch, what is other on new than it was on old, and what changed on new since. The old host still knows the
 * first, the store the second, the new host the third.
 *
 * So the old host is asked with the token for names alone; the new host with its own token of the switch, whose answer goes through; and the
 * new host's listing, with the properties that are wanted, gives what is to be told of the other names. A name that it does not list is
 * told as gone. Where the old host does not know the token either, the client is told to begin again.
 */
#include "config.h"
#include "front/dav.h"
#include <stdlib.h>
#include <string.h>
#include "wherry/base/hash.h"
#include "wherry/dav/multistatus.h"

enum { SYNC_NAMES_MAX = 200000, SYNC_BYTES_MAX = 256 * 1024 * 1024, SYNC_RESPONSE_MAX = 1024 * 1024 };

enum sync_step { SYNC_OLD, SYNC_CHANGES, SYNC_LISTING };

/* Owner: the session. */
struct dav_sync {
    enum sync_step step;
    struct davr *r;
    struct multistatus *m;
    struct hash *names; /* decoded, of the view; the value is the sync while it is to be told, the session once it was */
    bool overflow;
    struct buf token, changes, listing; /* the client's token; bodies for the new host */
    struct buf tail;
    bool in_token;
    unsigned prop; /* depth of DAV:prop in the request while it is read */
};

void davs_sync_free(struct dav_session *d)
{
    struct dav_sync *s = d->sync;
    if (s == NULL)
        return;
    d->sync = NULL;
    davr_free(&s->r);
    multistatus_free(&s->m);
    hash_free(&s->names);
    buf_free(&s->token);
    buf_free(&s->changes);
    buf_free(&s->listing);
    buf_free(&s->tail);
    free(s);
}

static void again(struct dav_session *d)
{
    davs_error(d, 403, "D:valid-sync-token");
}

static void broken(struct dav_session *d, const struct err *e)
{
    if (d->head_sent)
        davs_broken(d, "host_failed", e);
    else
        again(d); /* costs a listing, and no more */
}

/* ---- the names ---- */

static void add(struct dav_sync *s, struct slice name)
{
    s->overflow = s->overflow || hash_count(s->names) >= SYNC_NAMES_MAX;
    if (name.n > 0 && !s->overflow)
        hash_put(s->names, name, s);
}

static bool add_row(const struct store_item *i, void *arg)
{
    add(arg, slice_str(i->name));
    return true;
}

static int add_response(struct dav_response *r, void *arg)
{
    struct dav_session *d = arg;
    struct slice path, rest;
    struct buf decoded = {0};
    if (http_uri_path(buf_slice(&r->href), slice_str(""), &path) == 0 && http_path_decode(path, &decoded, NULL) == 0 &&
        collection_find(d->account, buf_slice(&decoded), &rest) == d->from.unit)
        add(d->sync, rest);
    buf_free(&decoded);
    return 0;
}

/* ---- the request ---- */

/* The token, and what is asked of each item as a body of PROPFIND. */
static int read_request(const struct xml_event *ev, void *arg)
{
    struct dav_sync *s = arg;
    bool token = ev->depth == 2 && xml_is(ev, NS_DAV, "sync-token");
    if (ev->kind == XML_START && s->prop == 0 && ev->depth == 2 && xml_is(ev, NS_DAV, "prop"))
        s->prop = ev->depth;
    if (s->prop > 0 && ev->depth >= s->prop)
        xml_put_event_alone(&s->listing, ev);
    if (ev->kind == XML_END && s->prop > 0 && ev->depth == s->prop)
        s->prop = 0;
    if (token)
        s->in_token = ev->kind == XML_START;
    if (ev->kind == XML_TEXT && s->in_token)
        buf_put_slice(&s->token, ev->text);
    return 0;
}

static int token_of_switch(void *arg, bool ctag, struct slice token, struct buf *out)
{
    struct dav_session *d = arg;
    (void)ctag;
    (void)token;
    buf_puts(out, unit_record(d->from.unit)->new_token);
    return 0;
}

static int write_bodies(struct dav_session *d)
{
    struct dav_sync *s = d->sync;
    const struct rewrite_ops ops = {davs_to_new.href, NULL, token_of_switch};
    struct xml_in *x = xml_in_new(0, 0, read_request, s);
    struct rewrite *w = rewrite_new(&ops, d, REWRITE_WHOLE);
    buf_puts(&s->listing, "<D:propfind xmlns:D=\"DAV:\">");
    int rc = xml_feed(x, buf_slice(&d->body), true);
    buf_puts(&s->listing, "</D:propfind>");
    if (rc == 0)
        rc = rewrite_feed(w, buf_slice(&d->body), true);
    if (rc == 0)
        buf_put_slice(&s->changes, rewrite_out(w));
    xml_in_free(&x);
    rewrite_free(&w);
    return rc;
}

/* ---- asking ---- */

static void ask_old(struct dav_session *d)
{
    struct dav_sync *s = d->sync;
    struct buf body = {0};
    buf_puts(&body, "<D:sync-collection xmlns:D=\"DAV:\"><D:sync-token>");
    xml_put_text(&body, buf_slice(&s->token));
    buf_puts(&body, "</D:sync-token><D:sync-level>1</D:sync-level><D:prop><D:getetag/></D:prop></D:sync-collection>");
    struct slice v = buf_slice(&body);
    s->step = SYNC_OLD;
    s->m = multistatus_new(SYNC_BYTES_MAX, SYNC_NAMES_MAX, SYNC_RESPONSE_MAX, add_response, d);
    s->r = davs_open(d, HOME_OLD, "REPORT", buf_slice(&d->target.spelled), &v);
    buf_free(&body);
}

static void ask_new(struct dav_session *d, enum sync_step step)
{
    struct dav_sync *s = d->sync;
    struct buf target = {0};
    struct slice body = buf_slice(step == SYNC_CHANGES ? &s->changes : &s->listing);
    davr_free(&s->r);
    s->step = step;
    d->depth_one = step == SYNC_LISTING;
    if (collection_href_to_new(d->from.unit, buf_slice(&d->target.spelled), &target) == 0)
        s->r = davs_open(d, HOME_NEW, step == SYNC_CHANGES ? "REPORT" : "PROPFIND", buf_slice(&target), &body);
    buf_free(&target);
}

void davs_sync_begin(struct dav_session *d)
{
    struct dav_sync *s = d->sync = mem_alloc(sizeof(*s));
    const struct store_unit *r = unit_record(d->from.unit);
    s->names = hash_new();
    bool possible = write_bodies(d) == 0 && r->new_token != NULL && *r->new_token != '\0' && s->token.len > 0 &&
                    !slice_starts(buf_slice(&s->token), SLICE_LIT("urn:x-wherry:")) &&
                    collection_differs_walk(d->from.unit, add_row, s) == 0 && !s->overflow;
    if (possible && r->old_token != NULL && slice_is(buf_slice(&s->token), r->old_token))
        ask_new(d, SYNC_CHANGES);
    else if (possible)
        ask_old(d);
    if (s->r == NULL)
        again(d);
    else
        davs_enter(d, DAVS_SYNC);
}

/* ---- telling ---- */

static struct slice item_name(const struct dav_session *d)
{
    size_t n = strlen(unit_record(d->from.unit)->view_name);
    struct slice path = buf_slice(&d->item);
    return path.n > n ? slice_make(path.p + n, path.n - n) : slice_str("");
}

static int changed_href(void *arg, enum href_role role, struct slice href, struct buf *out)
{
    struct dav_session *d = arg;
    int rc = davs_href_to_view(d, role, href, out);
    if (rc == 0 && role == HREF_RESPONSE && hash_get(d->sync->names, item_name(d)) != NULL)
        hash_put(d->sync->names, item_name(d), d);
    return rc;
}

static int listed_href(void *arg, enum href_role role, struct slice href, struct buf *out)
{
    struct dav_session *d = arg;
    int rc = davs_href_to_view(d, role, href, out);
    if (rc != 0 || role != HREF_RESPONSE)
        return rc;
    if (hash_get(d->sync->names, item_name(d)) != d->sync)
        return E_NOTFOUND;
    hash_put(d->sync->names, item_name(d), d);
    return 0;
}

struct rest {
    struct dav_session *d;
    struct http_spelling spelling;
    struct buf out;
    bool any;
};

static bool tell_gone(struct slice name, void *value, void *arg)
{
    struct rest *w = arg;
    struct buf href = {0};
    if (value != w->d->sync)
        return true;
    buf_puts(&href, unit_record(w->d->from.unit)->old_href);
    http_spelling_put(&w->spelling, name, &href);
    buf_puts(&w->out, "<response xmlns=\"DAV:\"><href>");
    xml_put_text(&w->out, buf_slice(&href));
    buf_puts(&w->out, "</href><status>HTTP/1.1 404 Not Found</status></response>");
    buf_free(&href);
    return true;
}

static bool find_untold(struct slice name, void *value, void *arg)
{
    struct rest *w = arg;
    (void)name;
    w->any = value == w->d->sync;
    return !w->any;
}

static void finish(struct dav_session *d)
{
    struct rest w = {.d = d};
    http_spelling_read(&w.spelling, slice_str(unit_record(d->from.unit)->spelling));
    hash_walk(d->sync->names, tell_gone, &w);
    buf_put_slice(&w.out, buf_slice(&d->sync->tail));
    davs_body(d, buf_slice(&w.out));
    buf_free(&w.out);
    davs_body_end(d);
    davs_done(d);
}

/* The end of one of the new host's answers. */
static void over(struct dav_session *d)
{
    struct dav_sync *s = d->sync;
    struct rest w = {.d = d};
    if (s->step == SYNC_CHANGES) {
        buf_put_slice(&s->tail, rewrite_tail(d->rewrite));
        hash_walk(s->names, find_untold, &w);
    }
    rewrite_free(&d->rewrite);
    if (!w.any)
        finish(d);
    else
        ask_new(d, SYNC_LISTING);
    if (d->state == DAVS_SYNC && d->sync->r == NULL)
        broken(d, NULL);
}

static void feed(struct dav_session *d, struct slice bytes, bool last)
{
    struct dav_sync *s = d->sync;
    struct rewrite_ops ops = davs_to_view;
    struct err e = {0};
    ops.href = s->step == SYNC_CHANGES ? changed_href : listed_href;
    if (d->rewrite == NULL)
        d->rewrite = rewrite_new(&ops, d, s->step == SYNC_CHANGES ? REWRITE_OPEN : REWRITE_INNER);
    if (rewrite_feed(d->rewrite, bytes, last) != 0) {
        err_set(&e, E_PROTO, SCOPE_HOST, "the new host's XML: %.150s", rewrite_error(d->rewrite));
        broken(d, &e);
        return;
    }
    struct slice out = rewrite_out(d->rewrite);
    davs_body(d, out);
    rewrite_take(d->rewrite, out.n);
    if (last)
        over(d);
}

static void head(struct dav_session *d)
{
    struct dav_sync *s = d->sync;
    struct err e = {0};
    if (davr_status(s->r) != 207) {
        err_set(&e, E_PROTO, SCOPE_HOST, "a look at changes was answered with %u", davr_status(s->r));
        broken(d, &e);
    } else if (s->step == SYNC_CHANGES) {
        davs_head(d, 207);
        davs_put_fields(d, s->r, HOME_NEW, true);
        davs_head_end(d, NULL, true);
    }
}

static void feed_old(struct dav_session *d, struct slice bytes, bool last)
{
    struct dav_sync *s = d->sync;
    if (multistatus_feed(s->m, bytes, last) != 0 || s->overflow)
        again(d);
    else if (last)
        ask_new(d, SYNC_CHANGES);
    if (d->state == DAVS_SYNC && d->sync->r == NULL)
        again(d);
}

bool davs_state_sync(struct dav_session *d)
{
    struct dav_sync *s = d->sync;
    struct davr_event ev;
    if (stream_full(d->client))
        return false;
    davr_next(s->r, &ev);
    bool last = ev.kind == DAVR_DONE;
    switch (ev.kind) {
    case DAVR_NONE:
        return false;
    case DAVR_HEAD:
        head(d);
        break;
    case DAVR_BODY:
    case DAVR_DONE:
        if (s->step == SYNC_OLD)
            feed_old(d, last ? slice_str("") : ev.bytes, last);
        else
            feed(d, last ? slice_str("") : ev.bytes, last);
        break;
    case DAVR_FAILED:
        broken(d, ev.err);
        break;
    }
    return true;
}
