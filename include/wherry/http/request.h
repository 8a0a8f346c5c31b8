/*
 * HTTP/1.1 requests as they come from clients (RFC 9112), read strictly: what two readers could understand differently is
 * refused. llhttp lives behind this alone.
 *
 * Refused with 400: line ends that are not CRLF, folded fields (5.2), blanks before a colon, two lengths, a length beside
 * chunked, a coding other than chunked, trailer fields, no or several Host, a version other than 1.0 and 1.1, CONNECT.
 * A reader holds one head, at most head_bytes and what its fields' list takes; bodies are never held.
 */
#ifndef WHERRY_HTTP_REQUEST_H
#define WHERRY_HTTP_REQUEST_H

#include <stdbool.h>
#include "wherry/base/buf.h"

enum { HTTP_TARGET_MAX = 8 * 1024, HTTP_HEAD_MAX = 32 * 1024, HTTP_FIELDS_MAX = 100, HTTP_EXTENSION_MAX = 256 };

enum http_method {
    METHOD_OTHER,
    METHOD_OPTIONS,
    METHOD_GET,
    METHOD_HEAD,
    METHOD_POST,
    METHOD_PUT,
    METHOD_PATCH,
    METHOD_DELETE,
    METHOD_PROPFIND,
    METHOD_PROPPATCH,
    METHOD_MKCOL,
    METHOD_MKCALENDAR,
    METHOD_COPY,
    METHOD_MOVE,
    METHOD_LOCK,
    METHOD_UNLOCK,
    METHOD_REPORT,
    METHOD_ACL,
    METHOD_SEARCH
};

struct http_field {
    struct slice name, value; /* value without blanks at the ends */
};

/* Borrowed from the reader until the next request begins. */
struct http_request {
    enum http_method method;
    const char *name; /* of the method */
    struct slice target;
    const struct http_field *fields;
    size_t n_fields;
    bool http10;
    bool keep_alive; /* the client wants the connection to last */
    bool expect;     /* it waits for 100 (Continue) before it sends the body */
    bool chunked;
    bool has_body; /* a length above 0, or chunked */
    uint64_t length;
};

enum http_piece {
    HTTP_MORE, /* all of the input was taken, and more is needed */
    HTTP_START, /* the head is complete */
    HTTP_BODY, /* a piece of the body */
    HTTP_END,  /* the request is over; the next call begins another one */
    HTTP_BAD   /* http_bad_status() says what to answer; nothing more can be read */
};

struct http_reader;
struct http_reader *http_reader_new(void);
void http_reader_free(struct http_reader **r);
/*
 * Takes from the front of *in. *body is set for HTTP_BODY: borrowed from the input. Every request gives START, BODY any number of
 * times, END, in as many calls; call until MORE. After MORE *in is empty.
 */
enum http_piece http_read(struct http_reader *r, struct slice *in, struct slice *body);
const struct http_request *http_reader_request(const struct http_reader *r);
/* Nothing of a request has been read. */
bool http_reader_idle(const struct http_reader *r);
unsigned http_bad_status(const struct http_reader *r); /* 400, 414, 431, 501 or 505 */
const char *http_bad_reason(const struct http_reader *r);
/* Overwrites what was kept of the head, which may hold a password; fields are empty from then on. */
void http_reader_wipe(struct http_reader *r);

/* The first field of that name, in any case; empty when there is none. */
struct slice http_field(const struct http_request *q, const char *name);
size_t http_field_count(const struct http_request *q, const char *name);
/* All of that name with ", " between (RFC 9110 5.3). */
void http_field_join(const struct http_request *q, const char *name, struct buf *out);
/* Whether a comma-separated list has this word, in any case. */
bool http_list_has(struct slice list, const char *word);

#endif
