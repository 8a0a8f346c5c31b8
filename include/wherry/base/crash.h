/*
 * Crash points: places right before and right after whatever the world outside can see, where a build with
 * --enable-crash-points can be told to die. Such a build counts them, and kills itself (SIGKILL, as a loss of power
 * would) at the one whose number the environment names in WHERRY_CRASH_AT, from 1. One that ends in order writes how many
 * there were into the file WHERRY_CRASH_COUNT. In any other build nothing of it is there.
 */
#ifndef WHERRY_BASE_CRASH_H
#define WHERRY_BASE_CRASH_H

#include <stdbool.h>

#ifdef ENABLE_CRASH_POINTS
/* One more point; does not return from the one that is named. From any thread. */
void crash_point(void);
/* One more point; true when it is the named one: do a part of what you are about to do, then crash_now(). */
bool crash_is_now(void);
void crash_now(void);
#else
static inline void crash_point(void)
{
}
#endif

#endif
