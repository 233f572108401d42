#include "tests/kernels/emulator/emulator.h"

#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>
#include <memory>
#include <vector>

em_index threadIdx, blockIdx, blockDim;
unsigned char *em_shared_bytes;
bool em_emulator_backwards, em_emulator_early;

namespace {

enum state { READY, AT_BARRIER, AT_WARP, ENDED };
struct copy {
    void *to;
    const void *from;
    int group;
};

const size_t STACK =
    32 << 10; /* of a fiber: the address sanitizer clears all of it at each switch */
const size_t STAGGER =
    13 * 64; /* each stack begins so much deeper than the one before, in other sets of the cache */

typedef void *place[5]; /* what the compiler's own setjmp keeps: stack, frame and address */

struct fiber {
    ucontext_t start;
    place here;
    bool begun;
    unsigned meetings; /* of its warp, so far: posts take turns in two sets of slots */
    int group;         /* of copies, the one being filled */
    std::vector<copy> copies;
    std::unique_ptr<char[]> stack;
};

std::vector<std::unique_ptr<fiber>> fibers;
std::vector<state> at;       /* [fibers] */
std::vector<uint32_t> posts; /* [2][threads][EM_WORDS] */
const std::function<void()> *kernel_now;
#ifdef __SANITIZE_ADDRESS__
ucontext_t main_context;
#else
place scheduler;
#endif
fiber *now;
size_t n_threads;

/* A jump may not stand in the function that it leads to. */
__attribute__((noinline, noreturn)) void jump(void **to) { __builtin_longjmp(to, 1); }

/* Back to the scheduler, until it lets this fiber go on. swapcontext is what the address sanitizer
 * follows; it costs a system call, which jumps do not, and the compiler's own cost a tenth of the C
 * library's. */
__attribute__((noinline)) void leave(state why) {
    at[threadIdx.x] = why;
#ifdef __SANITIZE_ADDRESS__
    swapcontext(&now->start, &main_context);
#else
    if (!__builtin_setjmp(now->here)) jump(scheduler);
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

void make_fiber(fiber &f, size_t i) {
    size_t deeper = i * STAGGER % (STACK / 2);
    f.stack.reset(new char[STACK + deeper]);
    getcontext(&f.start);
    f.start.uc_stack.ss_sp = f.stack.get() + deeper;
    f.start.uc_stack.ss_size = STACK;
    f.start.uc_link = NULL;
    makecontext(&f.start, body, 0);
    f.begun = false;
}

__attribute__((noinline)) void go_on(unsigned i) {
    now = fibers[i].get();
    threadIdx.x = i;
#ifdef __SANITIZE_ADDRESS__
    swapcontext(&main_context, &now->start);
#else
    if (__builtin_setjmp(scheduler)) return;
    bool begun = now->begun;
    now->begun = true;
    if (begun) jump(now->here);
    setcontext(&now->start);
#endif
}

/* Whether all of [first, last) that have not ended wait at the same kind of meeting; then they may
 * go on. */
bool release(size_t first, size_t last, state meeting) {
    bool any = false;
    for (size_t i = first; i < last; i++) {
        if (at[i] == ENDED) continue;
        if (at[i] != meeting) return false;
        any = true;
    }
    for (size_t i = first; any && i < last; i++)
        if (at[i] == meeting) at[i] = READY;
    return any;
}

/* Threads [first, first + 32) from meeting to meeting, until none can go on without the other
 * warps. */
void run_warp(size_t first) {
    do {
        for (size_t k = 0; k < 32; k++) {
            size_t i = first + (em_emulator_backwards ? 31 - k : k);
            if (at[i] == READY) go_on((unsigned)i);
        }
    } while (release(first, first + 32, AT_WARP));
}

void run_block() {
    for (size_t i = 0; i < n_threads; i++) {
        at[i] = READY;
        fibers[i]->meetings = 0;
        fibers[i]->group = 0;
    }
    do {
        for (size_t k = 0; k < n_threads; k += 32)
            run_warp(em_emulator_backwards ? n_threads - 32 - k : k);
    } while (release(0, n_threads, AT_BARRIER));
    for (size_t i = 0; i < n_threads; i++) {
        if (at[i] == ENDED) continue;
        fprintf(stderr, "emulator: block %u, thread %zu waits for others that never come\n",
                blockIdx.x, i);
        abort();
    }
}

} // namespace

void em_emulate(unsigned grid, unsigned block, size_t shared, const std::function<void()> &kernel) {
    if (block % 32 || block > 1024 || shared > 99 << 10) {
        fprintf(stderr,
                "emulator: %u threads with %zu bytes of shared memory: no device of the supported "
                "kinds has that\n",
                block, shared);
        abort();
    }
    std::unique_ptr<uint64_t[]> memory(new uint64_t[shared / 8 + 2]);
    while (fibers.size() < block) {
        fibers.push_back(std::unique_ptr<fiber>(new fiber()));
        make_fiber(*fibers.back(), fibers.size() - 1);
    }
    at.resize(fibers.size());
    posts.assign(2 * (size_t)block * EM_WORDS, 0);
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

const void *em_meet(const void *words, size_t bytes) {
    uint32_t *set = posts.data() + (now->meetings++ % 2) * n_threads * EM_WORDS;
    size_t warp = threadIdx.x / 32 * 32;
    memcpy(set + threadIdx.x * EM_WORDS, words, bytes);
    leave(AT_WARP);
    return set + warp * EM_WORDS;
}

/* Never fused: this file is compiled so. */
float em_mix(double alpha, float after, float before) {
    return (float)((1 + alpha) * (double)after - alpha * (double)before);
}

static void aligned(const void *p) {
    if ((uintptr_t)p % 16 == 0) return;
    fprintf(stderr, "emulator: an access to 16 bytes that are not aligned\n");
    abort();
}

void em_read16(uint32_t *words, const void *from) {
    aligned(from);
    memcpy(words, from, 16);
}

void em_write16(void *to, const uint32_t *words) {
    aligned(to);
    memcpy(to, words, 16);
}

void em_copy16(void *shared, const void *from) {
    aligned(shared);
    aligned(from);
    if (em_emulator_early) memcpy(shared, from, 16);
    else now->copies.push_back({shared, from, now->group});
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

/* Element k of row r of a: of lane r % 8 * 4 + k % 8 / 2, word (r / 8) + 2 * (k / 8); of column n
 * of b likewise. Lanes post numbers: both halves of each word. */
void em_mma_numbers(float *c, const float *own) {
    const float *all = (const float *)em_meet(own, EM_WORDS * sizeof *own);
    unsigned g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    for (unsigned i = 0; i < 4; i++) {
        unsigned half = i / 2, column = t * 2 + i % 2;
        const float *a = all + g * 4 * EM_WORDS + 2 * half, *b = all + column * 4 * EM_WORDS + 8;
        for (unsigned k = 0; k < 16; k++)
            c[i] += a[k % 8 / 2 * EM_WORDS + 4 * (k / 8) + k % 2] *
                    b[k % 8 / 2 * EM_WORDS + 2 * (k / 8) + k % 2];
    }
}
