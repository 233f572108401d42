/* The machine's own rate of matrix products, for what is measured against it. */
#ifndef EM_KERNELS_CEILING_H
#define EM_KERNELS_CEILING_H

#include "kernels/backend.h"

/* GFLOP/s of C = A B. */
typedef struct em_ceiling {
    int cube;    /* n of the n x n matrices */
    double rate; /* the median of several repeats: on a shared machine the best would be of a
                    quieter moment than what is held against it */
    double processor_rate; /* by processor time: as if no one else used the machine */
} em_ceiling;

/* Of the CPU: 2048 x 2048, B in oneDNN's own format, on all threads together, in the number format
 * in which the CPU backend multiplies for options->compute: f32 where bf16 has to be widened. Call
 * outside parallel regions, with no other threads at work. False with err (EM_MACHINE): memory is
 * out. */
bool em_cpu_ceiling(const em_backend_options *options, em_ceiling *out, em_error *err);

/* The same on a CUDA device: an 8192-cube by cuBLASLt in options->compute, kept up for half a
 * second; the better of what the engine lets the library choose from and of the library's own first
 * choice. processor_rate is 0. The driver keeps some of the device's memory for this process until
 * it ends. False with err (EM_MACHINE): as em_backend_cuda_open. */
bool em_cuda_ceiling(const em_backend_options *options, int device, em_ceiling *out, em_error *err);

#endif
