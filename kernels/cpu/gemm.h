/* Matrix products by oneDNN, each on one thread: C[EM_TILE, n] = A[EM_TILE, k] W[k, n] + bias,
 * C without gaps: into rows of a wider matrix oneDNN 2.6 has no AMX or packed-weight kernel
 * (measured: bf16 runs at half the speed). oneDNN splits a product by the number of threads that it
 * sees, and the bits follow the split; so every primitive here is made, and run, where it sees one
 * thread, on a tile of one size. The work is divided over tiles and slices by the callers. */
#ifndef EM_KERNELS_CPU_GEMM_H
#define EM_KERNELS_CPU_GEMM_H

#include <dnnl.h>
#include <stdbool.h>
#include <stddef.h>
#include "kernels/backend.h"

typedef enum em_product {
    EM_PRODUCT_F32,
    EM_PRODUCT_BF16,        /* bf16 inputs, in hardware */
    EM_PRODUCT_BF16_WIDENED /* bf16 weights in memory, widened slice by slice; f32 products */
} em_product;

typedef struct em_gemm_shape {
    int k, n;
    bool bias;
} em_gemm_shape;

/* A primitive of one shape, with each thread's argument objects: made once, used by all layers. */
typedef struct em_gemm {
    em_gemm_shape shape;
    dnnl_primitive_t primitive, pack; /* pack: f32 [n, k] to oneDNN's own weight format */
    dnnl_memory_desc_t packed;
    size_t packed_bytes, scratch_bytes;           /* scratch: of either primitive */
    dnnl_memory_t *a, *c, *scratch, *rows, *wide; /* [threads]; wide: the widened weights */
    struct em_gemm *next;
} em_gemm;

typedef struct em_gemms {
    em_product product;
    int threads;
    dnnl_engine_t engine;
    dnnl_stream_t *streams; /* [threads] */
    em_gemm *first;
} em_gemms;

/* No primitives yet; g owns them, release with em_gemms_close. False with err (EM_MACHINE), and
 * closing is still right: memory or oneDNN fails. */
bool em_gemms_open(em_gemms *g, em_product product, int threads, em_error *err);
/* Also of one that was never opened, all zeros. Matrices made with it are released first. */
void em_gemms_close(em_gemms *g);

/* The primitive of that shape, made at its first use; g owns it. Call outside parallel regions.
 * NULL with err (EM_MACHINE): memory or oneDNN fails. */
em_gemm *em_gemms_get(em_gemms *g, const em_gemm_shape *shape, em_error *err);

/* The following run on one thread of a parallel region, after em_one_thread. Addresses are
 * aligned to 64 bytes, but for those inside a tile's row. */

/* rows: [n, k] f32 to packed (packed_bytes). scratch: scratch_bytes, as for em_gemm_run. */
void em_gemm_pack(const em_gemms *g, em_gemm *gemm, int thread, float *rows, void *packed,
                  void *scratch);
/* a: [EM_TILE, k] of the product's input type; c: [EM_TILE, n]. weights: an object made by
 * em_gemm_weights, or NULL for gemm->wide[thread], whose address is wide. bias: NULL where the
 * shape has none. */
void em_gemm_run(const em_gemms *g, em_gemm *gemm, int thread, const void *a, dnnl_memory_t weights,
                 void *wide, dnnl_memory_t bias, float *c, void *scratch);

/* An object over packed weights, which it does not own; the caller destroys it. NULL where oneDNN
 * fails. */
dnnl_memory_t em_gemm_weights(const em_gemms *g, const em_gemm *gemm, void *packed);
/* The same over a bias: [n] f32. */
dnnl_memory_t em_gemm_bias(const em_gemms *g, int n, float *bias);

/* Makes libraries that ask OpenMP for a team get one thread, in the calling thread of a parallel
 * region, until the region ends. In a region of one thread omp_in_parallel() is false: without
 * this, oneDNN would open a team of its own there. */
void em_one_thread(void);

#endif
