/* What was measured, in words and as a fingerprint. docs/protocol.md lists the same keys. */
#ifndef EM_EVAL_PROTOCOL_H
#define EM_EVAL_PROTOCOL_H

#include "common/result.h"
#include "eval/options.h"
#include "eval/setup.h"
#include "kernels/backend.h"

/* The lines that all results share (results.json's "protocol"). */
void em_protocol_shared(em_results *r, const em_settings *settings, const em_setup *setup, const em_backend *backend);

/* Fills one result's names, dtypes and protocol fingerprint. */
void em_protocol_result(em_result *out, const em_settings *settings, const em_setup *setup, const em_backend *backend,
                        const em_mask *mask, const em_label_scheme *labels, em_positions resolved);

/* Sentences for the reader, once the figures are there: leaks, ln V, notes of the set-up. */
void em_protocol_notes(em_results *r, const em_settings *settings, const em_setup *setup);

#endif
