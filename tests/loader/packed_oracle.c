#include "packed_oracle.h"

#include <jansson.h>
#include <stdbool.h>
#include <string.h>

#include "loader/packed_row.h"
#include "python_json.h"

typedef enum verdict { GOOD, BAD, DIFFERS } verdict;

static bool is_value(const json_t *x, bool mask, long long extra, long long *out) {
    *out = json_is_boolean(x) ? json_is_true(x) : json_integer_value(x);
    if (!json_is_integer(x) && !(mask && json_is_boolean(x))) return false;
    return *out <= INT32_MAX && (*out >= 0 || *out == extra);
}

/* The field is missing, or holds just what ours says. *same: the values too. */
static bool check_list(const json_t *list, size_t n, bool mask, long long extra,
                       const em_ints *ours, bool good, bool *same) {
    long long x;
    if (!json_is_array(list) || json_array_size(list) != n) return false;
    *same &= !good || (ours->given && ours->n == n);
    for (size_t i = 0; i < n; i++) {
        if (!is_value(json_array_get(list, i), mask, extra, &x)) return false;
        *same &= !good || ours->v[i] == x;
    }
    return true;
}

static bool check_matrix(const json_t *rows, size_t n, const em_packed_row *ours, bool good,
                         bool *same) {
    if (json_array_size(rows) != n) return false;
    *same &= !good || (ours->lo.given && ours->lo.n == n && ours->hi.n == n && !ours->mask.given);
    for (size_t i = 0; i < n; i++) {
        const json_t *row = json_array_get(rows, i);
        int32_t lo = 0, hi = 0, seen = 0;
        if (!json_is_array(row) || json_array_size(row) != n) return false;
        for (size_t k = 0; k < n; k++) {
            long long x;
            if (!is_value(json_array_get(row, k), true, 0, &x) || x > 1) return false;
            if (!x) continue;
            if (!seen++) lo = (int32_t)k;
            hi = (int32_t)k + 1;
        }
        if (seen != hi - lo) lo = hi = -1;
        *same &= !good || (ours->lo.v[i] == lo && ours->hi.v[i] == hi);
    }
    return true;
}

static bool check_cu(const json_t *cu, size_t n, const em_packed_row *ours, bool good, bool *same) {
    size_t size = json_array_size(cu);
    long long before = 0, x;
    if (size < 2 || !check_list(cu, size, false, 0, &ours->cu, good, same)) return false;
    for (size_t i = 0; i < size; i++, before = x) {
        x = json_integer_value(json_array_get(cu, i));
        if (x < before || x > (long long)n || (i == 0 && x)) return false;
    }
    return true;
}

static bool given(const json_t *x) { return x && !json_is_null(x); }

static verdict check_row(const json_t *row, const em_packed_row *ours, bool good, bool *same) {
    const json_t *ids = json_object_get(row, "input_ids"),
                 *mask = json_object_get(row, "attention_mask");
    const json_t *labels = json_object_get(row, "labels"),
                 *positions = json_object_get(row, "position_ids");
    const json_t *cu = json_object_get(row, "cu_seqlens"),
                 *cu_q = json_object_get(row, "cu_seq_lens_q");
    size_t n = json_array_size(ids);
    if (cu && cu_q) return DIFFERS;
    if (!cu) cu = cu_q;
    if (!n || !check_list(ids, n, false, 0, &ours->ids, good, same)) return BAD;
    if (given(labels) && !check_list(labels, n, false, EM_LABEL_IGNORED, &ours->labels, good, same))
        return BAD;
    if (given(positions) && !check_list(positions, n, false, 0, &ours->positions, good, same))
        return BAD;
    if (given(cu) && !check_cu(cu, n, ours, good, same)) return BAD;
    *same &= !good || (ours->labels.given == given(labels) &&
                       ours->positions.given == given(positions) && ours->cu.given == given(cu));
    if (!given(mask)) return *same &= !good || (!ours->mask.given && !ours->lo.given), GOOD;
    if (json_is_array(json_array_get(mask, 0)))
        return check_matrix(mask, n, ours, good, same) ? GOOD : BAD;
    return check_list(mask, n, true, 0, &ours->mask, good, same) ? GOOD : BAD;
}

/* Row i of a batch: element i of every field that is an array of arrays. A new reference. */
static json_t *row_of(const json_t *batch, size_t i) {
    static const char *const keys[] = {"input_ids",      "labels",     "position_ids",
                                       "attention_mask", "cu_seqlens", "cu_seq_lens_q"};
    json_t *row = json_object();
    size_t rows = json_array_size(json_object_get(batch, "input_ids"));
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
        json_t *field = json_object_get(batch, keys[k]);
        bool nested = json_is_array(json_array_get(field, 0));
        bool flat = json_is_array(field) && !nested && (k < 4 || rows > 1);
        if (field && (flat || (nested && json_array_size(field) != rows)))
            json_object_set_new(row, keys[k], json_string("not of a batch"));
        else if (field) json_object_set(row, keys[k], nested ? json_array_get(field, i) : field);
    }
    return row;
}

static const char *compare(const char *line, size_t n, size_t index, size_t *batch) {
    em_packed_row ours = {0};
    em_error err = EM_ERROR_INIT;
    json_error_t error;
    bool good = em_packed_row_parse(line, n, index, &ours, &err), same = true, halves;
    verdict v = BAD;
    em_buffer plain = python_json(line, n, &halves);
    json_t *row = memchr(line, 0, n) ? NULL
                                     : json_loadb(plain.data, plain.length,
                                                  JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);
    em_buffer_free(&plain);
    const json_t *ids = json_object_get(row, "input_ids");
    bool batched = json_is_array(json_array_get(ids, 0));
    *batch = ours.batch;
    same = !good || ours.batch == (batched ? json_array_size(ids) : 1);
    if (batched) {
        json_t *one = row_of(row, index);
        json_decref(row);
        row = one;
    }
    if (row) v = json_is_object(row) ? check_row(row, &ours, good, &same) : BAD;
    else if (!memchr(line, 0, n)) {
        enum json_error_code code = json_error_code(&error);
        bool may_differ = code == json_error_numeric_overflow ||
                          code == json_error_null_byte_in_key || code == json_error_duplicate_key ||
                          code == json_error_stack_overflow;
        if (may_differ) v = DIFFERS;
    }
    json_decref(row);
    em_packed_row_free(&ours);
    if (!good && (err.status != EM_INPUT || !err.text[0] || err.byte > (int64_t)n))
        return "an error without a cause or place";
    if (v == DIFFERS || (halves && !good && v == GOOD)) return NULL;
    if (good != (v == GOOD)) return good ? "jansson refuses the row" : "jansson accepts the row";
    return same ? NULL : "other values";
}

const char *packed_oracle_compare(const char *line, size_t n) {
    size_t batch = 1;
    const char *difference = NULL;
    for (size_t i = 0; !difference && i < batch && i < 3; i++)
        difference = compare(line, n, i, &batch);
    return difference;
}
