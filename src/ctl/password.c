/* A person's password, of whom the store has none: typed without being shown, or the first line of standard input. */
#include "config.h"
#include "ctl.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

enum { PASSWORD_MAX = 1024 };

/* Byte by byte, so that nothing of it stays in a buffer of the C library. */
static int read_line(char *line, size_t most)
{
    size_t n = 0;
    char c;
    ssize_t r;
    while ((r = read(STDIN_FILENO, &c, 1)) == 1 && c != '\n') {
        if (n + 1 == most)
            return E_LIMIT;
        line[n++] = c;
    }
    if (n > 0 && line[n - 1] == '\r')
        n--;
    line[n] = '\0';
    return r < 0 ? E_IO : n == 0 ? E_NOTFOUND : 0;
}

int ctl_read_password(const char *name, struct secret *out, struct err *e)
{
    struct termios was, quiet;
    char line[PASSWORD_MAX + 2];
    bool terminal = tcgetattr(STDIN_FILENO, &was) == 0;
    if (terminal) {
        quiet = was;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        fprintf(stderr, "Password of %s: ", name);
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    }
    int rc = read_line(line, sizeof(line));
    if (terminal) {
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &was);
        fputc('\n', stderr);
    }
    if (rc == 0)
        secret_set(out, slice_str(line));
    explicit_bzero(line, sizeof(line));
    if (rc != 0)
        err_set(e, rc, SCOPE_ACCOUNT, "no password on standard input (the person's; the store has none)");
    return rc;
}
