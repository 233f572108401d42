/* The head and the loss, chunk by chunk: a tile of logits is [EM_CUDA_TOKENS, EM_CUDA_SLICE], and
 * what remains of it is a maximum and sums for each token, model and alpha. The host takes the
 * logarithms. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#define XXH_STATIC_LINKING_ONLY /* the size of XXH3_state_t */
#include <xxhash.h>

#include "common/size.h"
#include "kernels/cuda/cuda.h"

/* ---- one call's memory ---- */

/* A model of the call. */
typedef struct side {
    const em_head *head;
    const em_activations *x;
    em_scores out;
    em_workspace input, logits;
    XXH3_state_t *digests; /* [EM_CUDA_TOKENS] or NULL: not asked for */
} side;

/* Sums lie in this order on the device and, fetched, on the host: before (of a pair), after or the
 * only model, each alpha. */
typedef struct scoring {
    em_cuda *c;
    const em_score_request *request;
    const em_pair_request *pair; /* NULL: one model */
    em_pair_scores *pair_out;
    side sides[2];
    int n_sides, n_sums;
    int32_t *labels; /* host, pinned: [EM_CUDA_TOKENS, n_labels], */
    uint8_t *scored; /* [EM_CUDA_TOKENS], */
    double *alphas;  /* [n_alphas]: sent together */
    size_t labels_bytes, scored_at, alphas_at;
    char *sums;                          /* host, pinned: as on the device */
    size_t sums_bytes, logits_at, kl_at; /* inside: the labels' logits, and a pair's KL */
    float *tile;                         /* host, pinned: logits to hash, or NULL */
} scoring;

static size_t align(size_t n) { return (n + 255) / 256 * 256; }

static void measure(scoring *s) {
    size_t n = (size_t)s->request->n_labels, tokens = EM_CUDA_TOKENS;
    size_t alphas = s->pair ? (size_t)s->pair->n_alphas : 0;
    s->n_sums = s->n_sides + (int)alphas;
    s->scored_at = align(tokens * n * sizeof *s->labels);
    s->alphas_at = s->scored_at + align(tokens);
    s->labels_bytes = s->alphas_at + align(alphas * sizeof *s->alphas);
    s->logits_at = align((size_t)s->n_sums * tokens * sizeof(em_soft));
    s->kl_at = s->logits_at + align((size_t)s->n_sums * tokens * n * sizeof(float));
    s->sums_bytes = s->kl_at + (s->pair ? align(tokens * sizeof(em_divergence)) : 0);
}

static bool reserve_device(scoring *s, em_error *err) {
    const size_t tile = (size_t)EM_CUDA_TOKENS * EM_CUDA_SLICE * sizeof(float);
    bool ok = em_workspace_reserve(s->c, EM_WORKSPACE_LABELS, s->labels_bytes, err) &&
              em_workspace_reserve(s->c, EM_WORKSPACE_SUMS, s->sums_bytes, err);
    for (int i = 0; i < s->n_sides; i++) {
        size_t input = (size_t)EM_CUDA_TOKENS * (size_t)s->sides[i].head->hidden *
                       em_dtype_size(s->c->base.options.compute);
        ok = ok && em_workspace_reserve(s->c, s->sides[i].input, input, err) &&
             em_workspace_reserve(s->c, s->sides[i].logits, tile, err);
    }
    return ok;
}

static bool reserve_host(scoring *s, em_error *err) {
    bool digest = s->sides[0].out.digest || s->sides[s->n_sides - 1].out.digest;
    size_t tile = digest ? (size_t)EM_CUDA_TOKENS * EM_CUDA_SLICE * sizeof(float) : 0;
    char *p = em_cuda_host(s->c, s->labels_bytes + s->sums_bytes + tile, err);
    if (!p) return false;
    s->labels = (int32_t *)p;
    s->scored = (uint8_t *)(p + s->scored_at);
    s->alphas = (double *)(p + s->alphas_at);
    s->sums = p + s->labels_bytes;
    s->tile = digest ? (float *)(p + s->labels_bytes + s->sums_bytes) : NULL;
    for (int i = 0; i < s->n_sides; i++)
        if (s->sides[i].out.digest &&
            !(s->sides[i].digests = aligned_alloc(64, EM_CUDA_TOKENS * sizeof(XXH3_state_t))))
            return em_fail_memory(err, EM_CUDA_TOKENS * sizeof(XXH3_state_t), "digests of logits");
    return true;
}

static bool open_scoring(scoring *s, em_error *err) {
    for (int i = 0; i < s->n_sides; i++)
        if (!s->request->digest) s->sides[i].out.digest = NULL;
    measure(s);
    return reserve_device(s, err) && reserve_host(s, err);
}

static void close_scoring(scoring *s) {
    for (int i = 0; i < s->n_sides; i++) free(s->sides[i].digests);
}

/* ---- labels ---- */

/* The labels of the chunk's tokens; false: it has none. */
static bool gather_labels(scoring *s, int64_t chunk) {
    int n = s->request->n_labels;
    const int64_t *token = s->sides[0].x->token + chunk * EM_CUDA_TOKENS;
    bool any = false;
    for (int i = 0; i < EM_CUDA_TOKENS; i++) {
        s->scored[i] = 0;
        for (int j = 0; j < n; j++) {
            int32_t label = token[i] < 0 ? -1 : s->request->labels[token[i] * n + j];
            s->labels[i * n + j] = label;
            s->scored[i] |= label >= 0;
        }
        any |= s->scored[i];
    }
    return any;
}

static em_cuda_labels device_labels(const scoring *s) {
    char *p = s->c->workspaces[EM_WORKSPACE_LABELS];
    return (em_cuda_labels){
        .labels = (int32_t *)p, .scored = (uint8_t *)(p + s->scored_at), .n = s->request->n_labels};
}

/* Sums i, in the order of struct scoring, from their memory on the device or on the host. */
static em_cuda_sums sums_at(const scoring *s, void *memory, int i) {
    char *p = memory;
    size_t at = (size_t)i * EM_CUDA_TOKENS;
    return (em_cuda_sums){.soft = (em_soft *)p + at,
                          .label_logit = (float *)(p + s->logits_at) +
                                         at * (size_t)s->request->n_labels};
}

static void send_labels(scoring *s, em_error *err) {
    if (s->pair) memcpy(s->alphas, s->pair->alphas, (size_t)s->pair->n_alphas * sizeof *s->alphas);
    em_copy_in(s->c->compute, s->c->workspaces[EM_WORKSPACE_LABELS], s->labels, s->labels_bytes,
               err);
    em_cuda_soft_clear(s->c->compute, sums_at(s, s->c->workspaces[EM_WORKSPACE_SUMS], 0).soft,
                       (int64_t)s->n_sums * EM_CUDA_TOKENS);
}

/* ---- digests ---- */

static void start_digests(const scoring *s) {
    for (int m = 0; m < s->n_sides; m++)
        for (int i = 0; s->sides[m].digests && i < EM_CUDA_TOKENS; i++)
            XXH3_64bits_reset(&s->sides[m].digests[i]);
}

static void add_digests(const scoring *s, const side *m, int n, em_error *err) {
    if (!m->digests) return;
    em_copy_out(s->c->compute, s->tile, s->c->workspaces[m->logits],
                (size_t)EM_CUDA_TOKENS * EM_CUDA_SLICE * sizeof *s->tile, err);
    em_stream_wait(s->c->compute, err);
    for (int i = 0; i < EM_CUDA_TOKENS; i++)
        if (s->scored[i])
            XXH3_64bits_update(&m->digests[i], s->tile + (size_t)i * EM_CUDA_SLICE,
                               (size_t)n * sizeof *s->tile);
}

/* ---- a chunk ---- */

static void norm_inputs(const scoring *s, int64_t chunk) {
    for (int i = 0; i < s->n_sides; i++) {
        const side *m = &s->sides[i];
        const float *x = m->x->x + chunk * EM_CUDA_TOKENS * m->x->hidden;
        em_cuda_norm_run(s->c->compute, s->c->base.options.compute, s->c->workspaces[m->input], x,
                         &m->head->norm, EM_CUDA_TOKENS, m->head->hidden);
    }
}

/* The tile of slice i of the vocabulary. */
static em_cuda_logits run_logits(const scoring *s, const side *m, int i, em_error *err) {
    em_cuda *c = s->c;
    int vocab = m->head->spec.vocab, first = i * EM_CUDA_SLICE, n = em_cuda_slice_width(vocab, i);
    em_dtype type = c->base.options.compute;
    const char *w = m->head->block->data +
                    (size_t)first * (size_t)m->head->hidden * em_dtype_size(type);
    em_product_shape shape = {.tokens = EM_CUDA_TOKENS,
                              .n = (int)em_cuda_pad(n),
                              .k = m->head->hidden,
                              .y_stride = EM_CUDA_SLICE,
                              .type = type,
                              .y_f32 = true};
    em_product_run(c->products, c->compute, &shape, c->workspaces[m->input], w,
                   c->workspaces[m->logits], err);
    em_cuda_logits l = {.z = c->workspaces[m->logits],
                        .first = first,
                        .n = n,
                        .bias = m->head->bias ? m->head->bias + first : NULL,
                        .softcap = m->head->spec.softcap};
    em_cuda_logits_finish(c->compute, &l);
    add_digests(s, m, n, err);
    return l;
}

static void run_slice(const scoring *s, int i, em_error *err) {
    void *sums = s->c->workspaces[EM_WORKSPACE_SUMS];
    em_cuda_labels labels = device_labels(s);
    em_cuda_logits first = run_logits(s, &s->sides[0], i, err);
    em_cuda_sums own = sums_at(s, sums, 0);
    if (!s->pair) {
        em_cuda_score_run(s->c->compute, &first, &labels, &own);
        return;
    }
    em_cuda_logits after = run_logits(s, &s->sides[1], i, err);
    em_cuda_pair p = {
        .before = own,
        .after = sums_at(s, sums, 1),
        .alphas = sums_at(s, sums, 2),
        .n_alphas = s->pair->n_alphas,
        .alpha = (const double *)((char *)s->c->workspaces[EM_WORKSPACE_LABELS] + s->alphas_at),
        .kl = (em_divergence *)((char *)sums + s->kl_at),
        .general = s->pair->general};
    em_cuda_pair_run(s->c->compute, &first, &after, &labels, &p);
}

/* ---- the figures ---- */

/* nll: [n_labels] and argmax of one token, from row i of its sums. */
static void finish_token(const scoring *s, const em_cuda_sums *sums, int i, double *nll,
                         int32_t *argmax) {
    int n = s->request->n_labels;
    double total = em_soft_log(sums->soft[i]);
    for (int j = 0; j < n; j++)
        if (s->labels[i * n + j] >= 0) nll[j] = total - (double)sums->label_logit[i * n + j];
    *argmax = sums->soft[i].argmax == INT32_MAX
                  ? 0
                  : sums->soft[i].argmax; /* no logit is a number: lowest id */
}

static void finish_pair(const scoring *s, int i, int64_t token) {
    int n = s->request->n_labels, alphas = s->pair->n_alphas;
    em_cuda_sums before = sums_at(s, s->sums, 0), after = sums_at(s, s->sums, 1);
    for (int k = 0; k < alphas; k++) {
        double alpha = s->pair->alphas[k];
        bool general = s->pair->general || (alpha != -1 && alpha != 0);
        em_cuda_sums sums = general ? sums_at(s, s->sums, 2 + k) : alpha == 0 ? after : before;
        int64_t at = token * alphas + k;
        finish_token(s, &sums, i, s->pair_out->alpha_nll + at * n, &s->pair_out->alpha_argmax[at]);
    }
    s->pair_out->kl[token] = em_divergence_kl(((em_divergence *)(s->sums + s->kl_at))[i]);
}

static void finish_chunk(const scoring *s, int64_t chunk) {
    for (int i = 0; i < EM_CUDA_TOKENS; i++) {
        if (!s->scored[i]) continue;
        int64_t token = s->sides[0].x->token[chunk * EM_CUDA_TOKENS + i];
        for (int m = 0; m < s->n_sides; m++) {
            const side *x = &s->sides[m];
            em_cuda_sums sums = sums_at(s, s->sums, m);
            finish_token(s, &sums, i, x->out.nll + token * s->request->n_labels,
                         &x->out.argmax[token]);
            if (x->digests) x->out.digest[token] = XXH3_64bits_digest(&x->digests[i]);
        }
        if (s->pair) finish_pair(s, i, token);
    }
}

static void score_chunk(scoring *s, int64_t chunk) {
    em_error *err = &s->c->base.failure;
    if (!gather_labels(s, chunk)) return;
    send_labels(s, err);
    start_digests(s);
    norm_inputs(s, chunk);
    for (int i = 0; i < em_cuda_slices(s->sides[0].head->spec.vocab); i++) run_slice(s, i, err);
    em_copy_out(s->c->compute, s->sums, s->c->workspaces[EM_WORKSPACE_SUMS], s->sums_bytes, err);
    if (em_stream_wait(s->c->compute, err) && err->status == EM_OK) finish_chunk(s, chunk);
}

static void score_all(scoring *s) {
    em_cuda *c = s->c;
    int64_t chunks = s->sides[0].x->n_tokens / EM_CUDA_TOKENS;
    bool open = open_scoring(s, &c->base.failure);
    em_stage_begin(c, &c->base.times.head);
    for (int64_t i = 0; open && c->base.failure.status == EM_OK && i < chunks; i++)
        score_chunk(s, i);
    em_stage_end(c);
    if (em_stream_wait(c->compute, &c->base.failure)) em_stages_settle(c);
    close_scoring(s);
}

void em_cuda_score(em_backend *b, const em_head *h, const em_score_request *request,
                   em_activations *a, em_scores *out) {
    scoring s = {.c = em_cuda_of(b),
                 .request = request,
                 .n_sides = 1,
                 .sides = {{.head = h,
                            .x = a,
                            .out = *out,
                            .input = EM_WORKSPACE_INPUT,
                            .logits = EM_WORKSPACE_LOGITS}}};
    score_all(&s);
}

void em_cuda_score_pair(em_backend *b, const em_head *before, const em_head *after,
                        const em_pair_request *request, em_activations *x_before,
                        em_activations *x_after, em_pair_scores *out) {
    scoring s = {.c = em_cuda_of(b),
                 .request = &request->labels,
                 .pair = request,
                 .pair_out = out,
                 .n_sides = 2,
                 .sides = {{.head = before,
                            .x = x_before,
                            .out = out->before,
                            .input = EM_WORKSPACE_INPUT_BEFORE,
                            .logits = EM_WORKSPACE_LOGITS_BEFORE},
                           {.head = after,
                            .x = x_after,
                            .out = out->after,
                            .input = EM_WORKSPACE_INPUT,
                            .logits = EM_WORKSPACE_LOGITS}}};
    score_all(&s);
}
