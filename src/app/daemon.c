/*
 * The daemon: everything is put together here, and taken apart in the reverse order.
 *
 * Order of the start: configuration, certificates, listeners, then the change of user, then the
 * store; so that low ports and keys need root and no file of the store is ever root's. Nothing is
 * accepted before the loop runs. Order of the end: sessions get BYE and their time, then movers are
 * broken off (what they had committed stands), then the store is closed when all that was submitted
 * is on disk.
 */
#include "config.h"
#include "daemon.h"
#include "wherry/base/clock.h"
#include "wherry/client/dav.h"
#include "wherry/store/records.h"
#include "wherry/store/store.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum phase { PHASE_RUNNING, PHASE_DRAINING };
enum { DRAIN_LOOK_MS = 20 };

/* All there is in the process; owner: daemon_main. */
struct daemon {
    const struct daemon_options *options;
    struct log log;
    struct counters counters;
    struct settings *settings;
    struct worker *worker;
    struct tls_set tls;
    struct env env;
    struct front *front;
    struct task counters_task, drain_task;
    struct timer counters_timer, drain_timer;
    struct rates rates;
    uint64_t started_ms, drain_until_ms;
    enum phase phase;
};

static void use_settings(struct daemon *d, struct settings *s)
{
    conf_settings_free(&d->settings);
    d->settings = s;
    d->env.settings = s;
    d->log.format = s->log_format;
    d->log.level = s->log_level;
}

static void use_tls(struct daemon *d, struct tls_set *t)
{
    tls_set_free(&d->tls);
    d->tls = *t;
    d->env.tls_server = t->server;
    d->env.tls_server_http = t->server_http;
    d->env.tls_old = t->old_host;
    d->env.tls_new = t->new_host;
    d->env.tls_old_submission = t->old_submission;
    d->env.tls_new_submission = t->new_submission;
}

/* ---- the configuration ---- */

static int load(struct daemon *d, struct settings **s, struct tls_set *t)
{
    struct conf_report r = {0};
    struct err e = {0};
    int rc = conf_load(s, d->options->file, true, &r);
    if (rc == 0 && d->settings == NULL)
        d->log.format =
            (*s)->log_format; /* warnings are for the same readers as all that follows */
    report_lines(&d->log, LOG_ERROR, "config_error", &r.errors);
    report_lines(&d->log, LOG_WARN, "config_warning", &r.warnings);
    conf_report_free(&r);
    if (rc != 0)
        return rc;
    rc = tls_set_load(t, *s, &e);
    if (rc != 0) {
        log_event(&d->log, LOG_ERROR, "config_error", log_e(&e));
        conf_settings_free(s);
    }
    return rc;
}

struct changes {
    struct log *log;
    unsigned done, waiting;
};

static void note_change(const struct conf_option *o, const char *was, const char *is, void *arg)
{
    struct changes *c = arg;
    log_event(c->log, o->reloadable ? LOG_INFO : LOG_WARN,
              o->reloadable ? "setting_changed" : "setting_needs_restart",
              log_s("setting", o->path), log_s("was", was), log_s("is", is));
    if (o->reloadable)
        c->done++;
    else
        c->waiting++;
}

static void on_hangup(struct worker *w, int signo, void *arg)
{
    struct daemon *d = arg;
    struct settings *next;
    struct tls_set t;
    struct changes c = {.log = &d->log};
    (void)w;
    (void)signo;
    if (d->phase != PHASE_RUNNING)
        return;
    if (load(d, &next, &t) != 0) {
        log_event(&d->log, LOG_ERROR, "reload_failed",
                  log_s("reason", "the configuration in force stays"));
        return;
    }
    conf_carry_over(d->settings, next, note_change, &c);
    use_settings(d, next);
    use_tls(d, &t);
    front_reload(d->front);
    accounts_reload(d->env.accounts);
    timer_start(&d->counters_timer, d->settings->counters_seconds * 1000ull);
    log_event(&d->log, LOG_INFO, "reloaded", log_n("changed", c.done),
              log_n("need_restart", c.waiting));
}

/* ---- counters and the end ---- */

static void log_counters(struct daemon *d)
{
    uint64_t now = clock_mono_ms();
    d->counters.errors = d->log.troubles; /* whoever logged it */
    report_counters(&d->log, &d->counters, &d->rates, now, now - d->started_ms);
}

static void counters_step(struct task *t)
{
    struct daemon *d = container_of(t, struct daemon, counters_task);
    if (!d->counters_timer.fired)
        return;
    log_counters(d);
    timer_start(&d->counters_timer, d->settings->counters_seconds * 1000ull);
}

static void drain_step(struct task *t)
{
    struct daemon *d = container_of(t, struct daemon, drain_task);
    if (d->phase != PHASE_DRAINING)
        return;
    if (front_idle(d->front) || worker_now_ms(d->worker) >= d->drain_until_ms)
        worker_stop(d->worker);
    else
        timer_start(&d->drain_timer, DRAIN_LOOK_MS);
}

static void on_terminate(struct worker *w, int signo, void *arg)
{
    struct daemon *d = arg;
    if (d->phase == PHASE_DRAINING) {
        worker_stop(w);
        return;
    }
    d->phase = PHASE_DRAINING;
    d->drain_until_ms = worker_now_ms(w) + d->settings->drain_seconds * 1000ull;
    log_event(&d->log, LOG_INFO, "stopping", log_s("signal", signo == SIGINT ? "INT" : "TERM"),
              log_n("sessions", (int64_t)d->counters.sessions),
              log_n("movers", accounts_movers(d->env.accounts)));
    accounts_drain(d->env.accounts);
    front_drain(d->front);
    task_wake(&d->drain_task);
}

/* ---- the start ---- */

static void put_host(struct buf *out, const struct mail_host *h)
{
    size_t from = out->len;
    if (h->host == NULL) { /* only submission is spoken */
        buf_puts(out, "imap none");
        return;
    }
    buf_printf(out, "imap %s:%u", h->host, (unsigned)h->port);
    for (uint8_t *p = out->mem + out->off + from; p < out->mem + out->off + out->len; p++) {
        if (*p >= 'A' && *p <= 'Z')
            *p = (uint8_t)(*p + ('a' - 'A'));
    }
}

static void put_dav_hosts(struct buf *out, const struct settings *s)
{
    if (s->old_dav.url != NULL && s->new_dav.url != NULL)
        buf_printf(out, "|dav %s|dav %s", s->old_dav.url, s->new_dav.url);
}

/* One of the two is the other with hosts of calendars behind: they came, or went, and the mailboxes' are the same. */
static bool may_follow(const struct buf *have, const struct buf *want)
{
    struct slice a = buf_slice(have), b = buf_slice(want), longer = a.n > b.n ? a : b, shorter = a.n > b.n ? b : a;
    if (slice_eq(a, b) || !slice_starts(longer, shorter))
        return slice_eq(a, b);
    return slice_starts(slice_make(longer.p + shorter.n, longer.n - shorter.n), SLICE_LIT("|dav "));
}

/* UIDs of one pair of hosts mean nothing to another: running on would mix up people's mail. */
static int check_identity(struct daemon *d, struct err *e)
{
    struct buf have = {0}, want = {0};
    put_host(&want, &d->settings->old_imap);
    buf_putc(&want, '|');
    put_host(&want, &d->settings->new_imap);
    put_dav_hosts(&want, d->settings);
    int rc = store_identity_get(d->env.store, &have);
    bool accept = d->settings->accept_changed_hosts || d->options->accept_changed_hosts;
    bool same = slice_eq(buf_slice(&have), buf_slice(&want)), known = have.len > 0 && !may_follow(&have, &want);
    if (!known && want.len < have.len) /* the calendars' hosts are not configured now: they are remembered */
        same = true;
    if (rc != 0) {
        err_set(e, rc, SCOPE_HOST, "cannot read which hosts the store belongs to");
    } else if (known && !same && !accept) {
        log_event(&d->log, LOG_ERROR, "hosts_differ", log_v("store", buf_slice(&have)),
                  log_v("configured", buf_slice(&want)));
        rc = err_set(e, E_INVAL, SCOPE_HOST,
                     "the store belongs to other hosts than the configuration names; if they are "
                     "the same under new names, start once with --accept-changed-hosts");
    } else if (!same) {
        struct store_batch *b = store_batch_new(d->env.store);
        store_identity_put(b, buf_slice(&want));
        store_submit(&b, NULL);
        if (known)
            log_event(&d->log, LOG_WARN, "hosts_changed", log_v("was", buf_slice(&have)),
                      log_v("is", buf_slice(&want)));
    }
    buf_free(&have);
    buf_free(&want);
    return rc;
}

static int watch_signals(struct daemon *d, struct err *e)
{
    if (worker_on_signal(d->worker, SIGTERM, on_terminate, d) != 0 ||
        worker_on_signal(d->worker, SIGINT, on_terminate, d) != 0 ||
        worker_on_signal(d->worker, SIGHUP, on_hangup, d) != 0)
        return err_set(e, E_IO, SCOPE_NONE, "cannot watch for signals");
    return 0;
}

static int start(struct daemon *d, struct err *e)
{
    d->worker = worker_new(&d->log, &d->counters);
    d->env.worker = d->worker;
    worker_set_env(d->worker, &d->env);
    task_init(&d->counters_task, d->worker, counters_step);
    task_init(&d->drain_task, d->worker, drain_step);
    timer_init(&d->counters_timer, &d->counters_task);
    timer_init(&d->drain_timer, &d->drain_task);
    d->env.auth = auth_new();
    if (d->settings->old_dav.url != NULL || d->settings->new_dav.url != NULL)
        d->env.dav = davc_new(d->worker);
    /* First, so that a signal during the start waits for the loop and then ends it in order. */
    int rc = watch_signals(d, e);
    if (rc == 0)
        rc = front_start(&d->front, &d->env, e);
    if (rc == 0)
        rc = privileges_drop(d->settings, e);
    if (rc == 0)
        rc = store_open(&d->env.store, d->worker, d->settings->store_path, false, e);
    if (rc == 0)
        rc = check_identity(d, e);
    if (rc == 0)
        rc = accounts_new(&d->env.accounts, &d->env, e);
    if (rc == 0)
        timer_start(&d->counters_timer, d->settings->counters_seconds * 1000ull);
    return rc;
}

static void stop(struct daemon *d)
{
    struct tls_set none = {0};
    front_free(&d->front);
    accounts_free(&d->env.accounts);
    davc_free(&d->env.dav);
    store_close(&d->env.store);
    if (d->worker != NULL) {
        timer_stop(&d->counters_timer);
        timer_stop(&d->drain_timer);
        task_stop(&d->counters_task);
        task_stop(&d->drain_task);
        worker_free(&d->worker);
    }
    auth_free(&d->env.auth);
    use_tls(d, &none);
    conf_settings_free(&d->settings);
}

static void log_started(struct daemon *d)
{
    struct buf old_host = {0}, new_host = {0};
    put_host(&old_host, &d->settings->old_imap);
    put_host(&new_host, &d->settings->new_imap);
    log_event(&d->log, LOG_INFO, "started", log_s("version", PACKAGE_VERSION),
              log_n("pid", getpid()), log_s("config", d->options->file),
              log_v("old", buf_slice(&old_host)), log_v("new", buf_slice(&new_host)),
              log_s("store", d->settings->store_path));
    buf_free(&old_host);
    buf_free(&new_host);
}

int daemon_main(const struct daemon_options *o)
{
    struct daemon d = {.options = o,
                       .log = {.fd = STDERR_FILENO, .level = LOG_INFO, .format = LOG_LOGFMT}};
    struct settings *s;
    struct tls_set t;
    struct err e = {0};
    signal(SIGPIPE, SIG_IGN);
    if (load(&d, &s, &t) != 0)
        return 1;
    use_settings(&d, s);
    use_tls(&d, &t);
    uint64_t files = privileges_harden(s);
    if (files < privileges_files_needed(s))
        log_event(&d.log, LOG_WARN, "few_descriptors", log_n("allowed", (int64_t)files),
                  log_n("needed", (int64_t)privileges_files_needed(s)),
                  log_s("reason", "raise LimitNOFILE or lower limits.max_connections"));
    d.started_ms = clock_mono_ms();
    int rc = start(&d, &e);
    if (rc != 0) {
        log_event(&d.log, LOG_ERROR, "start_failed", log_s("error", err_name(rc)), log_e(&e));
    } else {
        /* The totals of earlier runs are in the counters already, and no rate of this one. */
        d.rates = (struct rates){d.started_ms, d.counters.moved, d.counters.bytes_moved};
        log_started(&d);
        rc = worker_run(d.worker);
        log_counters(&d);
    }
    bool started = d.env.accounts != NULL;
    stop(&d);
    if (started)
        log_event(&d.log, LOG_INFO, "stopped", log_n("code", rc == 0 ? 0 : 1));
    return rc == 0 ? 0 : 1;
}

int daemon_check(const char *file)
{
    struct conf_report r = {0};
    struct settings *s;
    struct tls_set t;
    struct err e = {0};
    int rc = conf_load(&s, file, true, &r);
    fputs(buf_cstr(&r.warnings), stderr);
    fputs(buf_cstr(&r.errors), stderr);
    conf_report_free(&r);
    if (rc != 0)
        return 1;
    rc = tls_set_load(&t, s, &e);
    if (rc != 0)
        fprintf(stderr, "%s: %s\n", file, e.text);
    else
        printf("%s: configuration is fine\n", file);
    tls_set_free(&t);
    conf_settings_free(&s);
    return rc == 0 ? 0 : 1;
}
