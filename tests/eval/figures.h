/* What tests of figures share: random numbers, nearness, slices, and a standard error worked out
 * the long way. Include it after cmocka.h. */
#ifndef EM_TESTS_FIGURES_H
#define EM_TESTS_FIGURES_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include "common/buffer.h"
#include "common/state.h"
#include "reports/results/results.h"

/* The next number of the sequence at *seed (Knuth's MMIX), in [0, 1) or [0, n). */
static inline double random_uniform(uint64_t *seed) {
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(*seed >> 11) * 0x1p-53;
}
static inline int32_t random_below(uint64_t *seed, int32_t n) {
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (int32_t)((*seed >> 33) % (uint64_t)n);
}

static inline void close_within(double a, double b, double relative) {
    if (!(fabs(a - b) <= relative * (1 + fabs(b)))) fail_msg("%.17g is not %.17g", a, b);
}

static inline void free_slices(em_slice *list, int n) {
    for (int i = 0; i < n; i++) free(list[i].name);
    free(list);
}

/* The same names and, bit for bit, the same figures. */
static inline void same_slices(const em_slice *a, int n, const em_slice *b, int m) {
    assert_int_equal(n, m);
    for (int i = 0; i < n; i++) {
        em_slice x = a[i], y = b[i];
        if (x.name) assert_string_equal(x.name, y.name);
        x.name = y.name = NULL;
        assert_memory_equal(&x, &y, sizeof x);
    }
}

/* A value of some kind, and the group that it belongs to. */
typedef struct grouped_value {
    double value;
    int64_t group; /* in [0, n_groups) of whoever asks */
} grouped_value;

/* sqrt(G/(G-1) Σ_g (S_g - mean N_g)²) / n over the groups that hold any of the n values. */
static inline double naive_stderr(const grouped_value *list, int n, int64_t n_groups,
                                  int64_t *out) {
    double squares = 0, mean = 0, groups = 0;
    for (int i = 0; i < n; i++) mean += list[i].value / n;
    for (int64_t g = 0; g < n_groups; g++) {
        double sum = 0, members = 0;
        for (int i = 0; i < n; i++)
            if (list[i].group == g) sum += list[i].value, members++;
        squares += (sum - mean * members) * (sum - mean * members);
        groups += members > 0;
    }
    *out = (int64_t)groups;
    return sqrt(groups / (groups - 1) * squares) / n;
}

/* Saves from, which `state` saves and restores, and restores it into `into`, to the last byte. */
static inline void pass_on(void *from, void *into, bool (*state)(void *, em_state *)) {
    em_error err = EM_ERROR_INIT;
    em_buffer bytes = {0};
    assert_true(state(from, &(em_state){.into = &bytes, .err = &err}));
    em_state in = {.from = (unsigned char *)bytes.data, .left = bytes.length, .err = &err};
    assert_true(state(into, &in) && em_state_end(&in));
    em_buffer_free(&bytes);
}

#endif
