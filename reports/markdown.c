/* The report for people and pull requests: aligned pipes, so that it reads as plain text too. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "reports/gates.h"
#include "reports/reports.h"
#include "reports/table.h"

static bool is(const char *a, const char *b) { return !strcmp(a, b); }

/* ---- what to show ---- */

typedef struct shown { bool data_sets, models, labels, positions; int keys; } shown;

static shown what_differs(const em_results *r) {
    shown s = {.data_sets = r->n_data_sets > 1, .models = r->n_models > 1, .keys = 1};
    for (int i = 1; i < r->n_results; i++) {
        s.labels |= strcmp(r->results[i].labels, r->results[0].labels) != 0;
        s.positions |= !strcmp(r->results[i].mask, r->results[0].mask) && strcmp(r->results[i].positions, r->results[0].positions);
    }
    s.keys += s.data_sets + s.models + s.labels + s.positions;
    return s;
}

/* Head of a table: the keys that differ among results, then these columns. */
static em_table keyed_table(const shown *s, const char *const *columns, int n) {
    const char *heads[EM_MAX_COLUMNS];
    int k = 0;
    if (s->data_sets) heads[k++] = "Data";
    if (s->models) heads[k++] = "Model";
    heads[k++] = "Mask";
    if (s->labels) heads[k++] = "Labels";
    if (s->positions) heads[k++] = "Positions";
    for (int i = 0; i < n; i++) heads[k++] = columns[i];
    return em_table_new(s->keys, k, heads);
}

/* mark: whether LEAK stands behind a mask that leaks */
static void key_cells(em_table *t, const shown *s, const em_result *x, bool mark) {
    char mask[48];
    snprintf(mask, sizeof mask, "%s%s", x->mask, mark && x->leak ? " LEAK" : "");
    if (s->data_sets) em_text_cell(t, x->data_set);
    if (s->models) em_text_cell(t, x->model);
    em_text_cell(t, mask);
    if (s->labels) em_text_cell(t, x->labels);
    if (s->positions) em_text_cell(t, x->positions);
}

static void losses(const em_results *r, const shown *s, em_buffer *out) {
    static const char *const columns[] = {"Loss", "± SE", "Batch mean", "Doc mean", "In-doc"};
    em_table t = keyed_table(s, columns, 5);
    for (int i = 0; i < r->n_results; i++) {
        const em_result *x = &r->results[i];
        if (x->has_alpha) continue;
        key_cells(&t, s, x, true);
        em_number_cell(&t, x->loss, 4);
        em_number_cell(&t, x->stderr_, 4);
        em_number_cell(&t, x->loss_batch_mean, 4);
        em_number_cell(&t, x->loss_doc_mean, 4);
        em_number_cell(&t, x->loss_no_boundary, 4);
    }
    em_table_print(&t, out);
}

static void other_figures(const em_results *r, const shown *s, em_buffer *out) {
    static const char *const columns[] = {"Perplexity", "Bits/byte", "with EOS", "Top-1", "Scored"};
    em_table t = keyed_table(s, columns, 5);
    for (int i = 0; i < r->n_results; i++) {
        const em_result *x = &r->results[i];
        if (x->has_alpha) continue;
        key_cells(&t, s, x, true);
        em_number_cell(&t, x->perplexity, 3);
        em_number_cell(&t, x->bits_per_byte, 4);
        em_number_cell(&t, x->bits_per_byte_all, 4);
        em_percent_cell(&t, x->top1);
        em_integer_cell(&t, x->predictions);
    }
    em_table_print(&t, out);
}

static void means(const em_results *r, em_buffer *out) {
    if (r->n_means == 0) return;
    em_buffer_puts(out, "## Over the data sets\n\n");
    static const char *const heads[] = {"Model", "Mask", "Labels", "Positions", "Macro mean", "Micro mean"};
    em_table t = em_table_new(4, 6, heads);
    for (int i = 0; i < r->n_means; i++) {
        if (r->means[i].has_alpha) continue;
        em_text_cell(&t, r->means[i].model);
        em_text_cell(&t, r->means[i].mask);
        em_text_cell(&t, r->means[i].labels);
        em_text_cell(&t, r->means[i].positions);
        em_number_cell(&t, r->means[i].macro, 4);
        em_number_cell(&t, r->means[i].micro, 4);
    }
    em_table_print(&t, out);
    em_buffer_puts(out, "Macro: mean of the data sets' losses. Micro: mean over all predictions.\n\n");
}

/* ---- two sides ---- */

static void interval_cell(em_table *t, const em_comparison *x) {
    char text[64] = "-";
    if (isfinite(x->all.low)) snprintf(text, sizeof text, "%+.4f %+.4f", x->all.low, x->all.high);
    em_text_cell(t, text);
}

static void comparison_keys(em_table *t, const shown *s, const em_comparison *x) {
    if (s->data_sets) em_text_cell(t, x->data_set);
    em_text_cell(t, x->mask);
    if (s->labels) em_text_cell(t, x->labels);
    if (s->positions) em_text_cell(t, x->positions);
}

static em_table comparison_table(const shown *s, const char *const *columns, int n) {
    shown plain = *s;
    plain.keys -= plain.models;
    plain.models = false;
    return keyed_table(&plain, columns, n);
}

static void one_pair(const em_results *r, const shown *s, const em_comparison *pair, em_buffer *out) {
    static const char *const columns[] = {"Difference", "± SE", "95 % interval", "Resolved by", "Better"};
    static const char *const more[] = {"Ratio of ppl", "Same top-1", "KL mean", "KL 50 %", "KL 99 %", "KL max"};
    em_buffer_printf(out, "## %s minus %s\n\n", pair->after, pair->before);
    em_table t = comparison_table(s, columns, 5), u = comparison_table(s, more, 6);
    for (int i = 0; i < r->n_comparisons; i++) {
        const em_comparison *x = &r->comparisons[i];
        if (x->kind != EM_COMPARE_MODELS || x->has_alpha || !is(x->before, pair->before) || !is(x->after, pair->after)) continue;
        comparison_keys(&t, s, x);
        em_signed_cell(&t, x->all.difference, 4);
        em_number_cell(&t, x->all.stderr_, 4);
        interval_cell(&t, x);
        em_number_cell(&t, x->all.documents_to_resolve, 0);
        em_percent_cell(&t, x->better);
        comparison_keys(&u, s, x);
        em_number_cell(&u, x->perplexity_ratio, 4);
        em_percent_cell(&u, x->same_top1);
        em_number_cell(&u, x->has_kl ? x->kl_mean : NAN, 4);
        em_number_cell(&u, x->has_kl ? x->kl_quantiles[0] : NAN, 4);
        em_number_cell(&u, x->has_kl ? x->kl_quantiles[2] : NAN, 3);
        em_number_cell(&u, x->has_kl ? x->kl_max : NAN, 3);
    }
    em_table_print(&t, out);
    em_table_print(&u, out);
}

static void comparisons(const em_results *r, const shown *s, em_buffer *out) {
    bool any = false;
    for (int i = 0; i < r->n_comparisons; i++) {
        const em_comparison *x = &r->comparisons[i];
        bool first = x->kind == EM_COMPARE_MODELS && !x->has_alpha;
        for (int k = 0; k < i && first; k++)
            first = !is(r->comparisons[k].before, x->before) || !is(r->comparisons[k].after, x->after);
        if (first) one_pair(r, s, x, out);
        any |= first;
    }
    if (any)
        em_buffer_puts(out, "Paired by prediction; a bootstrap interval over the groups of ± SE. Resolved by:\n"
                            "how many documents would put 0 at the edge of a 95 % interval. Better: share of\npredictions.\n\n");
}

/* ---- the alpha sweep: one row an alpha, one column a combination of the rest ---- */

static bool same_combination(const em_result *a, const em_result *b) {
    return is(a->data_set, b->data_set) && is(a->mask, b->mask) && is(a->labels, b->labels) && is(a->positions, b->positions);
}

static const em_comparison *alpha_difference(const em_results *r, const em_result *x) {
    for (int i = 0; i < r->n_comparisons; i++) {
        const em_comparison *c = &r->comparisons[i];
        if (c->kind == EM_COMPARE_MODELS && c->has_alpha && c->alpha == x->alpha && is(c->data_set, x->data_set) && is(c->mask, x->mask) &&
            is(c->labels, x->labels) && is(c->positions, x->positions)) return c;
    }
    return NULL;
}

static const em_result *best_alpha(const em_results *r, const em_result *first) {
    const em_result *best = first;
    for (int i = 0; i < r->n_results; i++) {
        const em_result *x = &r->results[i];
        if (x->has_alpha && same_combination(x, first) && x->loss < best->loss) best = x;
    }
    return best;
}

static void alpha_sweep(const em_results *r, const em_result *first, em_buffer *out) {
    static const char *const heads[] = {"Alpha", "Loss", "Batch mean", "Top-1", "Minus before", "95 % interval"};
    em_table t = em_table_new(0, 6, heads);
    for (int i = 0; i < r->n_results; i++) {
        const em_result *x = &r->results[i];
        if (!x->has_alpha || !same_combination(x, first)) continue;
        const em_comparison *c = alpha_difference(r, x);
        char text[32];
        snprintf(text, sizeof text, "%g", x->alpha);
        em_text_cell(&t, text);
        em_number_cell(&t, x->loss, 4);
        em_number_cell(&t, x->loss_batch_mean, 4);
        em_percent_cell(&t, x->top1);
        em_signed_cell(&t, c ? c->all.difference : NAN, 4);
        if (c) interval_cell(&t, c);
        else em_text_cell(&t, "-");
    }
    em_table_print(&t, out);
    em_buffer_printf(out, "The loss is least at alpha = %g.\n\n", best_alpha(r, first)->alpha);
}

static const char *protocol_value(const em_results *r, const char *key) {
    for (int i = 0; i < r->n_protocol; i++)
        if (!strcmp(r->protocol[i].key, key)) return r->protocol[i].value;
    return "";
}

static void alphas(const em_results *r, const shown *s, em_buffer *out) {
    for (int i = 0; i < r->n_results; i++) {
        const em_result *x = &r->results[i];
        bool first = x->has_alpha;
        for (int k = 0; k < i && first; k++) first = !r->results[k].has_alpha || !same_combination(&r->results[k], x);
        if (!first) continue;
        em_buffer_printf(out, "## (1 + alpha) * after - alpha * before%s, %s%s%s%s%s%s%s\n\n",
                         is(protocol_value(r, "alpha_space"), "weight") ? " of the weights" : "", s->data_sets ? x->data_set : "",
                         s->data_sets ? ", " : "", x->mask, s->labels ? ", " : "", s->labels ? x->labels : "",
                         s->positions ? ", " : "", s->positions ? x->positions : "");
        alpha_sweep(r, x, out);
    }
}

static void leak_parts(const em_results *r, const shown *s, em_buffer *out) {
    bool any = false;
    for (int i = 0; i < r->n_results; i++) any |= r->results[i].leak;
    if (!any) return;
    em_buffer_puts(out, "## Positions that can see their label\n\n");
    static const char *const columns[] = {"Direct", "Loss", "Indirect", "Loss", "Clean", "Loss"};
    em_table t = keyed_table(s, columns, 6);
    for (int i = 0; i < r->n_results; i++) {
        const em_result *x = &r->results[i];
        const em_slice *parts[3] = {&x->direct, &x->indirect, &x->clean};
        if (!x->leak || x->has_alpha) continue;
        key_cells(&t, s, x, false);
        for (int k = 0; k < 3; k++) {
            em_integer_cell(&t, parts[k]->predictions);
            em_number_cell(&t, em_slice_loss(parts[k]), 4);
        }
    }
    em_table_print(&t, out);
}

/* ---- by subset, by position: one column a result, as many as fit into 80 columns ---- */

enum { SIDE_BY_SIDE = 6, WIDTH = 80 };

static void column_head(const em_results *r, int i, char *out, size_t n) {
    const em_result *x = &r->results[i];
    shown s = what_differs(r);
    snprintf(out, n, "%s%s%s%s%s%s%s%s%s", s.data_sets ? x->data_set : "", s.data_sets ? " " : "", s.models ? x->model : "",
             s.models ? " " : "", x->mask, s.labels ? " " : "",
             s.labels ? x->labels : "", s.positions ? " " : "", s.positions ? x->positions : "");
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const em_slice *)a)->name, ((const em_slice *)b)->name);
}

/* Binary search: there may be tens of thousands. */
static const em_slice *subset_of(const em_result *x, char *name) {
    em_slice key = {.name = name};
    return x->n_subsets ? bsearch(&key, x->subsets, (size_t)x->n_subsets, sizeof key, by_name) : NULL;
}

static const em_slice *position_of(const em_result *x, int64_t from) {
    for (int i = 0; i < x->n_by_position; i++)
        if (x->by_position[i].from == from) return &x->by_position[i];
    return NULL;
}

typedef struct strip { const em_result *results[SIDE_BY_SIDE]; int n; } strip;      /* of one data set, side by side */

static em_table strip_table(const em_results *r, strip s, const char *what, const char *count) {
    char names[SIDE_BY_SIDE][224];
    const char *heads[SIDE_BY_SIDE + 2] = {what, count};
    for (int i = 0; i < s.n; i++) {
        column_head(r, (int)(s.results[i] - r->results), names[i], sizeof names[i]);
        heads[i + 2] = names[i];
    }
    return em_table_new(1, s.n + 2, heads);
}

static size_t subset_width(const em_results *r, int set) {
    size_t w = strlen("(none)");
    for (int i = 0; i < r->results[set].n_subsets; i++)
        if (em_text_width(r->results[set].subsets[i].name) > w) w = em_text_width(r->results[set].subsets[i].name);
    return w;
}

static void subsets_strip(const em_results *r, strip s, em_buffer *out) {
    const em_result *lead = s.results[0];
    em_table t = strip_table(r, s, "Subset", "Documents");
    for (int k = 0; k < lead->n_subsets; k++) {
        char *name = lead->subsets[k].name;
        em_text_cell(&t, *name ? name : "(none)");
        em_integer_cell(&t, lead->subsets[k].documents);
        for (int i = 0; i < s.n; i++) {
            const em_slice *x = subset_of(s.results[i], name);
            em_number_cell(&t, x ? em_slice_loss(x) : NAN, 4);
        }
    }
    em_table_print(&t, out);
}

static void positions_strip(const em_results *r, strip s, em_buffer *out) {
    const em_result *lead = s.results[0];
    em_table t = strip_table(r, s, "In document", "Scored");
    for (int k = 0; k < lead->n_by_position; k++) {
        const em_slice *p = &lead->by_position[k];
        char text[64];
        if (p->to == p->from + 1) snprintf(text, sizeof text, "%" PRId64, p->from);
        else snprintf(text, sizeof text, "%" PRId64 " to %" PRId64, p->from, p->to - 1);
        em_text_cell(&t, text);
        em_integer_cell(&t, p->predictions);
        for (int i = 0; i < s.n; i++) {
            const em_slice *x = position_of(s.results[i], p->from);
            em_number_cell(&t, x ? em_slice_loss(x) : NAN, 4);
        }
    }
    em_table_print(&t, out);
}

/* Prints strips of a data set's results, without alphas; `used` is the width that the first two columns take. */
static void each_strip(const em_results *r, int set, int per_set, size_t used, void (*print)(const em_results *, strip, em_buffer *),
                       em_buffer *out) {
    for (int i = set; i < set + per_set;) {
        strip s = {.n = 0};
        size_t width = used + 1;
        for (; i < set + per_set && s.n < SIDE_BY_SIDE; i++) {
            char head[224];
            if (r->results[i].has_alpha) continue;
            column_head(r, i, head, sizeof head);
            width += 3 + (em_text_width(head) > 6 ? em_text_width(head) : 6);
            if (s.n > 0 && width > WIDTH) break;
            s.results[s.n++] = &r->results[i];
        }
        if (s.n) print(r, s, out);
    }
}

static void breakdowns(const em_results *r, em_buffer *out) {
    int per_set = r->n_results / r->n_data_sets;
    bool named = false;
    for (int set = 0; set < r->n_results; set += per_set)
        for (int i = 0; i < r->results[set].n_subsets; i++) named |= *r->results[set].subsets[i].name != 0;
    if (named) em_buffer_puts(out, "## By subset\n\n");
    for (int set = 0; named && set < r->n_results; set += per_set)
        each_strip(r, set, per_set, subset_width(r, set) + 15, subsets_strip, out);
    em_buffer_puts(out, "## By position in the document\n\n");
    for (int set = 0; set < r->n_results; set += per_set) each_strip(r, set, per_set, 27, positions_strip, out);
}

/* ---- the protocol in words ---- */

static void model_items(const em_results *r, em_buffer *out) {
    for (int i = 0; i < r->n_models; i++) {
        const em_model_line *m = &r->models[i];
        const em_result *x = r->results;
        for (int k = 0; k < r->n_results && !is(x->model, m->name); k++) x = &r->results[k];
        char text[320];
        snprintf(text, sizeof text, "Model %s: %s, %.1f M parameters, %d layers, vocabulary of %d, fingerprint %s.", m->name,
                 m->family, (double)m->parameters / 1e6, m->layers, m->vocab, x->fingerprints.model);
        em_list_item(out, text);
    }
}

static void data_items(const em_results *r, em_buffer *out) {
    for (int i = 0; i < r->n_data_sets; i++) {
        const em_data_set *d = &r->data_sets[i];
        char text[768];
        snprintf(text, sizeof text, "Data%s%s: %" PRId64 " documents (%" PRId64 " empty), %" PRId64 " tokens, %" PRId64
                 " bytes of text, %" PRId64 " rows in %" PRId64 " batches.", *d->name ? " " : "", d->name, d->totals.documents,
                 d->totals.empty_documents, d->totals.tokens, d->totals.bytes, d->totals.rows, d->totals.batches);
        em_list_item(out, text);
    }
}

/* The result is the first with its labels (or its mask and positions): it speaks for the others. */
static bool first_of_labels(const em_results *r, int i) {
    for (int k = 0; k < i; k++)
        if (is(r->results[k].labels, r->results[i].labels)) return false;
    return true;
}

static bool first_of_mask(const em_results *r, int i) {
    for (int k = 0; k < i; k++)
        if (is(r->results[k].mask, r->results[i].mask) && is(r->results[k].positions, r->results[i].positions)) return false;
    return true;
}

static void boundary_item(const em_results *r, em_buffer *out) {
    em_buffer text = {0};
    bool keep = is(protocol_value(r, "boundary"), "keep");
    em_buffer_printf(&text, "Boundary predictions (label in another document than the position's own token; In-doc is the loss "
                     "without them): %s", keep ? "counted" : "not counted");
    int per_set = r->n_results / r->n_data_sets;
    for (int i = 0; keep && i < r->n_results; i++) {
        const em_result *x = &r->results[i];
        if (!first_of_labels(r, i % per_set)) continue;
        em_buffer_printf(&text, ", %" PRId64 " of %" PRId64 " (%s%s%s)", x->boundary_predictions, x->predictions, x->data_set,
                         *x->data_set ? ", " : "", x->labels);
    }
    em_buffer_puts(&text, ".");
    em_list_item(out, text.data);
    em_buffer_free(&text);
}

/* A count that can differ by data set and, if asked, by labels: "12 tokens dropped", or "tokens dropped: 12 in code,
 * 7 in news". The first result of its kind speaks for the others. */
static void put_counts(em_buffer *b, const em_results *r, int64_t (*count)(const em_result *), bool by_labels, const char *what) {
    int per_set = r->n_results / r->n_data_sets, n = 0;
    bool sets = r->n_data_sets > 1, labels = by_labels && what_differs(r).labels;
    if (!sets && !labels) {
        em_buffer_printf(b, "%" PRId64 " %s", count(r->results), what);
        return;
    }
    em_buffer_printf(b, "%s:", what);
    for (int i = 0; i < r->n_results; i++) {
        const em_result *x = &r->results[i];
        if (labels ? !first_of_labels(r, i % per_set) : i % per_set != 0) continue;
        em_buffer_printf(b, "%s %" PRId64, n++ ? "," : "", count(x));
        if (sets) em_buffer_printf(b, " in %s", x->data_set);
        if (labels) em_buffer_printf(b, " under %s", x->labels);
    }
}

/* Result i, of the first data set, speaks for the mask with its positions. */
static void mask_item(const em_results *r, int i, em_buffer *out) {
    em_buffer text = {0};
    const em_result *x = &r->results[i];
    em_buffer_printf(&text, "Mask %s: %s; positions %s; ± SE over %" PRId64 " %s", x->mask, x->mask_words,
                     is(x->positions, "reset") ? "restart at every document" : "run on through the row", x->groups,
                     x->groups_are_rows ? "rows" : "documents");
    for (int d = 0; d < r->n_data_sets && r->n_data_sets > 1; d++) {
        x = &r->results[d * (r->n_results / r->n_data_sets) + i];
        if (d) em_buffer_printf(&text, ", %" PRId64, x->groups);
        em_buffer_printf(&text, " in %s", x->data_set);
    }
    em_buffer_puts(&text, ".");
    em_list_item(out, text.data);
    em_buffer_free(&text);
}

static int64_t dropped_tokens(const em_result *x) { return x->dropped_tokens; }

static void rows_item(const em_results *r, em_buffer *out) {
    em_buffer text = {0};
    const em_result *x = &r->results[0];
    bool pad = is(protocol_value(r, "tail"), "pad");
    em_buffer_printf(&text, "Rows: T = %d, B = %d, %s; the last, incomplete batch is %s (", x->seq_len, x->batch,
                     is(protocol_value(r, "pack"), "stream") ? "packed across documents" : "each document by itself",
                     pad ? "scored as it is" : "dropped");
    if (pad) em_buffer_puts(&text, "0 tokens dropped");
    else put_counts(&text, r, dropped_tokens, true, "tokens dropped");
    em_buffer_puts(&text, ").");
    em_list_item(out, text.data);
    em_buffer_free(&text);
}

static void protocol_items(const em_results *r, em_buffer *out) {
    char text[1400];
    const em_result *x = &r->results[0];
    snprintf(text, sizeof text, "Tokenizer: %s. BOS: %s. EOS: %s.", protocol_value(r, "tokenizer"), protocol_value(r, "bos"),
             protocol_value(r, "eos"));
    em_list_item(out, text);
    rows_item(r, out);
    for (int i = 0; i < r->n_results; i++) {
        x = &r->results[i];
        if (!first_of_labels(r, i)) continue;
        snprintf(text, sizeof text, "Labels %s: position i is scored on the token at i%+d, %s%s.", x->labels, x->offset,
                 x->offset_words, is(protocol_value(r, "window"), "inside") ? "; windows stay inside the row" : "");
        em_list_item(out, text);
    }
    for (int i = 0; i < r->n_results; i++) {
        x = &r->results[i];
        if (!first_of_mask(r, i)) continue;
        mask_item(r, i, out);
    }
    boundary_item(r, out);
    snprintf(text, sizeof text, "Arithmetic: %s weights, %s products (--dtype %s), %s logits, sums in f64, on %s.", x->weight_dtype,
             x->compute_dtype, protocol_value(r, "dtype"), x->logit_dtype, protocol_value(r, "device"));
    em_list_item(out, text);
}

static void fingerprints(const em_results *r, const shown *s, em_buffer *out) {
    static const char *const columns[] = {"Data", "Protocol"};
    em_table t = keyed_table(s, columns, 2);
    for (int i = 0; i < r->n_results; i++) {
        const em_fingerprints *f = &r->results[i].fingerprints;
        if (r->results[i].has_alpha) continue;
        key_cells(&t, s, &r->results[i], false);
        em_text_cell(&t, f->data);
        em_text_cell(&t, f->protocol);
    }
    em_table_print(&t, out);
}

void em_report_markdown(const em_results *r, em_buffer *out) {
    shown s = what_differs(r);
    em_buffer_puts(out, "# ");
    for (int i = 0; i < r->n_models; i++) em_buffer_printf(out, "%s%s", i ? ", " : "", r->models[i].name);
    em_buffer_printf(out, ": loss in nats per token%s\n\n", r->partial ? " (PARTIAL)" : "");
    losses(r, &s, out);
    em_gates_markdown(r->gates, r->n_gates, out);
    for (int i = 0; i < r->n_notes; i++) em_list_item(out, r->notes[i]);
    if (r->n_notes) em_buffer_puts(out, "\n");
    means(r, out);
    comparisons(r, &s, out);
    alphas(r, &s, out);
    other_figures(r, &s, out);
    leak_parts(r, &s, out);
    breakdowns(r, out);
    em_buffer_puts(out, "## Protocol\n\n");
    model_items(r, out);
    data_items(r, out);
    protocol_items(r, out);
    em_buffer_puts(out, "\n");
    em_buffer_puts(out, "Fingerprints: two results measured the same thing where both agree.\n\n");
    fingerprints(r, &s, out);
    em_buffer_printf(out, "evalmask %s\n", em_results_version(r));
}
