/* Items: keys and codec. Names that are too long for a key are cut, with a hash behind; which of them a row is for is in the row. */
#include "config.h"
#include "store/codec.h"
#include "wherry/store/records.h"
#include <stdlib.h>

#define ITEM_VERSION 1u
#define NAME_MAX_BYTES 400u /* of a name within a key */

/* FNV-1a; who makes two names of 400 equal bytes collide hurts only the own collection, and is told. */
static uint64_t hash_of(struct slice s)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ s.p[i]) * 1099511628211u;
    return h;
}

static void put_key(struct buf *out, uint32_t account, uint32_t unit, char what, struct slice name)
{
    store_key_unit(out, account, unit);
    buf_putc(out, what);
    if (name.n <= NAME_MAX_BYTES) {
        buf_put_slice(out, name);
        return;
    }
    uint64_t h = hash_of(name);
    buf_put(out, name.p, NAME_MAX_BYTES);
    buf_putc(out, '\0');
    for (int i = 56; i >= 0; i -= 8)
        buf_putc(out, (char)(uint8_t)(h >> i));
}

void store_key_item(struct buf *out, uint32_t account, uint32_t unit, struct slice name)
{
    put_key(out, account, unit, 'v', name);
}

void store_key_item_new(struct buf *out, uint32_t account, uint32_t unit, struct slice new_name)
{
    put_key(out, account, unit, 'n', new_name);
}

void store_item_encode(struct buf *out, const struct store_item *i)
{
    buf_putc(out, (char)ITEM_VERSION);
    codec_put_u64(out, i->account);
    codec_put_u64(out, i->unit);
    codec_put_str(out, i->name);
    codec_put_str(out, i->new_name);
    codec_put_str(out, i->spelled);
    codec_put_u64(out, i->state);
    codec_put_u64(out, i->kept);
    codec_put_str(out, i->old_etag);
    codec_put_str(out, i->new_etag);
    codec_put_str(out, i->old_tag);
    codec_put_str(out, i->new_tag);
    codec_put_str(out, i->uid);
    codec_put_u64(out, i->size);
    codec_put_u64(out, i->mended);
}

int store_item_decode(struct store_item *i, struct slice value)
{
    struct codec_in in = codec_open(value, ITEM_VERSION);
    *i = (struct store_item){0};
    i->account = codec_u32(&in);
    i->unit = codec_u32(&in);
    i->name = codec_str(&in);
    i->new_name = codec_str(&in);
    i->spelled = codec_str(&in);
    i->state = (enum item_state)codec_enum(&in, ITEM_SENT, ITEM_GONE);
    i->kept = codec_enum(&in, 0, 1) != 0;
    i->old_etag = codec_str(&in);
    i->new_etag = codec_str(&in);
    i->old_tag = codec_str(&in);
    i->new_tag = codec_str(&in);
    i->uid = codec_str(&in);
    i->size = codec_u64(&in);
    i->mended = codec_u32(&in);
    int r = codec_end(&in);
    if (r != 0)
        store_item_clear(i);
    return r;
}

void store_item_clear(struct store_item *i)
{
    free(i->name);
    free(i->new_name);
    free(i->spelled);
    free(i->old_etag);
    free(i->new_etag);
    free(i->old_tag);
    free(i->new_tag);
    free(i->uid);
    *i = (struct store_item){0};
}
