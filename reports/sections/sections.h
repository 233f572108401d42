/* The sections of the reports for people, each written once for all faces of a page. One that has
 * nothing to say adds nothing. */
#ifndef EM_REPORTS_SECTIONS_H
#define EM_REPORTS_SECTIONS_H

#include <stdbool.h>
#include "common/error.h"
#include "reports/pages/page.h"
#include "reports/results/results.h"

/* By what the results differ: the keys that their tables show. The mask is always shown. */
typedef struct em_shown {
    bool data_sets, models, labels, positions, depths, lengths;
} em_shown;

em_shown em_shown_of(const em_results *r);
const char *em_protocol_value(const em_results *r, const char *key); /* "" where there is none */

/* Everything that the reports show, in their order: what follows, and the plots where the page is
 * HTML. documents: the sidecar's path, or NULL. Errors: those of reports/results/documents.h. */
bool em_report_body(const em_results *r, const char *documents, em_page *p, em_error *err);

void em_section_losses(const em_results *r, const em_shown *s, em_page *p);
void em_section_notes(const em_results *r, em_page *p);
void em_section_means(const em_results *r, const em_shown *s, em_page *p);
void em_section_groups(const em_results *r, const em_shown *s, em_page *p);
void em_section_other_figures(const em_results *r, const em_shown *s, em_page *p);
void em_section_leaks(const em_results *r, const em_shown *s, em_page *p);
void em_section_gates(const em_results *r, em_page *p);
void em_section_models(const em_results *r, const em_shown *s,
                       em_page *p); /* differences of models */
void em_section_masks(const em_results *r, const em_shown *s,
                      em_page *p); /* differences of masks */
void em_section_lengths(const em_results *r, const em_shown *s, em_page *p);
void em_section_alphas(const em_results *r, const em_shown *s, em_page *p);
void em_section_breakdowns(const em_results *r, const em_shown *s,
                           em_page *p); /* by subset and position */
void em_section_protocol(const em_results *r, const em_shown *s, em_page *p);

/* Key cells of a result or comparison, by what is shown; a table opened here has their heads, then
 * `columns`. */
typedef struct em_keys {
    bool data_sets, models, masks, labels, positions, depths, lengths, alphas;
} em_keys;

em_keys em_result_keys(const em_shown *s);
em_table em_keyed_table(em_keys k, const char *const *columns, int n);
/* mark: whether LEAK stands behind a mask that leaks. */
void em_result_key_cells(em_table *t, em_keys k, const em_result *x, bool mark);
void em_comparison_key_cells(em_table *t, em_keys k, const em_comparison *x);
/* "base doc unshifted": the keys of a result in one cell. */
void em_result_label(const em_shown *s, const em_result *x, em_buffer *out);
/* "after - before doc" or "base regular - doc": likewise. */
void em_comparison_label(const em_shown *s, const em_comparison *x, em_buffer *out);
void em_mask_pair(const em_comparison *x,
                  em_buffer *out); /* "regular minus doc", with positions where they differ */
/* The comparison of the amplified result x with before, or NULL. */
const em_comparison *em_alpha_difference(const em_results *r, const em_result *x);

#endif
