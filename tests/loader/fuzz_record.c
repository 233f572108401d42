/* A record through our scanner and through jansson: the same verdict, text and group. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const em_record_keys keys[] = {
        {"text", "meta.pile_set_name"}, {"text", "text"}, {"a", "b"}};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *difference = oracle_compare((const char *)data, size, &keys[i]);
        if (!difference) continue;
        fprintf(stderr, "keys %s, %s: %s\n", keys[i].text, keys[i].group, difference);
        abort();
    }
    return 0;
}
