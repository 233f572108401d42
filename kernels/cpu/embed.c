/* A batch enters: its rows are cut into tiles, and its tokens become vectors. */
#include <omp.h>
#include <string.h>

#include "kernels/cpu/cpu.h"
#include "kernels/weight.h"

static int64_t tiles_of(int32_t length) { return ((int64_t)length + EM_TILE - 1) / EM_TILE; }

static bool cut_into_tiles(em_activations *a, const em_row_batch *batch, em_error *err) {
    a->batch = batch;
    a->n_tiles = 0;
    for (int r = 0; r < batch->n_rows; r++) {
        int64_t n = tiles_of(batch->length[r]), row_tile = a->n_tiles;
        if (n > a->max_tiles - a->n_tiles) return em_batch_refuse(a->max_tiles * EM_TILE, err);
        for (int64_t t = 0; t < n; t++) {
            int first = (int)t * EM_TILE, rest = batch->length[r] - first;
            a->tiles[a->n_tiles++] = (em_tile){.row = r,
                                               .first = first,
                                               .count = rest < EM_TILE ? rest : EM_TILE,
                                               .row_tile = (int)row_tile,
                                               .token = batch->start[r] + first};
        }
    }
    return true;
}

static void read_embedding(const em_cpu *cpu, const em_weight *w, int64_t row, float *y) {
    const char *from = (const char *)w->data +
                       em_weight_index(w, row, 0) * (int64_t)em_dtype_size(w->dtype);
    switch (w->dtype) {
    case EM_F32: memcpy(y, from, (size_t)w->in * sizeof *y); break;
    case EM_F16: cpu->kernels->from_f16(y, from, w->in); break;
    case EM_BF16: cpu->kernels->from_bf16(y, from, w->in); break;
    }
}

/* x: [hidden]; position: scratch of the same size. */
static void embed_token(const em_cpu *cpu, const em_embedding *e, int32_t id, int32_t at, float *x,
                        float *position) {
    int n = (int)e->tokens.in;
    read_embedding(cpu, &e->tokens, id, x);
    if (e->scale != 1) cpu->kernels->scale(x, x, e->scale, n);
    if (!e->positions.data) return;
    read_embedding(cpu, &e->positions, at, position);
    cpu->kernels->add(x, position, n);
}

/* The batch's index of the tile's first bad token (out of range, or not finite), or -1. */
static int64_t embed_tile(em_cpu *cpu, int thread, const em_embedding *e, em_activations *a,
                          int64_t t) {
    const em_tile *tile = &a->tiles[t];
    int64_t n = e->tokens.in;
    float *x = a->x + t * EM_TILE * n, *position = em_cpu_scratch(cpu, thread, EM_SCRATCH_LINE);
    for (int i = 0; i < tile->count; i++) {
        int64_t token = tile->token + i;
        int32_t id = a->batch->ids[token], at = a->batch->positions[token];
        if (!em_token_in_range(e, id, at)) return token;
        embed_token(cpu, e, id, at, x + i * n, position);
        if (!cpu->kernels->all_finite(x + i * n, n)) return token;
    }
    memset(x + tile->count * n, 0, (size_t)((EM_TILE - tile->count) * n) * sizeof *x);
    return -1;
}

bool em_cpu_embed(em_backend *b, const em_embedding *e, const em_row_batch *batch,
                  em_activations *a, em_error *err) {
    em_cpu *cpu = em_cpu_of(b);
    double begin = omp_get_wtime();
    if (!cut_into_tiles(a, batch, err)) return false;
    int64_t bad = INT64_MAX;
#pragma omp parallel num_threads(b->options.threads) reduction(min : bad)
    {
        int thread = em_cpu_enter();
#pragma omp for schedule(dynamic, 1)
        for (int64_t t = 0; t < a->n_tiles; t++) {
            int64_t token = embed_tile(cpu, thread, e, a, t);
            if (token >= 0 && token < bad) bad = token;
        }
    }
    b->times.embed += omp_get_wtime() - begin;
    return bad == INT64_MAX || em_token_refuse(e, batch->ids[bad], batch->positions[bad], err);
}
