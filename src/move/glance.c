/*
 * Has anything reached the old mailboxes of an account? All that moved within grace are asked for over one connection, that of
 * the mirror which looks for new folders, and only those with news are looked at. So mail for mailboxes that nobody opens
 * comes over too, without a sign-in for each of them.
 */
#include "move/mirror_priv.h"
#include <string.h>

enum { STATUS_IN_FLIGHT = 64 };

void glance_begin(struct mirror *m)
{
    struct account *a = m->account;
    m->phase = MI_GLANCE;
    m->by_old = hash_new();
    m->next_unit = 0;
    for (uint32_t i = 0; i < a->n_units; i++) /* deleted ones too: they do not come back */
        if (a->units[i] != NULL && a->units[i]->rec.old_name[0] != '\0')
            hash_put(m->by_old, slice_str(a->units[i]->rec.old_name), a->units[i]);
}

bool glance_advance(struct mirror *m)
{
    struct account *a = m->account;
    struct imapc *c = m->old.conn.imap;
    while (m->next_unit < a->n_units && m->in_flight < STATUS_IN_FLIGHT) {
        struct unit *u = a->units[m->next_unit++];
        if (u == NULL || !unit_may_be_looked_at(u) || mirror_entry_find(m, slice_str(u->rec.old_name)) == NULL)
            continue;
        imapc_begin(c);
        imapc_puts(c, "STATUS ");
        imapc_put_string(c, slice_str(u->rec.old_name));
        imapc_puts(c, " (UIDNEXT UIDVALIDITY)");
        imapc_end(c);
        m->in_flight++;
    }
    return m->in_flight == 0;
}

/* A host that answers for another mailbox, or not at all, is asked again some other time. */
void glance_event(struct mirror *m)
{
    struct conn *c = &m->old.conn;
    struct imap_args args;
    struct buf name = {0}, canon = {0};
    c->uidnext = c->uidvalidity = 0;
    conn_status(c);
    imap_args_init(&args, buf_slice(&c->line.buf));
    if (c->uidnext == 0 || c->uidvalidity == 0 || !imap_args_astring(&args, &name))
        goto out;
    name_canon(buf_slice(&name), m->old.sep, &canon);
    struct unit *u = hash_get(m->by_old, buf_slice(&canon));
    if (u != NULL && (c->uidnext - 1 > u->rec.copied_to || c->uidvalidity != u->rec.old_uidvalidity))
        unit_look(u);
out:
    buf_free(&name);
    buf_free(&canon);
}
