/* Label schemes (design §3): which token a position is scored on, and which inputs that needs. */
#ifndef EM_EVAL_LABELS_H
#define EM_EVAL_LABELS_H

#include <stdbool.h>
#include <stdint.h>
#include "common/buffer.h"
#include "common/error.h"
#include "loader/pack.h"

enum { EM_MAX_SCHEMES = 5 }; /* arrays by label scheme are this long */

/* A row of the table in labels.c. */
typedef struct em_label_scheme {
    const char *name;                   /* "unshifted" */
    bool caller_shifts, library_shifts; /* the two switches that people confuse */
    int offset;                         /* position i is scored on the token at i + offset */
    const char *words;                  /* what that token is */
    const char *help;                   /* in brackets behind the name in help; NULL: nothing */
} em_label_scheme;

/* All schemes, [*n]; static. */
const em_label_scheme *em_label_schemes(int *n);
/* By its name; NULL: there is none (EM_USAGE with the list). */
const em_label_scheme *em_labels_parse(const char *name, em_error *err);
/* Appends "unshifted, shifted, …"; ends the program where memory is out. */
void em_labels_list(em_buffer *out);
/* The same with each scheme's help in brackets. */
void em_labels_help(em_buffer *out);

typedef enum em_window_mode { EM_WINDOW_NEXT, EM_WINDOW_INSIDE } em_window_mode;

/* How a scheme reads one row. */
typedef struct em_reading {
    int32_t inputs;   /* tokens that go through the model; 0: the scheme has no such row */
    int32_t from, to; /* positions [from, to) have a label, at i + offset in the window */
    bool complete;    /* its whole window is there */
} em_reading;

/* Which of a row's positions count, of those that have a label: all; those from T/2 on; the last
 * so many. */
typedef enum em_score_kind { EM_SCORE_ALL, EM_SCORE_HALF, EM_SCORE_LAST } em_score_kind;
typedef struct em_score_rule {
    em_score_kind kind;
    int32_t last; /* EM_SCORE_LAST: how many, at least 1 */
} em_score_rule;

/* What all rows of a stream are read by. */
typedef struct em_row_rules {
    em_window_mode window; /* where a scheme whose caller shifts takes labels from */
    em_pack_mode pack;
    int32_t row_tokens; /* T */
    em_score_rule score;
} em_row_rules;

/* How the scheme reads the row. [from, to) is within the row's scored range and leaves out what
 * the row before has scored; it may be empty (from = to). */
em_reading em_labels_read(const em_label_scheme *s, const em_row_rules *rules, const em_row *row);

#endif
