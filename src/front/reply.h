/*
 * Replies of the new host, rewritten for the view. Pure: events of the response parser in, bytes
 * for the client out.
 *
 * One table says what to do with each kind of untagged data, another with each response code. What
 * is in neither is dropped, since it could carry a UID, a mod-sequence or a name of the new host.
 * Nothing is held: a FETCH passes token by token and its literals piece by piece.
 */
#ifndef WHERRY_FRONT_REPLY_H
#define WHERRY_FRONT_REPLY_H

#include <stdbool.h>
#include "front/seqs.h"
#include "wherry/imap/resp.h"
#include "wherry/imap/uidmap.h"

enum reply_kind {
    REPLY_DROP,
    REPLY_PASS,    /* as it is, when a mailbox is selected */
    REPLY_FETCH,   /* items; UID and MODSEQ change */
    REPLY_NUMBERS, /* SEARCH, SORT */
    REPLY_THREAD,
    REPLY_VANISHED, /* a set of UIDs */
    REPLY_ENABLED,  /* gathered for the session */
    REPLY_ESEARCH, /* gathered, then reply_esearch() */
    REPLY_LIST,    /* gathered for the session: LIST, LSUB */
    REPLY_STATUS,  /* gathered for the session */
    REPLY_QUOTA,   /* gathered for the session: QUOTA, QUOTAROOT */
    REPLY_NAMED    /* its first argument, a mailbox name, is gathered; the owner makes PASS or DROP of it then */
};

struct reply_view {
    bool open; /* a mailbox is selected, or just being selected; else its data is dropped */
    const struct uidmap *map; /* of it; NULL while it is not known */
    const struct seqs *seqs; /* NULL: the client's message numbers are the host's */
    uint64_t modseq_shift;
    bool highest;            /* it may see HIGHESTMODSEQ: CONDSTORE was offered (RFC 7162 3.1.2) */
    bool modseq;             /* and the mod-sequences of messages: it knows what they are */
    bool vanished;           /* it enabled QRESYNC */
    bool uid_numbers;        /* the search in flight is a UID one */
    struct slice search_tag; /* the client's tag of it, for ESEARCH */
};

/* State of one response; all zero at the start. Embedded in the session. */
struct reply {
    enum reply_kind kind;
    unsigned depth, item;
    bool value, emitted, closed;
    bool pass;         /* the literal that follows goes to the client */
    uint32_t num;      /* of the FETCH */
    uint64_t unmapped; /* UIDs left out because the map has none; grows */
};

enum reply_kind reply_kind_of(struct slice name);

/*
 * Feeds one event from RESP_BEGIN to RESP_END. Writes to out what the client is to see of it; what
 * was written is never taken back, so the caller may send it at any time. For the gathered kinds it
 * only sets r->kind (at RESP_BEGIN).
 */
void reply_feed(struct reply *r, const struct reply_view *v, const struct resp *in,
                struct buf *out);

/* The bytes of the literal that is being received go to the client as they are. */
bool reply_passes_bytes(const struct reply *r);

/*
 * Between two responses: translates the plain FETCH lines that in begins with, appended to out, and
 * returns how many bytes those are. What reply_feed() would make of them is the same.
 */
size_t reply_fast(const struct reply_view *v, struct slice in, struct buf *out);

/*
 * Within a response, between two tokens of its outermost level: the same for the numbers of SEARCH
 * and SORT that in begins with, the last one's end in sight. At most 1024 of them in one call.
 */
size_t reply_fast_numbers(const struct reply *r, const struct reply_view *v, struct slice in,
                          struct buf *out);

/* A gathered ESEARCH (what follows the name), appended to out with its CRLF; nothing where no
 * search is in flight that it could be of. E_PROTO: malformed, nothing appended. */
int reply_esearch(const struct reply_view *v, struct slice line, struct buf *out) MUST_USE;

/* "* VANISHED (EARLIER) set" with a set of the view, in lines of bearable length. */
void reply_vanished_earlier(struct slice set, struct buf *out);

/* ---- response codes ---- */

struct code_dest {
    const struct uidmap *map;
    uint32_t view_uidvalidity;
};

struct code_view {
    const struct reply_view *view;
    bool uid_command; /* MODIFIED names UIDs */
    /* The mailbox that APPEND, COPY or MOVE put messages into, as the new host calls its
     * UIDVALIDITY; false: not known. */
    bool (*dest)(void *arg, uint32_t new_uidvalidity, struct code_dest *out);
    void *arg;
};

/* A code without its brackets, appended to out likewise; false: it is not for the client, out is
 * unchanged. */
bool reply_code(const struct code_view *v, struct slice code, struct buf *out);

/* Appends text with control characters made '?', and every word from replaced by to: error texts
 * like to quote mailbox names. A name of one or two letters is left alone, it is too likely to be a
 * word. */
void reply_text(struct buf *out, struct slice text, struct slice from, struct slice to);

void reply_put_num(struct buf *out, uint64_t n);

#endif
