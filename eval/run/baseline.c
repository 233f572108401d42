#include "eval/run/baseline.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "reports/diff/diff.h"
#include "reports/results/documents.h"
#include "reports/diff/tolerance.h"

bool em_same_file(const char *a, const char *b) {
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static bool apart_from_outputs(const em_baseline *b, const char *const *outputs, int n,
                               em_error *err) {
    for (int i = n - 1; i >= 0; i--) /* the reports' own names come last */
        if (outputs[i] && (em_same_file(outputs[i], b->path) ||
                           (b->documents && em_same_file(outputs[i], b->documents))))
            return em_fail(err, EM_USAGE,
                           "%s: the run would write over its baseline; give another name, and copy "
                           "it when it is good",
                           outputs[i]);
    return true;
}

/* Whether its sums are there and give its losses: said now, not after hours. */
static bool whole(const em_baseline *b, em_error *err) {
    em_diff d;
    em_diff_side side = {&b->results, b->path, b->documents};
    bool good = em_diff_make(&d, side, side, err);
    em_diff_free(&d);
    return good;
}

static bool has_json(const em_output_settings *s) {
    for (int i = 0; i < s->n_files; i++) {
        char *documents = em_documents_path(s->files[i]);
        free(documents);
        if (documents) return true;
    }
    return false;
}

bool em_baseline_open(em_baseline *b, const em_output_settings *s, const char *const *outputs,
                      int n, em_error *err) {
    *b = (em_baseline){.path = s->baseline};
    if (!b->path) return true;
    if (!em_diff_read(b->path, &b->results, &b->documents, err) ||
        !apart_from_outputs(b, outputs, n, err) || !whole(b, err))
        return false;
    if (!s->tolerance.standard_errors) return true;
    if (!has_json(s))
        return em_fail(err, EM_USAGE,
                       "--tolerance in standard errors wants -o NAME.json: they are paired by the "
                       "sums by document "
                       "that are written beside it");
    return b->documents ||
           em_fail(
               err, EM_INPUT,
               "%s: a tolerance in standard errors wants its .documents.jsonl.zst beside it; keep "
               "the two files together, or give a tolerance in nats",
               b->path);
}

void em_baseline_judge(const em_baseline *b, const em_output_settings *s, em_results *results,
                       const char *documents, em_error *verdict) {
    em_diff d;
    if (!b->path) return;
    if (em_diff_make(&d, (em_diff_side){&b->results, b->path, b->documents},
                     (em_diff_side){results, "this run", documents}, verdict))
        em_tolerance_judge(&d, s->tolerance, results, verdict);
    else
        em_results_note(results, "These results were not held to the baseline: %s.", verdict->text);
    em_diff_free(&d);
}

void em_baseline_close(em_baseline *b) {
    em_results_free(&b->results);
    free(b->documents);
}
