/* The layer-major pass and its memory plan, on a model that lies in memory and notes what is
 * asked of it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "model/network.h"
#include "model/part.h"
#include "tests/kernels/naive.h"

/* ---- a model ---- */

struct em_model {
    network *network;
    em_model_spec spec;
    bool hashed[NETWORK_LAYERS + 2];
    char calls[256]; /* "w1" will need, "d1" done with, "h1" hashed for the first time */
};

static void note(const em_model *m, char what, int part) {
    char *calls = ((em_model *)(uintptr_t)m)->calls;
    size_t n = strlen(calls);
    snprintf(calls + n, sizeof m->calls - n, "%c%d ", what, part);
}

const em_model_spec *em_model_spec_of(const em_model *m) { return &m->spec; }
const em_layer_spec *em_model_layer_spec(const em_model *m, int layer) {
    return network_layer(m->network, layer);
}
const em_embedding *em_model_embedding(const em_model *m) { return &m->network->embedding; }
const em_head_spec *em_model_head(const em_model *m) { return &m->network->head; }
const em_layer_weights *em_model_layer_weights(const em_model *m, int layer) {
    return &m->network->layers[layer];
}
bool em_part_open(const em_model *m, int part, int threads, em_part *out, em_error *err) {
    *out = (em_part){.embedding = m->network->embedding, .head = m->network->head};
    if (part >= 0 && part < NETWORK_LAYERS) out->layer = m->network->layers[part];
    return true;
}
void em_part_close(em_part *p) {}
size_t em_part_bytes(const em_model *m, int part) { return 0; }
void em_model_will_need(const em_model *m, int layer) { note(m, 'w', layer); }
void em_model_done_with(const em_model *m, int layer) { note(m, 'd', layer); }

bool em_model_hash_part(em_model *m, int layer) {
    if (m->hashed[layer + 1]) return false;
    note(m, 'h', layer);
    return m->hashed[layer + 1] = true;
}

static em_model *model_new(const network_shape *shape) {
    em_model *m = calloc(1, sizeof *m);
    const em_layer_spec *s = &shape->layer;
    m->network = network_new(shape);
    m->spec = (em_model_spec){.layers = NETWORK_LAYERS,
                              .hidden = s->hidden,
                              .vocab = NETWORK_VOCAB,
                              .heads = s->heads,
                              .kv_heads = s->kv_heads,
                              .head_dim = s->head_dim,
                              .ffn = s->ffn};
    return m;
}

static void model_free(em_model *m) {
    network_free(m->network);
    free(m);
}

/* ---- a batch of causal rows ---- */

#define ROW 140
#define ROWS 3

typedef struct batch {
    int64_t start[ROWS];
    int32_t length[ROWS], ids[ROWS * ROW], positions[ROWS * ROW], lo[ROWS * ROW], hi[ROWS * ROW],
        labels[ROWS * ROW];
    double nll[ROWS * ROW];
    int32_t argmax[ROWS * ROW];
} batch;

static batch *batch_new(void) {
    batch *b = calloc(1, sizeof *b);
    for (int t = 0; t < ROWS * ROW; t++) {
        b->ids[t] = t * 37 % NETWORK_VOCAB;
        b->labels[t] = t * 91 % NETWORK_VOCAB;
        b->positions[t] = t % ROW;
        b->hi[t] = t % ROW + 1;
    }
    for (int r = 0; r < ROWS; r++) b->start[r] = r * ROW, b->length[r] = ROW;
    return b;
}

static bool score_rows(em_network *n, batch *b, int first, int n_rows, em_error *err) {
    em_row_batch rows = {.n_rows = n_rows,
                         .start = b->start + first,
                         .length = b->length + first,
                         .ids = b->ids,
                         .positions = b->positions,
                         .lo = b->lo,
                         .hi = b->hi};
    em_score_request request = {.n_labels = 1, .labels = b->labels};
    return em_network_score(n, &rows, &request, &(em_scores){b->nll, b->argmax, NULL}, err);
}

static em_backend *backend(int threads) {
    em_error err = EM_ERROR_INIT;
    em_backend *b =
        em_backend_cpu_open(&(em_backend_options){.threads = threads, .compute = EM_F32}, &err);
    assert_non_null(b);
    return b;
}

static em_network_options options(size_t memory) {
    return (em_network_options){
        .memory = memory, .row_tokens = ROW, .want_tokens = 4096, .n_labels = 1};
}

static bool opens(em_model *m, em_backend *b, size_t memory) {
    em_error err = EM_ERROR_INIT;
    em_network_options o = options(memory);
    em_network *n = em_network_open(m, b, &o, &err);
    if (!n) assert_int_equal(err.status, EM_MACHINE);
    em_network_close(n);
    return n != NULL;
}

/* To the byte; the error's own advice must do, and be no more than a MiB too careful. */
static size_t least_memory(em_model *m, em_backend *b) {
    em_error err = EM_ERROR_INIT;
    em_network_options o = options(1 << 16);
    assert_null(em_network_open(m, b, &o, &err));
    const char *advice = strstr(err.text, "--memory at least ");
    assert_non_null(advice);
    size_t low = 0, high = (size_t)atoll(advice + strlen("--memory at least ")) << 20,
           advised = high;
    assert_true(opens(m, b, high));
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (opens(m, b, middle)) high = middle;
        else low = middle;
    }
    assert_true(advised - high <= 1 << 20);
    return high;
}

/* ---- tests ---- */

static void test_padded(void **state) {
    assert_int_equal(em_network_padded(1), EM_TILE);
    assert_int_equal(em_network_padded(EM_TILE), EM_TILE);
    assert_int_equal(em_network_padded(EM_TILE + 1), 2 * EM_TILE);
}

/* Every family's order of stages: against the naive forward pass. */
static void test_against_naive(void **state) {
    double nll[ROW];
    int32_t argmax[ROW];
    for (int i = 0; i < n_network_shapes; i++) {
        em_error err = EM_ERROR_INIT;
        em_model *m = model_new(&network_shapes[i]);
        em_backend *b = backend(2);
        em_network_options o = options((size_t)1 << 30);
        em_network *n = em_network_open(m, b, &o, &err);
        batch *rows = batch_new();
        assert_true(score_rows(n, rows, 1, 1, &err));
        naive_score(m->network, ROW, rows->ids + ROW, rows->positions + ROW, rows->lo + ROW,
                    rows->hi + ROW, rows->labels + ROW, nll, argmax);
        for (int t = 0; t < ROW; t++) {
            assert_true(fabs(nll[t] - rows->nll[ROW + t]) < 1e-5 * fmax(1, nll[t]));
            assert_int_equal(argmax[t], rows->argmax[ROW + t]);
        }
        em_network_close(n);
        b->ops->close(b);
        model_free(m);
        free(rows);
    }
}

/* Weights kept or packed anew, one row at a time or all: the same bits. */
static void test_memory_changes_no_bit(void **state) {
    em_error err = EM_ERROR_INIT;
    em_model *m = model_new(&network_shapes[0]);
    em_backend *b = backend(1);
    em_network_options much = options((size_t)1 << 30), little = options(least_memory(m, b));
    em_network *kept = em_network_open(m, b, &much, &err),
               *packed = em_network_open(m, b, &little, &err);
    assert_non_null(kept);
    assert_non_null(packed);
    assert_int_equal(em_network_capacity(kept), 4096);
    assert_true(em_network_capacity(packed) >= em_network_padded(ROW) &&
                em_network_capacity(packed) % EM_TILE == 0);
    batch *x = batch_new(), *y = batch_new();
    for (int i = 0; i < 4; i++) assert_true(score_rows(kept, x, 0, ROWS, &err));
    for (int r = 0; r < ROWS; r++) {
        m->calls[0] = 0;
        assert_true(score_rows(packed, y, r, 1, &err));
        if (r > 0) assert_string_equal(m->calls, "w0 d-1 d0 w1 d1 w2 d2 ");
    }
    assert_memory_equal(x->nll, y->nll, sizeof x->nll);
    assert_memory_equal(x->argmax, y->argmax, sizeof x->argmax);
    assert_true(score_rows(kept, x, 0, ROWS, &err));
    assert_memory_equal(x->nll, y->nll, sizeof x->nll);
    em_network_close(kept);
    em_network_close(packed);
    b->ops->close(b);
    model_free(m);
    free(x);
    free(y);
}

/* Each part is hashed once, while it is read, and let go; the next is read ahead. From the fourth
 * batch on weights that fit are kept. */
static void test_parts_pass_in_order(void **state) {
    em_error err = EM_ERROR_INIT;
    em_model *m = model_new(&network_shapes[0]);
    em_backend *b = backend(1);
    em_network_options o = options((size_t)1 << 30);
    em_network *n = em_network_open(m, b, &o, &err);
    batch *rows = batch_new();
    assert_true(score_rows(n, rows, 0, 1, &err));
    assert_string_equal(m->calls, "w0 h-1 d-1 h0 d0 w1 h1 d1 w2 h2 d2 ");
    for (int i = 1; i < 5; i++) {
        m->calls[0] = 0;
        assert_true(score_rows(n, rows, 0, 1, &err));
        assert_string_equal(m->calls, i < 4 ? "w0 d-1 d0 w1 d1 w2 d2 " : "d-1 ");
    }
    em_network_close(n);
    b->ops->close(b);
    model_free(m);
    free(rows);
}

/* A device keeps from the first batch on what fits, and its batches do not depend on the host's
 * threads. */
static void test_device_keeps_at_once(void **state) {
    em_error err = EM_ERROR_INIT;
    em_model *m = model_new(&network_shapes[0]);
    em_backend *b = backend(1);
    em_network_options o = options((size_t)1 << 30);
    o.want_tokens = 1 << 14;
    b->device_memory = o.memory; /* as one that is not the host would say */
    em_network *n = em_network_open(m, b, &o, &err);
    assert_int_equal(em_network_capacity(n), 1 << 14);
    batch *rows = batch_new();
    for (int i = 0; i < 2; i++) {
        m->calls[0] = 0;
        assert_true(score_rows(n, rows, 0, 1, &err));
        assert_string_equal(m->calls, i == 0 ? "w0 h-1 d-1 h0 d0 w1 h1 d1 w2 h2 d2 " : "d-1 ");
    }
    em_network_close(n);
    b->ops->close(b);
    model_free(m);
    free(rows);
}

/* ---- pairs ---- */

#define ALPHAS 3
static const double alphas[] = {-1, 0, 0.5};

typedef struct pair {
    em_model *models[2];
    em_network *networks[2];
    batch *batches[2]; /* the models' own scores */
    double alpha_nll[ROWS * ROW * ALPHAS], kl[ROWS * ROW];
    int32_t alpha_argmax[ROWS * ROW * ALPHAS];
} pair;

static pair *pair_new(em_backend *b, const em_network_options *before,
                      const em_network_options *after) {
    em_error err = EM_ERROR_INIT;
    const em_network_options *o[] = {before, after};
    pair *p = calloc(1, sizeof *p);
    for (int i = 0; i < 2; i++) {
        p->models[i] = model_new(&network_shapes[i]);
        p->networks[i] = em_network_open(p->models[i], b, o[i], &err);
        assert_non_null(p->networks[i]);
        p->batches[i] = batch_new();
    }
    return p;
}

static void pair_free(pair *p) {
    for (int i = 0; i < 2; i++) {
        em_network_close(p->networks[i]);
        model_free(p->models[i]);
        free(p->batches[i]);
    }
    free(p);
}

static bool score_pair(pair *p, const double *values, int n_alphas, int n_rows, em_error *err) {
    batch *x = p->batches[0], *y = p->batches[1];
    em_row_batch rows = {.n_rows = n_rows,
                         .start = x->start,
                         .length = x->length,
                         .ids = x->ids,
                         .positions = x->positions,
                         .lo = x->lo,
                         .hi = x->hi};
    em_pair_request request = {
        .labels = {.n_labels = 1, .labels = x->labels}, .n_alphas = n_alphas, .alphas = values};
    em_pair_scores out = {
        {x->nll, x->argmax, NULL}, {y->nll, y->argmax, NULL}, p->alpha_nll, p->alpha_argmax, p->kl};
    return em_network_forward(p->networks[0], &rows, err) &&
           em_network_forward(p->networks[1], &rows, err) &&
           em_network_head_pair(p->networks[0], p->networks[1], &rows, &request, &out, err);
}

static void same_as_alone(const pair *p) {
    em_error err = EM_ERROR_INIT;
    for (int i = 0; i < 2; i++) {
        batch *alone = batch_new();
        assert_true(score_rows(p->networks[i], alone, 0, ROWS, &err));
        assert_memory_equal(alone->nll, p->batches[i]->nll, sizeof alone->nll);
        assert_memory_equal(alone->argmax, p->batches[i]->argmax, sizeof alone->argmax);
        for (int t = 0; t < ROWS * ROW; t++)
            assert_memory_equal(&p->alpha_nll[t * ALPHAS + i], &alone->nll[t], sizeof *alone->nll);
        free(alone);
    }
    for (int t = 0; t < ROWS * ROW; t++)
        assert_true(p->kl[t] > 0 && isfinite(p->alpha_nll[t * ALPHAS + 2]));
}

/* With weights kept, or packed for each batch. */
static void test_pair(void **state) {
    em_error err = EM_ERROR_INIT;
    em_backend *b = backend(2);
    em_network_options much = options((size_t)1 << 30), little[2];
    pair *kept = pair_new(b, &much, &much);
    for (int i = 0; i < 2; i++) {
        little[i] = options(least_memory(kept->models[i], b));
    }
    for (int i = 0; i < 5; i++) assert_true(score_pair(kept, alphas, ALPHAS, ROWS, &err));
    same_as_alone(kept);
    pair *packed = pair_new(b, &little[0], &little[1]);
    assert_true(score_pair(packed, alphas, ALPHAS, 1, &err));
    assert_memory_equal(packed->kl, kept->kl, ROW * sizeof *kept->kl);
    assert_memory_equal(packed->alpha_nll, kept->alpha_nll, ROW * ALPHAS * sizeof *kept->alpha_nll);
    pair_free(packed);
    pair_free(kept);
    b->ops->close(b);
}

static void expect_error(const em_error *err, em_status status, const char *text) {
    if (err->status != status || !strstr(err->text, text))
        fail_msg("got %d: %s; expected: %s", err->status, err->text, text);
}

static void test_pair_refused(void **state) {
    static double many[EM_PAIR_MAX_ALPHAS + 1];
    em_error vocab = EM_ERROR_INIT, number = EM_ERROR_INIT, size = EM_ERROR_INIT;
    em_backend *b = backend(1);
    em_network_options o = options((size_t)1 << 30), small = o;
    small.want_tokens = 256;
    pair *p = pair_new(b, &o, &small);
    assert_false(score_pair(p, many, EM_PAIR_MAX_ALPHAS + 1, 1, &number));
    expect_error(&number, EM_USAGE, "129 alphas: a pair takes at most 128");
    assert_false(score_pair(p, alphas, ALPHAS, 2, &size));
    expect_error(&size, EM_MACHINE, "more than 256 padded tokens");
    pair_free(p);
    small.vocab = 1099;
    p = pair_new(b, &o, &small);
    assert_false(score_pair(p, alphas, ALPHAS, 1, &vocab));
    expect_error(&vocab, EM_USAGE, "these have 1100 and 1099 tokens");
    pair_free(p);
    b->ops->close(b);
}

/* The memory that alphas take at the caller's is part of the plan. */
static void test_alphas_take_memory(void **state) {
    em_error err = EM_ERROR_INIT;
    em_model *m = model_new(&network_shapes[0]);
    em_backend *b = backend(1);
    em_network_options none = options(least_memory(m, b) + ((size_t)1 << 19)), some = none;
    some.n_alphas = 100;
    em_network *x = em_network_open(m, b, &none, &err), *y = em_network_open(m, b, &some, &err);
    assert_non_null(x);
    assert_non_null(y);
    assert_true(em_network_capacity(x) > em_network_capacity(y));
    em_network_close(x);
    em_network_close(y);
    b->ops->close(b);
    model_free(m);
}

/* ---- what must be refused ---- */

static void test_too_little_memory(void **state) {
    em_error err = EM_ERROR_INIT;
    em_model *m = model_new(&network_shapes[0]);
    em_backend *b = backend(1);
    em_network_options o = options(1 << 20);
    assert_null(em_network_open(m, b, &o, &err));
    assert_int_equal(err.status, EM_MACHINE);
    assert_non_null(
        strstr(err.text, "a memory of 1 MiB cannot hold one layer and one row of 140 tokens"));
    b->ops->close(b);
    model_free(m);
}

static void test_batch_too_large(void **state) {
    em_error err = EM_ERROR_INIT;
    em_model *m = model_new(&network_shapes[0]);
    em_backend *b = backend(1);
    em_network_options o = {
        .memory = (size_t)1 << 30, .row_tokens = ROW, .want_tokens = 256, .n_labels = 1};
    em_network *n = em_network_open(m, b, &o, &err);
    assert_int_equal(em_network_capacity(n), 256);
    batch *rows = batch_new();
    assert_false(score_rows(n, rows, 0, 2, &err));
    assert_int_equal(err.status, EM_MACHINE);
    em_network_close(n);
    b->ops->close(b);
    model_free(m);
    free(rows);
}

/* Finite weights whose product is not: the loss says so instead of being NaN. */
static void make_overflow(em_model *m) {
    static float huge[530 * 200];
    em_weight *up = &m->network->layers[1].of[EM_W_UP];
    int64_t out = up->out, in = up->in;
    assert_true(out * in <= 530 * 200);
    for (int i = 0; i < 530 * 200; i++) huge[i] = i % 2 ? 3e38f : 2e38f;
    *up = (em_weight){.data = huge,
                      .dtype = EM_F32,
                      .out = out,
                      .in = in,
                      .out_stride = in,
                      .in_stride = 1,
                      .block = out,
                      .name = "up"};
}

/* In either model of a pair; but an alpha may have no loss. */
static void test_pair_overflow(void **state) {
    static const double far[] = {1e300};
    em_backend *b = backend(1);
    em_network_options o = options((size_t)1 << 30);
    for (int i = 0; i < 3; i++) {
        em_error err = EM_ERROR_INIT;
        pair *p = pair_new(b, &o, &o);
        if (i < 2) make_overflow(p->models[i]);
        bool ok = score_pair(p, far, 1, ROWS, &err);
        assert_int_equal(ok, i == 2);
        if (ok) assert_false(isfinite(p->alpha_nll[0]));
        else expect_error(&err, EM_INPUT, "position 0 of row 0 of the batch is not finite");
        pair_free(p);
    }
    b->ops->close(b);
}

static void test_overflow(void **state) {
    em_error err = EM_ERROR_INIT;
    em_model *m = model_new(&network_shapes[0]);
    em_backend *b = backend(1);
    make_overflow(m);
    em_network_options o = options((size_t)1 << 30);
    em_network *n = em_network_open(m, b, &o, &err);
    batch *rows = batch_new();
    assert_false(score_rows(n, rows, 0, ROWS, &err));
    assert_int_equal(err.status, EM_INPUT);
    assert_non_null(strstr(err.text, "position 0 of row 0 of the batch is not finite"));
    em_network_close(n);
    b->ops->close(b);
    model_free(m);
    free(rows);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_padded),
        cmocka_unit_test(test_against_naive),
        cmocka_unit_test(test_memory_changes_no_bit),
        cmocka_unit_test(test_parts_pass_in_order),
        cmocka_unit_test(test_device_keeps_at_once),
        cmocka_unit_test(test_pair),
        cmocka_unit_test(test_pair_refused),
        cmocka_unit_test(test_pair_overflow),
        cmocka_unit_test(test_alphas_take_memory),
        cmocka_unit_test(test_too_little_memory),
        cmocka_unit_test(test_batch_too_large),
        cmocka_unit_test(test_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
