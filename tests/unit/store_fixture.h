/* What the tests of the store share: a folder, a worker, a store that begins with a small map. */
#ifndef WHERRY_TESTS_STORE_FIXTURE_H
#define WHERRY_TESTS_STORE_FIXTURE_H

#include "unit.h"
#include "store/env.h"

#define SMALL_MAP ((size_t)64 << 10)
#define WAIT_MS 20000u

/* A folder, a worker and what hangs off it. */
struct fixture {
    char dir[64];
    struct log log;
    struct counters counters;
    struct worker *w;
    struct store *s;
    struct task task;
    unsigned steps;
};

/* Before and after each test; *state is the fixture. */
int fixture_setup(void **state);
int fixture_teardown(void **state);
/* The worker and the store alone, for a child process or after store_close(). */
void fixture_worker(struct fixture *f);
void fixture_open(struct fixture *f);
void fixture_path(const struct fixture *f, char path[128]); /* of data.mdb */
void fixture_remove_files(const char *dir);

void fixture_put(struct store_batch *b, const char *key, const char *value); /* into STORE_ITEMS */
/* Turns the loop until the answer is there, at most WAIT_MS; the result. */
int fixture_await(struct fixture *f, struct store_wait *wait);
int fixture_submit(struct fixture *f, struct store_batch **b); /* submits and awaits */
/* Fails unless STORE_ITEMS holds it; NULL: unless it holds none. */
void fixture_expect(struct store *s, const char *key, const char *want);
/* Runs fn in a process of its own; its result, or -1 when a signal ended it. */
int fixture_fork(int (*fn)(struct fixture *f), struct fixture *f);

#endif
