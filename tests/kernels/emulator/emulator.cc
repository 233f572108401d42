#include "tests/kernels/emulator/emulator.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>
#include <memory>
#include <vector>

em_index threadIdx, blockIdx, blockDim;
unsigned char *em_shared_bytes;
bool em_emulator_backwards;

namespace {

enum state { READY, AT_BARRIER, AT_WARP, ENDED };
struct copy { void *to; const void *from; int group; };

const size_t STACK = 32 << 10, WORDS = 8;       /* of a fiber: the address sanitizer clears all of it at each switch */

struct fiber {
    ucontext_t start;
    jmp_buf here;
    bool begun;
    state at;
    unsigned meetings;               /* of its warp, so far: posts take turns in two sets of slots */
    int group;                       /* of copies, the one being filled */
    std::vector<copy> copies;
    std::unique_ptr<char[]> stack;
};

std::vector<std::unique_ptr<fiber>> fibers;
std::vector<uint32_t> posts;         /* [2][threads][WORDS] */
const std::function<void()> *kernel_now;
#ifdef __SANITIZE_ADDRESS__
ucontext_t main_context;
#else
jmp_buf scheduler;
#endif
fiber *now;
size_t n_threads;

/* Back to the scheduler, until it lets this fiber go on. swapcontext is what the address sanitizer follows;
 * it costs a system call, which jumps do not. */
void leave(state why) {
    now->at = why;
#ifdef __SANITIZE_ADDRESS__
    swapcontext(&now->start, &main_context);
#else
    if (!_setjmp(now->here)) _longjmp(scheduler, 1);
#endif
}

/* A fiber serves block after block. */
void body() {
    for (;;) {
        (*kernel_now)();
        if (!now->copies.empty()) {
            fprintf(stderr, "emulator: a kernel ended with copies that it did not wait for\n");
            abort();
        }
        leave(ENDED);
    }
}

void make_fiber(fiber &f) {
    f.stack.reset(new char[STACK]);
    getcontext(&f.start);
    f.start.uc_stack.ss_sp = f.stack.get();
    f.start.uc_stack.ss_size = STACK;
    f.start.uc_link = NULL;
    makecontext(&f.start, body, 0);
    f.begun = false;
}

void go_on(unsigned i) {
    now = fibers[i].get();
    threadIdx.x = i;
#ifdef __SANITIZE_ADDRESS__
    swapcontext(&main_context, &now->start);
#else
    if (_setjmp(scheduler)) return;
    bool begun = now->begun;
    now->begun = true;
    if (begun) _longjmp(now->here, 1);
    setcontext(&now->start);
#endif
}

/* Whether all of [first, last) that have not ended wait at the same kind of meeting; then they may go on. */
bool release(size_t first, size_t last, state at) {
    bool any = false;
    for (size_t i = first; i < last; i++) {
        if (fibers[i]->at == ENDED) continue;
        if (fibers[i]->at != at) return false;
        any = true;
    }
    for (size_t i = first; any && i < last; i++)
        if (fibers[i]->at == at) fibers[i]->at = READY;
    return any;
}

bool run_round() {
    bool ran = false;
    for (size_t k = 0; k < n_threads; k++) {
        size_t i = em_emulator_backwards ? n_threads - 1 - k : k;
        if (fibers[i]->at != READY) continue;
        go_on((unsigned)i);
        ran = true;
    }
    for (size_t w = 0; w < n_threads; w += 32) ran |= release(w, w + 32, AT_WARP);
    return ran | release(0, n_threads, AT_BARRIER);
}

void run_block() {
    for (size_t i = 0; i < n_threads; i++) {
        fibers[i]->at = READY;
        fibers[i]->meetings = 0;
        fibers[i]->group = 0;
    }
    while (run_round()) {}
    for (size_t i = 0; i < n_threads; i++) {
        if (fibers[i]->at == ENDED) continue;
        fprintf(stderr, "emulator: block %u, thread %zu waits for others that never come\n", blockIdx.x, i);
        abort();
    }
}

}  // namespace

void em_emulate(unsigned grid, unsigned block, size_t shared, const std::function<void()> &kernel) {
    if (block % 32 || block > 1024 || shared > 99 << 10) {
        fprintf(stderr, "emulator: %u threads with %zu bytes of shared memory: no device of the supported kinds has that\n", block, shared);
        abort();
    }
    std::unique_ptr<uint64_t[]> memory(new uint64_t[shared / 8 + 2]);
    while (fibers.size() < block) {
        fibers.push_back(std::unique_ptr<fiber>(new fiber()));
        make_fiber(*fibers.back());
    }
    posts.assign(2 * (size_t)block * WORDS, 0);
    kernel_now = &kernel;
    n_threads = block;
    blockDim.x = block;
    em_shared_bytes = (unsigned char *)(((uintptr_t)memory.get() + 15) / 16 * 16);
    for (unsigned b = 0; b < grid; b++) {
        blockIdx.x = b;
        memset(em_shared_bytes, 0xff, shared);
        run_block();
    }
}

void __syncthreads() { leave(AT_BARRIER); }
void __syncwarp() { leave(AT_WARP); }

const uint32_t *em_meet(const void *words, size_t bytes) {
    uint32_t *set = posts.data() + (now->meetings++ % 2) * n_threads * WORDS;
    size_t warp = threadIdx.x / 32 * 32;
    memcpy(set + threadIdx.x * WORDS, words, bytes);
    leave(AT_WARP);
    return set + warp * WORDS;
}

/* Never fused: this file is compiled so. */
float em_mix(double alpha, float after, float before) {
    return (float)((1 + alpha) * (double)after - alpha * (double)before);
}

void em_copy16(void *shared, const void *from) {
    if ((uintptr_t)shared % 16 || (uintptr_t)from % 16) {
        fprintf(stderr, "emulator: a copy of 16 bytes that is not aligned\n");
        abort();
    }
    now->copies.push_back({shared, from, now->group});
}

void em_copy_commit() { now->group++; }

void em_copy_wait_until(int pending) {
    size_t kept = 0;
    for (const copy &c : now->copies) {
        if (c.group >= now->group - pending) now->copies[kept++] = c;
        else memcpy(c.to, c.from, 16);
    }
    now->copies.resize(kept);
}

/* Element k of row r of a: of lane r % 8 * 4 + k % 8 / 2, word (r / 8) + 2 * (k / 8); of column n of b likewise. */
void em_mma_words(float *c, const uint32_t *a, uint32_t b0, uint32_t b1, float (*value)(uint16_t)) {
    uint32_t own[6] = {a[0], a[1], a[2], a[3], b0, b1};
    const uint32_t *all = em_meet(own, sizeof own);
    unsigned g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    for (unsigned i = 0; i < 4; i++) {
        unsigned half = i / 2, column = t * 2 + i % 2;
        for (unsigned k = 0; k < 16; k++) {
            uint32_t x = all[(g * 4 + k % 8 / 2) * WORDS + half + 2 * (k / 8)];
            uint32_t y = all[(column * 4 + k % 8 / 2) * WORDS + 4 + k / 8];
            c[i] += value((uint16_t)(x >> 16 * (k % 2))) * value((uint16_t)(y >> 16 * (k % 2)));
        }
    }
}
