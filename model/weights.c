/* Where each weight of the network lies in the checkpoint: names, shapes, layouts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "model/contradictions.h"
#include "model/model_parts.h"
#include "model/blocks.h"
#include "model/stored.h"
#include "model/tensors.h"

typedef struct finder {
    em_model *m;
    const em_family_names *names;
    const char *prefix;
    char layer[48]; /* "layers.3.", or "" outside the layers */
    int part;
    em_error *err;
} finder;

/* ---- one tensor ---- */

/* Of what a view gives: a tensor that is not plain is made in f32 (model/stored.h). */
static bool view_dtype(const em_tensor *t, em_dtype *out, em_error *err) {
    char list[256];
    if (!em_tensor_is_plain(t) && em_tensor_is_read(t)) *out = EM_F32;
    else if (!strcmp(t->type, "F32")) *out = EM_F32;
    else if (!strcmp(t->type, "F16")) *out = EM_F16;
    else if (!strcmp(t->type, "BF16")) *out = EM_BF16;
    else if (em_block_type_named(t->type))
        return em_fail_at(err, EM_INPUT, t->file, 0, -1, "tensor %s is %s; what is read: %s",
                          t->name, t->type, em_block_type_list(list, sizeof list));
    else
        return em_fail_at(
            err, EM_INPUT, t->file, 0, -1,
            "tensor %s is %s; F32, F16 and BF16 are read, quantized checkpoints are not", t->name,
            t->type);
    return true;
}

static bool check_shape(const finder *f, const em_tensor *t, int n_dims, const int64_t *shape) {
    char found[160], expected[160];
    if (t->n_dims == n_dims && !memcmp(t->shape, shape, (size_t)n_dims * sizeof *shape))
        return true;
    const char *omitted = f->m->config.omitted;
    return em_fail_at(
        f->err, EM_INPUT, t->file, 0, -1, "tensor %s has shape %s, config.json makes it %s%s%s%s",
        t->name, em_shape_text(t->n_dims, t->shape, found, sizeof found),
        em_shape_text(n_dims, shape, expected, sizeof expected),
        *omitted ? " (it leaves out, so at their defaults: " : "", omitted, *omitted ? ")" : "");
}

/* The tensor of this full name as a matrix of `rows` rows, or (columns 0) a vector, as stored. */
static bool take_named(const finder *f, const char *name, int64_t rows, int64_t columns,
                       em_weight *out) {
    const em_bundle *b = f->m->bundle;
    const em_tensor *t = em_bundle_tensor(b, name);
    int64_t shape[2] = {rows, columns};
    if (!t)
        return em_fail_at(f->err, EM_INPUT, em_bundle_path(b), 0, -1, "tensor %s is missing", name);
    if (!view_dtype(t, &out->dtype, f->err) || !check_shape(f, t, columns ? 2 : 1, shape))
        return false;
    int64_t in = columns ? columns : 1;
    *out = (em_weight){t->data, out->dtype, rows, in, in, 1, rows, 0, t->name};
    f->m->part_of[t - em_bundle_tensor_at(b, 0)] = f->part;
    return true;
}

static bool take(const finder *f, const char *stem, const char *ending, int64_t rows,
                 int64_t columns, em_weight *out) {
    char name[256];
    snprintf(name, sizeof name, "%s%s%s.%s", f->prefix, f->layer, stem, ending);
    return take_named(f, name, rows, columns, out);
}

static bool take_vector(const finder *f, const char *stem, const char *ending, int64_t n,
                        em_weight *out) {
    return take(f, stem, ending, n, 0, out);
}

/* A Linear; a Conv1D stores [in, out]. */
static bool take_matrix(const finder *f, const char *stem, int64_t out_size, int64_t in,
                        em_weight *w) {
    if (!f->m->config.form.in_by_out) return take(f, stem, "weight", out_size, in, w);
    if (!take(f, stem, "weight", in, out_size, w)) return false;
    *w = (em_weight){w->data, w->dtype, out_size, in, 1, out_size, out_size, 0, w->name};
    return true;
}

static bool take_linear(const finder *f, const char *stem, int64_t out_size, int64_t in, bool bias,
                        em_weight *w, em_weight *b) {
    return take_matrix(f, stem, out_size, in, w) &&
           (!bias || take_vector(f, stem, "bias", out_size, b));
}

/* The weight of a norm that only norms; without a name, as it is in no file. */
static em_weight ones(int64_t n) {
    static const float one = 1;
    return (em_weight){.data = &one, .dtype = EM_F32, .out = n, .in = 1, .block = n};
}

/* A norm's weight and, for LayerNorm, bias. stem NULL: the family has none. */
static bool take_norm(const finder *f, const char *stem, int64_t n, em_weight *w, em_weight *b) {
    const em_norm_form *norm = &f->m->config.form.norm;
    if (!stem) return true;
    if (norm->no_weight) *w = ones(n);
    else if (!take_vector(f, stem, "weight", n, w)) return false;
    return norm->kind != EM_NORM_LAYER || norm->no_bias || norm->no_weight ||
           take_vector(f, stem, "bias", n, b);
}

/* ---- q, k, v in one tensor ---- */

static em_weight moved(em_weight w, int64_t elements) {
    w.data = (const char *)w.data + elements * (int64_t)em_dtype_size(w.dtype);
    return w;
}

/* n outputs of whole from `first` on, seen where `whole` puts them. */
static em_weight in_turn(em_weight whole, int64_t first, int64_t n) {
    em_weight w = moved(whole, first * whole.out_stride);
    w.out = w.block = n;
    return w;
}

/* n outputs of each group of `stride`, from `first` on. */
static em_weight by_group(em_weight whole, int64_t first, int64_t n, int64_t stride) {
    em_weight w = moved(whole, first * whole.out_stride);
    w.out = whole.out / stride * n;
    w.block = n;
    w.block_stride = stride * whole.out_stride;
    return w;
}

/* Part 0, 1, 2: q, k, v of the fused tensor. */
static em_weight qkv_part(const em_config *c, em_weight whole, int part) {
    int64_t d = c->head_dim, q = c->heads * d, kv = c->kv_heads * d, group = q / c->kv_heads;
    if (c->form.qkv == EM_QKV_IN_TURN)
        return in_turn(whole, part ? q + (part - 1) * kv : 0, part ? kv : q);
    return by_group(whole, part ? group + (part - 1) * d : 0, part ? d : group, group + 2 * d);
}

static bool take_fused(const finder *f, em_layer_weights *w) {
    const em_config *c = &f->m->config;
    em_weight whole, bias = {0};
    em_weight *parts[3] = {&w->of[EM_W_Q], &w->of[EM_W_K], &w->of[EM_W_V]},
              *biases[3] = {&w->of[EM_W_Q_BIAS], &w->of[EM_W_K_BIAS], &w->of[EM_W_V_BIAS]};
    int64_t outputs = ((int64_t)c->heads + 2 * c->kv_heads) * c->head_dim;
    if (!take_linear(f, f->names->qkv, outputs, c->hidden, c->form.qkv_bias, &whole, &bias))
        return false;
    for (int i = 0; i < 3; i++) {
        *parts[i] = qkv_part(c, whole, i);
        if (bias.data) *biases[i] = qkv_part(c, bias, i);
    }
    return true;
}

/* ---- a layer ---- */

static bool take_attention(const finder *f, em_layer_weights *w) {
    const em_config *c = &f->m->config;
    const em_family_names *n = f->names;
    int64_t q = (int64_t)c->heads * c->head_dim, kv = (int64_t)c->kv_heads * c->head_dim;
    bool all = c->form.head_norm == EM_HEAD_NORM_ALL;
    if (c->form.qkv != EM_QKV_SEPARATE ? !take_fused(f, w)
                                       : !take_linear(f, n->q, q, c->hidden, c->form.qkv_bias,
                                                      &w->of[EM_W_Q], &w->of[EM_W_Q_BIAS]) ||
                                             !take_linear(f, n->k, kv, c->hidden, c->form.qkv_bias,
                                                          &w->of[EM_W_K], &w->of[EM_W_K_BIAS]) ||
                                             !take_linear(f, n->v, kv, c->hidden, c->form.qkv_bias,
                                                          &w->of[EM_W_V], &w->of[EM_W_V_BIAS]))
        return false;
    if (n->q_norm &&
        (!take_vector(f, n->q_norm, "weight", all ? q : c->head_dim, &w->of[EM_W_Q_NORM]) ||
         !take_vector(f, n->k_norm, "weight", all ? kv : c->head_dim, &w->of[EM_W_K_NORM])))
        return false;
    return take_linear(f, n->o, c->hidden, q, c->form.o_bias, &w->of[EM_W_O], &w->of[EM_W_O_BIAS]);
}

static bool take_gate_up(const finder *f, em_layer_weights *w) {
    const em_config *c = &f->m->config;
    em_weight whole, bias = {0};
    if (!take_linear(f, f->names->gate_up, 2 * (int64_t)c->ffn, c->hidden, c->form.mlp_bias, &whole,
                     &bias))
        return false;
    w->of[EM_W_GATE] = in_turn(whole, 0, c->ffn);
    w->of[EM_W_UP] = in_turn(whole, c->ffn, c->ffn);
    if (bias.data) w->of[EM_W_GATE_BIAS] = in_turn(bias, 0, c->ffn);
    if (bias.data) w->of[EM_W_UP_BIAS] = in_turn(bias, c->ffn, c->ffn);
    return true;
}

static bool take_ffn(const finder *f, em_layer_weights *w) {
    const em_config *c = &f->m->config;
    const em_family_names *n = f->names;
    return (!n->gate_up || take_gate_up(f, w)) &&
           (!n->gate || take_linear(f, n->gate, c->ffn, c->hidden, c->form.mlp_bias,
                                    &w->of[EM_W_GATE], &w->of[EM_W_GATE_BIAS])) &&
           (!n->up || take_linear(f, n->up, c->ffn, c->hidden, c->form.mlp_bias, &w->of[EM_W_UP],
                                  &w->of[EM_W_UP_BIAS])) &&
           take_linear(f, n->down, c->hidden, c->ffn, c->form.mlp_bias, &w->of[EM_W_DOWN],
                       &w->of[EM_W_DOWN_BIAS]);
}

static bool take_layer(const finder *f, em_layer_weights *w) {
    int64_t hidden = f->m->config.hidden;
    const em_family_names *n = f->names;
    bool one = f->m->config.form.residual == EM_PARALLEL_ONE_NORM;
    return take_norm(f, n->attention_in, hidden, &w->of[EM_W_ATTENTION_IN],
                     &w->of[EM_W_ATTENTION_IN_BIAS]) &&
           take_norm(f, n->attention_out, hidden, &w->of[EM_W_ATTENTION_OUT],
                     &w->of[EM_W_ATTENTION_OUT_BIAS]) &&
           take_norm(f, one ? n->attention_in : n->ffn_in, hidden, &w->of[EM_W_FFN_IN],
                     &w->of[EM_W_FFN_IN_BIAS]) &&
           take_norm(f, n->ffn_out, hidden, &w->of[EM_W_FFN_OUT], &w->of[EM_W_FFN_OUT_BIAS]) &&
           take_attention(f, w) && take_ffn(f, w);
}

static bool take_layers(finder *f) {
    for (int i = 0; i < f->m->config.layers; i++) {
        f->part = i;
        char *digits = strchr(f->names->layer, '%');
        snprintf(f->layer, sizeof f->layer, "%.*s%d.", (int)(digits - f->names->layer),
                 f->names->layer, i);
        if (!take_layer(f, &f->m->weights[i])) return false;
    }
    f->layer[0] = 0;
    return true;
}

/* ---- embedding and head ---- */

static bool has(const finder *f, const char *prefix, const char *stem) {
    char name[256];
    snprintf(name, sizeof name, "%s%s.weight", prefix, stem);
    return em_bundle_tensor(f->m->bundle, name) != NULL;
}

/* The prefix that this checkpoint's tensors carry, by its embedding or, where it lacks that, its
 * final norm. */
static const char *find_prefix(const finder *f) {
    const char *const *p = f->names->prefixes;
    for (int i = 0; p[i]; i++)
        if (has(f, p[i], f->names->tokens) || has(f, p[i], f->names->final_norm)) return p[i];
    return p[0];
}

static const char *find_output(const finder *f) {
    const char *const *o = f->names->outputs;
    for (int i = 0; o[i]; i++)
        if (has(f, "", o[i])) return o[i];
    return NULL;
}

/* tie_word_embeddings: true, and both matrices are stored: where they differ, the stored head
 * counts, as in transformers 5, and says so. */
static bool settle_tie(finder *f) {
    em_model *m = f->m;
    const char *output = find_output(f);
    char tokens[256], head[256];
    if (!m->config.form.tied || !output) return true;
    snprintf(tokens, sizeof tokens, "%s%s.weight", f->prefix, f->names->tokens);
    snprintf(head, sizeof head, "%s.weight", output);
    const em_tensor *a = em_bundle_tensor(m->bundle, tokens),
                    *b = em_bundle_tensor(m->bundle, head);
    em_dtype x, y;
    if (!a || !b) return true;
    if (!view_dtype(a, &x, f->err) || !view_dtype(b, &y, f->err)) return false;
    if (em_same_values(a, b)) return true;
    m->config.form.tied = false;
    return em_notes_add(&m->notes, f->err,
                        "%s says tie_word_embeddings: true, but the stored %s differs from %s: the "
                        "stored head counts",
                        m->source, head, tokens);
}

/* Learned positions, without the rows before that of position 0. */
static bool take_positions(const finder *f, em_weight *w) {
    const em_config *c = &f->m->config;
    int64_t before = c->family->position_offset;
    if (!take(f, f->names->positions, "weight", before + c->max_positions, c->hidden, w))
        return false;
    *w = in_turn(*w, before, c->max_positions);
    return true;
}

/* Tied matrices may be stored under either name. */
static bool take_embedding(finder *f) {
    em_model *m = f->m;
    const em_config *c = &m->config;
    const char *output = find_output(f);
    bool by_output = c->form.tied && output && !has(f, f->prefix, f->names->tokens);
    char name[256];
    f->part = EM_PART_EMBEDDING;
    snprintf(name, sizeof name, "%s%s.weight", by_output ? "" : f->prefix,
             by_output ? output : f->names->tokens);
    if (!take_named(f, name, c->vocab, c->hidden, &m->embedding.tokens)) return false;
    return !f->names->positions || take_positions(f, &m->embedding.positions);
}

static bool take_head(finder *f) {
    em_head_spec *h = &f->m->head;
    const em_config *c = &f->m->config;
    const char *stored = find_output(f), *output = stored ? stored : f->names->outputs[0];
    char name[256];
    f->part = c->layers;
    if (!take_norm(f, f->names->final_norm, c->hidden, &h->final_norm, &h->final_norm_bias))
        return false;
    h->output = f->m->embedding.tokens;
    snprintf(name, sizeof name, "%s.weight", output);
    if (!c->form.tied && !take_named(f, name, c->vocab, c->hidden, &h->output)) return false;
    snprintf(name, sizeof name, "%s.bias", output);
    return !c->form.head_bias || take_named(f, name, c->vocab, 0, &h->output_bias);
}

/* ---- tensors that nothing asked for ---- */

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), k = strlen(end);
    return n >= k && !strcmp(s + n - k, end);
}

/* Buffers that old checkpoints carry (masks, frequencies), other modules' tensors, a tied head
 * stored twice. */
static bool harmless(const finder *f, const char *name) {
    static const char *const buffers[] = {"rotary_emb.inv_freq", ".attn.bias", ".attn.masked_bias",
                                          ".attention.bias", ".attention.masked_bias"};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        if (ends_with(name, buffers[i])) return true;
    for (int i = 0; f->names->ignored[i]; i++)
        if (!strncmp(name, f->names->ignored[i], strlen(f->names->ignored[i]))) return true;
    const char *output = f->m->config.form.tied ? find_output(f) : NULL;
    return output && !strncmp(name, output, strlen(output)) &&
           !strcmp(name + strlen(output), ".weight");
}

static bool check_left_over(const finder *f) {
    const em_bundle *b = f->m->bundle;
    const char *first = NULL;
    int64_t unused = 0;
    for (int64_t i = 0; i < em_bundle_tensors(b); i++) {
        const em_tensor *t = em_bundle_tensor_at(b, i);
        if (f->m->part_of[i] != EM_PART_UNUSED) continue;
        if (!unused++) first = t->name;
        if (!harmless(f, t->name))
            return em_fail_at(f->err, EM_INPUT, t->file, 0, -1,
                              "tensor %s has no place in the %s that config.json describes; "
                              "leaving it out would change the result",
                              t->name, f->m->config.model_type);
    }
    return !unused ||
           em_notes_add(&f->m->notes, f->err,
                        "%s: %lld of %lld stored tensors %s not used (buffers, other modules, a "
                        "head stored twice): %s%s",
                        em_bundle_path(b), (long long)unused, (long long)em_bundle_tensors(b),
                        unused == 1 ? "is" : "are", first, unused == 1 ? "" : ", …");
}

bool em_model_find_weights(em_model *m, em_error *err) {
    finder f = {.m = m, .names = m->config.names, .err = err};
    f.prefix = m->prefix = find_prefix(&f);
    m->output = find_output(&f);
    return settle_tie(&f) && take_embedding(&f) && take_head(&f) && take_layers(&f) &&
           check_left_over(&f);
}
