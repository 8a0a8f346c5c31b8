/*
 * Bytes of a client through a whole session, between two hosts in memory that do as they should. The first byte says where it
 * begins: connected, signed in, or with INBOX selected; and how the bytes come, in pieces of which length.
 */
#include "config.h"
#include "fuzz.h"
#include "mem_host.h"

enum { MOST_HEARD = 64 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t pieces[] = {0, 1, 7, 100};
    struct mem_world w;
    struct mem_client c;
    if (size == 0 || size > 65536)
        return 0;
    mem_world_begin(&w, (data[0] & 0x10) != 0 ? "copy { sweep = no wait = 0 }" : "copy { sweep = no }");
    mem_client_begin(&c, &w);
    if ((data[0] & 3) != 0)
        mem_client_say(&c, SLICE_LIT("l LOGIN user secret\r\n"));
    if ((data[0] & 2) != 0)
        mem_client_say(&c, SLICE_LIT("s SELECT INBOX\r\n"));
    mem_world_go(&w, 1000);
    c.far.piece = pieces[data[0] >> 2 & 3];
    mem_client_say(&c, slice_make(data + 1, size - 1));
    mem_client_end(&c, &w);
    must(c.heard < MOST_HEARD);
    mem_world_end(&w);
    return 0;
}
