/* The decoders of the store's records: whatever they take must encode to the very same bytes. */
#include "config.h"
#include "wherry/store/records.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same(struct buf *out, struct slice in)
{
    if (!slice_eq(buf_slice(out), in))
        abort();
    buf_free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_make(data, size);
    struct store_account a;
    struct store_unit u;
    struct store_intent i;
    struct store_left l;
    struct store_item item;
    struct buf out = {0};
    uint32_t ids[3];
    if (store_key_read(in, ids, 3) == 0) {
        store_key_part(&out, ids[0], ids[1], ids[2]);
        same(&out, in);
    }
    if (store_account_decode(&a, in) == 0 && data[0] == 4) { /* older ones are read only */
        store_account_encode(&out, &a);
        same(&out, in);
    }
    store_account_clear(&a);
    if (store_unit_decode(&u, in) == 0 && data[0] == 5) {
        store_unit_encode(&out, &u);
        same(&out, in);
    }
    store_unit_clear(&u);
    if (store_intent_decode(&i, in) == 0 && data[0] != 1) {
        store_intent_encode(&out, &i);
        same(&out, in);
    }
    store_intent_clear(&i);
    if (store_left_decode(&l, in) == 0 && data[0] == 2) {
        store_left_encode(&out, &l);
        same(&out, in);
    }
    store_left_clear(&l);
    if (store_item_decode(&item, in) == 0) {
        store_item_encode(&out, &item);
        same(&out, in);
    }
    store_item_clear(&item);
    return 0;
}
