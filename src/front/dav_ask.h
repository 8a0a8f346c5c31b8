/* Questions to the old calendar host: who somebody is there, and whether it asks at all. */
#ifndef WHERRY_FRONT_DAV_ASK_H
#define WHERRY_FRONT_DAV_ASK_H

#include "front/visitor.h"
#include "wherry/client/dav.h"

struct multistatus;

/* Embedded in who asks; zeroed before and after. */
struct dav_ask {
    struct davr *r;
    struct multistatus *m;
    unsigned status;
    bool known; /* it names a principal */
    bool broken;
};
/* creds NULL: nobody's. bare: without a body, which a host that refuses at once may not take; a principal is perhaps not named then. */
void dav_ask_start(struct dav_ask *a, struct env *env, struct task *task, const struct dav_creds *creds, bool bare);
/* True when it is over; *e: it failed. */
bool dav_ask_step(struct dav_ask *a, const struct err **e);
void dav_ask_free(struct dav_ask *a);

/* The old host's realm, as it may stand in a quoted string; the machine's name where it tells none. False: not known yet; the tasks of all
 * visitors are woken when it is. */
bool davs_realm(struct front *f, const char **realm);
/* READY: it tells people apart, and may be asked about passwords. FAILED: it lets in whoever comes, or does not answer. */
enum readiness dav_host_asks(struct front *f);
void davs_realm_free(struct front *f);

#endif
