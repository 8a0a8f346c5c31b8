/*
 * The daemon's world in memory, for fuzzing whole sessions: streams without sockets, a clock that goes on when nothing else
 * does, a store without a disk. mem_net.c and mem_store.c stand in for the libraries net and store; everything above is the
 * daemon's own. One thread, and the same input gives the same run.
 */
#ifndef WHERRY_TESTS_FUZZ_MEM_H
#define WHERRY_TESTS_FUZZ_MEM_H

#include "wherry/net/stream.h"
#include "wherry/net/worker.h"
#include "wherry/store/store.h"

/* The other end of a stream; embedded in its owner. */
struct mem_far {
    void (*said)(struct mem_far *f, struct slice s); /* bytes that the daemon sent */
    void (*gone)(struct mem_far *f);                 /* the daemon has closed: may free its owner */
    struct buf say;                                  /* bytes for the daemon, taken as it reads */
    size_t piece;                                    /* at most so many at once; 0: all */
    bool hang_up;                                    /* when all is said */
    struct stream *stream;                           /* NULL once gone */
};

struct worker *mem_worker(struct log *log, struct counters *counters);
void mem_worker_free(struct worker **w); /* no stream may be left */
/* cb gives the other end for somebody that dials; NULL: refused. */
typedef struct mem_far *mem_dialled(void *arg, uint16_t port);
void mem_on_dial(struct worker *w, mem_dialled *cb, void *arg);
/* Connects to the i-th listener that was opened. */
void mem_connect(struct worker *w, unsigned i, struct mem_far *f);
/*
 * Until nothing happens any more but for time, which then goes on to the next timer, at most until `until_ms` of this
 * clock. At most `steps`; false when they were used up.
 */
bool mem_run(struct worker *w, uint64_t until_ms, unsigned steps);
size_t mem_streams(const struct worker *w);

struct store *mem_store(struct worker *w);
void mem_store_free(struct store **s);
/* Batches that were handed in get their answers. True when there were any. */
bool mem_store_answer(struct store *s);
void mem_use_store(struct worker *w, struct store *s); /* mem_run() calls that */

#endif
