/*
 * libical's door. What: it brings the values of properties into one form (recurrence rules, durations, lists), and knows the time
 * zones of the system. The comparison itself is of sorted texts. Rejected: icalcomponent_compare and the like (they compare
 * times only).
 */
#include "config.h"
#include "dav/ical.h"
#include "dav/lines.h"
#include "wherry/base/mem.h"
#include <libical/ical.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 8 };

/* What does not change what an item means. */
static bool counts_not(icalproperty_kind k, const char *value)
{
    return k == ICAL_PRODID_PROPERTY || k == ICAL_VERSION_PROPERTY ||
           (k == ICAL_CALSCALE_PROPERTY && strcmp(value, "GREGORIAN") == 0);
}

static void add_property(icalproperty *p, struct texts *t)
{
    char *s = icalproperty_as_ical_string_r(p);
    struct lines l = lines_open(slice_str(s));
    struct buf text = {0};
    if (lines_next(&l)) {
        char *value = slice_dup(l.value);
        if (!counts_not(icalproperty_isa(p), value)) {
            line_canon(slice_str(""), l.name, l.params, l.value, false, &text);
            texts_add(t, &text);
        }
        free(value);
    }
    buf_free(&text);
    lines_close(&l);
    icalmemory_free_buffer(s);
}

static bool is_known_zone(icalcomponent *c)
{
    icalproperty *p = icalcomponent_get_first_property(c, ICAL_TZID_PROPERTY);
    return icalcomponent_isa(c) == ICAL_VTIMEZONE_COMPONENT && p != NULL && zone_is_known(slice_str(icalproperty_get_tzid(p)));
}

static bool canon(icalcomponent *c, unsigned depth, struct buf *out)
{
    struct texts t = {0};
    bool ok = depth < DEPTH_MAX;
    for (icalproperty *p = icalcomponent_get_first_property(c, ICAL_ANY_PROPERTY); p != NULL && ok;
         p = icalcomponent_get_next_property(c, ICAL_ANY_PROPERTY)) {
        ok = icalproperty_isa(p) != ICAL_XLICERROR_PROPERTY;
        if (ok)
            add_property(p, &t);
    }
    for (icalcomponent *k = icalcomponent_get_first_component(c, ICAL_ANY_COMPONENT); k != NULL && ok;
         k = icalcomponent_get_next_component(c, ICAL_ANY_COMPONENT)) {
        struct buf text = {0};
        if (is_known_zone(k))
            continue;
        ok = icalcomponent_isa(k) != ICAL_XLICINVALID_COMPONENT && canon(k, depth + 1, &text);
        texts_add(&t, &text);
    }
    const char *name = icalcomponent_isa(c) == ICAL_X_COMPONENT ? "X" : icalcomponent_kind_to_string(icalcomponent_isa(c));
    buf_printf(out, "BEGIN:%s\n", name != NULL ? name : "?");
    texts_put(&t, out);
    buf_puts(out, "END\n");
    return ok;
}

bool ical_canon(struct slice body, struct buf *out)
{
    size_t before = out->len;
    icalerror_set_errors_are_fatal(false);
    if (memchr(body.p, '\0', body.n) != NULL)
        return false;
    char *s = slice_dup(body);
    icalcomponent *c = icalparser_parse_string(s);
    free(s);
    bool ok = c != NULL && icalcomponent_isa(c) == ICAL_VCALENDAR_COMPONENT && canon(c, 0, out);
    if (c != NULL)
        icalcomponent_free(c);
    if (!ok)
        buf_truncate(out, before);
    return ok;
}

/* RFC 7809 or libical put a prefix before it; the plain name is what the items have. */
bool ical_zone(const char *tzid, struct buf *out)
{
    icaltimezone *z;
    icalcomponent *c;
    if (!zone_is_known(slice_str(tzid)) || (z = icaltimezone_get_builtin_timezone(tzid)) == NULL ||
        (c = icaltimezone_get_component(z)) == NULL)
        return false;
    c = icalcomponent_new_clone(c);
    icalproperty *p = icalcomponent_get_first_property(c, ICAL_TZID_PROPERTY);
    if (p != NULL)
        icalproperty_set_tzid(p, tzid);
    char *s = icalcomponent_as_ical_string_r(c);
    buf_puts(out, s);
    icalmemory_free_buffer(s);
    icalcomponent_free(c);
    return p != NULL;
}
