/* Commands of a client through the translator: what comes out is one command, and names no UID that
 * is not mapped. */
#include "config.h"
#include "fuzz.h"
#include "front/list.h"
#include "wherry/imap/set.h"
#include <stdlib.h>
#include <string.h>

/* View 10..14 -> 1..5, 20..29 -> 6..15, tail 5000 -> 100. */
static void make_map(struct uidmap *m)
{
    uidmap_init(m);
    for (uint32_t i = 0; i < 15; i++)
        must(uidmap_add(m, i < 5 ? 10 + i : 15 + i, 1 + i) == 0);
    must(uidmap_set_tail(m, 5000, 100) == 0);
}

static int to_new(void *arg, struct slice view, struct buf *out)
{
    (void)arg;
    if (view.n == 0 || view.n > 100)
        return E_INVAL;
    buf_put_slice(out, view);
    return 0;
}

/* A set that begins the text names only what the map has. */
static void check_set(struct slice text)
{
    uint32_t lo, hi;
    size_t n = 0;
    while (n < text.n && text.p[n] != ' ')
        n++;
    struct slice set = slice_make(text.p, n);
    while (imap_set_next(&set, &lo, &hi) > 0) {
        must(lo == SET_STAR || lo <= 15 || lo >= 100);
        must(hi == SET_STAR || hi <= 15 || hi >= 100);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const grammars[] = {"ui", "qi", "ua", "um", "u", "m",
                                           "mm", "ml", "mw", "s",  "o", "t",
                                           "uic", "mp", "umw", "qmw", "mC", "r",
                                           "rL", "mnn", "g", "Me"};
    if (size == 0)
        return 0;
    const char *g = grammars[data[0] % (sizeof(grammars) / sizeof(*grammars))];
    struct uidmap map;
    struct tr_out out = {0};
    make_map(&map);
    const struct tr_view v = {.map = &map,
                              .caps = ~(uint64_t)0,
                              .name_to_new = to_new,
                              .enabled = ~(uint64_t)0,
                              .modseq = {.shift = 1000, .old = 500, .new = 70}};
    enum tr r = tr_command(g, &v, slice_make(data + 1, size - 1), &out);
    if (r == TR_BAD)
        must(out.error != NULL);
    if (r == TR_OK) {
        struct imap_args a;
        struct tok t;
        struct slice text = buf_slice(&out.text);
        if (g[0] == 'u')
            check_set(text);
        if (g[strlen(g) - 1] == 'w')
            text.n--;
        imap_args_init(&a, text);
        while (imap_args_peek(&a, &t))
            must(imap_args_tok(&a, &t));
        must(imap_args_done(&a));
    }
    tr_clear(&out);
    uidmap_free(&map);
    struct list_want want = {0};
    if (!list_want_parse(&want, (data[0] & 128) != 0, slice_make(data + 1, size - 1), ~(uint64_t)0))
        must(want.error != NULL);
    else
        must(want.n > 0 && want.n <= LIST_PATTERNS);
    list_want_free(&want);
    return 0;
}
