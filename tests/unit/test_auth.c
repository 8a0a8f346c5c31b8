/* Signing in without I/O: names, creds, SASL strings, the cache and the brake on guessing. */
#include "config.h"
#include "unit.h"
#include "wherry/auth/auth.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct settings *make_settings(void)
{
    struct settings *s = mem_alloc(sizeof(*s));
    s->old_imap.user = mem_strdup("%u");
    s->new_imap.user = mem_strdup("%u");
    s->new_imap.master_separator = mem_strdup("*");
    s->new_imap.master_user = mem_strdup("wherry");
    s->default_domain = mem_strdup("example.org");
    s->fold_case = true;
    secret_set(&s->new_imap.master_password, slice_str("master pw"));
    return s;
}

static void free_settings(struct settings *s)
{
    free(s->old_imap.user);
    free(s->new_imap.user);
    free(s->old_imap.master_separator);
    free(s->old_imap.master_user);
    secret_free(&s->old_imap.master_password);
    free(s->new_imap.master_separator);
    free(s->new_imap.master_user);
    free(s->default_domain);
    secret_free(&s->new_imap.master_password);
    free(s);
}

static void logins(void **state)
{
    (void)state;
    struct settings *s = make_settings();
    const char *const good[] = {"u", "user", "user@example.org", "u ser", "a@b@c", "j\xc3\xbcrgen"};
    const char *const bad[] = {"",   "user*wherry", "u\x01", "u\x7f", "u\n",
                               " u", "user ",       "@d",    "user@", "*"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_int_equal(auth_check_login(s, slice_str(good[i])), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(auth_check_login(s, slice_str(bad[i])), E_INVAL);
    assert_int_equal(auth_check_login(s, SLICE_LIT("u\0v")), E_INVAL);
    char name[AUTH_MAX_NAME + 1];
    memset(name, 'a', sizeof(name));
    assert_int_equal(auth_check_login(s, slice_make(name, AUTH_MAX_NAME)), 0);
    assert_int_equal(auth_check_login(s, slice_make(name, AUTH_MAX_NAME + 1)), E_INVAL);
    free_settings(s);
}

static void expand_one(const char *tmpl, const char *login, const char *domain, const char *want)
{
    struct buf out = {0};
    buf_puts(&out, "x");
    int rc = auth_expand(tmpl, slice_str(login), domain, &out);
    assert_int_equal(rc, want == NULL ? E_INVAL : 0);
    assert_string_equal(buf_cstr(&out) + 1, want == NULL ? "" : want);
    buf_free(&out);
}

static void templates(void **state)
{
    (void)state;
    expand_one("%u", "user@d", NULL, "user@d");
    expand_one("%n", "user@d", NULL, "user");
    expand_one("%n", "user", NULL, "user");
    expand_one("%d/%n", "user@d", "e", "d/user");
    expand_one("%n@%d", "user", "e", "user@e");
    expand_one("%n@%d", "a@b@c", "e", "a@b@c");
    expand_one("%d", "a@b@c", "e", "c");
    expand_one("100%%%u", "user", NULL, "100%user");
    expand_one("%n@%d", "user", NULL, NULL);
    expand_one("%n%x", "user", NULL, NULL);
    expand_one("%n%", "user", NULL, NULL);
}

static void key_one(const struct settings *s, const char *login, const char *want)
{
    struct buf out = {0};
    assert_int_equal(auth_account_key(s, slice_str(login), &out), 0);
    assert_string_equal(buf_cstr(&out), want);
    buf_free(&out);
}

static void account_keys(void **state)
{
    (void)state;
    struct settings *s = make_settings();
    key_one(s, "User", "user@example.org");
    key_one(s, "user", "user@example.org");
    key_one(s, "user@Example.ORG", "user@example.org");
    key_one(s, "user@other.org", "user@other.org");
    s->fold_case = false;
    key_one(s, "User", "User@example.org");
    s->fold_case = true;
    free(s->new_imap.user);
    s->new_imap.user = mem_strdup("%n");
    key_one(s, "User@other.org", "user@example.org");
    free(s->default_domain);
    s->default_domain = NULL;
    key_one(s, "User@other.org", "user");
    struct buf out = {0};
    free(s->new_imap.user);
    s->new_imap.user = mem_strdup("%n@%d");
    assert_int_equal(auth_account_key(s, slice_str("user"), &out), E_INVAL);
    assert_int_equal(out.len, 0);
    buf_free(&out);
    free_settings(s);
}

static void creds(void **state)
{
    (void)state;
    struct settings *s = make_settings();
    struct secret pw = {0};
    struct auth_creds c;
    secret_set(&pw, slice_str("own"));
    assert_int_equal(auth_host_creds(s, &s->old_imap, slice_str("User"), &pw, &c), 0);
    assert_string_equal(buf_cstr(&c.authcid), "User");
    assert_int_equal(c.authzid.len, 0);
    assert_string_equal(c.password.p, "own");
    auth_creds_free(&c);
    s->new_imap.sign_in = SIGN_IN_SAME;
    assert_int_equal(auth_host_creds(s, &s->new_imap, slice_str("User"), &pw, &c), 0);
    assert_string_equal(buf_cstr(&c.authcid), "user");
    assert_string_equal(c.password.p, "own");
    auth_creds_free(&c);
    s->new_imap.sign_in = SIGN_IN_MASTER;
    assert_int_equal(auth_host_creds(s, &s->new_imap, slice_str("User"), &pw, &c), 0);
    assert_string_equal(buf_cstr(&c.authcid), "user*wherry");
    assert_int_equal(c.authzid.len, 0);
    assert_string_equal(c.password.p, "master pw");
    auth_creds_free(&c);
    s->new_imap.sign_in = SIGN_IN_AUTHZID;
    assert_int_equal(auth_host_creds(s, &s->new_imap, slice_str("user"), &pw, &c), 0);
    assert_string_equal(buf_cstr(&c.authzid), "user");
    assert_string_equal(buf_cstr(&c.authcid), "wherry");
    assert_string_equal(c.password.p, "master pw");
    auth_creds_free(&c);
    s->old_imap.sign_in = SIGN_IN_MASTER;
    s->old_imap.master_user = mem_strdup("boss");
    s->old_imap.master_separator = mem_strdup("%%");
    secret_set(&s->old_imap.master_password, slice_str("old master"));
    assert_int_equal(auth_host_creds(s, &s->old_imap, slice_str("User"), &pw, &c), 0);
    assert_string_equal(buf_cstr(&c.authcid), "User%%boss");
    assert_string_equal(c.password.p, "old master");
    auth_creds_free(&c);
    /* A password is checked with itself. */
    assert_int_equal(auth_own_creds(s, &s->old_imap, slice_str("User"), &pw, &c), 0);
    assert_string_equal(buf_cstr(&c.authcid), "User");
    assert_int_equal(c.authzid.len, 0);
    assert_string_equal(c.password.p, "own");
    auth_creds_free(&c);
    assert_int_equal(auth_check_login(s, slice_str("bob%%boss")), E_INVAL);
    assert_int_equal(auth_check_login(s, slice_str("bob")), 0);
    secret_free(&pw);
    free_settings(s);
}

/* The vectors of RFC 4648 section 10. */
static void base64_vectors(void **state)
{
    (void)state;
    static const char *const v[][2] = {{"", ""},
                                       {"f", "Zg=="},
                                       {"fo", "Zm8="},
                                       {"foo", "Zm9v"},
                                       {"foob", "Zm9vYg=="},
                                       {"fooba", "Zm9vYmE="},
                                       {"foobar", "Zm9vYmFy"}};
    struct buf out = {0};
    for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
        auth_base64(slice_str(v[i][0]), &out);
        assert_string_equal(buf_cstr(&out), v[i][1]);
        buf_clear(&out);
        assert_int_equal(auth_unbase64(slice_str(v[i][1]), &out), 0);
        assert_string_equal(buf_cstr(&out), v[i][0]);
        buf_clear(&out);
    }
    buf_free(&out);
}

static void base64_strict(void **state)
{
    (void)state;
    const char *const bad[] = {
        "Z",    "Zg",   "Zg=",  "Zh==",  "Zm9=", "Zg==Zg==", " Zm9v",    "Zm9v\n",  "Zm 9v",
        "=Zg=", "====", "Z===", "Zm9v=", "Zm-_", "Zg=a",     "\n\n\n\n", "Zm9v    "};
    struct buf out = {0};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(auth_unbase64(slice_str(bad[i]), &out), E_INVAL);
        assert_int_equal(out.len, 0);
    }
    assert_int_equal(auth_unbase64(SLICE_LIT("Zm9\0"), &out), E_INVAL);
    buf_free(&out);
}

static void base64_round_trip(void **state)
{
    (void)state;
    enum { N = 100001 };
    uint8_t *raw = mem_alloc(N);
    struct buf text = {0}, back = {0};
    for (size_t i = 0; i < N; i++)
        raw[i] = (uint8_t)(i * 167 + i / 251);
    for (size_t n = 0; n < 200; n++) {
        auth_base64(slice_make(raw, n), &text);
        assert_int_equal(auth_unbase64(buf_slice(&text), &back), 0);
        assert_true(slice_eq(buf_slice(&back), slice_make(raw, n)));
        buf_clear(&text);
        buf_clear(&back);
    }
    auth_base64(slice_make(raw, N), &text);
    assert_int_equal(text.len, (N + 2) / 3 * 4);
    assert_int_equal(auth_unbase64(buf_slice(&text), &back), E_INVAL); /* beyond the bound */
    buf_free(&text);
    buf_free(&back);
    free(raw);
}

static int decode(struct slice raw, struct buf *login, struct secret *pw)
{
    struct buf text = {0};
    buf_clear(login);
    auth_base64(raw, &text);
    int rc = auth_plain_decode(buf_slice(&text), login, pw);
    buf_free(&text);
    return rc;
}

static void plain(void **state)
{
    (void)state;
    struct buf login = {0}, text = {0};
    struct secret pw = {0};
    assert_int_equal(decode(SLICE_LIT("\0user\0secret"), &login, &pw), 0);
    assert_string_equal(buf_cstr(&login), "user");
    assert_string_equal(pw.p, "secret");
    assert_int_equal(decode(SLICE_LIT("user\0user\0secret"), &login, &pw), 0);
    assert_int_equal(decode(SLICE_LIT("root\0user\0secret"), &login, &pw), E_REFUSED);
    assert_int_equal(login.len, 0);
    assert_int_equal(decode(SLICE_LIT("\0user\0"), &login, &pw), E_INVAL);
    assert_int_equal(decode(SLICE_LIT("\0\0secret"), &login, &pw), E_INVAL);
    assert_int_equal(decode(SLICE_LIT("\0user"), &login, &pw), E_INVAL);
    assert_int_equal(decode(SLICE_LIT("user"), &login, &pw), E_INVAL);
    assert_int_equal(decode(SLICE_LIT(""), &login, &pw), E_INVAL);
    assert_int_equal(decode(SLICE_LIT("\0user\0sec\0ret"), &login, &pw), E_INVAL);
    assert_int_equal(auth_plain_decode(slice_str("!"), &login, &pw), E_INVAL);
    assert_int_equal(login.len, 0);

    struct auth_creds c = {0};
    buf_puts(&c.authzid, "a");
    buf_puts(&c.authcid, "b");
    secret_set(&c.password, slice_str("c"));
    auth_plain_encode(&c, &text);
    assert_string_equal(buf_cstr(&text), "YQBiAGM=");
    auth_creds_free(&c);
    buf_free(&login);
    buf_free(&text);
    secret_free(&pw);
}

static void plain_bounds(void **state)
{
    (void)state;
    struct buf raw = {0}, login = {0};
    struct secret pw = {0};
    for (size_t extra = 0; extra < 2; extra++) {
        buf_clear(&raw);
        buf_puts(&raw, "");
        buf_putc(&raw, '\0');
        for (size_t i = 0; i < AUTH_MAX_NAME; i++)
            buf_putc(&raw, 'n');
        buf_putc(&raw, '\0');
        for (size_t i = 0; i < AUTH_MAX_PASSWORD + extra; i++)
            buf_putc(&raw, 'p');
        assert_int_equal(decode(buf_slice(&raw), &login, &pw), extra == 0 ? 0 : E_INVAL);
    }
    assert_int_equal(pw.n, AUTH_MAX_PASSWORD);
    buf_free(&raw);
    buf_free(&login);
    secret_free(&pw);
}

static void cache(void **state)
{
    (void)state;
    struct auth *a = auth_new();
    struct secret right = {0}, wrong = {0};
    secret_set(&right, slice_str("right"));
    secret_set(&wrong, slice_str("righ"));
    struct slice u = SLICE_LIT("u@d"), v = SLICE_LIT("v@d");
    assert_false(auth_cache_ok(a, u, &right, 1000, 60));
    auth_cache_put(a, u, &right, 1000);
    assert_true(auth_cache_ok(a, u, &right, 1000, 60));
    assert_true(auth_cache_ok(a, u, &right, 60999, 60));
    assert_false(auth_cache_ok(a, u, &wrong, 1000, 60));
    assert_false(auth_cache_ok(a, v, &right, 1000, 60));
    assert_true(auth_cache_ok(a, u, &right, 1000, 60)); /* a wrong try does not drop it */
    assert_false(auth_cache_ok(a, u, &right, 61000, 60));
    assert_false(auth_cache_ok(a, u, &right, 1000, 60)); /* gone when it was found too old */
    auth_cache_put(a, u, &right, 1000);
    assert_false(auth_cache_ok(a, u, &right, 1000, 0));
    auth_cache_put(a, u, &right, 1000);
    auth_cache_drop(a, u);
    auth_cache_drop(a, u);
    assert_false(auth_cache_ok(a, u, &right, 1000, 60));
    secret_free(&right);
    secret_free(&wrong);
    auth_free(&a);
    assert_null(a);
    auth_free(&a);
}

static void cache_is_bounded(void **state)
{
    (void)state;
    struct auth *a = auth_new();
    struct secret pw = {0};
    char name[32];
    secret_set(&pw, slice_str("p"));
    for (unsigned i = 0; i <= 10000; i++) {
        int n = snprintf(name, sizeof(name), "u%u", i);
        auth_cache_put(a, slice_make(name, (size_t)n), &pw, i);
    }
    assert_false(auth_cache_ok(a, slice_str("u0"), &pw, 10000, 600));
    assert_true(auth_cache_ok(a, slice_str("u1"), &pw, 10000, 600));
    assert_true(auth_cache_ok(a, slice_str("u10000"), &pw, 10000, 600));
    secret_free(&pw);
    auth_free(&a);
}

static uint64_t failed_try(struct auth *a, const char *address, const char *account, uint64_t now)
{
    auth_note_failure(a, address, slice_str(account), now);
    return auth_failure_delay(a, address, slice_str(account), now);
}

static void brake(void **state)
{
    (void)state;
    struct auth *a = auth_new();
    uint64_t now = 5000;
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(failed_try(a, "192.0.2.1", "u", now), (i < 4 ? 1u << i : 16) * 1000);
    /* Another account from there is held up too, the same account from elsewhere is not. */
    assert_int_equal(failed_try(a, "192.0.2.1", "v", now), 16000);
    assert_int_equal(failed_try(a, "::ffff:192.0.2.1", "w", now), 16000);
    assert_int_equal(failed_try(a, "192.0.2.2", "u", now), 1000);
    /* An account of one's own does not clear the address. */
    auth_note_success(a, "192.0.2.1", slice_str("v"));
    assert_int_equal(failed_try(a, "192.0.2.1", "u", now), 16000);
    now += 15 * 60 * 1000;
    assert_int_equal(auth_failure_delay(a, "192.0.2.1", slice_str("u"), now), 0);
    assert_int_equal(failed_try(a, "192.0.2.1", "u", now), 1000);
    auth_free(&a);
}

static void brake_ipv6(void **state)
{
    (void)state;
    struct auth *a = auth_new();
    assert_int_equal(failed_try(a, "2001:db8:1:2::1", "u", 0), 1000);
    assert_int_equal(failed_try(a, "2001:db8:1:2:ffff::9", "u", 0), 2000);
    assert_int_equal(failed_try(a, "2001:db8:1:3::1", "u", 0), 1000);
    assert_int_equal(failed_try(a, "fe80::1%eth0", "u", 0), 1000);
    assert_int_equal(failed_try(a, "fe80::2%eth1", "u", 0), 2000);
    assert_int_equal(failed_try(a, "", "u", 0), 1000);
    auth_free(&a);
}

static void networks(void **state)
{
    (void)state;
    assert_true(auth_same_network("192.0.2.1", "192.0.2.1"));
    assert_false(auth_same_network("192.0.2.1", "192.0.2.2"));
    assert_true(auth_same_network("2001:db8::1", "2001:db8:0:0:ffff::2"));
    assert_false(auth_same_network("2001:db8::1", "2001:db8:0:1::1"));
    assert_false(auth_same_network("2001:db8::1", "192.0.2.1"));
    assert_false(auth_same_network("::ffff:192.0.2.1", "::ffff:192.0.2.2"));
    assert_true(auth_same_network("", ""));
    assert_false(auth_same_network("", "::1"));
}

static void brake_is_bounded(void **state)
{
    (void)state;
    struct auth *a = auth_new();
    char name[32];
    assert_int_equal(failed_try(a, "192.0.2.9", "first", 0), 1000);
    for (unsigned i = 0; i < 5000; i++) {
        snprintf(name, sizeof(name), "10.%u.%u.1", i / 256, i % 256);
        assert_int_equal(failed_try(a, name, "u", 1), 1000);
    }
    assert_int_equal(auth_failure_delay(a, "192.0.2.9", slice_str("first"), 1), 0);
    auth_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(logins),
                                       cmocka_unit_test(templates),
                                       cmocka_unit_test(account_keys),
                                       cmocka_unit_test(creds),
                                       cmocka_unit_test(base64_vectors),
                                       cmocka_unit_test(base64_strict),
                                       cmocka_unit_test(base64_round_trip),
                                       cmocka_unit_test(plain),
                                       cmocka_unit_test(plain_bounds),
                                       cmocka_unit_test(cache),
                                       cmocka_unit_test(cache_is_bounded),
                                       cmocka_unit_test(brake),
                                       cmocka_unit_test(brake_ipv6),
                                       cmocka_unit_test(networks),
                                       cmocka_unit_test(brake_is_bounded)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
