/* The table of capabilities: one row says who does it, and why. An extension that becomes known changes its row here,
 * and its entry in the manual with it (a test compares them). */
#include "config.h"
#include "front/caps.h"
#include "wherry/imap/caps.h"

enum cap_how {
    CAP_HIDDEN,     /* not known to the translation: never offered */
    CAP_OWN,        /* done by the session itself, whatever the host can */
    CAP_GUEST,      /* likewise, before sign-in */
    CAP_PASSED,     /* offered when the new host has it: there is nothing to translate in it */
    CAP_TRANSLATED, /* likewise: what has to be is translated */
};

struct cap_rule {
    enum cap_how how;
    const char *why; /* for wherry-imap(7) */
};

static const struct cap_rule rules[CAPI_COUNT] = {
    [CAPI_IMAP4REV1] = {CAP_OWN, "the language of the view"},
    [CAPI_IMAP4REV2] = {CAP_HIDDEN, "it makes many extensions part of the language at once, some "
                                "of them hidden here; those that clients use are offered one "
                                "by one"},
    [CAPI_STARTTLS] = {CAP_GUEST, "where there is a certificate and TLS is not on yet"},
    [CAPI_LOGINDISABLED] = {CAP_GUEST, "where passwords are not taken in the clear"},
    [CAPI_AUTH_PLAIN] = {CAP_GUEST, "where passwords are taken"},
    [CAPI_AUTH_LOGIN] = {CAP_GUEST, "where passwords are taken"},
    [CAPI_SASL_IR] = {CAP_GUEST, "the first response may come with AUTHENTICATE"},
    [CAPI_LITERAL_PLUS] = {CAP_HIDDEN, "LITERAL- is offered instead, so that a host may refuse a "
                                   "large message before it is sent"},
    [CAPI_LITERAL_MINUS] = {CAP_OWN, "up to 4096 bytes may be sent unasked, more is BAD"},
    [CAPI_UIDPLUS] = {CAP_TRANSLATED, "UIDs in APPENDUID, COPYUID and UID EXPUNGE"},
    [CAPI_MULTIAPPEND] = {CAP_TRANSLATED, "UIDs in APPENDUID"},
    [CAPI_MOVE] = {CAP_TRANSLATED, "UIDs in the command and in COPYUID, and the name of the "
                               "mailbox"},
    [CAPI_IDLE] = {CAP_PASSED, "what the host tells meanwhile is translated as always"},
    [CAPI_NAMESPACE] = {CAP_OWN, "the namespaces are those of the old host"},
    [CAPI_UNSELECT] = {CAP_PASSED, "it names nothing"},
    [CAPI_CHILDREN] = {CAP_OWN, "LIST is answered from the folder tree of the view"},
    [CAPI_ENABLE] = {CAP_OWN, "what is enabled is enabled again on each connection to a host"},
    [CAPI_ID] = {CAP_OWN, "the answer tells of wherryd; the hosts are told the client's address "
                      "and program"},
    [CAPI_CONDSTORE] = {CAP_TRANSLATED, "mod-sequences are shifted, mailbox by mailbox; where "
                                    "the new host has ENABLE, too"},
    [CAPI_QRESYNC] = {CAP_TRANSLATED, "mod-sequences, and UIDs in SELECT and VANISHED; where the "
                                  "new host has ENABLE, too"},
    [CAPI_SPECIAL_USE] = {CAP_TRANSLATED, "attributes are shown with the names of the view"},
    [CAPI_CREATE_SPECIAL_USE] = {CAP_TRANSLATED, "the name of the mailbox"},
    [CAPI_LIST_EXTENDED] = {CAP_OWN, "LIST is answered from the folder tree of the view"},
    [CAPI_LIST_STATUS] = {CAP_OWN, "the home of each mailbox is asked"},
    [CAPI_STATUS_SIZE] = {CAP_PASSED, "sizes are what the host of the mailbox says"},
    [CAPI_ESEARCH] = {CAP_TRANSLATED, "UIDs and mod-sequences in the reply"},
    [CAPI_SEARCHRES] = {CAP_PASSED, "the result stays at the host"},
    [CAPI_SORT] = {CAP_TRANSLATED, "UIDs in the command and in the reply"},
    [CAPI_ESORT] = {CAP_TRANSLATED, "UIDs and mod-sequences in the reply"},
    [CAPI_THREAD_REFS] = {CAP_TRANSLATED, "UIDs in the command and in the reply"},
    [CAPI_SORT_DISPLAY] = {CAP_PASSED, "more to sort by"},
    [CAPI_THREAD_REFS_ONLY] = {CAP_TRANSLATED, "UIDs in the command and in the reply"},
    [CAPI_THREAD_ORDSUBJ] = {CAP_TRANSLATED, "UIDs in the command and in the reply"},
    [CAPI_WITHIN] = {CAP_PASSED, "its search keys name no message"},
    [CAPI_BINARY] = {CAP_PASSED, "parts, sizes and literals name nothing and stream through"},
    [CAPI_QUOTA] = {CAP_TRANSLATED, "names of mailboxes"},
    [CAPI_QUOTASET] = {CAP_PASSED, "limits are those of the new host"},
    [CAPI_QUOTA_STORAGE] = {CAP_PASSED, "a kind of limit"},
    [CAPI_QUOTA_MESSAGE] = {CAP_PASSED, "a kind of limit"},
    [CAPI_QUOTA_MAILBOX] = {CAP_PASSED, "a kind of limit"},
    [CAPI_QUOTA_ANNOTATION] = {CAP_PASSED, "a kind of limit"},
    [CAPI_ACL] = {CAP_TRANSLATED, "names of mailboxes"},
    [CAPI_RIGHTS] = {CAP_PASSED, "rights are those of the host of the mailbox"},
    [CAPI_RIGHTS_N] = {CAP_PASSED, "rights are those of the host of the mailbox"},
    [CAPI_METADATA] = {CAP_TRANSLATED, "names of mailboxes"},
    [CAPI_METADATA_SERVER] = {CAP_PASSED, "entries of the server name no mailbox"},
    [CAPI_APPENDLIMIT] = {CAP_OWN, "the lowest of limits.message_bytes and what the hosts "
                               "announce"},
    [CAPI_UTF8_ACCEPT] = {CAP_HIDDEN, "of the hosts tested only Courier has it, and names would "
                                  "have to be spelled in UTF-8 on one side and in modified "
                                  "UTF-7 on the other"},
    [CAPI_PREVIEW] = {CAP_PASSED, "it names nothing"},
    [CAPI_SAVEDATE] = {CAP_PASSED, "a message that was copied was saved when it was copied"},
    [CAPI_REPLACE] = {CAP_TRANSLATED, "UIDs in the command and in APPENDUID, and the name of the "
                                  "mailbox"},
    [CAPI_COMPRESS_DEFLATE] = {CAP_OWN, "between client and wherryd only"},
    [CAPI_INPROGRESS] = {CAP_OWN, "how far the copy is that a command waits for"},
};

/* Those that no bit stands for. */
static const struct {
    const char *name, *why;
} hidden[] = {
    {"ACL2=UNION", "a dialect of Courier's"},
    {"ANNOTATE-EXPERIMENT-1", "annotations of messages are not carried over"},
    {"CATENATE", "its URLs hold names, UIDs and UIDVALIDITY of the view, which mean something "
             "else to the host"},
    {"CONTEXT=SEARCH", "updates of a search come at any time, and with UIDs"},
    {"CONTEXT=SORT", "updates of a search come at any time, and with UIDs"},
    {"CONVERT", "no host that was tested has it"},
    {"DIGEST=SHA1", "a dialect of Cyrus's"},
    {"FILTERS", "no host that was tested has it"},
    {"I18NLEVEL=1", "nothing depends on it, and the two hosts may compare texts in different ways"},
    {"I18NLEVEL=2", "nothing depends on it, and the two hosts may compare texts in different ways"},
    {"JMAPACCESS", "it leads around the view"},
    {"LANGUAGE", "texts of our own are in English"},
    {"LIST-METADATA", "LIST is answered from the folder tree of the view"},
    {"LIST-MYRIGHTS", "LIST is answered from the folder tree of the view"},
    {"LOGIN-REFERRALS", "they lead around the view"},
    {"MAILBOX-REFERRALS", "they lead around the view"},
    {"MULTISEARCH", "replies hold names, UIDs and UIDVALIDITY of many mailboxes at once"},
    {"NOTIFY", "what it tells comes at any time, about many mailboxes, and from one host only"},
    {"NO_ATOMIC_RENAME", "a dialect of Cyrus's"},
    {"OBJECTID", "ids of the new host would replace those that a client knows from the old one"},
    {"PARTIAL", "no host that was tested has it"},
    {"PREVIEW=FUZZY", "a draft of PREVIEW"},
    {"SCAN", "a dialect of Cyrus's"},
    {"SEARCH=FUZZY", "the two hosts find different messages"},
    {"SNIPPET=FUZZY", "a draft of PREVIEW"},
    {"SORT=MODSEQ", "a dialect of Cyrus's"},
    {"SORT=UID", "a dialect of Cyrus's"},
    {"UIDONLY", "its replies have other forms, which are not translated"},
    {"UNAUTHENTICATE", "a connection to a host is one person's"},
    {"URL-PARTIAL", "URLs hold names, UIDs and UIDVALIDITY of the view, which mean something "
                "else to the host"},
    {"URLAUTH", "URLs hold names, UIDs and UIDVALIDITY of the view, and lead around it"},
    {"URLAUTH=BINARY", "URLs hold names, UIDs and UIDVALIDITY of the view, and lead around it"},
    {"UTF8=ONLY", "as UTF8=ACCEPT"},
    {"X-*", "what is not known could hold names, UIDs or mod-sequences of the host"},
    {"XLIST", "SPECIAL-USE has taken its place"},
};

static bool from_host(enum cap_how how)
{
    return how == CAP_PASSED || how == CAP_TRANSLATED;
}

bool front_caps_row(unsigned i, struct cap_row *out)
{
    static const char *const words[] = {[CAP_HIDDEN] = "Hidden",
                                        [CAP_OWN] = "Own",
                                        [CAP_GUEST] = "Own, before sign-in",
                                        [CAP_PASSED] = "Passed on",
                                        [CAP_TRANSLATED] = "Translated"};
    if (i < CAPI_COUNT) {
        *out = (struct cap_row){imap_cap_name((enum imap_cap_index)i), words[rules[i].how], rules[i].why};
        return true;
    }
    i -= CAPI_COUNT;
    if (i >= sizeof(hidden) / sizeof(*hidden))
        return false;
    *out = (struct cap_row){hidden[i].name, words[CAP_HIDDEN], hidden[i].why};
    return true;
}

uint64_t front_caps_offer(uint64_t host)
{
    uint64_t offered = 0;
    for (unsigned i = 0; i < CAPI_COUNT; i++) {
        uint64_t bit = (uint64_t)1 << i;
        if (rules[i].how == CAP_OWN || (from_host(rules[i].how) && (host & bit) != 0))
            offered |= bit;
    }
    /* What the client enables has to be enabled there. */
    if ((host & CAP_BIT(ENABLE)) == 0)
        offered &= ~(CAP_BIT(CONDSTORE) | CAP_BIT(QRESYNC));
    return offered;
}

void front_caps_put(struct buf *out, uint64_t offered, uint64_t append_limit)
{
    bool first = true;
    for (unsigned i = 0; i < CAPI_COUNT; i++) {
        if ((offered & ((uint64_t)1 << i)) == 0)
            continue;
        if (!first)
            buf_putc(out, ' ');
        first = false;
        buf_puts(out, imap_cap_name((enum imap_cap_index)i));
        if (i == CAPI_APPENDLIMIT)
            buf_printf(out, "=%llu", (unsigned long long)append_limit);
    }
}

void front_caps_put_guest(struct buf *out, bool starttls, bool plain)
{
    buf_puts(out, "IMAP4rev1 LITERAL- SASL-IR ID ENABLE");
    if (starttls)
        buf_puts(out, " STARTTLS");
    buf_puts(out, plain ? " AUTH=PLAIN AUTH=LOGIN" : " LOGINDISABLED");
}
