/* How fast the CPU backend's stages run, as a share of this machine's own GEMM ceiling (a
 * 2048-cube by oneDNN on all threads, in the same process). Random weights in the shape of a
 * 135 M Llama unless told otherwise:
 *   bench_kernels [--bf16] [--threads N] [--tokens T] [--rows R] [--hidden H]
 *                 [--heads N] [--kv-heads N] [--head-dim N] [--ffn N] [--vocab N] [--alphas N]
 * --alphas: also two heads as a pair with so many alphas, beside the two scored alone. */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/ceiling.h"

#define REPEATS 5

typedef struct bench {
    int threads, tokens, rows, hidden, heads, kv_heads, head_dim, ffn, vocab, alphas;
    em_dtype compute;
} bench;

static void stop(const char *why) {
    fprintf(stderr, "bench_kernels: %s\n", why);
    exit(4);
}

/* ---- a random layer, head and batch ---- */

static em_weight random_weight(int out, int in, float size, float middle) {
    uint16_t *p = malloc((size_t)out * (size_t)in * sizeof *p);
    uint64_t state = (uint64_t)out * 31 + (uint64_t)in;
    if (!p) stop("out of memory");
    for (int64_t i = 0; i < (int64_t)out * in; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        p[i] = em_f32_to_bf16(middle + size * ((float)(state >> 40) * 0x1p-23f - 1));
    }
    return (em_weight){.data = p,
                       .dtype = EM_BF16,
                       .out = out,
                       .in = in,
                       .out_stride = in,
                       .in_stride = 1,
                       .block = out,
                       .name = "random"};
}

static em_layer_weights random_layer(const bench *o) {
    int q = o->heads * o->head_dim, k = o->kv_heads * o->head_dim;
    return (em_layer_weights){.of = {[EM_W_ATTENTION_IN] = random_weight(o->hidden, 1, 0.1f, 1),
                                     [EM_W_FFN_IN] = random_weight(o->hidden, 1, 0.1f, 1),
                                     [EM_W_Q] = random_weight(q, o->hidden, 0.05f, 0),
                                     [EM_W_K] = random_weight(k, o->hidden, 0.05f, 0),
                                     [EM_W_V] = random_weight(k, o->hidden, 0.05f, 0),
                                     [EM_W_O] = random_weight(o->hidden, q, 0.05f, 0),
                                     [EM_W_GATE] = random_weight(o->ffn, o->hidden, 0.05f, 0),
                                     [EM_W_UP] = random_weight(o->ffn, o->hidden, 0.05f, 0),
                                     [EM_W_DOWN] = random_weight(o->hidden, o->ffn, 0.05f, 0)}};
}

static em_layer_spec layer_spec(const bench *o) {
    static float inv_freq[512];
    for (int j = 0; j < o->head_dim / 2; j++) inv_freq[j] = 1.0f / (float)(1 + j * j);
    return (em_layer_spec){.hidden = o->hidden,
                           .heads = o->heads,
                           .kv_heads = o->kv_heads,
                           .head_dim = o->head_dim,
                           .ffn = o->ffn,
                           .norm_eps = 1e-5f,
                           .attention_scale = 0.125f,
                           .activation = EM_SILU,
                           .gated = true,
                           .rope = {.dim = o->head_dim, .scale = 1, .inv_freq = inv_freq}};
}

typedef struct batch {
    em_row_batch rows;
    int32_t *labels;
    int64_t tokens;
} batch;

static batch causal_rows(const bench *o) {
    int64_t n = (int64_t)o->rows * o->tokens;
    int32_t *all = calloc((size_t)n * 5, sizeof *all),
            *length = calloc((size_t)o->rows, sizeof *length);
    int64_t *start = calloc((size_t)o->rows, sizeof *start);
    if (!all || !length || !start) stop("out of memory");
    for (int64_t t = 0; t < n; t++) {
        int32_t i = (int32_t)(t % o->tokens);
        all[t] = (int32_t)((uint64_t)t * 2654435761u % (uint64_t)o->vocab);
        all[n + t] = i;
        all[3 * n + t] = i + 1;
        all[4 * n + t] = all[(t + 1) % n];
    }
    for (int r = 0; r < o->rows; r++) start[r] = (int64_t)r * o->tokens, length[r] = o->tokens;
    return (batch){{.n_rows = o->rows,
                    .start = start,
                    .length = length,
                    .ids = all,
                    .positions = all + n,
                    .lo = all + 2 * n,
                    .hi = all + 3 * n},
                   all + 4 * n,
                   n};
}

/* ---- the stages ---- */

static double share_line(const char *name, double flops, double seconds, double peak) {
    double rate = flops / seconds * 1e-9;
    printf("%-18s %9.2f ms %9.1f GFLOP/s %6.1f %%\n", name, seconds * 1e3, rate, 100 * rate / peak);
    return flops;
}

static em_stage_times fewer(em_stage_times a, em_stage_times b) {
    double *x = &a.pack;
    const double *y = &b.pack;
    for (size_t i = 0; i < sizeof a / sizeof *x; i++)
        if (y[i] < x[i]) x[i] = y[i];
    return a;
}

static em_stage_times run_once(em_backend *b, const em_layer_spec *spec, const em_layer_weights *w,
                               const em_embedding *e, const em_head_spec *hs, const batch *rows,
                               em_activations *a, em_scores *scores) {
    em_error err = EM_ERROR_INIT;
    em_score_request request = {.n_labels = 1, .labels = rows->labels};
    b->times = (em_stage_times){0};
    em_layer *l = b->ops->layer_load(b, spec, w, &err);
    double layer_pack = b->times.pack;
    em_head *h = b->ops->head_load(b, hs, &err);
    b->times.pack = layer_pack;
    if (!l || !h || !b->ops->embed(b, e, &rows->rows, a, &err)) stop(err.text);
    b->ops->attention_inputs(b, l, a);
    b->ops->attention(b, l, a);
    b->ops->attention_output(b, l, a);
    b->ops->feed_forward(b, l, a);
    b->ops->score(b, h, &request, a, scores);
    b->ops->layer_free(b, l);
    b->ops->head_free(b, h);
    return b->times;
}

/* layers: how many of the measured layer make up the whole pass of the last line */
static void report(const bench *o, const em_stage_times *t, double tokens, double peak,
                   int layers) {
    double q = (double)o->heads * o->head_dim, k = (double)o->kv_heads * o->head_dim, h = o->hidden;
    double keys = (o->tokens + 1) / 2.0;
    double layer = share_line("q, k, v", 2 * tokens * h * (q + 2 * k), t->qkv, peak);
    layer += share_line("attention", 4 * tokens * keys * q, t->attention, peak);
    layer += share_line("output", 2 * tokens * h * q, t->output, peak);
    layer += share_line("feed-forward", 6 * tokens * h * o->ffn, t->ffn, peak);
    double head = share_line("head and loss", 2 * tokens * h * o->vocab, t->head, peak);
    double seconds = layers * (t->qkv + t->attention + t->output + t->ffn) + t->head + t->embed;
    share_line("the whole pass", layers * layer + head, seconds, peak);
    printf("embedding %.2f ms, packing a layer %.2f ms; %d layers: %.0f tokens/s\n", t->embed * 1e3,
           t->pack * 1e3, layers, tokens / seconds);
}

/* ---- two heads ---- */

typedef struct two_heads {
    em_head *heads[2];
    em_activations *x; /* both read the same */
    em_pair_request request;
    em_pair_scores scores;
} two_heads;

static double time_head(em_backend *b, two_heads *p, bool pair) {
    double best = 1e9;
    for (int i = 0; i < REPEATS; i++) {
        b->times.head = 0;
        if (pair)
            b->ops->score_pair(b, p->heads[0], p->heads[1], &p->request, p->x, p->x, &p->scores);
        else
            b->ops->score(b, p->heads[0], &p->request.labels, p->x, &p->scores.before),
                b->ops->score(b, p->heads[1], &p->request.labels, p->x, &p->scores.after);
        if (b->times.head < best) best = b->times.head;
    }
    return best;
}

static void report_pair(const bench *o, em_backend *b, const em_head_spec *spec, const batch *rows,
                        em_activations *x, const em_scores *scores) {
    em_error err = EM_ERROR_INIT;
    em_head_spec other = *spec;
    size_t n = (size_t)rows->tokens, alphas = (size_t)o->alphas;
    double *list = malloc(alphas * sizeof *list);
    if (!list) stop("out of memory");
    for (int i = 0; i < o->alphas; i++)
        list[i] = -1.75 + 0.5 * i; /* never -1 or 0, which cost nothing */
    other.output = random_weight(o->vocab, o->hidden, 0.9f, 0);
    two_heads p = {.heads = {b->ops->head_load(b, spec, &err), b->ops->head_load(b, &other, &err)},
                   .x = x,
                   .request = {.labels = {.n_labels = 1, .labels = rows->labels}, .alphas = list},
                   .scores = {*scores, *scores, malloc(n * alphas * sizeof(double)),
                              malloc(n * alphas * sizeof(int32_t)), malloc(n * sizeof(double))}};
    if (!p.heads[0] || !p.heads[1]) stop(err.text);
    if (!p.scores.alpha_nll || !p.scores.alpha_argmax || !p.scores.kl) stop("out of memory");
    double alone = time_head(b, &p, false), none = time_head(b, &p, true);
    p.request.n_alphas = o->alphas;
    double all = time_head(b, &p, true);
    printf("two heads: alone %.2f ms; as a pair with KL %.2f ms (x %.2f); with %d alphas %.2f ms "
           "(x %.2f)\n",
           alone * 1e3, none * 1e3, none / alone, o->alphas, all * 1e3, all / alone);
}

static void run(const bench *o) {
    em_error err = EM_ERROR_INIT;
    em_backend_options options = {.threads = o->threads, .compute = o->compute};
    em_ceiling ceiling;
    em_backend *b = em_backend_cpu_open(&options, &err);
    if (!b || !em_cpu_ceiling(&options, &ceiling, &err)) stop(err.text);
    double peak = ceiling.rate;
    em_layer_spec spec = layer_spec(o);
    em_layer_weights w = random_layer(o);
    em_embedding e = {.tokens = random_weight(o->vocab, o->hidden, 1, 0), .scale = 1};
    em_head_spec head = {.hidden = o->hidden,
                         .vocab = o->vocab,
                         .norm_eps = 1e-5f,
                         .final_norm = random_weight(o->hidden, 1, 0.1f, 1),
                         .output = e.tokens};
    batch rows = causal_rows(o);
    int64_t padded = (int64_t)o->rows * ((o->tokens + EM_TILE - 1) / EM_TILE * EM_TILE);
    em_activations *a = b->ops->activations_new(b, &spec, padded, o->rows, &err);
    em_scores scores = {malloc((size_t)rows.tokens * sizeof(double)),
                        malloc((size_t)rows.tokens * sizeof(int32_t)), NULL};
    if (!a || !scores.nll || !scores.argmax) stop("out of memory");
    em_stage_times best = run_once(b, &spec, &w, &e, &head, &rows, a, &scores);
    for (int i = 1; i < REPEATS; i++)
        best = fewer(best, run_once(b, &spec, &w, &e, &head, &rows, a, &scores));
    printf("%s, %d threads, %s; GEMM ceiling %.1f GFLOP/s\n", b->isa, o->threads,
           em_dtype_name(o->compute), peak);
    report(o, &best, (double)rows.tokens, peak, 30);
    if (o->alphas) report_pair(o, b, &head, &rows, a, &scores);
    b->ops->activations_free(b, a);
    b->ops->close(b);
}

static int *field(bench *o, const char *name) {
    const struct {
        const char *name;
        int *value;
    } fields[] = {{"--threads", &o->threads},   {"--tokens", &o->tokens},
                  {"--rows", &o->rows},         {"--hidden", &o->hidden},
                  {"--heads", &o->heads},       {"--kv-heads", &o->kv_heads},
                  {"--head-dim", &o->head_dim}, {"--ffn", &o->ffn},
                  {"--vocab", &o->vocab},       {"--alphas", &o->alphas}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (!strcmp(name, fields[i].name)) return fields[i].value;
    return NULL;
}

int main(int argc, char **argv) {
    bench o = {.threads = omp_get_max_threads(),
               .tokens = 1024,
               .rows = 8,
               .hidden = 576,
               .heads = 9,
               .kv_heads = 3,
               .head_dim = 64,
               .ffn = 1536,
               .vocab = 49152,
               .compute = EM_F32};
    for (int i = 1; i < argc; i++) {
        int *value = field(&o, argv[i]);
        if (!strcmp(argv[i], "--bf16")) o.compute = EM_BF16;
        else if (!value || ++i == argc || (*value = atoi(argv[i])) < 1)
            stop("options: see the first comment of bench/kernels.c");
    }
    run(&o);
    return 0;
}
