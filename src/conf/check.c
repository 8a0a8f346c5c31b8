/*
 * What concerns more than one setting, and the files that settings name.
 *
 * The rule: a configuration with which nobody could sign in, or with which one person would become
 * two or two one, is an error; what is merely unwise is a warning.
 */
#include "config.h"
#include "conf_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Set, or at least tried: a value that was refused is not missing as well. */
static bool given(const struct conf_parse *p, const char *path, const void *value)
{
    return value != NULL || conf_line_of(p, path) > 0;
}

/* STARTTLS needs a certificate, and without TLS hardly anybody may sign in. */
static void check_clear(struct conf_parse *p, const struct settings *s, const char *path)
{
    if (s->plaintext == PLAINTEXT_NO)
        conf_error(p, conf_line_of(p, path),
                   "nobody could sign in at %s: STARTTLS needs tls.certificate and "
                   "tls.key, and listen.plaintext is no",
                   path);
    else if (s->plaintext == PLAINTEXT_LOOPBACK)
        conf_warn(p, conf_line_of(p, path),
                  "without tls.certificate only loopback can sign in at %s", path);
}

/* There is no STARTTLS in HTTP. */
static void check_clear_dav(struct conf_parse *p, const struct settings *s)
{
    unsigned line = conf_line_of(p, "listen.dav");
    if (s->plaintext == PLAINTEXT_YES)
        return;
    for (size_t i = 0; s->listen_dav[i] != NULL; i++) {
        const char *a = s->listen_dav[i];
        if (strncmp(a, "127.", 4) != 0 && strncmp(a, "[::1]", 5) != 0)
            conf_error(p, line,
                       "listen.dav: %s without tls.certificate and tls.key needs listen.plaintext = yes", a);
    }
}

static void check_listen(struct conf_parse *p, const struct settings *s)
{
    bool tls = given(p, "tls.certificate", s->tls_certificate);
    if (!given(p, "listen.imap", s->listen_imap) && !given(p, "listen.imaps", s->listen_imaps) &&
        !given(p, "listen.submission", s->listen_submission) &&
        !given(p, "listen.submissions", s->listen_submissions) &&
        !given(p, "listen.dav", s->listen_dav))
        conf_error(p, 0, "no address to listen on: set listen.imap or listen.imaps");
    if (tls != given(p, "tls.key", s->tls_key))
        conf_error(p, conf_line_of(p, tls ? "tls.certificate" : "tls.key"),
                   "tls.certificate and tls.key go together: %s is not set",
                   tls ? "tls.key" : "tls.certificate");
    if (s->listen_imaps != NULL && !tls)
        conf_error(p, conf_line_of(p, "listen.imaps"),
                   "listen.imaps needs tls.certificate and tls.key");
    if (s->listen_submissions != NULL && !tls)
        conf_error(p, conf_line_of(p, "listen.submissions"),
                   "listen.submissions needs tls.certificate and tls.key");
    if (s->listen_imap != NULL && !tls)
        check_clear(p, s, "listen.imap");
    if (s->listen_submission != NULL && !tls)
        check_clear(p, s, "listen.submission");
    if (s->listen_dav != NULL && !tls)
        check_clear_dav(p, s);
}

static void check_pair(struct conf_parse *p, const char *path_a, char *const *a, const char *path_b,
                       char *const *b)
{
    for (size_t i = 0; a != NULL && a[i] != NULL; i++) {
        for (size_t j = 0; b != NULL && b[j] != NULL; j++) {
            size_t n = strlen(a[i]);
            bool any_port = n >= 2 && strcmp(a[i] + n - 2, ":0") == 0;
            if (!any_port && strcmp(a[i], b[j]) == 0)
                conf_error(p, conf_line_of(p, path_b), "%s is both in %s and in %s", a[i], path_a,
                           path_b);
        }
    }
}

static void check_addresses_differ(struct conf_parse *p, const struct settings *s)
{
    const struct {
        const char *path;
        char *const *list;
    } all[] = {{"listen.imap", s->listen_imap},
               {"listen.imaps", s->listen_imaps},
               {"listen.submission", s->listen_submission},
               {"listen.submissions", s->listen_submissions},
               {"listen.dav", s->listen_dav}};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        for (size_t j = i + 1; j < sizeof(all) / sizeof(all[0]); j++)
            check_pair(p, all[i].path, all[i].list, all[j].path, all[j].list);
}

/* side: "old.imap", "new.submission"… */
static void check_host(struct conf_parse *p, const char *side, const struct mail_host *h,
                       bool needed)
{
    char path[64];
    if (h->host == NULL) {
        snprintf(path, sizeof(path), "%s.host", side);
        if (needed && conf_line_of(p, path) == 0)
            conf_error(p, 0, "%s is not set", path);
        return;
    }
    snprintf(path, sizeof(path), "%s.verify", side);
    bool loopback = strncmp(h->host, "127.", 4) == 0 || strcmp(h->host, "::1") == 0 ||
                    strcmp(h->host, "localhost") == 0;
    if (h->tls == TLS_MODE_NONE && !loopback) {
        snprintf(path, sizeof(path), "%s.tls", side);
        conf_warn(p, conf_line_of(p, path), "%s is none: passwords travel in the clear to %s", path,
                  h->host);
    } else if (h->tls != TLS_MODE_NONE && !h->verify && !loopback) {
        conf_warn(p, conf_line_of(p, path), "%s is no: anybody can pretend to be %s", path,
                  h->host);
    }
    if (h->tls == TLS_MODE_NONE && h->ca != NULL) {
        snprintf(path, sizeof(path), "%s.ca", side);
        conf_warn(p, conf_line_of(p, path), "%s has no effect while tls is none", path);
    }
}

/* side: "old.imap", "new.imap" or "new.submission" */
static void check_sign_in(struct conf_parse *p, const char *side, const struct mail_host *h)
{
    static const char *const names[] = {"same", "master", "authzid", "relay"};
    char mode[64], user[64], file[64];
    snprintf(mode, sizeof(mode), "%s.sign_in", side);
    snprintf(user, sizeof(user), "%s.master_user", side);
    snprintf(file, sizeof(file), "%s.master_password_file", side);
    unsigned line = conf_line_of(p, mode);
    if (h->sign_in == SIGN_IN_SAME) {
        if (h->master_user != NULL || h->master_password_file != NULL)
            conf_warn(p, conf_line_of(p, user),
                      "the master user has no effect while %s is same", mode);
        return;
    }
    if (!given(p, user, h->master_user))
        conf_error(p, line, "%s = \"%s\" needs %s", mode, names[h->sign_in], user);
    if (!given(p, file, h->master_password_file))
        conf_error(p, line, "%s = \"%s\" needs %s", mode, names[h->sign_in], file);
}

/* side: "old.dav" or "new.dav" */
static void check_dav_host(struct conf_parse *p, const char *side, const struct dav_host *h)
{
    static const char *const names[] = {"same", "admin", "header", "authorize-as"};
    char mode[64], user[64], file[64], tls[64];
    if (h->url == NULL)
        return;
    snprintf(mode, sizeof(mode), "%s.sign_in", side);
    snprintf(user, sizeof(user), "%s.admin_user", side);
    snprintf(file, sizeof(file), "%s.admin_password_file", side);
    snprintf(tls, sizeof(tls), "%s.url", side);
    bool admin = h->sign_in == DAV_SIGN_IN_ADMIN || h->sign_in == DAV_SIGN_IN_AUTHORIZE_AS;
    unsigned line = conf_line_of(p, mode);
    if (admin && !given(p, user, h->admin_user))
        conf_error(p, line, "%s = \"%s\" needs %s", mode, names[h->sign_in], user);
    if (admin && !given(p, file, h->admin_password_file))
        conf_error(p, line, "%s = \"%s\" needs %s", mode, names[h->sign_in], file);
    if (h->sign_in == DAV_SIGN_IN_SAME && (h->admin_user != NULL || h->admin_password_file != NULL))
        conf_warn(p, conf_line_of(p, user), "the administrator has no effect while %s is same", mode);
    bool local = strncmp(h->url, "http://127.", 11) == 0 || strncmp(h->url, "http://[::1]", 12) == 0 ||
                 strncmp(h->url, "http://localhost", 16) == 0;
    if (strncmp(h->url, "http://", 7) == 0 && !local)
        conf_warn(p, conf_line_of(p, tls), "%s: passwords travel in the clear to %s", tls, h->url);
}

static void check_dav(struct conf_parse *p, const struct settings *s)
{
    bool listens = given(p, "listen.dav", s->listen_dav);
    bool old_url = given(p, "old.dav.url", s->old_dav.url), new_url = given(p, "new.dav.url", s->new_dav.url);
    check_dav_host(p, "old.dav", &s->old_dav);
    check_dav_host(p, "new.dav", &s->new_dav);
    if (listens && !old_url)
        conf_error(p, 0, "old.dav.url is not set");
    if (listens && !new_url)
        conf_error(p, 0, "new.dav.url is not set");
    if (old_url != new_url && !listens)
        conf_error(p, 0, "old.dav.url and new.dav.url go together");
    if (s->old_dav.url != NULL && s->new_dav.url != NULL && strcmp(s->old_dav.url, s->new_dav.url) == 0)
        conf_error(p, conf_line_of(p, "new.dav.url"),
                   "old.dav and new.dav are the same place: a calendar would be copied to itself");
    if (listens && s->auth_by == AUTH_BY_IMAP && !given(p, "old.imap.host", s->old_imap.host) &&
        !given(p, "old.submission.host", s->old_submission.host))
        conf_error(p, conf_line_of(p, "listen.dav"),
                   "auth.by is imap, but old.imap.host is not set: set auth.by = dav");
}

/* IMAP needs both hosts; submission needs the new host's, and an old host that checks passwords. */
static void check_hosts(struct conf_parse *p, const struct settings *s)
{
    bool submission = s->listen_submission != NULL || s->listen_submissions != NULL;
    bool imap = s->listen_imap != NULL || s->listen_imaps != NULL ||
                (!submission && s->listen_dav == NULL);
    bool by_imap = given(p, "old.imap.host", s->old_imap.host);
    check_host(p, "old.imap", &s->old_imap, imap);
    check_host(p, "new.imap", &s->new_imap, imap);
    check_host(p, "old.submission", &s->old_submission, submission && !imap && !by_imap);
    check_host(p, "new.submission", &s->new_submission, submission);
    check_sign_in(p, "old.imap", &s->old_imap);
    check_sign_in(p, "new.imap", &s->new_imap);
    if (s->old_imap.sign_in != SIGN_IN_SAME && s->new_imap.sign_in == SIGN_IN_SAME)
        conf_warn(p, conf_line_of(p, "old.imap.sign_in"),
                  "new.imap.sign_in is same, so mailboxes move only while their person is signed in");
    check_sign_in(p, "new.submission", &s->new_submission);
}

static void check_two_hosts(struct conf_parse *p, const struct settings *s)
{
    const struct mail_host *a = &s->old_imap, *b = &s->new_imap;
    if (a->host == NULL || b->host == NULL || a->user == NULL || b->user == NULL)
        return;
    if (a->port == b->port && slice_eq_nocase(slice_str(a->host), slice_str(b->host)) &&
        strcmp(a->user, b->user) == 0)
        conf_error(p, conf_line_of(p, "new.imap.host"),
                   "old.imap and new.imap are the same place: a mailbox would be copied to itself");
}

static bool keeps_domain(const char *template)
{
    return strstr(template, "%u") != NULL || strstr(template, "%d") != NULL;
}

/* Which is right where there is one domain, and only there. */
static void check_domain_dropped(struct conf_parse *p, const struct settings *s)
{
    const struct mail_host *a = &s->old_imap, *b = &s->new_imap;
    if (a->user != NULL && b->user != NULL && keeps_domain(a->user) && !keeps_domain(b->user))
        conf_warn(p, conf_line_of(p, "new.imap.user"),
                  "new.imap.user drops the domain: people of the same name in two domains would be one account");
}

/* The least that keeps every mover's connections from falling silent for too long. */
enum { LEAST_RATE = 64 * 1024 };

static void check_rate(struct conf_parse *p, const struct settings *s)
{
    if (s->bytes_per_second > 0 && s->bytes_per_second < LEAST_RATE)
        conf_error(p, conf_line_of(p, "copy.bytes_per_second"),
                   "copy.bytes_per_second: 0 for no limit, or at least 64K");
}

/* Opens it, to see that it is there and readable. -1 after an error was reported. */
static int open_named(struct conf_parse *p, const struct conf_option *o, const char *file)
{
    struct stat st;
    unsigned line = conf_line_of(p, o->path);
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) != 0) {
        conf_error(p, line, "%s: %s: %s", o->path, file, strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    if (!S_ISREG(st.st_mode)) {
        conf_error(p, line, "%s: %s: not a file", o->path, file);
        close(fd);
        return -1;
    }
    if (o->type == CONF_SECRET && (st.st_mode & (S_IRWXO | S_IWGRP)) != 0)
        conf_warn(p, line, "%s: %s is open to others (mode %03o); chmod 600 or 640", o->path, file,
                  (unsigned)(st.st_mode & 0777));
    return fd;
}

/* The first line, without its end. */
static void read_secret(struct conf_parse *p, const struct conf_option *o, int fd,
                        struct secret *to)
{
    char text[1024];
    ssize_t n = read(fd, text, sizeof(text));
    size_t len = 0;
    while (n > 0 && len < (size_t)n && text[len] != '\n' && text[len] != '\r' && text[len] != '\0')
        len++;
    if (n < 0)
        conf_error(p, conf_line_of(p, o->path), "%s: %s", o->path, strerror(errno));
    else if (len == 0)
        conf_error(p, conf_line_of(p, o->path), "%s: the first line of the file is empty", o->path);
    else if (len == sizeof(text))
        conf_error(p, conf_line_of(p, o->path), "%s: the first line is too long", o->path);
    else
        secret_set(to, slice_make(text, len));
    explicit_bzero(text, sizeof(text));
}

static void check_files(struct conf_parse *p, struct settings *s)
{
    unsigned n;
    const struct conf_option *t = conf_table(&n);
    for (unsigned i = 0; i < n; i++) {
        if (t[i].type != CONF_FILE && t[i].type != CONF_SECRET)
            continue;
        struct buf name = {0};
        conf_value_text(s, &t[i], &name);
        int fd = name.len == 0 ? -1 : open_named(p, &t[i], buf_cstr(&name));
        buf_free(&name);
        if (fd < 0)
            continue;
        if (t[i].offset == offsetof(struct settings, old_imap.master_password_file))
            read_secret(p, &t[i], fd, &s->old_imap.master_password);
        if (t[i].offset == offsetof(struct settings, new_imap.master_password_file))
            read_secret(p, &t[i], fd, &s->new_imap.master_password);
        if (t[i].offset == offsetof(struct settings, new_submission.master_password_file))
            read_secret(p, &t[i], fd, &s->new_submission.master_password);
        if (t[i].offset == offsetof(struct settings, old_dav.admin_password_file))
            read_secret(p, &t[i], fd, &s->old_dav.admin_password);
        if (t[i].offset == offsetof(struct settings, new_dav.admin_password_file))
            read_secret(p, &t[i], fd, &s->new_dav.admin_password);
        close(fd);
    }
}

void conf_check(struct conf_parse *p, struct settings *s, bool secrets)
{
    check_hosts(p, s);
    check_dav(p, s);
    check_two_hosts(p, s);
    check_listen(p, s);
    check_addresses_differ(p, s);
    check_domain_dropped(p, s);
    check_rate(p, s);
    if (!secrets)
        return;
    check_files(p, s);
    if (s->run_as != NULL && getpwnam(s->run_as) == NULL)
        conf_error(p, conf_line_of(p, "user"), "user: there is no %s on this machine", s->run_as);
}
