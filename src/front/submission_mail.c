/*
 * Commands, and those of a person who is signed in: passed on to the new host in order.
 *
 * MAIL and RCPT are written anew from what was parsed, so that the host reads what we read;
 * parameters of extensions that were not announced are refused here, since the host may know more
 * of them than we pass on.
 */
#include "config.h"
#include "front/submission.h"

static void forward(struct submission *s, enum turn_kind kind, struct slice line)
{
    submission_turn(s, kind, true);
    smtpc_put(s->up, line);
    smtpc_puts(s->up, "\r\n");
    s->errors = 0;
}

/* The extension that a parameter belongs to; 0: none that is passed on. */
static unsigned param_ext(enum smtp_verb verb, struct slice key)
{
    static const struct {
        enum smtp_verb verb;
        const char *key;
        unsigned ext;
    } known[] = {
        {SMTP_MAIL, "SIZE", SMTP_BIT(SIZE)},
        {SMTP_MAIL, "BODY", SMTP_BIT(8BITMIME)},
        {SMTP_MAIL, "SMTPUTF8", SMTP_BIT(SMTPUTF8)},
        {SMTP_MAIL, "RET", SMTP_BIT(DSN)},
        {SMTP_MAIL, "ENVID", SMTP_BIT(DSN)},
        {SMTP_MAIL, "REQUIRETLS", SMTP_BIT(REQUIRETLS)},
        {SMTP_RCPT, "NOTIFY", SMTP_BIT(DSN)},
        {SMTP_RCPT, "ORCPT", SMTP_BIT(DSN)},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (verb == known[i].verb && slice_is_nocase(key, known[i].key))
            return known[i].ext;
    return 0;
}

static unsigned offered(const struct submission *s)
{
    const struct mail_host *h = &submission_settings(s)->new_submission;
    unsigned ext = smtpc_ehlo(s->up)->ext & SMTP_EXT_PASSED;
    if (!s->secure || !smtpc_is_tls(s->up) || !h->verify)
        ext &= ~SMTP_BIT(REQUIRETLS);
    return ext;
}

static void mail_path(struct submission *s, const struct smtp_cmd *c)
{
    struct buf line = {0};
    struct slice key, value, rest = c->params;
    bool mail = c->verb == SMTP_MAIL, known = true;
    buf_puts(&line, mail ? "MAIL FROM:" : "RCPT TO:");
    buf_put_slice(&line, c->path);
    while (known && smtp_param_next(&rest, &key, &value)) {
        if (mail &&
            slice_is_nocase(
                key, "AUTH")) /* RFC 4954 5: of those that are not trusted it counts for nothing */
            continue;
        known = (param_ext(c->verb, key) & offered(s)) != 0 &&
                !(slice_is_nocase(key, "BODY") && slice_is_nocase(value, "BINARYMIME"));
        buf_putc(&line, ' ');
        buf_put_slice(&line, key);
        if (value.n > 0)
            buf_putc(&line, '=');
        buf_put_slice(&line, value);
    }
    if (known) {
        if (mail)
            s->chunk_bytes = 0;
        forward(s, mail ? TURN_MAIL : TURN_RCPT, buf_slice(&line));
    } else {
        submission_bad(s, "555 5.5.4 That parameter is not known here");
    }
    buf_free(&line);
}

/* It resets the host's transaction too (RFC 5321 4.1.1.1). */
static void mail_ehlo(struct submission *s)
{
    forward(s, TURN_OTHER, slice_str("RSET"));
    submission_put_ehlo(s, &container_of(s->turns.prev, struct turn, node)->own);
}

bool submission_mail(struct submission *s, const struct smtp_cmd *c)
{
    if (s->lost) {
        submission_bye(s, "new_host_lost", "421 4.3.2 The connection to the mail server was lost");
        return true;
    }
    switch (c->verb) {
    case SMTP_EHLO:
        mail_ehlo(s);
        break;
    case SMTP_MAIL:
    case SMTP_RCPT:
        mail_path(s, c);
        break;
    case SMTP_DATA:
        forward(s, TURN_DATA, slice_str("DATA"));
        submission_enter(s, SUB_ASKED);
        break;
    case SMTP_BDAT:
        submission_chunk_begin(s, c);
        break;
    case SMTP_NOOP:
        forward(s, TURN_OTHER, slice_str("NOOP"));
        break;
    case SMTP_RSET:
        s->chunk_bytes = 0;
        forward(s, TURN_OTHER, slice_str("RSET"));
        break;
    case SMTP_AUTH:
        submission_bad(s, "503 5.5.1 You are signed in already");
        break;
    default:
        submission_bad(s, "503 5.5.1 Not now");
        break;
    }
    return true;
}

/* What is answered alike before and after sign-in. False: not answered. */
static bool common(struct submission *s, const struct smtp_cmd *c)
{
    if (c->fault == SMTP_TOO_LONG) {
        submission_bad(s, "500 5.5.2 That line is too long");
    } else if (c->fault == SMTP_BAD_ARGS) {
        submission_bad(s, "501 5.5.4 That command has wrong arguments");
    } else if (c->verb == SMTP_UNKNOWN) {
        submission_bad(s, "500 5.5.1 That command is not known");
    } else if (c->verb == SMTP_HELO) {
        submission_bad(s, "502 5.5.1 EHLO is wanted here");
    } else if (c->verb == SMTP_EXPN) {
        submission_bad(s, "502 5.5.1 That command is not available");
    } else if (c->verb == SMTP_HELP) {
        submission_say(s, "214 2.0.0 Mail is submitted here by those who sign in");
    } else if (c->verb == SMTP_VRFY) {
        submission_say(s, "252 2.5.2 Send a message, and it will be seen");
    } else if (c->verb == SMTP_QUIT) {
        submission_say(s, "221 2.0.0 Goodbye");
        s->reason = "quit";
        submission_enter(s, SUB_LEAVE);
    } else {
        return false;
    }
    return true;
}

/* Whether another command may be taken now. */
static bool has_room(struct submission *s)
{
    if (s->n_turns >= MAX_TURNS || stream_full(s->client))
        return false;
    if (s->up == NULL || !s->signed_in)
        return true;
    bool one_by_one = (smtpc_ehlo(s->up)->ext & SMTP_BIT(PIPELINING)) == 0;
    return !smtpc_full(s->up) && !(one_by_one && s->n_turns > 0);
}

bool submission_state_command(struct submission *s)
{
    struct slice line;
    struct smtp_cmd c;
    size_t used = 0;
    if (!has_room(s))
        return false;
    switch (smtp_line_next(submission_input(s), SMTP_MAX_AUTH, &line, &used)) {
    case CODEC_MORE:
        if (!submission_eof(s))
            return false;
        s->reason = "client_closed";
        submission_enter(s, SUB_LEAVE);
        return true;
    case CODEC_BAD:
        submission_say(s, "521 5.5.2 Lines end with CRLF, and are not longer than that");
        s->reason = "bad_line";
        submission_enter(s, SUB_LEAVE);
        return true;
    case CODEC_DONE:
        break;
    }
    smtp_cmd_parse(line, &c);
    /* STARTTLS must see whether more came: the line is gone by then, and its slices with it only
     * after the command. */
    if (c.verb == SMTP_STARTTLS) {
        submission_consume(s, used);
        used = 0;
    }
    bool done = common(s, &c);
    if (!done && s->signed_in)
        (void)submission_mail(s, &c);
    else if (!done)
        (void)submission_guest(s, &c);
    if (used > 0)
        submission_consume(s, used);
    return true;
}
