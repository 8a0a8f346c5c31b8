/* Lines of the log: no value of a peer may end a line, forge a field or break the JSON. */
#include "config.h"
#include "unit.h"
#include "wherry/base/clock.h"
#include "wherry/base/counters.h"
#include "wherry/base/log.h"
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TS "2020-01-02T03:04:05.000006Z"
static const int64_t now = 1577934245000006;

static void expect(enum log_format format, struct slice value, const char *want)
{
    struct buf out = {0};
    struct log_field f = log_v("v", value);
    log_format_line(&out, format, now, LOG_INFO, "test", &f, 1);
    const char *head = format == LOG_JSON ? "{\"ts\":\"" TS
                                            "\",\"level\":\"info\",\"event\":\"test\",\"v\":"
                                          : "ts=" TS " level=info event=test v=";
    assert_memory_equal(buf_cstr(&out), head, strlen(head));
    const char *tail = format == LOG_JSON ? "}\n" : "\n";
    size_t n = out.len - strlen(tail);
    assert_string_equal(buf_cstr(&out) + n, tail);
    buf_truncate(&out, n);
    assert_string_equal(buf_cstr(&out) + strlen(head), want);
    buf_free(&out);
}

static void values_are_escaped(void **state)
{
    (void)state;
    static const struct {
        struct slice in;
        const char *logfmt, *json;
    } rows[] = {
        {SLICE_LIT("plain/1.2@x"), "plain/1.2@x", "\"plain/1.2@x\""},
        {SLICE_LIT(""), "\"\"", "\"\""},
        {SLICE_LIT("two words"), "\"two words\"", "\"two words\""},
        {SLICE_LIT("a=b"), "\"a=b\"", "\"a=b\""},
        {SLICE_LIT("a\"b"), "\"a\\\"b\"", "\"a\\\"b\""},
        {SLICE_LIT("a\\b"), "\"a\\\\b\"", "\"a\\\\b\""},
        {SLICE_LIT("x\nlevel=error event=forged"), "\"x\\nlevel=error event=forged\"",
         "\"x\\nlevel=error event=forged\""},
        {SLICE_LIT("x\" account=root"), "\"x\\\" account=root\"", "\"x\\\" account=root\""},
        {SLICE_LIT("x\\\" account=root"), "\"x\\\\\\\" account=root\"",
         "\"x\\\\\\\" account=root\""},
        {SLICE_LIT("x\",\"account\":\"root"), "\"x\\\",\\\"account\\\":\\\"root\"",
         "\"x\\\",\\\"account\\\":\\\"root\""},
        {SLICE_LIT("\r\t"), "\"\\r\\t\"", "\"\\r\\t\""},
        {SLICE_LIT("\0\x1b[2J\x7f"), "\"\\u0000\\u001b[2J\\u007f\"",
         "\"\\u0000\\u001b[2J\\u007f\""},
        {SLICE_LIT("m\xc3\xbcller"), "\"m\xc3\xbcller\"", "\"m\xc3\xbcller\""},
        {SLICE_LIT("\xf0\x9f\x9a\xa3"), "\"\xf0\x9f\x9a\xa3\"", "\"\xf0\x9f\x9a\xa3\""},
        /* line separators, C1 controls and marks of direction */
        {SLICE_LIT("\xe2\x80\xa8\xc2\x9b\xe2\x80\xae"), "\"\\u2028\\u009b\\u202e\"",
         "\"\\u2028\\u009b\\u202e\""},
        /* not UTF-8: alone, cut short, overlong, surrogate, beyond the last */
        {SLICE_LIT("\xff"), "\"\\xff\"", "\"\\ufffd\""},
        {SLICE_LIT("\xc3"), "\"\\xc3\"", "\"\\ufffd\""},
        {SLICE_LIT("\xc0\x8a"), "\"\\xc0\\x8a\"", "\"\\ufffd\\ufffd\""},
        {SLICE_LIT("\xed\xa0\x80"), "\"\\xed\\xa0\\x80\"", "\"\\ufffd\\ufffd\\ufffd\""},
        {SLICE_LIT("\xf4\x90\x80\x80"), "\"\\xf4\\x90\\x80\\x80\"",
         "\"\\ufffd\\ufffd\\ufffd\\ufffd\""},
        {SLICE_LIT("\xc3\""), "\"\\xc3\\\"\"", "\"\\ufffd\\\"\""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        expect(LOG_LOGFMT, rows[i].in, rows[i].logfmt);
        expect(LOG_JSON, rows[i].in, rows[i].json);
    }
}

static void kinds_of_fields(void **state)
{
    (void)state;
    struct err e = {.code = E_IO, .text = "no such host"};
    const struct log_field f[] = {log_s("gone", NULL),
                                  log_s("", "no name"),
                                  log_v("gone", (struct slice){0}),
                                  log_n("n", INT64_MIN),
                                  log_d("d", 1.5),
                                  log_d("inf", (double)INFINITY),
                                  log_d("big", 1e300),
                                  log_e(&e),
                                  log_e(NULL),
                                  log_s("bad name=\n", "x")};
    struct buf out = {0};
    log_format_line(&out, LOG_LOGFMT, now, LOG_ERROR, "a b", f, sizeof(f) / sizeof(f[0]));
    assert_string_equal(buf_cstr(&out),
                        "ts=" TS " level=error event=\"a b\" n=-9223372036854775808 d=1.500 "
                        "inf=nan big=1e+300 reason=\"no such host\" bad_name__=x\n");
    buf_clear(&out);
    log_format_line(&out, LOG_JSON, -1, LOG_DEBUG, "e", f + 5, 2);
    assert_string_equal(buf_cstr(&out),
                        "{\"ts\":\"1969-12-31T23:59:59.999999Z\",\"level\":\"debug\","
                        "\"event\":\"e\",\"inf\":null,\"big\":1e+300}\n");
    buf_free(&out);
}

/* True when the line is one JSON object of strings and numbers, by a reader that shares no code. */
static bool json_ok(const char *s)
{
    if (*s++ != '{')
        return false;
    for (;;) {
        for (int part = 0; part < 2; part++) {
            if (*s == '"') {
                for (s++; *s != '"'; s++) {
                    if ((unsigned char)*s < 0x20)
                        return false;
                    if (*s == '\\' && *++s == 'u')
                        s += 4;
                }
                s++;
            } else if (part == 1) {
                s += strspn(s, "-+.e0123456789ul");
            }
            if (part == 0 && *s++ != ':')
                return false;
        }
        if (*s == '}')
            return strcmp(s, "}\n") == 0;
        if (*s++ != ',')
            return false;
    }
}

static void long_lines_are_cut(void **state)
{
    (void)state;
    static char big[20000];
    static const char *const patterns[] = {"a",  "\n", "\xc3\xbc", "\xff", "\\", "ab\xe2\x82\xac\"",
                                           "x y"};
    for (size_t k = 0; k < sizeof(patterns) / sizeof(patterns[0]); k++) {
        size_t n = strlen(patterns[k]);
        for (size_t i = 0; i + n <= sizeof(big); i += n)
            memcpy(big + i, patterns[k], n);
        for (size_t len = 900; len < 1100; len++) {
            struct log_field f[8];
            for (size_t i = 0; i < 8; i++)
                f[i] = log_v("value", slice_make(big, i == 7 ? sizeof(big) : len / (i + 1)));
            for (int format = LOG_LOGFMT; format <= LOG_JSON; format++) {
                struct buf out = {0};
                log_format_line(&out, (enum log_format)format, now, LOG_WARN, "e", f, 8);
                assert_true(out.len <= 4096);
                const char *line = buf_cstr(&out);
                assert_ptr_equal(strchr(line, '\n'), line + out.len - 1);
                if (format == LOG_JSON)
                    assert_true(json_ok(line));
                buf_free(&out);
            }
        }
    }
    struct buf out = {0};
    struct log_field f[100];
    for (size_t i = 0; i < 100; i++)
        f[i] = log_s("number", "0123456789012345678901234567890123456789");
    log_format_line(&out, LOG_JSON, now, LOG_WARN, "e", f, 100);
    assert_true(out.len <= 4096 && json_ok(buf_cstr(&out)));
    assert_non_null(strstr(buf_cstr(&out), ",\"truncated\":1}\n"));
    buf_free(&out);
}

/* All values of two bytes: a reader of logfmt must find exactly the fields that were put in. */
static void nothing_can_be_forged(void **state)
{
    (void)state;
    struct buf out = {0};
    for (unsigned i = 0; i < 65536; i++) {
        const uint8_t v[] = {(uint8_t)(i >> 8), (uint8_t)i};
        struct log_field f[] = {log_v("v", slice_make(v, 2)), log_n("last", 1)};
        buf_clear(&out);
        log_format_line(&out, LOG_LOGFMT, now, LOG_INFO, "e", f, 2);
        const char *line = buf_cstr(&out);
        const char *s = strstr(line, " v=") + 3;
        if (*s == '"') {
            for (s++; *s != '"'; s++)
                s += *s == '\\';
            s++;
        } else {
            s += strcspn(s, " \n");
        }
        assert_string_equal(s, " last=1\n");
        assert_ptr_equal(strchr(line, '\n'), line + out.len - 1);
        buf_clear(&out);
        log_format_line(&out, LOG_JSON, now, LOG_INFO, "e", f, 2);
        assert_true(json_ok(buf_cstr(&out)));
    }
    buf_free(&out);
}

static void lines_are_written(void **state)
{
    (void)state;
    int fd[2];
    assert_int_equal(pipe(fd), 0);
    struct log l = {.fd = fd[1], .level = LOG_INFO, .format = LOG_LOGFMT};
    log_event(&l, LOG_DEBUG, "not-this", log_n("n", 1));
    log_event(&l, LOG_INFO, "this", log_n("n", 2));
    log_event(NULL, LOG_INFO, "nowhere", log_n("n", 2));
    char text[512] = {0};
    ssize_t n = read(fd[0], text, sizeof(text) - 1);
    assert_true(n > 0);
    assert_string_equal(strstr(text, " level="), " level=info event=this n=2\n");
    assert_null(strstr(text, "not-this"));
    assert_int_equal(l.dropped, 0);
    /* a reader that has stopped reading costs lines, never time */
    assert_int_equal(fcntl(fd[1], F_SETFL, O_NONBLOCK), 0);
    for (int i = 0; i < 5000; i++)
        log_event(&l, LOG_INFO, "flood", log_n("i", i));
    assert_true(l.dropped > 0);
    close(fd[0]);
    close(fd[1]);
}

static void counters_and_clock(void **state)
{
    (void)state;
    struct counters c = {.sessions = 3, .errors = 9};
    unsigned n;
    const struct counter_info *t = counters_table(&n);
    assert_int_equal((size_t)n * sizeof(uint64_t), sizeof(c));
    assert_string_equal(t[0].name, "sessions");
    assert_int_equal(counters_get(&c, &t[0]), 3);
    assert_int_equal(counters_get(&c, &t[n - 1]), 9);
    uint64_t a = clock_mono_ms();
    assert_true(clock_mono_ms() >= a);
    assert_true(clock_real_us() > now);
}

static void errors(void **state)
{
    (void)state;
    struct err e;
    err_clear(&e);
    assert_int_equal(err_set(&e, E_FULL, SCOPE_HOST, "disk %d%% full", 100), E_FULL);
    assert_string_equal(e.text, "disk 100% full");
    assert_int_equal(e.scope, SCOPE_HOST);
    assert_int_equal(err_set(NULL, E_IO, SCOPE_NONE, "x"), E_IO);
    for (int i = E_OK; i >= E_NOTSUP; i--)
        assert_string_not_equal(err_name(i), "unknown");
    assert_string_equal(err_name(1), "unknown");
    assert_string_equal(err_name(E_NOTSUP - 1), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_escaped),
        cmocka_unit_test(kinds_of_fields),
        cmocka_unit_test(long_lines_are_cut),
        cmocka_unit_test(nothing_can_be_forged),
        cmocka_unit_test(lines_are_written),
        cmocka_unit_test(counters_and_clock),
        cmocka_unit_test(errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
