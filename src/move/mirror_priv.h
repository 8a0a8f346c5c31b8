/*
 * The mirror, between mirror.c (the connections, and what goes over them) and mirror_plan.c (which mailbox becomes which).
 */
#ifndef WHERRY_MOVE_MIRROR_PRIV_H
#define WHERRY_MOVE_MIRROR_PRIV_H

#include "move/conn.h"
#include "move/move_priv.h"
#include "move/special.h"

enum mirror_phase { MI_WAIT, MI_SIGN_IN, MI_LIST, MI_GLANCE, MI_CREATE, MI_SUBSCRIBE, MI_COMMIT };

/* One mailbox of the old host on its way to becoming a unit. */
struct mirror_entry {
    char *old, *view, *new; /* new: NULL until chosen */
    bool folder, subscribed, listed;
    bool exists; /* on new */
    bool use_special; /* goes to the new host's own mailbox for its use */
    bool create_use;  /* is created with its use */
    enum special_use special; /* as the old host says */
    unsigned tries;
    uint32_t create_id, subscribe_id;
    char *reason; /* why it could not be created */
};

/* What one host said of its tree. */
struct mirror_tree {
    struct conn conn;
    bool ready;
    unsigned asked; /* replies still due */
    uint32_t lsub_id;
    struct namespace_data ns;
    bool has_ns;
    char sep;
    struct hash *names; /* on new: the names that exist; the value is this tree for one that can be selected */
    size_t n_names;
    char *special[SPECIAL_USES]; /* on new: who has them */
    unsigned special_rank[SPECIAL_USES]; /* 0: by attribute, else by name, the lower the better */
};

struct mirror {
    struct task task;
    struct account *account;
    enum mirror_phase phase;
    bool again; /* of a known account: new folders on old */
    struct hash *by_old; /* then: its units by their names on old, deleted ones included */
    uint32_t next_unit;
    struct mirror_tree old, new;
    struct mirror_entry *entries;
    size_t n, next, in_flight;
    struct store_wait wait;
    struct err err;
    struct list queued; /* on accounts.mirrors in MI_WAIT */
    unsigned pushes;    /* how often a host had too much to do */
};

/* Of the old host, by its name there; a new one is empty. */
struct mirror_entry *mirror_entry_find(struct mirror *m, struct slice old);
struct mirror_entry *mirror_entry_add(struct mirror *m, struct slice old);

/* Both trees are known: chooses the name of each mailbox on new and makes the units, which are not recorded yet. */
void mirror_plan(struct mirror *m);
/* The same for what is not known yet of a known account; the units are recorded before they are created on new. */
void mirror_plan_again(struct mirror *m);

/* glance.c: asks for all that moved lately; false while replies are due; an untagged line came meanwhile */
void glance_begin(struct mirror *m);
bool glance_advance(struct mirror *m);
void glance_event(struct mirror *m);

#endif
