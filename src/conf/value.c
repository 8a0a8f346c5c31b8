/*
 * One value: from text to its field of struct settings and back.
 *
 * Defaults take the same way as what stands in the file, so a default that breaks its own bounds is
 * found by the first test that loads any file.
 */
#include "config.h"
#include "conf_internal.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

static void *field(struct settings *s, const struct conf_option *o)
{
    return (char *)s + o->offset;
}

static const void *field_const(const struct settings *s, const struct conf_option *o)
{
    return (const char *)s + o->offset;
}

static int refuse(struct buf *why, const char *reason)
{
    buf_puts(why, reason);
    return E_INVAL;
}

static int set_string(struct settings *s, const struct conf_option *o, const char *text)
{
    char **p = field(s, o);
    free(*p);
    *p = mem_strdup(text);
    return 0;
}

/* Letters, digits and what else stands in host names and addresses. */
static bool is_hostlike(const char *text)
{
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:");
    return n > 0 && n <= 255 && text[n] == '\0';
}

static int check_host(const char *text, struct buf *why)
{
    struct in6_addr v6;
    if (!is_hostlike(text))
        return refuse(why, "must be a host name or an address");
    if (strchr(text, ':') != NULL && inet_pton(AF_INET6, text, &v6) != 1)
        return refuse(why, "must be a host name or an address; the port is a setting of its own");
    return 0;
}

/* No user, query or fragment: requests have their own. */
static int check_url(const char *text, struct buf *why)
{
    struct slice s = slice_str(text);
    bool tls = slice_starts(s, SLICE_LIT("https://"));
    const char *host = text + (tls ? 8 : 7);
    if (!tls && !slice_starts(s, SLICE_LIT("http://")))
        return refuse(why, "must begin with https:// or http://");
    size_t n = strcspn(host, "/");
    if (n == 0 || strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]") < n)
        return refuse(why, "must have a host, perhaps a port, and a path, as in https://dav.example.org/");
    if (host[n] == '\0' || strpbrk(host + n, "?#\\ \"<>") != NULL)
        return refuse(why, "must end in a path, at least /, without ? and #");
    return 0;
}

static int check_header(const char *text, struct buf *why)
{
    if (strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != strlen(text))
        return refuse(why, "must be the name of a header field");
    return 0;
}

static int check_template(const char *text, struct buf *why)
{
    bool person = false;
    for (const char *p = strchr(text, '%'); p != NULL; p = strchr(p, '%')) {
        p++;
        if (*p == '\0' || strchr("und%", *p) == NULL)
            return refuse(why, "only %u, %n, %d and %% may stand in it");
        if (*p == 'u' || *p == 'n')
            person = true;
        p++;
    }
    if (!person)
        return refuse(why, "needs %u or %n, else all people would be one");
    return 0;
}

/* "1.2.3.4:143" or "[::]:993". Names would be looked up once, at the start; so only addresses. */
static int check_address(const char *text, struct buf *why)
{
    char host[INET6_ADDRSTRLEN];
    struct in6_addr any;
    uint32_t port;
    const char *colon = strrchr(text, ':');
    bool v6 = text[0] == '[';
    if (colon == NULL || slice_u32(slice_str(colon + 1), &port) != 0 || port > 65535)
        return refuse(why, "must be \"address:port\", as in \"0.0.0.0:143\" or \"[::]:143\"");
    const char *start = v6 ? text + 1 : text;
    const char *end = v6 ? colon - 1 : colon;
    if (end < start || (v6 && *end != ']') || (size_t)(end - start) >= sizeof(host))
        return refuse(why, "must be \"address:port\", as in \"0.0.0.0:143\" or \"[::]:143\"");
    memcpy(host, start, (size_t)(end - start));
    host[end - start] = '\0';
    if (inet_pton(v6 ? AF_INET6 : AF_INET, host, &any) != 1)
        return refuse(why, "is not a numeric address (IPv6 stands in brackets)");
    return 0;
}

/* "sent=Gesendete Objekte", "none=Archive". */
static int check_use(const char *text, struct buf *why)
{
    static const char *const uses[] = {"archive", "drafts", "junk", "sent", "trash", "none"};
    const char *eq = strchr(text, '=');
    size_t n = eq != NULL ? (size_t)(eq - text) : 0;
    bool known = false;
    for (size_t i = 0; i < sizeof(uses) / sizeof(*uses); i++)
        known = known || slice_is_nocase(slice_make(text, n), uses[i]);
    if (!known || eq[1] == '\0')
        return refuse(why, "must be \"use=mailbox name\", where use is archive, drafts, junk, sent, trash or none");
    for (const char *p = eq; *p != '\0'; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            return refuse(why, "has a control character in it");
    }
    return 0;
}

static int add_item(struct settings *s, const struct conf_option *o, const char *text,
                    struct buf *why)
{
    char ***list = field(s, o);
    size_t n = 0;
    int rc = o->type == CONF_USES ? check_use(text, why) : check_address(text, why);
    if (rc != 0)
        return rc;
    while (*list != NULL && (*list)[n] != NULL) {
        if (strcmp((*list)[n], text) == 0)
            return refuse(why, "stands there twice");
        n++;
    }
    *list = mem_grow(*list, n + 2, sizeof(**list));
    (*list)[n] = mem_strdup(text);
    (*list)[n + 1] = NULL;
    return 0;
}

static int check_text(const struct conf_option *o, const char *text, struct buf *why)
{
    if (text[0] == '\0')
        return refuse(why, "must not be empty; leave the line out instead");
    for (const char *p = text; *p != '\0'; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            return refuse(why, "has a control character in it");
    }
    switch (o->type) {
    case CONF_HOST:
        return check_host(text, why);
    case CONF_DOMAIN:
        if (!is_hostlike(text) || strchr(text, ':') != NULL)
            return refuse(why, "must be a domain such as example.org");
        return 0;
    case CONF_FILE:
    case CONF_SECRET:
    case CONF_FOLDER:
        return text[0] == '/' ? 0 : refuse(why, "must be an absolute path");
    case CONF_URL:
        return check_url(text, why);
    case CONF_HEADER:
        return check_header(text, why);
    case CONF_PATH:
        return text[0] == '/' ? check_template(text, why) : refuse(why, "must begin with /");
    case CONF_TEMPLATE:
        return check_template(text, why);
    default:
        return 0;
    }
}

static void put_number(struct settings *s, const struct conf_option *o, uint64_t v)
{
    uint16_t v16 = (uint16_t)v;
    uint32_t v32 = (uint32_t)v;
    const void *from = o->size == 2 ? (const void *)&v16 : o->size == 4 ? (const void *)&v32 : &v;
    memcpy(field(s, o), from, o->size);
}

static uint64_t get_number(const struct settings *s, const struct conf_option *o)
{
    uint16_t v16 = 0;
    uint32_t v32 = 0;
    uint64_t v = 0;
    memcpy(o->size == 2   ? (void *)&v16
           : o->size == 4 ? (void *)&v32
                          : &v,
           field_const(s, o), o->size);
    return o->size == 2 ? v16 : o->size == 4 ? v32 : v;
}

static int set_number(struct settings *s, const struct conf_option *o, const char *text,
                      struct buf *why)
{
    struct slice digits = slice_str(text);
    const char *suffix =
        o->type == CONF_SIZE && digits.n > 0 ? strchr("KMGkmg", text[digits.n - 1]) : NULL;
    unsigned shift = 0;
    uint64_t v;
    if (suffix != NULL) {
        digits.n--;
        shift = *suffix == 'K' || *suffix == 'k' ? 10 : *suffix == 'M' || *suffix == 'm' ? 20 : 30;
    }
    if (slice_u64(digits, &v) != 0)
        return refuse(why, o->type == CONF_SIZE ? "must be a number of bytes (K, M or G may follow)"
                                                : "must be a whole number");
    if (v > o->max >> shift || v << shift < o->min) {
        buf_printf(why, "must be between %llu and %llu", (unsigned long long)o->min,
                   (unsigned long long)o->max);
        return E_INVAL;
    }
    put_number(s, o, v << shift);
    return 0;
}

static const struct {
    char letter;
    uint32_t seconds;
} duration_units[] = {{'w', 604800}, {'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}};
enum { DURATION_UNITS = sizeof(duration_units) / sizeof(duration_units[0]) };

static int set_duration(struct settings *s, const struct conf_option *o, const char *text,
                        struct buf *why)
{
    struct slice digits = slice_str(text);
    uint64_t v, unit = 1;
    for (unsigned i = 0; i < DURATION_UNITS && digits.n > 0; i++)
        if ((digits.p[digits.n - 1] | 0x20) == duration_units[i].letter) {
            unit = duration_units[i].seconds;
            digits.n--;
            break;
        }
    if (slice_u64(digits, &v) != 0)
        return refuse(why, "must be a number of seconds, or one with s, m, h, d or w behind it");
    if (v > o->max / unit || v * unit < o->min) {
        buf_printf(why, "must be between %llu and %llu seconds", (unsigned long long)o->min,
                   (unsigned long long)o->max);
        return E_INVAL;
    }
    put_number(s, o, v * unit);
    return 0;
}

static int set_bool(struct settings *s, const struct conf_option *o, const char *text,
                    struct buf *why)
{
    struct slice t = slice_str(text);
    bool on = slice_is_nocase(t, "yes") || slice_is_nocase(t, "true") || slice_is_nocase(t, "on");
    if (!on && !slice_is_nocase(t, "no") && !slice_is_nocase(t, "false") &&
        !slice_is_nocase(t, "off"))
        return refuse(why, "must be yes or no");
    memcpy(field(s, o), &on, sizeof(on));
    return 0;
}

static int set_word(struct settings *s, const struct conf_option *o, const char *text,
                    struct buf *why)
{
    for (unsigned i = 0; o->words[i] != NULL; i++) {
        if (slice_is_nocase(slice_str(text), o->words[i])) {
            put_number(s, o, i);
            return 0;
        }
    }
    buf_puts(why, "must be one of");
    for (unsigned i = 0; o->words[i] != NULL; i++)
        buf_printf(why, "%s %s", i == 0 ? "" : ",", o->words[i]);
    return E_INVAL;
}

int conf_value_set(struct settings *s, const struct conf_option *o, const char *text,
                   struct buf *why)
{
    int rc;
    switch (o->type) {
    case CONF_ADDRESSES:
    case CONF_USES:
        return add_item(s, o, text, why);
    case CONF_NUMBER:
    case CONF_SIZE:
        return set_number(s, o, text, why);
    case CONF_DURATION:
        return set_duration(s, o, text, why);
    case CONF_BOOL:
        return set_bool(s, o, text, why);
    case CONF_WORD:
        return set_word(s, o, text, why);
    default:
        rc = check_text(o, text, why);
        return rc != 0 ? rc : set_string(s, o, text);
    }
}

static bool is_string(const struct conf_option *o)
{
    return o->type <= CONF_TEMPLATE;
}

bool conf_is_list(const struct conf_option *o)
{
    return o->type == CONF_ADDRESSES || o->type == CONF_USES;
}

void conf_value_clear(struct settings *s, const struct conf_option *o)
{
    if (is_string(o)) {
        char **p = field(s, o);
        free(*p);
        *p = NULL;
    } else if (conf_is_list(o)) {
        char ***list = field(s, o);
        for (size_t i = 0; *list != NULL && (*list)[i] != NULL; i++)
            free((*list)[i]);
        free(*list);
        *list = NULL;
    }
}

void conf_value_copy(const struct settings *from, struct settings *to, const struct conf_option *o)
{
    conf_value_clear(to, o);
    if (is_string(o)) {
        char *const *p = field_const(from, o);
        *(char **)field(to, o) = mem_strdup(*p);
    } else if (conf_is_list(o)) {
        char *const *list = *(char *const *const *)field_const(from, o);
        struct buf why = {0};
        for (size_t i = 0; list != NULL && list[i] != NULL; i++) {
            if (add_item(to, o, list[i], &why) != 0)
                abort(); /* it was taken before */
        }
    } else {
        memcpy(field(to, o), field_const(from, o), o->size);
    }
}

static void put_size(struct buf *out, uint64_t v)
{
    static const char suffix[] = "GMK";
    for (unsigned i = 0; i < 3 && v > 0; i++) {
        unsigned shift = 30 - 10 * i;
        if ((v & ((1ull << shift) - 1)) == 0) {
            buf_printf(out, "%llu%c", (unsigned long long)(v >> shift), suffix[i]);
            return;
        }
    }
    buf_printf(out, "%llu", (unsigned long long)v);
}

static void put_duration(struct buf *out, uint64_t v)
{
    unsigned i = 0;
    while (v > 0 && v % duration_units[i].seconds != 0)
        i++;
    if (v == 0)
        buf_puts(out, "0");
    else
        buf_printf(out, "%llu%c", (unsigned long long)(v / duration_units[i].seconds),
                   duration_units[i].letter);
}

void conf_value_text(const struct settings *s, const struct conf_option *o, struct buf *out)
{
    if (is_string(o)) {
        char *const *p = field_const(s, o);
        buf_puts(out, *p == NULL ? "" : *p);
        return;
    }
    char *const *list;
    bool on;
    switch (o->type) {
    case CONF_ADDRESSES:
    case CONF_USES:
        list = *(char *const *const *)field_const(s, o);
        for (size_t i = 0; list != NULL && list[i] != NULL; i++)
            buf_printf(out, "%s%s", i == 0 ? "" : ", ", list[i]);
        return;
    case CONF_BOOL:
        memcpy(&on, field_const(s, o), sizeof(on));
        buf_puts(out, on ? "yes" : "no");
        return;
    case CONF_WORD:
        buf_puts(out, o->words[get_number(s, o)]);
        return;
    case CONF_SIZE:
        put_size(out, get_number(s, o));
        return;
    case CONF_DURATION:
        put_duration(out, get_number(s, o));
        return;
    default:
        buf_printf(out, "%llu", (unsigned long long)get_number(s, o));
    }
}
