/*
 * Base64 and SASL PLAIN (RFC 4648 section 4, RFC 4616).
 *
 * OpenSSL's block decoder does the work but forgives blanks and misplaced '='; what it gets is
 * therefore checked first, and the last group is encoded back, so that each byte string has one
 * spelling only.
 */
#include "config.h"
#include "wherry/auth/auth.h"
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

enum { BASE64_MAX = 64 * 1024 };

void auth_base64(struct slice in, struct buf *out)
{
    while (in.n > 0) {
        size_t n =
            in.n < 48 * 1024 ? in.n : 48 * 1024; /* a multiple of 3: only the last is padded */
        uint8_t *to = buf_reserve(out, (n + 2) / 3 * 4 + 1);
        buf_commit(out, (size_t)EVP_EncodeBlock(to, in.p, (int)n));
        in = slice_make(in.p + n, in.n - n);
    }
}

static bool is_base64(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '/';
}

int auth_unbase64(struct slice in, struct buf *out)
{
    size_t pad = 0;
    if (in.n % 4 != 0 || in.n > BASE64_MAX)
        return E_INVAL;
    if (in.n == 0)
        return 0;
    while (pad < 2 && in.p[in.n - 1 - pad] == '=')
        pad++;
    for (size_t i = 0; i < in.n - pad; i++) {
        if (!is_base64(in.p[i]))
            return E_INVAL;
    }
    uint8_t *to = buf_reserve(out, in.n / 4 * 3);
    int n = EVP_DecodeBlock(to, in.p, (int)in.n);
    uint8_t last[5];
    if (n > 0)
        EVP_EncodeBlock(last, to + n - 3, (int)(3 - pad));
    bool ok = n > 0 && memcmp(last, in.p + in.n - 4, 4) == 0;
    OPENSSL_cleanse(last, sizeof(last));
    if (!ok) {
        OPENSSL_cleanse(to, in.n / 4 * 3);
        return E_INVAL;
    }
    buf_commit(out, (size_t)n - pad);
    return 0;
}

void auth_plain_encode(const struct auth_creds *c, struct buf *out)
{
    struct buf raw = {0};
    /* Room for all of it at once, so that no copy of the password is left in memory given back. */
    (void)buf_reserve(&raw, c->authzid.len + c->authcid.len + c->password.n + 2);
    buf_put_slice(&raw, buf_slice(&c->authzid));
    buf_putc(&raw, '\0');
    buf_put_slice(&raw, buf_slice(&c->authcid));
    buf_putc(&raw, '\0');
    buf_put_slice(&raw, secret_slice(&c->password));
    auth_base64(buf_slice(&raw), out);
    buf_wipe(&raw);
}

/* Cuts off what stands before the next NUL. E_INVAL when there is none. */
static int cut_at_nul(struct slice *rest, struct slice *part)
{
    const uint8_t *nul = rest->n == 0 ? NULL : memchr(rest->p, 0, rest->n);
    if (nul == NULL)
        return E_INVAL;
    *part = slice_make(rest->p, (size_t)(nul - rest->p));
    *rest = slice_make(nul + 1, rest->n - part->n - 1);
    return 0;
}

static int plain_fields(struct slice raw, struct buf *login, struct secret *password)
{
    struct slice authzid, authcid;
    if (cut_at_nul(&raw, &authzid) != 0 || cut_at_nul(&raw, &authcid) != 0)
        return E_INVAL;
    if (authcid.n == 0 || authcid.n > AUTH_MAX_NAME || raw.n == 0 || raw.n > AUTH_MAX_PASSWORD ||
        memchr(raw.p, 0, raw.n) != NULL)
        return E_INVAL;
    if (authzid.n > 0 && !slice_eq(authzid, authcid))
        return E_REFUSED;
    buf_put_slice(login, authcid);
    secret_set(password, raw);
    return 0;
}

int auth_plain_decode(struct slice base64, struct buf *login, struct secret *password)
{
    struct buf raw = {0};
    int rc = auth_unbase64(base64, &raw);
    if (rc == 0)
        rc = plain_fields(buf_slice(&raw), login, password);
    buf_wipe(&raw);
    return rc;
}
