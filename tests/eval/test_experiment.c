/* Configs: what a good one holds, and the one line that each bad one in experiments/ gives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <glob.h>

#include "eval/settings/experiment.h"

#define FOLDER EM_TEST_DATA "/eval/experiments/"

static void a_good_one(void **state) {
    em_error err = EM_ERROR_INIT;
    em_experiment *x = em_experiment_open(FOLDER "good.json", &err);
    assert_non_null(x);
    assert_string_equal(x->title, "A title with \"quotes\"");
    assert_string_equal(x->table, "base-vs-instruct");
    assert_true(!x->inspect);
    static const struct {
        const char *name, *value;
    } want[] = {{"mask", "doc,regular"}, {"seq-len", "1024"}, {"common-vocab", NULL},
                {"subset", "a"},         {"subset", "b"},     {"alpha", "-0.5"}};
    assert_int_equal(x->n_options, sizeof want / sizeof *want);
    for (int i = 0; i < x->n_options; i++) {
        assert_string_equal(x->options[i].name, want[i].name);
        if (want[i].value) assert_string_equal(x->options[i].value, want[i].value);
        else assert_null(x->options[i].value);
    }
    assert_int_equal(x->n_bundled, 2);
    assert_string_equal(x->bundled[1].name, "data");
    em_experiment_free(x);
}

static void bad_ones(void **state) {
    glob_t found;
    assert_int_equal(glob(FOLDER "bad-*.json", 0, NULL, &found), 0);
    assert_true(found.gl_pathc >= 12);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        char name[4096], want[512] = "", line[1280];
        em_error err = EM_ERROR_INIT;
        assert_null(em_experiment_open(found.gl_pathv[i], &err));
        assert_int_equal(err.status, EM_USAGE);
        snprintf(name, sizeof name, "%.*s.error", (int)strlen(found.gl_pathv[i]) - 5,
                 found.gl_pathv[i]);
        FILE *f = fopen(name, "r");
        assert_non_null(f);
        assert_non_null(fgets(want, sizeof want, f));
        fclose(f);
        want[strcspn(want, "\n")] = 0;
        em_error_line(&err, line, sizeof line);
        const char *slash = strrchr(found.gl_pathv[i], '/'), *says = strstr(line, slash);
        if (!says || strcmp(says + 1, want))
            fail_msg("%s: \"%s\", not \"%s\"", slash + 1, line, want);
    }
    globfree(&found);
}

static void the_installed_ones(void **state) {
    em_error err = EM_ERROR_INIT;
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    assert_true(em_experiment_list(f, &err));
    fclose(f);
    static const char *const names[] = {"base-vs-instruct",    "document-mask", "layer-removal",
                                        "logit-amplification", "packing-check", "sequence-length"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_non_null(strstr(text, names[i]));
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_good_one), cmocka_unit_test(bad_ones),
                                       cmocka_unit_test(the_installed_ones)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
