/*
 * Two lists in ascending UIDs and a map that ascends on both sides: one pass over both, as a merge does it, and nothing of
 * them is kept.
 */
#include "config.h"
#include "verify/judge.h"
#include "wherry/auth/digest.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- what the store has ---- */

struct reading {
    struct judge *j;
    int err;
};

static bool on_part(struct slice key, struct slice value, void *arg)
{
    struct reading *r = arg;
    (void)key;
    r->err = uidmap_decode(&r->j->map, value);
    return r->err == 0;
}

static bool on_left(struct slice key, struct slice value, void *arg)
{
    struct reading *r = arg;
    struct judge *j = r->j;
    (void)key;
    if ((j->n_lefts & (j->n_lefts - 1)) == 0)
        j->lefts = mem_grow(j->lefts, j->n_lefts == 0 ? 1 : 2 * j->n_lefts, sizeof(*j->lefts));
    r->err = store_left_decode(&j->lefts[j->n_lefts], value);
    j->n_lefts += r->err == 0;
    return r->err == 0;
}

int judge_begin(struct judge *j, const struct verify *v, const struct store_unit *u, struct side *old, struct side *new)
{
    struct reading r = {.j = j};
    struct buf key = {0};
    *j = (struct judge){.v = v, .unit = u, .old = old, .new = new};
    j->result.unit = u;
    j->first = mem_array(v->most + 1, sizeof(*j->first));
    uidmap_init(&j->map);
    store_key_unit(&key, u->account, u->id);
    int rc = store_walk(v->store, STORE_UIDMAPS, buf_slice(&key), on_part, &r);
    if (rc == 0 && r.err == 0)
        rc = store_walk(v->store, STORE_LEFT, buf_slice(&key), on_left, &r);
    buf_free(&key);
    rc = rc != 0 ? rc : r.err;
    if (rc == 0 && j->map.tail_new == 0)
        rc = E_CORRUPT;
    if (rc != 0)
        err_set(&j->result.err, rc, SCOPE_UNIT, "what the store has of it cannot be read (%s)", err_name(rc));
    return rc;
}

void judge_free(struct judge *j)
{
    for (size_t i = 0; i < j->n_lefts; i++)
        store_left_clear(&j->lefts[i]);
    for (size_t i = 0; i < j->result.n; i++)
        free(j->first[i].detail);
    free(j->lefts);
    free(j->first);
    uidmap_free(&j->map);
    memset(j, 0, sizeof(*j));
}

bool judge_opened(struct judge *j)
{
    const struct store_unit *u = j->unit;
    struct err *e = &j->result.err;
    if (u->view_uidvalidity != u->old_uidvalidity)
        err_set(e, E_CORRUPT, SCOPE_UNIT, "its UIDs began anew after the move: nothing says which message is which");
    else if (j->old->uidvalidity != u->old_uidvalidity)
        err_set(e, E_CORRUPT, SCOPE_UNIT, "the old host has another UIDVALIDITY than at the move (%u, was %u)",
                (unsigned)j->old->uidvalidity, (unsigned)u->old_uidvalidity);
    else if (j->new->uidvalidity != u->new_uidvalidity)
        err_set(e, E_CORRUPT, SCOPE_UNIT, "the new host has another UIDVALIDITY than at the move (%u, was %u)",
                (unsigned)j->new->uidvalidity, (unsigned)u->new_uidvalidity);
    return e->code == 0;
}

/* ---- differences ---- */

static void differ(struct judge *j, enum verify_kind k, uint32_t old_uid, uint32_t new_uid, const char *fmt, ...) PRINTF(5, 6);

static void differ(struct judge *j, enum verify_kind k, uint32_t old_uid, uint32_t new_uid, const char *fmt, ...)
{
    struct verify_mailbox *r = &j->result;
    struct buf text = {0};
    va_list ap;
    r->differ[k]++;
    r->differs++;
    if (r->n == j->v->most)
        return;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    j->first[r->n++] = (struct verify_difference){k, old_uid, new_uid, mem_strdup(buf_cstr(&text))};
    buf_free(&text);
}

static bool next_word(struct slice *list, struct slice *word)
{
    const uint8_t *sp = list->n > 0 ? memchr(list->p, ' ', list->n) : NULL;
    size_t n = sp != NULL ? (size_t)(sp - list->p) : list->n;
    *word = slice_make(list->p, n);
    n += sp != NULL;
    *list = slice_make(list->p + n, list->n - n);
    return word->n > 0;
}

/* Case does not matter, of keywords neither (RFC 9051 2.3.2). */
static bool holds_all(struct slice list, struct slice of)
{
    struct slice want, have, rest;
    while (next_word(&of, &want)) {
        bool found = false;
        for (rest = list; !found && next_word(&rest, &have);)
            found = slice_eq_nocase(have, want);
        if (!found)
            return false;
    }
    return true;
}

static bool same_flags(const char *a, const char *b)
{
    return strcmp(a, b) == 0 || (holds_all(slice_str(a), slice_str(b)) && holds_all(slice_str(b), slice_str(a)));
}

/* True when they differ, and nobody changed them since. */
static bool flags_differ(struct judge *j, const struct entry *o, const struct entry *n)
{
    const struct store_unit *u = j->unit;
    if (same_flags(o->flags, n->flags))
        return false;
    bool on_new = u->settled_modseq != 0 && n->modseq > u->settled_modseq;
    bool on_old = u->old_modseq != 0 && o->modseq > u->old_modseq;
    j->result.changed += on_new || on_old;
    return !on_new && !on_old;
}

static void compare(struct judge *j, const struct entry *o, const struct entry *n)
{
    uint64_t before = j->result.differs, changed = j->result.changed;
    if (o->size != n->size)
        differ(j, VERIFY_SIZE, o->uid, n->uid, "%llu bytes on old, %llu on new", (unsigned long long)o->size,
               (unsigned long long)n->size);
    else if (o->has_body && n->has_body && memcmp(o->sum, n->sum, DIGEST_BYTES) != 0)
        differ(j, VERIFY_BODY, o->uid, n->uid, "%llu bytes on both", (unsigned long long)o->size);
    if (o->date != n->date)
        differ(j, VERIFY_DATE, o->uid, n->uid, "new is %lld s later", (long long)(n->date - o->date));
    if (flags_differ(j, o, n))
        differ(j, VERIFY_FLAGS, o->uid, n->uid, "(%.200s) on old, (%.200s) on new", o->flags, n->flags);
    j->result.same += j->result.differs == before && j->result.changed == changed;
}

/* ---- what was left behind ---- */

static const struct store_left *find_left(const struct judge *j, uint32_t uid)
{
    size_t lo = 0, hi = j->n_lefts;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (j->lefts[mid].old_uid == uid)
            return &j->lefts[mid];
        if (j->lefts[mid].old_uid < uid)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

/* The file's length and sum. 0 or errno. */
static int read_file(const char *path, uint64_t *size, uint8_t sum[DIGEST_BYTES])
{
    uint8_t bytes[16384];
    struct digest *d = digest_new();
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : 1;
    *size = 0;
    while (n > 0) {
        n = read(fd, bytes, sizeof(bytes));
        if (n > 0) {
            digest_put(d, slice_make(bytes, (size_t)n));
            *size += (uint64_t)n;
        }
    }
    int why = n < 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    digest_end(d, sum);
    digest_free(&d);
    return why;
}

static void look_into_spool(struct judge *j, const struct store_left *l, const struct entry *o)
{
    uint8_t sum[DIGEST_BYTES];
    uint64_t size;
    if (l->file[0] == '\0') {
        differ(j, VERIFY_SPOOL, o->uid, 0, "the old host did not send it then");
        return;
    }
    char *path = mem_printf("%s/%s", j->v->settings->spool_path, l->file);
    int why = read_file(path, &size, sum);
    if (why != 0)
        differ(j, VERIFY_SPOOL, o->uid, 0, "%s: %s", path, strerror(why));
    else if (size != l->size || (o->has_body && memcmp(sum, o->sum, DIGEST_BYTES) != 0))
        differ(j, VERIFY_SPOOL, o->uid, 0, "%s does not hold what the old host has", path);
    else
        j->result.left_behind++;
    free(path);
}

/* ---- messages that are on one side only ---- */

/* Above it are those that reached old after the move: they came to new as new mail, and no record says as which. */
static uint32_t last_moved(const struct judge *j)
{
    const struct uid_run *r = j->map.n > 0 ? &j->map.runs[j->map.n - 1] : NULL;
    return r != NULL ? r->view + (r->len - 1) : 0;
}

static void only_old(struct judge *j, const struct entry *o)
{
    const struct store_unit *u = j->unit;
    const struct store_left *l = find_left(j, o->uid);
    if (l != NULL)
        look_into_spool(j, l, o);
    else if (o->uid > u->straggler_uid)
        differ(j, VERIFY_LATE, o->uid, 0, "%s", "");
    else if (o->uid > last_moved(j) && j->result.brought < u->stragglers)
        j->result.brought++;
    else
        differ(j, VERIFY_NOT_MOVED, o->uid, 0, "%s", "");
}

static void lost(struct judge *j, uint32_t old_uid, uint32_t new_uid)
{
    if (side_was_expunged(j->new, new_uid))
        j->result.gone_new++;
    else
        differ(j, VERIFY_MISSING, old_uid, new_uid, "%s",
               j->new->gone_known ? "" : "expunged by a person or lost: the new host does not tell which");
}

static void only_new(struct judge *j, const struct entry *n)
{
    if (n->uid >= j->map.tail_new)
        j->result.added++;
    else if (uidmap_to_view(&j->map, n->uid) != 0)
        j->result.gone_old++;
    else
        differ(j, VERIFY_EXTRA, 0, n->uid, "%s", "");
}

static bool at_end(const struct side *s)
{
    return s->state == SIDE_END && s->n == 0;
}

bool judge_step(struct judge *j)
{
    struct side *old = j->old, *new = j->new;
    for (;;) {
        const struct entry *o = side_peek(old), *n = side_peek(new);
        if (old->err.code != 0 || new->err.code != 0) {
            j->result.err = old->err.code != 0 ? old->err : new->err;
            return true;
        }
        if ((o == NULL && !at_end(old)) || (n == NULL && !at_end(new)))
            return false;
        if (o == NULL && n == NULL)
            return true;
        uint32_t to = o != NULL && o->uid <= last_moved(j) ? uidmap_to_new(&j->map, o->uid) : 0;
        bool take_old = o != NULL && (to == 0 || n == NULL || to <= n->uid);
        bool take_new = n != NULL && (o == NULL || (to != 0 && n->uid <= to));
        if (take_old && take_new)
            compare(j, o, n);
        else if (take_old && to == 0)
            only_old(j, o);
        else if (take_old)
            lost(j, o->uid, to);
        else
            only_new(j, n);
        if (take_old) {
            j->result.on_old++;
            side_pop(old);
        }
        if (take_new) {
            j->result.on_new++;
            side_pop(new);
        }
    }
}
