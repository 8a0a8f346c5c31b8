/* A mover's connection; see conn.h. */
#include "move/conn.h"
#include "move/move_priv.h"
#include "wherry/imap/set.h"
#include <string.h>

enum { LINE_MAX_BYTES = 4 * 1024 * 1024 };

int conn_open(struct conn *c, struct env *env, struct task *owner, const struct mail_host *host,
              struct tls_ctx *tls, struct slice login, const struct secret *password)
{
    struct auth_creds creds = {0};
    memset(c, 0, sizeof(*c));
    imap_fetch_init(&c->fetch);
    if (auth_host_creds(env->settings, host, login, password, &creds) != 0) {
        auth_creds_free(&creds);
        return err_set(&c->err, E_INVAL, SCOPE_ACCOUNT, "the user name cannot be used at %s", host->host);
    }
    struct imapc_open o = {.host = host,
                           .tls = tls,
                           .creds = &creds,
                           .timeout_seconds = env->settings->host_timeout_seconds};
    c->imap = imapc_open(env->worker, owner, &o);
    auth_creds_free(&creds);
    c->held = env->accounts;
    c->is_old = host == &env->settings->old_imap;
    pace_hold(c->held, c->is_old);
    return 0;
}

void conn_set_client(struct conn *c, const char *address, uint16_t port)
{
    const struct imapc_client who = {.address = address, .port = port};
    if (c->imap != NULL && address != NULL)
        imapc_set_client(c->imap, &who);
}

static void release(struct conn *c)
{
    if (c->held != NULL)
        pace_release(c->held, c->is_old);
    imap_fetch_free(&c->fetch);
    imap_line_free(&c->line);
    buf_free(&c->code);
    buf_free(&c->text);
    memset(c, 0, sizeof(*c));
}

void conn_close(struct conn *c)
{
    imapc_close(&c->imap);
    release(c);
}

void conn_abort(struct conn *c)
{
    imapc_abort(&c->imap);
    release(c);
}

bool conn_code_is(const struct conn *c, const char *word)
{
    struct slice code = buf_slice(&c->code);
    size_t n = 0;
    while (n < code.n && code.p[n] != ' ')
        n++;
    return slice_is_nocase(slice_make(code.p, n), word);
}

int conn_refused(const struct conn *c, struct err *e, enum err_scope scope, const char *what)
{
    static const char *const conds[] = {"", "OK", "NO", "BAD", "BYE", "PREAUTH"};
    int code = c->cond == COND_BAD ? E_PROTO : E_REFUSED;
    if (conn_code_is(c, "OVERQUOTA"))
        code = E_FULL;
    else if (conn_code_is(c, "UNAVAILABLE") || conn_code_is(c, "INUSE") || conn_code_is(c, "THROTTLED"))
        code = E_UNAVAIL;
    int text = (int)(c->text.len < 100 ? c->text.len : 100);
    return err_set(e, code, scope, "%s: %s %s%.*s%s%.*s", what, conds[c->cond], c->code.len > 0 ? "[" : "",
                   (int)(c->code.len < 40 ? c->code.len : 40), (const char *)buf_slice(&c->code).p,
                   c->code.len > 0 ? "] " : "", text, (const char *)buf_slice(&c->text).p);
}

/* "UIDNEXT 12" and its like, in SELECT. */
static void learn_code(struct conn *c, struct slice code)
{
    struct imap_args a;
    struct slice word;
    uint32_t n;
    imap_args_init(&a, code);
    if (!imap_args_atom(&a, &word))
        return;
    if (slice_is_nocase(word, "UIDNOTSTICKY"))
        c->not_sticky = true;
    if (!imap_args_u32(&a, &n))
        return;
    if (slice_is_nocase(word, "UIDNEXT"))
        c->uidnext = n;
    else if (slice_is_nocase(word, "UIDVALIDITY"))
        c->uidvalidity = n;
}

bool conn_ask_modseq(struct conn *c, const char *mailbox)
{
    c->modseq = 0;
    if ((imapc_caps(c->imap) & CAP_BIT(CONDSTORE)) == 0)
        return false;
    imapc_begin(c->imap);
    imapc_puts(c->imap, "STATUS ");
    imapc_put_string(c->imap, slice_str(mailbox));
    imapc_puts(c->imap, " (HIGHESTMODSEQ)");
    imapc_end(c->imap);
    return true;
}

void conn_status(struct conn *c)
{
    struct imap_args a;
    struct buf name = {0};
    struct tok t;
    struct slice word, value;
    uint64_t n;
    if (!slice_is_nocase(buf_slice(&c->line.name), "STATUS"))
        return;
    imap_args_init(&a, buf_slice(&c->line.buf));
    if (imap_args_astring(&a, &name) && imap_args_tok(&a, &t) && t.kind == TOK_OPEN)
        while (imap_args_peek(&a, &t) && t.kind == TOK_ATOM && imap_args_atom(&a, &word) &&
               imap_args_value(&a, &value)) {
            if (slice_u64(value, &n) != 0)
                continue;
            if (slice_is_nocase(word, "HIGHESTMODSEQ"))
                c->modseq = n;
            else if (slice_is_nocase(word, "UIDNEXT") && n <= UINT32_MAX)
                c->uidnext = (uint32_t)n;
            else if (slice_is_nocase(word, "UIDVALIDITY") && n <= UINT32_MAX)
                c->uidvalidity = (uint32_t)n;
        }
    buf_free(&name);
}

static enum conn_event on_fetch(struct conn *c, const struct resp *r)
{
    switch (imap_fetch_feed(&c->fetch, r)) {
    case FETCH_BODY:
        return CONN_BODY;
    case FETCH_BYTES:
        c->bytes = c->fetch.bytes;
        return CONN_BYTES;
    case FETCH_BODY_END:
        c->bytes = c->fetch.bytes;
        return CONN_BODY_END;
    case FETCH_BODY_WHOLE:
        c->whole = true; /* told in two events, as one that came as a literal */
        return CONN_BODY;
    case FETCH_DONE:
        c->in_fetch = false;
        return CONN_FETCH;
    case FETCH_BAD:
    case FETCH_NONE:
        break;
    }
    return CONN_NONE;
}

/* Gathers; EXISTS and EXPUNGE are counted on the way. */
static enum conn_event on_line(struct conn *c, const struct resp *r)
{
    int n = imap_line_feed(&c->line, r, LINE_MAX_BYTES);
    if (n < 0) {
        err_set(&c->err, E_LIMIT, SCOPE_HOST, "a response of over %d bytes", LINE_MAX_BYTES);
        return CONN_FAILED;
    }
    if (n == 0)
        return CONN_NONE;
    c->line_done = true;
    if (c->line.has_num && slice_is_nocase(buf_slice(&c->line.name), "EXISTS"))
        c->exists = c->line.num;
    if (c->line.has_num && slice_is_nocase(buf_slice(&c->line.name), "EXPUNGE")) {
        c->expunges++;
        if (c->exists > 0)
            c->exists--;
    }
    return CONN_LINE;
}

static enum conn_event on_number(struct conn *c, const struct resp *r)
{
    if (r->kind == RESP_END)
        c->in_numbers = false;
    if (r->kind != RESP_TOK || r->tok.kind != TOK_ATOM || !imap_set_valid(r->tok.text) ||
        uidlist_add_set(c->numbers, r->tok.text))
        return CONN_NONE;
    err_set(&c->err, E_LIMIT, SCOPE_HOST, "a mailbox with too many gaps");
    return CONN_FAILED;
}

static enum conn_event on_resp(struct conn *c, const struct imapc_event *ev)
{
    const struct resp *r = &ev->resp;
    switch (r->kind) {
    case RESP_STATUS:
        if (r->cond == COND_BYE) {
            err_set(&c->err, E_UNAVAIL, SCOPE_HOST, "the host said goodbye: %.*s",
                    (int)(r->text.n < 100 ? r->text.n : 100), (const char *)r->text.p);
            return CONN_FAILED;
        }
        learn_code(c, r->code);
        return CONN_NONE;
    case RESP_TAGGED:
        c->id = ev->id;
        c->cond = r->cond;
        buf_clear(&c->code);
        buf_put_slice(&c->code, r->code);
        buf_clear(&c->text);
        buf_put_slice(&c->text, r->text);
        c->pushed = c->pushed || (r->cond == COND_NO && (conn_code_is(c, "THROTTLED") || conn_code_is(c, "INUSE")));
        return CONN_TAGGED;
    case RESP_BEGIN:
        c->in_numbers = c->numbers != NULL && (slice_is_nocase(r->name, "SEARCH") || slice_is_nocase(r->name, "ESEARCH"));
        if (c->in_numbers)
            return CONN_NONE;
        c->in_fetch = r->has_num && slice_is_nocase(r->name, "FETCH");
        return c->in_fetch ? on_fetch(c, r) : on_line(c, r);
    case RESP_TOK:
    case RESP_BYTES:
    case RESP_END:
        if (c->in_numbers)
            return on_number(c, r);
        return c->in_fetch ? on_fetch(c, r) : on_line(c, r);
    default:
        return CONN_NONE;
    }
}

enum conn_event conn_next(struct conn *c)
{
    struct imapc_event ev;
    if (c->line_done) {
        imap_line_free(&c->line);
        c->line_done = false;
    }
    if (c->err.code != 0)
        return CONN_FAILED;
    if (c->imap == NULL)
        return CONN_NONE;
    if (c->whole) {
        c->whole = false;
        c->bytes = buf_slice(&c->fetch.text);
        return CONN_BODY_END;
    }
    for (;;) {
        imapc_next(c->imap, &ev);
        if (ev.kind == IMAPC_NONE)
            return CONN_NONE;
        if (ev.kind == IMAPC_READY)
            return CONN_READY;
        if (ev.kind == IMAPC_FAILED) {
            c->err = *ev.err;
            c->pushed = c->pushed || imapc_pushed_back(c->imap);
            return CONN_FAILED;
        }
        enum conn_event e = on_resp(c, &ev);
        if (e != CONN_NONE)
            return e;
    }
}

/* Not every host has a code for it (Courier: "NO [ALERT] You exceeded your mail quota."). */
static bool tells_of_room(struct slice text)
{
    static const char *const words[] = {"quota", "disk", "no space", "space left"};
    for (size_t w = 0; w < sizeof(words) / sizeof(words[0]); w++)
        for (size_t i = 0, n = strlen(words[w]); i + n <= text.n; i++)
            if (slice_is_nocase(slice_make(text.p + i, n), words[w]))
                return true;
    return false;
}

bool conn_temporary(const struct conn *c)
{
    static const char *const codes[] = {"OVERQUOTA", "UNAVAILABLE", "INUSE",  "THROTTLED",   "SERVERBUG",
                                        "TRYCREATE", "NONEXISTENT", "NOPERM", "CONTACTADMIN"};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (conn_code_is(c, codes[i]))
            return true;
    return tells_of_room(buf_slice(&c->text));
}
