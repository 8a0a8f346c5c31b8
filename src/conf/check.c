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

static void check_listen(struct conf_parse *p, const struct settings *s)
{
    bool tls = given(p, "tls.certificate", s->tls_certificate);
    if (!given(p, "listen.imap", s->listen_imap) && !given(p, "listen.imaps", s->listen_imaps))
        conf_error(p, 0, "no address to listen on: set listen.imap or listen.imaps");
    if (tls != given(p, "tls.key", s->tls_key))
        conf_error(p, conf_line_of(p, tls ? "tls.certificate" : "tls.key"),
                   "tls.certificate and tls.key go together: %s is not set",
                   tls ? "tls.key" : "tls.certificate");
    if (s->listen_imaps != NULL && !tls)
        conf_error(p, conf_line_of(p, "listen.imaps"),
                   "listen.imaps needs tls.certificate and tls.key");
    if (s->listen_imap == NULL || tls)
        return;
    if (s->plaintext == PLAINTEXT_NO)
        conf_error(p, conf_line_of(p, "listen.imap"),
                   "nobody could sign in at listen.imap: STARTTLS needs tls.certificate and "
                   "tls.key, and listen.plaintext is no");
    else if (s->plaintext == PLAINTEXT_LOOPBACK)
        conf_warn(p, conf_line_of(p, "listen.imap"),
                  "without tls.certificate only loopback can sign in at listen.imap");
}

static void check_addresses_differ(struct conf_parse *p, const struct settings *s)
{
    for (size_t i = 0; s->listen_imap != NULL && s->listen_imap[i] != NULL; i++) {
        for (size_t j = 0; s->listen_imaps != NULL && s->listen_imaps[j] != NULL; j++) {
            size_t n = strlen(s->listen_imap[i]);
            bool any_port = n >= 2 && strcmp(s->listen_imap[i] + n - 2, ":0") == 0;
            if (!any_port && strcmp(s->listen_imap[i], s->listen_imaps[j]) == 0)
                conf_error(p, conf_line_of(p, "listen.imaps"),
                           "%s is both in listen.imap and in listen.imaps", s->listen_imap[i]);
        }
    }
}

/* side: "old.imap" or "new.imap" */
static void check_host(struct conf_parse *p, const char *side, const struct imap_host *h)
{
    char path[64];
    snprintf(path, sizeof(path), "%s.verify", side);
    if (h->host == NULL) {
        snprintf(path, sizeof(path), "%s.host", side);
        if (conf_line_of(p, path) == 0)
            conf_error(p, 0, "%s is not set", path);
        return;
    }
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

static void check_sign_in(struct conf_parse *p, const struct settings *s)
{
    static const char *const names[] = {"same", "master", "authzid"};
    const struct imap_host *h = &s->new_imap;
    unsigned line = conf_line_of(p, "new.imap.sign_in");
    if (h->sign_in == SIGN_IN_SAME) {
        if (h->master_user != NULL || h->master_password_file != NULL)
            conf_warn(p, conf_line_of(p, "new.imap.master_user"),
                      "the master user has no effect while new.imap.sign_in is same");
        return;
    }
    if (!given(p, "new.imap.master_user", h->master_user))
        conf_error(p, line, "new.imap.sign_in = \"%s\" needs new.imap.master_user",
                   names[h->sign_in]);
    if (!given(p, "new.imap.master_password_file", h->master_password_file))
        conf_error(p, line, "new.imap.sign_in = \"%s\" needs new.imap.master_password_file",
                   names[h->sign_in]);
}

static void check_two_hosts(struct conf_parse *p, const struct settings *s)
{
    const struct imap_host *a = &s->old_imap, *b = &s->new_imap;
    if (a->host == NULL || b->host == NULL || a->user == NULL || b->user == NULL)
        return;
    if (a->port == b->port && slice_eq_nocase(slice_str(a->host), slice_str(b->host)) &&
        strcmp(a->user, b->user) == 0)
        conf_error(p, conf_line_of(p, "new.imap.host"),
                   "old.imap and new.imap are the same place: a mailbox would be copied to itself");
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
        if (t[i].offset == offsetof(struct settings, new_imap.master_password_file))
            read_secret(p, &t[i], fd, &s->new_imap.master_password);
        close(fd);
    }
}

void conf_check(struct conf_parse *p, struct settings *s, bool secrets)
{
    check_host(p, "old.imap", &s->old_imap);
    check_host(p, "new.imap", &s->new_imap);
    check_two_hosts(p, s);
    check_sign_in(p, s);
    check_listen(p, s);
    check_addresses_differ(p, s);
    if (!secrets)
        return;
    check_files(p, s);
    if (s->run_as != NULL && getpwnam(s->run_as) == NULL)
        conf_error(p, conf_line_of(p, "user"), "user: there is no %s on this machine", s->run_as);
}
