/* Models with an adapter against PEFT over transformers (make_adapters.py), interpolated models
 * against checkpoints that hold the same weights, and adapters with one thing broken. */
#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "model/compose.h"
#include "model/mapping.h"
#include "model/network.h"
#include "model/safetensors.h"

#define ROW 24
#define ROWS 2 /* the row as a whole, and its two documents masked apart */
#define DATA EM_TEST_DATA "/model"

static const em_backend_options f32 = {.threads = 2, .compute = EM_F32},
                                bf16 = {.threads = 2, .compute = EM_BF16};

typedef struct rows {
    int32_t ids[ROWS * ROW], positions[ROWS * ROW], lo[ROWS * ROW], hi[ROWS * ROW],
        labels[ROWS * ROW], argmax[ROWS * ROW];
    double nll[ROWS * ROW], expected[ROWS * ROW];
} rows;

static double number(const json_t *object, const char *key, size_t i) {
    return json_number_value(json_array_get(json_object_get(object, key), i));
}

static void read_rows(const json_t *golden, rows *r) {
    int cut = (int)json_integer_value(json_object_get(golden, "cut"));
    for (int t = 0; t < ROWS * ROW; t++) {
        int i = t % ROW, documents = t / ROW;
        r->ids[t] = (int32_t)number(golden, "ids", (size_t)i);
        r->labels[t] = i + 1 < ROW ? (int32_t)number(golden, "ids", (size_t)i + 1) : -1;
        r->lo[t] = documents && i >= cut ? cut : 0;
        r->hi[t] = i + 1;
        r->positions[t] = i - r->lo[t];
        r->nll[t] = 0;
        if (i + 1 < ROW)
            r->expected[t] = number(golden, documents ? "documents" : "regular", (size_t)i);
    }
}

static json_t *golden_of(const char *path) {
    json_t *golden = json_load_file(path, 0, NULL);
    assert_non_null(golden);
    return golden;
}

static void score(em_model *m, em_backend_options device, rows *r) {
    em_error err = EM_ERROR_INIT;
    em_backend *b = em_backend_cpu_open(&device, &err);
    em_network_options options = {
        .memory = (size_t)1 << 30, .row_tokens = ROW, .want_tokens = 1024, .n_labels = 1};
    em_network *n = em_network_open(m, b, &options, &err);
    if (!n) fail_msg("%s", err.text);
    em_row_batch batch = {.n_rows = ROWS,
                          .start = (int64_t[]){0, ROW},
                          .length = (int32_t[]){ROW, ROW},
                          .ids = r->ids,
                          .positions = r->positions,
                          .lo = r->lo,
                          .hi = r->hi};
    em_score_request request = {.n_labels = 1, .labels = r->labels};
    if (!em_network_score(n, &batch, &request, &(em_scores){r->nll, r->argmax, NULL}, &err))
        fail_msg("%s", err.text);
    assert_int_equal(strlen(em_model_fingerprint(m)), 16);
    em_network_close(n);
    b->ops->close(b);
}

static em_model *open_model(const char *path) {
    em_error err = EM_ERROR_INIT;
    char line[1200];
    em_model *m = em_model_open(path, &err);
    if (!m) fail_msg("%s", em_error_line(&err, line, sizeof line));
    return m;
}

static em_model *open_checkpoint(const char *name) {
    char path[512];
    snprintf(path, sizeof path, DATA "/checkpoints/%s", name);
    return open_model(path);
}

static em_model *open_adapter(em_model *base, const char *path) {
    em_error err = EM_ERROR_INIT;
    char line[1200];
    em_model *m = em_model_with_adapter(base, path, &err);
    if (!m) fail_msg("%s", em_error_line(&err, line, sizeof line));
    return m;
}

static em_model *open_between(em_model *before, em_model *after, double alpha) {
    em_error err = EM_ERROR_INIT;
    em_model *m = em_model_between(before, after, alpha, &err);
    if (!m) fail_msg("%s", err.text);
    return m;
}

/* ---- against PEFT ---- */

static bool near(const char *name, const rows *r, double tolerance) {
    for (int t = 0; t < ROWS * ROW; t++)
        if (r->labels[t] >= 0 && !(fabs(r->nll[t] - r->expected[t]) < tolerance)) {
            print_error("%s: token %d: %.7f, should be %.7f\n", name, t, r->nll[t], r->expected[t]);
            return false;
        }
    return true;
}

static bool check_adapter(const char *name, em_backend_options device, double tolerance) {
    char path[600];
    rows r;
    snprintf(path, sizeof path, DATA "/adapters/%s.json", name);
    json_t *golden = golden_of(path);
    em_model *base = open_checkpoint(json_string_value(json_object_get(golden, "checkpoint")));
    snprintf(path, sizeof path, DATA "/adapters/%s", name);
    em_model *m = open_adapter(base, path);
    assert_string_equal(em_model_name(m), name);
    read_rows(golden, &r);
    score(m, device, &r);
    em_model_close(m);
    em_model_close(base);
    json_decref(golden);
    return near(name, &r, tolerance);
}

static void check_adapters(em_backend_options device, double tolerance) {
    int n = 0, bad = 0;
    DIR *d = opendir(DATA "/adapters");
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.' && !strchr(e->d_name, '.'))
            bad += !check_adapter(e->d_name, device, tolerance), n++;
    closedir(d);
    assert_true(n >= 17);
    assert_int_equal(bad, 0);
}

static void adapters_as_peft(void **state) { check_adapters(f32, 2e-5); }

/* ---- copies with something changed ---- */

static void join(char out[600], const char *folder, const char *name) {
    snprintf(out, 600, "%s/%s", folder, name);
}

static void write_file(const char *folder, const char *name, const void *data, size_t n) {
    char path[600];
    join(path, folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* A file's bytes, owned, with a NUL behind them. */
static char *read_file(const char *folder, const char *name, size_t *n) {
    char path[600];
    em_error err = EM_ERROR_INIT;
    em_mapping m;
    join(path, folder, name);
    assert_true(em_mapping_open(&m, path, &err));
    char *copy = calloc(1, m.size + 1);
    assert_non_null(copy);
    memcpy(copy, m.data, m.size);
    *n = m.size;
    em_mapping_close(&m);
    return copy;
}

static void copy_file(const char *from, const char *name, const char *to) {
    size_t n;
    char *bytes = read_file(from, name, &n);
    write_file(to, name, bytes, n);
    free(bytes);
}

static char *new_folder(char out[64]) {
    snprintf(out, 64, "/tmp/evalmask-compose-XXXXXX");
    assert_non_null(mkdtemp(out));
    return out;
}

static void remove_folder(const char *folder) {
    char path[600];
    DIR *d = opendir(folder);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.') join(path, folder, e->d_name), unlink(path);
    closedir(d);
    assert_int_equal(rmdir(folder), 0);
}

/* change(x, index of the element) for every f32 of the tensors whose name holds `part`. */
static void change_tensors(char *bytes, size_t size, const char *part,
                           float (*change)(float, size_t)) {
    em_error err = EM_ERROR_INIT;
    em_tensors t = {0};
    size_t changed = 0;
    assert_true(em_safetensors_read(bytes, size, "FILE", &t, &err));
    for (size_t i = 0; i < t.n; i++) {
        if (!strstr(t.items[i].name, part)) continue;
        char *data = bytes + ((const char *)t.items[i].data - bytes);
        for (size_t k = 0; k < t.items[i].bytes / 4; k++) {
            float x;
            memcpy(&x, data + 4 * k, 4);
            x = change(x, k);
            memcpy(data + 4 * k, &x, 4);
        }
        changed++;
    }
    assert_true(changed > 0);
    em_tensors_free(&t);
}

static void changed_copy(const char *from, const char *weights, const char *config,
                         const char *part, float (*change)(float, size_t), const char *to) {
    size_t n;
    char *bytes = read_file(from, weights, &n);
    change_tensors(bytes, n, part, change);
    write_file(to, weights, bytes, n);
    copy_file(from, config, to);
    free(bytes);
}

static float zero(float x, size_t i) { return 0; }
static float stretched(float x, size_t i) { return x * (1 + (float)(i % 7) / 16) + 0.03f; }

/* ---- identities ---- */

static void assert_same_bits(const rows *a, const rows *b) {
    assert_memory_equal(a->nll, b->nll, sizeof a->nll);
}

static void assert_differ(const rows *a, const rows *b) {
    assert_true(memcmp(a->nll, b->nll, sizeof a->nll) != 0);
}

static rows scored(em_model *m, em_backend_options device) {
    rows r;
    json_t *golden = golden_of(DATA "/goldens/llama.json");
    memset(&r, 0, sizeof r);
    read_rows(golden, &r);
    json_decref(golden);
    score(m, device, &r);
    return r;
}

static void zero_adapter_is_the_base(void **state) {
    char folder[64];
    changed_copy(DATA "/adapters/llama-all", "adapter_model.safetensors", "adapter_config.json",
                 "lora_B", zero, new_folder(folder));
    em_model *base = open_checkpoint("llama"), *m = open_adapter(base, folder);
    for (int i = 0; i < 2; i++) {
        rows x = scored(base, i ? bf16 : f32), y = scored(m, i ? bf16 : f32);
        assert_same_bits(&x, &y);
    }
    assert_string_not_equal(em_model_fingerprint(base), em_model_fingerprint(m));
    em_model_close(m);
    em_model_close(base);
    remove_folder(folder);
}

/* The same adapter has the same bits on any number of threads, and one fingerprint; another one has
 * another. */
static void threads_make_no_difference(void **state) {
    em_model *base = open_checkpoint("llama"), *m = open_adapter(base, DATA "/adapters/llama-all");
    rows x = scored(m, (em_backend_options){.threads = 1, .compute = EM_F32}),
         y = scored(m, (em_backend_options){.threads = 5, .compute = EM_F32});
    assert_same_bits(&x, &y);
    em_model *again = open_adapter(base, DATA "/adapters/llama-all"),
             *other = open_adapter(base, DATA "/adapters/llama-list");
    scored(again, f32);
    scored(other, f32);
    assert_string_equal(em_model_fingerprint(m), em_model_fingerprint(again));
    assert_string_not_equal(em_model_fingerprint(m), em_model_fingerprint(other));
    em_model_close(other);
    em_model_close(again);
    em_model_close(m);
    em_model_close(base);
}

static void ends_are_the_models(em_model *before, em_model *after) {
    em_model *minus_one = open_between(before, after, -1), *zeroth = open_between(before, after, 0),
             *half = open_between(before, after, 0.5);
    for (int i = 0; i < 2; i++) {
        em_backend_options device = i ? bf16 : f32;
        rows x = scored(before, device), y = scored(after, device), a = scored(minus_one, device),
             b = scored(zeroth, device), c = scored(half, device);
        assert_same_bits(&x, &a);
        assert_same_bits(&y, &b);
        assert_differ(&x, &c);
        assert_differ(&y, &c);
    }
    assert_string_not_equal(em_model_fingerprint(half), em_model_fingerprint(zeroth));
    em_model_close(half);
    em_model_close(zeroth);
    em_model_close(minus_one);
}

static float at_half(float x, size_t i) { return (float)(1.5 * stretched(x, i) - 0.5 * x); }

/* A checkpoint that holds the interpolated weights has the interpolated model's losses, bit for
 * bit. */
static void between_checkpoints(void **state) {
    static const char *const names[] = {"llama", "qwen2", "gpt2", "gpt_neox"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char from[600], far[64], made[64];
        join(from, DATA "/checkpoints", names[i]);
        changed_copy(from, "model.safetensors", "config.json", "", stretched, new_folder(far));
        changed_copy(from, "model.safetensors", "config.json", "", at_half, new_folder(made));
        em_model *before = open_model(from), *after = open_model(far), *expected = open_model(made),
                 *m = open_between(before, after, 0.5);
        rows x = scored(expected, f32), y = scored(m, f32);
        assert_same_bits(&x, &y);
        ends_are_the_models(before, after);
        em_model_close(m);
        em_model_close(expected);
        em_model_close(after);
        em_model_close(before);
        remove_folder(far);
        remove_folder(made);
    }
}

/* A copy of llama-list with one key of its config set. */
static void configured_copy(const char *key, json_t *value, const char *folder) {
    size_t n;
    char *config = read_file(DATA "/adapters/llama-list", "adapter_config.json", &n);
    json_t *root = json_loads(config, 0, NULL);
    assert_non_null(root);
    if (key) json_object_set_new(root, key, value);
    char *text = json_dumps(root, 0);
    write_file(folder, "adapter_config.json", text, strlen(text));
    json_decref(root);
    free(text);
    free(config);
    copy_file(DATA "/adapters/llama-list", "adapter_model.safetensors", folder);
}

/* W + (1 + a) * delta: at a = 1 twice the adapter's alpha. */
static void twice_the_adapter(void **state) {
    char folder[64];
    configured_copy("lora_alpha", json_integer(12), new_folder(folder));
    em_model *base = open_checkpoint("llama"), *m = open_adapter(base, DATA "/adapters/llama-list"),
             *twice = open_adapter(base, folder);
    em_model *one = open_between(base, m, 1);
    rows x = scored(one, f32), y = scored(twice, f32);
    assert_same_bits(&x, &y);
    em_model_close(one);
    em_model_close(twice);
    em_model_close(m);
    em_model_close(base);
    remove_folder(folder);
}

static void between_base_and_adapter(void **state) {
    static const char *const pairs[][2] = {{"llama", "llama-lora-bias"},
                                           {"llama", "llama-ends"},
                                           {"gpt2", "gpt2-fan-in"},
                                           {"gpt2-bare", "gpt2-bare"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char path[600];
        join(path, DATA "/adapters", pairs[i][1]);
        em_model *base = open_checkpoint(pairs[i][0]), *m = open_adapter(base, path);
        ends_are_the_models(base, m);
        em_model_close(m);
        em_model_close(base);
    }
}

static void refuses_unlike_models(void **state) {
    static const struct {
        const char *before, *after, *expected;
    } cases[] = {{"llama", "gpt2", "activation is not the same"},
                 {"llama", "llama-biases", "is not the same in this model and in"},
                 {"qwen2", "qwen2-window", "is not the same"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        em_error err = EM_ERROR_INIT;
        em_model *before = open_checkpoint(cases[i].before),
                 *after = open_checkpoint(cases[i].after);
        assert_null(em_model_between(before, after, 0.5, &err));
        assert_int_equal(err.status, EM_INPUT);
        if (!strstr(err.text, cases[i].expected)) fail_msg("%s", err.text);
        em_model_close(after);
        em_model_close(before);
    }
}

/* ---- broken adapters ---- */

typedef struct change {
    const char *key, *value; /* of adapter_config.json, JSON; key NULL: none */
    const char *old, *new;   /* of the safetensors header, of one length; NULL: none */
    const char *part;        /* tensors that get a NaN; NULL: none */
    const char *expected;
} change;

#define Q "base_model.model.model.layers.1.self_attn.q_proj"

static const change changes[] = {
    {"peft_type", "\"LOHA\"", NULL, NULL, NULL, "peft_type LOHA is not supported"},
    {"use_dora", "true", NULL, NULL, NULL, "use_dora is set, which is not supported"},
    {"modules_to_save", "[\"lm_head\"]", NULL, NULL, NULL, "modules_to_save is set"},
    {"trainable_token_indices", "[3]", NULL, NULL, NULL, "trainable_token_indices is set"},
    {"target_parameters", "[\"x\"]", NULL, NULL, NULL, "target_parameters is set"},
    {"something_new", "7", NULL, NULL, NULL, "something_new is set"},
    {"init_lora_weights", "\"pissa_niter_4\"", NULL, NULL, NULL,
     "init_lora_weights pissa_niter_4 changes the base model's weights"},
    {"r", "5", NULL, NULL, NULL,
     "tensor base_model.model.model.layers.0.mlp.down_proj.lora_A.weight has shape [4, 40], "
     "adapter_config.json's rank and the base model make it [5, 40]"},
    {"rank_pattern", "{\"1.self_attn.q_proj\": 3}", NULL, NULL, NULL,
     "tensor " Q ".lora_A.weight has shape [4, 16], adapter_config.json's rank and the base model "
     "make it [3, 16]"},
    {"rank_pattern", "{\"(\": 3}", NULL, NULL, NULL, "rank_pattern: the pattern"},
    {"target_modules", "[\"q_proj\", \"v_proj\"]", NULL, NULL, NULL,
     "tensor base_model.model.model.layers.0.mlp.down_proj.lora_A.weight has no place in the "
     "llama"},
    {"target_modules", "[\"q_proj\", \"v_proj\", \"down_proj\", \"o_proj\"]", NULL, NULL, NULL,
     "tensor base_model.model.model.layers.0.self_attn.o_proj.lora_A.weight is missing"},
    {"target_modules", "\"[\"", NULL, NULL, NULL,
     "target_modules: the pattern [ cannot be matched: missing terminating ]"},
    {"target_modules", "null", NULL, NULL, NULL, "target_modules is missing"},
    {"exclude_modules", "[\"q_proj\"]", NULL, NULL, NULL, "q_proj.lora_A.weight has no place"},
    {NULL, NULL, Q ".lora_B.weight", Q ".lora_C.weight", NULL,
     "tensor " Q ".lora_B.weight is missing"},
    {NULL, NULL, Q ".lora_A.weight", Q ".lora_C.weight", NULL,
     "tensor " Q ".lora_A.weight is missing"},
    {NULL, NULL, "layers.1.self_attn.q_proj", "layers.2.self_attn.q_proj", NULL,
     "tensor " Q ".lora_A.weight is missing"},
    {NULL, NULL, "\"F32\"", "\"I32\"", NULL, "is I32; F32, F16 and BF16 are read"},
    {NULL, NULL, NULL, NULL, "layers.1.self_attn.q_proj.lora_B",
     "tensor " Q ".lora_B.weight: element 0 is not finite; the adapter is broken"},
};

static float not_a_number(float x, size_t i) { return NAN; }

/* All of them: a name may stand for A and for B. */
static void replace(char *bytes, size_t n, const char *old, const char *new) {
    size_t length = strlen(old);
    assert_int_equal(length, strlen(new));
    char *at = memmem(bytes, n, old, length);
    assert_non_null(at);
    for (; at; at = memmem(at + length, n - (size_t)(at + length - bytes), old, length))
        memcpy(at, new, length);
}

static void write_broken(const change *c, const char *folder) {
    size_t n;
    configured_copy(c->key, c->key ? json_loads(c->value, JSON_DECODE_ANY, NULL) : NULL, folder);
    char *bytes = read_file(DATA "/adapters/llama-list", "adapter_model.safetensors", &n);
    if (c->part) change_tensors(bytes, n, c->part, not_a_number);
    if (c->old) replace(bytes, n, c->old, c->new);
    write_file(folder, "adapter_model.safetensors", bytes, n);
    free(bytes);
}

static void broken_adapters(void **state) {
    em_model *base = open_checkpoint("llama");
    char folder[64], line[1200];
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        em_error err = EM_ERROR_INIT;
        write_broken(&changes[i], new_folder(folder));
        em_model *m = em_model_with_adapter(base, folder, &err);
        em_error_line(&err, line, sizeof line);
        if (m || err.status != EM_INPUT || !strstr(line, changes[i].expected))
            fail_msg("expected: %s\n     got: %s", changes[i].expected, m ? "a model" : line);
        remove_folder(folder);
    }
    em_model_close(base);
}

/* Other tools leave the adapter's name in the keys. */
static void keys_with_default(void **state) {
    char folder[64];
    size_t n, k;
    static const char old[] = ".lora_A.weight", new[] = ".lora_A.default.weight";
    char *bytes = read_file(DATA "/adapters/llama-list", "adapter_model.safetensors", &n),
         *longer = calloc(1, n + 4096);
    assert_non_null(longer);
    uint64_t header;
    memcpy(&header, bytes, 8);
    for (size_t i = k = 8; i < 8 + header;)
        if (!strncmp(bytes + i, old, sizeof old - 1)) {
            memcpy(longer + k, new, sizeof new - 1);
            i += sizeof old - 1, k += sizeof new - 1;
        } else {
            longer[k++] = bytes[i++];
        }
    memcpy(longer + k, bytes + 8 + header, n - 8 - header);
    uint64_t grown = k - 8;
    memcpy(longer, &grown, 8);
    write_file(new_folder(folder), "adapter_model.safetensors", longer, n + grown - header);
    copy_file(DATA "/adapters/llama-list", "adapter_config.json", folder);
    em_model *base = open_checkpoint("llama"),
             *plain = open_adapter(base, DATA "/adapters/llama-list"),
             *named = open_adapter(base, folder);
    rows x = scored(plain, f32), y = scored(named, f32);
    assert_same_bits(&x, &y);
    assert_string_equal(em_model_fingerprint(plain), em_model_fingerprint(named));
    em_model_close(named);
    em_model_close(plain);
    em_model_close(base);
    free(bytes);
    free(longer);
    remove_folder(folder);
}

/* ---- written as one file ---- */

static void merges(const char *name, const char *refusal) {
    char path[600], folder[64], file[600];
    em_error err = EM_ERROR_INIT;
    rows r, again;
    snprintf(path, sizeof path, DATA "/adapters/%s.json", name);
    json_t *golden = golden_of(path);
    em_model *base = open_checkpoint(json_string_value(json_object_get(golden, "checkpoint")));
    snprintf(path, sizeof path, DATA "/adapters/%s", name);
    em_model *m = open_adapter(base, path), *written;
    join(file, new_folder(folder), "merged.bin");
    bool good = em_convert(m, NULL, 2, file, &err);
    if (good == (refusal != NULL) || (refusal && !strstr(err.text, refusal)))
        fail_msg("%s: %s", name, err.text);
    if (good) {
        written = open_model(file);
        read_rows(golden, &r);
        again = r;
        score(m, f32, &r);
        score(written, f32, &again);
        for (int t = 0; t < ROWS * ROW; t++) assert_true(r.nll[t] == again.nll[t]);
        em_model_close(written);
    }
    em_model_close(m);
    em_model_close(base);
    json_decref(golden);
    remove_folder(folder);
}

static void merged_as_beside(void **state) {
    static const struct {
        const char *name, *refusal;
    } cases[] = {{"gemma3", NULL},
                 {"gpt2-bare", NULL},
                 {"gpt2-fan-in", NULL},
                 {"gpt_neox-all", NULL},
                 {"gpt_neox-fused", NULL},
                 {"llama-all", NULL},
                 {"llama-biases-all", NULL},
                 {"llama-biases-only", NULL},
                 {"llama-ends", NULL},
                 {"llama-layers", NULL},
                 {"llama-list", NULL},
                 {"llama-patterns", NULL},
                 {"llama-regex", NULL},
                 {"llama-lora-bias",
                  "adds a bias, which the model has not, to the module of lm_head.weight"},
                 {"gpt2-embeddings",
                  "changes one of embedding and head, which are tied as transformer.wte.weight"},
                 {"qwen2-tied-embedding", "changes one of embedding and head, which are tied"},
                 {"qwen2-tied-head", "changes one of embedding and head, which are tied"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        merges(cases[i].name, cases[i].refusal);
}

static void no_adapter(void **state) {
    static const struct {
        const char *path, *expected;
    } cases[] = {{DATA "/checkpoints/llama", "holds no adapter_config.json"},
                 {DATA "/adapters/llama-list/adapter_config.json", "is no directory"},
                 {DATA "/nowhere", "No such file"}};
    em_model *base = open_checkpoint("llama"), *m = open_adapter(base, DATA "/adapters/llama-list");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        em_error err = EM_ERROR_INIT;
        assert_null(em_model_with_adapter(base, cases[i].path, &err));
        if (err.status != EM_INPUT || !strstr(err.text, cases[i].expected))
            fail_msg("%s", err.text);
    }
    em_error err = EM_ERROR_INIT;
    assert_null(em_model_with_adapter(m, DATA "/adapters/llama-list", &err));
    assert_non_null(strstr(err.text, "has an adapter already"));
    em_model_close(m);
    em_model_close(base);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(adapters_as_peft),
                                       cmocka_unit_test(zero_adapter_is_the_base),
                                       cmocka_unit_test(threads_make_no_difference),
                                       cmocka_unit_test(between_checkpoints),
                                       cmocka_unit_test(between_base_and_adapter),
                                       cmocka_unit_test(twice_the_adapter),
                                       cmocka_unit_test(refuses_unlike_models),
                                       cmocka_unit_test(merged_as_beside),
                                       cmocka_unit_test(broken_adapters),
                                       cmocka_unit_test(keys_with_default),
                                       cmocka_unit_test(no_adapter)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
