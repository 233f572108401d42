/* What the CPU backend's files share: the backend with its threads' scratch memory, matrices cut
 * into slices, and a batch's activations. */
#ifndef EM_KERNELS_CPU_CPU_H
#define EM_KERNELS_CPU_CPU_H

#include "kernels/backend.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/kernels.h"

/* ---- the backend ---- */

/* Memory of each thread, reserved when weights are loaded and activations made, so that the
 * stages allocate nothing. All are f32 but where said. */
typedef enum em_scratch {
    EM_SCRATCH_INPUT,     /* [EM_GROUP, EM_TILE, widest of hidden and attention's outputs], as the
                             products take it */
    EM_SCRATCH_INNER,     /* [EM_GROUP, EM_TILE, ffn], as the products take it */
    EM_SCRATCH_LINE,      /* [hidden]: a token on its way to the products' type */
    EM_SCRATCH_SLICE,     /* [EM_TILE, EM_SLICE]: a product */
    EM_SCRATCH_OUTPUT,    /* [EM_GROUP, EM_TILE, widest output]: products side by side */
    EM_SCRATCH_ROWS,      /* [slice, inputs]: weights on their way to oneDNN's format */
    EM_SCRATCH_WIDE,      /* a packed slice in f32, where memory holds bf16 */
    EM_SCRATCH_ROPE,      /* cosines and sines: [2, EM_TILE, pairs] */
    EM_SCRATCH_ATTENTION, /* running max, sum and output of a kv head's queries */
    EM_SCRATCH_QUERIES,   /* a kv head's queries in bf16 */
    EM_SCRATCH_DNNL,      /* bytes: oneDNN's scratchpad */
    EM_SCRATCH_DIGEST, /* [EM_GROUP, EM_TILE] states of XXH3: a group's, or a pair's two models' */
    EM_SCRATCH_PAIR_INPUT, /* a pair's before: its input to the head, as the products take it, */
    EM_SCRATCH_PAIR_SLICE, /* and its product [EM_TILE, EM_SLICE] */
    EM_SCRATCH_ALPHAS,     /* [EM_PAIR_MAX_ALPHAS, EM_TILE] of em_token_sum */
    EM_SCRATCH_COUNT
} em_scratch;

typedef struct em_cpu_thread {
    void *scratch[EM_SCRATCH_COUNT];
    size_t bytes[EM_SCRATCH_COUNT];
    const char *ahead,
        *ahead_end; /* the slice after the open one: what of it is still to be fetched */
} em_cpu_thread;

typedef struct em_cpu {
    em_backend base; /* first: an em_backend is an em_cpu */
    const em_cpu_kernels *kernels;
    const em_bf16_kernels *bf16; /* NULL: attention's products are in f32, all others by oneDNN */
    em_gemms gemms;
    em_cpu_thread *threads; /* [base.options.threads] */
} em_cpu;

/* The CPU backend behind b, which em_backend_cpu_open opened. */
static inline em_cpu *em_cpu_of(em_backend *b) { return (em_cpu *)b; }

/* How a backend with these options multiplies on this machine. bf16 without bf16 products in
 * hardware, or with options->portable: weights are widened to f32. */
em_product em_cpu_product(const em_backend_options *o);
/* oneDNN's name of the widest instruction set that it uses here: "avx2"; static. */
const char *em_cpu_isa_name(void);

/* Memory at a multiple of 64 bytes (of 2 MiB where it is that large), not cleared; the caller
 * releases it with free. what: for the error. NULL with err (EM_MACHINE): there is not so much. */
void *em_cpu_alloc(size_t bytes, const char *what, em_error *err);
/* Each thread's scratch `which` has at least so many bytes from here on; what it held is lost where
 * it grows. The backend owns it. Call outside parallel regions. False with err (EM_MACHINE). */
bool em_cpu_reserve(em_cpu *cpu, em_scratch which, size_t bytes, em_error *err);
/* First call of each thread in a parallel region: keeps libraries from opening teams of their own
 * (em_one_thread), and gives the thread's number. */
int em_cpu_enter(void);
/* The thread's scratch, reserved before; NULL where none was. */
static inline float *em_cpu_scratch(em_cpu *cpu, int thread, em_scratch which) {
    return cpu->threads[thread].scratch[which];
}

/* ---- weights ---- */

/* Tiles that a thread takes through each slice of a matrix before the next slice: the slice is read
 * from memory once for all of them (docs/speed.md). */
#define EM_GROUP 4

/* Columns of a slice of a matrix at most, and its elements: it stays in the second-level cache. */
#define EM_SLICE 512
#define EM_SLICE_ELEMENTS (512 << 10)

/* W, cut by outputs into slices of one width (the last may be narrower), each packed apart. */
typedef struct em_matrix {
    int in, out;
    int slices, width;    /* outputs of a slice */
    bool on_tiles;        /* products by cpu->bf16 instead of oneDNN: */
    em_gemm *full, *last; /* the products of a whole slice and of the last one, else NULL */
    char *packed;         /* [slices], slice_bytes apart */
    size_t slice_bytes;
    float *bias;                     /* [slices * width] or NULL */
    dnnl_memory_t *weights, *biases; /* [slices] over packed and bias, for oneDNN; weights NULL
                                        where they are widened */
} em_matrix;

/* What a matrix is made from: up to three weights with the same inputs, one after another or,
 * paired, side by side in each slice (so that gate and up of the same units meet there). */
typedef struct em_matrix_source {
    const em_weight *parts[3], *biases[3];
    int n_parts;
    bool paired;
    bool full_slices; /* slices of EM_SLICE outputs, however many inputs there are */
} em_matrix_source;

/* Converts and packs, on all threads; the views need not outlive the call. m owns what it holds:
 * release with em_matrix_free, after a failure too. False with err: EM_INPUT where a weight or a
 * bias is not finite (names the tensor and the element), EM_MACHINE where memory or oneDNN fails.
 */
bool em_matrix_load(em_cpu *cpu, em_matrix *m, const em_matrix_source *source, em_error *err);
/* Also of a matrix that was never loaded, all zeros. */
void em_matrix_free(em_matrix *m);
/* Upper bound of the bytes that [out, in] weights take when packed. */
size_t em_matrix_bytes(const em_cpu *cpu, int64_t in, int64_t out);
/* Outputs of slice s. */
static inline int em_matrix_width(const em_matrix *m, int s) {
    return s + 1 < m->slices ? m->width : m->out - s * m->width;
}
/* Before a thread's products with slice s, and again once it has opened another slice. */
void em_matrix_open_slice(em_cpu *cpu, int thread, const em_matrix *m, int s);
/* The product of a tile with the open slice s: [EM_TILE, em_matrix_width(m, s)], in the thread's
 * scratch until the next product. a: [EM_TILE, in], as the products take it. */
float *em_matrix_run(em_cpu *cpu, int thread, const em_matrix *m, int s, const void *a);
/* The same, into y: [EM_TILE, em_matrix_width(m, s)] f32, the caller's. */
void em_matrix_run_to(em_cpu *cpu, int thread, const em_matrix *m, int s, const void *a, float *y);
/* Some tiles, one after another, with all slices: y = product, y: [tiles, EM_TILE, out]; or y +=
 * product. */
void em_matrix_run_all(em_cpu *cpu, int thread, const em_matrix *m, int tiles, const void *a,
                       float *y);
void em_matrix_add_all(em_cpu *cpu, int thread, const em_matrix *m, int tiles, const void *a,
                       float *y);

/* What products take is f32, f32 rounded to bf16, or bf16. n values of it at to are made in two
 * steps: they are computed where em_product_line says (to itself or the thread's scratch), then put
 * into place. */
float *em_product_line(em_cpu *cpu, int thread, void *to);
/* line: [n] f32, as em_product_line gave it for to; it may be rounded on the way. */
void em_product_put(const em_cpu *cpu, void *to, float *line, int n);
/* x: [tiles, EM_TILE, n] f32, as the products take it: x itself, perhaps rounded, or the thread's
 * scratch (until its next use). */
const void *em_product_input(em_cpu *cpu, int thread, float *x, int tiles, int n);
/* Bytes of n numbers as the products take them. */
size_t em_product_bytes(const em_cpu *cpu, int64_t n);

/* Tiles are shared out to threads in groups. */
typedef struct em_groups {
    int64_t n;
    int tiles;
} em_groups;
/* Groups of up to EM_GROUP tiles, smaller ones where threads would be left without work. */
em_groups em_groups_of(const em_cpu *cpu, int64_t n_tiles);
/* Tiles of group g, which begin at g * groups->tiles. */
static inline int em_group_tiles(const em_groups *groups, int64_t g, int64_t n_tiles) {
    int64_t left = n_tiles - g * groups->tiles;
    return left < groups->tiles ? (int)left : groups->tiles;
}

/* w [n] as f32, plus add: *out, the caller's to free; NULL where w is absent. False with err:
 * EM_INPUT where an element is not finite, EM_MACHINE where memory is out. */
bool em_vector_load(em_cpu *cpu, const em_weight *w, float add, float **out, em_error *err);

typedef struct em_norm {
    em_norm_kind kind;
    float eps;
    int n;
    float *w, *b; /* w NULL: no norm here; b may be NULL */
} em_norm;

/* y = norm(x) of one token; x, y: [norm->n] f32, y may be x. There must be a norm (w not NULL). */
void em_norm_apply(const em_cpu *cpu, const em_norm *norm, float *y, const float *x);
/* Tiles' input to a product: normed, or as it is where there is no norm. x: [tiles, EM_TILE, n].
 * The result, as the products take it, lies in the thread's scratch until its next use. */
const void *em_normed_input(em_cpu *cpu, int thread, const em_norm *norm, const float *x, int tiles,
                            int n);
/* The same into to: em_product_bytes of [tiles, EM_TILE, n], the caller's. */
void em_normed_input_to(em_cpu *cpu, int thread, const em_norm *norm, const float *x, int tiles,
                        int n, void *to);

struct em_layer {
    em_layer_spec spec;
    em_norm attention_in, attention_out, ffn_in, ffn_out, q_norm, k_norm;
    em_matrix qkv, o, inner, down; /* inner: gate and up, paired, or up alone */
};

struct em_head {
    em_head_spec spec;
    em_norm norm;
    em_matrix output;
};

/* ---- a batch ---- */

/* EM_TILE tokens of one row; count of them are real. */
typedef struct em_tile {
    int row, first, count; /* first: of the row's tokens */
    int row_tile;          /* the row's first tile */
    int64_t token;         /* the first token's place in the batch's arrays */
} em_tile;

/* Arrays are by tile: tile t of array y with w floats a token begins at y + t * EM_TILE * w. */
struct em_activations {
    int64_t max_tiles, n_tiles;
    em_tile *tiles;
    const em_row_batch *batch;
    float *x;   /* [EM_TILE, hidden] */
    float *q;   /* [EM_TILE, heads * head_dim]; attention's output takes its place */
    char *keys; /* tiles of key_tile_bytes: f32 [kv_heads, head_dim, EM_KEY_TILE], or as
                   em_attend_bf16 */
    char
        *values; /* tiles of value_tile_bytes: f32 [kv_heads, EM_KEY_TILE, value_width], or as it */
    int64_t key_tile_bytes, value_tile_bytes;
};

/* Floats of a value with the zeros that fill it up. */
static inline int em_value_width(int head_dim) {
    return (head_dim + EM_VALUE_ALIGN - 1) / EM_VALUE_ALIGN * EM_VALUE_ALIGN;
}

/* Elements of a query or key in bf16, with its zeros. */
static inline int em_depth(int head_dim) {
    return (head_dim + EM_DEPTH_ALIGN - 1) / EM_DEPTH_ALIGN * EM_DEPTH_ALIGN;
}

/* Bytes that a token's keys of all kv heads take. */
static inline int64_t em_key_bytes(const em_cpu *cpu, const em_layer_spec *s) {
    return s->kv_heads * (int64_t)(cpu->bf16 ? em_depth(s->head_dim) * 2 : s->head_dim * 4);
}
/* Bytes that its values take. */
static inline int64_t em_value_bytes(const em_cpu *cpu, const em_layer_spec *s) {
    return (int64_t)s->kv_heads * em_value_width(s->head_dim) * (cpu->bf16 ? 2 : 4);
}

/* A token's logits so far. */
typedef struct em_token_sum {
    double sum; /* of exp(logit - max) */
    float max;
    int32_t argmax;
} em_token_sum;

/* ---- stages ---- */

/* x += norm(input W + bias). input: [tiles, EM_TILE, in], as the products take it; x: [tiles,
 * EM_TILE, out]. */
void em_cpu_residual(em_cpu *cpu, int thread, const em_matrix *m, const em_norm *norm, int tiles,
                     const void *input, float *x);

/* The entries of the same names in em_backend_ops: what each does, takes and refuses is said there.
 */
bool em_cpu_embed(em_backend *b, const em_embedding *e, const em_row_batch *batch,
                  em_activations *a, em_error *err);
void em_cpu_attention_inputs(em_backend *b, const em_layer *l, em_activations *a);
void em_cpu_attention(em_backend *b, const em_layer *l, em_activations *a);
void em_cpu_attention_output(em_backend *b, const em_layer *l, em_activations *a);
void em_cpu_feed_forward(em_backend *b, const em_layer *l, em_activations *a);
void em_cpu_score(em_backend *b, const em_head *h, const em_score_request *request,
                  em_activations *a, em_scores *out);
void em_cpu_score_pair(em_backend *b, const em_head *before, const em_head *after,
                       const em_pair_request *request, em_activations *x_before,
                       em_activations *x_after, em_pair_scores *out);
em_layer *em_cpu_layer_load(em_backend *b, const em_layer_spec *spec, const em_layer_weights *w,
                            em_error *err);
void em_cpu_layer_free(em_backend *b, em_layer *l);
em_head *em_cpu_head_load(em_backend *b, const em_head_spec *spec, em_error *err);
void em_cpu_head_free(em_backend *b, em_head *h);

#endif
