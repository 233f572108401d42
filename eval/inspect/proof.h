/* The audit's word against a real model: change a label's token, and see which logits move. */
#ifndef EM_EVAL_PROOF_H
#define EM_EVAL_PROOF_H

#include "common/buffer.h"
#include "eval/settings/options.h"
#include "eval/setup/setup.h"

enum { EM_PROOF_CHANGES = 24 }; /* label tokens changed, at most, for one mask and label scheme */

typedef struct em_proof {
    const em_settings *settings; /* masks, labels, positions, window, pack, dtype, memory */
    const em_setup *setup;       /* with a model */
    const em_row *row;
} em_proof;

/* For every mask, label scheme and kind of positions: runs the row as it is and with one label
 * token changed at a time, the tokens spread over the row and its documents' edges (always the
 * same ones), and compares the logits of every scored position bit for bit with what
 * em_leak_spread says. Appends its verdicts to out (Markdown). *refuted: a position moved
 * that cannot see the changed token. Errors: the device's and the network's, or EM_MACHINE. */
bool em_proof_run(const em_proof *p, em_buffer *out, bool *refuted, em_error *err);

#endif
