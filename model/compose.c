#include "model/compose.h"

#include <stdio.h>
#include <string.h>

#include "common/size.h"
#include "model/adapter.h"
#include "model/part.h"

/* ---- with an adapter ---- */

static em_model *new_model(em_model *base, em_error *err) {
    em_model *m = em_model_over(base->bundle, err);
    if (!m) return NULL;
    m->composition = em_alloc(1, sizeof *m->composition, "a composed model", err);
    if (m->composition) {
        m->composition->sources[0] = base;
        return m;
    }
    em_model_close(m);
    return NULL;
}

static em_model *settled(em_model *m, bool good) {
    if (good) return m;
    em_model_close(m);
    return NULL;
}

em_model *em_model_with_adapter(em_model *base, const char *path, em_error *err) {
    if (base->composition) {
        em_fail_at(err, EM_INPUT, path, 0, -1, "is given for a model that has an adapter already");
        return NULL;
    }
    em_model *m = new_model(base, err);
    if (!m) return NULL;
    return settled(m, em_adapter_open(&m->composition->adapter, path, err) &&
                          em_adapter_apply(m, m->composition, err));
}

bool em_model_adapter(const em_model *m, em_adapter_files *out) {
    if (!m->composition || !m->composition->adapter.path) return false;
    const em_adapter *a = &m->composition->adapter;
    *out = (em_adapter_files){a->config_file.data, a->config_file.size, a->tensors.items,
                              a->tensors.n};
    return true;
}

/* ---- between two models ---- */

static bool same_shape(const em_tensor *a, const em_tensor *b) {
    return a->n_dims == b->n_dims &&
           !memcmp(a->shape, b->shape, (size_t)a->n_dims * sizeof *a->shape);
}

static bool refuse_pair(const em_model *before, const em_model *after, const char *what,
                        em_error *err) {
    return em_fail_at(err, EM_INPUT, em_bundle_path(after->bundle), 0, -1,
                      "%s in this model and in %s: weights can only be interpolated "
                      "between models of one shape (--alpha-space logit needs only one vocabulary)",
                      what, em_bundle_path(before->bundle));
}

/* The first line in which two sorted lists of key=value lines differ. */
static bool check_configs(const em_model *before, const em_model *after, em_error *err) {
    em_buffer x = {0}, y = {0};
    char what[200];
    em_config_describe(&before->config, &x);
    em_config_describe(&after->config, &y);
    const char *p = x.data, *q = y.data;
    for (size_t n; (n = strcspn(p, "\n")) == strcspn(q, "\n") && *p && !strncmp(p, q, n);
         p += n + 1, q += n + 1) {}
    bool same = !*p && !*q;
    snprintf(what, sizeof what, "%.*s is not the same", (int)strcspn(*q ? q : p, "="), *q ? q : p);
    if (!same) refuse_pair(before, after, what, err);
    em_buffer_free(&x);
    em_buffer_free(&y);
    return same;
}

static bool is_made(const em_composition *c, int part, const em_tensor *place) {
    for (size_t i = c->n; i-- > 0 && c->made[i].part == part;)
        if (c->made[i].place == place) return true;
    return false;
}

/* Tensors that several views share (GPT-2's q, k, v) are made once. */
static bool pair_view(em_composition *c, int part, const em_weight *x, const em_weight *y,
                      em_error *err) {
    const em_model *before = c->sources[0], *after = c->sources[1];
    char what[320];
    if (!x->name && !y->name) return true; /* absent, or in no file */
    const em_tensor *s = x->name ? em_bundle_tensor(before->bundle, x->name) : NULL,
                    *t = y->name ? em_bundle_tensor(after->bundle, y->name) : NULL;
    if (!s || !t || !same_shape(s, t)) {
        snprintf(what, sizeof what, "tensor %.240s is not the same", s ? s->name : t->name);
        return refuse_pair(before, after, what, err);
    }
    em_made made = em_made_of(part, s);
    made.after = t;
    return is_made(c, part, s) || em_composition_add(c, &made, err);
}

static bool pair_part(em_composition *c, int part, em_error *err) {
    em_part x, y;
    int layers = c->sources[0]->spec.layers;
    em_part_as_stored(c->sources[0], part, &x);
    em_part_as_stored(c->sources[1], part, &y);
    em_part_views p = em_part_views_of(&x, part, layers), q = em_part_views_of(&y, part, layers);
    for (int i = 0; i < p.n; i++)
        if (!pair_view(c, part, p.of[i], q.of[i], err)) return false;
    return true;
}

/* after is before with an adapter: base + (1 + alpha) * what the adapter adds. */
static bool stretch(em_composition *c, const em_composition *after, em_error *err) {
    for (size_t i = 0; i < after->n; i++) {
        em_made made = after->made[i];
        made.scale *= 1 + c->alpha;
        if (!made.fresh && made.values != made.place)
            made.after = made.values, made.values = made.place;
        if (!em_composition_add(c, &made, err)) return false;
    }
    return true;
}

static bool pair_parts(em_composition *c, em_error *err) {
    for (int part = EM_PART_EMBEDDING; part <= c->sources[0]->spec.layers; part++)
        if (!pair_part(c, part, err)) return false;
    return true;
}

em_model *em_model_between(em_model *before, em_model *after, double alpha, em_error *err) {
    const em_composition *made = after->composition;
    if (!check_configs(before, after, err)) return NULL;
    if (before->composition || (made && made->sources[0] != before)) {
        refuse_pair(before, after, "the base of the adapter is not the same", err);
        return NULL;
    }
    em_model *m = new_model(before, err);
    if (!m) return NULL;
    m->composition->sources[1] = after;
    m->composition->alpha = alpha;
    return settled(m, made ? stretch(m->composition, made, err) : pair_parts(m->composition, err));
}
