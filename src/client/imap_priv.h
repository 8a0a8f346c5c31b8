/* What the two halves of the IMAP client share: imap.c (reading, sign-in) and imap_out.c (writing). */
#ifndef WHERRY_CLIENT_IMAP_PRIV_H
#define WHERRY_CLIENT_IMAP_PRIV_H

#include <stdlib.h>
#include "wherry/client/imap.h"

enum imapc_state {
    IC_CONNECT,
    IC_GREETING,
    IC_STARTTLS,
    IC_TLS,
    IC_CAPS,
    IC_AUTH,
    IC_CAPS_AFTER,
    IC_READY,
    IC_FAILED
};

/* A place in the queued output: after byte `at` (counted from the start of the queue) a "+ " is due (hold), or
 * command id ended there. */
struct out_mark {
    size_t at;
    uint32_t id;
    bool hold;
};

struct imapc {
    struct worker *worker;
    struct task *owner;
    struct stream *stream;
    struct timer timer;
    enum imapc_state state;
    struct err err;
    char *host;
    uint16_t port;
    enum tls_mode tls_mode;
    struct tls_ctx *tls;
    struct auth_creds creds;
    struct buf id; /* fields to tell before the sign-in */
    uint64_t timeout_ms, moved_seen;
    unsigned beats; /* of the timer during the sign-in */
    size_t in_limit;
    struct resp_reader reader;
    size_t used; /* of the stream's input by the last event, consumed at the next call */
    struct resp_line line;
    uint64_t caps;
    struct buf caps_text;
    bool caps_known, tell_ready, patient, pushed_back, greeted;
    size_t left_over; /* of the input: the reader wants more than that */
    uint32_t wanted; /* the command whose reply moves the sign-in on */
    /* output */
    uint32_t last_id, open_id; /* open_id: being written, 0 between commands */
    unsigned in_flight;
    bool waiting;        /* a "+ " is due */
    uint32_t waiting_id; /* for this command */
    uint32_t refused_id; /* answered while it was waiting: the rest of it is dropped */
    struct buf queue;    /* what waits for the "+ " */
    struct out_mark *marks;
    size_t n_marks;
};

void imapc_out_continue(struct imapc *c);
void imapc_out_answered(struct imapc *c, uint32_t id);
void imapc_out_free(struct imapc *c);

#endif
