/*
 * A byte stream: TCP, with TLS when asked for, behind one set of calls. Owner: the session or client that
 * dialled or accepted it. Each stream wakes one task when something changed: connected, bytes came, the
 * output fell below its low-water mark, the peer closed, an error.
 *
 * Backpressure: reading stops while stream_in() holds in_limit bytes or more, and goes on when the owner
 * consumed (buf_consume on stream_in, then stream_resume). The owner stops producing while stream_full().
 * Output is gathered and written once per turn of the loop. TCP_NODELAY and keep-alive are always set.
 * An idle stream holds no buffers.
 */
#ifndef WHERRY_NET_STREAM_H
#define WHERRY_NET_STREAM_H

#include <stdbool.h>
#include <stdint.h>
#include "wherry/base/buf.h"
#include "wherry/net/tls.h"
#include "wherry/net/worker.h"

struct stream;

enum stream_state {
    STREAM_CONNECTING, /* name look-up, TCP */
    STREAM_HANDSHAKE,  /* TLS */
    STREAM_OPEN,
    /*
     * The peer sent its last byte; stream_in may still hold some; writing still works. When it was cut off
     * rather than ended (TLS without close_notify) stream_err() has E_TLS, else no error, or see
     * stream_start_deflate().
     */
    STREAM_EOF,
    STREAM_FAILED /* stream_err() says why; nothing more will happen; stream_in may still hold bytes */
};

enum { STREAM_IN_LIMIT = 64 * 1024, STREAM_OUT_HIGH = 128 * 1024, STREAM_OUT_LOW = 32 * 1024 };
enum { STREAM_ADDRESS = 46 }; /* INET6_ADDRSTRLEN */

struct dial {
    const char *host;       /* name or address; tried address by address */
    uint16_t port;
    struct tls_ctx *tls;    /* implicit TLS when not NULL; borrowed during the call */
    uint64_t timeout_ms;    /* for all of: look-up, connect, handshake; 0: 30 s */
};

/*
 * Begins to connect; never fails at once (look for STREAM_FAILED). Everything in d is copied. Errors have
 * SCOPE_HOST: E_UNAVAIL (no address, refused), E_TIMEOUT, E_TLS, E_CLOSED or E_IO; the text names the host,
 * and says what is wrong with its certificate.
 */
struct stream *stream_dial(struct worker *w, struct task *owner, const struct dial *d);

enum stream_state stream_state(const struct stream *s);
const struct err *stream_err(const struct stream *s);
bool stream_is_tls(const struct stream *s);
const char *stream_peer(const struct stream *s); /* numeric address without port, "" if unknown */
uint16_t stream_peer_port(const struct stream *s);
/* The address at this end, as long as there is a connection; else false, "" and 0. */
bool stream_local(const struct stream *s, char address[STREAM_ADDRESS], uint16_t *port);
const char *stream_tls_info(const struct stream *s); /* "TLSv1.3 TLS_AES_…" or "" */
void stream_set_owner(struct stream *s, struct task *owner); /* wakes it; NULL is allowed */

/*
 * What was received and not consumed: at most in_limit bytes, with TLS up to 20 KiB more. Consume from it,
 * then call stream_resume(), which also gives its memory back when it is empty.
 */
struct buf *stream_in(struct stream *s);
void stream_resume(struct stream *s);
void stream_set_in_limit(struct stream *s, size_t bytes); /* default STREAM_IN_LIMIT; at least 1 KiB */

/* Queued always (the owner heeds stream_full()); dropped silently once the stream has failed. */
void stream_write(struct stream *s, const void *p, size_t n);
void stream_put(struct stream *s, struct slice v);
size_t stream_pending(const struct stream *s); /* bytes not yet handed to the kernel */
/* pending >= STREAM_OUT_HIGH; the owner is woken when it falls to STREAM_OUT_LOW. */
bool stream_full(const struct stream *s);

/*
 * From here on TLS, in the role given; what is pending in the clear goes out first. E_PROTO when bytes are
 * waiting in stream_in that came in the clear (RFC 9051 11.1, STARTTLS injection): close then. E_INVAL when
 * the stream is not open or has TLS. Until the handshake is over the state is STREAM_HANDSHAKE; bounding its
 * time is the owner's matter for an accepted stream, for a dialled one dial.timeout_ms holds again.
 */
int stream_start_tls_server(struct stream *s, struct tls_ctx *ctx) MUST_USE;
int stream_start_tls_client(struct stream *s, struct tls_ctx *ctx, const char *host) MUST_USE;

/*
 * From here on both directions are raw DEFLATE (RFC 4978), within TLS if there is any; what is pending goes out as it
 * is, and what is in stream_in is taken to be compressed already. Each turn's output can be read up to its end. Limits,
 * states and counters mean what is inflated: no more than in_limit of it is held, however little it was on the wire. What
 * is not DEFLATE is STREAM_EOF with E_PROTO in stream_err(). E_INVAL when it is on already, or the stream is not open;
 * TLS cannot begin afterwards. Costs 40 KiB while the stream lasts, and 270 KiB once per worker.
 */
int stream_start_deflate(struct stream *s) MUST_USE;
bool stream_is_deflated(const struct stream *s);

/*
 * Sends what is pending (at most 5 s), closes and frees. Leaves NULL. Never wakes the owner again. What is
 * pending during a handshake is sent after it; during STREAM_CONNECTING it is dropped.
 */
void stream_close(struct stream **s);
/* Closes at once. */
void stream_abort(struct stream **s);

/* Total bytes of plaintext moved since the start. */
uint64_t stream_bytes_in(const struct stream *s);
uint64_t stream_bytes_out(const struct stream *s);

/*
 * A listening socket. on_accept gets each new stream and owns it (state STREAM_OPEN, or STREAM_HANDSHAKE with
 * implicit TLS); it sets the owner task at once. It runs as a task step would. While paused nothing is
 * accepted. Out of file descriptors: accepting rests for a second and goes on.
 */
struct listener;
typedef void listener_accept(struct stream *s, void *arg);

/*
 * address: "1.2.3.4:143", "[::]:993", "localhost:0" is E_INVAL (numeric only). [::] is IPv6 only. E_IO when
 * the address cannot be bound. tls (NULL: none) is borrowed until listener_close() or listener_set_tls().
 */
int listener_open(struct listener **out, struct worker *w, const char *address, struct tls_ctx *tls,
                  listener_accept *on_accept, void *arg, struct err *e) MUST_USE;
void listener_close(struct listener **l);
void listener_pause(struct listener *l, bool paused);
void listener_set_tls(struct listener *l, struct tls_ctx *tls); /* after the certificate was re-read */
uint16_t listener_port(const struct listener *l); /* the real one when 0 was asked for */

#endif
