#include <stddef.h>
#include <stdint.h>

#include "model/config_read.h"
#include "model/gguf_model.h"
#include "model/stored.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Unpacks every tensor that is not too large for a fuzzer, as the container says it is. */
static void unpack(const em_tensors *t) {
    static float out[1 << 16];
    for (size_t i = 0; i < t->n; i++)
        if (em_tensor_is_read(&t->items[i]) && em_tensor_elements(&t->items[i]) <= 1 << 16)
            em_tensor_values(&t->items[i], 1, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    em_error err = EM_ERROR_INIT;
    em_gguf g = {0};
    em_tensors t = {0};
    em_buffer config = {0};
    em_notes notes = {0};
    em_gguf_tokenizer tokenizer = {0};
    em_config c;
    if (em_gguf_read(data, size, "FILE", &g, &t, &err)) {
        unpack(&t);
        if (em_gguf_model_make(&g, &t, &config, &notes, &err) &&
            em_gguf_tokenizer_make(&g, &tokenizer, &notes, &err)) {
            unpack(&t);
            if (em_config_read("FILE", config.data, config.length, &c, &err)) em_config_free(&c);
        }
    }
    em_gguf_tokenizer_free(&tokenizer);
    em_notes_free(&notes);
    em_buffer_free(&config);
    em_tensors_free(&t);
    em_gguf_free(&g);
    return 0;
}
