/*
 * The account's names: each mailbox has one of the view and one of the new host, one to one and kept. Computed once by
 * name_map (imap/names.h), made unique here.
 */
#include "move/move_priv.h"
#include <string.h>

enum {
    SUFFIX_TRIES = 50,
    SAFE_TRIES = 4 /* plainer names for one that a host refuses, and one at the top */
};

void names_add(struct account *a, struct unit *u)
{
    if (unit_is_collection(u->rec.kind)) {
        dav_names_add(a, u);
        return;
    }
    hash_put(a->by_view, slice_str(u->rec.view_name), u);
    if (u->rec.new_name[0] != '\0')
        hash_put(a->by_new, slice_str(u->rec.new_name), u);
}

void names_del(struct account *a, struct unit *u)
{
    if (hash_get(a->by_view, slice_str(u->rec.view_name)) == u)
        hash_del(a->by_view, slice_str(u->rec.view_name));
    if (hash_get(a->by_new, slice_str(u->rec.new_name)) == u)
        hash_del(a->by_new, slice_str(u->rec.new_name));
}

struct unit *account_find(struct account *a, struct slice view_name)
{
    struct buf canon = {0};
    name_canon(view_name, a->rec.old_sep, &canon);
    struct unit *u = hash_get(a->by_view, buf_slice(&canon));
    buf_free(&canon);
    return u;
}

/* A namespace without a prefix holds what is in no other: there the personal one has a prefix. */
static bool in_namespaces(const struct account *a, const char *prefixes, struct slice name)
{
    struct slice rest = slice_str(prefixes), own = slice_str(a->rec.old_prefix);
    while (rest.n > 0) {
        const uint8_t *nl = memchr(rest.p, '\n', rest.n);
        size_t n = nl != NULL ? (size_t)(nl - rest.p) : rest.n;
        size_t bare = n > 0 && rest.p[n - 1] == (uint8_t)a->rec.old_sep ? n - 1 : n;
        if (n > 0 && slice_starts(name, slice_make(rest.p, n)))
            return true;
        if (bare > 0 && slice_eq(name, slice_make(rest.p, bare)))
            return true;
        if (n == 0 && own.n > 0 && !slice_starts(name, own) &&
            !slice_eq(name, slice_make(own.p, own.n - 1)))
            return true;
        n += nl != NULL;
        rest = slice_make(rest.p + n, rest.n - n);
    }
    return false;
}

bool account_is_others(const struct account *a, struct slice name)
{
    struct buf canon = {0};
    if (a->rec.others[0] == '\0' && a->rec.shared[0] == '\0')
        return false;
    name_canon(name, a->rec.old_sep, &canon);
    name = buf_slice(&canon);
    bool inbox = name_is_inbox(name);
    bool is = !inbox && (in_namespaces(a, a->rec.others, name) || in_namespaces(a, a->rec.shared, name));
    buf_free(&canon);
    return is;
}

/* The first of base, base_2, base_3 … that is in no use. */
static int unique(struct hash *taken, struct slice base, struct buf *out)
{
    if (hash_get(taken, base) == NULL) {
        buf_put_slice(out, base);
        return 0;
    }
    for (unsigned i = 2; i < SUFFIX_TRIES; i++) {
        buf_clear(out);
        buf_put_slice(out, base);
        buf_printf(out, "_%u", i);
        if (hash_get(taken, buf_slice(out)) == NULL)
            return 0;
    }
    buf_clear(out);
    return E_INVAL;
}

/* Below a parent that has a pair, the parent's name there and the mapped last level; else the whole name mapped. */
static int map_below(struct unit *parent, bool to_new, struct slice name, const struct name_style *from,
                     const struct name_style *to, struct buf *out)
{
    bool exact;
    if (parent == NULL)
        return name_map(name, from, to, out, &exact);
    struct name_style bare_from = {.sep = from->sep, .prefix = ""};
    struct name_style bare_to = {.sep = to->sep, .prefix = ""};
    size_t skip = strlen(to_new ? parent->rec.view_name : parent->rec.new_name) + 1;
    struct buf level = {0};
    int r = name_map(slice_make(name.p + skip, name.n - skip), &bare_from, &bare_to, &level, &exact);
    if (r == 0) {
        buf_puts(out, to_new ? parent->rec.new_name : parent->rec.view_name);
        buf_putc(out, to->sep);
        buf_put_slice(out, buf_slice(&level));
    }
    buf_free(&level);
    return r;
}

/* The parent's unit, unless its two names correspond by rule anyhow (INBOX as a prefix does not count). */
static struct unit *known_parent(struct account *a, struct hash *names, struct slice name, char sep,
                                 const char *prefix, char other_sep)
{
    struct slice parent = name_parent(name, sep);
    if (parent.n == 0 || other_sep == '\0')
        return NULL;
    if (strlen(prefix) == parent.n + 1 && memcmp(prefix, parent.p, parent.n) == 0)
        return NULL;
    (void)a;
    return hash_get(names, parent);
}

int names_choose_new(struct account *a, struct slice view_name, struct buf *out)
{
    struct name_style from = account_view_style(a), to = account_new_style(a);
    struct buf base = {0};
    struct unit *parent = known_parent(a, a->by_view, view_name, from.sep, from.prefix, to.sep);
    if (parent != NULL && (parent->rec.new_name[0] == '\0' || strcmp(parent->rec.view_name, "INBOX") == 0))
        parent = NULL;
    int r = map_below(parent, true, view_name, &from, &to, &base);
    if (r == 0)
        r = unique(a->by_new, buf_slice(&base), out);
    buf_free(&base);
    return r;
}

/* The levels of the name on new that are the name's own: the last one below a parent that is known there. */
static int safe_base(struct account *a, struct slice view_name, struct buf *parent, struct buf *own)
{
    struct name_style from = account_view_style(a), to = account_new_style(a);
    struct buf base = {0};
    struct unit *p = known_parent(a, a->by_view, view_name, from.sep, from.prefix, to.sep);
    if (p != NULL && (p->rec.new_name[0] == '\0' || strcmp(p->rec.view_name, "INBOX") == 0))
        p = NULL;
    int r = map_below(p, true, view_name, &from, &to, &base);
    size_t skip = p != NULL ? strlen(p->rec.new_name) + 1 : slice_starts(buf_slice(&base), slice_str(to.prefix)) ? strlen(to.prefix) : 0;
    if (r == 0) {
        buf_put_slice(parent, slice_make(buf_slice(&base).p, skip));
        buf_put_slice(own, slice_make(buf_slice(&base).p + skip, base.len - skip));
    }
    buf_free(&base);
    return r;
}

/* The last resort is short, at the top, and nobody else's. */
static int safe_at_top(struct account *a, struct slice own, struct buf *out)
{
    struct name_style to = account_new_style(a);
    struct slice parent = name_parent(own, to.sep);
    size_t skip = parent.n > 0 ? parent.n + 1 : 0;
    buf_puts(out, to.prefix);
    int r = name_safe(slice_make(own.p + skip, own.n - skip), to.sep, 2, out);
    buf_printf(out, "_%u", (unsigned)a->rec.next_unit);
    return r;
}

int account_safe_name(struct account *a, struct slice view_name, struct slice refused, unsigned *tries, struct buf *out)
{
    struct buf canon = {0}, parent = {0}, own = {0};
    name_canon(view_name, a->rec.old_sep, &canon);
    int r = safe_base(a, buf_slice(&canon), &parent, &own);
    bool found = false;
    while (r == 0 && !found && *tries <= SAFE_TRIES) {
        unsigned n = (*tries)++;
        buf_clear(out);
        if (n < SAFE_TRIES) {
            buf_put_slice(out, buf_slice(&parent));
            r = name_safe(buf_slice(&own), a->rec.new_sep, n, out);
        } else {
            r = safe_at_top(a, buf_slice(&own), out);
        }
        found = r == 0 && !slice_eq(buf_slice(out), refused) && hash_get(a->by_new, buf_slice(out)) == NULL;
    }
    buf_free(&canon);
    buf_free(&parent);
    buf_free(&own);
    return found ? 0 : E_INVAL;
}

struct unit *account_case_clash(struct account *a, struct slice new_name)
{
    for (uint32_t i = 0; i < a->n_units; i++) {
        struct unit *u = a->units[i];
        if (u != NULL && u->rec.state != UNIT_DELETED && slice_is_nocase(new_name, u->rec.new_name) &&
            !slice_is(new_name, u->rec.new_name))
            return u;
    }
    return NULL;
}

int account_name_to_new(struct account *a, struct slice view_name, struct buf *out)
{
    struct buf canon = {0};
    struct unit *u = account_find(a, view_name);
    int r = 0;
    name_canon(view_name, a->rec.old_sep, &canon);
    if (u != NULL && u->rec.new_name[0] != '\0')
        buf_puts(out, u->rec.new_name);
    else if (u != NULL)
        r = E_INVAL;
    else
        r = names_choose_new(a, buf_slice(&canon), out);
    buf_free(&canon);
    return r;
}

/* A name that only new has must not be one of a namespace that stays on old: "Public/x" becomes "Public_2/x". */
static int out_of_others(struct account *a, struct buf *view)
{
    char sep = a->rec.old_sep;
    for (unsigned i = 2; account_is_others(a, buf_slice(view)); i++) {
        struct buf other = {0};
        struct slice all = buf_slice(view), first = all;
        for (struct slice p = name_parent(all, sep); p.n > 0; p = name_parent(p, sep))
            first = p;
        buf_put_slice(&other, first);
        buf_printf(&other, "_%u", i);
        buf_put_slice(&other, slice_make(all.p + first.n, all.n - first.n));
        buf_free(view);
        *view = other;
        if (i == SUFFIX_TRIES)
            return E_INVAL;
    }
    return 0;
}

struct unit *account_find_new(struct account *a, struct slice new_name)
{
    struct name_style from = account_new_style(a), to = account_view_style(a);
    struct buf canon = {0}, base = {0}, view = {0};
    name_canon(new_name, from.sep, &canon);
    struct unit *u = hash_get(a->by_new, buf_slice(&canon));
    if (u == NULL) {
        struct unit *parent = known_parent(a, a->by_new, buf_slice(&canon), from.sep, from.prefix, to.sep);
        if (parent != NULL && strcmp(parent->rec.new_name, "INBOX") == 0)
            parent = NULL;
        if (map_below(parent, false, buf_slice(&canon), &from, &to, &base) == 0 &&
            out_of_others(a, &base) == 0 && unique(a->by_view, buf_slice(&base), &view) == 0) {
            u = unit_new(a, UNIT_MAILBOX, UNIT_MOVED, HOME_NEW, slice_str(""), buf_slice(&view),
                         buf_slice(&canon));
            struct store_batch *b = account_batch(a);
            store_put_unit(b, &u->rec);
            store_put_account(b, &a->rec);
            store_submit(&b, NULL);
        }
    }
    buf_free(&canon);
    buf_free(&base);
    buf_free(&view);
    return u;
}

/* ---- structure changed by a person ---- */

/*
 * The highest UIDVALIDITY that a deleted mailbox of that name was shown with. One that was never touched was perhaps seen
 * on the old host before the cutover, with a value that was not asked for: hosts take the time of day, or count up from
 * it, so tomorrow is above it.
 */
static uint32_t buried_uidvalidity(const struct account *a, struct slice view_name)
{
    uint32_t high = 0;
    for (uint32_t i = 0; i < a->n_units; i++) {
        const struct unit *u = a->units[i];
        if (u == NULL || u->rec.state != UNIT_DELETED || !slice_is(view_name, u->rec.view_name))
            continue;
        uint32_t seen[] = {u->rec.view_uidvalidity, u->rec.old_uidvalidity, u->rec.min_view_uidvalidity};
        for (unsigned k = 0; k < 3; k++)
            high = seen[k] > high ? seen[k] : high;
        uint32_t tomorrow = (uint32_t)(clock_real_us() / 1000000 + 86400);
        if (u->rec.old_name[0] != '\0' && u->rec.old_uidvalidity == 0 && high < tomorrow)
            high = tomorrow;
    }
    return high;
}

void account_created(struct account *a, struct slice view_name, struct slice new_name, struct store_wait *wait)
{
    struct buf canon = {0};
    struct store_batch *b = account_batch(a);
    name_canon(view_name, a->rec.old_sep, &canon);
    struct unit *u = hash_get(a->by_view, buf_slice(&canon));
    if (u == NULL) {
        u = unit_new(a, UNIT_MAILBOX, UNIT_MOVED, HOME_NEW, slice_str(""), buf_slice(&canon), new_name);
        u->rec.min_view_uidvalidity = buried_uidvalidity(a, buf_slice(&canon));
    } else if (u->rec.kind == UNIT_FOLDER) {
        unit_open_folder(u);
    }
    store_put_unit(b, &u->rec);
    store_put_account(b, &a->rec);
    store_submit(&b, wait);
    buf_free(&canon);
}

void account_deleted(struct account *a, struct unit *u, struct store_wait *wait)
{
    struct store_batch *b = account_batch(a);
    unit_stop(u);
    account_wake(a); /* who waited for it */
    names_del(a, u);
    rest_end(u);
    if (u->rec.state != UNIT_MOVED)
        unit_close_count(u);
    unit_enter(u, UNIT_DELETED);
    store_put_unit(b, &u->rec);
    store_submit(&b, wait);
    account_settle(a);
}

static void replace(char **name, struct slice from, struct slice to)
{
    char *longer = mem_printf("%.*s%s", (int)to.n, (const char *)to.p, *name + from.n);
    free(*name);
    *name = longer;
}

/* The name itself or something below it. */
static bool is_under(const char *name, struct slice top, char sep)
{
    size_t n = strlen(name);
    return n >= top.n && memcmp(name, top.p, top.n) == 0 &&
           (n == top.n || (sep != '\0' && name[top.n] == sep));
}

void account_renamed(struct account *a, struct slice from_view, struct slice to_view, struct slice from_new,
                     struct slice to_new, struct store_wait *wait)
{
    if (name_is_inbox(from_view)) { /* RFC 3501 6.3.5: INBOX stays, its messages are in a new mailbox */
        account_created(a, to_view, to_new, wait);
        return;
    }
    struct store_batch *b = account_batch(a);
    for (uint32_t i = 0; i < a->n_units; i++) {
        struct unit *u = a->units[i];
        if (u == NULL || u->rec.state == UNIT_DELETED || !is_under(u->rec.view_name, from_view, a->rec.old_sep))
            continue;
        names_del(a, u);
        replace(&u->rec.view_name, from_view, to_view);
        if (is_under(u->rec.new_name, from_new, a->rec.new_sep))
            replace(&u->rec.new_name, from_new, to_new);
        names_add(a, u);
        store_put_unit(b, &u->rec);
    }
    store_submit(&b, wait);
}
