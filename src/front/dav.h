/*
 * A client of calendars and contacts (DESIGN section 7): one HTTP connection, its requests one after the other.
 *
 * Owner: the front. One task per session; its step runs the function of the state until none makes progress. A request is answered
 * by the home of the collection that its path is in; what the new host answers is told in the terms of the view. Memory is bounded: the
 * head by the reader, XML of a request by limits.dav_body_bytes, answers and items by backpressure.
 */
#ifndef WHERRY_FRONT_DAV_H
#define WHERRY_FRONT_DAV_H

#include "front/dav_ask.h"
#include "front/dav_rewrite.h"
#include "front/door.h"
#include "front/visitor.h"
#include "wherry/client/dav.h"
#include "wherry/http/request.h"
#include "wherry/http/uri.h"
#include "wherry/move/dav.h"

enum { DAV_DISCARD_BYTES = 1024 * 1024, DAV_LINGER_MS = 2000, DAV_RETRY_SECONDS = 5, DAV_HOMES_MAX = 8 };

#define DAV_STATES(X)                                                                              \
    X(HANDSHAKE, handshake) /* TLS */                                                              \
    X(HEAD, head)           /* the next request is due */                                          \
    X(REALM, realm)         /* a refusal waits for the realm of the old host */                    \
    X(CHECK, check)         /* the password is being checked, or its refusal has to wait */        \
    X(READY, ready)         /* the account's collections are being looked at */                    \
    X(TOUCH, touch)         /* a collection is being copied */                                     \
    X(BODY, body)           /* XML of the request is being gathered */                             \
    X(FORWARD, forward)     /* one host answers */                                                 \
    X(LISTING, listing)     /* both do: the listing of a home */                                   \
    X(SYNC, sync)           /* both are asked what changed since a token of the old host */        \
    X(CARRY, carry)         /* an item is carried from one host to the other */                    \
    X(RECORD, record)       /* a change of structure is being recorded */                          \
    X(DISCARD, discard)     /* answered; the rest of the request is read */                        \
    X(LEAVE, leave)         /* the client is gone, but what it changed on old is waited for */     \
    X(END, end)

enum dav_session_state {
#define X(id, name) DAVS_##id,
    DAV_STATES(X)
#undef X
};

/* What is to be done with a request once it is known where. */
enum dav_plan {
    PLAN_FORWARD,
    PLAN_LISTING,
    PLAN_MAKE,   /* a collection on new */
    PLAN_REMOVE, /* a collection, at its home */
    PLAN_COPY    /* COPY and MOVE of items */
};

/* How the body of an answer ends. */
enum dav_framing { FRAME_NONE, FRAME_LENGTH, FRAME_CHUNKED, FRAME_CLOSE };

/* One end of COPY and MOVE, or the request's own. */
struct dav_place {
    struct unit *unit;       /* NULL: in no collection */
    struct slice rest;       /* of the path below */
    enum unit_home side;
    bool counted;            /* collection_write_begin said yes */
};

struct dav_listing; /* dav_listing.c */
struct dav_carry;   /* dav_carry.c */
struct dav_sync;    /* dav_sync.c */

struct dav_session {
    struct visitor visitor;
    struct task task;
    struct front *front;
    struct env *env;
    enum dav_session_state state;
    const char *reason; /* why it ended, for the log */
    uint32_t id;
    bool secure, signed_in;
    bool broken;  /* an answer stopped in the middle: the connection is cut and not ended */
    bool lingers; /* all is said; what still comes is thrown away for a moment */

    struct stream *client;
    struct buf out;
    struct timer clock; /* bounds on waiting for the client */
    uint64_t active_ms, seen_in, seen_out;
    unsigned errors, requests;

    struct door door;
    struct account *account;
    struct account_user user;
    struct buf account_key; /* whose account is attached */
    struct dav_creds creds[HOME_NEW + 1];

    /* ---- the request ---- */
    struct http_reader *reader;
    const struct http_request *q;
    struct http_target target, destination;
    struct buf body; /* its XML */
    uint64_t body_bytes;
    bool body_over;  /* the client sent all of it */
    bool continued;  /* 100 (Continue) was sent */
    bool close;      /* the connection ends with it */
    enum dav_plan plan;
    bool ready;      /* the collections are known */
    bool located, touched;
    struct dav_place from, to;
    struct timer beat;
    uint64_t deadline_ms;
    struct buf new_href;  /* where a collection is made */
    enum unit_kind make;
    /* ---- the answer ---- */
    struct davr *up;
    enum unit_home side; /* of up */
    unsigned retries;
    bool head_sent;
    enum dav_framing framing;
    struct rewrite *rewrite;
    struct unit *item_unit; /* of the response that is being rewritten */
    struct buf item;        /* its decoded path in the view */
    bool stale;             /* a sync token in the request is not valid any more */
    bool had_token;         /* there was one */
    struct dav_listing *listing;
    struct dav_carry *carry;
    bool carried; /* COPY or MOVE was tried in that way */
    struct dav_sync *sync;
    bool depth_one; /* what is asked of a host is a listing, whatever the client's Depth */
    unsigned status; /* what to answer once it is recorded */
    struct store_wait wait;
};

/* ---- dav.c ---- */
void davs_new(struct front *f, struct stream *client, bool tls);
void davs_enter(struct dav_session *d, enum dav_session_state next);
void davs_end(struct dav_session *d, const char *reason);
const struct settings *davs_settings(const struct dav_session *d);
uint64_t davs_now(const struct dav_session *d);
struct slice davs_input(struct dav_session *d);
void davs_consume(struct dav_session *d, size_t n);
bool davs_eof(const struct dav_session *d);
void davs_log(struct dav_session *d, enum log_level level, const char *event, const char *cause, const struct err *e);

/* ---- dav_answer.c: what is said by the daemon itself, and the frame of all answers ---- */
/* A whole answer; more: further field lines with CRLF, or NULL. Then the request is over. */
void davs_answer(struct dav_session *d, unsigned status, const char *more, struct slice body);
/* The same with a sentence for people. */
void davs_say(struct dav_session *d, unsigned status, const char *text);
/* DAV:error with one element in it (RFC 4918 16). */
void davs_error(struct dav_session *d, unsigned status, const char *element);
/* 503 with Retry-After. */
void davs_unavailable(struct dav_session *d, const char *text);
/* An answer of a host: status line and what every answer has; fields follow, then davs_head_end(). */
void davs_head(struct dav_session *d, unsigned status);
/* length: of the body, NULL: not known. has_body false: none whatever the length says (HEAD, 304). */
void davs_head_end(struct dav_session *d, const uint64_t *length, bool has_body);
void davs_body(struct dav_session *d, struct slice bytes);
void davs_body_end(struct dav_session *d);
/* The answer was put out: on to the next request, or to the end of this one's body. */
void davs_done(struct dav_session *d);
/* The answer broke off in the middle: the client must see that. */
void davs_broken(struct dav_session *d, const char *cause, const struct err *e);
void davs_request_clear(struct dav_session *d);
/* The connection ends; what the client still sends is read for a moment. */
void davs_linger(struct dav_session *d, const char *reason);

/* ---- dav_request.c: reading, signing in ---- */
/* The next piece of the request's body. used: what to consume of the input when it was dealt with. */
enum http_piece davs_read(struct dav_session *d, struct slice *piece, size_t *used);
/* Tells a client that waits for it to send the body. */
void davs_continue(struct dav_session *d);

/* ---- dav_route.c ---- */
void davs_route(struct dav_session *d);
/* To the home of the request's own collection. */
void davs_send(struct dav_session *d);

/* ---- dav_forward.c ---- */
/* Sends the request to a host; target: path and query as that host spells them. */
void davs_forward(struct dav_session *d, enum unit_home side, struct slice target, struct slice body);
/* Opens a request to a host with the client's fields. body NULL: none. */
struct davr *davs_open(struct dav_session *d, enum unit_home side, const char *method, struct slice target, const struct slice *body);
/* Puts the fields of a host's answer that clients are told. rewritten: the body will be another. */
void davs_put_fields(struct dav_session *d, const struct davr *r, enum unit_home side, bool rewritten);
/* The connection to a host failed before it answered. */
void davs_host_failed(struct dav_session *d, enum unit_home side, const struct err *e);
/* The writes that were counted are over. */
void davs_release(struct dav_session *d);

/* ---- dav_view.c: the terms of the view and of the new host ---- */
extern const struct rewrite_ops davs_to_view; /* arg: the session */
extern const struct rewrite_ops davs_to_new;
int davs_href_to_view(struct dav_session *d, enum href_role role, struct slice href, struct buf *out);
/* A path of the view as new spells it; E_INVAL: nothing of the person's. */
int davs_href_to_new(struct dav_session *d, struct slice href, struct buf *out) MUST_USE;
/* Whether a path of the view is below a home: what is there and in no collection was removed, or is not to be seen. */
bool davs_in_home(struct dav_session *d, struct slice path);
int davs_token_to_view(struct dav_session *d, struct unit *u, bool ctag, struct slice token, struct buf *out);
/* E_NOTFOUND: not known any more. */
int davs_token_to_new(struct dav_session *d, struct unit *u, struct slice token, struct buf *out) MUST_USE;
/* A list of entity tags (If-Match…), an If field. E_INVAL: malformed. */
int davs_etags_to_new(struct dav_session *d, const struct dav_place *p, struct slice list, bool schedule, struct buf *out) MUST_USE;
int davs_if_to_host(struct dav_session *d, enum unit_home side, struct slice field, struct buf *out) MUST_USE;
/* The absolute URI of a path of the view at the host. */
int davs_uri_to_host(struct dav_session *d, enum unit_home side, struct slice spelled, struct buf *out) MUST_USE;

/* ---- dav_listing.c, dav_sync.c, dav_carry.c ---- */
void davs_sync_begin(struct dav_session *d);
void davs_sync_free(struct dav_session *d);
void davs_listing_begin(struct dav_session *d);
void davs_listing_free(struct dav_session *d);
void davs_carry_begin(struct dav_session *d);
void davs_carry_free(struct dav_session *d);


/* ---- states: true when progress was made ---- */
#define X(id, name) bool davs_state_##name(struct dav_session *d);
DAV_STATES(X)
#undef X

#endif
