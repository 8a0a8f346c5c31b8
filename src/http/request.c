/*
 * The reader of requests. See request.h.
 *
 * llhttp does the grammar, and stops at the end of the head, at each piece of a body and at the end. It takes obs-fold
 * and lines that end in a bare LF, so each byte of a head passes a scanner of our own first, which also finds the limits before anything
 * is kept. Rejected: a parser of our own for heads and chunks.
 */
#include "config.h"
#include "wherry/http/request.h"
#include <llhttp.h>
#include <stdlib.h>
#include <string.h>
#include "wherry/base/mem.h"

struct place { /* of a piece in head */
    size_t at, n;
};

enum phase { PHASE_HEAD, PHASE_BODY, PHASE_ENDED, PHASE_BAD };
/* Where the scanner of a head is. */
enum scan { SCAN_LINE, SCAN_TEXT, SCAN_CR };

struct http_reader {
    llhttp_t parser;
    llhttp_settings_t settings;
    enum phase phase;
    enum scan scan;
    size_t seen;       /* bytes of the head so far */
    size_t line_bytes; /* of this line */
    unsigned lines;    /* that are not empty */
    unsigned blank;    /* empty lines before the first */
    struct buf head;   /* target, names and values one behind the other */
    struct place target;
    struct place *names, *values;
    size_t n_fields, room;
    bool in_value, complete, ended;
    size_t extension; /* bytes of chunk extensions */
    struct slice body;
    struct http_request request;
    struct http_field *fields;
    unsigned status;
    const char *reason;
};

static int refuse(struct http_reader *r, unsigned status, const char *reason)
{
    if (r->status == 0) {
        r->status = status;
        r->reason = reason;
    }
    r->phase = PHASE_BAD;
    return -1;
}

/* ---- what llhttp calls ---- */

static struct http_reader *reader_of(llhttp_t *p)
{
    return p->data;
}

static void keep(struct http_reader *r, struct place *to, const char *at, size_t n)
{
    if (to->n == 0)
        to->at = r->head.len;
    buf_put(&r->head, at, n);
    to->n += n;
}

static int on_url(llhttp_t *p, const char *at, size_t n)
{
    struct http_reader *r = reader_of(p);
    keep(r, &r->target, at, n);
    return r->target.n > HTTP_TARGET_MAX ? refuse(r, 414, "the target is too long") : 0;
}

static int on_name(llhttp_t *p, const char *at, size_t n)
{
    struct http_reader *r = reader_of(p);
    if (r->complete)
        return refuse(r, 400, "there is a field behind the body");
    if (r->n_fields == 0 || r->in_value) {
        if (r->n_fields == HTTP_FIELDS_MAX)
            return refuse(r, 431, "there are too many fields");
        if (r->n_fields == r->room) {
            r->room = r->room == 0 ? 16 : r->room * 2;
            r->names = mem_grow(r->names, r->room, sizeof(*r->names));
            r->values = mem_grow(r->values, r->room, sizeof(*r->values));
        }
        r->names[r->n_fields] = r->values[r->n_fields] = (struct place){0};
        r->n_fields++;
        r->in_value = false;
    }
    keep(r, &r->names[r->n_fields - 1], at, n);
    return 0;
}

static int on_value(llhttp_t *p, const char *at, size_t n)
{
    struct http_reader *r = reader_of(p);
    if (r->complete || r->n_fields == 0)
        return refuse(r, 400, "there is a field behind the body");
    r->in_value = true;
    keep(r, &r->values[r->n_fields - 1], at, n);
    return 0;
}

static int on_value_complete(llhttp_t *p)
{
    reader_of(p)->in_value = true; /* also when it is empty */
    return 0;
}

static int on_headers_complete(llhttp_t *p)
{
    struct http_reader *r = reader_of(p);
    r->complete = true;
    p->upgrade = 0; /* Upgrade may be ignored: RFC 9110 7.8 */
    return HPE_PAUSED;
}

static int on_body(llhttp_t *p, const char *at, size_t n)
{
    reader_of(p)->body = slice_make(at, n);
    return n > 0 ? HPE_PAUSED : 0;
}

static int on_extension(llhttp_t *p, const char *at, size_t n)
{
    struct http_reader *r = reader_of(p);
    (void)at;
    r->extension += n;
    return r->extension > HTTP_EXTENSION_MAX ? refuse(r, 400, "there is too much in a chunk's extensions") : 0;
}

static int on_chunk_complete(llhttp_t *p)
{
    reader_of(p)->extension = 0;
    return 0;
}

static int on_message_complete(llhttp_t *p)
{
    reader_of(p)->ended = true;
    return HPE_PAUSED;
}

struct http_reader *http_reader_new(void)
{
    struct http_reader *r = mem_alloc(sizeof(*r));
    llhttp_settings_init(&r->settings);
    r->settings.on_url = on_url;
    r->settings.on_header_field = on_name;
    r->settings.on_header_value = on_value;
    r->settings.on_header_value_complete = on_value_complete;
    r->settings.on_headers_complete = on_headers_complete;
    r->settings.on_body = on_body;
    r->settings.on_chunk_extension_name = on_extension;
    r->settings.on_chunk_extension_value = on_extension;
    r->settings.on_chunk_complete = on_chunk_complete;
    r->settings.on_message_complete = on_message_complete;
    llhttp_init(&r->parser, HTTP_REQUEST, &r->settings);
    r->parser.data = r;
    return r;
}

void http_reader_wipe(struct http_reader *r)
{
    buf_wipe(&r->head);
    r->request.n_fields = 0;
    r->request.target = slice_make(NULL, 0);
    r->n_fields = 0;
}

void http_reader_free(struct http_reader **rp)
{
    struct http_reader *r = *rp;
    if (r == NULL)
        return;
    *rp = NULL;
    buf_wipe(&r->head);
    free(r->names);
    free(r->values);
    free(r->fields);
    free(r);
}

/* ---- the scanner ---- */

/* Whether the byte may come here; *done when the head is over with it. */
static int scan_byte(struct http_reader *r, uint8_t c, bool *done)
{
    switch (r->scan) {
    case SCAN_LINE:
        if ((c == ' ' || c == '\t') && r->lines > 0)
            return refuse(r, 400, "a field is folded");
        if (c != '\r' && c != '\n') {
            r->lines++;
            r->line_bytes = 0;
        }
        r->scan = SCAN_TEXT;
        /* fall through */
    case SCAN_TEXT:
        if (c == '\n')
            return refuse(r, 400, "a line ends without CR");
        if (c == '\0')
            return refuse(r, 400, "there is a NUL in the head");
        if (c == '\r')
            r->scan = SCAN_CR;
        else
            r->line_bytes++;
        return 0;
    case SCAN_CR:
        if (c != '\n')
            return refuse(r, 400, "there is a CR within a line");
        *done = r->lines > 0 && r->line_bytes == 0;
        if (r->lines == 0 && ++r->blank > 2)
            return refuse(r, 400, "there are empty lines instead of a request");
        r->line_bytes = 0;
        r->scan = SCAN_LINE;
        return 0;
    }
    return 0;
}

/* How much of the input may be read as a head: all, or up to its end. 0: none, it was refused. */
static size_t scan_head(struct http_reader *r, struct slice in)
{
    bool done = false;
    size_t n = 0;
    while (n < in.n && !done) {
        if (++r->seen > HTTP_HEAD_MAX) {
            (void)refuse(r, r->lines <= 1 ? 414 : 431, "the head is too long");
            return 0;
        }
        if (scan_byte(r, in.p[n++], &done) != 0)
            return 0;
    }
    return n;
}

/* ---- the head as a whole ---- */

static const struct {
    uint8_t theirs;
    enum http_method ours;
} methods[] = {
    {HTTP_OPTIONS, METHOD_OPTIONS},     {HTTP_GET, METHOD_GET},
    {HTTP_HEAD, METHOD_HEAD},           {HTTP_POST, METHOD_POST},
    {HTTP_PUT, METHOD_PUT},             {HTTP_PATCH, METHOD_PATCH},
    {HTTP_DELETE, METHOD_DELETE},       {HTTP_PROPFIND, METHOD_PROPFIND},
    {HTTP_PROPPATCH, METHOD_PROPPATCH}, {HTTP_MKCOL, METHOD_MKCOL},
    {HTTP_MKCALENDAR, METHOD_MKCALENDAR}, {HTTP_COPY, METHOD_COPY},
    {HTTP_MOVE, METHOD_MOVE},           {HTTP_LOCK, METHOD_LOCK},
    {HTTP_UNLOCK, METHOD_UNLOCK},       {HTTP_REPORT, METHOD_REPORT},
    {HTTP_ACL, METHOD_ACL},             {HTTP_SEARCH, METHOD_SEARCH},
};

static struct slice piece(const struct http_reader *r, const struct place *p)
{
    return slice_make(r->head.mem + r->head.off + p->at, p->n);
}

static struct slice trimmed(struct slice v)
{
    while (v.n > 0 && (v.p[0] == ' ' || v.p[0] == '\t')) {
        v.p++;
        v.n--;
    }
    while (v.n > 0 && (v.p[v.n - 1] == ' ' || v.p[v.n - 1] == '\t'))
        v.n--;
    return v;
}

/* Nothing may be understood in two ways. */
static int check(struct http_reader *r)
{
    struct http_request *q = &r->request;
    size_t lengths = http_field_count(q, "Content-Length");
    size_t codings = http_field_count(q, "Transfer-Encoding");
    size_t hosts = http_field_count(q, "Host");
    struct slice expect = http_field(q, "Expect");
    if (r->parser.http_major != 1)
        return refuse(r, 505, "the version is neither 1.0 nor 1.1");
    if (r->parser.method == HTTP_CONNECT)
        return refuse(r, 400, "this is no proxy");
    if (lengths > 1 || (lengths > 0 && codings > 0))
        return refuse(r, 400, "the length of the body is told twice");
    if (codings > 1 || (codings > 0 && q->http10))
        return refuse(r, 400, "the coding of the body cannot be told");
    if (codings > 0 && !slice_is_nocase(http_field(q, "Transfer-Encoding"), "chunked"))
        return refuse(r, 501, "there is a coding other than chunked");
    if (hosts > 1 || (hosts == 0 && !q->http10))
        return refuse(r, 400, "Host must be there once");
    if (lengths > 0 && slice_u64(http_field(q, "Content-Length"), &q->length) != 0)
        return refuse(r, 400, "the length is no number");
    if (expect.n > 0 && !slice_is_nocase(expect, "100-continue"))
        return refuse(r, 417, "Expect wants something that is not known");
    q->expect = expect.n > 0 && !q->http10;
    q->chunked = codings > 0;
    q->has_body = q->chunked || q->length > 0;
    return 0;
}

static int complete(struct http_reader *r)
{
    struct http_request *q = &r->request;
    *q = (struct http_request){.name = llhttp_method_name((llhttp_method_t)r->parser.method)};
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (methods[i].theirs == r->parser.method)
            q->method = methods[i].ours;
    }
    r->fields = mem_grow(r->fields, r->n_fields + 1, sizeof(*r->fields));
    for (size_t i = 0; i < r->n_fields; i++)
        r->fields[i] = (struct http_field){piece(r, &r->names[i]), trimmed(piece(r, &r->values[i]))};
    q->target = piece(r, &r->target);
    q->fields = r->fields;
    q->n_fields = r->n_fields;
    q->http10 = r->parser.http_minor == 0;
    q->keep_alive = llhttp_should_keep_alive(&r->parser) != 0;
    return check(r);
}

static void begin(struct http_reader *r)
{
    buf_wipe(&r->head);
    r->target = (struct place){0};
    r->request = (struct http_request){0};
    r->phase = PHASE_HEAD;
    r->scan = SCAN_LINE;
    r->seen = r->line_bytes = r->n_fields = r->extension = 0;
    r->lines = r->blank = 0;
    r->in_value = r->complete = r->ended = false;
}

/* ---- reading ---- */

/* Feeds as much as is good for this phase. Advances *in. */
static void feed(struct http_reader *r, struct slice *in, size_t n)
{
    const char *from = n > 0 ? (const char *)in->p : "";
    r->body = slice_make(NULL, 0);
    if (llhttp_get_errno(&r->parser) == HPE_PAUSED)
        llhttp_resume(&r->parser);
    llhttp_errno_t e = llhttp_execute(&r->parser, from, n);
    size_t used = n;
    if (e == HPE_PAUSED)
        used = (size_t)(llhttp_get_error_pos(&r->parser) - from);
    else if (e != HPE_OK)
        (void)refuse(r, e == HPE_INVALID_METHOD ? 501 : e == HPE_INVALID_VERSION ? 505 : 400,
                     llhttp_get_error_reason(&r->parser));
    in->p += used;
    in->n -= used;
}

static enum http_piece read_head(struct http_reader *r, struct slice *in)
{
    size_t n = scan_head(r, *in);
    if (n > 0) {
        struct slice head = slice_make(in->p, n);
        feed(r, &head, n);
        in->p += n - head.n;
        in->n -= n - head.n;
        /* The scanner and llhttp must agree on where the head ends. */
        if (r->phase != PHASE_BAD && r->complete && head.n > 0)
            (void)refuse(r, 400, "the end of the head is unclear");
    }
    if (r->phase == PHASE_BAD)
        return HTTP_BAD;
    if (!r->complete)
        return HTTP_MORE;
    if (complete(r) != 0)
        return HTTP_BAD;
    r->phase = PHASE_BODY;
    return HTTP_START;
}

enum http_piece http_read(struct http_reader *r, struct slice *in, struct slice *body)
{
    *body = slice_make(NULL, 0);
    if (r->phase == PHASE_ENDED)
        begin(r);
    if (r->phase == PHASE_BAD)
        return HTTP_BAD;
    if (r->phase == PHASE_HEAD)
        return in->n > 0 ? read_head(r, in) : HTTP_MORE;
    do {
        feed(r, in, in->n);
    } while (r->phase == PHASE_BODY && r->body.n == 0 && !r->ended && in->n > 0);
    *body = r->body;
    if (r->phase == PHASE_BAD)
        return HTTP_BAD;
    if (r->body.n > 0)
        return HTTP_BODY;
    if (!r->ended)
        return HTTP_MORE;
    r->phase = PHASE_ENDED;
    return HTTP_END;
}

const struct http_request *http_reader_request(const struct http_reader *r)
{
    return &r->request;
}

bool http_reader_idle(const struct http_reader *r)
{
    return r->phase == PHASE_ENDED || (r->phase == PHASE_HEAD && r->seen == 0);
}

unsigned http_bad_status(const struct http_reader *r)
{
    return r->status;
}

const char *http_bad_reason(const struct http_reader *r)
{
    return r->reason;
}

/* ---- looking things up ---- */

struct slice http_field(const struct http_request *q, const char *name)
{
    for (size_t i = 0; i < q->n_fields; i++) {
        if (slice_is_nocase(q->fields[i].name, name))
            return q->fields[i].value;
    }
    return slice_make(NULL, 0);
}

size_t http_field_count(const struct http_request *q, const char *name)
{
    size_t n = 0;
    for (size_t i = 0; i < q->n_fields; i++)
        n += slice_is_nocase(q->fields[i].name, name);
    return n;
}

void http_field_join(const struct http_request *q, const char *name, struct buf *out)
{
    bool first = true;
    for (size_t i = 0; i < q->n_fields; i++) {
        if (!slice_is_nocase(q->fields[i].name, name))
            continue;
        if (!first)
            buf_puts(out, ", ");
        buf_put_slice(out, q->fields[i].value);
        first = false;
    }
}

bool http_list_has(struct slice list, const char *word)
{
    while (list.n > 0) {
        const uint8_t *comma = memchr(list.p, ',', list.n);
        size_t n = comma != NULL ? (size_t)(comma - list.p) : list.n;
        if (slice_is_nocase(trimmed(slice_make(list.p, n)), word))
            return true;
        n += comma != NULL;
        list.p += n;
        list.n -= n;
    }
    return false;
}
