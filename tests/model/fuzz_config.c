#include <stddef.h>
#include <stdint.h>
#include "model/config_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    em_error err = EM_ERROR_INIT;
    em_config c;
    em_buffer text = {0};
    float inv_freq[EM_MAX_HEAD_DIM / 2];
    if (!em_config_read("FILE", data, size, &c, &err)) return 0;
    for (int i = 0; i < 2; i++)
        if (c.rope[i].theta != 0)
            em_rope_frequencies(&c.rope[i], em_rope_dim(&c.rope[i], c.head_dim), inv_freq);
    em_config_describe(&c, &text);
    em_buffer_free(&text);
    em_config_free(&c);
    return 0;
}
