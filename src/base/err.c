/* Error records. What: a code, its scope and a sentence. Why: who catches an error must know what
 * has to give up. Rejected: errno alone, which says neither. */
#include "wherry/base/err.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *e, int code, enum err_scope scope, const char *fmt, ...)
{
    if (e == NULL)
        return code;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->text, sizeof(e->text), fmt, ap);
    va_end(ap);
    e->code = code;
    e->scope = scope;
    return code;
}

void err_clear(struct err *e)
{
    memset(e, 0, sizeof(*e));
}

const char *err_name(int code)
{
    static const char *const names[] = {"ok",       "invalid",    "protocol", "limit", "io",
                                        "closed",   "timeout",    "tls",      "auth",  "refused",
                                        "unavail",  "absent",     "exists",   "full",  "corrupt",
                                        "canceled", "unsupported"};
    int i = -code;
    return i >= 0 && i < (int)(sizeof(names) / sizeof(names[0])) ? names[i] : "unknown";
}
