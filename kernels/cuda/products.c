/* Matrix products by cuBLASLt, which is opened when a device is: the program starts, and computes
 * on the CPU, without it. */
#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <stdlib.h>

#include "common/size.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/layout.h"

/* ---- the library ---- */

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)
#define LIBRARY "libcublasLt.so." TEXT(CUBLAS_VER_MAJOR)

// clang-format off
#define FUNCTIONS(DO) \
    DO(GetVersion) DO(Create) DO(Destroy) DO(GetStatusString) DO(MatmulDescCreate) DO(MatmulDescDestroy) DO(MatmulDescSetAttribute) \
    DO(MatrixLayoutCreate) DO(MatrixLayoutDestroy) DO(MatmulPreferenceCreate) DO(MatmulPreferenceDestroy) \
    DO(MatmulPreferenceSetAttribute) DO(MatmulAlgoGetHeuristic) DO(MatmulAlgoConfigGetAttribute) DO(Matmul)
// clang-format on

#define MEMBER(name) __typeof__(&cublasLt##name) name;
typedef struct library {
    FUNCTIONS(MEMBER)
} library;
typedef struct function {
    const char *name;
    size_t place;
} function;
#define ROW(name) {"cublasLt" #name, offsetof(library, name)},
static const function functions[] = {FUNCTIONS(ROW)};

/* An algorithm with the objects that say its shape. */
typedef struct product {
    em_product_shape shape;
    cublasLtMatmulDesc_t operation;
    cublasLtMatrixLayout_t w, x, y;
    cublasLtMatmulAlgo_t algorithm;
    struct product *next;
} product;

struct em_products {
    void *handle_of_library;
    library lt;
    cublasLtHandle_t handle;
    void *workspace; /* device, WORKSPACE_BYTES, once a product of any algorithm was asked for */
    product *first;
};

enum { WORKSPACE_BYTES = 32 << 20 }; /* what NVIDIA recommends for Hopper */

static bool open_library(em_products *p, em_error *err) {
    static const char *const places[] = {LIBRARY, EM_CUDA_LIBRARY_DIR "/" LIBRARY,
                                         "/usr/local/cuda/lib64/" LIBRARY};
    for (size_t i = 0; !p->handle_of_library && i < sizeof places / sizeof *places; i++)
        p->handle_of_library = dlopen(places[i], RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!p->handle_of_library)
        return em_fail(err, EM_MACHINE,
                       "%s was not found: install the CUDA toolkit's cuBLAS, or name its folder in "
                       "LD_LIBRARY_PATH",
                       LIBRARY);
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        void *f = dlsym(p->handle_of_library, functions[i].name);
        if (!f) return em_fail(err, EM_MACHINE, "%s lacks %s", LIBRARY, functions[i].name);
        *(void **)((char *)&p->lt + functions[i].place) = f;
    }
    return true;
}

static bool good(const em_products *p, cublasStatus_t s, const char *what, em_error *err) {
    return s == CUBLAS_STATUS_SUCCESS ||
           em_fail(err, EM_MACHINE, "cuBLASLt, %s: %s", what, p->lt.GetStatusString(s));
}

em_products *em_products_open(em_error *err) {
    em_products *p = em_alloc(1, sizeof *p, "matrix products", err);
    if (p && open_library(p, err) && good(p, p->lt.Create(&p->handle), "opening", err)) return p;
    em_products_close(p);
    return NULL;
}

int em_products_version(const em_products *p) { return (int)p->lt.GetVersion(); }

static void product_free(const em_products *p, product *x) {
    if (x->operation) p->lt.MatmulDescDestroy(x->operation);
    if (x->w) p->lt.MatrixLayoutDestroy(x->w);
    if (x->x) p->lt.MatrixLayoutDestroy(x->x);
    if (x->y) p->lt.MatrixLayoutDestroy(x->y);
    free(x);
}

void em_products_close(em_products *p) {
    if (!p) return;
    for (product *x = p->first, *next; x; x = next) {
        next = x->next;
        product_free(p, x);
    }
    if (p->workspace) em_device_free(p->workspace);
    if (p->handle) p->lt.Destroy(p->handle);
    if (p->handle_of_library) dlclose(p->handle_of_library);
    free(p);
}

/* ---- a shape ---- */

static cudaDataType_t type_of(em_dtype t) {
    return t == EM_F32 ? CUDA_R_32F : t == EM_F16 ? CUDA_R_16F : CUDA_R_16BF;
}

/* cuBLAS counts by columns: its D [n, tokens] = op(A) B is our Y by rows, with A our W, transposed,
 * and B our X. */
static bool describe(em_products *p, product *x, em_error *err) {
    const em_product_shape *s = &x->shape;
    const cublasOperation_t transposed = CUBLAS_OP_T;
    uint64_t k = (uint64_t)s->k, n = (uint64_t)s->n, tokens = (uint64_t)s->tokens;
    cudaDataType_t type = type_of(s->type), out = s->y_f32 ? CUDA_R_32F : type;
    return good(p, p->lt.MatmulDescCreate(&x->operation, CUBLAS_COMPUTE_32F, CUDA_R_32F),
                "a product", err) &&
           good(p,
                p->lt.MatmulDescSetAttribute(x->operation, CUBLASLT_MATMUL_DESC_TRANSA, &transposed,
                                             sizeof transposed),
                "a product", err) &&
           good(p, p->lt.MatrixLayoutCreate(&x->w, type, k, n, s->k), "a matrix", err) &&
           good(p, p->lt.MatrixLayoutCreate(&x->x, type, k, tokens, s->k), "a matrix", err) &&
           good(p, p->lt.MatrixLayoutCreate(&x->y, out, n, tokens, s->y_stride), "a matrix", err);
}

/* One block sums each element from first to last: no split of k, no reduction. */
static bool whole_sums(const em_products *p, const cublasLtMatmulHeuristicResult_t *found) {
    const cublasLtMatmulAlgo_t *a = &found->algo;
    int32_t split = 0;
    uint32_t reduction = 0;
    size_t written;
    return found->workspaceSize == 0 &&
           p->lt.MatmulAlgoConfigGetAttribute(a, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &split,
                                              sizeof split, &written) == CUBLAS_STATUS_SUCCESS &&
           p->lt.MatmulAlgoConfigGetAttribute(a, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, &reduction,
                                              sizeof reduction,
                                              &written) == CUBLAS_STATUS_SUCCESS &&
           (split == 0 || split == 1) && reduction == CUBLASLT_REDUCTION_SCHEME_NONE;
}

/* No workspace: partial sums of split-K and stream-K would have no place to meet. */
static bool prefer(em_products *p, const em_product_shape *shape,
                   cublasLtMatmulPreference_t preference, em_error *err) {
    uint32_t none = shape->any_algorithm ? CUBLASLT_REDUCTION_SCHEME_MASK
                                         : CUBLASLT_REDUCTION_SCHEME_NONE;
    size_t workspace = shape->any_algorithm ? WORKSPACE_BYTES : 0;
    return good(p,
                p->lt.MatmulPreferenceSetAttribute(
                    preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &none, sizeof none),
                "a preference", err) &&
           good(p,
                p->lt.MatmulPreferenceSetAttribute(preference,
                                                   CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                   &workspace, sizeof workspace),
                "a preference", err);
}

static bool choose(em_products *p, product *x, em_error *err) {
    enum { CANDIDATES = 32 };
    cublasLtMatmulHeuristicResult_t found[CANDIDATES];
    cublasLtMatmulPreference_t preference = NULL;
    int n = 0;
    bool ok = good(p, p->lt.MatmulPreferenceCreate(&preference), "a preference", err) &&
              prefer(p, &x->shape, preference, err) &&
              good(p,
                   p->lt.MatmulAlgoGetHeuristic(p->handle, x->operation, x->w, x->x, x->y, x->y,
                                                preference, CANDIDATES, found, &n),
                   "choosing an algorithm", err);
    if (preference) p->lt.MatmulPreferenceDestroy(preference);
    for (int i = 0; ok && i < n; i++) {
        if (found[i].state != CUBLAS_STATUS_SUCCESS ||
            !(x->shape.any_algorithm || whole_sums(p, &found[i])))
            continue;
        x->algorithm = found[i].algo;
        return true;
    }
    return ok && em_fail(err, EM_MACHINE,
                         "none of the %d algorithms that cuBLASLt offers has whole sums for a "
                         "product of %d inputs and "
                         "%d outputs in %s",
                         n, x->shape.k, x->shape.n, em_dtype_name(x->shape.type));
}

static bool same_shape(const em_product_shape *a, const em_product_shape *b) {
    return a->tokens == b->tokens && a->n == b->n && a->k == b->k && a->y_stride == b->y_stride &&
           a->type == b->type && a->y_f32 == b->y_f32 && a->add == b->add &&
           a->any_algorithm == b->any_algorithm;
}

static product *find(em_products *p, const em_product_shape *shape, em_error *err) {
    for (product *x = p->first; x; x = x->next)
        if (same_shape(&x->shape, shape)) return x;
    product *x = em_alloc(1, sizeof *x, "matrix products", err);
    if (!x) return NULL;
    x->shape = *shape;
    if (!describe(p, x, err) || !choose(p, x, err)) {
        product_free(p, x);
        return NULL;
    }
    x->next = p->first;
    return p->first = x;
}

bool em_product_run(em_products *p, em_stream s, const em_product_shape *shape, const void *x,
                    const void *w, void *y, em_error *err) {
    product *m = find(p, shape, err);
    const float one = 1, beta = shape->add ? 1 : 0;
    size_t bytes = shape->any_algorithm ? WORKSPACE_BYTES : 0;
    if (!m ||
        (bytes && !p->workspace && !(p->workspace = em_device_alloc(bytes, "a workspace", err))))
        return false;
    return good(p,
                p->lt.Matmul(p->handle, m->operation, &one, w, m->w, x, m->x, &beta, y, m->y, y,
                             m->y, &m->algorithm, bytes ? p->workspace : NULL, bytes, s),
                "a matrix product", err);
}
