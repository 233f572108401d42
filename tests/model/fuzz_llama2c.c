#include <stddef.h>
#include <stdint.h>
#include "model/config_read.h"
#include "model/llama2c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the header says must also make a config that we read. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    em_error err = EM_ERROR_INIT;
    em_tensors t = {0};
    em_buffer config = {0};
    em_config c;
    if (em_llama2c_read(data, size, "FILE", &t, &config, &err) &&
        em_config_read("FILE", config.data, config.length, &c, &err))
        em_config_free(&c);
    em_tensors_free(&t);
    em_buffer_free(&config);
    return 0;
}
