/* What the published tables share: finding the result or comparison of a cell. */
#ifndef EM_REPORTS_PUBLISHED_TABLES_H
#define EM_REPORTS_PUBLISHED_TABLES_H

#include "reports/published/published.h"

/* What a result is of. A NULL text and a 0 fit everything. */
typedef struct em_wanted {
    const char *data_set, *model, *mask, *positions, *labels, *pack;
    int32_t seq_len;
    int depth; /* EM_ANY_DEPTH fits everything */
    bool has_alpha;
    double alpha;
} em_wanted;

enum { EM_ANY_DEPTH = -2 };

/* The first of r's results that fits, owned by r; NULL: there is none. */
const em_result *em_find_result(const em_results *r, em_wanted w);
/* Of two models (or of the first one and an alpha) under one mask, or of one model under two masks;
 * mask and positions are those of after. NULL: there is none. */
const em_comparison *em_find_comparison(const em_results *r, em_comparison_kind kind, em_wanted w);
/* w with the mask, positions, labels, data set, row length and depth of x. */
em_wanted em_wanted_as(const em_result *x);

/* Whether the interval is there and 0 is outside. */
bool em_excludes_zero(double low, double high);

/* Appends one table to the page, from r alone. */
typedef void em_published_fill(const em_results *r, em_page *p);
em_published_fill em_published_alphas, em_published_pairs, em_published_lengths,
    em_published_depths;

#endif
