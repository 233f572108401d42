#include "eval/passes.h"

#include <stdlib.h>
#include <string.h>

#include "common/size.h"

/* A side's scores: [tokens, schemes], [tokens], and [tokens] where it is paired with the first model. */
typedef struct scored { double *nll; int32_t *argmax; double *kl; size_t nll_capacity, argmax_capacity, kl_capacity; } scored;

struct em_passes {
    const em_plan *plan;
    const em_settings *settings;

    em_fed_row **rows;
    int *pass_of;                   /* [rows, combinations]: index of the pass, -1: none */
    size_t n_rows, rows_capacity, pass_of_capacity;

    int64_t *start;                 /* [passes], into the token arrays */
    int32_t *length;
    size_t n_passes, start_capacity, length_capacity;

    int32_t *ids, *positions, *lo, *hi, *labels;            /* [tokens] (labels: [tokens, schemes]) */
    size_t n_tokens, ids_capacity, positions_capacity, lo_capacity, hi_capacity, labels_capacity;
    scored *sides;                                          /* [plan->n_scored] */
    em_scores *depths;                                      /* [plan->n_scored]: scratch */
    double *alpha_nll;                                      /* [tokens, alphas, schemes] */
    int32_t *alpha_argmax;                                  /* [tokens, alphas] */
    size_t alpha_nll_capacity, alpha_argmax_capacity;
    int64_t padded;
};

em_passes *em_passes_new(const em_plan *plan, em_error *err) {
    em_passes *p = em_alloc(1, sizeof *p, "forward passes", err);
    if (!p) return NULL;
    p->plan = plan;
    p->settings = plan->settings;
    p->sides = em_alloc((size_t)plan->n_scored, sizeof *p->sides, "forward passes", err);
    p->depths = em_alloc((size_t)plan->n_scored, sizeof *p->depths, "forward passes", err);
    if (p->sides && p->depths) return p;
    em_passes_free(p);
    return NULL;
}

void em_passes_clear(em_passes *p) {
    for (size_t i = 0; i < p->n_rows; i++) em_fed_row_free(p->rows[i]);
    p->n_rows = p->n_passes = p->n_tokens = 0;
    p->padded = 0;
}

void em_passes_free(em_passes *p) {
    if (!p) return;
    em_passes_clear(p);
    free(p->rows);
    free(p->pass_of);
    free(p->start);
    free(p->length);
    free(p->ids);
    free(p->positions);
    free(p->lo);
    free(p->hi);
    free(p->labels);
    for (int i = 0; p->sides && i < p->plan->n_scored; i++) {
        free(p->sides[i].nll);
        free(p->sides[i].argmax);
        free(p->sides[i].kl);
    }
    free(p->sides);
    free(p->depths);
    free(p->alpha_nll);
    free(p->alpha_argmax);
    free(p);
}

int64_t em_passes_padded(const em_passes *p) { return p->padded; }
int em_passes_rows(const em_passes *p) { return (int)p->n_rows; }
const em_fed_row *em_passes_row(const em_passes *p, int row) { return p->rows[row]; }

static const char what[] = "forward passes";

static bool reserve_scores(em_passes *p, size_t n, em_error *err) {
    size_t columns = n * (size_t)p->settings->n_labels, alphas = (size_t)p->plan->n_logit_alphas;
    for (int i = 0; i < p->plan->n_scored; i++) {
        scored *s = &p->sides[i];
        if (!em_grow(&s->nll, &s->nll_capacity, columns, sizeof *s->nll, what, err) ||
            !em_grow(&s->argmax, &s->argmax_capacity, n, sizeof *s->argmax, what, err) ||
            (p->plan->kl && i > 0 && !em_grow(&s->kl, &s->kl_capacity, n, sizeof *s->kl, what, err))) return false;
    }
    return em_grow(&p->alpha_nll, &p->alpha_nll_capacity, columns * alphas, sizeof *p->alpha_nll, what, err) &&
           em_grow(&p->alpha_argmax, &p->alpha_argmax_capacity, n * alphas, sizeof *p->alpha_argmax, what, err);
}

static bool reserve_tokens(em_passes *p, size_t more, em_error *err) {
    size_t n = p->n_tokens + more, columns = n * (size_t)p->settings->n_labels;
    return em_grow(&p->ids, &p->ids_capacity, n, sizeof *p->ids, what, err) &&
           em_grow(&p->positions, &p->positions_capacity, n, sizeof *p->positions, what, err) &&
           em_grow(&p->lo, &p->lo_capacity, n, sizeof *p->lo, what, err) &&
           em_grow(&p->hi, &p->hi_capacity, n, sizeof *p->hi, what, err) &&
           em_grow(&p->labels, &p->labels_capacity, columns, sizeof *p->labels, what, err) &&
           em_grow(&p->start, &p->start_capacity, p->n_passes + 1, sizeof *p->start, what, err) &&
           em_grow(&p->length, &p->length_capacity, p->n_passes + 1, sizeof *p->length, what, err) && reserve_scores(p, n, err);
}

/* The pass whose intervals and positions were just written behind the last one: an earlier one
 * of this row that is the same, or a new one. */
static int settle_pass(em_passes *p, size_t first_pass, int32_t inputs, const em_row *row) {
    size_t at = p->n_tokens, bytes = (size_t)inputs * sizeof *p->lo;
    for (size_t i = first_pass; i < p->n_passes; i++) {
        size_t old = (size_t)p->start[i];
        if (p->length[i] == inputs && !memcmp(p->lo + old, p->lo + at, bytes) && !memcmp(p->hi + old, p->hi + at, bytes) &&
            !memcmp(p->positions + old, p->positions + at, bytes))
            return (int)i;
    }
    memcpy(p->ids + at, row->ids, bytes);
    size_t columns = (size_t)p->settings->n_labels;
    for (size_t i = 0; i < (size_t)inputs * columns; i++) p->labels[at * columns + i] = -1;
    p->start[p->n_passes] = (int64_t)at;
    p->length[p->n_passes] = inputs;
    p->n_tokens += (size_t)inputs;
    p->padded += em_network_padded(inputs);
    return (int)p->n_passes++;
}

static void fill_labels(em_passes *p, int pass, int scheme, const em_fed_row *f) {
    const em_row *row = f->row;
    int offset = p->settings->labels[scheme]->offset, columns = p->settings->n_labels;
    bool drop = p->settings->boundary == EM_BOUNDARY_DROP;
    int32_t *labels = p->labels + (size_t)p->start[pass] * (size_t)columns;
    for (int32_t i = f->reading[scheme].from; i < f->reading[scheme].to; i++) {
        if (drop && em_row_segment(row, i) != em_row_segment(row, i + offset)) continue;
        labels[(size_t)i * (size_t)columns + (size_t)scheme] = row->ids[i + offset];
    }
}

bool em_passes_add(em_passes *p, em_fed_row *f, em_error *err) {
    const em_settings *s = p->settings;
    size_t cells = (p->n_rows + 1) * (size_t)p->plan->n_combinations, first_pass = p->n_passes;
    if (!em_grow(&p->rows, &p->rows_capacity, p->n_rows + 1, sizeof *p->rows, "rows", err) ||
        !em_grow(&p->pass_of, &p->pass_of_capacity, cells, sizeof *p->pass_of, "rows", err)) {
        em_fed_row_free(f);
        return false;
    }
    int *pass_of = p->pass_of + p->n_rows * (size_t)p->plan->n_combinations;
    p->rows[p->n_rows++] = f;
    for (int c = 0; c < p->plan->n_combinations; c++) {
        em_combination k = p->plan->combinations[c];
        int32_t inputs = f->reading[k.labels].inputs;
        pass_of[c] = -1;
        if (inputs < 1 || f->dropped[k.labels] || f->reading[k.labels].from >= f->reading[k.labels].to) continue;
        if (!reserve_tokens(p, (size_t)inputs, err)) return false;
        em_mask_intervals(&s->masks[k.mask], f->row, inputs, p->lo + p->n_tokens, p->hi + p->n_tokens);
        em_positions_fill(em_positions_resolve(s->positions[k.positions], &s->masks[k.mask]), f->row, inputs,
                          p->positions + p->n_tokens);
        pass_of[c] = settle_pass(p, first_pass, inputs, f->row);
        fill_labels(p, pass_of[c], k.labels, f);
    }
    return true;
}

static em_scores scores_of(const em_passes *p, int side) {
    return (em_scores){.nll = p->sides[side].nll, .argmax = p->sides[side].argmax};
}

/* The first model with each of the others; alphas belong to the one pair that there then is. */
static bool run_pairs(em_passes *p, em_network *const *networks, const em_row_batch *batch, const em_score_request *labels, em_error *err) {
    em_pair_request request = {.labels = *labels, .n_alphas = p->plan->n_logit_alphas, .alphas = p->settings->alphas.values};
    for (int i = 0; i < p->plan->n_models; i++)
        if (!em_network_forward(networks[i], batch, err)) return false;
    for (int i = 1; i < p->plan->n_models; i++) {
        em_pair_scores scores = {.before = scores_of(p, 0), .after = scores_of(p, i), .alpha_nll = p->alpha_nll,
                                 .alpha_argmax = p->alpha_argmax, .kl = p->sides[i].kl};
        if (!em_network_head_pair(networks[0], networks[i], batch, &request, &scores, err)) return false;
    }
    return true;
}

static bool run_batch(em_passes *p, em_network *const *networks, size_t first, size_t n, em_error *err) {
    em_row_batch batch = {.n_rows = (int)n, .start = p->start + first, .length = p->length + first, .ids = p->ids,
                          .positions = p->positions, .lo = p->lo, .hi = p->hi};
    em_score_request request = {.n_labels = p->settings->n_labels, .labels = p->labels};
    if (p->plan->kl) return run_pairs(p, networks, &batch, &request, err);
    for (int i = 0; i < p->plan->n_scored; i++) p->depths[i] = scores_of(p, i);
    for (int i = 0; i < p->plan->n_models; i++) {
        const em_model_facts *m = &p->plan->models[i];
        if (!em_network_score_depths(networks[i], &batch, &request, m->depths, m->n_scored, p->depths + m->first_scored, err)) return false;
    }
    return true;
}

bool em_passes_run(em_passes *p, em_network *const *networks, em_error *err) {
    int64_t capacity = em_network_capacity(networks[0]);
    for (int i = 1; i < p->plan->n_models; i++)
        if (em_network_capacity(networks[i]) < capacity) capacity = em_network_capacity(networks[i]);
    for (size_t first = 0, n; first < p->n_passes; first += n) {
        int64_t tokens = em_network_padded(p->length[first]);
        for (n = 1; first + n < p->n_passes; n++) {
            int64_t more = em_network_padded(p->length[first + n]);
            if (tokens + more > capacity) break;
            tokens += more;
        }
        if (!run_batch(p, networks, first, n, err)) return false;
    }
    return true;
}

static int pass_of(const em_passes *p, int row, int combination) {
    return p->pass_of[(size_t)row * (size_t)p->plan->n_combinations + (size_t)combination];
}

em_pass_view em_passes_view(const em_passes *p, int row, int combination) {
    int pass = pass_of(p, row, combination);
    if (pass < 0) return (em_pass_view){0};
    size_t at = (size_t)p->start[pass];
    return (em_pass_view){.inputs = p->length[pass], .lo = p->lo + at, .hi = p->hi + at, .positions = p->positions + at};
}

bool em_passes_same(const em_passes *p, int row, int a, int b) {
    return pass_of(p, row, a) == pass_of(p, row, b);
}

em_side_view em_passes_side(const em_passes *p, int row, em_cell cell) {
    size_t at = (size_t)p->start[pass_of(p, row, cell.combination)], schemes = (size_t)p->settings->n_labels;
    size_t scheme = (size_t)p->plan->combinations[cell.combination].labels;
    const em_side *side = &p->plan->sides[cell.side];
    if (side->scored >= 0) {
        const scored *s = &p->sides[side->scored];
        return (em_side_view){.nll = s->nll + at * schemes + scheme, .argmax = s->argmax + at, .kl = s->kl ? s->kl + at : NULL,
                              .stride = (int)schemes, .argmax_stride = 1};
    }
    size_t alphas = (size_t)p->plan->n_logit_alphas, a = (size_t)side->alpha;
    return (em_side_view){.nll = p->alpha_nll + (at * alphas + a) * schemes + scheme, .argmax = p->alpha_argmax + at * alphas + a,
                          .stride = (int)(alphas * schemes), .argmax_stride = (int)alphas};
}
