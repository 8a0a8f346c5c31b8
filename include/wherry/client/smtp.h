/*
 * A connection to a submission host: dial, TLS, EHLO, XCLIENT, AUTH, then bytes out and replies in.
 * Owner: a session, or whoever checks a password; the events are pulled in its step.
 *
 * RFC 5321, 3207, 4954; XCLIENT as Postfix describes it.
 */
#ifndef WHERRY_CLIENT_SMTP_H
#define WHERRY_CLIENT_SMTP_H

#include "wherry/auth/auth.h"
#include "wherry/net/stream.h"
#include "wherry/smtp/reply.h"

struct smtpc; /* opaque */

struct smtpc_open {
    const struct mail_host *host; /* borrowed during the call */
    struct tls_ctx *tls;          /* for STARTTLS and implicit */
    const struct auth_creds
        *creds;           /* copied, wiped after the sign-in; NULL: EHLO is all that is wanted */
    const char *hostname; /* our own, for EHLO */
    const char *client_address; /* for XCLIENT; NULL: no XCLIENT */
    uint16_t client_port;
    struct slice client_helo;
    /* The person's name there, for XCLIENT LOGIN. A host that takes it lets the person in without a
     * password: never set it where a password is to be checked. */
    struct slice client_login;
    unsigned timeout_seconds; /* silence while a reply is due */
};

struct smtpc *smtpc_open(struct worker *w, struct task *owner, const struct smtpc_open *o);
/* QUIT if ready, then closes in the background. Leaves NULL. Never while half a message is written.
 */
void smtpc_close(struct smtpc **c);
/* Closes at once. */
void smtpc_abort(struct smtpc **c);

enum smtpc_event_kind {
    SMTPC_NONE,  /* nothing now; the owner's task is woken when there is */
    SMTPC_READY, /* signed in (once) */
    SMTPC_REPLY, /* the next reply that was due */
    SMTPC_FAILED /* .err: E_AUTH (credentials), E_UNAVAIL, E_TLS, E_TIMEOUT, E_CLOSED, E_PROTO…;
                    comes again and again */
};
struct smtpc_event {
    enum smtpc_event_kind kind;
    const struct smtp_reply *reply;
    const struct err *err;
};
/* Borrowed until the next call. */
void smtpc_next(struct smtpc *c, struct smtpc_event *ev);

/* What the last EHLO announced. */
const struct smtp_ehlo *smtpc_ehlo(const struct smtpc *c);
bool smtpc_is_tls(const struct smtpc *c);

/* Bytes for the host, in order. The owner says how many replies they will bring: one that is not
 * due is E_PROTO. */
void smtpc_put(struct smtpc *c, struct slice s);
void smtpc_puts(struct smtpc *c, const char *s);
void smtpc_expect(struct smtpc *c);
unsigned smtpc_due(const struct smtpc *c);
bool smtpc_full(const struct smtpc *c); /* stop producing; woken when there is room */
/* How long the host may be silent while a reply is due; 0: as long as it likes (the client is still
 * sending). */
void smtpc_set_timeout(struct smtpc *c, unsigned seconds);

#endif
