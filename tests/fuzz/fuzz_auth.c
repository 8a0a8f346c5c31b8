/* What a client sends to sign in: base64 has one spelling, names stay within their bounds. */
#include "config.h"
#include "wherry/auth/auth.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_base64(struct slice in)
{
    struct buf raw = {0}, again = {0}, login = {0};
    struct secret password = {0};
    if (auth_unbase64(in, &raw) == 0) {
        auth_base64(buf_slice(&raw), &again);
        if (!slice_eq(buf_slice(&again), in))
            abort();
    } else if (raw.len > 0) {
        abort();
    }
    int rc = auth_plain_decode(in, &login, &password);
    if (rc == 0 ? login.len == 0 || login.len > AUTH_MAX_NAME || password.n == 0 ||
                      password.n > AUTH_MAX_PASSWORD || strlen(password.p) != password.n
                : login.len > 0 || password.p != NULL)
        abort();
    buf_free(&raw);
    buf_free(&again);
    buf_free(&login);
    secret_free(&password);
}

/* The part before the first NUL is a template, what follows a login name. */
static void check_names(struct slice in)
{
    const uint8_t *nul = in.n == 0 ? NULL : memchr(in.p, 0, in.n);
    if (nul == NULL)
        return;
    struct settings s = {.fold_case = true};
    struct buf key = {0};
    size_t n = (size_t)(nul - in.p);
    struct slice login = slice_make(nul + 1, in.n - n - 1);
    s.new_imap.user = slice_dup(slice_make(in.p, n));
    if (auth_check_login(&s, login) == 0 && auth_account_key(&s, login, &key) == 0 &&
        (key.len == 0 || key.len > 2 * AUTH_MAX_NAME))
        abort();
    free(s.new_imap.user);
    buf_free(&key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_base64(slice_make(data, size));
    check_names(slice_make(data, size));
    return 0;
}
