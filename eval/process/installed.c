#include "eval/process/installed.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *em_installed_file(const char *name, char *out, size_t n) {
    char program[2048];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    program[length > 0 ? length : 0] = 0;
    char *slash = strrchr(program, '/');
    if (slash) {
        *slash = 0;
        snprintf(out, n, "%s/../share/evalmask/%s", program, name);
        if (access(out, R_OK) == 0) return out;
    }
    static const char *const folders[] = {EM_SOURCE_ROOT "/data", EM_SOURCE_ROOT};
    for (int i = 0; i < 2; i++) {
        snprintf(out, n, "%s/%s", folders[i], name);
        if (access(out, R_OK) == 0) return out;
    }
    return NULL;
}
