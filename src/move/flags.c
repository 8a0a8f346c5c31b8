/* See flags.h. Rejected: the list itself in each record (a mailbox of a million messages has a million of them). */
#include "move/flags.h"
#include <string.h>

enum { SYSTEM_FLAGS = 5, KNOWN = 1, SYSTEM_SHIFT = 1, KEYWORD_SHIFT = 6 };

static const char *const system_flags[SYSTEM_FLAGS] = {"\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft"};

/* Takes the next flag off the list. */
static bool next_flag(struct slice *list, struct slice *flag)
{
    while (list->n > 0) {
        const uint8_t *sp = memchr(list->p, ' ', list->n);
        size_t n = sp != NULL ? (size_t)(sp - list->p) : list->n;
        *flag = slice_make(list->p, n);
        n += sp != NULL;
        *list = slice_make(list->p + n, list->n - n);
        if (flag->n > 0)
            return true;
    }
    return false;
}

/* Its bit, 0: a keyword. */
static uint32_t system_bit(struct slice flag)
{
    for (unsigned i = 0; i < SYSTEM_FLAGS; i++)
        if (slice_is_nocase(flag, system_flags[i]))
            return 1u << (i + SYSTEM_SHIFT);
    return 0;
}

/* FNV-1a, folded and mixed: only equality for one message matters, and what is put into a sum must not cancel out. */
static uint32_t keyword_hash(struct slice word)
{
    uint64_t h = 14695981039346656037ULL;
    for (size_t i = 0; i < word.n; i++) {
        uint8_t c = word.p[i];
        h = (h ^ (c >= 'A' && c <= 'Z' ? c | 0x20u : c)) * 1099511628211ULL;
    }
    h ^= h >> 32;
    return (uint32_t)(h * 0x9e3779b97f4a7c15ULL >> 32);
}

uint32_t flags_digest(struct slice flags)
{
    struct slice one;
    uint32_t bits = KNOWN, keywords = 0;
    bool any = false;
    while (next_flag(&flags, &one)) {
        uint32_t bit = system_bit(one);
        bits |= bit;
        if (bit == 0) {
            keywords += keyword_hash(one);
            any = true;
        }
    }
    keywords <<= KEYWORD_SHIFT;
    if (any && keywords == 0)
        keywords = 1u << KEYWORD_SHIFT;
    return bits | keywords;
}

static bool has(struct slice list, struct slice flag)
{
    struct slice one;
    while (next_flag(&list, &one))
        if (slice_eq_nocase(one, flag))
            return true;
    return false;
}

static void put(struct buf *list, struct slice flag)
{
    if (list->len > 0)
        buf_putc(list, ' ');
    buf_put_slice(list, flag);
}

/* The keywords of a that b has not. True when there are any; list may be NULL. */
static bool keywords_beyond(struct slice a, struct slice b, struct buf *list)
{
    struct slice one;
    bool any = false;
    while (next_flag(&a, &one)) {
        if (system_bit(one) != 0 || has(b, one))
            continue;
        any = true;
        if (list != NULL)
            put(list, one);
    }
    return any;
}

static bool merge_system(uint32_t base, uint32_t old, uint32_t new, struct buf *add, struct buf *remove)
{
    bool differs = false;
    for (unsigned i = 0; i < SYSTEM_FLAGS; i++) {
        uint32_t bit = 1u << (i + SYSTEM_SHIFT);
        if (((old ^ new) & bit) == 0)
            continue;
        if (base != FLAGS_UNKNOWN && ((old ^ base) & bit) == 0)
            differs = true; /* new alone changed it */
        else
            put((old & bit) != 0 ? add : remove, slice_str(system_flags[i]));
    }
    return differs;
}

bool flags_merge(uint32_t base, struct slice old, struct slice new, struct buf *add, struct buf *remove)
{
    uint32_t o = flags_digest(old), n = flags_digest(new);
    bool differs = merge_system(base, o, n, add, remove);
    bool old_changed = o >> KEYWORD_SHIFT != base >> KEYWORD_SHIFT;
    bool new_changed = n >> KEYWORD_SHIFT != base >> KEYWORD_SHIFT;
    if (base != FLAGS_UNKNOWN && new_changed && !old_changed) {
        bool more = keywords_beyond(new, old, NULL), less = keywords_beyond(old, new, NULL);
        return differs || more || less;
    }
    keywords_beyond(old, new, add);
    if (base != FLAGS_UNKNOWN && new_changed)
        return keywords_beyond(new, old, NULL) || differs;
    keywords_beyond(new, old, remove);
    return differs;
}
