/* Sections that show results by themselves. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "reports/sections/gates.h"
#include "reports/sections/sections.h"

static bool is(const char *a, const char *b) { return !strcmp(a, b); }

void em_section_losses(const em_results *r, const em_shown *s, em_page *p) {
    static const char *const columns[] = {"Loss", "± SE", "Batch mean", "Doc mean", "In-doc"};
    em_keys k = em_result_keys(s);
    em_table t = em_keyed_table(k, columns, 5);
    for (int i = 0; i < r->n_results; i++) {
        const em_result *x = &r->results[i];
        if (x->has_alpha) continue;
        em_result_key_cells(&t, k, x, true);
        em_number_cell(&t, x->loss, 4);
        em_number_cell(&t, x->stderr_, 4);
        em_number_cell(&t, x->loss_batch_mean, 4);
        em_number_cell(&t, x->loss_doc_mean, 4);
        em_number_cell(&t, x->loss_no_boundary, 4);
    }
    em_page_table(p, &t);
}

void em_section_other_figures(const em_results *r, const em_shown *s, em_page *p) {
    static const char *const columns[] = {"Perplexity", "Bits/byte", "with EOS", "Top-1", "Scored"};
    em_keys k = em_result_keys(s);
    em_table t = em_keyed_table(k, columns, 5);
    for (int i = 0; i < r->n_results; i++) {
        const em_result *x = &r->results[i];
        if (x->has_alpha) continue;
        em_result_key_cells(&t, k, x, true);
        em_number_cell(&t, x->perplexity, 3);
        em_number_cell(&t, x->bits_per_byte, 4);
        em_number_cell(&t, x->bits_per_byte_all, 4);
        em_percent_cell(&t, x->top1);
        em_integer_cell(&t, x->predictions);
    }
    em_page_heading(p, 2, "Other figures");
    em_page_table(p, &t);
}

/* A loud note says that a figure is not what it seems. */
static bool loud(const char *note) {
    return !strncmp(note, "LEAK", 4) || !strncmp(note, "PARTIAL", 7);
}

void em_section_notes(const em_results *r, em_page *p) {
    if (r->n_notes == 0) return;
    const char **some = em_alloc((size_t)r->n_notes, sizeof *some, "notes", NULL);
    if (!some) return;
    if (p->face == EM_FACE_PLAIN) {
        em_page_notes(p, false, (const char *const *)r->notes, r->n_notes);
    } else {
        for (int pass = 0; pass < 2; pass++) {
            int n = 0;
            for (int i = 0; i < r->n_notes; i++)
                if (loud(r->notes[i]) == (pass == 0)) some[n++] = r->notes[i];
            em_page_notes(p, pass == 0, some, n);
        }
    }
    free(some);
}

void em_section_gates(const em_results *r, em_page *p) { em_gates_page(r->gates, r->n_gates, p); }

void em_section_means(const em_results *r, const em_shown *s, em_page *p) {
    if (r->n_means == 0) return;
    static const char *const columns[] = {"Macro mean", "Micro mean"};
    em_keys k = em_result_keys(s);
    k.data_sets = false;
    em_page_heading(p, 2, "Over the data sets");
    em_table t = em_keyed_table(k, columns, 2);
    for (int i = 0; i < r->n_means; i++) {
        const em_mean *m = &r->means[i];
        if (m->has_alpha) continue;
        em_result x = {.depth = m->depth, .seq_len = m->seq_len};
        memcpy(x.model, m->model, sizeof x.model);
        memcpy(x.mask, m->mask, sizeof x.mask);
        memcpy(x.labels, m->labels, sizeof x.labels);
        memcpy(x.positions, m->positions, sizeof x.positions);
        em_result_key_cells(&t, k, &x, false);
        em_number_cell(&t, m->macro, 4);
        em_number_cell(&t, m->micro, 4);
    }
    em_page_table(p, &t);
    em_page_paragraph(p, "Macro: mean of the data sets' losses. Micro: mean over all predictions.");
}

/* ---- repeated trainings ---- */

static bool same_training(const em_result *a, const em_result *b) {
    return is(a->group, b->group) && is(a->data_set, b->data_set) && is(a->mask, b->mask) &&
           is(a->labels, b->labels) && is(a->positions, b->positions) && a->depth == b->depth &&
           a->seq_len == b->seq_len;
}

static void group_row(em_table *t, em_keys k, const em_results *r, const em_result *first) {
    double sum = 0, squares = 0, least = INFINITY, most = -INFINITY;
    int n = 0;
    for (const em_result *x = first; x < r->results + r->n_results; x++) {
        if (x->has_alpha || !same_training(x, first)) continue;
        n++;
        sum += x->loss;
        least = fmin(least, x->loss);
        most = fmax(most, x->loss);
    }
    for (const em_result *x = first; x < r->results + r->n_results; x++)
        if (!x->has_alpha && same_training(x, first))
            squares += (x->loss - sum / n) * (x->loss - sum / n);
    em_text_cell(t, first->group);
    em_result_key_cells(t, k, first, true);
    em_integer_cell(t, n);
    em_number_cell(t, sum / n, 4);
    em_number_cell(t, n > 1 ? sqrt(squares / (n - 1)) : NAN, 4);
    em_number_cell(t, least, 4);
    em_number_cell(t, most, 4);
}

static bool first_of_training(const em_results *r, int i) {
    const em_result *x = &r->results[i];
    if (x->has_alpha || !*x->group) return false;
    for (int k = 0; k < i; k++)
        if (!r->results[k].has_alpha && same_training(&r->results[k], x)) return false;
    return true;
}

static em_table groups_table(em_keys k) {
    static const char *const columns[] = {"Models", "Mean loss", "SD", "Least", "Most"};
    em_table plain = em_keyed_table(k, columns, 5),
             t = em_table_open(plain.left + 1, plain.columns + 1);
    em_text_cell(&t, "Group");
    em_buffer_append(&t.cells, plain.cells.data, plain.cells.length, NULL);
    t.n += plain.n;
    em_table_free(&plain);
    return t;
}

void em_section_groups(const em_results *r, const em_shown *s, em_page *p) {
    em_keys k = em_result_keys(s);
    k.models = false;
    em_table t = groups_table(k);
    for (int i = 0; i < r->n_results; i++)
        if (first_of_training(r, i)) group_row(&t, k, r, &r->results[i]);
    if (em_table_rows(&t) == 0) {
        em_table_free(&t);
        return;
    }
    em_page_heading(p, 2, "Repeated trainings");
    em_page_table(p, &t);
    em_page_paragraph(p, "SD: standard deviation of the loss over the models of a group.");
}

void em_section_leaks(const em_results *r, const em_shown *s, em_page *p) {
    static const char *const columns[] = {"Direct", "Loss", "Indirect", "Loss", "Clean", "Loss"};
    em_keys k = em_result_keys(s);
    em_table t = em_keyed_table(k, columns, 6);
    for (int i = 0; i < r->n_results; i++) {
        const em_result *x = &r->results[i];
        const em_slice *parts[3] = {&x->direct, &x->indirect, &x->clean};
        if (!x->leak || x->has_alpha) continue;
        em_result_key_cells(&t, k, x, false);
        for (int j = 0; j < 3; j++) {
            em_integer_cell(&t, parts[j]->predictions);
            em_number_cell(&t, em_slice_loss(parts[j]), 4);
        }
    }
    if (em_table_rows(&t) == 0) {
        em_table_free(&t);
        return;
    }
    em_page_heading(p, 2, "Positions that can see their label");
    em_page_table(p, &t);
}
