#include "reports/results/documents.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "reports/results/lines.h"

struct em_documents {
    em_lines *lines;
    char *path;
    json_t *object;       /* the line at hand: owns its strings */
    int64_t *predictions; /* [capacity] */
    double *nll;
    size_t predictions_capacity, nll_capacity;
};

char *em_documents_path(const char *results_path) {
    size_t n = strlen(results_path);
    char *path;
    if (n < 6 || strcmp(results_path + n - 5, ".json")) return NULL;
    return asprintf(&path, "%.*s.documents.jsonl.zst", (int)(n - 5), results_path) < 0 ? NULL
                                                                                       : path;
}

int em_documents_column(const em_results *r, int i, bool by_seq_len) {
    int column = 0;
    const em_result *x = &r->results[i];
    for (int k = 0; k < i; k++) {
        const em_result *y = &r->results[k];
        column += !strcmp(y->data_set, x->data_set) && (!by_seq_len || y->seq_len == x->seq_len);
    }
    return column;
}

/* ---- opening ---- */

void em_documents_close(em_documents *d) {
    if (!d) return;
    em_lines_close(d->lines);
    json_decref(d->object);
    free(d->predictions);
    free(d->nll);
    free(d->path);
    free(d);
}

em_documents *em_documents_open(const char *path, em_error *err) {
    em_documents *d = em_alloc(1, sizeof *d, path, err);
    if (!d) return NULL;
    d->path = strdup(path);
    if (!d->path) em_fail_memory(err, strlen(path), path);
    else if ((d->lines = em_lines_open(path, false, err))) return d;
    em_documents_close(d);
    return NULL;
}

static bool bad(const em_documents *d, em_error *err, const char *what) {
    return em_lines_fail(d->lines, err, what);
}

/* ---- a line ---- */

static bool whole(const json_t *value, int64_t least, int64_t *out) {
    if (!json_is_integer(value) || json_integer_value(value) < least) return false;
    *out = json_integer_value(value);
    return true;
}

static bool sums(em_documents *d, em_document_line *out, em_error *err) {
    const json_t *predictions = json_object_get(d->object, "predictions"),
                 *nll = json_object_get(d->object, "nll");
    size_t n = json_array_size(predictions);
    if (n == 0 || n > INT32_MAX || json_array_size(nll) != n)
        return bad(d, err, "predictions and nll are no arrays of one length");
    if (!em_grow(&d->predictions, &d->predictions_capacity, n, sizeof *d->predictions, d->path,
                 err) ||
        !em_grow(&d->nll, &d->nll_capacity, n, sizeof *d->nll, d->path, err))
        return false;
    for (size_t i = 0; i < n; i++) {
        const json_t *x = json_array_get(nll, i);
        if (!whole(json_array_get(predictions, i), 0, &d->predictions[i]))
            return bad(d, err, "predictions: not whole numbers");
        if (!json_is_number(x) && !json_is_null(x))
            return bad(d, err, "nll: neither numbers nor null");
        d->nll[i] = json_is_null(x) ? NAN : json_number_value(x);
    }
    out->n = (int)n;
    out->predictions = d->predictions;
    out->nll = d->nll;
    return true;
}

static bool parse(em_documents *d, const char *text, size_t n, em_document_line *out,
                  em_error *err) {
    json_error_t problem;
    json_decref(d->object);
    d->object = json_loadb(n ? text : "", n, JSON_REJECT_DUPLICATES, &problem);
    if (!d->object) return bad(d, err, problem.text);
    const json_t *set = json_object_get(d->object, "data_set"),
                 *length = json_object_get(d->object, "seq_len");
    int64_t seq_len = 0;
    out->data_set = set ? json_string_value(set) : "";
    out->subset = json_string_value(json_object_get(d->object, "subset"));
    if (!out->data_set || !out->subset) return bad(d, err, "data_set or subset is no string");
    if (!whole(json_object_get(d->object, "document"), 0, &out->document) ||
        !whole(json_object_get(d->object, "bytes"), 0, &out->bytes) ||
        (length && (!whole(length, 1, &seq_len) || seq_len > INT32_MAX)))
        return bad(d, err, "document, bytes or seq_len is no whole number");
    out->seq_len = (int32_t)seq_len;
    return sums(d, out, err);
}

int em_documents_next(em_documents *d, em_document_line *out, em_error *err) {
    const char *text;
    size_t n;
    int got = em_lines_next(d->lines, &text, &n, err);
    return got <= 0 ? got : parse(d, text, n, out, err) ? 1 : -1;
}
