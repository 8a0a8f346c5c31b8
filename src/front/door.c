/* The check of a password. See door.h. The connection to the old host is closed at once: hosts
 * limit those of a person, and most sign-ins need it no more. */
#include "config.h"
#include "front/door.h"
#include <stdio.h>
#include <string.h>
#include "wherry/base/clock.h"

void door_init(struct door *d, struct env *env, struct task *task, struct stream *client,
               const char *protocol, uint32_t session)
{
    *d = (struct door){
        .env = env, .task = task, .client = client, .protocol = protocol, .session = session};
    timer_init(&d->delay, task);
    d->began = clock_real_us() / 1000000;
}

static uint64_t now(const struct door *d)
{
    return worker_now_ms(d->env->worker);
}

/* ---- hosts that are down ---- */

static struct breaker *breaker_of(struct door *d, enum unit_home side)
{
    return side == HOME_OLD ? &d->env->old_breaker : &d->env->new_breaker;
}

static void leave(struct door *d, enum unit_home side, enum breaker_end end, const struct err *e)
{
    struct breaker *b = breaker_of(d, side);
    const struct err none = {0};
    if (!d->trying[side == HOME_NEW])
        return;
    d->trying[side == HOME_NEW] = false;
    if (!breaker_leave(b, end, now(d)))
        return;
    bool down = breaker_is_open(b);
    log_event(worker_log(d->env->worker), down ? LOG_WARN : LOG_INFO, down ? "host_down" : "host_up",
              log_s("host", side == HOME_OLD ? "old" : "new"), log_e(e != NULL ? e : &none));
}

bool door_try(struct door *d, enum unit_home side)
{
    struct err e;
    if (breaker_enter(breaker_of(d, side), now(d))) {
        d->trying[side == HOME_NEW] = true;
        return true;
    }
    err_set(&e, E_UNAVAIL, SCOPE_HOST, "the %s host is down; it is tried again soon", side == HOME_OLD ? "old" : "new");
    door_log_failed(d, side == HOME_OLD ? "old_host" : "new_host", &e);
    return false;
}

void door_tried(struct door *d, enum unit_home side, const struct imapc *c, const struct err *e)
{
    bool there = e == NULL || e->code == E_AUTH || (c != NULL && imapc_answered(c));
    leave(d, side, there ? BREAKER_ANSWERED : BREAKER_FAILED, e);
}

/* ---- */

static void stop_asking(struct door *d)
{
    leave(d, HOME_OLD, BREAKER_DROPPED, NULL);
    leave(d, HOME_NEW, BREAKER_DROPPED, NULL);
    imapc_abort(&d->imap);
    smtpc_abort(&d->smtp);
    if (d->asking)
        dav_ask_free(&d->ask);
    d->asking = false;
    timer_stop(&d->delay);
    d->state = DOOR_IDLE;
}

void door_free(struct door *d)
{
    stop_asking(d);
    buf_free(&d->login);
    buf_free(&d->key);
    buf_free(&d->id);
    secret_free(&d->password);
}

static bool loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0 ||
           strncmp(address, "::ffff:127.", 11) == 0;
}

bool door_plain_ok(const struct env *env, const struct stream *client, bool secure)
{
    enum plaintext p = env->settings->plaintext;
    return secure || p == PLAINTEXT_YES ||
           (p == PLAINTEXT_LOOPBACK && loopback(stream_peer(client)));
}

void door_log_failed(struct door *d, const char *cause, const struct err *e)
{
    struct err none = {0};
    enum log_level level = e == NULL || e->code == E_AUTH ? LOG_INFO : LOG_WARN;
    log_event(worker_log(d->env->worker), level, "sign_in_failed", log_s("protocol", d->protocol),
              log_v("account", buf_slice(&d->key)), log_n("session", d->session),
              log_s("address", stream_peer(d->client)), log_s("cause", cause),
              log_e(e != NULL ? e : &none));
    worker_counters(d->env->worker)->sign_in_failures++;
}

bool door_give_up(struct door *d)
{
    stop_asking(d);
    secret_free(&d->password);
    return ++d->attempts >= d->env->settings->sign_in_attempts;
}

void door_passed(struct door *d, const char *account)
{
    d->attempts = 0;
    worker_counters(d->env->worker)->sign_ins++;
    log_event(worker_log(d->env->worker), LOG_INFO, "sign_in", log_s("protocol", d->protocol),
              log_s("account", account), log_n("session", d->session),
              log_s("address", stream_peer(d->client)), log_s("tls", stream_tls_info(d->client)));
}

static void wrong(struct door *d, const char *cause)
{
    struct slice key = buf_slice(&d->key);
    const char *address = stream_peer(d->client);
    auth_note_failure(d->env->auth, address, key, now(d));
    uint64_t ms = auth_failure_delay(d->env->auth, address, key, now(d));
    door_log_failed(d, cause, NULL);
    stop_asking(d);
    secret_free(&d->password);
    timer_start(&d->delay, ms > 0 ? ms : 1);
    d->state = DOOR_PENALTY;
}

static void tell_client(const struct door *d, struct imapc *c)
{
    char local[STREAM_ADDRESS], session[48];
    struct imapc_client who = {.address = stream_peer(d->client),
                               .port = stream_peer_port(d->client),
                               .session = session,
                               .id = buf_slice(&d->id)};
    if (stream_local(d->client, local, &who.connected_port))
        who.connected_address = local;
    snprintf(session, sizeof(session), "wherry-%llx-%u", (unsigned long long)d->began, (unsigned)d->session);
    imapc_set_client(c, &who);
}

static struct imapc *open_imap(struct door *d, struct task *task, const struct mail_host *host,
                               struct tls_ctx *tls, const struct auth_creds *creds)
{
    const struct settings *set = d->env->settings;
    struct imapc_open o = {
        .host = host,
        .tls = tls,
        .creds = creds,
        .timeout_seconds = set->host_timeout_seconds,
    };
    struct imapc *c = imapc_open(d->env->worker, task, &o);
    tell_client(d, c);
    return c;
}

struct imapc *door_connect_imap(struct door *d, struct task *task, const struct mail_host *host,
                                struct tls_ctx *tls)
{
    struct auth_creds creds = {0};
    if (auth_host_creds(d->env->settings, host, buf_slice(&d->login), &d->password, &creds) != 0)
        return NULL;
    struct imapc *c = open_imap(d, task, host, tls, &creds);
    auth_creds_free(&creds);
    return c;
}

/* With what the person typed, and never as a master user: that would let everybody in. */
static struct imapc *ask_imap(struct door *d)
{
    const struct mail_host *host = &d->env->settings->old_imap;
    struct auth_creds creds = {0};
    if (auth_own_creds(d->env->settings, host, buf_slice(&d->login), &d->password, &creds) != 0)
        return NULL;
    struct imapc *c = open_imap(d, d->task, host, d->env->tls_old, &creds);
    auth_creds_free(&creds);
    return c;
}

/* XCLIENT goes without a name: it would be let in by that. */
static struct smtpc *connect_smtp(struct door *d)
{
    const struct settings *set = d->env->settings;
    struct auth_creds creds = {0};
    if (auth_own_creds(set, &set->old_submission, buf_slice(&d->login), &d->password, &creds) != 0)
        return NULL;
    struct smtpc_open o = {
        .host = &set->old_submission,
        .tls = d->env->tls_old_submission,
        .creds = &creds,
        .hostname = set->hostname,
        .client_address = stream_peer(d->client),
        .client_port = stream_peer_port(d->client),
        .timeout_seconds = set->host_timeout_seconds,
    };
    struct smtpc *c = smtpc_open(d->env->worker, d->task, &o);
    auth_creds_free(&creds);
    return c;
}

/* What the old host said counts for the name that it was asked about, not for the account: other
 * spellings lead to the same account, but perhaps to another person at the old host, or at one of
 * the new ones, whose templates differ. */
void door_knock(struct door *d)
{
    const struct settings *set = d->env->settings;
    struct slice login = buf_slice(&d->login);
    stop_asking(d);
    buf_free(&d->key);
    /* A NUL ends a password for some hosts and not for others. */
    if (d->password.n == 0 || d->password.n > AUTH_MAX_PASSWORD ||
        memchr(d->password.p, '\0', d->password.n) != NULL || auth_check_login(set, login) != 0 ||
        auth_account_key(set, login, &d->key) != 0) {
        wrong(d, "malformed");
        return;
    }
    if (set->verify_cache_seconds > 0 &&
        auth_cache_ok(d->env->auth, login, &d->password, now(d), set->verify_cache_seconds)) {
        d->state = DOOR_CACHED;
        return;
    }
    if (d->dav) {
        d->state = DOOR_HOST;
        return;
    }
    d->state = DOOR_CHECK;
    if (!door_try(d, HOME_OLD)) {
        d->state = DOOR_DOWN;
        return;
    }
    if (set->old_imap.host != NULL)
        d->imap = ask_imap(d);
    else
        d->smtp = connect_smtp(d);
    if (d->imap == NULL && d->smtp == NULL)
        wrong(d, "malformed");
}

/* True when it is known whether the host tells people apart. */
static bool ask_dav(struct door *d, enum door_answer *answer)
{
    struct dav_creds creds = {0};
    struct err e = {0};
    enum readiness r = dav_host_asks(d->front);
    *answer = DOOR_WAIT;
    if (r == STATE_FAILED) {
        err_set(&e, E_UNAVAIL, SCOPE_HOST, "the old host's calendars do not ask for a password, or do not answer");
        door_log_failed(d, "old_host", &e);
        stop_asking(d);
        *answer = DOOR_UNAVAILABLE;
    } else if (r == STATE_READY && dav_own_creds(d->env->settings, &d->env->settings->old_dav, buf_slice(&d->login),
                                                 &d->password, &creds) != 0) {
        wrong(d, "malformed");
    } else if (r == STATE_READY) {
        dav_ask_start(&d->ask, d->env, d->task, &creds, true);
        d->asking = true;
        d->state = DOOR_CHECK;
    }
    dav_creds_free(&creds);
    return r != STATE_BUSY;
}

/* 401 and 403 are refusals; anything but a success says nothing about the password. */
static bool dav_answered(struct door *d, struct err *own, const struct err **e)
{
    if (!dav_ask_step(&d->ask, e))
        return false;
    unsigned status = d->ask.status;
    if (*e == NULL && (status < 200 || status > 299)) {
        err_set(own, status == 401 || status == 403 ? E_AUTH : E_UNAVAIL, SCOPE_HOST, "the old host answered %u", status);
        *e = own;
    }
    return true;
}

/* True when the host answered: *e is NULL when it let the person in, else perhaps own. */
static bool host_answered(struct door *d, struct err *own, const struct err **e)
{
    *e = NULL;
    if (d->asking)
        return dav_answered(d, own, e);
    if (d->imap != NULL) {
        struct imapc_event ev;
        imapc_next(d->imap, &ev);
        *e = ev.err;
        return ev.kind == IMAPC_READY || ev.kind == IMAPC_FAILED;
    }
    struct smtpc_event ev;
    smtpc_next(d->smtp, &ev);
    *e = ev.err;
    return ev.kind == SMTPC_READY || ev.kind == SMTPC_FAILED;
}

static enum door_answer check(struct door *d)
{
    const struct err *e;
    struct err own = {0};
    struct slice key = buf_slice(&d->key), login = buf_slice(&d->login);
    if (!host_answered(d, &own, &e))
        return DOOR_WAIT;
    door_tried(d, HOME_OLD, d->imap, e);
    if (e == NULL) {
        auth_cache_put(d->env->auth, login, &d->password, now(d));
        auth_note_success(d->env->auth, stream_peer(d->client), key);
        if (d->imap != NULL)
            d->env->old_append_limit = imap_caps_append_limit(imapc_caps_text(d->imap));
        imapc_close(&d->imap);
        smtpc_close(&d->smtp);
        stop_asking(d);
        return DOOR_RIGHT;
    }
    if (e->code == E_AUTH) {
        auth_cache_drop(d->env->auth, login);
        wrong(d, "credentials");
        return DOOR_WAIT;
    }
    door_log_failed(d, "old_host", e);
    stop_asking(d);
    return DOOR_UNAVAILABLE;
}

enum door_answer door_step(struct door *d)
{
    enum door_answer answer;
    switch (d->state) {
    case DOOR_IDLE:
        break;
    case DOOR_CACHED:
        d->state = DOOR_IDLE;
        return DOOR_RIGHT;
    case DOOR_DOWN:
        stop_asking(d);
        return DOOR_UNAVAILABLE;
    case DOOR_HOST:
        if (!ask_dav(d, &answer) || answer != DOOR_WAIT || d->state != DOOR_CHECK)
            return answer;
        return check(d);
    case DOOR_CHECK:
        return check(d);
    case DOOR_PENALTY:
        if (!d->delay.fired)
            return DOOR_WAIT;
        stop_asking(d);
        return DOOR_WRONG;
    }
    return DOOR_WAIT;
}

bool door_delays(const struct door *d)
{
    return d->state == DOOR_PENALTY;
}
