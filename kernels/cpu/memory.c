/* Memory of the CPU backend, and its threads' scratch. */
#include <omp.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "common/size.h"
#include "kernels/cpu/cpu.h"

#define HUGE_PAGE ((size_t)2 << 20)

/* Large blocks ask for huge pages: weights and activations are swept from end to end, and packed
 * weights come and go with each batch (a third of the page faults, measured). */
void *em_cpu_alloc(size_t bytes, const char *what, em_error *err) {
    void *p = NULL;
    bool large = bytes >= HUGE_PAGE;
    if (posix_memalign(&p, large ? HUGE_PAGE : 64, bytes ? bytes : 64) == 0) {
        if (large) madvise(p, bytes, MADV_HUGEPAGE);
        return p;
    }
    em_fail_memory(err, bytes, what);
    return NULL;
}

bool em_cpu_reserve(em_cpu *cpu, em_scratch which, size_t bytes, em_error *err) {
    for (int i = 0; i < cpu->base.options.threads; i++) {
        em_cpu_thread *t = &cpu->threads[i];
        if (t->bytes[which] >= bytes) continue;
        void *grown = em_cpu_alloc(bytes, "a thread's scratch", err);
        if (!grown) return false;
        free(t->scratch[which]);
        t->scratch[which] = grown;
        t->bytes[which] = bytes;
    }
    return true;
}

int em_cpu_enter(void) {
    em_one_thread();
    return omp_get_thread_num();
}
