/* The head and the loss: a tile's logits exist one slice of the vocabulary at a time, and leave
 * behind a running maximum and a sum of exponentials per token. Two models that run as a pair have
 * their slices at the same time, and every alpha its own maximum and sum. */
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#define XXH_STATIC_LINKING_ONLY /* the size of XXH3_state_t */
#include <xxhash.h>

#include "kernels/cpu/cpu.h"

/* ---- labels ---- */

typedef struct labelled_tile {
    em_tile tile;
    const em_score_request *request;
    bool scored[EM_TILE]; /* has any label */
} labelled_tile;

static bool any_label(const em_score_request *r, int64_t token) {
    for (int j = 0; j < r->n_labels; j++)
        if (r->labels[token * r->n_labels + j] >= 0) return true;
    return false;
}

/* false: the tile has no label at all. */
static bool find_labels(labelled_tile *t, const em_tile *tile, const em_score_request *r) {
    bool any = false;
    t->tile = *tile;
    t->request = r;
    for (int i = 0; i < tile->count; i++) any |= t->scored[i] = any_label(r, tile->token + i);
    return any;
}

static const int32_t *labels_of(const labelled_tile *t, int i) {
    return t->request->labels + (t->tile.token + i) * t->request->n_labels;
}

/* ---- log-sums of a tile, of one model or one alpha ---- */

/* The batch's token t has its figures at nll + t * nll_step and argmax + t * argmax_step. Until
 * sums_finish, nll holds the label's logit. */
typedef struct tile_sums {
    em_token_sum *tokens; /* [EM_TILE] */
    double *nll;
    int32_t *argmax;
    int nll_step, argmax_step;
} tile_sums;

static double *nll_of(const tile_sums *sums, const labelled_tile *t, int i) {
    return sums->nll + (t->tile.token + i) * sums->nll_step;
}

/* A label that no slice claims would leave NaN. */
static void sums_start(const tile_sums *sums, const labelled_tile *t) {
    for (int i = 0; i < t->tile.count; i++) {
        const int32_t *labels = labels_of(t, i);
        sums->tokens[i] = (em_token_sum){.sum = 0, .max = -INFINITY, .argmax = 0};
        for (int j = 0; j < t->request->n_labels; j++)
            if (labels[j] >= 0) nll_of(sums, t, i)[j] = NAN;
    }
}

static int32_t first_equal(const float *x, int n, float value) {
    int i = 0;
    while (i < n && x[i] != value) i++;
    return i;
}

/* logits: [n] of the ids from first on */
static void token_add(const em_cpu *cpu, em_token_sum *t, const float *logits, int first, int n) {
    float max;
    double sum;
    cpu->kernels->soft_sum(logits, n, &max, &sum);
    if (max > t->max) {
        t->sum = t->sum * exp((double)t->max - (double)max) + sum;
        t->argmax = first + first_equal(logits, n, max);
        t->max = max;
    } else {
        t->sum += sum * exp((double)max - (double)t->max);
    }
}

static void keep_label_logits(const tile_sums *sums, const labelled_tile *t, int i,
                              const float *logits, int first, int n) {
    const int32_t *labels = labels_of(t, i);
    for (int j = 0; j < t->request->n_labels; j++)
        if (labels[j] >= first && labels[j] < first + n)
            nll_of(sums, t, i)[j] = logits[labels[j] - first];
}

static double log_sum(const em_token_sum *t) { return log(t->sum) + t->max; }

static void sums_finish(const tile_sums *sums, const labelled_tile *t) {
    for (int i = 0; i < t->tile.count; i++) {
        if (!t->scored[i]) continue;
        const int32_t *labels = labels_of(t, i);
        double *nll = nll_of(sums, t, i), total = log_sum(&sums->tokens[i]);
        for (int j = 0; j < t->request->n_labels; j++)
            if (labels[j] >= 0) nll[j] = total - nll[j];
        sums->argmax[(t->tile.token + i) * sums->argmax_step] = sums->tokens[i].argmax;
    }
}

/* ---- a model ---- */

typedef struct side {
    const em_head *head;
    const em_activations *x;
    XXH3_state_t *digests; /* [EM_TILE] or NULL: not asked for */
    uint64_t *digest;      /* where they go */
    const void *input;     /* the tile's normed tokens, as the products take them */
    em_token_sum tokens[EM_TILE];
    tile_sums sums; /* over tokens */
} side;

/* digests: the side's part of the thread's scratch */
static void side_open(side *m, const em_head *h, const em_activations *x, const em_score_request *r,
                      XXH3_state_t *digests, const em_scores *out) {
    m->head = h;
    m->x = x;
    m->digests = r->digest && out->digest ? digests : NULL;
    m->digest = out->digest;
    m->sums = (tile_sums){m->tokens, out->nll, out->argmax, .nll_step = r->n_labels,
                          .argmax_step = 1};
}

/* input: memory for the tile's normed tokens */
static void side_start(em_cpu *cpu, int thread, side *m, const labelled_tile *t, int64_t tile,
                       void *input) {
    int hidden = m->head->spec.hidden;
    sums_start(&m->sums, t);
    for (int i = 0; m->digests && i < t->tile.count; i++) XXH3_64bits_reset(&m->digests[i]);
    em_normed_input_to(cpu, thread, &m->head->norm, m->x->x + tile * EM_TILE * hidden, 1, hidden,
                       input);
    m->input = input;
}

/* logits: [n] of the ids from first on; capped here */
static void side_add(const em_cpu *cpu, side *m, const labelled_tile *t, int i, float *logits,
                     int first, int n) {
    if (m->head->spec.softcap > 0) cpu->kernels->soft_cap(logits, n, m->head->spec.softcap);
    if (m->digests) XXH3_64bits_update(&m->digests[i], logits, (size_t)n * sizeof *logits);
    token_add(cpu, &m->tokens[i], logits, first, n);
    keep_label_logits(&m->sums, t, i, logits, first, n);
}

static void side_finish(side *m, const labelled_tile *t) {
    sums_finish(&m->sums, t);
    for (int i = 0; m->digests && i < t->tile.count; i++)
        if (t->scored[i]) m->digest[t->tile.token + i] = XXH3_64bits_digest(&m->digests[i]);
}

/* A tile of a group and what its logits leave behind. */
typedef struct scored_tile {
    labelled_tile tile;
    side side;
} scored_tile;

static XXH3_state_t *digests_of(const em_cpu *cpu, int thread) {
    return cpu->threads[thread].scratch[EM_SCRATCH_DIGEST];
}

/* Those of the tiles that have labels; their number. */
static int start_group(em_cpu *cpu, int thread, scored_tile *group, const em_score_request *r,
                       int64_t first, int tiles) {
    const em_activations *x = group->side.x;
    size_t bytes = em_product_bytes(cpu, (int64_t)EM_TILE * group->side.head->spec.hidden);
    char *inputs = cpu->threads[thread].scratch[EM_SCRATCH_INPUT];
    int n = 0;
    for (int64_t t = first; t < first + tiles; t++) {
        if (!find_labels(&group[n].tile, &x->tiles[t], r)) continue;
        side_start(cpu, thread, &group[n].side, &group[n].tile, t, inputs + (size_t)n * bytes);
        n++;
    }
    return n;
}

/* Slice s of one tile. */
static void score_slice(em_cpu *cpu, int thread, const em_matrix *output, int s,
                        scored_tile *scored) {
    const labelled_tile *t = &scored->tile;
    int first = s * output->width, n = em_matrix_width(output, s);
    float *logits = em_matrix_run(cpu, thread, output, s, scored->side.input);
    for (int i = 0; i < t->tile.count; i++)
        if (t->scored[i]) side_add(cpu, &scored->side, t, i, logits + (int64_t)i * n, first, n);
}

static void score_group(em_cpu *cpu, int thread, scored_tile *group, const em_score_request *r,
                        int64_t first, int tiles) {
    const em_matrix *output = &group->side.head->output;
    int n = start_group(cpu, thread, group, r, first, tiles);
    for (int s = 0; n && s < output->slices; s++) {
        em_matrix_open_slice(cpu, thread, output, s);
        for (int i = 0; i < n; i++) score_slice(cpu, thread, output, s, &group[i]);
    }
    for (int i = 0; i < n; i++) side_finish(&group[i].side, &group[i].tile);
}

void em_cpu_score(em_backend *b, const em_head *h, const em_score_request *request,
                  em_activations *a, em_scores *out) {
    em_cpu *cpu = em_cpu_of(b);
    double begin = omp_get_wtime();
    em_groups groups = em_groups_of(cpu, a->n_tiles);
#pragma omp parallel num_threads(b->options.threads)
    {
        int thread = em_cpu_enter();
        scored_tile group[EM_GROUP];
        for (int i = 0; i < EM_GROUP; i++)
            side_open(&group[i].side, h, a, request,
                      digests_of(cpu, thread) + (ptrdiff_t)i * EM_TILE, out);
#pragma omp for schedule(dynamic, 1)
        for (int64_t g = 0; g < groups.n; g++)
            score_group(cpu, thread, group, request, g * groups.tiles,
                        em_group_tiles(&groups, g, a->n_tiles));
    }
    b->times.head += omp_get_wtime() - begin;
}

/* ---- two models ---- */

typedef struct pair {
    const em_pair_request *request;
    em_pair_scores *out;
    side before, after;
    em_token_sum *alphas;      /* [n_alphas, EM_TILE] */
    em_divergence kl[EM_TILE]; /* so far */
} pair;

static void pair_open(em_cpu *cpu, int thread, pair *p, const em_head *before, const em_head *after,
                      const em_pair_request *r, const em_activations *x_before,
                      const em_activations *x_after, em_pair_scores *out) {
    XXH3_state_t *digests = digests_of(cpu, thread);
    p->request = r;
    p->out = out;
    p->alphas = cpu->threads[thread].scratch[EM_SCRATCH_ALPHAS];
    side_open(&p->before, before, x_before, &r->labels, digests, &out->before);
    side_open(&p->after, after, x_after, &r->labels, digests + EM_TILE, &out->after);
}

/* The model whose sums are the alpha's, or NULL. */
static side *model_at(pair *p, double alpha) {
    if (p->request->general) return NULL;
    return alpha == -1 ? &p->before : alpha == 0 ? &p->after : NULL;
}

static tile_sums alpha_sums(pair *p, int k) {
    int alphas = p->request->n_alphas, labels = p->request->labels.n_labels;
    side *model = model_at(p, p->request->alphas[k]);
    return (tile_sums){.tokens = model ? model->tokens : p->alphas + (ptrdiff_t)k * EM_TILE,
                       .nll = p->out->alpha_nll + (ptrdiff_t)k * labels,
                       .nll_step = alphas * labels,
                       .argmax = p->out->alpha_argmax + k,
                       .argmax_step = alphas};
}

static void pair_start(em_cpu *cpu, int thread, pair *p, const labelled_tile *t, int64_t tile) {
    side_start(cpu, thread, &p->before, t, tile,
               em_cpu_scratch(cpu, thread, EM_SCRATCH_PAIR_INPUT));
    side_start(cpu, thread, &p->after, t, tile, em_cpu_scratch(cpu, thread, EM_SCRATCH_INPUT));
    for (int k = 0; k < p->request->n_alphas; k++) {
        tile_sums sums = alpha_sums(p, k);
        sums_start(&sums, t);
    }
    for (int i = 0; i < t->tile.count; i++) p->kl[i] = em_divergence_none(-INFINITY, -INFINITY);
}

/* before, after: [n] logits of the ids from first on, capped */
static void alpha_add(const em_cpu *cpu, pair *p, int k, const labelled_tile *t, int i,
                      const float *before, const float *after, int first, int n) {
    _Alignas(64) float mixed[EM_SLICE];
    const side *model = model_at(p, p->request->alphas[k]);
    tile_sums sums = alpha_sums(p, k);
    const float *z = !model ? mixed : model == &p->before ? before : after;
    if (!model) {
        cpu->kernels->mix(mixed, after, before, p->request->alphas[k], n);
        token_add(cpu, &sums.tokens[i], mixed, first, n);
    }
    keep_label_logits(&sums, t, i, z, first, n);
}

static void pair_add(const em_cpu *cpu, pair *p, const labelled_tile *t, int i, float *before,
                     float *after, int first, int n) {
    side_add(cpu, &p->before, t, i, before, first, n);
    side_add(cpu, &p->after, t, i, after, first, n);
    em_divergence slice = cpu->kernels->divergence(after, before, p->after.tokens[i].max,
                                                   p->before.tokens[i].max, n);
    p->kl[i] = em_divergence_merge(p->kl[i], slice);
    for (int k = 0; k < p->request->n_alphas; k++)
        alpha_add(cpu, p, k, t, i, before, after, first, n);
}

static void pair_finish(pair *p, const labelled_tile *t) {
    side_finish(&p->before, t);
    side_finish(&p->after, t);
    for (int k = 0; k < p->request->n_alphas; k++) {
        tile_sums sums = alpha_sums(p, k);
        sums_finish(&sums, t);
    }
    for (int i = 0; i < t->tile.count; i++)
        if (t->scored[i]) p->out->kl[t->tile.token + i] = em_divergence_kl(p->kl[i]);
}

static void pair_tile(em_cpu *cpu, int thread, pair *p, int64_t tile) {
    labelled_tile t;
    if (!find_labels(&t, &p->after.x->tiles[tile], &p->request->labels)) return;
    const em_matrix *output =
        &p->after.head->output; /* cut into the same slices as the before model's */
    float *before = em_cpu_scratch(cpu, thread, EM_SCRATCH_PAIR_SLICE);
    pair_start(cpu, thread, p, &t, tile);
    for (int s = 0; s < output->slices; s++) {
        int first = s * output->width, n = em_matrix_width(output, s);
        em_matrix_open_slice(cpu, thread, &p->before.head->output, s);
        em_matrix_run_to(cpu, thread, &p->before.head->output, s, p->before.input, before);
        em_matrix_open_slice(cpu, thread, output, s);
        float *after = em_matrix_run(cpu, thread, output, s, p->after.input);
        for (int i = 0; i < t.tile.count; i++)
            if (t.scored[i])
                pair_add(cpu, p, &t, i, before + (int64_t)i * n, after + (int64_t)i * n, first, n);
    }
    pair_finish(p, &t);
}

void em_cpu_score_pair(em_backend *b, const em_head *before, const em_head *after,
                       const em_pair_request *request, em_activations *x_before,
                       em_activations *x_after, em_pair_scores *out) {
    em_cpu *cpu = em_cpu_of(b);
    double begin = omp_get_wtime();
#pragma omp parallel num_threads(b->options.threads)
    {
        int thread = em_cpu_enter();
        pair p;
        pair_open(cpu, thread, &p, before, after, request, x_before, x_after, out);
#pragma omp for schedule(dynamic, 1)
        for (int64_t t = 0; t < x_after->n_tiles; t++) pair_tile(cpu, thread, &p, t);
    }
    b->times.head += omp_get_wtime() - begin;
}
