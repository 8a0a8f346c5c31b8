/*
 * Lines about the whole process: counters, and what the configuration check found.
 */
#include "config.h"
#include "daemon.h"
#include <stdlib.h>
#include <string.h>

void report_counters(struct log *log, const struct counters *c, struct rates *last, uint64_t now_ms,
                     uint64_t uptime_ms)
{
    unsigned n;
    const struct counter_info *t = counters_table(&n);
    struct log_field *f = mem_array(n + 4, sizeof(*f));
    for (unsigned i = 0; i < n; i++)
        f[i] = log_n(t[i].name, (int64_t)counters_get(c, &t[i]));
    double seconds = (double)(now_ms - last->when_ms) / 1000.0;
    if (seconds < 0.001)
        seconds = 0.001;
    /* found = moved + left_behind + vanished + to_copy, whatever moment the line catches. */
    f[n++] = log_n("to_copy", (int64_t)(c->found - c->moved - c->left_behind - c->vanished));
    f[n++] = log_d("rate", (double)(c->moved - last->moved) / seconds);
    f[n++] = log_d("byte_rate", (double)(c->bytes_moved - last->bytes) / seconds);
    f[n++] = log_n("uptime", (int64_t)(uptime_ms / 1000));
    log_fields(log, LOG_INFO, "counters", f, n);
    free(f);
    *last = (struct rates){now_ms, c->moved, c->bytes_moved};
}

void report_lines(struct log *log, enum log_level level, const char *event, const struct buf *lines)
{
    struct slice rest = buf_slice(lines);
    while (rest.n > 0) {
        const uint8_t *end = memchr(rest.p, '\n', rest.n);
        size_t n = end == NULL ? rest.n : (size_t)(end - rest.p);
        log_event(log, level, event, log_v("reason", slice_make(rest.p, n)));
        n += end != NULL;
        rest = slice_make(rest.p + n, rest.n - n);
    }
}
