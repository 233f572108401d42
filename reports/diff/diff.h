/* Two results files side by side: after minus before, paired by document where the sidecars say the
 * sums. */
#ifndef EM_REPORTS_DIFF_H
#define EM_REPORTS_DIFF_H

#include "common/buffer.h"
#include "reports/diff/pairing.h"
#include "reports/pages/page.h"

/* A results file with the name that the report calls it by, and its sidecar's path; NULL: there is
 * none. */
typedef struct em_diff_side {
    const em_results *results;
    const char *name, *documents;
} em_diff_side;

typedef struct em_diff_row {
    em_result_pair pair;
    bool paired; /* by document; else the standard errors are added as those of strangers */
    em_difference figures; /* low, high: NaN where not paired */
} em_diff_row;

typedef struct em_diff {
    em_diff_side before, after; /* the caller's */
    em_pairing pairing;
    em_diff_row *rows; /* owned, [pairing.n_pairs] */
} em_diff;

/* Reads a results file, and finds its sidecar: *documents is owned by the caller, NULL where none
 * lies beside it. out: as of em_results_read, errors too. */
bool em_diff_read(const char *path, em_results *out, char **documents, em_error *err);

/* Reads both sidecars where both are there; memory is flat. Errors: EM_INPUT where a sidecar is
 * broken or not of the run whose results it lies beside, EM_MACHINE. */
bool em_diff_make(em_diff *d, em_diff_side before, em_diff_side after, em_error *err);
/* Frees d's rows and pairing, not the sides. */
void em_diff_free(em_diff *d);

/* False with EM_USAGE, naming what differs and ending with the hint, where a row measured two
 * things, or where there is no row. A dtype of the arithmetic alone is no such difference. */
bool em_diff_comparable(const em_diff *d, const char *hint, em_error *err);

/* Appends the report. verdicts: its gates and notes are shown. Where memory is out the program ends
 * with exit code 4. */
void em_diff_markdown(const em_diff *d, const em_results *verdicts, em_markdown_style style,
                      em_buffer *out);

/* False with EM_USAGE where path ends in none of .md, .json and .html. */
bool em_diff_format(const char *path, em_error *err);
/* Writes path whole or not at all, in the format of its name. Errors: EM_MACHINE where it cannot be
 * written. */
bool em_diff_write(const em_diff *d, const em_results *verdicts, em_markdown_style style,
                   const char *path, em_error *err);

#endif
