/* The kernels in plain C: the specification that the vector versions are tested against, and
 * what runs where no vector version was built. */
#include "kernels/cpu/kernels.h"

#include <math.h>
#include <string.h>

static void rms_norm(float *y, const float *x, const float *w, int n, float eps) {
    double squares = 0;
    for (int i = 0; i < n; i++) squares += (double)x[i] * x[i];
    float inverse = (float)(1 / sqrt(squares / n + eps));
    for (int i = 0; i < n; i++) y[i] = x[i] * inverse * w[i];
}

static void layer_norm(float *y, const float *x, const float *w, const float *b, int n, float eps) {
    double sum = 0, squares = 0;
    for (int i = 0; i < n; i++) sum += x[i];
    float mean = (float)(sum / n);
    for (int i = 0; i < n; i++) squares += (double)(x[i] - mean) * (x[i] - mean);
    float inverse = (float)(1 / sqrt(squares / n + eps));
    for (int i = 0; i < n; i++) y[i] = (x[i] - mean) * inverse * w[i] + (b ? b[i] : 0);
}

static void rope_table(float *cosine, float *sine, float position, const float *inv_freq, int pairs,
                       float scale) {
    for (int j = 0; j < pairs; j++) {
        float angle = position * inv_freq[j];
        cosine[j] = (float)cos(angle) * scale;
        sine[j] = (float)sin(angle) * scale;
    }
}

static void rope(float *x, const float *cosine, const float *sine, int pairs) {
    for (int j = 0; j < pairs; j++) {
        float a = x[j], b = x[j + pairs];
        x[j] = a * cosine[j] - b * sine[j];
        x[j + pairs] = b * cosine[j] + a * sine[j];
    }
}

static void scale(float *y, const float *x, float factor, int n) {
    for (int i = 0; i < n; i++) y[i] = factor * x[i];
}

static void add(float *y, const float *x, int n) {
    for (int i = 0; i < n; i++) y[i] += x[i];
}

/* Hendrycks and Gimpel, arXiv 1606.08415. The forms by erfc and by exp keep their relative
 * accuracy where x is negative and 1 + erf or 1 + tanh would cancel. */
static float activation(em_activation kind, float x) {
    switch (kind) {
    case EM_SILU: return x / (1 + expf(-x));
    case EM_GELU: return 0.5f * x * erfcf(-x * 0.70710678f);
    case EM_GELU_TANH: return x / (1 + expf(-1.59576912f * (x + 0.044715f * x * x * x)));
    case EM_RELU:
    case EM_RELU2: break;
    }
    float relu = x > 0 ? x : 0;
    return kind == EM_RELU2 ? relu * relu : relu;
}

static void activate(em_activation kind, float *y, const float *gate, const float *up, int n) {
    for (int i = 0; i < n; i++) y[i] = activation(kind, gate[i]) * (up ? up[i] : 1);
}

static void soft_cap(float *x, int n, float cap) {
    for (int i = 0; i < n; i++) x[i] = cap * tanhf(x[i] / cap);
}

static float score(const em_attend *a, int query, int key) {
    float z = 0;
    for (int d = 0; d < a->head_dim; d++)
        z += a->q[query * a->q_stride + d] * a->keys[d * EM_KEY_TILE + key];
    return a->softcap > 0 ? a->softcap * tanhf(z / a->softcap) : z;
}

static void attend_query(const em_attend *a, int query) {
    int first = a->lo[query] - a->first_key, last = a->hi[query] - a->first_key;
    if (first < 0) first = 0;
    if (last > EM_KEY_TILE) last = EM_KEY_TILE;
    if (first >= last) return;
    float z[EM_KEY_TILE], max = a->max[query], *out = a->out + (ptrdiff_t)query * a->value_width;
    for (int k = first; k < last; k++) {
        z[k] = score(a, query, k);
        max = z[k] > max ? z[k] : max;
    }
    float keep = expf(a->max[query] - max);
    for (int d = 0; d < a->value_width; d++) out[d] *= keep;
    a->sum[query] *= keep;
    a->max[query] = max;
    for (int k = first; k < last; k++) {
        float p = expf(z[k] - max);
        a->sum[query] += p;
        for (int d = 0; d < a->value_width; d++)
            out[d] += p * a->values[(ptrdiff_t)k * a->value_width + d];
    }
}

static void attend(const em_attend *a) {
    for (int query = 0; query < EM_ATTEND_QUERIES; query++) attend_query(a, query);
}

/* ---- attention in bf16 ---- */

static float score_bf16(const em_attend_bf16 *a, int query, int key) {
    float z = 0;
    for (int d = 0; d < a->depth; d++)
        z += em_bf16_to_f32(a->q[query * a->depth + d]) *
             em_bf16_to_f32(a->keys[(d / 2 * EM_KEY_TILE + key) * 2 + d % 2]);
    return a->softcap > 0 ? a->softcap * tanhf(z / a->softcap) : z;
}

static void attend_query_bf16(const em_attend_bf16 *a, int query) {
    int first = a->lo[query % EM_TILE] - a->first_key, last = a->hi[query % EM_TILE] - a->first_key;
    if (first < 0) first = 0;
    if (last > EM_KEY_TILE) last = EM_KEY_TILE;
    if (first >= last) return;
    float z[EM_KEY_TILE], max = a->max[query], *out = a->out + (ptrdiff_t)query * a->value_width;
    for (int k = first; k < last; k++) {
        z[k] = score_bf16(a, query, k);
        max = z[k] > max ? z[k] : max;
    }
    float keep = expf(a->max[query] - max);
    for (int d = 0; d < a->value_width; d++) out[d] *= keep;
    a->sum[query] *= keep;
    a->max[query] = max;
    for (int k = first; k < last; k++) {
        float p = expf(z[k] - max), rounded = em_bf16_to_f32(em_f32_to_bf16(p));
        a->sum[query] += p;
        for (int d = 0; d < a->value_width; d++)
            out[d] += rounded * em_bf16_to_f32(a->values[(k / 2 * a->value_width + d) * 2 + k % 2]);
    }
}

static void attend_bf16(const em_attend_bf16 *a) {
    for (int query = 0; query < a->heads * EM_TILE; query++) attend_query_bf16(a, query);
}

/* ---- products in bf16 ---- */

/* Where input i of output o is packed. */
static int64_t packed_index(int depth, int o, int i) {
    return (((int64_t)(o / 32) * (depth / 32) + i / 32) * 2 + o % 32 / 16) * 512 + i % 32 / 2 * 32 +
           o % 16 * 2 + i % 2;
}

static void pack_bf16(uint16_t *packed, const float *rows, int depth, int width) {
    for (int o = 0; o < (width + 31) / 32 * 32; o++)
        for (int i = 0; i < depth; i++)
            packed[packed_index(depth, o, i)] = o < width
                                                    ? em_f32_to_bf16(rows[(int64_t)o * depth + i])
                                                    : 0;
}

static void product_bf16(const em_product_bf16 *p) {
    for (int t = 0; t < EM_TILE; t++)
        for (int o = 0; o < p->width; o++) {
            float sum = 0;
            for (int i = 0; i < p->depth; i++)
                sum += em_bf16_to_f32(p->a[(int64_t)t * p->depth + i]) *
                       em_bf16_to_f32(p->b[packed_index(p->depth, o, i)]);
            p->c[t * p->c_stride + o] = sum + (p->bias ? p->bias[o] : 0);
        }
}

const em_bf16_kernels em_bf16_kernels_portable = {
    .attend = attend_bf16, .pack = pack_bf16, .product = product_bf16};

/* ---- loss ---- */

static void soft_sum(const float *x, int n, float *max, double *sum) {
    *max = x[0];
    for (int i = 1; i < n; i++)
        if (x[i] > *max) *max = x[i];
    *sum = 0;
    for (int i = 0; i < n; i++) *sum += expf(x[i] - *max);
}

static void mix(float *z, const float *after, const float *before, double alpha, int n) {
    for (int i = 0; i < n; i++)
        z[i] = (float)((1 + alpha) * (double)after[i] - alpha * (double)before[i]);
}

static em_divergence divergence(const float *after, const float *before, float max_after,
                                float max_before, int n) {
    em_divergence v = em_divergence_none(max_after, max_before);
    for (int i = 0; i < n; i++) em_divergence_add(&v, after[i], before[i]);
    return v;
}

static void round_bf16(float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) x[i] = em_bf16_to_f32(em_f32_to_bf16(x[i]));
}

static void to_bf16(uint16_t *y, const float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] = em_f32_to_bf16(x[i]);
}

static uint16_t half_at(const void *x, int64_t i) {
    uint16_t u;
    memcpy(&u, (const char *)x + 2 * i, 2);
    return u;
}

static void from_bf16(float *y, const void *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] = em_bf16_to_f32(half_at(x, i));
}

static void from_f16(float *y, const void *x, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] = em_f16_to_f32(half_at(x, i));
}

static bool all_finite(const float *x, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(x[i])) return false;
    return true;
}

const em_cpu_kernels em_cpu_kernels_portable = {
    .name = "portable",
    .rms_norm = rms_norm,
    .layer_norm = layer_norm,
    .rope_table = rope_table,
    .rope = rope,
    .scale = scale,
    .add = add,
    .activate = activate,
    .soft_cap = soft_cap,
    .attend = attend,
    .soft_sum = soft_sum,
    .mix = mix,
    .divergence = divergence,
    .round_bf16 = round_bf16,
    .to_bf16 = to_bf16,
    .from_bf16 = from_bf16,
    .from_f16 = from_f16,
    .all_finite = all_finite,
};
