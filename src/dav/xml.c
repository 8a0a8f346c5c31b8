/*
 * libxml2's push parser behind the door of dav/xml.h. What: its SAX2 callbacks become pieces for one callback; every bound is
 * kept here, before anything is allocated for a piece. No tree is built. Entities: only the five predefined exist, since a
 * DOCTYPE ends it. Rejected: expat (no namespaces with their prefixes in the same call), a tree with a size limit.
 */
#include "config.h"
#include "wherry/dav/xml.h"
#include "wherry/base/mem.h"
#include <libxml/parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 32 * 1024, TAG_MAX = 256 * 1024 /* what may be waiting for the end of a tag */ };

struct xml_in {
    xmlSAXHandler sax;
    xmlParserCtxtPtr ctx; /* NULL before the first byte and after an error */
    xml_cb *cb;
    void *arg;
    uint64_t max_bytes, max_text, bytes, text;
    unsigned depth;
    int result;
    bool over;
    char error[160];
    struct xml_attr attrs[XML_ATTRS_MAX];
    struct xml_ns spaces[XML_ATTRS_MAX];
};

bool xml_is(const struct xml_event *ev, const char *ns, const char *name)
{
    return ev->kind != XML_TEXT && slice_is(ev->ns, ns) && slice_is(ev->name, name);
}

static struct slice str(const xmlChar *s)
{
    return slice_str((const char *)s);
}

static void fail(struct xml_in *x, int code, const char *why)
{
    if (x->result == 0) {
        x->result = code;
        snprintf(x->error, sizeof(x->error), "%s", why);
    }
    if (x->ctx != NULL)
        xmlStopParser(x->ctx);
}

static void note_trouble(struct xml_in *x)
{
    const xmlError *e = xmlCtxtGetLastError(x->ctx);
    char why[140];
    if (x->ctx == NULL || (x->ctx->wellFormed && x->ctx->nsWellFormed))
        return;
    snprintf(why, sizeof(why), "line %d: %s", e != NULL ? e->line : 0,
             e != NULL && e->message != NULL ? e->message : "not well-formed");
    why[strcspn(why, "\n")] = '\0';
    fail(x, E_PROTO, why);
}

static void emit(struct xml_in *x, const struct xml_event *ev)
{
    note_trouble(x); /* libxml2 goes on behind what is wrong with a namespace only */
    int r = x->result == 0 ? x->cb(ev, x->arg) : 0;
    if (r != 0)
        fail(x, r, "refused");
}

static void on_start(void *arg, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri, int n_spaces,
                     const xmlChar **spaces, int n_attrs, int n_defaulted, const xmlChar **attrs)
{
    struct xml_in *x = arg;
    struct xml_event ev = {.kind = XML_START, .prefix = str(prefix), .ns = str(uri), .name = str(name)};
    (void)n_defaulted;
    x->text = 0;
    if (x->result != 0)
        return;
    if (++x->depth > XML_DEPTH_MAX) {
        fail(x, E_LIMIT, "elements are nested too deep");
        return;
    }
    if (n_attrs > XML_ATTRS_MAX || n_spaces > XML_ATTRS_MAX || ev.name.n > XML_NAME_MAX || ev.ns.n > XML_NAME_MAX) {
        fail(x, E_LIMIT, "an element has too many attributes or too long a name");
        return;
    }
    for (int i = 0; i < n_spaces; i++)
        x->spaces[i] = (struct xml_ns){.prefix = str(spaces[2 * i]), .uri = str(spaces[2 * i + 1])};
    for (int i = 0; i < n_attrs; i++, attrs += 5)
        x->attrs[i] = (struct xml_attr){.name = str(attrs[0]),
                                        .prefix = str(attrs[1]),
                                        .ns = str(attrs[2]),
                                        .value = slice_make(attrs[3], (size_t)(attrs[4] - attrs[3]))};
    ev.depth = x->depth;
    ev.attrs = x->attrs;
    ev.n_attrs = (size_t)n_attrs;
    ev.spaces = x->spaces;
    ev.n_spaces = (size_t)n_spaces;
    emit(x, &ev);
}

static void on_end(void *arg, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
    struct xml_in *x = arg;
    struct xml_event ev = {
        .kind = XML_END, .depth = x->depth, .prefix = str(prefix), .ns = str(uri), .name = str(name)};
    x->text = 0;
    emit(x, &ev);
    if (x->depth > 0)
        x->depth--;
}

static void on_text(void *arg, const xmlChar *p, int n)
{
    struct xml_in *x = arg;
    struct xml_event ev = {.kind = XML_TEXT, .depth = x->depth, .text = slice_make(p, (size_t)n)};
    if (n <= 0 || x->result != 0)
        return;
    x->text += (size_t)n;
    if (x->max_text != 0 && x->text > x->max_text)
        fail(x, E_LIMIT, "an element has too much text");
    else
        emit(x, &ev);
}

static void on_doctype(void *arg, const xmlChar *name, const xmlChar *external, const xmlChar *system)
{
    (void)name;
    (void)external;
    (void)system;
    fail(arg, E_PROTO, "a document type declaration is not allowed");
}

static xmlEntityPtr on_entity(void *arg, const xmlChar *name)
{
    xmlEntityPtr e = xmlGetPredefinedEntity(name);
    if (e == NULL)
        fail(arg, E_PROTO, "an entity that is not defined");
    return e;
}

/* libxml2 would print them. */
static void on_message(void *arg, const char *fmt, ...)
{
    (void)arg;
    (void)fmt;
}

struct xml_in *xml_in_new(uint64_t max_bytes, uint64_t max_text, xml_cb *cb, void *arg)
{
    struct xml_in *x = mem_alloc(sizeof(*x));
    x->sax.initialized = XML_SAX2_MAGIC;
    x->sax.startElementNs = on_start;
    x->sax.endElementNs = on_end;
    x->sax.characters = on_text;
    x->sax.ignorableWhitespace = on_text;
    x->sax.cdataBlock = on_text;
    x->sax.internalSubset = on_doctype;
    x->sax.externalSubset = on_doctype;
    x->sax.getEntity = on_entity;
    x->sax.warning = on_message;
    x->sax.error = on_message;
    x->sax.fatalError = on_message;
    x->max_bytes = max_bytes;
    x->max_text = max_text;
    x->cb = cb;
    x->arg = arg;
    return x;
}

static void drop_context(struct xml_in *x)
{
    if (x->ctx == NULL)
        return;
    if (x->ctx->myDoc != NULL)
        xmlFreeDoc(x->ctx->myDoc);
    xmlFreeParserCtxt(x->ctx);
    x->ctx = NULL;
}

void xml_in_free(struct xml_in **x)
{
    if (*x == NULL)
        return;
    drop_context(*x);
    free(*x);
    *x = NULL;
}

static void open_context(struct xml_in *x)
{
    x->ctx = xmlCreatePushParserCtxt(&x->sax, x, NULL, 0, NULL);
    if (x->ctx == NULL)
        abort();
    /*
     * HUGE lifts libxml2's own limits on one text (10 MB); ours hold instead. What a declaration says of the encoding is not
     * heeded: it is UTF-8, see is_utf8(); converters do not give the same for every way in which the bytes come.
     */
    xmlCtxtUseOptions(x->ctx, XML_PARSE_NONET | XML_PARSE_HUGE | XML_PARSE_NOERROR | XML_PARSE_NOWARNING |
                                  XML_PARSE_IGNORE_ENC);
}

/* Every other encoding that libxml2 finds out by itself begins with another byte, or has NULs. */
static bool is_utf8(struct slice bytes, bool first)
{
    if (bytes.n == 0)
        return true;
    if (first && bytes.p[0] != '<' && bytes.p[0] != 0xef && bytes.p[0] != ' ' && bytes.p[0] != '\t' && bytes.p[0] != '\r' &&
        bytes.p[0] != '\n')
        return false;
    return memchr(bytes.p, '\0', bytes.n) == NULL;
}

int xml_feed(struct xml_in *x, struct slice bytes, bool last)
{
    if (x->result != 0 || (x->over && bytes.n == 0))
        return x->result;
    if (x->over) {
        fail(x, E_PROTO, "something follows the document");
        return x->result;
    }
    if (!is_utf8(bytes, x->bytes == 0)) {
        fail(x, E_PROTO, "this is no XML in UTF-8");
        return x->result;
    }
    if (x->ctx == NULL)
        open_context(x);
    x->bytes += bytes.n;
    if (x->max_bytes != 0 && x->bytes > x->max_bytes)
        fail(x, E_LIMIT, "the document is too large");
    while (bytes.n > 0 && x->result == 0) {
        size_t n = bytes.n < CHUNK ? bytes.n : CHUNK;
        xmlParseChunk(x->ctx, (const char *)bytes.p, (int)n, 0);
        note_trouble(x);
        if (x->ctx->input != NULL && x->ctx->input->end - x->ctx->input->cur > TAG_MAX)
            fail(x, E_LIMIT, "a tag is too long");
        bytes = slice_make(bytes.p + n, bytes.n - n);
    }
    if (last && x->result == 0) {
        xmlParseChunk(x->ctx, NULL, 0, 1);
        note_trouble(x);
        x->over = true;
    }
    if (x->result != 0 || x->over)
        drop_context(x);
    return x->result;
}

const char *xml_error(const struct xml_in *x)
{
    return x->error;
}

/* ---- writing ---- */

void xml_put_head(struct buf *out)
{
    buf_puts(out, "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n");
}

/* Bytes of the character at p, 0 when it is none that XML may have. */
static size_t char_length(const uint8_t *p, size_t n)
{
    uint8_t c = p[0];
    if (c < 0x80)
        return c >= ' ' || c == '\t' || c == '\n' || c == '\r' ? 1 : 0;
    size_t len = c >= 0xf0 && c < 0xf5 ? 4 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xc2 && c < 0xe0 ? 2 : 0;
    if (len == 0 || len > n)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] >= 0xa0) || (c == 0xf0 && p[1] < 0x90) ||
        (c == 0xf4 && p[1] >= 0x90) || (c == 0xef && p[1] == 0xbf && p[2] >= 0xbe))
        return 0;
    return len;
}

static const char *escape_of(uint8_t c, bool attribute)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '\r':
        return "&#13;";
    case '"':
        return attribute ? "&quot;" : NULL;
    case '\n':
        return attribute ? "&#10;" : NULL;
    case '\t':
        return attribute ? "&#9;" : NULL;
    default:
        return NULL;
    }
}

static void put_escaped(struct buf *out, struct slice s, bool attribute)
{
    size_t from = 0, i = 0;
    while (i < s.n) {
        size_t n = char_length(s.p + i, s.n - i);
        const char *e = n == 0 ? "\xef\xbf\xbd" : escape_of(s.p[i], attribute);
        if (e != NULL) {
            buf_put(out, s.p + from, i - from);
            buf_puts(out, e);
            from = i + (n > 0 ? n : 1);
        }
        i += n > 0 ? n : 1;
    }
    buf_put(out, s.p + from, s.n - from);
}

void xml_put_text(struct buf *out, struct slice text)
{
    if (text.n > 0)
        put_escaped(out, text, false);
}

static void put_name(struct buf *out, struct slice prefix, struct slice name)
{
    buf_put_slice(out, prefix);
    if (prefix.n > 0)
        buf_putc(out, ':');
    buf_put_slice(out, name);
}

static void put_space(struct buf *out, struct slice prefix, struct slice uri)
{
    buf_puts(out, prefix.n > 0 ? " xmlns:" : " xmlns");
    buf_put_slice(out, prefix);
    buf_puts(out, "=\"");
    if (uri.n > 0)
        put_escaped(out, uri, true);
    buf_putc(out, '"');
}

static bool declares(const struct xml_event *ev, struct slice prefix)
{
    for (size_t i = 0; i < ev->n_spaces; i++)
        if (slice_eq(ev->spaces[i].prefix, prefix))
            return true;
    return false;
}

/* An attribute before i, or the element, has this prefix. */
static bool seen_before(const struct xml_event *ev, size_t i)
{
    struct slice prefix = ev->attrs[i].prefix;
    bool seen = slice_eq(prefix, ev->prefix);
    for (size_t k = 0; k < i; k++)
        seen = seen || slice_eq(prefix, ev->attrs[k].prefix);
    return seen;
}

static void put_start(struct buf *out, const struct xml_event *ev, bool alone)
{
    buf_putc(out, '<');
    put_name(out, ev->prefix, ev->name);
    for (size_t i = 0; i < ev->n_spaces; i++)
        put_space(out, ev->spaces[i].prefix, ev->spaces[i].uri);
    if (alone && !declares(ev, ev->prefix))
        put_space(out, ev->prefix, ev->ns);
    for (size_t i = 0; i < ev->n_attrs; i++) {
        const struct xml_attr *a = &ev->attrs[i];
        if (alone && a->prefix.n > 0 && !slice_is(a->prefix, "xml") && !declares(ev, a->prefix) && !seen_before(ev, i))
            put_space(out, a->prefix, a->ns);
        buf_putc(out, ' ');
        put_name(out, a->prefix, a->name);
        buf_puts(out, "=\"");
        if (a->value.n > 0)
            put_escaped(out, a->value, true);
        buf_putc(out, '"');
    }
    buf_putc(out, '>');
}

static void put_event(struct buf *out, const struct xml_event *ev, bool alone)
{
    switch (ev->kind) {
    case XML_START:
        put_start(out, ev, alone);
        break;
    case XML_TEXT:
        xml_put_text(out, ev->text);
        break;
    case XML_END:
        buf_puts(out, "</");
        put_name(out, ev->prefix, ev->name);
        buf_putc(out, '>');
        break;
    }
}

void xml_put_event(struct buf *out, const struct xml_event *ev)
{
    put_event(out, ev, false);
}

void xml_put_event_alone(struct buf *out, const struct xml_event *ev)
{
    put_event(out, ev, true);
}
