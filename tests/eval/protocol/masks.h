/* Every mask of the table once more, independently of it, and a walk over all of them for whatever
 * test wants them. */
#ifndef EM_TESTS_MASKS_H
#define EM_TESTS_MASKS_H

#include "eval/protocol/mask.h"

/* Query i and key k of a row of n inputs, the mask's parameter p, and the query's document. */
typedef struct place {
    int32_t i, k, n, p;
    int32_t start; /* where the document begins in the row */
    bool same_document;
} place;

typedef struct mask_rule {
    const char *name;
    bool parameter, by_document;
    bool (*sees)(place);
} mask_rule;

/* All rules, [*n]. */
const mask_rule *mask_rules(int *n);
/* The mask's own; the test fails where there is none. */
const mask_rule *mask_rule_of(const em_mask *m);

/* Calls visit with every kind of the table: those with a parameter once for each of the
 * parameters, which end with 0. */
void every_mask(const int32_t *parameters, void (*visit)(const em_mask *m));

#endif
