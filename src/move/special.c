/*
 * What mailboxes are for, when their host does not say: the names that mail programs and web mailers give them, in the
 * main languages. The order is that of how sure a name is, for its use.
 *
 * Letters are compared without regard to case in Latin-1, Latin Extended-A and Cyrillic, which is what the list needs.
 * Rejected: the C library's case mapping, which depends on the locale.
 */
#include "move/special.h"
#include "wherry/imap/names.h"
#include "wherry/imap/resp.h"
#include <string.h>

static const char *const attributes[SPECIAL_USES] = {
    [USE_NONE] = "",        [USE_ARCHIVE] = "\\Archive", [USE_DRAFTS] = "\\Drafts",
    [USE_JUNK] = "\\Junk", [USE_SENT] = "\\Sent",       [USE_TRASH] = "\\Trash",
};

static const char *const sent[] = {
    "Sent", "Sent Items", "Sent Messages", "Sent Mail", "sent-mail", "Sent Objects", "Gesendet", "Gesendete Objekte",
    "Gesendete Elemente", "Gesendete Nachrichten", "Gesendete E-Mails", "Envoyés", "Éléments envoyés",
    "Messages envoyés", "Objets envoyés", "Courrier envoyé", "Enviados", "Elementos enviados", "Mensajes enviados",
    "Correo enviado", "Inviati", "Inviata", "Posta inviata", "Messaggi inviati", "Elementi inviati", "Itens enviados",
    "Enviadas", "Mensagens enviadas", "Verzonden", "Verzonden items", "Verzonden berichten", "Wysłane",
    "Elementy wysłane", "Wysłane elementy", "Skickat", "Skickade", "Skickade objekt", "Skickade meddelanden", "Sendt",
    "Sendt post", "Sendte elementer", "Sendte meldinger", "Lähetetyt", "Lähetetyt viestit", "Lähetetyt kohteet",
    "Odeslané", "Odeslaná pošta", "Odeslané zprávy", "Отправленные", "Отправленные элементы", "送信済み",
    "送信済みトレイ", "送信済みアイテム", "送信済みメール", "已发送", "已发送邮件", "已发送的邮件", "寄件備份", NULL};

static const char *const drafts[] = {
    "Drafts", "Draft", "Entwürfe", "Entwurf", "Brouillons", "Brouillon", "Borradores", "Borrador", "Bozze", "Bozza",
    "Rascunhos", "Rascunho", "Concepten", "Szkice", "Kopie robocze", "Wersje robocze", "Utkast", "Kladder", "Kladde",
    "Luonnokset", "Koncepty", "Rozepsané", "Rozepsané zprávy", "Черновики", "下書き", "草稿", "草稿箱", "草稿夹", NULL};

static const char *const trash[] = {
    "Trash", "Deleted Items", "Deleted Messages", "Deleted", "Papierkorb", "Gelöscht", "Gelöschte Objekte",
    "Gelöschte Elemente", "Gelöschte Nachrichten", "Corbeille", "Éléments supprimés", "Messages supprimés", "Papelera",
    "Elementos eliminados", "Eliminados", "Cestino", "Posta eliminata", "Elementi eliminati", "Lixeira",
    "Itens excluídos", "Itens eliminados", "Prullenbak", "Verwijderd", "Verwijderde items", "Kosz", "Usunięte",
    "Elementy usunięte", "Papperskorg", "Papperskorgen", "Borttaget", "Borttagna objekt", "Papirkurv", "Slettet post",
    "Slettede elementer", "Roskakori", "Poistetut", "Poistetut viestit", "Koš", "Odstraněné", "Odstraněná pošta",
    "Корзина", "Удаленные", "Удалённые", "ゴミ箱", "削除済みアイテム", "已删除", "已删除邮件", "已刪除的郵件", "垃圾桶",
    NULL};

static const char *const junk[] = {
    "Junk", "Spam", "Junk E-mail", "Junk Email", "Junk Mail", "Bulk Mail", "Spamverdacht", "Unerwünscht",
    "Unerwünschte Werbung", "Courrier indésirable", "Indésirables", "Pourriel", "Correo no deseado", "Correo basura",
    "No deseado", "Posta indesiderata", "Indesiderata", "Lixo eletrônico", "Lixo electrónico", "Ongewenste e-mail",
    "Ongewenst", "Niechciane", "Wiadomości-śmieci", "Skräppost", "Uønsket post", "Uønsket e-post", "Søppelpost",
    "Roskaposti", "Nevyžádaná pošta", "Nevyžádané", "Спам", "Нежелательная почта", "迷惑メール", "垃圾邮件", "垃圾郵件",
    NULL};

static const char *const archive[] = {
    "Archive", "Archives", "Archiv", "Archivo", "Archivados", "Archivio", "Arquivo", "Archief", "Archiwum", "Arkiv",
    "Arkisto", "Архив", "アーカイブ", "归档", "存档", "封存", NULL};

static const char *const *const names[SPECIAL_USES] = {
    [USE_ARCHIVE] = archive, [USE_DRAFTS] = drafts, [USE_JUNK] = junk, [USE_SENT] = sent, [USE_TRASH] = trash,
};

const char *special_attribute(enum special_use use)
{
    return attributes[use];
}

enum special_use special_of_flags(struct slice flags)
{
    for (int i = USE_NONE + 1; i < SPECIAL_USES; i++)
        if (imap_flag_in(flags, attributes[i]))
            return (enum special_use)i;
    return USE_NONE;
}

/* Of code points below 0x800, which take two bytes. */
static unsigned lower(unsigned c)
{
    if ((c >= 0xc0 && c <= 0xde && c != 0xd7) || (c >= 0x410 && c <= 0x42f))
        return c + 0x20;
    if (c >= 0x400 && c <= 0x40f)
        return c + 0x50;
    bool odd_upper = (c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17e);
    if (c >= 0x100 && c <= 0x17e && c != 0x130 && c != 0x131 && c != 0x138 && c != 0x149 && c != 0x178)
        return (c & 1) == (odd_upper ? 1 : 0) ? c + 1 : c;
    return c;
}

static void fold(struct slice utf8, struct buf *out)
{
    for (size_t i = 0; i < utf8.n; i++) {
        unsigned c = utf8.p[i];
        if (c >= 0xc2 && c < 0xe0 && i + 1 < utf8.n) {
            c = lower((c & 0x1f) << 6 | (utf8.p[++i] & 0x3f));
            buf_putc(out, (char)(0xc0 | c >> 6));
            buf_putc(out, (char)(0x80 | (c & 0x3f)));
        } else {
            buf_putc(out, (char)(c >= 'A' && c <= 'Z' ? c + 0x20 : c));
        }
    }
}

static bool same(struct slice folded, struct slice utf8)
{
    struct buf other = {0};
    fold(utf8, &other);
    bool is = slice_eq(folded, buf_slice(&other));
    buf_free(&other);
    return is;
}

/* "sent=Gesendete Objekte"; "none=…" takes a name off the built-in list. */
static bool find_configured(char *const *configured, struct slice folded, enum special_use *use)
{
    for (; configured != NULL && *configured != NULL; configured++) {
        const char *eq = strchr(*configured, '=');
        if (eq == NULL || !same(folded, slice_str(eq + 1)))
            continue;
        struct slice word = slice_make(*configured, (size_t)(eq - *configured));
        *use = USE_NONE;
        for (int i = USE_NONE + 1; i < SPECIAL_USES; i++)
            if (slice_is_nocase(word, attributes[i] + 1))
                *use = (enum special_use)i;
        return true;
    }
    return false;
}

enum special_use special_of_name(char *const *configured, struct slice level, unsigned *rank)
{
    struct buf utf8 = {0}, folded = {0};
    enum special_use use = USE_NONE;
    *rank = 0;
    if (name_to_utf8(level, &utf8) != 0)
        buf_put_slice(&utf8, level);
    fold(buf_slice(&utf8), &folded);
    bool found = find_configured(configured, buf_slice(&folded), &use);
    for (int i = USE_NONE + 1; i < SPECIAL_USES && !found; i++) {
        for (unsigned k = 0; names[i][k] != NULL && !found; k++) {
            found = same(buf_slice(&folded), slice_str(names[i][k]));
            if (found) {
                use = (enum special_use)i;
                *rank = k + 1;
            }
        }
    }
    buf_free(&utf8);
    buf_free(&folded);
    return use;
}
