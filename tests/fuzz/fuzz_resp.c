/*
 * Responses: however the input is cut, the same events come out of it and the same FETCH data. What
 * is gathered in lines is read as LIST and NAMESPACE too.
 */
#include "config.h"
#include "fuzz.h"
#include "wherry/imap/caps.h"
#include "wherry/imap/resp.h"
#include <string.h>

static void add(uint64_t *h, struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        *h = (*h ^ s.p[i]) * 1099511628211u;
}

static void add_number(uint64_t *h, uint64_t v)
{
    *h = (*h ^ v) * 1099511628211u;
}

/* Everything that an event says, but where a literal is cut. */
static void add_event(uint64_t *h, const struct resp *r)
{
    if (r->kind == RESP_BYTES) {
        add(h, r->bytes);
        if (!r->last)
            return;
    }
    add_number(h, r->kind);
    add_number(h, r->cond);
    add_number(h, r->has_num ? r->num + 1ull : 0);
    add_number(h, r->tok.kind * 8u + r->tok.space * 4u + r->tok.nonsync * 2u + r->tok.binary);
    add_number(h, r->tok.size);
    add(h, r->tag);
    add_number(h, r->code.n);
    add(h, r->code);
    add(h, r->text);
    add(h, r->name);
    add(h, r->tok.raw);
    add(h, r->tok.text);
}

struct gather {
    uint64_t hash, fetch_hash, body;
    bool in_body;
    struct fetch fetch;
    struct resp_line line;
};

static void add_fetch(struct gather *g, const struct resp *r)
{
    enum fetch_event e = imap_fetch_feed(&g->fetch, r);
    struct slice bytes = g->fetch.bytes;
    if (e == FETCH_BODY) {
        must(!g->in_body);
        g->in_body = true;
        g->body = 0;
    }
    if (e == FETCH_BYTES || e == FETCH_BODY_END || e == FETCH_BODY_WHOLE) {
        must(g->in_body == (e != FETCH_BODY_WHOLE));
        add(&g->fetch_hash, bytes);
        g->body = (e == FETCH_BODY_WHOLE ? 0 : g->body) + bytes.n;
        must(e == FETCH_BYTES || g->body == g->fetch.body_size);
        g->in_body = e == FETCH_BYTES;
    } else {
        must(bytes.n == 0);
    }
    if (e != FETCH_DONE)
        return;
    add_number(&g->fetch_hash, g->fetch.uid);
    add_number(&g->fetch_hash, g->fetch.modseq);
    add_number(&g->fetch_hash, g->fetch.bad);
    add(&g->fetch_hash, buf_slice(&g->fetch.flags));
    add(&g->fetch_hash, buf_slice(&g->fetch.header));
    must(imap_flags_same(buf_slice(&g->fetch.flags), buf_slice(&g->fetch.flags)));
    must(g->fetch.header.len <= g->fetch.max_header);
}

static void add_line(struct gather *g, const struct resp *r)
{
    int done = imap_line_feed(&g->line, r, 256);
    must(g->line.buf.len <= 256);
    if (done != 1)
        return;
    struct slice line = buf_slice(&g->line.buf);
    struct list_data d = {0};
    struct namespace_data n;
    add(&g->hash, line);
    if (imap_parse_list(line, &d) == 0)
        must(fuzz_within(d.flags, line));
    buf_free(&d.name);
    if (imap_parse_namespace(line, &n) == 0)
        imap_namespace_free(&n);
}

/* The hash of all that came out when the input arrives in pieces of step bytes. */
static uint64_t run(struct slice in, size_t step, size_t max_token)
{
    struct resp_reader reader;
    struct gather g = {0};
    enum codec c = CODEC_MORE;
    size_t done = 0;
    imap_resp_init(&reader);
    reader.max_token = max_token;
    reader.max_depth = 8;
    imap_fetch_init(&g.fetch);
    g.fetch.max_header = 32;
    for (size_t end = 0; c == CODEC_MORE && end < in.n;) {
        end = in.n - end > step ? end + step : in.n;
        do {
            struct resp r;
            size_t used;
            struct slice rest = slice_make(in.p + done, end - done);
            c = imap_resp_next(&reader, rest, &used, &r);
            must(used <= rest.n);
            must(c == CODEC_DONE || (used == 0 && r.kind == RESP_NONE));
            done += used;
            if (c == CODEC_DONE) {
                add_event(&g.hash, &r);
                add_fetch(&g, &r);
                add_line(&g, &r);
            }
        } while (c == CODEC_DONE);
    }
    add_number(&g.hash, g.fetch_hash);
    add_number(&g.hash, c == CODEC_BAD);
    imap_fetch_free(&g.fetch);
    imap_line_free(&g.line);
    return g.hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_make(data, size);
    if (size > 4096)
        return 0;
    for (size_t max = 32; max <= 65536; max *= 2048) {
        uint64_t whole = run(in, SIZE_MAX, max);
        must(run(in, 1, max) == whole);
        must(run(in, 7, max) == whole);
    }
    return 0;
}
