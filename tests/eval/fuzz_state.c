/* Any bytes as the saved state of statistics (first byte 0), a comparison (1) or a sidecar (2): refused, or restored
 * into what saves the same bytes again and can be gone on with. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "eval/compare.h"
#include "eval/sidecar.h"
#include "eval/statistics.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same(const em_buffer *again, const uint8_t *data, size_t size) {
    if (again->length != size || (size && memcmp(again->data, data, size))) abort();
}

static void statistics(em_state *in, const uint8_t *data, size_t size, em_buffer *again) {
    em_statistics *s = em_statistics_new(false, in->err);
    if (em_statistics_state(s, in) && em_state_end(in)) {
        size_t n;
        if (!em_statistics_state(s, &(em_state){.into = again, .err = in->err})) abort();
        same(again, data, size);
        if (!em_statistics_documents(s, INT64_MAX, &n, in->err)) abort();
    }
    em_statistics_free(s);
}

static void comparison(em_state *in, const uint8_t *data, size_t size, em_buffer *again) {
    em_comparator_options o = {.kind = EM_COMPARE_MASKS, .stretch = 64};
    em_comparator *c = em_comparator_new(&o, in->err);
    if (em_comparator_state(c, in) && em_state_end(in)) {
        if (!em_comparator_state(c, &(em_state){.into = again, .err = in->err})) abort();
        same(again, data, size);
    }
    em_comparator_free(c);
}

static void sidecar(em_state *in, em_buffer *again) {
    em_sidecar *s = em_sidecar_new(NULL, "", 0, 2, in->err);
    if (em_sidecar_state(s, in) && em_state_end(in) && !em_sidecar_state(s, &(em_state){.into = again, .err = in->err})) abort();
    em_sidecar_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    em_error err = EM_ERROR_INIT;
    em_buffer again = {0};
    em_state in = {.from = data + 1, .left = size - 1, .err = &err};
    if (data[0] == 0) statistics(&in, data + 1, size - 1, &again);
    if (data[0] == 1) comparison(&in, data + 1, size - 1, &again);
    if (data[0] == 2) sidecar(&in, &again);
    em_buffer_free(&again);
    return 0;
}
