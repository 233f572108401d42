/* What a run scores and compares: sides (models, their depths, alphas) under combinations of mask,
 * label scheme and positions, and the pairs whose difference is of interest. */
#ifndef EM_EVAL_PLAN_H
#define EM_EVAL_PLAN_H

#include "eval/setup/setup.h"

/* Without alphas: a model, whole or cut after `depth` layers. An alpha's model is the one
 * amplified, or under
 * --alpha-space weight its own. */
typedef struct em_side {
    int model;
    int depth;  /* layers kept, or EM_NO_DEPTH */
    int alpha;  /* index into the settings' alphas, or -1 */
    int scored; /* which of the networks' scores are its figures; -1: an alpha's of the pair's
                   logits */
} em_side;

typedef struct em_combination {
    int mask, labels, positions;
} em_combination; /* indices into the settings' lists */

typedef struct em_cell {
    int combination, side;
} em_cell;

typedef struct em_planned_pair {
    em_comparison_kind kind;
    em_cell before, after;
} em_planned_pair;

/* What the network of a model lets a position see and feel. */
typedef struct em_model_facts {
    int layers;
    int32_t *windows; /* [layers]: each layer's own window, 0: none; owned */
    bool learned_positions;
    int first_scored, n_scored; /* its own scores; depths ascending */
    int *depths;                /* [n_scored]: layers kept; owned */
} em_model_facts;

typedef struct em_plan {
    const em_protocol_settings *protocol;
    const em_alphas *alphas;
    em_alpha_space alpha_space;
    em_model_facts models[EM_MAX_MODELS];
    int n_models;
    em_side *sides; /* [n_sides]; the first n_plain are without alphas; owned */
    int n_sides, n_plain;
    int n_scored;       /* of all models, each at each of its depths */
    int n_logit_alphas; /* that the pair's two heads give together */
    bool tokens;        /* lines for --tokens are made, too; set by the caller */
    bool depths;        /* --depth was given */
    bool kl;            /* the first model is scored together with each of the others */
    int vocab;          /* of every softmax under --common-vocab; 0: each model's own */
    em_combination *combinations;
    int n_combinations;
    em_planned_pair *pairs;
    int n_pairs;
} em_plan;

/* From what was asked for and what was opened, which outlive it; into *p, which em_plan_free frees.
 * False: EM_USAGE (a depth that a model has not, too many results), or EM_MACHINE; *p is then
 * empty. */
bool em_plan_make(em_plan *p, const em_model_settings *models, const em_protocol_settings *protocol,
                  const em_setup *setup, em_error *err);
void em_plan_free(em_plan *p); /* what it holds; p itself is the caller's */

/* Of results and comparisons of one data set at one row length: [combinations, sides]. */
static inline int em_plan_cell(const em_plan *p, em_cell c) {
    return c.combination * p->n_sides + c.side;
}
/* Results of a data set at one row length: combinations by sides. */
static inline int em_plan_cells(const em_plan *p) { return p->n_combinations * p->n_sides; }

/* Layers that the side runs through. */
static inline int em_side_layers(const em_plan *p, const em_side *s) {
    return s->depth == EM_NO_DEPTH ? p->models[s->model].layers : s->depth;
}

#endif
