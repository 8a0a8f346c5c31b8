/* Records in and out of their tables. Why one file and not one per table: each is a few lines over
 * the codecs; a table that grows rules of its own gets its own file. */
#include "config.h"
#include "store/codec.h"
#include "wherry/store/records.h"
#include "wherry/store/store.h"
#include <stdlib.h>

#define VALUE_VERSION 1u

static void put_and_free(struct store_batch *b, enum store_table t, struct buf *key,
                         struct buf *value)
{
    store_put(b, t, buf_slice(key), buf_slice(value));
    buf_free(key);
    buf_free(value);
}

void store_put_account(struct store_batch *b, const struct store_account *a)
{
    struct buf key = {0}, value = {0}, id = {0};
    buf_putc(&id, (char)VALUE_VERSION);
    codec_put_u64(&id, a->id);
    store_put(b, STORE_NAMES, slice_str(a->name), buf_slice(&id));
    buf_free(&id);
    store_key_account(&key, a->id);
    store_account_encode(&value, a);
    put_and_free(b, STORE_ACCOUNTS, &key, &value);
}

void store_put_unit(struct store_batch *b, const struct store_unit *u)
{
    struct buf key = {0}, value = {0};
    store_key_unit(&key, u->account, u->id);
    store_unit_encode(&value, u);
    put_and_free(b, STORE_UNITS, &key, &value);
}

void store_put_intent(struct store_batch *b, const struct store_intent *i)
{
    struct buf key = {0}, value = {0};
    store_key_part(&key, i->account, i->unit, i->batch);
    store_intent_encode(&value, i);
    put_and_free(b, STORE_INTENTS, &key, &value);
}

void store_put_left(struct store_batch *b, const struct store_left *l)
{
    struct buf key = {0}, value = {0};
    store_key_part(&key, l->account, l->unit, l->old_uid);
    store_left_encode(&value, l);
    put_and_free(b, STORE_LEFT, &key, &value);
}

int store_get_account(struct store *s, uint32_t account, struct store_account *a)
{
    struct buf key = {0}, value = {0};
    *a = (struct store_account){0};
    store_key_account(&key, account);
    int r = store_get(s, STORE_ACCOUNTS, buf_slice(&key), &value);
    if (r == 0)
        r = store_account_decode(a, buf_slice(&value));
    buf_free(&key);
    buf_free(&value);
    return r;
}

int store_get_unit(struct store *s, uint32_t account, uint32_t unit, struct store_unit *u)
{
    struct buf key = {0}, value = {0};
    *u = (struct store_unit){0};
    store_key_unit(&key, account, unit);
    int r = store_get(s, STORE_UNITS, buf_slice(&key), &value);
    if (r == 0)
        r = store_unit_decode(u, buf_slice(&value));
    buf_free(&key);
    buf_free(&value);
    return r;
}

int store_find_account(struct store *s, struct slice name, uint32_t *id)
{
    struct buf value = {0};
    *id = 0;
    int r = store_get(s, STORE_NAMES, name, &value);
    if (r == 0) {
        struct codec_in in = codec_open(buf_slice(&value), VALUE_VERSION);
        *id = codec_u32(&in);
        r = codec_end(&in);
        if (r != 0)
            *id = 0;
    }
    buf_free(&value);
    return r;
}

int store_identity_get(struct store *s, struct buf *out)
{
    struct buf value = {0};
    int r = store_get(s, STORE_META, SLICE_LIT("identity"), &value);
    if (r == 0) {
        struct codec_in in = codec_open(buf_slice(&value), VALUE_VERSION);
        char *text = codec_str(&in);
        r = codec_end(&in);
        if (r == 0)
            buf_puts(out, text);
        free(text);
    }
    buf_free(&value);
    return r == E_NOTFOUND ? 0 : r;
}

void store_identity_put(struct store_batch *b, struct slice identity)
{
    struct buf value = {0};
    char *text = slice_dup(identity);
    buf_putc(&value, (char)VALUE_VERSION);
    codec_put_str(&value, text);
    store_put(b, STORE_META, SLICE_LIT("identity"), buf_slice(&value));
    free(text);
    buf_free(&value);
}
