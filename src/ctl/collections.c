/* wherryctl account: the calendars and address books of one account. */
#include "config.h"
#include "ctl.h"
#include <string.h>

static const char *kind_word(const struct store_unit *u)
{
    return u->kind == UNIT_CALENDAR ? "calendar" : u->kind == UNIT_ADDRESSBOOK ? "address book" : "collection";
}

static const char *state_word(const struct store_unit *u)
{
    if (u->kind == UNIT_STAYS)
        return u->state == UNIT_DELETED ? unit_state_name(u->state) : "stays";
    if (u->old_name[0] == '\0' && u->state == UNIT_MOVED)
        return "new";
    return unit_state_name(u->state);
}

static void json_one(struct json *j, const struct store_unit *u)
{
    json_open(j, NULL, '{');
    json_str(j, "name", slice_str(u->view_name));
    json_str(j, "title", slice_str(u->title));
    json_str(j, "kind", slice_str(kind_word(u)));
    json_str(j, "old_href", slice_str(u->old_name[0] != '\0' ? u->old_href : ""));
    json_str(j, "new_href", slice_str(u->new_href));
    json_str(j, "state", slice_str(u->kind == UNIT_STAYS ? state_word(u) : unit_state_name(u->state)));
    json_str(j, "home", slice_str(u->home == HOME_NEW ? "new" : "old"));
    json_num(j, "found", u->found);
    json_num(j, "moved", u->moved);
    json_num(j, "left_behind", u->left_behind);
    json_num(j, "vanished", u->vanished);
    json_num(j, "differs", u->differs);
    json_num(j, "bytes", u->bytes);
    json_num(j, "attempts", u->attempts);
    json_int(j, "started", u->started);
    json_int(j, "finished", u->finished);
    json_str(j, "reason", slice_str(u->reason));
    json_close(j, '{');
}

void collections_json(struct json *j, const struct store_unit *v, size_t n)
{
    json_open(j, "collections", '[');
    for (size_t i = 0; i < n; i++)
        if (unit_is_collection(v[i].kind))
            json_one(j, &v[i]);
    json_close(j, '[');
}

static void put_one(struct buf *out, const struct store_unit *u, unsigned columns)
{
    text_put(out, slice_str(u->view_name), columns, columns);
    buf_printf(out, "  %s", state_word(u));
    if (u->found > 0 || (u->state == UNIT_MOVED && u->old_name[0] != '\0')) {
        buf_printf(out, "%*s %8llu %8llu %6llu %8llu  ", 9 - (int)strlen(state_word(u)), "", (unsigned long long)u->found,
                   (unsigned long long)u->moved, (unsigned long long)u->left_behind, (unsigned long long)u->vanished);
        text_put_bytes(out, u->bytes);
    }
    buf_putc(out, '\n');
    if (u->reason[0] == '\0' || u->state == UNIT_MOVED || u->state == UNIT_DELETED)
        return;
    if (u->kind == UNIT_STAYS || u->attempts == 0)
        buf_puts(out, "    not moved: ");
    else
        buf_printf(out, "    try %u failed: ", (unsigned)u->attempts);
    text_put(out, slice_str(u->reason), 0, 0);
    buf_putc(out, '\n');
}

void collections_text(const struct ctl_output *o, const struct store_unit *v, size_t n)
{
    unsigned columns = 10, most = o->width > 80 ? o->width - 58 : 22;
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        if (!unit_is_collection(v[i].kind))
            continue;
        unsigned w = text_width(slice_str(v[i].view_name));
        columns = w > columns ? w : columns;
        any = true;
    }
    if (!any)
        return;
    columns = columns > most ? most : columns;
    buf_putc(o->out, '\n');
    text_put(o->out, SLICE_LIT("collection"), columns, 0);
    buf_puts(o->out, "  state        found    moved   left vanished  bytes\n");
    for (size_t i = 0; i < n; i++)
        if (unit_is_collection(v[i].kind))
            put_one(o->out, &v[i], columns);
}
