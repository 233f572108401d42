#include <stddef.h>
#include <stdint.h>
#include "model/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    em_error err = EM_ERROR_INIT;
    em_tensors t = {0};
    size_t sum = 0;
    if (em_safetensors_read(data, size, "FILE", &t, &err) && em_tensors_sort(&t, &err))
        for (size_t i = 0; i < t.n; i++)
            for (size_t k = 0; k < t.items[i].bytes; k++)
                sum += ((const uint8_t *)t.items[i].data)[k];
    em_tensors_free(&t);
    return sum == SIZE_MAX; /* the sum must be taken */
}
