/* Compiled for AVX2 and FMA: see CMakeLists.txt. */
#define EM_KERNELS em_cpu_kernels_avx2
#define EM_KERNELS_NAME "avx2"
#include "kernels/cpu/vector.inc.c"
