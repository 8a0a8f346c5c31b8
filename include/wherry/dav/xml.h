/*
 * The XML door: a push parser that calls back for each piece, and an emitter that writes such pieces again. libxml2 lives behind
 * this alone. No network, no DTD (a document with DOCTYPE is refused), no entities but the five and character references,
 * bounded depth, attributes and total size. Comments and processing instructions are dropped. UTF-8 comes out, whatever went in.
 */
#ifndef WHERRY_DAV_XML_H
#define WHERRY_DAV_XML_H

#include <stdbool.h>
#include "wherry/base/buf.h"

/* Element names have a namespace ("DAV:", "" for none) and a local name. */
#define NS_DAV "DAV:"
#define NS_CALDAV "urn:ietf:params:xml:ns:caldav"
#define NS_CARDDAV "urn:ietf:params:xml:ns:carddav"
#define NS_CS "http://calendarserver.org/ns/"
#define NS_APPLE "http://apple.com/ns/ical/"

enum { XML_DEPTH_MAX = 48, XML_ATTRS_MAX = 32, XML_NAME_MAX = 1024 };

struct xml_attr {
    struct slice prefix, ns, name; /* empty prefix and ns: none */
    struct slice value;            /* decoded */
};
struct xml_ns {
    struct slice prefix, uri; /* empty prefix: the default namespace */
};

enum xml_kind { XML_START, XML_TEXT, XML_END };

/* One piece. All slices are good until the callback returns. */
struct xml_event {
    enum xml_kind kind;
    unsigned depth;            /* of the element, 1: the root; of TEXT: of the element it stands in */
    struct slice prefix, ns, name;         /* START and END */
    const struct xml_attr *attrs; size_t n_attrs; /* START */
    const struct xml_ns *spaces; size_t n_spaces; /* START: namespaces declared here */
    struct slice text;         /* TEXT: decoded characters; long text comes in several pieces */
};

bool xml_is(const struct xml_event *ev, const char *ns, const char *name);

/* 0 to go on; anything else is what xml_feed() returns from then on. */
typedef int xml_cb(const struct xml_event *ev, void *arg);

struct xml_in;
/* At most max_bytes of input (0: any, for what is streamed through) and max_text bytes of text in one element (0: any). */
struct xml_in *xml_in_new(uint64_t max_bytes, uint64_t max_text, xml_cb *cb, void *arg);
void xml_in_free(struct xml_in **x);
/*
 * Feeds a piece of the document, empty ones allowed; last: the document ends here. 0; E_PROTO: not well-formed, not complete, or
 * with a DOCTYPE; E_LIMIT: a bound was passed; or what the callback returned. After an error it stays.
 */
int xml_feed(struct xml_in *x, struct slice bytes, bool last) MUST_USE;
/* A sentence about the error, for people. */
const char *xml_error(const struct xml_in *x);

/* ---- writing ---- */
void xml_put_head(struct buf *out); /* <?xml version="1.0" encoding="utf-8"?> and a newline */
void xml_put_text(struct buf *out, struct slice text); /* escaped; characters that XML has not become U+FFFD */
/* A piece as it came in, prefixes and declarations included. A START is written with its '>', an END as an end tag. */
void xml_put_event(struct buf *out, const struct xml_event *ev);
/* As xml_put_event, and every prefix in use is declared anew: good anywhere, in another document too. */
void xml_put_event_alone(struct buf *out, const struct xml_event *ev);

#endif
