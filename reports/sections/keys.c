/* What tells results apart, as cells and as names. */
#include <stdio.h>
#include <string.h>

#include "reports/sections/sections.h"

static bool is(const char *a, const char *b) { return !strcmp(a, b); }

em_shown em_shown_of(const em_results *r) {
    em_shown s = {.data_sets = r->n_data_sets > 1, .models = r->n_models > 1};
    for (int i = 1; i < r->n_results; i++) {
        const em_result *x = &r->results[i], *first = r->results;
        s.data_sets |= !is(x->data_set, first->data_set);
        s.models |= !x->has_alpha && !first->has_alpha && !is(x->model, first->model);
        s.labels |= !is(x->labels, first->labels);
        s.positions |= is(x->mask, first->mask) && !is(x->positions, first->positions);
        s.depths |= x->depth != first->depth;
        s.lengths |= x->seq_len != first->seq_len;
    }
    return s;
}

const char *em_protocol_value(const em_results *r, const char *key) {
    for (int i = 0; i < r->n_protocol; i++)
        if (is(r->protocol[i].key, key)) return r->protocol[i].value;
    return "";
}

em_keys em_result_keys(const em_shown *s) {
    return (em_keys){.data_sets = s->data_sets,
                     .models = s->models,
                     .masks = true,
                     .labels = s->labels,
                     .positions = s->positions,
                     .depths = s->depths,
                     .lengths = s->lengths};
}

em_table em_keyed_table(em_keys k, const char *const *columns, int n) {
    const struct {
        bool shown;
        const char *head;
    } heads[] = {{k.data_sets, "Data"}, {k.models, "Model"},  {k.alphas, "Alpha"},
                 {k.masks, "Mask"},     {k.labels, "Labels"}, {k.positions, "Positions"},
                 {k.depths, "Depth"},   {k.lengths, "T"}};
    int left = 0;
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) left += heads[i].shown;
    em_table t = em_table_open(left, left + n);
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        if (heads[i].shown) em_text_cell(&t, heads[i].head);
    for (int i = 0; i < n; i++) em_text_cell(&t, columns[i]);
    return t;
}

static void depth_cell(em_table *t, int depth) {
    if (depth == EM_NO_DEPTH) em_text_cell(t, "all");
    else em_integer_cell(t, depth);
}

static void alpha_cell(em_table *t, bool has_alpha, double alpha) {
    char text[32] = "";
    if (has_alpha) snprintf(text, sizeof text, "%g", alpha);
    em_text_cell(t, text);
}

void em_result_key_cells(em_table *t, em_keys k, const em_result *x, bool mark) {
    char mask[48];
    snprintf(mask, sizeof mask, "%s%s", x->mask, mark && x->leak ? " LEAK" : "");
    if (k.data_sets) em_text_cell(t, x->data_set);
    if (k.models) em_text_cell(t, x->model);
    if (k.alphas) alpha_cell(t, x->has_alpha, x->alpha);
    if (k.masks) em_text_cell(t, mask);
    if (k.labels) em_text_cell(t, x->labels);
    if (k.positions) em_text_cell(t, x->positions);
    if (k.depths) depth_cell(t, x->depth);
    if (k.lengths) em_integer_cell(t, x->seq_len);
}

void em_comparison_key_cells(em_table *t, em_keys k, const em_comparison *x) {
    if (k.data_sets) em_text_cell(t, x->data_set);
    if (k.models) em_text_cell(t, x->has_alpha ? "amplified" : x->after);
    if (k.alphas) alpha_cell(t, x->has_alpha, x->alpha);
    if (k.masks) em_text_cell(t, x->mask);
    if (k.labels) em_text_cell(t, x->labels);
    if (k.positions) em_text_cell(t, x->positions);
    if (k.depths) depth_cell(t, x->depth);
    if (k.lengths) em_integer_cell(t, x->seq_len);
}

static void put_rest(em_buffer *out, const em_shown *s, const char *labels, const char *positions,
                     int depth, int seq_len) {
    if (s->labels) em_buffer_printf(out, " %s", labels);
    if (s->positions && positions) em_buffer_printf(out, " %s", positions);
    if (s->depths && depth != EM_NO_DEPTH) em_buffer_printf(out, " depth %d", depth);
    if (s->lengths) em_buffer_printf(out, " T %d", seq_len);
}

void em_result_label(const em_shown *s, const em_result *x, em_buffer *out) {
    if (s->data_sets) em_buffer_printf(out, "%s ", x->data_set);
    if (s->models || x->has_alpha) em_buffer_printf(out, "%s ", x->model);
    if (x->has_alpha) em_buffer_printf(out, "%g ", x->alpha);
    em_buffer_puts(out, x->mask);
    put_rest(out, s, x->labels, x->positions, x->depth, x->seq_len);
}

void em_mask_pair(const em_comparison *x, em_buffer *out) {
    bool positions = is(x->mask, x->mask_before);
    em_buffer_printf(out, "%s%s%s minus %s%s%s", x->mask, positions ? " " : "",
                     positions ? x->positions : "", x->mask_before, positions ? " " : "",
                     positions ? x->positions_before : "");
}

void em_comparison_label(const em_shown *s, const em_comparison *x, em_buffer *out) {
    bool masks = x->kind == EM_COMPARE_MASKS;
    if (s->data_sets) em_buffer_printf(out, "%s ", x->data_set);
    if (masks) {
        if (s->models || x->has_alpha) em_buffer_printf(out, "%s ", x->after);
        em_mask_pair(x, out);
    } else {
        em_buffer_printf(out, "%s minus %s %s", x->after, x->before, x->mask);
    }
    put_rest(out, s, x->labels, masks ? NULL : x->positions, x->depth, x->seq_len);
}

const em_comparison *em_alpha_difference(const em_results *r, const em_result *x) {
    for (int i = 0; i < r->n_comparisons; i++) {
        const em_comparison *c = &r->comparisons[i];
        if (c->kind == EM_COMPARE_MODELS && c->has_alpha && c->alpha == x->alpha &&
            is(c->data_set, x->data_set) && is(c->mask, x->mask) && is(c->labels, x->labels) &&
            is(c->positions, x->positions) && c->seq_len == x->seq_len)
            return c;
    }
    return NULL;
}
