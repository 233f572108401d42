#include "model/adapter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"

/* ---- modules: what the base's tensors are called in transformers ---- */

#define MAX_NAME 512

typedef struct module {
    char name[MAX_NAME];     /* "model.layers.0.self_attn.q_proj" */
    const em_tensor *tensor; /* its weight in the base's file */
    int part;
    bool embedding, head;
} module;

typedef struct applying {
    em_model *m;
    em_composition *c;
    const em_adapter *a;
    const char *prefix; /* of the layers' modules in the adapter's keys: "model." */
    bool *used;         /* [tensors of the adapter] */
    em_error *err;
} applying;

/* The adapter's own prefix, which may be another than the checkpoint's (one with images, one
 * without a head). */
static const char *find_prefix(const applying *p) {
    static const char root[] = "base_model.model.";
    const char *const *all = p->m->config.names->prefixes;
    for (int i = 0; all[i]; i++)
        for (size_t k = 0; k < p->a->tensors.n && *all[i]; k++) {
            const char *key = p->a->tensors.items[k].name;
            if (!strncmp(key, root, sizeof root - 1) &&
                !strncmp(key + sizeof root - 1, all[i], strlen(all[i])))
                return all[i];
        }
    return "";
}

/* The name of the module that owns the base's tensor: its own without the ending and with the
 * adapter's prefix. */
static void name_module(const applying *p, const em_tensor *t, char out[MAX_NAME]) {
    const char *prefix = p->m->prefix, *last = strrchr(t->name, '.');
    bool inside = !strncmp(t->name, prefix, strlen(prefix));
    const char *stem = inside ? t->name + strlen(prefix) : t->name;
    snprintf(out, MAX_NAME, "%s%.*s", p->prefix, (int)(last - stem), stem);
}

/* The adapter may call the head by another of its family's names than the checkpoint does. */
static void name_head(const applying *p, char out[MAX_NAME]) {
    const char *const *o = p->m->config.names->outputs;
    char key[MAX_NAME];
    snprintf(out, MAX_NAME, "%s", p->m->output ? p->m->output : o[0]);
    for (int i = 0; o[i]; i++) {
        snprintf(key, sizeof key, "base_model.model.%s.", o[i]);
        for (size_t k = 0; k < p->a->tensors.n; k++)
            if (!strncmp(p->a->tensors.items[k].name, key, strlen(key)))
                snprintf(out, MAX_NAME, "%s", o[i]);
    }
}

/* ---- the adapter's tensors ---- */

/* base_model.model.MODULE + ending, or NULL; it counts as used. */
static const em_tensor *take(applying *p, const char *module_name, const char *ending) {
    char key[MAX_NAME + 64];
    snprintf(key, sizeof key, "base_model.model.%s%s", module_name, ending);
    const em_tensor *t = em_tensors_find(&p->a->tensors, key);
    if (t) p->used[t - p->a->tensors.items] = true;
    return t;
}

/* PEFT leaves the adapter's name out of its files; other tools leave ".default" in. */
static const em_tensor *take_either(applying *p, const char *module_name, const char *plain,
                                    const char *named) {
    const em_tensor *t = take(p, module_name, plain);
    return t ? t : take(p, module_name, named);
}

static bool check_shape(const applying *p, const em_tensor *t, int n_dims, int64_t rows,
                        int64_t columns, const char *why) {
    char found[160], expected[160];
    int64_t shape[2] = {rows, columns};
    if (t->n_dims == n_dims && !memcmp(t->shape, shape, (size_t)n_dims * sizeof *shape))
        return true;
    return em_fail_at(p->err, EM_INPUT, t->file, 0, -1, "tensor %s has shape %s, %s it %s", t->name,
                      em_shape_text(t->n_dims, t->shape, found, sizeof found), why,
                      em_shape_text(n_dims, shape, expected, sizeof expected));
}

static bool missing(const applying *p, const char *module_name, const char *ending) {
    return em_fail_at(p->err, EM_INPUT, p->a->weights_file.path, 0, -1,
                      "tensor base_model.model.%s%s is missing: adapter_config.json has "
                      "the adapter change that module",
                      module_name, ending);
}

/* ---- one module ---- */

static bool check_factors(const applying *p, const em_made *made, const em_tensor *shift) {
    static const char why[] = "adapter_config.json's rank and the base model make";
    int64_t out = made->transposed ? made->columns : made->rows,
            in = made->transposed ? made->rows : made->columns;
    return check_shape(p, made->a, 2, made->rank, in, why) &&
           check_shape(p, made->b, 2, out, made->rank, why) &&
           (!shift || check_shape(p, shift, 1, out, 0, why));
}

/* lora_A and lora_B, and in *shift the bias of lora_B. */
static bool take_factors(applying *p, const module *x, em_made *made, const em_tensor **shift) {
    const char *a = x->embedding ? ".lora_embedding_A" : ".lora_A.weight",
               *b = x->embedding ? ".lora_embedding_B" : ".lora_B.weight";
    made->transposed = x->embedding || (!x->head && p->m->config.form.in_by_out);
    made->a = take_either(p, x->name, a,
                          x->embedding ? ".lora_embedding_A.default" : ".lora_A.default.weight");
    made->b = take_either(p, x->name, b,
                          x->embedding ? ".lora_embedding_B.default" : ".lora_B.default.weight");
    if (!made->a || !made->b) return missing(p, x->name, made->a ? b : a);
    *shift = x->embedding ? NULL : take_either(p, x->name, ".lora_B.bias", ".lora_B.default.bias");
    return em_adapter_config_rank(&p->a->config, x->name, &made->rank, &made->scale, p->err) &&
           check_factors(p, made, *shift);
}

/* What the adapter stores of the module itself: PEFT saves embeddings and heads whole where it
 * touches them. */
static bool take_replacement(applying *p, const char *module_name, const char *plain,
                             const char *wrapped, em_made *made) {
    const em_tensor *t = take_either(p, module_name, wrapped, plain);
    if (!t) return true;
    made->values = t;
    return check_shape(p, t, made->place->n_dims, made->place->shape[0], made->place->shape[1],
                       "the base model makes");
}

static bool changes(const em_made *made) {
    return made->values != made->place || made->a || made->shift;
}

/* The bias of the module's B: added to the module's own bias, or one where it has none. */
static bool add_fresh(applying *p, const module *x, const em_tensor *shift, double scale) {
    char name[MAX_NAME];
    int n = snprintf(name, sizeof name, "%.*s",
                     (int)(strrchr(x->tensor->name, '.') - x->tensor->name), x->tensor->name);
    snprintf(name + n, sizeof name - (size_t)n, ".bias");
    if (em_bundle_tensor(p->m->bundle, name)) return true; /* take_bias adds it */
    const em_family_names *names = p->m->config.names;
    if (!x->head && ((names->qkv && strstr(x->name, names->qkv)) ||
                     (names->gate_up && strstr(x->name, names->gate_up))))
        return em_fail_at(
            p->err, EM_INPUT, shift->file, 0, -1,
            "tensor %s: a lora_bias on a fused module without a bias is not supported",
            shift->name);
    return em_composition_add(p->c,
                              &(em_made){.part = x->part,
                                         .place = x->tensor,
                                         .fresh = true,
                                         .shift = shift,
                                         .scale = scale,
                                         .rows = 1,
                                         .columns = shift->shape[0]},
                              p->err);
}

/* A tied head that the adapter stores is its embedding once more. */
static bool check_tied_copy(applying *p, const module *x, em_made *made) {
    if (made->values == made->place || !p->m->spec.tied) return true;
    const em_tensor *t = made->values;
    made->values = made->place;
    return (t->bytes == made->place->bytes && !strcmp(t->type, made->place->type) &&
            !memcmp(t->data, made->place->data, t->bytes)) ||
           em_fail_at(p->err, EM_INPUT, t->file, 0, -1,
                      "tensor %s is not the base's own embedding, to which the head is tied; that "
                      "is not supported",
                      t->name);
}

static bool apply_matrix(applying *p, const module *x) {
    bool targeted;
    const em_tensor *shift = NULL;
    em_made made = em_made_of(x->part, x->tensor);
    if (!em_adapter_config_targets(&p->a->config, x->name, !x->embedding && !x->head, &targeted,
                                   p->err))
        return false;
    if (targeted && !take_factors(p, x, &made, &shift)) return false;
    if ((x->embedding || x->head) &&
        !take_replacement(p, x->name, ".weight", ".base_layer.weight", &made))
        return false;
    if (x->head && !check_tied_copy(p, x, &made)) return false;
    if (shift && !add_fresh(p, x, shift, made.scale)) return false;
    return !changes(&made) || em_composition_add(p->c, &made, p->err);
}

/* The bias of the module's B, where it is a target. Its shape is checked with B's. */
static bool take_shift(applying *p, const char *name, em_made *made) {
    bool targeted;
    int64_t rank;
    if (!em_adapter_config_targets(&p->a->config, name, true, &targeted, p->err)) return false;
    if (targeted) made->shift = take_either(p, name, ".lora_B.bias", ".lora_B.default.bias");
    return !made->shift ||
           (check_shape(p, made->shift, 1, made->columns, 0, "the base model makes") &&
            em_adapter_config_rank(&p->a->config, name, &rank, &made->scale, p->err));
}

/* A bias of any module, norms included. */
static bool apply_bias(applying *p, const em_tensor *t, int part) {
    char name[MAX_NAME];
    em_made made = em_made_of(part, t);
    name_module(p, t, name);
    if (p->a->config.biases && !take_replacement(p, name, ".bias", ".base_layer.bias", &made))
        return false;
    return take_shift(p, name, &made) &&
           (!changes(&made) || em_composition_add(p->c, &made, p->err));
}

static bool apply_tensor(applying *p, const em_tensor *t, int part) {
    module x = {.tensor = t, .part = part};
    const char *ending = strrchr(t->name, '.');
    bool tokens = part == EM_PART_EMBEDDING && t->data == p->m->embedding.tokens.data;
    if (ending && !strcmp(ending, ".bias")) return apply_bias(p, t, part);
    if (t->n_dims != 2) return true;
    x.embedding = part == EM_PART_EMBEDDING;
    x.head = part == p->m->spec.layers;
    if (x.head) name_head(p, x.name);
    else if (tokens) snprintf(x.name, sizeof x.name, "%s%s", p->prefix, p->m->config.names->tokens);
    else name_module(p, t, x.name);
    return apply_matrix(p, &x);
}

/* A tied head is a module of its own to PEFT: its LoRA leaves the embedding as it is, and the other
 * way round. */
static bool apply_tied_head(applying *p) {
    module x = {.tensor = em_bundle_tensor(p->m->bundle, p->m->embedding.tokens.name),
                .part = p->m->spec.layers,
                .head = true};
    name_head(p, x.name);
    return !p->m->spec.tied || apply_matrix(p, &x);
}

/* ---- together ---- */

static bool check_used(const applying *p) {
    for (size_t i = 0; i < p->a->tensors.n; i++)
        if (!p->used[i])
            return em_fail_at(p->err, EM_INPUT, p->a->weights_file.path, 0, -1,
                              "tensor %s has no place in the %s with what adapter_config.json "
                              "says (target_modules, bias); leaving it out would change the result",
                              p->a->tensors.items[i].name, p->m->spec.family);
    return p->c->n || em_fail_at(p->err, EM_INPUT, p->a->config.source, 0, -1,
                                 "target_modules names no module of the %s", p->m->spec.family);
}

bool em_adapter_apply(em_model *m, em_composition *c, em_error *err) {
    applying p = {.m = m, .c = c, .a = &c->adapter, .err = err};
    p.prefix = find_prefix(&p);
    p.used = em_alloc(c->adapter.tensors.n, sizeof *p.used, "the adapter's tensors", err);
    bool good = p.used != NULL;
    for (int64_t i = 0; good && i < em_bundle_tensors(m->bundle); i++)
        if (m->part_of[i] != EM_PART_UNUSED)
            good = apply_tensor(&p, em_bundle_tensor_at(m->bundle, i), m->part_of[i]);
    good = good && apply_tied_head(&p) && check_used(&p);
    free(p.used);
    return good;
}
