#include "tests/kernels/naive.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- random networks ---- */

#define LLAMA \
    { \
        .hidden = 96, .heads = 6, .kv_heads = 3, .head_dim = 16, .ffn = 200, .norm_eps = 1e-5f, \
        .attention_scale = 0.25f, .rope = {.dim = 16, .scale = 1}, .activation = EM_SILU, \
        .gated = true \
    }

const network_shape network_shapes[] = {
    {.name = "llama, bf16", .layer = LLAMA, .dtype = EM_BF16, .embedding_scale = 1},
    {.name = "llama, interleaved, f16, wide",
     .dtype = EM_F16,
     .embedding_scale = 1,
     .biases = true,
     .layer = {.hidden = 200,
               .heads = 3,
               .kv_heads = 1,
               .head_dim = 72,
               .ffn = 530,
               .norm_eps = 1e-6f,
               .attention_scale = 0.12f,
               .rope = {.dim = 72, .scale = 1.1f, .interleaved = true},
               .activation = EM_RELU,
               .gated = true}},
    {.name = "gpt-neox: fused heads, parallel residual, partial rope",
     .dtype = EM_F32,
     .embedding_scale = 1,
     .biases = true,
     .fused_heads = true,
     .layer = {.hidden = 96,
               .heads = 4,
               .kv_heads = 4,
               .head_dim = 24,
               .ffn = 130,
               .norm = EM_NORM_LAYER,
               .norm_eps = 1e-5f,
               .attention_scale = 0.2f,
               .rope = {.dim = 6, .scale = 1},
               .activation = EM_GELU,
               .parallel_residual = true}},
    {.name = "gpt-2: transposed, learned positions",
     .dtype = EM_F16,
     .embedding_scale = 1,
     .biases = true,
     .learned_positions = true,
     .transposed = true,
     .layer = {.hidden = 80,
               .heads = 2,
               .kv_heads = 2,
               .head_dim = 40,
               .ffn = 77,
               .norm = EM_NORM_LAYER,
               .norm_eps = 1e-5f,
               .attention_scale = 0.16f,
               .activation = EM_GELU_TANH}},
    {.name = "gemma: soft caps, window, four norms, head norms",
     .dtype = EM_BF16,
     .embedding_scale = 9,
     .norm_out = true,
     .head_softcap = 3,
     .layer = {.hidden = 64,
               .heads = 2,
               .kv_heads = 1,
               .head_dim = 256,
               .ffn = 96,
               .norm_eps = 1e-6f,
               .norm_plus_one = true,
               .head_norm = EM_HEAD_NORM_EACH,
               .attention_scale = 0.3f,
               .attention_softcap = 2,
               .window = 37,
               .rope = {.dim = 256, .scale = 1},
               .activation = EM_GELU_TANH,
               .gated = true}},
    {.name = "olmo 2: norms after, head norm over all heads",
     .dtype = EM_F32,
     .embedding_scale = 1,
     .no_norm_in = true,
     .norm_out = true,
     .layer = {.hidden = 60,
               .heads = 5,
               .kv_heads = 5,
               .head_dim = 12,
               .ffn = 64,
               .norm_eps = 1e-6f,
               .head_norm = EM_HEAD_NORM_ALL,
               .attention_scale = 0.3f,
               .rope = {.dim = 12, .scale = 1},
               .activation = EM_RELU2}},
};
const int n_network_shapes = sizeof network_shapes / sizeof *network_shapes;

float network_random(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u; /* splitmix64 */
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (float)((z ^ (z >> 31)) >> 40) * 0x1p-23f - 1;
}

/* The f16 nearest below in size; the values here are normal numbers. */
static uint16_t f16_of(float x) {
    uint32_t u;
    memcpy(&u, &x, 4);
    int exponent = (int)(u >> 23 & 255) - 112;
    uint16_t sign = (uint16_t)(u >> 16 & 0x8000);
    return exponent <= 0 ? sign : (uint16_t)(sign | exponent << 10 | (u >> 13 & 0x3ff));
}

/* n random values of the shape's dtype, one element off any alignment that a kernel might wish for.
 */
static const void *values(network *n, int64_t count, float size, float middle) {
    size_t element = em_dtype_size(n->shape.dtype);
    char *p = malloc((size_t)(count + 1) * element);
    n->owned[n->n_owned++] = p;
    p += element;
    for (int64_t i = 0; i < count; i++) {
        float x = middle + size * network_random(&n->random);
        uint16_t half = n->shape.dtype == EM_F16 ? f16_of(x) : em_f32_to_bf16(x);
        if (n->shape.dtype == EM_F32) memcpy(p + 4 * i, &x, 4);
        else memcpy(p + 2 * i, &half, 2);
    }
    return p;
}

static em_weight matrix(network *n, int out, int in, const char *name) {
    em_weight w = {.dtype = n->shape.dtype,
                   .out = out,
                   .in = in,
                   .block = out,
                   .name = name,
                   .data = values(n, (int64_t)out * in, 1.7f / sqrtf((float)in), 0)};
    w.out_stride = n->shape.transposed ? 1 : in;
    w.in_stride = n->shape.transposed ? out : 1;
    return w;
}

static em_weight vector(network *n, int size, float around, const char *name) {
    return (em_weight){.dtype = n->shape.dtype,
                       .out = size,
                       .in = 1,
                       .out_stride = 1,
                       .in_stride = 1,
                       .block = size,
                       .name = name,
                       .data = values(n, size, 0.4f, around)};
}

static em_weight bias(network *n, int size, const char *name) {
    return n->shape.biases ? vector(n, size, 0, name) : (em_weight){0};
}

/* One of three views of [heads, 3, head_dim, in], as GPT-NeoX stores q, k and v. */
static void fuse_heads(network *n, em_layer_weights *w) {
    const em_layer_spec *s = &n->shape.layer;
    em_weight *views[] = {&w->of[EM_W_Q], &w->of[EM_W_K], &w->of[EM_W_V]};
    int64_t head = (int64_t)s->head_dim * s->hidden;
    const char *data = values(n, 3 * s->heads * head, 1.7f / sqrtf((float)s->hidden), 0);
    for (int i = 0; i < 3; i++)
        *views[i] = (em_weight){.data = data + i * head * (int64_t)em_dtype_size(n->shape.dtype),
                                .dtype = n->shape.dtype,
                                .out = s->heads * s->head_dim,
                                .in = s->hidden,
                                .out_stride = s->hidden,
                                .in_stride = 1,
                                .block = s->head_dim,
                                .block_stride = 3 * head,
                                .name = "query_key_value"};
}

static void make_layer(network *n, em_layer_weights *w) {
    const em_layer_spec *s = &n->shape.layer;
    int q = s->heads * s->head_dim, k = s->kv_heads * s->head_dim;
    bool layer_norm = s->norm == EM_NORM_LAYER, each = s->head_norm == EM_HEAD_NORM_EACH;
    float around = s->norm_plus_one ? 0 : 1;
    if (!n->shape.no_norm_in) {
        w->of[EM_W_ATTENTION_IN] = vector(n, s->hidden, around, "attention_in");
        w->of[EM_W_FFN_IN] = vector(n, s->hidden, around, "ffn_in");
        if (layer_norm)
            w->of[EM_W_ATTENTION_IN_BIAS] = vector(n, s->hidden, 0, "attention_in_bias");
        if (layer_norm) w->of[EM_W_FFN_IN_BIAS] = vector(n, s->hidden, 0, "ffn_in_bias");
    }
    if (n->shape.norm_out) {
        w->of[EM_W_ATTENTION_OUT] = vector(n, s->hidden, around, "attention_out");
        w->of[EM_W_FFN_OUT] = vector(n, s->hidden, around, "ffn_out");
    }
    if (s->head_norm != EM_HEAD_NORM_NONE) {
        w->of[EM_W_Q_NORM] = vector(n, each ? s->head_dim : q, around, "q_norm");
        w->of[EM_W_K_NORM] = vector(n, each ? s->head_dim : k, around, "k_norm");
    }
    w->of[EM_W_Q] = matrix(n, q, s->hidden, "q");
    w->of[EM_W_K] = matrix(n, k, s->hidden, "k");
    w->of[EM_W_V] = matrix(n, k, s->hidden, "v");
    if (n->shape.fused_heads) fuse_heads(n, w);
    w->of[EM_W_O] = matrix(n, s->hidden, q, "o");
    if (s->gated) w->of[EM_W_GATE] = matrix(n, s->ffn, s->hidden, "gate");
    w->of[EM_W_UP] = matrix(n, s->ffn, s->hidden, "up");
    w->of[EM_W_DOWN] = matrix(n, s->hidden, s->ffn, "down");
    w->of[EM_W_Q_BIAS] = bias(n, q, "q_bias");
    w->of[EM_W_V_BIAS] = bias(n, k, "v_bias"); /* k has none, as in some models */
    w->of[EM_W_O_BIAS] = bias(n, s->hidden, "o_bias");
    w->of[EM_W_UP_BIAS] = bias(n, s->ffn, "up_bias");
    w->of[EM_W_DOWN_BIAS] = bias(n, s->hidden, "down_bias");
}

network *network_new(const network_shape *shape) {
    network *n = calloc(1, sizeof *n);
    const em_layer_spec *s = &shape->layer;
    n->shape = *shape;
    n->random = 1;
    for (int rope = 0; rope < 2; rope++)
        for (int j = 0; j < s->rope.dim / 2; j++)
            n->inv_freq[rope][j] = powf(rope ? 1e6f : 1e4f, -2.0f * (float)j / (float)s->rope.dim);
    for (int l = 0; l < NETWORK_LAYERS; l++) make_layer(n, &n->layers[l]);
    n->shape.transposed = false;
    n->embedding = (em_embedding){.tokens = matrix(n, NETWORK_VOCAB, s->hidden, "tokens"),
                                  .scale = shape->embedding_scale};
    if (shape->learned_positions)
        n->embedding.positions = matrix(n, NETWORK_POSITIONS, s->hidden, "positions");
    n->head = (em_head_spec){.hidden = s->hidden,
                             .vocab = NETWORK_VOCAB,
                             .norm = s->norm,
                             .norm_eps = s->norm_eps,
                             .norm_plus_one = s->norm_plus_one,
                             .softcap = shape->head_softcap,
                             .final_norm = vector(n, s->hidden, 1, "final_norm"),
                             .output = matrix(n, NETWORK_VOCAB, s->hidden, "output"),
                             .output_bias = bias(n, NETWORK_VOCAB, "output_bias")};
    return n;
}

void network_free(network *n) {
    for (int i = 0; i < n->n_owned; i++) free(n->owned[i]);
    free(n);
}

const em_layer_spec *network_layer(const network *n, int layer) {
    static _Thread_local em_layer_spec spec;
    spec = n->shape.layer;
    spec.rope.inv_freq = n->inv_freq[layer % 2];
    if (layer % 2) spec.window = 0;
    return &spec;
}

/* ---- the forward pass ---- */

static double value(const em_weight *w, int64_t o, int64_t i) {
    const char *p = (const char *)w->data +
                    em_weight_index(w, o, i) * (int64_t)em_dtype_size(w->dtype);
    float x;
    uint16_t half;
    if (w->dtype == EM_F32) return memcpy(&x, p, 4), x;
    memcpy(&half, p, 2);
    return w->dtype == EM_F16 ? em_f16_to_f32(half) : em_bf16_to_f32(half);
}

static double dot(const double *x, const double *y, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += x[i] * y[i];
    return sum;
}

/* y[t] = W x[t] + b for n tokens; rows of x and y are x_stride and y_stride apart. */
static void product(const em_weight *w, const em_weight *b, int n, const double *x, int x_stride,
                    double *y, int y_stride) {
    double row[1024];
    for (int64_t o = 0; o < w->out; o++) {
        double bias = b->data ? value(b, o, 0) : 0;
        for (int64_t i = 0; i < w->in; i++) row[i] = value(w, o, i);
        for (int t = 0; t < n; t++)
            y[(int64_t)t * y_stride + o] = bias + dot(row, x + (int64_t)t * x_stride, (int)w->in);
    }
}

static void norm(em_norm_kind kind, double eps, double add, const em_weight *w, const em_weight *b,
                 const double *x, double *y) {
    int64_t n = w->out;
    double mean = 0, squares = 0;
    for (int64_t i = 0; kind == EM_NORM_LAYER && i < n; i++) mean += x[i] / (double)n;
    for (int64_t i = 0; i < n; i++) squares += (x[i] - mean) * (x[i] - mean) / (double)n;
    for (int64_t i = 0; i < n; i++)
        y[i] = (x[i] - mean) / sqrt(squares + eps) * (value(w, i, 0) + add) +
               (b && b->data ? value(b, i, 0) : 0);
}

static void layer_norm(const em_layer_spec *s, const em_weight *w, const em_weight *b,
                       const double *x, double *y) {
    if (w->data) norm(s->norm, s->norm_eps, s->norm_plus_one, w, b, x, y);
    else memcpy(y, x, (size_t)s->hidden * sizeof *y);
}

static void place_head(const em_layer_spec *s, const em_weight *head_norm, int position,
                       double *x) {
    double y[256];
    if (s->head_norm == EM_HEAD_NORM_EACH) {
        norm(EM_NORM_RMS, s->norm_eps, s->norm_plus_one, head_norm, NULL, x, y);
        memcpy(x, y, (size_t)s->head_dim * sizeof *x);
    }
    for (int j = 0; j < s->rope.dim / 2; j++) {
        int i = s->rope.interleaved ? 2 * j : j,
            k = s->rope.interleaved ? 2 * j + 1 : j + s->rope.dim / 2;
        float angle = (float)position * s->rope.inv_freq[j];
        double c = cos(angle) * (double)s->rope.scale, d = sin(angle) * (double)s->rope.scale,
               a = x[i], b = x[k];
        x[i] = a * c - b * d;
        x[k] = b * c + a * d;
    }
}

static void place_heads(const em_layer_spec *s, const em_weight *head_norm, int heads, int position,
                        double *x) {
    double y[2048];
    if (s->head_norm == EM_HEAD_NORM_ALL) {
        norm(EM_NORM_RMS, s->norm_eps, s->norm_plus_one, head_norm, NULL, x, y);
        memcpy(x, y, (size_t)(heads * s->head_dim) * sizeof *x);
    }
    for (int h = 0; h < heads; h++) place_head(s, head_norm, position, x + h * s->head_dim);
}

static double attention_score(const em_layer_spec *s, const double *q, const double *k) {
    double z = dot(q, k, s->head_dim) * (double)s->attention_scale,
           cap = (double)s->attention_softcap;
    return cap > 0 ? cap * tanh(z / cap) : z;
}

/* k, v: [length, kv_heads * head_dim], already at the head */
static void attend(const em_layer_spec *s, int query, int lo, int hi, const double *q,
                   const double *k, const double *v, double *out) {
    int stride = s->kv_heads * s->head_dim;
    double max = -INFINITY, sum = 0;
    if (s->window && lo < query - s->window + 1) lo = query - s->window + 1;
    if (s->window && hi > query + s->window) hi = query + s->window;
    for (int d = 0; d < s->head_dim; d++) out[d] = 0;
    for (int i = lo; i < hi; i++) max = fmax(max, attention_score(s, q, k + i * stride));
    for (int i = lo; i < hi; i++) {
        double p = exp(attention_score(s, q, k + i * stride) - max);
        sum += p;
        for (int d = 0; d < s->head_dim; d++) out[d] += p * v[i * stride + d];
    }
    for (int d = 0; sum > 0 && d < s->head_dim; d++) out[d] /= sum;
}

static double activation(em_activation kind, double x) {
    switch (kind) {
    case EM_SILU: return x / (1 + exp(-x));
    case EM_GELU: return 0.5 * x * erfc(-x / sqrt(2));
    case EM_GELU_TANH:
        return 0.5 * x * (1 + tanh(sqrt(2 / 3.14159265358979) * (x + 0.044715 * x * x * x)));
    case EM_RELU: return x > 0 ? x : 0;
    case EM_RELU2: return x > 0 ? x * x : 0;
    }
    return x;
}

typedef struct row {
    int length;
    const int32_t *positions, *lo, *hi;
} row;

static double *array(int rows, int width) {
    return calloc((size_t)rows * (size_t)width, sizeof(double));
}

/* All tokens: x, y: [length, hidden] */
static void norm_rows(const em_layer_spec *s, const em_weight *w, const em_weight *b, int length,
                      const double *x, double *y) {
    for (int t = 0; t < length; t++) layer_norm(s, w, b, x + t * s->hidden, y + t * s->hidden);
}

/* x += norm(y) */
static void add_block(const em_layer_spec *s, const em_weight *norm_out, int length,
                      const double *y, double *x) {
    double z[1024];
    for (int t = 0; t < length; t++) {
        layer_norm(s, norm_out, NULL, y + t * s->hidden, z);
        for (int i = 0; i < s->hidden; i++) x[t * s->hidden + i] += z[i];
    }
}

/* x: [length, hidden] -> out: the attention block's contribution before its out norm */
static void attention_block(const em_layer_spec *s, const em_layer_weights *w, const row *r,
                            const double *x, double *out) {
    int n_q = s->heads * s->head_dim, n_k = s->kv_heads * s->head_dim, n = r->length;
    double *y = array(n, s->hidden), *q = array(n, n_q), *k = array(n, n_k), *v = array(n, n_k),
           *mixed = array(n, n_q);
    norm_rows(s, &w->of[EM_W_ATTENTION_IN], &w->of[EM_W_ATTENTION_IN_BIAS], n, x, y);
    product(&w->of[EM_W_Q], &w->of[EM_W_Q_BIAS], n, y, s->hidden, q, n_q);
    product(&w->of[EM_W_K], &w->of[EM_W_K_BIAS], n, y, s->hidden, k, n_k);
    product(&w->of[EM_W_V], &w->of[EM_W_V_BIAS], n, y, s->hidden, v, n_k);
    for (int t = 0; t < n; t++) {
        place_heads(s, &w->of[EM_W_Q_NORM], s->heads, r->positions[t], q + t * n_q);
        place_heads(s, &w->of[EM_W_K_NORM], s->kv_heads, r->positions[t], k + t * n_k);
    }
    for (int t = 0; t < n; t++)
        for (int h = 0; h < s->heads; h++) {
            int kv = h / (s->heads / s->kv_heads) * s->head_dim, at = t * n_q + h * s->head_dim;
            attend(s, t, r->lo[t], r->hi[t], q + at, k + kv, v + kv, mixed + at);
        }
    product(&w->of[EM_W_O], &w->of[EM_W_O_BIAS], n, mixed, n_q, out, s->hidden);
    free(y);
    free(q);
    free(k);
    free(v);
    free(mixed);
}

/* x: [length, hidden] -> out: likewise of the feed-forward block */
static void ffn_block(const em_layer_spec *s, const em_layer_weights *w, int length,
                      const double *x, double *out) {
    double *y = array(length, s->hidden), *gate = array(length, s->ffn),
           *up = array(length, s->ffn);
    norm_rows(s, &w->of[EM_W_FFN_IN], &w->of[EM_W_FFN_IN_BIAS], length, x, y);
    product(&w->of[EM_W_UP], &w->of[EM_W_UP_BIAS], length, y, s->hidden, up, s->ffn);
    if (s->gated)
        product(&w->of[EM_W_GATE], &w->of[EM_W_GATE_BIAS], length, y, s->hidden, gate, s->ffn);
    for (int i = 0; i < length * s->ffn; i++)
        up[i] = s->gated ? activation(s->activation, gate[i]) * up[i]
                         : activation(s->activation, up[i]);
    product(&w->of[EM_W_DOWN], &w->of[EM_W_DOWN_BIAS], length, up, s->ffn, out, s->hidden);
    free(y);
    free(gate);
    free(up);
}

static void layer_forward(const em_layer_spec *s, const em_layer_weights *w, const row *r,
                          double *x) {
    double *attention = array(r->length, s->hidden), *ffn = array(r->length, s->hidden);
    attention_block(s, w, r, x, attention);
    if (s->parallel_residual) ffn_block(s, w, r->length, x, ffn);
    add_block(s, &w->of[EM_W_ATTENTION_OUT], r->length, attention, x);
    if (!s->parallel_residual) ffn_block(s, w, r->length, x, ffn);
    add_block(s, &w->of[EM_W_FFN_OUT], r->length, ffn, x);
    free(attention);
    free(ffn);
}

/* x: [length, hidden] -> logits: [length, NETWORK_VOCAB] */
static void head_logits(const em_head_spec *h, int length, const double *x, double *logits) {
    double *y = array(length, h->hidden);
    for (int t = 0; t < length; t++)
        norm(h->norm, h->norm_eps, h->norm_plus_one, &h->final_norm, NULL, x + t * h->hidden,
             y + t * h->hidden);
    product(&h->output, &h->output_bias, length, y, h->hidden, logits, NETWORK_VOCAB);
    for (int i = 0; h->softcap > 0 && i < length * NETWORK_VOCAB; i++)
        logits[i] = (double)h->softcap * tanh(logits[i] / (double)h->softcap);
    free(y);
}

static void score_token(const double *logits, int32_t label, double *nll, int32_t *argmax) {
    double sum = 0;
    *argmax = 0;
    for (int v = 0; v < NETWORK_VOCAB; v++)
        if (logits[v] > logits[*argmax]) *argmax = v;
    for (int v = 0; v < NETWORK_VOCAB; v++) sum += exp(logits[v] - logits[*argmax]);
    *nll = log(sum) + logits[*argmax] - logits[label];
}

/* The row after all layers: [length, hidden]; the caller frees it. */
static double *forward(const network *n, int length, const int32_t *ids, const int32_t *positions,
                       const int32_t *lo, const int32_t *hi) {
    int hidden = n->shape.layer.hidden;
    double *x = calloc((size_t)(length * hidden), sizeof *x);
    row r = {length, positions, lo, hi};
    for (int t = 0; t < length; t++)
        for (int i = 0; i < hidden; i++) {
            x[t * hidden + i] = value(&n->embedding.tokens, ids[t], i) * (double)n->embedding.scale;
            if (n->embedding.positions.data)
                x[t * hidden + i] += value(&n->embedding.positions, positions[t], i);
        }
    for (int l = 0; l < NETWORK_LAYERS; l++)
        layer_forward(network_layer(n, l), &n->layers[l], &r, x);
    return x;
}

void naive_logits(const network *n, int length, const int32_t *ids, const int32_t *positions,
                  const int32_t *lo, const int32_t *hi, double *logits) {
    double *x = forward(n, length, ids, positions, lo, hi);
    head_logits(&n->head, length, x, logits);
    free(x);
}

void naive_score(const network *n, int length, const int32_t *ids, const int32_t *positions,
                 const int32_t *lo, const int32_t *hi, const int32_t *labels, double *nll,
                 int32_t *argmax) {
    double *logits = array(length, NETWORK_VOCAB);
    naive_logits(n, length, ids, positions, lo, hi, logits);
    for (int t = 0; t < length; t++)
        if (labels[t] >= 0)
            score_token(logits + (size_t)t * NETWORK_VOCAB, labels[t], &nll[t], &argmax[t]);
    free(logits);
}
