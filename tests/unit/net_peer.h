/*
 * For the tests of net: an owner of a stream whose behaviour is a few settings, a listener that
 * makes such owners, and certificates made on the spot.
 */
#ifndef WHERRY_TESTS_NET_PEER_H
#define WHERRY_TESTS_NET_PEER_H

#include "wherry/base/buf.h"
#include "wherry/net/stream.h"

/* One end of a connection. Owner: the test. */
struct peer {
    struct task task;
    struct stream *s;
    struct buf got;       /* what came, unless discard */
    bool discard;         /* only count and check what came */
    bool echo;            /* send back what came */
    bool hold;            /* consume nothing */
    uint64_t to_send;     /* bytes of pattern() still to produce */
    uint64_t sent, taken; /* of the pattern */
    bool wrong;           /* what came was not the pattern (with discard) */
    size_t most_in, most_out;
    unsigned steps;
};

/* Accepts one connection after the other into peers[]. */
struct server {
    struct listener *l;
    struct tls_ctx *tls;
    unsigned n;
    struct peer peer[8];
    struct peer model; /* settings that each accepted peer starts with */
};

uint8_t pattern(uint64_t i);
void peer_init(struct peer *p, struct worker *w);
void peer_dial(struct peer *p, struct worker *w, uint16_t port, struct tls_ctx *tls);
void peer_free(struct peer *p);
void server_open(struct server *v, struct worker *w, struct tls_ctx *implicit);
void server_free(struct server *v);

/* Turns the loop until *p has this state, for at most 5 s; fails the test otherwise. */
void until_state(struct worker *w, const struct peer *p, enum stream_state state);
/* Turns the loop until cond, for at most ms milliseconds. */
#define TURN_UNTIL(w, cond, ms)                                                                    \
    do {                                                                                           \
        uint64_t end_ = worker_now_ms(w) + (ms);                                                   \
        while (!(cond) && worker_now_ms(w) < end_)                                                 \
            worker_turn((w), 10);                                                                  \
        assert_true(cond);                                                                         \
    } while (0)

/* Certificates in a new folder under $TMPDIR; names as in certs_file("ca.pem"). NULL when that
 * fails. */
struct certs;
struct certs *certs_new(void);
void certs_free(struct certs **c);
const char *certs_file(struct certs *c, const char *name);

#endif
