/* Answers of DAV hosts: however the input is cut, the same responses come out, and an element kept for another document is sound. */
#include "config.h"
#include "fuzz.h"
#include "wherry/dav/multistatus.h"

static void add(uint64_t *h, struct slice s)
{
    *h = (*h ^ s.n) * 1099511628211u;
    for (size_t i = 0; i < s.n; i++)
        *h = (*h ^ s.p[i]) * 1099511628211u;
}

static int ignore(const struct xml_event *ev, void *arg)
{
    (void)ev;
    (void)arg;
    return 0;
}

static int note(struct dav_response *r, void *arg)
{
    uint64_t *h = arg;
    add(h, buf_slice(&r->href));
    *h += r->status;
    for (size_t i = 0; i < r->n_props; i++) {
        struct dav_prop *p = &r->props[i];
        add(h, slice_str(p->ns));
        add(h, slice_str(p->name));
        add(h, buf_slice(&p->xml));
        add(h, buf_slice(&p->text));
        add(h, buf_slice(&p->href));
        for (size_t k = 0; k < p->n_names; k++)
            add(h, slice_str(p->names[k]));
        struct xml_in *x = xml_in_new(0, 0, ignore, NULL);
        must(xml_feed(x, buf_slice(&p->xml), true) == 0);
        xml_in_free(&x);
    }
    return 0;
}

static uint64_t read_all(struct slice in, size_t step)
{
    uint64_t h = 14695981039346656037u;
    int r = 0;
    struct multistatus *m = multistatus_new(1 << 20, 1000, 1 << 16, note, &h);
    while (in.n > 0 && r == 0) {
        size_t n = step < in.n ? step : in.n;
        r = multistatus_feed(m, slice_make(in.p, n), false);
        in = slice_make(in.p + n, in.n - n);
    }
    if (r == 0)
        r = multistatus_feed(m, in, true);
    uint64_t whole = r == 0 ? h : 0;
    if (r == 0)
        add(&whole, multistatus_token(m));
    multistatus_free(&m);
    return whole;
}

static void note_error(struct slice ns, struct slice name, struct slice href, void *arg)
{
    uint64_t *h = arg;
    add(h, ns);
    add(h, name);
    add(h, href);
}

static int rewrite(const struct xml_event *ev, void *arg)
{
    xml_put_event(arg, ev);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_make(data, size);
    struct buf out = {0};
    uint64_t h = 0;
    must(read_all(in, size + 1) == read_all(in, 1));
    dav_error_read(in, note_error, &h);
    struct xml_in *x = xml_in_new(0, 0, rewrite, &out);
    if (xml_feed(x, in, true) == 0) {
        struct xml_in *y = xml_in_new(0, 0, ignore, NULL);
        must(xml_feed(y, buf_slice(&out), true) == 0);
        xml_in_free(&y);
    }
    xml_in_free(&x);
    buf_free(&out);
    return 0;
}
