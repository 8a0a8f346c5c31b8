/*
 * What a client sends: a command is gathered whole (small literals inline) within limits, except the message of
 * an APPEND, whose bytes the session streams itself (RFC 3501 section 2.2, 4.3; RFC 7888 for {n+}).
 */
#ifndef WHERRY_IMAP_CMD_H
#define WHERRY_IMAP_CMD_H

#include "wherry/imap/lex.h"

enum cmd_kind {
    CMD_NONE,
    CMD_CONTINUE, /* a synchronising literal was accepted: send "+ " and go on feeding */
    CMD_MESSAGE,  /* APPEND: a message literal of size bytes follows; see below */
    CMD_READY,    /* the command is complete */
    CMD_ERROR     /* refused: answer "tag BAD|NO text" ("*" when tag is empty); fatal: then close */
};

struct cmd {
    enum cmd_kind kind;
    struct slice tag;
    struct slice name; /* upper case; "UID FETCH" as one with one space */
    struct slice args; /* after the name and its space, literals inline as {n}CRLF bytes */
    uint64_t size;     /* CMD_MESSAGE */
    bool nonsync, binary;
    const char *error; /* CMD_ERROR: a sentence for people */
    bool fatal;
    bool too_big;      /* CMD_ERROR because of a size limit: NO [TOOBIG] or [LIMIT] fits better than BAD */
};

struct cmd_limits {
    size_t line;        /* bytes of one command without literals */
    size_t id_line;     /* of an ID command where that is more: 30 fields of a kilobyte are lawful (RFC 2971 3.3) */
    size_t literals;    /* bytes of all its small literals together */
    uint64_t message;   /* one APPEND message; 0: literals for APPEND are refused (before sign-in) */
    unsigned count;     /* literals in one command */
    uint64_t nonsync;   /* bytes of one non-synchronising literal (RFC 7888: 4096 with LITERAL-); 0: no limit */
};

/* Owner: the session. Holds at most limits.line (or id_line) + limits.literals bytes. */
struct cmd_reader {
    struct cmd_limits limits;
    struct buf text; /* the command so far; freed between commands */
    struct buf name;
    /* private */
    int state;
    uint64_t left;                         /* of a literal that is read or skipped */
    size_t tag_n, args, segment;           /* in text: end of the tag, start of args, of the last line */
    size_t literal_bytes;                  /* in text */
    unsigned count;
    bool message, nonsync, parsed, refuse; /* refuse: nothing but the end of this command is looked for */
};

void imap_cmd_init(struct cmd_reader *c, const struct cmd_limits *limits);
void imap_cmd_set_limits(struct cmd_reader *c, const struct cmd_limits *limits);
void imap_cmd_free(struct cmd_reader *c); /* wipes: a command may hold a password */

/*
 * DONE: *cmd is an event; consume *used bytes. MORE: *used bytes are to be consumed too (they are kept inside).
 * The slices in *cmd are good until the next call.
 *
 * CMD_MESSAGE: the input right after *used is the message. The caller moves size bytes itself (after sending
 * "+ " when !nonsync and it wants them), then calls imap_cmd_message_done(), and goes on: the next event is
 * CMD_READY with empty args, or CMD_MESSAGE again (MULTIAPPEND, RFC 3502; args are then what stood between).
 * When it does not want the message it calls imap_cmd_refuse(): the reader swallows what a non-synchronising
 * client sends of the command (or nothing for a synchronising one) without another event.
 *
 * A line too long is CMD_ERROR (fatal, since where it ends is unknown), so is one that ends in a bare LF, and a
 * literal of no possible size. A literal over its limit, a malformed tag, an empty line, a NUL, a bare CR,
 * unbalanced quotes or parentheses, more than 64 levels: not fatal; the rest of the command is swallowed when its
 * literals are non-synchronising. Spaces before the CRLF are dropped. An event's memory is given back (and wiped)
 * by the next call, so call until MORE.
 */
enum codec imap_cmd_next(struct cmd_reader *c, struct slice in, size_t *used, struct cmd *cmd) MUST_USE;
void imap_cmd_message_done(struct cmd_reader *c);
void imap_cmd_refuse(struct cmd_reader *c);
/* True when no command is half read. */
bool imap_cmd_idle(const struct cmd_reader *c);

/*
 * One line without CRLF, for what is no command: DONE of IDLE, a SASL response. BAD: a bare CR or LF, a NUL, or
 * longer than max; *line borrows and is zeroed unless DONE.
 */
enum codec imap_line_next(struct slice in, size_t max, struct slice *line, size_t *used) MUST_USE;

#endif
