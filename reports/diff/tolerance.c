#include "reports/diff/tolerance.h"

#include <math.h>
#include <string.h>

#include "reports/results/names.h"

static const em_result *before_of(const em_diff *d, const em_diff_row *row) {
    return &d->before.results->results[row->pair.before];
}
static const em_result *after_of(const em_diff *d, const em_diff_row *row) {
    return &d->after.results->results[row->pair.after];
}

/* In nats; NaN where there is no standard error. */
static double allowed(const em_diff_row *row, em_tolerance tolerance) {
    double nats = tolerance.standard_errors ? tolerance.value * row->figures.stderr_
                                            : tolerance.value;
    return row->pair.likeness == EM_OTHER_DTYPE && nats < EM_DTYPE_TOLERANCE ? EM_DTYPE_TOLERANCE
                                                                             : nats;
}

static void say_change(em_buffer *text, const em_diff_row *row, double nats) {
    double by = row->figures.difference;
    if (by == 0) em_buffer_puts(text, "the same loss");
    else em_buffer_printf(text, "%s by %.5f nats", by > 0 ? "worse" : "better", fabs(by));
    if (row->paired && isfinite(row->figures.stderr_))
        em_buffer_printf(text, " ± %.5f (paired by document)", row->figures.stderr_);
    em_buffer_printf(text, "; the tolerance is %.5f", nats);
    if (row->pair.likeness == EM_OTHER_DTYPE)
        em_buffer_printf(text, ", at least %g where only the dtype differs", EM_DTYPE_TOLERANCE);
}

/* Why the row cannot be judged; NULL: it can. */
static const char *unfit(const em_diff *d, const em_diff_row *row, double nats) {
    if (!isfinite(before_of(d, row)->loss))
        return "the baseline's loss is no number; make a new baseline";
    if (!isfinite(after_of(d, row)->loss)) return "the loss is no number";
    if (isnan(nats))
        return "there is no standard error over fewer than two documents; give a tolerance in nats";
    return NULL;
}

static void judge_row(const em_diff *d, const em_diff_row *row, const char *name,
                      em_tolerance tolerance, em_results *verdicts) {
    double nats = allowed(row, tolerance);
    const char *problem = unfit(d, row, nats);
    em_buffer text = {0};
    if (row->pair.likeness == EM_OTHER_MEASURE) {
        em_buffer_puts(&text, "not comparable: ");
        em_pair_differences(&d->pairing, &row->pair, &text);
        problem = text.data;
    } else if (!problem) say_change(&text, row, nats);
    bool passed = !problem && row->figures.difference <= nats;
    em_gate *gate = em_results_gate(verdicts, passed, name, "%s", problem ? problem : text.data);
    gate->baseline = before_of(d, row)->loss;
    gate->current = after_of(d, row)->loss;
    if (row->pair.likeness != EM_OTHER_MEASURE) {
        gate->difference = row->figures.difference;
        gate->tolerance = nats;
    }
    em_buffer_free(&text);
}

static void notes(const em_diff *d, em_results *verdicts) {
    em_buffer text = {0};
    int dtypes = 0;
    for (int i = 0; i < d->pairing.n_pairs; i++)
        dtypes += d->rows[i].pair.likeness == EM_OTHER_DTYPE;
    if (dtypes)
        em_results_note(verdicts,
                        "%d of %d results differ from the baseline's protocol in the dtype of the "
                        "arithmetic alone: held to a "
                        "tolerance of at least %g nats.",
                        dtypes, d->pairing.n_pairs, EM_DTYPE_TOLERANCE);
    for (int i = 0; i < d->pairing.n_after_alone; i++) {
        em_buffer_puts(&text, i ? "; " : "");
        em_result_name(d->after.results, &d->after.results->results[d->pairing.after_alone[i]],
                       &text);
    }
    if (text.length)
        em_results_note(verdicts, "Not in the baseline, so not held to it: %s.", text.data);
    em_buffer_free(&text);
}

static const em_diff_row *row_of(const em_diff *d, int before) {
    for (int i = 0; i < d->pairing.n_pairs; i++)
        if (d->rows[i].pair.before == before) return &d->rows[i];
    return NULL;
}

static bool need_sidecars(const em_diff *d, em_tolerance tolerance, em_error *err) {
    if (!tolerance.standard_errors) return true;
    const em_diff_side *without = !d->before.documents  ? &d->before
                                  : !d->after.documents ? &d->after
                                                        : NULL;
    return !without ||
           em_fail(err, EM_INPUT,
                   "%s: a tolerance in standard errors wants the sums by document, and no "
                   ".documents.jsonl.zst "
                   "lies beside it; keep the two files together, or give a tolerance in nats",
                   without->name);
}

/* One line for stderr; the report has the rest. */
static bool outcome(const em_results *verdicts, int first_gate, em_error *err) {
    int failed = 0, n = verdicts->n_gates - first_gate;
    const em_gate *first = NULL;
    for (int i = first_gate; i < verdicts->n_gates; i++) {
        if (verdicts->gates[i].passed || failed++) continue;
        first = &verdicts->gates[i];
    }
    return !failed || em_fail(err, EM_GATE, "%d of %d gates failed: %s: %s", failed, n, first->name,
                              first->message);
}

bool em_tolerance_judge(const em_diff *d, em_tolerance tolerance, em_results *verdicts,
                        em_error *err) {
    int first_gate = verdicts->n_gates;
    em_buffer name = {0};
    if (!need_sidecars(d, tolerance, err)) return false;
    for (int i = 0; i < d->before.results->n_results; i++) {
        const em_result *x = &d->before.results->results[i];
        const em_diff_row *row = row_of(d, i);
        em_buffer_clear(&name);
        em_result_name(d->before.results, x, &name);
        if (row) judge_row(d, row, name.data, tolerance, verdicts);
        else
            em_results_gate(verdicts, false, name.data,
                            "it is in the baseline, and not in these results")
                ->baseline = x->loss;
    }
    em_buffer_free(&name);
    notes(d, verdicts);
    return em_diff_comparable(d, "measure as the baseline did, or make a new baseline", err) &&
           outcome(verdicts, first_gate, err);
}
