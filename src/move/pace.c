/*
 * How many connections the copy holds to a host, and what becomes of that when the host says that it is too many.
 *
 * copy.per_host bounds them. Copies leave the last place free, so that a person who signs in for the first time need not wait until
 * somebody's large mailbox is through. A host that answers [THROTTLED], [INUSE] or, at the sign-in, [LIMIT] or BYE is given a rest, each
 * time a longer one, and fewer connections; both wear off as copies succeed. Most limits of hosts are a person's own, so
 * the first answer slows down that account alone, and the host as a whole only when another account hears the same
 * soon after. Whoever waits for such a mailbox goes on waiting.
 */
#include "move/conn.h"
#include "move/mirror_priv.h"
#include <sys/random.h>

enum { REST_MS = 1000, REST_MAX_MS = 60 * 1000, SOON_MS = 60 * 1000 };

static uint64_t random_below(uint64_t n)
{
    uint64_t r = 0;
    return getrandom(&r, sizeof(r), 0) == (ssize_t)sizeof(r) ? r % n : n / 2;
}

uint64_t pace_backed_off(uint64_t ms, unsigned times, uint64_t most)
{
    for (unsigned i = 1; i < times && ms < most; i++)
        ms *= 2;
    ms = ms < most ? ms : most;
    return ms - ms / 8 + random_below(ms / 4 + 1); /* not all at the same moment */
}

static bool host_room(const struct accounts *all, const struct pace *p, unsigned keep)
{
    unsigned most = all->env->settings->per_host;
    if (p->allowed != 0 && p->allowed < most)
        most = p->allowed;
    return p->open + (most > keep ? keep : 0) < most;
}

bool pace_rests(const struct accounts *all)
{
    uint64_t now = worker_now_ms(all->env->worker);
    return now < all->old_pace.until_ms || now < all->new_pace.until_ms;
}

static bool hosts_room(const struct accounts *all, unsigned keep)
{
    return !pace_rests(all) && host_room(all, &all->old_pace, keep) && host_room(all, &all->new_pace, keep);
}

bool pace_room_copy(const struct accounts *all)
{
    return hosts_room(all, 1);
}

bool pace_room_sign_in(const struct accounts *all)
{
    return hosts_room(all, 0);
}

bool pace_account_rests(const struct account *a)
{
    return worker_now_ms(a->all->env->worker) < a->pace.until_ms;
}

bool pace_account_room(const struct account *a)
{
    return !pace_account_rests(a) && (a->pace.allowed == 0 || a->running < a->pace.allowed);
}

static void slow_down(struct accounts *all, struct pace *p, unsigned running)
{
    uint64_t now = worker_now_ms(all->env->worker);
    if (now < p->until_ms)
        return; /* of several at once only the first counts */
    p->allowed = running > 2 ? running / 2 : 1;
    p->until_ms = now + pace_backed_off(REST_MS, ++p->failures, REST_MAX_MS);
}

void pace_pushed(struct account *a, bool old, const char *said)
{
    struct accounts *all = a->all;
    struct pace *host = old ? &all->old_pace : &all->new_pace;
    uint64_t now = worker_now_ms(all->env->worker);
    bool all_of_it = host->failures > 0 ||
                     (host->pushed_id != 0 && host->pushed_id != a->rec.id && now - host->pushed_ms < SOON_MS);
    bool first = all_of_it ? host->failures == 0 : a->pace.failures == 0;
    host->pushed_id = a->rec.id;
    host->pushed_ms = now;
    slow_down(all, &a->pace, a->running);
    if (all_of_it)
        slow_down(all, host, host->open);
    if (first)
        log_event(worker_log(all->env->worker), LOG_WARN, "host_pushes_back", log_s("host", old ? "old" : "new"),
                  log_s("account", a->rec.name), log_s("slows", all_of_it ? "host" : "account"),
                  log_n("connections", all_of_it ? host->allowed : a->pace.allowed), log_s("said", said));
    task_wake(&all->task);
}

static void ease(struct pace *p, unsigned most)
{
    p->failures = 0;
    if (p->allowed != 0 && ++p->allowed >= most)
        p->allowed = 0;
}

void pace_eased(struct account *a)
{
    const struct settings *s = a->all->env->settings;
    ease(&a->pace, s->movers_per_account);
    ease(&a->all->old_pace, s->per_host);
    ease(&a->all->new_pace, s->per_host);
}

static void earliest(uint64_t *at, uint64_t until, uint64_t now)
{
    if (until > now && until < *at)
        *at = until;
}

uint64_t pace_next_ms(const struct accounts *all, uint64_t now)
{
    uint64_t at = UINT64_MAX;
    struct list *it;
    earliest(&at, all->old_pace.until_ms, now);
    earliest(&at, all->new_pace.until_ms, now);
    list_for_each(it, &all->queue)
        earliest(&at, container_of(it, struct unit, queued)->account->pace.until_ms, now);
    list_for_each(it, &all->mirrors)
        earliest(&at, container_of(it, struct mirror, queued)->account->pace.until_ms, now);
    list_for_each(it, &all->sweep.ring)
        earliest(&at, container_of(it, struct account, sweeping)->pace.until_ms, now);
    return at;
}

void pace_hold(struct accounts *all, bool old)
{
    (old ? &all->old_pace : &all->new_pace)->open++;
}

void pace_release(struct accounts *all, bool old)
{
    (old ? &all->old_pace : &all->new_pace)->open--;
    task_wake(&all->task);
}
