/* What a run that nobody watches says: a line now and then, and nothing when quiet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "eval/process/progress.h"

static FILE *caught;
static int own;

/* stderr is a file from here on. */
static int catch_stderr(void **state) {
    caught = tmpfile();
    own = dup(STDERR_FILENO);
    return !caught || own < 0 || dup2(fileno(caught), STDERR_FILENO) < 0;
}

static int release_stderr(void **state) {
    dup2(own, STDERR_FILENO);
    close(own);
    return fclose(caught);
}

static int lines(char *last, size_t n) {
    int found = 0;
    char text[256];
    rewind(caught);
    for (; fgets(text, sizeof text, caught); found++) snprintf(last, n, "%s", text);
    fseek(caught, 0, SEEK_END);
    return found;
}

static void show_after(em_progress *p, double seconds, int64_t position, int64_t size) {
    p->shown -= seconds;
    em_progress_show(p, 7, 1000, 2.5, position, size);
}

static void a_line_now_and_then(void **state) {
    char last[256] = "";
    em_progress p = em_progress_start(false);
    p.start -= 100;
    show_after(&p, 29, 10, 40);
    assert_int_equal(lines(last, sizeof last), 0);
    show_after(&p, 2, 10, 40);
    assert_int_equal(lines(last, sizeof last), 1);
    assert_non_null(strstr(last, "25 %  7 documents  1000 tokens  10 tokens/s  loss 2.5000  5:0"));
    assert_non_null(strstr(last, " left\n"));
    assert_null(strchr(last, '\r'));
    show_after(&p, 29, 10, 40);
    assert_int_equal(lines(last, sizeof last), 1);
    show_after(&p, 2, 10, -1);
    assert_int_equal(lines(last, sizeof last), 2);
    assert_int_equal(strncmp(last, "7 documents", 11), 0);
    assert_null(strstr(last, "left"));
    for (int i = 2; i < 10; i++) show_after(&p, 31, 10, 40);
    assert_int_equal(lines(last, sizeof last), 10);
    show_after(&p, 31, 10, 40);
    assert_int_equal(lines(last, sizeof last), 10);
    show_after(&p, 31, 10, 40);
    assert_int_equal(lines(last, sizeof last), 11);
    em_progress_end(&p);
    assert_int_equal(lines(last, sizeof last), 11);
}

static void quiet(void **state) {
    char last[256];
    em_progress p = em_progress_start(true);
    show_after(&p, 100, 10, 40);
    em_progress_end(&p);
    assert_int_equal(lines(last, sizeof last), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_line_now_and_then, catch_stderr, release_stderr),
        cmocka_unit_test_setup_teardown(quiet, catch_stderr, release_stderr)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
