/* The machine's own rate of matrix products, for what is measured against it. */
#ifndef EM_KERNELS_CEILING_H
#define EM_KERNELS_CEILING_H

#include "kernels/backend.h"

/* GFLOP/s of C = A B, all 2048 x 2048, B in oneDNN's own format, on all threads together. */
typedef struct em_ceiling {
    double rate;             /* the median of several repeats: on a shared machine the best would be of a
                                quieter moment than what is held against it */
    double processor_rate;   /* by processor time: as if no one else used the machine */
} em_ceiling;

/* In the number format in which the CPU backend multiplies for options->compute: f32 where bf16 has to be
 * widened. Call outside parallel regions, with no other threads at work. False with err (EM_MACHINE): memory is out. */
bool em_cpu_ceiling(const em_backend_options *options, em_ceiling *out, em_error *err);

#endif
