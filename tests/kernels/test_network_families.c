/* Every family's small checkpoint through the real network on the CPU, against the NLLs of Hugging
 * Face transformers (tests/model/make_checkpoints.py). */
#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "model/network.h"

#define ROW 24
#define ROWS 2 /* the row as a whole, and its two documents masked apart */

typedef struct rows {
    int32_t ids[ROWS * ROW], positions[ROWS * ROW], lo[ROWS * ROW], hi[ROWS * ROW],
        labels[ROWS * ROW], argmax[ROWS * ROW];
    double nll[ROWS * ROW], expected[ROWS * ROW];
} rows;

static double number(const json_t *object, const char *key, size_t i) {
    return json_number_value(json_array_get(json_object_get(object, key), i));
}

static void read_rows(const char *name, rows *r) {
    char path[512];
    snprintf(path, sizeof path, EM_TEST_DATA "/model/goldens/%s.json", name);
    json_t *golden = json_load_file(path, 0, NULL);
    assert_non_null(golden);
    int cut = (int)json_integer_value(json_object_get(golden, "cut"));
    for (int t = 0; t < ROWS * ROW; t++) {
        int i = t % ROW, documents = t / ROW;
        r->ids[t] = (int32_t)number(golden, "ids", (size_t)i);
        r->labels[t] = i + 1 < ROW ? (int32_t)number(golden, "ids", (size_t)i + 1) : -1;
        r->lo[t] = documents && i >= cut ? cut : 0;
        r->hi[t] = i + 1;
        r->positions[t] = i - r->lo[t];
        if (i + 1 < ROW)
            r->expected[t] = number(golden, documents ? "documents" : "regular", (size_t)i);
    }
    json_decref(golden);
}

static void score_rows(em_model *m, em_backend *b, rows *r) {
    em_error err = EM_ERROR_INIT;
    em_network_options options = {
        .memory = (size_t)1 << 30, .row_tokens = ROW, .want_tokens = 1024, .n_labels = 1};
    em_network *n = em_network_open(m, b, &options, &err);
    if (!n) fail_msg("%s", err.text);
    em_row_batch batch = {.n_rows = ROWS,
                          .start = (int64_t[]){0, ROW},
                          .length = (int32_t[]){ROW, ROW},
                          .ids = r->ids,
                          .positions = r->positions,
                          .lo = r->lo,
                          .hi = r->hi};
    em_score_request request = {.n_labels = 1, .labels = r->labels};
    if (!em_network_score(n, &batch, &request, &(em_scores){r->nll, r->argmax, NULL}, &err))
        fail_msg("%s", err.text);
    assert_int_equal(strlen(em_model_fingerprint(m)), 16);
    em_network_close(n);
}

static void check_family(const char *name, em_backend_options options, double tolerance) {
    char path[512], line[1200];
    em_error err = EM_ERROR_INIT;
    rows r;
    snprintf(path, sizeof path, EM_TEST_DATA "/model/checkpoints/%s", name);
    em_model *m = em_model_open(path, &err);
    if (!m) fail_msg("%s", em_error_line(&err, line, sizeof line));
    em_backend *b = em_backend_cpu_open(&options, &err);
    read_rows(name, &r);
    score_rows(m, b, &r);
    for (int t = 0; t < ROWS * ROW; t++)
        if (r.labels[t] >= 0 && !(fabs(r.nll[t] - r.expected[t]) < tolerance))
            fail_msg("%s, %s: token %d: %.7f, should be %.7f", name, em_dtype_name(options.compute),
                     t, r.nll[t], r.expected[t]);
    b->ops->close(b);
    em_model_close(m);
}

static void check_families(em_backend_options options, double tolerance) {
    int n = 0;
    DIR *d = opendir(EM_TEST_DATA "/model/checkpoints");
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.') check_family(e->d_name, options, tolerance), n++;
    closedir(d);
    assert_true(n >= 19);
}

static void test_f32(void **state) {
    check_families((em_backend_options){.threads = 2, .compute = EM_F32}, 2e-5);
}

static void test_portable(void **state) {
    check_families((em_backend_options){.threads = 1, .compute = EM_F32, .portable = true}, 2e-5);
}

static void test_bf16(void **state) {
    check_families((em_backend_options){.threads = 2, .compute = EM_BF16}, 0.15);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_f32), cmocka_unit_test(test_portable),
                                       cmocka_unit_test(test_bf16)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
