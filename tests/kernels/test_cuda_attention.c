/* The CUDA engine's attention by itself: against softmax in double on the same numbers, for each shape that it was built for;
 * and two heads a block against one head a block, bit for bit. On a device, and with the emulator in its place. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "kernels/cuda/kernels.h"
#include "tests/kernels/naive.h"

enum { LENGTH = 170, TOKENS = 256, ITEMS = TOKENS / EM_QUERY_TILE };

typedef struct shape { em_dtype type; int heads, kv_heads, dim; float softcap; } shape;

static void check(bool good, const em_error *err) {
    if (!good) fail_msg("%s", err->text);
}

/* Of one row: documents, causal, ahead, both ways, none. */
static em_seen interval(int i) {
    int begin = i / 53 * 53;
    switch (i % 5) {
    case 0: return em_seen_make(i, begin, i + 1, 0, LENGTH);
    case 1: return em_seen_make(i, i, LENGTH, 0, LENGTH);
    case 2: return em_seen_make(i, 0, LENGTH, 0, LENGTH);
    case 3: return i == 63 ? (em_seen){0, 0} : em_seen_make(i, 0, i + 1, 0, LENGTH);
    }
    return em_seen_make(i, 0, i + 1, 40, LENGTH);
}

/* Rounded to type, as every side sees it. */
static float draw(em_dtype type, uint64_t *state) {
    float x = network_random(state);
    return type == EM_F32 ? x : type == EM_BF16 ? em_bf16_to_f32(em_f32_to_bf16(x)) : em_f16_to_f32(em_f32_to_f16(x));
}

static float read(em_dtype type, const void *x, int64_t i) {
    if (type == EM_F32) return ((const float *)x)[i];
    return type == EM_BF16 ? em_bf16_to_f32(((const uint16_t *)x)[i]) : em_f16_to_f32(((const uint16_t *)x)[i]);
}

static void put(em_dtype type, void *to, int64_t i, float x) {
    if (type == EM_F32) ((float *)to)[i] = x;
    else ((uint16_t *)to)[i] = type == EM_BF16 ? em_f32_to_bf16(x) : em_f32_to_f16(x);
}

/* ---- one run on the device ---- */

typedef struct memory { void *at[8]; int n; em_stream stream; } memory;

static void *send(memory *m, const void *host, size_t bytes) {
    em_error err = EM_ERROR_INIT;
    void *p = m->at[m->n++] = em_device_alloc(bytes, "a test", &err);
    check(p && em_copy_in(m->stream, p, host, bytes, &err) && em_stream_wait(m->stream, &err), &err);
    return p;
}

/* Head h of x [TOKENS, heads, dim] to where the device reads it. */
static void *send_heads(memory *m, const shape *s, const float *x, int heads, bool values) {
    bool half = s->type != EM_F32;
    int depth = em_cuda_depth(s->dim, half);
    size_t bytes = (size_t)TOKENS * (size_t)heads * (size_t)depth * em_dtype_size(s->type);
    char *host = calloc(1, bytes);
    for (int t = 0; t < TOKENS; t++)
        for (int h = 0; h < heads; h++)
            for (int d = 0; d < s->dim; d++) {
                int64_t at = values ? em_cuda_value_index(t, h, heads, depth, d, half) : em_cuda_head_index(t, h, heads, depth) + d;
                put(s->type, host, at, x[(t * heads + h) * s->dim + d]);
            }
    void *p = send(m, host, bytes);
    free(host);
    return p;
}

/* q: [TOKENS, heads, dim]; k, v: [TOKENS, kv_heads, dim]. out: [TOKENS, heads, dim], the caller's to free */
static float *attend(const shape *s, const float *q, const float *k, const float *v) {
    em_error err = EM_ERROR_INIT;
    em_seen seen[TOKENS] = {{0, 0}};
    em_attention_item items[ITEMS];
    int n_items = 0;
    for (int i = 0; i < LENGTH; i++) seen[i] = interval(i);
    for (int i = 0; i < LENGTH; i += EM_QUERY_TILE)
        items[n_items++] = em_attention_item_make(seen + i, LENGTH - i < EM_QUERY_TILE ? LENGTH - i : EM_QUERY_TILE, i, 0);
    memory m = {.stream = em_stream_new(&err)};
    size_t n = (size_t)TOKENS * (size_t)s->heads * (size_t)s->dim, bytes = n * em_dtype_size(s->type);
    char *host = calloc(1, bytes);
    em_cuda_attend a = {.q = send_heads(&m, s, q, s->heads, false), .k = send_heads(&m, s, k, s->kv_heads, false),
                        .v = send_heads(&m, s, v, s->kv_heads, true), .out = send(&m, host, bytes), .out_stride = s->heads * s->dim,
                        .items = send(&m, items, sizeof items), .seen = send(&m, seen, sizeof seen), .n_items = n_items,
                        .heads = s->heads, .kv_heads = s->kv_heads, .head_dim = s->dim, .softcap = s->softcap};
    em_cuda_attend_run(m.stream, s->type, &a);
    check(em_launch_check(&err) && em_copy_out(m.stream, host, a.out, bytes, &err) && em_stream_wait(m.stream, &err), &err);
    float *out = malloc(n * sizeof *out);
    for (size_t i = 0; i < n; i++) out[i] = read(s->type, host, (int64_t)i);
    for (int i = 0; i < m.n; i++) em_device_free(m.at[i]);
    em_stream_free(m.stream);
    free(host);
    return out;
}

static float *random_heads(const shape *s, int heads, uint64_t *state, float scale) {
    float *x = malloc((size_t)TOKENS * (size_t)heads * (size_t)s->dim * sizeof *x);
    for (int i = 0; i < TOKENS * heads * s->dim; i++) x[i] = draw(s->type, state) * scale;
    return x;
}

/* ---- against softmax in double ---- */

static void naive_query(const shape *s, int i, int head, const float *q, const float *k, const float *v, double *out) {
    em_seen seen = interval(i);
    int kv = em_cuda_kv_head(head, s->heads, s->kv_heads);
    double total = 0;
    for (int d = 0; d < s->dim; d++) out[d] = 0;
    for (int key = seen.lo; key < seen.hi; key++) {
        double z = 0;
        for (int d = 0; d < s->dim; d++)
            z += (double)q[(i * s->heads + head) * s->dim + d] * (double)k[(key * s->kv_heads + kv) * s->dim + d];
        double p = exp(s->softcap > 0 ? s->softcap * tanh(z / s->softcap) : z);
        total += p;
        for (int d = 0; d < s->dim; d++) out[d] += p * (double)v[(key * s->kv_heads + kv) * s->dim + d];
    }
    for (int d = 0; d < s->dim && total > 0; d++) out[d] /= total;
}

static void compare(const shape *s) {
    uint64_t state = 7;
    float *q = random_heads(s, s->heads, &state, 0.5f), *k = random_heads(s, s->kv_heads, &state, 1), *v = random_heads(s, s->kv_heads, &state, 1);
    float *out = attend(s, q, k, v);
    double want[EM_CUDA_MAX_HEAD_DIM], tolerance = s->type == EM_F32 ? 1e-5 : s->type == EM_BF16 ? 8e-3 : 1e-3;
    for (int i = 0; i < LENGTH; i++)
        for (int h = 0; h < s->heads; h++) {
            naive_query(s, i, h, q, k, v, want);
            for (int d = 0; d < s->dim; d++) {
                float got = out[(i * s->heads + h) * s->dim + d];
                if (!(fabs(got - want[d]) <= tolerance))
                    fail_msg("%d/%d heads of %d: token %d, head %d, element %d: %f, should be %f", s->heads, s->kv_heads, s->dim, i, h, d,
                             (double)got, want[d]);
            }
        }
    free(q);
    free(k);
    free(v);
    free(out);
}

static void test_shapes(void **state) {
    static const shape shapes[] = {
        {EM_F32, 2, 1, 72, 0}, {EM_BF16, 1, 1, 64, 0}, {EM_BF16, 4, 2, 64, 3}, {EM_F16, 2, 1, 40, 0}, {EM_BF16, 3, 1, 128, 0},
        {EM_BF16, 2, 1, 128, 0}, {EM_F16, 2, 2, 72, 2}, {EM_BF16, 2, 1, 256, 0},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) compare(&shapes[i]);
}

/* ---- how many heads a block has ---- */

/* A key head of its own, with the same numbers, for each query head: then blocks have one head. */
static void test_heads_of_a_block(void **state) {
    for (int dim = 64; dim <= 128; dim *= 2) {
        const shape two = {EM_BF16, 2, 1, dim, 0}, one = {EM_BF16, 2, 2, dim, 0};
        uint64_t random = 3;
        size_t bytes = (size_t)dim * sizeof(float);
        float *q = random_heads(&two, 2, &random, 0.5f), *k = random_heads(&two, 1, &random, 1), *v = random_heads(&two, 1, &random, 1);
        float *k2 = malloc(2 * TOKENS * bytes), *v2 = malloc(2 * TOKENS * bytes);
        for (int i = 0; i < 2 * TOKENS; i++) {
            memcpy(k2 + i * dim, k + i / 2 * dim, bytes);
            memcpy(v2 + i * dim, v + i / 2 * dim, bytes);
        }
        float *together = attend(&two, q, k, v), *apart = attend(&one, q, k2, v2);
        assert_memory_equal(together, apart, 2 * LENGTH * bytes);
        float *all[] = {q, k, v, k2, v2, together, apart};
        for (int i = 0; i < 7; i++) free(all[i]);
    }
}

int main(void) {
    em_error err = EM_ERROR_INIT;
    em_device device;
    if (!em_device_open(&device, 0, &(em_backend_options){0}, &err)) {
        printf("skipped: %s\n", err.text);
        return 77;       /* ctest's SKIP_RETURN_CODE */
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_shapes), cmocka_unit_test(test_heads_of_a_block)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
