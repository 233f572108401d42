/* The folders of records: valid/NAME.json with NAME.text (and NAME.group where there is one),
 * invalid/NAME.json with NAME.error, the line that a user sees. */
#ifndef EM_TESTS_LOADER_SUITE_H
#define EM_TESTS_LOADER_SUITE_H

#include <stdbool.h>
#include <stddef.h>
#include "common/buffer.h"

/* The file tests/loader/FOLDER/NAME.SUFFIX; empty where there is none. */
em_buffer suite_file(const char *folder, const char *name, const char *suffix);
/* Calls check for every NAME.json of the folder (its final newline removed); returns how many. */
int suite_each(const char *folder, void (*check)(const char *name, const em_buffer *record));

#endif
