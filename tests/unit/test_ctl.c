/* wherryctl: what it shows of a store made here. */
#include "config.h"
#include "unit.h"
#include "ctl/ctl.h"
#include "wherry/net/worker.h"
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct place {
    char dir[64];
    struct log log;
    struct counters counters;
    struct settings settings;
};

/* A unit under construction: only what the test cares about. */
static void put_unit(struct store_batch *b, struct store_unit u)
{
    u.kind = u.kind == 0 ? UNIT_MAILBOX : u.kind;
    u.home = u.state == UNIT_MOVED ? HOME_NEW : HOME_OLD;
    char empty[] = "";
    u.new_name = u.new_name == NULL ? u.view_name : u.new_name;
    u.old_name = u.old_name == NULL ? u.view_name : u.old_name;
    u.reason = u.reason == NULL ? empty : u.reason;
    store_put_unit(b, &u);
}

static void put_account(struct store_batch *b, uint32_t id, const char *name, enum account_state st,
                        const char *not_moved)
{
    char *n = mem_strdup(name), *nm = mem_strdup(not_moved), empty[] = "";
    struct store_account a = {.id = id,
                              .name = n,
                              .state = st,
                              .first_seen = 1714566600,
                              .last_seen = 1714570200,
                              .next_unit = 100,
                              .old_sep = '.',
                              .new_sep = '/',
                              .old_prefix = empty,
                              .new_prefix = empty,
                              .others = nm, .shared = empty};
    store_put_account(b, &a);
    free(n);
    free(nm);
}

static char *text(const char *s)
{
    /* Records hold char *; these are never written to. */
    union {
        const char *c;
        char *p;
    } u = {.c = s};
    return u.p;
}

static void put_left(struct store_batch *b, uint32_t account, uint32_t unit, uint32_t uid,
                     const char *reason)
{
    struct store_left l = {.account = account,
                           .unit = unit,
                           .old_uid = uid,
                           .size = 2048,
                           .date = 1714566600,
                           .when = 1714570200,
                           .flags = text("\\Seen key"),
                           .file = text("1/2/31"),
                           .reason = text(reason)};
    store_put_left(b, &l);
}

static void fill_alice(struct store_batch *b)
{
    put_account(b, 1, "alice@example.org", ACCOUNT_MOVING, "Other Users.\nShared.");
    put_unit(b, (struct store_unit){.account = 1,
                                    .id = 1,
                                    .state = UNIT_MOVED,
                                    .view_name = text("INBOX"),
                                    .found = 100,
                                    .moved = 97,
                                    .left_behind = 2,
                                    .vanished = 1,
                                    .stragglers = 3,
                                    .bytes = 1572864});
    put_unit(b, (struct store_unit){.account = 1,
                                    .id = 2,
                                    .state = UNIT_COPYING,
                                    .attempts = 3,
                                    .view_name = text("Entw&APw-rfe"),
                                    .found = 40,
                                    .moved = 20,
                                    .bytes = 1000,
                                    .reason = text("old host: \x1b[31mtimeout")});
    put_unit(b, (struct store_unit){
                    .account = 1, .id = 3, .state = UNIT_UNTOUCHED, .view_name = text("Archive")});
    put_unit(b, (struct store_unit){.account = 1,
                                    .id = 4,
                                    .state = UNIT_MOVED,
                                    .view_name = text("Made"),
                                    .old_name = text("")});
    put_unit(b, (struct store_unit){.account = 1,
                                    .id = 5,
                                    .state = UNIT_DELETED,
                                    .view_name = text("Gone"),
                                    .found = 10,
                                    .moved = 4});
    put_unit(b, (struct store_unit){.account = 1,
                                    .id = 6,
                                    .state = UNIT_UNTOUCHED,
                                    .kind = UNIT_FOLDER,
                                    .view_name = text("Lists")});
    put_left(b, 1, 1, 31, "NO [LIMIT] too \"big\"\x07");
    put_left(b, 1, 1, 62, "NO no header");
}

static void fill(struct place *p, bool all)
{
    struct store *s;
    struct err e;
    struct worker *w = worker_new(&p->log, &p->counters);
    assert_int_equal(store_open(&s, w, p->settings.store_path, false, &e), 0);
    struct store_batch *b = store_batch_new(s);
    store_identity_put(b, SLICE_LIT("imap a:993|imap b:143"));
    put_account(b, 7, "bob@example.org", ACCOUNT_KNOWN, "");
    put_unit(b, (struct store_unit){.account = 7,
                                    .id = 1,
                                    .state = UNIT_MOVED,
                                    .view_name = text("INBOX"),
                                    .found = 5,
                                    .moved = 5,
                                    .bytes = 500});
    if (all) {
        fill_alice(b);
        put_left(b, 7, 1, 9, "NO quota\r\nx");
    }
    store_submit(&b, NULL);
    store_close(&s);
    worker_free(&w);
}

static int make_place(void **state)
{
    struct place *p = mem_alloc(sizeof(*p));
    p->log = (struct log){.fd = STDERR_FILENO, .level = LOG_WARN};
    snprintf(p->dir, sizeof(p->dir), "/tmp/wherry-ctl-XXXXXX");
    if (mkdtemp(p->dir) == NULL)
        return -1;
    p->settings.store_path = mem_printf("%s/store", p->dir);
    p->settings.spool_path = mem_strdup("/spool");
    p->settings.default_domain = mem_strdup("example.org");
    p->settings.fold_case = true;
    *state = p;
    return 0;
}

static int drop_place(void **state)
{
    struct place *p = *state;
    static const char *const files[] = {"data.mdb", "lock.mdb", "wherryd.lock", "lock",
                                        "daemon.lock"};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        char *path = mem_printf("%s/%s", p->settings.store_path, files[i]);
        unlink(path);
        free(path);
    }
    rmdir(p->settings.store_path);
    rmdir(p->dir);
    free(p->settings.store_path);
    free(p->settings.spool_path);
    free(p->settings.default_domain);
    free(p);
    return 0;
}

enum what { STATUS, ACCOUNT, LEFT };

/* Runs a command; the caller frees out. */
static void run(struct place *p, enum what what, const char *name, bool json, struct buf *out)
{
    struct store *s;
    struct ctl_model m;
    struct err e = {0};
    size_t index = SIZE_MAX;
    struct ctl_output o = {.out = out, .json = json, .width = 80};
    *out = (struct buf){0};
    assert_int_equal(store_open(&s, NULL, p->settings.store_path, true, &e), 0);
    assert_int_equal(ctl_model_read(&m, s, &p->settings, &e), 0);
    assert_int_equal(m.damaged, 0);
    if (name != NULL)
        assert_int_equal(ctl_model_find(&m, name, &index), 0);
    if (what == STATUS)
        ctl_show_status(&o, &m);
    else if (what == ACCOUNT)
        assert_int_equal(ctl_show_account(&o, &m, s, index, &e), 0);
    else
        assert_int_equal(ctl_show_left(&o, &m, s, index, &e), 0);
    ctl_model_free(&m);
    store_close(&s);
}

static void shows(struct place *p, enum what what, const char *name, bool json, const char *want)
{
    struct buf out;
    run(p, what, name, json, &out);
    assert_string_equal(buf_cstr(&out), want);
    buf_free(&out);
}

static void absent(void **state)
{
    struct place *p = *state;
    struct store *s;
    struct err e = {0};
    assert_int_equal(store_open(&s, NULL, p->settings.store_path, true, &e), E_NOTFOUND);
    assert_non_null(strstr(e.text, "no store in"));
}

static void status_text(void **state)
{
    struct place *p = *state;
    fill(p, false);
    shows(p, STATUS, NULL, false,
          "imap a:993 -> imap b:143\n\n"
          "accounts   1: 1 moved\n"
          "mailboxes  1: 1 moved\n"
          "messages   5 found = 5 moved + 0 left behind + 0 vanished + 0 to copy\n"
          "bytes      500 B moved\n\n"
          "bob@example.org [####################] 100 %  1 of 1 mailbox, 5 messages\n\n"
          "Everything known has moved.\n"
          "No mailbox known needs the old host any longer; it still checks passwords.\n");
    fill(p, true);
    shows(p, STATUS, NULL, false,
          "imap a:993 -> imap b:143\n\n"
          "accounts   2: 1 moved\n"
          "mailboxes  4: 2 moved, 1 being copied, 1 untouched, 1 with a failure\n"
          "           besides: 1 made on the new host, 1 deleted\n"
          "messages   149 found = 126 moved + 2 left behind + 1 vanished + 20 to copy\n"
          "bytes      1.5 MiB moved\n"
        "late       3 that reached the old host after the move\n\n"
          "alice@example.org [#########.........]  50 %  1 of 3 mailboxes, 121 messages, 2 left "
          "behind, 1 with a failure\n"
          "bob@example.org   [##################] 100 %  1 of 1 mailbox, 5 messages\n\n"
          "Not all has moved: 2 mailboxes are still at home on the old host.\n"
          "2 messages were refused by the new host and kept: see wherryctl left-behind.\n"
          "The old host is still needed: mailboxes of 1 account are at home there (alice@example.org: "
          "Entw\xc3\xbcrfe, Archive).\n");
}

/* The last line names some, and says how many more there are. */
static void last_line_is_bounded(void **state)
{
    struct place *p = *state;
    struct store *s;
    struct err e;
    struct buf out;
    char name[300];
    struct worker *w = worker_new(&p->log, &p->counters);
    assert_int_equal(store_open(&s, w, p->settings.store_path, false, &e), 0);
    struct store_batch *b = store_batch_new(s);
    for (uint32_t a = 0; a < 12; a++) {
        snprintf(name, sizeof(name), "%0200u@example.org", (unsigned)a);
        put_account(b, 100 + a, name, a == 0 ? ACCOUNT_NEW : ACCOUNT_KNOWN, "");
        for (uint32_t u = 1; a > 0 && u < 11; u++) {
            snprintf(name, sizeof(name), "box %0200u", (unsigned)u);
            put_unit(b, (struct store_unit){.account = 100 + a, .id = u, .state = UNIT_UNTOUCHED, .view_name = name});
        }
    }
    store_submit(&b, NULL);
    store_close(&s);
    worker_free(&w);
    run(p, STATUS, NULL, false, &out);
    const char *last = strstr(buf_cstr(&out), "The old host is still needed");
    assert_non_null(last);
    assert_true(strlen(last) < 1500);
    assert_non_null(strstr(last, "mailboxes of 13 accounts are at home there (alice@example.org: Entw\xc3\xbcrfe, Archive; 000"));
    assert_non_null(strstr(last, ": all, none is known yet; 000"));
    assert_non_null(strstr(last, "... and 7 more; 000"));
    assert_non_null(strstr(last, "; and 8 accounts more).\n"));
    buf_free(&out);
}

static void account_text(void **state)
{
    shows(
        *state, ACCOUNT, "Alice", false,
        "alice@example.org: moving, first seen 2024-05-01 12:30 UTC, last seen 2024-05-01 13:30 "
        "UTC\n"
        "1 of 3 mailboxes moved; messages: 144 found = 121 moved + 2 left behind + 1 vanished + 20 "
        "to copy\n\n"
        "mailbox   state        found    moved   left vanished  bytes\n"
        "INBOX     moved          100       97      2        1  1.5 MiB  + 3 late\n"
        "Archive   untouched\n"
        "Entw\xc3\xbcrfe  copying         40       20      0        0  1000 B\n"
        "    try 3 failed: old host: ?[31mtimeout\n"
        "Lists     folder\n"
        "Made      new\n"
        "Gone      deleted          4        4      0        0  0 B\n\n"
        "Not moved, served from the old host (other people's mailboxes): Other Users., Shared.\n");
}

static void left_text(void **state)
{
    shows(*state, LEFT, "bob", false,
          "bob@example.org, INBOX:\n"
          "  UID 9, 2.0 KiB, of 2024-05-01 12:30 UTC, flags \\Seen key\n"
          "    refused: NO quota??x\n"
          "    kept in: /spool/1/2/31\n\n"
          "1 message left behind.\n");
    struct buf out;
    run(*state, LEFT, NULL, false, &out);
    assert_non_null(strstr(buf_cstr(&out), "alice@example.org, INBOX:\n  UID 31"));
    assert_non_null(strstr(buf_cstr(&out), "\n3 messages left behind.\n"));
    buf_free(&out);
}

static void json_output(void **state)
{
    struct place *p = *state;
    struct buf out;
    run(p, STATUS, NULL, true, &out);
    const char *s = buf_cstr(&out);
    assert_non_null(strstr(s, "\"accounts\":{\"total\":2,\"moved\":1},\"mailboxes\":{\"total\":4,"
                              "\"untouched\":1,\"copying\":1,\"switching\":0,\"moved\":2,"));
    assert_non_null(strstr(s,
                           "\"messages\":{\"found\":149,\"moved\":126,\"left_behind\":2,"
                           "\"vanished\":1,\"to_copy\":20},\"stragglers\":3,\"bytes\":1574364,\"complete\":false"));
    buf_free(&out);
    run(p, ACCOUNT, "alice@example.org", true, &out);
    s = buf_cstr(&out);
    assert_non_null(strstr(s, "\"not_moved\":[\"Other Users.\",\"Shared.\"]"));
    assert_non_null(strstr(s, "{\"name\":\"Entw\xc3\xbcrfe\",\"wire_name\":\"Entw&APw-rfe\","));
    assert_non_null(strstr(s, "\"reason\":\"old host: \\u001b[31mtimeout\"}"));
    buf_free(&out);
    run(p, LEFT, NULL, true, &out);
    s = buf_cstr(&out);
    assert_non_null(strstr(s, "{\"total\":3,"));
    assert_non_null(strstr(s, "{\"account\":\"alice@example.org\",\"mailbox\":\"INBOX\",\"uid\":31,"
                              "\"size\":2048,\"date\":1714566600,\"when\":1714570200,"
                              "\"flags\":\"\\\\Seen key\",\"file\":\"/spool/1/2/31\","
                              "\"reason\":\"NO [LIMIT] too \\\"big\\\"\\u0007\"}"));
    buf_free(&out);
}

static void accounts_by_name(void **state)
{
    struct place *p = *state;
    struct store *s;
    struct ctl_model m;
    struct err e = {0};
    size_t i;
    assert_int_equal(store_open(&s, NULL, p->settings.store_path, true, &e), 0);
    assert_int_equal(ctl_model_read(&m, s, &p->settings, &e), 0);
    assert_int_equal(ctl_model_find(&m, "BOB", &i), 0);
    assert_int_equal(m.accounts[i].record.id, 7);
    assert_int_equal(ctl_model_find(&m, "bob@Example.org", &i), 0);
    assert_int_equal(ctl_model_find(&m, "bob@example.com", &i), E_NOTFOUND);
    assert_int_equal(ctl_model_find(&m, "", &i), E_NOTFOUND);
    ctl_model_free(&m);
    store_close(&s);
}

static void safe_one(const char *in, size_t n, const char *shown, const char *json)
{
    struct buf out = {0};
    struct json j = {.out = &out};
    text_put(&out, slice_make(in, n), 0, 0);
    assert_string_equal(buf_cstr(&out), shown);
    buf_clear(&out);
    json_str(&j, NULL, slice_make(in, n));
    assert_string_equal(buf_cstr(&out), json);
    buf_free(&out);
}

static void hostile_names(void **state)
{
    (void)state;
    safe_one("a\x1b]0;x\x07", 7, "a?]0;x?", "\"a\\u001b]0;x\\u0007\"");
    safe_one("a\xff\xc3", 3, "a??", "\"a\\ufffd\\ufffd\"");
    safe_one("\xc2\x9b"
             "31m",
             5, "?31m",
             "\"\xc2\x9b"
             "31m\"");
    safe_one("a\xe2\x80\xae"
             "b",
             5, "a?b",
             "\"a\xe2\x80\xae"
             "b\"");
    safe_one("a\0b", 3, "a?b", "\"a\\u0000b\"");
    safe_one("\xed\xa0\x80", 3, "???", "\"\\ufffd\\ufffd\\ufffd\"");
    safe_one("\xf0\x9f\x93\xac", 4, "\xf0\x9f\x93\xac", "\"\xf0\x9f\x93\xac\"");
}

static void padding(void **state)
{
    (void)state;
    struct buf out = {0};
    text_put(&out, slice_str("\xe6\x97\xa5\xe6\x9c\xac"), 6, 6); /* two wide characters */
    buf_putc(&out, '|');
    text_put(&out, slice_str("abcdefgh"), 6, 6);
    buf_putc(&out, '|');
    text_put_bar(&out, 0.999, 10);
    text_put_bar(&out, 0.001, 10);
    text_put_bar(&out, 1, 10);
    text_put_bytes(&out, 1023);
    text_put_bytes(&out, 1048575);
    assert_string_equal(buf_cstr(&out), "\xe6\x97\xa5\xe6\x9c\xac  |abc...|[#########.][#.........]"
                                        "[##########]1023 B1.0 MiB");
    buf_free(&out);
}

int main(void)
{
    if (setlocale(LC_CTYPE, "C.UTF-8") == NULL)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent),        cmocka_unit_test(status_text),
        cmocka_unit_test(account_text),  cmocka_unit_test(left_text),
        cmocka_unit_test(json_output),   cmocka_unit_test(accounts_by_name),
        cmocka_unit_test(hostile_names), cmocka_unit_test(padding),
        cmocka_unit_test(last_line_is_bounded)};
    return cmocka_run_group_tests(tests, make_place, drop_place);
}
