/*
 * A mover's or mirror's connection to one host: the events of client/imap.h, with what every phase needs taken care
 * of (sizes of the mailbox, FETCH data gathered, small responses gathered, the last tagged reply kept).
 */
#ifndef WHERRY_MOVE_CONN_H
#define WHERRY_MOVE_CONN_H

#include "wherry/client/imap.h"
#include "wherry/imap/uidlist.h"
#include "wherry/move/account.h"

enum conn_event {
    CONN_NONE,
    CONN_READY,
    CONN_FETCH,    /* c->fetch is complete */
    CONN_BODY,     /* a body of c->fetch.body_size bytes begins; c->fetch.seq is known, its UID perhaps not yet */
    CONN_BYTES,    /* c->bytes of it */
    CONN_BODY_END, /* the last of it, in c->bytes */
    CONN_LINE,     /* c->line: any other untagged data, whole */
    CONN_TAGGED,   /* c->id, c->cond, c->code, c->text */
    CONN_FAILED    /* c->err */
};

struct conn {
    struct imapc *imap;
    uint32_t exists, uidnext, uidvalidity;
    uint64_t modseq;   /* HIGHESTMODSEQ as STATUS told it, 0: it did not */
    uint32_t expunges; /* EXPUNGEs seen: sequence numbers have moved */
    struct fetch fetch;
    struct resp_line line;
    bool in_fetch, line_done, whole;
    struct uidlist *numbers; /* those of SEARCH and ESEARCH go there; NULL: SEARCH is a line as any other */
    bool in_numbers;
    struct slice bytes;
    uint32_t id;
    enum imap_cond cond;
    struct buf code, text;
    struct err err;
    struct accounts *held; /* counted there, see pace.c */
    bool is_old;
    bool not_sticky; /* its UIDs do not outlast a session (RFC 4315) */
    bool pushed; /* the host said that it is too much for it */
};

/* Dials and signs in with what the account has. 0 or E_INVAL with c->err set. */
int conn_open(struct conn *c, struct env *env, struct task *owner, const struct mail_host *host,
              struct tls_ctx *tls, struct slice login, const struct secret *password) MUST_USE;
/* Whom the host is to count the connection to: the person's client. NULL: nobody's. Right after conn_open. */
void conn_set_client(struct conn *c, const char *address, uint16_t port);
void conn_close(struct conn *c);
void conn_abort(struct conn *c);
/* Asks for the HIGHESTMODSEQ of the mailbox where the host keeps it. True: a reply is due, and CONN_LINEs go to conn_status. */
bool conn_ask_modseq(struct conn *c, const char *mailbox);
/* Takes what a line tells, if it is STATUS; conn_next gives it. */
void conn_status(struct conn *c);
/* The next event; slices and buffers are good until the next call. */
enum conn_event conn_next(struct conn *c);
/* "NO [CODE] text" of the last tagged reply as an error with that scope. */
int conn_refused(const struct conn *c, struct err *e, enum err_scope scope, const char *what);
/* The first word of the last tagged reply's code is this. */
bool conn_code_is(const struct conn *c, const char *word);
/* A refusal that says nothing about the message: the unit stops, nothing is left behind for it. */
bool conn_temporary(const struct conn *c);

#endif
