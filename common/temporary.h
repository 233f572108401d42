/* Scratch files and folders: in $TMPDIR, or else in the folder given. Errors: EM_MACHINE. */
#ifndef EM_COMMON_TEMPORARY_H
#define EM_COMMON_TEMPORARY_H

#include <stdbool.h>
#include "common/error.h"

/* An open file without a name, gone when it is closed; -1 with err. */
int em_temporary_file(const char *otherwise, em_error *err);

enum { EM_TEMPORARY_PATH = 4096 };
/* A new folder, the caller's to remove; its path in out. */
bool em_temporary_folder(const char *otherwise, char out[EM_TEMPORARY_PATH], em_error *err);

#endif
