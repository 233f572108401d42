#include "kernels/weight.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

float em_weight_value(const em_weight *w, int64_t o, int64_t i) {
    const char *at = (const char *)w->data +
                     em_weight_index(w, o, i) * (int64_t)em_dtype_size(w->dtype);
    float x;
    uint16_t half;
    if (w->dtype == EM_F32) return memcpy(&x, at, sizeof x), x;
    memcpy(&half, at, sizeof half);
    return w->dtype == EM_F16 ? em_f16_to_f32(half) : em_bf16_to_f32(half);
}

/* A mapped file's tensors may lie at odd places. */
static inline uint16_t half_at(const char *from, int64_t i) {
    uint16_t half;
    return memcpy(&half, from + 2 * i, sizeof half), half;
}

void em_weight_row(const em_weight *w, int64_t o, float *x) {
    const char *from = (const char *)w->data +
                       em_weight_index(w, o, 0) * (int64_t)em_dtype_size(w->dtype);
    int64_t n = w->in, step = w->in_stride;
    switch (w->dtype) {
    case EM_F32:
        for (int64_t i = 0; i < n; i++) memcpy(&x[i], from + 4 * i * step, sizeof *x);
        break;
    case EM_F16:
        for (int64_t i = 0; i < n; i++) x[i] = em_f16_to_f32(half_at(from, i * step));
        break;
    case EM_BF16:
        if (step == 1)
            for (int64_t i = 0; i < n; i++)
                x[i] = em_bf16_to_f32(half_at(from, i)); /* vectorised */
        else
            for (int64_t i = 0; i < n; i++) x[i] = em_bf16_to_f32(half_at(from, i * step));
        break;
    }
}

static int64_t first_not_finite(const em_weight *w, int64_t o) {
    int64_t i = 0;
    while (i < w->in && isfinite(em_weight_value(w, o, i))) i++;
    return i;
}

static const char *kind(float x) { return isnan(x) ? "NaN" : "infinite"; }

bool em_weight_refuse(const em_weight *w, int64_t o, em_error *err) {
    int64_t i = first_not_finite(w, o);
    char place[64];
    if (w->in > 1)
        snprintf(place, sizeof place, "output %lld, input %lld", (long long)o, (long long)i);
    else snprintf(place, sizeof place, "element %lld", (long long)o);
    return em_fail(err, EM_INPUT,
                   "tensor %s: %s is %s; the checkpoint is damaged or its training diverged",
                   w->name, place, kind(em_weight_value(w, o, i)));
}

/* true: the row is finite */
static bool row_finite(const em_weight *w, int64_t row, em_error *err) {
    int64_t i = first_not_finite(w, row);
    return i == w->in ||
           em_fail(
               err, EM_INPUT,
               "tensor %s: row %lld, element %lld is %s; the checkpoint is damaged or its training "
               "diverged",
               w->name, (long long)row, (long long)i, kind(em_weight_value(w, row, i)));
}

bool em_token_refuse(const em_embedding *e, int32_t id, int32_t position, em_error *err) {
    if (id < 0 || id >= e->tokens.out)
        return em_fail(
            err, EM_INPUT,
            "token id %d is outside the model's vocabulary of %lld: give the model's own "
            "tokenizer with --tokenizer",
            id, (long long)e->tokens.out);
    if (position < 0 || (e->positions.data && position >= e->positions.out))
        return em_fail(err, EM_INPUT,
                       "position %d is outside the model's %lld learned positions: lower -T",
                       position, (long long)e->positions.out);
    if (!row_finite(&e->tokens, id, err) ||
        (e->positions.data && !row_finite(&e->positions, position, err)))
        return false;
    return em_fail(err, EM_INPUT, "the embedding of token %d at position %d overflows", id,
                   position);
}

bool em_batch_refuse(int64_t max_tokens, em_error *err) {
    return em_fail(err, EM_MACHINE,
                   "a batch of more than %lld padded tokens: raise --memory or lower -B",
                   (long long)max_tokens);
}
