/* What the kernels need of the CUDA language, in one place: number formats, sums over a block,
 * tensor core products. tests/kernels/emulator/ has the same for a C++ compiler, so that the
 * kernels' own code also runs without a device. */
#ifndef EM_KERNELS_CUDA_LAUNCH_CUH
#define EM_KERNELS_CUDA_LAUNCH_CUH

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#ifdef __CUDACC__

#include <cuda_bf16.h>
#include <cuda_fp16.h>

extern __shared__ __align__(16) unsigned char em_shared_bytes[];

/* kernel: a name without commas */
#define EM_LAUNCH(kernel, grid, block, shared, stream, ...) \
    kernel<<<grid, block, shared, (cudaStream_t)(stream)>>>(__VA_ARGS__)
/* More shared memory than the 48 KiB that a kernel gets unasked. An error shows at the launch. */
#define EM_ALLOW_SHARED(kernel, bytes) \
    cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)(bytes))

struct em_half_bf16 {
    uint16_t bits;
};
struct em_half_f16 {
    uint16_t bits;
};

__device__ inline float em_to_float(float x) { return x; }
__device__ inline float em_to_float(em_half_bf16 x) {
    return __uint_as_float((uint32_t)x.bits << 16);
}
__device__ inline float em_to_float(em_half_f16 x) {
    return __half2float(__ushort_as_half(x.bits));
}
__device__ inline void em_from_float(float *y, float x) { *y = x; }
__device__ inline void em_from_float(em_half_bf16 *y, float x) {
    y->bits = __bfloat16_as_ushort(__float2bfloat16_rn(x));
}
__device__ inline void em_from_float(em_half_f16 *y, float x) {
    y->bits = __half_as_ushort(__float2half_rn(x));
}

/* (1 + alpha) * after - alpha * before, each step rounded to double: never fused. */
__device__ inline float em_mix(double alpha, float after, float before) {
    return (float)__dsub_rn(__dmul_rn(1 + alpha, (double)after), __dmul_rn(alpha, (double)before));
}

/* 2^x to some 2 ulp; 0 where that is below the normal numbers. PTX ISA, ex2.approx. */
__device__ inline float em_exp2(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
__device__ inline bool em_warp_any(bool b) { return __any_sync(0xffffffffu, b); }

/* 16 aligned bytes at once. */
__device__ inline void em_read16(uint32_t *words, const void *from) {
    uint4 w = *(const uint4 *)from;
    words[0] = w.x, words[1] = w.y, words[2] = w.z, words[3] = w.w;
}
__device__ inline void em_write16(void *to, const uint32_t *words) {
    *(uint4 *)to = make_uint4(words[0], words[1], words[2], words[3]);
}
__device__ inline float em_float_of(uint32_t bits) { return __uint_as_float(bits); }
__device__ inline uint32_t em_bits_of(float x) { return __float_as_uint(x); }

/* 16 bytes from memory to shared memory, behind the thread's back; wait: until all but the latest
 * `pending` groups came. */
__device__ inline void em_copy16(void *shared, const void *from) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(
                     (uint32_t)__cvta_generic_to_shared(shared)),
                 "l"(from)
                 : "memory");
}
__device__ inline void em_copy_commit(void) { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int pending> __device__ inline void em_copy_wait(void) {
    asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
}

/* c += a b, 16 x 8 x 16. Lane g * 4 + t holds a: rows g and g + 8, columns 2t, 2t+1, 2t+8, 2t+9 as
 * words (g, low), (g + 8, low), (g, high), (g + 8, high); b: the same rows of column g; c: (g, 2t),
 * (g, 2t+1), (g + 8, 2t), (g + 8, 2t+1). PTX ISA, mma.m16n8k16. */
__device__ inline void em_mma(float *c, const uint32_t *a, uint32_t b0, uint32_t b1, em_half_bf16) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, "
                 "{%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
__device__ inline void em_mma(float *c, const uint32_t *a, uint32_t b0, uint32_t b1, em_half_f16) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
                 "{%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/* A struct of whole words from the lane whose number differs by mask. */
template <typename T> __device__ inline T em_shuffle_xor(T value, int mask) {
    uint32_t words[sizeof(T) / 4];
    memcpy(words, &value, sizeof value);
#pragma unroll
    for (unsigned i = 0; i < sizeof(T) / 4; i++)
        words[i] = __shfl_xor_sync(0xffffffffu, words[i], mask);
    memcpy(&value, words, sizeof value);
    return value;
}

/* All lanes' values brought together by a commutative f(a, b), for each of them: lanes 16 apart
 * first. */
template <typename T, typename F> __device__ inline T em_warp_reduce(T value, F f) {
    for (int m = 16; m > 0; m >>= 1) value = f(value, em_shuffle_xor(value, m));
    return value;
}

#endif

#define EM_ALL_LANES 0xffffffffu

/* Two halves as a word. */
template <typename T> __device__ inline uint32_t em_pack(float low, float high) {
    T a, b;
    em_from_float(&a, low);
    em_from_float(&b, high);
    return (uint32_t)a.bits | (uint32_t)b.bits << 16;
}

/* Eight elements by 16-byte words: what lies at a multiple of eight of them. */
template <typename T> __device__ inline void em_load8(float *x, const T *from) {
    uint32_t words[4];
    em_read16(words, from);
#pragma unroll
    for (int i = 0; i < 8; i++) {
        T half;
        half.bits = (uint16_t)(words[i / 2] >> 16 * (i % 2));
        x[i] = em_to_float(half);
    }
}
template <> __device__ inline void em_load8<float>(float *x, const float *from) {
    uint32_t words[8];
    em_read16(words, from);
    em_read16(words + 4, from + 4);
#pragma unroll
    for (int i = 0; i < 8; i++) x[i] = em_float_of(words[i]);
}
template <typename T> __device__ inline void em_store8(T *to, const float *x) {
    uint32_t words[4];
#pragma unroll
    for (int i = 0; i < 4; i++) words[i] = em_pack<T>(x[2 * i], x[2 * i + 1]);
    em_write16(to, words);
}
template <> __device__ inline void em_store8<float>(float *to, const float *x) {
    uint32_t words[8];
#pragma unroll
    for (int i = 0; i < 8; i++) words[i] = em_bits_of(x[i]);
    em_write16(to, words);
    em_write16(to + 4, words + 4);
}

__device__ inline float em_warp_sum(float v) {
    return em_warp_reduce(v, [](float a, float b) { return a + b; });
}
__device__ inline float em_warp_max(float v) {
    return em_warp_reduce(v, [](float a, float b) { return fmaxf(a, b); });
}

/* The sum over all threads of a block, for each of them. scratch: a float a warp; all threads call.
 */
__device__ inline float em_block_sum(float v, float *scratch) {
    v = em_warp_sum(v);
    __syncthreads();
    if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = v;
    __syncthreads();
    float sum = 0;
    for (unsigned w = 0; w < blockDim.x / 32; w++) sum += scratch[w];
    return sum;
}

#endif
