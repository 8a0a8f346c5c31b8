/*
 * One account: both hosts signed in to, then one mailbox after the other opened on both and compared.
 *
 * A layer of its own, so that the control program has connections to the hosts through this door only and all else it does
 * stands on the store alone. Rejected: to let the daemon do it (it would hold a host's connections and its own loop for
 * hours, and somebody who asks whether all is there should not have to believe the one who moved it).
 */
#include "config.h"
#include "verify/judge.h"
#include <stdlib.h>
#include <string.h>

enum { TURN_MS = 1000, LAST_TURNS = 20, LAST_TURN_MS = 50 };

/* Owner: verify_account. */
struct run {
    const struct verify *v;
    const struct store_account *account;
    struct store_unit *units;
    size_t n, at;
    struct worker *worker;
    struct task task;
    struct side old, new;
    struct judge judge;
    bool judging, open, over;
    struct err err;
};

const char *verify_kind_name(enum verify_kind k)
{
    static const char *const names[VERIFY_KINDS] = {"missing", "not_moved", "late", "extra", "size", "flags", "date", "body", "spool"};
    return names[k];
}

const char *verify_kind_text(enum verify_kind k)
{
    static const char *const texts[VERIFY_KINDS] = {
        "was moved and is not on the new host",
        "was never moved",
        "reached the old host after the move and is only there",
        "stands on the new host among the moved ones and is none of them",
        "has another size",
        "has other flags",
        "has another date",
        "has other bytes",
        "was left behind, and not all of it is kept"};
    return texts[k];
}

bool verify_needs_password(const struct settings *s)
{
    return s->old_imap.sign_in == SIGN_IN_SAME || s->new_imap.sign_in == SIGN_IN_SAME;
}

bool verify_can(const struct store_unit *u)
{
    return u->kind == UNIT_MAILBOX && u->state == UNIT_MOVED && u->old_name[0] != '\0';
}

static bool add_unit(struct slice key, struct slice value, void *arg)
{
    struct run *r = arg;
    struct store_unit u;
    (void)key;
    int rc = store_unit_decode(&u, value);
    if (rc != 0) {
        err_set(&r->err, rc, SCOPE_ACCOUNT, "a record of a mailbox is damaged");
        return false;
    }
    if (!verify_can(&u)) {
        store_unit_clear(&u);
        return true;
    }
    if ((r->n & (r->n - 1)) == 0)
        r->units = mem_grow(r->units, r->n == 0 ? 1 : 2 * r->n, sizeof(*r->units));
    r->units[r->n++] = u;
    return true;
}

static int load(struct run *r)
{
    struct buf key = {0};
    store_key_account(&key, r->account->id);
    int rc = store_walk(r->v->store, STORE_UNITS, buf_slice(&key), add_unit, r);
    buf_free(&key);
    if (rc != 0)
        err_set(&r->err, rc, SCOPE_ACCOUNT, "the store cannot be read (%s)", err_name(rc));
    return r->err.code;
}

/* ---- mailboxes ---- */

static void tell(struct run *r)
{
    struct judge *j = &r->judge;
    j->result.first = j->first;
    r->v->cb(&j->result, r->v->arg);
    judge_free(j);
    r->judging = false;
    r->at++;
}

static void begin(struct run *r)
{
    const struct store_unit *u = &r->units[r->at];
    r->judging = true;
    r->open = false;
    if (judge_begin(&r->judge, r->v, u, &r->old, &r->new) != 0) {
        tell(r);
        return;
    }
    side_open(&r->old, u->old_name, u->old_modseq, u->old_uidvalidity);
    side_open(&r->new, u->new_name, u->settled_modseq, u->new_uidvalidity);
}

static bool ready(const struct side *s)
{
    return s->state == SIDE_IDLE || (s->state == SIDE_END && s->id == 0);
}

static bool is_open(const struct side *s)
{
    return s->state == SIDE_LIST || s->state == SIDE_END;
}

/* Something was done, and more may be to do. */
static bool advance(struct run *r)
{
    if (!r->judging) {
        if (!ready(&r->old) || !ready(&r->new))
            return false;
        if (r->at == r->n) {
            r->over = true;
            return false;
        }
        begin(r);
        return true;
    }
    if (!r->open) {
        if (!is_open(&r->old) || !is_open(&r->new))
            return false;
        r->open = true;
        if (r->old.err.code == 0 && r->new.err.code == 0 && !judge_opened(&r->judge)) {
            r->old.state = r->new.state = SIDE_END; /* what is still due is let pass */
            tell(r);
            return true;
        }
    }
    size_t before = r->old.n + r->new.n;
    if (judge_step(&r->judge)) {
        r->old.state = r->new.state = SIDE_END;
        tell(r);
        return true;
    }
    return r->old.n + r->new.n != before;
}

static void step(struct task *t)
{
    struct run *r = container_of(t, struct run, task);
    bool again = true;
    while (again && !r->over) {
        if (side_step(&r->old, &r->err) != 0 || side_step(&r->new, &r->err) != 0) {
            r->over = true;
            return;
        }
        again = advance(r);
    }
}

/* ---- the account ---- */

static int sign_in(struct run *r, struct side *s, const struct mail_host *h, struct tls_ctx *tls)
{
    static const struct secret none;
    const struct settings *set = r->v->settings;
    const char *login = r->account->login[0] != '\0' ? r->account->login : r->account->name;
    struct auth_creds creds = {0};
    int rc = auth_host_creds(set, h, slice_str(login), r->v->password != NULL ? r->v->password : &none, &creds);
    if (rc != 0)
        err_set(&r->err, rc, SCOPE_ACCOUNT, "the name cannot be used at %.100s", h->host);
    const struct imapc_open o = {.host = h, .tls = tls, .creds = &creds, .timeout_seconds = set->host_timeout_seconds};
    if (rc == 0)
        s->imap = imapc_open(r->worker, &r->task, &o);
    auth_creds_free(&creds);
    return rc;
}

static int host_tls(struct tls_ctx **out, const struct mail_host *h, struct err *e)
{
    *out = NULL;
    return h->tls == TLS_MODE_NONE ? 0 : tls_client_new(out, h->ca, h->verify, e);
}

static int talk(struct run *r)
{
    const struct settings *s = r->v->settings;
    struct tls_ctx *old_tls, *new_tls = NULL;
    int rc = host_tls(&old_tls, &s->old_imap, &r->err);
    if (rc == 0)
        rc = host_tls(&new_tls, &s->new_imap, &r->err);
    if (rc == 0)
        rc = sign_in(r, &r->old, &s->old_imap, old_tls);
    if (rc == 0)
        rc = sign_in(r, &r->new, &s->new_imap, new_tls);
    if (rc == 0) {
        task_wake(&r->task);
        while (!r->over)
            worker_turn(r->worker, TURN_MS);
    }
    if (r->judging)
        judge_free(&r->judge);
    side_free(&r->old);
    side_free(&r->new);
    for (int i = 0; i < LAST_TURNS && worker_streams(r->worker) > 0; i++)
        worker_turn(r->worker, LAST_TURN_MS); /* LOGOUT goes out */
    tls_ctx_free(&old_tls);
    tls_ctx_free(&new_tls);
    return r->err.code;
}

int verify_account(const struct verify *v, const struct store_account *a, struct err *e)
{
    struct counters counters = {0};
    struct run r = {.v = v, .account = a};
    int rc = load(&r);
    if (rc == 0 && r.n > 0) {
        r.worker = worker_new(NULL, &counters);
        task_init(&r.task, r.worker, step);
        side_init(&r.old, "old", v->digest);
        side_init(&r.new, "new", v->digest);
        rc = talk(&r);
        task_stop(&r.task);
        worker_free(&r.worker);
    }
    for (size_t i = 0; i < r.n; i++)
        store_unit_clear(&r.units[i]);
    free(r.units);
    if (rc != 0)
        *e = r.err;
    return rc;
}
