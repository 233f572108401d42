#include "common/notes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"

static bool keep(em_notes *notes, char *text, em_error *err) {
    for (size_t i = 0; i < notes->n; i++)
        if (!strcmp(notes->text[i], text)) {
            free(text);
            return true;
        }
    if (!em_grow(&notes->text, &notes->capacity, notes->n + 1, sizeof *notes->text, "notes", err)) {
        free(text);
        return false;
    }
    notes->text[notes->n++] = text;
    return true;
}

bool em_notes_add(em_notes *notes, em_error *err, const char *format, ...) {
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&text, format, args);
    va_end(args);
    return n < 0 ? em_fail_memory(err, strlen(format), "a note") : keep(notes, text, err);
}

bool em_notes_join(em_notes *notes, const em_notes *from, em_error *err) {
    for (size_t i = 0; i < from->n; i++)
        if (!em_notes_add(notes, err, "%s", from->text[i])) return false;
    return true;
}

void em_notes_print(const em_notes *notes) {
    for (size_t i = 0; i < notes->n; i++) fprintf(stderr, "note: %s\n", notes->text[i]);
}

void em_notes_free(em_notes *notes) {
    for (size_t i = 0; i < notes->n; i++) free(notes->text[i]);
    free(notes->text);
    *notes = (em_notes){0};
}
