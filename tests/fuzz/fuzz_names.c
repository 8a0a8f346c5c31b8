/*
 * Names: the first byte chooses the two hosts, the second is the number of a safe name, a NUL ends
 * a pattern. UTF-8 and modified UTF-7 come back; a mapped name is within bounds and is never INBOX
 * unless it was.
 */
#include "config.h"
#include "fuzz.h"
#include "wherry/imap/names.h"
#include <string.h>

static const struct name_style styles[] = {{'.', "INBOX."}, {'/', ""},      {'.', ""},
                                           {0, ""},         {'/', "mail/"}, {'\\', NULL}};
enum { STYLES = sizeof(styles) / sizeof(styles[0]) };

static void mutf7(struct slice name)
{
    struct buf text = {0}, back = {0};
    bool valid = name_is_mutf7(name);
    must((name_to_utf8(name, &text) == 0) == valid);
    if (valid) {
        must(name_from_utf8(buf_slice(&text), &back) == 0);
        must(slice_eq(buf_slice(&back), name));
    }
    buf_clear(&text);
    buf_clear(&back);
    if (name_from_utf8(name, &text) == 0) {
        must(name_is_mutf7(buf_slice(&text)));
        must(name_to_utf8(buf_slice(&text), &back) == 0);
        must(slice_eq(buf_slice(&back), name));
    }
    buf_free(&text);
    buf_free(&back);
}

static void map(struct slice name, const struct name_style *from, const struct name_style *to)
{
    struct buf there = {0}, back = {0};
    bool exact, other;
    int r = name_map(name, from, to, &there, &exact);
    must(r == 0 || (there.len == 0 && !exact));
    if (r == 0) {
        must(there.len > 0 && there.len <= NAME_MAX_BYTES);
        must(name_is_inbox(name) || !name_is_inbox(buf_slice(&there)));
        must(memchr(buf_slice(&there).p, 0, there.len) == NULL);
        if (exact)
            must(name_map(buf_slice(&there), to, from, &back, &other) == 0 && other);
    }
    buf_free(&there);
    buf_free(&back);
}

static void safe(struct slice name, char sep, unsigned n)
{
    struct buf out = {0};
    if (name_safe(name, sep, n, &out) == 0)
        must(name_is_mutf7(buf_slice(&out)) && memchr(buf_slice(&out).p, '&', out.len) == NULL);
    else
        must(out.len == 0);
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3 || size > 2048)
        return 0;
    const struct name_style *from = &styles[data[0] % STYLES],
                            *to = &styles[data[0] / STYLES % STYLES];
    struct slice name = slice_make(data + 2, size - 2);
    mutf7(name);
    map(name, from, to);
    safe(name, from->sep, data[1]);
    must(fuzz_within(name_parent(name, from->sep), name));
    const uint8_t *nul = memchr(name.p, 0, name.n);
    if (nul != NULL) {
        size_t n = (size_t)(nul - name.p);
        struct slice pattern = slice_make(name.p, n), rest = slice_make(nul + 1, name.n - n - 1);
        (void)name_matches(pattern, rest, from->sep);
        must(rest.n > NAME_MAX_BYTES || name_matches(slice_str("*"), rest, from->sep));
    }
    return 0;
}
