/*
 * Commands of the client, rewritten for the new host. Pure: arguments in, arguments out, no
 * connection.
 *
 * Arguments on both sides have literals inline ({n}CRLF and n bytes). The grammar of a command is a
 * short string, one letter per argument, so that an extension is a row of the command table and at
 * most a letter here:
 *
 *   q  sequence set, passed on           u  set of UIDs, translated
 *   m  mailbox name, translated          i  FETCH items (what is not known is refused)
 *   a  STORE: [modifier] action flags    l  list of STATUS items
 *   c  [(CHANGEDSINCE …)] of FETCH       p  [(CONDSTORE QRESYNC …)] of SELECT
 *   s  search program to the end         o  SORT: criteria, charset, search keys
 *   t  THREAD: algorithm, charset, search keys
 *   w  what stands between name and message of APPEND
 *   C  what may follow the name of CREATE      n  string, passed on
 *   r  quota root, translated                  L  list of resources and limits
 *   g  all of GETMETADATA                      M  mailbox name or "" for the server
 *   e  list of entries and values of SETMETADATA
 *
 * Rejected: one translator per command, since UIDs and names turn up in more places with every
 * extension.
 */
#ifndef WHERRY_FRONT_TRANSLATE_H
#define WHERRY_FRONT_TRANSLATE_H

#include <stdbool.h>
#include "front/modseq.h"
#include "front/seqs.h"
#include "wherry/imap/lex.h"
#include "wherry/imap/uidmap.h"

enum tr {
    TR_OK,
    TR_BAD,     /* the client's syntax: out->error says what */
    TR_NAME     /* a mailbox name that cannot exist */
};

struct tr_view {
    const struct uidmap *map; /* of the selected mailbox; NULL when none is */
    const struct seqs *seqs;  /* NULL: the client's message numbers are the host's */
    uint64_t caps;            /* what the client was offered, as CAP_BITs */
    int (*name_to_new)(void *arg, struct slice view, struct buf *out); /* 0 or an error */
    void *arg;
    void (*root_to_new)(void *arg, struct slice view, struct buf *out); /* NULL: they are the same */
    uint64_t enabled;     /* what the client enabled, as CAP_BITs */
    struct modseq modseq; /* of the selected mailbox */
};

/* The parameters of SELECT: what becomes of them is known only when the mailbox is. */
struct tr_select {
    bool condstore, qresync;
    uint32_t uidvalidity;
    uint64_t modseq;
    struct buf known; /* set of UIDs of the view; empty: all */
};

struct tr_out {
    struct buf text;                      /* the arguments for the new host */
    struct buf view_name[2], new_name[2]; /* the mailboxes named, decoded, in order */
    unsigned names;
    bool gone;   /* of the message numbers, likewise: those messages are no more */
    bool saves;  /* SEARCH keeps its result (RFC 5182) */
    bool nobody; /* of the set of UIDs the new host has none */
    const char *error; /* static */
    bool by_uid;       /* the messages are named by UIDs, */
    struct slice uids; /* these, as the client gave them, borrowed; none: the saved ones */
    bool append_limit; /* STATUS: APPENDLIMIT is asked for */
    bool condstore;    /* who says this knows mod-sequences (RFC 7162 3.1) */
    struct tr_select select;
    struct buf vanished; /* UIDs of the view to be told as VANISHED (EARLIER) */
};

enum tr tr_command(const char *grammar, const struct tr_view *v, struct slice args,
                   struct tr_out *out);
void tr_clear(struct tr_out *out); /* leaves it empty and usable */

/*
 * The QRESYNC parameter for the mailbox that v shows, appended to out with its parentheses; the
 * UIDs that no message of it has, as a set, to vanished. False: it is not for this mailbox, or
 * names no message that is there; nothing is appended to out.
 */
bool tr_select_put(const struct tr_view *v, const struct tr_select *s, uint32_t view_uidvalidity,
                   uint32_t new_uidvalidity, struct buf *out, struct buf *vanished);

/* The list of STATUS items alone, as in the grammar's l. */
enum tr tr_status(const struct tr_view *v, struct imap_args *a, struct tr_out *out);

/* ---- between translate.c, search.c, params.c and translate_names.c ---- */
/* A set of message numbers; false: all of them are gone, nothing was put. */
bool tr_put_seqs(const struct tr_view *v, const struct tok *t, struct buf *out);
bool tr_is_saved(const struct tr_view *v, const struct tok *t);
enum tr tr_changed_since(const struct tr_view *v, struct imap_args *a, struct tr_out *out);
enum tr tr_unchanged_since(const struct tr_view *v, struct imap_args *a, struct tr_out *out);
enum tr tr_select_params(const struct tr_view *v, struct imap_args *a, struct tr_out *out);
enum tr tr_mailbox(const struct tr_view *v, struct imap_args *a, struct tr_out *out);
enum tr tr_mailbox_or_server(const struct tr_view *v, struct imap_args *a, struct tr_out *out);
enum tr tr_string(struct imap_args *a, struct tr_out *out);
enum tr tr_root(const struct tr_view *v, struct imap_args *a, struct tr_out *out);
enum tr tr_limits(struct imap_args *a, struct tr_out *out);
enum tr tr_create(const struct tr_view *v, struct imap_args *a, struct tr_out *out);
enum tr tr_get_metadata(const struct tr_view *v, struct imap_args *a, struct tr_out *out);
enum tr tr_set_metadata(struct imap_args *a, struct tr_out *out);
enum tr tr_search(const struct tr_view *v, struct imap_args *a, struct tr_out *out);
enum tr tr_sort(const struct tr_view *v, struct imap_args *a, struct tr_out *out);
enum tr tr_thread(const struct tr_view *v, struct imap_args *a, struct tr_out *out);
enum tr tr_bad(struct tr_out *out, const char *why);
/* A token as it came, its space included; literals become {n}CRLF and the bytes. */
void tr_put(struct buf *out, const struct tok *t);
/* A string token decoded, appended to out. */
void tr_decode(struct buf *out, const struct tok *t);

#endif
