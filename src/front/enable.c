/*
 * ENABLE (RFC 5161), and what RFC 7162 3.1 makes of commands that only someone who knows
 * mod-sequences sends. What the client enabled holds for the session, so each connection to a host
 * is told, however late it is opened.
 */
#include "config.h"
#include "front/session.h"
#include "wherry/imap/caps.h"

static const uint64_t known = CAP_BIT(CONDSTORE) | CAP_BIT(QRESYNC);

static uint64_t with_condstore(uint64_t bits)
{
    return (bits & CAP_BIT(QRESYNC)) != 0 ? bits | CAP_BIT(CONDSTORE) : bits;
}

void session_enable(struct session *s, uint64_t bits)
{
    s->enabled |= with_condstore(bits) & s->offered;
    s->view.highest = (s->offered & CAP_BIT(CONDSTORE)) != 0;
    s->view.modseq = (s->enabled & CAP_BIT(CONDSTORE)) != 0;
    s->view.vanished = (s->enabled & CAP_BIT(QRESYNC)) != 0;
}

static void put_names(struct buf *out, uint64_t bits)
{
    for (unsigned i = 0; i < CAPI_COUNT; i++)
        if ((bits & ((uint64_t)1 << i)) != 0)
            buf_printf(out, " %s", imap_cap_name((enum imap_cap_index)i));
}

static uint32_t send(struct session *s, enum unit_home side, uint64_t bits)
{
    struct imapc *c = session_host(s, side);
    struct buf names = {0};
    put_names(&names, bits);
    uint32_t id = imapc_begin(c);
    imapc_puts(c, "ENABLE");
    imapc_put(c, buf_slice(&names));
    imapc_end(c);
    buf_free(&names);
    s->host_enabled[side] |= with_condstore(bits);
    return id;
}

/* The reply is nobody's. */
void host_enable(struct session *s, enum unit_home side)
{
    struct imapc *c = session_host(s, side);
    if (c == NULL || !imapc_ready(c))
        return;
    if (s->args.condstore && side == s->target)
        s->host_enabled[side] |= CAP_BIT(CONDSTORE); /* the command itself says so */
    uint64_t due = s->enabled & known & imapc_caps(c) & ~s->host_enabled[side];
    if (due == 0 || (imapc_caps(c) & CAP_BIT(ENABLE)) == 0)
        return;
    (void)send(s, side, due);
}

bool own_enable(struct session *s)
{
    struct imap_args a;
    struct slice name;
    uint64_t asked = 0;
    imap_args_init(&a, s->cmd.args);
    bool ok = imap_args_atom(&a, &name);
    if (ok)
        asked |= imap_caps_parse(name);
    while (ok && !imap_args_done(&a)) {
        ok = imap_args_atom(&a, &name);
        asked |= imap_caps_parse(name);
    }
    if (!ok) {
        session_bad(s, "Names of capabilities are expected");
        return true;
    }
    s->enabling = asked & known & s->offered;
    s->enable_told = 0;
    if (s->enabling == 0) {
        session_printf(s, "* ENABLED\r\n");
        session_ok(s, "Nothing had to be enabled");
        return true;
    }
    command_flight(s, HOME_NEW, send(s, HOME_NEW, s->enabling));
    s->errors = 0;
    session_enter(s, S_WAIT);
    return true;
}

void enabled_line(struct session *s, enum unit_home side, struct slice names)
{
    if (side == HOME_NEW)
        s->enable_told |= imap_caps_parse(names);
}

/* Hosts differ in whether they tell again what was enabled before; here it is told. */
void enable_done(struct session *s, struct flight *f, const struct resp *r)
{
    uint64_t on = s->enabling & (s->enable_told | s->enabled);
    s->enabling = 0;
    if (r->cond == COND_OK) {
        struct buf *out = session_out(s);
        session_enable(s, on);
        buf_puts(out, "* ENABLED");
        put_names(out, on);
        buf_puts(out, "\r\n");
    }
    upstream_put_tagged(s, f, r, session_out(s));
}
