/*
 * A copy between the hosts while it lasts: transfer.c has its course and the destination, transfer_source.c what the
 * source sends and what is taken from it.
 */
#ifndef WHERRY_FRONT_TRANSFER_H
#define WHERRY_FRONT_TRANSFER_H

#include "front/session.h"
#include "wherry/imap/caps.h"
#include "wherry/imap/set.h"

enum transfer_phase {
    TR_LIST,   /* the source lists, the destination is entered */
    TR_PROBE,  /* does the destination mailbox exist? */
    TR_BODY,   /* messages go over */
    TR_STORED, /* the destination has to say that it has them */
    TR_REMOVE, /* MOVE: they go from the source */
    TR_RESTORE, /* which refused: what it marked is unmarked, and looked at */
    TR_ENTER,  /* a new connection to the destination, to take back what was stored */
    TR_UNDO
};

struct transfer_item {
    uint32_t uid, dest_uid; /* dest_uid 0: not stored, or not told */
    bool stored;
    bool marked; /* the source shows it as \Deleted, which it was not before */
    uint32_t flags, date; /* in text, NUL-terminated */
};

struct transfer {
    enum transfer_phase phase;
    struct imapc *dest;
    bool move, multi, listed, failed;
    bool answered; /* MULTIAPPEND's reply came */
    bool expunging;
    struct buf text;
    struct transfer_item *items;
    size_t n, at; /* at: on its way, or the next one */
    /* source */
    struct fetch fetch;
    bool in_fetch, in_body, had_body, asked;
    bool told; /* the source spoke of the message that is on its way */
    bool due; /* the source's reply to a step of the removal */
    /* destination */
    uint32_t probe_id, append_id, undo_id;
    bool open; /* an APPEND is being written */
    uint32_t validity;
    char error[200]; /* why it failed, with a code */
};

/* ---- transfer.c ---- */
/* It ends with NO text, which begins with a code: what was stored goes again. */
void transfer_fail(struct session *s, const char *text);
/* Likewise, but what was stored stays: better twice than not at all. */
void transfer_fail_kept(struct session *s, const char *text);
const char *transfer_text(const struct transfer *t, uint32_t off);
/* "[COPYUID …] ", appended; false: it cannot be told. */
bool transfer_put_copyuid(struct session *s, struct buf *out);

/* ---- transfer_source.c ---- */
void source_list(struct session *s);
void source_ask_body(struct session *s); /* of the message at t->at */
/* Its body is over and, where the destination is asked for each, it is stored: on to the next. */
void source_next(struct transfer *t);
/* A step of the removal; false: there is nothing to remove. */
bool source_remove(struct session *s);

#endif
