/* See crash.h. The counter is the one mutable global of the tree, and in no build that anybody runs. */
#include "config.h"
#include "wherry/base/crash.h"

#ifdef ENABLE_CRASH_POINTS
#include "wherry/base/buf.h"
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static atomic_ullong passed;

/* How many there were in all, into the file that WHERRY_CRASH_COUNT names. */
static void tell(void)
{
    const char *path = getenv("WHERRY_CRASH_COUNT");
    FILE *f = path != NULL ? fopen(path, "w") : NULL;
    if (f == NULL)
        return;
    fprintf(f, "%llu\n", (unsigned long long)atomic_load(&passed));
    fclose(f);
}

static uint64_t wanted(void)
{
    uint64_t n = 0;
    const char *text = getenv("WHERRY_CRASH_AT");
    return text != NULL && slice_u64(slice_str(text), &n) == 0 ? n : 0;
}

void crash_now(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

bool crash_is_now(void)
{
    unsigned long long n = atomic_fetch_add(&passed, 1) + 1;
    if (n == 1)
        atexit(tell);
    return n == wanted();
}

void crash_point(void)
{
    if (crash_is_now())
        crash_now();
}
#else
typedef int crash_has_nothing_to_compile; /* ISO C wants something in a file */
#endif
