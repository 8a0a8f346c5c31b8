/*
 * Requests to DAV hosts: libcurl's multi interface as a guest on the worker's loop. See client/dav.h.
 *
 * libcurl tells which descriptors to watch and when to be called; both only wake a task, in whose step libcurl is called. Its
 * own callbacks are called from there, from davr_next() and davr_write(): they record facts and wake the owner, and never call
 * libcurl. Rejected: a connection of our own with llhttp in its answer mode (keep-alive, retries on a dead connection, chunks, early
 * answers, Digest: all there is to get wrong).
 */
#include "config.h"
#include "wherry/client/dav.h"
#include "wherry/net/watch.h"
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEND_HIGH = 128 * 1024, SEND_LOW = 32 * 1024, SPARE = 16, KEPT_CONNECTIONS = 128, CONNECT_MS = 30000, BATCH = 64 };

/* A host that refuses Basic and offers Digest. */
struct digest_host {
    struct list node;
    char *origin;
};

struct davc {
    struct worker *worker;
    CURLM *multi;
    struct task task;
    struct timer timer;
    struct list watches;  /* struct watched */
    struct list requests; /* struct davr.node */
    struct list digests;
    CURL *spare[SPARE];
    unsigned n_spare;
};

struct watched {
    struct list node;
    struct watch *watch;
};

enum davr_state { DR_RUNNING, DR_OVER };

struct davr {
    struct list node;
    struct davc *c;
    CURL *easy;
    struct task task; /* of the timer */
    struct timer timer;
    struct task *owner;
    enum davr_state state;
    struct err err;
    uint64_t timeout_ms;
    char *origin, *method;
    bool verify;
    char *ca;
    struct buf target;
    struct dav_creds creds;
    struct curl_slist *fields_out;
    /* the request's body */
    int body_kind;
    uint64_t body_size;
    struct buf body; /* WHOLE: all of it; else what is not sent yet */
    size_t body_at;  /* of WHOLE */
    bool body_ended, body_sent, send_paused;
    /* the answer */
    unsigned status;
    struct buf head; /* names and values of the fields, one behind the other */
    size_t (*spans)[3]; /* offset, length of name, length of value */
    size_t n_fields, head_bytes;
    struct dav_field *fields;
    bool head_ready, head_told, basic_offered, digest_offered, digest_tried;
    struct buf in, out;
    bool receive_paused;
    CURLcode result;
};

static void request_step(struct task *t);

/* ---- the loop ---- */

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socketp)
{
    struct davc *c = arg;
    struct watched *w = socketp;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (w != NULL) {
            watch_close(&w->watch);
            list_remove(&w->node);
            free(w);
        }
        curl_multi_assign(c->multi, fd, NULL);
        return 0;
    }
    if (w == NULL) {
        struct watch *h = watch_open(c->worker, fd, &c->task);
        if (h == NULL)
            return -1;
        w = mem_alloc(sizeof(*w));
        w->watch = h;
        list_append(&c->watches, &w->node);
        curl_multi_assign(c->multi, fd, w);
    }
    watch_want(w->watch, (what & CURL_POLL_IN ? WATCH_READ : 0U) | (what & CURL_POLL_OUT ? WATCH_WRITE : 0U));
    return 0;
}

static int on_timer(CURLM *multi, long ms, void *arg)
{
    struct davc *c = arg;
    (void)multi;
    if (ms < 0)
        timer_stop(&c->timer);
    else
        timer_start(&c->timer, (uint64_t)ms);
    return 0;
}

/* Those that something happened to; the calls into libcurl may take any of them away, so they are noted by number. */
static size_t gather(struct davc *c, int fds[BATCH], int masks[BATCH])
{
    size_t n = 0;
    struct list *it;
    list_for_each(it, &c->watches)
    {
        struct watched *w = container_of(it, struct watched, node);
        if (n == BATCH) {
            task_wake(&c->task);
            break;
        }
        unsigned happened = watch_take(w->watch);
        if (happened == 0)
            continue;
        fds[n] = watch_fd(w->watch);
        masks[n++] = (happened & WATCH_READ ? CURL_CSELECT_IN : 0) | (happened & WATCH_WRITE ? CURL_CSELECT_OUT : 0) |
                     (happened & WATCH_ERROR ? CURL_CSELECT_ERR : 0);
    }
    return n;
}

static void request_over(struct davr *r, CURLcode result);

static void client_step(struct task *t)
{
    struct davc *c = container_of(t, struct davc, task);
    int fds[BATCH], masks[BATCH], running, left;
    size_t n = gather(c, fds, masks);
    for (size_t i = 0; i < n; i++)
        curl_multi_socket_action(c->multi, fds[i], masks[i], &running);
    if (c->timer.fired) {
        c->timer.fired = false;
        curl_multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    CURLMsg *m;
    while ((m = curl_multi_info_read(c->multi, &left)) != NULL) {
        char *p = NULL;
        CURLcode result = m->data.result;
        if (m->msg == CURLMSG_DONE && curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &p) == CURLE_OK && p != NULL)
            request_over((struct davr *)(void *)p, result);
    }
}

struct davc *davc_new(struct worker *w)
{
    struct davc *c = mem_alloc(sizeof(*c));
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || (c->multi = curl_multi_init()) == NULL)
        abort(); /* out of memory before anything began */
    c->worker = w;
    task_init(&c->task, w, client_step);
    timer_init(&c->timer, &c->task);
    list_init(&c->watches);
    list_init(&c->requests);
    list_init(&c->digests);
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
    curl_multi_setopt(c->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, (long)KEPT_CONNECTIONS);
    return c;
}

void davc_free(struct davc **cp)
{
    struct davc *c = *cp;
    struct list *it, *tmp;
    if (c == NULL)
        return;
    *cp = NULL;
    for (unsigned i = 0; i < c->n_spare; i++)
        curl_easy_cleanup(c->spare[i]);
    curl_multi_cleanup(c->multi);
    list_for_each_safe(it, tmp, &c->watches)
    {
        struct watched *w = container_of(it, struct watched, node);
        watch_close(&w->watch);
        free(w);
    }
    list_for_each_safe(it, tmp, &c->digests)
    {
        struct digest_host *d = container_of(it, struct digest_host, node);
        free(d->origin);
        free(d);
    }
    timer_stop(&c->timer);
    task_stop(&c->task);
    curl_global_cleanup();
    free(c);
}

static bool wants_digest(const struct davc *c, const char *origin)
{
    struct list *it;
    list_for_each(it, &c->digests)
        if (strcmp(container_of(it, struct digest_host, node)->origin, origin) == 0)
            return true;
    return false;
}

static void note_digest(struct davc *c, const char *origin)
{
    if (wants_digest(c, origin))
        return;
    struct digest_host *d = mem_alloc(sizeof(*d));
    d->origin = mem_strdup(origin);
    list_append(&c->digests, &d->node);
}

/* ---- what libcurl calls ---- */

/* The host has its time as long as it is not us who keep it waiting. */
static void mind_time(struct davr *r)
{
    if (r->state == DR_OVER || r->receive_paused || r->send_paused)
        timer_stop(&r->timer);
    else
        timer_start(&r->timer, r->timeout_ms);
}

static size_t on_read(char *p, size_t size, size_t n, void *arg)
{
    struct davr *r = arg;
    size_t room = size * n;
    struct slice have = buf_slice(&r->body);
    if (r->body_kind == DAVR_BODY_WHOLE)
        have = slice_make(have.p + r->body_at, have.n - r->body_at);
    if (have.n == 0 && r->body_kind != DAVR_BODY_WHOLE && !r->body_ended) {
        r->send_paused = true;
        mind_time(r);
        return CURL_READFUNC_PAUSE;
    }
    size_t take = have.n < room ? have.n : room;
    if (take > 0)
        memcpy(p, have.p, take);
    r->body_sent = r->body_sent || take > 0;
    if (r->body_kind == DAVR_BODY_WHOLE) {
        r->body_at += take;
    } else {
        bool was_full = r->body.len > SEND_LOW;
        buf_consume(&r->body, take);
        if (was_full && r->body.len <= SEND_LOW)
            task_wake(r->owner);
    }
    mind_time(r);
    return take;
}

static int on_seek(void *arg, curl_off_t offset, int origin)
{
    struct davr *r = arg;
    if (origin != SEEK_SET || offset < 0)
        return CURL_SEEKFUNC_CANTSEEK;
    if (r->body_kind == DAVR_BODY_WHOLE && (uint64_t)offset <= r->body.len) {
        r->body_at = (size_t)offset;
        return CURL_SEEKFUNC_OK;
    }
    return offset == 0 && !r->body_sent ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_CANTSEEK;
}

/* Ends it from within a callback; libcurl tells of it with the message. */
static size_t refuse(struct davr *r, int code, const char *why)
{
    if (r->err.code == 0)
        err_set(&r->err, code, SCOPE_HOST, "%s: %s", r->origin, why);
    return 0;
}

static const char *const hop_by_hop[] = {"connection",        "keep-alive", "proxy-connection", "te", "trailer",
                                         "transfer-encoding", "upgrade",    NULL};

static bool is_hop_by_hop(struct slice name)
{
    for (const char *const *h = hop_by_hop; *h != NULL; h++)
        if (slice_is_nocase(name, *h))
            return true;
    return false;
}

static struct slice trimmed(struct slice v)
{
    while (v.n > 0 && (v.p[0] == ' ' || v.p[0] == '\t'))
        v = slice_make(v.p + 1, v.n - 1);
    while (v.n > 0 && (v.p[v.n - 1] == ' ' || v.p[v.n - 1] == '\t' || v.p[v.n - 1] == '\r' || v.p[v.n - 1] == '\n'))
        v.n--;
    return v;
}

static void note_scheme(struct davr *r, struct slice name, struct slice value)
{
    if (!slice_is_nocase(name, "www-authenticate"))
        return;
    r->basic_offered = r->basic_offered || (value.n >= 5 && slice_is_nocase(slice_make(value.p, 5), "basic"));
    r->digest_offered = r->digest_offered || (value.n >= 6 && slice_is_nocase(slice_make(value.p, 6), "digest"));
}

/* A status line: what came before was an interim answer, or one that libcurl dealt with by itself. */
static void begin_head(struct davr *r)
{
    buf_clear(&r->head);
    r->n_fields = 0;
    r->basic_offered = r->digest_offered = false;
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
    struct davr *r = arg;
    struct slice line = slice_make(p, size * n), end = line;
    if (r->head_ready)
        return line.n; /* a trailer */
    mind_time(r);
    r->head_bytes += line.n;
    if (r->head_bytes > DAVR_HEAD_MAX || r->n_fields == DAVR_FIELDS_MAX)
        return refuse(r, E_LIMIT, "the head of its answer is too large");
    if (slice_starts(line, SLICE_LIT("HTTP/"))) {
        begin_head(r);
        return line.n;
    }
    if (trimmed(end).n == 0)
        return line.n;
    const uint8_t *colon = memchr(line.p, ':', line.n);
    if (colon == NULL || colon == line.p || line.p[0] == ' ' || line.p[0] == '\t')
        return refuse(r, E_PROTO, "a line of its answer's head is no field");
    struct slice name = slice_make(line.p, (size_t)(colon - line.p));
    struct slice value = trimmed(slice_make(colon + 1, line.n - name.n - 1));
    note_scheme(r, name, value);
    if (is_hop_by_hop(name))
        return line.n;
    r->spans = mem_grow(r->spans, r->n_fields + 1, sizeof(*r->spans));
    r->spans[r->n_fields][0] = r->head.len;
    r->spans[r->n_fields][1] = name.n;
    r->spans[r->n_fields++][2] = value.n;
    buf_put_slice(&r->head, name);
    buf_put_slice(&r->head, value);
    return line.n;
}

/* The answer refuses Basic where Digest would do, and the request can be made again. */
static bool should_try_digest(const struct davr *r, long status)
{
    return status == 401 && r->digest_offered && !r->basic_offered && !r->digest_tried && r->creds.user.len > 0 &&
           !wants_digest(r->c, r->origin);
}

/* The final answer's head is complete. */
static void end_head(struct davr *r)
{
    long status = 0;
    if (r->head_ready)
        return;
    curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
    r->head_ready = true;
    r->status = (unsigned)status;
    r->fields = mem_array(r->n_fields + 1, sizeof(*r->fields));
    const uint8_t *p = buf_slice(&r->head).p;
    for (size_t i = 0; i < r->n_fields; i++) {
        const size_t *s = r->spans[i];
        r->fields[i].name = slice_make(p + s[0], s[1]);
        r->fields[i].value = slice_make(p + s[0] + s[1], s[2]);
    }
}

static size_t on_write(char *p, size_t size, size_t n, void *arg)
{
    struct davr *r = arg;
    long status = 0;
    curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
    if (!r->head_ready && should_try_digest(r, status) && r->body_kind <= DAVR_BODY_WHOLE)
        return size * n;
    if (r->in.len >= DAVR_WINDOW) {
        r->receive_paused = true;
        mind_time(r);
        return CURL_WRITEFUNC_PAUSE;
    }
    end_head(r);
    buf_put(&r->in, p, size * n);
    mind_time(r);
    task_wake(r->owner);
    return size * n;
}

/* ---- requests ---- */

static CURL *take_easy(struct davc *c)
{
    CURL *easy = c->n_spare > 0 ? c->spare[--c->n_spare] : curl_easy_init();
    if (easy == NULL)
        abort();
    return easy;
}

static void give_easy(struct davc *c, CURL *easy)
{
    if (c->n_spare == SPARE) {
        curl_easy_cleanup(easy);
        return;
    }
    curl_easy_reset(easy); /* connections are the multi handle's */
    c->spare[c->n_spare++] = easy;
}

static void set_hosts_manners(CURL *e, const struct davr *r)
{
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(e, CURLOPT_PROXY, "");
    curl_easy_setopt(e, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(e, CURLOPT_HTTP_CONTENT_DECODING, 0L);
    curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, r->timeout_ms < CONNECT_MS ? (long)r->timeout_ms : (long)CONNECT_MS);
    curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, r->verify ? 1L : 0L);
    curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, r->verify ? 2L : 0L);
    if (r->ca != NULL)
        curl_easy_setopt(e, CURLOPT_CAINFO, r->ca);
}

static void set_body(CURL *e, struct davr *r)
{
    if (strcmp(r->method, "HEAD") == 0) {
        curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
        return;
    }
    if (r->body_kind == DAVR_NO_BODY) {
        curl_easy_setopt(e, CURLOPT_HTTPGET, 1L);
    } else {
        curl_off_t n = r->body_kind == DAVR_BODY_WHOLE ? (curl_off_t)r->body.len
                       : r->body_kind == DAVR_BODY_SIZED ? (curl_off_t)r->body_size : -1;
        curl_easy_setopt(e, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(e, CURLOPT_INFILESIZE_LARGE, n);
        curl_easy_setopt(e, CURLOPT_READFUNCTION, on_read);
        curl_easy_setopt(e, CURLOPT_READDATA, r);
        curl_easy_setopt(e, CURLOPT_SEEKFUNCTION, on_seek);
        curl_easy_setopt(e, CURLOPT_SEEKDATA, r);
    }
    curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, r->method);
}

static void begin(struct davr *r)
{
    CURL *e = r->easy = take_easy(r->c);
    bool digest = r->digest_tried || wants_digest(r->c, r->origin);
    set_hosts_manners(e, r);
    curl_easy_setopt(e, CURLOPT_PRIVATE, (void *)r);
    curl_easy_setopt(e, CURLOPT_URL, r->origin);
    curl_easy_setopt(e, CURLOPT_REQUEST_TARGET, buf_cstr(&r->target));
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, r->fields_out);
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, r);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_write);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, r);
    if (r->creds.user.len > 0) {
        curl_easy_setopt(e, CURLOPT_HTTPAUTH, digest ? (long)CURLAUTH_DIGEST : (long)CURLAUTH_BASIC);
        curl_easy_setopt(e, CURLOPT_USERNAME, buf_cstr(&r->creds.user));
        curl_easy_setopt(e, CURLOPT_PASSWORD, r->creds.password.p != NULL ? r->creds.password.p : "");
    }
    set_body(e, r);
    mind_time(r);
    if (curl_multi_add_handle(r->c->multi, e) != CURLM_OK)
        abort(); /* wrong use or out of memory */
}

/* Takes the handle back; nothing more comes from libcurl. */
static void let_go(struct davr *r)
{
    if (r->easy == NULL)
        return;
    curl_multi_remove_handle(r->c->multi, r->easy);
    give_easy(r->c, r->easy);
    r->easy = NULL;
}

static int code_of(CURLcode c)
{
    switch (c) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
        return E_UNAVAIL;
    case CURLE_OPERATION_TIMEDOUT:
        return E_TIMEOUT;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_ISSUER_ERROR:
        return E_TLS;
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_SEND_FAIL_REWIND:
        return E_CLOSED;
    default:
        return E_PROTO;
    }
}

static void fail_with(struct davr *r, int code, const char *why)
{
    if (r->err.code == 0)
        err_set(&r->err, code, SCOPE_HOST, "%s: %s", r->origin, why);
    r->state = DR_OVER;
    mind_time(r);
    task_wake(r->owner);
}

static void request_over(struct davr *r, CURLcode result)
{
    long status = 0;
    curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
    r->result = result;
    if (result == CURLE_OK && !r->head_ready && should_try_digest(r, status)) {
        note_digest(r->c, r->origin);
        if (r->body_kind <= DAVR_BODY_WHOLE) {
            let_go(r);
            begin_head(r);
            r->digest_tried = true;
            r->body_at = 0;
            begin(r);
            return;
        }
    }
    if (result == CURLE_OK && (status < 200 || status > 599)) {
        let_go(r);
        fail_with(r, E_PROTO, "its answer has no sensible status");
        return;
    }
    if (result == CURLE_OK)
        end_head(r);
    let_go(r);
    if (result != CURLE_OK) {
        fail_with(r, code_of(result), curl_easy_strerror(result));
        return;
    }
    r->state = DR_OVER;
    mind_time(r);
    task_wake(r->owner);
}

static void request_step(struct task *t)
{
    struct davr *r = container_of(t, struct davr, task);
    if (!r->timer.fired || r->state == DR_OVER)
        return;
    let_go(r);
    fail_with(r, E_TIMEOUT, "it does not answer");
}

static bool is_token(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] >= 0x7f || strchr("()<>@,;:\\\"/[]?={}", s.p[i]) != NULL)
            return false;
    return s.n > 0;
}

static bool is_value(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((s.p[i] < ' ' && s.p[i] != '\t') || s.p[i] == 0x7f)
            return false;
    return true;
}

static bool is_target(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] == 0x7f || s.p[i] == '#')
            return false;
    return s.n > 0 && (s.p[0] == '/' || slice_is(s, "*"));
}

static int add_field(struct davr *r, struct slice name, struct slice value)
{
    struct buf line = {0};
    if (!is_token(name) || !is_value(value))
        return E_INVAL;
    buf_put_slice(&line, name);
    buf_puts(&line, value.n > 0 ? ": " : ";");
    buf_put_slice(&line, value);
    struct curl_slist *l = curl_slist_append(r->fields_out, buf_cstr(&line));
    buf_free(&line);
    if (l == NULL)
        abort();
    r->fields_out = l;
    return 0;
}

static int take_fields(struct davr *r, const struct davr_open *o)
{
    bool accept = false;
    int rc = is_target(o->target) && is_token(slice_str(o->method)) ? 0 : E_INVAL;
    for (size_t i = 0; i < o->n_fields && rc == 0; i++) {
        accept = accept || slice_is_nocase(o->fields[i].name, "accept");
        rc = add_field(r, o->fields[i].name, o->fields[i].value);
    }
    if (rc == 0 && o->creds != NULL && o->creds->field != NULL)
        rc = add_field(r, slice_str(o->creds->field), buf_slice(&o->creds->value));
    /* What libcurl would add of itself. */
    const char *const silent[] = {"Expect:", accept ? NULL : "Accept:"};
    for (size_t i = 0; i < 2; i++)
        if (silent[i] != NULL)
            r->fields_out = curl_slist_append(r->fields_out, silent[i]);
    return rc;
}

struct davr *davr_start(struct davc *c, struct task *owner, const struct davr_open *o)
{
    struct davr *r = mem_alloc(sizeof(*r));
    struct buf origin = {0}, path = {0};
    r->c = c;
    r->owner = owner;
    list_append(&c->requests, &r->node);
    task_init(&r->task, c->worker, request_step);
    timer_init(&r->timer, &r->task);
    r->timeout_ms = (o->timeout_seconds > 0 ? o->timeout_seconds : 30) * 1000ull;
    int rc = dav_host_split(o->host, &origin, &path);
    r->origin = mem_strdup(buf_cstr(&origin));
    buf_free(&origin);
    buf_free(&path);
    r->method = mem_strdup(o->method);
    r->verify = o->host->verify;
    r->ca = mem_strdup(o->host->ca);
    buf_put_slice(&r->target, o->target);
    r->body_kind = o->body_kind;
    r->body_size = o->body_size;
    if (o->body_kind == DAVR_BODY_WHOLE)
        buf_put_slice(&r->body, o->body);
    if (o->creds != NULL) {
        buf_put_slice(&r->creds.user, buf_slice(&o->creds->user));
        secret_copy(&r->creds.password, &o->creds->password);
    }
    if (rc == 0)
        rc = take_fields(r, o);
    if (rc == 0)
        begin(r);
    else
        fail_with(r, rc, "the request cannot be sent as it is");
    return r;
}

void davr_set_owner(struct davr *r, struct task *owner)
{
    r->owner = owner;
    task_wake(owner);
}

void davr_free(struct davr **rp)
{
    struct davr *r = *rp;
    if (r == NULL)
        return;
    *rp = NULL;
    r->owner = NULL;
    let_go(r);
    timer_stop(&r->timer);
    task_stop(&r->task);
    list_remove(&r->node);
    curl_slist_free_all(r->fields_out);
    dav_creds_free(&r->creds);
    free(r->origin);
    free(r->method);
    free(r->ca);
    buf_free(&r->target);
    buf_free(&r->body);
    buf_free(&r->head);
    free(r->spans);
    free(r->fields);
    buf_free(&r->in);
    buf_free(&r->out);
    free(r);
}

/* Lets libcurl go on where it was held up on our side. */
static void unpause(struct davr *r)
{
    int bits = (r->receive_paused ? CURLPAUSE_RECV : 0) | (r->send_paused ? CURLPAUSE_SEND : 0);
    mind_time(r);
    if (r->easy != NULL)
        curl_easy_pause(r->easy, bits); /* may call on_write() at once */
}

void davr_write(struct davr *r, struct slice bytes)
{
    if (r->state == DR_OVER || r->body_kind < DAVR_BODY_SIZED)
        return;
    buf_put_slice(&r->body, bytes);
    if (r->send_paused && bytes.n > 0) {
        r->send_paused = false;
        unpause(r);
    }
}

void davr_end(struct davr *r)
{
    r->body_ended = true;
    if (r->send_paused) {
        r->send_paused = false;
        unpause(r);
    }
}

bool davr_full(const struct davr *r)
{
    return r->body_kind >= DAVR_BODY_SIZED && r->body.len >= SEND_HIGH;
}

void davr_next(struct davr *r, struct davr_event *ev)
{
    *ev = (struct davr_event){.kind = DAVR_NONE};
    if (r->head_ready && !r->head_told) {
        r->head_told = true;
        ev->kind = DAVR_HEAD;
        return;
    }
    if (r->head_told && r->in.len > 0) {
        struct buf t = r->out;
        buf_clear(&t);
        r->out = r->in;
        r->in = t;
        ev->kind = DAVR_BODY;
        ev->bytes = buf_slice(&r->out);
        if (r->receive_paused) {
            r->receive_paused = false;
            unpause(r);
        }
        return;
    }
    if (r->state != DR_OVER)
        return;
    ev->kind = r->err.code != 0 ? DAVR_FAILED : DAVR_DONE;
    ev->err = r->err.code != 0 ? &r->err : NULL;
}

unsigned davr_status(const struct davr *r)
{
    return r->status;
}

size_t davr_fields(const struct davr *r, const struct dav_field **out)
{
    *out = r->fields;
    return r->head_ready ? r->n_fields : 0;
}

struct slice davr_field(const struct davr *r, const char *name)
{
    for (size_t i = 0; r->head_ready && i < r->n_fields; i++)
        if (slice_is_nocase(r->fields[i].name, name))
            return r->fields[i].value;
    return slice_make(NULL, 0);
}
