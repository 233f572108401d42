/* Tokenizers against the ids of independent implementations, and files that must be refused. */
#include <dirent.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <utf8proc.h>
#include <cmocka.h>

#include "common/buffer.h"
#include "tokenize/tokenizer.h"

#define HERE EM_TEST_DATA "/tokenize/"

static void read_file(const char *path, em_buffer *out) {
    char chunk[1 << 14];
    FILE *f = fopen(path, "rb");
    if (!f) fail_msg("cannot read %s", path);
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, f)) > 0;)
        assert_true(em_buffer_append(out, chunk, n, NULL));
    fclose(f);
}

static em_tokenizer *open_file(const char *path, const char *config, em_error *err) {
    em_buffer file = {0};
    read_file(path, &file);
    em_tokenizer *t = em_tokenizer_open(path, file.data, file.length, config,
                                        config ? strlen(config) : 0, err);
    em_buffer_free(&file);
    return t;
}

static em_tokenizer *must_open(const char *path, const char *config) {
    em_error err = EM_ERROR_INIT;
    em_tokenizer *t = open_file(path, config, &err);
    if (!t) fail_msg("%s: %s", path, err.text);
    return t;
}

static void check_ids(const char *where, const int32_t *ids, size_t n, const json_t *expected) {
    size_t i;
    const json_t *id;
    if (n != json_array_size(expected))
        fail_msg("%s: %zu ids, not %zu", where, n, json_array_size(expected));
    json_array_foreach(expected, i, id) if (json_integer_value(id) != ids[i])
        fail_msg("%s: id %zu is %d, not %d", where, i, ids[i], (int)json_integer_value(id));
}

/* The text's ids, and bytes that sum to its length; a second time too, from the word cache. */
static void check_text(const em_tokenizer *t, em_tokenizer_scratch *s, const char *name,
                       const json_t *text, const json_t *expected) {
    em_error err = EM_ERROR_INIT;
    em_tokens tokens = {0};
    char where[300];
    snprintf(where, sizeof where, "%s, \"%.80s\"", name, json_string_value(text));
    for (int pass = 0; pass < 2; pass++) {
        size_t sum = 0;
        tokens.n = 0;
        if (!em_tokenize(t, s, json_string_value(text), json_string_length(text), &tokens, &err))
            fail_msg("%s: %s", where, err.text);
        check_ids(where, tokens.ids, tokens.n, expected);
        for (size_t i = 0; i < tokens.n; i++) sum += tokens.bytes[i];
        if (tokens.n && sum != json_string_length(text))
            fail_msg("%s: the bytes sum to %zu", where, sum);
    }
    em_tokens_free(&tokens);
}

static void check_case(const char *name, const json_t *texts) {
    char path[512], *line = NULL;
    size_t capacity = 0, i, n;
    const json_t *text;
    em_error err = EM_ERROR_INIT;
    snprintf(path, sizeof path, HERE "valid/%s.json", name);
    em_tokenizer *t = must_open(path, NULL);
    em_tokenizer_scratch *s = em_tokenizer_scratch_new(t, &err);
    snprintf(path, sizeof path, HERE "valid/%s.ids", name);
    FILE *ids = fopen(path, "r");
    assert_non_null(ids);
    assert_true(getline(&line, &capacity, ids) > 0);
    json_t *expected = json_loads(line, 0, NULL);
    const int32_t *affix = em_tokenizer_prefix(t, &n);
    check_ids(name, affix, n, json_array_get(expected, 0));
    affix = em_tokenizer_suffix(t, &n);
    check_ids(name, affix, n, json_array_get(expected, 1));
    json_decref(expected);
    json_array_foreach(texts, i, text) {
        assert_true(getline(&line, &capacity, ids) > 0);
        expected = json_loads(line, 0, NULL);
        check_text(t, s, name, text, expected);
        json_decref(expected);
    }
    fclose(ids);
    free(line);
    em_tokenizer_scratch_free(s);
    em_tokenizer_close(t);
}

/* Calls visit with the name (without .json) of each case in the folder; returns how many. */
static int each_case(const char *folder, void (*visit)(const char *name, const json_t *texts),
                     const json_t *texts) {
    DIR *d = opendir(folder);
    int count = 0;
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        char *end = strstr(e->d_name, ".json");
        if (!end || end[5]) continue;
        *end = 0;
        visit(e->d_name, texts);
        count++;
    }
    closedir(d);
    return count;
}

static void test_components(void **state) {
    json_t *texts = json_load_file(HERE "texts.json", JSON_ALLOW_NUL, NULL);
    assert_non_null(texts);
    assert_true(each_case(HERE "valid", check_case, texts) >= 40);
    json_decref(texts);
}

static void check_refusal(const char *name, const json_t *texts) {
    char path[512], line[1200];
    em_buffer expected = {0};
    em_error err = EM_ERROR_INIT;
    snprintf(path, sizeof path, HERE "invalid/%s.error", name);
    read_file(path, &expected);
    expected.data[strcspn(expected.data, "\n")] = 0;
    snprintf(path, sizeof path, HERE "invalid/%s.json", name);
    em_tokenizer *t = open_file(path, NULL, &err);
    if (t) fail_msg("%s was accepted", path);
    em_error_line(&err, line, sizeof line);
    assert_int_equal(err.status, EM_INPUT);
    if (!strstr(line, expected.data))
        fail_msg("%s: \"%s\" does not say \"%s\"", name, line, expected.data);
    if (!strstr(line, name)) fail_msg("%s: \"%s\" does not name the file", name, line);
    em_buffer_free(&expected);
}

static void test_refusals(void **state) {
    assert_true(each_case(HERE "invalid", check_refusal, NULL) >= 40);
}

static void check_real(const char *tokenizer, const char *records) {
    char *line = NULL;
    size_t capacity = 0;
    em_error err = EM_ERROR_INIT;
    em_tokenizer *t = must_open(tokenizer, NULL);
    em_tokenizer_scratch *s = em_tokenizer_scratch_new(t, &err);
    FILE *f = fopen(records, "r");
    assert_non_null(f);
    while (getline(&line, &capacity, f) > 0) {
        json_t *record = json_loads(line, JSON_ALLOW_NUL, NULL);
        check_text(t, s, tokenizer, json_object_get(record, "text"),
                   json_object_get(record, "ids"));
        json_decref(record);
    }
    fclose(f);
    free(line);
    em_tokenizer_scratch_free(s);
    em_tokenizer_close(t);
}

static void test_real(void **state) {
    check_real(HERE "real/tiny4k-bpe.json", HERE "real/tiny4k-bpe.jsonl");
    check_real(HERE "real/tinystories-656k.json", HERE "real/tinystories-656k.jsonl");
    check_real(HERE "real/tiny4k-spm.model", HERE "real/tiny4k-spm.jsonl");
}

static void expect_affixes(const em_tokenizer *t, int32_t before, int32_t after) {
    size_t n;
    const int32_t *ids = em_tokenizer_prefix(t, &n);
    assert_int_equal(n, before >= 0);
    if (n) assert_int_equal(ids[0], before);
    ids = em_tokenizer_suffix(t, &n);
    assert_int_equal(n, after >= 0);
    if (n) assert_int_equal(ids[0], after);
}

static void test_sentencepiece(void **state) {
    em_tokenizer *t = must_open(HERE "real/tiny4k-spm.model", NULL);
    char text[16];
    assert_int_equal(em_tokenizer_size(t), 4096);
    assert_int_equal(em_tokenizer_eos(t), em_tokenizer_id(t, "</s>"));
    expect_affixes(t, em_tokenizer_id(t, "<s>"), -1);
    assert_int_equal(em_tokenizer_id(t, "no such piece"), -1);
    int32_t id = em_tokenizer_id(t, "\xe2\x96\x81the");
    assert_true(id >= 0);
    assert_int_equal(em_tokenizer_text(t, id, text, sizeof text), 4);
    assert_string_equal(text, " the");
    assert_int_equal(em_tokenizer_text(t, id, text, 3), 2);
    assert_string_equal(text, " t");
    id = em_tokenizer_id(t, "<0x41>");
    assert_true(id >= 0);
    em_tokenizer_text(t, id, text, sizeof text);
    assert_string_equal(text, "A");
    assert_int_equal(em_tokenizer_text(t, 5000, text, sizeof text), 0);
    em_tokenizer_close(t);
}

static void test_config(void **state) {
    const char *path = HERE "valid/llama3.json";
    em_tokenizer *t = must_open(path, NULL);
    int32_t s = em_tokenizer_id(t, "<s>"), end = em_tokenizer_id(t, "</s>");
    expect_affixes(t, s, end);
    assert_int_equal(em_tokenizer_eos(t), -1);
    em_tokenizer_close(t);
    t = must_open(path, "{\"bos_token\": \"<s>\", \"eos_token\": {\"content\": \"</s>\"}, "
                        "\"add_bos_token\": false, \"add_eos_token\": true}");
    expect_affixes(t, s, end);
    assert_int_equal(em_tokenizer_eos(t), end);
    assert_non_null(strstr(em_tokenizer_notes(t)->text[0],
                           "add_bos_token is false in tokenizer_config.json, "
                           "but the post_processor of tokenizer.json adds"));
    em_tokenizer_close(t);
    t = must_open(HERE "real/tiny4k-spm.model",
                  "{\"add_bos_token\": false, \"add_eos_token\": null, \"bos_token\": null}");
    expect_affixes(t, -1, -1);
    em_tokenizer_close(t);
    em_error err = EM_ERROR_INIT;
    assert_null(open_file(path, "[]", &err));
    assert_non_null(strstr(err.text, "tokenizer_config.json is no JSON object"));
}

/* A token that the config adds and the model has no row for is refused where a text holds it. */
static void test_limit(void **state) {
    em_error err = EM_ERROR_INIT;
    em_tokens tokens = {0};
    em_tokenizer *t = must_open(HERE "valid/gpt2.json", "{\"pad_token\": \"[PAD]\"}");
    em_tokenizer_scratch *s = em_tokenizer_scratch_new(t, &err);
    int32_t pad = em_tokenizer_id(t, "[PAD]");
    assert_int_equal(pad, em_tokenizer_own_size(t));
    assert_int_equal(pad + 1, em_tokenizer_size(t));
    assert_true(em_tokenizer_limit(t, pad, &err));
    assert_non_null(strstr(em_tokenizer_notes(t)->text[1], "no row for the added token \"[PAD]\""));
    assert_true(em_tokenize(t, s, "PAD", 3, &tokens, &err));
    assert_false(em_tokenize(t, s, "a [PAD]", 7, &tokens, &err));
    assert_non_null(strstr(err.text, "\"[PAD]\""));
    em_tokens_free(&tokens);
    em_tokenizer_scratch_free(s);
    em_tokenizer_close(t);
}

static void test_texts(void **state) {
    em_tokenizer *t = must_open(HERE "valid/qwen2.json", NULL);
    char text[16];
    em_tokenizer_text(t,
                      em_tokenizer_id(t, "\xc4\xa0"
                                         "a"),
                      text, sizeof text);
    assert_string_equal(text, " a");
    em_tokenizer_text(t, em_tokenizer_id(t, "<|im_start|>"), text, sizeof text);
    assert_string_equal(text, "<|im_start|>");
    assert_non_null(strstr(em_tokenizer_describe(t), "byte-level BPE, 4"));
    em_tokenizer_close(t);
}

/* NFC joins the five bytes of e and two marks; the token that comes out answers for all of them. */
static void test_bytes(void **state) {
    em_error err = EM_ERROR_INIT;
    em_tokens tokens = {0};
    em_tokenizer *t = must_open(HERE "valid/legacy-llama.json", NULL);
    em_tokenizer_scratch *s = em_tokenizer_scratch_new(t, &err);
    assert_true(em_tokenize(t, s, "\x01 z", 3, &tokens, &err)); /* dummy space, byte 01, space, z */
    assert_int_equal(tokens.bytes[0], 0);
    assert_int_equal(tokens.bytes[1], 1);
    assert_true(tokens.n == 4 || tokens.n == 3);
    size_t before = tokens.n;
    assert_false(em_tokenize(t, s, "ab\xff", 3, &tokens, &err));
    assert_non_null(strstr(err.text, "not valid UTF-8"));
    assert_int_equal(err.byte, 2);
    assert_int_equal(tokens.n, before);
    em_tokens_free(&tokens);
    em_tokenizer_scratch_free(s);
    em_tokenizer_close(t);
}

static void assert_same_ids(const em_tokenizer *t, em_tokenizer_scratch *s, const char *a,
                            const char *b, unsigned seed) {
    em_error err = EM_ERROR_INIT;
    em_tokens x = {0}, y = {0};
    assert_true(em_tokenize(t, s, a, strlen(a), &x, &err));
    assert_true(em_tokenize(t, s, b, strlen(b), &y, &err));
    if (x.n != y.n || memcmp(x.ids, y.ids, x.n * sizeof *x.ids))
        fail_msg("seed %u: %zu and %zu tokens of \"%s\"", seed, x.n, y.n, a);
    em_tokens_free(&x);
    em_tokens_free(&y);
}

/* Runs without ASCII, longer than what is normalized at once: as utf8proc normalizes them whole. */
static void test_long_runs(void **state) {
    static const char *const parts[] = {
        "\xc3\xa9",     "e\xcc\x81",    "\xcc\xa3",     "\xcc\x81",     "\xe1\x84\x80",
        "\xe1\x85\xa1", "\xe1\x86\xa8", "\xea\xb0\x80", "\xe3\x81\x8b", "\xe3\x82\x99",
        "\xe6\xbc\xa2", "\xe0\xa7\x87", "\xe0\xa6\xbe", "\xe1\x80\xa5", "\xe1\x80\xae",
        "\xe2\x84\xab", "\xef\xa4\x80", "\xe1\xac\x85", "\xe1\xac\xb5", "\xe0\xbe\xb2",
        "\xe0\xbe\x80", "\xef\xbe\x9e", "\xef\xac\x81", "\xd0\xb8"};
    static const struct {
        const char *name;
        utf8proc_option_t options;
    } forms[] = {{"nfc", UTF8PROC_COMPOSE}, {"nfkd", UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT}};
    for (size_t f = 0; f < 2; f++)
        for (unsigned seed = 1; seed < 40; seed++) {
            char path[512], text[12001] = "";
            unsigned state_ = seed, n = sizeof parts / sizeof *parts;
            size_t length = 0;
            while (length < 11900) {
                state_ = state_ * 1103515245u + 12345u;
                length += (size_t)sprintf(text + length, "%s", parts[(state_ >> 16) % n]);
            }
            snprintf(path, sizeof path, HERE "valid/%s.json", forms[f].name);
            em_tokenizer *t = must_open(path, NULL);
            em_tokenizer_scratch *s = em_tokenizer_scratch_new(t, NULL);
            utf8proc_uint8_t *whole;
            assert_true(utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)length,
                                     &whole, forms[f].options | UTF8PROC_STABLE) > 0);
            assert_same_ids(t, s, text, (const char *)whole, seed);
            free(whole);
            em_tokenizer_scratch_free(s);
            em_tokenizer_close(t);
        }
}

/* A word of a megabyte goes through the heap: seconds would mean quadratic work. */
static void long_word(const char *path, const char *unit) {
    em_error err = EM_ERROR_INIT;
    em_buffer text = {0};
    em_tokens tokens = {0};
    struct timespec a, b;
    while (text.length < 1 << 20) em_buffer_puts(&text, unit);
    em_tokenizer *t = must_open(path, NULL);
    em_tokenizer_scratch *s = em_tokenizer_scratch_new(t, &err);
    clock_gettime(CLOCK_MONOTONIC, &a);
    if (!em_tokenize(t, s, text.data, text.length, &tokens, &err))
        fail_msg("%s: %s", path, err.text);
    clock_gettime(CLOCK_MONOTONIC, &b);
    if (b.tv_sec - a.tv_sec > 20)
        fail_msg("%s, \"%s\": %ld s", path, unit, (long)(b.tv_sec - a.tv_sec));
    em_tokens_free(&tokens);
    em_tokenizer_scratch_free(s);
    em_tokenizer_close(t);
    em_buffer_free(&text);
}

static void test_long_words(void **state) {
    long_word(HERE "valid/gpt2.json", "the");
    long_word(HERE "valid/cl100k.json", " ");
    long_word(HERE "valid/o200k.json", "aB");
    long_word(HERE "valid/nfkd.json", "\xcc\xa3\xcc\x81");
    long_word(HERE "valid/legacy-llama.json", "the");
    long_word(HERE "valid/neox-spaces.json", " ");
    long_word(HERE "valid/added-flags.json", "<l> ");
    long_word(HERE "real/tiny4k-spm.model", "the");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_components), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_real),       cmocka_unit_test(test_sentencepiece),
        cmocka_unit_test(test_config),     cmocka_unit_test(test_texts),
        cmocka_unit_test(test_limit),      cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_long_runs),  cmocka_unit_test(test_long_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
