/* Results files: what is read writes itself byte by byte; what is no results file is refused with
 * the message that lies beside it. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "reports/formats/formats.h"
#include "reports/results/json.h"
#include "reports/results/read.h"

static em_buffer file(const char *path) {
    em_buffer b = {0};
    char part[4096];
    FILE *f = fopen(path, "rb");
    if (!f) fail_msg("%s cannot be read", path);
    for (size_t n; (n = fread(part, 1, sizeof part, f)) > 0;) em_buffer_append(&b, part, n, NULL);
    em_buffer_puts(&b, "");
    fclose(f);
    return b;
}

static int each_json(const char *folder, void (*check)(const char *path, const char *name)) {
    int n = 0;
    char path[1024];
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        size_t length = strlen(e->d_name);
        if (length < 6 || strcmp(e->d_name + length - 5, ".json")) continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        check(path, e->d_name);
        n++;
    }
    closedir(d);
    return n;
}

static void writes_itself(const char *path, const char *name) {
    em_error err = EM_ERROR_INIT;
    em_results r;
    em_buffer text = file(path), again = {0};
    if (!em_results_read(path, &r, &err)) fail_msg("%s: %s", name, err.text);
    em_report_json(&r, &again);
    assert_string_equal(text.data, again.data);
    em_results_free(&r);
    em_buffer_free(&text);
    em_buffer_free(&again);
}

static void is_refused(const char *path, const char *name) {
    em_error err = EM_ERROR_INIT;
    em_results r;
    char line[1280], expected[1024];
    em_buffer text = file(path);
    assert_false(em_results_parse(name, text.data, text.length, &r, &err));
    assert_int_equal(err.status, EM_INPUT);
    em_buffer_free(&text);
    snprintf(expected, sizeof expected, "%.*s.txt", (int)strlen(path) - 5, path);
    text = file(expected);
    assert_string_equal(strcat(em_error_line(&err, line, sizeof line - 1), "\n"), text.data);
    em_results_free(&r);
    em_buffer_free(&text);
}

static void results_write_themselves(void **state) {
    assert_true(each_json(EM_TEST_DATA "/reports/results/whole", writes_itself) >= 7);
}

static void other_files_are_refused(void **state) {
    assert_true(each_json(EM_TEST_DATA "/reports/results/bad", is_refused) >= 15);
}

static void no_file(void **state) {
    em_error err = EM_ERROR_INIT;
    em_results r;
    assert_false(em_results_read("/no/such.json", &r, &err));
    assert_int_equal(err.status, EM_INPUT);
    em_results_free(&r);
    em_error folder = EM_ERROR_INIT;
    assert_false(em_results_read("/tmp", &r, &folder));
    assert_int_equal(folder.status, EM_INPUT);
    em_results_free(&r);
}

/* What an evalmask of another version may leave out or add. */
static void design_fields_are_enough(void **state) {
    static const char text[] = "{\"evalmask\": \"9.9\", \"news\": {\"x\": 1}, \"data\": "
                               "{\"documents\": 1, \"tokens\": 9, \"bytes\": 20, "
                               "\"rows\": 1, \"batches\": 1}, \"results\": [{\"model\": \"m\", "
                               "\"mask\": \"doc\", \"labels\": \"unshifted\", \"offset\": 1, "
                               "\"alpha\": null, \"depth\": 3, \"seq_len\": 16, \"batch\": 2, "
                               "\"positions\": \"reset\", \"predictions\": 8, \"loss\": 2.5}]}";
    em_error err = EM_ERROR_INIT;
    em_results r;
    em_buffer b = {0};
    assert_true(em_results_parse("FILE", text, strlen(text), &r, &err));
    assert_string_equal(r.version, "9.9");
    assert_int_equal(r.results[0].depth, 3);
    assert_false(r.results[0].has_alpha);
    assert_true(r.results[0].stderr_ != r.results[0].stderr_);
    em_report_markdown(&r, EM_MARKDOWN_PLAIN, &b);
    assert_non_null(strstr(b.data, "2.5000"));
    em_buffer_free(&b);
    em_results_free(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_write_themselves), cmocka_unit_test(other_files_are_refused),
        cmocka_unit_test(no_file), cmocka_unit_test(design_fields_are_enough)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
