/*
 * The terms of the view and those of the new host: hrefs, entity tags, change tags and sync tokens (DESIGN section 7).
 *
 * Collections are mapped one to one (move/dav.h); around them stand the principal and the homes, where one path of the new host may be
 * several of the old one: what an href is for tells which.
 */
#include "config.h"
#include "front/dav.h"
#include "wherry/http/head.h"
#include <string.h>

static const char wrapping[] = "urn:x-wherry:sync:";

/* ---- principal and homes ---- */

struct around {
    enum href_role role;
    const char *from, *to; /* paths as spelled, one a line */
};

/* Line i of a list; empty when there is none. */
static struct slice line(const char *list, unsigned i)
{
    for (; i > 0 && *list != '\0'; i--) {
        list += strcspn(list, "\n");
        list += *list == '\n';
    }
    return slice_make(list, strcspn(list, "\n"));
}

/* How much of the path the prefix is, 0: it is none. */
static size_t covers(struct slice prefix, struct slice path)
{
    if (prefix.n > 0 && prefix.p[prefix.n - 1] == '/' && path.n == prefix.n - 1)
        prefix.n--;
    if (prefix.n == 0 || !slice_starts(path, prefix))
        return 0;
    bool whole = path.n == prefix.n || prefix.p[prefix.n - 1] == '/' || path.p[prefix.n] == '/';
    return whole ? prefix.n : 0;
}

/* The longest that fits; of those one of the role, else any. */
static int map_around(const struct around *a, size_t n, enum href_role role, struct slice path, struct buf *out)
{
    struct slice best = {0};
    size_t length = 0;
    struct buf prefix = {0};
    for (size_t i = 0; i < n; i++) {
        for (unsigned k = 0; line(a[i].from, k).n > 0; k++) {
            struct slice to = line(a[i].to, line(a[i].to, k).n > 0 ? k : 0);
            if (to.n == 0 || http_path_decode(line(a[i].from, k), &prefix, NULL) != 0)
                continue;
            size_t got = covers(buf_slice(&prefix), path);
            if (got > length || (got > 0 && got == length && a[i].role == role)) {
                length = got;
                best = to;
            }
        }
    }
    buf_free(&prefix);
    if (length == 0)
        return E_INVAL;
    struct http_spelling plain = {0};
    buf_put_slice(out, best);
    http_spelling_put(&plain, slice_make(path.p + length, path.n - length), out);
    return 0;
}

static int around_to_view(struct dav_session *d, enum href_role role, struct slice path, struct buf *out)
{
    const struct store_account *r = account_record(d->account);
    const struct around a[] = {{HREF_PRINCIPAL, r->new_principal, r->old_principal},
                               {HREF_CALENDARS, r->new_calendars, r->old_calendars},
                               {HREF_BOOKS, r->new_books, r->old_books}};
    return map_around(a, 3, role, path, out);
}

static int around_to_new(struct dav_session *d, struct slice path, struct buf *out)
{
    const struct store_account *r = account_record(d->account);
    const struct around a[] = {{HREF_PRINCIPAL, r->old_principal, r->new_principal},
                               {HREF_CALENDARS, r->old_calendars, r->new_calendars},
                               {HREF_BOOKS, r->old_books, r->new_books}};
    return map_around(a, 3, HREF_PRINCIPAL, path, out);
}

static bool in_home(const char *homes, struct slice principal, struct slice path)
{
    struct buf home = {0};
    bool in = false;
    for (unsigned k = 0; line(homes, k).n > 0 && !in; k++) {
        if (http_path_decode(line(homes, k), &home, NULL) != 0)
            continue;
        size_t n = covers(buf_slice(&home), path), more = covers(principal, path);
        in = n > 1 && path.n > n && more <= n; /* everything is in "/" */
    }
    buf_free(&home);
    return in;
}

bool davs_in_home(struct dav_session *d, struct slice path)
{
    const struct store_account *r = account_record(d->account);
    struct buf principal = {0};
    if (http_path_decode(slice_str(r->old_principal), &principal, NULL) != 0)
        buf_clear(&principal);
    bool in = in_home(r->old_calendars, buf_slice(&principal), path) || in_home(r->old_books, buf_slice(&principal), path);
    buf_free(&principal);
    return in;
}

/* ---- hrefs ---- */

/* Some hosts write blanks, ? and # in names as they are (Cyrus): what a host lists is a path, and has no query. */
static void put_whole(struct slice path, struct buf *out)
{
    for (size_t i = 0; i < path.n; i++) {
        uint8_t c = path.p[i];
        if (c <= ' ' || c >= 0x7f || c == '?' || c == '#' || c == '\\')
            buf_printf(out, "%%%02X", c);
        else
            buf_putc(out, (char)c);
    }
}

/* The path in an href of a host. False: it is none of its own (mailto:, another host). */
static bool own_path(const struct dav_host *h, struct slice href, struct slice *path)
{
    struct buf origin = {0}, base = {0};
    bool own = href.n > 0 && href.p[0] == '/';
    if (!own && dav_host_split(h, &origin, &base) == 0 && href.n >= origin.len)
        own = slice_eq_nocase(slice_make(href.p, origin.len), buf_slice(&origin));
    buf_free(&origin);
    buf_free(&base);
    return own && http_uri_path(href, slice_str(""), path) == 0;
}

static int collection_to_view(struct unit *u, struct slice rest, struct slice path, struct buf *out)
{
    const struct store_unit *r = unit_record(u);
    struct http_spelling s;
    if (r->home == HOME_NEW)
        return collection_href_to_view(u, path, out);
    http_spelling_read(&s, slice_str(r->spelling != NULL ? r->spelling : ""));
    buf_puts(out, r->old_href);
    http_spelling_put(&s, rest, out);
    return 0;
}

/* From here on it is this item's entity tags that are read. */
static int note_item(struct dav_session *d, struct unit *u, struct slice spelled)
{
    d->item_unit = u;
    return http_path_decode(spelled, &d->item, NULL);
}

/* Answers about one resource alone: whatever the host calls it (Xandikos: an encoded URI), it is what was asked about. */
static bool about_itself(const struct dav_session *d, enum href_role role)
{
    enum http_method m = d->q->method;
    bool flat = m == METHOD_PROPFIND && slice_is(http_field(d->q, "Depth"), "0");
    return role == HREF_RESPONSE && d->plan == PLAN_FORWARD && (flat || m == METHOD_PROPPATCH || m == METHOD_ACL);
}

int davs_href_to_view(struct dav_session *d, enum href_role role, struct slice href, struct buf *out)
{
    struct slice path, rest;
    struct buf decoded = {0}, whole = {0};
    int rc = E_INVAL;
    size_t mark = out->len;
    if (about_itself(d, role)) {
        buf_put_slice(out, buf_slice(&d->target.spelled));
        return note_item(d, d->from.unit, buf_slice(&d->target.spelled));
    }
    if (own_path(&davs_settings(d)->new_dav, href, &path)) {
        put_whole(path, &whole);
        rc = http_path_decode(buf_slice(&whole), &decoded, NULL);
    }
    struct unit *u = rc == 0 ? collection_find_new(d->account, buf_slice(&decoded), &rest) : NULL;
    if (u != NULL)
        rc = collection_to_view(u, rest, buf_slice(&whole), out);
    else if (rc == 0)
        rc = around_to_view(d, role, buf_slice(&decoded), out);
    if (rc == 0 && role == HREF_RESPONSE)
        rc = note_item(d, u, slice_make(buf_slice(out).p + mark, out->len - mark));
    buf_free(&decoded);
    buf_free(&whole);
    if (rc == 0 || role == HREF_RESPONSE)
        return rc;
    buf_truncate(out, mark);
    buf_put_slice(out, href);
    return 0;
}

int davs_href_to_new(struct dav_session *d, struct slice href, struct buf *out)
{
    struct slice path, rest;
    struct buf decoded = {0};
    int rc = http_uri_path(href, http_field(d->q, "Host"), &path);
    if (rc == 0)
        rc = http_path_decode(path, &decoded, NULL);
    if (rc == 0) {
        struct unit *u = collection_find(d->account, buf_slice(&decoded), &rest);
        if (u == NULL)
            rc = around_to_new(d, buf_slice(&decoded), out);
        else
            rc = unit_record(u)->home == HOME_NEW ? collection_href_to_new(u, path, out) : E_INVAL;
    }
    buf_free(&decoded);
    return rc;
}

int davs_uri_to_host(struct dav_session *d, enum unit_home side, struct slice spelled, struct buf *out)
{
    const struct settings *set = davs_settings(d);
    struct buf base = {0};
    int rc = dav_host_split(side == HOME_NEW ? &set->new_dav : &set->old_dav, out, &base);
    buf_free(&base);
    if (rc == 0 && side == HOME_NEW)
        return davs_href_to_new(d, spelled, out);
    if (rc == 0)
        buf_put_slice(out, spelled);
    return rc;
}

/* ---- tokens ---- */

static void wrap(struct slice token, struct buf *out)
{
    struct http_spelling plain = {0};
    buf_puts(out, wrapping);
    for (size_t i = 0; i < token.n; i++) { /* no slash is left in it */
        if (token.p[i] == '/')
            buf_puts(out, "%2F");
        else
            http_spelling_put(&plain, slice_make(token.p + i, 1), out);
    }
}

static int hex(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Only what wrap() makes. */
static int unwrap(struct slice token, struct buf *out)
{
    struct buf again = {0};
    size_t mark = out->len;
    for (size_t i = sizeof(wrapping) - 1; i < token.n; i++) {
        int high = token.p[i] == '%' && i + 2 < token.n ? hex(token.p[i + 1]) : -1;
        int low = high >= 0 ? hex(token.p[i + 2]) : -1;
        buf_putc(out, low >= 0 ? (char)(high * 16 + low) : (char)token.p[i]);
        i += low >= 0 ? 2 : 0;
    }
    wrap(slice_make(buf_slice(out).p + mark, out->len - mark), &again);
    bool same = slice_eq(buf_slice(&again), token);
    buf_free(&again);
    if (!same)
        buf_truncate(out, mark);
    return same ? 0 : E_NOTFOUND;
}

/* Until something changes on new it is told what was current on old at the switch; not where some items differ, of which who was in sync
 * with old has to hear. */
int davs_token_to_view(struct dav_session *d, struct unit *u, bool ctag, struct slice token, struct buf *out)
{
    const struct store_unit *r = u != NULL ? unit_record(u) : NULL;
    const char *was = r == NULL ? NULL : ctag ? r->old_ctag : r->old_token;
    const char *is = r == NULL ? NULL : ctag ? r->new_ctag : r->new_token;
    (void)d;
    if (was != NULL && is != NULL && *was != '\0' && *is != '\0' && r->differs == 0 && slice_is(token, is))
        buf_puts(out, was);
    else
        wrap(token, out);
    return 0;
}

int davs_token_to_new(struct dav_session *d, struct unit *u, struct slice token, struct buf *out)
{
    const struct store_unit *r = u != NULL ? unit_record(u) : NULL;
    (void)d;
    if (slice_starts(token, SLICE_LIT("urn:x-wherry:sync:")))
        return unwrap(token, out);
    if (r == NULL || r->old_token == NULL || r->new_token == NULL || *r->new_token == '\0' || r->differs > 0 ||
        !slice_is(token, r->old_token))
        return E_NOTFOUND;
    buf_puts(out, r->new_token);
    return 0;
}

/* ---- entity tags ---- */

int davs_etags_to_new(struct dav_session *d, const struct dav_place *p, struct slice list, bool schedule, struct buf *out)
{
    struct http_etag t;
    enum codec c;
    bool first = true;
    (void)d;
    while ((c = http_etag_next(&list, &t)) == CODEC_DONE) {
        if (!first)
            buf_puts(out, ", ");
        first = false;
        if (t.any)
            buf_putc(out, '*');
        else if (collection_etag_to_new(p->unit, p->rest, t.tag, schedule, out) != 0)
            return E_IO;
    }
    return c == CODEC_MORE && !first ? 0 : E_INVAL;
}

/* The place that a tagged list of an If field is about. */
static int tagged(struct dav_session *d, enum unit_home side, struct slice uri, struct buf *path, struct dav_place *p,
                  struct buf *out)
{
    struct slice spelled;
    int rc = http_uri_path(uri, http_field(d->q, "Host"), &spelled);
    if (rc == 0)
        rc = http_path_decode(spelled, path, NULL);
    if (rc != 0)
        return rc;
    p->unit = d->ready ? collection_find(d->account, buf_slice(path), &p->rest) : NULL;
    buf_putc(out, '<');
    /* One that is not to be seen there is told as what cannot be. */
    if (davs_uri_to_host(d, side, spelled, out) != 0)
        buf_puts(out, "/");
    buf_putc(out, '>');
    return 0;
}

int davs_if_to_host(struct dav_session *d, enum unit_home side, struct slice field, struct buf *out)
{
    struct http_if f = {.rest = field};
    enum http_if_kind kind;
    struct slice text;
    struct dav_place p = d->from;
    struct buf path = {0};
    enum codec c;
    int rc = 0;
    while (rc == 0 && (c = http_if_next(&f, &kind, &text)) == CODEC_DONE) {
        struct slice inner = slice_make(text.p + 1, text.n > 2 ? text.n - 2 : 0);
        if (kind == HTTP_IF_RESOURCE) {
            rc = tagged(d, side, inner, &path, &p, out);
        } else if (kind == HTTP_IF_ETAG && side == HOME_NEW && p.unit != NULL) {
            buf_putc(out, '[');
            rc = collection_etag_to_new(p.unit, p.rest, inner, false, out);
            buf_putc(out, ']');
        } else {
            buf_put_slice(out, text);
        }
    }
    buf_free(&path);
    return rc != 0 || c != CODEC_MORE ? E_INVAL : 0;
}

/* ---- for the rewriting of XML ---- */

static int op_href_to_view(void *arg, enum href_role role, struct slice href, struct buf *out)
{
    return davs_href_to_view(arg, role, href, out);
}

/* The collection itself has no entity tag of old's. */
static int op_etag_to_view(void *arg, struct slice etag, bool schedule, struct buf *out)
{
    struct dav_session *d = arg;
    struct slice path = buf_slice(&d->item);
    if (d->item_unit == NULL)
        return E_NOTFOUND;
    size_t n = strlen(unit_record(d->item_unit)->view_name);
    struct slice rest = path.n > n ? slice_make(path.p + n, path.n - n) : slice_str("");
    return collection_etag_to_view(d->item_unit, rest, etag, schedule, out);
}

static int op_token_to_view(void *arg, bool ctag, struct slice token, struct buf *out)
{
    struct dav_session *d = arg;
    struct unit *u = d->plan == PLAN_LISTING ? d->item_unit : d->from.unit;
    return davs_token_to_view(d, u, ctag, token, out);
}

const struct rewrite_ops davs_to_view = {op_href_to_view, op_etag_to_view, op_token_to_view};

/* What is nothing of the person's does not go to a host that is perhaps entered as an administrator. */
static int op_href_to_new(void *arg, enum href_role role, struct slice href, struct buf *out)
{
    struct slice path;
    struct dav_session *d = arg;
    (void)role;
    if (href.n > 0 && href.p[0] != '/' && http_uri_path(href, slice_str(""), &path) != 0) {
        buf_put_slice(out, href); /* mailto: and the like */
        return 0;
    }
    return davs_href_to_new(d, href, out);
}

static int op_token_to_new(void *arg, bool ctag, struct slice token, struct buf *out)
{
    struct dav_session *d = arg;
    (void)ctag;
    d->had_token = true;
    int rc = davs_token_to_new(d, d->from.unit, token, out);
    d->stale = d->stale || rc != 0;
    return rc;
}

const struct rewrite_ops davs_to_new = {op_href_to_new, NULL, op_token_to_new};
