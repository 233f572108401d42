/* Documents' losses, before against after: one mark a document, thinned where there are many. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "reports/pages/plot.h"
#include "reports/results/documents.h"
#include "reports/sections/plots.h"

enum { MOST_MARKS = 1500, MOST_PLOTS = 6 };

static bool is(const char *a, const char *b) { return !strcmp(a, b); }

typedef struct mark {
    int64_t document, predictions;
    double before, after;
    char subset[32];
} mark;

typedef struct scatter {
    const em_comparison *comparison;
    int before, after; /* columns of the sidecar */
    mark *marks;       /* owned, [2 * MOST_MARKS] */
    int n;
    int64_t seen, every; /* documents with predictions, of which each `every`th is kept */
} scatter;

/* The result that is one side of a comparison. */
static int side(const em_results *r, const em_comparison *c, bool after) {
    for (int i = 0; i < r->n_results; i++) {
        const em_result *x = &r->results[i];
        if (!x->has_alpha && is(x->data_set, c->data_set) &&
            is(x->model, after ? c->after : c->before) &&
            is(x->mask, after ? c->mask : c->mask_before) && is(x->labels, c->labels) &&
            is(x->positions, after ? c->positions : c->positions_before) && x->depth == c->depth &&
            x->seq_len == c->seq_len)
            return i;
    }
    return -1;
}

/* Models first, then masks: what people ask for first. */
static int choose(const em_results *r, bool lengths, scatter *out, em_error *err) {
    static const em_comparison_kind kinds[] = {EM_COMPARE_MODELS, EM_COMPARE_MASKS};
    int n = 0;
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < r->n_comparisons && n < MOST_PLOTS; i++) {
            const em_comparison *c = &r->comparisons[i];
            int before = side(r, c, false), after = side(r, c, true);
            if (c->kind != kinds[k] || c->has_alpha || before < 0 || after < 0) continue;
            out[n] = (scatter){.comparison = c,
                               .every = 1,
                               .before = em_documents_column(r, before, lengths),
                               .after = em_documents_column(r, after, lengths)};
            out[n].marks = em_alloc(2 * MOST_MARKS, sizeof *out->marks, "a plot", err);
            if (!out[n++].marks) return -1;
        }
    return n;
}

/* Keeps every second of the marks. */
static void thin(scatter *s) {
    for (int i = 0; 2 * i < s->n; i++) s->marks[i] = s->marks[2 * i];
    s->n = (s->n + 1) / 2;
    s->every *= 2;
}

static void add(scatter *s, const em_document_line *line) {
    int64_t before = line->predictions[s->before], after = line->predictions[s->after];
    if (before == 0 || after == 0 || s->seen++ % s->every) return;
    mark *m = &s->marks[s->n++];
    *m = (mark){.document = line->document,
                .predictions = after,
                .before = line->nll[s->before] / (double)before,
                .after = line->nll[s->after] / (double)after};
    snprintf(m->subset, sizeof m->subset, "%s", line->subset);
    if (s->n == 2 * MOST_MARKS) thin(s);
}

static bool gather(const char *path, scatter *scatters, int n, em_error *err) {
    em_document_line line;
    int got = -1;
    em_documents *d = em_documents_open(path, err);
    while (d && (got = em_documents_next(d, &line, err)) == 1)
        for (int i = 0; i < n; i++) {
            scatter *s = &scatters[i];
            if (!is(line.data_set, s->comparison->data_set) ||
                (line.seq_len && line.seq_len != s->comparison->seq_len))
                continue;
            if (s->before >= line.n || s->after >= line.n) {
                em_fail_at(err, EM_INPUT, path, 0, -1,
                           "has %d results a document, fewer than the results file: it belongs to "
                           "another run",
                           line.n);
                em_documents_close(d);
                return false;
            }
            add(s, &line);
        }
    em_documents_close(d);
    return got == 0;
}

static void side_label(const em_shown *s, const em_results *r, const em_comparison *c, bool after,
                       char *out, size_t n) {
    em_buffer b = {0};
    em_result_label(s, &r->results[side(r, c, after)], &b);
    snprintf(out, n, "%s (nats)", b.data);
    em_buffer_free(&b);
}

static void print(const scatter *s, const em_results *r, const em_shown *shown, em_page *p) {
    char x_label[200], y_label[200];
    em_buffer title = {0};
    side_label(shown, r, s->comparison, false, x_label, sizeof x_label);
    side_label(shown, r, s->comparison, true, y_label, sizeof y_label);
    em_comparison_label(shown, s->comparison, &title);
    if (s->every > 1)
        em_buffer_printf(&title, " (%d of %" PRId64 " documents: every %" PRId64 "th)", s->n,
                         s->seen, s->every);
    else em_buffer_printf(&title, " (%" PRId64 " documents)", s->seen);
    em_plot plot = {.title = title.data, .x_label = x_label, .y_label = y_label, .diagonal = true};
    em_series *series = em_plot_series(&plot, "documents");
    for (int i = 0; i < s->n; i++) {
        const mark *m = &s->marks[i];
        em_buffer text = {0};
        em_buffer_printf(
            &text, "document %" PRId64 "%s%s%s: %.4f before, %.4f after, %" PRId64 " predictions",
            m->document, *m->subset ? " (" : "", m->subset, *m->subset ? ")" : "", m->before,
            m->after, m->predictions);
        em_series_add(
            series,
            (em_point){.x = m->before, .y = m->after, .low = NAN, .high = NAN, .title = text.data});
    }
    em_plot_print(&plot, p->out);
    em_buffer_free(&title);
}

bool em_plot_documents(const em_results *r, const em_shown *s, const char *documents, em_page *p,
                       em_error *err) {
    scatter scatters[MOST_PLOTS];
    if (p->face != EM_FACE_HTML || !documents || r->n_comparisons == 0) return true;
    int n = choose(r, s->lengths, scatters, err);
    bool good = n > 0 && gather(documents, scatters, n, err);
    if (good) {
        em_page_heading(p, 2, "Document by document");
        em_buffer_puts(p->out, "<div class=\"plots\">\n");
        for (int i = 0; i < n; i++) print(&scatters[i], r, s, p);
        em_buffer_puts(p->out, "</div>\n");
        em_page_paragraph(p, "One mark a document: its mean loss on one side against the other. "
                             "Above the line it got worse.");
    }
    for (int i = 0; i < n; i++) free(scatters[i].marks);
    return good || n == 0;
}
