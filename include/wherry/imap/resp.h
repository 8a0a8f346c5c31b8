/*
 * What a server sends, as a pull parser that never holds a literal (RFC 3501 section 7). The owner feeds it
 * the bytes it has and consumes what was used; slices in the result borrow from that input.
 */
#ifndef WHERRY_IMAP_RESP_H
#define WHERRY_IMAP_RESP_H

#include "wherry/imap/lex.h"

enum imap_cond { COND_NONE, COND_OK, COND_NO, COND_BAD, COND_BYE, COND_PREAUTH };

enum resp_kind {
    RESP_NONE,
    RESP_CONT,   /* "+ text" */
    RESP_TAGGED, /* tag, cond, code, text */
    RESP_STATUS, /* "* OK [code] text" and NO, BAD, BYE, PREAUTH */
    RESP_BEGIN,  /* other untagged data begins: "* 12 FETCH", "* LIST", "* 5 EXISTS", "* CAPABILITY" */
    RESP_TOK,    /* a token of it; a TOK_LITERAL is followed by RESP_BYTES until last */
    RESP_BYTES,  /* some bytes of the literal; an empty literal gives one empty piece with last set */
    RESP_END     /* CRLF of the data that RESP_BEGIN began */
};

struct resp {
    enum resp_kind kind;
    struct slice tag;
    enum imap_cond cond;
    struct slice code; /* between [ and ], without them; n = 0 when there is none */
    struct slice text; /* after the code (and a space), or of the continuation */
    bool has_num;
    uint32_t num;      /* "12" of "* 12 FETCH" */
    struct slice name; /* as received; compare with slice_is_nocase */
    struct tok tok;
    struct slice bytes;
    bool last;
};

struct resp_reader {
    int state;
    uint64_t literal_left;
    unsigned depth;
    /* Bounds, set by imap_resp_init to its defaults and changeable before the first call. */
    size_t max_token;     /* longest token or status line, default 1 MiB */
    uint64_t max_literal; /* default 4 GiB - 1 */
    unsigned max_depth;   /* parentheses, default 1000: BODYSTRUCTURE of deeply nested mail */
};

void imap_resp_init(struct resp_reader *r);
/* DONE: *out holds an event and *used bytes are to be consumed before the next call. MORE: feed more. BAD: the
 * server broke the protocol, the connection is of no use any more. */
enum codec imap_resp_next(struct resp_reader *r, struct slice in, size_t *used,
                          struct resp *out) MUST_USE;
/* True between responses: at a place where one may stop reading. */
bool imap_resp_idle(const struct resp_reader *r);
/* True within untagged data, outside of parentheses and literals: the next event is a token or the end. */
bool imap_resp_between(const struct resp_reader *r);

/*
 * FETCH data gathered from the events above. Feed every event from RESP_BEGIN with name FETCH on; events of
 * other responses give FETCH_NONE. Order of items is free. A body (BODY[], RFC822, BINARY[], partial ones too) is
 * passed on in pieces and never held. BODY[HEADER…] and RFC822.HEADER are held in header; a message that carries
 * other sections or items has them skipped.
 */
enum fetch_event {
    FETCH_NONE,
    FETCH_BODY,       /* a body of body_size bytes begins */
    FETCH_BYTES,      /* some of it, in bytes */
    FETCH_BODY_END,   /* the last of it, in bytes (which may be empty) */
    FETCH_BODY_WHOLE, /* a whole body that came as a quoted string: body_size, and bytes has it unescaped */
    FETCH_DONE,       /* the response is complete: look at the fields */
    FETCH_BAD         /* malformed; the rest of the response is skipped, then FETCH_DONE comes with bad set */
};

/* Owner: whoever reads the responses. Holds at most max_header plus 8 KiB of flags, and a quoted body. */
struct fetch {
    uint32_t seq, uid; /* uid 0: not told */
    bool has_flags, has_date, has_size, body_nil, bad;
    struct buf flags;  /* space-separated, as sent, without parentheses, without \Recent */
    struct buf date;   /* the internal date as sent, between the quotes */
    int64_t when;      /* the same, seconds since 1970 */
    uint64_t size;     /* RFC822.SIZE */
    uint64_t body_size;
    uint64_t modseq;   /* 0: not told */
    struct buf header; /* HEADER section, cut at max_header bytes */
    struct buf text;   /* a quoted body, unescaped */
    struct slice bytes; /* FETCH_BYTES, BODY_END, BODY_WHOLE: borrowed until the next call */
    size_t max_header; /* default 64 KiB, changeable at any time */
    /* private */
    int state, item;
    unsigned depth;
};

void imap_fetch_init(struct fetch *f);
void imap_fetch_free(struct fetch *f);
enum fetch_event imap_fetch_feed(struct fetch *f, const struct resp *r);

/*
 * One whole small response gathered into memory (LIST, LSUB, STATUS, NAMESPACE, SEARCH of a session of our own …):
 * literals inline, so that struct imap_args can read it. E_LIMIT past max bytes. Feed RESP_BEGIN to RESP_END.
 * Returns 1 when complete, 0 while not, E_LIMIT from the event that goes past max to the end of the response.
 */
struct resp_line {
    struct buf buf; /* everything after the name */
    struct buf name;
    bool has_num, over; /* over: max was passed */
    uint32_t num;
};
int imap_line_feed(struct resp_line *l, const struct resp *r, size_t max) MUST_USE;
void imap_line_free(struct resp_line *l);

/* "* LIST (\A \B) "/" name" from its gathered line. sep 0 for NIL. flags borrows, name is appended. */
struct list_data {
    struct slice flags; /* inside the parentheses */
    char sep;
    struct buf name;    /* decoded */
};
int imap_parse_list(struct slice line, struct list_data *out) MUST_USE; /* 0 or E_PROTO */
bool imap_flag_in(struct slice flags, const char *flag); /* "\\Noselect", case ignored */

/* Personal, other users' and shared prefixes of NAMESPACE (RFC 2342), first personal one only. */
struct namespace_data {
    struct buf personal;
    char sep;
    struct buf others, shared; /* prefixes of other users' and of shared namespaces, each with a newline behind */
};
int imap_parse_namespace(struct slice line, struct namespace_data *out) MUST_USE;
void imap_namespace_free(struct namespace_data *n);

#endif
