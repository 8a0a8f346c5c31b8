/* What the files about collections share: requests of a mover or mirror, discovery, the mirror, the mover. */
#ifndef WHERRY_MOVE_DAV_PRIV_H
#define WHERRY_MOVE_DAV_PRIV_H

#include "move/move_priv.h"
#include "wherry/dav/item.h"
#include "wherry/dav/multistatus.h"
#include "wherry/http/uri.h"
#include "wherry/move/dav.h"

enum {
    DAV_COLLECTIONS_MAX = 2000, /* of one account */
    DAV_ITEMS_MAX = 100000,     /* of one collection */
    DAV_LISTING_BYTES = 64 * 1024 * 1024,
    DAV_RESPONSE_BYTES = 256 * 1024, /* of one response in a listing */
    DAV_ITEM_BYTES = 16 * 1024 * 1024 /* an item that is held in memory */
};

/* ---- one host, as an account sees it ---- */
struct dav_side {
    struct accounts *all;
    const struct dav_host *host; /* of the settings in force when it was opened */
    bool old;
    struct dav_creds creds;
    struct buf origin, base; /* "https://host:port", and the path where discovery begins */
};
/* 0 or E_INVAL with *e set. */
int side_open(struct dav_side *s, struct account *a, bool old, struct err *e) MUST_USE;
void side_close(struct dav_side *s);
/* The path of an href, as spelled: absolute URIs of that host lose their origin. Empty: another host's, or none. */
struct slice side_path(const struct dav_side *s, struct slice href);

/* The same, decoded: what hosts list is a path and nothing else, whatever '?' and '#' stand in it. E_INVAL: no path there. */
int side_decode(const struct dav_side *s, struct slice href, struct buf *out) MUST_USE;

/* ---- one request, its answer gathered ---- */
struct ask {
    struct davr *r; /* NULL: none under way */
    struct multistatus *multi;
    struct buf body;  /* of an answer that is no Multi-Status, or where none was wanted */
    size_t body_max;
    int (*sink)(struct slice bytes, void *arg);
    void *arg;
    unsigned status;
    bool done;
    struct err err; /* code 0: an answer came, of whichever status */
};
/* What a request may have. */
struct ask_open {
    const char *method;
    struct slice target;
    int depth;               /* -1: none */
    const char *type;        /* of the body; NULL: none */
    struct slice body;       /* type NULL: no body */
    const struct dav_field *fields;
    size_t n_fields;         /* at most ASK_FIELDS */
    dav_response_cb *cb;     /* NULL: no Multi-Status is wanted */
    void *arg;
    /* Takes the body of a 2xx instead; a negative code ends it with that error. Used with arg. */
    int (*sink)(struct slice bytes, void *arg);
    size_t response_bytes;   /* of one response, 0: DAV_RESPONSE_BYTES */
    size_t body_max;         /* 0: 64 KiB */
};
enum { ASK_FIELDS = 6 };
#define XML_TYPE "application/xml; charset=utf-8"
void ask_start(struct ask *a, struct dav_side *s, struct task *task, const struct ask_open *o);
/* True when the answer is complete or it failed; call in each step. */
bool ask_step(struct ask *a);
void ask_clear(struct ask *a);
bool ask_ok(const struct ask *a); /* 2xx, and a sound Multi-Status where one was wanted */
/* What went wrong, with a scope: E_AUTH, E_UNAVAIL, E_FULL, E_REFUSED, E_PROTO…; what names the request. */
int ask_error(const struct ask *a, const struct dav_side *s, const char *what, struct err *e);
/* A property's name and namespace as a body of PROPFIND. */
void ask_propfind(struct ask *a, struct dav_side *s, struct task *task, struct slice target, int depth,
                  const struct dav_name *props, size_t n, dav_response_cb *cb, void *arg);

/* ---- discovery ---- */
struct found_prop {
    const struct dav_name *name; /* of the table of those that go along */
    char *text, *xml;
};
enum { CARRIED_PROPS = 8 };
extern const struct dav_name carried_props[CARRIED_PROPS];
struct found {
    char *href;  /* as spelled, path only */
    char *path;  /* decoded, with a slash at the end */
    enum unit_kind kind;
    char *stays; /* why it does not move; NULL: it does */
    char *components; /* "VEVENT VTODO", "" not told */
    char *title;
    char *carried[CARRIED_PROPS]; /* the properties as XML, NULL: it has none */
    char *texts[CARRIED_PROPS];
};
enum find_phase { FIND_ROOT, FIND_WELL_KNOWN, FIND_PRINCIPAL, FIND_HOMES, FIND_DONE, FIND_FAILED };
struct find {
    struct dav_side *side;
    struct task *task;
    enum find_phase phase;
    struct ask ask;
    struct err err;
    struct buf target;
    unsigned redirects, home;
    char *principal;
    struct buf calendars, books; /* homes, one a line */
    struct found *v;
    size_t n;
    bool failed; /* a listing could not be read to its end */
    bool unknown; /* the host has nothing for this person */
};
void find_start(struct find *f, struct dav_side *side, struct task *task, struct slice login);
bool find_step(struct find *f); /* true when it is over */
void find_free(struct find *f);
/* Line i of a list, empty behind the last. */
struct slice line_of(struct slice list, unsigned i);
/* Decodes a path and puts a slash behind it. */
int path_key(struct slice href, struct buf *out) MUST_USE;

/* ---- the mirror ---- */
struct dav_mirror *dav_mirror_start(struct account *a);

/* ---- movers ---- */
/* A change of a client has been answered: the hold may have waited for it. */
void dav_mover_wake(struct dav_mover *m);

struct unit *dav_unit_new(struct account *a, enum unit_kind kind, enum unit_home home, const char *old_href, const char *new_href,
                          const char *title, const char *components);

#endif
