/* Headers and configs, each accepted or with the error line that it must give
 * (inputs/KIND/NAME.input and NAME.error), and good checkpoints with one thing changed. */
#include <dirent.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "model/adapter_config.h"
#include "model/config_read.h"
#include "model/llama2c.h"
#include "model/mapping.h"
#include "model/families/family.h"
#include "model/model.h"
#include "model/safetensors.h"

#define DATA EM_TEST_DATA "/model"

/* ---- files with their error ---- */

typedef bool reader(const void *data, size_t size, em_error *err);

static bool read_safetensors(const void *data, size_t size, em_error *err) {
    em_tensors t = {0};
    bool good = em_safetensors_read(data, size, "FILE", &t, err);
    em_tensors_free(&t);
    return good;
}

static bool read_config(const void *data, size_t size, em_error *err) {
    em_config c;
    bool good = em_config_read("FILE", data, size, &c, err);
    if (good) em_config_free(&c);
    return good;
}

static bool read_adapter(const void *data, size_t size, em_error *err) {
    em_adapter_config c;
    bool good = em_adapter_config_read("FILE", data, size, &c, err);
    if (good) em_adapter_config_free(&c);
    return good;
}

static bool read_llama2c(const void *data, size_t size, em_error *err) {
    em_tensors t = {0};
    em_buffer config = {0};
    bool good = em_llama2c_read(data, size, "FILE", &t, &config, err);
    em_tensors_free(&t);
    em_buffer_free(&config);
    return good;
}

/* The one line of NAME.error, or "" where there is none: then the input must be accepted. */
static void expected_line(const char *input, char *out, size_t n) {
    char path[1024];
    snprintf(path, sizeof path, "%.*s.error", (int)(strlen(input) - strlen(".input")), input);
    FILE *f = fopen(path, "r");
    *out = 0;
    if (!f) return;
    if (!fgets(out, (int)n, f)) *out = 0;
    fclose(f);
    out[strcspn(out, "\n")] = 0;
}

/* "{families}" in an expected line stands for the list that the table makes. */
static void name_families(char *line, size_t n) {
    static const char mark[] = "{families}";
    char list[EM_FAMILY_LIST], rest[400], *at = strstr(line, mark);
    if (!at) return;
    snprintf(rest, sizeof rest, "%s", at + strlen(mark));
    snprintf(at, n - (size_t)(at - line), "%s%s", em_family_list(list, sizeof list), rest);
}

static int check_file(const char *path, reader *read) {
    em_error err = EM_ERROR_INIT;
    em_mapping m;
    char expected[4096], line[4096];
    assert_true(em_mapping_open(&m, path, &err));
    bool good = read(m.data, m.size, &err);
    expected_line(path, expected, sizeof expected);
    name_families(expected, sizeof expected);
    em_error_line(&err, line, sizeof line);
    em_mapping_close(&m);
    if (*expected ? !good && err.status == EM_INPUT && !strcmp(line, expected) : good) return 0;
    print_error("%s:\n  got      %s\n  expected %s\n", path, good ? "no error" : line,
                *expected ? expected : "no error");
    return 1;
}

static void check_kind(const char *kind, reader *read) {
    char folder[512], path[1024];
    int bad = 0, n = 0;
    snprintf(folder, sizeof folder, DATA "/inputs/%s", kind);
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        if (!strstr(e->d_name, ".input")) continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        bad += check_file(path, read);
        n++;
    }
    closedir(d);
    assert_true(n > 5);
    assert_int_equal(bad, 0);
}

static void safetensors_inputs(void **state) { check_kind("safetensors", read_safetensors); }
static void config_inputs(void **state) { check_kind("config", read_config); }
static void adapter_inputs(void **state) { check_kind("adapter", read_adapter); }
static void llama2c_inputs(void **state) { check_kind("llama2c", read_llama2c); }

/* ---- a checkpoint with one thing changed ---- */

typedef struct change {
    const char *checkpoint, *key, *value, *expected;
} change; /* value: JSON; NULL: the key goes */

static const change changes[] = {
    {"llama-biases", "hidden_size", NULL,
     "tensor model.embed_tokens.weight has shape [64, 16], config.json makes it [64, 4096] (it "
     "leaves out, so at their defaults: hidden_size = 4096"},
    {"llama", "vocab_size", "65",
     "tensor model.embed_tokens.weight has shape [64, 16], config.json makes it [65, 16]"},
    {"llama", "num_hidden_layers", "3", "tensor model.layers.2.input_layernorm.weight is missing"},
    {"llama", "num_hidden_layers", "1",
     "tensor model.layers.1.input_layernorm.weight has no place in the llama"},
    {"llama", "num_key_value_heads", "4",
     "tensor model.layers.0.self_attn.k_proj.weight has shape [8, 16], config.json makes it [16, "
     "16]"},
    {"llama", "intermediate_size", "41",
     "tensor model.layers.0.mlp.gate_proj.weight has shape [40, 16], config.json makes it [41, "
     "16]"},
    {"llama", "attention_bias", "true", "tensor model.layers.0.self_attn.q_proj.bias is missing"},
    {"llama-biases", "attention_bias", "false",
     "tensor model.layers.0.self_attn.k_proj.bias has no place"},
    {"qwen3", "model_type", "\"qwen2\"", "tensor model.layers.0.self_attn.q_proj.bias is missing"},
    {"qwen3", "model_type", "\"llama\"",
     "tensor model.layers.0.self_attn.k_norm.weight has no place in the llama"},
    {"qwen2", "tie_word_embeddings", "false", "tensor lm_head.weight is missing"},
    {"gpt2", "n_positions", "33",
     "tensor transformer.wpe.weight has shape [32, 16], config.json makes it [33, 16]"},
    {"gpt2", "model_type", "\"gpt_neox\"", "tensor gpt_neox.embed_in.weight is missing"},
};

static void write_text(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    fclose(f);
}

static void write_changed(const change *c, const char *folder) {
    char path[1024], weights[1024];
    snprintf(path, sizeof path, DATA "/checkpoints/%s/config.json", c->checkpoint);
    json_t *config = json_load_file(path, 0, NULL);
    assert_non_null(config);
    if (c->value) json_object_set_new(config, c->key, json_loads(c->value, JSON_DECODE_ANY, NULL));
    else json_object_del(config, c->key);
    snprintf(path, sizeof path, "%s/config.json", folder);
    assert_int_equal(json_dump_file(config, path, 0), 0);
    json_decref(config);
    snprintf(weights, sizeof weights, DATA "/checkpoints/%s/model.safetensors", c->checkpoint);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    unlink(path);
    assert_int_equal(symlink(weights, path), 0);
}

static void expect_refusal(const char *path, const char *expected) {
    em_error err = EM_ERROR_INIT;
    char line[1200];
    em_model *m = em_model_open(path, &err);
    em_error_line(&err, line, sizeof line);
    if (m || err.status != EM_INPUT || !strstr(line, expected))
        fail_msg("got \"%s\", expected \"%s\"", m ? "no error" : line, expected);
}

static void changed_configs(void **state) {
    char folder[] = "/tmp/evalmask-invalid-XXXXXX", path[256];
    assert_non_null(mkdtemp(folder));
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        write_changed(&changes[i], folder);
        expect_refusal(folder, changes[i].expected);
    }
    snprintf(path, sizeof path, "%s/model.safetensors", folder), unlink(path);
    snprintf(path, sizeof path, "%s/config.json", folder), unlink(path);
    rmdir(folder);
}

/* ---- a tensor that nothing uses ---- */

/* The checkpoint's model.safetensors with one more entry in its header, of no bytes. */
static void write_with_entry(const char *checkpoint, const char *name, const char *shape,
                             const char *path) {
    char from[1024], entry[256];
    uint64_t length;
    em_error err = EM_ERROR_INIT;
    em_mapping m;
    snprintf(from, sizeof from, DATA "/checkpoints/%s/model.safetensors", checkpoint);
    assert_true(em_mapping_open(&m, from, &err));
    memcpy(&length, m.data, 8);
    size_t begin = 8 + (size_t)length, bytes = m.size - begin;
    json_t *root = json_loadb((const char *)m.data + 8, (size_t)length, 0, NULL);
    snprintf(entry, sizeof entry,
             "{\"dtype\": \"F32\", \"shape\": %s, \"data_offsets\": [%zu, %zu]}", shape, bytes,
             bytes);
    assert_int_equal(json_object_set_new(root, name, json_loads(entry, 0, NULL)), 0);
    char *header = json_dumps(root, 0);
    length = strlen(header);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_true(fwrite(&length, 8, 1, f) == 1 && fputs(header, f) >= 0);
    assert_int_equal(fwrite((const char *)m.data + begin, 1, bytes, f), bytes);
    fclose(f);
    free(header);
    json_decref(root);
    em_mapping_close(&m);
}

/* Its shape is not checked against anything, so nothing may be computed from it: 2^62 * 3
 * overflows. */
static void unused_tensor_of_any_shape(void **state) {
    char folder[] = "/tmp/evalmask-unused-XXXXXX", path[256], config[256];
    em_error err = EM_ERROR_INIT;
    assert_non_null(mkdtemp(folder));
    snprintf(config, sizeof config, "%s/config.json", folder);
    assert_int_equal(symlink(DATA "/checkpoints/llama/config.json", config), 0);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    write_with_entry("llama", "model.layers.0.self_attn.rotary_emb.inv_freq",
                     "[4611686018427387904, 3, 0]", path);
    em_model *with = em_model_open(folder, &err),
             *without = em_model_open(DATA "/checkpoints/llama", &err);
    if (!with || !without) fail_msg("%s", err.text);
    assert_int_equal(em_model_spec_of(with)->parameters, em_model_spec_of(without)->parameters);
    em_model_close(with);
    em_model_close(without);
    unlink(path), unlink(config), rmdir(folder);
}

/* ---- formats and indexes ---- */

typedef struct file_case {
    const char *name, *text;
    size_t size;
    const char *expected;
} file_case;

static const file_case files[] = {
    {"model.gguf", "GGUF\3\0\0\0\0\0\0\0", 12, "the file ends here"},
    {"pytorch.bin", "PK\3\4..........", 14, "is a pickle checkpoint"},
    {"old.pt", "\x80\2}q\0.......", 12, "is a pickle checkpoint"},
    {"pointer", "version https://git-lfs.github.com/spec/v1\n", 43, "is a Git LFS pointer"},
    {"v1.bin", "24ka\1\0\0\0....", 12, "version 1 or later"},
    {"text", "Once upon a time there was a file.", 34, "is no model that this version reads"},
    {"bare.safetensors", "\2\0\0\0\0\0\0\0{}", 10, "holds weights but no config.json"},
};

static void other_formats(void **state) {
    char folder[] = "/tmp/evalmask-formats-XXXXXX", path[256];
    assert_non_null(mkdtemp(folder));
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i].name);
        FILE *f = fopen(path, "wb");
        assert_non_null(f);
        assert_int_equal(fwrite(files[i].text, 1, files[i].size, f), files[i].size);
        fclose(f);
        expect_refusal(path, files[i].expected);
        unlink(path);
    }
    rmdir(folder);
    expect_refusal("/nonexistent/model", "No such file");
    setenv("HF_HUB_CACHE", "/nonexistent/hub", 1);
    expect_refusal("some-org/some-model", "download it with `hf download some-org/some-model`");
}

static const struct {
    const char *index, *expected;
} indexes[] = {
    {"{}", "has no weight_map"},
    {"[", "is no valid JSON"},
    {"{\"weight_map\": {\"a\": 7}}", "names no file for tensor a"},
    {"{\"weight_map\": {\"a\": \"../model.safetensors\"}}", "outside the directory"},
    {"{\"weight_map\": {\"a\": \"..\"}}", "outside the directory"},
    {"{\"weight_map\": {\"a\": \"model-1.safetensors\"}}",
     "not in the directory: model-1.safetensors"},
    {"{\"weight_map\": {\"a\": \"shard.safetensors\"}}",
     "tensor a is not in the shard shard.safetensors"},
};

static void broken_indexes(void **state) {
    char folder[] = "/tmp/evalmask-index-XXXXXX", path[256];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/config.json", folder),
        write_text(path, "{\"model_type\": \"llama\"}");
    snprintf(path, sizeof path, "%s/shard.safetensors", folder);
    assert_int_equal(symlink(DATA "/checkpoints/llama/model.safetensors", path), 0);
    snprintf(path, sizeof path, "%s/model.safetensors.index.json", folder);
    for (size_t i = 0; i < sizeof indexes / sizeof *indexes; i++) {
        write_text(path, indexes[i].index);
        expect_refusal(folder, indexes[i].expected);
    }
    unlink(path);
    snprintf(path, sizeof path, "%s/shard.safetensors", folder), unlink(path);
    snprintf(path, sizeof path, "%s/config.json", folder), unlink(path);
    expect_refusal(folder, "holds neither model.safetensors nor model.safetensors.index.json");
    rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(safetensors_inputs), cmocka_unit_test(config_inputs),
        cmocka_unit_test(adapter_inputs),     cmocka_unit_test(llama2c_inputs),
        cmocka_unit_test(changed_configs),    cmocka_unit_test(unused_tensor_of_any_shape),
        cmocka_unit_test(other_formats),      cmocka_unit_test(broken_indexes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
