/*
 * Capabilities as bits, internal dates, flag lists.
 * What: the small things of the wire that fit a machine word.
 * Why: a capability is asked for often and must cost nothing; dates are compared as instants, since
 * hosts send them back in another zone. Rejected: strptime and timegm (locale, and what they take
 * beyond the grammar).
 */
#include "wherry/imap/caps.h"
#include <string.h>

static const char *const cap_names[] = {
#define X(id, name) [CAPI_##id] = name,
    IMAP_CAPS(X)
#undef X
};
_Static_assert(CAPI_COUNT <= 64, "capabilities fit one word");

const char *imap_cap_name(enum imap_cap_index i)
{
    return (unsigned)i < CAPI_COUNT ? cap_names[i] : "";
}

/* Takes the next word off a list separated by spaces; false at its end. */
static bool next_word(struct slice *in, struct slice *word)
{
    size_t i = 0, first;
    *word = (struct slice){0};
    if (in->n == 0)
        return false;
    while (i < in->n && in->p[i] == ' ')
        i++;
    first = i;
    while (i < in->n && in->p[i] != ' ')
        i++;
    *word = slice_make(in->p + first, i - first);
    *in = slice_make(in->p + i, in->n - i);
    return word->n > 0;
}

/* RIGHTS= lists rights in any order (RFC 4314 2.2): those of the RFC, and n of RFC 5257. */
static uint64_t rights_bit(struct slice word)
{
    static const char name[] = "RIGHTS=", all[] = "texkn";
    size_t n = sizeof(name) - 1;
    unsigned seen = 0;
    if (word.n <= n || !slice_is_nocase(slice_make(word.p, n), name))
        return 0;
    for (size_t i = n; i < word.n; i++)
        for (unsigned k = 0; k < sizeof(all) - 1; k++)
            seen |= (word.p[i] | 0x20) == all[k] ? 1U << k : 0;
    return seen == 31 ? CAP_BIT(RIGHTS_N) : (seen & 15) == 15 ? CAP_BIT(RIGHTS) : 0;
}

/* "APPENDLIMIT=…" */
static bool limit_value(struct slice word, struct slice *value)
{
    static const char name[] = "APPENDLIMIT=";
    size_t n = sizeof(name) - 1;
    if (word.n < n || !slice_is_nocase(slice_make(word.p, n), name))
        return false;
    *value = slice_make(word.p + n, word.n - n);
    return true;
}

static uint64_t cap_bit(struct slice word)
{
    struct slice value;
    if (limit_value(word, &value))
        return CAP_BIT(APPENDLIMIT);
    if (rights_bit(word) != 0)
        return rights_bit(word);
    for (unsigned i = 0; i < CAPI_COUNT; i++) {
        if (slice_is_nocase(word, cap_names[i]))
            return (uint64_t)1 << i;
    }
    return 0;
}

uint64_t imap_caps_parse(struct slice names)
{
    uint64_t bits = 0;
    struct slice word;
    while (next_word(&names, &word))
        bits |= cap_bit(word);
    return bits;
}

uint64_t imap_caps_append_limit(struct slice names)
{
    struct slice word, value;
    uint64_t n;
    while (next_word(&names, &word))
        if (limit_value(word, &value) && slice_u64(value, &n) == 0)
            return n;
    return UINT64_MAX;
}

/* Days since 1970-01-01 of the Gregorian calendar, for years 0 and later. */
static int64_t days_of(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t yoe = year - era * 400;
    int64_t doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

static void civil_of(int64_t days, int *year, int *month, int *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t doe = days - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    *day = (int)(doy - (153 * mp + 2) / 5 + 1);
    *month = (int)(mp < 10 ? mp + 3 : mp - 9);
    *year = (int)(yoe + era * 400 + (*month <= 2));
}

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

/* n digits at p, -1 when one is none. */
static int digits(const uint8_t *p, size_t n)
{
    int v = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9')
            return -1;
        v = v * 10 + (p[i] - '0');
    }
    return v;
}

static int month_of(const uint8_t *p)
{
    for (int m = 0; m < 12; m++) {
        if (slice_eq_nocase(slice_make(p, 3), slice_make(months + 3 * m, 3)))
            return m + 1;
    }
    return -1;
}

static int month_days(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

/* "-Jul-1996 02:44:25 -0700", 24 bytes, after the day. */
static int parse_after_day(const uint8_t *p, int day, int64_t *out)
{
    int month = month_of(p + 1), year = digits(p + 5, 4);
    int hour = digits(p + 10, 2), min = digits(p + 13, 2), sec = digits(p + 16, 2);
    int zhour = digits(p + 20, 2), zmin = digits(p + 22, 2);
    if (p[0] != '-' || p[4] != '-' || p[9] != ' ' || p[12] != ':' || p[15] != ':' || p[18] != ' ' ||
        (p[19] != '+' && p[19] != '-'))
        return E_INVAL;
    if (month < 0 || year < 0 || hour < 0 || hour > 23 || min < 0 || min > 59 || sec < 0 ||
        sec > 60 || zhour < 0 || zhour > 23 || zmin < 0 || zmin > 59)
        return E_INVAL;
    if (day < 1 || day > month_days(year, month))
        return E_INVAL;
    int64_t zone = (int64_t)zhour * 3600 + zmin * 60;
    int64_t t = days_of(year, month, day) * 86400 + hour * 3600 + min * 60 + sec;
    *out = p[19] == '+' ? t - zone : t + zone;
    return 0;
}

int imap_date_parse(struct slice s, int64_t *out)
{
    *out = 0;
    if (s.n != 25 && s.n != 26)
        return E_INVAL;
    size_t n = s.n - 24;
    int day = n == 2 && s.p[0] == ' ' ? digits(s.p + 1, 1) : digits(s.p, n);
    return parse_after_day(s.p + n, day, out);
}

void imap_date_format(struct buf *out, int64_t when)
{
    const int64_t first = days_of(0, 1, 1) * 86400, last = days_of(10000, 1, 1) * 86400 - 1;
    when = when < first ? first : when > last ? last : when;
    int64_t days = when / 86400, sec = when % 86400;
    if (sec < 0) {
        sec += 86400;
        days--;
    }
    int year, month, day, s = (int)sec;
    civil_of(days, &year, &month, &day);
    buf_printf(out, "%02d-%.3s-%04d %02d:%02d:%02d +0000", day, months + 3 * (month - 1), year,
               s / 3600, s / 60 % 60, s % 60);
}

static bool same_flag(struct slice a, struct slice b)
{
    return a.n > 0 && a.p[0] == '\\' ? slice_eq_nocase(a, b) : slice_eq(a, b);
}

/* Every flag of a is in b, \Recent aside. */
static bool flags_within(struct slice a, struct slice b)
{
    struct slice word, other, rest;
    while (next_word(&a, &word)) {
        bool found = slice_is_nocase(word, "\\Recent");
        rest = b;
        while (!found && next_word(&rest, &other))
            found = same_flag(word, other);
        if (!found)
            return false;
    }
    return true;
}

bool imap_flags_same(struct slice a, struct slice b)
{
    return slice_eq(a, b) || (flags_within(a, b) && flags_within(b, a));
}
