/* The table of items: rows by their name in the view, and pointers to them by their name on new where that is another one. */
#include "config.h"
#include "store/codec.h"
#include "wherry/base/mem.h"
#include "wherry/store/records.h"
#include "wherry/store/store.h"
#include <stdlib.h>

#define POINTER_VERSION 1u

static bool renamed(const struct store_item *i)
{
    return i->new_name != NULL && i->new_name[0] != '\0';
}

void store_put_item(struct store_batch *b, const struct store_item *i)
{
    struct buf key = {0}, value = {0};
    store_key_item(&key, i->account, i->unit, slice_str(i->name));
    store_item_encode(&value, i);
    store_put(b, STORE_ITEMS, buf_slice(&key), buf_slice(&value));
    if (renamed(i)) {
        buf_clear(&key);
        buf_clear(&value);
        store_key_item_new(&key, i->account, i->unit, slice_str(i->new_name));
        buf_putc(&value, (char)POINTER_VERSION);
        codec_put_str(&value, i->name);
        store_put(b, STORE_ITEMS, buf_slice(&key), buf_slice(&value));
    }
    buf_free(&key);
    buf_free(&value);
}

void store_del_item(struct store_batch *b, const struct store_item *i)
{
    struct buf key = {0};
    store_key_item(&key, i->account, i->unit, slice_str(i->name));
    store_del(b, STORE_ITEMS, buf_slice(&key));
    if (renamed(i)) {
        buf_clear(&key);
        store_key_item_new(&key, i->account, i->unit, slice_str(i->new_name));
        store_del(b, STORE_ITEMS, buf_slice(&key));
    }
    buf_free(&key);
}

int store_get_item(struct store *s, uint32_t account, uint32_t unit, struct slice name, struct store_item *i)
{
    struct buf key = {0}, value = {0};
    *i = (struct store_item){0};
    store_key_item(&key, account, unit, name);
    int r = store_get(s, STORE_ITEMS, buf_slice(&key), &value);
    if (r == 0)
        r = store_item_decode(i, buf_slice(&value));
    if (r == 0 && !slice_is(name, i->name)) {
        store_item_clear(i);
        r = E_NOTFOUND;
    }
    buf_free(&key);
    buf_free(&value);
    return r;
}

/* What stands behind a pointer, in *name. */
static int follow(struct store *s, uint32_t account, uint32_t unit, struct slice new_name, char **name)
{
    struct buf key = {0}, value = {0};
    store_key_item_new(&key, account, unit, new_name);
    int r = store_get(s, STORE_ITEMS, buf_slice(&key), &value);
    if (r == 0) {
        struct codec_in in = codec_open(buf_slice(&value), POINTER_VERSION);
        *name = codec_str(&in);
        r = codec_end(&in);
    }
    buf_free(&key);
    buf_free(&value);
    return r;
}

int store_get_item_new(struct store *s, uint32_t account, uint32_t unit, struct slice new_name, struct store_item *i)
{
    char *name = NULL;
    *i = (struct store_item){0};
    int r = follow(s, account, unit, new_name, &name);
    bool pointed = r == 0;
    if (r == 0 || r == E_NOTFOUND)
        r = store_get_item(s, account, unit, pointed ? slice_str(name) : new_name, i);
    free(name);
    /* The row of that name stands for another resource on new. */
    if (r == 0 && !slice_is(new_name, renamed(i) ? i->new_name : i->name)) {
        store_item_clear(i);
        r = E_NOTFOUND;
    }
    return r;
}
