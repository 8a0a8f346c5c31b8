/*
 * Request targets, paths and the way a host spells them (RFC 3986, 9112 3.2). A path is decoded once; what could be two paths is
 * refused: "." and ".." as a segment (encoded ones too), encoded slashes, backslashes, control characters, bad escapes, '#'.
 */
#ifndef WHERRY_HTTP_URI_H
#define WHERRY_HTTP_URI_H

#include <stdbool.h>
#include "wherry/base/buf.h"

struct http_target {
    bool asterisk;       /* "*" of OPTIONS */
    struct buf spelled;  /* path as it came, repeated slashes made one */
    struct buf path;     /* decoded */
    struct slice query;  /* borrowed: with '?', empty when there is none */
};
/*
 * host: the value of Host. An absolute URI must be http or https and name that host (E_INVAL), likewise everything above. asterisk:
 * whether "*" is allowed. *out need not be empty, and is on error.
 */
int http_target_parse(struct slice target, struct slice host, bool asterisk, struct http_target *out) MUST_USE;
void http_target_free(struct http_target *t);

/*
 * Decodes a path (no query). spelled (may be NULL) gets it as it came with repeated slashes made one. E_INVAL as above. At most as
 * long as the path.
 */
int http_path_decode(struct slice path, struct buf *decoded, struct buf *spelled) MUST_USE;
/* The path in an absolute URI or a path itself; host (empty: any) as for http_target_parse. E_INVAL. Borrowed. */
int http_uri_path(struct slice uri, struct slice host, struct slice *path) MUST_USE;

/* Which characters of names a host leaves plain in its hrefs. Nothing known: unreserved ones alone. */
struct http_spelling {
    uint64_t plain[2], quoted[2]; /* seen so, bit for each ASCII character; plain wins */
    bool lower;                   /* %c3 rather than %C3 */
};
void http_spelling_learn(struct http_spelling *s, struct slice path_as_spelled);
void http_spelling_put(const struct http_spelling *s, struct slice decoded_path, struct buf *out);
/* As a short string for the store ("A@:!" or "a…": case of hex, plain characters), and back; what is no such string is nothing known. */
void http_spelling_text(const struct http_spelling *s, struct buf *out);
void http_spelling_read(struct http_spelling *s, struct slice text);

#endif
