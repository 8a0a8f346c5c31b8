/*
 * The door to zlib: raw DEFLATE (RFC 1951) in bursts, for src/net only. What is compressed here can be read up to its
 * end without waiting for more (RFC 4978 section 4: flush after each burst).
 */
#ifndef WHERRY_SRC_NET_DEFLATE_IMPL_H
#define WHERRY_SRC_NET_DEFLATE_IMPL_H

#include "wherry/base/buf.h"

/* What one peer compresses: its history has to be kept, about 40 KiB. Owner: a stream. */
struct inflater;
struct inflater *inflater_new(void);
void inflater_free(struct inflater **z);
/*
 * Takes bytes from in and appends at most room bytes to out. MORE normally: *more then says that room was too small for
 * what is there, though in may be empty. DONE: the peer ended the compressed data for good. BAD: that is no DEFLATE.
 */
enum codec inflater_run(struct inflater *z, struct buf *in, struct buf *out, size_t room, bool *more) MUST_USE;

/* Compresses; keeps nothing between two calls, so one serves all streams of a worker (about 270 KiB). */
struct deflater;
struct deflater *deflater_new(void);
void deflater_free(struct deflater **z);
/* A burst, appended to out; out grows by the size of v and a little at most. */
void deflater_run(struct deflater *z, struct slice v, struct buf *out);

#endif
