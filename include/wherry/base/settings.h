/*
 * The configuration as plain data, filled by app from the file, read by every layer. One struct is immutable once
 * it is in force; after SIGHUP a new one takes its place, so read it through env->settings in each step and do not
 * keep pointers into it.
 */
#ifndef WHERRY_BASE_SETTINGS_H
#define WHERRY_BASE_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>
#include "wherry/base/log.h"
#include "wherry/base/mem.h"

enum tls_mode { TLS_MODE_NONE, TLS_MODE_STARTTLS, TLS_MODE_IMPLICIT };
enum sign_in { SIGN_IN_SAME, SIGN_IN_MASTER, SIGN_IN_AUTHZID, SIGN_IN_RELAY };
enum dav_sign_in { DAV_SIGN_IN_SAME, DAV_SIGN_IN_ADMIN, DAV_SIGN_IN_HEADER, DAV_SIGN_IN_AUTHORIZE_AS };
/* What keeps a host from sending invitations because of a copy; AUTO: by what it says that it is. */
enum dav_scheduling {
    DAV_SCHEDULING_AUTO,
    DAV_SCHEDULING_REPLY,     /* Schedule-Reply: F */
    DAV_SCHEDULING_ENABLED,   /* Scheduling-Enabled: F */
    DAV_SCHEDULING_NEXTCLOUD, /* X-NC-DISABLE-SCHEDULING: true */
    DAV_SCHEDULING_CLIENT,    /* SCHEDULE-AGENT=CLIENT in the item */
    DAV_SCHEDULING_NONE       /* the host sends none */
};
enum auth_by { AUTH_BY_IMAP, AUTH_BY_DAV };
enum plaintext { PLAINTEXT_NO, PLAINTEXT_LOOPBACK, PLAINTEXT_YES };

/* One service of one host: IMAP or submission. */
struct mail_host {
    char *host; /* name or address; NULL: not configured */
    uint16_t port;
    enum tls_mode tls;
    char *ca;     /* PEM file, NULL: the system's */
    bool verify;
    char *user;   /* template of the name there: %u login as typed, %n local part, %d domain */
    enum sign_in sign_in;      /* never for the check of a password; RELAY: submission only */
    char *master_user;         /* for MASTER and AUTHZID, and the account of RELAY */
    char *master_password_file;
    char *master_separator;    /* "user" separator "master_user" */
    struct secret master_password; /* first line of that file */
};

/* Calendars and contacts of one host. */
struct dav_host {
    char *url; /* "https://host[:port]/path"; NULL: not configured */
    char *ca;  /* PEM file, NULL: the system's */
    bool verify;
    char *user;                   /* template of the name there */
    enum dav_sign_in sign_in;     /* never for the check of a password */
    char *admin_user;             /* for ADMIN and AUTHORIZE_AS, and beside HEADER where it is set */
    char *admin_password_file;
    struct secret admin_password; /* first line of that file */
    char *header;                 /* for HEADER: the field that names the person */
    char *principal, *calendars, *addressbooks; /* templates of paths; NULL: discovery */
    enum dav_scheduling scheduling;             /* new host only */
};

struct settings {
    char **listen_imap, **listen_imaps; /* NULL-terminated lists of "address:port" */
    char **listen_submission, **listen_submissions;
    char **listen_dav;
    char *tls_certificate, *tls_key;
    struct mail_host old_imap, new_imap; /* may both be unset where only submission is spoken */
    struct mail_host old_submission, new_submission; /* old: checks passwords when there is no old IMAP */
    struct dav_host old_dav, new_dav;
    enum auth_by auth_by; /* which service of the old host checks passwords for listen_dav */
    char *default_domain; /* added to a login name without one when the account's name is made; NULL: none */
    bool fold_case;       /* account names ignore case */
    enum plaintext plaintext;
    char *hostname;       /* for greetings and certificates' sake only */
    char *run_as;         /* user to become once the listeners are open; NULL: stay */
    char *store_path, *spool_path;
    bool accept_changed_hosts; /* run although the store belongs to another pair of hosts */
    enum log_format log_format;
    enum log_level log_level;
    unsigned counters_seconds; /* between two counters lines */
    /* limits */
    unsigned max_connections, max_connections_per_address;
    unsigned sign_in_attempts;  /* per connection */
    unsigned sign_in_seconds;   /* a connection that has not signed in by then gets BYE */
    unsigned idle_seconds;      /* signed in, no command, not in IDLE; RFC 3501 5.4: at least 1800 */
    unsigned stall_seconds;     /* signed in: half a command or message, or output that is not taken */
    unsigned submission_idle_seconds; /* silence of a client that submits mail, and of half a message */
    unsigned keep_awake_seconds; /* a session that says nothing to new for so long gives it a sign of life */
    unsigned old_rest_seconds;   /* an unused connection to old is closed, and a failed one not retried before */
    unsigned dav_idle_seconds;  /* silence of a client of listen_dav, between requests and within one */
    unsigned dav_body_bytes;    /* the XML of one request */
    uint64_t dav_item_bytes;    /* one event or card */
    unsigned line_bytes;        /* one command without literals */
    unsigned literal_bytes;     /* literals of one command, not counting the message of APPEND */
    uint64_t message_bytes;     /* one message in APPEND */
    unsigned max_errors;        /* bad commands in a row, then BYE */
    unsigned drain_seconds;     /* from SIGTERM to the end, at most */
    unsigned verify_cache_seconds; /* a checked password is believed that long; 0: always ask */
    /* the copy */
    unsigned movers;            /* mailboxes being copied at once, in all */
    unsigned movers_per_account;
    bool sweep;                 /* what nobody has opened moves in the background */
    unsigned per_host;          /* connections of movers and mirrors to one host */
    uint64_t bytes_per_second;  /* of message bodies read by all movers; 0: no limit */
    unsigned batch_messages;    /* in one APPEND with MULTIAPPEND, or in flight without */
    uint64_t batch_bytes;       /* a batch ends at this size too */
    uint32_t uid_headroom;
    char **special_use;         /* NULL-terminated, "use=name" before the built-in names; NULL: none */
    unsigned host_timeout_seconds; /* no byte from a host while an answer is due */
    unsigned dav_wait_seconds;  /* how long a request waits for the copy of its collection */
    unsigned wait_seconds;      /* a session waits that long for a copy, then the old host serves it */
    unsigned progress_seconds;  /* between two "* OK [INPROGRESS]" */
    unsigned settle_seconds; /* the new host's mailbox must have been still so long before a broken copy goes on */
    unsigned retry_seconds;     /* a failed copy rests at least that long before the next touch tries again */
    unsigned grace_seconds;     /* after the switch the old mailbox is looked at for stragglers that long; 0: never */
    unsigned look_seconds;      /* between two looks at one mailbox, at least */
};

#endif
