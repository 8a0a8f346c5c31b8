/* TLS contexts (OpenSSL lives behind this and net/tls.c only). TLS 1.2 and later. */
#ifndef WHERRY_NET_TLS_H
#define WHERRY_NET_TLS_H

#include <stdbool.h>
#include "wherry/base/err.h"

struct tls_ctx; /* opaque; owner: app's configuration; streams made from it keep it alive by themselves */

/* For listeners. PEM files. 0, E_TLS or E_IO with *e filled. *out is NULL on error. */
int tls_server_new(struct tls_ctx **out, const char *cert_file, const char *key_file,
                   struct err *e) MUST_USE;
/* From a server's context clients that offer http/1.1 by ALPN (RFC 7301) get it; others go on without. */
void tls_server_http(struct tls_ctx *c);
/*
 * For connections to the hosts. ca_file may be NULL (the system's store). With verify the certificate chain
 * and the name (or IP address) dialled are checked (RFC 9525); without it neither is.
 */
int tls_client_new(struct tls_ctx **out, const char *ca_file, bool verify, struct err *e) MUST_USE;
void tls_ctx_free(struct tls_ctx **c);

#endif
