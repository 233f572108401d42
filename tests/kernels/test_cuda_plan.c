/* What the CUDA engine decides in plain C, against brute force: the tiles that attention visits and
 * where it compares, where things lie, and how softmax comes together from slices. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "kernels/cuda/layout.h"
#include "kernels/cuda/softsum.h"
#include "tests/kernels/naive.h"

static uint64_t random_state = 1;

static int below(int n) { return (int)((network_random(&random_state) + 1) / 2 * (float)n); }

/* ---- attention's work ---- */

enum { LENGTH = 300 };

/* Random intervals of every kind: documents, causal, ahead, none, beyond the row on both sides. */
static void draw_masks(int32_t *lo, int32_t *hi) {
    int kind = below(5), document = 1 + below(150);
    for (int i = 0; i < LENGTH; i++) {
        int begin = i / document * document;
        lo[i] = kind == 0 ? 0 : kind == 1 ? begin : kind == 2 ? i : below(LENGTH + 40) - 20;
        hi[i] = kind == 2   ? LENGTH
                : kind == 3 ? lo[i] + below(60) - 10
                : kind == 4 ? below(LENGTH + 40) - 20
                            : i + 1;
    }
}

static bool sees(int query, int key, const int32_t *lo, const int32_t *hi, int window) {
    return key >= lo[query] && key < hi[query] && (!window || abs(query - key) < window);
}

/* Every pair that the mask allows lies in a visited tile; where nothing is compared all are
 * allowed; and the tiles at both ends of a range are needed. */
static void check_item(const em_attention_item *item, int first, int count, const int32_t *lo,
                       const int32_t *hi, int window) {
    assert_true(item->begin % EM_QUERY_TILE == 0 && item->end % EM_QUERY_TILE == 0);
    bool first_needed = false, last_needed = false, any = false;
    for (int q = first; q < first + count; q++)
        for (int k = 0; k < LENGTH; k++) {
            if (!sees(q, k, lo, hi, window)) continue;
            any = true;
            assert_true(k >= item->begin && k < item->end);
            first_needed |= k < item->begin + EM_QUERY_TILE;
            last_needed |= k >= item->end - EM_QUERY_TILE;
        }
    if (any) assert_true(first_needed && last_needed);
    else assert_true(item->begin >= item->end);
    for (int n = 32; n <= 64; n += 32)
        for (int k = item->begin; k < item->end; k += n) {
            bool whole = true;
            for (int q = first; q < first + count; q++)
                for (int j = k; j < k + n; j++) whole &= j < LENGTH && sees(q, j, lo, hi, window);
            assert_int_equal(em_keys_whole(item, k, n), whole);
        }
}

static void test_items(void **state) {
    static int32_t lo[LENGTH], hi[LENGTH];
    em_seen seen[LENGTH];
    for (int round = 0; round < 200; round++) {
        int window = round % 3 ? 0 : 1 + below(100);
        draw_masks(lo, hi);
        for (int i = 0; i < LENGTH; i++) {
            seen[i] = em_seen_make(i, lo[i], hi[i], window, LENGTH);
            for (int k = 0; k < LENGTH; k++)
                assert_int_equal(k >= seen[i].lo && k < seen[i].hi, sees(i, k, lo, hi, window));
        }
        for (int first = 0; first < LENGTH; first += EM_QUERY_TILE) {
            int count = LENGTH - first < EM_QUERY_TILE ? LENGTH - first : EM_QUERY_TILE;
            em_attention_item item = em_attention_item_make(seen + first, count, 1000 + first,
                                                            1000);
            assert_true(item.first_query == 1000 + first && item.row_token == 1000);
            check_item(&item, first, count, lo, hi, window);
        }
    }
}

static void test_order(void **state) {
    em_attention_item items[50];
    bool there[50] = {false};
    for (int i = 0; i < 50; i++)
        items[i] = (em_attention_item){.first_query = i, .end = 64 * below(5)};
    em_attention_items_sort(items, 50);
    for (int i = 0; i < 50; i++) {
        there[items[i].first_query] = true;
        if (i == 0) continue;
        assert_true(items[i - 1].end >= items[i].end);
        if (items[i - 1].end == items[i].end)
            assert_true(items[i - 1].first_query < items[i].first_query);
    }
    for (int i = 0; i < 50; i++) assert_true(there[i]);
}

/* ---- layout ---- */

static void claim(char *taken, int64_t at, int64_t n) {
    assert_true(at >= 0 && at < n && !taken[at]);
    taken[at] = 1;
}

/* Every element has a place of its own, inside the array. */
static void test_places(void **state) {
    enum { TOKENS = 6, HEADS = 3, DEPTH = 64, N = TOKENS * HEADS * DEPTH };
    static char heads[N], values[2][N];
    for (int t = 0; t < TOKENS; t++)
        for (int h = 0; h < HEADS; h++)
            for (int d = 0; d < DEPTH; d++) {
                claim(heads, em_cuda_head_index(t, h, HEADS, DEPTH) + d, N);
                claim(values[0], em_cuda_value_index(t, h, HEADS, DEPTH, d, false), N);
                claim(values[1], em_cuda_value_index(t, h, HEADS, DEPTH, d, true), N);
            }
    for (int d = 0; d < DEPTH; d++) /* neighbouring keys share a word */
        assert_int_equal(em_cuda_value_index(3, 1, HEADS, DEPTH, d, true),
                         em_cuda_value_index(2, 1, HEADS, DEPTH, d, true) + 1);
}

static void test_heads(void **state) {
    static const int expected[] = {0, 0, 0, 1, 1, 1};
    for (int h = 0; h < 6; h++) assert_int_equal(em_cuda_kv_head(h, 6, 2), expected[h]);
    for (int dim = 2; dim <= 256; dim += 2)
        for (int interleaved = 0; interleaved < 2; interleaved++) {
            char taken[256] = {0};
            for (int j = 0; j < dim / 2; j++) {
                int a, b;
                em_cuda_rope_pair(j, dim, interleaved, &a, &b);
                claim(taken, a, dim);
                claim(taken, b, dim);
                assert_int_equal(b - a, interleaved ? 1 : dim / 2);
            }
        }
    for (int d = 1; d <= EM_CUDA_MAX_HEAD_DIM; d++) {
        assert_true(em_cuda_depth(d, true) >= d && em_cuda_depth(d, true) % 64 == 0);
        assert_int_equal(em_cuda_depth(d, false), d);
    }
}

/* The parts of fused matrices lie behind one another. */
static void test_widths(void **state) {
    for (int i = 0; i < n_network_shapes; i++) {
        const em_layer_spec *s = &network_shapes[i].layer;
        em_cuda_widths w = em_cuda_widths_of(s);
        assert_int_equal(w.k_at, s->heads * s->head_dim);
        assert_int_equal(w.v_at - w.k_at, s->kv_heads * s->head_dim);
        assert_int_equal(w.qkv - w.v_at, s->kv_heads * s->head_dim);
        assert_true(!s->gated || (w.up_at >= s->ffn && w.up_at % 16 == 0));
        assert_int_equal(w.inner, w.up_at + s->ffn);
    }
}

/* ---- the vocabulary ---- */

static void test_slices(void **state) {
    static const int vocabularies[] = {
        1,     15,     512,   1100, EM_CUDA_SLICE - 1, EM_CUDA_SLICE, EM_CUDA_SLICE + 1,
        50257, 128256, 262144};
    for (size_t v = 0; v < sizeof vocabularies / sizeof *vocabularies; v++) {
        int covered = 0, slices = em_cuda_slices(vocabularies[v]);
        for (int s = 0; s < slices; s++) {
            assert_int_equal(covered, s * EM_CUDA_SLICE);
            assert_true(em_cuda_slice_width(vocabularies[v], s) > 0);
            covered += em_cuda_slice_width(vocabularies[v], s);
        }
        assert_int_equal(covered, vocabularies[v]);
    }
}

static em_soft one(float z, int32_t id) { return (em_soft){.sum = 1, .max = z, .argmax = id}; }

/* Logits in slices of random widths, merged in either order, against doubles. */
static void test_softmax(void **state) {
    enum { N = 700 };
    for (int round = 0; round < 50; round++) {
        static float z[N];
        double sum = 0, max = -INFINITY;
        int argmax = 0;
        for (int i = 0; i < N; i++) {
            z[i] = roundf(40 * network_random(&random_state)) / 4; /* with ties */
            if ((double)z[i] > max) max = (double)z[i], argmax = i;
        }
        for (int i = 0; i < N; i++) sum += exp((double)z[i] - max);
        em_soft total = em_soft_none();
        for (int first = 0; first < N;) {
            int n = 1 + below(N - first);
            em_soft slice = em_soft_none();
            for (int i = first + n - 1; i >= first; i--) slice = em_soft_merge(slice, one(z[i], i));
            em_soft a = em_soft_merge(total, slice), b = em_soft_merge(slice, total);
            assert_true(a.sum == b.sum && a.max == b.max && a.argmax == b.argmax);
            total = a;
            first += n;
        }
        assert_int_equal(total.argmax, argmax);
        assert_true(fabs(em_soft_log(total) - (log(sum) + max)) < 1e-6);
    }
}

static void test_softmax_not_finite(void **state) {
    em_soft bad = em_soft_merge(one(1, 0),
                                (em_soft){.sum = NAN, .max = -INFINITY, .argmax = INT32_MAX});
    assert_true(isnan(em_soft_log(bad)));
    em_soft same = em_soft_merge(em_soft_none(), one(-3, 5));
    assert_true(same.sum == 1 && same.max == -3 && same.argmax == 5);
    assert_true(em_soft_merge(em_soft_none(), em_soft_none()).sum == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_items),   cmocka_unit_test(test_order),
        cmocka_unit_test(test_places),  cmocka_unit_test(test_heads),
        cmocka_unit_test(test_widths),  cmocka_unit_test(test_slices),
        cmocka_unit_test(test_softmax), cmocka_unit_test(test_softmax_not_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
