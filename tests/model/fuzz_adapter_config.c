#include <stddef.h>
#include <stdint.h>
#include "model/adapter_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const modules[] = {"model.layers.0.self_attn.q_proj",
                                          "transformer.h.11.mlp.c_fc", "lm_head", ""};
    em_adapter_config c;
    em_error none = EM_ERROR_INIT;
    if (!em_adapter_config_read("FILE", data, size, &c, &none)) return 0;
    for (size_t i = 0; i < sizeof modules / sizeof *modules; i++) {
        em_error err = EM_ERROR_INIT;
        bool targeted;
        int64_t rank;
        double scale;
        em_adapter_config_targets(&c, modules[i], i != 2, &targeted, &err);
        em_adapter_config_rank(&c, modules[i], &rank, &scale, &err);
    }
    em_adapter_config_free(&c);
    return 0;
}
