/* Writes seeds for fuzz_state: states of each type, empty and in the middle of something. Built on
 * request: cmake --build BUILD --target make_state_corpus && BUILD/tests/eval/make_state_corpus
 * tests/eval/corpus/state */
#include <stdio.h>
#include <stdlib.h>

#include "eval/statistics/compare.h"
#include "eval/statistics/sidecar.h"
#include "eval/statistics/statistics.h"

static void write_seed(const char *folder, const char *name, const em_buffer *content) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(content->data, 1, content->length, f) != content->length || fclose(f)) {
        perror(path);
        exit(1);
    }
}

static em_buffer begin(char type) {
    em_buffer b = {0};
    em_buffer_append(&b, &type, 1, NULL);
    return b;
}

static void make_sums(em_row_sums *r, int predictions, em_error *err) {
    for (int i = 0; i < predictions; i++) {
        em_prediction p = {
            .nll = 0.5 * i, .bytes = 3, .group = i / 7, .document = i / 7, .place = i % 7};
        em_row_sums_add(r, &p, err);
    }
}

static void statistics(const char *folder, const char *name, int predictions) {
    em_error err = EM_ERROR_INIT;
    em_statistics *s = em_statistics_new(false, &err);
    em_row_sums row = {0};
    em_buffer b = begin(0);
    size_t n;
    make_sums(&row, predictions, &err);
    em_statistics_row(s, &row, &err);
    em_statistics_documents(s, 0, &n, &err);
    em_statistics_documents_taken(s);
    em_statistics_state(s, &(em_state){.into = &b, .err = &err});
    write_seed(folder, name, &b);
    em_buffer_free(&b);
    em_row_sums_free(&row);
    em_statistics_free(s);
}

static void row_sums(const char *folder, const char *name, int predictions) {
    em_error err = EM_ERROR_INIT;
    em_row_sums row = {0};
    em_buffer b = begin(3);
    make_sums(&row, predictions, &err);
    em_row_sums_state(&row, &(em_state){.into = &b, .err = &err});
    write_seed(folder, name, &b);
    em_buffer_free(&b);
    em_row_sums_free(&row);
}

static void make_paired(em_row_paired *r, int predictions, em_error *err) {
    em_row_paired_clear(r);
    for (int i = 0; i < predictions; i++) {
        em_paired p = {.before = 2,
                       .after = 1 + 0.1 * i,
                       .has_kl = true,
                       .kl = 0.1 * i,
                       .common = true,
                       .stretch = i / 3,
                       .group = i / 7,
                       .document = i / 7,
                       .place = i % 7};
        em_row_paired_add(r, &p, err);
    }
}

static void comparison(const char *folder, const char *name, int predictions) {
    em_error err = EM_ERROR_INIT;
    em_comparator *c = em_comparator_new(
        &(em_comparator_options){.kind = EM_COMPARE_MASKS, .has_common = true}, &err);
    em_row_paired row = {0};
    em_buffer b = begin(1);
    make_paired(&row, predictions, &err);
    em_comparator_row(c, &row, &err);
    em_comparator_state(c, &(em_state){.into = &b, .err = &err});
    write_seed(folder, name, &b);
    em_buffer_free(&b);
    em_row_paired_free(&row);
    em_comparator_free(c);
}

static void row_paired(const char *folder, const char *name, int predictions) {
    em_error err = EM_ERROR_INIT;
    em_row_paired row = {0};
    em_buffer b = begin(4);
    make_paired(&row, predictions, &err);
    em_row_paired_state(&row, &(em_state){.into = &b, .err = &err});
    write_seed(folder, name, &b);
    em_buffer_free(&b);
    em_row_paired_free(&row);
}

static void sidecar(const char *folder, const char *name, int documents) {
    em_error err = EM_ERROR_INIT;
    em_sidecar *s = em_sidecar_new(NULL, "", 0, 2, &err);
    em_buffer b = begin(2);
    for (int i = 0; i < documents; i++) {
        em_sidecar_document(s, i, "a subset", 100, &err);
        em_sidecar_add(s, 1, &(em_document_sum){i, 7, 3.5});
    }
    em_sidecar_state(s, &(em_state){.into = &b, .err = &err});
    write_seed(folder, name, &b);
    em_buffer_free(&b);
    em_sidecar_free(s);
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    statistics(argv[1], "statistics-empty", 0);
    statistics(argv[1], "statistics", 20);
    comparison(argv[1], "comparison-empty", 0);
    comparison(argv[1], "comparison", 5);
    sidecar(argv[1], "sidecar-empty", 0);
    sidecar(argv[1], "sidecar", 3);
    row_sums(argv[1], "row-sums-empty", 0);
    row_sums(argv[1], "row-sums", 20);
    row_paired(argv[1], "row-paired-empty", 0);
    row_paired(argv[1], "row-paired", 9);
    return 0;
}
