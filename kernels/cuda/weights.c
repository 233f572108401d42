/* Weights: from the checkpoint's format and strides to rows in the products' number format, checked
 * and converted by the host's threads into pinned buffers, and sent by the copy stream while the
 * device computes. */
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "kernels/cuda/cuda.h"
#include "kernels/weight.h"

/* ---- layout ---- */

static size_t place(size_t *end, size_t bytes) {
    size_t at = *end;
    *end += (bytes + 255) / 256 * 256;
    return at;
}

static int pad(int n) { return (int)em_cuda_pad(n); }

/* Floats of all vectors that a layer may have, each padded: the norms with their biases and the
 * products' biases, the head norms, the rope. */
static int vector_floats(const em_layer_spec *s, const em_cuda_widths *w) {
    return 10 * pad(s->hidden) + pad(w->qkv) + pad(w->inner) + pad(s->heads * s->head_dim) +
           pad(s->kv_heads * s->head_dim) + pad(s->rope.dim / 2);
}

static size_t head_vector_floats(const em_head_spec *s) {
    return 2 * (size_t)pad(s->hidden) + (size_t)pad(s->vocab);
}

em_layer_layout em_layer_layout_of(const em_layer_spec *s, em_dtype type) {
    em_layer_layout l = {
        .widths = em_cuda_widths_of(s), .hidden = pad(s->hidden), .ffn = pad(s->ffn)};
    l.attended = pad(l.widths.attended);
    l.qkv = pad(l.widths.qkv);
    l.inner = pad(l.widths.inner);
    size_t element = em_dtype_size(type);
    l.n_vectors = vector_floats(s, &l.widths);
    l.qkv_at = place(&l.bytes, (size_t)l.qkv * (size_t)l.hidden * element);
    l.o_at = place(&l.bytes, (size_t)l.hidden * (size_t)l.attended * element);
    l.inner_at = place(&l.bytes, (size_t)l.inner * (size_t)l.hidden * element);
    l.down_at = place(&l.bytes, (size_t)l.hidden * (size_t)l.ffn * element);
    l.vectors_at = place(&l.bytes, (size_t)l.n_vectors * sizeof(float));
    return l;
}

static size_t head_matrix_bytes(const em_head_spec *s, em_dtype type) {
    return (size_t)em_cuda_pad(s->vocab) * (size_t)em_cuda_pad(s->hidden) * em_dtype_size(type);
}

size_t em_cuda_head_bytes(const em_head_spec *s, em_dtype type) {
    size_t bytes = 0;
    place(&bytes, head_matrix_bytes(s, type));
    place(&bytes, head_vector_floats(s) * sizeof(float));
    return bytes;
}

/* ---- rows ---- */

/* Exponents of all ones are infinities and NaN. */
static bool halves_finite(const uint16_t *x, int64_t n, uint16_t exponent) {
    unsigned bad = 0;
    for (int64_t i = 0; i < n; i++) bad |= (x[i] & exponent) == exponent;
    return !bad;
}

static bool floats_finite(const float *x, int64_t n) {
    unsigned bad = 0;
    for (int64_t i = 0; i < n; i++) bad |= !(fabsf(x[i]) < INFINITY);
    return !bad;
}

static bool row_finite(em_dtype type, const void *x, int64_t n) {
    if (type == EM_F32) return floats_finite(x, n);
    return halves_finite(x, n, type == EM_BF16 ? 0x7f80 : 0x7c00);
}

static void narrow(em_dtype type, uint16_t *to, const float *x, int64_t n) {
    if (type == EM_BF16)
        for (int64_t i = 0; i < n; i++) to[i] = em_f32_to_bf16(x[i]);
    else
        for (int64_t i = 0; i < n; i++) to[i] = em_f32_to_f16(x[i]);
}

/* Output o of w into to, as type; false: some value is not finite there. wide: [w->in], scratch */
static bool convert_row(em_dtype type, void *to, const em_weight *w, int64_t o, float *wide) {
    const char *from = (const char *)w->data +
                       em_weight_index(w, o, 0) * (int64_t)em_dtype_size(w->dtype);
    if (w->dtype == type && w->in_stride == 1) {
        memcpy(to, from, (size_t)w->in * em_dtype_size(type));
    } else {
        em_weight_row(w, o, type == EM_F32 ? to : wide);
        if (type != EM_F32) narrow(type, to, wide, w->in);
    }
    return row_finite(type, to, w->in);
}

static bool refuse_row(const em_weight *w, int64_t o, em_error *err) {
    for (int64_t i = 0; i < w->in; i++)
        if (!isfinite(em_weight_value(w, o, i))) return em_weight_refuse(w, o, err);
    return em_fail(err, EM_INPUT,
                   "tensor %s: output %lld has a value that f16 cannot hold (its largest is "
                   "65504): use --dtype bf16 or f32",
                   w->name, (long long)o);
}

/* Outputs [o, o + n) into rows of stride elements, zeros beyond the inputs. The first bad output,
 * or o + n. scratch: a row of floats a thread. */
static int64_t convert_rows(const em_cuda *c, const em_weight *w, int64_t o, int64_t n, char *rows,
                            int stride, float *scratch) {
    em_dtype type = c->base.options.compute;
    size_t element = em_dtype_size(type), row_bytes = (size_t)stride * element,
           real = (size_t)w->in * element;
    int64_t bad = o + n;
#pragma omp parallel for num_threads(c->base.options.threads) reduction(min : bad)
    for (int64_t r = 0; r < n; r++) {
        char *row = rows + (size_t)r * row_bytes;
        memset(row + real, 0, row_bytes - real);
        if (!convert_row(type, row, w, o + r, scratch + omp_get_thread_num() * w->in) &&
            o + r < bad)
            bad = o + r;
    }
    return bad;
}

static bool send_rows(em_cuda *c, char *matrix, int stride, const em_weight *w, int64_t at,
                      float *scratch, em_error *err) {
    size_t row_bytes = (size_t)stride * em_dtype_size(c->base.options.compute);
    int64_t step = (int64_t)(EM_STAGING_BYTES / row_bytes);
    if (step < 1)
        return em_fail(err, EM_INPUT, "tensor %s: %lld inputs are more than the CUDA engine takes",
                       w->name, (long long)w->in);
    for (int64_t o = 0; o < w->out; o += step) {
        int64_t n = w->out - o < step ? w->out - o : step;
        char *rows = em_staging_next(c, err);
        if (!rows) return false;
        int64_t bad = convert_rows(c, w, o, n, rows, stride, scratch);
        if (bad < o + n) return refuse_row(w, bad, err);
        if (!em_staging_send(c, c->copy, matrix + (size_t)(at + o) * row_bytes,
                             (size_t)n * row_bytes, err))
            return false;
    }
    return true;
}

/* w as rows of stride elements, from row `at` on of a matrix on the device. */
static bool send_matrix(em_cuda *c, char *matrix, int stride, const em_weight *w, int64_t at,
                        em_error *err) {
    if (!w->data) return true;
    float *scratch = em_alloc((size_t)w->in, (size_t)c->base.options.threads * sizeof *scratch,
                              "a row of weights", err);
    bool ok = scratch && send_rows(c, matrix, stride, w, at, scratch, err);
    free(scratch);
    return ok;
}

/* ---- vectors: gathered on the host, sent together ---- */

typedef struct vectors {
    float *host;
    const float *device;
    int64_t used;
} vectors;

/* n floats of a piece and zeros up to whole words, as kernels read them; *device: where they will
 * be. */
static float *reserve(vectors *v, int64_t n, const float **device) {
    float *at = v->host + v->used;
    if (device) *device = v->device + v->used;
    v->used += em_cuda_pad(n);
    return at;
}

static bool fill(float *to, const em_weight *w, float add, em_error *err) {
    for (int64_t o = 0; w->data && o < w->out; o++) {
        to[o] = em_weight_value(w, o, 0);
        if (!isfinite(to[o])) return em_weight_refuse(w, o, err);
        to[o] += add;
    }
    return true;
}

static bool add_vector(vectors *v, const em_weight *w, float add, const float **device,
                       em_error *err) {
    *device = NULL;
    return !w->data || fill(reserve(v, w->out, device), w, add, err);
}

static bool add_norm(vectors *v, em_cuda_norm *norm, em_norm_kind kind, float eps, bool plus_one,
                     int n, const em_weight *w, const em_weight *b, em_error *err) {
    *norm = (em_cuda_norm){.kind = kind, .eps = eps, .n = n};
    return add_vector(v, w, plus_one ? 1 : 0, &norm->w, err) && add_vector(v, b, 0, &norm->b, err);
}

/* Biases of products side by side, each at its own place; none: NULL. */
static bool add_biases(vectors *v, const em_weight *const *biases, const int *at, int n, int width,
                       const float **device, em_error *err) {
    bool any = false;
    *device = NULL;
    for (int i = 0; i < n; i++) any |= biases[i]->data != NULL;
    if (!any) return true;
    float *to = reserve(v, width, device);
    for (int i = 0; i < n; i++)
        if (!fill(to + at[i], biases[i], 0, err)) return false;
    return true;
}

static bool send_vectors(em_cuda *c, const vectors *v, em_error *err) {
    const int64_t step = EM_STAGING_BYTES / (int64_t)sizeof(float);
    for (int64_t at = 0; at < v->used; at += step) {
        int64_t n = v->used - at < step ? v->used - at : step;
        float *to = em_staging_next(c, err);
        if (!to) return false;
        memcpy(to, v->host + at, (size_t)n * sizeof *to);
        if (!em_staging_send(c, c->copy, (float *)(uintptr_t)v->device + at, (size_t)n * sizeof *to,
                             err))
            return false;
    }
    return true;
}

/* ---- a layer ---- */

static bool add_layer_norms(vectors *v, em_layer *l, const em_layer_weights *w, em_error *err) {
    const em_layer_spec *s = &l->spec;
    bool one = s->norm_plus_one;
    return add_norm(v, &l->attention_in, s->norm, s->norm_eps, one, s->hidden,
                    &w->of[EM_W_ATTENTION_IN], &w->of[EM_W_ATTENTION_IN_BIAS], err) &&
           add_norm(v, &l->attention_out, s->norm, s->norm_eps, one, s->hidden,
                    &w->of[EM_W_ATTENTION_OUT], &w->of[EM_W_ATTENTION_OUT_BIAS], err) &&
           add_norm(v, &l->ffn_in, s->norm, s->norm_eps, one, s->hidden, &w->of[EM_W_FFN_IN],
                    &w->of[EM_W_FFN_IN_BIAS], err) &&
           add_norm(v, &l->ffn_out, s->norm, s->norm_eps, one, s->hidden, &w->of[EM_W_FFN_OUT],
                    &w->of[EM_W_FFN_OUT_BIAS], err) &&
           add_vector(v, &w->of[EM_W_Q_NORM], one, &l->q_norm, err) &&
           add_vector(v, &w->of[EM_W_K_NORM], one, &l->k_norm, err);
}

static bool add_layer_biases(vectors *v, em_layer *l, const em_layer_weights *w, em_error *err) {
    const em_cuda_widths *at = &l->at.widths;
    const em_weight *qkv[] = {&w->of[EM_W_Q_BIAS], &w->of[EM_W_K_BIAS], &w->of[EM_W_V_BIAS]},
                    *inner[] = {&w->of[EM_W_GATE_BIAS], &w->of[EM_W_UP_BIAS]};
    const int qkv_at[] = {0, at->k_at, at->v_at}, inner_at[] = {0, at->up_at};
    return add_biases(v, qkv, qkv_at, 3, at->qkv, &l->qkv_bias, err) &&
           add_vector(v, &w->of[EM_W_O_BIAS], 0, &l->o_bias, err) &&
           add_biases(v, inner, inner_at, 2, at->inner, &l->inner_bias, err) &&
           add_vector(v, &w->of[EM_W_DOWN_BIAS], 0, &l->down_bias, err);
}

static bool send_layer_vectors(em_cuda *c, em_layer *l, const em_layer_weights *w, em_error *err) {
    vectors v = {
        .host = em_alloc((size_t)l->at.n_vectors, sizeof *v.host, "a layer's vectors", err),
        .device = (const float *)(l->block->data + l->at.vectors_at)};
    bool ok = v.host && add_layer_norms(&v, l, w, err) && add_layer_biases(&v, l, w, err);
    int angles = l->spec.rope.dim / 2;
    if (ok && angles)
        memcpy(reserve(&v, angles, &l->inv_freq), l->spec.rope.inv_freq,
               (size_t)angles * sizeof(float));
    ok = ok && send_vectors(c, &v, err);
    free(v.host);
    return ok;
}

static bool send_layer_matrices(em_cuda *c, const em_layer *l, const em_layer_weights *w,
                                em_error *err) {
    const em_layer_layout *at = &l->at;
    char *p = l->block->data;
    return send_matrix(c, p + at->qkv_at, at->hidden, &w->of[EM_W_Q], 0, err) &&
           send_matrix(c, p + at->qkv_at, at->hidden, &w->of[EM_W_K], at->widths.k_at, err) &&
           send_matrix(c, p + at->qkv_at, at->hidden, &w->of[EM_W_V], at->widths.v_at, err) &&
           send_matrix(c, p + at->o_at, at->attended, &w->of[EM_W_O], 0, err) &&
           send_matrix(c, p + at->inner_at, at->hidden, &w->of[EM_W_GATE], 0, err) &&
           send_matrix(c, p + at->inner_at, at->hidden, &w->of[EM_W_UP], at->widths.up_at, err) &&
           send_matrix(c, p + at->down_at, at->ffn, &w->of[EM_W_DOWN], 0, err);
}

/* The compute stream goes on when the copy stream has come this far. */
static bool hand_over(em_cuda *c, em_block *block, em_error *err) {
    return em_event_record(block->done, c->copy, err) &&
           em_stream_after(c->compute, block->done, err);
}

static bool check_layer(const em_layer_spec *s, em_error *err) {
    return s->head_dim <= EM_CUDA_MAX_HEAD_DIM ||
           em_fail(err, EM_INPUT,
                   "heads of %d elements: the CUDA engine takes up to %d; use --device cpu",
                   s->head_dim, EM_CUDA_MAX_HEAD_DIM);
}

em_layer *em_cuda_layer_load(em_backend *b, const em_layer_spec *spec, const em_layer_weights *w,
                             em_error *err) {
    em_cuda *c = em_cuda_of(b);
    double begin = omp_get_wtime();
    em_layer *l = check_layer(spec, err) ? em_alloc(1, sizeof *l, "a layer", err) : NULL;
    if (!l) return NULL;
    l->spec = *spec;
    l->at = em_layer_layout_of(spec, b->options.compute);
    l->block = em_block_take(c, l->at.bytes, "a layer's weights", err);
    bool ok = l->block && em_fill_zero(c->copy, l->block->data, l->at.vectors_at, err) &&
              send_layer_matrices(c, l, w, err) && send_layer_vectors(c, l, w, err) &&
              hand_over(c, l->block, err);
    b->times.pack += omp_get_wtime() - begin;
    if (ok) return l;
    em_cuda_layer_free(b, l);
    return NULL;
}

void em_cuda_layer_free(em_backend *b, em_layer *l) {
    if (!l) return;
    em_block_give(em_cuda_of(b), l->block);
    free(l);
}

/* ---- the head ---- */

static bool send_head_vectors(em_cuda *c, em_head *h, em_error *err) {
    const em_head_spec *s = &h->spec;
    size_t matrix = 0, n = head_vector_floats(s);
    place(&matrix, head_matrix_bytes(s, c->base.options.compute));
    vectors v = {.host = em_alloc(n, sizeof *v.host, "the head's vectors", err),
                 .device = (const float *)(h->block->data + matrix)};
    bool ok = v.host &&
              add_norm(&v, &h->norm, s->norm, s->norm_eps, s->norm_plus_one, s->hidden,
                       &s->final_norm, &s->final_norm_bias, err) &&
              add_vector(&v, &s->output_bias, 0, &h->bias, err) && send_vectors(c, &v, err);
    free(v.host);
    return ok;
}

em_head *em_cuda_head_load(em_backend *b, const em_head_spec *spec, em_error *err) {
    em_cuda *c = em_cuda_of(b);
    double begin = omp_get_wtime();
    em_head *h = em_alloc(1, sizeof *h, "the head", err);
    if (!h) return NULL;
    h->spec = *spec;
    h->hidden = (int)em_cuda_pad(spec->hidden);
    h->block = em_block_take(c, em_cuda_head_bytes(spec, b->options.compute), "the head's weights",
                             err);
    bool ok = h->block &&
              em_fill_zero(c->copy, h->block->data, head_matrix_bytes(spec, b->options.compute),
                           err) &&
              send_matrix(c, h->block->data, h->hidden, &spec->output, 0, err) &&
              send_head_vectors(c, h, err) && hand_over(c, h->block, err);
    b->times.pack += omp_get_wtime() - begin;
    if (ok) return h;
    em_cuda_head_free(b, h);
    return NULL;
}

void em_cuda_head_free(em_backend *b, em_head *h) {
    if (!h) return;
    em_block_give(em_cuda_of(b), h->block);
    free(h);
}
