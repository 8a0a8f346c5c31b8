/* Who is who at a DAV host, and where it is: no I/O. */
#include "config.h"
#include "wherry/client/dav.h"
#include <stdlib.h>
#include <string.h>

/* The name at the host; in lower case at the new one. */
static int name_there(const struct settings *s, const struct dav_host *h, struct slice login, struct buf *name)
{
    int rc = auth_expand(h->user != NULL ? h->user : "%u", login, s->default_domain, name);
    if (rc != 0 || h == &s->old_dav || !s->fold_case)
        return rc;
    for (uint8_t *p = name->mem + name->off, *end = p + name->len; p < end; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (uint8_t)(*p + ('a' - 'A'));
    return 0;
}

int dav_own_creds(const struct settings *s, const struct dav_host *h, struct slice login, const struct secret *password,
                  struct dav_creds *out)
{
    *out = (struct dav_creds){0};
    int rc = name_there(s, h, login, &out->user);
    /* Basic divides name and password at the first colon. */
    if (rc == 0 && memchr(buf_slice(&out->user).p, ':', out->user.len) != NULL)
        rc = E_INVAL;
    if (rc == 0)
        secret_copy(&out->password, password);
    else
        dav_creds_free(out);
    return rc;
}

static void use_admin(const struct dav_host *h, struct dav_creds *out)
{
    buf_clear(&out->user);
    if (h->admin_user == NULL)
        return;
    buf_puts(&out->user, h->admin_user);
    secret_copy(&out->password, &h->admin_password);
}

int dav_host_creds(const struct settings *s, const struct dav_host *h, struct slice login, const struct secret *password,
                   struct dav_creds *out)
{
    int rc = dav_own_creds(s, h, login, password, out);
    if (rc != 0 || h->sign_in == DAV_SIGN_IN_SAME)
        return rc;
    const char *field = h->sign_in == DAV_SIGN_IN_AUTHORIZE_AS ? "Authorize-As" : h->header;
    if (h->sign_in != DAV_SIGN_IN_ADMIN && field != NULL) {
        out->field = mem_strdup(field);
        buf_put_slice(&out->value, buf_slice(&out->user));
    }
    secret_free(&out->password);
    use_admin(h, out);
    return 0;
}

void dav_creds_free(struct dav_creds *c)
{
    if (c == NULL)
        return;
    buf_free(&c->user);
    secret_free(&c->password);
    free(c->field);
    c->field = NULL;
    buf_free(&c->value);
}

static bool authority_ok(struct slice a)
{
    if (a.n == 0)
        return false;
    for (size_t i = 0; i < a.n; i++) {
        uint8_t c = a.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && strchr("-._:[]", c) == NULL)
            return false;
    }
    return true;
}

int dav_host_split(const struct dav_host *h, struct buf *origin, struct buf *path)
{
    struct slice url = slice_str(h->url);
    size_t scheme = 0;
    if (url.n > 8 && slice_is_nocase(slice_make(url.p, 8), "https://"))
        scheme = 8;
    else if (url.n > 7 && slice_is_nocase(slice_make(url.p, 7), "http://"))
        scheme = 7;
    else
        return E_INVAL;
    size_t end = scheme;
    while (end < url.n && url.p[end] != '/')
        end++;
    struct slice rest = slice_make(url.p + end, url.n - end);
    if (!authority_ok(slice_make(url.p + scheme, end - scheme)))
        return E_INVAL;
    for (size_t i = 0; i < rest.n; i++)
        if (rest.p[i] <= ' ' || rest.p[i] >= 0x7f || rest.p[i] == '?' || rest.p[i] == '#')
            return E_INVAL;
    for (size_t i = 0; i < end; i++)
        buf_putc(origin, (char)(url.p[i] >= 'A' && url.p[i] <= 'Z' ? url.p[i] + ('a' - 'A') : url.p[i]));
    if (rest.n == 0)
        buf_putc(path, '/');
    else
        buf_put_slice(path, rest);
    return 0;
}
