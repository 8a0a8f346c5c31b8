/* A submission session before sign-in: greeting, EHLO, STARTTLS, AUTH (RFC 5321, 3207, 4954), and
 * the way in. */
#include "config.h"
#include "front/submission.h"
#include <string.h>

bool submission_state_handshake(struct submission *s)
{
    if (stream_state(s->client) == STREAM_HANDSHAKE)
        return false;
    if (submission_eof(s)) {
        submission_end(s, "client_closed");
        return true;
    }
    if (!s->greeted)
        buf_printf(&s->out, "220 %s ESMTP ready\r\n", submission_settings(s)->hostname);
    s->greeted = true;
    submission_enter(s, SUB_COMMAND);
    return true;
}

/* What may be announced, of what the new host announces. */
static unsigned passed_on(struct submission *s, unsigned ext)
{
    const struct mail_host *h = &submission_settings(s)->new_submission;
    ext &= SMTP_EXT_PASSED;
    if (!s->secure || h->tls == TLS_MODE_NONE ||
        !h->verify) /* RFC 8689: only if TLS holds to the end */
        ext &= ~SMTP_BIT(REQUIRETLS);
    return ext;
}

void submission_put_ehlo(struct submission *s, struct buf *out)
{
    struct smtp_ehlo e;
    size_t last = out->len;
    if (s->up != NULL && s->signed_in)
        e = *smtpc_ehlo(s->up);
    else
        (void)offer_get(s->front, &e);
    buf_printf(out, "250-%s\r\n", submission_settings(s)->hostname);
    smtp_ehlo_put(out, passed_on(s, e.ext), e.size);
    if (!s->signed_in && door_plain_ok(s->env, s->client, s->secure))
        buf_puts(out, "250-AUTH PLAIN LOGIN\r\n");
    if (!s->signed_in && !s->secure && s->env->tls_server != NULL)
        buf_puts(out, "250-STARTTLS\r\n");
    for (size_t i = last; i + 2 < out->len; i++) /* the last line is the one without a hyphen */
        if (out->mem[out->off + i] == '\n')
            last = i + 1;
    out->mem[out->off + last + 3] = ' ';
}

static void say_ehlo(struct submission *s)
{
    struct turn *t = submission_turn(s, TURN_OTHER, false);
    submission_put_ehlo(s, &t->own);
    s->errors = 0;
    submission_answer(s);
    submission_enter(s, SUB_COMMAND);
}

static void guest_ehlo(struct submission *s, struct slice name)
{
    struct smtp_ehlo e;
    s->greeted_by_client = true;
    buf_clear(&s->helo);
    buf_put_slice(&s->helo, name);
    if (offer_get(s->front, &e) == STATE_BUSY) {
        timer_start(&s->beat, OFFER_WAIT_MS);
        submission_enter(s, SUB_OFFER);
    } else {
        say_ehlo(s);
    }
}

bool submission_state_offer(struct submission *s)
{
    struct smtp_ehlo e;
    if (submission_eof(s) && submission_input(s).n == 0) {
        submission_end(s, "client_closed");
        return true;
    }
    if (!s->beat.fired && offer_get(s->front, &e) == STATE_BUSY)
        return false;
    timer_stop(&s->beat);
    say_ehlo(s);
    return true;
}

/* Bytes that came before the handshake were not sent by whom they seem to be from (RFC 3207 4.2).
 */
static void guest_starttls(struct submission *s)
{
    if (s->secure) {
        submission_bad(s, "503 5.5.1 TLS is on already");
    } else if (s->env->tls_server == NULL) {
        submission_bad(s, "454 4.7.0 This server has no certificate");
    } else if (submission_input(s).n > 0) {
        submission_bye(s, "starttls_injection",
                       "501 5.5.2 Commands came in the clear after STARTTLS");
    } else {
        submission_say(s, "220 2.0.0 Begin TLS now");
        submission_flush(s);
        if (stream_start_tls_server(s->client, s->env->tls_server) != 0) {
            submission_end(s, "starttls_failed");
            return;
        }
        s->secure = true;
        s->greeted_by_client = false; /* RFC 3207 4.2: what was said before is forgotten */
        buf_clear(&s->helo);
        submission_enter(s, SUB_HANDSHAKE);
    }
}

/* ---- AUTH ---- */

static void sign_in_begin(struct submission *s)
{
    door_knock(&s->door);
    submission_enter(s, SUB_CHECK);
}

static void sasl_bad(struct submission *s, const char *line)
{
    secret_free(&s->door.password);
    submission_enter(s, SUB_COMMAND);
    submission_bad(s, line);
}

static void sasl_plain(struct submission *s, struct slice text)
{
    int rc = auth_plain_decode(text, &s->door.login, &s->door.password);
    if (rc == E_REFUSED)
        sasl_bad(s, "535 5.7.8 Nobody may act for somebody else here");
    else if (rc != 0)
        sasl_bad(s, "501 5.5.2 Malformed PLAIN response");
    else
        sign_in_begin(s);
}

/* Name, then password, each in base64. */
static void sasl_login(struct submission *s, struct slice text)
{
    struct buf plain = {0};
    bool name = s->door.login.len == 0;
    if (auth_unbase64(text, &plain) != 0 || plain.len == 0) {
        sasl_bad(s, "501 5.5.2 Malformed base64");
    } else if (name) {
        buf_put_slice(&s->door.login, buf_slice(&plain));
        submission_say(s, "334 UGFzc3dvcmQ6");
        submission_enter(s, SUB_SASL);
    } else {
        secret_set(&s->door.password, buf_slice(&plain));
        sign_in_begin(s);
    }
    buf_wipe(&plain);
}

static void sasl_text(struct submission *s, struct slice text)
{
    if (s->login_mech)
        sasl_login(s, text);
    else
        sasl_plain(s, text);
}

static void guest_auth(struct submission *s, struct slice args)
{
    size_t n = 0;
    if (!door_plain_ok(s->env, s->client, s->secure)) {
        submission_bad(s, "538 5.7.11 Passwords are taken under TLS only");
        return;
    }
    while (n < args.n && args.p[n] != ' ')
        n++;
    struct slice mech = slice_make(args.p, n), initial = slice_make(args.p + n, args.n - n);
    while (initial.n > 0 && initial.p[0] == ' ')
        initial = slice_make(initial.p + 1, initial.n - 1);
    s->login_mech = slice_is_nocase(mech, "LOGIN");
    if (!s->login_mech && !slice_is_nocase(mech, "PLAIN")) {
        submission_bad(s, "504 5.5.4 PLAIN and LOGIN are known");
        return;
    }
    buf_free(&s->door.login);
    secret_free(&s->door.password);
    if (initial.n > 0) {
        sasl_text(s, slice_is(initial, "=") ? slice_str("") : initial);
        return;
    }
    submission_say(s, s->login_mech ? "334 VXNlcm5hbWU6" : "334 ");
    submission_enter(s, SUB_SASL);
}

bool submission_state_sasl(struct submission *s)
{
    struct slice line;
    size_t used = 0;
    switch (smtp_line_next(submission_input(s), SMTP_MAX_AUTH, &line, &used)) {
    case CODEC_MORE:
        if (!submission_eof(s))
            return false;
        submission_end(s, "client_closed");
        break;
    case CODEC_BAD:
        submission_bye(s, "bad_line", "521 5.5.2 That was no line of a sign-in");
        break;
    case CODEC_DONE:
        if (slice_is(line, "*"))
            sasl_bad(s, "501 5.7.0 Sign-in was canceled");
        else
            sasl_text(s, line);
        submission_consume(s, used);
        break;
    }
    return true;
}

static void give_up(struct submission *s, const char *line)
{
    bool last = door_give_up(&s->door);
    smtpc_abort(&s->up);
    submission_say(s, line);
    submission_enter(s, SUB_COMMAND);
    if (last)
        submission_bye(s, "sign_in_attempts", "421 4.7.0 Too many tries");
}

/* ---- the new host ---- */

static void enter_new(struct submission *s)
{
    const struct settings *set = submission_settings(s);
    const struct mail_host *h = &set->new_submission;
    struct slice login = buf_slice(&s->door.login);
    struct auth_creds creds = {0};
    struct buf name = {0};
    starter_begin(s->front, &s->door);
    if (auth_host_creds(set, h, login, &s->door.password, &creds) != 0 ||
        auth_expand(h->user, login, set->default_domain, &name) != 0) {
        auth_creds_free(&creds);
        door_log_failed(&s->door, "new_name", NULL);
        give_up(s, "454 4.7.0 The mail server has no such name");
        return;
    }
    struct smtpc_open o = {
        .host = h,
        .tls = s->env->tls_new_submission,
        .creds = &creds,
        .hostname = set->hostname,
        .client_address = stream_peer(s->client),
        .client_port = stream_peer_port(s->client),
        .client_helo = buf_slice(&s->helo),
        .client_login = buf_slice(&name),
        .timeout_seconds = set->host_timeout_seconds,
    };
    s->up = smtpc_open(s->env->worker, &s->task, &o);
    auth_creds_free(&creds);
    buf_free(&name);
    submission_enter(s, SUB_ENTER);
}

bool submission_state_check(struct submission *s)
{
    if (submission_eof(s) && submission_input(s).n == 0 && !door_delays(&s->door)) {
        submission_end(s, "client_closed");
        return true;
    }
    switch (door_step(&s->door)) {
    case DOOR_WAIT:
        return false;
    case DOOR_RIGHT:
        enter_new(s);
        break;
    case DOOR_WRONG:
        give_up(s, "535 5.7.8 Name or password is wrong");
        break;
    case DOOR_UNAVAILABLE:
        give_up(s, "454 4.7.0 Your password cannot be checked just now");
        break;
    }
    return true;
}

bool submission_state_enter(struct submission *s)
{
    struct smtpc_event ev;
    if (submission_eof(s) && submission_input(s).n == 0) {
        submission_end(s, "client_closed");
        return true;
    }
    smtpc_next(s->up, &ev);
    if (ev.kind == SMTPC_READY) {
        s->signed_in = true;
        secret_free(&s->door.password);
        offer_learn(s->front, smtpc_ehlo(s->up));
        door_passed(&s->door, buf_cstr(&s->door.key));
        timer_start(&s->clock, (uint64_t)submission_settings(s)->submission_idle_seconds * 1000);
        s->active_ms = worker_now_ms(s->env->worker);
        submission_say(s, "235 2.7.0 Signed in");
        submission_enter(s, SUB_COMMAND);
        return true;
    }
    if (ev.kind != SMTPC_FAILED)
        return false;
    bool refused = ev.err->code == E_AUTH || ev.err->code == E_REFUSED || ev.err->code == E_NOTSUP;
    door_log_failed(&s->door, refused ? "new_host_refused" : "new_host", ev.err);
    if (refused) {
        give_up(s, "454 4.7.0 The mail server does not let you in yet");
    } else {
        secret_free(&s->door.password);
        submission_bye(s, "new_host_down",
                       "421 4.3.2 The mail server cannot be reached, please try again");
    }
    return true;
}

/* ---- commands ---- */

bool submission_guest(struct submission *s, const struct smtp_cmd *c)
{
    switch (c->verb) {
    case SMTP_EHLO:
        guest_ehlo(s, c->args);
        break;
    case SMTP_STARTTLS:
        guest_starttls(s);
        break;
    case SMTP_AUTH:
        if (s->greeted_by_client)
            guest_auth(s, c->args);
        else
            submission_bad(s, "503 5.5.1 Say EHLO first");
        break;
    case SMTP_NOOP:
    case SMTP_RSET:
        submission_say(s, "250 2.0.0 Ok");
        break;
    case SMTP_BDAT:
        submission_bad(s, "530 5.7.0 Sign in first");
        submission_chunk_skip(s, c->size);
        break;
    default:
        submission_bad(s, s->greeted_by_client ? "530 5.7.0 Sign in first"
                                               : "503 5.5.1 Say EHLO first");
        break;
    }
    return true;
}
