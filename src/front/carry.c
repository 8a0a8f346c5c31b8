/*
 * Carrying over, the questions. The connection to old still counts the messages as the client does, so it says what the client
 * knows: NOOP brings what it was not told yet, UID SEARCH all UIDs in their order. New is asked for its own in the same moment.
 * Nothing of that is shown: it is compared (carry_tell.c), and the client hears what differs, from new.
 *
 * Where messages come or go while a host lists them the list is asked for again.
 */
#include "config.h"
#include "front/carry.h"
#include "wherry/imap/caps.h"
#include "wherry/imap/set.h"
#include <stdlib.h>

enum { LIST_TRIES = 5, BRIEF_MOST = 20000 /* runs of the map */ };

static void done_noop(struct session *s, struct flight *f, const struct resp *r);
static void done_listed(struct session *s, struct flight *f, const struct resp *r);
static void done_selected(struct session *s, struct flight *f, const struct resp *r);

static const struct command row_noop = {.name = "NOOP", .done = done_noop};
static const struct command row_list = {.name = "UID SEARCH", .done = done_listed};
static const struct command row_select = {.name = "SELECT", .done = done_selected};

void carry_free(struct session *s)
{
    struct carry *c = s->carry;
    if (c == NULL)
        return;
    account_give_turn(s->account);
    uidlist_free(&c->side[HOME_OLD].uids);
    uidlist_free(&c->side[HOME_NEW].uids);
    uidlist_free(&c->vanished);
    uidlist_free(&c->changed);
    uidlist_free(&c->saved);
    buf_free(&c->tell);
    imap_fetch_free(&c->fetch);
    free(c);
    s->carry = NULL;
}

static void fail(struct carry *c, const char *why)
{
    if (c->failed == NULL)
        c->failed = why;
}

/* ---- asking ---- */

static void ask_list(struct session *s, enum unit_home side)
{
    struct carry_side *x = &s->carry->side[side];
    uidlist_free(&x->uids);
    x->again = false;
    x->tries++;
    /* In short, which would be the longer form where there are gaps everywhere, and one long word. */
    const struct uidmap *map = unit_map(s->unit, &(struct err){0});
    bool brief = (imapc_caps(session_host(s, side)) & CAP_BIT(ESEARCH)) != 0 && map != NULL && map->n < BRIEF_MOST;
    uint32_t id = imapc_command(session_host(s, side), "UID SEARCH %sALL", brief ? "RETURN (ALL) " : "");
    flight_new(s, side, id, &row_list, slice_str(""))->silent = true;
}

static void ask_select(struct session *s)
{
    struct imapc *c = s->new_;
    host_enable(s, HOME_NEW);
    uint32_t id = imapc_begin(c);
    imapc_puts(c, s->read_only ? "EXAMINE " : "SELECT ");
    imapc_put_string(c, slice_str(unit_record(s->unit)->new_name));
    imapc_end(c);
    flight_new(s, HOME_NEW, id, &row_select, slice_str(""))->silent = true;
}

void carry_begin(struct session *s)
{
    struct carry *c = s->carry = mem_alloc(sizeof(*c));
    imap_fetch_init(&c->fetch);
    c->by_uid = s->view.vanished && (s->host_enabled[HOME_OLD] & CAP_BIT(QRESYNC)) != 0;
    flight_new(s, HOME_OLD, imapc_command(s->old, "NOOP"), &row_noop, slice_str(""))->silent = true;
    ask_select(s);
    ask_list(s, HOME_NEW);
    session_enter(s, S_CARRY);
}

/* ---- tagged replies ---- */

/* Not before: Dovecot answers a SEARCH that stands behind NOOP first, and tells of what went afterwards. */
static void done_noop(struct session *s, struct flight *f, const struct resp *r)
{
    (void)r;
    ask_list(s, f->side);
}

static void done_listed(struct session *s, struct flight *f, const struct resp *r)
{
    (void)f;
    if (r->cond != COND_OK)
        fail(s->carry, "a host does not list the mailbox");
}

static void done_selected(struct session *s, struct flight *f, const struct resp *r)
{
    struct carry *c = s->carry;
    (void)f;
    if (r->cond != COND_OK)
        fail(c, "the new host does not open the mailbox");
    else if (c->uidvalidity == 0 || unit_check_uidvalidity(s->unit, c->uidvalidity) != 0 ||
             unit_record(s->unit)->view_uidvalidity != s->view_uidvalidity)
        fail(c, "the mailbox has another UIDVALIDITY now");
}

/* ---- what the hosts say ---- */

bool carry_takes_status(struct session *s, enum unit_home side, const struct resp *r)
{
    struct imap_args a;
    struct slice name;
    uint32_t n;
    if (s->carry == NULL || (s->carry->phase == CARRY_TELL && side == HOME_NEW))
        return false;
    imap_args_init(&a, r->code);
    if (side == HOME_NEW && imap_args_atom(&a, &name) && slice_is_nocase(name, "UIDVALIDITY") && imap_args_u32(&a, &n))
        s->carry->uidvalidity = n;
    return true;
}

/* A message went, told by its number among those that the client counts and old still has. */
static void on_expunge(struct session *s, enum unit_home side, uint32_t num)
{
    struct carry *c = s->carry;
    c->side[side].again = true;
    if (side == HOME_NEW)
        c->exists -= c->exists > 0;
    else if (num == 0 || !seqs_add(&s->seqs, seqs_to_view(&s->seqs, num), 0))
        fail(c, "the old host counts in a strange way");
}

static void begin(struct session *s, enum unit_home side, const struct resp *r)
{
    struct carry *c = s->carry;
    struct carry_side *x = &c->side[side];
    x->kind = CARRY_NOTHING;
    if (r->has_num && slice_is_nocase(r->name, "EXPUNGE"))
        on_expunge(s, side, r->num);
    else if (r->has_num && slice_is_nocase(r->name, "EXISTS") && side == HOME_NEW)
        c->exists = r->num;
    else if (r->has_num && slice_is_nocase(r->name, "FETCH") && side == HOME_OLD)
        x->kind = CARRY_FETCH;
    else if (slice_is_nocase(r->name, "SEARCH") || slice_is_nocase(r->name, "ESEARCH"))
        x->kind = CARRY_NUMBERS;
    else if (slice_is_nocase(r->name, "VANISHED"))
        x->kind = CARRY_SET;
}

static void on_number(struct session *s, enum unit_home side, const struct tok *t)
{
    struct carry *c = s->carry;
    if (t->kind != TOK_ATOM || !imap_set_valid(t->text))
        return;
    if (!uidlist_add_set(c->phase == CARRY_SAVED ? &c->saved : &c->side[side].uids, t->text))
        fail(c, "the mailbox has too many gaps");
}

/* Who enabled QRESYNC hears of UIDs. The mailbox was just selected where new says so: it is of no interest there. */
static void on_vanished(struct session *s, enum unit_home side, const struct tok *t)
{
    struct carry *c = s->carry;
    struct slice set = t->text;
    uint32_t lo, hi;
    int rc = 0;
    c->side[side].again = true;
    if (side == HOME_NEW || t->kind != TOK_ATOM)
        return;
    while ((rc = imap_set_next(&set, &lo, &hi)) > 0 && lo != SET_STAR && lo <= hi && hi - lo < UIDLIST_MOST)
        for (uint64_t uid = lo; uid <= hi; uid++)
            if (!uidlist_add(&c->vanished, (uint32_t)uid))
                fail(c, "the mailbox has too many gaps");
    if (rc != 0)
        fail(c, "the old host counts in a strange way");
}

static void on_fetch(struct session *s, const struct resp *r)
{
    struct carry *c = s->carry;
    if (imap_fetch_feed(&c->fetch, r) != FETCH_DONE || !c->fetch.has_flags)
        return;
    uint32_t what = c->by_uid ? c->fetch.uid : seqs_to_view(&s->seqs, c->fetch.seq);
    if (what != 0 && !uidlist_add(&c->changed, what))
        fail(c, "too much changed at once");
}

bool carry_takes(struct session *s, enum unit_home side, const struct resp *r)
{
    if (s->carry == NULL || (s->carry->phase == CARRY_TELL && side == HOME_NEW))
        return false;
    struct carry_side *x = &s->carry->side[side];
    if (r->kind == RESP_BEGIN)
        begin(s, side, r);
    if (x->kind == CARRY_FETCH)
        on_fetch(s, r);
    else if (x->kind == CARRY_NUMBERS && r->kind == RESP_TOK)
        on_number(s, side, &r->tok);
    else if (x->kind == CARRY_SET && r->kind == RESP_TOK)
        on_vanished(s, side, &r->tok);
    return true;
}

/* ---- moving on ---- */

/* True: something had to be asked once more. */
static bool ask_again(struct session *s)
{
    struct carry *c = s->carry;
    bool any = false;
    if (uidlist_count(&c->side[HOME_NEW].uids) != c->exists)
        c->side[HOME_NEW].again = true;
    for (int side = HOME_OLD; side <= HOME_NEW; side++) {
        if (!c->side[side].again)
            continue;
        if (c->side[side].tries >= LIST_TRIES) {
            fail(c, "a host lists other messages each time");
            return false;
        }
        ask_list(s, (enum unit_home)side);
        any = true;
    }
    return any;
}

static void end(struct session *s)
{
    log_event(worker_log(s->env->worker), LOG_INFO, "session_carried", log_s("account", account_name(s->account)),
              log_n("session", s->id), log_s("mailbox", unit_record(s->unit)->view_name),
              log_n("gone", (int64_t)s->seqs.n));
    carry_free(s);
    imapc_close(&s->old);
    s->host_enabled[HOME_OLD] = 0;
    held_go_on(s);
}

static void give_up(struct session *s)
{
    log_event(worker_log(s->env->worker), LOG_WARN, "carry_failed", log_s("account", account_name(s->account)),
              log_n("session", s->id), log_s("mailbox", unit_record(s->unit)->view_name),
              log_s("reason", s->carry->failed));
    session_bye(s, "carry_failed", "[UNAVAILABLE] The mailbox was moved to another server, please connect again");
}

static void next_phase(struct session *s)
{
    struct carry *c = s->carry;
    if (c->phase == CARRY_ASK && ask_again(s))
        return;
    if (c->phase == CARRY_ASK && c->failed == NULL && s->saved) {
        c->phase = CARRY_SAVED;
        flight_new(s, HOME_OLD, imapc_command(s->old, "UID SEARCH $"), &row_list, slice_str(""))->silent = true;
        return;
    }
    if (c->failed == NULL && !carry_settle(s))
        fail(c, "what differs cannot be told");
    if (c->failed != NULL)
        give_up(s);
    else
        carry_tell(s);
}

bool state_carry(struct session *s)
{
    if (s->n_flights > 0 || s->midline)
        return false;
    if (s->carry->phase == CARRY_TELL)
        end(s);
    else
        next_phase(s);
    return true;
}
