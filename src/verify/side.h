/*
 * One of the two hosts: its connection, the mailbox that is open there, and the next messages of it in ascending UIDs.
 */
#ifndef WHERRY_VERIFY_SIDE_H
#define WHERRY_VERIFY_SIDE_H

#include "wherry/auth/digest.h"
#include "wherry/client/imap.h"
#include "wherry/verify/verify.h"

enum { SIDE_CHUNK = 250 }; /* messages of one FETCH, and all that are held */

struct entry {
    uint32_t uid;
    uint64_t size, modseq; /* the literal's length where bodies are fetched; modseq 0: not told */
    int64_t date;
    char *flags; /* separated by blanks */
    uint8_t sum[DIGEST_BYTES];
    bool has_body;
};

struct gone {
    uint32_t lo, hi;
};

enum side_state { SIDE_SIGN_IN, SIDE_IDLE, SIDE_ENABLE, SIDE_OPEN, SIDE_LIST, SIDE_END };

/* Owner: struct run in verify.c. */
struct side {
    const char *name; /* "old" */
    struct imapc *imap;
    struct fetch fetch;
    struct resp_line line;
    struct digest *digest; /* NULL: bodies are not fetched */
    enum side_state state;
    uint32_t id; /* the command that is due */
    bool in_fetch, in_line, enabled;
    struct err err; /* of the mailbox: E_* */
    /* The mailbox that is open. */
    const char *mailbox;
    uint32_t exists, uidvalidity;
    uint64_t since;       /* mod-sequence; 0: not asked for */
    struct gone *gone;    /* UIDs that were expunged after it, ascending once the mailbox is open */
    size_t n_gone;
    bool gone_known;
    uint32_t next_seq;
    uint32_t last_uid;
    bool has_body; /* of the message that is being fetched */
    uint64_t body_size;
    uint8_t sum[DIGEST_BYTES];
    struct entry entries[SIDE_CHUNK];
    size_t first, n;
};

void side_init(struct side *s, const char *name, bool digest);
void side_free(struct side *s);
/* Opens the mailbox of that host. since: ask what changed and went after this mod-sequence where the host can tell; 0: do not. */
void side_open(struct side *s, const char *mailbox, uint64_t since, uint32_t uidvalidity);
/*
 * What came from the host. 0, or E_* with *e when the connection is of no use any more. What is wrong with the mailbox only is
 * in s->err, and the state SIDE_END.
 */
int side_step(struct side *s, struct err *e) MUST_USE;
/* The next message. NULL: none (state SIDE_END), or none yet. Borrowed until side_pop(). */
const struct entry *side_peek(const struct side *s);
void side_pop(struct side *s);
/* The host says that this UID was expunged after `since`. */
bool side_was_expunged(const struct side *s, uint32_t uid);

#endif
