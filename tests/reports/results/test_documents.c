/* The sidecar of per-document sums: what is written is read, and what is not a sidecar is refused
 * by line and byte. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/buffer.h"
#include "common/output.h"
#include "reports/results/documents.h"

#define CORPUS EM_TEST_DATA "/reports/results/documents/"

static char path[] = "/tmp/evalmask-documents-XXXXXX.zst";

static void write_lines(const char *text, size_t n) {
    em_error err = EM_ERROR_INIT;
    em_output *out = em_output_open(path, &err);
    assert_non_null(out);
    assert_true(em_output_write(out, text, n, &err) && em_output_commit(out, &err));
}

static em_error refusal(const char *file) {
    em_error err = EM_ERROR_INIT;
    em_document_line line;
    int got = -1;
    em_documents *d = em_documents_open(file, &err);
    while (d && (got = em_documents_next(d, &line, &err)) > 0) {}
    em_documents_close(d);
    assert_int_equal(got, -1);
    assert_int_equal(err.status, EM_INPUT);
    assert_string_equal(err.source, file);
    return err;
}

static void reads_lines(void **state) {
    em_error err = EM_ERROR_INIT;
    em_document_line line;
    em_documents *d = em_documents_open(CORPUS "frames.jsonl.zst", &err);
    assert_int_equal(em_documents_next(d, &line, &err), 1);
    assert_string_equal(line.data_set, "");
    assert_int_equal(line.document, 0);
    assert_int_equal(line.n, 2);
    assert_int_equal(line.predictions[1], 4);
    assert_true(line.nll[0] == 1.5 && isnan(line.nll[1]));
    assert_int_equal(em_documents_next(d, &line, &err), 1);
    assert_string_equal(line.subset, "C | ü");
    assert_int_equal(em_documents_next(d, &line, &err), 1); /* of the second frame */
    assert_string_equal(line.data_set, "code");
    assert_int_equal(line.seq_len, 128);
    assert_true(line.nll[0] == 1e300);
    assert_int_equal(em_documents_next(d, &line, &err), 0);
    em_documents_close(d);
}

/* Lines across the edges of the decompressor's pieces. */
static void reads_many_lines(void **state) {
    em_buffer text = {0};
    em_error err = EM_ERROR_INIT;
    em_document_line line;
    for (int i = 0; i < 20000; i++)
        em_buffer_printf(&text,
                         "{\"document\":%d,\"subset\":\"s%d\",\"bytes\":%d,\"predictions\":[%d],"
                         "\"nll\":[%d.25]}\n",
                         i, i % 7, i, i, i);
    write_lines(text.data, text.length);
    em_documents *d = em_documents_open(path, &err);
    for (int i = 0; i < 20000; i++) {
        assert_int_equal(em_documents_next(d, &line, &err), 1);
        assert_true(line.document == i && line.bytes == i && line.predictions[0] == i &&
                    line.nll[0] == i + 0.25);
    }
    assert_int_equal(em_documents_next(d, &line, &err), 0);
    em_documents_close(d);
    em_buffer_free(&text);
}

static void refuses_what_is_no_sidecar(void **state) {
    char file[256];
    assert_non_null(strstr(refusal("/no/such/file").text, "cannot be read"));
    assert_non_null(strstr(refusal(CORPUS "cut.jsonl.zst").text, "cut short"));
    assert_non_null(strstr(refusal(CORPUS "no-end.jsonl.zst").text, "no end"));
    refusal(CORPUS "plain.jsonl"); /* not compressed */
    for (int i = 1; i <= 10; i++) {
        em_buffer text = {0};
        const char good[] =
            "{\"document\":0,\"subset\":\"\",\"bytes\":1,\"predictions\":[1],\"nll\":[2]}\n";
        snprintf(file, sizeof file, CORPUS "bad-%d.jsonl", i);
        FILE *f = fopen(file, "r");
        assert_non_null(f);
        char line[512];
        assert_non_null(fgets(line, sizeof line, f));
        fclose(f);
        em_buffer_printf(&text, "%s%s", good, line);
        write_lines(text.data, text.length);
        em_error err = refusal(path);
        assert_int_equal(err.line, 2);
        assert_int_equal(err.byte, strlen(good));
        em_buffer_free(&text);
    }
}

static void paths_and_columns(void **state) {
    char *p = em_documents_path("out/r.json");
    assert_string_equal(p, "out/r.documents.jsonl.zst");
    free(p);
    assert_null(em_documents_path("r.md"));
    em_result x[4] = {{.data_set = "a", .seq_len = 128},
                      {.data_set = "a", .seq_len = 256},
                      {.data_set = "b", .seq_len = 128},
                      {.data_set = "a", .seq_len = 256}};
    em_results r = {.results = x, .n_results = 4};
    assert_int_equal(em_documents_column(&r, 3, false), 2);
    assert_int_equal(em_documents_column(&r, 3, true), 1);
    assert_int_equal(em_documents_column(&r, 2, false), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_lines), cmocka_unit_test(reads_many_lines),
        cmocka_unit_test(refuses_what_is_no_sidecar), cmocka_unit_test(paths_and_columns)};
    int fd = mkstemps(path, 4);
    if (fd < 0) return 1;
    close(fd);
    int bad = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return bad;
}
