/*
 * wherryd: the command line. wherryd(8) describes it; tests/man.sh holds the two together.
 */
#include "config.h"
#include "daemon.h"
#include <getopt.h>
#include <stdio.h>

static const char usage[] =
    "usage: wherryd [-c FILE] [--accept-changed-hosts]\n"
    "       wherryd -t [-c FILE]\n"
    "  -c, --config FILE        the configuration (default " SYSCONFDIR "/wherry/wherryd.conf)\n"
    "  -t, --test               check the configuration and end\n"
    "      --accept-changed-hosts\n"
    "                           run although the store belongs to another pair of hosts\n"
    "  -h, --help               this text\n"
    "  -V, --version            the version\n";

int main(int argc, char **argv)
{
    static const struct option longs[] = {{"config", required_argument, NULL, 'c'},
                                          {"test", no_argument, NULL, 't'},
                                          {"accept-changed-hosts", no_argument, NULL, 'a'},
                                          {"help", no_argument, NULL, 'h'},
                                          {"version", no_argument, NULL, 'V'},
                                          {NULL, 0, NULL, 0}};
    struct daemon_options o = {.file = SYSCONFDIR "/wherry/wherryd.conf"};
    bool test = false;
    int c;
    while ((c = getopt_long(argc, argv, "c:thV", longs, NULL)) != -1) {
        switch (c) {
        case 'c':
            o.file = optarg;
            break;
        case 't':
            test = true;
            break;
        case 'a':
            o.accept_changed_hosts = true;
            break;
        case 'h':
            fputs(usage, stdout);
            return 0;
        case 'V':
            puts("wherryd " PACKAGE_VERSION);
            return 0;
        default:
            fputs(usage, stderr);
            return 2;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "wherryd: unexpected argument: %s\n%s", argv[optind], usage);
        return 2;
    }
    return test ? daemon_check(o.file) : daemon_main(&o);
}
