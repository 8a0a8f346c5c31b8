/*
 * SMTP as clients send it (RFC 5321, 4954, 3030): lines, commands, the octets of DATA. Sans-I/O;
 * everything is a slice of the input, nothing is allocated.
 *
 * Only CRLF ends a line, and only CRLF "." CRLF ends a message. A CR or LF that stands alone is an
 * error wherever it is (outside of BDAT): two servers that read it differently could be told two
 * different stories.
 */
#ifndef WHERRY_SMTP_CMD_H
#define WHERRY_SMTP_CMD_H

#include <stdbool.h>
#include "wherry/base/buf.h"

/* RFC 5321 4.5.3.1.4: 512 octets with CRLF; MAIL and RCPT grow by what extensions add (RFC 6152,
 * 1870, 3461, 6531); RFC 4954 4: a line of AUTH. */
enum { SMTP_MAX_COMMAND = 512, SMTP_MAX_PATH_COMMAND = 2048, SMTP_MAX_AUTH = 12288 };

/*
 * The next line of at most max bytes, CRLF included. DONE: *line is without its CRLF, *used with
 * it. MORE: no whole line yet. BAD: a bare CR or LF, a NUL, or too long; *line is empty and *used 0
 * then, and nothing after it can be trusted.
 */
enum codec smtp_line_next(struct slice in, size_t max, struct slice *line, size_t *used);

enum smtp_verb {
    SMTP_UNKNOWN,
    SMTP_AUTH,
    SMTP_BDAT,
    SMTP_DATA,
    SMTP_EHLO,
    SMTP_EXPN,
    SMTP_HELO,
    SMTP_HELP,
    SMTP_MAIL,
    SMTP_NOOP,
    SMTP_QUIT,
    SMTP_RCPT,
    SMTP_RSET,
    SMTP_STARTTLS,
    SMTP_VRFY
};

enum smtp_fault {
    SMTP_FINE,
    SMTP_BAD_ARGS, /* 501 */
    SMTP_TOO_LONG  /* 500: longer than its verb may be */
};

struct smtp_cmd {
    enum smtp_verb verb;
    enum smtp_fault fault;
    struct slice args;   /* behind the verb, without blanks at the ends */
    struct slice path;   /* MAIL, RCPT: "<…>" with its brackets */
    struct slice params; /* MAIL, RCPT: what follows the path; walk it with smtp_param_next() */
    uint64_t size;       /* BDAT */
    bool last;           /* BDAT */
};
/* One line without CRLF. The verb is known even when the rest is at fault. */
void smtp_cmd_parse(struct slice line, struct smtp_cmd *out);

/* "KEY" or "KEY=value" off the front; false at the end. The value is as it was written. */
bool smtp_param_next(struct slice *rest, struct slice *key, struct slice *value);

/* xtext of RFC 3461 4: for names that go into XCLIENT. */
void smtp_xtext_put(struct buf *out, struct slice text);

/* ---- the octets of DATA ---- */
struct smtp_data {
    unsigned state; /* zeroed: at the start of a line */
};
/*
 * Looks at the next bytes between 354 and the end. *used of them may be passed on as they are (dots
 * stay doubled). DONE: they end with the "." CRLF that ends the message. MORE: all were used. BAD:
 * a bare CR or LF follows them.
 */
enum codec smtp_data_next(struct smtp_data *d, struct slice in, size_t *used);

#endif
