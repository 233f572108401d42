/* A packed row through our scanner and through jansson: the same verdict and values. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "packed_oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *difference = packed_oracle_compare((const char *)data, size);
    if (!difference) return 0;
    fprintf(stderr, "%s\n", difference);
    abort();
}
