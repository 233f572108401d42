#include "eval/setup/device.h"

#include <stdio.h>
#include <unistd.h>

static em_dtype own_dtype(const em_setup *s) {
    if (s->n_models == 0) return EM_F32;
    em_dtype first = em_model_spec_of(s->models[0])->weight_dtype;
    for (int i = 1; i < s->n_models; i++)
        if (em_model_spec_of(s->models[i])->weight_dtype != first) return EM_F32;
    return first;
}

em_dtype em_device_compute(const em_engine_settings *s, const em_setup *setup, bool cuda) {
    switch (s->dtype) {
    case EM_DTYPE_AUTO: break;
    case EM_DTYPE_F32: return EM_F32;
    case EM_DTYPE_BF16: return EM_BF16;
    case EM_DTYPE_F16: return EM_F16;
    }
    return cuda ? own_dtype(setup) : EM_F32;
}

static em_backend *open_cpu(const em_engine_settings *s, const em_setup *setup, em_error *err) {
    em_backend_options o = {.threads = setup->threads,
                            .compute = em_device_compute(s, setup, false)};
    return em_backend_cpu_open(&o, err);
}

static em_backend *open_cuda(const em_engine_settings *s, const em_setup *setup, em_error *err) {
    em_backend_options o = {.threads = setup->threads,
                            .node_rank = setup->node_rank,
                            .node_ranks = setup->node_ranks,
                            .compute = em_device_compute(s, setup, true)};
    return em_backend_cuda_open(&o, s->device_index, err);
}

/* Asked for by name, or someone watches: programs that read stderr are not told of each missing
 * GPU. */
void em_device_tell_why_cpu(const em_engine_settings *s, bool quiet, const em_error *why) {
    if (!quiet && (s->device_given || isatty(STDERR_FILENO)))
        fprintf(stderr, "evalmask: computing on the CPU: %s\n", why->text);
}

em_backend *em_device_open_backend(const em_engine_settings *s, bool quiet, const em_setup *setup,
                                   em_error *err) {
    if (s->device == EM_DEVICE_CPU) return open_cpu(s, setup, err);
    if (s->device == EM_DEVICE_CUDA) return open_cuda(s, setup, err);
    em_error why = EM_ERROR_INIT;
    em_backend *b = open_cuda(s, setup, &why);
    if (b) return b;
    em_device_tell_why_cpu(s, quiet, &why);
    return open_cpu(s, setup, err);
}

const char *em_device_auto_dtype(const em_backend *b) {
    if (!b->device_memory) return "auto: f32 on a CPU";
    switch (b->options.compute) {
    case EM_BF16: return "auto: bf16, the weights' own";
    case EM_F16: return "auto: f16, the weights' own";
    case EM_F32: break;
    }
    return "auto: f32";
}
