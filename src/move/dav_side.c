/* Requests of movers and mirrors to one DAV host: who asks, how the answer is gathered, and what its failure means. */
#include "move/dav_priv.h"
#include <string.h>

int account_dav_creds(struct account *a, bool old, struct dav_creds *out)
{
    const struct settings *s = a->all->env->settings;
    return dav_host_creds(s, old ? &s->old_dav : &s->new_dav, buf_slice(&a->login), &a->password, out);
}

int side_open(struct dav_side *s, struct account *a, bool old, struct err *e)
{
    const struct settings *set = a->all->env->settings;
    *s = (struct dav_side){.all = a->all, .host = old ? &set->old_dav : &set->new_dav, .old = old};
    if (account_dav_creds(a, old, &s->creds) != 0)
        return err_set(e, E_INVAL, SCOPE_ACCOUNT, "the user name cannot be used at %s", s->host->url);
    if (dav_host_split(s->host, &s->origin, &s->base) != 0)
        return err_set(e, E_INVAL, SCOPE_HOST, "%s is no URL of a host", s->host->url);
    return 0;
}

void side_close(struct dav_side *s)
{
    dav_creds_free(&s->creds);
    buf_free(&s->origin);
    buf_free(&s->base);
}

struct slice side_path(const struct dav_side *s, struct slice href)
{
    struct slice origin = buf_slice(&s->origin), path;
    if (href.n > 0 && href.p[0] == '/')
        return href;
    const char *authority = strstr(s->host->url, "://");
    struct slice host = slice_make(NULL, 0);
    if (authority != NULL)
        host = slice_make(authority + 3, strcspn(authority + 3, "/"));
    if (origin.n > 0 && http_uri_path(href, host, &path) == 0)
        return path;
    return slice_make(NULL, 0);
}

int side_decode(const struct dav_side *s, struct slice href, struct buf *out)
{
    struct slice path = side_path(s, href);
    struct buf whole = {0};
    if (path.n == 0)
        return E_INVAL;
    for (size_t i = 0; i < path.n; i++) {
        if (path.p[i] == '?')
            buf_puts(&whole, "%3F");
        else if (path.p[i] == '#')
            buf_puts(&whole, "%23");
        else
            buf_putc(&whole, (char)path.p[i]);
    }
    int r = http_path_decode(buf_slice(&whole), out, NULL);
    buf_free(&whole);
    return r;
}

void ask_clear(struct ask *a)
{
    davr_free(&a->r);
    multistatus_free(&a->multi);
    buf_free(&a->body);
    *a = (struct ask){0};
}

void ask_start(struct ask *a, struct dav_side *s, struct task *task, const struct ask_open *o)
{
    static const char *const depths[] = {"0", "1"};
    struct dav_field fields[ASK_FIELDS + 2];
    size_t n = 0;
    ask_clear(a);
    for (; n < o->n_fields && n < ASK_FIELDS; n++)
        fields[n] = o->fields[n];
    if (o->depth >= 0)
        fields[n++] = (struct dav_field){SLICE_LIT("Depth"), slice_str(depths[o->depth])};
    if (o->type != NULL)
        fields[n++] = (struct dav_field){SLICE_LIT("Content-Type"), slice_str(o->type)};
    struct davr_open open = {.host = s->host,
                             .creds = &s->creds,
                             .method = o->method,
                             .target = o->target,
                             .fields = fields,
                             .n_fields = n,
                             .body_kind = o->type != NULL ? DAVR_BODY_WHOLE : DAVR_NO_BODY,
                             .body = o->body,
                             .timeout_seconds = s->all->env->settings->host_timeout_seconds};
    if (o->cb != NULL)
        a->multi = multistatus_new(DAV_LISTING_BYTES, DAV_ITEMS_MAX + 1,
                                   o->response_bytes > 0 ? o->response_bytes : DAV_RESPONSE_BYTES, o->cb, o->arg);
    a->sink = o->sink;
    a->arg = o->arg;
    a->body_max = o->body_max > 0 ? o->body_max : 64 * 1024;
    a->r = davr_start(s->all->env->dav, task, &open);
}

static void take(struct ask *a, struct slice bytes)
{
    if (a->err.code != 0)
        return;
    if (a->multi != NULL && a->status == 207) {
        int r = multistatus_feed(a->multi, bytes, false);
        if (r != 0)
            err_set(&a->err, r, SCOPE_UNIT, "the answer cannot be read: %s", multistatus_error(a->multi));
        return;
    }
    if (a->sink != NULL && a->status / 100 == 2) {
        int r = a->sink(bytes, a->arg);
        if (r != 0)
            err_set(&a->err, r, SCOPE_UNIT, "what came could not be kept");
        return;
    }
    if (a->body.len + bytes.n <= a->body_max)
        buf_put_slice(&a->body, bytes);
    else if (a->status / 100 == 2) /* of an error's body the beginning is enough */
        err_set(&a->err, E_LIMIT, SCOPE_MESSAGE, "the answer is larger than %zu bytes", a->body_max);
}

bool ask_step(struct ask *a)
{
    struct davr_event ev;
    if (a->done || a->r == NULL)
        return a->done;
    for (davr_next(a->r, &ev); ev.kind != DAVR_NONE; davr_next(a->r, &ev)) {
        if (ev.kind == DAVR_HEAD) {
            a->status = davr_status(a->r);
        } else if (ev.kind == DAVR_BODY) {
            take(a, ev.bytes);
        } else {
            if (ev.kind == DAVR_FAILED)
                a->err = *ev.err;
            else if (a->multi != NULL && a->status == 207 && a->err.code == 0 &&
                     multistatus_feed(a->multi, slice_make(NULL, 0), true) != 0)
                err_set(&a->err, E_PROTO, SCOPE_UNIT, "the answer cannot be read: %s", multistatus_error(a->multi));
            a->done = true;
            return true;
        }
        if (a->err.code != 0) { /* nothing more of it is of use */
            a->done = true;
            return true;
        }
    }
    return false;
}

bool ask_ok(const struct ask *a)
{
    return a->done && a->err.code == 0 && (a->multi != NULL ? a->status == 207 : a->status / 100 == 2);
}

int ask_error(const struct ask *a, const struct dav_side *s, const char *what, struct err *e)
{
    int code = E_REFUSED;
    enum err_scope scope = SCOPE_UNIT;
    if (a->err.code != 0) {
        struct err cause = a->err;
        return err_set(e, cause.code, cause.scope, "%s at %.80s: %s", what, s->host->url, cause.text);
    }
    if (a->status == 401 || a->status == 407) {
        code = E_AUTH;
        scope = SCOPE_ACCOUNT;
    } else if (a->status == 507 || a->status == 413) {
        code = E_FULL;
    } else if (a->status == 429 || a->status == 408 || a->status / 100 == 5) {
        code = E_UNAVAIL;
    } else if (a->status == 404 || a->status == 410) {
        code = E_NOTFOUND;
    } else if (a->status == 501 || a->status == 405) {
        code = E_NOTSUP;
    }
    return err_set(e, code, scope, "%s at %s was answered with status %u", what, s->host->url, a->status);
}

void ask_propfind(struct ask *a, struct dav_side *s, struct task *task, struct slice target, int depth,
                  const struct dav_name *props, size_t n, dav_response_cb *cb, void *arg)
{
    struct buf body = {0};
    dav_put_propfind(&body, props, n);
    ask_start(a, s, task,
              &(struct ask_open){.method = "PROPFIND",
                                 .target = target,
                                 .depth = depth,
                                 .type = XML_TYPE,
                                 .body = buf_slice(&body),
                                 .cb = cb,
                                 .arg = arg});
    buf_free(&body);
}
