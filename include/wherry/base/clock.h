/* Time, behind a seam: tests inject their own. */
#ifndef WHERRY_BASE_CLOCK_H
#define WHERRY_BASE_CLOCK_H

#include <stdint.h>

uint64_t clock_mono_ms(void); /* milliseconds, never goes back */
int64_t clock_real_us(void);  /* microseconds since 1970 */

#endif
