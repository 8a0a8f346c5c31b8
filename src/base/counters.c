/* The counters as a table. Why generated from one list: log, control program and manual cannot
 * differ. */
#include "config.h"
#include "wherry/base/counters.h"
#include <stddef.h>
#include <string.h>

const struct counter_info *counters_table(unsigned *n)
{
    static const struct counter_info table[] = {
#define X(name, help) {#name, help, offsetof(struct counters, name)},
        COUNTERS(X)
#undef X
    };
    *n = sizeof(table) / sizeof(table[0]);
    return table;
}

uint64_t counters_get(const struct counters *c, const struct counter_info *i)
{
    uint64_t v;
    memcpy(&v, (const char *)c + i->offset, sizeof(v));
    return v;
}
