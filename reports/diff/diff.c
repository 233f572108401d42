#include "reports/diff/diff.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/interval.h"
#include "common/size.h"
#include "reports/results/documents.h"
#include "reports/results/names.h"
#include "reports/results/read.h"

/* ---- paired by document ---- */

typedef struct sums {
    int64_t predictions;
    double nll;
} sums;

/* What gathers as the documents of one row of the report come by. */
typedef struct gathering {
    em_diff_row *row;
    int columns[2]; /* in the lines of before and after; -1: not known yet */
    sums totals[2];
    double difference; /* sum */
    em_grouped groups;
} gathering;

/* One of the two sidecars, at one data set and row length. */
typedef struct reader {
    const em_diff_side *side;
    em_documents *file;
    const em_result *lead; /* whose data set and row length the lines are of */
    em_document_line line;
    int64_t number; /* of the line */
    bool more;      /* a line is at hand */
} reader;

static const em_result *result_of(const reader *r, const gathering *g, int side) {
    return &r->side->results->results[side ? g->row->pair.after : g->row->pair.before];
}

static bool foreign(const reader *r, em_error *err, const char *what) {
    return em_fail_at(err, EM_INPUT, r->side->documents, r->number, -1,
                      "%s: this is not the file that was written with %s; "
                      "keep the two together, or remove it to compare unpaired",
                      what, r->side->name);
}

/* To the next line of the lead's data set and row length. */
static bool advance(reader *r, em_error *err) {
    int64_t last = r->more ? r->line.document : -1;
    int got;
    while ((got = em_documents_next(r->file, &r->line, err)) > 0) {
        r->number++;
        if (strcmp(r->line.data_set, r->lead->data_set) ||
            (r->line.seq_len && r->line.seq_len != r->lead->seq_len))
            continue;
        r->more = true;
        return r->line.document > last || foreign(r, err, "documents do not ascend");
    }
    r->more = false;
    return got == 0;
}

static bool find_columns(const reader *r, int side, gathering *gather, int n, em_error *err) {
    for (int i = 0; i < n; i++) {
        int index = (int)(result_of(r, &gather[i], side) - r->side->results->results);
        if (gather[i].columns[side] < 0)
            gather[i].columns[side] = em_documents_column(r->side->results, index,
                                                          r->line.seq_len > 0);
        if (gather[i].columns[side] >= r->line.n)
            return foreign(r, err, "there are fewer results in the line");
    }
    return true;
}

/* The document's sums in one row; none where the line at hand is not the document's. */
static sums document_sums(const reader *r, int side, const gathering *g, int64_t document) {
    if (!r->more || r->line.document != document) return (sums){0, 0};
    int c = g->columns[side];
    return (sums){r->line.predictions[c], r->line.nll[c]};
}

static bool add_document(const reader readers[2], gathering *g, int64_t document, em_error *err) {
    sums a = document_sums(&readers[0], 0, g, document),
         b = document_sums(&readers[1], 1, g, document);
    if (a.predictions != b.predictions)
        return em_fail_at(err, EM_INPUT, readers[1].side->documents, 0, -1,
                          "document %" PRId64 " has %" PRId64 " predictions and %" PRId64
                          " in %s, though the data fingerprints agree; each sidecar must be the "
                          "one written with its results",
                          document, b.predictions, a.predictions, readers[0].side->documents);
    if (a.predictions == 0) return true;
    g->totals[0] = (sums){g->totals[0].predictions + a.predictions, g->totals[0].nll + a.nll};
    g->totals[1] = (sums){g->totals[1].predictions + b.predictions, g->totals[1].nll + b.nll};
    double difference = b.nll - a.nll;
    g->difference += difference;
    em_grouped_add(&g->groups, difference, a.predictions);
    return true;
}

static bool same_loss(const sums *s, const em_result *x) {
    double loss = s->predictions ? s->nll / (double)s->predictions : NAN;
    if (s->predictions != x->predictions || isfinite(loss) != isfinite(x->loss)) return false;
    return !isfinite(loss) || fabs(loss - x->loss) <= 1e-9 * (1 + fabs(loss));
}

static bool finish_row(const reader readers[2], gathering *g, em_error *err) {
    for (int side = 0; side < 2; side++)
        if (!same_loss(&g->totals[side], result_of(&readers[side], g, side)))
            return em_fail_at(
                err, EM_INPUT, readers[side].side->documents, 0, -1,
                "its sums do not give the losses of %s: the two are "
                "not of one run; keep the pair together, or remove this file to compare unpaired",
                readers[side].side->name);
    em_difference *f = &g->row->figures;
    g->row->paired = true;
    f->groups = g->groups.n;
    f->stderr_ = em_grouped_stderr(&g->groups, f->difference, f->predictions);
    em_interval interval = em_grouped_interval(&g->groups);
    f->low = interval.low;
    f->high = interval.high;
    f->documents_to_resolve = em_documents_to_resolve(f->groups, f->difference, f->stderr_);
    return true;
}

static bool read_documents(reader readers[2], gathering *gather, int n, em_error *err) {
    if (!advance(&readers[0], err) || !advance(&readers[1], err)) return false;
    while (readers[0].more || readers[1].more) {
        int64_t document = INT64_MAX;
        for (int side = 0; side < 2; side++) {
            const reader *r = &readers[side];
            if (!r->more) continue;
            if (!find_columns(r, side, gather, n, err)) return false;
            if (r->line.document < document) document = r->line.document;
        }
        for (int i = 0; i < n; i++)
            if (!add_document(readers, &gather[i], document, err)) return false;
        for (int side = 0; side < 2; side++)
            if (readers[side].more && readers[side].line.document == document &&
                !advance(&readers[side], err))
                return false;
    }
    for (int i = 0; i < n; i++)
        if (!finish_row(readers, &gather[i], err)) return false;
    return true;
}

static const em_result *before_of(const em_diff *d, int row) {
    return &d->before.results->results[d->rows[row].pair.before];
}
static const em_result *after_of(const em_diff *d, int row) {
    return &d->after.results->results[d->rows[row].pair.after];
}

static bool same_stream(const em_result *a, const em_result *b) {
    return !strcmp(a->data_set, b->data_set) && a->seq_len == b->seq_len;
}

/* Rows that the same lines of both sidecars are about, from row `first` on. */
static int gather_rows(const em_diff *d, int first, gathering *gather) {
    int n = 0;
    for (int i = first; i < d->pairing.n_pairs; i++) {
        if (!same_stream(before_of(d, i), before_of(d, first)) ||
            !same_stream(after_of(d, i), after_of(d, first)))
            continue;
        if (strcmp(before_of(d, i)->fingerprints.data, after_of(d, i)->fingerprints.data)) continue;
        if (gather) gather[n] = (gathering){.row = &d->rows[i], .columns = {-1, -1}};
        n++;
    }
    return n;
}

static bool pair_rows(em_diff *d, int first, em_error *err) {
    int n = gather_rows(d, first, NULL);
    gathering *gather = em_alloc((size_t)n, sizeof *gather, "paired differences", err);
    if (!gather) return false;
    gather_rows(d, first, gather);
    reader readers[2] = {{.side = &d->before, .lead = before_of(d, first)},
                         {.side = &d->after, .lead = after_of(d, first)}};
    bool good = (readers[0].file = em_documents_open(d->before.documents, err)) &&
                (readers[1].file = em_documents_open(d->after.documents, err)) &&
                read_documents(readers, gather, n, err);
    em_documents_close(readers[0].file);
    em_documents_close(readers[1].file);
    free(gather);
    return good;
}

/* ---- all rows ---- */

static void unpaired_figures(em_diff *d, int row) {
    const em_result *a = before_of(d, row), *b = after_of(d, row);
    em_difference *f = &d->rows[row].figures;
    f->predictions = b->predictions;
    f->groups = b->groups;
    f->difference = b->loss - a->loss;
    f->stderr_ = sqrt(a->stderr_ * a->stderr_ + b->stderr_ * b->stderr_);
    f->low = f->high = NAN;
    f->documents_to_resolve = em_documents_to_resolve(b->documents, f->difference, f->stderr_);
}

static bool pair_all(em_diff *d, em_error *err) {
    if (!d->before.documents || !d->after.documents) return true;
    for (int i = 0; i < d->pairing.n_pairs; i++) {
        bool same_data = !strcmp(before_of(d, i)->fingerprints.data,
                                 after_of(d, i)->fingerprints.data);
        if (same_data && !d->rows[i].paired && !pair_rows(d, i, err)) return false;
    }
    return true;
}

bool em_diff_read(const char *path, em_results *out, char **documents, em_error *err) {
    *documents = NULL;
    if (!em_results_read(path, out, err)) return false;
    if (out->partial)
        return em_fail_at(err, EM_INPUT, path, 0, -1,
                          "these are the figures of an interrupted run: let it run to its end");
    char *beside = em_documents_path(path);
    if (beside && access(beside, F_OK) == 0) *documents = beside;
    else free(beside);
    return true;
}

bool em_diff_make(em_diff *d, em_diff_side before, em_diff_side after, em_error *err) {
    *d = (em_diff){.before = before, .after = after};
    if (!em_pairing_make(&d->pairing, before.results, after.results, err)) return false;
    d->rows = em_alloc((size_t)d->pairing.n_pairs, sizeof *d->rows, "differences", err);
    if (!d->rows) return false;
    for (int i = 0; i < d->pairing.n_pairs; i++) {
        d->rows[i].pair = d->pairing.pairs[i];
        unpaired_figures(d, i);
    }
    return pair_all(d, err);
}

void em_diff_free(em_diff *d) {
    em_pairing_free(&d->pairing);
    free(d->rows);
    *d = (em_diff){0};
}

bool em_diff_comparable(const em_diff *d, const char *hint, em_error *err) {
    int other = 0;
    em_buffer text = {0};
    for (int i = 0; i < d->pairing.n_pairs; i++) {
        if (d->rows[i].pair.likeness != EM_OTHER_MEASURE || other++) continue;
        em_result_name(d->before.results, before_of(d, i), &text);
        em_buffer_puts(&text, ": ");
        em_pair_differences(&d->pairing, &d->rows[i].pair, &text);
    }
    if (other > 1) em_buffer_printf(&text, "; and %d more", other - 1);
    if (other)
        em_fail(err, EM_USAGE, "%s and %s measured different things: %s; %s", d->before.name,
                d->after.name, text.data, hint);
    else if (d->pairing.n_pairs == 0)
        em_fail(err, EM_USAGE,
                "%s and %s have no result in common: no mask, labels, depth and alpha that one "
                "result of each has",
                d->before.name, d->after.name);
    em_buffer_free(&text);
    return other == 0 && d->pairing.n_pairs > 0;
}
