/* Modified UTF-7, LIST patterns, names between two hosts. */
#include "unit.h"
#include "wherry/imap/names.h"
#include <string.h>

static void assert_buf(struct buf *b, const char *want)
{
    assert_string_equal(buf_cstr(b), want);
    buf_clear(b);
}

static void mutf7(void **state)
{
    (void)state;
    static const struct {
        const char *wire, *utf8;
    } t[] = {{"INBOX", "INBOX"},
             {"~peter/mail/&U,BTFw-/&ZeVnLIqe-",
              "~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e"},
             {"R&-D", "R&D"},
             {"&-&-", "&&"},
             {"&-&AOk-&-", "&\xc3\xa9&"},
             {"Entw&APw-rfe", "Entw\xc3\xbcrfe"},
             {"&2D3eAA-", "\xf0\x9f\x98\x80"},
             {"a&AAE-", "a\x01"},
             {"", ""},
             {"a b\"\\%*", "a b\"\\%*"}};
    struct buf b = {0};
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        assert_true(name_is_mutf7(slice_str(t[i].wire)));
        assert_int_equal(name_to_utf8(slice_str(t[i].wire), &b), 0);
        assert_buf(&b, t[i].utf8);
        assert_int_equal(name_from_utf8(slice_str(t[i].utf8), &b), 0);
        assert_buf(&b, t[i].wire);
    }
    buf_free(&b);
}

static void bad_mutf7(void **state)
{
    (void)state;
    static const char *const wire[] = {"&",           "R&D",    "&AOk",
                                       "&AO-",        "&AOl-", /* no end, too short, loose bits */
                                       "&AGE-",                /* a printable character */
                                       "&AOk-&AOk-",           /* superfluous shift */
                                       "&AAA-",                /* NUL */
                                       "&2D0-",       "&3gA-",  "&2D0AYQ-",
                                       "caf\xc3\xa9", "a\x01b", /* surrogates, 8-bit, control */
                                       "&AOk=-",      "&AOkA-", "& -"};
    static const char *const utf8[] = {
        "\xc3", "\xc3(",        "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
        "\xff", "\xe0\x80\xaf", "\x80"};
    struct buf b = {0};
    buf_puts(&b, "x");
    for (size_t i = 0; i < sizeof(wire) / sizeof(wire[0]); i++) {
        assert_false(name_is_mutf7(slice_str(wire[i])));
        assert_int_equal(name_to_utf8(slice_str(wire[i]), &b), E_INVAL);
        assert_int_equal(b.len, 1);
    }
    for (size_t i = 0; i < sizeof(utf8) / sizeof(utf8[0]); i++) {
        assert_int_equal(name_from_utf8(slice_str(utf8[i]), &b), E_INVAL);
        assert_int_equal(b.len, 1);
    }
    assert_int_equal(name_from_utf8(slice_make("a\0", 2), &b), E_INVAL);
    buf_free(&b);
}

/* Every character, alone and beside others, comes back. */
static void all_characters(void **state)
{
    (void)state;
    struct buf wire = {0}, back = {0}, text = {0};
    for (uint32_t c = 1; c <= 0x10ffff; c += c < 0x3000 ? 1 : 37) {
        if (c >= 0xd800 && c < 0xe000)
            continue;
        if (c < 0x80) {
            buf_putc(&text, (char)c);
        } else if (c < 0x800) {
            buf_putc(&text, (char)(0xc0 | c >> 6));
        } else if (c < 0x10000) {
            buf_putc(&text, (char)(0xe0 | c >> 12));
            buf_putc(&text, (char)(0x80 | (c >> 6 & 0x3f)));
        } else {
            buf_putc(&text, (char)(0xf0 | c >> 18));
            buf_putc(&text, (char)(0x80 | (c >> 12 & 0x3f)));
            buf_putc(&text, (char)(0x80 | (c >> 6 & 0x3f)));
        }
        if (c >= 0x80)
            buf_putc(&text, (char)(0x80 | (c & 0x3f)));
        if (c % 5 == 0)
            buf_puts(&text, "&");
        if (c % 7 != 0)
            continue;
        assert_int_equal(name_from_utf8(buf_slice(&text), &wire), 0);
        assert_true(name_is_mutf7(buf_slice(&wire)));
        assert_int_equal(name_to_utf8(buf_slice(&wire), &back), 0);
        assert_true(slice_eq(buf_slice(&back), buf_slice(&text)));
        buf_clear(&wire);
        buf_clear(&back);
        buf_clear(&text);
    }
    buf_free(&wire);
    buf_free(&back);
    buf_free(&text);
}

static bool matches(const char *pattern, const char *name, char sep)
{
    return name_matches(slice_str(pattern), slice_str(name), sep);
}

static void patterns(void **state)
{
    (void)state;
    assert_true(matches("*", "", '/'));
    assert_true(matches("", "", '/'));
    assert_false(matches("", "a", '/'));
    assert_true(matches("*", "a/b/c", '/'));
    assert_true(matches("%", "abc", '/'));
    assert_false(matches("%", "a/b", '/'));
    assert_true(matches("%", "a/b", 0));
    assert_true(matches("%/%", "a/b", '/'));
    assert_true(matches("a/%", "a/", '/'));
    assert_false(matches("%/%", "a/b/c", '/'));
    assert_true(matches("a*c", "abbc", '/'));
    assert_true(matches("a*b*c", "axxbyybzzc", '/'));
    assert_false(matches("a*b*c", "axxbyybzz", '/'));
    assert_true(matches("%*%", "a/b", '/'));
    assert_true(matches("*%c", "a/bc", '/'));
    assert_true(matches("inb%", "INBOX", '/'));
    assert_true(matches("iNbOx/Foo", "INBOX/Foo", '/'));
    assert_false(matches("INBOX/foo", "INBOX/Foo", '/'));
    assert_false(matches("inboxer", "INBOXer", '/'));
    assert_true(matches("INBOX", "inbox", '/'));
    /* No pattern makes it slow. */
    char p[NAME_MAX_BYTES + 1], n[NAME_MAX_BYTES + 1];
    for (size_t i = 0; i < NAME_MAX_BYTES; i++) {
        p[i] = i % 2 == 0 ? '*' : 'a';
        n[i] = 'a';
    }
    p[NAME_MAX_BYTES - 1] = 'b';
    p[NAME_MAX_BYTES] = n[NAME_MAX_BYTES] = 0;
    assert_false(matches(p, n, '/'));
    n[NAME_MAX_BYTES - 1] = 'b';
    assert_true(matches(p, n, '/'));
}

/* The same by trying everything. */
static bool naive(const char *p, const char *n, char sep)
{
    if (*p == 0)
        return *n == 0;
    if (*p != '*' && *p != '%')
        return *n == *p && naive(p + 1, n + 1, sep);
    for (;; n++) {
        if (naive(p + 1, n, sep))
            return true;
        if (*n == 0 || (*p == '%' && *n == sep))
            return false;
    }
}

static void random_patterns(void **state)
{
    (void)state;
    uint64_t seed = 42;
    for (unsigned k = 0; k < 200000; k++) {
        char p[8], n[8];
        for (size_t i = 0; i < sizeof(p); i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            p[i] = "ab/*%*%"[seed >> 33 & 7]; /* the eighth is the end */
            n[i] = "aab/b/b"[seed >> 40 & 7];
        }
        p[7] = n[7] = 0;
        assert_int_equal(matches(p, n, '/'), naive(p, n, '/'));
    }
}

static void inbox(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_true(name_is_inbox(slice_str("inBox")));
    assert_false(name_is_inbox(slice_str("INBOX.")));
    name_canon(slice_str("inbox"), '.', &b);
    assert_buf(&b, "INBOX");
    name_canon(slice_str("inbox.foo"), '.', &b);
    assert_buf(&b, "INBOX.foo");
    name_canon(slice_str("inbox/foo"), '.', &b);
    assert_buf(&b, "inbox/foo");
    name_canon(slice_str("inboxes"), '.', &b);
    assert_buf(&b, "inboxes");
    name_canon(slice_str("inbox.foo"), 0, &b);
    assert_buf(&b, "inbox.foo");
    struct slice s = name_parent(slice_str("a/b/c"), '/');
    assert_int_equal(s.n, 3);
    assert_int_equal(name_parent(slice_str("a.b"), '/').n, 0);
    assert_int_equal(name_parent(slice_str("a.b"), 0).n, 0);
    buf_free(&b);
}

static const struct name_style courier = {'.', "INBOX."}, dovecot = {'/', ""}, maildir = {'.', ""},
                               flat = {0, ""};

static void mapping(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const struct name_style *from, *to;
        const char *want; /* NULL: refused */
        bool exact;
    } t[] = {
        {"INBOX", &courier, &dovecot, "INBOX", true},
        {"inbox", &dovecot, &courier, "INBOX", true},
        {"INBOX.Sent.2020", &courier, &dovecot, "Sent/2020", true},
        {"inbox.Sent", &courier, &dovecot, "Sent", true},
        {"Sent/2020", &dovecot, &courier, "INBOX.Sent.2020", true},
        {"INBOX.a/b", &courier, &dovecot, "a_b", false},
        {"v1.2", &dovecot, &courier, "INBOX.v1_2", false},
        {"INBOX.Entw&APw-rfe", &courier, &dovecot, "Entw&APw-rfe", true},
        {"INBOX/foo", &dovecot, &maildir, "INBOX.foo", true},
        {"inbox/foo", &dovecot, &courier, "INBOX.foo", false},
        {"INBOX.INBOX", &courier, &dovecot, "INBOX_", false},
        {"INBOX.inbox.x", &courier, &dovecot, "inbox/x", false},
        {"shared.x", &courier, &dovecot, NULL, false},
        {"INBOX.", &courier, &dovecot, NULL, false},
        {"", &dovecot, &courier, NULL, false},
        {"a//b/", &dovecot, &courier, "INBOX.a._.b._", false},
        {"R&D", &dovecot, &maildir, "R&-D", false},
        {"caf\xc3\xa9", &dovecot, &maildir, "caf__", false},
        {"a/b", &dovecot, &flat, "a_b", false},
        {"a b\"\\", &dovecot, &courier, "INBOX.a b\"\\", true},
        {"a/b", &flat, &maildir, "a/b", true},
        {"a.b", &flat, &maildir, "a_b", false},
        {"[Gmail]/All", &dovecot, &maildir, "[Gmail].All", true},
    };
    struct buf b = {0};
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        bool exact = !t[i].exact;
        int r = name_map(slice_str(t[i].name), t[i].from, t[i].to, &b, &exact);
        assert_int_equal(r, t[i].want != NULL ? 0 : E_INVAL);
        assert_int_equal(exact, t[i].exact);
        assert_buf(&b, t[i].want != NULL ? t[i].want : "");
    }
    char long_name[NAME_MAX_BYTES + 2];
    bool exact;
    memset(long_name, 'a', sizeof(long_name));
    assert_int_equal(
        name_map(slice_make(long_name, NAME_MAX_BYTES), &dovecot, &maildir, &b, &exact), 0);
    buf_clear(&b);
    assert_int_equal(
        name_map(slice_make(long_name, NAME_MAX_BYTES), &dovecot, &courier, &b, &exact), E_INVAL);
    assert_int_equal(
        name_map(slice_make(long_name, NAME_MAX_BYTES + 1), &dovecot, &maildir, &b, &exact),
        E_INVAL);
    assert_int_equal(b.len, 0);
    buf_free(&b);
}

/* exact keeps its word, and what is exact is one-to-one. */
static void random_names(void **state)
{
    (void)state;
    static const struct name_style *const styles[] = {&courier, &dovecot, &maildir, &flat};
    static const char *const parts[] = {"INBOX", "inbox", ".", "/", "a", "&APw-",  "&", "\xc3\xa9",
                                        "",      "b",     ".", "/", " ", "INBOX.", "x", "-"};
    struct buf name = {0}, there = {0}, back = {0}, canon = {0};
    uint64_t seed = 7;
    for (unsigned k = 0; k < 50000; k++) {
        for (unsigned i = 0; i < 5; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            buf_puts(&name, parts[seed >> 40 & 15]);
        }
        const struct name_style *from = styles[seed >> 50 & 3], *to = styles[seed >> 52 & 3];
        bool exact, other;
        if (name_map(buf_slice(&name), from, to, &there, &exact) == 0) {
            assert_true(there.len > 0);
            int r = name_map(buf_slice(&there), to, from, &back, &other);
            name_canon(buf_slice(&name), from->sep, &canon);
            assert_int_equal(exact, r == 0 && slice_eq(buf_slice(&back), buf_slice(&canon)));
            if (!name_is_inbox(buf_slice(&name)))
                assert_false(name_is_inbox(buf_slice(&there)));
        }
        buf_clear(&name);
        buf_clear(&there);
        buf_clear(&back);
        buf_clear(&canon);
    }
    buf_free(&name);
    buf_free(&there);
    buf_free(&back);
    buf_free(&canon);
}

static void safe_names(void **state)
{
    (void)state;
    struct buf b = {0};
    assert_int_equal(name_safe(slice_str("INBOX.a\"b&APw-c.\xc3\xa9 1-2"), '.', 0, &b), 0);
    assert_buf(&b, "INBOX.a_b_c.__ 1-2");
    assert_int_equal(name_safe(slice_str("a/b.c"), '/', 12, &b), 0);
    assert_buf(&b, "a/b_c_12");
    assert_int_equal(name_safe(slice_str("R&D"), '/', 0, &b), 0);
    assert_buf(&b, "R_D");
    assert_int_equal(name_safe(slice_str("~a/0123456789012345678901234567890123456789&-x/b"), '/', 2, &b), 0);
    assert_buf(&b, "_a/0123456789012345678901234567890123456789/b_2");
    assert_int_equal(name_safe(slice_str(""), '/', 1, &b), E_INVAL);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mutf7),           cmocka_unit_test(bad_mutf7),
        cmocka_unit_test(all_characters),  cmocka_unit_test(patterns),
        cmocka_unit_test(random_patterns), cmocka_unit_test(inbox),
        cmocka_unit_test(mapping),         cmocka_unit_test(random_names),
        cmocka_unit_test(safe_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
