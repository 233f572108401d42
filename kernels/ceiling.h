/* The machine's own rate of matrix products, for what is measured against it. */
#ifndef EM_KERNELS_CEILING_H
#define EM_KERNELS_CEILING_H

#include "kernels/backend.h"

/* GFLOP/s of C = A B, all 2048 x 2048, B in oneDNN's own format, on all threads together; the best
 * of several repeats. In the number format in which the CPU backend multiplies for options->compute:
 * f32 where bf16 has to be widened. Call outside parallel regions. 0 with err: oneDNN has no such
 * product, or memory is out (EM_MACHINE). */
double em_cpu_ceiling(const em_backend_options *options, em_error *err);

#endif
