/* The arithmetic that shares of the ceiling rest on, counted by hand on two short rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "model/flops.h"

/* Rows of 3 and 2 tokens: causal, and everything. Pairs: 1 + 2 + 3 and 2 + 2. */
static const int64_t start[] = {0, 3};
static const int32_t length[] = {3, 2}, lo[] = {0, 0, 0, 0, 0}, hi[] = {1, 2, 3, 2, 2};
static const em_row_batch batch = {
    .n_rows = 2, .start = start, .length = length, .lo = lo, .hi = hi};

static em_layer_spec spec(int window) {
    return (em_layer_spec){.hidden = 7,
                           .heads = 4,
                           .kv_heads = 2,
                           .head_dim = 5,
                           .ffn = 11,
                           .window = window,
                           .gated = true};
}

static void counts_products(void **state) {
    em_flops f = {0};
    em_layer_spec s = spec(0);
    em_flops_add_layer(&f, &s, &batch);
    assert_true(f.qkv == 2 * 5 * 7 * (20 + 10 + 10));
    assert_true(f.output == 2 * 5 * 20 * 7);
    assert_true(f.ffn == 2 * 5 * 7 * 11 * 3);
    assert_true(f.attention == (6 + 4) * 20 * 4);
    s.gated = false;
    em_flops_add_layer(&f, &s, &batch);
    assert_true(f.ffn == 2 * 5 * 7 * 11 * 3 + 2 * 5 * 7 * 11 * 2);
    assert_true(em_flops_total(&f) == f.qkv + f.attention + f.output + f.ffn);
}

static void counts_keys_within_the_layers_window(void **state) {
    em_flops f = {0};
    em_layer_spec s = spec(1), two = spec(2);
    em_flops_add_layer(&f, &s, &batch);
    assert_true(f.attention == 5 * 20 * 4); /* every token sees itself */
    f.attention = 0;
    em_flops_add_layer(&f, &two, &batch);
    assert_true(f.attention == (1 + 2 + 2 + 2 + 2) * 20 * 4);
}

static void an_empty_interval_counts_nothing(void **state) {
    const int32_t none[] = {2, 2, 3, 2, 2};
    em_row_batch b = batch;
    em_flops f = {0};
    em_layer_spec s = spec(0);
    b.lo = none;
    em_flops_add_layer(&f, &s, &b);
    assert_true(f.attention == 0);
}

static void the_head_counts_scored_tokens(void **state) {
    const int32_t labels[] = {-1, 4,  -1, -1, 0,
                              1,  -1, -1, -1, 3}; /* two schemes; tokens 1 and 3 have none */
    const em_score_request request = {.n_labels = 2, .labels = labels};
    const em_head_spec head = {.hidden = 7, .vocab = 13};
    em_flops f = {0}, sum = {0};
    em_flops_add_head(&f, &head, &batch, &request);
    assert_true(f.head == 3 * 2 * 7 * 13);
    em_flops_add(&sum, &f);
    em_flops_add(&sum, &f);
    assert_true(em_flops_total(&sum) == 2 * f.head);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_products),
        cmocka_unit_test(counts_keys_within_the_layers_window),
        cmocka_unit_test(an_empty_interval_counts_nothing),
        cmocka_unit_test(the_head_counts_scored_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
