/* Capabilities as bits, internal dates, and SASL-independent small things of the wire. */
#ifndef WHERRY_IMAP_CAPS_H
#define WHERRY_IMAP_CAPS_H

#include <stdbool.h>
#include <stdint.h>
#include "wherry/base/buf.h"

/* bit, name on the wire */
#define IMAP_CAPS(X)                                                                               \
    X(IMAP4REV1, "IMAP4rev1")                                                                      \
    X(IMAP4REV2, "IMAP4rev2")                                                                      \
    X(STARTTLS, "STARTTLS")                                                                        \
    X(LOGINDISABLED, "LOGINDISABLED")                                                              \
    X(AUTH_PLAIN, "AUTH=PLAIN")                                                                    \
    X(AUTH_LOGIN, "AUTH=LOGIN")                                                                    \
    X(SASL_IR, "SASL-IR")                                                                          \
    X(LITERAL_PLUS, "LITERAL+")                                                                    \
    X(LITERAL_MINUS, "LITERAL-")                                                                   \
    X(UIDPLUS, "UIDPLUS")                                                                          \
    X(MULTIAPPEND, "MULTIAPPEND")                                                                  \
    X(MOVE, "MOVE")                                                                                \
    X(IDLE, "IDLE")                                                                                \
    X(NAMESPACE, "NAMESPACE")                                                                      \
    X(UNSELECT, "UNSELECT")                                                                        \
    X(CHILDREN, "CHILDREN")                                                                        \
    X(ENABLE, "ENABLE")                                                                            \
    X(ID, "ID")                                                                                    \
    X(CONDSTORE, "CONDSTORE")                                                                      \
    X(QRESYNC, "QRESYNC")                                                                          \
    X(SPECIAL_USE, "SPECIAL-USE")                                                                  \
    X(CREATE_SPECIAL_USE, "CREATE-SPECIAL-USE")                                                    \
    X(LIST_EXTENDED, "LIST-EXTENDED")                                                              \
    X(LIST_STATUS, "LIST-STATUS")                                                                  \
    X(STATUS_SIZE, "STATUS=SIZE")                                                                  \
    X(ESEARCH, "ESEARCH")                                                                          \
    X(SEARCHRES, "SEARCHRES")                                                                      \
    X(SORT, "SORT")                                                                                \
    X(ESORT, "ESORT")                                                                              \
    X(THREAD_REFS, "THREAD=REFERENCES")                                                            \
    X(SORT_DISPLAY, "SORT=DISPLAY")                                                                \
    X(THREAD_REFS_ONLY, "THREAD=REFS")                                                             \
    X(THREAD_ORDSUBJ, "THREAD=ORDEREDSUBJECT")                                                     \
    X(WITHIN, "WITHIN")                                                                            \
    X(BINARY, "BINARY")                                                                            \
    X(QUOTA, "QUOTA")                                                                              \
    X(QUOTASET, "QUOTASET")                                                                        \
    X(QUOTA_STORAGE, "QUOTA=RES-STORAGE")                                                          \
    X(QUOTA_MESSAGE, "QUOTA=RES-MESSAGE")                                                          \
    X(QUOTA_MAILBOX, "QUOTA=RES-MAILBOX")                                                          \
    X(QUOTA_ANNOTATION, "QUOTA=RES-ANNOTATION-STORAGE")                                            \
    X(ACL, "ACL")                                                                                  \
    X(RIGHTS, "RIGHTS=texk")                                                                       \
    X(RIGHTS_N, "RIGHTS=texkn")                                                                    \
    X(METADATA, "METADATA")                                                                        \
    X(METADATA_SERVER, "METADATA-SERVER")                                                          \
    X(APPENDLIMIT, "APPENDLIMIT")                                                                  \
    X(UTF8_ACCEPT, "UTF8=ACCEPT")                                                                  \
    X(PREVIEW, "PREVIEW")                                                                          \
    X(SAVEDATE, "SAVEDATE")                                                                        \
    X(REPLACE, "REPLACE")                                                                          \
    X(COMPRESS_DEFLATE, "COMPRESS=DEFLATE")                                                        \
    X(INPROGRESS, "INPROGRESS")

enum imap_cap_index {
#define X(id, name) CAPI_##id,
    IMAP_CAPS(X)
#undef X
        CAPI_COUNT
};
#define CAP_BIT(id) ((uint64_t)1 << CAPI_##id)

/* Space-separated names, as after "* CAPABILITY" or in a [CAPABILITY …] code. Unknown names are ignored. */
uint64_t imap_caps_parse(struct slice names);
/* The number behind APPENDLIMIT= (RFC 7889); UINT64_MAX without one. */
uint64_t imap_caps_append_limit(struct slice names);
const char *imap_cap_name(enum imap_cap_index i);

/* "17-Jul-1996 02:44:25 -0700", day with space or zero or one digit. Seconds since 1970; E_INVAL, *out = 0. */
int imap_date_parse(struct slice s, int64_t *out) MUST_USE;
/* The same in UTC, always 26 bytes. */
void imap_date_format(struct buf *out, int64_t when);

/* Flags of two lists are the same set: order, case of system flags, and \Recent are ignored. */
bool imap_flags_same(struct slice a, struct slice b);

#endif
