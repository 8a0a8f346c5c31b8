/* Stands in for front until its sources are there; linked only where libfront.a has none of it. */
#include "config.h"
#include "wherry/front/front.h"

__attribute__((weak)) int front_start(struct front **out, struct env *env, struct err *e)
{
    (void)env;
    *out = NULL;
    return err_set(e, E_NOTSUP, SCOPE_NONE, "this build has no front");
}

__attribute__((weak)) void front_drain(struct front *f)
{
    (void)f;
}

__attribute__((weak)) bool front_idle(const struct front *f)
{
    (void)f;
    return true;
}

__attribute__((weak)) void front_free(struct front **f)
{
    *f = NULL;
}

__attribute__((weak)) void front_reload(struct front *f)
{
    (void)f;
}
