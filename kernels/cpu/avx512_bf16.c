/* Compiled for AVX-512 with its conversions to bf16: see CMakeLists.txt. */
#define EM_KERNELS em_cpu_kernels_avx512_bf16
#define EM_KERNELS_NAME "avx512_bf16"
#include "kernels/cpu/vector.inc.c"
