/* What a user must be told about their files and options beside the figures: one sentence each,
 * without a full stop, in the order in which it was found. */
#ifndef EM_COMMON_NOTES_H
#define EM_COMMON_NOTES_H

#include <stddef.h>

#include "common/error.h"

typedef struct em_notes {
    char **text; /* [n], owned */
    size_t n, capacity;
} em_notes;

/* Adds a note; one that is there already is not added again. Errors: EM_MACHINE. */
bool em_notes_add(em_notes *notes, em_error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Adds copies of all of `from`. Errors: EM_MACHINE. */
bool em_notes_join(em_notes *notes, const em_notes *from, em_error *err);
/* "note: …" on stderr, a line each. */
void em_notes_print(const em_notes *notes);
void em_notes_free(em_notes *notes); /* frees and zeroes; em_notes n = {0} is empty and ready */

#endif
