/*
 * 207 Multi-Status (RFC 4918 13, RFC 6578) read response by response, and the request bodies that the mover sends.
 * What is passed through to clients does not go this way (front rewrites the pieces of dav/xml.h).
 */
#ifndef WHERRY_DAV_MULTISTATUS_H
#define WHERRY_DAV_MULTISTATUS_H

#include "wherry/dav/xml.h"

/* A property in a response. Owner: the response. */
struct dav_prop {
    char *ns, *name;
    unsigned status;  /* of its propstat, 200 when it is there */
    struct buf xml;   /* the element, able to stand in any document */
    struct buf text;  /* all characters in it */
    struct buf href;  /* the text of the first DAV:href in it */
    struct buf hrefs; /* of all of them, each with a newline behind */
    char **names;     /* the elements right within, "ns name", and " value" behind for one with an attribute called name */
    size_t n_names;
};
struct dav_response {
    struct buf href;   /* as spelled */
    unsigned status;   /* of the whole response; 0: it has propstats */
    struct dav_prop *props;
    size_t n_props;
};

/* NULL when it has no such property with status 200. */
const struct dav_prop *dav_prop_find(const struct dav_response *r, const char *ns, const char *name);
bool dav_prop_has(const struct dav_prop *p, const char *ns, const char *name); /* among .names; NULL p: false */

typedef int dav_response_cb(struct dav_response *r, void *arg); /* borrowed; 0 to go on */

struct multistatus;
/* Bounds: input in all, responses, bytes of one response. E_LIMIT when one is passed. */
struct multistatus *multistatus_new(uint64_t max_bytes, size_t max_responses, size_t response_bytes, dav_response_cb *cb,
                                    void *arg);
void multistatus_free(struct multistatus **m);
int multistatus_feed(struct multistatus *m, struct slice bytes, bool last) MUST_USE; /* as xml_feed */
const char *multistatus_error(const struct multistatus *m);
/* DAV:sync-token of the whole, valid when it was fed to its end; empty: none. */
struct slice multistatus_token(const struct multistatus *m);

/* The preconditions in an error body (RFC 4918 16): calls for each element right within DAV:error, with the first href in
 * it. Anything that is no such body has none. */
typedef void dav_error_cb(struct slice ns, struct slice name, struct slice href, void *arg);
void dav_error_read(struct slice body, dav_error_cb *cb, void *arg);

/* ---- request bodies ---- */
struct dav_name {
    const char *ns, *name;
};
void dav_put_propfind(struct buf *out, const struct dav_name *props, size_t n);
/* calendar-multiget or addressbook-multiget of hrefs with getetag and the data. */
void dav_put_multiget(struct buf *out, bool addressbook, const struct slice *hrefs, size_t n);

#endif
