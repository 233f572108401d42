#include "tests/kernels/rows.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include <dnnl.h>
#include <sys/wait.h>
#include <unistd.h>

static void see(rows *r, int64_t t, int i, int length, mask m) {
    int begin = i / DOCUMENT * DOCUMENT,
        end = begin + DOCUMENT < length ? begin + DOCUMENT : length;
    static const char kinds[] = "cadbenc";
    r->lo[t] = m == CAUSAL ? 0 : begin;
    r->hi[t] = i + 1;
    if (m != MIXED) return;
    switch (kinds[i % 7]) {
    case 'c': r->lo[t] = 0; break;
    case 'a': r->lo[t] = i, r->hi[t] = length; break;
    case 'd': break;
    case 'b': r->lo[t] = 0, r->hi[t] = length; break;
    case 'e': r->hi[t] = end; break;
    case 'n': r->lo[t] = r->hi[t] = i; break;
    }
}

void add_row(rows *r, int seed, int length, mask m) {
    uint64_t random = (uint64_t)seed;
    assert_true(r->n < MAX_ROWS && r->tokens + length <= MAX_TOKENS);
    r->start[r->n] = r->tokens;
    r->length[r->n++] = length;
    for (int i = 0; i < length; i++) {
        int64_t t = r->tokens++;
        r->ids[t] = (int32_t)((network_random(&random) + 1) / 2 * NETWORK_VOCAB);
        r->positions[t] = m == DOCUMENTS ? i % DOCUMENT : i;
        r->labels[t] = i % 11 == 5 ? -1
                                   : (int32_t)((network_random(&random) + 1) / 2 * NETWORK_VOCAB);
        see(r, t, i, length, m);
    }
}

em_row_batch batch_of(const rows *r) {
    return (em_row_batch){.n_rows = r->n,
                          .start = r->start,
                          .length = r->length,
                          .ids = r->ids,
                          .positions = r->positions,
                          .lo = r->lo,
                          .hi = r->hi};
}

static int64_t padded(const rows *r) {
    int64_t n = 0;
    for (int i = 0; i < r->n; i++) n += (r->length[i] + EM_TILE - 1) / EM_TILE * EM_TILE;
    return n;
}

void check(const em_error *err) {
    if (err->status != EM_OK) fail_msg("%s", err->text);
}

void run_layer(em_backend *b, const em_layer *l, em_activations *a, bool parallel) {
    b->ops->attention_inputs(b, l, a);
    b->ops->attention(b, l, a);
    if (parallel) b->ops->feed_forward(b, l, a);
    b->ops->attention_output(b, l, a);
    if (!parallel) b->ops->feed_forward(b, l, a);
}

em_activations *embed_rows(em_backend *b, const network *n, const rows *r,
                           const em_row_batch *batch) {
    em_error err = EM_ERROR_INIT;
    em_activations *a = b->ops->activations_new(b, network_layer(n, 0), padded(r), r->n, &err);
    check(&err);
    b->ops->embed(b, &n->embedding, batch, a, &err);
    check(&err);
    return a;
}

em_activations *forward_rows(em_backend *b, const network *n, const rows *r,
                             const em_row_batch *batch) {
    em_error err = EM_ERROR_INIT;
    em_activations *a = embed_rows(b, n, r, batch);
    for (int i = 0; i < NETWORK_LAYERS; i++) {
        em_layer *l = b->ops->layer_load(b, network_layer(n, i), &n->layers[i], &err);
        check(&err);
        run_layer(b, l, a, n->shape.layer.parallel_residual);
        b->ops->layer_free(b, l);
    }
    return a;
}

em_backend *(*open_backend)(const em_backend_options *options, em_error *err) = em_backend_cpu_open;

void score_labels(const network *n, em_backend_options options, const rows *r, int n_labels,
                  const int32_t *labels, em_scores *out) {
    em_error err = EM_ERROR_INIT;
    em_backend *b = open_backend(&options, &err);
    check(&err);
    em_row_batch batch = batch_of(r);
    em_activations *a = forward_rows(b, n, r, &batch);
    em_head *h = b->ops->head_load(b, &n->head, &err);
    check(&err);
    em_score_request request = {
        .n_labels = n_labels, .labels = labels, .digest = out->digest != NULL};
    b->ops->score(b, h, &request, a, out);
    check(&b->failure);
    b->ops->head_free(b, h);
    b->ops->activations_free(b, a);
    b->ops->close(b);
}

double *log_probabilities(const network *n, em_backend_options options, const rows *r) {
    size_t cells = (size_t)r->tokens * NETWORK_VOCAB;
    double *p = malloc(cells * sizeof *p);
    int32_t *labels = calloc(cells, sizeof *labels), argmax[MAX_TOKENS];
    for (size_t i = 0; i < cells; i++) labels[i] = (int32_t)(i % NETWORK_VOCAB);
    score_labels(n, options, r, NETWORK_VOCAB, labels, &(em_scores){p, argmax, NULL});
    for (size_t i = 0; i < cells; i++) p[i] = -p[i];
    free(labels);
    return p;
}

void amplify(network *n, float factor) {
    int hidden = n->head.hidden;
    float *w = malloc((size_t)hidden * sizeof *w);
    uint64_t random = 5;
    for (int i = 0; i < hidden; i++) w[i] = factor * (1 + 0.1f * network_random(&random));
    n->owned[n->n_owned++] = w;
    n->head.final_norm = (em_weight){.data = w,
                                     .dtype = EM_F32,
                                     .out = hidden,
                                     .in = 1,
                                     .out_stride = 1,
                                     .in_stride = 1,
                                     .block = hidden,
                                     .name = "amplified"};
}

double log_sum(const double *z) {
    double max = z[0], sum = 0;
    for (int v = 1; v < NETWORK_VOCAB; v++) max = fmax(max, z[v]);
    for (int v = 0; v < NETWORK_VOCAB; v++) sum += exp(z[v] - max);
    return max + log(sum);
}

double kl_of(const double *after, const double *before) {
    double total = 0, a = log_sum(after), b = log_sum(before);
    for (int v = 0; v < NETWORK_VOCAB; v++) {
        double p = exp(after[v] - a), q = exp(before[v] - b), d = (after[v] - a) - (before[v] - b);
        total += fabs(d) < 1 ? p * (d + expm1(-d)) : p * d + q - p;
    }
    return total;
}

/* oneDNN reads the variable once: another process says what it finds without it. */
bool isa_limit_is_void(void) {
    int ends[2];
    dnnl_cpu_isa_t own;
    if (!getenv("ONEDNN_MAX_CPU_ISA")) return false;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        unsetenv("ONEDNN_MAX_CPU_ISA");
        own = dnnl_get_effective_cpu_isa();
        _exit(write(ends[1], &own, sizeof own) != sizeof own);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &own, sizeof own), sizeof own);
    close(ends[0]);
    waitpid(child, NULL, 0);
    return own == dnnl_get_effective_cpu_isa();
}
