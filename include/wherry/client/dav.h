/*
 * Requests to a CalDAV or CardDAV host: HTTP/1.1 over kept connections, by libcurl on the worker's loop.
 * Owner of a request: a session or a mover; the events are pulled in its step, as from client/imap.h.
 *
 * No redirect is followed, no proxy of the environment and no netrc is looked at, no cookie is kept. A target goes out
 * byte for byte. Basic is sent at once; a host that wants Digest (RFC 7616) costs a round trip more, and is remembered.
 *
 * Backpressure: what was received and not taken is at most DAVR_WINDOW bytes and what one read holds; then nothing more is
 * read from the host. What is given to be sent and was not taken by the host shows in davr_full().
 */
#ifndef WHERRY_CLIENT_DAV_H
#define WHERRY_CLIENT_DAV_H

#include "wherry/auth/auth.h"
#include "wherry/net/worker.h"

struct davc; /* all requests of a worker and their connections; owner: env */
struct davr; /* one request */

enum { DAVR_WINDOW = 64 * 1024, DAVR_HEAD_MAX = 64 * 1024, DAVR_FIELDS_MAX = 200 };

struct davc *davc_new(struct worker *w);
/* After all requests are gone. */
void davc_free(struct davc **c);

/*
 * Who a request is from, for one host: user and password of Basic or Digest (user empty: no credentials), and a further field
 * ("Authorize-As: alice") where the host is entered for somebody else, field NULL: none. Wiped by dav_creds_free().
 */
struct dav_creds {
    struct buf user;
    struct secret password;
    char *field; /* its name */
    struct buf value;
};
/* By the host's sign_in. E_INVAL: the name cannot be used there (*out is empty then). */
int dav_host_creds(const struct settings *s, const struct dav_host *h, struct slice login, const struct secret *password,
                   struct dav_creds *out) MUST_USE;
/* The same with the person's own name and password whatever sign_in is: what a password is checked with. */
int dav_own_creds(const struct settings *s, const struct dav_host *h, struct slice login, const struct secret *password,
                  struct dav_creds *out) MUST_USE;
void dav_creds_free(struct dav_creds *c);
/* "https://host:port" of the host's URL, and its path ("/" at least). E_INVAL: no http or https URL, or one with user,
 * query or fragment. */
int dav_host_split(const struct dav_host *h, struct buf *origin, struct buf *path) MUST_USE;

struct dav_field {
    struct slice name, value; /* value without blanks at the ends */
};

enum { DAVR_NO_BODY, DAVR_BODY_WHOLE, DAVR_BODY_SIZED, DAVR_BODY_CHUNKED };

struct davr_open {
    const struct dav_host *host;    /* borrowed during the call, as all that follows */
    const struct dav_creds *creds;  /* NULL: none */
    const char *method;             /* a token */
    struct slice target;            /* path and query, encoded; or "*" */
    const struct dav_field *fields; /* besides Host, Authorization, Content-Length, Transfer-Encoding and Connection */
    size_t n_fields;
    int body_kind;
    struct slice body;              /* WHOLE: copied */
    uint64_t body_size;             /* SIZED: so many bytes come by davr_write() */
    unsigned timeout_seconds;       /* silence of the host while something is due from it; not while the owner keeps it waiting */
};

/* Never fails at once: look for DAVR_FAILED. */
struct davr *davr_start(struct davc *c, struct task *owner, const struct davr_open *o);
void davr_set_owner(struct davr *r, struct task *owner);
/* Breaks it off if it is not over; a connection with an answer still due is closed. Leaves NULL. */
void davr_free(struct davr **r);

/* A body of SIZED or CHUNKED: queued; stop while davr_full(), the owner is woken when there is room. */
void davr_write(struct davr *r, struct slice bytes);
void davr_end(struct davr *r); /* that was all; SIZED: must be what was announced */
bool davr_full(const struct davr *r);

enum davr_event_kind {
    DAVR_NONE,  /* nothing now; the owner's task is woken when there is */
    DAVR_HEAD,  /* status and fields of the final answer are known (once, before the others) */
    DAVR_BODY,  /* .bytes of the answer's body, never empty */
    DAVR_DONE,  /* the answer was complete; comes again and again */
    /*
     * .err: E_UNAVAIL (no address, refused), E_TLS, E_TIMEOUT, E_CLOSED (in the middle), E_PROTO (no HTTP), E_LIMIT (head too
     * large), E_INVAL (target or field that cannot be sent); SCOPE_HOST. Comes again and again. An answer of any status,
     * 401 and 500 included, is DONE and not FAILED.
     */
    DAVR_FAILED
};
struct davr_event {
    enum davr_event_kind kind;
    struct slice bytes; /* borrowed until the next call */
    const struct err *err;
};
void davr_next(struct davr *r, struct davr_event *ev);

/* Valid from DAVR_HEAD on, as long as the request. */
unsigned davr_status(const struct davr *r); /* 200 to 599 */
size_t davr_fields(const struct davr *r, const struct dav_field **out); /* in order; hop-by-hop ones are left out */
/* The first field of that name (any case), empty when there is none. */
struct slice davr_field(const struct davr *r, const char *name);

#endif
