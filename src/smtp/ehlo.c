/* What EHLO announces, as one table of keywords. */
#include "config.h"
#include "wherry/smtp/reply.h"

static const char *const names[] = {
#define X(id, name) name,
    SMTP_EXTS(X)
#undef X
};

static const struct {
    const char *name;
    unsigned bit;
} mechs[] = {{"PLAIN", SMTP_MECH_PLAIN}, {"LOGIN", SMTP_MECH_LOGIN}},
  xattrs[] = {{"ADDR", SMTP_XADDR},
              {"PORT", SMTP_XPORT},
              {"PROTO", SMTP_XPROTO},
              {"HELO", SMTP_XHELO},
              {"LOGIN", SMTP_XLOGIN}};

static struct slice word(struct slice *rest)
{
    size_t from = 0, to;
    while (from < rest->n && rest->p[from] == ' ')
        from++;
    for (to = from; to < rest->n && rest->p[to] != ' ';)
        to++;
    struct slice w = slice_make(rest->p + from, to - from);
    *rest = slice_make(rest->p + to, rest->n - to);
    return w;
}

static void take_params(struct smtp_ehlo *e, unsigned ext, struct slice rest)
{
    struct slice w;
    while ((w = word(&rest)).n > 0) {
        if (ext == SMTP_EXT_SIZE && slice_u64(w, &e->size) != 0)
            e->size = 0;
        for (size_t i = 0; ext == SMTP_EXT_AUTH && i < sizeof(mechs) / sizeof(mechs[0]); i++)
            e->mechs |= slice_is_nocase(w, mechs[i].name) ? mechs[i].bit : 0;
        for (size_t i = 0; ext == SMTP_EXT_XCLIENT && i < sizeof(xattrs) / sizeof(xattrs[0]); i++)
            e->xattrs |= slice_is_nocase(w, xattrs[i].name) ? xattrs[i].bit : 0;
    }
}

void smtp_ehlo_parse(const struct smtp_reply *r, struct smtp_ehlo *out)
{
    *out = (struct smtp_ehlo){0};
    for (unsigned n = 1; n < r->lines; n++) {
        struct slice rest = smtp_reply_line(r, n), key = word(&rest);
        for (unsigned i = 0; i < SMTP_EXT_COUNT; i++) {
            if (!slice_is_nocase(key, names[i]))
                continue;
            out->ext |= 1u << i;
            take_params(out, i, rest);
        }
    }
}

void smtp_ehlo_put(struct buf *out, unsigned ext, uint64_t size)
{
    for (unsigned i = 0; i < SMTP_EXT_COUNT; i++) {
        if ((ext & 1u << i) == 0)
            continue;
        buf_printf(out, "250-%s", names[i]);
        if (i == SMTP_EXT_SIZE && size > 0)
            buf_printf(out, " %llu", (unsigned long long)size);
        buf_puts(out, "\r\n");
    }
}
