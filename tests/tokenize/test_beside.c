/* Tokenizers with files beside them that add to them or contradict them: the ids that transformers
 * 5 gives for the same directory, and a note that names both (or an error that does). */
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/buffer.h"
#include "tokenize/tokenizer.h"

#define HERE EM_TEST_DATA "/tokenize/"

/* ---- the files of a case ---- */

typedef struct files {
    em_tokenizer_files files;
    char *texts[4]; /* own the bytes */
    em_buffer spm;
} files;

static em_tokenizer_bytes dump(const json_t *json, char **text) {
    if (!json) return (em_tokenizer_bytes){0};
    *text = json_dumps(json, JSON_ENSURE_ASCII);
    return (em_tokenizer_bytes){*text, strlen(*text)};
}

static const json_t *or_null(const json_t *json) { return json ? json : json_null(); }

/* tokenizer.json: the base with what the case changes in it. */
static json_t *tokenizer_json(const json_t *base, const json_t *c) {
    json_t *j = json_deep_copy(base), *pre = json_object_get(j, "pre_tokenizer");
    const json_t *added = json_object_get(c, "tj");
    if (added) json_object_set(j, "added_tokens", (json_t *)added);
    json_object_set(j, "post_processor", (json_t *)or_null(json_object_get(c, "post")));
    json_object_set_new(pre, "add_prefix_space",
                        json_boolean(json_is_true(json_object_get(c, "space"))));
    if (json_is_true(json_object_get(c, "lower")))
        json_object_set_new(j, "normalizer", json_pack("{ss}", "type", "Lowercase"));
    return j;
}

static void read_file(const char *path, em_buffer *out) {
    char chunk[1 << 14];
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, f)) > 0;)
        assert_true(em_buffer_append(out, chunk, n, NULL));
    fclose(f);
}

static void read_spm(em_buffer *out) { read_file(HERE "spm/plain.model", out); }

static void make_files(files *f, const json_t *base, const json_t *c) {
    *f = (files){0};
    if (strcmp(json_string_value(json_object_get(c, "kind")), "spm")) {
        json_t *j = tokenizer_json(base, c);
        f->files.model = dump(j, &f->texts[0]);
        f->files.source = "tokenizer.json";
        json_decref(j);
    } else {
        read_spm(&f->spm);
        f->files.model = (em_tokenizer_bytes){f->spm.data, f->spm.length};
        f->files.source = "tokenizer.model";
    }
    f->files.config = dump(json_object_get(c, "config"), &f->texts[1]);
    f->files.added_tokens = dump(json_object_get(c, "added"), &f->texts[2]);
    f->files.special_tokens_map = dump(json_object_get(c, "map"), &f->texts[3]);
}

static void free_files(files *f) {
    for (int i = 0; i < 4; i++) free(f->texts[i]);
    em_buffer_free(&f->spm);
}

/* ---- what comes out ---- */

static void check_text(const em_tokenizer *t, em_tokenizer_scratch *s, const char *name,
                       const json_t *text, const json_t *expected) {
    em_error err = EM_ERROR_INIT;
    em_tokens tokens = {0};
    size_t n, sum = 0, i;
    json_t *got = json_array();
    const int32_t *around = em_tokenizer_prefix(t, &n);
    for (i = 0; i < n; i++) json_array_append_new(got, json_integer(around[i]));
    if (!em_tokenize(t, s, json_string_value(text), json_string_length(text), &tokens, &err))
        fail_msg("%s: %s", name, err.text);
    for (i = 0; i < tokens.n; i++) {
        json_array_append_new(got, json_integer(tokens.ids[i]));
        sum += tokens.bytes[i];
    }
    around = em_tokenizer_suffix(t, &n);
    for (i = 0; i < n; i++) json_array_append_new(got, json_integer(around[i]));
    if (!json_equal(got, expected))
        fail_msg("%s, \"%s\": %s, not %s", name, json_string_value(text), json_dumps(got, 0),
                 json_dumps(expected, 0));
    assert_int_equal(sum, json_string_length(text));
    json_decref(got);
    em_tokens_free(&tokens);
}

static void check_notes(const em_tokenizer *t, const char *name, const json_t *c) {
    const char *note = json_string_value(json_object_get(c, "note")),
               *eos = json_string_value(json_object_get(c, "eos")), *file;
    const em_notes *got = em_tokenizer_notes(t);
    bool said = false;
    for (size_t i = 0; i < got->n; i++) said |= note && strstr(got->text[i], note);
    if (!note || !*note ? got->n > 0 : !said)
        fail_msg("%s: of the %zu notes (%s) none says \"%s\"", name, got->n,
                 got->n ? got->text[0] : "", note ? note : "");
    if (eos) {
        assert_int_equal(em_tokenizer_eos(t), em_tokenizer_id(t, eos));
        assert_int_equal(em_tokenizer_named(t, "eos_token", &file), em_tokenizer_id(t, eos));
    }
}

static void check_case(const json_t *base, const json_t *c) {
    const char *name = json_string_value(json_object_get(c, "name")),
               *refused = json_string_value(json_object_get(c, "refused"));
    const json_t *texts = json_object_get(c, "texts"), *ids = json_object_get(c, "ids"), *text;
    em_error err = EM_ERROR_INIT;
    files f;
    size_t i;
    make_files(&f, base, c);
    em_tokenizer *t = em_tokenizer_open_files(&f.files, &err);
    if (refused && (t || !strstr(err.text, refused)))
        fail_msg("%s: \"%s\" does not say \"%s\"", name, err.text, refused);
    if (!refused && !t) fail_msg("%s: %s", name, err.text);
    if (t) {
        em_tokenizer_scratch *s = em_tokenizer_scratch_new(t, &err);
        json_array_foreach(texts, i, text) check_text(t, s, name, text, json_array_get(ids, i));
        check_notes(t, name, c);
        em_tokenizer_scratch_free(s);
    }
    em_tokenizer_close(t);
    free_files(&f);
}

static void test_cases(void **state) {
    json_t *file = json_load_file(HERE "beside.json", 0, NULL);
    const json_t *cases = json_object_get(file, "cases"), *c;
    size_t i;
    assert_true(json_array_size(cases) > 60);
    json_array_foreach(cases, i, c) check_case(json_object_get(file, "base"), c);
    json_decref(file);
}

static void refuse(const char *config, const char *added, const char *says) {
    em_error err = EM_ERROR_INIT;
    files f = {0};
    read_spm(&f.spm);
    f.files = (em_tokenizer_files){.source = "tokenizer.model",
                                   .model = {f.spm.data, f.spm.length},
                                   .config = {config, config ? strlen(config) : 0},
                                   .added_tokens = {added, added ? strlen(added) : 0}};
    assert_null(em_tokenizer_open_files(&f.files, &err));
    assert_int_equal(err.status, EM_INPUT);
    if (!strstr(err.text, says)) fail_msg("\"%s\" does not say \"%s\"", err.text, says);
    em_buffer_free(&f.spm);
}

static void test_broken_files(void **state) {
    refuse("[]", NULL, "tokenizer_config.json is no JSON object");
    refuse(NULL, "{", "added_tokens.json is no JSON object");
    refuse(NULL, "{\"<x>\": \"one\"}", "the entry \"<x>\" is no id and token");
    refuse("{\"added_tokens_decoder\": {\"one\": {\"content\": \"<x>\"}}}", NULL,
           "the entry \"one\" is no id and token");
    refuse("{\"added_tokens_decoder\": {\"1\": \"<x>\"}}", NULL, "the entry \"1\" is no id");
    refuse("{\"add_prefix_space\": false}", NULL, "make the two files agree");
}

/* What transformers makes of a class by itself is not followed, and said. */
static void test_llama_class(void **state) {
    static const struct {
        const char *file, *config;
        size_t notes;
    } cases[] = {{"legacy-llama", "{\"tokenizer_class\": \"LlamaTokenizerFast\"}", 1},
                 {"legacy-llama", "{\"tokenizer_class\": \"PreTrainedTokenizerFast\"}", 0},
                 {"gpt2", "{\"tokenizer_class\": \"LlamaTokenizer\"}", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[512];
        em_buffer file = {0};
        em_error err = EM_ERROR_INIT;
        snprintf(path, sizeof path, HERE "valid/%s.json", cases[i].file);
        read_file(path, &file);
        em_tokenizer *t = em_tokenizer_open(path, file.data, file.length, cases[i].config,
                                            strlen(cases[i].config), &err);
        assert_non_null(t);
        const em_notes *notes = em_tokenizer_notes(t);
        assert_int_equal(notes->n, cases[i].notes);
        if (notes->n) assert_non_null(strstr(notes->text[0], "those of tokenizer.json count here"));
        em_tokenizer_close(t);
        em_buffer_free(&file);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_broken_files),
        cmocka_unit_test(test_llama_class),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
