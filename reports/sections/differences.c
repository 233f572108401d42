/* Sections that show two sides on the same predictions: models, masks, row lengths, alphas. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/interval.h"
#include "reports/sections/plots.h"
#include "reports/sections/sections.h"

static bool is(const char *a, const char *b) { return !strcmp(a, b); }

static void difference_cells(em_table *t, const em_difference *d) {
    em_signed_cell(t, d->difference, 4);
    em_number_cell(t, d->stderr_, 4);
    em_interval_cell(t, d->low, d->high);
}

/* ---- models ---- */

static bool same_models(const em_comparison *a, const em_comparison *b) {
    return is(a->before, b->before) && is(a->after, b->after);
}

static bool of_models(const em_comparison *x) {
    return x->kind == EM_COMPARE_MODELS && !x->has_alpha;
}

static bool first_of_models(const em_results *r, int i) {
    if (!of_models(&r->comparisons[i])) return false;
    for (int k = 0; k < i; k++)
        if (of_models(&r->comparisons[k]) && same_models(&r->comparisons[k], &r->comparisons[i]))
            return false;
    return true;
}

static bool any_kl(const em_results *r, const em_comparison *pair, bool want) {
    for (int i = 0; i < r->n_comparisons; i++) {
        const em_comparison *x = &r->comparisons[i];
        if (of_models(x) && (!pair || same_models(x, pair)) && x->has_kl == want) return true;
    }
    return false;
}

static void kl_cells(em_table *t, const em_comparison *x) {
    em_number_cell(t, x->has_kl ? x->kl_mean : NAN, 4);
    for (int k = 0; k < EM_KL_QUANTILES; k++)
        em_number_cell(t, x->has_kl ? x->kl_quantiles[k] : NAN, k < 2 ? 4 : 3);
    em_number_cell(t, x->has_kl ? x->kl_max : NAN, 3);
}

static void model_rows(const em_results *r, em_keys keys, const em_comparison *pair, em_page *p) {
    static const char *const columns[] = {"Difference", "± SE", "95 % interval", "Resolved by",
                                          "Better"};
    static const char *const more[] = {"Ratio of ppl", "Same top-1", "P change", "P RMS",
                                       "KL mean",      "KL 50 %",    "KL 90 %",  "KL 99 %",
                                       "KL 99.9 %",    "KL max"};
    bool kl = any_kl(r, pair, true);
    em_table t = em_keyed_table(keys, columns, 5), u = em_keyed_table(keys, more, kl ? 10 : 4);
    for (int i = 0; i < r->n_comparisons; i++) {
        const em_comparison *x = &r->comparisons[i];
        if (!of_models(x) || !same_models(x, pair)) continue;
        em_comparison_key_cells(&t, keys, x);
        difference_cells(&t, &x->all);
        em_number_cell(&t, x->all.documents_to_resolve, 0);
        em_percent_cell(&t, x->better);
        em_comparison_key_cells(&u, keys, x);
        em_number_cell(&u, x->perplexity_ratio, 4);
        em_percent_cell(&u, x->same_top1);
        em_signed_cell(&u, x->probability_change, 4);
        em_number_cell(&u, x->probability_change_rms, 4);
        if (kl) kl_cells(&u, x);
    }
    em_page_table(p, &t);
    em_page_table(p, &u);
}

/* ---- all pairs of three or more models, one matrix a combination of the rest ---- */

static bool same_rest(const em_comparison *a, const em_comparison *b) {
    return is(a->data_set, b->data_set) && is(a->mask, b->mask) && is(a->labels, b->labels) &&
           is(a->positions, b->positions) && a->depth == b->depth && a->seq_len == b->seq_len;
}

static bool first_of_rest(const em_results *r, int i) {
    if (!of_models(&r->comparisons[i])) return false;
    for (int k = 0; k < i; k++)
        if (of_models(&r->comparisons[k]) && same_rest(&r->comparisons[k], &r->comparisons[i]))
            return false;
    return true;
}

/* The column's model minus the row's. */
static void matrix_cell(em_table *t, const em_results *r, const em_comparison *rest,
                        const char *row, const char *column) {
    char text[48] = "";
    for (int i = 0; i < r->n_comparisons; i++) {
        const em_comparison *x = &r->comparisons[i];
        if (!of_models(x) || !same_rest(x, rest)) continue;
        bool forward = is(x->before, row) && is(x->after, column),
             back = is(x->before, column) && is(x->after, row);
        if (!forward && !back) continue;
        double d = forward ? x->all.difference : -x->all.difference;
        bool sure = isfinite(x->all.low) && (x->all.low > 0 || x->all.high < 0);
        if (isfinite(d)) snprintf(text, sizeof text, "%+.4f%s", d, sure ? "" : " ?");
    }
    em_text_cell(t, text);
}

static void matrix(const em_results *r, const em_shown *s, const em_comparison *rest, em_page *p) {
    em_buffer title = {0};
    em_shown plain = *s;
    plain.models = false;
    em_result x = {.depth = rest->depth, .seq_len = rest->seq_len};
    memcpy(x.data_set, rest->data_set, sizeof x.data_set);
    memcpy(x.mask, rest->mask, sizeof x.mask);
    memcpy(x.labels, rest->labels, sizeof x.labels);
    memcpy(x.positions, rest->positions, sizeof x.positions);
    em_result_label(&plain, &x, &title);
    em_table t = em_table_open(1, r->n_models + 1);
    em_text_cell(&t, title.data);
    for (int c = 0; c < r->n_models; c++) em_text_cell(&t, r->models[c].name);
    for (int i = 0; i < r->n_models; i++) {
        em_text_cell(&t, r->models[i].name);
        for (int c = 0; c < r->n_models; c++)
            matrix_cell(&t, r, rest, r->models[i].name, r->models[c].name);
    }
    em_page_table(p, &t);
    em_buffer_free(&title);
}

static void matrices(const em_results *r, const em_shown *s, em_page *p) {
    if (r->n_models < 3) return;
    em_page_heading(p, 2, "Every model against every other");
    for (int i = 0; i < r->n_comparisons; i++)
        if (first_of_rest(r, i)) matrix(r, s, &r->comparisons[i], p);
    em_page_paragraph(p,
                      "The column's loss minus the row's; a question mark where the 95 %% interval "
                      "holds 0, or where there is none.");
}

void em_section_models(const em_results *r, const em_shown *s, em_page *p) {
    bool any = false;
    em_keys keys = em_result_keys(s);
    keys.models = false;
    for (int i = 0; i < r->n_comparisons; i++) {
        if (!first_of_models(r, i)) continue;
        if (!any) matrices(r, s, p);
        em_page_heading(p, 2, "%s minus %s", r->comparisons[i].after, r->comparisons[i].before);
        model_rows(r, keys, &r->comparisons[i], p);
        any = true;
    }
    if (any)
        em_page_paragraph(
            p,
            "Paired by prediction; the interval is over the groups of ± SE. Resolved by: how "
            "many documents would put 0 at the edge of a 95 %% interval. Better: share of "
            "predictions. P: change of the label's probability.%s%s",
            any_kl(r, NULL, true) ? " KL(after || before): percentiles over predictions." : "",
            any_kl(r, NULL, false) ? " KL is measured between the first model and each other one, "
                                     "at full depth and where "
                                     "the vocabularies agree in size."
                                   : "");
}

/* ---- masks ---- */

static bool of_masks(const em_comparison *x) { return x->kind == EM_COMPARE_MASKS; }

static bool same_masks(const em_comparison *a, const em_comparison *b) {
    bool positions = is(a->mask, a->mask_before);
    return is(a->mask, b->mask) && is(a->mask_before, b->mask_before) &&
           (!positions ||
            (is(a->positions, b->positions) && is(a->positions_before, b->positions_before)));
}

static bool first_of_masks(const em_results *r, int i) {
    if (!of_masks(&r->comparisons[i])) return false;
    for (int k = 0; k < i; k++)
        if (of_masks(&r->comparisons[k]) && same_masks(&r->comparisons[k], &r->comparisons[i]))
            return false;
    return true;
}

static bool any_alpha_of_masks(const em_results *r) {
    for (int i = 0; i < r->n_comparisons; i++)
        if (of_masks(&r->comparisons[i]) && r->comparisons[i].has_alpha) return true;
    return false;
}

static void mask_rows(const em_results *r, em_keys keys, const em_comparison *pair, em_page *p) {
    static const char *const columns[] = {"Difference", "± SE", "95 % interval", "Resolved by"};
    static const char *const affected[] = {"Scored", "Affected", "directly", "Difference on those",
                                           "95 % interval"};
    em_table t = em_keyed_table(keys, columns, 4), u = em_keyed_table(keys, affected, 5);
    for (int i = 0; i < r->n_comparisons; i++) {
        const em_comparison *x = &r->comparisons[i];
        if (!of_masks(x) || !same_masks(x, pair)) continue;
        em_comparison_key_cells(&t, keys, x);
        difference_cells(&t, &x->all);
        em_number_cell(&t, x->all.documents_to_resolve, 0);
        em_comparison_key_cells(&u, keys, x);
        em_integer_cell(&u, x->all.predictions);
        em_integer_cell(&u, x->affected_direct + x->affected_indirect);
        em_integer_cell(&u, x->affected_direct);
        em_signed_cell(&u, x->affected.difference, 4);
        em_interval_cell(&u, x->affected.low, x->affected.high);
    }
    em_page_table(p, &t);
    em_page_table(p, &u);
}

static void identical_masks(const em_results *r, const em_shown *s, const em_comparison *pair,
                            em_page *p) {
    em_buffer label = {0};
    for (int i = 0; i < r->n_comparisons; i++) {
        const em_comparison *x = &r->comparisons[i];
        if (!of_masks(x) || !same_masks(x, pair) || x->affected_direct + x->affected_indirect > 0)
            continue;
        em_buffer_clear(&label);
        em_comparison_label(s, x, &label);
        em_page_item(p, "%s: the masks are identical on this data; what is left is rounding.",
                     label.data);
    }
    em_page_end_list(p);
    em_buffer_free(&label);
}

void em_section_masks(const em_results *r, const em_shown *s, em_page *p) {
    bool any = false;
    em_keys keys = em_result_keys(s);
    em_buffer title = {0};
    keys.masks = false;
    keys.positions = false;
    keys.alphas = any_alpha_of_masks(r);
    keys.models |= keys.alphas;
    for (int i = 0; i < r->n_comparisons; i++) {
        if (!first_of_masks(r, i)) continue;
        em_buffer_clear(&title);
        em_mask_pair(&r->comparisons[i], &title);
        em_page_heading(p, 2, "%s", title.data);
        em_keys some = keys;
        some.models |= !(some.data_sets || some.labels || some.depths ||
                         some.lengths); /* a table has one key at least */
        mask_rows(r, some, &r->comparisons[i], p);
        identical_masks(r, s, &r->comparisons[i], p);
        any = true;
    }
    em_buffer_free(&title);
    if (any)
        em_page_paragraph(
            p, "Affected: predictions that the choice can move at all, directly (their own view "
               "differs) or through a layer "
               "below; the difference on those alone, without the rest that dilutes it.");
}

/* ---- row lengths ---- */

static void length_losses(const em_results *r, const em_shown *s, em_page *p) {
    static const char *const columns[] = {"Documents/row", "Scored at every T", "Loss on those"};
    em_keys keys = em_result_keys(s);
    em_table t = em_keyed_table(keys, columns, 3);
    for (int i = 0; i < r->n_results; i++) {
        const em_result *x = &r->results[i];
        if (!x->has_common || x->has_alpha) continue;
        em_result_key_cells(&t, keys, x, true);
        em_number_cell(&t, x->rows ? (double)x->segments / (double)x->rows : NAN, 2);
        em_integer_cell(&t, x->common.predictions);
        em_number_cell(&t, em_slice_loss(&x->common), 4);
    }
    em_page_table(p, &t);
}

static void length_gaps(const em_results *r, const em_shown *s, em_page *p) {
    static const char *const columns[] = {"T", "Difference", "95 % interval", "Growth",
                                          "95 % interval"};
    em_table t = em_table_open(1, 6);
    em_buffer label = {0};
    em_shown plain = *s;
    plain.lengths = false;
    em_text_cell(&t, "On predictions scored at every T");
    for (int c = 0; c < 5; c++) em_text_cell(&t, columns[c]);
    for (int i = 0; i < r->n_comparisons; i++) {
        const em_comparison *x = &r->comparisons[i];
        if (!x->has_common || x->has_alpha) continue;
        em_buffer_clear(&label);
        em_comparison_label(&plain, x, &label);
        em_text_cell(&t, label.data);
        em_integer_cell(&t, x->seq_len);
        em_signed_cell(&t, x->common.difference, 4);
        em_interval_cell(&t, x->common.low, x->common.high);
        em_signed_cell(&t, x->growth, 4);
        em_interval_cell(&t, x->growth_low, x->growth_high);
    }
    em_buffer_free(&label);
    if (em_table_rows(&t) == 0) {
        em_table_free(&t);
        return;
    }
    em_page_table(p, &t);
    em_page_paragraph(p, "Growth: by how much the difference exceeds that at the shortest T, on "
                         "the same predictions.");
}

void em_section_lengths(const em_results *r, const em_shown *s, em_page *p) {
    bool any = false;
    for (int i = 0; i < r->n_results; i++) any |= r->results[i].has_common;
    if (!any) return;
    em_page_heading(p, 2, "By row length");
    em_plot_lengths(r, s, p);
    length_losses(r, s, p);
    length_gaps(r, s, p);
}

/* ---- the alpha sweep: one row an alpha, one table a combination of the rest ---- */

static bool same_combination(const em_result *a, const em_result *b) {
    return is(a->data_set, b->data_set) && is(a->mask, b->mask) && is(a->labels, b->labels) &&
           is(a->positions, b->positions) && a->seq_len == b->seq_len;
}

static const em_result *best_alpha(const em_results *r, const em_result *first) {
    const em_result *best = first;
    for (int i = 0; i < r->n_results; i++) {
        const em_result *x = &r->results[i];
        if (x->has_alpha && same_combination(x, first) &&
            (x->loss < best->loss || !isfinite(best->loss)))
            best = x;
    }
    return best;
}

static void alpha_sweep(const em_results *r, const em_result *first, em_page *p) {
    static const char *const heads[] = {"Alpha", "Loss",         "Batch mean",
                                        "Top-1", "Minus before", "95 % interval"};
    em_table t = em_table_new(0, 6, heads);
    for (int i = 0; i < r->n_results; i++) {
        const em_result *x = &r->results[i];
        if (!x->has_alpha || !same_combination(x, first)) continue;
        const em_comparison *c = em_alpha_difference(r, x);
        char text[32];
        snprintf(text, sizeof text, "%g", x->alpha);
        em_text_cell(&t, text);
        em_number_cell(&t, x->loss, 4);
        em_number_cell(&t, x->loss_batch_mean, 4);
        em_percent_cell(&t, x->top1);
        em_signed_cell(&t, c ? c->all.difference : NAN, 4);
        em_interval_cell(&t, c ? c->all.low : NAN, c ? c->all.high : NAN);
    }
    em_page_table(p, &t);
    em_page_paragraph(p, "The loss is least at alpha = %g.", best_alpha(r, first)->alpha);
}

static bool first_of_sweep(const em_results *r, int i) {
    if (!r->results[i].has_alpha) return false;
    for (int k = 0; k < i; k++)
        if (r->results[k].has_alpha && same_combination(&r->results[k], &r->results[i]))
            return false;
    return true;
}

void em_section_alphas(const em_results *r, const em_shown *s, em_page *p) {
    bool any = false;
    em_buffer label = {0};
    em_shown plain = *s;
    plain.models = false;
    for (int i = 0; i < r->n_results; i++) {
        if (!first_of_sweep(r, i)) continue;
        em_result x = r->results[i];
        x.has_alpha = false;
        em_buffer_clear(&label);
        em_result_label(&plain, &x, &label);
        if (!any && p->face == EM_FACE_HTML) {
            em_page_heading(p, 2, "Amplification");
            em_plot_alphas(r, s, p);
        }
        em_page_heading(
            p, p->face == EM_FACE_HTML ? 3 : 2, "(1 + alpha) * after - alpha * before%s, %s",
            is(em_protocol_value(r, "alpha_space"), "weight") ? " of the weights" : "", label.data);
        alpha_sweep(r, &r->results[i], p);
        any = true;
    }
    em_buffer_free(&label);
}

/* ---- intervals that are not there ---- */

void em_no_intervals_add(em_no_intervals *n, const em_difference *d) {
    if (d->groups == 0 || !isfinite(d->difference) || isfinite(d->low)) return;
    if (n->fewest == 0 || d->groups < n->fewest) n->fewest = d->groups;
    if (d->groups > n->most) n->most = d->groups;
}

const char *em_no_intervals_text(const em_no_intervals *n, char text[320]) {
    char range[64];
    *text = 0;
    if (n->fewest == 0) return text;
    snprintf(range, sizeof range, "%" PRId64 " to %" PRId64, n->fewest, n->most);
    if (n->fewest == n->most) snprintf(range, sizeof range, "%" PRId64, n->fewest);
    snprintf(text, 320,
             "A dash (-) for an interval: it wants %d groups (documents, rows or stretches of the "
             "stream) that say as much as %d equal ones, and there are %s%s. From fewer "
             "it would hold the truth less often than it says.",
             EM_INTERVAL_GROUPS, EM_INTERVAL_EFFECTIVE_GROUPS, range,
             n->fewest >= EM_INTERVAL_GROUPS ? ", too unequal" : "");
    return text;
}

void em_section_no_intervals(const em_results *r, em_page *p) {
    em_no_intervals lacking = {0};
    char text[320];
    for (int i = 0; i < r->n_comparisons; i++) {
        const em_comparison *x = &r->comparisons[i];
        em_no_intervals_add(&lacking, &x->all);
        if (of_masks(x)) em_no_intervals_add(&lacking, &x->affected);
        if (x->has_common) em_no_intervals_add(&lacking, &x->common);
    }
    if (*em_no_intervals_text(&lacking, text)) em_page_paragraph(p, "%s", text);
}
