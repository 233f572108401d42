#include "reports/results/names.h"

#include <string.h>

void em_result_name(const em_results *r, const em_result *x, em_buffer *out) {
    bool models = false, positions = false, lengths = false;
    for (int i = 0; i < r->n_results; i++) {
        const em_result *y = &r->results[i];
        models |= strcmp(y->model, x->model) != 0;
        positions |= !strcmp(y->mask, x->mask) && strcmp(y->positions, x->positions);
        lengths |= y->seq_len != x->seq_len;
    }
    if (*x->data_set) em_buffer_printf(out, "%s, ", x->data_set);
    if (models && !x->has_alpha) em_buffer_printf(out, "%s, ", x->model);
    em_buffer_printf(out, "%s, %s", x->mask, x->labels);
    if (positions) em_buffer_printf(out, ", %s", x->positions);
    if (lengths) em_buffer_printf(out, ", T %d", x->seq_len);
    if (x->depth != EM_NO_DEPTH) em_buffer_printf(out, ", depth %d", x->depth);
    if (x->has_alpha) em_buffer_printf(out, ", alpha %g", x->alpha);
}
