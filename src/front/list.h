/*
 * LIST and LSUB, between list_args.c (what is asked for; pure), list.c (the answer) and list_status.c (STATUS of what
 * was listed).
 */
#ifndef WHERRY_FRONT_LIST_H
#define WHERRY_FRONT_LIST_H

#include "front/session.h"
#include "wherry/base/hash.h"

enum {
    LIST_PATTERNS = 64,
    LIST_OLD_MS = 5000 /* how long a listing waits for a connection to the old host, then it does without */
};

struct list_want {
    bool lsub, extended;
    bool root; /* the pattern is empty: the separator and the root of the reference are asked for */
    bool only_subscribed, only_special, recursive; /* selection options */
    bool subscribed, children, special;            /* attributes to be shown */
    struct buf reference;
    struct buf patterns[LIST_PATTERNS]; /* the reference in front */
    unsigned n;
    struct buf status; /* "(MESSAGES UNSEEN)"; empty: not asked for */
    bool condstore;    /* HIGHESTMODSEQ is among them */
    bool append_limit; /* APPENDLIMIT is among them */
    const char *error; /* static */
};

/* False: w->error says what is wrong; free it all the same. caps: offered ones, for the items of STATUS. */
bool list_want_parse(struct list_want *w, bool lsub, struct slice args, uint64_t caps);
void list_want_free(struct list_want *w); /* leaves it empty */
bool list_want_matches(const struct list_want *w, struct slice name, char sep);
/* Appends the attributes of a host that are to be shown, but those that the view's tree decides. True: one of them is
 * of special use. */
bool list_flags_put(const struct list_want *w, struct slice flags, struct buf *out);

struct list_entry {
    char *name, *flags; /* of the view; without brackets */
    bool listed, subscribed, special;
    bool ask; /* its STATUS is due */
};

enum list_phase {
    LIST_ASK_OLD, /* namespaces that stay there have to be asked for, once it can be reached */
    LIST_GATHER,
    LIST_SEND,
    LIST_STATUS,
};

struct lister {
    struct list_want want;
    enum list_phase phase;
    char sep;
    bool failed;
    struct list_entry *v;
    size_t n, at; /* at: next to be looked at while sending */
    struct hash *index;              /* name -> place in v + 1 */
    struct hash *parents, *selected; /* levels above what exists, above what was selected */
    struct hash *beyond;             /* above what was selected and matches no pattern */
    struct hash *sent;
    struct hash *by_new; /* units by their name on new */
    struct buf tagged;   /* the reply to end with */
};

/* As host_old_try, for a while only. */
enum readiness list_old_try(struct session *s);

/* Asks for STATUS of what was listed; true when all was asked for and answered. */
bool list_status_done(struct session *s);

#endif
