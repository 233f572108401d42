/* Which results of two files measured the same thing, and where not, what differs. */
#ifndef EM_REPORTS_PAIRING_H
#define EM_REPORTS_PAIRING_H

#include <stdbool.h>
#include "common/buffer.h"
#include "common/error.h"
#include "reports/results/results.h"

typedef enum em_likeness {
    EM_SAME_MEASURE, /* data and protocol fingerprints agree */
    EM_OTHER_DTYPE,  /* but for the dtype of the arithmetic */
    EM_OTHER_MEASURE
} em_likeness;

typedef struct em_result_pair {
    int before, after; /* indices of the two files' results */
    em_likeness likeness;
} em_result_pair;

typedef struct em_pairing {
    const em_results *before, *after; /* the caller's */
    em_result_pair *pairs;            /* owned, in the order of before */
    int n_pairs;
    int *before_alone, *after_alone; /* owned: results without a partner */
    int n_before_alone, n_after_alone;
} em_pairing;

/* Two results are partners where both fingerprints, alpha and depth agree, and data set or model by
 * name where several results share these. What is left is paired by names, with less and less of
 * them, so that it can be said what differs: each time the results of a name that one of each file
 * has. False with EM_MACHINE; p is to be freed in every case. */
bool em_pairing_make(em_pairing *p, const em_results *before, const em_results *after,
                     em_error *err);
/* Frees the lists, not the results. */
void em_pairing_free(em_pairing *p);

/* Appends "protocol fingerprint (mask: doc -> regular), data fingerprint (max_docs: none -> 20)":
 * which fingerprints differ and what differs behind them. Nothing where neither does. Where memory
 * is out the program ends with exit code 4. */
void em_pair_differences(const em_pairing *p, const em_result_pair *pair, em_buffer *out);

#endif
