/*
 * Runs a fuzz target once over each of its seeds, so that `make check` needs no fuzzing compiler.
 * The program is called fuzz_NAME and takes the files in $srcdir/tests/fuzz/corpus/NAME, or those
 * it is given. Each seed is also given cut at every byte up to a bound, and in a block of its own
 * size, so that a sanitizer sees a read beyond the end.
 */
#include "config.h"
#include <dirent.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEED_MAX ((size_t)1 << 20)
#define CUTS_MAX ((size_t)2048)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run(const uint8_t *data, size_t n)
{
    uint8_t *copy = malloc(n == 0 ? 1 : n);
    if (copy == NULL)
        abort();
    if (n > 0)
        memcpy(copy, data, n);
    (void)LLVMFuzzerTestOneInput(copy, n);
    free(copy);
}

static int replay(const char *path)
{
    static uint8_t data[SEED_MAX];
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        perror(path);
        return 1;
    }
    size_t n = fread(data, 1, sizeof(data), f);
    int failed = ferror(f);
    fclose(f);
    if (failed)
        return 1;
    for (size_t k = 0; k < n && k < CUTS_MAX; k++)
        run(data, k);
    run(data, n);
    return 0;
}

static int replay_folder(const char *dir)
{
    char path[4096];
    DIR *d = opendir(dir);
    unsigned seeds = 0;
    int r = 0;
    if (d == NULL) {
        perror(dir);
        return 1;
    }
    for (struct dirent *e; r == 0 && (e = readdir(d)) != NULL;) {
        if (e->d_name[0] == '.')
            continue;
        int n = snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
        r = n < 0 || (size_t)n >= sizeof(path) || replay(path) != 0;
        seeds++;
    }
    closedir(d);
    if (seeds == 0)
        fprintf(stderr, "no seeds in %s\n", dir);
    printf("%u seeds\n", seeds);
    return r != 0 || seeds == 0;
}

int main(int argc, char **argv)
{
    int r = 0;
    for (int i = 1; i < argc; i++)
        r |= replay(argv[i]);
    if (argc > 1)
        return r;
    const char *base = strrchr(argv[0], '/');
    const char *name = strstr(base == NULL ? argv[0] : base, "fuzz_");
    const char *srcdir = getenv("srcdir");
    char dir[4096];
    if (name == NULL)
        return 1;
    snprintf(dir, sizeof(dir), "%s/tests/fuzz/corpus/%s", srcdir == NULL ? "." : srcdir, name + 5);
    return replay_folder(dir);
}
