#include "model/flops.h"

/* Keys that the row's queries see, all together. */
static double row_pairs(const em_layer_spec *spec, const em_row_batch *b, int row) {
    double pairs = 0;
    for (int32_t i = 0; i < b->length[row]; i++) {
        int64_t at = b->start[row] + i, lo = b->lo[at], hi = b->hi[at], window = spec->window;
        if (window > 0 && lo < i - window + 1) lo = i - window + 1;
        if (window > 0 && hi > i + window) hi = i + window;
        if (lo < hi) pairs += (double)(hi - lo);
    }
    return pairs;
}

void em_flops_add_layer(em_flops *f, const em_layer_spec *s, const em_row_batch *batch) {
    double q = (double)s->heads * s->head_dim, kv = (double)s->kv_heads * s->head_dim,
           hidden = s->hidden;
    for (int r = 0; r < batch->n_rows; r++) {
        double n = batch->length[r];
        f->qkv += 2 * n * hidden * (q + 2 * kv);
        f->attention += 4 * q * row_pairs(s, batch, r);
        f->output += 2 * n * hidden * q;
        f->ffn += 2 * n * hidden * s->ffn * (s->gated ? 3 : 2);
    }
}

static bool scored(const em_score_request *r, int64_t token) {
    for (int j = 0; j < r->n_labels; j++)
        if (r->labels[token * r->n_labels + j] >= 0) return true;
    return false;
}

void em_flops_add_head(em_flops *f, const em_head_spec *spec, const em_row_batch *batch,
                       const em_score_request *request) {
    int64_t n = 0;
    for (int r = 0; r < batch->n_rows; r++)
        for (int32_t i = 0; i < batch->length[r]; i++) n += scored(request, batch->start[r] + i);
    f->head += 2.0 * (double)n * spec->hidden * spec->vocab;
}

void em_flops_add(em_flops *f, const em_flops *more) {
    f->qkv += more->qkv;
    f->attention += more->attention;
    f->output += more->output;
    f->ffn += more->ffn;
    f->head += more->head;
}

double em_flops_total(const em_flops *f) {
    return f->qkv + f->attention + f->output + f->ffn + f->head;
}
