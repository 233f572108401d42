/* Compiled for AVX-512 (F, BW, DQ, VL): see CMakeLists.txt. */
#define EM_KERNELS em_cpu_kernels_avx512
#define EM_KERNELS_NAME "avx512"
#include "kernels/cpu/vector.inc.c"
