/*
 * One TLS session without any I/O: records in, plaintext out, and the other way round; for src/net
 * only. Owner: the stream. It is bound to no loop and no descriptor. While nothing is under way it
 * holds no buffers but OpenSSL's own state (see tests/unit/test_tls.c for what that is).
 */
#ifndef WHERRY_SRC_NET_TLS_IMPL_H
#define WHERRY_SRC_NET_TLS_IMPL_H

#include "wherry/base/buf.h"
#include "wherry/net/tls.h"

struct tls;

/* The role is that of ctx; host (name or address) is for clients: SNI and what the certificate must
 * say. */
struct tls *tls_open(struct tls_ctx *ctx, const char *host);
void tls_close(struct tls **t);

/*
 * Each takes records from *in (a borrowed slice; it is advanced, and all of it is taken unless the
 * result is CODEC_BAD) and appends records for the peer to out, also when it fails (the alert).
 * tls_handshake: DONE when finished. tls_read: appends plaintext to plain; MORE normally, DONE when
 * the peer said close_notify. BAD: *e has E_TLS and the reason.
 */
enum codec tls_handshake(struct tls *t, struct slice *in, struct buf *out, struct err *e) MUST_USE;
enum codec tls_read(struct tls *t, struct slice *in, struct buf *plain, struct buf *out,
                    struct err *e) MUST_USE;
/* Seals at most 16 KiB of *plain, which is advanced, into a record. 0 or E_TLS. */
int tls_write(struct tls *t, struct slice *plain, struct buf *out, struct err *e) MUST_USE;
void tls_notify(struct tls *t, struct buf *out); /* close_notify */
const char *
tls_info(const struct tls *t); /* "TLSv1.3 TLS_AES_256_GCM_SHA384", "" before the handshake */

#endif
