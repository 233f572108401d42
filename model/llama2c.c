#include "model/llama2c.h"

#include <stdio.h>
#include <string.h>

#include "common/size.h"

#define HEADER_BYTES 28

typedef struct header {
    int32_t dim, hidden, layers, heads, kv_heads, vocab, seq_len;
} header;

typedef struct cursor {
    const unsigned char *data;
    size_t size, at;
    const char *file;
    em_tensors *out;
    em_error *err;
} cursor;

static header read_header(const void *data) {
    header h;
    memcpy(&h, data, sizeof h);
    return h;
}

static bool in_range(int32_t x, int32_t most) { return x >= 1 && x <= most; }

bool em_llama2c_looks(const void *data, size_t size) {
    if (size < HEADER_BYTES) return false;
    header h = read_header(data);
    return in_range(h.dim, 1 << 20) && in_range(h.hidden, 1 << 22) && in_range(h.layers, 10000) &&
           in_range(h.heads, 1 << 16) && in_range(h.kv_heads, 1 << 16) && h.vocab != INT32_MIN &&
           in_range(h.vocab < 0 ? -h.vocab : h.vocab, 1 << 27) && in_range(h.seq_len, 1 << 30);
}

static bool check_header(const header *h, const char *file, em_error *err) {
    if (h->dim % h->heads || h->heads % h->kv_heads || h->dim / h->heads % 2)
        return em_fail_at(
            err, EM_INPUT, file, 0, 0,
            "a llama2.c header with dim %d, %d heads and %d key heads does not add up", h->dim,
            h->heads, h->kv_heads);
    return true;
}

/* One tensor [rows, columns] (columns 0: a vector) from the cursor. */
static bool take(cursor *c, const char *name, int64_t rows, int64_t columns) {
    em_tensor t = {.name = name,
                   .type = "F32",
                   .n_dims = columns ? 2 : 1,
                   .shape = {rows, columns},
                   .file = c->file};
    size_t end;
    if (!em_size_mul((size_t)rows, (size_t)(columns ? columns : 1), &t.bytes) ||
        !em_size_mul(t.bytes, 4, &t.bytes) || !em_size_add(c->at, t.bytes, &end) || end > c->size)
        return em_fail_at(c->err, EM_INPUT, c->file, 0, (int64_t)c->at,
                          "the file ends (at %zu bytes) within tensor %s of a llama2.c "
                          "checkpoint; is the download complete?",
                          c->size, name);
    t.data = c->data + c->at;
    c->at = end;
    return em_tensors_add(c->out, &t, c->err);
}

static bool take_layers(cursor *c, int layers, const char *kind, int64_t rows, int64_t columns) {
    char name[96];
    for (int i = 0; i < layers; i++) {
        snprintf(name, sizeof name, "model.layers.%d.%s.weight", i, kind);
        if (!take(c, name, rows, columns)) return false;
    }
    return true;
}

static bool take_all(cursor *c, const header *h) {
    int64_t d = h->dim, kv = (int64_t)h->dim / h->heads * h->kv_heads, f = h->hidden,
            vocab = h->vocab < 0 ? -(int64_t)h->vocab : h->vocab;
    return take(c, "model.embed_tokens.weight", vocab, d) &&
           take_layers(c, h->layers, "input_layernorm", d, 0) &&
           take_layers(c, h->layers, "self_attn.q_proj", d, d) &&
           take_layers(c, h->layers, "self_attn.k_proj", kv, d) &&
           take_layers(c, h->layers, "self_attn.v_proj", kv, d) &&
           take_layers(c, h->layers, "self_attn.o_proj", d, d) &&
           take_layers(c, h->layers, "post_attention_layernorm", d, 0) &&
           take_layers(c, h->layers, "mlp.gate_proj", f, d) &&
           take_layers(c, h->layers, "mlp.down_proj", d, f) &&
           take_layers(c, h->layers, "mlp.up_proj", f, d) && take(c, "model.norm.weight", d, 0);
}

/* Tables of cosines and sines follow, [seq_len, head_dim / 2] each, which run.c skips too. */
static bool skip_tables(cursor *c, const header *h) {
    size_t bytes = 4 * (size_t)h->seq_len * (size_t)(h->dim / h->heads), end;
    if (!em_size_add(c->at, bytes, &end) || end > c->size)
        return em_fail_at(c->err, EM_INPUT, c->file, 0, (int64_t)c->at,
                          "the file ends (at %zu bytes) within the rotary tables of a "
                          "llama2.c checkpoint; is the download complete?",
                          c->size);
    c->at = end;
    return true;
}

static void write_config(const header *h, em_buffer *out) {
    em_buffer_printf(out,
                     "{\"model_type\": \"llama\", \"dtype\": \"float32\", \"hidden_size\": %d, "
                     "\"intermediate_size\": %d, "
                     "\"num_hidden_layers\": %d, \"num_attention_heads\": %d, "
                     "\"num_key_value_heads\": %d, \"vocab_size\": %d, "
                     "\"max_position_embeddings\": %d, \"hidden_act\": \"silu\", \"rms_norm_eps\": "
                     "1e-05, \"rope_theta\": 10000.0, "
                     "\"rope_interleaved\": true, \"tie_word_embeddings\": %s, \"bos_token_id\": "
                     "1, \"eos_token_id\": 2}\n",
                     h->dim, h->hidden, h->layers, h->heads, h->kv_heads,
                     h->vocab < 0 ? -h->vocab : h->vocab, h->seq_len,
                     h->vocab < 0 ? "false" : "true");
}

bool em_llama2c_read(const void *data, size_t size, const char *file, em_tensors *out,
                     em_buffer *config, em_error *err) {
    if (!em_llama2c_looks(data, size))
        return em_fail_at(err, EM_INPUT, file, 0, 0, "is no llama2.c checkpoint");
    header h = read_header(data);
    cursor c = {data, size, HEADER_BYTES, file, out, err};
    if (!check_header(&h, file, err) || !take_all(&c, &h) || !skip_tables(&c, &h)) return false;
    if (h.vocab < 0 && !take(&c, "lm_head.weight", -(int64_t)h.vocab, h.dim)) return false;
    if (c.at != size)
        return em_fail_at(err, EM_INPUT, file, 0, (int64_t)c.at,
                          "a llama2.c checkpoint with this header ends here, %zu bytes follow",
                          size - c.at);
    write_config(&h, config);
    return true;
}
