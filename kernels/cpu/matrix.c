/* Weights: from the checkpoint's format and strides to f32 rows, checked, and packed by slices. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "kernels/cpu/cpu.h"
#include "kernels/weight.h"

/* ---- reading a weight ---- */

static const char *at(const em_weight *w, int64_t index) {
    return (const char *)w->data + index * (int64_t)em_dtype_size(w->dtype);
}

/* n elements that lie side by side, from index on. */
static void convert(const em_cpu *cpu, const em_weight *w, int64_t index, float *y, int64_t n) {
    switch (w->dtype) {
    case EM_F32: memcpy(y, at(w, index), (size_t)n * sizeof *y); break;
    case EM_F16: cpu->kernels->from_f16(y, at(w, index), n); break;
    case EM_BF16: cpu->kernels->from_bf16(y, at(w, index), n); break;
    }
}

/* Outputs [o, o + count) that lie side by side for each input (GPT-2's Conv1D): read along the
 * outputs, written across. */
static void read_transposed(const em_cpu *cpu, const em_weight *w, int64_t o, int count,
                            float *rows) {
    float line[EM_SLICE];
    for (int64_t i = 0; i < w->in; i++) {
        convert(cpu, w, em_weight_index(w, o, i), line, count);
        for (int r = 0; r < count; r++) rows[r * w->in + i] = line[r];
    }
}

static void read_row(const em_cpu *cpu, const em_weight *w, int64_t o, float *row) {
    if (w->in_stride == 1) convert(cpu, w, em_weight_index(w, o, 0), row, w->in);
    else
        for (int64_t i = 0; i < w->in; i++) convert(cpu, w, em_weight_index(w, o, i), row + i, 1);
}

/* rows: [count, in]; count at most EM_SLICE */
static void read_rows(const em_cpu *cpu, const em_weight *w, int64_t o, int count, float *rows) {
    bool side_by_side = w->out_stride == 1 && w->block >= w->out;
    if (side_by_side && w->in_stride != 1) read_transposed(cpu, w, o, count, rows);
    else
        for (int r = 0; r < count; r++) read_row(cpu, w, o + r, rows + r * w->in);
}

bool em_vector_load(em_cpu *cpu, const em_weight *w, float add, float **out, em_error *err) {
    *out = NULL;
    if (!w->data) return true;
    float *v = em_alloc((size_t)w->out, sizeof *v, w->name, err);
    for (int64_t o = 0; v && o < w->out; o++) {
        read_row(cpu, w, o, v + o);
        if (!isfinite(v[o])) {
            em_weight_refuse(w, o, err);
            free(v);
            return false;
        }
        v[o] += add;
    }
    return (*out = v) != NULL;
}

/* ---- slices ---- */

/* Rows [first, first + count) of a part, which become columns from column on of a slice. */
typedef struct run {
    const em_weight *weight, *bias;
    int64_t first;
    int count, column;
} run;

static int paired_runs(const em_matrix *m, const em_matrix_source *source, int s, run *runs) {
    int count = em_matrix_width(m, s) / source->n_parts;
    for (int p = 0; p < source->n_parts; p++)
        runs[p] = (run){source->parts[p], source->biases[p],
                        (int64_t)s * (m->width / source->n_parts), count, p * count};
    return source->n_parts;
}

static int runs_of(const em_matrix *m, const em_matrix_source *source, int s, run *runs) {
    if (source->paired) return paired_runs(m, source, s, runs);
    int64_t begin = (int64_t)s * m->width, end = begin + em_matrix_width(m, s), part = 0;
    int n = 0;
    for (int p = 0; p < source->n_parts; part += source->parts[p++]->out) {
        int64_t from = part > begin ? part : begin, to = part + source->parts[p]->out;
        if (to > end) to = end;
        if (from < to)
            runs[n++] = (run){source->parts[p], source->biases[p], from - part, (int)(to - from),
                              (int)(from - begin)};
    }
    return n;
}

/* rows: [width, in]; false: some value is not finite, and err says which if it is not NULL. */
static bool read_slice(const em_cpu *cpu, const em_matrix *m, const em_matrix_source *source, int s,
                       float *rows, em_error *err) {
    run runs[3];
    int n = runs_of(m, source, s, runs);
    for (int i = 0; i < n; i++) {
        float *to = rows + (int64_t)runs[i].column * m->in;
        read_rows(cpu, runs[i].weight, runs[i].first, runs[i].count, to);
        if (cpu->kernels->all_finite(to, (int64_t)runs[i].count * m->in)) continue;
        for (int r = 0; err && r < runs[i].count; r++)
            if (!cpu->kernels->all_finite(to + (int64_t)r * m->in, m->in))
                return em_weight_refuse(runs[i].weight, runs[i].first + r, err);
        return false;
    }
    return true;
}

/* Memory that slice s takes when packed, if on_tiles: whole blocks of 32 outputs. */
static size_t tiles_bytes(const em_matrix *m, int s) {
    return (size_t)((em_matrix_width(m, s) + 31) / 32 * 32) * (size_t)m->in * sizeof(uint16_t);
}

static em_gemm *gemm_of(const em_matrix *m, int s) { return s + 1 < m->slices ? m->full : m->last; }

static void *packed_slice(const em_matrix *m, int s) {
    return m->packed + (size_t)s * m->slice_bytes;
}

static void pack_slice(em_cpu *cpu, int thread, em_matrix *m, int s, float *rows) {
    em_gemm *gemm = gemm_of(m, s);
    void *dnnl = em_cpu_scratch(cpu, thread, EM_SCRATCH_DNNL);
    if (m->on_tiles) {
        cpu->bf16->pack(packed_slice(m, s), rows, m->in, em_matrix_width(m, s));
        return;
    }
    if (cpu->gemms.product != EM_PRODUCT_BF16_WIDENED) {
        em_gemm_pack(&cpu->gemms, gemm, thread, rows, packed_slice(m, s), dnnl);
        return;
    }
    float *wide = em_cpu_scratch(cpu, thread, EM_SCRATCH_WIDE);
    em_gemm_pack(&cpu->gemms, gemm, thread, rows, wide, dnnl);
    cpu->kernels->to_bf16(packed_slice(m, s), wide, (int64_t)(gemm->packed_bytes / sizeof *wide));
}

/* The first slice with a value that is not finite, or slices. */
static int pack_slices(em_cpu *cpu, em_matrix *m, const em_matrix_source *source) {
    int bad = m->slices;
#pragma omp parallel num_threads(cpu->base.options.threads) reduction(min : bad)
    {
        int thread = em_cpu_enter();
        float *rows = em_cpu_scratch(cpu, thread, EM_SCRATCH_ROWS);
#pragma omp for schedule(dynamic, 1)
        for (int s = 0; s < m->slices; s++) {
            if (!read_slice(cpu, m, source, s, rows, NULL)) bad = s < bad ? s : bad;
            else pack_slice(cpu, thread, m, s, rows);
        }
    }
    return bad;
}

/* ---- a matrix ---- */

static int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

/* Most outputs of a slice: a power of two from 128 on. On tile registers, where the next slice is
 * fetched beside the open one, narrower ones are as fast. */
static int widest_slice(const em_cpu *cpu, const em_matrix_source *source, int64_t in) {
    int width = cpu->bf16 ? EM_SLICE / 2 : EM_SLICE,
        elements = cpu->bf16 ? EM_SLICE_ELEMENTS / 4 : EM_SLICE_ELEMENTS;
    while (!source->full_slices && width > 128 && width * in > elements * 3 / 2) width /= 2;
    return width;
}

/* Slices of about equal width, a multiple of 64 (16 where paired parts share it); the limit and
 * the matrix alone decide, never the machine. */
static int slice_width(int64_t out, int parts, int widest) {
    int64_t limit = widest / parts, each = out / parts, n = (each + limit - 1) / limit;
    int64_t width = round_up((each + n - 1) / n, parts > 1 ? 16 : 64);
    return (int)(width < each ? width : each) * parts;
}

static void shape_matrix(const em_cpu *cpu, em_matrix *m, const em_matrix_source *source) {
    int64_t out = 0;
    for (int p = 0; p < source->n_parts; p++) out += source->parts[p]->out;
    m->in = (int)source->parts[0]->in;
    m->out = (int)out;
    m->width = slice_width(out, source->paired ? source->n_parts : 1,
                           widest_slice(cpu, source, m->in));
    m->slices = (m->out + m->width - 1) / m->width;
    m->on_tiles = cpu->bf16 && m->in % EM_DEPTH_ALIGN == 0;
}

static bool has_bias(const em_matrix_source *source) {
    for (int p = 0; p < source->n_parts; p++)
        if (source->biases[p] && source->biases[p]->data) return true;
    return false;
}

static bool load_bias(em_cpu *cpu, em_matrix *m, const em_matrix_source *source, em_error *err) {
    float *parts[3] = {NULL, NULL, NULL};
    m->bias = em_alloc((size_t)m->slices, (size_t)m->width * sizeof *m->bias, "a bias", err);
    bool ok = m->bias != NULL;
    for (int p = 0; ok && p < source->n_parts; p++)
        ok = !source->biases[p] || em_vector_load(cpu, source->biases[p], 0, &parts[p], err);
    for (int s = 0; ok && s < m->slices; s++) {
        run runs[3];
        int n = runs_of(m, source, s, runs);
        for (int i = 0; i < n; i++)
            for (int p = 0; p < source->n_parts; p++)
                if (parts[p] && source->parts[p] == runs[i].weight)
                    memcpy(m->bias + (size_t)s * (size_t)m->width + runs[i].column,
                           parts[p] + runs[i].first, (size_t)runs[i].count * sizeof **parts);
    }
    for (int p = 0; p < 3; p++) free(parts[p]);
    return ok;
}

static bool make_products(em_cpu *cpu, em_matrix *m, const em_matrix_source *source,
                          em_error *err) {
    em_gemm_shape shape = {.k = m->in, .n = m->width, .bias = has_bias(source)};
    m->full = em_gemms_get(&cpu->gemms, &shape, err);
    shape.n = em_matrix_width(m, m->slices - 1);
    m->last = m->full ? em_gemms_get(&cpu->gemms, &shape, err) : NULL;
    return m->last != NULL;
}

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

static bool reserve(em_cpu *cpu, em_matrix *m, em_error *err) {
    size_t packed = m->on_tiles ? tiles_bytes(m, 0)
                                : larger(m->full->packed_bytes, m->last->packed_bytes),
           bytes;
    size_t scratch = m->on_tiles ? 0 : larger(m->full->scratch_bytes, m->last->scratch_bytes);
    bool widened = cpu->gemms.product == EM_PRODUCT_BF16_WIDENED;
    m->slice_bytes = (size_t)round_up((int64_t)(widened ? packed / 2 : packed), 64);
    if (!em_size_mul(m->slice_bytes, (size_t)m->slices, &bytes))
        return em_fail_memory(err, bytes, "packed weights");
    m->packed = em_cpu_alloc(bytes, "packed weights", err);
    return m->packed && (!widened || em_cpu_reserve(cpu, EM_SCRATCH_WIDE, packed, err)) &&
           em_cpu_reserve(cpu, EM_SCRATCH_DNNL, scratch, err) &&
           em_cpu_reserve(cpu, EM_SCRATCH_ROWS, (size_t)m->width * (size_t)m->in * sizeof(float),
                          err) &&
           em_cpu_reserve(cpu, EM_SCRATCH_SLICE, (size_t)EM_TILE * (size_t)m->width * sizeof(float),
                          err);
}

static bool make_memories(em_cpu *cpu, em_matrix *m, em_error *err) {
    m->weights = em_alloc((size_t)m->slices, sizeof *m->weights, "packed weights", err);
    m->biases = em_alloc((size_t)m->slices, sizeof *m->biases, "packed weights", err);
    if (!m->weights || !m->biases) return false;
    for (int s = 0; s < m->slices; s++) {
        if (cpu->gemms.product != EM_PRODUCT_BF16_WIDENED &&
            !(m->weights[s] = em_gemm_weights(&cpu->gemms, gemm_of(m, s), packed_slice(m, s))))
            return em_fail(err, EM_MACHINE, "out of memory for oneDNN's arguments");
        if (m->bias && !(m->biases[s] = em_gemm_bias(&cpu->gemms, em_matrix_width(m, s),
                                                     m->bias + (size_t)s * (size_t)m->width)))
            return em_fail(err, EM_MACHINE, "out of memory for oneDNN's arguments");
    }
    return true;
}

bool em_matrix_load(em_cpu *cpu, em_matrix *m, const em_matrix_source *source, em_error *err) {
    shape_matrix(cpu, m, source);
    if ((!m->on_tiles && !make_products(cpu, m, source, err)) || !reserve(cpu, m, err))
        return false;
    if (has_bias(source) && !load_bias(cpu, m, source, err)) return false;
    int bad = pack_slices(cpu, m, source);
    if (bad < m->slices)
        return read_slice(cpu, m, source, bad, em_cpu_scratch(cpu, 0, EM_SCRATCH_ROWS), err);
    return m->on_tiles || make_memories(cpu, m, err);
}

void em_matrix_free(em_matrix *m) {
    for (int s = 0; s < m->slices; s++) {
        if (m->weights && m->weights[s]) dnnl_memory_destroy(m->weights[s]);
        if (m->biases && m->biases[s]) dnnl_memory_destroy(m->biases[s]);
    }
    free(m->weights);
    free(m->biases);
    free(m->bias);
    free(m->packed);
    *m = (em_matrix){0};
}

size_t em_matrix_bytes(const em_cpu *cpu, int64_t in, int64_t out) {
    size_t element = cpu->gemms.product == EM_PRODUCT_F32 ? sizeof(float) : sizeof(uint16_t);
    return (size_t)round_up(in, 64) * (size_t)(round_up(out, 64) + 64) * element;
}

/* ---- products ---- */

void em_matrix_open_slice(em_cpu *cpu, int thread, const em_matrix *m, int s) {
    float *wide = em_cpu_scratch(cpu, thread, EM_SCRATCH_WIDE);
    int next = s + 1 < m->slices ? s + 1
                                 : 0; /* after the last slice, for the next group of tiles */
    cpu->threads[thread].ahead = packed_slice(m, next);
    cpu->threads[thread].ahead_end = (char *)packed_slice(m, next) +
                                     (m->on_tiles && next != s ? tiles_bytes(m, next) : 0);
    if (cpu->gemms.product == EM_PRODUCT_BF16_WIDENED)
        cpu->kernels->from_bf16(wide, packed_slice(m, s),
                                (int64_t)(gemm_of(m, s)->packed_bytes / sizeof *wide));
}

/* Beside a product with the open slice, a tile's share of the next one is fetched. */
static void run_on_tiles(const em_cpu *cpu, em_cpu_thread *thread, const em_matrix *m, int s,
                         const void *a, float *y, int64_t stride) {
    size_t left = (size_t)(thread->ahead_end - thread->ahead), share = tiles_bytes(m, s) / EM_GROUP;
    if (share > left) share = left;
    em_product_bf16 p = {.a = a,
                         .b = packed_slice(m, s),
                         .depth = m->in,
                         .width = em_matrix_width(m, s),
                         .bias = m->bias ? m->bias + (size_t)s * (size_t)m->width : NULL,
                         .c = y,
                         .c_stride = stride,
                         .ahead = thread->ahead,
                         .ahead_bytes = share};
    thread->ahead += share;
    cpu->bf16->product(&p);
}

void em_matrix_run_to(em_cpu *cpu, int thread, const em_matrix *m, int s, const void *a, float *y) {
    if (m->on_tiles) {
        run_on_tiles(cpu, &cpu->threads[thread], m, s, a, y, em_matrix_width(m, s));
        return;
    }
    em_gemm_run(&cpu->gemms, gemm_of(m, s), thread, a, m->weights[s],
                em_cpu_scratch(cpu, thread, EM_SCRATCH_WIDE), m->biases[s], y,
                em_cpu_scratch(cpu, thread, EM_SCRATCH_DNNL));
}

float *em_matrix_run(em_cpu *cpu, int thread, const em_matrix *m, int s, const void *a) {
    float *y = em_cpu_scratch(cpu, thread, EM_SCRATCH_SLICE);
    em_matrix_run_to(cpu, thread, m, s, a, y);
    return y;
}

/* A tile's product with the open slice s into its columns of y, or added to them. */
static void place_slice(em_cpu *cpu, int thread, const em_matrix *m, int s, const void *a, float *y,
                        bool add) {
    if (m->on_tiles && !add) {
        run_on_tiles(cpu, &cpu->threads[thread], m, s, a, y, m->out);
        return;
    }
    int width = em_matrix_width(m, s);
    const float *slice = em_matrix_run(cpu, thread, m, s, a);
    for (int i = 0; i < EM_TILE; i++, y += m->out, slice += width)
        if (add) cpu->kernels->add(y, slice, width);
        else memcpy(y, slice, (size_t)width * sizeof *y);
}

static void run_slices(em_cpu *cpu, int thread, const em_matrix *m, int tiles, const void *a,
                       float *y, bool add) {
    size_t tile_bytes = em_product_bytes(cpu, (int64_t)EM_TILE * m->in);
    for (int s = 0; s < m->slices; s++) {
        em_matrix_open_slice(cpu, thread, m, s);
        for (int t = 0; t < tiles; t++)
            place_slice(cpu, thread, m, s, (const char *)a + (size_t)t * tile_bytes,
                        y + (int64_t)t * EM_TILE * m->out + s * m->width, add);
    }
}

void em_matrix_run_all(em_cpu *cpu, int thread, const em_matrix *m, int tiles, const void *a,
                       float *y) {
    run_slices(cpu, thread, m, tiles, a, y, false);
}

void em_matrix_add_all(em_cpu *cpu, int thread, const em_matrix *m, int tiles, const void *a,
                       float *y) {
    run_slices(cpu, thread, m, tiles, a, y, true);
}

/* ---- what products take ---- */

size_t em_product_bytes(const em_cpu *cpu, int64_t n) {
    return (size_t)n * (cpu->gemms.product == EM_PRODUCT_BF16 ? sizeof(uint16_t) : sizeof(float));
}

float *em_product_line(em_cpu *cpu, int thread, void *to) {
    return cpu->gemms.product == EM_PRODUCT_BF16 ? em_cpu_scratch(cpu, thread, EM_SCRATCH_LINE)
                                                 : to;
}

void em_product_put(const em_cpu *cpu, void *to, float *line, int n) {
    switch (cpu->gemms.product) {
    case EM_PRODUCT_F32: break;
    case EM_PRODUCT_BF16: cpu->kernels->to_bf16(to, line, n); break;
    case EM_PRODUCT_BF16_WIDENED: cpu->kernels->round_bf16(line, n); break;
    }
}

const void *em_product_input(em_cpu *cpu, int thread, float *x, int tiles, int n) {
    void *to = cpu->gemms.product == EM_PRODUCT_BF16
                   ? cpu->threads[thread].scratch[EM_SCRATCH_INPUT]
                   : x;
    em_product_put(cpu, to, x, tiles * EM_TILE * n);
    return to;
}

/* Smaller groups where the tiles would not give every thread one. */
em_groups em_groups_of(const em_cpu *cpu, int64_t n_tiles) {
    int64_t share = (n_tiles + cpu->base.options.threads - 1) / cpu->base.options.threads;
    int tiles = share < 1 ? 1 : share < EM_GROUP ? (int)share : EM_GROUP;
    return (em_groups){(n_tiles + tiles - 1) / tiles, tiles};
}

void em_norm_apply(const em_cpu *cpu, const em_norm *norm, float *y, const float *x) {
    if (norm->kind == EM_NORM_RMS) cpu->kernels->rms_norm(y, x, norm->w, norm->n, norm->eps);
    else cpu->kernels->layer_norm(y, x, norm->w, norm->b, norm->n, norm->eps);
}

void em_normed_input_to(em_cpu *cpu, int thread, const em_norm *norm, const float *x, int tiles,
                        int n, void *input) {
    char *to = input;
    for (int i = 0; i < tiles * EM_TILE; i++, x += n, to += em_product_bytes(cpu, n)) {
        float *line = em_product_line(cpu, thread, to);
        if (norm->w) em_norm_apply(cpu, norm, line, x);
        else memcpy(line, x, (size_t)n * sizeof *line);
        em_product_put(cpu, to, line, n);
    }
}

const void *em_normed_input(em_cpu *cpu, int thread, const em_norm *norm, const float *x, int tiles,
                            int n) {
    void *input = cpu->threads[thread].scratch[EM_SCRATCH_INPUT];
    em_normed_input_to(cpu, thread, norm, x, tiles, n, input);
    return input;
}
