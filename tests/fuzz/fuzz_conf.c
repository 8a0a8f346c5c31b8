/* The configuration: any text ends in settings within their bounds, or in an error; and what was
 * taken can be written as text again. */
#include "config.h"
#include "wherry/conf/conf.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct settings *s;
    struct conf_report r = {{0}, {0}, 0, 0};
    unsigned n;
    const struct conf_option *t = conf_table(&n);
    int rc = conf_load_text(&s, slice_make(data, size), &r);
    if ((rc == 0) != (s != NULL) || (rc == 0) != (r.n_errors == 0) ||
        (r.n_errors > 0) != (r.errors.len > 0))
        abort();
    struct buf text = {0};
    for (unsigned i = 0; s != NULL && i < n; i++)
        conf_value_text(s, &t[i], &text);
    buf_free(&text);
    conf_settings_free(&s);
    conf_report_free(&r);
    return 0;
}
