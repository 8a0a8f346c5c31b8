/* Bodies of events and cards: inspecting, comparing, mending and splitting hold together whatever comes. */
#include "config.h"
#include "fuzz.h"
#include "wherry/dav/item.h"

static int check_part(struct slice uid, struct slice body, void *arg)
{
    struct item_info i;
    must(uid.n > 0);
    item_inspect(body, *(bool *)arg, &i);
    item_info_clear(&i);
    return 0;
}

static void try_one(struct slice in, bool card)
{
    struct item_info i, after;
    struct buf out = {0};
    unsigned done;
    item_inspect(in, card, &i);
    must(i.uid != NULL);
    must(item_same(in, in, card));
    item_repair(in, card, SLICE_LIT("name"), &out, &done);
    must((done & ~i.faults) == 0);
    must((done != 0) == (out.len != 0));
    if (done != 0) {
        item_inspect(buf_slice(&out), card, &after);
        must((after.faults & done) == 0);
        item_info_clear(&after);
        item_same(in, buf_slice(&out), card);
    }
    int n = item_split(in, card, check_part, &card);
    (void)n;
    buf_clear(&out);
    item_crlf(in, &out);
    buf_clear(&out);
    if (item_schedule_by_client(in, &out)) {
        struct buf again = {0};
        must(!item_schedule_by_client(buf_slice(&out), &again));
        buf_free(&again);
    }
    buf_free(&out);
    item_info_clear(&i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_make(data, size);
    if (size > 64 * 1024)
        return 0;
    try_one(in, false);
    try_one(in, true);
    return 0;
}
