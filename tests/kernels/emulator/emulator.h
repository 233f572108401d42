/* The part of the CUDA language that kernels/cuda/ uses, for a C++ compiler, so that the kernels'
 * own code runs and is tested without a device. Blocks run one after another; a block's threads are
 * fibers that go on in turn, in either order, from one meeting point (barrier, shuffle, tensor core
 * product) to the next. Shared memory starts as NaN, and copies to it arrive when they are waited
 * for, not before, or at once (em_emulator_early). Included ahead of each .cu file. */
#ifndef EM_TESTS_KERNELS_EMULATOR_H
#define EM_TESTS_KERNELS_EMULATOR_H

#include <stddef.h>
#include <math.h>
#include <stdint.h>
#include <string.h>
#include <functional>
#include "common/dtype.h"
#include "tests/kernels/emulator/streams.h"

#define __global__
#define __device__
#define __launch_bounds__(threads)

struct em_index {
    unsigned x;
};
extern em_index threadIdx, blockIdx, blockDim;
extern unsigned char *em_shared_bytes;

void em_emulate(unsigned grid, unsigned block, size_t shared, const std::function<void()> &kernel);
/* Arguments are taken at the launch, the kernel runs in its turn. */
template <typename Kernel, typename... Arguments>
void em_launch(void *stream, unsigned grid, unsigned block, size_t shared, Kernel kernel,
               Arguments... arguments) {
    em_emulator_give(stream,
                     [=] { em_emulate(grid, block, shared, [=] { kernel(arguments...); }); });
}
#define EM_LAUNCH(kernel, grid, block, shared, stream, ...) \
    em_launch(stream, (unsigned)(grid), (unsigned)(block), shared, kernel, __VA_ARGS__)
#define EM_ALLOW_SHARED(kernel, bytes) ((void)(bytes))

/* Each thread of the block / of the warp has come here. */
void __syncthreads();
void __syncwarp();

/* What the warp's lanes posted at their last meeting, EM_WORDS each. */
#define EM_WORDS 12
const void *em_meet(const void *words, size_t bytes);

template <typename T> T __shfl_sync(unsigned, T value, int lane) {
    memcpy(&value, (const uint32_t *)em_meet(&value, sizeof value) + (size_t)(lane % 32) * EM_WORDS,
           sizeof value);
    return value;
}

template <typename T> T __shfl_xor_sync(unsigned lanes, T value, int mask) {
    return __shfl_sync(lanes, value, (int)(threadIdx.x % 32) ^ mask);
}

/* launch.cuh's, in the same order, by one meeting: changes of stack are what an emulated kernel
 * takes its time for. */
template <typename T, typename F> T em_warp_reduce(T value, F f) {
    const uint32_t *posted = (const uint32_t *)em_meet(&value, sizeof value);
    T all[32];
    for (int i = 0; i < 32; i++) memcpy(&all[i], posted + i * EM_WORDS, sizeof value);
    for (int m = 16; m > 0; m >>= 1)
        for (int i = 0; i < m; i++) all[i] = f(all[i], all[i + m]);
    return all[0];
}

/* The two half formats, as launch.cuh has them. */
struct em_half_bf16 {
    uint16_t bits;
};
struct em_half_f16 {
    uint16_t bits;
};
inline float em_to_float(float x) { return x; }
inline float em_to_float(em_half_bf16 x) { return em_bf16_to_f32(x.bits); }
inline float em_to_float(em_half_f16 x) { return em_f16_to_f32(x.bits); }
inline void em_from_float(float *y, float x) { *y = x; }
inline void em_from_float(em_half_bf16 *y, float x) { y->bits = em_f32_to_bf16(x); }
inline void em_from_float(em_half_f16 *y, float x) { y->bits = em_f32_to_f16(x); }

float em_mix(double alpha, float after, float before);

inline float em_exp2(float x) { return exp2f(x); }
inline bool em_warp_any(bool b) {
    return em_warp_reduce((int)b, [](int x, int y) { return x | y; }) != 0;
}

void em_read16(uint32_t *words, const void *from);
void em_write16(void *to, const uint32_t *words);
inline float em_float_of(uint32_t bits) {
    float x;
    return memcpy(&x, &bits, sizeof x), x;
}
inline uint32_t em_bits_of(float x) {
    uint32_t bits;
    return memcpy(&bits, &x, sizeof bits), bits;
}

void em_copy16(void *shared, const void *from);
void em_copy_commit();
void em_copy_wait_until(int pending);
template <int pending> void em_copy_wait() { em_copy_wait_until(pending); }

/* c += a b as a warp holds them: see launch.cuh. */
void em_mma_numbers(float *c, const float *own); /* own: EM_WORDS, a's and then b's */
template <typename T> void em_mma(float *c, const uint32_t *a, uint32_t b0, uint32_t b1, T) {
    const uint32_t words[] = {a[0], a[1], a[2], a[3], b0, b1};
    float own[EM_WORDS];
    for (int i = 0; i < EM_WORDS; i++)
        own[i] = em_to_float(T{(uint16_t)(words[i / 2] >> 16 * (i % 2))});
    em_mma_numbers(c, own);
}

/* Which thread of a block goes first: the last one, where set. */
extern "C" bool em_emulator_backwards;
/* Copies to shared memory arrive when they are asked for, over what others may still read there. */
extern "C" bool em_emulator_early;

#endif
