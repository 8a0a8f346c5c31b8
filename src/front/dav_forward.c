/*
 * A request on its way to one host, and the answer on its way back. Both are streamed; what the other side does not take waits where it
 * comes from. An answer of the old host goes through as it is, one of the new host in the terms of the view.
 */
#include "config.h"
#include "front/dav.h"
#include "wherry/http/head.h"
#include <stdlib.h>
#include <string.h>

enum { MADE_FIELDS = 10 };

/* ---- the fields of a request ---- */

struct fields {
    struct dav_field list[HTTP_FIELDS_MAX + MADE_FIELDS];
    size_t n;
    struct buf made[MADE_FIELDS];
    size_t n_made;
};

static bool among(struct slice name, const char *const *list)
{
    for (; *list != NULL; list++) {
        if (slice_is_nocase(name, *list))
            return true;
    }
    return false;
}

/* Of this connection alone, or what a host might take for a proof of who somebody is. */
static const char *const never[] = {
    "Host", "Authorization", "Connection", "Keep-Alive", "Proxy-Authorization", "Proxy-Connection", "TE", "Trailer",
    "Transfer-Encoding", "Upgrade", "HTTP2-Settings", "Content-Length", "Expect", "X-Forwarded-For", "X-Forwarded-Proto",
    "X-Forwarded-Host", "X-Forwarded-User", "X-Real-IP", "Forwarded", "Authorize-As", "Remote-User", "X-Remote-User", "X-Script-Name", NULL};
/* What the new host is told; what is translated comes besides. Range goes with If-Range, which has an old tag in it. */
static const char *const to_new[] = {
    "Accept", "Accept-Language", "Brief", "CalDAV-Timezones", "Content-Encoding", "Content-Language", "Content-Type", "Depth",
    "If-Unmodified-Since", "Lock-Token", "Overwrite", "Prefer", "Schedule-Reply", "Timeout", "User-Agent", NULL};

static bool passes(struct dav_session *d, enum unit_home side, struct slice name)
{
    const struct settings *set = davs_settings(d);
    const char *const translated[] = {"If", "Destination", NULL}; /* the tags to new are not in to_new */
    const char *const trusted[] = {set->old_dav.header, set->new_dav.header, NULL};
    struct slice connection = http_field(d->q, "Connection");
    char text[64];
    if ((d->plan == PLAN_LISTING || d->sync != NULL) && slice_is_nocase(name, "Accept-Encoding"))
        return false; /* it is read on the way */
    if (d->depth_one && slice_is_nocase(name, "Depth"))
        return false;
    if (d->body.len > 0 && slice_is_nocase(name, "Content-Type"))
        return side == HOME_OLD;
    if (among(name, never) || among(name, translated) || among(name, trusted))
        return false;
    if (name.n < sizeof(text)) {
        memcpy(text, name.p, name.n);
        text[name.n] = '\0';
        if (http_list_has(connection, text))
            return false;
    }
    return side == HOME_OLD || among(name, to_new);
}

static struct buf *make_field(struct fields *f, const char *name)
{
    f->list[f->n++].name = slice_str(name);
    return &f->made[f->n_made++];
}

/* The values of made fields, once nothing is appended to them any more. */
static void settle_fields(struct fields *f)
{
    for (size_t i = 0; i < f->n_made; i++)
        f->list[f->n - f->n_made + i].value = buf_slice(&f->made[i]);
}

static int translated_tags(struct dav_session *d, struct fields *f, const char *name, bool schedule)
{
    struct buf all = {0};
    int rc = 0;
    if (http_field_count(d->q, name) == 0)
        return 0;
    http_field_join(d->q, name, &all);
    rc = davs_etags_to_new(d, &d->from, buf_slice(&all), schedule, make_field(f, name));
    buf_free(&all);
    return rc;
}

static int translated_fields(struct dav_session *d, enum unit_home side, struct fields *f)
{
    int rc = 0;
    if (http_field_count(d->q, "If") > 0) {
        struct buf all = {0};
        http_field_join(d->q, "If", &all);
        rc = davs_if_to_host(d, side, buf_slice(&all), make_field(f, "If"));
        buf_free(&all);
    }
    if (rc == 0 && d->plan == PLAN_COPY)
        rc = davs_uri_to_host(d, side, buf_slice(&d->destination.spelled), make_field(f, "Destination"));
    if (rc == 0 && side == HOME_NEW && d->from.unit != NULL)
        rc = translated_tags(d, f, "If-Match", false);
    if (rc == 0 && side == HOME_NEW && d->from.unit != NULL)
        rc = translated_tags(d, f, "If-None-Match", false);
    if (rc == 0 && side == HOME_NEW && d->from.unit != NULL)
        rc = translated_tags(d, f, "If-Schedule-Tag-Match", true);
    return rc;
}

static int gather(struct dav_session *d, enum unit_home side, struct fields *f)
{
    for (size_t i = 0; i < d->q->n_fields; i++) {
        if (passes(d, side, d->q->fields[i].name))
            f->list[f->n++] = (struct dav_field){d->q->fields[i].name, d->q->fields[i].value};
    }
    int rc = translated_fields(d, side, f);
    buf_puts(make_field(f, "X-Forwarded-For"), stream_peer(d->client));
    if (d->depth_one)
        buf_puts(make_field(f, "Depth"), "1");
    if (side == HOME_NEW && d->body.len > 0) /* it is, whatever the client calls it; some hosts refuse all else */
        buf_puts(make_field(f, "Content-Type"), "application/xml; charset=utf-8");
    settle_fields(f);
    return rc;
}

/* ---- the request ---- */

struct davr *davs_open(struct dav_session *d, enum unit_home side, const char *method, struct slice target, const struct slice *body)
{
    const struct settings *set = davs_settings(d);
    struct fields *f = mem_alloc(sizeof(*f));
    struct davr *r = NULL;
    if (gather(d, side, f) == 0) {
        struct davr_open o = {
            .host = side == HOME_NEW ? &set->new_dav : &set->old_dav,
            .creds = &d->creds[side],
            .method = method,
            .target = target,
            .fields = f->list,
            .n_fields = f->n,
            .timeout_seconds = set->host_timeout_seconds,
        };
        if (body != NULL) {
            o.body_kind = DAVR_BODY_WHOLE;
            o.body = *body;
        } else if (!d->body_over) {
            o.body_kind = d->q->chunked ? DAVR_BODY_CHUNKED : DAVR_BODY_SIZED;
            o.body_size = d->q->length;
        }
        r = davr_start(d->env->dav, &d->task, &o);
    }
    for (size_t i = 0; i < MADE_FIELDS; i++)
        buf_free(&f->made[i]);
    free(f);
    return r;
}

void davs_forward(struct dav_session *d, enum unit_home side, struct slice target, struct slice body)
{
    enum http_method m = d->q->method;
    bool empty = d->body_over && (body.n > 0 || m == METHOD_PUT || m == METHOD_POST || http_field_count(d->q, "Content-Length") > 0);
    if (d->q->length > davs_settings(d)->dav_item_bytes) {
        davs_say(d, 413, "This is longer than what may be stored");
        return;
    }
    d->side = side;
    d->up = davs_open(d, side, d->q->name, target, empty ? &body : NULL);
    if (d->up == NULL)
        davs_say(d, 400, "A precondition of the request cannot be read");
    else
        davs_enter(d, DAVS_FORWARD);
}

/* True when something was passed on. */
static bool send_body(struct dav_session *d)
{
    struct slice piece;
    size_t used;
    if (d->body_over || davr_full(d->up))
        return false;
    davs_continue(d);
    enum http_piece p = davs_read(d, &piece, &used);
    d->body_bytes += piece.n;
    bool fits = d->body_bytes <= davs_settings(d)->dav_item_bytes;
    if (p == HTTP_BODY && fits)
        davr_write(d->up, piece);
    davs_consume(d, used);
    if (p == HTTP_END) {
        d->body_over = true;
        davr_end(d->up);
    } else if (p == HTTP_BAD || !fits || (p == HTTP_MORE && davs_eof(d))) {
        davr_free(&d->up); /* what is half there must not be taken for the whole */
        d->lingers = p == HTTP_BAD;
        if (p == HTTP_MORE)
            davs_end(d, "client_closed");
        else if (d->head_sent)
            davs_broken(d, "bad_request", NULL);
        else
            davs_say(d, p == HTTP_BAD ? 400 : 413, p == HTTP_BAD ? http_bad_reason(d->reader) : "This is longer than what may be stored");
        return true;
    }
    return p != HTTP_MORE;
}

/* ---- the fields of an answer ---- */

static const char *const not_told[] = {"Connection", "Keep-Alive", "Transfer-Encoding", "Content-Length", "Date", "WWW-Authenticate",
                                       "Proxy-Authenticate", "Alt-Svc", "Trailer", "Upgrade", "Authentication-Info", NULL};
static const char *const not_told_of_new[] = {"Set-Cookie", "Link", "Accept-Patch", "Server", "X-Powered-By", "Content-Location", "Strict-Transport-Security", NULL};
static const char *const of_the_bytes[] = {"Content-MD5", "Digest", "Content-Digest", "Repr-Digest", "Accept-Ranges", "Content-Encoding", NULL};

/* Where the answer points: a path in the view, in the client's own name for this server. */
static void put_location(struct dav_session *d, enum unit_home side, struct slice name, struct slice value)
{
    const struct settings *set = davs_settings(d);
    struct buf out = {0}, origin = {0}, base = {0};
    struct slice path;
    if (side == HOME_NEW && d->ready) {
        (void)davs_href_to_view(d, HREF_ANY, value, &out);
    } else if (dav_host_split(&set->old_dav, &origin, &base) == 0 && value.n >= origin.len &&
               slice_eq_nocase(slice_make(value.p, origin.len), buf_slice(&origin)) &&
               http_uri_path(value, slice_str(""), &path) == 0) {
        buf_printf(&out, "%s://", d->secure ? "https" : "http");
        buf_put_slice(&out, http_field(d->q, "Host"));
        buf_put_slice(&out, path);
    } else {
        buf_put_slice(&out, value);
    }
    (void)http_put_field_as(&d->out, name, buf_slice(&out));
    buf_free(&out);
    buf_free(&origin);
    buf_free(&base);
}

/* Of the item that was asked for, or of what was copied or moved. */
static void put_etag(struct dav_session *d, const struct dav_field *f, bool schedule)
{
    const struct dav_place *p = d->plan == PLAN_COPY ? &d->to : &d->from;
    struct buf out = {0};
    bool weak = f->value.n > 1 && f->value.p[0] == 'W';
    if (p->unit != NULL && !weak && collection_etag_to_view(p->unit, p->rest, f->value, schedule, &out) == 0)
        (void)http_put_field_as(&d->out, f->name, buf_slice(&out));
    buf_free(&out);
}

void davs_put_fields(struct dav_session *d, const struct davr *r, enum unit_home side, bool rewritten)
{
    const struct dav_field *f;
    size_t n = davr_fields(r, &f);
    const char *realm = NULL;
    for (size_t i = 0; i < n; i++) {
        bool location = slice_is_nocase(f[i].name, "Location") || slice_is_nocase(f[i].name, "Content-Location");
        bool etag = slice_is_nocase(f[i].name, "ETag"), schedule = slice_is_nocase(f[i].name, "Schedule-Tag");
        if (among(f[i].name, not_told) || (rewritten && among(f[i].name, of_the_bytes)) ||
            (side == HOME_NEW && !location && among(f[i].name, not_told_of_new)))
            continue;
        if (location)
            put_location(d, side, f[i].name, f[i].value);
        else if (side == HOME_NEW && (etag || schedule))
            put_etag(d, &f[i], schedule);
        else
            (void)http_put_field_as(&d->out, f[i].name, f[i].value);
    }
    if (davr_status(r) == 401 && davs_realm(d->front, &realm))
        buf_printf(&d->out, "WWW-Authenticate: Basic realm=\"%s\", charset=\"UTF-8\"\r\n", realm);
}

/* ---- the answer ---- */

void davs_release(struct dav_session *d)
{
    if (d->from.counted)
        collection_write_end(d->from.unit);
    if (d->to.counted)
        collection_write_end(d->to.unit);
    d->from.counted = d->to.counted = false;
}

void davs_host_failed(struct dav_session *d, enum unit_home side, const struct err *e)
{
    davs_log(d, LOG_WARN, side == HOME_NEW ? "new_host_failed" : "old_host_failed", "dav", e);
    davs_unavailable(d, "The calendar server cannot be reached just now");
}

static bool is_xml(const struct davr *r)
{
    struct slice type = davr_field(r, "Content-Type");
    const char *const kinds[] = {"application/xml", "text/xml"};
    for (size_t i = 0; i < 2; i++) {
        size_t n = strlen(kinds[i]);
        if (type.n >= n && slice_is_nocase(slice_make(type.p, n), kinds[i]))
            return true;
    }
    return false;
}

/* Some hosts compare no tags when they are asked for an item: the client has what it would get. */
static bool has_it(struct dav_session *d, unsigned status)
{
    enum http_method m = d->q->method;
    struct slice tag = davr_field(d->up, "ETag");
    struct buf view = {0}, list = {0}, more = {0};
    struct http_etag t;
    bool same = false;
    if (status != 200 || (m != METHOD_GET && m != METHOD_HEAD) || tag.n == 0 || tag.p[0] != '"' ||
        d->from.unit == NULL || http_field_count(d->q, "If-None-Match") == 0 ||
        collection_etag_to_view(d->from.unit, d->from.rest, tag, false, &view) != 0)
        return false;
    http_field_join(d->q, "If-None-Match", &list);
    struct slice rest = buf_slice(&list);
    while (!same && http_etag_next(&rest, &t) == CODEC_DONE)
        same = t.any || slice_eq(t.tag, buf_slice(&view));
    if (same) {
        http_put_field(&more, "ETag", buf_slice(&view));
        davs_answer(d, 304, buf_cstr(&more), slice_str(""));
    }
    buf_free(&view);
    buf_free(&list);
    buf_free(&more);
    return same;
}

/* What a host says to people is about its own names. */
static bool only_words(struct dav_session *d, unsigned status)
{
    if (status < 400 || is_xml(d->up) || d->q->method == METHOD_HEAD)
        return false;
    davs_head(d, status);
    davs_put_fields(d, d->up, HOME_NEW, true);
    struct buf body = {0};
    buf_printf(&body, "%s\n", http_reason(status));
    uint64_t length = body.len;
    davs_head_end(d, &length, true);
    davs_body(d, buf_slice(&body));
    davs_body_end(d);
    buf_free(&body);
    davs_done(d);
    return true;
}

/* Answers that are told in other words. True: it was. */
static bool told_otherwise(struct dav_session *d, unsigned status)
{
    struct err e = {0};
    if (d->side == HOME_OLD) {
        if (status == 401)
            auth_cache_drop(d->env->auth, buf_slice(&d->door.login));
        return false;
    }
    if (status == 401 || status == 407) {
        err_set(&e, E_AUTH, SCOPE_HOST, "the new host answered %u", status);
        davs_host_failed(d, HOME_NEW, &e);
        return true;
    }
    /* One that can neither copy nor move: it is read and put. */
    if (d->plan == PLAN_COPY && (status == 405 || status == 501) && !d->carried) {
        d->carried = true;
        davr_free(&d->up);
        davs_carry_begin(d);
        return true;
    }
    /* A token that the new host no longer knows makes some of them fail. */
    if (status == 500 && d->had_token && d->q->method == METHOD_REPORT) {
        davs_error(d, 403, "D:valid-sync-token");
        return true;
    }
    return has_it(d, status) || only_words(d, status);
}

/* What it did to the structure is recorded before the client hears of it. True: it is being. */
static bool recorded(struct dav_session *d, unsigned status)
{
    if (status < 200 || status > 299 || (d->plan != PLAN_MAKE && d->plan != PLAN_REMOVE))
        return false;
    struct buf view = {0};
    d->wait = (struct store_wait){.task = &d->task};
    d->status = status;
    if (d->plan == PLAN_MAKE) {
        buf_put_slice(&view, buf_slice(&d->target.spelled));
        if (view.mem[view.off + view.len - 1] != '/')
            buf_putc(&view, '/');
        collection_created(d->account, d->make, buf_slice(&view), buf_slice(&d->new_href), &d->wait);
    } else {
        collection_deleted(d->account, d->from.unit, &d->wait);
    }
    buf_free(&view);
    davs_enter(d, DAVS_RECORD);
    return true;
}

bool davs_state_record(struct dav_session *d)
{
    if (d->wait.pending)
        return false;
    if (d->wait.result != 0)
        davs_unavailable(d, "It was done, but cannot be recorded just now");
    else
        davs_answer(d, d->status == 207 ? 204 : d->status, NULL, slice_str(""));
    return true;
}

static void answer_head(struct dav_session *d)
{
    unsigned status = davr_status(d->up);
    uint64_t length;
    bool head = d->q->method == METHOD_HEAD;
    if (told_otherwise(d, status) || recorded(d, status))
        return;
    bool known = slice_u64(davr_field(d->up, "Content-Length"), &length) == 0;
    bool rewrites = d->side == HOME_NEW && !head && is_xml(d->up) && status != 204 && status != 304 && !(known && length == 0);
    if (rewrites)
        d->rewrite = rewrite_new(&davs_to_view, d, REWRITE_WHOLE);
    davs_head(d, status);
    davs_put_fields(d, d->up, d->side, rewrites);
    davs_head_end(d, known && !rewrites ? &length : NULL, !head);
}

static bool body_rewritten(struct dav_session *d, struct slice bytes, bool last)
{
    struct err e = {0};
    int rc = rewrite_feed(d->rewrite, bytes, last);
    struct slice out = rewrite_out(d->rewrite);
    if (rc != 0) {
        err_set(&e, E_PROTO, SCOPE_HOST, "the new host's XML: %.150s", rewrite_error(d->rewrite));
        davs_broken(d, "bad_xml", &e);
        return false;
    }
    davs_body(d, out);
    rewrite_take(d->rewrite, out.n);
    return true;
}

static void answer_end(struct dav_session *d)
{
    if (d->rewrite != NULL && !body_rewritten(d, slice_str(""), true))
        return;
    davs_body_end(d);
    /* It answered before it had all of the request: nothing more of that is passed on. */
    davs_done(d);
}

/*
 * Some hosts answer before they have read a body, and close: the answer is lost, or not, by chance (Radicale's redirects). What only
 * asks is asked again; the second time, where the answer is but a redirect, without its body. Not of the new host: its body has been told in
 * its terms already. True: it was asked again.
 */
static bool asked_again(struct dav_session *d)
{
    enum http_method m = d->q->method;
    bool asks = m == METHOD_GET || m == METHOD_HEAD || m == METHOD_OPTIONS || m == METHOD_PROPFIND || m == METHOD_REPORT;
    if (!asks || d->side != HOME_OLD || !d->body_over || d->head_sent || d->retries == 2)
        return false;
    davr_free(&d->up);
    if (++d->retries == 2 && slice_starts(buf_slice(&d->target.path), SLICE_LIT("/.well-known/")))
        buf_clear(&d->body);
    davs_send(d);
    return true;
}

static bool receive(struct dav_session *d)
{
    struct err e;
    struct davr_event ev;
    if (stream_full(d->client))
        return false;
    davr_next(d->up, &ev);
    switch (ev.kind) {
    case DAVR_NONE:
        return false;
    case DAVR_HEAD:
        answer_head(d);
        break;
    case DAVR_BODY:
        if (d->rewrite != NULL)
            (void)body_rewritten(d, ev.bytes, false);
        else
            davs_body(d, ev.bytes);
        break;
    case DAVR_DONE:
        answer_end(d);
        break;
    case DAVR_FAILED:
        e = *ev.err;
        if (d->head_sent)
            davs_broken(d, "host_failed", &e);
        else if (e.code != E_CLOSED || !asked_again(d))
            davs_host_failed(d, d->side, &e);
        break;
    }
    return true;
}

bool davs_state_forward(struct dav_session *d)
{
    bool progress = send_body(d);
    if (d->state == DAVS_FORWARD && d->up != NULL)
        progress = receive(d) || progress;
    return progress;
}
