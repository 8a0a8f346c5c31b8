/*
 * Measures the UID map of a large mailbox: a million messages with 100,000 gaps. Its size is a test (test_imap_uidmap); how
 * long a look-up takes depends on the machine (`make tests/unit/bench_uidmap && tests/unit/bench_uidmap`).
 */
#include "config.h"
#include "wherry/imap/uidmap.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { MESSAGES = 1000000, EACH = 10, LOOKUPS = 20 * 1000 * 1000 };

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fill(struct uidmap *m)
{
    for (uint32_t i = 0; i < MESSAGES; i++)
        if (uidmap_add(m, 1 + i + i / EACH, 1 + i) != 0)
            abort();
    if (uidmap_set_tail(m, 2 * MESSAGES, MESSAGES + 1) != 0)
        abort();
}

static double look_up(const struct uidmap *m, uint32_t (*f)(const struct uidmap *, uint32_t))
{
    uint32_t dice = 1, sum = 0;
    double start = seconds();
    for (unsigned i = 0; i < LOOKUPS; i++) {
        dice = dice * 1664525 + 1013904223;
        sum += f(m, 1 + (uint32_t)(((uint64_t)dice * MESSAGES) >> 32));
    }
    double took = seconds() - start;
    if (sum == 0)
        abort();
    return took / LOOKUPS * 1e9;
}

int main(void)
{
    struct uidmap m;
    struct buf wire = {0};
    uidmap_init(&m);
    fill(&m);
    for (size_t i = 0; i < uidmap_parts(&m); i++)
        uidmap_encode(&wire, &m, i);
    printf("%zu runs, %zu bytes in memory, %zu bytes on disk, %.0f ns to the view, %.0f ns to new\n", m.n,
           m.cap * sizeof(*m.runs), wire.len, look_up(&m, uidmap_to_view), look_up(&m, uidmap_to_new));
    buf_free(&wire);
    uidmap_free(&m);
    return 0;
}
