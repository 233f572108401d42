#include "common/temporary.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What mkstemp and mkdtemp take. */
static bool template_in(const char *otherwise, char out[EM_TEMPORARY_PATH], em_error *err) {
    const char *given = getenv("TMPDIR"), *folder = given && *given ? given : otherwise;
    return snprintf(out, EM_TEMPORARY_PATH, "%s/evalmask-XXXXXX", folder) < EM_TEMPORARY_PATH ||
           em_fail_at(err, EM_MACHINE, folder, 0, -1, "is too long a path for TMPDIR");
}

static bool not_made(const char *path, em_error *err) {
    return em_fail_at(err, EM_MACHINE, path, 0, -1,
                      "cannot be made: %s; TMPDIR names another folder", strerror(errno));
}

int em_temporary_file(const char *otherwise, em_error *err) {
    char path[EM_TEMPORARY_PATH];
    if (!template_in(otherwise, path, err)) return -1;
    int file = mkstemp(path);
    if (file < 0) not_made(path, err);
    else unlink(path);
    return file;
}

bool em_temporary_folder(const char *otherwise, char out[EM_TEMPORARY_PATH], em_error *err) {
    return template_in(otherwise, out, err) && (mkdtemp(out) || not_made(out, err));
}
