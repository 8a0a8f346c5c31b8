/* Nothing is known of collections yet: all of them are at home on the old host, and requests go there. */
#include "config.h"
#include "wherry/move/dav.h"

enum readiness collections_ready(struct account *a, struct err *e)
{
    (void)a;
    err_set(e, E_NOTSUP, SCOPE_NONE, "collections do not move yet");
    return STATE_FAILED;
}

const struct store_account *account_record(const struct account *a)
{
    (void)a;
    return NULL;
}

struct unit *collection_find(struct account *a, struct slice path, struct slice *rest)
{
    (void)a;
    (void)path;
    (void)rest;
    return NULL;
}

struct unit *collection_find_new(struct account *a, struct slice path, struct slice *rest)
{
    return collection_find(a, path, rest);
}

void collections_walk(struct account *a, account_walk_cb *cb, void *arg)
{
    (void)a;
    (void)cb;
    (void)arg;
}

enum readiness collection_touch(struct unit *u, struct account_user *user, struct err *e)
{
    (void)u;
    (void)user;
    err_set(e, E_NOTSUP, SCOPE_NONE, "collections do not move yet");
    return STATE_FAILED;
}

bool collection_write_begin(struct unit *u)
{
    (void)u;
    return true;
}

void collection_write_end(struct unit *u)
{
    (void)u;
}

int collection_href_to_new(struct unit *u, struct slice href, struct buf *out)
{
    (void)u;
    (void)href;
    (void)out;
    return E_INVAL;
}

int collection_href_to_view(struct unit *u, struct slice href, struct buf *out)
{
    return collection_href_to_new(u, href, out);
}

int collection_etag_to_view(struct unit *u, struct slice rest, struct slice etag, bool schedule, struct buf *out)
{
    (void)u;
    (void)rest;
    (void)etag;
    (void)schedule;
    (void)out;
    return E_INVAL;
}

int collection_etag_to_new(struct unit *u, struct slice rest, struct slice etag, bool schedule, struct buf *out)
{
    return collection_etag_to_view(u, rest, etag, schedule, out);
}

int collection_choose_new(struct account *a, enum unit_kind kind, struct slice path, struct buf *out)
{
    (void)a;
    (void)kind;
    (void)path;
    (void)out;
    return E_INVAL;
}

void collection_created(struct account *a, enum unit_kind kind, struct slice view_href, struct slice new_href,
                        struct store_wait *wait)
{
    (void)a;
    (void)kind;
    (void)view_href;
    (void)new_href;
    (void)wait;
}

void collection_deleted(struct account *a, struct unit *u, struct store_wait *wait)
{
    (void)a;
    (void)u;
    (void)wait;
}
