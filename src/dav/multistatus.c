/*
 * Multi-Status, response by response. What: a small machine over the pieces of the XML door that knows where in a response it is;
 * a property is kept both as an element that can be sent elsewhere and as its text. Nothing outside of one response is held.
 */
#include "config.h"
#include "wherry/dav/multistatus.h"
#include "wherry/base/mem.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROPS_MAX = 200, NAMES_MAX = 100, RESPONSE_DEPTH = 2 };

enum place { AT_ROOT, AT_MULTISTATUS, AT_TOKEN, AT_RESPONSE, AT_HREF, AT_STATUS, AT_PROPSTAT, AT_PROPSTAT_STATUS, AT_PROP, AT_PROPERTY };

struct multistatus {
    struct xml_in *xml;
    dav_response_cb *cb;
    void *arg;
    size_t max_responses, response_bytes, n_responses;
    enum place at;
    unsigned skip; /* depth of an element that is of no interest, 0: none */
    struct dav_response r;
    size_t held; /* bytes of r */
    size_t first_prop; /* of the propstat that is open */
    struct buf text; /* of a status */
    unsigned in_href; /* depth of a DAV:href in a property, 0: none */
    bool href_done;
    struct buf token;
    unsigned propstat_status;
};

static void prop_clear(struct dav_prop *p)
{
    free(p->ns);
    free(p->name);
    buf_free(&p->xml);
    buf_free(&p->text);
    buf_free(&p->href);
    buf_free(&p->hrefs);
    for (size_t i = 0; i < p->n_names; i++)
        free(p->names[i]);
    free(p->names);
}

static void response_clear(struct dav_response *r)
{
    buf_free(&r->href);
    for (size_t i = 0; i < r->n_props; i++)
        prop_clear(&r->props[i]);
    free(r->props);
    *r = (struct dav_response){0};
}

const struct dav_prop *dav_prop_find(const struct dav_response *r, const char *ns, const char *name)
{
    for (size_t i = 0; i < r->n_props; i++) {
        const struct dav_prop *p = &r->props[i];
        if (p->status == 200 && strcmp(p->ns, ns) == 0 && strcmp(p->name, name) == 0)
            return p;
    }
    return NULL;
}

bool dav_prop_has(const struct dav_prop *p, const char *ns, const char *name)
{
    size_t n = strlen(ns);
    if (p == NULL)
        return false;
    for (size_t i = 0; i < p->n_names; i++) {
        const char *s = p->names[i];
        if (strncmp(s, ns, n) == 0 && s[n] == ' ' && strcmp(s + n + 1, name) == 0)
            return true;
    }
    return false;
}

/* "HTTP/1.1 200 OK" */
static unsigned status_of(struct slice line)
{
    size_t i = 0;
    uint32_t v;
    while (i < line.n && (line.p[i] == ' ' || line.p[i] == '\n' || line.p[i] == '\r' || line.p[i] == '\t'))
        i++;
    while (i < line.n && line.p[i] != ' ')
        i++;
    if (i + 4 > line.n || slice_u32(slice_make(line.p + i + 1, 3), &v) != 0 || v < 100 || v > 599)
        return 0;
    return v;
}

static int hold(struct multistatus *m, size_t n)
{
    m->held += n;
    return m->held > m->response_bytes ? E_LIMIT : 0;
}

static int begin_property(struct multistatus *m, const struct xml_event *ev)
{
    struct dav_response *r = &m->r;
    if (r->n_props == PROPS_MAX)
        return E_LIMIT;
    r->props = mem_grow(r->props, r->n_props + 1, sizeof(*r->props));
    struct dav_prop *p = &r->props[r->n_props++];
    *p = (struct dav_prop){.ns = slice_dup(ev->ns), .name = slice_dup(ev->name)};
    xml_put_event_alone(&p->xml, ev);
    m->at = AT_PROPERTY;
    m->in_href = 0;
    m->href_done = false;
    return hold(m, sizeof(*p) + ev->ns.n + ev->name.n + p->xml.len);
}

/* Within a property: its bytes are copied as they are. */
static int add_to_property(struct multistatus *m, const struct xml_event *ev)
{
    struct dav_prop *p = &m->r.props[m->r.n_props - 1];
    size_t before = p->xml.len + p->text.len + p->href.len + p->hrefs.len;
    xml_put_event_alone(&p->xml, ev);
    if (ev->kind == XML_TEXT) {
        buf_put_slice(&p->text, ev->text);
        if (m->in_href != 0 && !m->href_done)
            buf_put_slice(&p->href, ev->text);
        if (m->in_href != 0 && memchr(ev->text.p, '\n', ev->text.n) == NULL)
            buf_put_slice(&p->hrefs, ev->text);
    } else if (ev->kind == XML_START) {
        if (ev->depth == RESPONSE_DEPTH + 4 && p->n_names < NAMES_MAX) {
            struct buf name = {0};
            buf_put_slice(&name, ev->ns);
            buf_putc(&name, ' ');
            buf_put_slice(&name, ev->name);
            for (size_t i = 0; i < ev->n_attrs; i++) {
                if (!slice_is(ev->attrs[i].name, "name") || ev->attrs[i].ns.n > 0)
                    continue;
                buf_putc(&name, ' ');
                buf_put_slice(&name, ev->attrs[i].value);
            }
            before -= name.len < before ? name.len : 0;
            p->names = mem_grow(p->names, p->n_names + 1, sizeof(*p->names));
            p->names[p->n_names++] = mem_strdup(buf_cstr(&name));
            buf_free(&name);
        }
        if (m->in_href == 0 && xml_is(ev, NS_DAV, "href"))
            m->in_href = ev->depth;
    } else if (m->in_href == ev->depth) {
        m->in_href = 0;
        m->href_done = true;
        buf_putc(&p->hrefs, '\n');
    }
    return hold(m, p->xml.len + p->text.len + p->href.len + p->hrefs.len - before);
}

static void end_propstat(struct multistatus *m)
{
    for (size_t i = m->first_prop; i < m->r.n_props; i++)
        m->r.props[i].status = m->propstat_status;
}

static void trim(struct buf *b)
{
    struct slice s = buf_slice(b);
    size_t end = s.n, from = 0;
    while (end > 0 && s.p[end - 1] <= ' ')
        end--;
    while (from < end && s.p[from] <= ' ')
        from++;
    buf_truncate(b, end);
    buf_consume(b, from);
}

static int end_response(struct multistatus *m)
{
    if (++m->n_responses > m->max_responses)
        return E_LIMIT;
    trim(&m->r.href);
    int rc = m->cb(&m->r, m->arg);
    response_clear(&m->r);
    m->held = 0;
    return rc;
}

static int on_start(struct multistatus *m, const struct xml_event *ev)
{
    switch (m->at) {
    case AT_ROOT:
        if (!xml_is(ev, NS_DAV, "multistatus"))
            return E_PROTO;
        m->at = AT_MULTISTATUS;
        return 0;
    case AT_MULTISTATUS:
        if (xml_is(ev, NS_DAV, "response"))
            m->at = AT_RESPONSE;
        else if (xml_is(ev, NS_DAV, "sync-token"))
            m->at = AT_TOKEN;
        else
            m->skip = ev->depth;
        return 0;
    case AT_RESPONSE:
        buf_clear(&m->text);
        if (xml_is(ev, NS_DAV, "href") && m->r.href.len == 0)
            m->at = AT_HREF;
        else if (xml_is(ev, NS_DAV, "status"))
            m->at = AT_STATUS;
        else if (xml_is(ev, NS_DAV, "propstat")) {
            m->at = AT_PROPSTAT;
            m->first_prop = m->r.n_props;
            m->propstat_status = 0;
        } else
            m->skip = ev->depth;
        return 0;
    case AT_PROPSTAT:
        buf_clear(&m->text);
        if (xml_is(ev, NS_DAV, "prop"))
            m->at = AT_PROP;
        else if (xml_is(ev, NS_DAV, "status"))
            m->at = AT_PROPSTAT_STATUS;
        else
            m->skip = ev->depth;
        return 0;
    case AT_PROP:
        return begin_property(m, ev);
    case AT_PROPERTY:
        return add_to_property(m, ev);
    default: /* within a text */
        m->skip = ev->depth;
        return 0;
    }
}

static int on_end(struct multistatus *m, const struct xml_event *ev)
{
    switch (m->at) {
    case AT_PROPERTY: {
        int rc = add_to_property(m, ev);
        if (ev->depth == RESPONSE_DEPTH + 3)
            m->at = AT_PROP;
        return rc;
    }
    case AT_PROP:
        m->at = AT_PROPSTAT;
        return 0;
    case AT_PROPSTAT_STATUS:
        m->propstat_status = status_of(buf_slice(&m->text));
        m->at = AT_PROPSTAT;
        return 0;
    case AT_PROPSTAT:
        end_propstat(m);
        m->at = AT_RESPONSE;
        return 0;
    case AT_STATUS:
        m->r.status = status_of(buf_slice(&m->text));
        m->at = AT_RESPONSE;
        return 0;
    case AT_HREF:
        m->at = AT_RESPONSE;
        return 0;
    case AT_RESPONSE:
        m->at = AT_MULTISTATUS;
        return end_response(m);
    case AT_TOKEN:
        trim(&m->token);
        m->at = AT_MULTISTATUS;
        return 0;
    default:
        return 0;
    }
}

static int on_text(struct multistatus *m, const struct xml_event *ev)
{
    struct buf *to = m->at == AT_HREF                                         ? &m->r.href
                     : m->at == AT_TOKEN                                      ? &m->token
                     : m->at == AT_STATUS || m->at == AT_PROPSTAT_STATUS ? &m->text
                                                                              : NULL;
    if (m->at == AT_PROPERTY)
        return add_to_property(m, ev);
    if (to == NULL)
        return 0;
    buf_put_slice(to, ev->text);
    return to->len > m->response_bytes ? E_LIMIT : hold(m, m->at == AT_TOKEN ? 0 : ev->text.n);
}

static int on_piece(const struct xml_event *ev, void *arg)
{
    struct multistatus *m = arg;
    if (m->skip != 0) {
        if (ev->kind == XML_END && ev->depth == m->skip)
            m->skip = 0;
        return 0;
    }
    switch (ev->kind) {
    case XML_START:
        return on_start(m, ev);
    case XML_END:
        return on_end(m, ev);
    default:
        return on_text(m, ev);
    }
}

struct multistatus *multistatus_new(uint64_t max_bytes, size_t max_responses, size_t response_bytes, dav_response_cb *cb,
                                    void *arg)
{
    struct multistatus *m = mem_alloc(sizeof(*m));
    m->xml = xml_in_new(max_bytes, response_bytes, on_piece, m);
    m->max_responses = max_responses;
    m->response_bytes = response_bytes;
    m->cb = cb;
    m->arg = arg;
    return m;
}

void multistatus_free(struct multistatus **mp)
{
    struct multistatus *m = *mp;
    if (m == NULL)
        return;
    *mp = NULL;
    xml_in_free(&m->xml);
    response_clear(&m->r);
    buf_free(&m->text);
    buf_free(&m->token);
    free(m);
}

int multistatus_feed(struct multistatus *m, struct slice bytes, bool last)
{
    return xml_feed(m->xml, bytes, last);
}

const char *multistatus_error(const struct multistatus *m)
{
    return xml_error(m->xml);
}

struct slice multistatus_token(const struct multistatus *m)
{
    return buf_slice(&m->token);
}

/* ---- error bodies ---- */

enum { ERROR_BYTES = 64 * 1024 };

struct error_in {
    dav_error_cb *cb;
    void *arg;
    bool in_error, in_href;
    struct buf ns, name, href;
};

static int on_error_piece(const struct xml_event *ev, void *arg)
{
    struct error_in *e = arg;
    if (ev->depth == 1 && ev->kind == XML_START) {
        e->in_error = xml_is(ev, NS_DAV, "error");
        return e->in_error ? 0 : E_PROTO;
    }
    if (ev->kind == XML_START && ev->depth == 2) {
        buf_clear(&e->ns);
        buf_clear(&e->name);
        buf_clear(&e->href);
        buf_put_slice(&e->ns, ev->ns);
        buf_put_slice(&e->name, ev->name);
    } else if (ev->kind == XML_END && ev->depth == 2) {
        trim(&e->href);
        e->cb(buf_slice(&e->ns), buf_slice(&e->name), buf_slice(&e->href), e->arg);
    } else if (ev->kind == XML_TEXT) {
        if (e->in_href)
            buf_put_slice(&e->href, ev->text);
    } else if (xml_is(ev, NS_DAV, "href")) {
        e->in_href = ev->kind == XML_START && e->href.len == 0;
    }
    return 0;
}

void dav_error_read(struct slice body, dav_error_cb *cb, void *arg)
{
    struct error_in e = {.cb = cb, .arg = arg};
    struct xml_in *x = xml_in_new(ERROR_BYTES, 0, on_error_piece, &e);
    int rc = xml_feed(x, body, true);
    (void)rc; /* what came before the trouble was told */
    xml_in_free(&x);
    buf_free(&e.ns);
    buf_free(&e.name);
    buf_free(&e.href);
}

/* ---- request bodies ---- */

/* A prefix of its own for each namespace: some hosts answer with the request's prefixes, declared once. */
static size_t space_of(const struct dav_name *props, size_t i)
{
    size_t k = 0;
    while (strcmp(props[k].ns, props[i].ns) != 0)
        k++;
    return k;
}

void dav_put_propfind(struct buf *out, const struct dav_name *props, size_t n)
{
    xml_put_head(out);
    buf_puts(out, "<D:propfind xmlns:D=\"DAV:\"");
    for (size_t i = 0; i < n; i++) {
        if (space_of(props, i) != i || strcmp(props[i].ns, NS_DAV) == 0)
            continue;
        buf_printf(out, " xmlns:n%zu=\"", i);
        xml_put_text(out, slice_str(props[i].ns));
        buf_putc(out, '"');
    }
    buf_puts(out, "><D:prop>");
    for (size_t i = 0; i < n; i++) {
        if (strcmp(props[i].ns, NS_DAV) == 0)
            buf_printf(out, "<D:%s/>", props[i].name);
        else
            buf_printf(out, "<n%zu:%s/>", space_of(props, i), props[i].name);
    }
    buf_puts(out, "</D:prop></D:propfind>\n");
}

void dav_put_multiget(struct buf *out, bool addressbook, const struct slice *hrefs, size_t n)
{
    xml_put_head(out);
    buf_printf(out, "<C:%s-multiget xmlns:D=\"DAV:\" xmlns:C=\"%s\"><D:prop><D:getetag/><C:%s/></D:prop>",
               addressbook ? "addressbook" : "calendar", addressbook ? NS_CARDDAV : NS_CALDAV,
               addressbook ? "address-data" : "calendar-data");
    for (size_t i = 0; i < n; i++) {
        buf_puts(out, "<D:href>");
        xml_put_text(out, hrefs[i]);
        buf_puts(out, "</D:href>");
    }
    buf_printf(out, "</C:%s-multiget>\n", addressbook ? "addressbook" : "calendar");
}
