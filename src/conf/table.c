/*
 * The settings, one row each. man/wherryd.conf.5 describes them in the same order; a test compares
 * the two.
 */
#include "config.h"
#include "conf_internal.h"
#include <stddef.h>

#define FIELD(f) offsetof(struct settings, f), sizeof(((struct settings *)NULL)->f)
#define K 1024ull
#define M (1024 * K)
#define G (1024 * M)

static const char *const tls_modes[] = {"none", "starttls", "implicit", NULL};
static const char *const sign_ins[] = {"same", "master", "authzid", NULL};
static const char *const relays[] = {"same", "master", "authzid", "relay", NULL};
static const char *const plaintexts[] = {"no", "loopback", "yes", NULL};
static const char *const dav_sign_ins[] = {"same", "admin", "header", "authorize-as", NULL};
static const char *const schedulings[] = {"auto",      "schedule-reply", "scheduling-enabled",
                                          "nextcloud", "client",         "none", NULL};
static const char *const auth_bys[] = {"imap", "dav", NULL};
static const char *const formats[] = {"logfmt", "json", NULL};
static const char *const levels[] = {"debug", "info", "warn", "error", NULL};

/* A string-like row, a number, a word or yes/no. R: a reload takes it up; S: only a start does. */
#define R true
#define S false
#define TEXT(path, type, field, def, re, help)                                                     \
    {                                                                                              \
        path, type, FIELD(field), def, 0, 0, NULL, re, help                                        \
    }
#define NUM(path, type, field, def, min, max, re, help)                                            \
    {                                                                                              \
        path, type, FIELD(field), def, min, max, NULL, re, help                                    \
    }
#define WORD(path, words, field, def, re, help)                                                    \
    {                                                                                              \
        path, CONF_WORD, FIELD(field), def, 0, 0, words, re, help                                  \
    }

static const struct conf_option table[] = {
    TEXT("hostname", CONF_HOST, hostname, NULL, R, "name in greetings"),
    TEXT("user", CONF_STRING, run_as, NULL, S, "user to become after the listeners are open"),
    TEXT("default_domain", CONF_DOMAIN, default_domain, NULL, S,
         "domain of a login name that has none"),
    TEXT("fold_case", CONF_BOOL, fold_case, "yes", S, "ignore case in account names"),

    TEXT("listen.imap", CONF_ADDRESSES, listen_imap, NULL, S, "addresses with STARTTLS"),
    TEXT("listen.imaps", CONF_ADDRESSES, listen_imaps, NULL, S, "addresses with TLS"),
    TEXT("listen.submission", CONF_ADDRESSES, listen_submission, NULL, S,
         "addresses of submission with STARTTLS"),
    TEXT("listen.submissions", CONF_ADDRESSES, listen_submissions, NULL, S,
         "addresses of submission with TLS"),
    TEXT("listen.dav", CONF_ADDRESSES, listen_dav, NULL, S,
         "addresses of calendars and contacts, HTTPS if there is a certificate"),
    WORD("listen.plaintext", plaintexts, plaintext, "no", R, "who may sign in without TLS"),
    TEXT("tls.certificate", CONF_FILE, tls_certificate, NULL, R, "certificate chain, PEM"),
    TEXT("tls.key", CONF_SECRET, tls_key, NULL, R, "private key, PEM"),

    TEXT("old.imap.host", CONF_HOST, old_imap.host, NULL, S, "the old host"),
    NUM("old.imap.port", CONF_NUMBER, old_imap.port, NULL, 1, 65535, S, "its port"),
    WORD("old.imap.tls", tls_modes, old_imap.tls, "implicit", S, "TLS to the old host"),
    TEXT("old.imap.ca", CONF_FILE, old_imap.ca, NULL, R, "certification authorities, PEM"),
    TEXT("old.imap.verify", CONF_BOOL, old_imap.verify, "yes", R, "check its certificate"),
    TEXT("old.imap.user", CONF_TEMPLATE, old_imap.user, "%u", S, "a person's name there"),
    WORD("old.imap.sign_in", sign_ins, old_imap.sign_in, "same", R,
         "how mailboxes are fetched from the old host"),
    TEXT("old.imap.master_user", CONF_STRING, old_imap.master_user, NULL, R, "the master user"),
    TEXT("old.imap.master_password_file", CONF_SECRET, old_imap.master_password_file, NULL, R,
         "file with the master password"),
    TEXT("old.imap.master_separator", CONF_STRING, old_imap.master_separator, "*", R,
         "between user and master user"),
    TEXT("old.submission.host", CONF_HOST, old_submission.host, NULL, S,
         "the old host's submission service"),
    NUM("old.submission.port", CONF_NUMBER, old_submission.port, NULL, 1, 65535, S, "its port"),
    WORD("old.submission.tls", tls_modes, old_submission.tls, "implicit", S, "TLS to it"),
    TEXT("old.submission.ca", CONF_FILE, old_submission.ca, NULL, R,
         "certification authorities, PEM"),
    TEXT("old.submission.verify", CONF_BOOL, old_submission.verify, "yes", R,
         "check its certificate"),
    TEXT("old.submission.user", CONF_TEMPLATE, old_submission.user, "%u", S,
         "a person's name there"),
    TEXT("old.dav.url", CONF_URL, old_dav.url, NULL, S, "the old host's calendars and contacts"),
    TEXT("old.dav.ca", CONF_FILE, old_dav.ca, NULL, R, "certification authorities, PEM"),
    TEXT("old.dav.verify", CONF_BOOL, old_dav.verify, "yes", R, "check its certificate"),
    TEXT("old.dav.user", CONF_TEMPLATE, old_dav.user, "%u", S, "a person's name there"),
    WORD("old.dav.sign_in", dav_sign_ins, old_dav.sign_in, "same", R, "how to enter it"),
    TEXT("old.dav.admin_user", CONF_STRING, old_dav.admin_user, NULL, R, "the administrator"),
    TEXT("old.dav.admin_password_file", CONF_SECRET, old_dav.admin_password_file, NULL, R,
         "file with the administrator's password"),
    TEXT("old.dav.header", CONF_HEADER, old_dav.header, "X-Remote-User", R,
         "the header field that names the person"),
    TEXT("old.dav.principal", CONF_PATH, old_dav.principal, NULL, S, "path of a person's principal"),
    TEXT("old.dav.calendars", CONF_PATH, old_dav.calendars, NULL, S, "path of a person's calendars"),
    TEXT("old.dav.addressbooks", CONF_PATH, old_dav.addressbooks, NULL, S,
         "path of a person's address books"),
    TEXT("new.imap.host", CONF_HOST, new_imap.host, NULL, S, "the new host"),
    NUM("new.imap.port", CONF_NUMBER, new_imap.port, NULL, 1, 65535, S, "its port"),
    WORD("new.imap.tls", tls_modes, new_imap.tls, "implicit", S, "TLS to the new host"),
    TEXT("new.imap.ca", CONF_FILE, new_imap.ca, NULL, R, "certification authorities, PEM"),
    TEXT("new.imap.verify", CONF_BOOL, new_imap.verify, "yes", R, "check its certificate"),
    TEXT("new.imap.user", CONF_TEMPLATE, new_imap.user, "%u", S, "a person's name there"),
    WORD("new.imap.sign_in", sign_ins, new_imap.sign_in, "same", R, "how to enter the new host"),
    TEXT("new.imap.master_user", CONF_STRING, new_imap.master_user, NULL, R, "the master user"),
    TEXT("new.imap.master_password_file", CONF_SECRET, new_imap.master_password_file, NULL, R,
         "file with the master password"),
    TEXT("new.imap.master_separator", CONF_STRING, new_imap.master_separator, "*", R,
         "between user and master user"),
    TEXT("new.submission.host", CONF_HOST, new_submission.host, NULL, S,
         "the new host's submission service"),
    NUM("new.submission.port", CONF_NUMBER, new_submission.port, NULL, 1, 65535, S, "its port"),
    WORD("new.submission.tls", tls_modes, new_submission.tls, "implicit", S, "TLS to it"),
    TEXT("new.submission.ca", CONF_FILE, new_submission.ca, NULL, R,
         "certification authorities, PEM"),
    TEXT("new.submission.verify", CONF_BOOL, new_submission.verify, "yes", R,
         "check its certificate"),
    TEXT("new.submission.user", CONF_TEMPLATE, new_submission.user, "%u", S,
         "a person's name there"),
    WORD("new.submission.sign_in", relays, new_submission.sign_in, "same", R, "how to enter it"),
    TEXT("new.submission.master_user", CONF_STRING, new_submission.master_user, NULL, R,
         "the master user or the relay account"),
    TEXT("new.submission.master_password_file", CONF_SECRET, new_submission.master_password_file,
         NULL, R, "file with its password"),
    TEXT("new.submission.master_separator", CONF_STRING, new_submission.master_separator, "*", R,
         "between user and master user"),
    TEXT("new.dav.url", CONF_URL, new_dav.url, NULL, S, "the new host's calendars and contacts"),
    TEXT("new.dav.ca", CONF_FILE, new_dav.ca, NULL, R, "certification authorities, PEM"),
    TEXT("new.dav.verify", CONF_BOOL, new_dav.verify, "yes", R, "check its certificate"),
    TEXT("new.dav.user", CONF_TEMPLATE, new_dav.user, "%u", S, "a person's name there"),
    WORD("new.dav.sign_in", dav_sign_ins, new_dav.sign_in, "same", R, "how to enter it"),
    TEXT("new.dav.admin_user", CONF_STRING, new_dav.admin_user, NULL, R, "the administrator"),
    TEXT("new.dav.admin_password_file", CONF_SECRET, new_dav.admin_password_file, NULL, R,
         "file with the administrator's password"),
    TEXT("new.dav.header", CONF_HEADER, new_dav.header, "X-Remote-User", R,
         "the header field that names the person"),
    TEXT("new.dav.principal", CONF_PATH, new_dav.principal, NULL, S, "path of a person's principal"),
    TEXT("new.dav.calendars", CONF_PATH, new_dav.calendars, NULL, S, "path of a person's calendars"),
    TEXT("new.dav.addressbooks", CONF_PATH, new_dav.addressbooks, NULL, S,
         "path of a person's address books"),
    WORD("new.dav.scheduling", schedulings, new_dav.scheduling, "auto", R,
         "what keeps it from sending invitations"),

    TEXT("store.path", CONF_FOLDER, store_path, "/var/lib/wherry", S, "folder of the store"),
    TEXT("store.spool", CONF_FOLDER, spool_path, NULL, S, "folder of what was left behind"),
    TEXT("store.accept_changed_hosts", CONF_BOOL, accept_changed_hosts, "no", S,
         "run although the store belongs to other hosts"),
    WORD("log.format", formats, log_format, "logfmt", R, "form of log lines"),
    WORD("log.level", levels, log_level, "info", R, "least level that is logged"),
    NUM("log.counters_seconds", CONF_NUMBER, counters_seconds, "60", 1, 86400, R,
        "between two counters lines"),

    NUM("limits.max_connections", CONF_NUMBER, max_connections, "4096", 1, 1000000, R,
        "client connections in all"),
    NUM("limits.max_connections_per_address", CONF_NUMBER, max_connections_per_address, "100", 1,
        1000000, R, "client connections from one address"),
    NUM("limits.sign_in_attempts", CONF_NUMBER, sign_in_attempts, "3", 1, 100, R,
        "tries in one connection"),
    NUM("limits.sign_in_seconds", CONF_NUMBER, sign_in_seconds, "60", 1, 3600, R,
        "time to sign in"),
    NUM("limits.idle_seconds", CONF_NUMBER, idle_seconds, "1800", 1800, 86400, R,
        "silence of a client that signed in"),
    NUM("limits.stall_seconds", CONF_NUMBER, stall_seconds, "300", 1, 3600, R,
        "silence within a command or message, or of a client that does not read"),
    NUM("limits.submission_idle_seconds", CONF_NUMBER, submission_idle_seconds, "300", 300, 3600,
        R, "silence of a client that submits mail"),
    NUM("limits.keep_awake_seconds", CONF_NUMBER, keep_awake_seconds, "240", 1, 1500, R,
        "silence after which a host hears from a session"),
    NUM("limits.old_rest_seconds", CONF_NUMBER, old_rest_seconds, "30", 1, 1500, R,
        "a session's unused connection to the old host"),
    NUM("limits.dav_idle_seconds", CONF_NUMBER, dav_idle_seconds, "120", 1, 3600, R,
        "silence of a client of listen.dav"),
    NUM("limits.dav_body_bytes", CONF_SIZE, dav_body_bytes, "1M", 16 * K, 64 * M, R,
        "XML of one request"),
    NUM("limits.dav_item_bytes", CONF_SIZE, dav_item_bytes, "64M", 64 * K, 4 * G - 1, R,
        "one event or card"),
    NUM("limits.line_bytes", CONF_SIZE, line_bytes, "64K", 1 * K, 1 * M, R,
        "one command without its literals"),
    NUM("limits.literal_bytes", CONF_SIZE, literal_bytes, "64K", 1 * K, 16 * M, R,
        "literals of one command"),
    NUM("limits.message_bytes", CONF_SIZE, message_bytes, "256M", 1 * K, 4 * G - 1, R,
        "one message in APPEND"),
    NUM("limits.max_errors", CONF_NUMBER, max_errors, "20", 1, 1000, R, "bad commands in a row"),
    NUM("limits.drain_seconds", CONF_NUMBER, drain_seconds, "5", 0, 300, R,
        "from SIGTERM to the end"),
    WORD("auth.by", auth_bys, auth_by, "imap", R, "who checks the passwords of listen.dav"),
    NUM("auth.verify_cache_seconds", CONF_NUMBER, verify_cache_seconds, "120", 0, 3600, R,
        "how long a checked password is believed"),

    NUM("copy.movers", CONF_NUMBER, movers, "16", 1, 256, R, "mailboxes copied at once"),
    NUM("copy.movers_per_account", CONF_NUMBER, movers_per_account, "3", 1, 64, R,
        "mailboxes of one account copied at once"),
    TEXT("copy.sweep", CONF_BOOL, sweep, "yes", R,
         "move in the background what nobody has opened yet"),
    NUM("copy.per_host", CONF_NUMBER, per_host, "24", 1, 1024, R,
        "connections of the copy to one host"),
    NUM("copy.bytes_per_second", CONF_SIZE, bytes_per_second, "0", 0, 64 * G, R,
        "of message bodies in all, 0: as fast as it goes"),
    NUM("copy.batch_messages", CONF_NUMBER, batch_messages, "100", 1, 1000, R,
        "messages in a batch"),
    NUM("copy.batch_bytes", CONF_SIZE, batch_bytes, "8M", 64 * K, 1 * G, R, "bytes in a batch"),
    NUM("copy.uid_headroom", CONF_NUMBER, uid_headroom, "10000", 0, 1000000000, R,
        "UIDs kept free above the old host's"),
    TEXT("copy.special_use", CONF_USES, special_use, NULL, R,
         "names of mailboxes of special use, besides the usual ones"),
    NUM("copy.host_timeout_seconds", CONF_NUMBER, host_timeout_seconds, "120", 1, 3600, R,
        "silence of a host that owes an answer"),
    NUM("copy.dav_wait_seconds", CONF_NUMBER, dav_wait_seconds, "5", 0, 60, R,
        "how long a request waits for the copy of its collection"),
    NUM("copy.wait", CONF_DURATION, wait_seconds, "5s", 0, 3600, R,
        "so long a mailbox that is opened is waited for, then it is served from the old host"),
    NUM("copy.progress_seconds", CONF_NUMBER, progress_seconds, "5", 1, 10, R,
        "between two progress lines to a client"),
    NUM("copy.retry_seconds", CONF_NUMBER, retry_seconds, "30", 0, 86400, R,
        "rest after a failed copy"),
    NUM("copy.settle_seconds", CONF_NUMBER, settle_seconds, "3", 0, 60, R,
        "the new host has been still that long before a broken-off copy goes on"),
    NUM("copy.grace", CONF_DURATION, grace_seconds, "7d", 0, 365 * 86400, R,
        "how long after its move the old mailbox is looked at for stragglers, 0: never"),
    NUM("copy.look_seconds", CONF_NUMBER, look_seconds, "60", 1, 86400, R,
        "between two such looks at one mailbox"),
};

const struct conf_option *conf_table(unsigned *n)
{
    *n = sizeof(table) / sizeof(table[0]);
    return table;
}
