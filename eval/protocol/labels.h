/* Label schemes (design §3): which token a position is scored on, and which inputs that needs. */
#ifndef EM_EVAL_LABELS_H
#define EM_EVAL_LABELS_H

#include <stdbool.h>
#include <stdint.h>
#include "common/error.h"
#include "loader/pack.h"

typedef struct em_label_scheme {
    const char *name; /* "unshifted" */
    bool caller_shifts, library_shifts;
    int offset;        /* position i is scored on the token at i + offset */
    const char *words; /* "next token" … */
} em_label_scheme;

const em_label_scheme *em_labels_parse(const char *name,
                                       em_error *err); /* EM_USAGE with the list */
const char *em_labels_list(void);

typedef enum em_window_mode { EM_WINDOW_NEXT, EM_WINDOW_INSIDE } em_window_mode;

/* How a scheme reads one row. */
typedef struct em_reading {
    int32_t inputs;   /* tokens that go through the model; 0: the scheme has no such row */
    int32_t from, to; /* positions [from, to) have a label, at i + offset in the window */
    bool complete;    /* its whole window is there */
} em_reading;

em_reading em_labels_read(const em_label_scheme *s, em_window_mode window, em_pack_mode pack,
                          int32_t row_tokens, const em_row *row);

#endif
