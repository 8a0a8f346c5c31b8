/*
 * What a host sends through a whole session, and through a copy: pieces of the input answer its commands once the sign-in is over,
 * of the old host or the new one, as the first byte says. The client is one that works with its mail.
 */
#include "config.h"
#include "fuzz.h"
#include "mem_host.h"

enum { MOST_HEARD = 64 << 20 };

static const char *const works[] = {
    "s SELECT INBOX\r\n", "a FETCH 1:* (UID FLAGS)\r\n", "b UID FETCH 1:* (FLAGS ENVELOPE BODY[])\r\n", "c UID SEARCH ALL\r\n",
    "d STORE 1 +FLAGS (\\Flagged)\r\n", "e STATUS Box (MESSAGES UIDNEXT UIDVALIDITY)\r\n", "f LIST \"\" *\r\n",
    "g APPEND INBOX {10+}\r\nSubject: x\r\n", "h UID COPY 1 Box\r\n", "i IDLE\r\n", "DONE\r\n", "j UID MOVE 3 Box\r\n", "k EXPUNGE\r\n",
    "m SELECT Box\r\n", "n LOGOUT\r\n"};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t pieces[] = {0, 1, 7, 100};
    struct mem_world w;
    struct mem_client c;
    if (size == 0 || size > 65536)
        return 0;
    mem_world_begin(&w, (data[0] & 0x10) != 0 ? "copy { sweep = no wait = 0 retry_seconds = 1 }" : "copy { sweep = yes retry_seconds = 1 }");
    struct mem_host *h = (data[0] & 1) != 0 ? &w.new : &w.old;
    h->pieces = slice_make(data + 1, size - 1);
    mem_client_begin(&c, &w);
    c.far.piece = pieces[data[0] >> 2 & 3];
    /* From the sign-in on, or only when the mailbox has moved. */
    h->loose = (data[0] & 2) == 0;
    mem_client_say(&c, SLICE_LIT("l LOGIN user secret\r\n"));
    mem_world_go(&w, 2000);
    for (size_t i = 0; i < sizeof(works) / sizeof(works[0]) && !c.gone; i++) {
        mem_client_say(&c, slice_str(works[i]));
        mem_world_go(&w, 2000);
        h->loose = true;
    }
    mem_client_end(&c, &w);
    must(c.heard < MOST_HEARD);
    mem_world_end(&w);
    return 0;
}
