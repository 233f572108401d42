/* Two models over the same tokens: their own scores are those of score() bit for bit, and alphas
 * and KL are what plain double precision makes of the logits. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "kernels/cpu/cpu.h"
#include "tests/kernels/rows.h"

#define LABELS 2
#define MAX_ALPHAS 12
#define UNTOUCHED (-7)

static const em_backend_options f32 = {.threads = 2, .compute = EM_F32};
static const double many[] = {-2, -1, -0.3, 0, 0.1, 0.5, 1, 1.75, 3};
#define N_MANY ((int)(sizeof many / sizeof *many))

/* ---- both ways to the scores ---- */

typedef struct model_scores {
    double nll[MAX_TOKENS * LABELS];
    int32_t argmax[MAX_TOKENS];
    uint64_t digest[MAX_TOKENS];
} model_scores;

typedef struct pair_scores {
    int n_alphas;
    model_scores before, after;
    double alpha_nll[MAX_TOKENS * MAX_ALPHAS * LABELS], kl[MAX_TOKENS];
    int32_t alpha_argmax[MAX_TOKENS * MAX_ALPHAS];
} pair_scores;

/* A second column beside each token's label: sometimes alone, sometimes in company. */
static const int32_t *two_labels(const rows *r) {
    static int32_t labels[MAX_TOKENS * LABELS];
    for (int64_t t = 0; t < r->tokens; t++) {
        labels[LABELS * t] = r->labels[t];
        labels[LABELS * t + 1] = t % 3 ? -1 : (int32_t)(r->ids[t] * 7 % NETWORK_VOCAB);
    }
    return labels;
}

static em_scores scores_into(model_scores *s) {
    for (int i = 0; i < MAX_TOKENS; i++) {
        s->nll[LABELS * i] = s->nll[LABELS * i + 1] = s->argmax[i] = UNTOUCHED;
        s->digest[i] = 0;
    }
    return (em_scores){s->nll, s->argmax, s->digest};
}

static model_scores *score_alone(const network *n, em_backend_options options, const rows *r) {
    model_scores *s = malloc(sizeof *s);
    em_scores out = scores_into(s);
    score_labels(n, options, r, LABELS, two_labels(r), &out);
    return s;
}

typedef struct alphas {
    int n;
    const double *values;
    bool general;
} alphas;

static em_pair_scores pair_into(pair_scores *s) {
    for (int i = 0; i < MAX_TOKENS * MAX_ALPHAS; i++)
        s->alpha_nll[LABELS * i] = s->alpha_nll[LABELS * i + 1] = s->alpha_argmax[i] = UNTOUCHED;
    for (int i = 0; i < MAX_TOKENS; i++) s->kl[i] = UNTOUCHED;
    return (em_pair_scores){scores_into(&s->before), scores_into(&s->after), s->alpha_nll,
                            s->alpha_argmax, s->kl};
}

static pair_scores *score_both(const network *before, const network *after,
                               em_backend_options options, const rows *r, alphas a) {
    em_error err = EM_ERROR_INIT;
    pair_scores *s = malloc(sizeof *s);
    em_backend *b = em_backend_cpu_open(&options, &err);
    check(&err);
    em_row_batch batch = batch_of(r);
    em_activations *x[] = {forward_rows(b, before, r, &batch), forward_rows(b, after, r, &batch)};
    em_head *h[] = {b->ops->head_load(b, &before->head, &err),
                    b->ops->head_load(b, &after->head, &err)};
    check(&err);
    em_pair_request request = {
        .labels = {.n_labels = LABELS, .labels = two_labels(r), .digest = true},
        .n_alphas = s->n_alphas = a.n,
        .alphas = a.values,
        .general = a.general};
    em_pair_scores out = pair_into(s);
    b->ops->score_pair(b, h[0], h[1], &request, x[0], x[1], &out);
    for (int i = 0; i < 2; i++) b->ops->head_free(b, h[i]), b->ops->activations_free(b, x[i]);
    b->ops->close(b);
    return s;
}

static pair_scores *score_many(const network *before, const network *after,
                               em_backend_options options, const rows *r) {
    return score_both(before, after, options, r, (alphas){.n = N_MANY, .values = many});
}

/* ---- comparing ---- */

static void same_model(const model_scores *x, int64_t at, const model_scores *y, int64_t other,
                       int32_t n) {
    assert_memory_equal(x->nll + LABELS * at, y->nll + LABELS * other,
                        (size_t)n * LABELS * sizeof *x->nll);
    assert_memory_equal(x->argmax + at, y->argmax + other, (size_t)n * sizeof *x->argmax);
    assert_memory_equal(x->digest + at, y->digest + other, (size_t)n * sizeof *x->digest);
}

/* Alpha k of x against alpha j of y. */
static void same_alpha(const pair_scores *x, int k, int64_t at, const pair_scores *y, int j,
                       int64_t other, int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        int64_t a = (at + i) * x->n_alphas + k, b = (other + i) * y->n_alphas + j;
        assert_memory_equal(x->alpha_nll + a * LABELS, y->alpha_nll + b * LABELS,
                            LABELS * sizeof *x->alpha_nll);
        assert_int_equal(x->alpha_argmax[a], y->alpha_argmax[b]);
    }
}

static void alpha_is_model(const pair_scores *s, int k, const model_scores *m, int64_t n) {
    for (int64_t t = 0; t < n; t++) {
        int64_t a = t * s->n_alphas + k;
        assert_memory_equal(s->alpha_nll + a * LABELS, m->nll + t * LABELS,
                            LABELS * sizeof *m->nll);
        assert_int_equal(s->alpha_argmax[a], m->argmax[t]);
    }
}

static void same_rows(const pair_scores *x, int64_t at, const pair_scores *y, int64_t other,
                      int32_t n) {
    same_model(&x->before, at, &y->before, other, n);
    same_model(&x->after, at, &y->after, other, n);
    for (int k = 0; k < x->n_alphas; k++) same_alpha(x, k, at, y, k, other, n);
    assert_memory_equal(x->kl + at, y->kl + other, (size_t)n * sizeof *x->kl);
}

static rows *some_rows(void) {
    rows *r = calloc(1, sizeof *r);
    add_row(r, 1, 150, MIXED);
    add_row(r, 2, 1, CAUSAL);
    add_row(r, 3, 128, DOCUMENTS);
    return r;
}

/* Every shape with the next one: hidden sizes, norms, soft caps and dtypes differ. */
typedef struct couple {
    network *before, *after;
} couple;

static couple couple_new(int i) {
    return (couple){network_new(&network_shapes[i]),
                    network_new(&network_shapes[(i + 1) % n_network_shapes])};
}

static void couple_free(couple c) {
    network_free(c.before);
    network_free(c.after);
}

/* ---- the two models themselves ---- */

static void check_models(couple c, em_backend_options options, const rows *r) {
    model_scores *before = score_alone(c.before, options, r),
                 *after = score_alone(c.after, options, r);
    pair_scores *pair = score_many(c.before, c.after, options, r);
    same_model(before, 0, &pair->before, 0, (int32_t)r->tokens);
    same_model(after, 0, &pair->after, 0, (int32_t)r->tokens);
    alpha_is_model(pair, 1, before, r->tokens);
    alpha_is_model(pair, 3, after, r->tokens);
    free(before);
    free(after);
    free(pair);
}

static void test_models_and_ends(void **state) {
    rows *r = some_rows();
    for (int i = 0; i < n_network_shapes; i++) {
        couple c = couple_new(i);
        check_models(c, f32, r);
        check_models(c, (em_backend_options){.threads = 2, .compute = EM_BF16}, r);
        check_models(c, (em_backend_options){.threads = 2, .compute = EM_F32, .portable = true}, r);
        check_models(c, (em_backend_options){.threads = 2, .compute = EM_BF16, .portable = true},
                     r);
        couple_free(c);
    }
    free(r);
}

/* 0 * after + before and after - 0 * before are exact: sums of their own end in the same bits. */
static void test_ends_in_general(void **state) {
    rows *r = some_rows();
    for (int i = 0; i < n_network_shapes; i++) {
        couple c = couple_new(i);
        pair_scores *own = score_many(c.before, c.after, f32, r);
        pair_scores *general = score_both(c.before, c.after, f32, r,
                                          (alphas){N_MANY, many, .general = true});
        same_rows(own, 0, general, 0, (int32_t)r->tokens);
        free(own);
        free(general);
        couple_free(c);
    }
    free(r);
}

static void test_no_alphas(void **state) {
    rows *r = some_rows();
    couple c = couple_new(0);
    pair_scores *none = score_both(c.before, c.after, f32, r, (alphas){0}),
                *some = score_many(c.before, c.after, f32, r);
    same_model(&none->before, 0, &some->before, 0, (int32_t)r->tokens);
    assert_memory_equal(none->kl, some->kl, sizeof none->kl);
    assert_true(none->alpha_nll[0] == UNTOUCHED && none->alpha_argmax[0] == UNTOUCHED);
    free(none);
    free(some);
    couple_free(c);
    free(r);
}

static void test_untouched(void **state) {
    rows *r = some_rows();
    couple c = couple_new(0);
    for (int64_t t = 20; t < 40; t++) r->labels[t] = -1;
    const int32_t *labels = two_labels(r);
    pair_scores *s = score_many(c.before, c.after, f32, r);
    for (int64_t t = 0; t < r->tokens; t++) {
        bool scored = labels[LABELS * t] >= 0 || labels[LABELS * t + 1] >= 0;
        assert_int_equal(s->kl[t] != UNTOUCHED, scored);
        for (int k = 0; k < N_MANY; k++) {
            int64_t a = t * N_MANY + k;
            assert_int_equal(s->alpha_argmax[a] != UNTOUCHED, scored);
            for (int j = 0; j < LABELS; j++)
                assert_int_equal(s->alpha_nll[a * LABELS + j] != UNTOUCHED,
                                 labels[LABELS * t + j] >= 0);
        }
    }
    free(s);
    couple_free(c);
    free(r);
}

/* ---- against plain double precision ---- */

static int largest(const double *z) {
    int best = 0;
    for (int v = 1; v < NETWORK_VOCAB; v++)
        if (z[v] > z[best]) best = v;
    return best;
}

typedef struct tolerance {
    double z; /* error of an alpha's logit */
    double kl;
} tolerance;

/* before, after: one token's logits, up to a constant of each */
static void check_token(const pair_scores *s, int64_t t, const int32_t *labels,
                        const double *before, const double *after, const double *alpha,
                        tolerance by) {
    if (labels[LABELS * t] < 0 && labels[LABELS * t + 1] < 0) return;
    double kl = kl_of(after, before), z[NETWORK_VOCAB];
    if (!(fabs(s->kl[t] - kl) <= by.kl * fmax(1, kl)))
        fail_msg("token %d: KL %.9g, should be %.9g", (int)t, s->kl[t], kl);
    for (int k = 0; k < s->n_alphas; k++) {
        int64_t a = t * s->n_alphas + k;
        double allowed = by.z * (1 + 2 * fabs(alpha[k]));
        for (int v = 0; v < NETWORK_VOCAB; v++)
            z[v] = (1 + alpha[k]) * after[v] - alpha[k] * before[v];
        double total = log_sum(z);
        assert_true(z[largest(z)] - z[s->alpha_argmax[a]] <= 2 * allowed);
        for (int j = 0; j < LABELS; j++) {
            int32_t label = labels[LABELS * t + j];
            double nll = s->alpha_nll[a * LABELS + j];
            if (label >= 0 && !(fabs(nll - (total - z[label])) <= 2 * allowed))
                fail_msg("token %d, alpha %g: nll %.9g, should be %.9g", (int)t, alpha[k], nll,
                         total - z[label]);
        }
    }
}

static double *naive_all(const network *n, const rows *r) {
    double *logits = malloc((size_t)r->tokens * NETWORK_VOCAB * sizeof *logits);
    for (int row = 0; row < r->n; row++) {
        int64_t at = r->start[row];
        naive_logits(n, r->length[row], r->ids + at, r->positions + at, r->lo + at, r->hi + at,
                     logits + at * NETWORK_VOCAB);
    }
    return logits;
}

static void test_naive(void **state) {
    rows *r = some_rows();
    for (int i = 0; i < n_network_shapes; i++) {
        couple c = couple_new(i);
        pair_scores *s = score_many(c.before, c.after, f32, r);
        double *before = naive_all(c.before, r), *after = naive_all(c.after, r);
        const int32_t *labels = two_labels(r);
        for (int64_t t = 0; t < r->tokens; t++)
            check_token(s, t, labels, before + t * NETWORK_VOCAB, after + t * NETWORK_VOCAB, many,
                        (tolerance){2e-5, 2e-5});
        free(before);
        free(after);
        free(s);
        couple_free(c);
    }
    free(r);
}

static void check_against_scores(const network *before, const network *after,
                                 em_backend_options options, const rows *r, alphas a,
                                 tolerance by) {
    pair_scores *s = score_both(before, after, options, r, a);
    double *x = log_probabilities(before, options, r), *y = log_probabilities(after, options, r);
    const int32_t *labels = two_labels(r);
    for (int64_t t = 0; t < r->tokens; t++)
        check_token(s, t, labels, x + t * NETWORK_VOCAB, y + t * NETWORK_VOCAB, a.values, by);
    free(x);
    free(y);
    free(s);
}

/* Logits hundreds apart, and alphas that put the models against each other: whatever exp of any of
 * these is, the losses come out as in double precision. */
static void test_unlike_models(void **state) {
    static const double far[] = {-30, -5, -1, -0.5, 0, 1, 30, 1000};
    static const em_backend_options all[] = {{.threads = 2, .compute = EM_F32},
                                             {.threads = 2, .compute = EM_F32, .portable = true}};
    rows *r = some_rows();
    couple c = couple_new(0);
    amplify(c.before, 40);
    amplify(c.after, 60);
    for (int i = 0; i < 2; i++)
        check_against_scores(c.before, c.after, all[i], r, (alphas){.n = 8, .values = far},
                             (tolerance){3e-5, 1e-5});
    couple_free(c);
    free(r);
}

static void test_against_scores(void **state) {
    rows *r = some_rows();
    couple c = couple_new(1);
    check_against_scores(c.before, c.after, f32, r, (alphas){.n = N_MANY, .values = many},
                         (tolerance){1e-6, 1e-6});
    couple_free(c);
    free(r);
}

/* A model beside itself: KL is 0 to the bit, and any alpha is the model but for rounding. Beside
 * one that hardly differs, KL is small and never below 0 by more than rounding. */
static void test_like_models(void **state) {
    rows *r = some_rows();
    network *n = network_new(&network_shapes[0]), *near = network_new(&network_shapes[0]);
    pair_scores *s = score_many(n, n, f32, r);
    const int32_t *labels = two_labels(r);
    for (int64_t t = 0; t < r->tokens; t++) {
        if (labels[LABELS * t] < 0) continue;
        assert_true(s->kl[t] == 0);
        for (int k = 0; k < N_MANY; k++)
            assert_true(fabs(s->alpha_nll[(t * N_MANY + k) * LABELS] - s->before.nll[t * LABELS]) <
                        1e-5);
    }
    free(s);
    amplify(n, 1);
    amplify(near, 1.001f);
    check_against_scores(n, near, f32, r, (alphas){.n = N_MANY, .values = many},
                         (tolerance){1e-6, 1e-6});
    network_free(n);
    network_free(near);
    free(r);
}

/* Logits of any size beside those of any other, in both directions: KL is what double precision
 * makes of them, to a part of itself. */
static void check_kl(em_backend_options options, float before, float after) {
    rows *r = calloc(1, sizeof *r);
    add_row(r, 4, 20, CAUSAL);
    couple c = {network_new(&network_shapes[0]), network_new(&network_shapes[5])};
    amplify(c.before, before);
    amplify(c.after, after);
    pair_scores *s = score_both(c.before, c.after, options, r, (alphas){0});
    double *x = log_probabilities(c.before, options, r),
           *y = log_probabilities(c.after, options, r);
    for (int64_t t = 0; t < r->tokens; t++) {
        if (s->kl[t] == UNTOUCHED) continue;
        double kl = kl_of(y + t * NETWORK_VOCAB, x + t * NETWORK_VOCAB);
        if (!(fabs(s->kl[t] - kl) <= 1e-5 * kl))
            fail_msg("logits %g and %g times, token %d: KL %.9g, should be %.9g", (double)before,
                     (double)after, (int)t, s->kl[t], kl);
    }
    free(x);
    free(y);
    free(s);
    couple_free(c);
    free(r);
}

static void test_kl_of_all_sizes(void **state) {
    static const float sizes[] = {1e-6f, 1, 1e6f, 1e30f};
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++)
            for (int portable = 0; portable < 2; portable++)
                check_kl(
                    (em_backend_options){.threads = 1, .compute = EM_F32, .portable = portable},
                    sizes[i], sizes[j]);
}

/* An alpha whose logits overflow has no loss, and the rest is as ever. */
static void test_overflowing_alpha(void **state) {
    static const double list[] = {1e300, 0.5};
    rows *r = some_rows();
    couple c = couple_new(0);
    pair_scores *s = score_both(c.before, c.after, f32, r, (alphas){.n = 2, .values = list});
    pair_scores *alone = score_both(c.before, c.after, f32, r,
                                    (alphas){.n = 1, .values = list + 1});
    same_alpha(s, 1, 0, alone, 0, 0, (int32_t)r->tokens);
    for (int64_t t = 0; t < r->tokens; t++) {
        if (s->kl[t] == UNTOUCHED) continue;
        assert_false(r->labels[t] >= 0 && isfinite(s->alpha_nll[2 * LABELS * t]));
        assert_in_range(s->alpha_argmax[2 * t], 0, NETWORK_VOCAB - 1);
    }
    free(s);
    free(alone);
    couple_free(c);
    free(r);
}

/* ---- the same bits ---- */

/* Fewer threads and alphas than elsewhere: no more of either would take another way. */
static void test_threads(void **state) {
    static const int threads[] = {2, 7};
    static const double few[] = {-1, 0.5, 3};
    rows *r = calloc(1, sizeof *r);
    add_row(r, 1, 300, MIXED);
    add_row(r, 2, 700, DOCUMENTS);
    add_row(r, 3, 40, CAUSAL);
    for (int i = 0; i < n_network_shapes; i++)
        for (int bf16 = 0; bf16 < 2; bf16++) {
            couple c = couple_new(i);
            em_backend_options options = {.threads = 1, .compute = bf16 ? EM_BF16 : EM_F32};
            alphas a = {.n = 3, .values = few};
            pair_scores *one = score_both(c.before, c.after, options, r, a);
            for (size_t j = 0; j < sizeof threads / sizeof *threads; j++) {
                options.threads = threads[j];
                pair_scores *more = score_both(c.before, c.after, options, r, a);
                same_rows(one, 0, more, 0, (int32_t)r->tokens);
                free(more);
            }
            free(one);
            couple_free(c);
        }
    free(r);
}

static void test_batch_and_place(void **state) {
    rows *alone = calloc(1, sizeof *alone), *among = calloc(1, sizeof *among);
    add_row(among, 1, 6, CAUSAL);
    add_row(among, 2, 261, DOCUMENTS);
    add_row(alone, 7, 333, MIXED);
    add_row(among, 7, 333, MIXED);
    add_row(among, 3, 129, CAUSAL);
    add_row(among, 7, 333, MIXED); /* each starts at a multiple of 3, as two_labels counts */
    for (int i = 0; i < n_network_shapes; i++) {
        couple c = couple_new(i);
        pair_scores *x = score_many(c.before, c.after, f32, alone),
                    *y = score_many(c.before, c.after, f32, among);
        same_rows(x, 0, y, among->start[2], 333);
        same_rows(x, 0, y, among->start[4], 333);
        free(x);
        free(y);
        couple_free(c);
    }
    free(alone);
    free(among);
}

static void test_alphas_alone(void **state) {
    rows *r = some_rows();
    couple c = couple_new(3);
    pair_scores *list = score_many(c.before, c.after, f32, r);
    for (int k = 0; k < N_MANY; k++) {
        pair_scores *one = score_both(c.before, c.after, f32, r,
                                      (alphas){.n = 1, .values = many + k});
        same_alpha(list, k, 0, one, 0, 0, (int32_t)r->tokens);
        assert_memory_equal(list->kl, one->kl, sizeof list->kl);
        free(one);
    }
    free(list);
    couple_free(c);
    free(r);
}

/* ---- memory ---- */

/* The plan must not promise less scratch than a pair takes. */
static void check_scratch(couple c, em_dtype compute) {
    em_error err = EM_ERROR_INIT;
    em_backend *b = em_backend_cpu_open(&(em_backend_options){.threads = 1, .compute = compute},
                                        &err);
    const network *side[] = {c.before, c.after};
    rows *r = some_rows();
    em_row_batch batch = batch_of(r);
    size_t plan = 0, taken = 0;
    for (int i = 0; i < 2; i++) {
        em_activations *x = forward_rows(b, side[i], r, &batch);
        em_head *h = b->ops->head_load(b, &side[i]->head, &err);
        check(&err);
        b->ops->head_free(b, h);
        b->ops->activations_free(b, x);
        plan += b->ops->fixed_bytes(b, network_layer(side[i], 0),
                                    &side[i]->head); /* each network plans for itself */
    }
    for (int s = 0; s < EM_SCRATCH_COUNT; s++) taken += em_cpu_of(b)->threads[0].bytes[s];
    if (taken > plan)
        fail_msg("%s and %s: %zu bytes taken, %zu planned", side[0]->shape.name,
                 side[1]->shape.name, taken, plan);
    b->ops->close(b);
    free(r);
}

static void test_scratch(void **state) {
    for (int i = 0; i < n_network_shapes; i++) {
        couple c = couple_new(i), same = {c.before, c.before};
        check_scratch(c, EM_F32);
        check_scratch(c, EM_BF16);
        check_scratch(same, EM_F32);
        couple_free(c);
    }
}

int main(void) {
    if (isa_limit_is_void()) return SKIPPED;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_models_and_ends), cmocka_unit_test(test_ends_in_general),
        cmocka_unit_test(test_no_alphas),       cmocka_unit_test(test_untouched),
        cmocka_unit_test(test_naive),           cmocka_unit_test(test_against_scores),
        cmocka_unit_test(test_unlike_models),   cmocka_unit_test(test_like_models),
        cmocka_unit_test(test_kl_of_all_sizes), cmocka_unit_test(test_overflowing_alpha),
        cmocka_unit_test(test_threads),         cmocka_unit_test(test_batch_and_place),
        cmocka_unit_test(test_alphas_alone),    cmocka_unit_test(test_scratch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
