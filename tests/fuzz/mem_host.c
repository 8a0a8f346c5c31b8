/* See mem_host.h. */
#include "config.h"
#include "mem_host.h"
#include "fuzz.h"
#include "wherry/imap/set.h"
#include <stdio.h>
#include <string.h>

enum { MOST_STEPS = 200000, MOST_COMMAND = 1 << 20, MOST_SAY = 16 << 20 };

/* One connection. */
struct served {
    struct mem_far far;
    struct mem_host *host;
    struct buf in, command; /* command: so far, literals inline */
    size_t literal;         /* bytes of it that are due */
    bool signed_in, selected;
};

static void say(struct served *c, const char *fmt, ...) PRINTF(2, 3);

static void say(struct served *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&c->far.say, fmt, ap);
    va_end(ap);
}

/* ---- what it does ---- */

static void put_message(struct served *c, size_t i, struct slice items)
{
    const struct message *m = &c->host->messages[i];
    struct buf text = {0};
    buf_put_slice(&text, items);
    const char *what = buf_cstr(&text);
    say(c, "* %zu FETCH (UID %u", i + 1, (unsigned)m->uid);
    if (strstr(what, "FLAGS") != NULL)
        say(c, " FLAGS (\\Seen)");
    if (strstr(what, "INTERNALDATE") != NULL)
        say(c, " INTERNALDATE \"05-Mar-2020 10:00:%02u +0000\"", (unsigned)(i % 60));
    if (strstr(what, "RFC822.SIZE") != NULL)
        say(c, " RFC822.SIZE %zu", m->body.len);
    if (strstr(what, "HEADER.FIELDS") != NULL)
        say(c, " BODY[HEADER.FIELDS (MESSAGE-ID)] {2}\r\n\r\n");
    if (strstr(what, "BODY.PEEK[]") != NULL) {
        say(c, " BODY[] {%zu}\r\n", m->body.len);
        buf_put_slice(&c->far.say, buf_slice(&m->body));
    }
    say(c, ")\r\n");
    buf_free(&text);
}

static bool inside(struct slice set, uint32_t n, uint32_t top)
{
    uint32_t lo, hi;
    while (imap_set_next(&set, &lo, &hi) == 1) {
        lo = lo == SET_STAR ? top : lo;
        hi = hi == SET_STAR ? top : hi;
        if ((n >= lo && n <= hi) || (n >= hi && n <= lo))
            return true;
    }
    return false;
}

static void fetch(struct served *c, struct slice rest, bool by_uid)
{
    struct mem_host *h = c->host;
    size_t k = 0;
    while (k < rest.n && rest.p[k] != ' ')
        k++;
    struct slice set = slice_make(rest.p, k), items = slice_make(rest.p + k, rest.n - k);
    for (size_t i = 0; i < h->n && c->far.say.len < MOST_SAY; i++)
        if (inside(set, by_uid ? h->messages[i].uid : (uint32_t)i + 1,
                   by_uid ? (h->n > 0 ? h->messages[h->n - 1].uid : 0) : (uint32_t)h->n))
            put_message(c, i, items);
}

static void append(struct served *c, struct slice text, struct buf *code)
{
    struct mem_host *h = c->host;
    uint32_t first = h->next;
    for (size_t i = 0; i + 2 < text.n && h->n < HOST_MESSAGES; i++) {
        uint64_t size = 0;
        size_t k = i + 1;
        if (text.p[i] != '{')
            continue;
        while (k < text.n && text.p[k] >= '0' && text.p[k] <= '9' && size < MOST_COMMAND)
            size = size * 10 + (text.p[k++] - '0');
        k += k < text.n && text.p[k] == '+';
        if (k + 3 > text.n || text.p[k] != '}' || size > text.n - k - 3)
            continue;
        struct message *m = &h->messages[h->n++];
        *m = (struct message){.uid = h->next++};
        buf_put(&m->body, text.p + k + 3, size);
        i = k + 2 + size;
    }
    if (h->next > first)
        buf_printf(code, "[APPENDUID %u %u:%u] ", (unsigned)h->validity, (unsigned)first, (unsigned)h->next - 1);
}

static void select_box(struct served *c, struct slice rest)
{
    struct mem_host *h = c->host;
    bool inbox = slice_is_nocase(rest, "INBOX") || slice_is_nocase(rest, "\"INBOX\"");
    c->selected = true;
    say(c, "* FLAGS (\\Seen)\r\n* %zu EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY %u] .\r\n* OK [UIDNEXT %u] .\r\n",
        inbox ? h->n : 0, (unsigned)h->validity, (unsigned)h->next);
}

static bool starts(struct slice s, const char *word, struct slice *rest)
{
    size_t n = strlen(word);
    if (s.n < n || !slice_is_nocase(slice_make(s.p, n), word))
        return false;
    *rest = slice_make(s.p + n, s.n - n);
    return true;
}

static void act(struct served *c, struct slice tag, struct slice text)
{
    struct mem_host *h = c->host;
    struct buf code = {0};
    struct slice r;
    if (starts(text, "CAPABILITY", &r))
        say(c, "* CAPABILITY %s\r\n", h->caps);
    else if (starts(text, "NAMESPACE", &r))
        say(c, "* NAMESPACE ((\"\" \"%c\")) NIL NIL\r\n", h->sep);
    else if (starts(text, "LIST", &r) || starts(text, "LSUB", &r))
        say(c, "* %s (\\HasNoChildren) \"%c\" INBOX\r\n* %s () \"%c\" Box\r\n", starts(text, "LIST", &r) ? "LIST" : "LSUB", h->sep,
            starts(text, "LIST", &r) ? "LIST" : "LSUB", h->sep);
    else if (starts(text, "STATUS ", &r)) {
        size_t k = 0;
        while (k < r.n && r.p[k] != ' ')
            k++;
        say(c, "* STATUS %.*s (MESSAGES %zu UIDNEXT %u UIDVALIDITY %u UNSEEN 0 RECENT 0)\r\n", (int)k, (const char *)r.p, h->n,
            (unsigned)h->next, (unsigned)h->validity);
    } else if (starts(text, "SELECT ", &r) || starts(text, "EXAMINE ", &r))
        select_box(c, r);
    else if (starts(text, "FETCH ", &r))
        fetch(c, r, false);
    else if (starts(text, "UID FETCH ", &r))
        fetch(c, r, true);
    else if (starts(text, "APPEND ", &r))
        append(c, r, &code);
    else if (starts(text, "LOGOUT", &r))
        say(c, "* BYE\r\n");
    else if (starts(text, "IDLE", &r)) {
        say(c, "+ idling\r\n");
        return; /* DONE is a command without a tag: below */
    }
    say(c, "%.*s OK %sdone\r\n", (int)tag.n, (const char *)tag.p, buf_cstr(&code));
    buf_free(&code);
}

/* A piece ends at 0xff; 0xfe in it is the tag. Without one left the host is as it should be. */
static bool from_pieces(struct served *c, struct slice tag)
{
    struct mem_host *h = c->host;
    if (!h->loose || !c->signed_in || h->pieces.n == 0)
        return false;
    const uint8_t *end = memchr(h->pieces.p, 0xff, h->pieces.n);
    size_t n = end != NULL ? (size_t)(end - h->pieces.p) : h->pieces.n;
    for (size_t i = 0; i < n; i++) {
        if (h->pieces.p[i] == 0xfe)
            buf_put_slice(&c->far.say, tag);
        else
            buf_putc(&c->far.say, (char)h->pieces.p[i]);
    }
    n += end != NULL;
    h->pieces = slice_make(h->pieces.p + n, h->pieces.n - n);
    return n > 1; /* an empty piece: as it should be, this once */
}

static void command(struct served *c)
{
    struct slice line = buf_slice(&c->command), rest;
    size_t k = 0;
    while (k < line.n && line.p[k] != ' ')
        k++;
    struct slice tag = slice_make(line.p, k);
    struct slice text = k < line.n ? slice_make(line.p + k + 1, line.n - k - 1) : slice_make(NULL, 0);
    if (text.n == 0) /* DONE */
        say(c, "x OK .\r\n");
    else if (!from_pieces(c, tag))
        act(c, tag, text);
    c->signed_in = c->signed_in || starts(text, "AUTHENTICATE", &rest) || starts(text, "LOGIN", &rest);
    buf_clear(&c->command);
}

/* ---- how it hears ---- */

/* The literal that the line ends with. */
static bool ends_in_literal(struct slice line, size_t *size, bool *sync)
{
    size_t k = line.n;
    uint64_t n = 0, unit = 1;
    if (k < 3 || line.p[k - 1] != '}')
        return false;
    k--;
    *sync = line.p[k - 1] != '+';
    k -= *sync ? 0 : 1;
    for (; k > 0 && line.p[k - 1] >= '0' && line.p[k - 1] <= '9' && unit < 10000000; unit *= 10)
        n += (uint64_t)(line.p[--k] - '0') * unit;
    *size = n;
    return k > 0 && line.p[k - 1] == '{' && unit > 1;
}

static void said(struct mem_far *f, struct slice s)
{
    struct served *c = container_of(f, struct served, far);
    buf_put_slice(&c->in, s);
    while (c->in.len > 0) {
        struct slice in = buf_slice(&c->in);
        if (c->literal > 0) {
            size_t n = in.n < c->literal ? in.n : c->literal;
            buf_put(&c->command, in.p, n);
            buf_consume(&c->in, n);
            c->literal -= n;
            continue;
        }
        const uint8_t *lf = memchr(in.p, '\n', in.n);
        if (lf == NULL)
            break;
        size_t n = (size_t)(lf - in.p);
        bool sync, more;
        must(n > 0 && in.p[n - 1] == '\r'); /* the daemon ends its lines so, whatever clients do */
        more = ends_in_literal(slice_make(in.p, n - 1), &c->literal, &sync);
        buf_put(&c->command, in.p, more ? n + 1 : n - 1);
        buf_consume(&c->in, n + 1);
        must(c->command.len < MOST_COMMAND * 8);
        if (more && sync)
            say(c, "+ go on\r\n");
        if (!more)
            command(c);
        else if (c->literal == 0)
            continue;
    }
    must(c->in.len < MOST_COMMAND * 8);
}

static void gone(struct mem_far *f)
{
    struct served *c = container_of(f, struct served, far);
    buf_free(&c->in);
    buf_free(&c->command);
    buf_free(&c->far.say);
    free(c);
}

static struct mem_far *on_dial(void *arg, uint16_t port)
{
    struct mem_world *w = arg;
    struct served *c = mem_alloc(sizeof(*c));
    c->far = (struct mem_far){.said = said, .gone = gone};
    c->host = port == 1 ? &w->old : &w->new;
    say(c, "* OK [CAPABILITY %s] ready\r\n", c->host->caps);
    return &c->far;
}

static void host_free(struct mem_host *h)
{
    for (size_t i = 0; i < h->n; i++)
        buf_free(&h->messages[i].body);
}

/* ---- the world ---- */

static const char conf[] = "listen { imap = {\"127.0.0.1:143\"} plaintext = \"yes\" }\n"
                           "old { imap { host = \"192.0.2.1\" port = 1 tls = \"none\" } }\n"
                           "new { imap { host = \"192.0.2.2\" port = 2 tls = \"none\" sign_in = \"same\" } }\n"
                           "store { path = \"/nonexistent/store\" spool = \"/nonexistent/spool\" }\n";

void mem_world_begin(struct mem_world *w, const char *more)
{
    struct conf_report r = {0};
    struct err e = {0};
    char text[2048];
    memset(w, 0, sizeof(*w));
    snprintf(text, sizeof(text), "%s%s", conf, more);
    must(conf_load_text(&w->settings, slice_str(text), &r) == 0);
    conf_report_free(&r);
    w->log = (struct log){.fd = getenv("FUZZ_LOG") != NULL ? 2 : -1, .level = LOG_DEBUG};
    w->old = (struct mem_host){.validity = 11, .next = 1, .sep = '.', .caps = "IMAP4rev1 AUTH=PLAIN SASL-IR NAMESPACE"};
    w->new = (struct mem_host){.validity = 22, .next = 7, .sep = '/',
                               .caps = "IMAP4rev1 AUTH=PLAIN SASL-IR LITERAL+ UIDPLUS IDLE UNSELECT MOVE MULTIAPPEND ESEARCH SORT NAMESPACE "
                                       "ID CONDSTORE ENABLE QRESYNC LIST-EXTENDED LIST-STATUS QUOTA ACL METADATA BINARY SEARCHRES"};
    for (int i = 0; i < 4; i++) {
        struct message *m = &w->old.messages[w->old.n++];
        *m = (struct message){.uid = w->old.next};
        w->old.next += 2;
        buf_printf(&m->body, "Subject: %d\r\n\r\nbody\r\n", i);
    }
    w->worker = mem_worker(&w->log, &w->counters);
    w->store = mem_store(w->worker);
    mem_use_store(w->worker, w->store);
    mem_on_dial(w->worker, on_dial, w);
    w->env = (struct env){.worker = w->worker, .store = w->store, .settings = w->settings, .auth = auth_new()};
    must(accounts_new(&w->env.accounts, &w->env, &e) == 0);
    must(front_start(&w->front, &w->env, &e) == 0);
}

void mem_world_go(struct mem_world *w, uint64_t ms)
{
    must(mem_run(w->worker, worker_now_ms(w->worker) + ms, MOST_STEPS));
}

void mem_world_end(struct mem_world *w)
{
    must(w->counters.found >= w->counters.moved + w->counters.left_behind + w->counters.vanished);
    must(front_idle(w->front));
    front_free(&w->front);
    accounts_free(&w->env.accounts);
    mem_run(w->worker, worker_now_ms(w->worker), MOST_STEPS); /* what was closed goes away */
    auth_free(&w->env.auth);
    mem_store_free(&w->store);
    must(mem_streams(w->worker) == 0);
    mem_worker_free(&w->worker);
    host_free(&w->old);
    host_free(&w->new);
    conf_settings_free(&w->settings);
}

/* ---- a client ---- */

enum { LAST = 4096 };

static void client_said(struct mem_far *f, struct slice s)
{
    struct mem_client *c = container_of(f, struct mem_client, far);
    c->heard += s.n;
    buf_put_slice(&c->last, s);
    if (c->last.len > LAST)
        buf_consume(&c->last, c->last.len - LAST);
}

static void client_gone(struct mem_far *f)
{
    container_of(f, struct mem_client, far)->gone = true;
}

void mem_client_begin(struct mem_client *c, struct mem_world *w)
{
    *c = (struct mem_client){.far = {.said = client_said, .gone = client_gone}};
    mem_connect(w->worker, 0, &c->far);
}

void mem_client_say(struct mem_client *c, struct slice s)
{
    buf_put_slice(&c->far.say, s);
}

void mem_client_end(struct mem_client *c, struct mem_world *w)
{
    c->far.hang_up = true;
    mem_world_go(w, 2000 * 1000); /* longer than anything is waited for with nobody there */
    must(c->gone);
    buf_free(&c->far.say);
    buf_free(&c->last);
}
