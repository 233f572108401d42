/* The protocol in words, and the fingerprints. */
#include <inttypes.h>
#include <string.h>

#include "reports/sections/sections.h"

static bool is(const char *a, const char *b) { return !strcmp(a, b); }

static void model_items(const em_results *r, em_page *p) {
    for (int i = 0; i < r->n_models; i++) {
        const em_model_line *m = &r->models[i];
        const char *fingerprint = "";
        for (int k = 0; k < r->n_results && !*fingerprint; k++)
            if (!r->results[k].has_alpha && is(r->results[k].model, m->name))
                fingerprint = r->results[k].fingerprints.model;
        em_page_item(
            p,
            "Model %s%s%s%s: %s, %.1f M parameters, %d layers, vocabulary of %d, fingerprint %s.",
            m->name, *m->group ? " (of " : "", m->group, *m->group ? ")" : "", m->family,
            (double)m->parameters / 1e6, m->layers, m->vocab, fingerprint);
    }
}

static void data_items(const em_results *r, em_page *p) {
    for (int i = 0; i < r->n_data_sets; i++) {
        const em_data_set *d = &r->data_sets[i];
        em_page_item(p,
                     "Data%s%s: %" PRId64 " documents (%" PRId64 " empty), %" PRId64
                     " tokens, %" PRId64 " bytes of text, %" PRId64 " rows in %" PRId64 " batches.",
                     *d->name ? " " : "", d->name, d->totals.documents, d->totals.empty_documents,
                     d->totals.tokens, d->totals.bytes, d->totals.rows, d->totals.batches);
    }
}

/* The result is the first of its data set with its labels: it speaks for the others. */
static bool first_of_labels(const em_results *r, int i) {
    for (int k = 0; k < i; k++)
        if (is(r->results[k].labels, r->results[i].labels) &&
            is(r->results[k].data_set, r->results[i].data_set))
            return false;
    return true;
}

static bool first_of_data_set(const em_results *r, int i) {
    for (int k = 0; k < i; k++)
        if (is(r->results[k].data_set, r->results[i].data_set)) return false;
    return true;
}

static bool same_mask(const em_result *a, const em_result *b) {
    return is(a->mask, b->mask) && is(a->positions, b->positions);
}

static bool first_of_mask(const em_results *r, int i) {
    for (int k = 0; k < i; k++)
        if (same_mask(&r->results[k], &r->results[i])) return false;
    return true;
}

static void boundary_item(const em_results *r, em_page *p) {
    em_buffer text = {0};
    bool keep = is(em_protocol_value(r, "boundary"), "keep");
    em_buffer_printf(&text,
                     "Boundary predictions (label in another document than the position's own "
                     "token; In-doc is the loss "
                     "without them): %s",
                     keep ? "counted" : "not counted");
    for (int i = 0; keep && i < r->n_results; i++) {
        const em_result *x = &r->results[i];
        if (!first_of_labels(r, i)) continue;
        em_buffer_printf(&text, ", %" PRId64 " of %" PRId64 " (%s%s%s)", x->boundary_predictions,
                         x->predictions, x->data_set, *x->data_set ? ", " : "", x->labels);
    }
    em_page_item(p, "%s.", text.data);
    em_buffer_free(&text);
}

/* A count that can differ by data set and, if asked, by labels: "12 tokens dropped", or "tokens
 * dropped: 12 in code, 7 in news". The first result of its kind speaks for the others. */
static void put_dropped(em_buffer *b, const em_results *r, const em_shown *s) {
    int n = 0;
    if (!s->data_sets && !s->labels) {
        em_buffer_printf(b, "%" PRId64 " tokens dropped", r->results->dropped_tokens);
        return;
    }
    em_buffer_puts(b, "tokens dropped:");
    for (int i = 0; i < r->n_results; i++) {
        const em_result *x = &r->results[i];
        if (s->labels ? !first_of_labels(r, i) : !first_of_data_set(r, i)) continue;
        em_buffer_printf(b, "%s %" PRId64, n++ ? "," : "", x->dropped_tokens);
        if (s->data_sets) em_buffer_printf(b, " in %s", x->data_set);
        if (s->labels) em_buffer_printf(b, " under %s", x->labels);
    }
}

static void put_lengths(em_buffer *b, const em_results *r) {
    for (int i = 0; i < r->n_results; i++) {
        bool first = true;
        for (int k = 0; k < i; k++) first &= r->results[k].seq_len != r->results[i].seq_len;
        if (first) em_buffer_printf(b, "%s%d", i ? ", " : "", r->results[i].seq_len);
    }
}

static const char *rows_words(const char *pack) {
    if (is(pack, "stream")) return "packed across documents";
    return is(pack, "none")
               ? "each document by itself"
               : "packed across documents and each document by itself, one after the other";
}

/* Strides and scored ranges, where they are asked for. */
static void put_row_choices(em_buffer *b, const em_results *r) {
    const char *stride = em_protocol_value(r, "stride"), *score = em_protocol_value(r, "score");
    if (*stride)
        em_buffer_printf(b, ", one every %s tokens, scoring what no earlier one has", stride);
    if (is(score, "half")) em_buffer_puts(b, ", of each the positions from T/2 on scored");
    else if (*score)
        em_buffer_printf(b, ", of each the last %s positions scored", score + strlen("last:"));
}

static void rows_item(const em_results *r, const em_shown *s, em_page *p) {
    em_buffer text = {0};
    bool pad = is(em_protocol_value(r, "tail"), "pad");
    em_buffer_puts(&text, "Rows: T = ");
    put_lengths(&text, r);
    put_row_choices(&text, r);
    em_buffer_printf(&text, ", B = %d, %s; the last, incomplete batch is %s (", r->results->batch,
                     rows_words(em_protocol_value(r, "pack")), pad ? "scored as it is" : "dropped");
    if (pad) em_buffer_puts(&text, "0 tokens dropped");
    else put_dropped(&text, r, s);
    em_page_item(p, "%s).", text.data);
    em_buffer_free(&text);
}

static void label_items(const em_results *r, em_page *p) {
    for (int i = 0; i < r->n_results; i++) {
        const em_result *x = &r->results[i];
        bool first = true;
        for (int k = 0; k < i; k++) first &= !is(r->results[k].labels, x->labels);
        if (first)
            em_page_item(p, "Labels %s: position i is scored on the token at i%+d%s%s%s.",
                         x->labels, x->offset, *x->offset_words ? ", " : "", x->offset_words,
                         is(x->window, "inside") ? "; windows stay inside the row" : "");
    }
}

/* Result i, the first of its mask and positions, speaks for them; its groups differ by data set and
 * row length. */
static void mask_item(const em_results *r, const em_shown *s, int i, em_page *p) {
    em_buffer text = {0};
    const em_result *first = &r->results[i];
    int n = 0;
    em_buffer_printf(&text, "Mask %s: %s%spositions %s; ± SE over ", first->mask, first->mask_words,
                     *first->mask_words ? "; " : "",
                     is(first->positions, "reset") ? "restart at every document"
                                                   : "run on through the row");
    for (int k = i; k < r->n_results; k++) {
        const em_result *x = &r->results[k];
        bool said = !same_mask(x, first);
        for (int j = i; j < k && !said; j++)
            said = same_mask(&r->results[j], first) && is(r->results[j].data_set, x->data_set) &&
                   r->results[j].seq_len == x->seq_len;
        if (said) continue;
        em_buffer_printf(&text, "%s%" PRId64 "%s", n ? ", " : "", x->groups,
                         n                    ? ""
                         : x->groups_are_rows ? " rows"
                                              : " documents");
        if (s->data_sets) em_buffer_printf(&text, " in %s", x->data_set);
        if (s->lengths) em_buffer_printf(&text, " at T = %d", x->seq_len);
        n++;
    }
    em_page_item(p, "%s.", text.data);
    em_buffer_free(&text);
}

static void fingerprints(const em_results *r, const em_shown *s, em_page *p) {
    static const char *const columns[] = {"Data", "Protocol"};
    em_keys k = em_result_keys(s);
    em_table t = em_keyed_table(k, columns, 2);
    for (int i = 0; i < r->n_results; i++) {
        const em_fingerprints *f = &r->results[i].fingerprints;
        if (r->results[i].has_alpha) continue;
        em_result_key_cells(&t, k, &r->results[i], false);
        em_text_cell(&t, f->data);
        em_text_cell(&t, f->protocol);
    }
    em_page_paragraph(p, "Fingerprints: two results measured the same thing where both agree.");
    em_page_table(p, &t);
}

void em_section_protocol(const em_results *r, const em_shown *s, em_page *p) {
    const em_result *x = &r->results[r->n_results - 1];
    em_page_heading(p, 2, "Protocol");
    model_items(r, p);
    data_items(r, p);
    em_page_item(p, "Tokenizer: %s. BOS: %s. EOS: %s.", em_protocol_value(r, "tokenizer"),
                 em_protocol_value(r, "bos"), em_protocol_value(r, "eos"));
    rows_item(r, s, p);
    label_items(r, p);
    for (int i = 0; i < r->n_results; i++)
        if (first_of_mask(r, i)) mask_item(r, s, i, p);
    boundary_item(r, p);
    em_page_item(p,
                 "Arithmetic: %s weights, %s products (--dtype %s), %s logits, sums in f64, on %s.",
                 x->weight_dtype, x->compute_dtype, em_protocol_value(r, "dtype"), x->logit_dtype,
                 em_protocol_value(r, "device"));
    em_page_end_list(p);
    fingerprints(r, s, p);
    em_page_paragraph(p, "evalmask %s", em_results_version(r));
}
