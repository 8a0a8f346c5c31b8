/*
 * copy.bytes_per_second: a token bucket that all movers take from in turn.
 *
 * A mover asks before it reads a piece of a message from the old host, and tells afterwards how large it was (at most what a
 * stream holds, so the bucket may be in debt by that). Who may not read waits in a line and is woken; nobody
 * takes twice while another waits. What is not read stays in the socket: the host itself is slowed down.
 */
#ifndef WHERRY_MOVE_THROTTLE_H
#define WHERRY_MOVE_THROTTLE_H

#include "wherry/net/worker.h"

/* The arithmetic, without a clock. */
struct bucket {
    int64_t milli; /* thousandths of a byte; negative: a debt */
    uint64_t at_ms;
};
void bucket_fill(struct bucket *b, uint64_t rate, uint64_t now_ms);
void bucket_take(struct bucket *b, uint64_t bytes);
/* Milliseconds from the last filling on until something may be taken again; 0: now. rate > 0. */
uint64_t bucket_wait_ms(const struct bucket *b, uint64_t rate);

/* A mover's place; embedded in it. */
struct throttle_seat {
    struct list node; /* in the line */
    struct task *task;
    bool granted; /* it is this one's turn */
};

/* One for all movers; owner: accounts. */
struct throttle {
    struct task task;
    struct timer timer;
    struct list line;
    struct bucket bucket;
    struct throttle_seat *granted;
    uint64_t rate; /* as of the last call; 0: no limit */
};

void throttle_init(struct throttle *t, struct worker *w);
void throttle_stop(struct throttle *t);
void throttle_seat_init(struct throttle_seat *s, struct task *task);
/* May it read a piece now? Else it stands in the line and its task is woken when it may. */
bool throttle_may(struct throttle *t, struct throttle_seat *s, uint64_t rate);
/* It read so many bytes. */
void throttle_took(struct throttle *t, struct throttle_seat *s, uint64_t bytes);
/* There was nothing to read, or no use for it: the turn is the next one's. */
void throttle_pass(struct throttle *t, struct throttle_seat *s);
void throttle_leave(struct throttle *t, struct throttle_seat *s);

#endif
