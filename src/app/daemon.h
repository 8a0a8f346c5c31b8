/* The daemon as a whole: start, run, stop. Between the files of app only. */
#ifndef WHERRY_APP_DAEMON_H
#define WHERRY_APP_DAEMON_H

#include "wherry/auth/auth.h"
#include "wherry/conf/conf.h"
#include "wherry/front/front.h"
#include "wherry/move/account.h"
#include "wherry/net/tls.h"
#include "wherry/net/worker.h"

struct daemon_options {
    const char *file;
    bool accept_changed_hosts;
};

/* Runs until a signal ends it; returns the exit code of the process. Errors are logged on standard
 * error. */
int daemon_main(const struct daemon_options *o) MUST_USE;
/* For -t: the file, and the certificates it names. Prints; returns the exit code. */
int daemon_check(const char *file) MUST_USE;

/* ---- privileges.c ---- */
/* Before anything is opened: umask, no core dumps, as many descriptors as max_connections needs.
 * The result is how many are allowed. */
uint64_t privileges_harden(const struct settings *s);
/* Descriptors that so many connections take: a client's, one to each host, and those of movers and
 * the store. */
uint64_t privileges_files_needed(const struct settings *s);
/* Becomes s->run_as, if set, after making the folders of store and spool that person's. 0, E_INVAL
 * or E_IO. */
int privileges_drop(const struct settings *s, struct err *e) MUST_USE;

/* ---- tls_set.c ---- */
/* What is made from the certificate files; owner: the daemon. NULL where TLS is not configured. */
struct tls_set {
    struct tls_ctx *server, *server_http, *old_host, *new_host, *old_submission, *new_submission;
};
/* On failure *t is empty and *e says which file. */
int tls_set_load(struct tls_set *t, const struct settings *s, struct err *e) MUST_USE;
void tls_set_free(struct tls_set *t);

/* ---- report.c ---- */
/* The counters line: all of counters_table, what is still to copy, and rates since the line before.
 */
struct rates {
    uint64_t when_ms, moved, bytes;
};
void report_counters(struct log *log, const struct counters *c, struct rates *last, uint64_t now_ms,
                     uint64_t uptime_ms);
/* Each line of a conf_report as an event of its own. */
void report_lines(struct log *log, enum log_level level, const char *event,
                  const struct buf *lines);

#endif
