/*
 * The lexer that commands and responses share (RFC 3501 section 9, RFC 9051 section 9), and the cursor for
 * arguments that lie in memory whole.
 */
#ifndef WHERRY_IMAP_LEX_H
#define WHERRY_IMAP_LEX_H

#include <stdbool.h>
#include <stdint.h>
#include "wherry/base/buf.h"

enum tok_kind {
    TOK_ATOM,    /* also numbers, flags, sets, NIL, and BODY[HEADER.FIELDS (A B)]<0> as one token */
    TOK_QUOTED,
    TOK_LITERAL, /* {n} {n+} {n-} ~{n} with its CRLF */
    TOK_OPEN,    /* ( */
    TOK_CLOSE,   /* ) */
    TOK_EOL      /* CRLF; a bare LF is BAD */
};

struct tok {
    enum tok_kind kind;
    bool space;        /* exactly one space stood before it */
    struct slice text; /* atom; quoted: what is between the quotes, still escaped; inline literal: content */
    struct slice raw;  /* all its bytes, without the space */
    uint64_t size;     /* literal: announced length */
    bool nonsync;      /* literal: {n+} or {n-} */
    bool binary;       /* literal8: ~{n} */
};

enum {
    LEX_STREAM = 0, /* a literal's content is not part of the token */
    LEX_INLINE = 1  /* the content follows in the same slice; MORE until it is all there */
};

/*
 * The next token at the start of in. *used: its bytes, the space before it included; nothing is skipped else.
 * MORE: the token is not complete (an atom needs the byte after it). BAD: no token can begin here, a NUL, a bare
 * CR or LF, two spaces, or more than max bytes before the token ends. On MORE and BAD *out is zeroed.
 * 8-bit bytes are allowed in quoted strings and atoms (servers send them).
 */
enum codec imap_lex(struct slice in, int mode, size_t max, size_t *used, struct tok *out) MUST_USE;

/* Quoted text with its backslash escapes removed, appended to out. */
void imap_unquote(struct buf *out, struct slice quoted);

/*
 * A cursor over the arguments of one command or response code, literals inline. Sticky: after the first
 * failure every read fails and zeroes its output.
 */
struct imap_args {
    struct slice rest;
    bool bad;
};

void imap_args_init(struct imap_args *a, struct slice in);
bool imap_args_done(const struct imap_args *a);         /* nothing left and not bad */
bool imap_args_peek(struct imap_args *a, struct tok *t); /* without moving; false at the end or when bad */
bool imap_args_tok(struct imap_args *a, struct tok *t);
bool imap_args_atom(struct imap_args *a, struct slice *out);
/* Atom, quoted or literal, decoded and appended to out (a number and NIL are atoms). */
bool imap_args_astring(struct imap_args *a, struct buf *out);
bool imap_args_u32(struct imap_args *a, uint32_t *out);
/* One whole value: an atom, a string, or a parenthesised list with all it holds; *raw borrows. */
bool imap_args_value(struct imap_args *a, struct slice *raw);

/* An astring for the wire: atom if it can be, else quoted, else a literal is needed and false is returned. */
bool imap_put_astring(struct buf *out, struct slice s);
/* Quoted always (for mailbox names); false when it holds CR, LF, NUL or 8-bit bytes. */
bool imap_put_quoted(struct buf *out, struct slice s);

#endif
