/* The table of capabilities: one row says who does it. An extension that becomes known changes its
 * row here. */
#include "config.h"
#include "front/caps.h"
#include "wherry/imap/caps.h"

enum cap_how {
    CAP_HIDDEN, /* not known to the translation: never offered */
    CAP_OWN,    /* done by the session itself, whatever the host can */
    CAP_PASSED  /* offered when the new host has it: its data needs no or has its translation */
};

static const enum cap_how how[CAPI_COUNT] = {
    [CAPI_IMAP4REV1] = CAP_OWN,
    [CAPI_LITERAL_MINUS] = CAP_OWN,
    [CAPI_ID] = CAP_OWN,
    [CAPI_ENABLE] = CAP_OWN,
    [CAPI_NAMESPACE] = CAP_OWN,
    [CAPI_CHILDREN] = CAP_OWN,
    [CAPI_INPROGRESS] = CAP_OWN,
    [CAPI_COMPRESS_DEFLATE] = CAP_OWN,
    [CAPI_LIST_EXTENDED] = CAP_OWN,
    [CAPI_LIST_STATUS] = CAP_OWN,
    [CAPI_UIDPLUS] = CAP_PASSED,
    [CAPI_IDLE] = CAP_PASSED,
    [CAPI_UNSELECT] = CAP_PASSED,
    [CAPI_MOVE] = CAP_PASSED,
    [CAPI_MULTIAPPEND] = CAP_PASSED,
    [CAPI_WITHIN] = CAP_PASSED,
    [CAPI_ESEARCH] = CAP_PASSED,
    [CAPI_SORT] = CAP_PASSED,
    [CAPI_CONDSTORE] = CAP_PASSED,
    [CAPI_QRESYNC] = CAP_PASSED,
    [CAPI_SEARCHRES] = CAP_PASSED,
    [CAPI_ESORT] = CAP_PASSED,
    [CAPI_SORT_DISPLAY] = CAP_PASSED,
    [CAPI_THREAD_REFS_ONLY] = CAP_PASSED,
    [CAPI_THREAD_REFS] = CAP_PASSED,
    [CAPI_THREAD_ORDSUBJ] = CAP_PASSED,
    [CAPI_BINARY] = CAP_PASSED,
    [CAPI_PREVIEW] = CAP_PASSED,
    [CAPI_SAVEDATE] = CAP_PASSED,
    [CAPI_REPLACE] = CAP_PASSED,
    [CAPI_SPECIAL_USE] = CAP_PASSED,
    [CAPI_CREATE_SPECIAL_USE] = CAP_PASSED,
    [CAPI_STATUS_SIZE] = CAP_PASSED,
    [CAPI_QUOTA] = CAP_PASSED,
    [CAPI_QUOTASET] = CAP_PASSED,
    [CAPI_QUOTA_STORAGE] = CAP_PASSED,
    [CAPI_QUOTA_MESSAGE] = CAP_PASSED,
    [CAPI_QUOTA_MAILBOX] = CAP_PASSED,
    [CAPI_QUOTA_ANNOTATION] = CAP_PASSED,
    [CAPI_ACL] = CAP_PASSED,
    [CAPI_RIGHTS] = CAP_PASSED,
    [CAPI_RIGHTS_N] = CAP_PASSED,
    [CAPI_METADATA] = CAP_PASSED,
    [CAPI_METADATA_SERVER] = CAP_PASSED,
};

uint64_t front_caps_offer(uint64_t host)
{
    uint64_t offered = 0;
    for (unsigned i = 0; i < CAPI_COUNT; i++) {
        uint64_t bit = (uint64_t)1 << i;
        if (how[i] == CAP_OWN || (how[i] == CAP_PASSED && (host & bit) != 0))
            offered |= bit;
    }
    /* What the client enables has to be enabled there. */
    if ((host & CAP_BIT(ENABLE)) == 0)
        offered &= ~(CAP_BIT(CONDSTORE) | CAP_BIT(QRESYNC));
    return offered;
}

void front_caps_put(struct buf *out, uint64_t offered)
{
    bool first = true;
    for (unsigned i = 0; i < CAPI_COUNT; i++) {
        if ((offered & ((uint64_t)1 << i)) == 0)
            continue;
        if (!first)
            buf_putc(out, ' ');
        first = false;
        buf_puts(out, imap_cap_name((enum imap_cap_index)i));
    }
}

void front_caps_put_guest(struct buf *out, bool starttls, bool plain)
{
    buf_puts(out, "IMAP4rev1 LITERAL- SASL-IR ID ENABLE");
    if (starttls)
        buf_puts(out, " STARTTLS");
    buf_puts(out, plain ? " AUTH=PLAIN AUTH=LOGIN" : " LOGINDISABLED");
}
