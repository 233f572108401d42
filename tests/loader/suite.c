#include "suite.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

em_buffer suite_file(const char *folder, const char *name, const char *suffix) {
    char path[4096], chunk[4096];
    em_buffer b = {0};
    size_t n;
    snprintf(path, sizeof path, "%s/loader/%s/%s.%s", EM_TEST_DATA, folder, name, suffix);
    em_buffer_puts(&b, "");
    FILE *f = fopen(path, "rb");
    while (f && (n = fread(chunk, 1, sizeof chunk, f)))
        if (!em_buffer_append(&b, chunk, n, NULL)) abort();
    if (f) fclose(f);
    return b;
}

int suite_each(const char *folder, void (*check)(const char *name, const em_buffer *record)) {
    char path[4096];
    int n = 0;
    snprintf(path, sizeof path, "%s/loader/%s", EM_TEST_DATA, folder);
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));) {
        char *dot = strrchr(e->d_name, '.');
        if (!dot || strcmp(dot, ".json")) continue;
        *dot = 0;
        em_buffer record = suite_file(folder, e->d_name, "json");
        if (record.length && record.data[record.length - 1] == '\n')
            record.data[--record.length] = 0;
        check(e->d_name, &record);
        em_buffer_free(&record);
        n++;
    }
    if (d) closedir(d);
    return n;
}
