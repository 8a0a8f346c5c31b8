/* What is written to clients: status lines, fields, chunks; and the parts of fields that carry entity tags. */
#ifndef WHERRY_HTTP_HEAD_H
#define WHERRY_HTTP_HEAD_H

#include <stdbool.h>
#include "wherry/base/buf.h"

const char *http_reason(unsigned status); /* "Multi-Status"; never NULL */
/* "HTTP/1.1 207 Multi-Status" and CRLF. */
void http_put_status(struct buf *out, unsigned status);
/* "name: value" and CRLF; control characters of the value become blanks. */
void http_put_field(struct buf *out, const char *name, struct slice value);
/* A field whose name came from a host. False: not a name, nothing was written. */
bool http_put_field_as(struct buf *out, struct slice name, struct slice value);
void http_put_date(struct buf *out, int64_t seconds); /* IMF-fixdate, RFC 9110 5.6.7 */
void http_put_chunk(struct buf *out, struct slice bytes); /* nothing for empty bytes: that would be the end */
void http_put_last_chunk(struct buf *out);

/* A list of entity tags (RFC 9110 8.8.3, 13.1.1). */
struct http_etag {
    bool any;          /* "*" */
    struct slice tag;  /* as it stands there, W/ and quotes included */
};
/* Takes the next one off the front of *rest. CODEC_MORE: the list is at its end. */
enum codec http_etag_next(struct slice *rest, struct http_etag *out);

/* The pieces of an If field (RFC 4918 10.4), in order; together they are the whole field. */
enum http_if_kind {
    HTTP_IF_TEXT,     /* parentheses, Not, blanks, <state tokens> */
    HTTP_IF_RESOURCE, /* <URI> that tags the lists behind it */
    HTTP_IF_ETAG      /* [entity tag] */
};
struct http_if {
    struct slice rest; /* set it to the field, and the rest of the struct to zero */
    bool in_list;
};
/* CODEC_MORE: the end; CODEC_BAD: no If field. */
enum codec http_if_next(struct http_if *f, enum http_if_kind *kind, struct slice *text);

#endif
