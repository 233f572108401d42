/* Any bytes as the saved state of statistics (first byte 0), a comparison (1), a sidecar (2), what
 * a row adds to statistics (3) or to a comparison (4): refused, or restored into what saves the
 * same bytes again and can be gone on with. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "eval/statistics/compare.h"
#include "eval/statistics/sidecar.h"
#include "eval/statistics/statistics.h"

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
    em_comparator_options o = {.kind = EM_COMPARE_MASKS, .has_common = true};
    em_comparator *c = em_comparator_new(&o, in->err);
    if (em_comparator_state(c, in) && em_state_end(in)) {
        if (!em_comparator_state(c, &(em_state){.into = again, .err = in->err})) abort();
        same(again, data, size);
    }
    em_comparator_free(c);
}

static void sidecar(em_state *in, em_buffer *again) {
    em_sidecar *s = em_sidecar_new(NULL, "", 0, 2, in->err);
    if (em_sidecar_state(s, in) && em_state_end(in) &&
        !em_sidecar_state(s, &(em_state){.into = again, .err = in->err}))
        abort();
    em_sidecar_free(s);
}

/* Subsets are counted from 0 by the loader; a row of a group in the millions would only ask for
 * memory. */
enum { MANY_GROUPS = 1000 };

static void row_sums(em_state *in, em_buffer *again) {
    em_row_sums r = {0};
    em_statistics *s = em_statistics_new(false, in->err);
    size_t n;
    em_row_sums_clear(&r);
    bool good = em_row_sums_state(&r, in) && em_state_end(in);
    for (size_t i = 0; good && i < r.n_subsets; i++) good = r.subsets[i].group < MANY_GROUPS;
    if (good && !em_row_sums_state(&r, &(em_state){.into = again, .err = in->err})) abort();
    if (good &&
        (!em_statistics_row(s, &r, in->err) || !em_statistics_documents(s, INT64_MAX, &n, in->err)))
        abort();
    em_row_sums_free(&r);
    em_statistics_free(s);
}

static void row_paired(em_state *in, em_buffer *again) {
    em_row_paired r = {0};
    em_comparator *c = em_comparator_new(&(em_comparator_options){.kind = EM_COMPARE_MODELS},
                                         in->err);
    em_row_paired_clear(&r);
    bool good = em_row_paired_state(&r, in) && em_state_end(in);
    for (size_t i = 0; good && i < r.sums.n_subsets; i++)
        good = r.sums.subsets[i].group < MANY_GROUPS;
    if (good && !em_row_paired_state(&r, &(em_state){.into = again, .err = in->err})) abort();
    if (good && !em_comparator_row(c, &r, in->err)) abort();
    em_row_paired_free(&r);
    em_comparator_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    em_error err = EM_ERROR_INIT;
    em_buffer again = {0};
    em_state in = {.from = data + 1, .left = size - 1, .err = &err};
    if (data[0] == 0) statistics(&in, data + 1, size - 1, &again);
    if (data[0] == 1) comparison(&in, data + 1, size - 1, &again);
    if (data[0] == 2) sidecar(&in, &again);
    if (data[0] == 3) row_sums(&in, &again);
    if (data[0] == 4) row_paired(&in, &again);
    em_buffer_free(&again);
    return 0;
}
