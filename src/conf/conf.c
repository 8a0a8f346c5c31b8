/*
 * The door of conf: load a file, compare two sets of settings.
 *
 * All errors are gathered rather than the first: who edits the file once should see them at once.
 */
#include "config.h"
#include "conf_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_FILE = 1024 * 1024 };

static void report_line(const struct conf_parse *p, struct buf *to, unsigned line, const char *fmt,
                        va_list ap) __attribute__((format(printf, 4, 0)));

static void report_line(const struct conf_parse *p, struct buf *to, unsigned line, const char *fmt,
                        va_list ap)
{
    size_t start = to->len;
    if (line > 0)
        buf_printf(to, "%s:%u: ", p->file, line);
    else
        buf_printf(to, "%s: ", p->file);
    buf_vprintf(to, fmt, ap);
    for (size_t i = start; i < to->len; i++) {
        uint8_t *c = to->mem + to->off + i;
        if (*c < ' ' || *c == 0x7f)
            *c = '?';
    }
    buf_putc(to, '\n');
}

void conf_error(struct conf_parse *p, unsigned line, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    report_line(p, &p->report->errors, line, fmt, ap);
    va_end(ap);
    p->report->n_errors++;
}

void conf_warn(struct conf_parse *p, unsigned line, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    report_line(p, &p->report->warnings, line, fmt, ap);
    va_end(ap);
    p->report->n_warnings++;
}

void conf_report_free(struct conf_report *r)
{
    buf_free(&r->errors);
    buf_free(&r->warnings);
    r->n_errors = r->n_warnings = 0;
}

unsigned conf_line_of(const struct conf_parse *p, const char *path)
{
    unsigned n, line = 0;
    const struct conf_option *t = conf_table(&n);
    for (unsigned i = 0; i < p->n_given; i++) {
        if (strcmp(t[p->given[i].row].path, path) == 0)
            line = p->given[i].line;
    }
    return line;
}

static int read_file(struct conf_parse *p, struct buf *text)
{
    struct stat st;
    int fd = open(p->file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) != 0) {
        conf_error(p, 0, "cannot be read: %s", strerror(errno));
        if (fd >= 0)
            close(fd);
        return E_IO;
    }
    ssize_t n = -1;
    if (S_ISREG(st.st_mode) || S_ISFIFO(st.st_mode)) {
        do {
            n = read(fd, buf_reserve(text, 65536), 65536);
            buf_commit(text, n > 0 ? (size_t)n : 0);
        } while (n > 0 && text->len <= MAX_FILE);
    }
    close(fd);
    if (n != 0) {
        conf_error(p, 0, n > 0 ? "is too large" : "is not a readable file");
        return E_IO;
    }
    return 0;
}

static void apply(struct conf_parse *p, struct settings *s)
{
    unsigned n;
    const struct conf_option *t = conf_table(&n);
    unsigned *seen = mem_array(n, sizeof(*seen));
    struct buf why = {0};
    for (unsigned i = 0; i < p->n_given; i++) {
        const struct conf_given *g = &p->given[i];
        const struct conf_option *o = &t[g->row];
        buf_clear(&why);
        if (seen[g->row] != 0 && !conf_is_list(o))
            conf_error(p, g->line, "%s stands in line %u already", o->path, seen[g->row]);
        else if (conf_value_set(s, o, g->text, &why) != 0)
            conf_error(p, g->line, "%s = \"%.200s\": %s", o->path, g->text, buf_cstr(&why));
        seen[g->row] = g->line;
    }
    for (unsigned i = 0; i < n; i++) {
        if (seen[i] == 0 && t[i].def != NULL && conf_value_set(s, &t[i], t[i].def, &why) != 0)
            abort(); /* the table is wrong; each test that loads a file would see it */
    }
    buf_free(&why);
    free(seen);
}

static void complete_port(struct mail_host *h, uint16_t port, uint16_t implicit)
{
    if (h->port == 0)
        h->port = h->tls == TLS_MODE_IMPLICIT ? implicit : port;
}

/* Defaults that depend on something else. */
static void complete(struct settings *s)
{
    complete_port(&s->old_imap, 143, 993);
    complete_port(&s->new_imap, 143, 993);
    complete_port(&s->old_submission, 587, 465);
    complete_port(&s->new_submission, 587, 465);
    if (s->hostname == NULL) {
        char name[256] = "";
        if (gethostname(name, sizeof(name) - 1) != 0 || name[0] == '\0')
            memcpy(name, "localhost", sizeof("localhost"));
        s->hostname = mem_strdup(name);
    }
    if (s->spool_path == NULL && s->store_path != NULL)
        s->spool_path = mem_printf("%s/spool", s->store_path);
}

/* text is spoiled. */
static int load_text(struct settings **out, struct conf_parse *p, struct buf *text, bool secrets)
{
    struct settings *s = mem_alloc(sizeof(*s));
    conf_parse_text(p, text);
    apply(p, s);
    complete(s);
    /* After a syntax error half of the file is missing: what is absent then is not the news. */
    if (!p->stopped)
        conf_check(p, s, secrets);
    if (p->report->n_errors > 0)
        conf_settings_free(&s);
    *out = s;
    conf_parse_clear(p);
    return s == NULL ? E_INVAL : 0;
}

int conf_load(struct settings **out, const char *file, bool secrets, struct conf_report *r)
{
    struct conf_parse p = {.file = file, .report = r};
    struct buf text = {0};
    *out = NULL;
    int rc = read_file(&p, &text);
    if (rc == 0)
        rc = load_text(out, &p, &text, secrets);
    buf_free(&text);
    return rc;
}

int conf_load_text(struct settings **out, struct slice text, struct conf_report *r)
{
    struct conf_parse p = {.file = "text", .report = r};
    struct buf copy = {0};
    buf_put_slice(&copy, text);
    int rc = load_text(out, &p, &copy, false);
    buf_free(&copy);
    return rc;
}

void conf_settings_free(struct settings **s)
{
    unsigned n;
    const struct conf_option *t = conf_table(&n);
    if (*s == NULL)
        return;
    for (unsigned i = 0; i < n; i++)
        conf_value_clear(*s, &t[i]);
    secret_free(&(*s)->old_imap.master_password);
    secret_free(&(*s)->new_imap.master_password);
    secret_free(&(*s)->old_submission.master_password);
    secret_free(&(*s)->new_submission.master_password);
    secret_free(&(*s)->old_dav.admin_password);
    secret_free(&(*s)->new_dav.admin_password);
    free(*s);
    *s = NULL;
}

void conf_carry_over(const struct settings *now, struct settings *next, conf_change_cb *cb,
                     void *arg)
{
    unsigned n;
    const struct conf_option *t = conf_table(&n);
    struct buf was = {0}, is = {0};
    for (unsigned i = 0; i < n; i++) {
        buf_clear(&was);
        buf_clear(&is);
        conf_value_text(now, &t[i], &was);
        conf_value_text(next, &t[i], &is);
        if (slice_eq(buf_slice(&was), buf_slice(&is)))
            continue;
        cb(&t[i], buf_cstr(&was), buf_cstr(&is), arg);
        if (!t[i].reloadable)
            conf_value_copy(now, next, &t[i]);
    }
    buf_free(&was);
    buf_free(&is);
}
