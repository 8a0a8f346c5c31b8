/*
 * The listing of a home in which some collections have moved (DESIGN section 7): the old host's responses for what is there still, and
 * the new host's for what is on it by now. Both are asked with the client's own request, and their answers become one while they stream
 * through. A listing that lacks a part would make clients delete what they have: nothing is said before all have answered.
 */
#include "config.h"
#include "front/dav.h"
#include <stdlib.h>
#include <string.h>

struct listing_part {
    enum unit_home side;
    struct buf target;
    struct davr *r;
    bool ready; /* it answered 207 */
};

/* Owner: the session. */
struct dav_listing {
    struct listing_part parts[1 + DAV_HOMES_MAX];
    size_t n, at;
    struct buf tail;
    bool overflow;
};

void davs_listing_free(struct dav_session *d)
{
    struct dav_listing *l = d->listing;
    if (l == NULL)
        return;
    d->listing = NULL;
    for (size_t i = 0; i < l->n; i++) {
        davr_free(&l->parts[i].r);
        buf_free(&l->parts[i].target);
    }
    buf_free(&l->tail);
    free(l);
}

/* ---- what is asked ---- */

static struct slice parent(struct slice href)
{
    size_t n = href.n > 0 ? href.n - 1 : 0;
    while (n > 0 && href.p[n - 1] != '/')
        n--;
    return slice_make(href.p, n);
}

/* The folder on new of a moved collection that is right in this home. */
static bool note_home(struct unit *u, void *arg)
{
    struct dav_session *d = arg;
    struct dav_listing *l = d->listing;
    const struct store_unit *r = unit_record(u);
    struct slice home = parent(slice_str(r->new_href != NULL ? r->new_href : ""));
    struct slice path = buf_slice(&d->target.path), up = parent(slice_str(r->view_name));
    if (path.n > 0 && path.p[path.n - 1] != '/' && up.n == path.n + 1)
        up.n--;
    if (r->home != HOME_NEW || home.n == 0 || !slice_eq(up, path))
        return true;
    for (size_t i = 1; i < l->n; i++) {
        if (slice_eq(buf_slice(&l->parts[i].target), home))
            return true;
    }
    l->overflow = l->n == sizeof(l->parts) / sizeof(l->parts[0]);
    if (l->overflow)
        return false;
    l->parts[l->n].side = HOME_NEW;
    buf_put_slice(&l->parts[l->n++].target, home);
    return true;
}

void davs_listing_begin(struct dav_session *d)
{
    if (!slice_is(http_field(d->q, "Depth"), "1")) {
        davs_error(d, 403, "D:propfind-finite-depth");
        return;
    }
    struct dav_listing *l = d->listing = mem_alloc(sizeof(*l));
    l->n = 1;
    l->parts[0].side = HOME_OLD;
    buf_put_slice(&l->parts[0].target, buf_slice(&d->target.spelled));
    buf_put_slice(&l->parts[0].target, d->target.query);
    collections_walk(d->account, note_home, d);
    struct slice body = buf_slice(&d->body);
    bool opened = !l->overflow;
    for (size_t i = 0; i < l->n && opened; i++) {
        l->parts[i].r = davs_open(d, l->parts[i].side, "PROPFIND", buf_slice(&l->parts[i].target), body.n > 0 ? &body : NULL);
        opened = l->parts[i].r != NULL;
    }
    if (opened)
        davs_enter(d, DAVS_LISTING);
    else
        davs_unavailable(d, "The calendars are in too many places");
}

/* ---- what is told ---- */

/* Of the old host: the home itself, and what is at home there. What is not known was made there behind our back, or was removed here. */
static int old_href(void *arg, enum href_role role, struct slice href, struct buf *out)
{
    struct dav_session *d = arg;
    struct slice path, rest;
    struct buf decoded = {0};
    bool seen = true;
    buf_put_slice(out, href);
    if (role != HREF_RESPONSE || http_uri_path(href, slice_str(""), &path) != 0 || http_path_decode(path, &decoded, NULL) != 0)
        return 0;
    struct slice own = buf_slice(&d->target.path), it = buf_slice(&decoded);
    struct unit *u = collection_find(d->account, it, &rest);
    bool itself = slice_eq(it, own) || (it.n == own.n + 1 && slice_starts(it, own)) || (own.n == it.n + 1 && slice_starts(own, it));
    seen = itself || (u != NULL && unit_record(u)->home == HOME_OLD);
    buf_free(&decoded);
    return seen ? 0 : E_NOTFOUND;
}

/* Of the new host: what is at home there, and neither its own home nor what was only prepared. */
static int new_href(void *arg, enum href_role role, struct slice href, struct buf *out)
{
    struct dav_session *d = arg;
    int rc = davs_href_to_view(d, role, href, out);
    if (rc == 0 && role == HREF_RESPONSE && (d->item_unit == NULL || unit_record(d->item_unit)->home != HOME_NEW))
        rc = E_NOTFOUND;
    return rc;
}

static const struct rewrite_ops from_old = {old_href, NULL, NULL};

static struct rewrite *part_rewrite(struct dav_session *d, const struct listing_part *p)
{
    const struct rewrite_ops from_new = {new_href, davs_to_view.etag, davs_to_view.token};
    return p->side == HOME_OLD ? rewrite_new(&from_old, d, REWRITE_OPEN) : rewrite_new(&from_new, d, REWRITE_INNER);
}

/* The listing is gone then. */
static void fail(struct dav_session *d, enum unit_home side, const struct err *e)
{
    if (d->head_sent)
        davs_broken(d, "host_failed", e);
    else
        davs_host_failed(d, side, e);
}

/* Looks whether this part has answered as it should; if it will not, everything is over. */
static void look_at(struct dav_session *d, struct listing_part *p)
{
    struct davr_event ev;
    struct err e = {0};
    davr_next(p->r, &ev);
    p->ready = ev.kind == DAVR_HEAD && davr_status(p->r) == 207;
    if (p->ready || ev.kind == DAVR_NONE)
        return;
    if (ev.kind != DAVR_FAILED)
        err_set(&e, E_PROTO, SCOPE_HOST, "a listing was answered with %u", davr_status(p->r));
    else
        e = *ev.err;
    fail(d, p->side, &e);
}

static bool begin_answer(struct dav_session *d)
{
    struct dav_listing *l = d->listing;
    for (size_t i = 0, n = l->n; i < n; i++) {
        if (!l->parts[i].ready)
            look_at(d, &l->parts[i]);
        if (d->state != DAVS_LISTING)
            return true;
    }
    for (size_t i = 0; i < l->n; i++) {
        if (!l->parts[i].ready)
            return false;
    }
    davs_head(d, 207);
    davs_put_fields(d, l->parts[0].r, HOME_OLD, true);
    davs_head_end(d, NULL, true);
    return true;
}

static void end_answer(struct dav_session *d)
{
    davs_body(d, buf_slice(&d->listing->tail));
    davs_body_end(d);
    davs_done(d);
}

/* The end of a part, or of all. */
static void next_part(struct dav_session *d)
{
    struct dav_listing *l = d->listing;
    if (l->at == 0)
        buf_put_slice(&l->tail, rewrite_tail(d->rewrite));
    rewrite_free(&d->rewrite);
    if (++l->at == l->n)
        end_answer(d);
}

static void feed(struct dav_session *d, struct slice bytes, bool last)
{
    struct err e = {0};
    struct listing_part *p = &d->listing->parts[d->listing->at];
    if (d->rewrite == NULL)
        d->rewrite = part_rewrite(d, p);
    if (rewrite_feed(d->rewrite, bytes, last) != 0) {
        err_set(&e, E_PROTO, SCOPE_HOST, "a host's XML: %.150s", rewrite_error(d->rewrite));
        fail(d, p->side, &e);
        return;
    }
    struct slice out = rewrite_out(d->rewrite);
    davs_body(d, out);
    rewrite_take(d->rewrite, out.n);
    if (last)
        next_part(d);
}

bool davs_state_listing(struct dav_session *d)
{
    struct dav_listing *l = d->listing;
    struct davr_event ev;
    if (!d->head_sent)
        return begin_answer(d);
    if (stream_full(d->client))
        return false;
    davr_next(l->parts[l->at].r, &ev);
    switch (ev.kind) {
    case DAVR_NONE:
        return false;
    case DAVR_HEAD:
        break;
    case DAVR_BODY:
        feed(d, ev.bytes, false);
        break;
    case DAVR_DONE:
        feed(d, slice_str(""), true);
        break;
    case DAVR_FAILED:
        fail(d, l->parts[l->at].side, ev.err);
        break;
    }
    return true;
}
