/* The records. What: their keys, codecs and what they are called. Why each begins with a version: a
 * field can be added without rewriting the store. */
#include "config.h"
#include "wherry/store/records.h"
#include "store/codec.h"
#include "wherry/base/mem.h"
#include <stdlib.h>
#include <string.h>

#define UNIT_VERSION 5u    /* 1 had no old_modseq and what follows it, 2 no special, 3 no settled_modseq, 4 no collections */
#define ACCOUNT_VERSION 4u /* 1 had both kinds of namespaces in others, 2 no login, 3 no homes */
#define LEFT_VERSION 2u    /* 1 had no name */
#define INTENT_VERSION 2u  /* 1 had no flags */
#define INTENT_MSG_LEAST 4u /* bytes of a message of an intent */

static void put_be32(struct buf *out, uint32_t v)
{
    const uint8_t b[] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
    buf_put(out, b, sizeof(b));
}

void store_key_account(struct buf *out, uint32_t account)
{
    put_be32(out, account);
}

void store_key_unit(struct buf *out, uint32_t account, uint32_t unit)
{
    put_be32(out, account);
    put_be32(out, unit);
}

void store_key_part(struct buf *out, uint32_t account, uint32_t unit, uint32_t part)
{
    store_key_unit(out, account, unit);
    put_be32(out, part);
}

int store_key_read(struct slice key, uint32_t *ids, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        const uint8_t *p = key.p + 4 * (size_t)i;
        bool ok = key.n == 4 * (size_t)n;
        ids[i] = ok ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3] : 0;
    }
    return key.n == 4 * (size_t)n ? 0 : E_CORRUPT;
}

/* A record's version, of those that can still be read; anything else is refused at opening. */
static uint8_t version_of(struct slice value, uint8_t newest)
{
    return value.n > 0 && value.p[0] < newest ? value.p[0] : newest;
}

bool unit_is_collection(enum unit_kind kind)
{
    return kind == UNIT_CALENDAR || kind == UNIT_ADDRESSBOOK || kind == UNIT_STAYS;
}

void store_account_encode(struct buf *out, const struct store_account *a)
{
    buf_putc(out, (char)ACCOUNT_VERSION);
    codec_put_u64(out, a->id);
    codec_put_str(out, a->name);
    codec_put_u64(out, a->state);
    codec_put_i64(out, a->first_seen);
    codec_put_i64(out, a->last_seen);
    codec_put_u64(out, a->next_unit);
    buf_putc(out, a->old_sep);
    buf_putc(out, a->new_sep);
    codec_put_str(out, a->old_prefix);
    codec_put_str(out, a->new_prefix);
    codec_put_str(out, a->others);
    codec_put_str(out, a->shared);
    codec_put_str(out, a->login);
    codec_put_u64(out, a->dav);
    codec_put_str(out, a->old_principal);
    codec_put_str(out, a->new_principal);
    codec_put_str(out, a->old_calendars);
    codec_put_str(out, a->new_calendars);
    codec_put_str(out, a->old_books);
    codec_put_str(out, a->new_books);
    codec_put_i64(out, a->dav_seen);
}

/* A string that records before some version do not have. */
static char *later_str(struct codec_in *in, bool there)
{
    return there ? codec_str(in) : mem_strdup("");
}

int store_account_decode(struct store_account *a, struct slice value)
{
    uint8_t version = version_of(value, ACCOUNT_VERSION);
    struct codec_in in = codec_open(value, version > 0 ? version : ACCOUNT_VERSION);
    *a = (struct store_account){0};
    a->id = codec_u32(&in);
    a->name = codec_str(&in);
    a->state = (enum account_state)codec_enum(&in, ACCOUNT_NEW, ACCOUNT_MOVED);
    a->first_seen = codec_i64(&in);
    a->last_seen = codec_i64(&in);
    a->next_unit = codec_u32(&in);
    a->old_sep = (char)codec_u8(&in);
    a->new_sep = (char)codec_u8(&in);
    a->old_prefix = codec_str(&in);
    a->new_prefix = codec_str(&in);
    a->others = codec_str(&in);
    a->shared = version < 2 ? mem_strdup("") : codec_str(&in);
    a->login = later_str(&in, version >= 3);
    bool homes = version >= 4;
    a->dav = homes ? (enum dav_state)codec_enum(&in, DAV_UNKNOWN, DAV_KNOWN) : DAV_UNKNOWN;
    a->old_principal = later_str(&in, homes);
    a->new_principal = later_str(&in, homes);
    a->old_calendars = later_str(&in, homes);
    a->new_calendars = later_str(&in, homes);
    a->old_books = later_str(&in, homes);
    a->new_books = later_str(&in, homes);
    a->dav_seen = homes ? codec_i64(&in) : 0;
    int r = codec_end(&in);
    if (r != 0)
        store_account_clear(a);
    return r;
}

void store_account_clear(struct store_account *a)
{
    free(a->name);
    free(a->old_prefix);
    free(a->new_prefix);
    free(a->others);
    free(a->shared);
    free(a->login);
    free(a->old_principal);
    free(a->new_principal);
    free(a->old_calendars);
    free(a->new_calendars);
    free(a->old_books);
    free(a->new_books);
    *a = (struct store_account){0};
}

void store_unit_encode(struct buf *out, const struct store_unit *u)
{
    buf_putc(out, (char)UNIT_VERSION);
    codec_put_u64(out, u->account);
    codec_put_u64(out, u->id);
    codec_put_u64(out, u->kind);
    codec_put_u64(out, u->state);
    codec_put_u64(out, u->home);
    codec_put_str(out, u->old_name);
    codec_put_str(out, u->view_name);
    codec_put_str(out, u->new_name);
    codec_put_u64(out, u->old_uidvalidity);
    codec_put_u64(out, u->view_uidvalidity);
    codec_put_u64(out, u->new_uidvalidity);
    codec_put_u64(out, u->min_view_uidvalidity);
    codec_put_u64(out, u->modseq_shift);
    codec_put_u64(out, u->found);
    codec_put_u64(out, u->moved);
    codec_put_u64(out, u->left_behind);
    codec_put_u64(out, u->vanished);
    codec_put_u64(out, u->bytes);
    codec_put_u64(out, u->copied_to);
    codec_put_u64(out, u->attempts);
    codec_put_i64(out, u->started);
    codec_put_i64(out, u->finished);
    codec_put_str(out, u->reason);
    codec_put_u64(out, u->old_modseq);
    codec_put_u64(out, u->new_modseq);
    codec_put_u64(out, u->straggler_uid);
    codec_put_u64(out, u->stragglers);
    codec_put_u64(out, u->special);
    codec_put_u64(out, u->settled_modseq);
    if (!unit_is_collection(u->kind))
        return;
    codec_put_str(out, u->old_href);
    codec_put_str(out, u->new_href);
    codec_put_str(out, u->title);
    codec_put_str(out, u->components);
    codec_put_str(out, u->spelling);
    codec_put_str(out, u->old_token);
    codec_put_str(out, u->new_token);
    codec_put_str(out, u->old_ctag);
    codec_put_str(out, u->new_ctag);
    codec_put_u64(out, u->differs);
}

static void decode_collection(struct store_unit *u, struct codec_in *in)
{
    u->old_href = codec_str(in);
    u->new_href = codec_str(in);
    u->title = codec_str(in);
    u->components = codec_str(in);
    u->spelling = codec_str(in);
    u->old_token = codec_str(in);
    u->new_token = codec_str(in);
    u->old_ctag = codec_str(in);
    u->new_ctag = codec_str(in);
    u->differs = codec_u64(in);
}

int store_unit_decode(struct store_unit *u, struct slice value)
{
    uint8_t version = version_of(value, UNIT_VERSION);
    struct codec_in in = codec_open(value, version > 0 ? version : UNIT_VERSION);
    *u = (struct store_unit){0};
    u->account = codec_u32(&in);
    u->id = codec_u32(&in);
    u->kind = (enum unit_kind)codec_enum(&in, UNIT_MAILBOX, version >= 5 ? UNIT_STAYS : UNIT_FOLDER);
    u->state = (enum unit_state)codec_enum(&in, UNIT_UNTOUCHED, UNIT_DELETED);
    u->home = (enum unit_home)codec_enum(&in, HOME_OLD, HOME_NEW);
    u->old_name = codec_str(&in);
    u->view_name = codec_str(&in);
    u->new_name = codec_str(&in);
    u->old_uidvalidity = codec_u32(&in);
    u->view_uidvalidity = codec_u32(&in);
    u->new_uidvalidity = codec_u32(&in);
    u->min_view_uidvalidity = codec_u32(&in);
    u->modseq_shift = codec_u64(&in);
    u->found = codec_u64(&in);
    u->moved = codec_u64(&in);
    u->left_behind = codec_u64(&in);
    u->vanished = codec_u64(&in);
    u->bytes = codec_u64(&in);
    u->copied_to = codec_u32(&in);
    u->attempts = codec_u32(&in);
    u->started = codec_i64(&in);
    u->finished = codec_i64(&in);
    u->reason = codec_str(&in);
    if (version >= 2) {
        u->old_modseq = codec_u64(&in);
        u->new_modseq = codec_u64(&in);
        u->straggler_uid = codec_u32(&in);
        u->stragglers = codec_u64(&in);
    }
    if (version >= 3)
        u->special = codec_enum(&in, 0, 1) != 0;
    if (version >= 4)
        u->settled_modseq = codec_u64(&in);
    if (unit_is_collection(u->kind))
        decode_collection(u, &in);
    int r = codec_end(&in);
    if (r != 0)
        store_unit_clear(u);
    return r;
}

void store_unit_clear(struct store_unit *u)
{
    free(u->old_name);
    free(u->view_name);
    free(u->new_name);
    free(u->reason);
    free(u->old_href);
    free(u->new_href);
    free(u->title);
    free(u->components);
    free(u->spelling);
    free(u->old_token);
    free(u->new_token);
    free(u->old_ctag);
    free(u->new_ctag);
    *u = (struct store_unit){0};
}

void store_intent_encode(struct buf *out, const struct store_intent *i)
{
    buf_putc(out, (char)INTENT_VERSION);
    codec_put_u64(out, i->account);
    codec_put_u64(out, i->unit);
    codec_put_u64(out, i->batch);
    codec_put_u64(out, i->state);
    codec_put_u64(out, i->new_uidnext);
    codec_put_u64(out, i->n);
    for (uint32_t k = 0; k < i->n; k++) {
        codec_put_u64(out, i->msgs[k].old_uid);
        codec_put_u64(out, i->msgs[k].new_uid);
        codec_put_u64(out, i->msgs[k].size);
        codec_put_i64(out, i->msgs[k].date);
        codec_put_u64(out, i->msgs[k].flags);
    }
}

int store_intent_decode(struct store_intent *i, struct slice value)
{
    bool first = value.n > 0 && value.p[0] == 1;
    struct codec_in in = codec_open(value, first ? 1 : INTENT_VERSION);
    *i = (struct store_intent){0};
    i->account = codec_u32(&in);
    i->unit = codec_u32(&in);
    i->batch = codec_u32(&in);
    i->state = (enum intent_state)codec_enum(&in, INTENT_SENT, INTENT_FOREIGN);
    i->new_uidnext = codec_u32(&in);
    uint32_t n = codec_u32(&in);
    /* Memory for no more messages than the bytes left can hold. */
    if (n > in.n / INTENT_MSG_LEAST) {
        store_intent_clear(i);
        return E_CORRUPT;
    }
    i->n = n;
    i->msgs = mem_array(n, sizeof(*i->msgs));
    for (uint32_t k = 0; k < n; k++) {
        i->msgs[k].old_uid = codec_u32(&in);
        i->msgs[k].new_uid = codec_u32(&in);
        i->msgs[k].size = codec_u64(&in);
        i->msgs[k].date = codec_i64(&in);
        if (!first)
            i->msgs[k].flags = codec_u32(&in);
    }
    int r = codec_end(&in);
    if (r != 0)
        store_intent_clear(i);
    return r;
}

void store_intent_clear(struct store_intent *i)
{
    free(i->msgs);
    *i = (struct store_intent){0};
}

void store_left_encode(struct buf *out, const struct store_left *l)
{
    buf_putc(out, (char)LEFT_VERSION);
    codec_put_u64(out, l->account);
    codec_put_u64(out, l->unit);
    codec_put_u64(out, l->old_uid);
    codec_put_u64(out, l->size);
    codec_put_i64(out, l->date);
    codec_put_i64(out, l->when);
    codec_put_str(out, l->flags);
    codec_put_str(out, l->file);
    codec_put_str(out, l->reason);
    codec_put_str(out, l->name);
}

int store_left_decode(struct store_left *l, struct slice value)
{
    uint8_t version = version_of(value, LEFT_VERSION);
    struct codec_in in = codec_open(value, version > 0 ? version : LEFT_VERSION);
    *l = (struct store_left){0};
    l->account = codec_u32(&in);
    l->unit = codec_u32(&in);
    l->old_uid = codec_u32(&in);
    l->size = codec_u64(&in);
    l->date = codec_i64(&in);
    l->when = codec_i64(&in);
    l->flags = codec_str(&in);
    l->file = codec_str(&in);
    l->reason = codec_str(&in);
    l->name = later_str(&in, version >= 2);
    int r = codec_end(&in);
    if (r != 0)
        store_left_clear(l);
    return r;
}

void store_left_clear(struct store_left *l)
{
    free(l->flags);
    free(l->file);
    free(l->reason);
    free(l->name);
    *l = (struct store_left){0};
}

const char *unit_state_name(enum unit_state s)
{
    static const char *const names[] = {"unknown",   "untouched", "copying",
                                        "switching", "moved",     "deleted"};
    return (unsigned)s < sizeof(names) / sizeof(names[0]) ? names[s] : names[0];
}

const char *account_state_name(enum account_state s)
{
    static const char *const names[] = {"unknown", "new", "known", "moving", "moved"};
    return (unsigned)s < sizeof(names) / sizeof(names[0]) ? names[s] : names[0];
}
