/*
 * Signing in, without I/O: account names, templates, SASL strings, the cache of checked passwords and the brake on
 * guessing. DESIGN section 8.
 */
#ifndef WHERRY_AUTH_AUTH_H
#define WHERRY_AUTH_AUTH_H

#include <stdbool.h>
#include "wherry/base/buf.h"
#include "wherry/base/mem.h"
#include "wherry/base/settings.h"

/* Bounds on what a client may send as name and password. */
enum { AUTH_MAX_NAME = 255, AUTH_MAX_PASSWORD = 1024 };

/*
 * E_INVAL: empty, too long, control characters, the master separator in it (nobody signs in as somebody else), or a blank
 * or '@' at either end (hosts may cut those off, and one person would be two accounts).
 */
int auth_check_login(const struct settings *s, struct slice login) MUST_USE;

/*
 * Expands %u %n %d %%; the last '@' divides; %d falls back to default_domain, which may be NULL. E_INVAL on another %x
 * (configuration checks that early) and on %d where there is no domain at all; out is unchanged then.
 */
int auth_expand(const char *tmpl, struct slice login, const char *default_domain, struct buf *out) MUST_USE;
/*
 * The account's key: the name at the new host, default domain added, case folded (ASCII). User, user, user@d are one.
 * Errors as auth_expand, and E_INVAL when it would be empty or longer than 2 * AUTH_MAX_NAME.
 */
int auth_account_key(const struct settings *s, struct slice login, struct buf *out) MUST_USE;

/*
 * Who and what to send to a host: authorization identity ("" for none), authentication identity, password.
 * SAME: the expanded name and the person's own password. MASTER: "user*master" and the master password, the person's
 * is not looked at. AUTHZID: authzid = the expanded name, authcid = master user. RELAY: the master user alone, for everybody. With fold_case the name at the new host is
 * in lower case however it was typed. Errors as auth_expand; *out is empty then.
 */
struct auth_creds {
    struct buf authzid, authcid;
    struct secret password;
};
int auth_host_creds(const struct settings *s, const struct mail_host *h, struct slice login,
                    const struct secret *password, struct auth_creds *out) MUST_USE;
/* The same with the person's own name and password whatever the host's sign_in is: what a password is checked with. */
int auth_own_creds(const struct settings *s, const struct mail_host *h, struct slice login,
                   const struct secret *password, struct auth_creds *out) MUST_USE;
void auth_creds_free(struct auth_creds *c);

void auth_base64(struct slice in, struct buf *out);
int auth_unbase64(struct slice in, struct buf *out) MUST_USE; /* strict; E_INVAL; wipe out after use */
/* RFC 4616: base64 of authzid NUL authcid NUL password. */
void auth_plain_encode(const struct auth_creds *c, struct buf *out);
/* From a client. authzid must be empty or equal to authcid, else E_REFUSED. E_INVAL when malformed. */
int auth_plain_decode(struct slice base64, struct buf *login, struct secret *password) MUST_USE;

/* ---- state; owner: env ---- */
struct auth;
struct auth *auth_new(void);
void auth_free(struct auth **a);

/* Passwords that the old host accepted lately, as HMAC-SHA256 under a key that only this process has. At most 10,000. */
bool auth_cache_ok(struct auth *a, struct slice account, const struct secret *password, uint64_t now_ms,
                   unsigned ttl_seconds);
void auth_cache_put(struct auth *a, struct slice account, const struct secret *password, uint64_t now_ms);
void auth_cache_drop(struct auth *a, struct slice account);

/*
 * Guessing: failures are counted per client address (IPv6: /64) and per account and address pair; the delay before the answer
 * grows 1, 2, 4 … 16 s and is forgotten after 15 minutes without failure. At most 10,000 entries, oldest go first.
 * A right password from elsewhere is never held up by somebody else's failures.
 */
void auth_note_failure(struct auth *a, const char *address, struct slice account, uint64_t now_ms);
void auth_note_success(struct auth *a, const char *address, struct slice account);
/* Whether two addresses (numeric) count as one client: IPv4 addresses that are equal, IPv6 ones of the same /64. */
bool auth_same_network(const char *a, const char *b);
/* Milliseconds that the answer to a failed try has to wait; call after auth_note_failure. */
uint64_t auth_failure_delay(const struct auth *a, const char *address, struct slice account, uint64_t now_ms);

#endif
