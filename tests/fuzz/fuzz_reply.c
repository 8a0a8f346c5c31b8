/*
 * What a host sends through the reply translator: however it is cut, and with or without the short
 * way, the same comes out, the client can read it, and every UID in it is one of the view.
 */
#include "config.h"
#include "fuzz.h"
#include "front/reply.h"
#include "wherry/imap/set.h"
#include <stdlib.h>
#include <string.h>

/* New 1..5 -> view 1000010..14, tail 100 -> 2000000. No UID of the new host is one of the view. */
static void make_map(struct uidmap *m)
{
    uidmap_init(m);
    for (uint32_t i = 0; i < 5; i++)
        must(uidmap_add(m, 1000010 + i, 1 + i) == 0);
    must(uidmap_set_tail(m, 2000000, 100) == 0);
}

static bool dest(void *arg, uint32_t new_uidvalidity, struct code_dest *out)
{
    out->map = arg;
    out->view_uidvalidity = 77;
    return new_uidvalidity % 2 == 1;
}

static void check_set(struct slice set)
{
    uint32_t lo, hi;
    must(imap_set_valid(set));
    while (imap_set_next(&set, &lo, &hi) > 0)
        must(lo >= 1000010 && hi >= lo);
}

/* The UIDs of FETCH and VANISHED that came out are mapped ones. */
static void check_uids(struct slice in)
{
    struct resp_reader reader;
    struct resp ev;
    size_t used;
    bool uid = false, fetch = false, value = false, vanished = false;
    unsigned depth = 0;
    imap_resp_init(&reader);
    while (imap_resp_next(&reader, in, &used, &ev) == CODEC_DONE) {
        in = slice_make(in.p + used, in.n - used);
        if (ev.kind == RESP_BEGIN) {
            vanished = slice_is(ev.name, "VANISHED");
            fetch = slice_is(ev.name, "FETCH");
            depth = 0;
            uid = value = false;
        }
        if (ev.kind == RESP_TOK && vanished && ev.tok.kind == TOK_ATOM &&
            !slice_is(ev.tok.text, "EARLIER"))
            check_set(ev.tok.text);
        if (ev.kind != RESP_TOK || !fetch)
            continue;
        if (depth == 1 && !value && ev.tok.kind != TOK_CLOSE) {
            uid = slice_is_nocase(ev.tok.text, "UID");
            value = true;
            continue;
        }
        uint32_t n;
        if (depth == 1 && value && uid)
            must(slice_u32(ev.tok.text, &n) == 0 && n >= 1000010);
        if (ev.tok.kind == TOK_OPEN)
            depth++;
        else if (ev.tok.kind == TOK_CLOSE && depth > 0)
            depth--;
        if (depth == 1)
            value = false;
    }
}

static void run(const struct reply_view *v, struct slice text, size_t step, bool fast,
                struct buf *out)
{
    struct resp_reader reader;
    struct reply r = {0};
    struct resp ev;
    struct buf in = {0};
    struct code_view cv = {v, true, dest, (void *)(uintptr_t)v->map};
    enum codec c = CODEC_MORE;
    imap_resp_init(&reader);
    for (size_t at = 0; at < text.n && c != CODEC_BAD; at += step) {
        size_t used = 0, n = text.n - at < step ? text.n - at : step;
        buf_put(&in, text.p + at, n);
        for (;;) {
            if (fast && imap_resp_idle(&reader))
                buf_consume(&in, reply_fast(v, buf_slice(&in), out));
            if (fast && imap_resp_between(&reader))
                buf_consume(&in, reply_fast_numbers(&r, v, buf_slice(&in), out));
            if ((c = imap_resp_next(&reader, buf_slice(&in), &used, &ev)) != CODEC_DONE)
                break;
            if (ev.kind >= RESP_BEGIN)
                reply_feed(&r, v, &ev, out);
            else if (ev.code.n > 0 && reply_code(&cv, ev.code, out))
                buf_puts(out, "\r\n");
            buf_consume(&in, used);
        }
        buf_consume(&in, used);
    }
    buf_free(&in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct uidmap map;
    struct buf whole = {0}, pieces = {0}, line = {0}, fast = {0};
    if (size == 0)
        return 0;
    make_map(&map);
    struct reply_view v = {.open = true,
                           .map = &map,
                           .uid_numbers = (data[0] & 1) != 0,
                           .modseq = (data[0] & 2) != 0,
                           .highest = (data[0] & 4) != 0,
                           .vanished = (data[0] & 8) != 0,
                           .modseq_shift = 5};
    struct slice text = slice_make(data + 1, size - 1);
    run(&v, text, text.n > 0 ? text.n : 1, false, &whole);
    run(&v, text, text.n > 0 ? text.n : 1, true, &fast);
    run(&v, text, 1, false, &pieces);
    must(slice_eq(buf_slice(&whole), buf_slice(&fast)));
    must(slice_starts(buf_slice(&whole), buf_slice(&pieces)) ||
         slice_starts(buf_slice(&pieces), buf_slice(&whole)));
    check_uids(buf_slice(&whole));
    if (reply_esearch(&v, text, &line) != 0)
        must(line.len == 0);
    buf_free(&line);
    buf_free(&whole);
    buf_free(&pieces);
    buf_free(&fast);
    uidmap_free(&map);
    return 0;
}
