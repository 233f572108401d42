/* results.json (design §9): no time, rate, host, path, thread, rank or memory figure in it. */
#include <inttypes.h>
#include <string.h>

#include "reports/results/json.h"

static void put_string(em_buffer *b, const char *key, const char *value) {
    em_buffer_json(b, key, strlen(key));
    em_buffer_puts(b, ": ");
    em_buffer_json(b, value, strlen(value));
}

static void put_number(em_buffer *b, const char *key, double value) {
    em_buffer_printf(b, "\"%s\": ", key);
    em_buffer_double(b, value);
}

static void put_integer(em_buffer *b, const char *key, int64_t value) {
    em_buffer_printf(b, "\"%s\": %" PRId64, key, value);
}

static double share(int64_t part, int64_t whole) {
    return whole ? (double)part / (double)whole : 0.0 / 0.0;
}

static void put_slice(em_buffer *b, const em_slice *s) {
    put_integer(b, "predictions", s->predictions);
    em_buffer_puts(b, ", ");
    put_number(b, "loss", em_slice_loss(s));
    em_buffer_puts(b, ", ");
    put_number(b, "top1", share(s->top1_count, s->predictions));
    em_buffer_puts(b, ", ");
    put_number(b, "bits_per_byte", em_slice_bits_per_byte(s));
    em_buffer_puts(b, ", ");
    put_integer(b, "text_bytes", s->text_bytes);
}

typedef void (*put_part)(em_buffer *b, const em_slice *s);

static void put_subsets(em_buffer *b, const em_slice *subsets, int n, put_part put) {
    em_buffer_puts(b, "\"subsets\": [");
    for (int i = 0; i < n; i++) {
        em_buffer_puts(b, i ? ",\n        {" : "\n        {");
        put_string(b, "subset", subsets[i].name);
        em_buffer_puts(b, ", ");
        put_integer(b, "documents", subsets[i].documents);
        em_buffer_puts(b, ", ");
        put(b, &subsets[i]);
        em_buffer_puts(b, "}");
    }
    em_buffer_puts(b, "]");
}

static void put_positions(em_buffer *b, const em_slice *positions, int n, put_part put) {
    em_buffer_puts(b, "\"by_position\": [");
    for (int i = 0; i < n; i++) {
        em_buffer_printf(b, "%s{\"from\": %" PRId64 ", \"to\": %" PRId64 ", ",
                         i ? ",\n        " : "\n        ", positions[i].from, positions[i].to);
        put(b, &positions[i]);
        em_buffer_puts(b, "}");
    }
    em_buffer_puts(b, "]");
}

static void put_depth(em_buffer *b, int depth) {
    if (depth == EM_NO_DEPTH) em_buffer_puts(b, "\"depth\": null");
    else em_buffer_printf(b, "\"depth\": %d", depth);
}

static void put_leaks(em_buffer *b, const em_result *x) {
    const em_slice *parts[3] = {&x->direct, &x->indirect, &x->clean};
    static const char *const names[3] = {"direct", "indirect", "clean"};
    em_buffer_printf(b, "\"leak\": %s", x->leak ? "true" : "false");
    if (!x->leak) return;
    em_buffer_puts(b, ", \"leaks\": {");
    for (int i = 0; i < 3; i++) {
        em_buffer_printf(b, "%s\"%s\": {", i ? ", " : "", names[i]);
        put_slice(b, parts[i]);
        em_buffer_puts(b, "}");
    }
    em_buffer_puts(b, "}");
}

static void put_figures(em_buffer *b, const em_result *x) {
    const struct {
        const char *key;
        double value;
    } figures[] = {{"loss", x->loss},
                   {"loss_batch_mean", x->loss_batch_mean},
                   {"loss_doc_mean", x->loss_doc_mean},
                   {"loss_no_boundary", x->loss_no_boundary},
                   {"perplexity", x->perplexity},
                   {"bits_per_byte", x->bits_per_byte},
                   {"bits_per_byte_all", x->bits_per_byte_all},
                   {"top1", x->top1},
                   {"stderr", x->stderr_}};
    const struct {
        const char *key;
        int64_t value;
    } counts[] = {
        {"predictions", x->predictions},   {"boundary_predictions", x->boundary_predictions},
        {"documents", x->documents},       {"rows", x->rows},
        {"segments", x->segments},         {"batches", x->batches},
        {"dropped_rows", x->dropped_rows}, {"dropped_tokens", x->dropped_tokens}};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        put_integer(b, counts[i].key, counts[i].value);
        em_buffer_puts(b, i % 4 == 3 ? ",\n      " : ", ");
    }
    em_buffer_puts(b, "\n      ");
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        put_number(b, figures[i].key, figures[i].value);
        em_buffer_puts(b, i % 3 == 2 ? ",\n      " : ", ");
    }
    put_integer(b, "groups", x->groups);
    em_buffer_puts(b, ", ");
    put_string(b, "grouped_by", x->groups_are_rows ? "row" : "document");
    em_buffer_puts(b, ",\n      ");
}

static void put_result(em_buffer *b, const em_result *x) {
    em_buffer_puts(b, "\n    {");
    if (*x->data_set) {
        put_string(b, "data_set", x->data_set);
        em_buffer_puts(b, ", ");
    }
    put_string(b, "model", x->model);
    em_buffer_puts(b, ", ");
    if (*x->group) {
        put_string(b, "group", x->group);
        em_buffer_puts(b, ", ");
    }
    put_string(b, "mask", x->mask);
    em_buffer_puts(b, ", ");
    put_string(b, "labels", x->labels);
    em_buffer_printf(b, ", \"offset\": %d, ", x->offset);
    put_number(b, "alpha", x->has_alpha ? x->alpha : 0.0 / 0.0);
    em_buffer_puts(b, ", ");
    put_depth(b, x->depth);
    em_buffer_printf(b, ", \"seq_len\": %d, \"batch\": %d,\n      ", x->seq_len, x->batch);
    put_string(b, "positions", x->positions);
    em_buffer_puts(b, ", ");
    put_string(b, "pack", x->pack);
    em_buffer_puts(b, ", ");
    if (*x->window) {
        put_string(b, "window", x->window);
        em_buffer_puts(b, ", ");
    }
    put_string(b, "mask_words", x->mask_words);
    em_buffer_puts(b, ", ");
    put_string(b, "offset_words", x->offset_words);
    em_buffer_puts(b, ",\n      ");
    put_figures(b, x);
    put_leaks(b, x);
    if (x->has_common) {
        em_buffer_puts(b, ",\n      \"common\": {");
        put_slice(b, &x->common);
        em_buffer_puts(b, "}");
    }
    em_buffer_printf(
        b, ",\n      \"dtype\": {\"weights\": \"%s\", \"compute\": \"%s\", \"logits\": \"%s\"},\n",
        x->weight_dtype, x->compute_dtype, x->logit_dtype);
    em_buffer_printf(b,
                     "      \"fingerprints\": {\"data\": \"%s\", \"protocol\": \"%s\", \"model\": "
                     "\"%s\"},\n      ",
                     x->fingerprints.data, x->fingerprints.protocol, x->fingerprints.model);
    put_subsets(b, x->subsets, x->n_subsets, put_slice);
    em_buffer_puts(b, ",\n      ");
    put_positions(b, x->by_position, x->n_by_position, put_slice);
    em_buffer_puts(b, "}");
}

/* Sums of differences over a slice, as a mean. */
static void put_difference(em_buffer *b, const em_slice *s) {
    put_integer(b, "predictions", s->predictions);
    em_buffer_puts(b, ", ");
    put_number(b, "difference", em_slice_loss(s));
}

static void put_difference_slices(em_buffer *b, const em_comparison *x) {
    put_subsets(b, x->subsets, x->n_subsets, put_difference);
    em_buffer_puts(b, ",\n      ");
    put_positions(b, x->by_position, x->n_by_position, put_difference);
    em_buffer_puts(b, ",\n      \"boundary\": {");
    put_difference(b, &x->boundary);
    em_buffer_puts(b, "}, \"inside\": {");
    put_difference(b, &x->inside);
    em_buffer_puts(b, "}");
}

static void put_kl(em_buffer *b, const em_comparison *x) {
    static const char *const names[EM_KL_QUANTILES] = {"p50", "p90", "p99", "p99.9"};
    if (!x->has_kl) {
        em_buffer_puts(b, "\"kl\": null");
        return;
    }
    em_buffer_puts(b, "\"kl\": {");
    put_number(b, "mean", x->kl_mean);
    for (int i = 0; i < EM_KL_QUANTILES; i++) {
        em_buffer_puts(b, ", ");
        put_number(b, names[i], x->kl_quantiles[i]);
    }
    em_buffer_puts(b, ", ");
    put_number(b, "max", x->kl_max);
    em_buffer_puts(b, "}");
}

static void put_mean(em_buffer *b, const em_difference *d) {
    const struct {
        const char *key;
        double value;
    } figures[] = {{"difference", d->difference},
                   {"stderr", d->stderr_},
                   {"low", d->low},
                   {"high", d->high},
                   {"documents_to_resolve", d->documents_to_resolve}};
    put_integer(b, "predictions", d->predictions);
    em_buffer_puts(b, ", ");
    put_integer(b, "groups", d->groups);
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        em_buffer_puts(b, ", ");
        put_number(b, figures[i].key, figures[i].value);
    }
}

static void put_comparison_names(em_buffer *b, const em_comparison *x) {
    bool masks = x->kind == EM_COMPARE_MASKS;
    const struct {
        bool shown;
        const char *key, *value;
    } names[] = {{true, "kind", masks ? "masks" : "models"},
                 {*x->data_set, "data_set", x->data_set},
                 {!masks, "before", x->before},
                 {!masks, "after", x->after},
                 {masks, "model", x->after},
                 {masks, "mask_before", x->mask_before},
                 {masks, "positions_before", x->positions_before},
                 {true, "mask", x->mask},
                 {true, "positions", x->positions},
                 {true, "labels", x->labels}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!names[i].shown) continue;
        put_string(b, names[i].key, names[i].value);
        em_buffer_puts(b, ", ");
    }
    put_number(b, "alpha", x->has_alpha ? x->alpha : 0.0 / 0.0);
    em_buffer_puts(b, ", ");
    put_depth(b, x->depth);
    em_buffer_printf(b, ", \"seq_len\": %d,\n      ", x->seq_len);
}

static void put_affected(em_buffer *b, const em_comparison *x) {
    if (x->kind != EM_COMPARE_MASKS) return;
    em_buffer_puts(b, "\"affected\": {");
    put_integer(b, "direct", x->affected_direct);
    em_buffer_puts(b, ", ");
    put_integer(b, "indirect", x->affected_indirect);
    em_buffer_puts(b, ", ");
    put_mean(b, &x->affected);
    em_buffer_puts(b, "},\n      ");
}

static void put_common_difference(em_buffer *b, const em_comparison *x) {
    if (!x->has_common) return;
    em_buffer_puts(b, "\"common\": {");
    put_mean(b, &x->common);
    em_buffer_puts(b, ", ");
    if (x->kind == EM_COMPARE_MASKS) {
        put_integer(b, "affected", x->common_affected);
        em_buffer_puts(b, ", ");
    }
    put_number(b, "growth", x->growth);
    em_buffer_puts(b, ", ");
    put_number(b, "growth_low", x->growth_low);
    em_buffer_puts(b, ", ");
    put_number(b, "growth_high", x->growth_high);
    em_buffer_puts(b, "},\n      ");
}

static void put_comparison(em_buffer *b, const em_comparison *x) {
    const struct {
        const char *key;
        double value;
    } figures[] = {{"perplexity_ratio", x->perplexity_ratio},
                   {"better", x->better},
                   {"same_top1", x->same_top1},
                   {"probability_change", x->probability_change},
                   {"probability_change_rms", x->probability_change_rms}};
    em_buffer_puts(b, "\n    {");
    put_comparison_names(b, x);
    put_mean(b, &x->all);
    em_buffer_puts(b, ", ");
    put_string(b, "grouped_by", x->groups_are_rows ? "row" : "document");
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        em_buffer_puts(b, i % 3 ? ", " : ",\n      ");
        put_number(b, figures[i].key, figures[i].value);
    }
    em_buffer_puts(b, ",\n      ");
    put_affected(b, x);
    put_common_difference(b, x);
    put_kl(b, x);
    em_buffer_puts(b, ",\n      ");
    put_difference_slices(b, x);
    em_buffer_puts(b, "}");
}

static void put_models(em_buffer *b, const em_results *r) {
    em_buffer_puts(b, "  \"models\": [");
    for (int i = 0; i < r->n_models; i++) {
        const em_model_line *m = &r->models[i];
        em_buffer_puts(b, i ? ",\n    {" : "\n    {");
        put_string(b, "name", m->name);
        em_buffer_puts(b, ", ");
        if (*m->group) {
            put_string(b, "group", m->group);
            em_buffer_puts(b, ", ");
        }
        put_string(b, "family", m->family);
        em_buffer_printf(b, ", \"parameters\": %" PRId64 ", \"layers\": %d, \"vocab\": %d}",
                         m->parameters, m->layers, m->vocab);
    }
    em_buffer_puts(b, "],\n");
}

static void put_totals(em_buffer *b, const em_data_totals *t) {
    const struct {
        const char *key;
        int64_t value;
    } counts[] = {{"documents", t->documents},
                  {"tokens", t->tokens},
                  {"bytes", t->bytes},
                  {"rows", t->rows},
                  {"batches", t->batches},
                  {"empty_documents", t->empty_documents},
                  {"bad_records", t->bad_records},
                  {"filtered_records", t->filtered_records}};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        if (i) em_buffer_puts(b, ", ");
        put_integer(b, counts[i].key, counts[i].value);
    }
}

static void put_data(em_buffer *b, const em_results *r) {
    em_data_totals all = {0};
    for (int i = 0; i < r->n_data_sets; i++) {
        const em_data_totals *t = &r->data_sets[i].totals;
        if (strcmp(r->data_sets[i].pack, r->data_sets[0].pack))
            continue; /* the same documents, packed again */
        all = (em_data_totals){all.documents + t->documents,
                               all.empty_documents + t->empty_documents,
                               all.bad_records + t->bad_records,
                               all.filtered_records + t->filtered_records,
                               all.tokens + t->tokens,
                               all.bytes + t->bytes,
                               all.rows + t->rows,
                               all.batches + t->batches};
    }
    em_buffer_puts(b, "  \"data\": {");
    put_totals(b, &all);
    em_buffer_puts(b, "},\n");
    if (r->n_data_sets < 2) return;
    em_buffer_puts(b, "  \"data_sets\": [");
    for (int i = 0; i < r->n_data_sets; i++) {
        em_buffer_puts(b, i ? ",\n    {" : "\n    {");
        put_string(b, "data_set", r->data_sets[i].name);
        em_buffer_puts(b, ", ");
        put_string(b, "pack", r->data_sets[i].pack);
        em_buffer_puts(b, ", ");
        put_totals(b, &r->data_sets[i].totals);
        em_buffer_puts(b, "}");
    }
    em_buffer_puts(b, "],\n  \"means\": [");
    for (int i = 0; i < r->n_means; i++) {
        const em_mean *m = &r->means[i];
        em_buffer_puts(b, i ? ",\n    {" : "\n    {");
        put_string(b, "model", m->model);
        em_buffer_puts(b, ", ");
        put_number(b, "alpha", m->has_alpha ? m->alpha : 0.0 / 0.0);
        em_buffer_puts(b, ", ");
        put_depth(b, m->depth);
        em_buffer_printf(b, ", \"seq_len\": %d", m->seq_len);
        em_buffer_printf(b, ", \"mask\": \"%s\", \"labels\": \"%s\", \"positions\": \"%s\", ",
                         m->mask, m->labels, m->positions);
        put_number(b, "loss_macro", m->macro);
        em_buffer_puts(b, ", ");
        put_number(b, "loss_micro", m->micro);
        em_buffer_puts(b, "}");
    }
    em_buffer_puts(b, "],\n");
}

static void put_gate_text(em_buffer *b, const char *key, const char *value) {
    em_buffer_printf(b, "\"%s\": ", key);
    em_buffer_json(b, value, strlen(value));
    em_buffer_puts(b, ", ");
}

void em_gates_json(const em_gate *gates, int n, em_buffer *out) {
    em_buffer_puts(out, "\"gates\": [");
    for (int i = 0; i < n; i++) {
        const em_gate *g = &gates[i];
        const struct {
            const char *key;
            double value;
        } numbers[] = {{"baseline", g->baseline},
                       {"current", g->current},
                       {"difference", g->difference},
                       {"tolerance", g->tolerance}};
        em_buffer_puts(out, i ? ",\n    {" : "\n    {");
        put_gate_text(out, "name", g->name);
        em_buffer_printf(out, "\"passed\": %s, ", g->passed ? "true" : "false");
        put_gate_text(out, "message", g->message);
        for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++) {
            em_buffer_printf(out, "%s\"%s\": ", k ? ", " : "", numbers[k].key);
            em_buffer_double(out, numbers[k].value);
        }
        em_buffer_puts(out, "}");
    }
    em_buffer_puts(out, "]");
}

void em_report_json(const em_results *r, em_buffer *b) {
    em_buffer_puts(b, "{\n  ");
    put_string(b, "evalmask", em_results_version(r));
    em_buffer_puts(b, ",\n");
    if (r->partial) em_buffer_puts(b, "  \"partial\": true,\n");
    if (*r->title) {
        em_buffer_puts(b, "  ");
        put_string(b, "title", r->title);
        em_buffer_puts(b, ",\n");
    }
    if (*r->table) {
        em_buffer_puts(b, "  ");
        put_string(b, "table", r->table);
        em_buffer_puts(b, ",\n");
    }
    put_models(b, r);
    em_buffer_puts(b, "  \"protocol\": {");
    for (int i = 0; i < r->n_protocol; i++) {
        em_buffer_puts(b, i ? ",\n    " : "\n    ");
        put_string(b, r->protocol[i].key, r->protocol[i].value);
    }
    em_buffer_puts(b, "},\n");
    put_data(b, r);
    em_buffer_puts(b, "  \"results\": [");
    for (int i = 0; i < r->n_results; i++) {
        if (i) em_buffer_puts(b, ",");
        put_result(b, &r->results[i]);
    }
    if (r->n_comparisons) em_buffer_puts(b, "],\n  \"comparisons\": [");
    for (int i = 0; i < r->n_comparisons; i++) {
        if (i) em_buffer_puts(b, ",");
        put_comparison(b, &r->comparisons[i]);
    }
    em_buffer_puts(b, "],\n  ");
    if (r->n_gates) {
        em_gates_json(r->gates, r->n_gates, b);
        em_buffer_puts(b, ",\n  ");
    }
    em_buffer_puts(b, "\"notes\": [");
    for (int i = 0; i < r->n_notes; i++) {
        em_buffer_puts(b, i ? ",\n    " : "\n    ");
        em_buffer_json(b, r->notes[i], strlen(r->notes[i]));
    }
    em_buffer_puts(b, "]\n}\n");
}
