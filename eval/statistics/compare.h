/* Two sides (models, masks, a model and an alpha) on the same predictions: paired differences with
 * a standard error and an interval over the groups of design §4. Memory is flat. */
#ifndef EM_EVAL_COMPARE_H
#define EM_EVAL_COMPARE_H

#include <stdbool.h>
#include <stdint.h>
#include "common/error.h"
#include "reports/results/results.h"
#include "common/state.h"
#include "eval/statistics/paired.h"
#include "eval/statistics/totals.h"

typedef struct em_comparator em_comparator;

typedef struct em_comparator_options {
    em_comparison_kind kind;
    bool groups_are_rows;
    uint64_t seed;   /* of the replicates that the interval of growth needs */
    bool has_common; /* there are several row lengths */
} em_comparator_options;

/* Without rows; the caller frees it. NULL with EM_MACHINE. */
em_comparator *em_comparator_new(const em_comparator_options *o, em_error *err);
/* Frees it; NULL may be freed. */
void em_comparator_free(em_comparator *c);

/* Adds the next row, which may be without predictions; documents and stretches never go back. False
 * with EM_MACHINE where memory is out. */
bool em_comparator_row(em_comparator *c, const em_row_paired *row, em_error *err);

/* Saves c, or restores it into a new one of the same options, between rows. False as em_state says.
 */
bool em_comparator_state(em_comparator *c, em_state *io);

/* Closes what is open and fills the figures of out (not its names). shortest: the same comparison
 * at the shortest row length, finished, or NULL: growth is against it, and NaN where an interrupted
 * run left the two different predictions. out owns its lists, also where this fails: false with
 * EM_MACHINE. Nothing is added afterwards. */
bool em_comparator_finish(em_comparator *c, const em_comparator *shortest, em_comparison *out,
                          const char *(*group_name)(const void *data, int32_t group),
                          const void *data, em_error *err);

#endif
