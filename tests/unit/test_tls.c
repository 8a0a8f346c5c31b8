/* TLS sessions without I/O: contexts, records in pieces, versions, what idle sessions hold. */
#include "config.h"
#include "unit.h"
#include <malloc.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "net/tls_impl.h"
#include "net_peer.h"
#include "wherry/base/mem.h"

static struct certs *certs;

static int make_certs(void **state)
{
    (void)state;
    certs = certs_new();
    return certs != NULL ? 0 : -1;
}

static int remove_certs(void **state)
{
    (void)state;
    certs_free(&certs);
    return 0;
}

static int load_server(struct tls_ctx **c, const char *pem, const char *key, struct err *e)
{
    char *cert_file = mem_strdup(certs_file(certs, pem));
    err_clear(e);
    int rc = tls_server_new(c, cert_file, certs_file(certs, key), e);
    free(cert_file);
    return rc;
}

/* Both ends of a session and what is on its way. */
struct pair {
    struct tls_ctx *sctx, *cctx;
    struct tls *s, *c;
    struct buf to_s, to_c, s_plain, c_plain;
    struct err e;
};

static void pair_open(struct pair *p)
{
    *p = (struct pair){0};
    assert_int_equal(load_server(&p->sctx, "good.pem", "good.key", &p->e), 0);
    assert_int_equal(tls_client_new(&p->cctx, certs_file(certs, "ca.pem"), true, &p->e), 0);
    p->s = tls_open(p->sctx, NULL);
    p->c = tls_open(p->cctx, "localhost");
    tls_ctx_free(&p->sctx); /* sessions keep what they need */
    tls_ctx_free(&p->cctx);
}

static void pair_free(struct pair *p)
{
    tls_close(&p->s);
    tls_close(&p->c);
    buf_free(&p->to_s);
    buf_free(&p->to_c);
    buf_free(&p->s_plain);
    buf_free(&p->c_plain);
}

/* Takes at most n bytes off b for the session that reads them. */
static struct slice cut(struct buf *b, size_t n)
{
    struct slice v = buf_slice(b);
    if (v.n > n)
        v.n = n;
    return v;
}

static enum codec shake(struct tls *t, struct buf *in, struct buf *out, size_t piece, struct err *e)
{
    enum codec c = CODEC_MORE;
    do {
        struct slice v = cut(in, piece);
        size_t n = v.n;
        c = tls_handshake(t, &v, out, e);
        buf_consume(in, n - v.n);
    } while (c == CODEC_MORE && in->len > 0);
    return c;
}

static void handshake(struct pair *p, size_t piece)
{
    enum codec s = CODEC_MORE, c = CODEC_MORE;
    for (int i = 0; i < 10 && (s != CODEC_DONE || c != CODEC_DONE); i++) {
        if (c != CODEC_DONE)
            c = shake(p->c, &p->to_c, &p->to_s, piece, &p->e);
        assert_true(c != CODEC_BAD);
        if (s != CODEC_DONE)
            s = shake(p->s, &p->to_s, &p->to_c, piece, &p->e);
        assert_true(s != CODEC_BAD);
    }
    assert_int_equal(s, CODEC_DONE);
    assert_int_equal(c, CODEC_DONE);
}

static enum codec feed(struct tls *t, struct buf *in, struct buf *plain, struct buf *out,
                       size_t piece, struct err *e)
{
    enum codec c = CODEC_MORE;
    while (in->len > 0 && c == CODEC_MORE) {
        struct slice v = cut(in, piece);
        size_t n = v.n;
        c = tls_read(t, &v, plain, out, e);
        if (c == CODEC_MORE)
            assert_int_equal(v.n, 0); /* all is taken */
        buf_consume(in, n - v.n);
    }
    return c;
}

static void say(struct tls *t, struct slice v, struct buf *out, struct err *e)
{
    while (v.n > 0)
        assert_int_equal(tls_write(t, &v, out, e), 0);
}

/* Everything, handshake included, in pieces of every small size. */
static void test_pieces(void **state)
{
    static const size_t pieces[] = {1, 2, 3, 5, 17, 100, 1000, 100000};
    uint8_t big[40000];
    (void)state;
    for (size_t i = 0; i < sizeof(big); i++)
        big[i] = pattern(i);
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        struct pair p;
        pair_open(&p);
        handshake(&p, pieces[i]);
        assert_non_null(strstr(tls_info(p.s), "TLSv1.3 TLS_"));
        say(p.c, slice_make(big, sizeof(big)), &p.to_s, &p.e);
        assert_int_equal(feed(p.s, &p.to_s, &p.s_plain, &p.to_c, pieces[i], &p.e), CODEC_MORE);
        assert_int_equal(p.s_plain.len, sizeof(big));
        assert_memory_equal(buf_slice(&p.s_plain).p, big, sizeof(big));
        say(p.s, SLICE_LIT("* OK"), &p.to_c, &p.e);
        tls_notify(p.s, &p.to_c);
        assert_int_equal(feed(p.c, &p.to_c, &p.c_plain, &p.to_s, pieces[i], &p.e), CODEC_DONE);
        assert_memory_equal(buf_slice(&p.c_plain).p, "* OK", 4);
        pair_free(&p);
    }
}

/* A flipped bit anywhere in a record is an error with a reason, never data. */
static void test_tampered(void **state)
{
    (void)state;
    for (size_t at = 0; at < 30; at++) {
        struct pair p;
        pair_open(&p);
        handshake(&p, 4096);
        buf_clear(&p.to_c);
        say(p.c, SLICE_LIT("secret"), &p.to_s, &p.e);
        struct slice all = buf_slice(&p.to_s);
        if (at < all.n) {
            buf_consume(&p.to_s, 0);
            p.to_s.mem[p.to_s.off + at] ^= 0x40;
            err_clear(&p.e);
            enum codec c = feed(p.s, &p.to_s, &p.s_plain, &p.to_c, 100000, &p.e);
            assert_int_equal(p.s_plain.len, 0);
            if (c == CODEC_BAD) { /* a longer length only waits for more */
                assert_int_equal(p.e.code, E_TLS);
                assert_true(strlen(p.e.text) > 0);
                assert_true(p.to_c.len > 0); /* the alert */
            }
        }
        pair_free(&p);
    }
}

static void test_contexts(void **state)
{
    struct tls_ctx *c;
    struct err e;
    (void)state;
    assert_int_equal(load_server(&c, "absent.pem", "good.key", &e), E_IO);
    assert_null(c);
    assert_non_null(strstr(e.text, "absent.pem"));
    assert_int_equal(load_server(&c, "good.pem", "absent.key", &e), E_IO);
    assert_non_null(strstr(e.text, "absent.key"));
    assert_int_equal(load_server(&c, "good.pem", "name.key", &e), E_TLS);
    assert_int_equal(load_server(&c, "log", "good.key", &e), E_TLS);
    assert_non_null(strstr(e.text, "no certificate"));
    assert_int_equal(load_server(&c, "good.pem", "good.pem", &e), E_TLS);
    assert_int_equal(load_server(&c, "self.pem", "locked.key", &e), E_TLS); /* no prompt */
    assert_int_equal(tls_client_new(&c, "/absent/ca.pem", true, &e), E_IO);
    assert_null(c);
    assert_int_equal(tls_client_new(&c, certs_file(certs, "log"), true, &e), E_TLS);
    assert_int_equal(tls_client_new(&c, NULL, true, &e), 0);
    tls_ctx_free(&c);
    assert_null(c);
    tls_ctx_free(&c);
}

/* -- versions, with OpenSSL itself as the client -- */

struct raw {
    SSL_CTX *ctx;
    SSL *ssl;
    BIO *in, *out;
};

static void raw_open(struct raw *r, int version)
{
    r->ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(r->ctx, 0);
    SSL_CTX_set_min_proto_version(r->ctx, version);
    SSL_CTX_set_max_proto_version(r->ctx, version);
    r->ssl = SSL_new(r->ctx);
    r->in = BIO_new(BIO_s_mem());
    r->out = BIO_new(BIO_s_mem());
    SSL_set_bio(r->ssl, r->in, r->out);
    SSL_set_connect_state(r->ssl);
}

static void raw_free(struct raw *r)
{
    SSL_free(r->ssl);
    SSL_CTX_free(r->ctx);
}

static void carry(struct raw *r, struct buf *to_s, struct buf *to_c)
{
    char tmp[4096];
    int n;
    BIO_write(r->in, buf_slice(to_c).p, (int)to_c->len);
    buf_clear(to_c);
    while ((n = BIO_read(r->out, tmp, sizeof(tmp))) > 0)
        buf_put(to_s, tmp, (size_t)n);
}

static enum codec meet(struct raw *r, struct pair *p)
{
    enum codec s = CODEC_MORE;
    for (int i = 0; i < 10 && (s == CODEC_MORE || !SSL_is_init_finished(r->ssl)); i++) {
        SSL_do_handshake(r->ssl);
        carry(r, &p->to_s, &p->to_c);
        if (s == CODEC_MORE)
            s = shake(p->s, &p->to_s, &p->to_c, 100000, &p->e);
        if (s == CODEC_BAD)
            break;
        carry(r, &p->to_s, &p->to_c);
    }
    return s;
}

static void test_old_version(void **state)
{
    struct pair p;
    struct raw r;
    (void)state;
    pair_open(&p);
    raw_open(&r, TLS1_1_VERSION);
    assert_int_equal(meet(&r, &p), CODEC_BAD);
    assert_int_equal(p.e.code, E_TLS);
    assert_non_null(strstr(p.e.text, "unsupported protocol"));
    raw_free(&r);
    pair_free(&p);
}

static void test_tls12_renegotiation(void **state)
{
    struct pair p;
    struct raw r;
    (void)state;
    pair_open(&p);
    raw_open(&r, TLS1_2_VERSION);
    assert_int_equal(meet(&r, &p), CODEC_DONE);
    assert_non_null(strstr(tls_info(p.s), "TLSv1.2"));
    assert_int_equal(SSL_write(r.ssl, "before", 6), 6);
    SSL_renegotiate(r.ssl);
    SSL_do_handshake(r.ssl);
    carry(&r, &p.to_s, &p.to_c);
    enum codec c = feed(p.s, &p.to_s, &p.s_plain, &p.to_c, 100000, &p.e);
    assert_true(c == CODEC_MORE || c == CODEC_BAD); /* declined by a warning, or ended */
    assert_int_equal(p.s_plain.len, 6);
    carry(&r, &p.to_s, &p.to_c);
    assert_int_equal(SSL_do_handshake(r.ssl) == 1 && SSL_num_renegotiations(r.ssl) > 0, 0);
    raw_free(&r);
    pair_free(&p);
}

/* -- memory -- */

static size_t heap_in_use(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

enum { SESSIONS = 200 };

/* What one end of an idle session holds after the handshake and some talk. */
static size_t measure(struct tls_ctx *sctx, struct tls_ctx *cctx, bool keep_server)
{
    struct tls **kept = mem_array(SESSIONS, sizeof(struct tls *));
    size_t before = heap_in_use();
    for (int i = 0; i < SESSIONS; i++) {
        struct pair p = {.s = tls_open(sctx, NULL), .c = tls_open(cctx, "localhost")};
        handshake(&p, 100000);
        say(p.s, SLICE_LIT("* OK ready\r\n"), &p.to_c, &p.e);
        say(p.c, SLICE_LIT("a LOGIN x y\r\n"), &p.to_s, &p.e);
        assert_int_equal(feed(p.c, &p.to_c, &p.c_plain, &p.to_s, 9999, &p.e), CODEC_MORE);
        assert_int_equal(feed(p.s, &p.to_s, &p.s_plain, &p.to_c, 9999, &p.e), CODEC_MORE);
        struct tls **keep = keep_server ? &p.s : &p.c;
        kept[i] = *keep;
        *keep = NULL;
        pair_free(&p);
    }
    size_t each = (heap_in_use() - before) / SESSIONS;
    for (int i = 0; i < SESSIONS; i++)
        tls_close(&kept[i]);
    free(kept);
    return each;
}

static void test_idle_memory(void **state)
{
    struct tls_ctx *sctx, *cctx;
    struct err e;
    (void)state;
    assert_int_equal(load_server(&sctx, "good.pem", "good.key", &e), 0);
    assert_int_equal(tls_client_new(&cctx, certs_file(certs, "ca.pem"), true, &e), 0);
    measure(sctx, cctx, true); /* OpenSSL fetches its algorithms once */
    size_t server = measure(sctx, cctx, true), client = measure(sctx, cctx, false);
    print_message("idle TLS session: server %zu, client %zu bytes of heap\n", server, client);
    assert_true(server < 25 * 1024); /* 0 with the sanitizers' allocator, which does not say */
    assert_true(client < 25 * 1024);
    tls_ctx_free(&sctx);
    tls_ctx_free(&cctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces),      cmocka_unit_test(test_tampered),
        cmocka_unit_test(test_contexts),    cmocka_unit_test(test_old_version),
        cmocka_unit_test(test_idle_memory), cmocka_unit_test(test_tls12_renegotiation),
    };
    return cmocka_run_group_tests(tests, make_certs, remove_certs);
}
