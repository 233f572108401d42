/* The CUDA engine as a whole on small random networks: against the naive forward pass and the CPU,
 * and bit for bit against itself. Built twice: on a device (skipped where there is none), and with
 * the emulator in the device's place. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/kernels/rows.h"

#ifdef EM_EMULATED
#include "tests/kernels/emulator/streams.h"
extern bool em_emulator_backwards;
#endif

#define LABELS 2
#define UNTOUCHED (-7)

static const em_backend_options f32 = {.threads = 2, .compute = EM_F32};
static const em_backend_options bf16 = {.threads = 2, .compute = EM_BF16};
static const em_backend_options f16 = {.threads = 2, .compute = EM_F16};

static em_backend *open_cuda(const em_backend_options *options, em_error *err) {
    return em_backend_cuda_open(options, 0, err);
}

/* ---- scores ---- */

typedef struct scores {
    double nll[MAX_TOKENS * LABELS];
    int32_t argmax[MAX_TOKENS];
    uint64_t digest[MAX_TOKENS];
} scores;

/* A second column beside each token's label: sometimes alone, sometimes in company. */
static const int32_t *two_labels(const rows *r) {
    static int32_t labels[MAX_TOKENS * LABELS];
    for (int64_t t = 0; t < r->tokens; t++) {
        labels[LABELS * t] = r->labels[t];
        labels[LABELS * t + 1] = t % 3 ? -1 : (int32_t)(r->ids[t] * 7 % NETWORK_VOCAB);
    }
    return labels;
}

static em_scores scores_into(scores *s) {
    for (int i = 0; i < MAX_TOKENS; i++) {
        s->nll[LABELS * i] = s->nll[LABELS * i + 1] = s->argmax[i] = UNTOUCHED;
        s->digest[i] = 0;
    }
    return (em_scores){s->nll, s->argmax, s->digest};
}

static scores *score(const network *n, em_backend_options options, const rows *r) {
    scores *s = malloc(sizeof *s);
    em_scores out = scores_into(s);
    score_labels(n, options, r, LABELS, two_labels(r), &out);
    return s;
}

/* EM_SHORT: under sanitizers, where the emulator's changes of stack cost a hundred times more. */
static rows *some_rows(void) {
    rows *r = calloc(1, sizeof *r);
#ifdef EM_SHORT
    add_row(r, 3, 70, DOCUMENTS);
    return r;
#endif
    add_row(r, 1, 150, MIXED);
    add_row(r, 2, 1, CAUSAL);
    add_row(r, 3, 128, DOCUMENTS);
    return r;
}

/* ---- against the naive forward pass ---- */

static void compare_row(const network *n, const rows *r, int row, const scores *s,
                        double tolerance) {
    static double nll[MAX_TOKENS];
    static int32_t argmax[MAX_TOKENS];
    int64_t at = r->start[row];
    naive_score(n, r->length[row], r->ids + at, r->positions + at, r->lo + at, r->hi + at,
                r->labels + at, nll, argmax);
    for (int i = 0; i < r->length[row]; i++) {
        double got = s->nll[LABELS * (at + i)];
        if (r->labels[at + i] < 0) {
            assert_true(got == UNTOUCHED);
            continue;
        }
        if (!(fabs(nll[i] - got) <= tolerance * fmax(1, nll[i])))
            fail_msg("%s: row %d, token %d: nll %.8f, should be %.8f", n->shape.name, row, i, got,
                     nll[i]);
        if (tolerance < 1e-3) assert_int_equal(argmax[i], s->argmax[at + i]);
    }
}

/* step: every step-th of the shapes */
static void compare_networks(em_backend_options options, double tolerance, int step) {
    rows *r = some_rows();
    for (int i = 0; i < n_network_shapes; i += step) {
        network *n = network_new(&network_shapes[i]);
        scores *s = score(n, options, r);
        for (int row = 0; row < r->n; row++) compare_row(n, r, row, s, tolerance);
        free(s);
        network_free(n);
    }
    free(r);
}

#ifndef EM_SHORT
static void test_f32(void **state) { compare_networks(f32, 1e-5, 1); }

/* Of formats and routing, not of accuracy: random networks amplify rounding. */
static void test_bf16(void **state) { compare_networks(bf16, 0.1, 1); }
static void test_f16(void **state) { compare_networks(f16, 0.02, 2); }
#else
static void test_bf16(void **state) { compare_networks(bf16, 0.1, n_network_shapes); }
#endif

#ifdef EM_EMULATED
/* ---- streams ---- */

/* Two batches through one backend with nothing between them that waits: the second's weights come
 * into blocks that the first one's layers held. */
static void score_both_batches(const network *n, em_backend *b, const rows *const *r,
                               em_scores *out) {
    em_error err = EM_ERROR_INIT;
    em_row_batch batches[] = {batch_of(r[0]), batch_of(r[1])};
    em_head *h = b->ops->head_load(b, &n->head, &err);
    check(&err);
    em_activations *a[] = {forward_rows(b, n, r[0], &batches[0]),
                           forward_rows(b, n, r[1], &batches[1])};
    for (int i = 0; i < 2; i++) {
        em_score_request request = {.n_labels = LABELS, .labels = two_labels(r[i]), .digest = true};
        b->ops->score(b, h, &request, a[i], &out[i]);
        check(&b->failure);
    }
    b->ops->head_free(b, h);
    for (int i = 0; i < 2; i++) b->ops->activations_free(b, a[i]);
}

/* Whichever of the two streams is ahead, the figures are the same. */
static void test_streams(void **state) {
    enum { EACH_LATE, COMPUTE_AT_ONCE, COPY_AT_ONCE, BOTH_AT_ONCE, WAYS };
    rows *first = calloc(1, sizeof *first), *second = calloc(1, sizeof *second);
    const rows *both[] = {first, second};
    network *n = network_new(&network_shapes[0]);
    scores *s = calloc(WAYS * 2, sizeof *s);
    add_row(first, 5, 40, CAUSAL);
    add_row(second, 3, 70, DOCUMENTS);
    for (unsigned way = 0; way < WAYS; way++) {
        em_error err = EM_ERROR_INIT;
        em_backend *b = open_cuda(&bf16, &err);
        check(&err);
        em_scores out[] = {scores_into(&s[2 * way]), scores_into(&s[2 * way + 1])};
        em_emulator_prompt = way;
        score_both_batches(n, b, both, out);
        b->ops->close(b);
        em_emulator_prompt = 0;
        assert_memory_equal(&s[2 * way], s, 2 * sizeof *s);
    }
    for (int i = 0; i < 2; i++) compare_row(n, both[i], 0, &s[i], 0.1);
    free(s);
    network_free(n);
    free(first);
    free(second);
}
#endif

#ifndef EM_SHORT
/* ---- the same bits ---- */

static void same_row(const rows *r, int row, const scores *s, const rows *other_r, int other_row,
                     const scores *other) {
    int64_t x = r->start[row], y = other_r->start[other_row];
    for (int i = 0; i < r->length[row]; i++) {
        if (r->labels[x + i] < 0) continue;
        assert_memory_equal(&s->nll[LABELS * (x + i)], &other->nll[LABELS * (y + i)],
                            sizeof(double));
        assert_int_equal(s->argmax[x + i], other->argmax[y + i]);
        assert_true(s->digest[x + i] == other->digest[y + i]);
    }
}

static void same_wherever(em_backend_options options, const network_shape *shape) {
    rows *alone = calloc(1, sizeof *alone), *among = calloc(1, sizeof *among);
    network *n = network_new(shape);
    add_row(alone, 7, 150, MIXED);
    add_row(among, 1, 5, CAUSAL);
    add_row(among, 2, 100, DOCUMENTS);
    add_row(among, 7, 150, MIXED);
    add_row(among, 3, 128, CAUSAL);
    add_row(among, 7, 150, MIXED);
    scores *a = score(n, options, alone), *b = score(n, options, among);
    same_row(alone, 0, a, among, 2, b);
    same_row(alone, 0, a, among, 4, b);
    free(a);
    free(b);
    network_free(n);
    free(alone);
    free(among);
}

/* Gemma: a window on one layer of the two. */
static void test_batch_and_place(void **state) {
    same_wherever(f32, &network_shapes[0]);
    same_wherever(bf16, &network_shapes[4]);
}

#ifdef EM_EMULATED
/* The order in which a block's threads go on must not matter between two meetings. */
static void test_order_of_threads(void **state) {
    rows *r = some_rows();
    network *n = network_new(&network_shapes[2]);
    scores *forwards = score(n, bf16, r);
    em_emulator_backwards = true;
    scores *backwards = score(n, bf16, r);
    em_emulator_backwards = false;
    for (int row = 0; row < r->n; row++) same_row(r, row, forwards, r, row, backwards);
    free(forwards);
    free(backwards);
    network_free(n);
    free(r);
}
#endif

/* ---- two models ---- */

static const double alphas[] = {-2, -1, -0.3, 0, 0.5, 3};
#define N_ALPHAS ((int)(sizeof alphas / sizeof *alphas))

typedef struct pair_scores {
    scores before, after;
    double alpha_nll[MAX_TOKENS * N_ALPHAS * LABELS], kl[MAX_TOKENS];
    int32_t alpha_argmax[MAX_TOKENS * N_ALPHAS];
} pair_scores;

static pair_scores *score_both(const network *before, const network *after,
                               em_backend_options options, const rows *r, int n_alphas,
                               bool general) {
    em_error err = EM_ERROR_INIT;
    pair_scores *s = calloc(1, sizeof *s);
    em_backend *b = open_backend(&options, &err);
    check(&err);
    em_row_batch batch = batch_of(r);
    em_activations *x[] = {forward_rows(b, before, r, &batch), forward_rows(b, after, r, &batch)};
    em_head *h[] = {b->ops->head_load(b, &before->head, &err),
                    b->ops->head_load(b, &after->head, &err)};
    check(&err);
    em_pair_request request = {
        .labels = {.n_labels = LABELS, .labels = two_labels(r), .digest = true},
        .n_alphas = n_alphas,
        .alphas = alphas + N_ALPHAS - n_alphas,
        .general = general};
    em_pair_scores out = {scores_into(&s->before), scores_into(&s->after), s->alpha_nll,
                          s->alpha_argmax, s->kl};
    b->ops->score_pair(b, h[0], h[1], &request, x[0], x[1], &out);
    check(&b->failure);
    for (int i = 0; i < 2; i++) b->ops->head_free(b, h[i]), b->ops->activations_free(b, x[i]);
    b->ops->close(b);
    return s;
}

static void near(const char *what, int64_t t, double x, double y, double tolerance) {
    if (!(fabs(x - y) <= tolerance * fmax(1, fabs(y))))
        fail_msg("%s, token %lld: %.9f, should be %.9f", what, (long long)t, x, y);
}

/* Against the CPU, whose pairs have a test of their own; and each model as score() has it, bit for
 * bit. */
static void compare_pair(const network *before, const network *after, const rows *r) {
    open_backend = em_backend_cpu_open;
    pair_scores *cpu = score_both(before, after, f32, r, N_ALPHAS, false);
    open_backend = open_cuda;
    pair_scores *pair = score_both(before, after, f32, r, N_ALPHAS, false),
                *general = score_both(before, after, f32, r, N_ALPHAS, true);
    scores *x = score(before, f32, r), *y = score(after, f32, r);
    assert_memory_equal(&pair->before, x, sizeof *x);
    assert_memory_equal(&pair->after, y, sizeof *y);
    const int32_t *labels = two_labels(r);
    for (int64_t t = 0; t < r->tokens; t++) {
        if (labels[LABELS * t] < 0 && labels[LABELS * t + 1] < 0) continue;
        near("KL", t, pair->kl[t], cpu->kl[t], 2e-5);
        for (int64_t i = t * N_ALPHAS * LABELS; i < (t + 1) * N_ALPHAS * LABELS; i++) {
            near("alpha", t, pair->alpha_nll[i], cpu->alpha_nll[i], 5e-5);
            near("alpha, general", t, general->alpha_nll[i], pair->alpha_nll[i], 1e-6);
        }
        assert_memory_equal(general->alpha_argmax + t * N_ALPHAS, pair->alpha_argmax + t * N_ALPHAS,
                            sizeof alphas / 2);
        assert_int_equal(pair->alpha_argmax[t * N_ALPHAS + 1], x->argmax[t]);
        assert_int_equal(pair->alpha_argmax[t * N_ALPHAS + 3], y->argmax[t]);
    }
    free(cpu);
    free(pair);
    free(general);
    free(x);
    free(y);
}

static void test_pair(void **state) {
    rows *r = some_rows();
    network *before = network_new(&network_shapes[0]), *after = network_new(&network_shapes[4]);
    compare_pair(before, after, r);
    network_free(before);
    network_free(after);
    free(r);
}

/* Small logits that hardly differ, and very large ones: against the same logits in double. */
static void check_kl(float before, float after) {
    rows *r = calloc(1, sizeof *r);
    add_row(r, 4, 20, CAUSAL);
    network *x = network_new(&network_shapes[0]), *y = network_new(&network_shapes[5]);
    amplify(x, before);
    amplify(y, after);
    pair_scores *s = score_both(x, y, f32, r, 1, false);
    double *p = log_probabilities(x, f32, r), *q = log_probabilities(y, f32, r);
    for (int64_t t = 0; t < r->tokens; t++) {
        if (r->labels[t] < 0) continue;
        double kl = kl_of(q + t * NETWORK_VOCAB, p + t * NETWORK_VOCAB);
        if (!(fabs(s->kl[t] - kl) <= 1e-5 * kl))
            fail_msg("token %d: KL %.9g, should be %.9g", (int)t, s->kl[t], kl);
    }
    free(p);
    free(q);
    free(s);
    network_free(x);
    network_free(y);
    free(r);
}

static void test_kl(void **state) {
    check_kl(1e-6f, 1e-6f);
    check_kl(1e30f, 1e6f);
}

/* An alpha's bits are those that it has alone. */
static void test_alpha_alone(void **state) {
    rows *r = some_rows();
    network *before = network_new(&network_shapes[0]), *after = network_new(&network_shapes[5]);
    pair_scores *many = score_both(before, after, bf16, r, N_ALPHAS, false),
                *one = score_both(before, after, bf16, r, 1, false);
    for (int64_t t = 0; t < r->tokens; t++)
        assert_memory_equal(one->alpha_nll + t * LABELS,
                            many->alpha_nll + ((t + 1) * N_ALPHAS - 1) * LABELS,
                            LABELS * sizeof(double));
    free(many);
    free(one);
    network_free(before);
    network_free(after);
    free(r);
}

#endif

/* ---- what must be refused ---- */

static void expect_error(const em_error *err, em_status status, const char *text) {
    if (err->status != status || !strstr(err->text, text))
        fail_msg("got %d: %s; expected: %s", err->status, err->text, text);
}

static void expect_layer_error(em_backend_options options, em_layer_weight weight, int o, int i,
                               uint16_t bits, const char *text) {
    em_error err = EM_ERROR_INIT;
    em_backend *b = open_cuda(&options, &err);
    check(&err);
    network *n = network_new(&network_shapes[0]);
    const em_weight *w = &n->layers[0].of[weight];
    memcpy((char *)(uintptr_t)w->data + 2 * em_weight_index(w, o, i), &bits, 2);
    assert_null(b->ops->layer_load(b, network_layer(n, 0), &n->layers[0], &err));
    expect_error(&err, EM_INPUT, text);
    network_free(n);
    b->ops->close(b);
}

static void test_weights_refused(void **state) {
    const uint16_t nan_bits = 0x7fc0, minus_infinity = 0xff80, large = 0x47c3; /* 99 840 in bf16 */
    expect_layer_error(bf16, EM_W_Q, 7, 11, nan_bits, "tensor q: output 7, input 11 is NaN");
    expect_layer_error(f32, EM_W_DOWN, 95, 199, minus_infinity,
                       "tensor down: output 95, input 199 is infinite");
    expect_layer_error(f16, EM_W_UP, 199, 95, nan_bits, "tensor up: output 199, input 95 is NaN");
    expect_layer_error(f16, EM_W_V, 3, 0, large,
                       "tensor v: output 3 has a value that f16 cannot hold");
    expect_layer_error(bf16, EM_W_ATTENTION_IN, 95, 0, nan_bits,
                       "tensor attention_in: element 95 is NaN");
}

static void expect_embed_error(const network *n, const rows *r, const char *text) {
    em_error err = EM_ERROR_INIT;
    em_backend *b = open_cuda(&f32, &err);
    em_activations *a = b->ops->activations_new(b, network_layer(n, 0), 256, r->n, &err);
    em_row_batch batch = batch_of(r);
    assert_false(b->ops->embed(b, &n->embedding, &batch, a, &err));
    expect_error(&err, EM_INPUT, text);
    b->ops->activations_free(b, a);
    b->ops->close(b);
}

static void test_tokens_refused(void **state) {
    network *llama = network_new(&network_shapes[0]), *gpt2 = network_new(&network_shapes[3]);
    rows *r = calloc(1, sizeof *r);
    add_row(r, 1, 200, CAUSAL);
    r->positions[150] = NETWORK_POSITIONS;
    expect_embed_error(gpt2, r, "position 700 is outside the model's 700 learned positions");
    r->ids[149] = NETWORK_VOCAB;
    expect_embed_error(llama, r, "token id 1100 is outside the model's vocabulary of 1100");
    free(r);
    network_free(llama);
    network_free(gpt2);
}

int main(void) {
    em_error err = EM_ERROR_INIT;
    em_backend *b = open_cuda(&f32, &err);
    if (!b) {
        printf("skipped: %s\n", err.text);
        return 77; /* ctest's SKIP_RETURN_CODE */
    }
    b->ops->close(b);
    open_backend = open_cuda;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bf16),
#ifdef EM_EMULATED
        cmocka_unit_test(test_streams),
#endif
#ifndef EM_SHORT
        cmocka_unit_test(test_f32),
        cmocka_unit_test(test_f16),
        cmocka_unit_test(test_batch_and_place),
#ifdef EM_EMULATED
        cmocka_unit_test(test_order_of_threads),
#endif
        cmocka_unit_test(test_pair),
        cmocka_unit_test(test_kl),
        cmocka_unit_test(test_alpha_alone),
#endif
        cmocka_unit_test(test_weights_refused),
        cmocka_unit_test(test_tokens_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
