/* A small IMAP host in memory, and the world that it stands in; see mem.h. */
#ifndef WHERRY_TESTS_FUZZ_MEM_HOST_H
#define WHERRY_TESTS_FUZZ_MEM_HOST_H

#include "mem.h"
#include "wherry/conf/conf.h"
#include "wherry/front/front.h"

enum { HOST_MESSAGES = 200 };

struct message {
    uint32_t uid;
    struct buf body;
};

/*
 * Knows INBOX and a mailbox Box, which holds nothing; takes any name and password. It does what the copy asks for, and says OK to all
 * else. Owner: the world.
 */
struct mem_host {
    struct message messages[HOST_MESSAGES];
    size_t n;
    uint32_t validity, next;
    const char *caps;
    char sep;
    /* Where bytes from the fuzzer stand in for what it says: pieces of them answer the commands that match, one each. */
    struct slice pieces;
    bool loose; /* answers come from pieces until there are none left */
};

struct mem_world {
    struct log log;
    struct counters counters;
    struct settings *settings;
    struct worker *worker;
    struct store *store;
    struct env env;
    struct front *front;
    struct mem_host old, new;
};

void mem_world_begin(struct mem_world *w, const char *more);
/* All sessions have to be over. */
void mem_world_end(struct mem_world *w);

/* A client that says what it is told, and counts what it hears. */
struct mem_client {
    struct mem_far far;
    uint64_t heard;
    struct buf last; /* the end of it, at most 4 KiB */
    bool gone;
};
void mem_client_begin(struct mem_client *c, struct mem_world *w);
void mem_client_say(struct mem_client *c, struct slice s);
/* Until nothing happens any more, the clock standing still at what waits for longer than a minute. */
void mem_world_go(struct mem_world *w, uint64_t ms);
void mem_client_end(struct mem_client *c, struct mem_world *w);

#endif
