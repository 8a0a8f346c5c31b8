/* The configuration: what is taken, each kind of error with its line, what a reload carries over.
 */
#include "config.h"
#include "unit.h"
#include "wherry/conf/conf.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A folder of its own for the files of a test. */
struct place {
    char dir[64], conf[96], secret[96];
};

static void write_file(const char *path, const char *text, size_t n, mode_t mode)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static int make_place(void **state)
{
    struct place *p = mem_alloc(sizeof(*p));
    snprintf(p->dir, sizeof(p->dir), "/tmp/wherry-conf-XXXXXX");
    if (mkdtemp(p->dir) == NULL)
        return -1;
    snprintf(p->conf, sizeof(p->conf), "%s/wherryd.conf", p->dir);
    snprintf(p->secret, sizeof(p->secret), "%s/master", p->dir);
    write_file(p->secret, "open sesame\nmore\n", 17, 0600);
    *state = p;
    return 0;
}

static int drop_place(void **state)
{
    struct place *p = *state;
    unlink(p->conf);
    unlink(p->secret);
    rmdir(p->dir);
    free(p);
    return 0;
}

static int load(const struct place *p, const char *text, struct settings **s, struct conf_report *r)
{
    write_file(p->conf, text, strlen(text), 0644);
    *r = (struct conf_report){{0}, {0}, 0, 0};
    return conf_load(s, p->conf, true, r);
}

#define HOSTS "old { imap { host = \"10.0.0.1\" } }\nnew { imap { host = \"10.0.0.2\" } }\n"
#define LISTEN "listen { imap = {\"127.0.0.1:143\"} plaintext = yes }\n"
#define BASE HOSTS LISTEN /* three lines */

static void defaults(void **state)
{
    struct settings *s;
    struct conf_report r;
    int rc = load(*state, BASE, &s, &r);
    assert_string_equal(buf_cstr(&r.errors), "");
    assert_int_equal(rc, 0);
    assert_string_equal(buf_cstr(&r.warnings), "");
    assert_int_equal(s->old_imap.port, 993);
    assert_int_equal(s->old_imap.tls, TLS_MODE_IMPLICIT);
    assert_true(s->old_imap.verify);
    assert_string_equal(s->new_imap.user, "%u");
    assert_int_equal(s->new_imap.sign_in, SIGN_IN_SAME);
    assert_string_equal(s->new_imap.master_separator, "*");
    assert_true(s->fold_case);
    assert_string_equal(s->store_path, "/var/lib/wherry");
    assert_string_equal(s->spool_path, "/var/lib/wherry/spool");
    assert_int_equal(s->message_bytes, 256u << 20);
    assert_int_equal(s->progress_seconds, 5);
    assert_int_equal(s->grace_seconds, 7 * 86400);
    assert_int_equal(s->log_level, LOG_INFO);
    assert_null(s->default_domain);
    assert_true(strlen(s->hostname) > 0);
    conf_settings_free(&s);
    assert_null(s);
    conf_report_free(&r);
}

static void all_sections(void **state)
{
    const struct place *p = *state;
    struct settings *s;
    struct conf_report r;
    char text[2000];
    snprintf(
        text, sizeof(text),
        "# a comment with \"quotes\" and { braces\n"
        "default_domain = example.org // and this\n"
        "listen { imap = {\"0.0.0.0:143\", \"[::]:143\"}  imaps = {\"0.0.0.0:993\"} }\n"
        "tls    { certificate = \"%s\"  key = \"%s\" }\n"
        "old    { imap { host = \"10.0.0.1\" port = 993 tls = \"implicit\" ca = \"%s\"\n"
        "                user = \"%%u\" } }\n"
        "new    { imap { host = \"10.0.0.2\" port = 143 tls = \"starttls\" sign_in = \"master\"\n"
        "  master_user = \"wherry\" master_password_file = \"%s\" master_separator = \"#\" } }\n"
        "/* over\n lines */\n"
        "store  { path = \"/var/lib/wherry2\" }\n"
        "log    { format = \"json\"  level = \"debug\" }\n"
        "limits { message_bytes = 1G line_bytes = 4096 }\n"
        "limits { max_errors = 7 }\n"
        "copy   { special_use = {\"sent=Gesendete Objekte\", \"NONE=Entw\xc3\xbcrfe\"} }\n"
        "copy   { grace = \"36h\" }\n",
        p->secret, p->secret, p->secret, p->secret);
    int rc = load(p, text, &s, &r);
    assert_string_equal(buf_cstr(&r.errors), "");
    assert_int_equal(rc, 0);
    assert_string_equal(s->default_domain, "example.org");
    assert_string_equal(s->listen_imap[0], "0.0.0.0:143");
    assert_string_equal(s->listen_imap[1], "[::]:143");
    assert_null(s->listen_imap[2]);
    assert_string_equal(s->listen_imaps[0], "0.0.0.0:993");
    assert_string_equal(s->special_use[0], "sent=Gesendete Objekte");
    assert_string_equal(s->special_use[1], "NONE=Entw\xc3\xbcrfe");
    assert_null(s->special_use[2]);
    assert_int_equal(s->new_imap.tls, TLS_MODE_STARTTLS);
    assert_int_equal(s->new_imap.port, 143);
    assert_int_equal(s->new_imap.sign_in, SIGN_IN_MASTER);
    assert_string_equal(s->new_imap.master_password.p, "open sesame");
    assert_string_equal(s->new_imap.master_separator, "#");
    assert_string_equal(s->spool_path, "/var/lib/wherry2/spool");
    assert_int_equal(s->log_format, LOG_JSON);
    assert_int_equal(s->message_bytes, 1u << 30);
    assert_int_equal(s->line_bytes, 4096);
    assert_int_equal(s->max_errors, 7);
    assert_int_equal(s->grace_seconds, 36 * 3600);
    conf_settings_free(&s);
    conf_report_free(&r);
}

static void dav_alone(void **state)
{
    const struct place *p = *state;
    struct settings *s;
    struct conf_report r;
    char text[1000];
    snprintf(text, sizeof(text),
             "listen { dav = {\"127.0.0.1:8080\"} }\n"
             "old { dav { url = \"https://[::1]:8443/dav/\" principal = \"/dav/%%u/\" } }\n"
             "new { dav { url = \"http://127.0.0.2/\" sign_in = authorize-as admin_user = cyrus\n"
             "  admin_password_file = \"%s\" scheduling = scheduling-enabled } }\n"
             "auth { by = dav }\n",
             p->secret);
    int rc = load(p, text, &s, &r);
    assert_string_equal(buf_cstr(&r.errors), "");
    assert_int_equal(rc, 0);
    assert_string_equal(s->listen_dav[0], "127.0.0.1:8080");
    assert_string_equal(s->old_dav.url, "https://[::1]:8443/dav/");
    assert_string_equal(s->old_dav.principal, "/dav/%u/");
    assert_int_equal(s->new_dav.sign_in, DAV_SIGN_IN_AUTHORIZE_AS);
    assert_string_equal(s->new_dav.admin_password.p, "open sesame");
    assert_int_equal(s->new_dav.scheduling, DAV_SCHEDULING_ENABLED);
    assert_int_equal(s->auth_by, AUTH_BY_DAV);
    assert_int_equal(s->dav_wait_seconds, 5);
    conf_settings_free(&s);
    conf_report_free(&r);
}

/* What is written after FILE, of the first error; line 0: no line. */
struct wrong {
    const char *text;
    unsigned line;
    const char *reason;
};

static const struct wrong wrongs[] = {
    {BASE "\n\nnonsense = 1\n", 6, "no such option 'nonsense'"},
    {BASE "# c\n# c\n/* c\n c */ nonsense = 1\n", 7, "no such option 'nonsense'"},
    {BASE "log { levl = \"info\" }\n", 4, "no such option 'levl'"},
    {BASE "log { level = \"loud\" }\n", 4,
     "log.level = \"loud\": must be one of debug, info, warn, error"},
    {BASE "log {\n level = info\n", 4, "the brace that is opened here is not closed"},
    {BASE "hostname = \"abc\n\n", 4, "the string that begins here does not end"},
    {BASE "/* abc\n\n", 4, "the comment that begins here does not end"},
    {BASE "}\n", 4, "this closing brace closes nothing"},
    {BASE "a{b{c{d{e{f{g{h{i{", 4, "too many braces inside one another"},
    {BASE "user\n", 5, "premature end of file"},
    {BASE "old = 5\n", 4, "missing opening brace for section 'old'"},
    {BASE "\x01\n", 4, "control character in the file"},
    {BASE "fold_case = maybe\n", 4, "fold_case = \"maybe\": must be yes or no"},
    {BASE "limits {\n max_errors = 0 }\n", 5,
     "limits.max_errors = \"0\": must be between 1 and 1000"},
    {BASE "limits { max_errors = 1001 }\n", 4,
     "limits.max_errors = \"1001\": must be between 1 and 1000"},
    {BASE "limits { max_errors = -1 }\n", 4, "limits.max_errors = \"-1\": must be a whole number"},
    {BASE "copy { grace = \"8x\" }\n", 4, "copy.grace = \"8x\": must be a number of seconds, or one with s, m, h, d or w behind it"},
    {BASE "old { dav { url = \"ftp://a/\" } }\n", 4, "old.dav.url = \"ftp://a/\": must begin with https:// or http://"},
    {BASE "old { dav { url = \"https://a\" } }\n", 4,
     "old.dav.url = \"https://a\": must end in a path, at least /, without ? and #"},
    {BASE "old { dav { url = \"https://u:p@a/\" } }\n", 4,
     "old.dav.url = \"https://u:p@a/\": must have a host, perhaps a port, and a path, as in https://dav.example.org/"},
    {BASE "old { dav { url = \"https://a/\" } }\nnew { dav { url = \"https://a/\" } }\n", 5,
     "old.dav and new.dav are the same place: a calendar would be copied to itself"},
    {BASE "old { dav { url = \"https://a/\" } }\nnew { dav { url = \"https://b/\" } }\n"
     "listen { dav = {\"127.0.0.1:8080\", \"10.0.0.1:8080\"} plaintext = no }\n", 6,
     "listen.plaintext stands in line 3 already"},
    {BASE "new { dav { calendars = \"x%%u\" } }\n", 4, "new.dav.calendars = \"x%%u\": must begin with /"},
    {BASE "copy { grace = d }\n", 4, "copy.grace = \"d\": must be a number of seconds, or one with s, m, h, d or w behind it"},
    {BASE "copy { grace = 53w }\n", 4, "copy.grace = \"53w\": must be between 0 and 31536000 seconds"},
    {BASE "copy { grace = 99999999999999999999d }\n", 4, "copy.grace = \"99999999999999999999d\": must be a number of seconds, or one with s, m, h, d or w behind it"},
    {BASE "limits { max_errors = 1K }\n", 4, "limits.max_errors = \"1K\": must be a whole number"},
    {BASE "limits { line_bytes = K }\n", 4,
     "limits.line_bytes = \"K\": must be a number of bytes (K, M or G may follow)"},
    {BASE "limits { message_bytes = 4G }\n", 4,
     "limits.message_bytes = \"4G\": must be between 1024 and 4294967295"},
    {BASE "limits { message_bytes = 18446744073709551615G }\n", 4,
     "limits.message_bytes = \"18446744073709551615G\": must be between 1024 and 4294967295"},
    {BASE "limits { idle_seconds = 60 }\n", 4,
     "limits.idle_seconds = \"60\": must be between 1800 and 86400"},
    {BASE "user = \"\"\n", 4, "user = \"\": must not be empty; leave the line out instead"},
    {BASE "user = \"no-such-user-here\"\n", 4,
     "user: there is no no-such-user-here on this machine"},
    {BASE "user = \"a\"\nuser = \"b\"\n", 5, "user stands in line 4 already"},
    {BASE "store { path = \"var\" }\n", 4, "store.path = \"var\": must be an absolute path"},
    {BASE "default_domain = \"a b\"\n", 4,
     "default_domain = \"a b\": must be a domain such as example.org"},
    {"old { imap {\nhost = \"a:1\" } }\nnew { imap { host = \"b\" } }\n" LISTEN, 2,
     "old.imap.host = \"a:1\": must be a host name or an address; the port is a setting of its "
     "own"},
    {"old { imap { host = \"a b\" } }\nnew { imap { host = \"b\" } }\n" LISTEN, 1,
     "old.imap.host = \"a b\": must be a host name or an address"},
    {HOSTS "old { imap { port = 0 } }\n" LISTEN, 3,
     "old.imap.port = \"0\": must be between 1 and 65535"},
    {HOSTS "old { imap { user = \"x\" } }\n" LISTEN, 3,
     "old.imap.user = \"x\": needs %u or %n, else all people would be one"},
    {HOSTS "old { imap { user = \"%u%x\" } }\n" LISTEN, 3,
     "old.imap.user = \"%u%x\": only %u, %n, %d and %% may stand in it"},
    {HOSTS "old { imap { user = \"%u%\" } }\n" LISTEN, 3,
     "old.imap.user = \"%u%\": only %u, %n, %d and %% may stand in it"},
    {HOSTS "listen {\n imap = {\"127.0.0.1\"} plaintext = yes }\n", 4,
     "listen.imap = \"127.0.0.1\": must be \"address:port\", as in \"0.0.0.0:143\" or "
     "\"[::]:143\""},
    {HOSTS "listen { imap = {\"localhost:1\"} }\n", 3,
     "listen.imap = \"localhost:1\": is not a numeric address (IPv6 stands in brackets)"},
    {HOSTS "listen { imap = {\"::1:1\"} }\n", 3,
     "listen.imap = \"::1:1\": is not a numeric address (IPv6 stands in brackets)"},
    {HOSTS "listen { imap = {\"1.1.1.1:70000\"} }\n", 3,
     "listen.imap = \"1.1.1.1:70000\": must be \"address:port\", as in \"0.0.0.0:143\" or "
     "\"[::]:143\""},
    {HOSTS "listen { imap = {\"[::1:1\"} }\n", 3,
     "listen.imap = \"[::1:1\": must be \"address:port\", as in \"0.0.0.0:143\" or \"[::]:143\""},
    {HOSTS "listen { imap = {\"1.1.1.1:1\",\n\"1.1.1.1:1\"} }\n", 4,
     "listen.imap = \"1.1.1.1:1\": stands there twice"},
    {BASE "copy { special_use = {\"sent\"} }\n", 4,
     "copy.special_use = \"sent\": must be \"use=mailbox name\", where use is archive, drafts, junk, sent, trash or "
     "none"},
    {BASE "copy { special_use = {\"all=x\"} }\n", 4,
     "copy.special_use = \"all=x\": must be \"use=mailbox name\", where use is archive, drafts, junk, sent, trash or "
     "none"},
    {BASE "copy { special_use = {\"junk=\"} }\n", 4,
     "copy.special_use = \"junk=\": must be \"use=mailbox name\", where use is archive, drafts, junk, sent, trash or "
     "none"},
    {BASE "copy { special_use = {\"junk=x\", \"junk=x\"} }\n", 4,
     "copy.special_use = \"junk=x\": stands there twice"},
    {HOSTS, 0, "no address to listen on: set listen.imap or listen.imaps"},
    {"", 0, "old.imap.host is not set"},
    {"old { imap { host = \"a\" } }\n" LISTEN, 0, "new.imap.host is not set"},
    {HOSTS "listen { imaps = {\"127.0.0.1:993\"} }\n", 3,
     "listen.imaps needs tls.certificate and tls.key"},
    {HOSTS "listen { imap = {\"127.0.0.1:143\"} }\n", 3,
     "nobody could sign in at listen.imap: STARTTLS needs tls.certificate and tls.key, and "
     "listen.plaintext is no"},
    {BASE "tls { certificate = \"/etc/hosts\" }\n", 4,
     "tls.certificate and tls.key go together: tls.key is not set"},
    {BASE "tls {\n certificate = \"/nonexistent/c\"\n key = \"/etc/hosts\" }\n", 5,
     "tls.certificate: /nonexistent/c: No such file or directory"},
    {BASE "old { imap { ca = \"/tmp\" } }\n", 4, "old.imap.ca: /tmp: not a file"},
    {BASE "copy { bytes_per_second = 65535 }\n", 4,
     "copy.bytes_per_second: 0 for no limit, or at least 64K"},
    {BASE "old { imap { sign_in = \"master\" } }\n", 4,
     "old.imap.sign_in = \"master\" needs old.imap.master_user"},
    {BASE "new { imap { sign_in = \"master\" } }\n", 4,
     "new.imap.sign_in = \"master\" needs new.imap.master_user"},
    {BASE "new { imap { sign_in = authzid master_user = x } }\n", 4,
     "new.imap.sign_in = \"authzid\" needs new.imap.master_password_file"},
    {BASE "new { imap { sign_in = master master_user = x\n"
          "master_password_file = \"/nonexistent/m\" } }\n",
     5, "new.imap.master_password_file: /nonexistent/m: No such file or directory"},
    {BASE "new { imap { sign_in = master master_user = x\n"
          "master_password_file = \"/dev/null\" } }\n",
     5, "new.imap.master_password_file: /dev/null: not a file"},
    {LISTEN "old { imap { host = \"a\" } }\nnew { imap { host = \"A\" } }\n", 3,
     "old.imap and new.imap are the same place: a mailbox would be copied to itself"},
    {BASE "listen { submission = {\"127.0.0.1:587\"} }\n", 0, "new.submission.host is not set"},
    {"listen { submission = {\"127.0.0.1:587\"} plaintext = yes }\n"
     "new { submission { host = a } }\n",
     0, "old.submission.host is not set"},
    {BASE "listen { submissions = {\"127.0.0.1:465\"} }\nnew { submission { host = b } }\n", 4,
     "listen.submissions needs tls.certificate and tls.key"},
    {HOSTS "listen { imap = {\"127.0.0.1:1\"} submission = {\"127.0.0.1:1\"} plaintext = yes }\n"
           "new { submission { host = b } }\n",
     3, "127.0.0.1:1 is both in listen.imap and in listen.submission"},
    {HOSTS "listen { submission = {\"127.0.0.1:587\"} }\nnew { submission { host = b } }\n", 3,
     "nobody could sign in at listen.submission: STARTTLS needs tls.certificate and tls.key, and "
     "listen.plaintext is no"},
    {BASE "new { submission { host = b sign_in = relay } }\n", 4,
     "new.submission.sign_in = \"relay\" needs new.submission.master_user"},
    {BASE "new { imap { sign_in = relay } }\n", 4,
     "new.imap.sign_in = \"relay\": must be one of same, master, authzid"},
};

/* No IMAP at all, or IMAP only to check passwords. */
static void submission_alone(void **state)
{
    const struct place *p = *state;
    struct settings *s;
    struct conf_report r;
    static const char *const texts[] = {
        "listen { submission = {\"127.0.0.1:587\"} plaintext = yes }\n"
        "old { submission { host = a } } new { submission { host = b tls = starttls } }\n",
        "listen { submission = {\"127.0.0.1:587\"} plaintext = yes }\n"
        "old { imap { host = a } } new { submission { host = b tls = starttls } }\n"};
    for (size_t i = 0; i < 2; i++) {
        int rc = load(p, texts[i], &s, &r);
        assert_string_equal(buf_cstr(&r.errors), "");
        assert_int_equal(rc, 0);
        assert_int_equal(s->new_submission.port, 587);
        assert_int_equal(s->old_submission.port, 465);
        assert_int_equal(s->submission_idle_seconds, 300);
        conf_settings_free(&s);
        conf_report_free(&r);
    }
}

static void each_error(void **state)
{
    const struct place *p = *state;
    for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
        const struct wrong *w = &wrongs[i];
        struct settings *s;
        struct conf_report r;
        struct buf want = {0};
        int rc = load(p, w->text, &s, &r);
        if (w->line > 0)
            buf_printf(&want, "%s:%u: %s\n", p->conf, w->line, w->reason);
        else
            buf_printf(&want, "%s: %s\n", p->conf, w->reason);
        const char *got = buf_cstr(&r.errors);
        if (strncmp(got, buf_cstr(&want), want.len) != 0)
            fail_msg("case %zu\nwanted %sgot    %s", i, buf_cstr(&want), got);
        assert_int_equal(rc, E_INVAL);
        assert_null(s);
        buf_free(&want);
        conf_report_free(&r);
    }
}

static void all_errors_at_once(void **state)
{
    struct settings *s;
    struct conf_report r;
    assert_int_equal(load(*state, BASE "fold_case = x\nuser = \"\"\nlog { level = y }\n", &s, &r),
                     E_INVAL);
    assert_int_equal(r.n_errors, 3);
    conf_report_free(&r);
}

static void binary_and_absent(void **state)
{
    const struct place *p = *state;
    struct settings *s;
    struct conf_report r = {{0}, {0}, 0, 0};
    write_file(p->conf, "a\0b", 3, 0600);
    assert_int_equal(conf_load(&s, p->conf, true, &r), E_INVAL);
    assert_non_null(strstr(buf_cstr(&r.errors), ": is not a text file\n"));
    conf_report_free(&r);
    assert_int_equal(conf_load(&s, "/nonexistent/w.conf", true, &r), E_IO);
    assert_string_equal(buf_cstr(&r.errors),
                        "/nonexistent/w.conf: cannot be read: No such file or directory\n");
    conf_report_free(&r);
    assert_int_equal(conf_load(&s, "/tmp", true, &r), E_IO);
    assert_string_equal(buf_cstr(&r.errors), "/tmp: is not a readable file\n");
    conf_report_free(&r);
}

static void secrets(void **state)
{
    const struct place *p = *state;
    struct settings *s;
    struct conf_report r;
    char text[600], want[300];
    snprintf(text, sizeof(text),
             BASE
             "new { imap { sign_in = master master_user = w\n master_password_file = \"%s\" } }\n",
             p->secret);
    assert_int_equal(chmod(p->secret, 0644), 0);
    assert_int_equal(load(p, text, &s, &r), 0);
    snprintf(
        want, sizeof(want),
        "%s:5: new.imap.master_password_file: %s is open to others (mode 644); chmod 600 or 640\n",
        p->conf, p->secret);
    assert_string_equal(buf_cstr(&r.warnings), want);
    conf_settings_free(&s);
    conf_report_free(&r);

    write_file(p->secret, "\nx\n", 3, 0600);
    assert_int_equal(load(p, text, &s, &r), E_INVAL);
    assert_non_null(strstr(buf_cstr(&r.errors), "the first line of the file is empty"));
    conf_report_free(&r);
    /* The control program does not look at the files. */
    unlink(p->secret);
    assert_int_equal(conf_load(&s, p->conf, false, &r), 0);
    assert_null(s->new_imap.master_password.p);
    conf_settings_free(&s);
    conf_report_free(&r);
    write_file(p->secret, "no newline", 10, 0640);
    assert_int_equal(load(p, text, &s, &r), 0);
    assert_int_equal(r.n_warnings, 0);
    assert_string_equal(s->new_imap.master_password.p, "no newline");
    conf_settings_free(&s);
    conf_report_free(&r);
}

static void warnings(void **state)
{
    struct settings *s;
    struct conf_report r;
    assert_int_equal(load(*state,
                          HOSTS "listen { imap = {\"127.0.0.1:143\"} plaintext = loopback }\n"
                                "old { imap { tls = none } }\nnew { imap { verify = no } }\n",
                          &s, &r),
                     0);
    assert_int_equal(r.n_warnings, 3);
    const char *w = buf_cstr(&r.warnings);
    assert_non_null(strstr(w, ":4: old.imap.tls is none: passwords travel in the clear"));
    assert_non_null(strstr(w, ":5: new.imap.verify is no: anybody can pretend"));
    assert_non_null(strstr(w, ":3: without tls.certificate only loopback can sign in"));
    conf_settings_free(&s);
    conf_report_free(&r);
    assert_int_equal(load(*state, BASE "new { imap { user = \"%n\" } }\n", &s, &r), 0);
    assert_non_null(strstr(buf_cstr(&r.warnings), "new.imap.user drops the domain"));
    conf_settings_free(&s);
    conf_report_free(&r);
    assert_int_equal(load(*state, BASE "new { imap { user = \"%n\" } } old { imap { user = \"%n\" } }\n", &s, &r), 0);
    assert_null(strstr(buf_cstr(&r.warnings), "new.imap.user drops the domain"));
    conf_settings_free(&s);
    conf_report_free(&r);
}

static void note_change(const struct conf_option *o, const char *was, const char *is, void *arg)
{
    buf_printf(arg, "%s:%s>%s:%d ", o->path, was, is, o->reloadable);
}

static void reload(void **state)
{
    struct settings *now, *next;
    struct conf_report r;
    struct buf said = {0};
    assert_int_equal(load(*state, BASE, &now, &r), 0);
    conf_report_free(&r);
    assert_int_equal(load(*state,
                          HOSTS
                          "listen { imap = {\"127.0.0.1:1143\", \"[::1]:1143\"} plaintext = yes }\n"
                          "log { level = warn }\nstore { path = \"/x\" }\n"
                          "limits { message_bytes = 10M }\n",
                          &next, &r),
                     0);
    conf_report_free(&r);
    conf_carry_over(now, next, note_change, &said);
    assert_string_equal(buf_cstr(&said), "listen.imap:127.0.0.1:143>127.0.0.1:1143, [::1]:1143:0 "
                                         "store.path:/var/lib/wherry>/x:0 "
                                         "store.spool:/var/lib/wherry/spool>/x/spool:0 "
                                         "log.level:info>warn:1 limits.message_bytes:256M>10M:1 ");
    assert_string_equal(next->listen_imap[0], "127.0.0.1:143");
    assert_null(next->listen_imap[1]);
    assert_string_equal(next->store_path, "/var/lib/wherry");
    assert_int_equal(next->log_level, LOG_WARN);
    buf_clear(&said);
    conf_carry_over(now, now, note_change, &said);
    assert_int_equal(said.len, 0);
    buf_free(&said);
    conf_settings_free(&now);
    conf_settings_free(&next);
}

/* Any text must end in settings or in an error: cut and spoil a good file everywhere. */
static void spoiled(void **state)
{
    const struct place *p = *state;
    static const char good[] = BASE "# c\nlog { level = \"info\" } /* d */ // e\nhostname = 'a\\'b'\n";
    char text[sizeof(good)];
    static const char bad[] = "{}\"'#/*\\=,$\x80\n";
    for (size_t i = 0; i < sizeof(good) - 1; i++) {
        for (size_t j = 0; j < sizeof(bad); j++) {
            struct settings *s;
            struct conf_report r;
            memcpy(text, good, sizeof(good));
            text[i] = bad[j]; /* the last is NUL: the text ends there */
            int rc = load(p, text, &s, &r);
            assert_int_equal(rc == 0, r.n_errors == 0);
            assert_int_equal(rc == 0, s != NULL);
            conf_settings_free(&s);
            conf_report_free(&r);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(defaults),
                                       cmocka_unit_test(all_sections),
                                       cmocka_unit_test(submission_alone),
                                       cmocka_unit_test(dav_alone),
                                       cmocka_unit_test(each_error),
                                       cmocka_unit_test(all_errors_at_once),
                                       cmocka_unit_test(binary_and_absent),
                                       cmocka_unit_test(secrets),
                                       cmocka_unit_test(warnings),
                                       cmocka_unit_test(reload),
                                       cmocka_unit_test(spoiled)};
    return cmocka_run_group_tests(tests, make_place, drop_place);
}
