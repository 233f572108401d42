/* A checkpoint of a published model's shape, for measuring: the speed of a dense model does not
 * depend on its weights. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/dtype.h"
#include "common/size.h"
#include "eval/bench/bench_parts.h"
#include "model/safetensors.h"

static const em_shape shapes[] = {
    {"tiny-llama", 4096, 192, 6, 6, 3, 32, 512, true, 10000},       /* data/base.bin */
    {"smollm-135m", 49152, 576, 30, 9, 3, 64, 1536, true, 10000},   /* HuggingFaceTB/SmolLM-135M */
    {"smollm-360m", 49152, 960, 32, 15, 5, 64, 2560, true, 10000},  /* HuggingFaceTB/SmolLM-360M */
    {"llama-1b", 128256, 2048, 16, 32, 8, 64, 8192, true, 500000},  /* meta-llama/Llama-3.2-1B */
    {"llama-3b", 128256, 3072, 28, 24, 8, 128, 8192, true, 500000}, /* meta-llama/Llama-3.2-3B */
    {"llama-8b", 128256, 4096, 32, 32, 8, 128, 14336, false, 500000}, /* meta-llama/Llama-3.1-8B */
};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

const em_shape *em_shape_find(const char *name, em_error *err) {
    char list[160] = "";
    for (int i = 0; i < N_SHAPES; i++) {
        if (!strcmp(shapes[i].name, name)) return &shapes[i];
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? ", " : "",
                 shapes[i].name);
    }
    em_fail(err, EM_USAGE, "--shape %s: no such shape; there are %s", name, list);
    return NULL;
}

/* ---- the header ---- */

typedef struct writer {
    em_buffer header;
    size_t bytes; /* of the file's data so far */
    size_t common,
        common_bytes; /* where matrices share their bytes: from here on; 0: each has its own */
    int n;            /* matrices so far */
} writer;

/* Where a matrix lies: its own place, or one of many within the common bytes, so that reading them
 * all is not reading one piece of memory over and over. */
static size_t place_matrix(writer *w, size_t bytes) {
    size_t at = w->bytes;
    if (w->common_bytes)
        return w->common + (size_t)w->n++ * 1000003 * 64 % (w->common_bytes - bytes + 64) / 64 * 64;
    w->bytes += bytes;
    return at;
}

static void add_tensor(writer *w, const char *prefix, const char *name, int64_t out, int64_t in) {
    size_t bytes = (size_t)out * (size_t)(in ? in : 1) * sizeof(uint16_t), at = w->bytes;
    em_buffer_printf(&w->header, ",\"%s%s\":{\"dtype\":\"BF16\",\"shape\":[%lld", prefix, name,
                     (long long)out);
    if (in) em_buffer_printf(&w->header, ",%lld", (long long)in);
    if (in) at = place_matrix(w, bytes);
    else w->bytes += bytes;
    em_buffer_printf(&w->header, "],\"data_offsets\":[%zu,%zu]}", at, at + bytes);
}

/* Common bytes that the largest matrix fits into with some to spare. */
static void share_bytes(writer *w, const em_shape *s) {
    int64_t rows = s->vocab > s->ffn ? s->vocab : s->ffn;
    w->common = w->bytes;
    w->common_bytes = ((size_t)rows * (size_t)s->hidden * sizeof(uint16_t) + (16 << 20)) / 64 * 64;
    w->bytes += w->common_bytes;
}

static void add_layer(writer *w, const em_shape *s, int layer) {
    char prefix[32];
    int64_t q = (int64_t)s->heads * s->head_dim, kv = (int64_t)s->kv_heads * s->head_dim;
    snprintf(prefix, sizeof prefix, "model.layers.%d.", layer);
    add_tensor(w, prefix, "self_attn.q_proj.weight", q, s->hidden);
    add_tensor(w, prefix, "self_attn.k_proj.weight", kv, s->hidden);
    add_tensor(w, prefix, "self_attn.v_proj.weight", kv, s->hidden);
    add_tensor(w, prefix, "self_attn.o_proj.weight", s->hidden, q);
    add_tensor(w, prefix, "mlp.gate_proj.weight", s->ffn, s->hidden);
    add_tensor(w, prefix, "mlp.up_proj.weight", s->ffn, s->hidden);
    add_tensor(w, prefix, "mlp.down_proj.weight", s->hidden, s->ffn);
}

/* Norms come first, side by side, because they alone are not random. */
static void add_norms(writer *w, const em_shape *s) {
    for (int l = 0; l < s->layers; l++) {
        char prefix[32];
        snprintf(prefix, sizeof prefix, "model.layers.%d.", l);
        add_tensor(w, prefix, "input_layernorm.weight", s->hidden, 0);
        add_tensor(w, prefix, "post_attention_layernorm.weight", s->hidden, 0);
    }
    add_tensor(w, "model.", "norm.weight", s->hidden, 0);
}

static void print_config(const em_shape *s, em_buffer *out) {
    em_buffer_printf(
        out,
        "{\"model_type\":\"llama\",\"vocab_size\":%d,\"hidden_size\":%d,\"num_hidden_layers\":%d,"
        "\"num_attention_heads\":%d,\"num_key_value_heads\":%d,\"head_dim\":%d,\"intermediate_"
        "size\":%d,"
        "\"max_position_embeddings\":1048576,\"rms_norm_eps\":1e-05,\"rope_theta\":%.0f,"
        "\"tie_word_embeddings\":%s,\"bos_token_id\":1,\"eos_token_id\":2}",
        s->vocab, s->hidden, s->layers, s->heads, s->kv_heads, s->head_dim, s->ffn, s->rope_theta,
        s->tied ? "true" : "false");
    while (out->length % 64) em_buffer_puts(out, " "); /* what follows is aligned */
}

/* ---- writing ---- */

static bool put(int file, const void *data, size_t n, em_error *err) {
    const char *from = data;
    while (n) {
        ssize_t done = write(file, from, n);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0)
            return em_fail(err, EM_MACHINE,
                           "the random checkpoint cannot be written: %s; set TMPDIR to a folder "
                           "with room, or give --keep-model FILE there",
                           done ? strerror(errno) : "no room");
        from += done;
        n -= (size_t)done;
    }
    return true;
}

/* A prime number of weights: rows of a matrix never come to lie on the same part of it. */
enum { BLOCK = 1000003 };

/* Uniform, with a standard deviation of 0.02. */
static uint16_t *random_block(uint64_t seed, em_error *err) {
    uint16_t *block = em_alloc(BLOCK, sizeof *block, "random weights", err);
    uint64_t state = seed * 2 + 1;
    for (int i = 0; block && i < BLOCK; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        block[i] = em_f32_to_bf16(0.034641f * ((float)(state >> 40) * 0x1p-23f - 1));
    }
    return block;
}

static bool put_random(int file, size_t bytes, uint64_t seed, const volatile sig_atomic_t *stop,
                       em_error *err) {
    uint16_t *block = random_block(seed, err);
    bool good = block != NULL;
    for (size_t n; good && bytes; bytes -= n) {
        n = bytes < BLOCK * sizeof *block ? bytes : BLOCK * sizeof *block;
        good = *stop
                   ? em_fail(err, EM_INTERRUPTED, "interrupted while writing the random checkpoint")
                   : put(file, block, n, err);
    }
    free(block);
    return good;
}

static bool put_ones(int file, size_t bytes, em_error *err) {
    uint16_t *ones = em_alloc(bytes, 1, "random weights", err);
    for (size_t i = 0; ones && i < bytes / sizeof *ones; i++) ones[i] = em_f32_to_bf16(1);
    bool good = ones && put(file, ones, bytes, err);
    free(ones);
    return good;
}

static void add_matrices(writer *w, const em_shape *s) {
    add_tensor(w, "model.", "embed_tokens.weight", s->vocab, s->hidden);
    for (int l = 0; l < s->layers; l++) add_layer(w, s, l);
    if (!s->tied) add_tensor(w, "", "lm_head.weight", s->vocab, s->hidden);
}

bool em_shape_write(const em_shape *s, const em_shape_file *how, int file,
                    const volatile sig_atomic_t *stop, em_error *err) {
    em_buffer config = {0};
    print_config(s, &config);
    writer w = {.bytes = config.length};
    em_buffer_puts(&w.header, "{");
    if (how->shared)
        em_buffer_puts(&w.header,
                       "\"__metadata__\":{\"" EM_SAFETENSORS_SHARED "\":\"random weights\"},");
    em_buffer_printf(
        &w.header,
        "\"file:config.json\":{\"dtype\":\"U8\",\"shape\":[%zu],\"data_offsets\":[0,%zu]}",
        config.length, config.length);
    add_norms(&w, s);
    size_t norms = w.bytes - config.length;
    if (how->shared) share_bytes(&w, s);
    add_matrices(&w, s);
    em_buffer_puts(&w.header, "}");
    while ((w.header.length + 8) % 64) em_buffer_puts(&w.header, " ");
    unsigned char size[8];
    for (int i = 0; i < 8; i++) size[i] = (unsigned char)((uint64_t)w.header.length >> 8 * i);
    bool good = put(file, size, 8, err) && put(file, w.header.data, w.header.length, err) &&
                put(file, config.data, config.length, err) && put_ones(file, norms, err) &&
                put_random(file, w.bytes - config.length - norms, how->seed, stop, err);
    em_buffer_free(&w.header);
    em_buffer_free(&config);
    return good;
}
