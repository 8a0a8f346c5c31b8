/* SMTP lines and commands: a line holds neither CR nor LF, everything parsed lies within it, and
 * parameters walk to their end. */
#include "config.h"
#include "fuzz.h"
#include "wherry/smtp/cmd.h"
#include <string.h>

static void one(struct slice line)
{
    struct smtp_cmd c;
    struct slice key, value, rest;
    must(line.n == 0 ||
         (memchr(line.p, '\r', line.n) == NULL && memchr(line.p, '\n', line.n) == NULL));
    smtp_cmd_parse(line, &c);
    must(fuzz_within(c.args, line) && fuzz_within(c.path, line) && fuzz_within(c.params, line));
    must(c.path.n == 0 || (c.path.p[0] == '<' && c.path.p[c.path.n - 1] == '>'));
    must(c.fault == SMTP_FINE || (c.path.n == 0 && c.params.n == 0));
    for (rest = c.params; rest.n > 0;) {
        size_t before = rest.n;
        must(smtp_param_next(&rest, &key, &value) && rest.n < before);
        must(fuzz_within(key, c.params) && fuzz_within(value, c.params));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_make(data, size), line;
    size_t used;
    while (smtp_line_next(in, SMTP_MAX_PATH_COMMAND, &line, &used) == CODEC_DONE) {
        must(used == line.n + 2 && used <= in.n);
        one(line);
        in = slice_make(in.p + used, in.n - used);
    }
    must(line.n == 0 && used == 0);
    return 0;
}
