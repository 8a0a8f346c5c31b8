/* The TLS contexts of a configuration, made together or not at all, so that a reload cannot
 * half succeed. */
#include "config.h"
#include "daemon.h"

static int host_tls(struct tls_ctx **out, const char *side, const struct mail_host *h,
                    struct err *e)
{
    struct err inner = {0};
    if (h->host == NULL || h->tls == TLS_MODE_NONE)
        return 0;
    int rc = tls_client_new(out, h->ca, h->verify, &inner);
    if (rc != 0)
        return err_set(e, rc, SCOPE_HOST, "%s.ca: %s", side, inner.text);
    return 0;
}

int tls_set_load(struct tls_set *t, const struct settings *s, struct err *e)
{
    struct err inner = {0};
    int rc = 0;
    *t = (struct tls_set){0};
    if (s->tls_certificate != NULL) {
        rc = tls_server_new(&t->server, s->tls_certificate, s->tls_key, &inner);
        if (rc != 0)
            err_set(e, rc, SCOPE_NONE, "tls: %s", inner.text);
    }
    if (rc == 0 && s->tls_certificate != NULL) {
        rc = tls_server_new(&t->server_http, s->tls_certificate, s->tls_key, &inner);
        if (rc != 0)
            err_set(e, rc, SCOPE_NONE, "tls: %s", inner.text);
        else
            tls_server_http(t->server_http);
    }
    if (rc == 0)
        rc = host_tls(&t->old_host, "old.imap", &s->old_imap, e);
    if (rc == 0)
        rc = host_tls(&t->new_host, "new.imap", &s->new_imap, e);
    if (rc == 0)
        rc = host_tls(&t->old_submission, "old.submission", &s->old_submission, e);
    if (rc == 0)
        rc = host_tls(&t->new_submission, "new.submission", &s->new_submission, e);
    if (rc != 0)
        tls_set_free(t);
    return rc;
}

void tls_set_free(struct tls_set *t)
{
    tls_ctx_free(&t->server);
    tls_ctx_free(&t->server_http);
    tls_ctx_free(&t->old_host);
    tls_ctx_free(&t->new_host);
    tls_ctx_free(&t->old_submission);
    tls_ctx_free(&t->new_submission);
}
