/* The CPU backend as a whole on small random networks: against the naive forward pass, and bit
 * for bit against itself over threads, batches and places. */
#include <math.h>
#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <dirent.h>

#include "tests/kernels/rows.h"

/* ---- scores ---- */

typedef struct scores {
    double nll[MAX_TOKENS];
    int32_t argmax[MAX_TOKENS];
    uint64_t digest[MAX_TOKENS];
} scores;

static scores *score(const network *n, em_backend_options options, const rows *r) {
    scores *s = calloc(1, sizeof *s);
    em_scores out = {s->nll, s->argmax, s->digest};
    score_labels(n, options, r, 1, r->labels, &out);
    return s;
}

static const em_backend_options f32 = {.threads = 2, .compute = EM_F32};

/* ---- against the naive forward pass ---- */

static void compare_row(const network *n, const rows *r, int row, const scores *s,
                        double tolerance) {
    double nll[MAX_TOKENS];
    int32_t argmax[MAX_TOKENS];
    int64_t at = r->start[row];
    naive_score(n, r->length[row], r->ids + at, r->positions + at, r->lo + at, r->hi + at,
                r->labels + at, nll, argmax);
    for (int i = 0; i < r->length[row]; i++) {
        if (r->labels[at + i] < 0) continue;
        if (fabs(nll[i] - s->nll[at + i]) > tolerance * fmax(1, nll[i]))
            fail_msg("%s: row %d, token %d: nll %.8f, should be %.8f", n->shape.name, row, i,
                     s->nll[at + i], nll[i]);
        if (tolerance < 1e-3) assert_int_equal(argmax[i], s->argmax[at + i]);
    }
}

static void compare_networks(em_backend_options options, double tolerance) {
    rows *r = calloc(1, sizeof *r);
    add_row(r, 1, 150, MIXED);
    add_row(r, 2, 1, CAUSAL);
    add_row(r, 3, 128, DOCUMENTS);
    for (int i = 0; i < n_network_shapes; i++) {
        network *n = network_new(&network_shapes[i]);
        scores *s = score(n, options, r);
        for (int row = 0; row < r->n; row++) compare_row(n, r, row, s, tolerance);
        free(s);
        network_free(n);
    }
    free(r);
}

static void test_naive(void **state) { compare_networks(f32, 1e-5); }

static void test_naive_portable(void **state) {
    compare_networks((em_backend_options){.threads = 2, .compute = EM_F32, .portable = true}, 1e-5);
}

/* A test of formats and routing, not of accuracy: random networks amplify rounding. */
static void test_bf16(void **state) {
    compare_networks((em_backend_options){.threads = 2, .compute = EM_BF16}, 0.1);
    compare_networks((em_backend_options){.threads = 2, .compute = EM_BF16, .portable = true}, 0.1);
}

/* ---- the same bits ---- */

static void same_row(const rows *r, int row, const scores *s, const rows *other_r, int other_row,
                     const scores *other) {
    int64_t x = r->start[row], y = other_r->start[other_row];
    for (int i = 0; i < r->length[row]; i++) {
        if (r->labels[x + i] < 0) continue;
        assert_memory_equal(&s->nll[x + i], &other->nll[y + i], sizeof(double));
        assert_int_equal(s->argmax[x + i], other->argmax[y + i]);
        assert_true(s->digest[x + i] == other->digest[y + i]);
    }
}

static void same_over_threads(const network *n, em_backend_options options, const rows *r) {
    static const int threads[] = {2, 3, 5, 7};
    options.threads = 1;
    scores *one = score(n, options, r);
    for (size_t i = 0; i < sizeof threads / sizeof *threads; i++) {
        options.threads = threads[i];
        scores *many = score(n, options, r);
        for (int row = 0; row < r->n; row++) same_row(r, row, one, r, row, many);
        free(many);
    }
    free(one);
}

static void test_threads(void **state) {
    rows *r = calloc(1, sizeof *r);
    add_row(r, 1, 300, MIXED);
    add_row(r, 2, 700, DOCUMENTS);
    add_row(r, 3, 40, CAUSAL);
    for (int i = 0; i < n_network_shapes; i++) {
        network *n = network_new(&network_shapes[i]);
        same_over_threads(n, f32, r);
        same_over_threads(n, (em_backend_options){.compute = EM_BF16}, r);
        if (i == 0)
            same_over_threads(n, (em_backend_options){.compute = EM_BF16, .portable = true}, r);
        network_free(n);
    }
    free(r);
}

static void test_batch_and_place(void **state) {
    rows *alone = calloc(1, sizeof *alone), *among = calloc(1, sizeof *among);
    add_row(alone, 7, 333, MIXED);
    add_row(among, 1, 5, CAUSAL);
    add_row(among, 2, 260, DOCUMENTS);
    add_row(among, 7, 333, MIXED);
    add_row(among, 3, 129, CAUSAL);
    add_row(among, 7, 333, MIXED);
    for (int i = 0; i < n_network_shapes; i++) {
        network *n = network_new(&network_shapes[i]);
        scores *a = score(n, f32, alone), *b = score(n, f32, among);
        same_row(alone, 0, a, among, 2, b);
        same_row(alone, 0, a, among, 4, b);
        free(a);
        free(b);
        network_free(n);
    }
    free(alone);
    free(among);
}

/* Labels asked for together or alone, with digests or without: the same figures; what has no
 * label is left alone. */
static void test_labels(void **state) {
    network *n = network_new(&network_shapes[0]);
    rows *r = calloc(1, sizeof *r);
    add_row(r, 1, 200, CAUSAL);
    add_row(r, 2, 130, CAUSAL);
    int32_t labels[3 * 330];
    double nll[3 * 330];
    int32_t argmax[330];
    for (int t = 0; t < 330; t++) {
        argmax[t] = -5;
        for (int j = 0; j < 3; j++) {
            labels[3 * t + j] = t >= 200 ? -1
                                : j == 1 ? r->labels[t]
                                : j == 2 ? (t * 7) % NETWORK_VOCAB
                                         : -1;
            nll[3 * t + j] = -7;
        }
    }
    scores *one = score(n, f32, r);
    score_labels(n, f32, r, 3, labels, &(em_scores){nll, argmax, NULL});
    for (int t = 0; t < 330; t++) {
        assert_true(nll[3 * t] == -7);
        if (labels[3 * t + 1] < 0) assert_true(nll[3 * t + 1] == -7);
        else assert_memory_equal(&nll[3 * t + 1], &one->nll[t], sizeof(double));
        if (t < 200) assert_true(nll[3 * t + 2] > 0);
        if (t < 200 && r->labels[t] >= 0) assert_int_equal(argmax[t], one->argmax[t]);
        if (t >= 200) assert_int_equal(argmax[t], -5);
    }
    free(one);
    free(r);
    network_free(n);
}

/* ---- the document mask ---- */

/* Under the document mask, a row of documents gives what each document gives alone; and with
 * rotary embedding it does not matter whether positions start again. */
static void test_documents(void **state) {
    network *n = network_new(&network_shapes[0]);
    rows *packed = calloc(1, sizeof *packed), *alone = calloc(1, sizeof *alone);
    add_row(packed, 1, 3 * DOCUMENT, DOCUMENTS);
    add_row(alone, 1, 3 * DOCUMENT, DOCUMENTS);
    alone->n = 3;
    for (int i = 0; i < 3; i++) {
        alone->start[i] = i * DOCUMENT;
        alone->length[i] = DOCUMENT;
        for (int t = 0; t < DOCUMENT; t++)
            alone->lo[i * DOCUMENT + t] = 0, alone->hi[i * DOCUMENT + t] = t + 1;
    }
    scores *a = score(n, f32, packed), *b = score(n, f32, alone);
    for (int t = 0; t < 3 * DOCUMENT; t++) packed->positions[t] = t;
    scores *c = score(n, f32, packed);
    for (int t = 0; t < 3 * DOCUMENT; t++) {
        if (packed->labels[t] < 0) continue;
        assert_true(fabs(a->nll[t] - b->nll[t]) < 2e-5);
        assert_true(fabs(a->nll[t] - c->nll[t]) < 2e-5);
    }
    free(a);
    free(b);
    free(c);
    free(packed);
    free(alone);
    network_free(n);
}

/* ---- threads ---- */

static int threads_of_process(void) {
    int n = 0;
    DIR *d = opendir("/proc/self/task");
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

/* With one thread there is one: neither oneDNN nor anything else opens a team, whatever OpenMP's
 * own setting; and that setting is left as it was. Runs first, before any team exists. */
static void test_one_thread(void **state) {
    network *n = network_new(&network_shapes[1]);
    rows *r = calloc(1, sizeof *r);
    add_row(r, 1, 300, CAUSAL);
    omp_set_num_threads(4);
    free(score(n, (em_backend_options){.threads = 1, .compute = EM_F32}, r));
    free(score(n, (em_backend_options){.threads = 1, .compute = EM_BF16}, r));
    assert_int_equal(threads_of_process(), 1);
    assert_int_equal(omp_get_max_threads(), 4);
    free(r);
    network_free(n);
}

/* ---- what must be refused ---- */

static void expect_error(const em_error *err, em_status status, const char *text) {
    if (err->status != status || !strstr(err->text, text))
        fail_msg("got %d: %s; expected: %s", err->status, err->text, text);
}

static void poison(const em_weight *w, int64_t o, int64_t i, bool infinite) {
    static const uint16_t nan_bf16 = 0x7fc0, inf_bf16 = 0xff80;
    assert_int_equal(w->dtype, EM_BF16);
    memcpy((char *)(uintptr_t)w->data + 2 * em_weight_index(w, o, i),
           infinite ? &inf_bf16 : &nan_bf16, 2);
}

static void test_weights_not_finite(void **state) {
    static const struct {
        em_layer_weight weight;
        int o, i;
        bool infinite;
        const char *text;
    } cases[] = {
        {EM_W_ATTENTION_IN, 95, 0, false, "tensor attention_in: element 95 is NaN"},
        {EM_W_Q, 7, 11, false, "tensor q: output 7, input 11 is NaN"},
        {EM_W_V, 47, 95, true, "tensor v: output 47, input 95 is infinite"},
        {EM_W_GATE, 199, 0, true, "tensor gate: output 199, input 0 is infinite"},
        {EM_W_UP, 199, 1, false, "tensor up: output 199, input 1 is NaN"},
        {EM_W_DOWN, 0, 199, false, "tensor down: output 0, input 199 is NaN"},
    };
    em_error none = EM_ERROR_INIT;
    em_backend *b = em_backend_cpu_open(&f32, &none);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        network *n = network_new(&network_shapes[0]);
        em_error err = EM_ERROR_INIT;
        poison(&n->layers[0].of[cases[c].weight], cases[c].o, cases[c].i, cases[c].infinite);
        assert_null(b->ops->layer_load(b, network_layer(n, 0), &n->layers[0], &err));
        expect_error(&err, EM_INPUT, cases[c].text);
        network_free(n);
    }
    network *n = network_new(&network_shapes[0]);
    em_error err = EM_ERROR_INIT;
    poison(&n->head.output, NETWORK_VOCAB - 1, 3, false);
    assert_null(b->ops->head_load(b, &n->head, &err));
    expect_error(&err, EM_INPUT, "tensor output: output 1099, input 3 is NaN");
    network_free(n);
    b->ops->close(b);
}

static void expect_embed_error(const network *n, const rows *r, const char *text) {
    em_error err = EM_ERROR_INIT;
    em_backend *b = em_backend_cpu_open(&f32, &err);
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
    poison(&llama->embedding.tokens, r->ids[20], 5, false);
    char text[64];
    snprintf(text, sizeof text, "tensor tokens: row %d, element 5 is NaN", r->ids[20]);
    expect_embed_error(llama, r, text);
    free(r);
    network_free(llama);
    network_free(gpt2);
}

static void test_options_refused(void **state) {
    em_error err = EM_ERROR_INIT;
    assert_null(em_backend_cpu_open(&(em_backend_options){.threads = 0, .compute = EM_F32}, &err));
    expect_error(&err, EM_USAGE, "--threads 0");
    em_error_init(&err);
    assert_null(em_backend_cpu_open(&(em_backend_options){.threads = 1, .compute = EM_F16}, &err));
    expect_error(&err, EM_USAGE, "--dtype f16");
}

/* The plan must not promise less than what is taken. */
static void test_sizes(void **state) {
    em_error err = EM_ERROR_INIT;
    em_backend *b = em_backend_cpu_open(&f32, &err);
    const em_layer_spec *s = &network_shapes[0].layer;
    size_t weights = (size_t)s->hidden * (size_t)(s->hidden * 2 + 96 + 3 * s->ffn) * sizeof(float);
    assert_true(b->ops->layer_bytes(b, s) >= weights && b->ops->layer_bytes(b, s) < 4 * weights);
    assert_int_equal(b->ops->token_bytes(b, s), (96 + 96 + 48 + 48) * sizeof(float));
    b->ops->close(b);
}

int main(void) {
    if (isa_limit_is_void()) return SKIPPED;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_thread),
        cmocka_unit_test(test_naive),
        cmocka_unit_test(test_naive_portable),
        cmocka_unit_test(test_bf16),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_batch_and_place),
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_documents),
        cmocka_unit_test(test_weights_not_finite),
        cmocka_unit_test(test_tokens_refused),
        cmocka_unit_test(test_options_refused),
        cmocka_unit_test(test_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
