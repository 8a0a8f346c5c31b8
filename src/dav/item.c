/*
 * What is in an item, and how it is mended: line by line, so that what is not touched stays as it was to the byte. See
 * dav/item.h. Rejected: writing a repaired item out of libical's tree (it drops what it does not understand).
 */
#include "config.h"
#include "dav/ical.h"
#include "dav/lines.h"
#include "wherry/base/mem.h"
#include "wherry/dav/item.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NESTING_MAX = 8, ZONES_MAX = 64, UIDS_MAX = 2000 };

static const struct {
    const char *name;
    enum item_kind kind;
} components[] = {{"VEVENT", ITEM_EVENT}, {"VTODO", ITEM_TODO}, {"VJOURNAL", ITEM_JOURNAL}, {"VFREEBUSY", ITEM_FREEBUSY}};

static unsigned kind_of(const struct lines *l)
{
    for (size_t i = 0; i < sizeof(components) / sizeof(components[0]); i++)
        if (line_begins(l, components[i].name) || line_ends(l, components[i].name))
            return components[i].kind;
    return 0;
}

void item_info_clear(struct item_info *i)
{
    free(i->uid);
    *i = (struct item_info){0};
}

/* A few names, each once. */
struct names {
    char *v[ZONES_MAX];
    size_t n;
};

static bool names_have(const struct names *x, struct slice s)
{
    for (size_t i = 0; i < x->n; i++)
        if (slice_is(s, x->v[i]))
            return true;
    return false;
}

static void names_add_one(struct names *x, struct slice s)
{
    if (x->n < ZONES_MAX && s.n > 0 && !names_have(x, s))
        x->v[x->n++] = slice_dup(s);
}

static void names_free(struct names *x)
{
    for (size_t i = 0; i < x->n; i++)
        free(x->v[i]);
    x->n = 0;
}

/* What is known while a calendar is read. */
struct look {
    struct item_info *info;
    unsigned depth, within; /* component of the second level, 0: none */
    bool uid, stamp, prodid, version, begun, zone, organizer, attendee, torn;
    unsigned calendars;
    struct names used, defined;
};

static void end_component(struct look *k)
{
    if (!k->uid)
        k->info->faults |= ITEM_NO_UID;
    if (!k->stamp)
        k->info->faults |= ITEM_NO_DTSTAMP;
    k->info->scheduled = k->info->scheduled || (k->organizer && k->attendee);
}

static void note_uid(struct look *k, struct slice uid)
{
    k->uid = true;
    if (k->info->uid == NULL)
        k->info->uid = slice_dup(uid);
    else if (!slice_is(uid, k->info->uid))
        k->info->faults |= ITEM_MANY_UIDS;
}

static void note_property(struct look *k, const struct lines *l)
{
    if (k->depth == 1) {
        k->prodid = k->prodid || line_is(l, "PRODID");
        k->version = k->version || line_is(l, "VERSION");
        if (line_is(l, "METHOD"))
            k->info->faults |= ITEM_METHOD;
    } else if (k->depth == 2 && k->within != 0) {
        if (line_is(l, "UID") && l->value.n > 0)
            note_uid(k, l->value);
        k->stamp = k->stamp || line_is(l, "DTSTAMP");
        k->organizer = k->organizer || line_is(l, "ORGANIZER");
        k->attendee = k->attendee || line_is(l, "ATTENDEE");
    }
    if (k->zone && k->depth == 2 && line_is(l, "TZID"))
        names_add_one(&k->defined, l->value);
    if (!k->zone)
        names_add_one(&k->used, line_param_of(l, "TZID"));
}

static void look_at(struct look *k, const struct lines *l)
{
    if (line_begins(l, NULL)) {
        if (k->depth == 0 && line_begins(l, "VCALENDAR"))
            k->calendars++;
        else if (k->depth == 0)
            k->torn = true;
        if (++k->depth == 2) {
            k->within = kind_of(l);
            k->zone = line_begins(l, "VTIMEZONE");
            k->info->kinds |= k->within;
            k->uid = k->stamp = k->organizer = k->attendee = false;
        }
        k->torn = k->torn || k->depth > NESTING_MAX;
    } else if (line_ends(l, NULL)) {
        if (k->depth == 2 && k->within != 0)
            end_component(k);
        if (k->depth == 2)
            k->zone = false;
        k->torn = k->torn || k->depth == 0 || (k->depth == 1 && !line_ends(l, "VCALENDAR"));
        k->depth -= k->depth > 0;
    } else if (l->text.len > 0) {
        k->torn = k->torn || k->depth == 0 || l->name.n == 0;
        note_property(k, l);
    }
}

static void inspect_calendar(struct slice body, struct item_info *out)
{
    struct look k = {.info = out};
    struct lines l = lines_open(body);
    while (lines_next(&l) && !k.torn)
        look_at(&k, &l);
    lines_close(&l);
    if (k.torn || k.depth != 0 || k.calendars != 1 || out->kinds == 0)
        out->faults |= ITEM_BROKEN;
    out->faults |= (k.prodid ? 0U : ITEM_NO_PRODID) | (k.version ? 0U : ITEM_NO_VERSION);
    for (size_t i = 0; i < k.used.n; i++)
        if (!names_have(&k.defined, slice_str(k.used.v[i])) && zone_is_known(slice_str(k.used.v[i])))
            out->faults |= ITEM_NO_VTIMEZONE;
    names_free(&k.used);
    names_free(&k.defined);
}

static void inspect_card(struct slice body, struct item_info *out)
{
    unsigned cards = 0, depth = 0;
    bool uid = false, fn = false, version = false, torn = false;
    struct lines l = lines_open(body);
    while (lines_next(&l)) {
        if (line_begins(&l, NULL)) {
            cards += depth == 0 && line_begins(&l, "VCARD");
            torn = torn || (depth == 0 && !line_begins(&l, "VCARD")) || ++depth > NESTING_MAX;
        } else if (line_ends(&l, NULL)) {
            torn = torn || depth == 0 || (depth == 1 && !line_ends(&l, "VCARD"));
            depth -= depth > 0;
        } else if (l.text.len > 0 && depth == 1) {
            if (line_is(&l, "UID") && l.value.n > 0 && !uid) {
                uid = true;
                out->uid = slice_dup(l.value);
            }
            fn = fn || line_is(&l, "FN");
            version = version || line_is(&l, "VERSION");
            if (line_is(&l, "VERSION") && slice_is(l.value, "2.1"))
                out->faults |= ITEM_OLD_CARD;
            if (line_is(&l, "KIND") || line_is(&l, "X-ADDRESSBOOKSERVER-KIND"))
                out->kinds |= slice_is_nocase(l.value, "group") ? ITEM_LIST : 0U;
        }
    }
    lines_close(&l);
    out->kinds |= out->kinds & ITEM_LIST ? 0U : ITEM_CARD;
    out->faults |= (uid ? 0U : ITEM_NO_UID) | (fn ? 0U : ITEM_NO_FN) | (version ? 0U : ITEM_NO_VERSION) |
                   (cards > 1 ? ITEM_MANY_CARDS : 0U) | (cards == 0 || depth != 0 || torn ? ITEM_BROKEN : 0U);
}

void item_inspect(struct slice body, bool card, struct item_info *out)
{
    *out = (struct item_info){0};
    if (memchr(body.p, '\0', body.n) != NULL)
        out->faults |= ITEM_BROKEN;
    if (card)
        inspect_card(body, out);
    else
        inspect_calendar(body, out);
    if (out->uid == NULL)
        out->uid = mem_strdup("");
}

/* ---- repair ---- */

static uint64_t hash_of(struct slice s, uint64_t h)
{
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ s.p[i]) * 1099511628211u;
    return h;
}

/* The same at each try for the same item. */
static void put_uid(struct buf *out, struct slice seed, struct slice body)
{
    struct buf text = {0};
    uint64_t a = hash_of(seed, 14695981039346656037u), b = hash_of(body, a);
    buf_printf(&text, "UID:wherry-%016llx%016llx", (unsigned long long)a, (unsigned long long)b);
    line_put(out, buf_slice(&text));
    buf_free(&text);
}

/* Of one component: what is missing in it, its lines up to its END being in rest. */
static void component_lacks(struct slice rest, bool *uid, struct buf *stamp)
{
    unsigned depth = 1;
    bool stamped = false;
    struct lines l = lines_open(rest);
    *uid = true;
    buf_clear(stamp);
    while (depth > 0 && lines_next(&l)) {
        depth += line_begins(&l, NULL);
        depth -= line_ends(&l, NULL);
        if (depth != 1)
            continue;
        if (line_is(&l, "UID") && l.value.n > 0)
            *uid = false;
        stamped = stamped || line_is(&l, "DTSTAMP");
        if ((line_is(&l, "LAST-MODIFIED") || (line_is(&l, "CREATED") && stamp->len == 0)) && l.value.n == 16 &&
            l.value.p[15] == 'Z') {
            buf_clear(stamp);
            buf_put_slice(stamp, l.value);
        }
    }
    lines_close(&l);
    if (stamped)
        buf_clear(stamp);
    else if (stamp->len == 0)
        buf_puts(stamp, "19700101T000000Z");
}

static void put_stamp(struct buf *out, struct buf *stamp)
{
    buf_puts(out, "DTSTAMP:");
    buf_put_slice(out, buf_slice(stamp));
    buf_puts(out, "\r\n");
}

/* Zones that are used and not defined, known by their names. */
static void put_zones(struct slice body, struct buf *out)
{
    struct item_info info = {0};
    struct look k = {.info = &info};
    struct lines l = lines_open(body);
    while (lines_next(&l))
        look_at(&k, &l);
    lines_close(&l);
    for (size_t i = 0; i < k.used.n; i++)
        if (!names_have(&k.defined, slice_str(k.used.v[i])))
            ical_zone(k.used.v[i], out);
    names_free(&k.used);
    names_free(&k.defined);
    item_info_clear(&info);
}

static void repair_calendar(struct slice body, struct slice seed, unsigned faults, struct buf *out)
{
    struct buf stamp = {0};
    struct lines l = lines_open(body);
    unsigned depth = 0;
    while (lines_next(&l)) {
        if (l.text.len == 0 || (depth == 1 && line_is(&l, "METHOD")))
            continue;
        buf_put_slice(out, l.raw);
        depth -= line_ends(&l, NULL) && depth > 0;
        if (!line_begins(&l, NULL))
            continue;
        if (++depth == 1) {
            if (faults & ITEM_NO_VERSION)
                buf_puts(out, "VERSION:2.0\r\n");
            if (faults & ITEM_NO_PRODID)
                buf_puts(out, "PRODID:-//wherry//move//EN\r\n");
            if (faults & ITEM_NO_VTIMEZONE)
                put_zones(body, out);
        } else if (depth == 2 && kind_of(&l) != 0) {
            bool uid;
            component_lacks(l.rest, &uid, &stamp);
            if (uid)
                put_uid(out, seed, slice_str(""));
            if (stamp.len > 0)
                put_stamp(out, &stamp);
        }
    }
    lines_close(&l);
    buf_free(&stamp);
}

/* A name to show out of what there is. */
static void put_fn(struct slice body, struct buf *out)
{
    static const char *const from[] = {"N", "NICKNAME", "ORG", "EMAIL", "TEL"};
    struct buf text = {0};
    for (size_t i = 0; i < 5 && text.len == 0; i++) {
        struct lines l = lines_open(body);
        while (text.len == 0 && lines_next(&l)) {
            if (!line_is(&l, from[i]))
                continue;
            for (size_t k = 0; k < l.value.n; k++)
                buf_putc(&text, l.value.p[k] == ';' ? ' ' : (char)l.value.p[k]);
        }
        lines_close(&l);
        while (text.len > 0 && text.mem[text.off + text.len - 1] == ' ')
            buf_truncate(&text, text.len - 1);
    }
    struct buf line = {0};
    buf_puts(&line, "FN:");
    buf_put_slice(&line, text.len > 0 ? buf_slice(&text) : SLICE_LIT("-"));
    line_put(out, buf_slice(&line));
    buf_free(&line);
    buf_free(&text);
}

static void repair_card(struct slice body, struct slice seed, unsigned faults, struct buf *out)
{
    struct buf newer = {0};
    if (faults & ITEM_OLD_CARD) {
        card_modernise(body, &newer);
        body = buf_slice(&newer);
    }
    struct lines l = lines_open(body);
    unsigned depth = 0;
    while (lines_next(&l)) {
        if (l.text.len == 0)
            continue;
        buf_put_slice(out, l.raw);
        depth -= line_ends(&l, NULL) && depth > 0;
        if (!line_begins(&l, NULL) || ++depth != 1)
            continue;
        if (faults & ITEM_NO_VERSION)
            buf_puts(out, "VERSION:3.0\r\n");
        if (faults & ITEM_NO_UID)
            put_uid(out, seed, slice_str(""));
        if ((faults & ITEM_NO_FN) && (faults & ITEM_OLD_CARD)) /* 2.1 does not ask for one */
            put_fn(body, out);
    }
    lines_close(&l);
    buf_free(&newer);
}

void item_repair(struct slice body, bool card, struct slice seed, struct buf *out, unsigned *done)
{
    struct item_info was, is;
    struct buf lines = {0};
    item_inspect(body, card, &was);
    *done = 0;
    item_crlf(body, &lines);
    if ((was.faults & ITEM_BROKEN) == 0) {
        size_t before = out->len;
        if (card)
            repair_card(buf_slice(&lines), seed, was.faults, out);
        else
            repair_calendar(buf_slice(&lines), seed, was.faults, out);
        struct slice mended = buf_slice(out);
        item_inspect(slice_make(mended.p + before, mended.n - before), card, &is);
        *done = was.faults & ~is.faults;
        item_info_clear(&is);
        if (*done == 0)
            buf_truncate(out, before);
    }
    buf_free(&lines);
    item_info_clear(&was);
}

/* ---- split ---- */

struct part {
    char *uid;
    struct buf body;
};

static struct part *part_of(struct part **v, size_t *n, struct slice uid)
{
    for (size_t i = 0; i < *n; i++)
        if (slice_is(uid, (*v)[i].uid))
            return &(*v)[i];
    if (*n == UIDS_MAX)
        return NULL;
    *v = mem_grow(*v, *n + 1, sizeof(**v));
    (*v)[*n] = (struct part){.uid = slice_dup(uid)};
    return &(*v)[(*n)++];
}

struct split {
    struct part *parts;
    size_t n;
    struct buf head, shared, piece, uid; /* of the calendar; its zones; the component in hand and its UID */
    bool failed;
};

static void end_piece(struct split *s, bool zone)
{
    if (zone) {
        buf_put_slice(&s->shared, buf_slice(&s->piece));
    } else {
        struct part *p = part_of(&s->parts, &s->n, buf_slice(&s->uid));
        s->failed = s->failed || p == NULL || s->uid.len == 0;
        if (p != NULL)
            buf_put_slice(&p->body, buf_slice(&s->piece));
    }
    buf_clear(&s->piece);
    buf_clear(&s->uid);
}

static void gather_calendar(struct split *s, struct slice body)
{
    struct lines l = lines_open(body);
    unsigned depth = 0;
    while (lines_next(&l)) {
        bool begins = line_begins(&l, NULL), ends = line_ends(&l, NULL);
        depth += begins;
        if (depth == 1 && !ends && l.text.len > 0)
            buf_put_slice(&s->head, l.raw);
        else if (depth > 1)
            buf_put_slice(&s->piece, l.raw);
        if (depth == 2 && line_is(&l, "UID") && s->uid.len == 0)
            buf_put_slice(&s->uid, l.value);
        if (ends && depth == 2)
            end_piece(s, line_ends(&l, "VTIMEZONE"));
        depth -= ends && depth > 0;
    }
    lines_close(&l);
}

static void gather_cards(struct split *s, struct slice body)
{
    struct lines l = lines_open(body);
    unsigned depth = 0;
    while (lines_next(&l)) {
        depth += line_begins(&l, NULL);
        if (depth > 0)
            buf_put_slice(&s->piece, l.raw);
        if (depth == 1 && line_is(&l, "UID") && s->uid.len == 0)
            buf_put_slice(&s->uid, l.value);
        if (depth == 1 && line_ends(&l, NULL)) {
            if (s->uid.len == 0)
                buf_printf(&s->uid, "card %zu", s->n); /* one of its own each */
            end_piece(s, false);
        }
        depth -= line_ends(&l, NULL) && depth > 0;
    }
    lines_close(&l);
}

int item_split(struct slice body, bool card, item_cb *cb, void *arg)
{
    struct split s = {0};
    struct buf lines = {0}, one = {0};
    int n = 0, rc = 0;
    if (body.n > 0 && memchr(body.p, '\0', body.n) != NULL)
        return E_INVAL;
    item_crlf(body, &lines);
    if (card)
        gather_cards(&s, buf_slice(&lines));
    else
        gather_calendar(&s, buf_slice(&lines));
    for (size_t i = 0; i < s.n && rc == 0 && !s.failed; i++) {
        buf_clear(&one);
        buf_put_slice(&one, buf_slice(&s.head));
        buf_put_slice(&one, buf_slice(&s.shared));
        buf_put_slice(&one, buf_slice(&s.parts[i].body));
        if (!card)
            buf_puts(&one, "END:VCALENDAR\r\n");
        rc = cb(slice_str(s.parts[i].uid), buf_slice(&one), arg);
        n++;
    }
    for (size_t i = 0; i < s.n; i++) {
        free(s.parts[i].uid);
        buf_free(&s.parts[i].body);
    }
    free(s.parts);
    buf_free(&s.head);
    buf_free(&s.shared);
    buf_free(&s.piece);
    buf_free(&s.uid);
    buf_free(&lines);
    buf_free(&one);
    return rc != 0 ? rc : s.failed || n == 0 ? E_INVAL : n;
}

/* ---- the rest ---- */

bool item_schedule_by_client(struct slice body, struct buf *out)
{
    struct lines l = lines_open(body);
    bool changed = false;
    while (lines_next(&l)) {
        struct buf text = {0};
        bool who = line_is(&l, "ORGANIZER") || line_is(&l, "ATTENDEE");
        if (!who || slice_is_nocase(line_param_of(&l, "SCHEDULE-AGENT"), "CLIENT")) {
            buf_put_slice(out, l.raw);
            continue;
        }
        struct slice rest = l.params, name, value;
        buf_put_slice(&text, l.name);
        buf_puts(&text, ";SCHEDULE-AGENT=CLIENT");
        while (line_param(&rest, &name, &value)) {
            if (slice_is_nocase(name, "SCHEDULE-AGENT"))
                continue;
            buf_putc(&text, ';');
            buf_put_slice(&text, name);
            buf_putc(&text, '=');
            buf_put_slice(&text, value);
        }
        buf_putc(&text, ':');
        buf_put_slice(&text, l.value);
        line_put(out, buf_slice(&text));
        buf_free(&text);
        changed = true;
    }
    lines_close(&l);
    return changed;
}

void item_faults_text(unsigned faults, struct buf *out)
{
    static const char *const names[] = {"no UID",       "no PRODID",   "no DTSTAMP",  "no VERSION",   "no VTIMEZONE", "several UIDs",
                                        "METHOD",       "vCard 2.1",   "several cards", "no FN",      "broken"};
    bool first = true;
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if ((faults & 1U << i) == 0)
            continue;
        buf_puts(out, first ? "" : ", ");
        buf_puts(out, names[i]);
        first = false;
    }
}

void item_crlf(struct slice body, struct buf *out)
{
    size_t from = 0;
    for (size_t i = 0; i < body.n; i++) {
        uint8_t c = body.p[i];
        if (c != '\r' && c != '\n')
            continue;
        buf_put(out, body.p + from, i - from);
        buf_puts(out, "\r\n");
        if (c == '\r' && i + 1 < body.n && body.p[i + 1] == '\n')
            i++;
        from = i + 1;
    }
    if (from < body.n)
        buf_put(out, body.p + from, body.n - from);
}
