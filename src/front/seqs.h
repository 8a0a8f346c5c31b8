/*
 * Message numbers of a client that counts messages which its host has no more (RFC 3501 7.4.1: it must not hear of an
 * EXPUNGE while no command is in progress, nor during FETCH, STORE and SEARCH). That happens when a session is carried from
 * one host to the other: until it can be told, its numbers are translated.
 *
 * Pure. Memory: 8 bytes for each such message.
 */
#ifndef WHERRY_FRONT_SEQS_H
#define WHERRY_FRONT_SEQS_H

#include <stdbool.h>
#include "wherry/base/buf.h"

struct seqs {
    struct seq_ghost {
        uint32_t num, uid; /* num: as the client counts; uid: of the view, 0: not known */
    } *v;                  /* ascending */
    size_t n, cap;
    uint32_t total; /* messages, as the client counts; what "*" means */
};

void seqs_free(struct seqs *s); /* leaves it empty and usable */
/* One more; false: the client's number is one already. */
bool seqs_add(struct seqs *s, uint32_t num, uint32_t uid);
uint32_t seqs_to_view(const struct seqs *s, uint32_t host);
uint32_t seqs_to_host(const struct seqs *s, uint32_t view); /* 0: it is gone */
/* A set of the client's numbers for the host, appended to out. 1; 0: all of them are gone, out is unchanged; E_INVAL: no set. */
int seqs_set_to_host(const struct seqs *s, struct slice set, struct buf *out) MUST_USE;
/* A set that the host told, likewise, but never 0. */
int seqs_set_to_view(const struct seqs *s, struct slice set, struct buf *out) MUST_USE;
/* Tells the client that they are gone, as EXPUNGE or, once it enabled QRESYNC, as VANISHED; afterwards s is empty. */
void seqs_flush(struct seqs *s, bool vanished, struct buf *out);

#endif
