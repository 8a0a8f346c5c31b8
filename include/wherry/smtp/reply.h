/*
 * SMTP as hosts answer it (RFC 5321 4.2, RFC 2034), and what EHLO announces. Sans-I/O.
 */
#ifndef WHERRY_SMTP_REPLY_H
#define WHERRY_SMTP_REPLY_H

#include <stdbool.h>
#include "wherry/base/buf.h"

/* Far above the 512 octets of RFC 5321 4.5.3.1.5, since some hosts write long texts. */
enum { SMTP_MAX_REPLY_LINE = 2048, SMTP_MAX_REPLY = 32 * 1024, SMTP_MAX_REPLY_LINES = 200 };

/* A whole reply, of one line or more. Owner: whoever embeds it; at most SMTP_MAX_REPLY bytes. */
struct smtp_reply {
    unsigned code; /* 200 to 599 */
    unsigned lines;
    struct buf text; /* the lines without code, each ended by LF */
    bool more;       /* being read: further lines follow */
};
void smtp_reply_free(struct smtp_reply *r);

/*
 * Reads on. DONE: the reply is whole (the next call begins another one). MORE: *used bytes were
 * taken and more are needed. BAD: not a reply, lines with different codes, a bare CR or LF, or
 * beyond the bounds.
 */
enum codec smtp_reply_next(struct smtp_reply *r, struct slice in, size_t *used);
/* The n-th line of text; empty when there is none. */
struct slice smtp_reply_line(const struct smtp_reply *r, unsigned n);
/* Writes it out again, whole, with CRLF; control characters become '?'. */
void smtp_reply_put(struct buf *out, const struct smtp_reply *r);
/* "queued as X" or "id=X" in the text of an accepted message; empty when there is none. */
struct slice smtp_reply_queue_id(const struct smtp_reply *r);

/* ---- EHLO ---- */
#define SMTP_EXTS(X)                                                                               \
    X(PIPELINING, "PIPELINING")                                                                    \
    X(8BITMIME, "8BITMIME")                                                                        \
    X(SIZE, "SIZE")                                                                                \
    X(DSN, "DSN")                                                                                  \
    X(CHUNKING, "CHUNKING")                                                                        \
    X(SMTPUTF8, "SMTPUTF8")                                                                        \
    X(ENHANCEDSTATUSCODES, "ENHANCEDSTATUSCODES")                                                  \
    X(REQUIRETLS, "REQUIRETLS")                                                                    \
    X(STARTTLS, "STARTTLS")                                                                        \
    X(AUTH, "AUTH")                                                                                \
    X(XCLIENT, "XCLIENT")
enum smtp_ext {
#define X(id, name) SMTP_EXT_##id,
    SMTP_EXTS(X)
#undef X
        SMTP_EXT_COUNT
};
#define SMTP_BIT(id) (1u << SMTP_EXT_##id)
/* Those that mean the same to a client behind a proxy. */
#define SMTP_EXT_PASSED                                                                            \
    (SMTP_BIT(PIPELINING) | SMTP_BIT(8BITMIME) | SMTP_BIT(SIZE) | SMTP_BIT(DSN) |                  \
     SMTP_BIT(CHUNKING) | SMTP_BIT(SMTPUTF8) | SMTP_BIT(ENHANCEDSTATUSCODES) |                     \
     SMTP_BIT(REQUIRETLS))

enum smtp_mech { SMTP_MECH_PLAIN = 1, SMTP_MECH_LOGIN = 2 };
enum smtp_xattr {
    SMTP_XADDR = 1,
    SMTP_XPORT = 2,
    SMTP_XPROTO = 4,
    SMTP_XHELO = 8,
    SMTP_XLOGIN = 16
};

struct smtp_ehlo {
    unsigned ext;    /* SMTP_BITs */
    uint64_t size;   /* of SIZE; 0: no limit told */
    unsigned mechs;  /* enum smtp_mech */
    unsigned xattrs; /* enum smtp_xattr */
};
/* From the reply to EHLO; its first line is the host's name. Unknown keywords are passed over. */
void smtp_ehlo_parse(const struct smtp_reply *r, struct smtp_ehlo *out);
/* Appends the lines "250-KEYWORD" for the bits given, SIZE with its number; no last line, that is
 * the caller's. */
void smtp_ehlo_put(struct buf *out, unsigned ext, uint64_t size);

#endif
