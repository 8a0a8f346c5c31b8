/*
 * wherryctl: looks into the store while the daemon runs. wherryctl(1) describes it.
 *
 * It reads the store itself rather than ask the daemon: so it works when the daemon is down, which
 * is when one most wants to know how far things are. Only verify talks to anybody: to both hosts, by src/verify.
 */
#include "config.h"
#include "ctl.h"
#include "wherry/conf/conf.h"
#include "wherry/verify/verify.h"
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const char usage[] = "usage: wherryctl [-c FILE] [-j] status\n"
                            "       wherryctl [-c FILE] [-j] account NAME\n"
                            "       wherryctl [-c FILE] [-j] left-behind [NAME]\n"
                            "       wherryctl [-c FILE] [-j] verify NAME|--all [--digest]\n"
                            "  -c, --config FILE   the daemon's configuration (default " SYSCONFDIR
                            "/wherry/wherryd.conf)\n"
                            "  -j, --json          for machines\n"
                            "      --all           verify: all accounts\n"
                            "      --digest        verify: fetch and compare every message, too\n"
                            "  -h, --help          this text\n"
                            "  -V, --version       the version\n";

struct request {
    const char *file;
    bool json;
    bool all, digest; /* of verify */
    enum { SHOW_STATUS, SHOW_ACCOUNT, SHOW_LEFT, VERIFY } what;
    const char *name; /* NULL: none given */
};

static unsigned terminal_width(void)
{
    struct winsize size;
    uint32_t columns;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40)
        return size.ws_col;
    const char *env = getenv("COLUMNS");
    if (env != NULL && slice_u32(slice_str(env), &columns) == 0 && columns >= 40 && columns <= 1000)
        return columns;
    return 80;
}

/* *same: nothing differs, and all was compared. */
static int verify(const struct request *r, const struct ctl_output *o, const struct ctl_model *m, struct store *s,
                  size_t index, bool *same, struct err *e)
{
    struct secret password = {0};
    struct ctl_verify how = {.digest = r->digest};
    if (m->settings->old_imap.host == NULL)
        return err_set(e, E_INVAL, SCOPE_HOST, "no IMAP hosts are configured");
    if (verify_needs_password(m->settings)) {
        if (r->all)
            return err_set(e, E_INVAL, SCOPE_HOST,
                           "all accounts: only where a master user opens both hosts (old.imap.sign_in, new.imap.sign_in)");
        int rc = ctl_read_password(m->accounts[index].record.name, &password, e);
        if (rc != 0)
            return rc;
        how.password = &password;
    }
    *same = ctl_verify(o, m, s, index, &how);
    secret_free(&password);
    return 0;
}

static int show(const struct request *r, struct ctl_model *m, struct store *s, struct buf *out, bool *same,
                struct err *e)
{
    struct ctl_output o = {.out = out, .json = r->json, .width = terminal_width()};
    size_t index = SIZE_MAX;
    if (r->name != NULL && ctl_model_find(m, r->name, &index) != 0)
        return err_set(e, E_NOTFOUND, SCOPE_ACCOUNT, "no account %.100s is known", r->name);
    switch (r->what) {
    case SHOW_STATUS:
        ctl_show_status(&o, m);
        return 0;
    case SHOW_ACCOUNT:
        return ctl_show_account(&o, m, s, index, e);
    case VERIFY:
        return verify(r, &o, m, s, index, same, e);
    default:
        return ctl_show_left(&o, m, s, index, e);
    }
}

static int complain(const char *text)
{
    struct buf line = {0};
    text_put(&line, slice_str(text), 0, 0);
    fprintf(stderr, "wherryctl: %s\n", buf_cstr(&line));
    buf_free(&line);
    return 1;
}

/* Returns the exit code. */
static int run(const struct request *r, const struct settings *settings)
{
    struct store *s;
    struct ctl_model m = {0};
    struct buf out = {0};
    struct err e = {0};
    bool same = true;
    int rc = store_open(&s, NULL, settings->store_path, true, &e);
    if (rc == 0)
        rc = ctl_model_read(&m, s, settings, &e);
    if (rc == 0)
        rc = show(r, &m, s, &out, &same, &e);
    int code = rc == 0 && m.damaged == 0 && same ? 0 : 1;
    if (fwrite(buf_cstr(&out), 1, out.len, stdout) != out.len || fflush(stdout) != 0)
        code = 1;
    if (rc != 0)
        code = complain(e.text);
    buf_free(&out);
    ctl_model_free(&m);
    store_close(&s);
    return code;
}

static int run_with_config(const struct request *r)
{
    struct settings *settings;
    struct conf_report report = {0};
    int code = 1;
    if (conf_load(&settings, r->file, r->what == VERIFY, &report) == 0)
        code = run(r, settings);
    else
        fputs(buf_cstr(&report.errors), stderr);
    conf_report_free(&report);
    conf_settings_free(&settings);
    return code;
}

static int bad_usage(const char *why)
{
    if (why != NULL)
        fprintf(stderr, "wherryctl: %s\n", why);
    fputs(usage, stderr);
    return 2;
}

/* The command and its argument. 0, or the exit code. */
static int parse_command(struct request *r, int n, char **args)
{
    if (n == 0)
        return bad_usage("no command given");
    if (strcmp(args[0], "status") == 0)
        r->what = SHOW_STATUS;
    else if (strcmp(args[0], "account") == 0)
        r->what = SHOW_ACCOUNT;
    else if (strcmp(args[0], "left-behind") == 0)
        r->what = SHOW_LEFT;
    else if (strcmp(args[0], "verify") == 0)
        r->what = VERIFY;
    else
        return bad_usage("no such command");
    if (n > (r->what == SHOW_STATUS ? 1 : 2))
        return bad_usage("too many arguments");
    if (n < 2 && r->what == SHOW_ACCOUNT)
        return bad_usage("account needs a name");
    if (r->what == VERIFY && (n == 2) == r->all)
        return bad_usage("verify needs a name, or --all");
    if (r->what != VERIFY && (r->all || r->digest))
        return bad_usage("--all and --digest are for verify");
    r->name = n > 1 ? args[1] : NULL;
    return 0;
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {{"config", required_argument, NULL, 'c'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"all", no_argument, NULL, 'a'},
                                          {"digest", no_argument, NULL, 'd'},
                                          {"help", no_argument, NULL, 'h'},
                                          {"version", no_argument, NULL, 'V'},
                                          {NULL, 0, NULL, 0}};
    struct request r = {.file = SYSCONFDIR "/wherry/wherryd.conf"};
    int c;
    /* Names are UTF-8 whatever the user's locale is. */
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    while ((c = getopt_long(argc, argv, "c:jhV", longs, NULL)) != -1) {
        switch (c) {
        case 'c':
            r.file = optarg;
            break;
        case 'j':
            r.json = true;
            break;
        case 'a':
            r.all = true;
            break;
        case 'd':
            r.digest = true;
            break;
        case 'h':
            fputs(usage, stdout);
            return 0;
        case 'V':
            puts("wherryctl " PACKAGE_VERSION);
            return 0;
        default:
            return bad_usage(NULL);
        }
    }
    int code = parse_command(&r, argc - optind, argv + optind);
    return code != 0 ? code : run_with_config(&r);
}
