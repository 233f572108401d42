/* What was measured, in words and as a fingerprint. docs/protocol.md lists the same keys. */
#ifndef EM_EVAL_PROTOCOL_H
#define EM_EVAL_PROTOCOL_H

#include "common/result.h"
#include "eval/options.h"
#include "eval/setup.h"
#include "kernels/backend.h"

/* The lines that all results share (results.json's "protocol"). */
void em_protocol_shared(em_results *r, const em_settings *settings, const em_setup *setup, const em_backend *backend);

/* Fills one result's names, dtypes and protocol fingerprint. side: a model, or behind them an alpha. */
void em_protocol_result(em_result *out, const em_settings *settings, const em_setup *setup, const em_backend *backend, int side,
                        const em_mask *mask, const em_label_scheme *labels, em_positions resolved);

/* Fills a comparison's names from its two results. */
void em_protocol_comparison(em_comparison *out, const em_result *before, const em_result *after);

/* The models' fingerprints, when all weights have passed; an alpha's is made of its two models'. */
void em_protocol_fingerprints(em_result *results, int combinations, int sides, const em_setup *setup);

/* Sentences for the reader, once the figures are there: leaks, ln V, notes of the set-up. */
void em_protocol_notes(em_results *r, const em_settings *settings, const em_setup *setup);

#endif
