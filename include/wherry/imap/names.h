/*
 * Mailbox names: modified UTF-7 (RFC 3501 section 5.1.3), patterns of LIST, and the mapping between the two
 * hosts' separators and prefixes. Pure functions; which names are taken is the account's matter.
 */
#ifndef WHERRY_IMAP_NAMES_H
#define WHERRY_IMAP_NAMES_H

#include <stdbool.h>
#include "wherry/base/buf.h"

enum { NAME_MAX_BYTES = 1000 };

/* Valid modified UTF-7: printable ASCII, "&-", "&…-" with canonical base64 of UTF-16 that needed it, never two of
 * the latter in a row (RFC 3501 calls that a superfluous shift). */
bool name_is_mutf7(struct slice name);
/* To UTF-8 and back; E_INVAL when malformed, out unchanged then. */
int name_to_utf8(struct slice mutf7, struct buf *out) MUST_USE;
int name_from_utf8(struct slice utf8, struct buf *out) MUST_USE;

bool name_is_inbox(struct slice name); /* INBOX in any case, exactly */
/* INBOX (in any case, alone or as the first level before sep) spelled INBOX; other names as they are. */
void name_canon(struct slice name, char sep, struct buf *out);

/*
 * LIST wildcards: "*" anything, "%" anything but sep. INBOX matches in any case, as a first level too. Time is the
 * product of both lengths, whatever the wildcards; false when either is over NAME_MAX_BYTES.
 */
bool name_matches(struct slice pattern, struct slice name, char sep);

struct name_style {
    char sep;           /* 0: flat */
    const char *prefix; /* of the personal namespace: "" or "INBOX." with the separator */
};

/*
 * from -> to: the prefix is taken off and put on, separators are exchanged, and what would be a separator or is
 * not allowed inside a level at `to` becomes '_' (controls, 8-bit bytes; an empty level too). A level that is no
 * modified UTF-7 has its "&" made "&-". INBOX stays INBOX, and so do its children where `from` has no prefix; what
 * would become INBOX and is not ("INBOX.INBOX" without its prefix) gets a '_' behind. Two names may map to one:
 * the caller sees to that (name_safe). *exact is false when mapping back would not give the same name. E_INVAL: empty, too long, or a name
 * outside the personal namespace that cannot be expressed.
 */
int name_map(struct slice name, const struct name_style *from, const struct name_style *to,
             struct buf *out, bool *exact) MUST_USE;
/* A name that every server takes: each level's bytes outside [A-Za-z0-9 _-] and modified UTF-7 runs become '_',
 * and "~n" style suffix "_n" goes to the last level when n > 0. sep levels are kept; from n = 2 on each is
 * cut to 40 bytes. */
int name_safe(struct slice name, char sep, unsigned n, struct buf *out) MUST_USE;
/* Number of levels and the parent: "a/b/c" -> "a/b"; empty for a top-level name. */
struct slice name_parent(struct slice name, char sep);

#endif
