/* The sections of the reports for people, each written once for all faces of a page. They read the
 * results, which stay the caller's, and append to the page; one that has nothing to say adds
 * nothing. Losses and differences are in nats per token. Where memory is out the program ends with
 * exit code 4; other errors there are none, but for em_report_body's. */
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

/* The keys in which two of r's results differ; positions only between results of one mask. */
em_shown em_shown_of(const em_results *r);
/* The value of a line of the protocol, owned by r; "" where there is none. */
const char *em_protocol_value(const em_results *r, const char *key);

/* Everything that the reports show, in their order: what follows, and the plots where the page is
 * HTML. documents: the sidecar's path, or NULL. Errors: those of reports/results/documents.h. */
bool em_report_body(const em_results *r, const char *documents, em_page *p, em_error *err);

/* The first table, without a heading: loss, its standard error, and the loss averaged by batch, by
 * document and without boundaries. Amplified results stand in em_section_alphas. */
void em_section_losses(const em_results *r, const em_shown *s, em_page *p);
/* r's notes; those that say that a figure is not what it seems come first where the face can tell
 * them apart. */
void em_section_notes(const em_results *r, em_page *p);
/* "Over the data sets": the means of a run over several. */
void em_section_means(const em_results *r, const em_shown *s, em_page *p);
/* "Repeated trainings": mean, standard deviation (of one model: none), least and most over the
 * models of a group. */
void em_section_groups(const em_results *r, const em_shown *s, em_page *p);
/* "Other figures": perplexity, bits per byte without and with EOS, top-1 in percent, predictions.
 */
void em_section_other_figures(const em_results *r, const em_shown *s, em_page *p);
/* "Positions that can see their label": predictions and loss of each leak class. */
void em_section_leaks(const em_results *r, const em_shown *s, em_page *p);
/* r's gates, as em_gates_page shows them (reports/sections/gates.h). */
void em_section_gates(const em_results *r, em_page *p);
/* Differences of two models under one mask: the mean, its standard error and 95 % interval, and
 * what is known of single predictions (better, the same top-1, KL). Amplified ones stand in
 * em_section_alphas. */
void em_section_models(const em_results *r, const em_shown *s, em_page *p);
/* Differences of two masks, or kinds of positions, of one model: over all predictions and over
 * those that the choice can affect. */
void em_section_masks(const em_results *r, const em_shown *s, em_page *p);
/* "By row length": losses and differences on the predictions that are scored at every length, with
 * the growth of a difference from the shortest length on; and its plots. */
void em_section_lengths(const em_results *r, const em_shown *s, em_page *p);
/* "Amplification": loss and difference from the first model at each alpha; and its plots. */
void em_section_alphas(const em_results *r, const em_shown *s, em_page *p);
/* How many groups the differences without an interval have; 0, 0: none is without. */
typedef struct em_no_intervals {
    int64_t fewest, most;
} em_no_intervals;
/* Counts d where it lacks an interval. */
void em_no_intervals_add(em_no_intervals *n, const em_difference *d);
/* Why those intervals are dashes, in a sentence; "" where none is. text: the caller's room,
 * returned. */
const char *em_no_intervals_text(const em_no_intervals *n, char text[320]);
/* The same of all differences on a page. */
void em_section_no_intervals(const em_results *r, em_page *p);
/* Losses and differences by subset, by position in the document, and on and off boundaries, a
 * column each; long tables are folded. With the plots of the first two. */
void em_section_breakdowns(const em_results *r, const em_shown *s, em_page *p);
/* How it was measured: data, masks and labels in words, the lines of the protocol, fingerprints. */
void em_section_protocol(const em_results *r, const em_shown *s, em_page *p);

/* Key cells of a result or comparison, by what is shown; a table opened here has their heads, then
 * `columns`. */
typedef struct em_keys {
    bool data_sets, models, masks, labels, positions, depths, lengths, alphas;
} em_keys;

/* The keys of results: what is shown, and the mask. */
em_keys em_result_keys(const em_shown *s);
/* A table with the heads of k's keys, flush left, and n further columns; the caller's to print or
 * free. columns: [n]. */
em_table em_keyed_table(em_keys k, const char *const *columns, int n);
/* Adds the cells of k's keys, in the order of em_keyed_table's heads. mark: whether LEAK stands
 * behind a mask that leaks. */
void em_result_key_cells(em_table *t, em_keys k, const em_result *x, bool mark);
/* Likewise, of the side after, or of both where they share a key. */
void em_comparison_key_cells(em_table *t, em_keys k, const em_comparison *x);
/* Appends "base doc unshifted": the keys of a result in one cell. */
void em_result_label(const em_shown *s, const em_result *x, em_buffer *out);
/* Appends "after minus before doc" or "base regular minus doc": likewise. */
void em_comparison_label(const em_shown *s, const em_comparison *x, em_buffer *out);
/* Appends "regular minus doc", or "doc reset minus doc continuous" where the masks are one. */
void em_mask_pair(const em_comparison *x, em_buffer *out);
/* The comparison of the amplified result x with the first model, owned by r; NULL: there is none.
 */
const em_comparison *em_alpha_difference(const em_results *r, const em_result *x);

#endif
