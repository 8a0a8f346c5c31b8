/*
 * Calendars and address books: collections are units like mailboxes, and have the same states. Accounts are attached as for IMAP
 * (account_attach starts the mirror of the collections too, where old.dav and new.dav are configured); the user is woken
 * when something it waits for changed.
 *
 * Paths are decoded once (http_path_decode) and are the view's, that is the old host's; hrefs are as spelled. A collection's path
 * ends with a slash.
 */
#ifndef WHERRY_MOVE_DAV_H
#define WHERRY_MOVE_DAV_H

#include "wherry/client/dav.h"
#include "wherry/move/account.h"

/*
 * The collections are mirrored and recorded. FAILED: *e says why (E_AUTH: a host does not take the credentials; E_NOTFOUND: the
 * person has no calendars on old), all of it is still served from old; a later attach tries again.
 */
enum readiness collections_ready(struct account *a, struct err *e);
/*
 * Principals and homes at both hosts: old_principal, new_principal, old_calendars… of the record, valid when ready; where it is
 * not, "".
 */
const struct store_account *account_record(const struct account *a);

/*
 * The collection that a path is, or is in: *rest (borrowed from path) is what stands behind the collection's path, empty for the
 * collection itself. Also without the slash at the end. NULL: none. What does not move (UNIT_STAYS) is found as well: its home is
 * old for ever.
 */
struct unit *collection_find(struct account *a, struct slice path, struct slice *rest);
/* The same by a path on the new host. */
struct unit *collection_find_new(struct account *a, struct slice path, struct slice *rest);
void collections_walk(struct account *a, account_walk_cb *cb, void *arg); /* those that are not deleted */

/*
 * A touch, as unit_touch: READY: the home is new. BUSY: it is being copied (the home is old meanwhile, and reads may be answered
 * from there at any time). FAILED: *e says why, and old goes on serving it.
 */
enum readiness collection_touch(struct unit *u, struct account_user *user, struct err *e);

/*
 * Whoever changes something in a collection whose home is old says so before it sends the request, and says when the answer came (or
 * the request failed). False: the switch is at hand, answer 503 with Retry-After; nothing was counted then. The switch waits
 * for those that were counted. Where the home is new it is always true.
 */
bool collection_write_begin(struct unit *u) MUST_USE;
void collection_write_end(struct unit *u);

/*
 * Hrefs below a moved collection, path only. To new: what stands behind the collection is taken over as spelled, but for items whose
 * name differs. To the view: in the spelling of old for items that came from there. 0, or E_INVAL: not in this collection.
 */
int collection_href_to_new(struct unit *u, struct slice href, struct buf *out) MUST_USE;
int collection_href_to_view(struct unit *u, struct slice href, struct buf *out) MUST_USE;

/*
 * ETags (and schedule-tags) of a moved collection's items, with their quotes; rest: the item's decoded name in the view. To the view: old's
 * while new shows the one that it had when it was copied; any other is marked. To new: back; a tag that cannot match gives one
 * that never matches. Weak tags ("W/…") are kept weak and never old's. `schedule`: a schedule-tag. 0, or the store's error.
 */
int collection_etag_to_view(struct unit *u, struct slice rest, struct slice etag, bool schedule, struct buf *out) MUST_USE;
int collection_etag_to_new(struct unit *u, struct slice rest, struct slice etag, bool schedule, struct buf *out) MUST_USE;

/*
 * The switch's facts are in unit_record(u): old_token and old_ctag were current on old when the last listing was made, and new_token and
 * new_ctag on new when all of it was there. Who was in sync with old_token is in sync with new_token, but for these items (differs of
 * them): FOREIGN ones to be told as new; STORED and not kept to be told as changed; LEFT to be told as gone.
 */
typedef bool collection_item_cb(const struct store_item *i, void *arg);
int collection_differs_walk(struct unit *u, collection_item_cb *cb, void *arg) MUST_USE;
/* All rows. */
int collection_items_walk(struct unit *u, collection_item_cb *cb, void *arg) MUST_USE;

/* ---- structure, changed on the new host by a person ---- */
/* The path on new for a collection that is to be made at this one of the view, which is in none; spelled. 0 or E_INVAL (in no
 * home). */
int collection_choose_new(struct account *a, enum unit_kind kind, struct slice path, struct buf *out) MUST_USE;
/* It was made: recorded, home new. wait as for account_created. */
void collection_created(struct account *a, enum unit_kind kind, struct slice view_href, struct slice new_href,
                        struct store_wait *wait);
/* It is gone from its home, and not served any more; what is on old is left there. */
void collection_deleted(struct account *a, struct unit *u, struct store_wait *wait);

/* Credentials of the account at a host, for requests on the person's behalf. 0 or E_INVAL. */
int account_dav_creds(struct account *a, bool old, struct dav_creds *out) MUST_USE;

#endif
