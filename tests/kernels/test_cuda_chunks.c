/* The CUDA engine where a batch is more than one chunk of EM_CUDA_TOKENS and the vocabulary more
 * than one slice of EM_CUDA_SLICE, over as many layers as take each block of weights again: on a
 * device with the sizes that it runs with, and with the emulator in its place with small ones. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "kernels/cuda/layout.h"
#include "tests/kernels/rows.h"

_Static_assert(NETWORK_VOCAB > 2 * EM_CUDA_SLICE && NETWORK_VOCAB % EM_CUDA_SLICE,
               "three slices, the last one short");
_Static_assert(MAX_TOKENS >= 5 * EM_CUDA_TOKENS, "all rows below");

typedef struct scores {
    double nll[MAX_TOKENS];
    int32_t argmax[MAX_TOKENS];
    uint64_t digest[MAX_TOKENS];
} scores;

typedef em_backend *opener(const em_backend_options *options, em_error *err);

static em_backend *open_cuda(const em_backend_options *options, em_error *err) {
    return em_backend_cuda_open(options, 0, err);
}

/* Layers loaded and freed in turn, as a model larger than memory goes through, or all of them kept.
 */
typedef enum weights { IN_TURN, KEPT } weights;

/* All layers are loaded before the first one runs. */
static em_activations *forward_kept(em_backend *b, const network *n, const rows *r,
                                    const em_row_batch *batch) {
    em_error err = EM_ERROR_INIT;
    em_layer *layers[NETWORK_LAYERS];
    for (int i = 0; i < NETWORK_LAYERS; i++) {
        layers[i] = b->ops->layer_load(b, network_layer(n, i), &n->layers[i], &err);
        check(&err);
    }
    em_activations *a = embed_rows(b, n, r, batch);
    for (int i = 0; i < NETWORK_LAYERS; i++)
        run_layer(b, layers[i], a, n->shape.layer.parallel_residual);
    for (int i = 0; i < NETWORK_LAYERS; i++) b->ops->layer_free(b, layers[i]);
    return a;
}

static scores *score(opener *open, const network *n, em_dtype compute, weights w, const rows *r) {
    em_error err = EM_ERROR_INIT;
    em_backend *b = open(&(em_backend_options){.threads = 2, .compute = compute}, &err);
    check(&err);
    scores *s = calloc(1, sizeof *s);
    em_scores out = {s->nll, s->argmax, s->digest};
    em_row_batch batch = batch_of(r);
    em_head *h = b->ops->head_load(b, &n->head, &err);
    check(&err);
    em_activations *a = w == KEPT ? forward_kept(b, n, r, &batch) : forward_rows(b, n, r, &batch);
    em_score_request request = {.n_labels = 1, .labels = r->labels, .digest = true};
    b->ops->score(b, h, &request, a, &out);
    check(&b->failure);
    b->ops->head_free(b, h);
    b->ops->activations_free(b, a);
    b->ops->close(b);
    return s;
}

/* ---- rows ---- */

enum { LONG = EM_CUDA_TOKENS + EM_CUDA_TOKENS / 4 + 7, SHORT = EM_CUDA_TOKENS / 2 - 27 };

static rows *one_row(int seed, int length, mask m) {
    rows *r = calloc(1, sizeof *r);
    add_row(r, seed, length, m);
    return r;
}

/* With neighbours: the long row from 128 tokens into the third chunk on, where its own border lies
 * elsewhere than alone. */
static rows *many_rows(void) {
    rows *r = one_row(1, EM_CUDA_TOKENS - 100, DOCUMENTS);
    add_row(r, 2, EM_CUDA_TOKENS / 2 - 1, CAUSAL);
    add_row(r, 8, SHORT, DOCUMENTS);
    add_row(r, 3, 70, MIXED);
    add_row(r, 7, LONG, MIXED);
    return r;
}

static void same_row(const rows *r, const scores *alone, int row, const scores *among) {
    int64_t at = r->start[row];
    size_t n = (size_t)r->length[row];
    assert_memory_equal(alone->nll, among->nll + at, n * sizeof(double));
    assert_memory_equal(alone->argmax, among->argmax + at, n * sizeof(int32_t));
    assert_memory_equal(alone->digest, among->digest + at, n * sizeof(uint64_t));
}

/* ---- tests ---- */

static void test_same_bits(void **state) {
#ifdef EM_EMULATED
    static const int shapes[] = {0};
#else
    static const int shapes[] = {0,
                                 4}; /* the second: soft caps, and a window on every other layer */
#endif
    rows *many = many_rows(), *large = one_row(7, LONG, MIXED),
         *small = one_row(8, SHORT, DOCUMENTS);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        network *n = network_new(&network_shapes[shapes[i]]);
        scores *among = score(open_cuda, n, EM_BF16, IN_TURN, many),
               *alone = score(open_cuda, n, EM_BF16, IN_TURN, large);
        scores *kept = score(open_cuda, n, EM_BF16, KEPT, large),
               *within = score(open_cuda, n, EM_BF16, IN_TURN, small);
        same_row(many, alone, 4, among);
        same_row(many, kept, 4, among);
        same_row(many, within, 2, among);
        free(among);
        free(alone);
        free(kept);
        free(within);
        network_free(n);
    }
    free(many);
    free(large);
    free(small);
}

/* Chunks, slices and rows of attention in their places, as another backend has them. */
static void test_against_cpu(void **state) {
    rows *r = one_row(7, LONG, MIXED);
    network *n = network_new(&network_shapes[0]);
    scores *cpu = score(em_backend_cpu_open, n, EM_F32, IN_TURN, r),
           *cuda = score(open_cuda, n, EM_F32, IN_TURN, r);
    for (int64_t t = 0; t < r->tokens; t++) {
        if (r->labels[t] < 0) continue;
        if (!(fabs(cuda->nll[t] - cpu->nll[t]) <= 2e-5 * fmax(1, cpu->nll[t])))
            fail_msg("token %lld: nll %.8f, the CPU has %.8f", (long long)t, cuda->nll[t],
                     cpu->nll[t]);
        assert_int_equal(cuda->argmax[t], cpu->argmax[t]);
    }
    free(cpu);
    free(cuda);
    network_free(n);
    free(r);
}

int main(void) {
    em_error err = EM_ERROR_INIT;
    em_backend *b = open_cuda(&(em_backend_options){.threads = 1, .compute = EM_F32}, &err);
    if (!b) {
        printf("skipped: %s\n", err.text);
        return 77; /* ctest's SKIP_RETURN_CODE */
    }
    b->ops->close(b);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_bits),
                                       cmocka_unit_test(test_against_cpu)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
