/* The head and the loss: a tile's logits exist one slice of the vocabulary at a time, and leave
 * behind a running maximum and a sum of exponentials per token. */
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#define XXH_STATIC_LINKING_ONLY      /* the size of XXH3_state_t */
#include <xxhash.h>

#include "kernels/cpu/cpu.h"

/* A token's logits so far. */
typedef struct token_state {
    double sum;                  /* of exp(logit - max) */
    float max;
    int32_t argmax;
} token_state;

typedef struct tile_state {
    token_state tokens[EM_TILE];
    bool scored[EM_TILE];
    XXH3_state_t *digest[EM_TILE];       /* NULL: not asked for */
} tile_state;

static bool any_label(const em_score_request *r, int64_t token) {
    for (int j = 0; j < r->n_labels; j++)
        if (r->labels[token * r->n_labels + j] >= 0) return true;
    return false;
}

/* false: the tile has no label at all. A label that no slice claims would leave NaN. */
static bool tile_start(tile_state *state, const em_tile *tile, const em_score_request *r, em_scores *out) {
    bool any = false;
    for (int i = 0; i < tile->count; i++) {
        int64_t token = tile->token + i;
        state->tokens[i] = (token_state){.sum = 0, .max = -INFINITY, .argmax = 0};
        any |= state->scored[i] = any_label(r, token);
        for (int j = 0; j < r->n_labels; j++)
            if (r->labels[token * r->n_labels + j] >= 0) out->nll[token * r->n_labels + j] = NAN;
        if (state->digest[i]) XXH3_64bits_reset(state->digest[i]);
    }
    return any;
}

static int32_t first_equal(const float *x, int n, float value) {
    int i = 0;
    while (i < n && x[i] != value) i++;
    return i;
}

/* logits: [n] of the ids from first on */
static void token_add(const em_cpu *cpu, token_state *t, const float *logits, int first, int n) {
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

/* Until tile_finish, nll holds the label's logit. */
static void keep_label_logits(const em_score_request *r, int64_t token, const float *logits, int first, int n, double *nll) {
    for (int j = 0; j < r->n_labels; j++) {
        int32_t label = r->labels[token * r->n_labels + j];
        if (label >= first && label < first + n) nll[token * r->n_labels + j] = logits[label - first];
    }
}

/* logits: [EM_TILE, n] of slice s */
static void tile_add(const em_cpu *cpu, const em_head *h, tile_state *state, const em_tile *tile,
                     const em_score_request *r, int s, float *logits, em_scores *out) {
    int first = s * h->output.width, n = em_matrix_width(&h->output, s);
    for (int i = 0; i < tile->count; i++) {
        float *z = logits + (int64_t)i * n;
        if (!state->scored[i]) continue;
        if (h->spec.softcap > 0) cpu->kernels->soft_cap(z, n, h->spec.softcap);
        if (state->digest[i]) XXH3_64bits_update(state->digest[i], z, (size_t)n * sizeof *z);
        token_add(cpu, &state->tokens[i], z, first, n);
        keep_label_logits(r, tile->token + i, z, first, n, out->nll);
    }
}

static void tile_finish(const tile_state *state, const em_tile *tile, const em_score_request *r, em_scores *out) {
    for (int i = 0; i < tile->count; i++) {
        int64_t token = tile->token + i;
        if (!state->scored[i]) continue;
        double log_sum = log(state->tokens[i].sum) + state->tokens[i].max;
        for (int j = 0; j < r->n_labels; j++) {
            double *nll = &out->nll[token * r->n_labels + j];
            if (r->labels[token * r->n_labels + j] >= 0) *nll = log_sum - *nll;
        }
        out->argmax[token] = state->tokens[i].argmax;
        if (state->digest[i]) out->digest[token] = XXH3_64bits_digest(state->digest[i]);
    }
}

static void score_tile(em_cpu *cpu, int thread, const em_head *h, const em_score_request *r, const em_activations *a,
                       int64_t t, tile_state *state, em_scores *out) {
    const em_tile *tile = &a->tiles[t];
    if (!tile_start(state, tile, r, out)) return;
    const void *x = em_normed_input(cpu, thread, &h->norm, a->x + t * EM_TILE * h->spec.hidden, h->spec.hidden);
    for (int s = 0; s < h->output.slices; s++)
        tile_add(cpu, h, state, tile, r, s, em_matrix_run(cpu, thread, &h->output, s, x), out);
    tile_finish(state, tile, r, out);
}

/* Hash states for a tile, over memory of the thread's scratch. */
static void point_digests(tile_state *state, XXH3_state_t *states) {
    for (int i = 0; i < EM_TILE; i++) state->digest[i] = states ? &states[i] : NULL;
}

void em_cpu_score(em_backend *b, const em_head *h, const em_score_request *request, em_activations *a, em_scores *out) {
    em_cpu *cpu = em_cpu_of(b);
    double begin = omp_get_wtime();
#pragma omp parallel num_threads(b->options.threads)
    {
        int thread = em_cpu_enter();
        tile_state state;
        point_digests(&state, request->digest && out->digest ? cpu->threads[thread].scratch[EM_SCRATCH_DIGEST] : NULL);
#pragma omp for schedule(dynamic, 1)
        for (int64_t t = 0; t < a->n_tiles; t++) score_tile(cpu, thread, h, request, a, t, &state, out);
    }
    b->times.head += omp_get_wtime() - begin;
}
