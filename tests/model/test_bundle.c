/* The same model in every format: fingerprints agree, and what convert writes is the same model. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/model/reference_forward.h"

#define DATA EM_TEST_DATA "/model"

static char folder[] = "/tmp/evalmask-bundle-XXXXXX";

static em_model *open_model(const char *path) {
    em_error err = EM_ERROR_INIT;
    char line[1200];
    em_model *m = em_model_open(path, &err);
    if (!m) fail_msg("%s", em_error_line(&err, line, sizeof line));
    return m;
}

static void fingerprint(const char *path, char out[17]) {
    em_model *m = open_model(path);
    int layers = em_model_spec_of(m)->layers;
    assert_string_equal(em_model_fingerprint(m), "");
    for (int part = -1; part <= layers; part++) {
        em_model_will_need(m, part);
        assert_true(em_model_hash_part(m, part));
        assert_false(em_model_hash_part(m, part));
        em_model_done_with(m, part);
    }
    memcpy(out, em_model_fingerprint(m), 17);
    assert_int_equal(strlen(out), 16);
    em_model_close(m);
}

static void convert(const char *from, const char *tokenizer, const char *to) {
    em_error err = EM_ERROR_INIT;
    char line[1200];
    em_model *m = em_model_open(from, &err);
    assert_non_null(m);
    if (!em_convert(m, tokenizer, 1, to, &err))
        fail_msg("%s", em_error_line(&err, line, sizeof line));
    em_model_close(m);
}

static void same_fingerprint_in_every_format(void **state) {
    char directory[17], shards[17], bin[17], again[17], other[17], path[256], second[256];
    snprintf(path, sizeof path, "%s/llama.bin", folder);
    snprintf(second, sizeof second, "%s/again.bin", folder);
    fingerprint(DATA "/checkpoints/llama", directory);
    fingerprint(DATA "/sharded", shards);
    convert(DATA "/checkpoints/llama", NULL, path);
    convert(path, NULL, path); /* over itself */
    convert(DATA "/sharded", NULL, second);
    fingerprint(path, bin);
    fingerprint(second, again);
    fingerprint(DATA "/checkpoints/llama-linear", other);
    assert_string_equal(directory, shards);
    assert_string_equal(directory, bin);
    assert_string_equal(directory, again);
    assert_string_not_equal(directory, other);
    unlink(path);
    unlink(second);
}

/* Fused, transposed and tied tensors survive too. */
static void every_family_converts(void **state) {
    static const char *const names[] = {"gpt2", "gpt_neo", "gpt_neox", "gemma3", "qwen2", "olmo2"};
    char from[512], path[256], before[17], after[17];
    snprintf(path, sizeof path, "%s/x.bin", folder);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(from, sizeof from, DATA "/checkpoints/%s", names[i]);
        convert(from, NULL, path);
        fingerprint(from, before);
        fingerprint(path, after);
        assert_string_equal(before, after);
    }
    unlink(path);
}

static void bin_carries_its_files(void **state) {
    char path[256], tokenizer[256];
    const char *name;
    const void *data, *config;
    size_t size, config_size;
    snprintf(path, sizeof path, "%s/with.bin", folder);
    snprintf(tokenizer, sizeof tokenizer, "%s/tok", folder);
    FILE *f = fopen(tokenizer, "w");
    assert_non_null(f);
    assert_true(fputs("{\"model\": 1}", f) >= 0);
    fclose(f);
    convert(DATA "/checkpoints/gpt2", tokenizer, path);
    em_model *m = open_model(path);
    assert_string_equal(em_bundle_format(em_model_bundle(m)), "bin");
    assert_string_equal(em_bundle_name(em_model_bundle(m)), "with");
    assert_true(em_model_tokenizer(m, &name, &data, &size, &config, &config_size));
    assert_string_equal(name, "tokenizer.json");
    assert_int_equal(size, 12);
    assert_memory_equal(data, "{\"model\": 1}", 12);
    assert_null(config);
    for (int64_t i = 0; i < em_bundle_tensors(em_model_bundle(m)); i++)
        assert_int_equal((uintptr_t)em_bundle_tensor_at(em_model_bundle(m), i)->data % 64, 0);
    em_model_close(m);
    unlink(path);
    unlink(tokenizer);
}

/* ---- llama2.c ---- */

static void put(FILE *f, const float *x, size_t n) { assert_int_equal(fwrite(x, 4, n, f), n); }

/* dim 4, hidden 6, 2 layers, 2 heads, 1 key head, 8 tokens; each tensor holds its own number. */
static void write_llama2c(const char *path, int vocab, size_t cut) {
    const int32_t header[7] = {4, 6, 2, 2, 1, vocab, 3};
    const size_t sizes[] = {32, 4, 4,  16, 16, 8,  8,  8,  8, 16, 16,
                            4,  4, 24, 24, 24, 24, 24, 24, 4, 6,  32};
    float x[64];
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(header, 4, 7, f), 7);
    for (size_t i = 0; i < (vocab < 0 ? 22u : 21u); i++) {
        for (size_t k = 0; k < sizes[i]; k++) x[k] = (float)i + (float)k / 64;
        put(f, x, sizes[i]);
    }
    long end = ftell(f);
    fclose(f);
    assert_int_equal(truncate(path, end - (long)cut), 0);
}

static float first(const em_weight *w) {
    float x;
    memcpy(&x, w->data, 4);
    return x;
}

static void llama2c_is_a_llama(void **state) {
    char path[256], bin[256], before[17], after[17];
    snprintf(path, sizeof path, "%s/stories.pt.bin", folder);
    snprintf(bin, sizeof bin, "%s/stories.bin", folder);
    write_llama2c(path, -8, 0);
    em_model *m = open_model(path);
    const em_model_spec *s = em_model_spec_of(m);
    const em_layer_weights *w = em_model_layer_weights(m, 1);
    assert_string_equal(em_bundle_format(em_model_bundle(m)), "llama2.c");
    assert_false(s->tied);
    assert_int_equal(s->vocab, 8);
    assert_int_equal(s->eos, 2);
    assert_true(em_model_layer_spec(m, 0)->rope.interleaved);
    assert_true(first(&em_model_embedding(m)->tokens) == 0 &&
                first(&w->of[EM_W_ATTENTION_IN]) == 2 && first(&w->of[EM_W_Q]) == 4 &&
                first(&w->of[EM_W_K]) == 6 && first(&w->of[EM_W_V]) == 8 &&
                first(&w->of[EM_W_O]) == 10 && first(&w->of[EM_W_FFN_IN]) == 12 &&
                first(&w->of[EM_W_GATE]) == 14 && first(&w->of[EM_W_DOWN]) == 16 &&
                first(&w->of[EM_W_UP]) == 18 && first(&em_model_head(m)->final_norm) == 19 &&
                first(&em_model_head(m)->output) == 21);
    em_model_close(m);
    convert(path, NULL, bin);
    fingerprint(path, before);
    fingerprint(bin, after);
    assert_string_equal(before, after);
    write_llama2c(path, 8, 4);
    em_error err = EM_ERROR_INIT;
    assert_null(em_model_open(path, &err));
    assert_non_null(strstr(err.text, "the file ends"));
    unlink(path);
    unlink(bin);
}

/* ---- the Hugging Face cache ---- */

static void make_folder(const char *name) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(mkdir(path, 0777), 0);
}

static void repositories_come_from_the_cache(void **state) {
    char path[512], plain[17], cached[17];
    make_folder("models--org--tiny");
    make_folder("models--org--tiny/snapshots");
    snprintf(path, sizeof path, "%s/models--org--tiny/snapshots/abc", folder);
    assert_int_equal(symlink(DATA "/checkpoints/llama", path), 0);
    setenv("HF_HUB_CACHE", folder, 1);
    em_model *m = open_model("org/tiny");
    assert_string_equal(em_bundle_name(em_model_bundle(m)), "tiny");
    assert_string_equal(em_bundle_path(em_model_bundle(m)), path);
    em_model_close(m);
    fingerprint("org/tiny", cached);
    fingerprint(DATA "/checkpoints/llama", plain);
    assert_string_equal(plain, cached);
    unlink(path);
    snprintf(path, sizeof path, "%s/models--org--tiny/snapshots", folder), rmdir(path);
    snprintf(path, sizeof path, "%s/models--org--tiny", folder), rmdir(path);
}

static void a_failed_convert_leaves_nothing(void **state) {
    em_error err = EM_ERROR_INIT;
    char path[256];
    em_model *m = em_model_open(DATA "/checkpoints/llama", &err);
    snprintf(path, sizeof path, "%s/no-such-folder/x.bin", folder);
    assert_false(em_convert(m, NULL, 1, path, &err));
    assert_int_equal(err.status, EM_MACHINE);
    err = (em_error)EM_ERROR_INIT;
    assert_false(em_convert(m, NULL, 1, "/dev/full", &err));
    assert_int_equal(err.status, EM_MACHINE);
    em_model_close(m);
}

/* ---- reading ahead ---- */

#define AHEAD ((size_t)24 << 20) /* more than one call of madvise reads */

static size_t resident_pages(const void *data) {
    unsigned char in[AHEAD / 4096];
    size_t n = 0, page = (size_t)sysconf(_SC_PAGESIZE);
    assert_int_equal(mincore((void *)(uintptr_t)data, AHEAD, in), 0);
    for (size_t i = 0; i < AHEAD / page; i++) n += in[i] & 1;
    return n * page;
}

/* A file on the disk that is not in memory, mapped; NULL: this file system keeps it there. */
static void *cold_file(void) {
    static char path[] = "evalmask-cold-XXXXXX", block[1 << 20];
    int file = mkstemp(path);
    assert_true(file >= 0);
    unlink(path);
    for (size_t i = 0; i < AHEAD / sizeof block; i++) {
        memset(block, (int)i + 1, sizeof block);
        assert_int_equal(write(file, block, sizeof block), sizeof block);
    }
    fsync(file);
    posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    void *p = mmap(NULL, AHEAD, PROT_READ, MAP_PRIVATE, file, 0);
    assert_ptr_not_equal(p, MAP_FAILED);
    close(file);
    if (!resident_pages(p)) return p;
    munmap(p, AHEAD);
    return NULL;
}

static void all_of_a_tensor_is_read_ahead(void **state) {
    const struct timespec pause = {.tv_nsec = 10000000};
    void *p = cold_file();
    if (!p) skip();
    for (int i = 0; resident_pages(p) < AHEAD && i < 6000; i++) {
        /* again every two seconds: a machine short of memory drops pages that were read */
        if (i % 200 == 0) em_bundle_will_need(NULL, &(em_tensor){.data = p, .bytes = AHEAD});
        nanosleep(&pause, NULL);
    }
    assert_int_equal(resident_pages(p), AHEAD);
    munmap(p, AHEAD);
}

static int make_scratch(void **state) { return mkdtemp(folder) ? 0 : -1; }
static int remove_scratch(void **state) { return rmdir(folder); }

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_fingerprint_in_every_format),
                                       cmocka_unit_test(every_family_converts),
                                       cmocka_unit_test(bin_carries_its_files),
                                       cmocka_unit_test(llama2c_is_a_llama),
                                       cmocka_unit_test(repositories_come_from_the_cache),
                                       cmocka_unit_test(a_failed_convert_leaves_nothing),
                                       cmocka_unit_test(all_of_a_tensor_is_read_ahead)};
    return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
