/*
 * The records of the store and their codecs. Keys are big-endian so that they sort by account, unit, part.
 * Each value begins with a version byte. Decoding checks every length; on E_CORRUPT the output is zeroed.
 * Encoders append to out. Decoded strings are owned by the record (x_clear frees them).
 */
#ifndef WHERRY_STORE_RECORDS_H
#define WHERRY_STORE_RECORDS_H

#include <stdbool.h>
#include <stdint.h>
#include "wherry/base/buf.h"

enum unit_kind {
    UNIT_MAILBOX = 1,
    UNIT_FOLDER = 2, /* \Noselect: a name without contents */
    UNIT_CALENDAR = 3,
    UNIT_ADDRESSBOOK = 4,
    UNIT_STAYS = 5 /* a collection of the old host that does not move; reason says why */
};

/* DESIGN section 3. The numbers are on disk. */
enum unit_state {
    UNIT_UNTOUCHED = 1,
    UNIT_COPYING = 2,
    UNIT_SWITCHING = 3,
    UNIT_MOVED = 4,
    UNIT_DELETED = 5
};
enum unit_home { HOME_OLD = 1, HOME_NEW = 2 };

enum account_state { ACCOUNT_NEW = 1, ACCOUNT_KNOWN = 2, ACCOUNT_MOVING = 3, ACCOUNT_MOVED = 4 };

enum dav_state { DAV_UNKNOWN = 0, DAV_KNOWN = 1 /* collections are mirrored */ };

struct store_account {
    uint32_t id;
    char *name; /* canonical key */
    enum account_state state;
    int64_t first_seen, last_seen; /* seconds since 1970 */
    uint32_t next_unit;            /* the next unit id to hand out, from 1 */
    char old_sep, new_sep;         /* hierarchy separators, 0: none (flat) */
    char *old_prefix, *new_prefix; /* personal namespace prefix, "" or "INBOX." */
    char *login;                   /* as the person typed it last, "": not known */
    char *others, *shared;         /* prefixes of the old host's other namespaces, which do not move, one a line */
    /* Calendars and contacts. Paths as the hosts spell them; homes one a line; "" where there is none. */
    enum dav_state dav;
    char *old_principal, *new_principal;
    char *old_calendars, *new_calendars; /* calendar-home-set */
    char *old_books, *new_books;         /* addressbook-home-set */
    int64_t dav_seen;                    /* when the old host's collections were listed last, seconds since 1970 */
};

struct store_unit {
    uint32_t account, id;
    enum unit_kind kind;
    enum unit_state state;
    enum unit_home home;
    char *old_name, *view_name, *new_name; /* as on the wire there (modified UTF-7); old_name "" if made later */
    uint32_t old_uidvalidity, view_uidvalidity, new_uidvalidity; /* 0: not known yet */
    uint32_t min_view_uidvalidity; /* a deleted namesake had this one: show a higher one */
    uint64_t modseq_shift;         /* view = new + shift */
    /* HIGHESTMODSEQ of both mailboxes when the home changed; 0: that host told none */
    uint64_t old_modseq, new_modseq;
    uint64_t found, moved, left_behind, vanished, bytes;
    uint32_t copied_to;  /* highest old UID that is settled (moved, left behind or vanished) */
    uint32_t attempts;   /* copies begun */
    int64_t started, finished; /* seconds since 1970 */
    char *reason;        /* of the last failure, "" when none */
    /* After the switch: the highest UID of the old mailbox that was looked at, and how many came after it and were
     * brought over. */
    uint32_t straggler_uid;
    uint64_t stragglers;
    bool special; /* the old host gives it a special use: it moves before others */
    /* HIGHESTMODSEQ of the new mailbox when all in it was as on old: what a person changed since then has a higher one. 0: not told */
    uint64_t settled_modseq;
    /*
     * Of collections, NULL for mailboxes. Their old_name, view_name and new_name are paths decoded once, with a slash at the
     * end; the counts above are of items. Tokens and tags are those at the switch, "" where the host tells none.
     */
    char *old_href, *new_href; /* as the hosts spell them */
    char *title;               /* displayname, "" when none */
    char *components;          /* "VEVENT VTODO", "" when not told */
    char *spelling;            /* how old spells names in hrefs, see http_spelling_text(); "" not learned */
    char *old_token, *new_token; /* DAV:sync-token */
    char *old_ctag, *new_ctag;   /* getctag */
    uint64_t differs; /* items of which who was in sync with old has to be told: see store_item */
};

/*
 * One resource of a collection. Names are decoded; "" for new_name and spelled: as name. Rows of SENT are written before the
 * resource is sent, so that it is known after a crash that what is on new may be ours.
 */
enum item_state {
    ITEM_SENT = 1,
    ITEM_STORED = 2,
    ITEM_LEFT = 3,    /* left behind: in the spool */
    ITEM_FOREIGN = 4, /* only new has it: it was there before the switch, or is a part of one that was split */
    ITEM_GONE = 5     /* it vanished from old and is being deleted on new */
};
struct store_item {
    uint32_t account, unit;
    char *name;     /* in the view: old's; of FOREIGN: new's */
    char *new_name;
    char *spelled;  /* as old writes it in hrefs */
    enum item_state state;
    bool kept;      /* what new has means the same: the view shows old_etag as long as new shows new_etag */
    char *old_etag, *new_etag; /* with their quotes; "" not known */
    char *old_tag, *new_tag;   /* schedule-tag, likewise */
    char *uid;
    uint64_t size;
    uint32_t mended; /* enum item_fault of dav/item.h: what was repaired in it */
};

/* One message of a batch that is on its way to, or was stored on, the new host. */
struct intent_msg {
    uint32_t old_uid, new_uid; /* new_uid 0: not known yet */
    uint64_t size;             /* bytes of the literal; before it came, what the old host announced */
    int64_t date;              /* internal date, seconds since 1970 */
    uint32_t flags;            /* a digest of what old's were when new last got them; 0: not known */
};

enum intent_state {
    INTENT_SENT = 1,
    INTENT_STORED = 2,
    INTENT_VOID = 3,   /* superseded; kept to spot late arrivals */
    INTENT_FOREIGN = 4 /* not of old: old_uid is that of a message of the new host's own, which is about to be copied there */
};

struct store_intent {
    uint32_t account, unit, batch; /* batch: ascending from 1 */
    enum intent_state state;
    uint32_t new_uidnext; /* no message of this batch has a lower UID on the new host */
    uint32_t n;
    struct intent_msg *msgs; /* ascending old UIDs */
};

struct store_left {
    uint32_t account, unit, old_uid;
    uint64_t size;
    int64_t date, when; /* internal date; when it was left behind */
    char *flags;        /* "\\Seen key" */
    char *file;         /* below the spool folder */
    char *reason;       /* what the new host said */
    char *name;         /* of an item: of its resource; old_uid is a number in its collection then. "" for messages */
};

void store_key_account(struct buf *out, uint32_t account);
void store_key_unit(struct buf *out, uint32_t account, uint32_t unit);
void store_key_part(struct buf *out, uint32_t account, uint32_t unit, uint32_t part); /* maps, intents, left */

/* Of an item by its name in the view; name empty: the prefix of all of the unit. Names of any length. */
void store_key_item(struct buf *out, uint32_t account, uint32_t unit, struct slice name);
/* Of the pointer from a name on new to that in the view, where they differ. */
void store_key_item_new(struct buf *out, uint32_t account, uint32_t unit, struct slice new_name);
/* The numbers of a key: n of 1 to 3. E_CORRUPT, and zeroes, when the key has another length. */
int store_key_read(struct slice key, uint32_t *ids, unsigned n) MUST_USE;

void store_account_encode(struct buf *out, const struct store_account *a);
int store_account_decode(struct store_account *a, struct slice value) MUST_USE;
void store_account_clear(struct store_account *a);
void store_unit_encode(struct buf *out, const struct store_unit *u);
int store_unit_decode(struct store_unit *u, struct slice value) MUST_USE;
void store_unit_clear(struct store_unit *u);
void store_intent_encode(struct buf *out, const struct store_intent *i);
int store_intent_decode(struct store_intent *i, struct slice value) MUST_USE;
void store_intent_clear(struct store_intent *i);
void store_item_encode(struct buf *out, const struct store_item *i);
int store_item_decode(struct store_item *i, struct slice value) MUST_USE;
void store_item_clear(struct store_item *i);
void store_left_encode(struct buf *out, const struct store_left *l);
int store_left_decode(struct store_left *l, struct slice value) MUST_USE;
void store_left_clear(struct store_left *l);

/* Encodes and puts, under the record's own key; an account goes to STORE_ACCOUNTS and STORE_NAMES. */
struct store_batch;
void store_put_account(struct store_batch *b, const struct store_account *a);
void store_put_unit(struct store_batch *b, const struct store_unit *u);
void store_put_intent(struct store_batch *b, const struct store_intent *i);
void store_put_left(struct store_batch *b, const struct store_left *l);
/* An item and, where its names differ, the pointer; and both away. */
void store_put_item(struct store_batch *b, const struct store_item *i);
void store_del_item(struct store_batch *b, const struct store_item *i);
/* Reads and decodes one: 0, E_NOTFOUND, E_CORRUPT, E_IO (zeroed then). The caller clears it. */
struct store;
int store_get_account(struct store *s, uint32_t account, struct store_account *a) MUST_USE;
int store_get_unit(struct store *s, uint32_t account, uint32_t unit, struct store_unit *u) MUST_USE;
/* An item by its name in the view, or on new (where no pointer stands the names are equal). As above. */
int store_get_item(struct store *s, uint32_t account, uint32_t unit, struct slice name, struct store_item *i) MUST_USE;
int store_get_item_new(struct store *s, uint32_t account, uint32_t unit, struct slice new_name, struct store_item *i) MUST_USE;

/* The account id of a canonical name: 0, E_NOTFOUND, E_CORRUPT, E_IO. */
int store_find_account(struct store *s, struct slice name, uint32_t *id) MUST_USE;
/* The next free account id. Loop thread; the ids handed out by one process never repeat. */
uint32_t store_next_account(struct store *s);

bool unit_is_collection(enum unit_kind kind);
const char *unit_state_name(enum unit_state s);
const char *account_state_name(enum account_state s);

/* The two hosts that this store belongs to: "imap old.example:993|imap new.example:143". "" when fresh. */
int store_identity_get(struct store *s, struct buf *out) MUST_USE;
void store_identity_put(struct store_batch *b, struct slice identity);

#endif
