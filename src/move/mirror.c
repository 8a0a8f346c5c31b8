/*
 * The mirror: at an account's first sign-in the folder tree and the subscriptions of the old host are made on the new
 * one, the pairs of names chosen and recorded. Structure lives on new from then on; contents follow at their touch.
 *
 * Safe to repeat: what exists is left alone, and nothing is recorded before all of it is there. Rejected: creating each
 * mailbox at its first touch (LIST and SUBSCRIBE would need two homes for ever).
 */
#include "move/mirror_priv.h"
#include <string.h>

enum {
    MAX_MAILBOXES = 100000,
    CREATES_IN_FLIGHT = 32,
    MAX_PUSHES = 6 /* then a host with too much to do is given up */
};

static void mirror_step(struct task *t);

static void tree_free(struct mirror_tree *t)
{
    for (int i = 0; i < SPECIAL_USES; i++)
        free(t->special[i]);
    conn_close(&t->conn);
    imap_namespace_free(&t->ns);
    hash_free(&t->names);
}

static void mirror_free(struct mirror *m)
{
    task_stop(&m->task);
    list_remove(&m->queued);
    if (m->wait.pending)
        store_wait_forget(m->account->all->env->store, &m->wait);
    tree_free(&m->old);
    tree_free(&m->new);
    hash_free(&m->by_old);
    for (size_t i = 0; i < m->n; i++) {
        free(m->entries[i].old);
        free(m->entries[i].view);
        free(m->entries[i].new);
        free(m->entries[i].reason);
    }
    free(m->entries);
    free(m);
}

void mirror_abort(struct mirror **m)
{
    if (*m != NULL)
        mirror_free(*m);
    *m = NULL;
}

struct mirror *mirror_start(struct account *a)
{
    struct mirror *m = mem_alloc(sizeof(*m));
    m->account = a;
    task_init(&m->task, a->all->env->worker, mirror_step);
    m->old.names = hash_new();
    m->new.names = hash_new();
    m->phase = MI_WAIT;
    list_append(&a->all->mirrors, &m->queued);
    mirrors_run(a->all);
    return m;
}

static void begin(struct mirror *m)
{
    struct account *a = m->account;
    struct env *env = a->all->env;
    const struct settings *s = env->settings;
    m->phase = MI_SIGN_IN;
    if (conn_open(&m->old.conn, env, &m->task, &s->old_imap, env->tls_old, buf_slice(&a->login),
                  &a->password) != 0 ||
        conn_open(&m->new.conn, env, &m->task, &s->new_imap, env->tls_new, buf_slice(&a->login),
                  &a->password) != 0)
        task_wake(&m->task);
    conn_set_client(&m->old.conn, a->client_address, a->client_port);
    conn_set_client(&m->new.conn, a->client_address, a->client_port);
}

/* A person waits at the sign-in for each. */
void mirrors_run(struct accounts *all)
{
    struct list *it, *tmp;
    list_for_each_safe(it, tmp, &all->mirrors)
    {
        struct mirror *m = container_of(it, struct mirror, queued);
        if (!pace_account_room(m->account))
            continue;
        while (!pace_room_sign_in(all))
            if (pace_rests(all) || !sweep_yield(all, NULL))
                return;
        list_remove(&m->queued);
        begin(m);
    }
}

/* A host has too much to do just now: true, and it is tried again. */
static bool put_off(struct mirror *m)
{
    bool old = m->old.conn.pushed;
    if ((!old && !m->new.conn.pushed) || m->phase != MI_SIGN_IN || ++m->pushes > MAX_PUSHES)
        return false;
    pace_pushed(m->account, old, m->err.text);
    conn_abort(&m->old.conn);
    conn_abort(&m->new.conn);
    m->old.ready = m->new.ready = false;
    err_clear(&m->err);
    m->phase = MI_WAIT;
    list_append(&m->account->all->mirrors, &m->queued);
    return true;
}

struct mirror *mirror_start_again(struct account *a)
{
    struct mirror *m = mirror_start(a);
    m->again = true;
    return m;
}

static void finish_again(struct mirror *m, const struct err *e)
{
    struct account *a = m->account;
    struct log *log = worker_log(a->all->env->worker);
    if (e != NULL && e->scope == SCOPE_HOST && e->code != E_AUTH)
        looks_rest(a->all);
    if (e != NULL)
        log_event(log, LOG_INFO, "folders_later", log_s("account", a->rec.name), log_s("class", err_name(e->code)),
                  log_e(e));
    else if (m->n > 0)
        log_event(log, LOG_INFO, "folders_found", log_s("account", a->rec.name), log_n("mailboxes", (int64_t)m->n));
}

static void finish(struct mirror *m, const struct err *e)
{
    struct account *a = m->account;
    struct log *log = worker_log(a->all->env->worker);
    if (m->again) {
        finish_again(m, e);
    } else if (e != NULL) {
        a->mirror_err = *e;
        worker_counters(a->all->env->worker)->errors++;
        log_event(log, LOG_WARN, "mirror_failed", log_s("account", a->rec.name),
                  log_s("class", err_name(e->code)), log_e(e));
    } else {
        log_event(log, LOG_INFO, "mirror_done", log_s("account", a->rec.name),
                  log_n("mailboxes", (int64_t)m->n));
    }
    a->mirror = NULL;
    mirror_free(m);
    account_settle(a); /* it may not have moved any longer */
    sweep_enrol(a);
    account_wake(a);
    account_release(a);
}

/* ---- MI_LIST ---- */

struct mirror_entry *mirror_entry_add(struct mirror *m, struct slice old)
{
    if ((m->n & (m->n - 1)) == 0) /* 0, 1, 2, 4 …: room for twice as many */
        m->entries = mem_grow(m->entries, m->n == 0 ? 1 : m->n * 2, sizeof(*m->entries));
    struct mirror_entry *e = &m->entries[m->n++];
    memset(e, 0, sizeof(*e));
    e->old = slice_dup(old);
    return e;
}

struct mirror_entry *mirror_entry_find(struct mirror *m, struct slice old)
{
    size_t i = (size_t)(uintptr_t)hash_get(m->old.names, old);
    return i == 0 ? NULL : &m->entries[i - 1];
}

static void ask_tree(struct mirror_tree *t)
{
    struct imapc *c = t->conn.imap;
    if (imapc_caps(c) & CAP_BIT(NAMESPACE)) {
        imapc_command(c, "NAMESPACE");
        t->asked++;
    }
    imapc_command(c, "LIST \"\" \"\"");
    uint64_t returns = CAP_BIT(LIST_EXTENDED) | CAP_BIT(SPECIAL_USE);
    bool uses = (imapc_caps(c) & returns) == returns;
    imapc_command(c, uses ? "LIST \"\" \"*\" RETURN (SPECIAL-USE)" : "LIST \"\" \"*\"");
    t->lsub_id = imapc_command(c, "LSUB \"\" \"*\"");
    t->asked += 3;
}

static void learn_new(struct mirror_tree *t, const struct list_data *d, struct slice name)
{
    enum special_use use = special_of_flags(d->flags);
    bool folder = imap_flag_in(d->flags, "\\Noselect");
    hash_put(t->names, name, folder ? (void *)&t->sep : (void *)t);
    t->n_names++;
    if (use != USE_NONE && t->special[use] == NULL)
        t->special[use] = slice_dup(name);
}

static int on_list(struct mirror *m, struct mirror_tree *t, struct slice line, bool lsub)
{
    struct list_data d = {0};
    struct buf canon = {0};
    int r = imap_parse_list(line, &d);
    if (r == 0 && d.sep != '\0')
        t->sep = d.sep;
    if (r == 0 && d.name.len > 0 && d.name.len <= NAME_MAX_BYTES) {
        name_canon(buf_slice(&d.name), d.sep, &canon);
        bool missing = imap_flag_in(d.flags, "\\NonExistent");
        bool folder = missing || imap_flag_in(d.flags, "\\Noselect");
        if (t == &m->new) {
            if (!lsub && !missing)
                learn_new(t, &d, buf_slice(&canon));
        } else if (m->n < MAX_MAILBOXES) {
            struct mirror_entry *e = mirror_entry_find(m, buf_slice(&canon));
            if (e == NULL) {
                e = mirror_entry_add(m, buf_slice(&canon));
                hash_put(t->names, buf_slice(&canon), (void *)(uintptr_t)m->n);
            }
            if (lsub && !folder)
                e->subscribed = true;
            if (!lsub) {
                e->listed = true;
                e->folder = folder;
                e->special = folder ? USE_NONE : special_of_flags(d.flags);
            }
        }
    }
    buf_free(&canon);
    buf_free(&d.name);
    return r == 0 && (m->n >= MAX_MAILBOXES || t->n_names >= MAX_MAILBOXES) ? E_LIMIT : r;
}

static int on_line(struct mirror *m, struct mirror_tree *t)
{
    struct conn *c = &t->conn;
    struct slice name = buf_slice(&c->line.name);
    bool lsub = slice_is_nocase(name, "LSUB");
    if (slice_is_nocase(name, "NAMESPACE") && !t->has_ns) {
        t->has_ns = imap_parse_namespace(buf_slice(&c->line.buf), &t->ns) == 0;
        return 0;
    }
    if (!lsub && !slice_is_nocase(name, "LIST"))
        return 0;
    return on_list(m, t, buf_slice(&c->line.buf), lsub);
}

/* ---- MI_CREATE, MI_SUBSCRIBE ---- */

static uint32_t send_named(struct mirror *m, const char *verb, const char *name, const char *more)
{
    struct imapc *c = m->new.conn.imap;
    uint32_t id = imapc_begin(c);
    imapc_printf(c, "%s ", verb);
    imapc_put_string(c, slice_str(name));
    imapc_puts(c, more);
    imapc_end(c);
    m->in_flight++;
    return id;
}

static void rename_unit(struct mirror *m, struct mirror_entry *e, struct slice name)
{
    struct unit *u = account_find(m->account, slice_str(e->view));
    names_del(m->account, u);
    free(u->rec.new_name);
    u->rec.new_name = slice_dup(name);
    free(e->new);
    e->new = slice_dup(name);
    names_add(m->account, u);
}

/* The new host does not like the name: try plainer ones, then give up with its reason. */
static void create_refused(struct mirror *m, struct mirror_entry *e)
{
    struct buf safe = {0};
    if (account_safe_name(m->account, slice_str(e->view), slice_str(e->new), &e->tries, &safe) == 0) {
        rename_unit(m, e, buf_slice(&safe));
        e->create_id = 0;
        if (hash_get(m->new.names, buf_slice(&safe)) != NULL)
            e->exists = true;
        else
            e->create_id = send_named(m, "CREATE", e->new, "");
        buf_free(&safe);
        return;
    }
    buf_free(&safe);
    conn_refused(&m->new.conn, &m->err, SCOPE_UNIT, "the new host refused to create the mailbox");
    e->reason = mem_strdup(m->err.text);
    err_clear(&m->err);
    rename_unit(m, e, slice_str(""));
    e->exists = true;
}

static void send_create(struct mirror *m, struct mirror_entry *e)
{
    struct buf use = {0};
    if (e->create_use)
        buf_printf(&use, " (USE (%s))", special_attribute(e->special));
    e->create_id = send_named(m, "CREATE", e->new, buf_cstr(&use));
    buf_free(&use);
}

struct spelling {
    const char *name;
    struct buf found;
};

static bool same_but_case(struct slice name, void *value, void *arg)
{
    struct spelling *s = arg;
    (void)value;
    if (slice_is_nocase(name, s->name) && !slice_is(name, s->name))
        buf_put_slice(&s->found, name);
    return s->found.len == 0;
}

/* There is one already that was not listed: made in between, or spelled in another case, which the host does not tell
 * apart. Where that one is another mailbox's, this one needs another name. */
static void on_existing(struct mirror *m, struct mirror_entry *e)
{
    struct spelling s = {.name = e->new};
    if (account_case_clash(m->account, slice_str(e->new)) != NULL) {
        create_refused(m, e);
        return;
    }
    hash_walk(m->new.names, same_but_case, &s);
    if (s.found.len > 0)
        rename_unit(m, e, buf_slice(&s.found));
    buf_free(&s.found);
    e->exists = true;
}

static void on_created(struct mirror *m, struct mirror_entry *e)
{
    struct conn *c = &m->new.conn;
    if (c->cond == COND_OK) {
        e->exists = true;
    } else if (conn_code_is(c, "ALREADYEXISTS")) {
        on_existing(m, e);
    } else if (e->create_use) { /* perhaps it is the use that new does not want */
        e->create_use = false;
        send_create(m, e);
    } else {
        create_refused(m, e);
    }
}

static void fill_creates(struct mirror *m)
{
    while (m->next < m->n && m->in_flight < CREATES_IN_FLIGHT) {
        struct mirror_entry *e = &m->entries[m->next++];
        if (!e->exists)
            send_create(m, e);
    }
}

static void fill_subscribes(struct mirror *m)
{
    while (m->next < m->n && m->in_flight < CREATES_IN_FLIGHT) {
        struct mirror_entry *e = &m->entries[m->next++];
        if (e->subscribed && !e->folder && e->new[0] != '\0')
            e->subscribe_id = send_named(m, "SUBSCRIBE", e->new, "");
    }
}

static void on_new_tagged(struct mirror *m)
{
    uint32_t id = m->new.conn.id;
    for (size_t i = 0; i < m->n; i++) {
        struct mirror_entry *e = &m->entries[i];
        if (e->create_id == id) {
            e->create_id = 0;
            m->in_flight--;
            on_created(m, e);
            return;
        }
        if (e->subscribe_id == id) {
            e->subscribe_id = 0;
            m->in_flight--;
            if (m->new.conn.cond != COND_OK)
                log_event(worker_log(m->task.worker), LOG_WARN, "subscribe_refused",
                          log_s("account", m->account->rec.name), log_s("unit", e->view),
                          log_v("text", buf_slice(&m->new.conn.text)));
            return;
        }
    }
}

static void commit(struct mirror *m)
{
    struct account *a = m->account;
    struct store_batch *b = account_batch(a);
    for (size_t i = 0; i < m->n; i++) {
        struct unit *u = account_find(a, slice_str(m->entries[i].view));
        if (m->entries[i].reason != NULL)
            unit_set_reason(u, m->entries[i].reason);
        store_put_unit(b, &u->rec);
    }
    struct store_account known = a->rec; /* shown as known only once it is on disk */
    if (!m->again)
        known.state = ACCOUNT_KNOWN;
    struct store_account was = a->rec;
    a->rec = known;
    store_put_account(b, &a->rec);
    a->rec = was;
    m->wait.task = &m->task;
    store_submit(&b, &m->wait);
    m->phase = MI_COMMIT;
}

static void committed(struct mirror *m)
{
    struct account *a = m->account;
    if (m->wait.result != 0) {
        err_set(&m->err, m->wait.result, SCOPE_ACCOUNT, "the folder tree could not be stored");
        finish(m, &m->err);
        return;
    }
    if (m->again) {
        finish(m, NULL);
        return;
    }
    account_enter(a, ACCOUNT_KNOWN);
    struct unit *inbox = account_find(a, slice_str("INBOX"));
    if (inbox != NULL && inbox->rec.home == HOME_OLD)
        unit_start(inbox);
    sweep_enrol(a);
    finish(m, NULL);
}

/* ---- the step ---- */

/* False when the connection failed or the mirror is over. */
static bool pump(struct mirror *m, struct mirror_tree *t)
{
    for (;;) {
        switch (conn_next(&t->conn)) {
        case CONN_NONE:
            return true;
        case CONN_READY:
            t->ready = true;
            break;
        case CONN_LINE:
            if (m->phase == MI_LIST && on_line(m, t) != 0) {
                err_set(&m->err, E_PROTO, SCOPE_HOST, "%s",
                        m->n >= MAX_MAILBOXES || t->n_names >= MAX_MAILBOXES
                            ? "the host lists too many mailboxes"
                            : "a list of mailboxes could not be understood");
                return false;
            }
            if (m->phase == MI_GLANCE && t == &m->old)
                glance_event(m);
            break;
        case CONN_TAGGED:
            if (m->phase == MI_LIST) {
                if (t->conn.cond != COND_OK) {
                    conn_refused(&t->conn, &m->err, SCOPE_HOST, "the folder tree could not be listed");
                    return false;
                }
                t->asked--;
            } else if (m->phase == MI_GLANCE && t == &m->old) {
                m->in_flight--;
            } else if (t == &m->new) {
                on_new_tagged(m);
            }
            break;
        case CONN_FAILED:
            m->err = t->conn.err;
            return false;
        default:
            break;
        }
    }
}

static void advance(struct mirror *m)
{
    if (m->phase == MI_SIGN_IN && m->old.ready && m->new.ready) {
        m->phase = MI_LIST;
        ask_tree(&m->old);
        ask_tree(&m->new);
    }
    if (m->phase == MI_LIST && m->old.asked == 0 && m->new.asked == 0)
        m->again ? glance_begin(m) : mirror_plan(m);
    if (m->phase == MI_GLANCE && glance_advance(m))
        mirror_plan_again(m);
    if (m->phase == MI_CREATE) {
        fill_creates(m);
        if (m->next == m->n && m->in_flight == 0) {
            m->phase = MI_SUBSCRIBE;
            m->next = 0;
        }
    }
    if (m->phase == MI_SUBSCRIBE) {
        fill_subscribes(m);
        if (m->next == m->n && m->in_flight == 0)
            commit(m);
    }
}

static void mirror_step(struct task *t)
{
    struct mirror *m = container_of(t, struct mirror, task);
    if (m->phase == MI_COMMIT) {
        if (!m->wait.pending)
            committed(m);
        return;
    }
    if (m->phase == MI_WAIT)
        return;
    if (!pump(m, &m->old) || !pump(m, &m->new)) {
        if (!put_off(m))
            finish(m, &m->err);
        return;
    }
    advance(m);
}
