/* What fuzz targets share: a property that does not hold ends the run. */
#ifndef WHERRY_TESTS_FUZZ_H
#define WHERRY_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include "wherry/base/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void must(bool holds)
{
    if (!holds)
        abort();
}

/* s lies within in. */
static inline bool fuzz_within(struct slice s, struct slice in)
{
    if (s.n == 0)
        return true;
    return s.p >= in.p && s.n <= in.n && (size_t)(s.p - in.p) <= in.n - s.n;
}

#endif
