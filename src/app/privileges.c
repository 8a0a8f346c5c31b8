/*
 * What the process may do, and who it is.
 *
 * Best is to be started as an ordinary user with the one capability to bind low ports
 * (contrib/wherryd.service); the setting `user` is for where that is not to be had. The listeners
 * are open and the keys read by then.
 */
#include "config.h"
#include "daemon.h"
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

uint64_t privileges_files_needed(const struct settings *s)
{
    return 3ull * s->max_connections + 4ull * s->movers + 64;
}

static void no_dumps(void)
{
    /* LeakSanitizer looks at its process by ptrace, which this would forbid. */
#if !defined(__SANITIZE_ADDRESS__)
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

uint64_t privileges_harden(const struct settings *s)
{
    struct rlimit core = {0, 0}, files;
    uint64_t want = privileges_files_needed(s);
    umask(077);
    (void)setrlimit(RLIMIT_CORE, &core);
    no_dumps();
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return 0;
    if (files.rlim_cur < want) {
        struct rlimit more = {want, files.rlim_max < want ? want : files.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &more) != 0) {
            /* Only root may go beyond the hard limit. */
            files.rlim_cur = files.rlim_max < want ? files.rlim_max : want;
            (void)setrlimit(RLIMIT_NOFILE, &files);
        }
        (void)getrlimit(RLIMIT_NOFILE, &files);
    }
    return files.rlim_cur;
}

static int own_folder(const char *path, const struct passwd *pw, struct err *e)
{
    if (mkdir(path, 0700) != 0) {
        if (errno == EEXIST)
            return 0; /* whose it is the store will find out */
        return err_set(e, E_IO, SCOPE_NONE, "cannot make the folder %s: %s", path, strerror(errno));
    }
    if (chown(path, pw->pw_uid, pw->pw_gid) != 0)
        return err_set(e, E_IO, SCOPE_NONE, "cannot give the folder %s to %s: %s", path,
                       pw->pw_name, strerror(errno));
    return 0;
}

int privileges_drop(const struct settings *s, struct err *e)
{
    if (s->run_as == NULL)
        return 0;
    errno = 0;
    const struct passwd *pw = getpwnam(s->run_as);
    if (pw == NULL)
        return err_set(e, E_INVAL, SCOPE_NONE, "there is no user %s%s%s", s->run_as,
                       errno != 0 ? ": " : "", errno != 0 ? strerror(errno) : "");
    if (pw->pw_uid == getuid() && pw->pw_uid == geteuid())
        return 0;
    if (geteuid() != 0)
        return err_set(e, E_INVAL, SCOPE_NONE, "only root can become %s", s->run_as);
    int rc = own_folder(s->store_path, pw, e);
    if (rc == 0)
        rc = own_folder(s->spool_path, pw, e);
    if (rc != 0)
        return rc;
    if (initgroups(pw->pw_name, pw->pw_gid) != 0 ||
        setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) != 0 ||
        setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) != 0)
        return err_set(e, E_IO, SCOPE_NONE, "cannot become %s: %s", s->run_as, strerror(errno));
    if (pw->pw_uid != 0 && setuid(0) == 0)
        return err_set(e, E_IO, SCOPE_NONE, "could still become root again");
    no_dumps(); /* a change of user sets it back */
    return 0;
}
