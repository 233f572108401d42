/* results.json is JSON with every field of design §9; Markdown tables are whole and even. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include <jansson.h>

#include "reports/formats/formats.h"
#include "reports/results/csv.h"
#include "reports/results/json.h"

static em_slice subset(const char *name, int64_t n, double nll) {
    return (em_slice){.name = strdup(name),
                      .documents = 2,
                      .predictions = n,
                      .top1_count = n / 2,
                      .nll = nll,
                      .text_nll = nll,
                      .text_bytes = 3 * n};
}

static em_result result(const char *set, const char *mask, const char *labels) {
    em_result x = {.offset = 1,
                   .depth = EM_NO_DEPTH,
                   .seq_len = 1024,
                   .batch = 3,
                   .rows = 7,
                   .batches = 3,
                   .documents = 5,
                   .predictions = 100,
                   .boundary_predictions = 4,
                   .loss = 4.5,
                   .loss_batch_mean = 4.25,
                   .loss_doc_mean = 1.0 / 3,
                   .loss_no_boundary = NAN,
                   .perplexity = exp(4.5),
                   .bits_per_byte = INFINITY,
                   .bits_per_byte_all = 1.5,
                   .top1 = 0.25,
                   .stderr_ = 0.125,
                   .groups = 5};
    snprintf(x.data_set, sizeof x.data_set, "%s", set);
    strcpy(x.model, "ba\"se");
    snprintf(x.mask, sizeof x.mask, "%s", mask);
    snprintf(x.labels, sizeof x.labels, "%s", labels);
    strcpy(x.positions, "continuous");
    strcpy(x.offset_words, "the next token");
    strcpy(x.fingerprints.data, "0123456789abcdef");
    x.clean = (em_slice){.predictions = 60, .nll = 240};
    x.direct = (em_slice){.predictions = 40, .nll = 10};
    x.leak = !strcmp(mask, "flip0");
    x.subsets = calloc(2, sizeof *x.subsets);
    x.subsets[x.n_subsets++] = subset("C | code\n", 60, 250);
    x.subsets[x.n_subsets++] = subset("Übersicht", 40, 200);
    x.by_position = calloc(2, sizeof *x.by_position);
    x.by_position[x.n_by_position++] = (em_slice){.from = 0, .to = 1, .predictions = 5, .nll = 50};
    x.by_position[x.n_by_position++] =
        (em_slice){.from = 2, .to = 4, .predictions = 95, .nll = 400};
    return x;
}

static em_results sample(int sets) {
    em_results r = {.n_models = 1, .models = {{.parameters = 3200000, .layers = 6, .vocab = 4096}}};
    strcpy(r.models[0].name, "ba\"se");
    strcpy(r.models[0].family, "llama");
    r.results = calloc((size_t)(2 * sets), sizeof *r.results);
    r.data_sets = calloc((size_t)sets, sizeof *r.data_sets);
    for (int i = 0; i < sets; i++) {
        const char *name = sets == 1 ? "" : i ? "news" : "code";
        r.results[r.n_results++] = result(name, "doc", "unshifted");
        r.results[r.n_results++] = result(name, "flip0", "unshifted");
        strcpy(r.data_sets[i].name, name);
        r.data_sets[r.n_data_sets++].totals =
            (em_data_totals){.documents = 5, .tokens = 107, .bytes = 300, .rows = 7, .batches = 3};
    }
    if (sets > 1) {
        r.means = calloc(1, sizeof *r.means);
        r.means[r.n_means++] = (em_mean){
            .mask = "doc", .labels = "unshifted", .positions = "reset", .macro = 4.5, .micro = 4.4};
    }
    em_results_protocol(&r, "tail", "%s", "pad");
    em_results_protocol(&r, "eos", "%s", "2 \"</s>\"");
    em_results_note(&r, "LEAK: %d positions", 40);
    return r;
}

static em_comparison comparison(const char *mask, bool alpha) {
    em_comparison x = {.has_alpha = alpha,
                       .alpha = alpha ? 0.5 : 0,
                       .depth = EM_NO_DEPTH,
                       .all = {.predictions = 100,
                               .groups = 5,
                               .difference = alpha ? -0.0625 : 0.125,
                               .stderr_ = 0.03125,
                               .low = 0.0625,
                               .high = 0.1875,
                               .documents_to_resolve = 1234567},
                       .perplexity_ratio = 1.133,
                       .better = 0.25,
                       .same_top1 = 0.75,
                       .has_kl = !alpha,
                       .kl_mean = 0.5,
                       .kl_max = 12,
                       .kl_quantiles = {0.25, 1, 3, 8}};
    strcpy(x.before, "before");
    strcpy(x.after, alpha ? "amplified" : "after");
    strcpy(x.mask, mask);
    strcpy(x.labels, "unshifted");
    strcpy(x.positions, "continuous");
    x.subsets = calloc(1, sizeof *x.subsets);
    x.subsets[x.n_subsets++] = subset("C", 100, 12.5);
    x.by_position = calloc(1, sizeof *x.by_position);
    x.by_position[x.n_by_position++] =
        (em_slice){.from = 0, .to = 1, .predictions = 100, .nll = 12.5};
    return x;
}

/* Two models and an alpha, under two masks. */
static em_results pair_sample(void) {
    static const char *const masks[] = {"doc", "regular"}, *const names[] = {"before", "after",
                                                                             "amplified"};
    em_results r = {.n_models = 2};
    r.results = calloc(6, sizeof *r.results);
    r.comparisons = calloc(4, sizeof *r.comparisons);
    r.data_sets = calloc(1, sizeof *r.data_sets);
    r.n_data_sets = 1;
    for (int m = 0; m < 2; m++) {
        for (int k = 0; k < 3; k++) {
            em_result *x = &r.results[r.n_results++];
            *x = result("", masks[m], "unshifted");
            strcpy(x->model, names[k]);
            x->has_alpha = k == 2;
            x->alpha = k == 2 ? 0.5 : 0;
        }
        r.comparisons[r.n_comparisons++] = comparison(masks[m], false);
        r.comparisons[r.n_comparisons++] = comparison(masks[m], true);
    }
    for (int i = 0; i < 2; i++) {
        strcpy(r.models[i].name, names[i]);
        strcpy(r.models[i].family, "llama");
    }
    return r;
}

static size_t columns(const char *line, size_t n);

static void comparisons_and_alphas(void **state) {
    em_results r = pair_sample();
    em_buffer b = {0};
    json_error_t error;
    em_report_json(&r, &b);
    json_t *root = json_loadb(b.data, b.length, JSON_REJECT_DUPLICATES, &error);
    if (!root) fail_msg("line %d: %s", error.line, error.text);
    json_t *x = json_array_get(json_object_get(root, "results"), 2),
           *c = json_array_get(json_object_get(root, "comparisons"), 0);
    assert_string_equal(json_string_value(json_object_get(x, "model")), "amplified");
    assert_true(json_real_value(json_object_get(x, "alpha")) == 0.5);
    assert_true(json_is_null(
        json_object_get(json_array_get(json_object_get(root, "results"), 1), "alpha")));
    assert_int_equal(json_array_size(json_object_get(root, "comparisons")), 4);
    assert_true(json_real_value(json_object_get(c, "difference")) == 0.125);
    assert_true(json_number_value(json_object_get(json_object_get(c, "kl"), "p99")) == 3);
    json_t *part = json_array_get(json_object_get(c, "subsets"), 0);
    assert_true(json_real_value(json_object_get(part, "difference")) == 0.125);
    assert_int_equal(json_array_size(json_object_get(root, "models")), 2);
    json_decref(root);
    em_buffer_clear(&b);
    em_report_markdown(&r, EM_MARKDOWN_PLAIN, &b);
    assert_non_null(strstr(b.data, "## after minus before"));
    assert_non_null(strstr(b.data, "+0.0625 +0.1875"));
    assert_non_null(strstr(b.data, "The loss is least at alpha = 0.5."));
    for (const char *line = b.data; *line; line += strcspn(line, "\n") + 1) {
        size_t n = strcspn(line, "\n");
        if (columns(line, n) > 80) fail_msg("%zu columns: %.*s", columns(line, n), (int)n, line);
    }
    em_buffer_free(&b);
    em_results_free(&r);
}

static void json_has_every_field(void **state) {
    static const char *const fields[] = {"model",
                                         "mask",
                                         "labels",
                                         "offset",
                                         "alpha",
                                         "depth",
                                         "seq_len",
                                         "batch",
                                         "positions",
                                         "predictions",
                                         "loss",
                                         "loss_batch_mean",
                                         "loss_doc_mean",
                                         "loss_no_boundary",
                                         "perplexity",
                                         "bits_per_byte",
                                         "bits_per_byte_all",
                                         "top1",
                                         "stderr",
                                         "groups",
                                         "leak",
                                         "fingerprints",
                                         "subsets",
                                         "by_position",
                                         "dtype",
                                         "boundary_predictions"};
    for (int sets = 1; sets < 3; sets++) {
        em_results r = sample(sets);
        em_buffer b = {0};
        json_error_t error;
        em_report_json(&r, &b);
        json_t *root = json_loadb(b.data, b.length, JSON_REJECT_DUPLICATES, &error);
        if (!root) fail_msg("line %d: %s", error.line, error.text);
        json_t *x = json_array_get(json_object_get(root, "results"), 0);
        for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
            if (!json_object_get(x, fields[i])) fail_msg("no %s", fields[i]);
        assert_string_equal(json_string_value(json_object_get(x, "model")), "ba\"se");
        assert_true(json_is_null(json_object_get(x, "loss_no_boundary")) &&
                    json_is_null(json_object_get(x, "bits_per_byte")));
        assert_true(json_real_value(json_object_get(x, "loss_doc_mean")) == 1.0 / 3);
        assert_true(json_is_false(json_object_get(x, "leak")));
        json_t *leaking = json_array_get(json_object_get(root, "results"), 1);
        json_t *direct = json_object_get(json_object_get(leaking, "leaks"), "direct");
        assert_true(json_real_value(json_object_get(direct, "loss")) == 0.25);
        json_t *data = json_object_get(root, "data");
        assert_int_equal(json_integer_value(json_object_get(data, "documents")), 5 * sets);
        assert_int_equal(json_array_size(json_object_get(root, "data_sets")), sets > 1 ? sets : 0);
        json_decref(root);
        em_buffer_free(&b);
        em_results_free(&r);
    }
}

static size_t columns(const char *line, size_t n) {
    size_t w = 0;
    for (size_t i = 0; i < n; i++) w += ((unsigned char)line[i] & 0xc0) != 0x80;
    return w;
}

/* All lines of one table are equally wide and have as many unescaped pipes. */
static void markdown_tables_are_even(void **state) {
    for (int sets = 1; sets < 3; sets++) {
        em_results r = sample(sets);
        em_buffer b = {0};
        size_t width = 0, pipes = 0, tables = 0;
        em_report_markdown(&r, EM_MARKDOWN_PLAIN, &b);
        for (const char *line = b.data; *line; line += strcspn(line, "\n") + 1) {
            size_t n = strcspn(line, "\n"), p = 0;
            for (size_t i = 0; i < n; i++) p += line[i] == '|' && (i == 0 || line[i - 1] != '\\');
            if (*line != '|') {
                width = 0;
                continue;
            }
            if (width == 0) width = columns(line, n), pipes = p, tables++;
            if (columns(line, n) != width || p != pipes) fail_msg("uneven: %.*s", (int)n, line);
        }
        assert_true(tables >= 5);
        assert_non_null(strstr(b.data, "flip0 LEAK"));
        assert_non_null(strstr(b.data, "C \\| code "));
        assert_non_null(strstr(b.data, "- LEAK: 40 positions"));
        em_buffer_free(&b);
        em_results_free(&r);
    }
}

/* Counts in words speak for the data set and the labels they belong to, not for all by the first
 * one's. */
static void counts_in_words_name_what_they_count(void **state) {
    for (int sets = 1; sets <= 2; sets++) {
        em_results r = sample(sets);
        strcpy(r.protocol[0].value, "cut"); /* --tail: not "pad" */
        em_results_protocol(&r, "boundary", "keep");
        for (int i = 0; i < r.n_results; i++) {
            r.results[i].dropped_tokens = 10 + i;
            r.results[i].boundary_predictions = 50 + i;
            r.results[i].groups = 70 + i;
            if (i % 2) strcpy(r.results[i].labels, "shifted");
        }
        em_buffer b = {0}, flat = {0};
        em_report_markdown(&r, EM_MARKDOWN_PLAIN, &b);
        for (const char *c = b.data; *c; c++) /* undo the wrapping */
            if (strncmp(c, "\n  ", 3)) em_buffer_append(&flat, c, 1, NULL);
            else em_buffer_puts(&flat, " "), c += 2;
        assert_non_null(strstr(
            flat.data,
            sets == 1 ? "(tokens dropped: 10 under unshifted, 11 under shifted)"
                      : "(tokens dropped: 10 in code under unshifted, 11 in code under shifted, "
                        "12 in news under unshifted, 13 in news under shifted)"));
        assert_non_null(
            strstr(flat.data,
                   sets == 1 ? "counted, 50 of 100 (unshifted), 51 of 100 (shifted)."
                             : "counted, 50 of 100 (code, unshifted), 51 of 100 (code, shifted), "
                               "52 of 100 (news, unshifted), 53 of 100 (news, shifted)."));
        assert_non_null(strstr(flat.data, sets == 1 ? "SE over 70 documents."
                                                    : "SE over 70 documents in code, 72 in news."));
        em_buffer_free(&b);
        em_buffer_free(&flat);
        em_results_free(&r);
    }
}

static void lines_fit_80_columns(void **state) {
    em_results r = sample(1);
    em_buffer b = {0};
    em_report_markdown(&r, EM_MARKDOWN_PLAIN, &b);
    for (const char *line = b.data; *line; line += strcspn(line, "\n") + 1) {
        size_t n = strcspn(line, "\n");
        if (columns(line, n) > 80) fail_msg("%zu columns: %.*s", columns(line, n), (int)n, line);
    }
    em_buffer_free(&b);
    em_results_free(&r);
}

/* As many subsets as a loader gives: looked up one by one in a list they took half a minute. */
static void many_subsets(void **state) {
    enum { MANY = 65536 };
    em_results r = sample(1);
    em_buffer b = {0};
    for (int i = 0; i < r.n_results; i++) {
        em_result *x = &r.results[i];
        for (int k = 0; k < x->n_subsets; k++) free(x->subsets[k].name);
        x->subsets = realloc(x->subsets, MANY * sizeof *x->subsets);
        for (x->n_subsets = 0; x->n_subsets < MANY; x->n_subsets++) {
            char name[16];
            snprintf(name, sizeof name, "s%05d", x->n_subsets);
            x->subsets[x->n_subsets] = subset(name, 10, 10.0 * (x->n_subsets % 7));
        }
    }
    clock_t begin = clock();
    em_report_markdown(&r, EM_MARKDOWN_PLAIN, &b);
    double seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
    assert_non_null(strstr(b.data, "| s65535 |         2 | 1.0000 | 1.0000 |"));
    if (seconds > 5) fail_msg("%.1f seconds", seconds);
    em_buffer_free(&b);
    em_results_free(&r);
}

static void formats_go_by_the_name(void **state) {
    em_error err = EM_ERROR_INIT;
    em_results r = sample(1);
    assert_string_equal(em_report_format_of("a.json", &err), "JSON");
    assert_string_equal(em_report_format_of("a.b.md", &err), "Markdown");
    assert_null(em_report_format_of("a.pdf", &err));
    assert_int_equal(err.status, EM_USAGE);
    em_error none = EM_ERROR_INIT;
    assert_false(em_report_write(&r, &(em_report_options){0}, "/no/such/folder/r.json", &none));
    assert_int_equal(none.status, EM_MACHINE);
    em_results_free(&r);
}

/* Names of others reach no terminal, page or XML as they are; CSV runs no formula. */
static void names_are_shown(void **state) {
    static const char *const evil[] = {"\x1b]0;title\x07\x1b[31mred",
                                       "\xc2\x85\xc2\x9b"
                                       "31m",
                                       "\xe2\x80\xae"
                                       "a\xe2\x81\xa6",
                                       "\x7f\x08\x0b",
                                       "\xef\xbf\xbe",
                                       "\xef\xbf\xbf",
                                       "bytes \xff"};
    static const char *const raw[] = {"\x1b",         "\x07",         "\xc2\x85",     "\xc2\x9b",
                                      "\xe2\x80\xae", "\xe2\x81\xa6", "\x7f",         "\x08",
                                      "\x0b",         "\xef\xbf\xbe", "\xef\xbf\xbf", "\xff"};
    for (size_t k = 0; k < sizeof evil / sizeof *evil; k++) {
        em_results r = sample(1);
        em_buffer b = {0};
        em_error err = EM_ERROR_INIT;
        free(r.results[0].subsets[0].name);
        r.results[0].subsets[0].name = strdup(evil[k]);
        snprintf(r.models[0].name, sizeof r.models[0].name, "%s", evil[k]);
        snprintf(r.results[0].model, sizeof r.results[0].model, "%s", evil[k]);
        em_results_note(&r, "A note of %s.", evil[k]);
        em_report_markdown(&r, EM_MARKDOWN_PLAIN, &b);
        em_report_markdown(&r, EM_MARKDOWN_GITHUB, &b);
        em_report_junit(&r, &b);
        assert_true(em_report_html(&r, NULL, &b, &err));
        for (size_t i = 0; i < sizeof raw / sizeof *raw; i++)
            if (strstr(b.data, raw[i]))
                fail_msg("name %zu, character %zu: %.200s", k, i, strstr(b.data, raw[i]) - 100);
        em_buffer_free(&b);
        em_results_free(&r);
    }
}

static void csv_holds_no_formula(void **state) {
    static const char *const names[] = {"=1+1", "+1", "-1,2", "@x", "a=1"};
    static const char *const cells[] = {",'=1+1,", ",'+1,", ",\"'-1,2\",", ",'@x,", ",a=1,"};
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        em_results r = sample(1);
        em_buffer b = {0};
        snprintf(r.results[0].model, sizeof r.results[0].model, "%s", names[k]);
        em_report_csv(&r, &b);
        assert_non_null(strstr(b.data, cells[k]));
        em_buffer_free(&b);
        em_results_free(&r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(json_has_every_field),
                                       cmocka_unit_test(markdown_tables_are_even),
                                       cmocka_unit_test(lines_fit_80_columns),
                                       cmocka_unit_test(counts_in_words_name_what_they_count),
                                       cmocka_unit_test(comparisons_and_alphas),
                                       cmocka_unit_test(many_subsets),
                                       cmocka_unit_test(names_are_shown),
                                       cmocka_unit_test(csv_holds_no_formula),
                                       cmocka_unit_test(formats_go_by_the_name)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
