#include "reports/results/read.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/size.h"

/* Where in the file we are, for messages: "results[3].subsets[1]". */
typedef struct reader {
    const char *path;
    char place[96];
    em_error *err;
} reader;

/* All numbers are read as doubles, so that -0 keeps its sign; counts are exact up to 2^53. */
#define MOST_COUNT 9007199254740992.0

typedef enum kind {
    TEXT,
    NUMBER,
    COUNT,
    WHOLE,
    FLAG
} kind; /* char[], double, int64_t, int or int32_t, bool */

typedef struct field {
    const char *key;
    kind kind;
    bool required;
    size_t offset, size; /* size: of a TEXT's array */
} field;

#define FIELD(key, kind, required, type, member) \
    { key, kind, required, offsetof(type, member), sizeof((type *)0)->member }
#define N(fields) (sizeof(fields) / sizeof *(fields))

static bool bad(const reader *r, const char *key, const char *what) {
    const char *dot = *r->place && *key ? "." : "",
               *place = *r->place || *key ? r->place : "the file";
    return em_fail_at(r->err, EM_INPUT, r->path, 0, -1, "%s%s%s %s", place, dot, key, what);
}

static bool is_count(const json_t *value, double least, double most) {
    double x = json_number_value(value);
    return json_is_number(value) && x == floor(x) && x >= least && x <= most;
}

static bool read_text(const reader *r, const char *key, const json_t *value, char *out,
                      size_t size) {
    if (!json_is_string(value)) return bad(r, key, "is no string");
    if (json_string_length(value) >= size)
        return bad(r, key, "is longer than any that evalmask writes");
    memcpy(out, json_string_value(value), json_string_length(value) + 1);
    return true;
}

static bool read_value(const reader *r, const field *f, const json_t *value, void *out) {
    switch (f->kind) {
    case TEXT: return read_text(r, f->key, value, out, f->size);
    case NUMBER:
        if (!json_is_number(value) && !json_is_null(value))
            return bad(r, f->key, "is neither a number nor null");
        *(double *)out = json_is_null(value) ? NAN : json_number_value(value);
        return true;
    case COUNT:
        if (!is_count(value, 0, MOST_COUNT))
            return bad(r, f->key, "is no count: a whole number from 0 to 2^53");
        *(int64_t *)out = (int64_t)json_number_value(value);
        return true;
    case WHOLE:
        if (!is_count(value, INT_MIN, INT_MAX))
            return bad(r, f->key, "is no whole number of 32 bits");
        *(int *)out = (int)json_number_value(value);
        return true;
    case FLAG:
        if (!json_is_boolean(value)) return bad(r, f->key, "is neither true nor false");
        *(bool *)out = json_is_true(value);
        return true;
    }
    return false;
}

/* into: the struct that the offsets are of. An absent number is NaN, an absent count 0. */
static bool read_fields(const reader *r, const json_t *object, const field *fields, size_t n,
                        void *into) {
    if (!json_is_object(object)) return bad(r, "", "is no object");
    for (size_t i = 0; i < n; i++) {
        const json_t *value = json_object_get(object, fields[i].key);
        void *out = (char *)into + fields[i].offset;
        if (!value && fields[i].required) return bad(r, fields[i].key, "is missing");
        if (value && !read_value(r, &fields[i], value, out)) return false;
        if (!value && fields[i].kind == NUMBER) *(double *)out = NAN;
    }
    return true;
}

/* The array `key` (absent: none) as *out, owned by the caller, [*n]; read is called for each of its
 * elements. */
typedef bool (*read_element)(reader *r, const json_t *value, void *out);

static bool read_array(const reader *r, const json_t *object, const char *key, size_t size,
                       void *out, int *n, read_element read) {
    const json_t *array = json_object_get(object, key);
    size_t count = json_array_size(array);
    if (!array) return true;
    if (!json_is_array(array) || count > INT_MAX) return bad(r, key, "is no array");
    char *elements = em_alloc(count, size, r->path, r->err);
    if (!elements) return false;
    memcpy(out, &elements, sizeof elements);
    for (size_t i = 0; i < count; i++) {
        reader inner = *r;
        snprintf(inner.place, sizeof inner.place, "%.40s%s%s[%zu]", r->place, *r->place ? "." : "",
                 key, i);
        *n = (int)i + 1; /* what is half read is freed too */
        if (!read(&inner, json_array_get(array, i), elements + i * size)) return false;
    }
    return true;
}

/* An object inside `object`: absent is no error, and *out NULL. */
static bool inner_object(const reader *r, const json_t *object, const char *key, reader *inner,
                         const json_t **out) {
    *out = json_object_get(object, key);
    if (json_is_null(*out)) *out = NULL;
    *inner = *r;
    snprintf(inner->place, sizeof inner->place, "%.60s%s%s", r->place, *r->place ? "." : "", key);
    return !*out || json_is_object(*out) || bad(r, key, "is no object");
}

static bool own_text(const reader *r, const char *key, const json_t *object, char **out) {
    const json_t *value = json_object_get(object, key);
    if (!json_is_string(value)) return bad(r, key, value ? "is no string" : "is missing");
    *out = strdup(json_string_value(value));
    return *out || em_fail_memory(r->err, json_string_length(value), r->path);
}

/* ---- parts ---- */

/* The file holds means, the types hold sums: a sum that gives this mean. It is within a few units
 * in the last place of mean * n, and there is one wherever the mean came from a sum. */
static double sum_of(double mean, double n) {
    double sum = mean * n;
    for (int i = 0; i < 8 && isfinite(sum) && sum / n != mean; i++)
        sum = nextafter(sum, sum / n < mean ? INFINITY : -INFINITY);
    return sum;
}

typedef struct slice_figures {
    double loss, top1, bits_per_byte, difference;
} slice_figures;

static bool read_slice_figures(const reader *r, const json_t *object, em_slice *out,
                               slice_figures *x) {
    static const field counts[] = {FIELD("predictions", COUNT, true, em_slice, predictions),
                                   FIELD("documents", COUNT, false, em_slice, documents),
                                   FIELD("text_bytes", COUNT, false, em_slice, text_bytes)};
    static const field figures[] = {
        FIELD("loss", NUMBER, false, slice_figures, loss),
        FIELD("top1", NUMBER, false, slice_figures, top1),
        FIELD("bits_per_byte", NUMBER, false, slice_figures, bits_per_byte),
        FIELD("difference", NUMBER, false, slice_figures, difference)};
    return read_fields(r, object, counts, N(counts), out) &&
           read_fields(r, object, figures, N(figures), x);
}

static bool read_slice(const reader *r, const json_t *object, em_slice *out) {
    slice_figures x;
    if (!read_slice_figures(r, object, out, &x)) return false;
    double n = (double)out->predictions;
    out->nll = sum_of(x.loss, n);
    if (isfinite(x.top1) && !(x.top1 >= 0 && x.top1 <= 1))
        return bad(r, "top1", "is no share, from 0 to 1");
    if (isfinite(x.top1)) out->top1_count = (int64_t)llround(x.top1 * n);
    out->text_nll = sum_of(x.bits_per_byte, EM_LN2 * (double)out->text_bytes);
    return true;
}

static bool read_difference_slice(const reader *r, const json_t *object, em_slice *out) {
    slice_figures x;
    if (!read_slice_figures(r, object, out, &x)) return false;
    out->nll = sum_of(x.difference, (double)out->predictions);
    return true;
}

static bool read_subset(reader *r, const json_t *object, void *out) {
    em_slice *s = out;
    return own_text(r, "subset", object, &s->name) && read_slice(r, object, s);
}

static bool read_subset_difference(reader *r, const json_t *object, void *out) {
    em_slice *s = out;
    return own_text(r, "subset", object, &s->name) && read_difference_slice(r, object, s);
}

static const field range[] = {FIELD("from", COUNT, true, em_slice, from),
                              FIELD("to", COUNT, true, em_slice, to)};

static bool check_range(const reader *r, const em_slice *s) {
    return s->to > s->from || bad(r, "to", "is not above from");
}

static bool read_position(reader *r, const json_t *object, void *out) {
    return read_fields(r, object, range, N(range), out) && check_range(r, out) &&
           read_slice(r, object, out);
}

static bool read_position_difference(reader *r, const json_t *object, void *out) {
    return read_fields(r, object, range, N(range), out) && check_range(r, out) &&
           read_difference_slice(r, object, out);
}

/* Both are looked up by binary search or side by side: out of order they would be missed. */
static bool check_order(const reader *r, const em_slice *subsets, int n, const em_slice *positions,
                        int n_positions) {
    for (int i = 1; i < n; i++)
        if (strcmp(subsets[i - 1].name, subsets[i].name) >= 0)
            return bad(r, "subsets", "are not in the order of their names");
    for (int i = 1; i < n_positions; i++)
        if (positions[i - 1].to > positions[i].from)
            return bad(r, "by_position", "does not ascend");
    return true;
}

/* "alpha" and "depth" are null where there is none. */
typedef struct point {
    double alpha, depth;
} point;

static bool read_point(const reader *r, const json_t *object, bool *has_alpha, double *alpha,
                       int *depth) {
    static const field fields[] = {FIELD("alpha", NUMBER, false, point, alpha),
                                   FIELD("depth", NUMBER, false, point, depth)};
    point p;
    if (!read_fields(r, object, fields, N(fields), &p)) return false;
    *has_alpha = !isnan(p.alpha);
    *alpha = *has_alpha ? p.alpha : 0;
    if (!isnan(p.depth) && !(p.depth >= 0 && p.depth <= INT_MAX && p.depth == floor(p.depth)))
        return bad(r, "depth", "is neither null nor a number of layers");
    *depth = isnan(p.depth) ? EM_NO_DEPTH : (int)p.depth;
    return true;
}

static bool read_grouped_by(const reader *r, const json_t *object, bool *rows) {
    char what[16] = "document";
    const json_t *value = json_object_get(object, "grouped_by");
    if (value && !read_text(r, "grouped_by", value, what, sizeof what)) return false;
    *rows = !strcmp(what, "row");
    return *rows || !strcmp(what, "document") ||
           bad(r, "grouped_by", "is neither document nor row");
}

/* ---- a result ---- */

static const field result_fields[] = {
    FIELD("data_set", TEXT, false, em_result, data_set),
    FIELD("model", TEXT, true, em_result, model),
    FIELD("group", TEXT, false, em_result, group),
    FIELD("mask", TEXT, true, em_result, mask),
    FIELD("labels", TEXT, true, em_result, labels),
    FIELD("positions", TEXT, true, em_result, positions),
    FIELD("pack", TEXT, false, em_result, pack),
    FIELD("window", TEXT, false, em_result, window),
    FIELD("offset_words", TEXT, false, em_result, offset_words),
    FIELD("mask_words", TEXT, false, em_result, mask_words),
    FIELD("offset", WHOLE, true, em_result, offset),
    FIELD("seq_len", WHOLE, true, em_result, seq_len),
    FIELD("batch", WHOLE, true, em_result, batch),
    FIELD("rows", COUNT, false, em_result, rows),
    FIELD("batches", COUNT, false, em_result, batches),
    FIELD("documents", COUNT, false, em_result, documents),
    FIELD("segments", COUNT, false, em_result, segments),
    FIELD("dropped_rows", COUNT, false, em_result, dropped_rows),
    FIELD("dropped_tokens", COUNT, false, em_result, dropped_tokens),
    FIELD("predictions", COUNT, true, em_result, predictions),
    FIELD("boundary_predictions", COUNT, false, em_result, boundary_predictions),
    FIELD("loss", NUMBER, true, em_result, loss),
    FIELD("loss_batch_mean", NUMBER, false, em_result, loss_batch_mean),
    FIELD("loss_doc_mean", NUMBER, false, em_result, loss_doc_mean),
    FIELD("loss_no_boundary", NUMBER, false, em_result, loss_no_boundary),
    FIELD("perplexity", NUMBER, false, em_result, perplexity),
    FIELD("bits_per_byte", NUMBER, false, em_result, bits_per_byte),
    FIELD("bits_per_byte_all", NUMBER, false, em_result, bits_per_byte_all),
    FIELD("top1", NUMBER, false, em_result, top1),
    FIELD("stderr", NUMBER, false, em_result, stderr_),
    FIELD("groups", COUNT, false, em_result, groups),
    FIELD("leak", FLAG, false, em_result, leak)};

static bool read_leaks(const reader *r, const json_t *object, em_result *x) {
    const struct {
        const char *key;
        em_slice *slice;
    } parts[] = {{"direct", &x->direct}, {"indirect", &x->indirect}, {"clean", &x->clean}};
    const json_t *leaks, *part;
    reader inner, innermost;
    if (!inner_object(r, object, "leaks", &inner, &leaks)) return false;
    for (size_t i = 0; i < N(parts); i++)
        if (leaks && (!inner_object(&inner, leaks, parts[i].key, &innermost, &part) ||
                      (part && !read_slice(&innermost, part, parts[i].slice))))
            return false;
    return true;
}

static bool read_dtypes(const reader *r, const json_t *object, em_result *x) {
    static const field dtypes[] = {FIELD("weights", TEXT, false, em_result, weight_dtype),
                                   FIELD("compute", TEXT, false, em_result, compute_dtype),
                                   FIELD("logits", TEXT, false, em_result, logit_dtype)};
    static const field prints[] = {FIELD("data", TEXT, false, em_fingerprints, data),
                                   FIELD("protocol", TEXT, false, em_fingerprints, protocol),
                                   FIELD("model", TEXT, false, em_fingerprints, model)};
    reader inner;
    const json_t *part;
    if (!inner_object(r, object, "dtype", &inner, &part) ||
        (part && !read_fields(&inner, part, dtypes, N(dtypes), x)))
        return false;
    return inner_object(r, object, "fingerprints", &inner, &part) &&
           (!part || read_fields(&inner, part, prints, N(prints), &x->fingerprints));
}

static bool read_common(const reader *r, const json_t *object, em_result *x) {
    reader inner;
    const json_t *part;
    if (!inner_object(r, object, "common", &inner, &part)) return false;
    x->has_common = part != NULL;
    return !part || read_slice(&inner, part, &x->common);
}

static bool read_result(reader *r, const json_t *object, void *out) {
    em_result *x = out;
    return read_fields(r, object, result_fields, N(result_fields), x) &&
           read_point(r, object, &x->has_alpha, &x->alpha, &x->depth) &&
           read_grouped_by(r, object, &x->groups_are_rows) && read_leaks(r, object, x) &&
           read_dtypes(r, object, x) && read_common(r, object, x) &&
           read_array(r, object, "subsets", sizeof *x->subsets, &x->subsets, &x->n_subsets,
                      read_subset) &&
           read_array(r, object, "by_position", sizeof *x->by_position, &x->by_position,
                      &x->n_by_position, read_position) &&
           check_order(r, x->subsets, x->n_subsets, x->by_position, x->n_by_position);
}

/* ---- a comparison ---- */

static const field difference_fields[] = {
    FIELD("predictions", COUNT, false, em_difference, predictions),
    FIELD("groups", COUNT, false, em_difference, groups),
    FIELD("difference", NUMBER, true, em_difference, difference),
    FIELD("stderr", NUMBER, false, em_difference, stderr_),
    FIELD("low", NUMBER, false, em_difference, low),
    FIELD("high", NUMBER, false, em_difference, high),
    FIELD("documents_to_resolve", NUMBER, false, em_difference, documents_to_resolve)};

static bool read_difference(const reader *r, const json_t *object, em_difference *out) {
    return read_fields(r, object, difference_fields, N(difference_fields), out);
}

static const field comparison_fields[] = {
    FIELD("data_set", TEXT, false, em_comparison, data_set),
    FIELD("mask", TEXT, true, em_comparison, mask),
    FIELD("positions", TEXT, true, em_comparison, positions),
    FIELD("labels", TEXT, true, em_comparison, labels),
    FIELD("seq_len", WHOLE, true, em_comparison, seq_len),
    FIELD("perplexity_ratio", NUMBER, false, em_comparison, perplexity_ratio),
    FIELD("better", NUMBER, false, em_comparison, better),
    FIELD("same_top1", NUMBER, false, em_comparison, same_top1),
    FIELD("probability_change", NUMBER, false, em_comparison, probability_change),
    FIELD("probability_change_rms", NUMBER, false, em_comparison, probability_change_rms)};

static const field model_sides[] = {FIELD("before", TEXT, true, em_comparison, before),
                                    FIELD("after", TEXT, true, em_comparison, after)};
static const field mask_sides[] = {
    FIELD("model", TEXT, true, em_comparison, after),
    FIELD("mask_before", TEXT, true, em_comparison, mask_before),
    FIELD("positions_before", TEXT, true, em_comparison, positions_before)};

static bool read_sides(const reader *r, const json_t *object, em_comparison *x) {
    char name[16] = "models";
    const json_t *value = json_object_get(object, "kind");
    if (value && !read_text(r, "kind", value, name, sizeof name)) return false;
    x->kind = !strcmp(name, "masks") ? EM_COMPARE_MASKS : EM_COMPARE_MODELS;
    if (x->kind == EM_COMPARE_MODELS && strcmp(name, "models"))
        return bad(r, "kind", "is neither models nor masks");
    if (x->kind == EM_COMPARE_MASKS) {
        if (!read_fields(r, object, mask_sides, N(mask_sides), x)) return false;
        memcpy(x->before, x->after, sizeof x->before);
        return true;
    }
    memcpy(x->mask_before, x->mask, sizeof x->mask_before);
    memcpy(x->positions_before, x->positions, sizeof x->positions_before);
    return read_fields(r, object, model_sides, N(model_sides), x);
}

static bool read_kl(const reader *r, const json_t *object, em_comparison *x) {
    static const field fields[] = {FIELD("mean", NUMBER, true, em_comparison, kl_mean),
                                   FIELD("p50", NUMBER, true, em_comparison, kl_quantiles[0]),
                                   FIELD("p90", NUMBER, true, em_comparison, kl_quantiles[1]),
                                   FIELD("p99", NUMBER, true, em_comparison, kl_quantiles[2]),
                                   FIELD("p99.9", NUMBER, true, em_comparison, kl_quantiles[3]),
                                   FIELD("max", NUMBER, true, em_comparison, kl_max)};
    reader inner;
    const json_t *part;
    if (!inner_object(r, object, "kl", &inner, &part)) return false;
    x->has_kl = part != NULL;
    return !part || read_fields(&inner, part, fields, N(fields), x);
}

static bool read_affected(const reader *r, const json_t *object, em_comparison *x) {
    static const field fields[] = {
        FIELD("direct", COUNT, true, em_comparison, affected_direct),
        FIELD("indirect", COUNT, true, em_comparison, affected_indirect)};
    reader inner;
    const json_t *part;
    if (!inner_object(r, object, "affected", &inner, &part)) return false;
    if (!part) return x->kind == EM_COMPARE_MODELS || bad(r, "affected", "is missing");
    return read_fields(&inner, part, fields, N(fields), x) &&
           read_difference(&inner, part, &x->affected);
}

static bool read_common_difference(const reader *r, const json_t *object, em_comparison *x) {
    static const field fields[] = {FIELD("affected", COUNT, false, em_comparison, common_affected),
                                   FIELD("growth", NUMBER, false, em_comparison, growth),
                                   FIELD("growth_low", NUMBER, false, em_comparison, growth_low),
                                   FIELD("growth_high", NUMBER, false, em_comparison, growth_high)};
    reader inner;
    const json_t *part;
    if (!inner_object(r, object, "common", &inner, &part)) return false;
    x->has_common = part != NULL;
    return !part || (read_fields(&inner, part, fields, N(fields), x) &&
                     read_difference(&inner, part, &x->common));
}

static bool read_edges(const reader *r, const json_t *object, em_comparison *x) {
    reader inner;
    const json_t *part;
    if (!inner_object(r, object, "boundary", &inner, &part) ||
        (part && !read_difference_slice(&inner, part, &x->boundary)))
        return false;
    return inner_object(r, object, "inside", &inner, &part) &&
           (!part || read_difference_slice(&inner, part, &x->inside));
}

static bool read_comparison(reader *r, const json_t *object, void *out) {
    em_comparison *x = out;
    return read_fields(r, object, comparison_fields, N(comparison_fields), x) &&
           read_sides(r, object, x) && read_point(r, object, &x->has_alpha, &x->alpha, &x->depth) &&
           read_difference(r, object, &x->all) && read_grouped_by(r, object, &x->groups_are_rows) &&
           read_affected(r, object, x) && read_common_difference(r, object, x) &&
           read_kl(r, object, x) && read_edges(r, object, x) &&
           read_array(r, object, "subsets", sizeof *x->subsets, &x->subsets, &x->n_subsets,
                      read_subset_difference) &&
           read_array(r, object, "by_position", sizeof *x->by_position, &x->by_position,
                      &x->n_by_position, read_position_difference) &&
           check_order(r, x->subsets, x->n_subsets, x->by_position, x->n_by_position);
}

/* ---- the rest ---- */

static const field totals_fields[] = {
    FIELD("documents", COUNT, true, em_data_totals, documents),
    FIELD("tokens", COUNT, true, em_data_totals, tokens),
    FIELD("bytes", COUNT, true, em_data_totals, bytes),
    FIELD("rows", COUNT, true, em_data_totals, rows),
    FIELD("batches", COUNT, true, em_data_totals, batches),
    FIELD("empty_documents", COUNT, false, em_data_totals, empty_documents),
    FIELD("bad_records", COUNT, false, em_data_totals, bad_records),
    FIELD("filtered_records", COUNT, false, em_data_totals, filtered_records)};

static bool read_data_set(reader *r, const json_t *object, void *out) {
    static const field name[] = {FIELD("data_set", TEXT, true, em_data_set, name),
                                 FIELD("pack", TEXT, false, em_data_set, pack)};
    em_data_set *d = out;
    return read_fields(r, object, name, N(name), d) &&
           read_fields(r, object, totals_fields, N(totals_fields), &d->totals);
}

/* "data" is the sum over "data_sets"; where there is one it stands alone, under the name that the
 * results give. */
static bool read_data(const reader *r, const json_t *root, em_results *out) {
    reader inner;
    const json_t *data;
    if (!read_array(r, root, "data_sets", sizeof *out->data_sets, &out->data_sets,
                    &out->n_data_sets, read_data_set))
        return false;
    if (out->n_data_sets) return true;
    if (!inner_object(r, root, "data", &inner, &data)) return false;
    if (!data) return bad(r, "data", "is missing");
    free(out->data_sets);
    out->data_sets = em_alloc(1, sizeof *out->data_sets, r->path, r->err);
    if (!out->data_sets) return false;
    out->n_data_sets = 1;
    memcpy(out->data_sets[0].name, out->results[0].data_set, sizeof out->data_sets[0].name);
    return read_fields(&inner, data, totals_fields, N(totals_fields), &out->data_sets[0].totals);
}

static bool read_mean(reader *r, const json_t *object, void *out) {
    static const field fields[] = {FIELD("model", TEXT, true, em_mean, model),
                                   FIELD("mask", TEXT, true, em_mean, mask),
                                   FIELD("labels", TEXT, true, em_mean, labels),
                                   FIELD("positions", TEXT, true, em_mean, positions),
                                   FIELD("seq_len", WHOLE, true, em_mean, seq_len),
                                   FIELD("loss_macro", NUMBER, true, em_mean, macro),
                                   FIELD("loss_micro", NUMBER, true, em_mean, micro)};
    em_mean *x = out;
    return read_fields(r, object, fields, N(fields), x) &&
           read_point(r, object, &x->has_alpha, &x->alpha, &x->depth);
}

static bool read_gate(reader *r, const json_t *object, void *out) {
    static const field fields[] = {FIELD("passed", FLAG, true, em_gate, passed),
                                   FIELD("baseline", NUMBER, false, em_gate, baseline),
                                   FIELD("current", NUMBER, false, em_gate, current),
                                   FIELD("difference", NUMBER, false, em_gate, difference),
                                   FIELD("tolerance", NUMBER, false, em_gate, tolerance)};
    em_gate *x = out;
    return read_fields(r, object, fields, N(fields), x) && own_text(r, "name", object, &x->name) &&
           own_text(r, "message", object, &x->message);
}

static bool read_model(reader *r, const json_t *object, void *out) {
    static const field fields[] = {FIELD("name", TEXT, true, em_model_line, name),
                                   FIELD("group", TEXT, false, em_model_line, group),
                                   FIELD("family", TEXT, false, em_model_line, family),
                                   FIELD("parameters", COUNT, false, em_model_line, parameters),
                                   FIELD("layers", WHOLE, false, em_model_line, layers),
                                   FIELD("vocab", WHOLE, false, em_model_line, vocab)};
    return read_fields(r, object, fields, N(fields), out);
}

static bool read_models(const reader *r, const json_t *root, em_results *out) {
    em_model_line *models = NULL;
    if (json_array_size(json_object_get(root, "models")) > EM_MAX_MODELS)
        return bad(r, "models", "are more than a run takes");
    bool good = read_array(r, root, "models", sizeof *models, &models, &out->n_models, read_model);
    if (good && models) memcpy(out->models, models, (size_t)out->n_models * sizeof *models);
    free(models);
    return good;
}

static bool read_note(reader *r, const json_t *value, void *out) {
    char **note = out;
    if (!json_is_string(value)) return bad(r, "", "is no string");
    *note = strdup(json_string_value(value));
    return *note || em_fail_memory(r->err, json_string_length(value), r->path);
}

static bool read_protocol(const reader *r, const json_t *root, em_results *out) {
    reader inner;
    const json_t *protocol;
    if (!inner_object(r, root, "protocol", &inner, &protocol)) return false;
    for (void *i = protocol ? json_object_iter((json_t *)protocol) : NULL; i;
         i = json_object_iter_next((json_t *)protocol, i)) {
        const char *key = json_object_iter_key(i);
        const json_t *value = json_object_iter_value(i);
        if (strlen(key) >= sizeof out->protocol->key)
            return bad(&inner, "", "has a longer key than any that evalmask writes");
        if (!json_is_string(value)) return bad(&inner, key, "is no string");
        em_results_protocol(out, key, "%s", json_string_value(value));
    }
    return true;
}

static bool read_root(const reader *r, const json_t *root, em_results *out) {
    static const field fields[] = {FIELD("evalmask", TEXT, true, em_results, version),
                                   FIELD("partial", FLAG, false, em_results, partial),
                                   FIELD("title", TEXT, false, em_results, title),
                                   FIELD("table", TEXT, false, em_results, table)};
    if (!read_fields(r, root, fields, N(fields), out) || !read_models(r, root, out) ||
        !read_protocol(r, root, out) ||
        !read_array(r, root, "results", sizeof *out->results, &out->results, &out->n_results,
                    read_result))
        return false;
    if (out->n_results == 0)
        return bad(r, "results", "are none: this is no results.json of evalmask");
    return read_data(r, root, out) &&
           read_array(r, root, "means", sizeof *out->means, &out->means, &out->n_means,
                      read_mean) &&
           read_array(r, root, "comparisons", sizeof *out->comparisons, &out->comparisons,
                      &out->n_comparisons, read_comparison) &&
           read_array(r, root, "gates", sizeof *out->gates, &out->gates, &out->n_gates,
                      read_gate) &&
           read_array(r, root, "notes", sizeof *out->notes, &out->notes, &out->n_notes, read_note);
}

bool em_results_parse(const char *path, const char *text, size_t n, em_results *out,
                      em_error *err) {
    json_error_t error;
    reader r = {.path = path, .err = err};
    *out = (em_results){0};
    json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &error);
    if (!root)
        return em_fail_at(err, EM_INPUT, path, 0, error.position, "no JSON in line %d: %s",
                          error.line, error.text);
    bool good = read_root(&r, root, out);
    json_decref(root);
    return good;
}

static bool read_file(FILE *f, const char *path, em_buffer *out, em_error *err) {
    static const size_t step = 1 << 20;
    for (;;) {
        if (!em_buffer_reserve(out, out->length + step, err)) return false;
        size_t n = fread(out->data + out->length, 1, step, f);
        out->length += n;
        if (n == 0)
            return !ferror(f) ||
                   em_fail_at(err, EM_INPUT, path, 0, -1, "cannot be read: %s", strerror(errno));
    }
}

bool em_results_read(const char *path, em_results *out, em_error *err) {
    em_buffer text = {0};
    *out = (em_results){0};
    FILE *f = fopen(path, "rb");
    if (!f) return em_fail_at(err, EM_INPUT, path, 0, -1, "cannot be read: %s", strerror(errno));
    bool good = read_file(f, path, &text, err);
    fclose(f);
    good = good && em_results_parse(path, text.data, text.length, out, err);
    em_buffer_free(&text);
    return good;
}
