#include "eval/score/plan.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/size.h"

/* ---- models and their depths ---- */

static bool take_windows(em_model_facts *m, const em_model *model, em_error *err) {
    m->layers = em_model_spec_of(model)->layers;
    m->learned_positions = em_model_spec_of(model)->learned_positions;
    m->windows = em_alloc((size_t)m->layers, sizeof *m->windows, "layer windows", err);
    for (int l = 0; m->windows && l < m->layers; l++)
        m->windows[l] = em_model_layer_spec(model, l)->window;
    return m->windows != NULL;
}

static int whole_number(const void *a, const void *b) {
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

/* The list, together with 1 … layers where all were asked for; without both, all layers. Ascending,
 * each once. */
static bool take_depths(em_model_facts *m, const em_model_settings *s, const char *name,
                        em_error *err) {
    int n = 0, all = s->all_depths ? m->layers : 0;
    m->depths = em_alloc((size_t)(s->n_depths + all + 1), sizeof *m->depths, "depths", err);
    if (!m->depths) return false;
    for (int i = 0; i < s->n_depths; i++) m->depths[n++] = s->depths[i];
    for (int l = 1; l <= all; l++) m->depths[n++] = l;
    if (n == 0) m->depths[n++] = m->layers;
    qsort(m->depths, (size_t)n, sizeof *m->depths, whole_number);
    for (int i = 0; i < n; i++)
        if (i == 0 || m->depths[i] != m->depths[i - 1]) m->depths[m->n_scored++] = m->depths[i];
    if (m->depths[m->n_scored - 1] > m->layers)
        return em_fail(err, EM_USAGE, "--depth %d: %s has %d layers", m->depths[m->n_scored - 1],
                       name, m->layers);
    return true;
}

static bool take_models(em_plan *p, const em_model_settings *models, const em_setup *setup,
                        em_error *err) {
    p->n_models = setup->n_models;
    for (int i = 0; i < p->n_models; i++) {
        em_model_facts *m = &p->models[i];
        if (!take_windows(m, setup->models[i], err) ||
            !take_depths(m, models, setup->names[i], err))
            return false;
        m->first_scored = p->n_scored;
        p->n_scored += m->n_scored;
        if (i < setup->n_named) p->n_plain = p->n_scored;
    }
    return true;
}

static int smallest_vocabulary(const em_setup *s, bool *same) {
    int least = em_model_spec_of(s->model)->vocab;
    *same = true;
    for (int i = 1; i < s->n_models; i++) {
        int vocab = em_model_spec_of(s->models[i])->vocab;
        *same = *same && vocab == em_model_spec_of(s->model)->vocab;
        if (vocab < least) least = vocab;
    }
    return least;
}

/* ---- sides, combinations, pairs ---- */

/* An alpha's side: of the pair's logits, or of the model whose weights lie there. */
static em_side alpha_side(const em_plan *p, const em_setup *setup, int alpha) {
    if (p->n_logit_alphas) return (em_side){1, EM_NO_DEPTH, alpha, -1};
    int model = setup->amplified[alpha];
    return (em_side){model, EM_NO_DEPTH, alpha, p->models[model].first_scored};
}

static bool list_sides(em_plan *p, const em_setup *setup, em_error *err) {
    int alphas = p->alphas->n, n = 0;
    p->n_logit_alphas = p->alpha_space == EM_ALPHA_LOGIT ? alphas : 0;
    p->n_sides = p->n_plain + alphas;
    p->sides = em_alloc((size_t)p->n_sides, sizeof *p->sides, "results", err);
    if (!p->sides) return false;
    for (int i = 0; i < setup->n_named; i++)
        for (int d = 0; d < p->models[i].n_scored; d++, n++)
            p->sides[n] = (em_side){i, p->depths ? p->models[i].depths[d] : EM_NO_DEPTH, -1, n};
    for (int a = 0; a < alphas; a++) p->sides[n++] = alpha_side(p, setup, a);
    return true;
}

static bool list_combinations(em_plan *p, em_error *err) {
    const em_protocol_settings *s = p->protocol;
    int n = 0;
    p->combinations = em_alloc((size_t)(s->n_masks * s->n_labels * s->n_positions),
                               sizeof *p->combinations, "results", err);
    if (!p->combinations) return false;
    for (int m = 0; m < s->n_masks; m++)
        for (int l = 0; l < s->n_labels; l++)
            for (int q = 0; q < s->n_positions && em_protocol_combine(s, m, l); q++)
                p->combinations[n++] = (em_combination){m, l, q};
    p->n_combinations = n;
    return true;
}

/* All figures are in memory until the end, and a stream's comparisons with their intervals, some 85
 * KiB each. */
enum { MAX_RESULTS = 100000, MAX_STREAM_PAIRS = 16384 };

/* each: of one stream, that is a data set, packing and row length. */
static bool check_number(const em_setup *setup, const char *what, int64_t each, int64_t most_each,
                         em_error *err) {
    int64_t streams = (int64_t)setup->n_datasets * setup->n_row_lengths;
    if (each <= most_each && each * streams <= MAX_RESULTS) return true;
    return em_fail(err, EM_USAGE,
                   "%" PRId64 " %s for each of %" PRId64
                   " data sets, packings and row lengths: at most %" PRId64 " for one, %d "
                   "in all; shorten a list (--mask, --labels, --alpha, --depth, -T) and run again",
                   each, what, streams, most_each, MAX_RESULTS);
}

/* All pairs of models, depth by depth, and every alpha against the first model. Repeated trainings
 * are compared by their spread, not pairwise. */
static bool worth_a_pair(const em_plan *p, const em_setup *setup, const em_side *a,
                         const em_side *b) {
    if (b->alpha >= 0) return a->model == 0 && a->alpha < 0;
    return a->alpha < 0 && a->model < b->model && a->depth == b->depth &&
           !*setup->groups[a->model] && !*setup->groups[b->model];
}

static void add_pair(em_plan *p, em_comparison_kind kind, em_cell before, em_cell after) {
    if (p->pairs) p->pairs[p->n_pairs] = (em_planned_pair){kind, before, after};
    p->n_pairs++;
}

static void pair_models(em_plan *p, const em_setup *setup) {
    for (int c = 0; c < p->n_combinations; c++)
        for (int a = 0; a < p->n_sides; a++)
            for (int b = a + 1; b < p->n_sides; b++)
                if (worth_a_pair(p, setup, &p->sides[a], &p->sides[b]))
                    add_pair(p, EM_COMPARE_MODELS, (em_cell){c, a}, (em_cell){c, b});
}

/* Each mask and kind of positions against the first of its label scheme, side by side. */
static void pair_masks(em_plan *p) {
    for (int c = 0; c < p->n_combinations; c++) {
        int first = 0;
        while (p->combinations[first].labels != p->combinations[c].labels) first++;
        for (int side = 0; first < c && side < p->n_sides; side++)
            add_pair(p, EM_COMPARE_MASKS, (em_cell){first, side}, (em_cell){c, side});
    }
}

static void add_pairs(em_plan *p, const em_setup *setup) {
    p->n_pairs = 0;
    pair_models(p, setup);
    pair_masks(p);
}

static bool list_pairs(em_plan *p, const em_setup *setup, em_error *err) {
    add_pairs(p, setup); /* counts them */
    if (!check_number(setup, "comparisons", p->n_pairs, MAX_STREAM_PAIRS, err)) return false;
    if (!(p->pairs = em_alloc((size_t)p->n_pairs, sizeof *p->pairs, "comparisons", err)))
        return false;
    add_pairs(p, setup);
    return true;
}

bool em_plan_make(em_plan *p, const em_model_settings *models, const em_protocol_settings *protocol,
                  const em_setup *setup, em_error *err) {
    bool same;
    if (models->common_vocab && setup->n_models < 2)
        return em_fail(
            err, EM_USAGE,
            "--common-vocab wants --compare PATH: ids that one model has are all its own");
    *p = (em_plan){.protocol = protocol,
                   .alphas = &models->alphas,
                   .alpha_space = models->alpha_space,
                   .depths = models->all_depths || models->n_depths > 0};
    int least = smallest_vocabulary(setup, &same);
    p->vocab = models->common_vocab ? least : 0;
    p->kl = setup->n_models > 1 && !p->depths && (same || models->common_vocab);
    if (take_models(p, models, setup, err) && list_sides(p, setup, err) &&
        list_combinations(p, err) &&
        check_number(setup, "results", em_plan_cells(p), MAX_RESULTS, err) &&
        list_pairs(p, setup, err))
        return true;
    em_plan_free(p);
    return false;
}

void em_plan_free(em_plan *p) {
    for (int i = 0; i < EM_MAX_MODELS; i++) {
        free(p->models[i].windows);
        free(p->models[i].depths);
    }
    free(p->sides);
    free(p->combinations);
    free(p->pairs);
    *p = (em_plan){0};
}
