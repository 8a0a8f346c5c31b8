/* Stands in for move until its sources are there; linked only where libmove.a has none of it. */
#include "config.h"
#include "wherry/move/account.h"

__attribute__((weak)) int accounts_new(struct accounts **out, struct env *env, struct err *e)
{
    (void)env;
    *out = NULL;
    return err_set(e, E_NOTSUP, SCOPE_NONE, "this build has no movers");
}

__attribute__((weak)) void accounts_free(struct accounts **a)
{
    *a = NULL;
}

__attribute__((weak)) unsigned accounts_movers(const struct accounts *a)
{
    (void)a;
    return 0;
}
