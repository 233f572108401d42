/* Every family's small checkpoint against the NLLs of Hugging Face transformers, by the plain
 * reference pass: names, layouts, defaults, frequencies, windows, scales. See make_checkpoints.py.
 */
#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "model/families/family.h"
#include "tests/model/reference_forward.h"

#define ROW 24

typedef struct golden {
    json_t *root;
    int cut;
    int32_t ids[ROW], labels[ROW];
} golden;

static void read_golden(const char *name, golden *g) {
    char path[512];
    snprintf(path, sizeof path, EM_TEST_DATA "/model/goldens/%s.json", name);
    g->root = json_load_file(path, 0, NULL);
    assert_non_null(g->root);
    g->cut = (int)json_integer_value(json_object_get(g->root, "cut"));
    for (int i = 0; i < ROW; i++)
        g->ids[i] =
            (int32_t)json_integer_value(json_array_get(json_object_get(g->root, "ids"), (size_t)i));
    for (int i = 0; i < ROW; i++) g->labels[i] = i + 1 < ROW ? g->ids[i + 1] : -1;
}

/* The whole row, or its two documents masked apart with positions that start again. */
static double worst_difference(const em_model *m, const golden *g, bool documents) {
    int32_t positions[ROW], lo[ROW], hi[ROW];
    double nll[ROW], worst = 0;
    for (int i = 0; i < ROW; i++) {
        lo[i] = documents && i >= g->cut ? g->cut : 0;
        hi[i] = i + 1;
        positions[i] = i - lo[i];
    }
    assert_true(reference_score(m, ROW, g->ids, positions, lo, hi, g->labels, nll));
    const json_t *expected = json_object_get(g->root, documents ? "documents" : "regular");
    for (int i = 0; i + 1 < ROW; i++)
        worst = fmax(worst, fabs(nll[i] - json_number_value(json_array_get(expected, (size_t)i))));
    return worst;
}

static bool seen[64]; /* by em_family_at's order */

static void note_family(const em_model *m) {
    const em_family *f;
    for (size_t i = 0; (f = em_family_at(i)); i++)
        if (!strcmp(f->model_type, em_model_spec_of(m)->family)) seen[i] = true;
}

static void check_family(const char *name) {
    char path[512], line[1200];
    em_error err = EM_ERROR_INIT;
    golden g;
    snprintf(path, sizeof path, EM_TEST_DATA "/model/checkpoints/%s", name);
    em_model *m = em_model_open(path, &err);
    if (!m) fail_msg("%s", em_error_line(&err, line, sizeof line));
    read_golden(name, &g);
    double regular = worst_difference(m, &g, false), documents = worst_difference(m, &g, true);
    printf("%-22s %.1e %.1e\n", name, regular, documents);
    if (regular > 1e-5 || documents > 1e-5)
        fail_msg("%s differs by %g, %g", name, regular, documents);
    json_decref(g.root);
    note_family(m);
    em_model_close(m);
}

static void families_match_transformers(void **state) {
    int n = 0;
    DIR *d = opendir(EM_TEST_DATA "/model/checkpoints");
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.') check_family(e->d_name), n++;
    closedir(d);
    assert_true(n >= 24);
}

/* A row without a golden is a guess. */
static void each_family_has_a_golden(void **state) {
    const em_family *f;
    for (size_t i = 0; (f = em_family_at(i)); i++) {
        assert_true(i < sizeof seen / sizeof *seen);
        if (!seen[i]) fail_msg("%s has no checkpoint in tests/model/checkpoints", f->model_type);
    }
}

/* What people read is what the table holds. */
static void documentation_names_each_family(void **state) {
    static char text[1 << 16];
    char cell[160];
    const em_family *f;
    FILE *page = fopen(EM_TEST_DATA "/../docs/model.md", "r");
    assert_non_null(page);
    assert_true(fread(text, 1, sizeof text - 1, page) > 0 && feof(page));
    fclose(page);
    for (size_t i = 0; (f = em_family_at(i)); i++) {
        snprintf(cell, sizeof cell, "| `%s` | %s |", f->model_type, f->called);
        if (!strstr(text, cell)) fail_msg("docs/model.md has no line with %s", cell);
    }
}

static void families_are_listed_by_name(void **state) {
    char list[EM_FAMILY_LIST], cut[9];
    const em_family *f;
    size_t names = 1, n = 0;
    em_family_list(list, sizeof list);
    assert_true(strlen(list) + 1 < sizeof list);
    for (const char *p = list; (p = strchr(p, ',')); p++) names++;
    for (; (f = em_family_at(n)); n++) {
        assert_ptr_equal(em_family_find(f->model_type), f);
        if (n) assert_true(strcmp(em_family_at(n - 1)->model_type, f->model_type) < 0);
    }
    assert_int_equal(names, n);
    assert_null(em_family_at(n + 1));
    em_family_list(cut, sizeof cut);
    assert_int_equal(strlen(cut), sizeof cut - 1);
    assert_memory_equal(cut, list, sizeof cut - 1);
    assert_null(em_family_find("llam"));
}

/* Rows that are longer would meet other frequencies: the limit is that of the short ones. */
static void longrope_limits_the_length(void **state) {
    em_error err = EM_ERROR_INIT;
    em_model *m = em_model_open(EM_TEST_DATA "/model/checkpoints/phi3-longrope", &err);
    if (!m) fail_msg("%s", err.text);
    assert_true(em_model_spec_of(m)->length_limited);
    assert_int_equal(em_model_spec_of(m)->max_positions, 32);
    assert_false(em_model_spec_of(m)->learned_positions);
    em_model_close(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(families_match_transformers),
                                       cmocka_unit_test(each_family_has_a_golden),
                                       cmocka_unit_test(documentation_names_each_family),
                                       cmocka_unit_test(families_are_listed_by_name),
                                       cmocka_unit_test(longrope_limits_the_length)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
