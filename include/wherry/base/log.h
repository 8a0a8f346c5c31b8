/*
 * The log: one event, one line, a stable name, `event=… account=… unit=… session=…` (logfmt) or JSON.
 * Values are escaped: a peer's bytes can neither end a line nor forge a field. Never a secret, never
 * mail content. Owner: app; passed to whoever logs.
 */
#ifndef WHERRY_BASE_LOG_H
#define WHERRY_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include "wherry/base/buf.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_LOGFMT, LOG_JSON };

struct log {
    int fd;
    enum log_level level;
    enum log_format format;
    uint64_t dropped; /* lines that could not be written */
    uint64_t troubles; /* events at warn and above, shown or not */
};

/* One field; the constructors below make them. A field with a NULL string or empty name is left out. */
struct log_field {
    const char *name;
    enum { LOG_STR, LOG_NUM, LOG_REAL, LOG_SLICE } type;
    struct slice s;
    int64_t n;
    double d;
};

struct log_field log_s(const char *name, const char *value);
struct log_field log_v(const char *name, struct slice value);
struct log_field log_n(const char *name, int64_t value);
struct log_field log_d(const char *name, double value);
struct log_field log_e(const struct err *e); /* reason="text" */

/* ts, level and event come first, then the fields in order. At most 4 KiB a line, longer values are cut. */
void log_fields(struct log *l, enum log_level level, const char *event, const struct log_field *f,
                size_t n);
#define log_event(l, level, event, ...)                                                            \
    log_fields((l), (level), (event), (const struct log_field[]){__VA_ARGS__},                     \
               sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))

/* Formats a line into out without writing it (for tests). now_us: microseconds since the epoch. */
void log_format_line(struct buf *out, enum log_format format, int64_t now_us, enum log_level level,
                     const char *event, const struct log_field *f, size_t n);

#endif
