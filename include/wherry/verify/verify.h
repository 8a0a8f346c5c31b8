/*
 * Looks at moved mailboxes on both hosts and compares them, message by message, through the UID map. Reads only: old
 * and new mailboxes are opened by EXAMINE, the store by somebody who cannot write.
 *
 * What people did since the move is told apart from what went wrong, as far as anybody knows: the store has the new
 * host's mod-sequence of the moment of the switch, so with CONDSTORE flags that changed later are known, and with QRESYNC
 * messages that were expunged later. Where a host has neither, such a message counts as a difference.
 */
#ifndef WHERRY_VERIFY_VERIFY_H
#define WHERRY_VERIFY_VERIFY_H

#include "wherry/base/settings.h"
#include "wherry/store/records.h"
#include "wherry/store/store.h"

enum verify_kind {
    VERIFY_MISSING,   /* was moved, and is not on new; nobody says that it was expunged since */
    VERIFY_NOT_MOVED, /* on old, and neither moved nor left behind */
    VERIFY_LATE,      /* reached old after the move, and is only there */
    VERIFY_EXTRA,     /* on new among the moved ones, and not one of them */
    VERIFY_SIZE,
    VERIFY_FLAGS,
    VERIFY_DATE,
    VERIFY_BODY,  /* the same length, other bytes */
    VERIFY_SPOOL, /* left behind, and its file is not what it should be */
    VERIFY_KINDS
};
const char *verify_kind_name(enum verify_kind k); /* "missing", for machines */
const char *verify_kind_text(enum verify_kind k); /* "is missing on the new host" */

struct verify_difference {
    enum verify_kind kind;
    uint32_t old_uid, new_uid; /* 0: none */
    char *detail;              /* "2024 bytes on old, 2025 on new"; "" */
};

/* One mailbox, when it is through. Borrowed by the callback. */
struct verify_mailbox {
    const struct store_unit *unit;
    uint64_t on_old, on_new; /* messages that were looked at */
    uint64_t same;           /* in all that was compared */
    uint64_t left_behind;    /* with a file that is as recorded */
    uint64_t brought;        /* reached old after the move and were brought over as new mail: not compared */
    uint64_t changed;        /* flags changed by somebody since */
    uint64_t gone_new, gone_old; /* expunged since */
    uint64_t added;          /* on new since */
    uint64_t differ[VERIFY_KINDS], differs; /* in all: also those that are not in first */
    const struct verify_difference *first;
    size_t n;
    struct err err; /* code != 0: it could not be compared to the end */
};
typedef void verify_cb(const struct verify_mailbox *m, void *arg);

struct verify {
    const struct settings *settings; /* with secrets */
    struct store *store;
    bool digest;                   /* fetch every body, too */
    const struct secret *password; /* the person's; NULL: not known */
    size_t most;                   /* differences of one mailbox that are kept */
    verify_cb *cb;
    void *arg;
};

/* A host where only the person's own password leads in. */
bool verify_needs_password(const struct settings *s);
/* A mailbox that there is something to compare of. */
bool verify_can(const struct store_unit *u);
/*
 * All moved mailboxes of an account, one after the other. Memory: some hundred messages without their bodies. 0, or why a
 * host could not be reached or entered (mailboxes that were not got to are not told then).
 */
int verify_account(const struct verify *v, const struct store_account *a, struct err *e) MUST_USE;

#endif
