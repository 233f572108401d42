/* --alpha: numbers and ranges from:to:step, mixed in a list. Decimal arithmetic is exact, a range
 * includes its end, duplicates are removed (design §5). */
#ifndef EM_EVAL_ALPHAS_H
#define EM_EVAL_ALPHAS_H

#include <stdbool.h>
#include "common/error.h"
#include "kernels/backend.h"

#define EM_MAX_ALPHAS EM_PAIR_MAX_ALPHAS

typedef struct em_alphas {
    double values[EM_MAX_ALPHAS]; /* in the order given, each the double nearest to its decimal */
    int n;
} em_alphas;

/* "-2:2:0.5,3", "1e3", "25e-2". Errors: EM_USAGE naming the part that cannot be read. */
bool em_alphas_parse(const char *text, em_alphas *out, em_error *err);

#endif
