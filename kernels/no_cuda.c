/* In place of cuda/ where the build has none. */
#include "kernels/backend.h"

em_backend *em_backend_cuda_open(const em_backend_options *options, int device, em_error *err) {
    em_fail(err, EM_MACHINE, "this build of evalmask has no CUDA engine: it was made without nvcc");
    return NULL;
}
