/* In place of cuda/ where the build has none. */
#include "kernels/backend.h"
#include "kernels/ceiling.h"

static bool refuse(em_error *err) {
    return em_fail(err, EM_MACHINE,
                   "this build of evalmask has no CUDA engine: it was made without nvcc");
}

em_backend *em_backend_cuda_open(const em_backend_options *options, int device, em_error *err) {
    return refuse(err), NULL;
}

bool em_cuda_ceiling(const em_backend_options *options, int device, em_ceiling *out,
                     em_error *err) {
    return refuse(err);
}
