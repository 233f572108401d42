#include "tests/model/reference_forward.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct row {
    int length;
    const int32_t *positions, *lo, *hi;
    double *x;         /* [length, hidden]: the residual stream */
    double *q, *k, *v; /* [length, heads or kv_heads, head_dim] */
    double *mixed;     /* [length, heads, head_dim] */
    double *a, *b, *c; /* scratch of one token: [widest] */
} row;

static double element(const em_weight *w, int64_t o, int64_t i) {
    const char *p = (const char *)w->data +
                    em_weight_index(w, o, i) * (int64_t)em_dtype_size(w->dtype);
    float f;
    uint16_t h;
    if (w->dtype == EM_F32) {
        memcpy(&f, p, 4);
        return f;
    }
    memcpy(&h, p, 2);
    return w->dtype == EM_F16 ? em_f16_to_f32(h) : em_bf16_to_f32(h);
}

static double at(const em_weight *w, int64_t o) { return w->data ? element(w, o, 0) : 0; }

/* y = W x + b */
static void linear(const em_weight *w, const em_weight *bias, const double *x, double *y) {
    for (int64_t o = 0; o < w->out; o++) {
        double sum = at(bias, o);
        for (int64_t i = 0; i < w->in; i++) sum += element(w, o, i) * x[i];
        y[o] = sum;
    }
}

static void norm(em_norm_kind kind, double eps, bool plus_one, const em_weight *w,
                 const em_weight *bias, int n, const double *x, double *y) {
    double mean = 0, square = 0;
    for (int i = 0; kind == EM_NORM_LAYER && i < n; i++) mean += x[i] / n;
    for (int i = 0; i < n; i++) square += (x[i] - mean) * (x[i] - mean) / n;
    for (int i = 0; i < n; i++)
        y[i] = (x[i] - mean) / sqrt(square + eps) * (at(w, i) + (plus_one ? 1 : 0)) +
               (bias ? at(bias, i) : 0);
}

/* An absent norm copies. */
static void layer_norm(const em_layer_spec *s, const em_weight *w, const em_weight *bias,
                       const double *x, double *y) {
    if (w->data) norm(s->norm, s->norm_eps, s->norm_plus_one, w, bias, s->hidden, x, y);
    else memcpy(y, x, (size_t)s->hidden * sizeof *y);
}

static double activate(em_activation kind, double x) {
    switch (kind) {
    case EM_SILU: return x / (1 + exp(-x));
    case EM_GELU: return 0.5 * x * (1 + erf(x / sqrt(2)));
    case EM_GELU_TANH: return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
    case EM_RELU2: return x > 0 ? x * x : 0;
    default: return x > 0 ? x : 0;
    }
}

static void rotate(const em_rope *r, int position, double *head) {
    for (int j = 0; j < r->dim / 2; j++) {
        int first = r->interleaved ? 2 * j : j,
            second = r->interleaved ? 2 * j + 1 : j + r->dim / 2;
        float angle = (float)position * r->inv_freq[j];
        double c = cos(angle) * r->scale, s = sin(angle) * r->scale, x = head[first],
               y = head[second];
        head[first] = x * c - y * s;
        head[second] = y * c + x * s;
    }
}

static void head_norms(const em_layer_spec *s, const em_weight *w, int heads, double *x) {
    bool all = s->head_norm == EM_HEAD_NORM_ALL;
    if (s->head_norm == EM_HEAD_NORM_NONE) return;
    for (int h = 0; h < (all ? 1 : heads); h++)
        norm(EM_NORM_RMS, s->norm_eps, s->norm_plus_one, w, NULL,
             all ? heads * s->head_dim : s->head_dim, x + (size_t)h * s->head_dim,
             x + (size_t)h * s->head_dim);
}

static void project(const em_layer_spec *s, const em_layer_weights *w, row *r, int t) {
    double *q = r->q + (size_t)t * s->heads * s->head_dim,
           *k = r->k + (size_t)t * s->kv_heads * s->head_dim;
    layer_norm(s, &w->of[EM_W_ATTENTION_IN], &w->of[EM_W_ATTENTION_IN_BIAS],
               r->x + (size_t)t * s->hidden, r->a);
    linear(&w->of[EM_W_Q], &w->of[EM_W_Q_BIAS], r->a, q);
    linear(&w->of[EM_W_K], &w->of[EM_W_K_BIAS], r->a, k);
    linear(&w->of[EM_W_V], &w->of[EM_W_V_BIAS], r->a, r->v + (size_t)t * s->kv_heads * s->head_dim);
    head_norms(s, &w->of[EM_W_Q_NORM], s->heads, q);
    head_norms(s, &w->of[EM_W_K_NORM], s->kv_heads, k);
    for (int h = 0; h < s->heads; h++) rotate(&s->rope, r->positions[t], q + h * s->head_dim);
    for (int h = 0; h < s->kv_heads; h++) rotate(&s->rope, r->positions[t], k + h * s->head_dim);
}

static double score(const em_layer_spec *s, const row *r, int t, int key, int h) {
    int kv = h / (s->heads / s->kv_heads);
    const double *q = r->q + ((size_t)t * s->heads + h) * s->head_dim,
                 *k = r->k + ((size_t)key * s->kv_heads + kv) * s->head_dim;
    double z = 0;
    for (int d = 0; d < s->head_dim; d++) z += q[d] * k[d];
    z *= s->attention_scale;
    return s->attention_softcap > 0 ? s->attention_softcap * tanh(z / s->attention_softcap) : z;
}

static bool sees(const em_layer_spec *s, const row *r, int t, int key) {
    return r->lo[t] <= key && key < r->hi[t] && (!s->window || abs(t - key) < s->window);
}

static void attend(const em_layer_spec *s, row *r, int t, int h) {
    double *out = r->mixed + ((size_t)t * s->heads + h) * s->head_dim, sum = 0, most = -HUGE_VAL;
    int kv = h / (s->heads / s->kv_heads);
    memset(out, 0, (size_t)s->head_dim * sizeof *out);
    for (int key = 0; key < r->length; key++)
        if (sees(s, r, t, key)) most = fmax(most, score(s, r, t, key, h));
    for (int key = 0; key < r->length; key++) {
        if (!sees(s, r, t, key)) continue;
        double p = exp(score(s, r, t, key, h) - most);
        sum += p;
        for (int d = 0; d < s->head_dim; d++)
            out[d] += p * r->v[((size_t)key * s->kv_heads + kv) * s->head_dim + d];
    }
    for (int d = 0; d < s->head_dim && sum > 0; d++) out[d] /= sum;
}

/* out: [hidden] = norm(mlp(norm x)) */
static void feed_forward(const em_layer_spec *s, const em_layer_weights *w, row *r, const double *x,
                         double *out) {
    layer_norm(s, &w->of[EM_W_FFN_IN], &w->of[EM_W_FFN_IN_BIAS], x, r->a);
    linear(&w->of[EM_W_UP], &w->of[EM_W_UP_BIAS], r->a, r->b);
    if (s->gated) linear(&w->of[EM_W_GATE], &w->of[EM_W_GATE_BIAS], r->a, r->c);
    for (int i = 0; i < s->ffn; i++)
        r->b[i] = s->gated ? activate(s->activation, r->c[i]) * r->b[i]
                           : activate(s->activation, r->b[i]);
    linear(&w->of[EM_W_DOWN], &w->of[EM_W_DOWN_BIAS], r->b, r->a);
    layer_norm(s, &w->of[EM_W_FFN_OUT], &w->of[EM_W_FFN_OUT_BIAS], r->a, out);
}

static void finish_token(const em_layer_spec *s, const em_layer_weights *w, row *r, int t,
                         double *mlp) {
    double *x = r->x + (size_t)t * s->hidden;
    if (s->parallel_residual) feed_forward(s, w, r, x, mlp);
    linear(&w->of[EM_W_O], &w->of[EM_W_O_BIAS], r->mixed + (size_t)t * s->heads * s->head_dim,
           r->a);
    layer_norm(s, &w->of[EM_W_ATTENTION_OUT], &w->of[EM_W_ATTENTION_OUT_BIAS], r->a, r->b);
    for (int i = 0; i < s->hidden; i++) x[i] += r->b[i];
    if (!s->parallel_residual) feed_forward(s, w, r, x, mlp);
    for (int i = 0; i < s->hidden; i++) x[i] += mlp[i];
}

static void layer(const em_layer_spec *s, const em_layer_weights *w, row *r, double *mlp) {
    for (int t = 0; t < r->length; t++) project(s, w, r, t);
    for (int t = 0; t < r->length; t++)
        for (int h = 0; h < s->heads; h++) attend(s, r, t, h);
    for (int t = 0; t < r->length; t++) finish_token(s, w, r, t, mlp);
}

static void embed(const em_embedding *e, int hidden, int32_t id, int32_t position, double *x) {
    for (int i = 0; i < hidden; i++) {
        x[i] = element(&e->tokens, id, i) * e->scale;
        if (e->positions.data) x[i] += element(&e->positions, position, i);
    }
}

static double nll_of(const em_head_spec *h, const double *x, int32_t label, double *normed,
                     double *logits) {
    double most = -HUGE_VAL, sum = 0;
    norm(h->norm, h->norm_eps, h->norm_plus_one, &h->final_norm, &h->final_norm_bias, h->hidden, x,
         normed);
    linear(&h->output, &h->output_bias, normed, logits);
    for (int v = 0; v < h->vocab && h->softcap > 0; v++)
        logits[v] = h->softcap * tanh(logits[v] / h->softcap);
    for (int v = 0; v < h->vocab; v++) most = fmax(most, logits[v]);
    for (int v = 0; v < h->vocab; v++) sum += exp(logits[v] - most);
    return log(sum) + most - logits[label];
}

static void run(const em_model *m, row *r, const int32_t *ids, const int32_t *labels, double *mlp,
                double *logits, double *nll) {
    const em_model_spec *s = em_model_spec_of(m);
    for (int t = 0; t < r->length; t++)
        embed(em_model_embedding(m), s->hidden, ids[t], r->positions[t],
              r->x + (size_t)t * s->hidden);
    for (int i = 0; i < s->layers; i++)
        layer(em_model_layer_spec(m, i), em_model_layer_weights(m, i), r, mlp);
    for (int t = 0; t < r->length; t++)
        if (labels[t] >= 0)
            nll[t] = nll_of(em_model_head(m), r->x + (size_t)t * s->hidden, labels[t], r->a,
                            logits);
}

bool reference_score(const em_model *m, int length, const int32_t *ids, const int32_t *positions,
                     const int32_t *lo, const int32_t *hi, const int32_t *labels, double *nll) {
    const em_model_spec *s = em_model_spec_of(m);
    size_t n = (size_t)length, q = (size_t)s->heads * (size_t)s->head_dim,
           kv = (size_t)s->kv_heads * (size_t)s->head_dim;
    size_t hidden = (size_t)s->hidden, wide = q + hidden + (size_t)s->ffn;
    double *all = calloc(n * (hidden + 2 * q + 2 * kv) + 3 * wide + hidden + (size_t)s->vocab,
                         sizeof *all);
    if (!all) return false;
    row r = {length, positions, lo, hi, .x = all};
    r.q = r.x + n * hidden, r.mixed = r.q + n * q, r.k = r.mixed + n * q, r.v = r.k + n * kv;
    r.a = r.v + n * kv, r.b = r.a + wide, r.c = r.b + wide;
    run(m, &r, ids, labels, r.c + wide, r.c + wide + hidden, nll);
    free(all);
    return true;
}
