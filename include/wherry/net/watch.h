/*
 * File descriptors that a library owns, on the worker's loop: what happened is only recorded and a task is woken, as with
 * streams. Owner: whoever opened it; it must be closed before the descriptor is.
 */
#ifndef WHERRY_NET_WATCH_H
#define WHERRY_NET_WATCH_H

#include "wherry/net/worker.h"

enum { WATCH_READ = 1, WATCH_WRITE = 2, WATCH_ERROR = 4 };

struct watch;

/* NULL when the descriptor cannot be watched (a file, or out of memory for it). Watches for nothing yet. */
struct watch *watch_open(struct worker *w, int fd, struct task *task);
/* What to look for from now on: a set of READ and WRITE. Level-triggered: what is still so next turn is told again. */
void watch_want(struct watch *h, unsigned events);
int watch_fd(const struct watch *h);
/* What happened since the last call: a set, ERROR included. */
unsigned watch_take(struct watch *h);
/* At once; leaves NULL. */
void watch_close(struct watch **h);

#endif
