/* Between the files of conf only. */
#ifndef WHERRY_CONF_INTERNAL_H
#define WHERRY_CONF_INTERNAL_H

#include "wherry/conf/conf.h"

/* One value in the file, in the file's order. */
struct conf_given {
    unsigned row; /* in conf_table() */
    unsigned line;
    char *text;
};

/* A file being read; owner: conf_load. */
struct conf_parse {
    const char *file; /* for messages */
    struct conf_report *report;
    struct conf_given *given;
    unsigned n_given;
    bool stopped; /* libconfuse gave up */
};

/* line 0: none. Control characters are replaced. */
void conf_error(struct conf_parse *p, unsigned line, const char *fmt, ...) PRINTF(3, 4);
void conf_warn(struct conf_parse *p, unsigned line, const char *fmt, ...) PRINTF(3, 4);

/* Text to p->given; errors go to the report. text is changed: comments become blanks. */
void conf_parse_text(struct conf_parse *p, struct buf *text);
void conf_parse_clear(struct conf_parse *p);

/* The line of the last value of a setting, 0 when it is not in the file. */
unsigned conf_line_of(const struct conf_parse *p, const char *path);

/* Sets the field (a list grows by one). E_INVAL with the reason in why. */
int conf_value_set(struct settings *s, const struct conf_option *o, const char *text,
                   struct buf *why) MUST_USE;
void conf_value_clear(struct settings *s, const struct conf_option *o);
void conf_value_copy(const struct settings *from, struct settings *to, const struct conf_option *o);

bool conf_is_list(const struct conf_option *o);

/* What concerns more than one setting, and the files that are named; reads the secrets. */
void conf_check(struct conf_parse *p, struct settings *s, bool secrets);

#endif
