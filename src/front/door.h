/*
 * The door that all protocols share: is this the person's password? (DESIGN section 8)
 *
 * The old host says so, over IMAP, or over SMTP where it has no IMAP; what it said lately is
 * believed for a while. Wrong passwords are counted, logged and answered late. Only a refusal by
 * the old host counts as a wrong password.
 *
 * Owner: a session, in which it is embedded; its task is woken, and door_step() is then called
 * until it answers.
 */
#ifndef WHERRY_FRONT_DOOR_H
#define WHERRY_FRONT_DOOR_H

#include "front/dav_ask.h"
#include "wherry/client/imap.h"
#include "wherry/client/smtp.h"
#include "wherry/move/account.h"

enum door_state { DOOR_IDLE, DOOR_CACHED, DOOR_DOWN, DOOR_HOST, DOOR_CHECK, DOOR_PENALTY };

struct door {
    struct env *env;
    struct task *task;
    struct stream *client; /* borrowed */
    const char *protocol;  /* for the log */
    uint32_t session;
    struct buf login, key; /* as typed; the account's */
    struct secret password;
    unsigned attempts; /* failed, in this connection */
    enum door_state state;
    struct imapc *imap;
    struct smtpc *smtp;
    bool dav;            /* the old host's calendars are asked, and not its mail */
    struct front *front; /* for that */
    struct dav_ask ask;
    bool asking;
    struct timer delay;
    int64_t began; /* seconds since 1970, for an id that the log of a host shows as well */
    bool trying[2]; /* counted in the breakers: the old host's, the new one's */
    struct buf id; /* what the client said of itself: fields for imapc_client.id */
};

void door_init(struct door *d, struct env *env, struct task *task, struct stream *client,
               const char *protocol, uint32_t session);
void door_free(struct door *d);
/* Passwords are taken on this connection as it is. */
bool door_plain_ok(const struct env *env, const struct stream *client, bool secure);

/* Begins to check login and password. The key is set when the name can be somebody's. */
void door_knock(struct door *d);

enum door_answer {
    DOOR_WAIT,
    DOOR_RIGHT,
    DOOR_WRONG,      /* logged and counted, and its delay is over */
    DOOR_UNAVAILABLE /* nobody could be asked; logged */
};
enum door_answer door_step(struct door *d);
/* The only thing that is waited for is the delay of a wrong password. A session lasts until it is
 * over, also when the client is gone: else hanging up would be a way to guess faster than the limit
 * of connections per address allows. */
bool door_delays(const struct door *d);

/* False: the host is down and to be left alone; logged. True: try, and tell by door_tried(). */
bool door_try(struct door *d, enum unit_home side);
/* c is ready or has failed; e is NULL when it is ready. */
void door_tried(struct door *d, enum unit_home side, const struct imapc *c, const struct err *e);

/* A later step of the sign-in failed: log and counter. */
void door_log_failed(struct door *d, const char *cause, const struct err *e);
/* The try is over without success: forgets the password. True when it was the last one allowed. */
bool door_give_up(struct door *d);
/* Signed in: log and counter. */
void door_passed(struct door *d, const char *account);

/* A connection to an IMAP host as its sign_in says, for the person; NULL: no such name there. */
struct imapc *door_connect_imap(struct door *d, struct task *task, const struct mail_host *host,
                                struct tls_ctx *tls);

#endif
