/* See digest.h. Here, since auth is one of the two doors to OpenSSL. */
#include "config.h"
#include "wherry/auth/digest.h"
#include "wherry/base/mem.h"
#include <openssl/evp.h>
#include <stdlib.h>

struct digest {
    EVP_MD_CTX *c;
};

static void begin(struct digest *d)
{
    if (EVP_DigestInit_ex(d->c, EVP_sha256(), NULL) != 1)
        abort();
}

struct digest *digest_new(void)
{
    struct digest *d = mem_alloc(sizeof(*d));
    d->c = EVP_MD_CTX_new();
    if (d->c == NULL)
        abort();
    begin(d);
    return d;
}

void digest_free(struct digest **d)
{
    if (*d == NULL)
        return;
    EVP_MD_CTX_free((*d)->c);
    free(*d);
    *d = NULL;
}

void digest_put(struct digest *d, struct slice s)
{
    if (s.n > 0 && EVP_DigestUpdate(d->c, s.p, s.n) != 1)
        abort();
}

void digest_end(struct digest *d, uint8_t out[DIGEST_BYTES])
{
    unsigned n = DIGEST_BYTES;
    if (EVP_DigestFinal_ex(d->c, out, &n) != 1)
        abort();
    begin(d);
}
