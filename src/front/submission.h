/*
 * A submission session (DESIGN section 9): one client connection of port 587 or 465, passed on to
 * the new host's submission service once the person is signed in.
 *
 * Owner: the front. One task per session; its step takes the new host's replies and runs the
 * function of the state until neither makes progress. Replies go to the client in the order of its
 * commands: each command that is not answered yet has a turn. Memory is bounded: input by the
 * stream's limit, turns by MAX_TURNS, message data by backpressure.
 */
#ifndef WHERRY_FRONT_SUBMISSION_H
#define WHERRY_FRONT_SUBMISSION_H

#include "front/door.h"
#include "front/visitor.h"
#include "wherry/smtp/cmd.h"

enum {
    MAX_TURNS = 256,
    SUBMISSION_FLUSH_AT = 16 * 1024,
    IN_LIMIT = 44 * 1024, /* with what a turn may add it stays below 64 KiB, one block of memory */
    FINAL_SECONDS = 600,
    OFFER_WAIT_MS = 5000
};

#define SUBMISSION_STATES(X)                                                                       \
    X(HANDSHAKE, handshake) /* TLS, before the greeting or after STARTTLS */                       \
    X(COMMAND, command)     /* the next command is due */                                          \
    X(OFFER, offer)         /* EHLO waits to hear what the new host announces */                   \
    X(SASL, sasl)           /* a line of AUTH is due */                                            \
    X(CHECK, check)         /* the password is being checked, or its refusal has to wait */        \
    X(ENTER, enter)         /* connecting to the new host */                                       \
    X(ASKED, asked)         /* DATA was passed on: its reply says how to go on */                  \
    X(DATA, data)           /* a message streams through, or is thrown away */                     \
    X(CHUNK, chunk)         /* the octets of BDAT likewise */                                      \
    X(LEAVE, leave)         /* nothing is read any more, replies that are due are waited for */    \
    X(END, end)

enum submission_state {
#define X(id, name) SUB_##id,
    SUBMISSION_STATES(X)
#undef X
};

enum turn_kind { TURN_OTHER, TURN_MAIL, TURN_RCPT, TURN_DATA, TURN_CHUNK, TURN_MESSAGE };

/* A command that has no reply yet. */
struct turn {
    struct list node;
    enum turn_kind kind;
    bool due;       /* the new host has still to answer */
    bool open;      /* the client is still sending what belongs to it */
    unsigned code;  /* of the reply */
    uint64_t bytes; /* TURN_MESSAGE: its size */
    struct buf own; /* what to answer; empty: the new host's reply */
    struct buf queue_id;
};

struct submission {
    struct visitor visitor;
    struct task task;
    struct front *front;
    struct env *env;
    enum submission_state state;
    const char *reason; /* why it ended, for the log */
    uint32_t id;
    bool greeted, secure, greeted_by_client, signed_in;
    bool lost;       /* the new host is gone: the session ends with the next command */
    bool login_mech; /* AUTH LOGIN rather than PLAIN */

    struct stream *client;
    struct buf out;
    struct buf helo;    /* as the client named itself */
    struct timer clock; /* bounds on waiting for the client */
    struct timer beat;  /* OFFER */
    uint64_t active_ms, seen_in, seen_out;
    unsigned errors; /* bad commands in a row */

    struct door door;
    struct smtpc *up;
    struct list turns;
    unsigned n_turns;

    /* the message */
    unsigned recipients;
    uint64_t chunk_bytes; /* of BDAT so far */
    struct smtp_data data;
    uint64_t chunk_left;
    bool discard;      /* what the client sends is thrown away */
    struct turn *open; /* NULL when it was answered already */
};

/* ---- submission.c ---- */
void submission_new(struct front *f, struct stream *client, bool implicit_tls);
void submission_enter(struct submission *s, enum submission_state next);
/* Ends the session after this step; reason is a stable word for the log. */
void submission_end(struct submission *s, const char *reason);
/* Says a last line first (421, 521). */
void submission_bye(struct submission *s, const char *reason, const char *line);
struct slice submission_input(struct submission *s);
void submission_consume(struct submission *s, size_t n);
bool submission_eof(struct submission *s);
const struct settings *submission_settings(const struct submission *s);
void submission_flush(struct submission *s);

/* ---- submission_turn.c ---- */
struct turn *submission_turn(struct submission *s, enum turn_kind kind, bool due);
/* An answer of our own ("250 2.0.0 text"), in its turn. */
void submission_say(struct submission *s, const char *line);
/* The same for a bad command: it counts towards max_errors. */
void submission_bad(struct submission *s, const char *line);
/* Takes what the new host answered. True when there was something. */
bool submission_pump(struct submission *s);
/* Writes the answers whose turn has come. */
void submission_answer(struct submission *s);
/* The new host is gone, or can be trusted no more: what is due gets 451. */
void submission_lost(struct submission *s, const char *cause, const struct err *e);
void submission_turns_free(struct submission *s);

/* ---- submission_guest.c ---- */
bool submission_guest(struct submission *s, const struct smtp_cmd *c);
/* The reply to EHLO as things are now. */
void submission_put_ehlo(struct submission *s, struct buf *out);

/* ---- submission_mail.c ---- */
bool submission_mail(struct submission *s, const struct smtp_cmd *c);

/* ---- submission_data.c ---- */
void submission_data_begin(struct submission *s);
void submission_chunk_begin(struct submission *s, const struct smtp_cmd *c);
void submission_chunk_skip(struct submission *s, uint64_t size);

/* ---- states: true when progress was made ---- */
#define X(id, name) bool submission_state_##name(struct submission *s);
SUBMISSION_STATES(X)
#undef X

/* ---- offer.c: what the new host announces, asked once, learnt again at each sign-in ---- */
enum readiness offer_get(struct front *f,
                         struct smtp_ehlo *out); /* FAILED: out is what is safe anyway */
void offer_learn(struct front *f, const struct smtp_ehlo *ehlo);

/* ---- starter.c ---- */
/* Makes the account known and starts its folder tree and INBOX, whatever becomes of the session. */
void starter_begin(struct front *f, const struct door *d);

#endif
