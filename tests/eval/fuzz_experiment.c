/* A config: any bytes give a config or one error of usage. */
#include <stdint.h>
#include <stdlib.h>

#include "eval/settings/experiment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    em_error err = EM_ERROR_INIT;
    em_experiment *x = em_experiment_parse("fuzz.json", (const char *)data, size, &err);
    if (x ? err.status != EM_OK : err.status != EM_USAGE) abort();
    em_experiment_free(x);
    return 0;
}
