/* Which plots a report has. All are for HTML pages; on others, and where there is nothing to
 * compare, they add nothing. They read the results, which stay the caller's. Losses and differences
 * in nats; intervals are 95 %. Where memory is out the program ends with exit code 4. */
#ifndef EM_REPORTS_PLOTS_H
#define EM_REPORTS_PLOTS_H

#include "common/error.h"
#include "reports/pages/page.h"
#include "reports/results/results.h"
#include "reports/sections/sections.h"

/* Loss and difference from the first model by alpha, a curve a mask. */
void em_plot_alphas(const em_results *r, const em_shown *s, em_page *p);
/* Loss and difference by row length in tokens, on a logarithmic axis. */
void em_plot_lengths(const em_results *r, const em_shown *s, em_page *p);
/* Loss by layers kept, with its heading; bars are 95 % intervals. */
void em_plot_depths(const em_results *r, const em_shown *s, em_page *p);
/* Loss and difference by position in the document, on a logarithmic axis. */
void em_plot_positions(const em_results *r, const em_shown *s, em_page *p);
/* Loss and difference by subset, a row each, at most 24. */
void em_plot_subsets(const em_results *r, const em_shown *s, em_page *p);
/* Documents' losses before against after, with a heading; at most 3000, evenly thinned. documents:
 * the sidecar's path; NULL: nothing. Errors: those of reports/results/documents.h. */
bool em_plot_documents(const em_results *r, const em_shown *s, const char *documents, em_page *p,
                       em_error *err);

#endif
