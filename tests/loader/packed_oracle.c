#include "packed_oracle.h"

#include <jansson.h>
#include <stdbool.h>
#include <string.h>

#include "loader/packed_row.h"

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

const char *packed_oracle_compare(const char *line, size_t n) {
    em_packed_row ours = {0};
    em_error err = EM_ERROR_INIT;
    json_error_t error;
    bool good = em_packed_row_parse(line, n, &ours, &err), same = true;
    verdict v = BAD;
    json_t *row = memchr(line, 0, n)
                      ? NULL
                      : json_loadb(line, n, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);
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
    if (v == DIFFERS) return NULL;
    if (good != (v == GOOD)) return good ? "jansson refuses the row" : "jansson accepts the row";
    return same ? NULL : "other values";
}
