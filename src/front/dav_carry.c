/*
 * COPY and MOVE of an item between collections of which one has moved and the other has not: read at one host, put at the other, and for MOVE
 * deleted at the first if it is still what was read. The bytes stream through; what breaks off in the middle is never taken for the whole.
 */
#include "config.h"
#include "front/dav.h"
#include "wherry/http/head.h"
#include <stdlib.h>
#include <string.h>

enum carry_state { CARRY_READ, CARRY_PUT, CARRY_DELETE };

/* Owner: the session. */
struct dav_carry {
    enum carry_state state;
    struct buf from, to; /* as the two hosts spell them */
    struct davr *source, *target;
    struct buf etag, type, new_etag;
    bool source_over;
    unsigned status; /* of PUT */
    uint64_t bytes;
};

void davs_carry_free(struct dav_session *d)
{
    struct dav_carry *c = d->carry;
    if (c == NULL)
        return;
    d->carry = NULL;
    davr_free(&c->target);
    davr_free(&c->source);
    buf_free(&c->from);
    buf_free(&c->to);
    buf_free(&c->etag);
    buf_free(&c->type);
    buf_free(&c->new_etag);
    free(c);
}

static struct davr *ask(struct dav_session *d, enum unit_home side, const char *method, const struct buf *path,
                        const struct dav_field *fields, size_t n, int body_kind)
{
    /*
     * What a COPY or MOVE of one host does without telling anybody must not become an invitation or a cancellation because it is a
     * PUT and a DELETE here (RFC 6638 8.1, and what hosts have for it); who does not know a field passes it over.
     */
    const struct dav_field quiet[] = {{SLICE_LIT("Schedule-Reply"), SLICE_LIT("F")},
                                             {SLICE_LIT("Scheduling-Enabled"), SLICE_LIT("F")},
                                             {SLICE_LIT("X-NC-DISABLE-SCHEDULING"), SLICE_LIT("true")}};
    enum { QUIET = sizeof(quiet) / sizeof(*quiet), MOST = 4 };
    struct dav_field all[MOST + QUIET];
    const struct settings *set = davs_settings(d);
    memcpy(all, quiet, sizeof(quiet));
    for (size_t i = 0; i < n && i < MOST; i++)
        all[QUIET + i] = fields[i];
    struct davr_open o = {
        .host = side == HOME_NEW ? &set->new_dav : &set->old_dav,
        .creds = &d->creds[side],
        .method = method,
        .target = buf_slice(path),
        .fields = all,
        .n_fields = QUIET + (n < MOST ? n : MOST),
        .body_kind = body_kind,
        .timeout_seconds = set->host_timeout_seconds,
    };
    return davr_start(d->env->dav, &d->task, &o);
}

static int spell(struct dav_session *d, enum unit_home side, const struct http_target *t, struct buf *out)
{
    if (side == HOME_NEW)
        return davs_href_to_new(d, buf_slice(&t->spelled), out);
    buf_put_slice(out, buf_slice(&t->spelled));
    return 0;
}

void davs_carry_begin(struct dav_session *d)
{
    struct dav_carry *c = d->carry = mem_alloc(sizeof(*c));
    struct slice match = http_field(d->q, "If-Match");
    struct dav_field field = {SLICE_LIT("If-Match"), match};
    struct buf translated = {0};
    int rc = spell(d, d->from.side, &d->target, &c->from);
    if (rc == 0)
        rc = spell(d, d->to.side, &d->destination, &c->to);
    if (rc == 0 && match.n > 0 && d->from.side == HOME_NEW) {
        rc = davs_etags_to_new(d, &d->from, match, false, &translated);
        field.value = buf_slice(&translated);
    }
    if (rc == 0) {
        c->source = ask(d, d->from.side, "GET", &c->from, &field, match.n > 0, DAVR_NO_BODY);
        davs_enter(d, DAVS_CARRY);
    } else {
        davs_say(d, rc == E_INVAL ? 400 : 404, "The request cannot be understood");
    }
    buf_free(&translated);
}

static bool fail(struct dav_session *d, enum unit_home side, const struct err *e)
{
    davs_host_failed(d, side, e);
    return true;
}

/* The source's head: there is something to put, or what it said is the answer. */
static bool source_head(struct dav_session *d)
{
    struct dav_carry *c = d->carry;
    unsigned status = davr_status(c->source);
    struct slice overwrite = http_field(d->q, "Overwrite");
    struct dav_field fields[2];
    size_t n = 0;
    if (status != 200) {
        davs_say(d, status >= 400 && status < 500 && status != 401 ? status : 503, "The source cannot be read");
        return true;
    }
    buf_put_slice(&c->etag, davr_field(c->source, "ETag"));
    buf_put_slice(&c->type, davr_field(c->source, "Content-Type"));
    if (c->type.len > 0)
        fields[n++] = (struct dav_field){SLICE_LIT("Content-Type"), buf_slice(&c->type)};
    if (slice_is_nocase(overwrite, "F"))
        fields[n++] = (struct dav_field){SLICE_LIT("If-None-Match"), SLICE_LIT("*")};
    c->target = ask(d, d->to.side, "PUT", &c->to, fields, n, DAVR_BODY_CHUNKED);
    c->state = CARRY_PUT;
    return true;
}

static bool read_source(struct dav_session *d)
{
    struct dav_carry *c = d->carry;
    struct davr_event ev;
    if (c->source_over || (c->target != NULL && davr_full(c->target)))
        return false;
    davr_next(c->source, &ev);
    switch (ev.kind) {
    case DAVR_NONE:
        return false;
    case DAVR_HEAD:
        return source_head(d);
    case DAVR_BODY:
        c->bytes += ev.bytes.n;
        davr_write(c->target, ev.bytes);
        if (c->bytes > davs_settings(d)->dav_item_bytes)
            davs_say(d, 413, "This is longer than what may be stored");
        return true;
    case DAVR_DONE:
        c->source_over = true;
        davr_end(c->target);
        return true;
    case DAVR_FAILED:
        return fail(d, d->from.side, ev.err);
    }
    return false;
}

/* It is there. With the new host's tag, if that is where it is. */
static void finish(struct dav_session *d)
{
    struct dav_carry *c = d->carry;
    struct buf more = {0}, tag = {0};
    bool weak = c->new_etag.len > 0 && buf_slice(&c->new_etag).p[0] == 'W';
    if (c->new_etag.len > 0 && !weak && d->to.side == HOME_NEW &&
        collection_etag_to_view(d->to.unit, d->to.rest, buf_slice(&c->new_etag), false, &tag) == 0)
        http_put_field(&more, "ETag", buf_slice(&tag));
    else if (c->new_etag.len > 0 && d->to.side == HOME_OLD)
        http_put_field(&more, "ETag", buf_slice(&c->new_etag));
    davs_answer(d, c->status == 201 ? 201 : 204, more.len > 0 ? buf_cstr(&more) : NULL, slice_str(""));
    buf_free(&more);
    buf_free(&tag);
}

static void put_over(struct dav_session *d)
{
    struct dav_carry *c = d->carry;
    struct dav_field match = {SLICE_LIT("If-Match"), buf_slice(&c->etag)};
    bool weak = c->etag.len > 1 && buf_slice(&c->etag).p[0] == 'W';
    c->status = davr_status(c->target);
    if (c->status > 299 && d->from.side == d->to.side && !d->carried) {
        d->carried = true; /* the host itself may do it: it has no item twice, and the like */
        davs_carry_free(d);
        davs_send(d);
        return;
    }
    buf_put_slice(&c->new_etag, davr_field(c->target, "ETag"));
    if (c->status > 299) {
        davs_say(d, c->status >= 400 && c->status < 500 && c->status != 401 ? c->status : c->status == 507 ? 507 : 503,
                 "The destination cannot be written");
        return;
    }
    if (d->q->method != METHOD_MOVE) {
        finish(d);
        return;
    }
    davr_free(&c->source);
    davr_free(&c->target);
    c->target = ask(d, d->from.side, "DELETE", &c->from, &match, c->etag.len > 0 && !weak, DAVR_NO_BODY);
    c->state = CARRY_DELETE;
}

/* The answer of PUT, and then of DELETE. */
static bool read_target(struct dav_session *d)
{
    struct dav_carry *c = d->carry;
    struct davr_event ev;
    if (c->target == NULL)
        return false;
    davr_next(c->target, &ev);
    if (ev.kind == DAVR_NONE)
        return false;
    if (ev.kind == DAVR_FAILED)
        return fail(d, c->state == CARRY_PUT ? d->to.side : d->from.side, ev.err);
    if (ev.kind != DAVR_DONE)
        return true;
    if (c->state == CARRY_PUT) {
        put_over(d);
    } else {
        unsigned status = davr_status(c->target);
        if (status < 300 || status == 404)
            finish(d);
        else
            davs_say(d, status == 412 ? 412 : 503, "It was copied, but is still at its old place");
    }
    return true;
}

bool davs_state_carry(struct dav_session *d)
{
    bool progress = d->carry->state != CARRY_DELETE && read_source(d);
    if (d->state == DAVS_CARRY)
        progress = read_target(d) || progress;
    return progress;
}
