/*
 * A TCP socket of libuv beneath a stream; for src/net only. Owner: the stream, until sock_close(),
 * which detaches it at once: libuv's handle and its requests live on in the sock and free
 * themselves, so that a stream never waits for a callback before it can be freed. Errors are
 * negative errno values.
 */
#ifndef WHERRY_SRC_NET_SOCK_H
#define WHERRY_SRC_NET_SOCK_H

#include "wherry/base/buf.h"

struct sock;
struct sockaddr;
struct sockaddr_storage;
struct stream;
struct worker;

/* An unconnected socket. Its events go to s (stream_on_… in stream_impl.h). */
struct sock *sock_new(struct worker *w, struct stream *s);
/* Takes an accepted descriptor over (also when it fails). */
int sock_adopt(struct sock *k, int fd) MUST_USE;
int sock_connect(struct sock *k, const struct sockaddr *to) MUST_USE;
/* Sets TCP_NODELAY and keep-alive; once connected. */
void sock_tune(struct sock *k);
int sock_read(struct sock *k, bool on) MUST_USE;
/*
 * Sends all of b. What the kernel does not take at once is swapped out of b without a copy, with
 * its memory; when it took everything b keeps its memory. b is empty afterwards in either case.
 */
int sock_send(struct sock *k, struct buf *b) MUST_USE;
size_t sock_queued(const struct sock *k); /* bytes that the kernel has not taken yet */
int sock_local(const struct sock *k, struct sockaddr_storage *out) MUST_USE;
void sock_finish(struct sock *k);         /* sends FIN after what is queued */
void sock_close(struct sock **k);
const char *sock_strerror(int status, char *out, size_t size);

#endif
