/* The table of capabilities: wherry-imap(7) says the same, and what is hidden is never offered. */
#include "config.h"
#include "unit.h"
#include "front/caps.h"
#include "wherry/base/mem.h"
#include "wherry/imap/caps.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ROWS = 200 };

static char *read_page(void)
{
    struct buf text = {0};
    FILE *f = fopen(MAN_DIR "/wherry-imap.7", "r");
    size_t n;
    assert_non_null(f);
    do {
        n = fread(buf_reserve(&text, 65536), 1, 65536, f);
        buf_commit(&text, n);
    } while (n > 0);
    fclose(f);
    char *page = slice_dup(buf_slice(&text));
    buf_free(&text);
    return page;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct cap_row *)a)->name, ((const struct cap_row *)b)->name);
}

static unsigned all_rows(struct cap_row *rows)
{
    unsigned n = 0;
    while (front_caps_row(n, &rows[n]))
        assert_true(++n < MAX_ROWS);
    qsort(rows, n, sizeof(*rows), by_name);
    return n;
}

static void join_lines(char *text)
{
    for (; *text != '\0'; text++)
        *text = *text == '\n' ? ' ' : *text;
}

/* The page's list is the table, sorted by name, with lines broken anywhere. What a new row wants there is what the test prints. */
static void page_is_table(void **state)
{
    (void)state;
    struct cap_row rows[MAX_ROWS];
    struct buf want = {0};
    unsigned n = all_rows(rows);
    char *page = read_page();
    join_lines(page);
    const char *at = strstr(page, ".Sh CAPABILITIES .Bl -tag -width Ds ");
    assert_non_null(at);
    at = strstr(at, " .It ");
    assert_non_null(at);
    at++;
    for (unsigned i = 0; i < n; i++) {
        buf_clear(&want);
        buf_printf(&want, ".It Cm %s %s: %s. ", rows[i].name, rows[i].how, rows[i].why);
        if (strncmp(at, buf_cstr(&want), want.len) != 0)
            fail_msg("wherry-imap(7) should go on with\n%s", buf_cstr(&want));
        at += want.len;
    }
    assert_true(strncmp(at, ".El ", 4) == 0); /* and has no more */
    buf_free(&want);
    free(page);
}

static void rows_are_whole(void **state)
{
    (void)state;
    struct cap_row rows[MAX_ROWS];
    unsigned n = all_rows(rows);
    for (unsigned i = 0; i < n; i++) {
        if (rows[i].why == NULL)
            fail_msg("%s has no reason", rows[i].name);
        assert_true(rows[i].name[0] != '\0' && rows[i].why[0] != '\0');
        assert_true(i == 0 || strcmp(rows[i].name, rows[i - 1].name) != 0);
    }
}

/* A host that has everything: what is offered are the rows that say so. */
static void offered_as_told(void **state)
{
    (void)state;
    struct cap_row rows[MAX_ROWS];
    struct buf host = {0}, offered = {0};
    unsigned n = all_rows(rows);
    for (unsigned i = 0; i < n; i++)
        buf_printf(&host, "%s%s", i > 0 ? " " : "", strcmp(rows[i].name, "X-*") == 0 ? "X-ODD" : rows[i].name);
    buf_putc(&offered, ' ');
    front_caps_put(&offered, front_caps_offer(imap_caps_parse(buf_slice(&host))), 5);
    buf_putc(&offered, ' ');
    for (unsigned i = 0; i < n; i++) {
        bool limit = strcmp(rows[i].name, "APPENDLIMIT") == 0;
        char *word = mem_printf(" %s%s ", rows[i].name, limit ? "=5" : "");
        bool there = strstr(buf_cstr(&offered), word) != NULL;
        bool want = strcmp(rows[i].how, "Hidden") != 0 && strcmp(rows[i].how, "Own, before sign-in") != 0;
        if (there != want)
            fail_msg("%s is %soffered, but %s", rows[i].name, there ? "" : "not ", rows[i].how);
        free(word);
    }
    buf_free(&host);
    buf_free(&offered);
}

/* Before sign-in. */
static void offered_to_guests(void **state)
{
    (void)state;
    struct cap_row rows[MAX_ROWS];
    unsigned n = all_rows(rows);
    struct buf offered = {0};
    front_caps_put_guest(&offered, true, true);
    buf_putc(&offered, ' ');
    front_caps_put_guest(&offered, true, false);
    struct slice rest = buf_slice(&offered);
    while (rest.n > 0) {
        const uint8_t *space = memchr(rest.p, ' ', rest.n);
        struct slice word = slice_make(rest.p, space != NULL ? (size_t)(space - rest.p) : rest.n);
        bool own = false;
        for (unsigned i = 0; i < n; i++)
            own = own || (slice_is(word, rows[i].name) && strncmp(rows[i].how, "Own", 3) == 0);
        assert_true(own);
        size_t used = word.n + (space != NULL);
        rest = slice_make(rest.p + used, rest.n - used);
    }
    buf_free(&offered);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(page_is_table), cmocka_unit_test(rows_are_whole),
                                       cmocka_unit_test(offered_as_told),
                                       cmocka_unit_test(offered_to_guests)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
