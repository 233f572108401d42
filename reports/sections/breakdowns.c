/* Losses and differences by subset, by position in the document, on and off document boundaries:
 * one column a result or comparison. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "reports/sections/plots.h"
#include "reports/sections/sections.h"

enum { MANY_ROWS = 20 }; /* more are folded */

static bool is(const char *a, const char *b) { return !strcmp(a, b); }

/* One column: the slices of a result, or of a comparison's differences. */
typedef struct column {
    const em_slice *subsets, *positions;
    int n_subsets, n_positions;
    const em_comparison *comparison;
    char *label;
} column;

/* Of one data set: their subsets are the same ones. */
typedef struct columns {
    column *columns;
    int n;
    const char *data_set;
    bool differences;
} columns;

static void columns_free(columns *c) {
    for (int i = 0; i < c->n; i++) free(c->columns[i].label);
    free(c->columns);
}

static columns new_columns(int n, const char *data_set, bool differences) {
    return (columns){.columns = em_alloc((size_t)n, sizeof(column), "a table", NULL),
                     .data_set = data_set,
                     .differences = differences};
}

static columns of_results(const em_results *r, em_shown s, const char *data_set) {
    columns c = new_columns(r->n_results, data_set, false);
    s.data_sets = false;
    for (int i = 0; i < r->n_results && c.columns; i++) {
        const em_result *x = &r->results[i];
        em_buffer label = {0};
        if (x->has_alpha || !is(x->data_set, data_set)) continue;
        em_result_label(&s, x, &label);
        c.columns[c.n++] = (column){x->subsets,       x->by_position, x->n_subsets,
                                    x->n_by_position, NULL,           label.data};
    }
    return c;
}

static columns of_comparisons(const em_results *r, em_shown s, const char *data_set) {
    columns c = new_columns(r->n_comparisons, data_set, true);
    s.data_sets = false;
    for (int i = 0; i < r->n_comparisons && c.columns; i++) {
        const em_comparison *x = &r->comparisons[i];
        em_buffer label = {0};
        if (x->has_alpha || !is(x->data_set, data_set)) continue;
        em_comparison_label(&s, x, &label);
        c.columns[c.n++] = (column){x->subsets, x->by_position, x->n_subsets, x->n_by_position,
                                    x,          label.data};
    }
    return c;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const em_slice *)a)->name, ((const em_slice *)b)->name);
}

/* Binary search: there may be tens of thousands. */
static const em_slice *subset_of(const column *c, char *name) {
    em_slice key = {.name = name};
    return c->n_subsets ? bsearch(&key, c->subsets, (size_t)c->n_subsets, sizeof key, by_name)
                        : NULL;
}

static const em_slice *position_of(const column *c, int64_t from) {
    for (int i = 0; i < c->n_positions; i++)
        if (c->positions[i].from == from) return &c->positions[i];
    return NULL;
}

static void slice_cell(em_table *t, const columns *c, const em_slice *x) {
    double value = x ? em_slice_loss(x) : NAN;
    if (c->differences) em_signed_cell(t, value, 4);
    else em_number_cell(t, value, 4);
}

static em_table new_table(const columns *c, const char *what, const char *count) {
    em_table t = em_table_open(1, c->n + 2);
    em_text_cell(&t, what);
    em_text_cell(&t, count);
    for (int i = 0; i < c->n; i++) em_text_cell(&t, c->columns[i].label);
    return t;
}

static bool named(const columns *c) {
    for (int i = 0; i < c->n; i++)
        for (int k = 0; k < c->columns[i].n_subsets; k++)
            if (*c->columns[i].subsets[k].name) return true;
    return false;
}

static void subsets(const columns *c, em_page *p) {
    const column *lead = c->columns;
    em_table t = new_table(c, "Subset", "Documents");
    for (int k = 0; k < lead->n_subsets; k++) {
        char *name = lead->subsets[k].name;
        em_text_cell(&t, *name ? name : "(none)");
        em_integer_cell(&t, lead->subsets[k].documents);
        for (int i = 0; i < c->n; i++) slice_cell(&t, c, subset_of(&c->columns[i], name));
    }
    bool fold = em_table_rows(&t) > MANY_ROWS;
    char summary[48];
    snprintf(summary, sizeof summary, "%d subsets", em_table_rows(&t));
    if (fold) em_page_fold(p, summary);
    em_page_table(p, &t);
    if (fold) em_page_unfold(p);
}

static void positions(const columns *c, em_page *p) {
    const column *lead = c->columns;
    em_table t = new_table(c, "In document", "Scored");
    for (int k = 0; k < lead->n_positions; k++) {
        const em_slice *x = &lead->positions[k];
        char text[64];
        if (x->to == x->from + 1) snprintf(text, sizeof text, "%" PRId64, x->from);
        else snprintf(text, sizeof text, "%" PRId64 " to %" PRId64, x->from, x->to - 1);
        em_text_cell(&t, text);
        em_integer_cell(&t, x->predictions);
        for (int i = 0; i < c->n; i++) slice_cell(&t, c, position_of(&c->columns[i], x->from));
    }
    em_page_table(p, &t);
}

static void boundaries(const columns *c, em_page *p) {
    em_table t = new_table(c, "Label", "Scored");
    for (int row = 0; row < 2; row++) {
        const em_comparison *lead = c->columns->comparison;
        em_text_cell(&t, row ? "in the same document" : "in another document");
        em_integer_cell(&t, (row ? &lead->inside : &lead->boundary)->predictions);
        for (int i = 0; i < c->n; i++) {
            const em_comparison *x = c->columns[i].comparison;
            slice_cell(&t, c, row ? &x->inside : &x->boundary);
        }
    }
    em_page_table(p, &t);
}

/* Calls print for each data set's columns. */
static void each_set(const em_results *r, const em_shown *s,
                     columns (*make)(const em_results *, em_shown, const char *),
                     bool (*wanted)(const columns *), void (*print)(const columns *, em_page *),
                     const char *title, em_page *p) {
    for (int d = 0; d < r->n_data_sets; d++) {
        columns c = make(r, *s, r->data_sets[d].name);
        if (c.n && (!wanted || wanted(&c))) {
            if (title) em_page_heading(p, 2, "%s", title);
            title = NULL;
            if (r->n_data_sets > 1) em_page_heading(p, 3, "%s", r->data_sets[d].name);
            print(&c, p);
        }
        columns_free(&c);
    }
}

void em_section_breakdowns(const em_results *r, const em_shown *s, em_page *p) {
    each_set(r, s, of_results, named, subsets, "By subset", p);
    each_set(r, s, of_comparisons, named, subsets, "Differences by subset", p);
    em_plot_subsets(r, s, p);
    each_set(r, s, of_results, NULL, positions, "By position in the document", p);
    em_plot_positions(r, s, p);
    each_set(r, s, of_comparisons, NULL, positions, "Differences by position in the document", p);
    each_set(r, s, of_comparisons, NULL, boundaries, "Differences at document boundaries", p);
}
