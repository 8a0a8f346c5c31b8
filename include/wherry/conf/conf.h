/*
 * The configuration file: from text to struct settings, and every error in it with its line.
 *
 * One table row per setting gives its name, type, default, bounds, whether a reload takes it up, and a line of help;
 * libconfuse's options, the defaults, the checks and the test against the manual page are all made from it. Stands
 * on base alone, since the control program reads the same file.
 */
#ifndef WHERRY_CONF_CONF_H
#define WHERRY_CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "wherry/base/buf.h"
#include "wherry/base/settings.h"

enum conf_type {
    CONF_STRING,    /* printable, not empty */
    CONF_HOST,      /* a name or an address, without port */
    CONF_DOMAIN,    /* a mail domain */
    CONF_FILE,      /* absolute path of a file that must be readable */
    CONF_SECRET,    /* as CONF_FILE, and nobody else's business */
    CONF_FOLDER,    /* absolute path */
    CONF_URL,       /* http or https, host, path: nothing else */
    CONF_HEADER,    /* name of a header field */
    CONF_PATH,      /* path of a URL, with %u %n %d %% in it */
    CONF_TEMPLATE,  /* %u %n %d %%, with %u or %n in it */
    CONF_ADDRESSES, /* list of "address:port" */
    CONF_USES,      /* list of "use=mailbox name" */
    CONF_NUMBER,    /* min to max; the field is of 2, 4 or 8 bytes */
    CONF_SIZE,      /* as CONF_NUMBER, in bytes, K M and G (powers of 1024) may follow */
    CONF_DURATION,  /* as CONF_NUMBER, in seconds, s m h d and w may follow */
    CONF_BOOL,      /* yes no, true false, on off */
    CONF_WORD       /* one of words; the field is an enum with their numbers */
};

struct conf_option {
    const char *path; /* "old.imap.host": sections, then the name */
    enum conf_type type;
    size_t offset, size; /* of the field in struct settings */
    const char *def;     /* as one would write it; NULL: not set (strings), none (lists) */
    uint64_t min, max;   /* CONF_NUMBER, CONF_SIZE and CONF_DURATION */
    const char *const *words; /* CONF_WORD, NULL at the end */
    bool reloadable;
    const char *help;
};
/* The table; *n is set to its length. */
const struct conf_option *conf_table(unsigned *n);

/* What was found. Lines "FILE:LINE: reason\n", or "FILE: reason\n" where no line is to blame. Owner: the caller. */
struct conf_report {
    struct buf errors, warnings;
    unsigned n_errors, n_warnings;
};
void conf_report_free(struct conf_report *r);

/*
 * Reads the file (at most 1 MiB). secrets: read the master password, and look at the files that are named; the
 * control program does neither, since it may run as somebody who cannot. 0, E_IO (the file cannot be read) or
 * E_INVAL; on an error *out is NULL and r->errors says why, all that was found. r must be zeroed.
 */
int conf_load(struct settings **out, const char *file, bool secrets, struct conf_report *r) MUST_USE;
/* As conf_load of a file with this text, called "text", without secrets. */
int conf_load_text(struct settings **out, struct slice text, struct conf_report *r) MUST_USE;
void conf_settings_free(struct settings **s);

/* The value as one would write it in the file, without quotes; lists with ", " between. Empty: not set. */
void conf_value_text(const struct settings *s, const struct conf_option *o, struct buf *out);

/*
 * Before `next` takes the place of `now`: calls cb for each setting that differs, and puts those that cannot change
 * in a running process back to what they are now.
 */
typedef void conf_change_cb(const struct conf_option *o, const char *was, const char *is, void *arg);
void conf_carry_over(const struct settings *now, struct settings *next, conf_change_cb *cb, void *arg);

#endif
