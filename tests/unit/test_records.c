/* Records: there and back, cut at every byte, every byte changed, and what a decoder must refuse.
 */
#include "config.h"
#include "unit.h"
#include "store/codec.h"
#include "wherry/base/mem.h"
#include "wherry/store/records.h"
#include <stdlib.h>
#include <string.h>

static uint64_t next_random(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

static const uint64_t edges[] = {0,     1,         127,        128,       16383,
                                 16384, INT32_MAX, UINT32_MAX, INT64_MAX, UINT64_MAX};

/* Numbers of all sizes, edges among them. */
static uint64_t any64(uint64_t *x)
{
    uint64_t r = next_random(x);
    return r % 3 == 0 ? edges[(r >> 8) % (sizeof(edges) / sizeof(edges[0]))]
                      : next_random(x) >> (r >> 8) % 64;
}

static uint32_t any32(uint64_t *x)
{
    return (uint32_t)any64(x);
}

static char *any_text(uint64_t *x)
{
    size_t n = next_random(x) % 5 == 0 ? next_random(x) % 300 : next_random(x) % 12;
    char *s = mem_alloc(n + 1);
    for (size_t i = 0; i < n; i++)
        s[i] = (char)(1 + next_random(x) % 255);
    return s;
}

static void numbers(void **state)
{
    (void)state;
    uint64_t x = 88172645463325252u;
    for (int i = 0; i < 20000; i++) {
        uint64_t v = any64(&x);
        struct buf b = {0};
        codec_put_u64(&b, v);
        codec_put_i64(&b, (int64_t)v);
        codec_put_i64(&b, (int64_t)(0 - v));
        assert_true(b.len <= 30);
        struct codec_in in = {.p = buf_slice(&b).p, .n = b.len};
        assert_true(codec_u64(&in) == v);
        assert_true(codec_i64(&in) == (int64_t)v);
        assert_true(codec_i64(&in) == (int64_t)(0 - v));
        assert_int_equal(codec_end(&in), 0);
        assert_int_equal(codec_u8(&in), 0);
        assert_int_equal(codec_end(&in), E_CORRUPT);
        buf_free(&b);
    }
}

static void wrong_numbers(void **state)
{
    (void)state;
    static const struct slice rows[] = {
        SLICE_LIT(""),
        SLICE_LIT("\x80"),
        SLICE_LIT("\x80\x00"),                                 /* not the shortest form */
        SLICE_LIT("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), /* 65 bits */
        SLICE_LIT("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00"),
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct codec_in in = {.p = rows[i].p, .n = rows[i].n};
        assert_true(codec_u64(&in) == 0);
        assert_true(in.bad);
    }
    struct codec_in in = {.p = (const uint8_t *)"\x80\x80\x80\x80\x10", .n = 5};
    assert_int_equal(codec_u32(&in), 0); /* 33 bits */
    assert_true(in.bad);
    in = (struct codec_in){.p = (const uint8_t *)"\x05", .n = 1};
    assert_int_equal(codec_enum(&in, 1, 4), 0);
    assert_true(in.bad);
    in = (struct codec_in){.p = (const uint8_t *)"\x03"
                                                 "a\0b",
                           .n = 4};
    char *s = codec_str(&in);
    assert_string_equal(s, "");
    assert_true(in.bad);
    free(s);
    in = (struct codec_in){.p = (const uint8_t *)"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01xx",
                           .n = 12};
    s = codec_str(&in);
    assert_string_equal(s, "");
    assert_true(in.bad);
    free(s);
}

static bool zeroed(const void *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (((const char *)p)[i] != 0)
            return false;
    }
    return true;
}

/* One kind of record behind the same four functions. */
union record {
    struct store_account account;
    struct store_unit unit;
    struct store_intent intent;
    struct store_left left;
    struct store_item item;
};

enum kind { ACCOUNT, UNIT, INTENT, LEFT, ITEM, KINDS };

static int decode(enum kind k, union record *r, struct slice v)
{
    return k == ACCOUNT  ? store_account_decode(&r->account, v)
           : k == UNIT   ? store_unit_decode(&r->unit, v)
           : k == INTENT ? store_intent_decode(&r->intent, v)
           : k == LEFT   ? store_left_decode(&r->left, v)
                         : store_item_decode(&r->item, v);
}

static void encode(enum kind k, struct buf *out, const union record *r)
{
    if (k == ACCOUNT)
        store_account_encode(out, &r->account);
    else if (k == UNIT)
        store_unit_encode(out, &r->unit);
    else if (k == INTENT)
        store_intent_encode(out, &r->intent);
    else if (k == LEFT)
        store_left_encode(out, &r->left);
    else
        store_item_encode(out, &r->item);
}

static void clear(enum kind k, union record *r)
{
    if (k == ACCOUNT)
        store_account_clear(&r->account);
    else if (k == UNIT)
        store_unit_clear(&r->unit);
    else if (k == INTENT)
        store_intent_clear(&r->intent);
    else if (k == LEFT)
        store_left_clear(&r->left);
    else
        store_item_clear(&r->item);
}

static void fill_unit(struct store_unit *u, uint64_t *x)
{
    *u = (struct store_unit){
        .account = any32(x),
        .id = any32(x),
        .kind = UNIT_MAILBOX + next_random(x) % 5,
        .state = UNIT_UNTOUCHED + next_random(x) % 5,
        .home = HOME_OLD + next_random(x) % 2,
        .old_name = any_text(x),
        .view_name = any_text(x),
        .new_name = any_text(x),
        .old_uidvalidity = any32(x),
        .view_uidvalidity = any32(x),
        .new_uidvalidity = any32(x),
        .min_view_uidvalidity = any32(x),
        .modseq_shift = any64(x),
        .found = any64(x),
        .moved = any64(x),
        .left_behind = any64(x),
        .vanished = any64(x),
        .bytes = any64(x),
        .copied_to = any32(x),
        .attempts = any32(x),
        .started = (int64_t)any64(x),
        .finished = (int64_t)any64(x),
        .reason = any_text(x),
        .old_modseq = any64(x),
        .new_modseq = any64(x),
        .straggler_uid = any32(x),
        .stragglers = any64(x),
        .special = next_random(x) % 2 == 0,
        .settled_modseq = any64(x),
    };
    if (!unit_is_collection(u->kind))
        return;
    u->old_href = any_text(x);
    u->new_href = any_text(x);
    u->title = any_text(x);
    u->components = any_text(x);
    u->spelling = any_text(x);
    u->old_token = any_text(x);
    u->new_token = any_text(x);
    u->old_ctag = any_text(x);
    u->new_ctag = any_text(x);
    u->differs = any64(x);
}

static void fill_item(struct store_item *i, uint64_t *x)
{
    *i = (struct store_item){
        .account = any32(x),
        .unit = any32(x),
        .name = any_text(x),
        .new_name = any_text(x),
        .spelled = any_text(x),
        .state = ITEM_SENT + next_random(x) % 5,
        .kept = next_random(x) % 2 == 0,
        .old_etag = any_text(x),
        .new_etag = any_text(x),
        .old_tag = any_text(x),
        .new_tag = any_text(x),
        .uid = any_text(x),
        .size = any64(x),
        .mended = any32(x),
    };
}

static void fill(enum kind k, union record *r, uint64_t *x)
{
    memset(r, 0, sizeof(*r));
    if (k == ACCOUNT) {
        r->account = (struct store_account){
            .id = any32(x),
            .name = any_text(x),
            .state = ACCOUNT_NEW + next_random(x) % 4,
            .first_seen = (int64_t)any64(x),
            .last_seen = (int64_t)any64(x),
            .next_unit = any32(x),
            .old_sep = (char)next_random(x),
            .new_sep = (char)next_random(x),
            .old_prefix = any_text(x),
            .new_prefix = any_text(x),
            .others = any_text(x),
            .shared = any_text(x),
            .login = any_text(x),
            .dav = DAV_UNKNOWN + next_random(x) % 2,
            .old_principal = any_text(x),
            .new_principal = any_text(x),
            .old_calendars = any_text(x),
            .new_calendars = any_text(x),
            .old_books = any_text(x),
            .new_books = any_text(x),
            .dav_seen = (int64_t)any64(x),
        };
    } else if (k == UNIT) {
        fill_unit(&r->unit, x);
    } else if (k == INTENT) {
        struct store_intent *i = &r->intent;
        i->account = any32(x);
        i->unit = any32(x);
        i->batch = any32(x);
        i->state = INTENT_SENT + next_random(x) % 4;
        i->new_uidnext = any32(x);
        i->n = (uint32_t)(next_random(x) % 20);
        i->msgs = mem_array(i->n, sizeof(*i->msgs));
        for (uint32_t m = 0; m < i->n; m++)
            i->msgs[m] = (struct intent_msg){any32(x), any32(x), any64(x), (int64_t)any64(x), any32(x)};
    } else if (k == ITEM) {
        fill_item(&r->item, x);
    } else {
        r->left = (struct store_left){
            .account = any32(x),
            .unit = any32(x),
            .old_uid = any32(x),
            .size = any64(x),
            .date = (int64_t)any64(x),
            .when = (int64_t)any64(x),
            .flags = any_text(x),
            .file = any_text(x),
            .reason = any_text(x),
            .name = any_text(x),
        };
    }
}

/* What was decoded encodes to the same bytes; cut anywhere, or with a byte more, it is refused and
 * zeroed. */
static void there_and_back(void **state)
{
    (void)state;
    uint64_t x = 362436069;
    for (int round = 0; round < 200; round++) {
        for (enum kind k = ACCOUNT; k < KINDS; k++) {
            union record in, out;
            struct buf a = {0}, b = {0};
            fill(k, &in, &x);
            encode(k, &a, &in);
            assert_int_equal(decode(k, &out, buf_slice(&a)), 0);
            encode(k, &b, &out);
            assert_true(slice_eq(buf_slice(&a), buf_slice(&b)));
            clear(k, &out);
            assert_true(zeroed(&out, sizeof(struct store_left)));
            for (size_t n = 0; n < a.len; n++) {
                uint8_t *cut =
                    mem_alloc(n); /* its own block, so that a sanitizer sees a read beyond it */
                memcpy(cut, buf_slice(&a).p, n);
                memset(&out, 0, sizeof(out));
                assert_int_equal(decode(k, &out, slice_make(cut, n)), E_CORRUPT);
                assert_true(zeroed(&out, sizeof(out)));
                free(cut);
            }
            buf_putc(&a, 0);
            assert_int_equal(decode(k, &out, buf_slice(&a)), E_CORRUPT);
            clear(k, &in);
            buf_free(&a);
            buf_free(&b);
        }
    }
}

static void fields_survive(void **state)
{
    (void)state;
    char name[] = "user@example.org", sep[] = "INBOX.", empty[] = "", login[] = "User";
    struct store_account a = {.id = 7,
                              .name = name,
                              .state = ACCOUNT_MOVING,
                              .first_seen = -5,
                              .last_seen = 1700000000,
                              .next_unit = 3,
                              .old_sep = '.',
                              .new_sep = '/',
                              .old_prefix = sep,
                              .new_prefix = NULL,
                              .others = empty, .shared = empty,
                              .login = login};
    struct store_account b;
    struct buf v = {0};
    store_account_encode(&v, &a);
    assert_int_equal(store_account_decode(&b, buf_slice(&v)), 0);
    assert_int_equal(b.id, 7);
    assert_string_equal(b.name, name);
    assert_int_equal(b.state, ACCOUNT_MOVING);
    assert_true(b.first_seen == -5 && b.last_seen == 1700000000);
    assert_int_equal(b.next_unit, 3);
    assert_int_equal(b.old_sep, '.');
    assert_int_equal(b.new_sep, '/');
    assert_string_equal(b.login, "User");
    assert_string_equal(b.old_prefix, "INBOX.");
    assert_string_equal(b.new_prefix, ""); /* NULL comes back as "" */
    store_account_clear(&b);
    buf_free(&v);
}

/* A changed byte gives a record that is sound or an error, and never more memory than the value
 * has. */
static void changed_bytes(void **state)
{
    (void)state;
    uint64_t x = 521288629;
    for (enum kind k = ACCOUNT; k < KINDS; k++) {
        union record in, out;
        struct buf a = {0};
        fill(k, &in, &x);
        encode(k, &a, &in);
        for (size_t i = 0; i < a.len; i++) {
            uint8_t *p = a.mem + a.off + i, was = *p;
            for (unsigned c = 0; c < 256; c++) {
                *p = (uint8_t)c;
                int r = decode(k, &out, buf_slice(&a));
                assert_true(r == 0 || r == E_CORRUPT);
                if (i == 0)
                    assert_int_equal(r == 0, c == (k == UNIT ? 5 : k == ACCOUNT ? 4 : k == ITEM ? 1 : 2)); /* the version */
                clear(k, &out);
            }
            *p = was;
        }
        clear(k, &in);
        buf_free(&a);
    }
}

/* A unit of version 1 ends before old_modseq, one of version 2 before special, one of version 3 before settled_modseq; one of
 * version 4 is as it is now, and no collection. */
static void an_older_unit(void **state)
{
    (void)state;
    struct store_unit u = {.account = 7, .id = 9, .kind = UNIT_MAILBOX, .state = UNIT_MOVED, .home = HOME_NEW}, got;
    struct buf v = {0};
    store_unit_encode(&v, &u);
    v.mem[v.off] = 4;
    assert_int_equal(store_unit_decode(&got, buf_slice(&v)), 0);
    store_unit_clear(&got);
    v.mem[v.off] = 3;
    assert_int_equal(store_unit_decode(&got, buf_slice(&v)), E_CORRUPT);
    buf_truncate(&v, v.len - 1);
    assert_int_equal(store_unit_decode(&got, buf_slice(&v)), 0);
    store_unit_clear(&got);
    v.mem[v.off] = 2;
    assert_int_equal(store_unit_decode(&got, buf_slice(&v)), E_CORRUPT);
    buf_truncate(&v, v.len - 1);
    assert_int_equal(store_unit_decode(&got, buf_slice(&v)), 0);
    assert_int_equal(got.id, 9);
    store_unit_clear(&got);
    v.mem[v.off] = 1;
    buf_truncate(&v, v.len - 4);
    assert_int_equal(store_unit_decode(&got, buf_slice(&v)), 0);
    assert_int_equal(got.id, 9);
    assert_int_equal(got.straggler_uid, 0);
    store_unit_clear(&got);
    buf_free(&v);
}

static void an_older_record_is_no_collection(void **state)
{
    (void)state;
    struct store_unit u = {.account = 7, .id = 9, .kind = UNIT_CALENDAR, .state = UNIT_MOVED, .home = HOME_NEW}, got;
    struct buf v = {0};
    store_unit_encode(&v, &u);
    assert_int_equal(store_unit_decode(&got, buf_slice(&v)), 0);
    assert_string_equal(got.old_href, "");
    store_unit_clear(&got);
    v.mem[v.off] = 4;
    assert_int_equal(store_unit_decode(&got, buf_slice(&v)), E_CORRUPT);
    buf_free(&v);
}

/* An account of version 3 has no homes, what was left behind in version 1 no name. */
static void an_older_account(void **state)
{
    (void)state;
    char name[] = "user", file[] = "1/2/3.eml";
    struct store_account a = {.id = 7, .name = name, .state = ACCOUNT_KNOWN, .dav = DAV_KNOWN}, got;
    struct store_left l = {.account = 7, .unit = 8, .old_uid = 9, .file = file}, left;
    struct buf v = {0};
    store_account_encode(&v, &a);
    v.mem[v.off] = 3;
    assert_int_equal(store_account_decode(&got, buf_slice(&v)), E_CORRUPT);
    buf_truncate(&v, v.len - 8);
    assert_int_equal(store_account_decode(&got, buf_slice(&v)), 0);
    assert_int_equal(got.dav, DAV_UNKNOWN);
    assert_string_equal(got.old_calendars, "");
    store_account_clear(&got);
    buf_clear(&v);
    store_left_encode(&v, &l);
    v.mem[v.off] = 1;
    assert_int_equal(store_left_decode(&left, buf_slice(&v)), E_CORRUPT);
    buf_truncate(&v, v.len - 1);
    assert_int_equal(store_left_decode(&left, buf_slice(&v)), 0);
    assert_string_equal(left.file, file);
    assert_string_equal(left.name, "");
    store_left_clear(&left);
    buf_free(&v);
}

/* An intent of version 1 knows nothing of flags. */
static void an_older_intent(void **state)
{
    (void)state;
    struct intent_msg m[1] = {{.old_uid = 7, .new_uid = 8, .size = 9, .date = 10, .flags = 11}};
    struct store_intent i = {.account = 1, .unit = 2, .batch = 3, .state = INTENT_STORED, .n = 1, .msgs = m}, got;
    struct buf v = {0};
    store_intent_encode(&v, &i);
    v.mem[v.off] = 1;
    assert_int_equal(store_intent_decode(&got, buf_slice(&v)), E_CORRUPT);
    buf_truncate(&v, v.len - 1);
    assert_int_equal(store_intent_decode(&got, buf_slice(&v)), 0);
    assert_int_equal(got.msgs[0].date, 10);
    assert_int_equal(got.msgs[0].flags, 0);
    store_intent_clear(&got);
    buf_free(&v);
}

static void an_intent_does_not_lie_about_its_length(void **state)
{
    (void)state;
    struct buf v = {0};
    struct store_intent i;
    buf_putc(&v, 1);
    for (int k = 0; k < 3; k++)
        codec_put_u64(&v, 1);
    codec_put_u64(&v, INTENT_SENT);
    codec_put_u64(&v, 1);
    codec_put_u64(&v, UINT32_MAX);
    assert_int_equal(store_intent_decode(&i, buf_slice(&v)), E_CORRUPT);
    assert_null(i.msgs);
    buf_free(&v);
}

/* A batch of a hundred usual messages must fit a page of 4096 bytes with others. */
static void intents_are_small(void **state)
{
    (void)state;
    struct intent_msg m[100];
    for (uint32_t k = 0; k < 100; k++)
        m[k] = (struct intent_msg){200000 + k, 100000 + k, 15000 + k * 37, 1700000000 + k * 1000, 1 + k % 64};
    struct store_intent i = {.account = 300,
                             .unit = 40,
                             .batch = 2000,
                             .state = INTENT_STORED,
                             .new_uidnext = 100000,
                             .n = 100,
                             .msgs = m};
    struct buf v = {0};
    store_intent_encode(&v, &i);
    assert_true(v.len < 2000);
    buf_free(&v);
}

static void keys_sort(void **state)
{
    (void)state;
    static const uint32_t ids[] = {0, 1, 255, 256, 65536, UINT32_MAX};
    struct buf last = {0}, key = {0};
    for (size_t a = 0; a < 6; a++) {
        for (size_t u = 0; u < 6; u++) {
            for (size_t p = 0; p < 6; p++) {
                uint32_t back[3];
                buf_clear(&key);
                store_key_part(&key, ids[a], ids[u], ids[p]);
                assert_true(slice_cmp(buf_slice(&last), buf_slice(&key)) < 0);
                assert_int_equal(store_key_read(buf_slice(&key), back, 3), 0);
                assert_true(back[0] == ids[a] && back[1] == ids[u] && back[2] == ids[p]);
                assert_int_equal(store_key_read(buf_slice(&key), back, 2), E_CORRUPT);
                assert_int_equal(back[0], 0);
                buf_clear(&last);
                store_key_unit(&last, ids[a], ids[u]);
                assert_true(slice_starts(buf_slice(&key), buf_slice(&last)));
                buf_clear(&last);
                store_key_account(&last, ids[a]);
                assert_true(slice_starts(buf_slice(&key), buf_slice(&last)));
                buf_clear(&last);
                buf_put_slice(&last, buf_slice(&key));
            }
        }
    }
    buf_free(&last);
    buf_free(&key);
}

static void names_of_states(void **state)
{
    (void)state;
    assert_string_equal(unit_state_name(UNIT_SWITCHING), "switching");
    assert_string_equal(unit_state_name(UNIT_DELETED), "deleted");
    assert_string_equal(unit_state_name((enum unit_state)77), "unknown");
    assert_string_equal(account_state_name(ACCOUNT_MOVED), "moved");
    assert_string_equal(account_state_name((enum account_state)0), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers),
        cmocka_unit_test(wrong_numbers),
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(fields_survive),
        cmocka_unit_test(changed_bytes),
        cmocka_unit_test(an_older_unit),
        cmocka_unit_test(an_older_record_is_no_collection),
        cmocka_unit_test(an_older_account),
        cmocka_unit_test(an_older_intent),
        cmocka_unit_test(an_intent_does_not_lie_about_its_length),
        cmocka_unit_test(keys_sort),
        cmocka_unit_test(names_of_states),
        cmocka_unit_test(intents_are_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
