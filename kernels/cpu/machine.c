/* What this machine's instruction set can do: which kernels run, and how products are made. */
#ifdef EM_X86
#include <cpuid.h>
#endif

#include "kernels/cpu/cpu.h"

static bool at_least(dnnl_cpu_isa_t isa) { return (dnnl_get_effective_cpu_isa() & isa) == isa; }

#ifdef EM_X86
/* FMA and F16C: AVX2 does not promise them, and clang 14 cannot be asked for the latter by name. */
static bool has_fma_and_f16c(void) {
    unsigned a, b, c, d, want = bit_FMA | bit_F16C;
    return __get_cpuid(1, &a, &b, &c, &d) && (c & want) == want;
}
#endif

const em_cpu_kernels *em_cpu_kernels_best(void) {
#ifdef EM_X86
    if (at_least(dnnl_cpu_isa_avx512_core_bf16)) return &em_cpu_kernels_avx512_bf16;
    if (at_least(dnnl_cpu_isa_avx512_core)) return &em_cpu_kernels_avx512;
    if (at_least(dnnl_cpu_isa_avx2) && has_fma_and_f16c()) return &em_cpu_kernels_avx2;
#endif
    return &em_cpu_kernels_portable;
}

const em_bf16_kernels *em_bf16_kernels_best(void) {
#ifdef EM_X86
    if (at_least(dnnl_cpu_isa_avx512_core_amx) && em_amx_allowed()) return &em_bf16_kernels_amx;
#endif
    return NULL;
}

const char *em_cpu_isa_name(void) {
    static const struct {
        dnnl_cpu_isa_t isa;
        const char *name;
    } names[] = {
        {dnnl_cpu_isa_avx512_core_amx, "avx512_core_amx"},
        {dnnl_cpu_isa_avx512_core_bf16, "avx512_core_bf16"},
        {dnnl_cpu_isa_avx512_core_vnni, "avx512_core_vnni"},
        {dnnl_cpu_isa_avx512_core, "avx512_core"},
        {dnnl_cpu_isa_avx2_vnni, "avx2_vnni"},
        {dnnl_cpu_isa_avx2, "avx2"},
        {dnnl_cpu_isa_avx, "avx"},
        {dnnl_cpu_isa_sse41, "sse41"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (at_least(names[i].isa)) return names[i].name;
    return "generic";
}

/* Without bf16 products in hardware, oneDNN's own are a reference loop: weights are widened
 * instead. */
em_product em_cpu_product(const em_backend_options *o) {
    if (o->compute == EM_F32) return EM_PRODUCT_F32;
    return at_least(dnnl_cpu_isa_avx512_core_bf16) && !o->portable ? EM_PRODUCT_BF16
                                                                   : EM_PRODUCT_BF16_WIDENED;
}
