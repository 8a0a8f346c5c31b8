/*
 * What the listeners know of a session, whatever it speaks; and the front itself. Between the files
 * of front only.
 */
#ifndef WHERRY_FRONT_VISITOR_H
#define WHERRY_FRONT_VISITOR_H

#include "wherry/front/front.h"
#include "wherry/net/stream.h"

/* Embedded in each session; owner: the session. */
struct visitor {
    struct list node; /* front's list */
    struct front *front;
    struct task *task;
    struct stream *client;
    uint32_t id;
    void (*abort)(struct visitor *v); /* frees the session at once, without a word to the client */
};

struct offer;
struct dav_realm;

enum gate_kind { GATE_IMAP, GATE_SUBMISSION, GATE_DAV };

struct gate {
    struct listener *listener;
    struct front *front;
    bool implicit; /* TLS from the first byte */
    enum gate_kind kind;
};

struct front {
    struct env *env;
    struct gate **gates;
    unsigned n_gates;
    struct list visitors;
    unsigned n_visitors;
    uint32_t next_id;
    bool draining;
    struct offer *offer;  /* of the new host's submission service; NULL until somebody asks */
    struct dav_realm *realm; /* of the old host's calendars; NULL until somebody asks */
    struct list starters; /* accounts that a submission session made known */
};

/* Puts it on the list with an id of its own, and counts it. */
void visitor_enter(struct visitor *v, struct front *f, struct task *task, struct stream *client);
void visitor_leave(struct visitor *v);
void offer_free(struct offer **o);
void starters_free(struct front *f);

#endif
