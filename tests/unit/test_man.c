/* wherryd.conf(5) against the table of options: each is in the other, with default, bounds and
 * words. */
#include "config.h"
#include "unit.h"
#include "wherry/conf/conf.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *read_page(void)
{
    struct buf text = {0};
    FILE *f = fopen(MAN_DIR "/wherryd.conf.5", "r");
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

/* What the page says of a setting, with its lines joined by blanks; NULL when it is not there. */
static char *entry_of(const char *page, const char *path)
{
    char *item = mem_printf("\n.It Cm %s\n", path);
    const char *start = strstr(page, item);
    char *entry = NULL;
    if (start != NULL) {
        start += strlen(item);
        const char *next = strstr(start, "\n.It "), *end = strstr(start, "\n.El");
        assert_non_null(end);
        end = next != NULL && next < end ? next : end;
        entry = slice_dup(slice_make(start, (size_t)(end - start)));
        for (char *p = entry; *p != '\0'; p++)
            *p = *p == '\n' ? ' ' : *p;
    }
    free(item);
    return entry;
}

static void put_bound(struct buf *out, const struct conf_option *o, uint64_t v)
{
    unsigned shift = v == 0                  ? 0
                     : v % (1ull << 30) == 0 ? 30
                     : v % (1ull << 20) == 0 ? 20
                     : v % 1024 == 0         ? 10
                                             : 0;
    if (o->type == CONF_SIZE && shift > 0)
        buf_printf(out, "%llu%c", (unsigned long long)(v >> shift), " KMG"[shift / 10]);
    else
        buf_printf(out, "%llu", (unsigned long long)v);
}

static void must_say(const struct conf_option *o, const char *entry, const char *what)
{
    if (strstr(entry, what) == NULL)
        fail_msg("wherryd.conf(5), %s: does not say \"%s\"", o->path, what);
}

static void check_entry(const struct conf_option *o, const char *entry)
{
    struct buf want = {0};
    if (o->def != NULL)
        buf_printf(&want, "Default %s", o->def);
    else
        buf_puts(&want, o->type == CONF_NUMBER ? "Default " : "No default");
    must_say(o, entry, buf_cstr(&want));
    if (o->type == CONF_NUMBER || o->type == CONF_SIZE || o->type == CONF_DURATION) {
        buf_clear(&want);
        buf_puts(&want, "from ");
        put_bound(&want, o, o->min);
        buf_puts(&want, " to ");
        put_bound(&want, o, o->max);
        must_say(o, entry, buf_cstr(&want));
    }
    for (unsigned i = 0; o->words != NULL && o->words[i] != NULL; i++)
        must_say(o, entry, o->words[i]);
    if (o->reloadable == (strstr(entry, "Needs a restart.") != NULL))
        fail_msg("wherryd.conf(5), %s: wrong about a restart", o->path);
    buf_free(&want);
}

static void table_is_in_page(void **state)
{
    (void)state;
    unsigned n;
    const struct conf_option *t = conf_table(&n);
    char *page = read_page();
    for (unsigned i = 0; i < n; i++) {
        char *entry = entry_of(page, t[i].path);
        if (entry == NULL)
            fail_msg("wherryd.conf(5) does not have %s", t[i].path);
        else
            check_entry(&t[i], entry);
        free(entry);
    }
    free(page);
}

static void page_is_in_table(void **state)
{
    (void)state;
    unsigned n, found = 0;
    const struct conf_option *t = conf_table(&n);
    char *page = read_page();
    for (const char *p = strstr(page, "\n.It Cm "); p != NULL; p = strstr(p + 1, "\n.It Cm ")) {
        const char *name = p + strlen("\n.It Cm ");
        size_t len = strcspn(name, "\n");
        unsigned i = 0;
        while (i < n && !slice_is(slice_make(name, len), t[i].path))
            i++;
        if (i == n)
            fail_msg("wherryd.conf(5) has %.*s, which is no setting", (int)len, name);
        found++;
    }
    assert_int_equal(found, n); /* none of them twice */
    free(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(table_is_in_page),
                                       cmocka_unit_test(page_is_in_table)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
