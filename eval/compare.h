/* Two sides (models, masks, a model and an alpha) on the same predictions: paired differences with a
 * standard error and a seeded bootstrap interval over the groups of design §4. Memory is flat. */
#ifndef EM_EVAL_COMPARE_H
#define EM_EVAL_COMPARE_H

#include <stdbool.h>
#include <stdint.h>
#include "common/error.h"
#include "common/result.h"
#include "common/state.h"
#include "eval/affected.h"

typedef struct em_comparator em_comparator;

typedef struct em_comparator_options {
    em_comparison_kind kind;
    bool groups_are_rows;
    uint64_t seed;              /* of the bootstrap */
    int64_t stretch;            /* several row lengths: tokens in a group of common predictions; 0: one length */
} em_comparator_options;

typedef struct em_paired {
    double before, after;           /* nats */
    bool same_top1;                 /* both sides' largest logit has the same id */
    bool has_kl;
    double kl;                      /* KL(after || before) at this position, nats */
    bool boundary;
    bool common;                    /* scored at every row length */
    em_effect effect;               /* EM_COMPARE_MASKS */
    int32_t group;                  /* of the label's document, the document and the place in it */
    int64_t document, place;
    int64_t stream;                 /* stream index of the label */
} em_paired;

em_comparator *em_comparator_new(const em_comparator_options *o, em_error *err);
void em_comparator_free(em_comparator *c);

/* As em_statistics_add and em_statistics_end_row: predictions left to right, rows in order. */
bool em_comparator_add(em_comparator *c, const em_paired *p, em_error *err);
void em_comparator_end_row(em_comparator *c);

/* As em_statistics_state. */
bool em_comparator_state(em_comparator *c, em_state *io);

/* Closes what is open and fills the figures of out (not its names). shortest: the same comparison at the
 * shortest row length, finished, or NULL: growth is against it, and NaN where an interrupted run
 * left the two different predictions. */
bool em_comparator_finish(em_comparator *c, const em_comparator *shortest, em_comparison *out,
                          const char *(*group_name)(const void *data, int32_t group), const void *data, em_error *err);

#endif
