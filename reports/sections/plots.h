/* Which plots a report has. All are for HTML pages; on others they add nothing. */
#ifndef EM_REPORTS_PLOTS_H
#define EM_REPORTS_PLOTS_H

#include "common/error.h"
#include "reports/pages/page.h"
#include "reports/results/results.h"
#include "reports/sections/sections.h"

void em_plot_alphas(const em_results *r, const em_shown *s, em_page *p);
void em_plot_lengths(const em_results *r, const em_shown *s, em_page *p);
void em_plot_depths(const em_results *r, const em_shown *s, em_page *p);
void em_plot_positions(const em_results *r, const em_shown *s, em_page *p);
void em_plot_subsets(const em_results *r, const em_shown *s, em_page *p);
/* Documents' losses before against after, from the sidecar. Errors: those of
 * reports/results/documents.h.
 */
bool em_plot_documents(const em_results *r, const em_shown *s, const char *documents, em_page *p,
                       em_error *err);

#endif
