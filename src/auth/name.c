/*
 * Login names: what is let in, what a host gets to see, and the key of the account.
 *
 * One person must never become two accounts, since each account is moved; so a name that a host may
 * take for another's spelling (blanks at the ends, an empty domain, a master user behind the
 * separator) is refused before it is sent anywhere. Rejected: Unicode case folding (the hosts fold
 * ASCII only, or in ways of their own).
 */
#include "config.h"
#include "wherry/auth/auth.h"
#include <string.h>

static bool contains(struct slice s, const char *what)
{
    size_t n = what == NULL ? 0 : strlen(what);
    for (size_t i = 0; n > 0 && i + n <= s.n; i++) {
        if (memcmp(s.p + i, what, n) == 0)
            return true;
    }
    return false;
}

int auth_check_login(const struct settings *s, struct slice login)
{
    if (login.n == 0 || login.n > AUTH_MAX_NAME)
        return E_INVAL;
    for (size_t i = 0; i < login.n; i++) {
        if (login.p[i] < ' ' || login.p[i] == 0x7f)
            return E_INVAL;
    }
    uint8_t first = login.p[0], last = login.p[login.n - 1];
    if (first == ' ' || first == '@' || last == ' ' || last == '@')
        return E_INVAL;
    if (contains(login, s->old_imap.master_separator) ||
        contains(login, s->new_imap.master_separator) ||
        contains(login, s->new_submission.master_separator))
        return E_INVAL;
    return 0;
}

/* The last '@' divides; a name without one has no domain. */
static void split(struct slice login, struct slice *local, struct slice *domain)
{
    *local = login;
    *domain = slice_make(NULL, 0);
    for (size_t i = login.n; i-- > 0;) {
        if (login.p[i] == '@') {
            *local = slice_make(login.p, i);
            *domain = slice_make(login.p + i + 1, login.n - i - 1);
            return;
        }
    }
}

int auth_expand(const char *tmpl, struct slice login, const char *default_domain, struct buf *out)
{
    struct slice local, domain;
    size_t before = out->len;
    split(login, &local, &domain);
    if (domain.n == 0)
        domain = slice_str(default_domain);
    for (const char *p = tmpl; *p != '\0'; p++) {
        if (*p != '%') {
            buf_putc(out, *p);
            continue;
        }
        p++;
        if (*p == 'u') {
            buf_put_slice(out, login);
        } else if (*p == 'n') {
            buf_put_slice(out, local);
        } else if (*p == 'd' && domain.n > 0) {
            buf_put_slice(out, domain);
        } else if (*p == '%') {
            buf_putc(out, '%');
        } else {
            buf_truncate(out, before);
            return E_INVAL;
        }
    }
    return 0;
}

static void fold(struct buf *b, size_t from)
{
    for (uint8_t *p = b->mem + b->off + from, *end = b->mem + b->off + b->len; p < end; p++) {
        if (*p >= 'A' && *p <= 'Z')
            *p = (uint8_t)(*p + ('a' - 'A'));
    }
}

int auth_account_key(const struct settings *s, struct slice login, struct buf *out)
{
    size_t before = out->len;
    int rc = auth_expand(s->new_imap.user, login, s->default_domain, out);
    if (rc != 0)
        return rc;
    struct slice name = buf_slice(out);
    if (name.n == before)
        return E_INVAL;
    bool bare = memchr(name.p + before, '@', name.n - before) == NULL;
    if (bare && s->default_domain != NULL && s->default_domain[0] != '\0')
        buf_printf(out, "@%s", s->default_domain);
    if (s->fold_case)
        fold(out, before);
    if (out->len - before > 2 * AUTH_MAX_NAME) {
        buf_truncate(out, before);
        return E_INVAL;
    }
    return 0;
}

/* The name at the host; in lower case at the new one. */
static int name_there(const struct settings *s, const struct mail_host *h, struct slice login,
                      struct buf *name)
{
    bool is_new = h != &s->old_imap && h != &s->old_submission;
    int rc = auth_expand(h->user, login, s->default_domain, name);
    if (rc == 0 && is_new && s->fold_case)
        fold(name, 0);
    return rc;
}

int auth_own_creds(const struct settings *s, const struct mail_host *h, struct slice login,
                   const struct secret *password, struct auth_creds *out)
{
    *out = (struct auth_creds){0};
    int rc = name_there(s, h, login, &out->authcid);
    if (rc == 0)
        secret_copy(&out->password, password);
    else
        buf_free(&out->authcid);
    return rc;
}

int auth_host_creds(const struct settings *s, const struct mail_host *h, struct slice login,
                    const struct secret *password, struct auth_creds *out)
{
    struct buf name = {0};
    *out = (struct auth_creds){0};
    int rc = name_there(s, h, login, &name);
    if (rc != 0) {
        buf_free(&name);
        return rc;
    }
    if (h->sign_in == SIGN_IN_SAME) {
        buf_put_slice(&out->authcid, buf_slice(&name));
        secret_copy(&out->password, password);
    } else if (h->sign_in == SIGN_IN_MASTER) {
        buf_put_slice(&out->authcid, buf_slice(&name));
        buf_puts(&out->authcid, h->master_separator);
        buf_puts(&out->authcid, h->master_user);
        secret_copy(&out->password, &h->master_password);
    } else if (h->sign_in == SIGN_IN_RELAY) {
        buf_puts(&out->authcid, h->master_user);
        secret_copy(&out->password, &h->master_password);
    } else {
        buf_put_slice(&out->authzid, buf_slice(&name));
        buf_puts(&out->authcid, h->master_user);
        secret_copy(&out->password, &h->master_password);
    }
    buf_free(&name);
    return 0;
}

void auth_creds_free(struct auth_creds *c)
{
    if (c == NULL)
        return;
    buf_free(&c->authzid);
    buf_free(&c->authcid);
    secret_free(&c->password);
}
