#include "model/gguf_names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const em_gguf_arch archs[] = {
    {.name = "gemma2", .model_type = "gemma2", .plus_one = true},
    {.name = "gemma3", .model_type = "gemma3_text", .plus_one = true},
    {.name = "gpt2", .model_type = "gpt2"},
    {.name = "gptneox", .model_type = "gpt_neox", .thirds = true},
    {.name = "llama", .model_type = "llama", .pairs = true},
    {.name = "olmo2", .model_type = "olmo2"},
    {.name = "qwen2", .model_type = "qwen2"},
    {.name = "qwen3", .model_type = "qwen3"},
};
enum { N_ARCHS = sizeof archs / sizeof *archs };

const em_gguf_arch *em_gguf_arch_of(const char *name, size_t n) {
    for (int i = 0; i < N_ARCHS; i++)
        if (strlen(archs[i].name) == n && !memcmp(archs[i].name, name, n)) return &archs[i];
    return NULL;
}

char *em_gguf_arch_list(char *out, size_t n) {
    size_t used = 0;
    for (int i = 0; i < N_ARCHS && used < n; i++)
        used += (size_t)snprintf(out + used, n - used, "%s%s", i ? ", " : "", archs[i].name);
    return out;
}

/* ---- tensors ---- */

typedef enum role { ROLE_PLAIN, ROLE_NORM, ROLE_Q, ROLE_K, ROLE_QKV, ROLE_MATRIX } role;

#define AT(member) offsetof(em_family_names, member)

/* GGUF's stem, where the family's own name of it stands, and what is special about it. */
typedef struct name {
    const char *stem;
    size_t at;
    role role;
} name;

// clang-format off
static const name layer_names[] = {
    {"attn_norm",           AT(attention_in),  ROLE_NORM},
    {"post_attention_norm", AT(attention_out), ROLE_NORM},
    {"ffn_norm",            AT(ffn_in),        ROLE_NORM},
    {"post_ffw_norm",       AT(ffn_out),       ROLE_NORM},
    {"attn_q",              AT(q),             ROLE_Q},
    {"attn_k",              AT(k),             ROLE_K},
    {"attn_v",              AT(v),             ROLE_MATRIX},
    {"attn_qkv",            AT(qkv),           ROLE_QKV},
    {"attn_output",         AT(o),             ROLE_MATRIX},
    {"attn_q_norm",         AT(q_norm),        ROLE_NORM},
    {"attn_k_norm",         AT(k_norm),        ROLE_NORM},
    {"ffn_gate",            AT(gate),          ROLE_MATRIX},
    {"ffn_up",              AT(up),            ROLE_MATRIX},
    {"ffn_down",            AT(down),          ROLE_MATRIX},
};
static const name end_names[] = {
    {"token_embd",    AT(tokens),     ROLE_PLAIN},
    {"position_embd", AT(positions),  ROLE_PLAIN},
    {"output_norm",   AT(final_norm), ROLE_NORM},
};
// clang-format on

static const name *find(const name *names, size_t n_names, const char *stem, size_t n) {
    for (size_t i = 0; i < n_names; i++)
        if (strlen(names[i].stem) == n && !memcmp(names[i].stem, stem, n)) return &names[i];
    return NULL;
}

static const char *own_name(const em_family *f, const name *x) {
    const char *own;
    memcpy(&own, (const char *)f->names + x->at, sizeof own);
    return own;
}

static void turn(em_tensor *t) {
    int64_t rows = t->shape[0];
    if (t->n_dims != 2) return;
    t->layout = EM_LAYOUT_TRANSPOSED;
    t->shape[0] = t->shape[1];
    t->shape[1] = rows;
}

/* Rows that do not divide into heads are left for the check of shapes. */
static void regroup(em_tensor *t, em_layout layout, int heads, int parts) {
    if (heads < 1 || t->shape[0] % ((int64_t)heads * parts)) return;
    t->layout = layout;
    t->heads = heads;
}

static void set_layout(const em_gguf_arch *arch, const em_family *f, const name *x, int heads,
                       int kv_heads, em_tensor *t) {
    bool matrix = x->role == ROLE_MATRIX || x->role == ROLE_QKV;
    if (x->role == ROLE_NORM && arch->plus_one) t->layout = EM_LAYOUT_PLUS_ONE;
    if (x->role == ROLE_Q && arch->pairs) regroup(t, EM_LAYOUT_PAIRS, heads, 2);
    if (x->role == ROLE_K && arch->pairs) regroup(t, EM_LAYOUT_PAIRS, kv_heads, 2);
    if (x->role == ROLE_QKV && arch->thirds) regroup(t, EM_LAYOUT_THIRDS, heads, 3);
    if (matrix && f->form.in_by_out) turn(t);
}

/* "blk.12.attn_q.weight": *layer = 12, and what follows; NULL: it is of no layer. */
static const char *behind_layer(const char *text, int *layer) {
    char *end;
    if (strncmp(text, "blk.", 4) || text[4] < '0' || text[4] > '9') return NULL;
    long number = strtol(text + 4, &end, 10);
    if (*end != '.' || number > 1000000 || (text[4] == '0' && end != text + 5)) return NULL;
    *layer = (int)number;
    return end + 1;
}

bool em_gguf_tensor_name(const em_gguf_arch *arch, const em_family *f, int heads, int kv_heads,
                         em_tensor *t, char *out, size_t n) {
    int layer = 0;
    char in_layer[64] = "";
    const char *inner = behind_layer(t->name, &layer), *stem = inner ? inner : t->name,
               *dot = strchr(stem, '.');
    if (!dot || (strcmp(dot, ".weight") && strcmp(dot, ".bias"))) return false;
    size_t length = (size_t)(dot - stem);
    if (!inner && length == 6 && !memcmp(stem, "output", 6)) {
        snprintf(out, n, "%s%s", f->names->outputs[0], dot);
        return true;
    }
    const name *x = inner
                        ? find(layer_names, sizeof layer_names / sizeof *layer_names, stem, length)
                        : find(end_names, sizeof end_names / sizeof *end_names, stem, length);
    const char *own = x ? own_name(f, x) : NULL;
    if (!own) return false;
    if (inner) {
        const char *digits = strchr(f->names->layer, '%');
        snprintf(in_layer, sizeof in_layer, "%.*s%d.", (int)(digits - f->names->layer),
                 f->names->layer, layer);
    }
    snprintf(out, n, "%s%s%s%s", f->names->prefixes[0], in_layer, own, dot);
    set_layout(arch, f, x, heads, kv_heads, t);
    return true;
}
