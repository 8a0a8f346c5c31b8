/*
 * wherryctl between its files: what was read from the store, and how it is shown.
 *
 * Everything is read into plain structs first and shown afterwards, into a buffer; so output never
 * depends on the state of a transaction, and a test can look at it.
 */
#ifndef WHERRY_CTL_CTL_H
#define WHERRY_CTL_CTL_H

#include <stdbool.h>
#include "wherry/base/settings.h"
#include "wherry/store/records.h"
#include "wherry/store/store.h"

/* Sums over mailboxes. found = moved + left_behind + vanished + to_copy. */
struct ctl_counts {
    uint64_t mailboxes; /* those that the old host had and that still exist */
    uint64_t untouched, copying, switching, done; /* of these; done: moved */
    uint64_t made_new; /* made on the new host since; deleted ones are in none of these */
    uint64_t deleted;
    uint64_t failing; /* not moved, and the last try failed */
    uint64_t found, moved, left_behind, vanished, to_copy, bytes, stragglers;
    double share; /* of the mailboxes, counting a half copied one as half */
};

enum { CTL_NEEDING = 3 };

struct ctl_account {
    struct store_account record;
    struct ctl_counts counts;
    char *needing[CTL_NEEDING]; /* the first mailboxes that are at home on the old host, as in the view; NULL: none */
};

/* Owner: main. */
struct ctl_model {
    const struct settings *settings; /* borrowed */
    struct buf hosts;                /* as the store has them: "imap a:1|imap b:2" */
    struct ctl_account *accounts;    /* by id */
    size_t n_accounts;
    struct ctl_counts total;
    uint64_t damaged; /* records that could not be decoded */
};

/* All accounts with their counts. 0, or E_IO, E_CORRUPT with *e filled. */
int ctl_model_read(struct ctl_model *m, struct store *s, const struct settings *settings,
                   struct err *e) MUST_USE;
void ctl_model_free(struct ctl_model *m);
void ctl_count_unit(struct ctl_counts *c, const struct store_unit *u);
/* The account's mailboxes are known and all at home on the new host. */
bool ctl_account_complete(const struct ctl_account *a);
size_t ctl_accounts_complete(const struct ctl_model *m); /* how many are */
/* The index of the account; the name as a person may type it (domain left out, upper case).
 * E_NOTFOUND. */
int ctl_model_find(const struct ctl_model *m, const char *name, size_t *index) MUST_USE;

/* ---- the commands: append to out ---- */
struct ctl_output {
    struct buf *out;
    bool json;
    unsigned width; /* columns of the terminal */
    bool keep;      /* nothing is written out meanwhile: tests look at it */
};
void ctl_show_status(const struct ctl_output *o, const struct ctl_model *m);
int ctl_show_account(const struct ctl_output *o, struct ctl_model *m, struct store *s, size_t index,
                     struct err *e) MUST_USE;
/* index SIZE_MAX: of all accounts. */
int ctl_show_left(const struct ctl_output *o, struct ctl_model *m, struct store *s, size_t index,
                  struct err *e) MUST_USE;

/* collections.c: of these units, those that are calendars and address books */
struct json;
void collections_json(struct json *j, const struct store_unit *v, size_t n);
void collections_text(const struct ctl_output *o, const struct store_unit *v, size_t n);

/* Compares both hosts, of an account or (SIZE_MAX) of all. True: nothing differs, and all was compared. */
struct ctl_verify {
    bool digest;
    const struct secret *password; /* NULL: not needed */
};
bool ctl_verify(const struct ctl_output *o, const struct ctl_model *m, struct store *s, size_t index,
                const struct ctl_verify *how) MUST_USE;
/* From the terminal or standard input. 0, E_NOTFOUND, E_LIMIT, E_IO. */
int ctl_read_password(const char *name, struct secret *out, struct err *e) MUST_USE;

/* ---- text.c: for people ---- */
/*
 * What a peer named: control characters, marks that turn the direction of writing and bytes that
 * are not UTF-8 become
 * '?'. Padded with blanks to `pad` columns; longer text is cut to `most` columns (0: not cut).
 */
void text_put(struct buf *out, struct slice s, unsigned pad, unsigned most);
unsigned text_width(struct slice s);                  /* columns of what text_put would write */
void text_put_bytes(struct buf *out, uint64_t bytes); /* "1.5 MiB" */
void text_put_time(struct buf *out, int64_t seconds); /* "2024-05-01 12:30 UTC", "-" for 0 */
void text_put_bar(struct buf *out, double share, unsigned columns);
/* A mailbox name of the wire as UTF-8; one that is not modified UTF-7 stays as it is. */
void text_mailbox(struct buf *out, const char *wire);
/* "1 mailbox", "2 mailboxes" */
void text_put_count(struct buf *out, uint64_t n, const char *one, const char *many);

/* ---- json.c ---- */
/* Commas are set by themselves; key NULL inside lists. Strings that are not UTF-8 get U+FFFD. */
struct json {
    struct buf *out;
    bool comma;
};
void json_open(struct json *j, const char *key, char bracket); /* '{' or '[' */
void json_close(struct json *j, char bracket);
void json_str(struct json *j, const char *key, struct slice s);
void json_num(struct json *j, const char *key, uint64_t n);
void json_int(struct json *j, const char *key, int64_t n);
void json_bool(struct json *j, const char *key, bool b);

#endif
