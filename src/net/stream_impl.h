/*
 * The inside of a stream, for the files of src/net only. Owner: who dialled or accepted it; after
 * stream_close() the stream owns itself until its last bytes are sent or its time is up.
 */
#ifndef WHERRY_SRC_NET_STREAM_IMPL_H
#define WHERRY_SRC_NET_STREAM_IMPL_H

#include "sock.h"
#include "wherry/base/list.h"
#include "wherry/net/stream.h"

struct deflated;
struct dialer;
struct tls;

enum stream_closing {
    CLOSING_NOT,
    CLOSING_FLUSH, /* sends what is pending */
    CLOSING_LINGER /* FIN is sent; waits a moment for the peer's, lest a reset destroys our last
                      bytes */
};

struct stream {
    struct list all;   /* worker->streams */
    struct list dirty; /* worker->dirty, while the end of the turn has something to do here */
    struct worker *worker;
    struct task *owner;    /* NULL: nobody to wake */
    struct sock *sock;     /* NULL before the first address is tried and after a failure */
    struct tls *tls;       /* NULL in the clear */
    struct deflated *deflated; /* NULL: not compressed */
    struct dialer *dialer; /* while STREAM_CONNECTING */
    struct task task;      /* its own steps: dialling and closing */
    struct timer timer;    /* bounds them and the handshake of a dialled stream */
    enum stream_state state;
    enum stream_closing closing;
    bool reading;
    bool mute;     /* writing failed; what the peer said before is still read, then it has failed */
    bool was_full; /* the owner may have seen stream_full(): wake it at STREAM_OUT_LOW */
    uint16_t peer_port;
    char peer[STREAM_ADDRESS];
    size_t in_limit;
    uint64_t bytes_in, bytes_out;
    uint64_t dial_ms;   /* of a dialled stream; bounds the handshake of STARTTLS too */
    struct buf in, out; /* plaintext, not compressed */
    struct err err;
};

/* stream.c */
struct stream *stream_new(struct worker *w, struct task *owner);
void stream_free(struct stream *s);
void stream_set_peer(struct stream *s, const struct sockaddr *a);
void stream_enter(struct stream *s, enum stream_state state); /* wakes the owner */
void stream_fail(struct stream *s, int code, const char *fmt, ...) PRINTF(3, 4);
void stream_failed(struct stream *s); /* with s->err filled */
void stream_touch(struct stream *s);  /* to be looked at at the end of the turn */
void stream_watch(struct stream *s);  /* reads or not, as state and in_limit say */

/* stream_tls.c */
void stream_tls_begin(struct stream *s);                       /* enters STREAM_HANDSHAKE */
void stream_tls_input(struct stream *s, struct slice records); /* handshake or data */
int stream_tls_output(struct stream *s, struct buf *out) MUST_USE; /* seals and sends some of out */
void stream_tls_end(struct stream *s);                         /* close_notify */

/* stream_deflate.c: without compression these are the stream's own buffers */
void stream_deflate_free(struct stream *s);
struct buf *stream_input(struct stream *s);             /* where what was received goes */
bool stream_input_waits(const struct stream *s);        /* what was received waits for room */
void stream_input_drop(struct stream *s);               /* nobody reads any more */
void stream_input_ended(struct stream *s);              /* STREAM_EOF, now or after what waits */
void stream_inflate(struct stream *s);                  /* fills stream.in */
struct buf *stream_output(struct stream *s);            /* what is to be sent next */
size_t stream_unsent(const struct stream *s);           /* not handed to the socket */
void stream_output_done(struct stream *s);              /* gives memory back that is empty */

/* close.c */
void close_step(struct stream *s);

/* dial.c */
void dial_step(struct stream *s);
void dial_drop(struct stream *s);
void stream_on_connect(struct stream *s, int status);

/* What the socket tells. */
size_t stream_read_room(const struct stream *s); /* most bytes to read now */
void stream_on_read(struct stream *s, struct slice v);
void stream_on_eof(struct stream *s);
void stream_on_error(struct stream *s, int status);
void stream_on_write_error(struct stream *s, int status);
void stream_on_sent(struct stream *s);

#endif
