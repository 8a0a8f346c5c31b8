/*
 * The pieces of a document, written again with some of their values changed. See dav_rewrite.h.
 *
 * A value is gathered from the start tag to the end tag of its element; the start tag is written only then, since the element may have to
 * go. Rejected: a tree of the document (answers are as large as calendars), and replacing bytes in the text.
 */
#include "config.h"
#include "front/dav_rewrite.h"
#include <stdlib.h>
#include <string.h>
#include "wherry/base/mem.h"

enum value_kind { VALUE_NONE, VALUE_HREF, VALUE_ETAG, VALUE_SCHEDULE_TAG, VALUE_CTAG, VALUE_TOKEN };

struct rewrite {
    struct rewrite_ops ops;
    void *arg;
    enum rewrite_part part;
    struct xml_in *in;
    struct buf out, tail;
    char root_ns[64], root_name[64];
    /* the response */
    unsigned response;   /* its depth, 0: not in one */
    size_t response_at;  /* where it begins in out */
    bool named, dropped; /* its href has come; it is not to be seen */
    /* the property that says what hrefs in it are for */
    enum href_role role;
    unsigned role_depth;
    /* the value */
    enum value_kind kind;
    unsigned value_depth;
    struct buf start, value;
};

struct rewrite *rewrite_new(const struct rewrite_ops *ops, void *arg, enum rewrite_part part)
{
    struct rewrite *r = mem_alloc(sizeof(*r));
    r->ops = *ops;
    r->arg = arg;
    r->part = part;
    if (part != REWRITE_INNER)
        xml_put_head(&r->out);
    return r;
}

void rewrite_free(struct rewrite **rp)
{
    struct rewrite *r = *rp;
    if (r == NULL)
        return;
    *rp = NULL;
    xml_in_free(&r->in);
    buf_free(&r->out);
    buf_free(&r->tail);
    buf_free(&r->start);
    buf_free(&r->value);
    free(r);
}

/* ---- what is what ---- */

static enum value_kind kind_of(const struct xml_event *ev)
{
    if (xml_is(ev, NS_DAV, "href"))
        return VALUE_HREF;
    if (xml_is(ev, NS_DAV, "getetag"))
        return VALUE_ETAG;
    if (xml_is(ev, NS_CALDAV, "schedule-tag"))
        return VALUE_SCHEDULE_TAG;
    if (xml_is(ev, NS_CS, "getctag"))
        return VALUE_CTAG;
    return xml_is(ev, NS_DAV, "sync-token") ? VALUE_TOKEN : VALUE_NONE;
}

static const struct {
    const char *ns, *name;
    enum href_role role;
} roles[] = {
    {NS_DAV, "current-user-principal", HREF_PRINCIPAL}, {NS_DAV, "principal-URL", HREF_PRINCIPAL},
    {NS_DAV, "principal", HREF_PRINCIPAL},              {NS_DAV, "owner", HREF_PRINCIPAL},
    {NS_DAV, "group-member-set", HREF_PRINCIPAL},       {NS_DAV, "group-membership", HREF_PRINCIPAL},
    {NS_DAV, "alternate-URI-set", HREF_PRINCIPAL},      {NS_CALDAV, "calendar-user-address-set", HREF_PRINCIPAL},
    {NS_CALDAV, "calendar-home-set", HREF_CALENDARS},   {NS_CARDDAV, "addressbook-home-set", HREF_BOOKS},
    {NS_CARDDAV, "principal-address", HREF_BOOKS},
};

static void note_role(struct rewrite *r, const struct xml_event *ev)
{
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]) && r->role_depth == 0; i++) {
        if (xml_is(ev, roles[i].ns, roles[i].name)) {
            r->role = roles[i].role;
            r->role_depth = ev->depth;
        }
    }
}

/* ---- putting out ---- */

static void put(struct rewrite *r, struct buf *out, const struct xml_event *ev)
{
    if (r->dropped)
        return;
    if (r->part != REWRITE_INNER)
        xml_put_event(out, ev);
    else if (ev->depth > 1 && r->response > 0)
        xml_put_event_alone(out, ev);
}

/* What the gathered value becomes. False: its element goes. */
static bool change(struct rewrite *r, struct buf *to)
{
    struct slice v = buf_slice(&r->value);
    enum href_role role = r->role;
    int rc = -1;
    if (r->kind == VALUE_HREF && r->response > 0 && r->value_depth == r->response + 1)
        role = HREF_RESPONSE;
    switch (r->kind) {
    case VALUE_HREF:
        if (r->ops.href == NULL)
            break;
        if (r->ops.href(r->arg, role, v, to) == 0)
            return true;
        if (role == HREF_RESPONSE && !r->named) {
            r->dropped = true;
            buf_truncate(&r->out, r->response_at);
        }
        return false;
    case VALUE_ETAG:
    case VALUE_SCHEDULE_TAG:
        rc = r->ops.etag == NULL ? -1 : r->ops.etag(r->arg, v, r->kind == VALUE_SCHEDULE_TAG, to);
        if (rc != 0 && r->ops.etag != NULL)
            return true; /* empty */
        break;
    case VALUE_CTAG:
    case VALUE_TOKEN:
        rc = r->ops.token == NULL ? -1 : r->ops.token(r->arg, r->kind == VALUE_CTAG, v, to);
        if (rc != 0 && r->ops.token != NULL)
            return true;
        break;
    case VALUE_NONE:
        break;
    }
    if (rc != 0)
        buf_put_slice(to, v);
    return true;
}

/* Blanks around a value are no part of it. */
static void trim(struct buf *v)
{
    while (v->len > 0 && strchr(" \t\r\n", v->mem[v->off + v->len - 1]) != NULL)
        buf_truncate(v, v->len - 1);
    while (v->len > 0 && strchr(" \t\r\n", v->mem[v->off]) != NULL)
        buf_consume(v, 1);
}

static void end_value(struct rewrite *r, const struct xml_event *ev)
{
    struct buf to = {0};
    trim(&r->value);
    bool stays = r->value.len == 0 || change(r, &to);
    bool names = r->kind == VALUE_HREF && r->response > 0 && r->value_depth == r->response + 1;
    if (stays && !r->dropped) {
        buf_put_slice(&r->out, buf_slice(&r->start));
        if (r->part != REWRITE_INNER || r->response > 0)
            xml_put_text(&r->out, buf_slice(&to));
        put(r, &r->out, ev);
    }
    r->named = r->named || names;
    r->kind = VALUE_NONE;
    buf_clear(&r->start);
    buf_clear(&r->value);
    buf_free(&to);
}

/* There is an element in it: it is no value. */
static void no_value(struct rewrite *r)
{
    if (!r->dropped) {
        buf_put_slice(&r->out, buf_slice(&r->start));
        xml_put_text(&r->out, buf_slice(&r->value));
    }
    r->kind = VALUE_NONE;
    buf_clear(&r->start);
    buf_clear(&r->value);
}

/* ---- the pieces ---- */

static void on_root(struct rewrite *r, const struct xml_event *ev)
{
    if (ev->ns.n > 0 && ev->ns.n < sizeof(r->root_ns) && ev->name.n < sizeof(r->root_name)) {
        memcpy(r->root_ns, ev->ns.p, ev->ns.n);
        memcpy(r->root_name, ev->name.p, ev->name.n);
    }
}

static void on_start(struct rewrite *r, const struct xml_event *ev)
{
    if (r->kind != VALUE_NONE)
        no_value(r);
    if (ev->depth == 1 && ev->name.n > 0)
        on_root(r, ev);
    if (r->response == 0 && xml_is(ev, NS_DAV, "response")) {
        r->response = ev->depth;
        r->response_at = r->out.len;
        r->named = r->dropped = false;
    }
    note_role(r, ev);
    r->kind = kind_of(ev);
    r->value_depth = ev->depth;
    put(r, r->kind != VALUE_NONE ? &r->start : &r->out, ev);
}

static int on_text(struct rewrite *r, const struct xml_event *ev)
{
    if (r->kind == VALUE_NONE) {
        put(r, &r->out, ev);
        return 0;
    }
    if (r->value.len + ev->text.n > DAV_VALUE_MAX)
        return E_LIMIT;
    buf_put_slice(&r->value, ev->text);
    return 0;
}

static void on_end(struct rewrite *r, const struct xml_event *ev)
{
    if (r->kind != VALUE_NONE)
        end_value(r, ev);
    else if (ev->depth == 1 && r->part == REWRITE_OPEN)
        xml_put_event(&r->tail, ev);
    else
        put(r, &r->out, ev);
    if (r->role_depth == ev->depth) {
        r->role = HREF_ANY;
        r->role_depth = 0;
    }
    if (r->response == ev->depth) {
        r->response = 0;
        r->dropped = false;
    }
}

static int on_event(const struct xml_event *ev, void *arg)
{
    struct rewrite *r = arg;
    int rc = 0;
    if (ev->kind == XML_START)
        on_start(r, ev);
    else if (ev->kind == XML_TEXT)
        rc = on_text(r, ev);
    else
        on_end(r, ev);
    return rc;
}

int rewrite_feed(struct rewrite *r, struct slice bytes, bool last)
{
    if (r->in == NULL)
        r->in = xml_in_new(0, 0, on_event, r);
    return xml_feed(r->in, bytes, last);
}

struct slice rewrite_out(const struct rewrite *r)
{
    size_t n = r->response > 0 && !r->named ? r->response_at : r->out.len;
    return slice_make(buf_slice(&r->out).p, n);
}

void rewrite_take(struct rewrite *r, size_t n)
{
    buf_consume(&r->out, n);
    if (r->response > 0 && !r->named)
        r->response_at -= n;
}

struct slice rewrite_tail(const struct rewrite *r)
{
    return buf_slice(&r->tail);
}

const char *rewrite_error(const struct rewrite *r)
{
    return r->in != NULL ? xml_error(r->in) : "";
}

bool rewrite_root_is(const struct rewrite *r, const char *ns, const char *name)
{
    return strcmp(r->root_ns, ns) == 0 && strcmp(r->root_name, name) == 0;
}
