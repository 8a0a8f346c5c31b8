/*
 * OpenSSL. What: contexts from files, and sessions that move records between slices and buffers.
 * Why so: a BIO of our own lends OpenSSL the bytes just read and lets it append to a buffer that
 * all streams of a worker share, so an idle session keeps no cipher buffer. Rejected: SSL_set_fd
 * (reads past the worker's eyes, bound to one descriptor); BIO_s_mem (keeps its largest size for
 * ever; two copies more).
 */
#include "config.h"
#include "tls_impl.h"
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "wherry/base/mem.h"

enum { RECORD = 16 * 1024, READ_MIN = 512, BULK = 64 * 1024 };

struct tls_ctx {
    SSL_CTX *ctx;
    bool server;
    bool verify;
};

struct tls {
    SSL *ssl;
    BIO_METHOD *method; /* one each: a shared one would outlive its context or be a global */
    struct slice in;    /* borrowed during a call */
    struct buf *out;    /* likewise */
    char *host;         /* what was dialled, for messages; NULL in a server */
    char info[64];
};

/* -- contexts -- */

/* The first reason that OpenSSL queued, in its words. */
static const char *reason(void)
{
    unsigned long code = ERR_get_error();
    const char *text = code != 0 ? ERR_reason_error_string(code) : NULL;
    ERR_clear_error();
    return text != NULL ? text : "unknown reason";
}

static int no_passphrase(char *p, int size, int writing, void *arg)
{
    (void)p;
    (void)size;
    (void)writing;
    (void)arg;
    return -1; /* a daemon cannot ask; without this OpenSSL would, on the terminal */
}

static struct tls_ctx *ctx_new(bool server)
{
    struct tls_ctx *c = mem_alloc(sizeof(*c));
    c->server = server;
    c->ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    if (c->ctx == NULL)
        abort(); /* out of memory */
    SSL_CTX_set_min_proto_version(c->ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(c->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(c->ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* Clients resume by tickets, which cost us nothing; a cache would grow with each session. */
    SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_default_passwd_cb(c->ctx, no_passphrase);
    return c;
}

void tls_ctx_free(struct tls_ctx **cp)
{
    struct tls_ctx *c = *cp;
    if (c == NULL)
        return;
    *cp = NULL;
    SSL_CTX_free(c->ctx); /* sessions hold it too */
    free(c);
}

static int check_readable(const char *file, struct err *e)
{
    FILE *f = fopen(file, "re");
    if (f == NULL)
        return err_set(e, E_IO, SCOPE_NONE, "cannot read %s: %s", file, strerror(errno));
    fclose(f);
    return 0;
}

static int load_server(struct tls_ctx *c, const char *cert_file, const char *key_file,
                       struct err *e)
{
    int rc = check_readable(cert_file, e);
    if (rc == 0)
        rc = check_readable(key_file, e);
    if (rc < 0)
        return rc;
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(c->ctx, cert_file) != 1)
        return err_set(e, E_TLS, SCOPE_NONE, "no certificate in %s: %s", cert_file, reason());
    if (SSL_CTX_use_PrivateKey_file(c->ctx, key_file, SSL_FILETYPE_PEM) != 1)
        return err_set(e, E_TLS, SCOPE_NONE, "no usable key in %s: %s", key_file, reason());
    if (SSL_CTX_check_private_key(c->ctx) != 1)
        return err_set(e, E_TLS, SCOPE_NONE, "the key in %s does not fit the certificate in %s",
                       key_file, cert_file);
    return 0;
}

int tls_server_new(struct tls_ctx **out, const char *cert_file, const char *key_file, struct err *e)
{
    struct tls_ctx *c = ctx_new(true);
    int rc = load_server(c, cert_file, key_file, e);
    if (rc < 0)
        tls_ctx_free(&c);
    else
        SSL_CTX_set_num_tickets(c->ctx, 1);
    *out = c;
    return rc;
}

static int select_http(SSL *ssl, const unsigned char **out, unsigned char *n, const unsigned char *in, unsigned in_n, void *arg)
{
    static const unsigned char known[] = "\x08http/1.1";
    unsigned char *chosen = NULL;
    (void)ssl;
    (void)arg;
    if (SSL_select_next_proto(&chosen, n, known, sizeof(known) - 1, in, in_n) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

void tls_server_http(struct tls_ctx *c)
{
    SSL_CTX_set_alpn_select_cb(c->ctx, select_http, NULL);
}

static int load_client(struct tls_ctx *c, const char *ca_file, struct err *e)
{
    ERR_clear_error();
    if (ca_file == NULL) {
        if (SSL_CTX_set_default_verify_paths(c->ctx) == 1)
            return 0;
        return err_set(e, E_TLS, SCOPE_NONE, "no certificates of the system: %s", reason());
    }
    int rc = check_readable(ca_file, e);
    if (rc < 0)
        return rc;
    if (SSL_CTX_load_verify_locations(c->ctx, ca_file, NULL) != 1)
        return err_set(e, E_TLS, SCOPE_NONE, "no certificate in %s: %s", ca_file, reason());
    /* The file may name the host's own certificate or an intermediate one: what is in it is
     * trusted. */
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(c->ctx), X509_V_FLAG_PARTIAL_CHAIN);
    return 0;
}

int tls_client_new(struct tls_ctx **out, const char *ca_file, bool verify, struct err *e)
{
    struct tls_ctx *c = ctx_new(false);
    c->verify = verify;
    int rc = verify ? load_client(c, ca_file, e) : 0;
    if (rc < 0)
        tls_ctx_free(&c);
    else
        SSL_CTX_set_verify(c->ctx, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    *out = c;
    return rc;
}

/* -- the BIO: reads from t->in, writes to t->out -- */

static int bio_read(BIO *b, char *p, int n)
{
    struct tls *t = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    if (t->in.n == 0) {
        BIO_set_retry_read(b);
        return -1;
    }
    size_t take = (size_t)n < t->in.n ? (size_t)n : t->in.n;
    memcpy(p, t->in.p, take);
    t->in.p += take;
    t->in.n -= take;
    return (int)take;
}

static int bio_write(BIO *b, const char *p, int n)
{
    struct tls *t = BIO_get_data(b);
    if (t->out !=
        NULL) /* NULL: OpenSSL speaks up outside of our calls; it has nothing to say then */
        buf_put(t->out, p, (size_t)n);
    return n;
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
    (void)b;
    (void)num;
    (void)ptr;
    return cmd == BIO_CTRL_FLUSH;
}

static BIO *bio_new(struct tls *t)
{
    t->method = BIO_meth_new(BIO_TYPE_SOURCE_SINK | 127, "wherry");
    if (t->method == NULL)
        abort();
    BIO_meth_set_read(t->method, bio_read);
    BIO_meth_set_write(t->method, bio_write);
    BIO_meth_set_ctrl(t->method, bio_ctrl);
    BIO *b = BIO_new(t->method);
    if (b == NULL)
        abort();
    BIO_set_data(b, t);
    BIO_set_init(b, 1);
    return b;
}

/* -- sessions -- */

static bool is_address(const char *host)
{
    uint8_t raw[16];
    return inet_pton(AF_INET, host, raw) == 1 || inet_pton(AF_INET6, host, raw) == 1;
}

static bool name_peer(struct tls *t, bool verify)
{
    X509_VERIFY_PARAM *p = SSL_get0_param(t->ssl);
    bool address = is_address(t->host);
    size_t n = strlen(t->host);
    if (!address && n > 0 && t->host[n - 1] == '.')
        t->host[n - 1] = '\0'; /* the root's dot is not part of the name in SNI and certificates */
    if (!address && SSL_set_tlsext_host_name(t->ssl, t->host) != 1)
        return false;
    if (!verify)
        return true;
    /* RFC 9525: names are in the subjectAltName only, and a wildcard is a whole label. */
    X509_VERIFY_PARAM_set_hostflags(p, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
                                           X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return address ? X509_VERIFY_PARAM_set1_ip_asc(p, t->host) == 1
                   : X509_VERIFY_PARAM_set1_host(p, t->host, 0) == 1;
}

struct tls *tls_open(struct tls_ctx *ctx, const char *host)
{
    struct tls *t = mem_alloc(sizeof(*t));
    t->ssl = SSL_new(ctx->ctx);
    if (t->ssl == NULL)
        abort();
    BIO *b = bio_new(t);
    SSL_set_bio(t->ssl, b, b);
    if (ctx->server) {
        SSL_set_accept_state(t->ssl);
        return t;
    }
    t->host = mem_strdup(host);
    SSL_set_connect_state(t->ssl);
    /* A name that OpenSSL refuses (over 255 bytes) is one that no certificate may pass for. */
    if (!name_peer(t, ctx->verify) && ctx->verify)
        X509_VERIFY_PARAM_set1_host(SSL_get0_param(t->ssl), "invalid.", 0);
    ERR_clear_error();
    return t;
}

void tls_close(struct tls **tp)
{
    struct tls *t = *tp;
    if (t == NULL)
        return;
    *tp = NULL;
    SSL_free(t->ssl);
    BIO_meth_free(t->method);
    free(t->host);
    free(t);
}

/* Fills *e from what OpenSSL says about the call that returned rc. */
static enum codec fail(struct tls *t, const char *what, struct err *e)
{
    long v = SSL_get_verify_result(t->ssl);
    if (t->host != NULL && v != X509_V_OK && SSL_get_verify_mode(t->ssl) != SSL_VERIFY_NONE)
        err_set(e, E_TLS, SCOPE_HOST, "the certificate of %s is not accepted: %s", t->host,
                X509_verify_cert_error_string(v));
    else
        err_set(e, E_TLS, SCOPE_HOST, "%s%s%s: %s", what, t->host != NULL ? " with " : "",
                t->host != NULL ? t->host : "", reason());
    ERR_clear_error();
    return CODEC_BAD;
}

static void lend(struct tls *t, struct slice in, struct buf *out)
{
    t->in = in;
    t->out = out;
    ERR_clear_error(); /* SSL_get_error() looks at the queue of the thread */
}

static struct slice unlend(struct tls *t)
{
    struct slice left = t->in;
    t->in = (struct slice){0};
    t->out = NULL;
    return left;
}

enum codec tls_handshake(struct tls *t, struct slice *in, struct buf *out, struct err *e)
{
    lend(t, *in, out);
    int rc = SSL_do_handshake(t->ssl);
    enum codec c = CODEC_DONE;
    if (rc != 1)
        c = SSL_get_error(t->ssl, rc) == SSL_ERROR_WANT_READ ? CODEC_MORE
                                                             : fail(t, "TLS handshake failed", e);
    else
        snprintf(t->info, sizeof(t->info), "%s %s", SSL_get_version(t->ssl),
                 SSL_get_cipher_name(t->ssl));
    *in = unlend(t);
    return c;
}

enum codec tls_read(struct tls *t, struct slice *in, struct buf *plain, struct buf *out,
                    struct err *e)
{
    enum codec c = CODEC_DONE;
    size_t n = 0;
    lend(t, *in, out);
    /* Growing record by record would copy what is there each time; more while some waits is bulk. */
    if (plain->len > 0 && plain->len + t->in.n <= BULK)
        (void)buf_reserve(plain, BULK - plain->len);
    else if (t->in.n > RECORD)
        (void)buf_reserve(plain, t->in.n);
    do {
        /* Plaintext is never longer than its records, so a short line does not take 16 KiB. */
        size_t room = t->in.n < READ_MIN ? READ_MIN : t->in.n > RECORD ? RECORD : t->in.n;
        n = 0;
        int rc = SSL_read_ex(t->ssl, buf_reserve(plain, room), room, &n);
        if (rc == 1) {
            buf_commit(plain, n);
            continue;
        }
        int why = SSL_get_error(t->ssl, rc);
        if (why == SSL_ERROR_WANT_READ)
            c = CODEC_MORE;
        else if (why != SSL_ERROR_ZERO_RETURN)
            c = fail(t, "TLS failed", e);
    } while (n > 0);
    *in = unlend(t);
    buf_trim(plain);
    /* A ticket makes OpenSSL set up a buffer for writing that only the next write would release. */
    SSL_free_buffers(t->ssl);
    return c;
}

int tls_write(struct tls *t, struct slice *plain, struct buf *out, struct err *e)
{
    size_t n = plain->n < RECORD ? plain->n : RECORD, done = 0;
    lend(t, (struct slice){0}, out);
    int rc = SSL_write_ex(t->ssl, plain->p, n, &done);
    if (rc != 1)
        fail(t, "TLS failed", e);
    unlend(t);
    plain->p += done;
    plain->n -= done;
    return rc == 1 ? 0 : E_TLS;
}

void tls_notify(struct tls *t, struct buf *out)
{
    lend(t, (struct slice){0}, out);
    SSL_shutdown(t->ssl);
    unlend(t);
    ERR_clear_error();
}

const char *tls_info(const struct tls *t)
{
    return t->info;
}
