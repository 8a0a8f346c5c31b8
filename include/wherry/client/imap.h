/*
 * A connection to an IMAP host: dial, TLS, greeting, sign-in, then commands in flight and a stream of responses.
 * Owner: a session or a mover; the events are pulled in its step.
 *
 * Tags are the connection's own. Output that has to wait for a "+ " (a host without LITERAL+) is queued inside, in
 * order, so callers write commands without caring.
 */
#ifndef WHERRY_CLIENT_IMAP_H
#define WHERRY_CLIENT_IMAP_H

#include "wherry/auth/auth.h"
#include "wherry/imap/caps.h"
#include "wherry/imap/resp.h"
#include "wherry/net/stream.h"

struct imapc; /* opaque */

struct imapc_open {
    const struct mail_host *host; /* borrowed during the call */
    struct tls_ctx *tls;          /* for STARTTLS and implicit */
    const struct auth_creds *creds; /* copied, wiped after the sign-in */
    unsigned timeout_seconds;     /* silence while an answer is due */
};

struct imapc *imapc_open(struct worker *w, struct task *owner, const struct imapc_open *o);

/* On whose behalf the connection is. */
struct imapc_client {
    const char *address; /* numeric */
    uint16_t port;
    const char *connected_address; /* where it connected to; NULL: not known */
    uint16_t connected_port;
    const char *session;     /* an id for the host's log; NULL: none */
    struct slice id;         /* what it says of itself: fields of ID (RFC 2971), quoted; may be empty */
};
/*
 * To be told to the host with ID before the sign-in, where it takes ID, so that its limits, bans and log are about the
 * client and not about us. Before the first imapc_next(). What the host answers is of no consequence.
 */
void imapc_set_client(struct imapc *c, const struct imapc_client *who);

/* LOGOUT if ready, then closes in the background. Leaves NULL. */
void imapc_close(struct imapc **c);
/* Closes at once. */
void imapc_abort(struct imapc **c);
void imapc_set_owner(struct imapc *c, struct task *owner);

enum imapc_event_kind {
    IMAPC_NONE,   /* nothing now; the owner's task is woken when there is */
    IMAPC_READY,  /* signed in (once) */
    IMAPC_RESP,   /* a piece of a response in .resp; RESP_TAGGED: .id says which command */
    IMAPC_FAILED  /* .err: E_AUTH (credentials), E_UNAVAIL, E_TLS, E_TIMEOUT, E_CLOSED, E_PROTO…; comes again and again */
};
struct imapc_event {
    enum imapc_event_kind kind;
    struct resp resp;
    uint32_t id;
    const struct err *err;
};
/* Borrowed until the next call. */
void imapc_next(struct imapc *c, struct imapc_event *ev);
/* Do not read further bytes from the host until imapc_next is called again: nothing to do, just stop calling it. */
/*
 * Once ready, between two responses: input that was received and not looked at yet, for an owner that deals with whole
 * untagged lines by itself; imapc_skip() consumes what it took. Empty at any other time. Borrowed until the next call.
 * imapc_peek_tokens: the same between two tokens of untagged data, outside of parentheses, for whole tokens.
 */
struct slice imapc_peek(struct imapc *c);
struct slice imapc_peek_tokens(struct imapc *c);
void imapc_skip(struct imapc *c, size_t n);

bool imapc_ready(const struct imapc *c);
/* It failed since the host has too many connections or too much to do: BYE as greeting, or the sign-in's refusal says so. */
bool imapc_pushed_back(const struct imapc *c);
/* It failed though it had greeted, and not by silence: the host is there. */
bool imapc_answered(const struct imapc *c);
uint64_t imapc_caps(const struct imapc *c);           /* CAP_BITs after sign-in */
struct slice imapc_caps_text(const struct imapc *c);  /* the list as the host sent it */
const char *imapc_peer(const struct imapc *c);

/* ---- commands ---- */
/* Starts a command and returns its id (never 0). */
uint32_t imapc_begin(struct imapc *c);
void imapc_put(struct imapc *c, struct slice s);
void imapc_puts(struct imapc *c, const char *s);
void imapc_printf(struct imapc *c, const char *fmt, ...) PRINTF(2, 3);
void imapc_put_string(struct imapc *c, struct slice s); /* quoted, or a literal where that is needed */
void imapc_end(struct imapc *c);                         /* CRLF */
/* All in one: id = imapc_command(c, "NOOP"). */
uint32_t imapc_command(struct imapc *c, const char *fmt, ...) PRINTF(2, 3);
/* Raw bytes outside a command ("DONE\r\n"). */
void imapc_raw(struct imapc *c, struct slice s);

/*
 * A large literal inside a command. imapc_literal writes {n+} where the host takes it, else {n} and waits for the
 * host's "+ "; sync forces the latter. binary: ~{n}. Bytes given before that are queued (bounded by the caller: look at
 * imapc_full). imapc_waiting is true while a "+ " is due. When the host answers NO or BAD instead, RESP_TAGGED comes and
 * what was queued of that command is dropped; the caller must then not write more of it.
 */
void imapc_literal(struct imapc *c, uint64_t size, bool binary, bool sync);
bool imapc_waiting(const struct imapc *c);
/* The host answered this command, which is still being written, instead of "+ ". */
bool imapc_refused(const struct imapc *c, uint32_t id);
bool imapc_full(const struct imapc *c); /* stop producing; woken when there is room */
size_t imapc_pending(const struct imapc *c);
/* Silence is allowed (IDLE, or no command in flight is always allowed). */
void imapc_set_patient(struct imapc *c, bool patient);
unsigned imapc_in_flight(const struct imapc *c);

#endif
