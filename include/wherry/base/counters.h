/*
 * What the daemon counts, as one table (name, help), so that the log, the control program and other
 * readers show the same. Counters only grow; gauges are set by who owns the thing.
 */
#ifndef WHERRY_BASE_COUNTERS_H
#define WHERRY_BASE_COUNTERS_H

#include <stdint.h>

#define COUNTERS(X)                                                                                \
    X(sessions, "client sessions open now (gauge)")                                                \
    X(sessions_total, "client sessions accepted")                                                  \
    X(sign_ins, "successful sign-ins")                                                             \
    X(sign_in_failures, "refused sign-ins")                                                        \
    X(accounts, "accounts known (gauge)")                                                          \
    X(accounts_moved, "accounts all of whose mailboxes have moved (gauge)")                        \
    X(mailboxes, "mailboxes known (gauge)")                                                        \
    X(mailboxes_untouched, "mailboxes still at home on the old host (gauge)")                      \
    X(mailboxes_copying, "mailboxes being copied (gauge)")                                         \
    X(mailboxes_moved, "mailboxes moved (gauge)")                                                  \
    X(found, "messages found on the old host in mailboxes whose copy began")                       \
    X(moved, "messages moved")                                                                     \
    X(left_behind, "messages that the new host refused, kept in the spool")                        \
    X(vanished, "messages that vanished from the old host while being copied")                     \
    X(stragglers, "messages that reached the old host after the move and were brought over")      \
    X(bytes_moved, "message bytes moved")                                                          \
    X(bytes_to_clients, "bytes sent to clients")                                                   \
    X(bytes_from_clients, "bytes received from clients")                                           \
    X(messages_submitted, "submitted messages that the new host accepted")                         \
    X(bytes_submitted, "their bytes")                                                              \
    X(dav_requests, "requests for calendars and contacts")                                         \
    X(collections, "calendars and address books known (gauge)")                                    \
    X(collections_untouched, "of these still at home on the old host (gauge)")                     \
    X(collections_copying, "of these being copied (gauge)")                                        \
    X(collections_moved, "of these moved (gauge)")                                                 \
    X(items_found, "events and cards found on the old host in collections whose copy began")       \
    X(items_moved, "events and cards moved")                                                       \
    X(items_left_behind, "events and cards that the new host refused, kept in the spool")          \
    X(items_vanished, "events and cards that vanished from the old host while being copied")       \
    X(copies_swept, "copies of a mailbox that began in the background")                            \
    X(copies_failed, "copies of a mailbox that were broken off")                                   \
    X(errors, "errors of any kind that were logged at level warn or above")

struct counters {
#define X(name, help) uint64_t name;
    COUNTERS(X)
#undef X
};

struct counter_info {
    const char *name, *help;
    unsigned offset; /* of the uint64_t in struct counters */
};

/* The table; *n is set to its length. */
const struct counter_info *counters_table(unsigned *n);
uint64_t counters_get(const struct counters *c, const struct counter_info *i);

#endif
