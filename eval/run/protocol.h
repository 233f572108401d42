/* What was measured, in words and as a fingerprint. docs/protocol.md lists the same keys. */
#ifndef EM_EVAL_PROTOCOL_H
#define EM_EVAL_PROTOCOL_H

#include "reports/results/results.h"
#include "eval/score/plan.h"
#include "eval/settings/options.h"

/* The lines that all results share (results.json's "protocol"). */
void em_protocol_shared(em_results *r, const em_settings *settings, const em_setup *setup,
                        const em_backend *backend);

/* Fills one result's names, dtypes and protocol fingerprint. */
void em_protocol_result(em_result *out, const em_plan *plan, em_cell cell, int32_t row_tokens,
                        const em_setup *setup, const em_backend *backend);

/* Fills a comparison's names from its two results, which em_protocol_result has filled. */
void em_protocol_comparison(em_comparison *out, em_comparison_kind kind, const em_result *before,
                            const em_result *after);

/* The models' fingerprints of the plan's cells, when all weights have passed; an alpha's is made of
 * its two models'. */
void em_protocol_fingerprints(em_result *results, const em_plan *plan, const em_setup *setup);

/* Sentences for the reader, once the figures are there: leaks, ln V, notes of the set-up. */
void em_protocol_notes(em_results *r, const em_settings *settings, const em_setup *setup);

#endif
