#include "model/part.h"

#include <stdlib.h>

#include "common/size.h"
#include "model/model_parts.h"
#include "model/stored.h"

/* ---- views ---- */

/* A view of the tensor moves to what was made for it. */
static void shift_view(em_weight *w, const em_tensor *t, const float *made) {
    if (!w->data || w->name != t->name) return;
    w->data = made +
              ((const char *)w->data - (const char *)t->data) / (int64_t)em_dtype_size(w->dtype);
    w->dtype = EM_F32;
}

em_part_views em_part_views_of(em_part *p, int part, int layers) {
    em_part_views v = {.n = 0};
    if (part == EM_PART_EMBEDDING) {
        v.of[v.n++] = &p->embedding.tokens;
        v.of[v.n++] = &p->embedding.positions;
    } else if (part == layers) {
        v.of[v.n++] = &p->head.final_norm;
        v.of[v.n++] = &p->head.final_norm_bias;
        v.of[v.n++] = &p->head.output;
        v.of[v.n++] = &p->head.output_bias;
    } else {
        while (v.n < EM_LAYER_WEIGHTS) v.of[v.n] = &p->layer.of[v.n], v.n++;
    }
    return v;
}

static void shift_part(em_part *p, int part, int layers, const em_tensor *t, const float *made) {
    em_part_views views = em_part_views_of(p, part, layers);
    for (int i = 0; i < views.n; i++) shift_view(views.of[i], t, made);
}

/* The bias that belongs to the matrix at `data`. */
static em_weight *bias_beside(em_part *p, const void *data) {
    static const em_layer_weight pairs[][2] = {{EM_W_Q, EM_W_Q_BIAS},       {EM_W_K, EM_W_K_BIAS},
                                               {EM_W_V, EM_W_V_BIAS},       {EM_W_O, EM_W_O_BIAS},
                                               {EM_W_GATE, EM_W_GATE_BIAS}, {EM_W_UP, EM_W_UP_BIAS},
                                               {EM_W_DOWN, EM_W_DOWN_BIAS}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (p->layer.of[pairs[i][0]].data == data) return &p->layer.of[pairs[i][1]];
    return p->head.output.data == data ? &p->head.output_bias : NULL;
}

/* Fresh biases first: they are found by matrices that have not moved yet. */
static void set_fresh(em_part *p, const em_made *t, const float *made) {
    em_weight *bias = bias_beside(p, t->place->data);
    *bias = (em_weight){made, EM_F32, t->columns, 1, 1, 1, t->columns, 0, t->shift->name};
}

/* ---- a part ---- */

static int64_t made_floats(const em_made *t) { return t->rows * t->columns; }

/* ---- tensors that are not plain ---- */

static bool is_composed(const em_composition *c, int part, const em_tensor *t) {
    for (size_t i = 0; c && i < c->n; i++)
        if (c->made[i].part == part && c->made[i].place == t) return true;
    return false;
}

/* The first tensor of the part from number *i on that has to be unpacked, and that no composition
 * makes; NULL: there is none. A tied matrix is the head's too. */
static const em_tensor *next_packed(const em_model *m, int part, int64_t *i) {
    for (; *i < em_bundle_tensors(m->bundle); ++*i) {
        const em_tensor *t = em_bundle_tensor_at(m->bundle, *i);
        bool here = m->part_of[*i] == part ||
                    (part == m->spec.layers && m->spec.tied && m->head.output.name == t->name);
        if (here && !em_tensor_is_plain(t) && !is_composed(m->composition, part, t)) {
            ++*i;
            return t;
        }
    }
    return NULL;
}

static int64_t packed_floats(const em_model *m, int part) {
    int64_t floats = 0, i = 0;
    for (const em_tensor *t; (t = next_packed(m, part, &i));) floats += em_tensor_elements(t);
    return floats;
}

/* Unpacks the part's tensors into `made`. */
static void unpack(const em_model *m, int part, int threads, float *made, em_part *out) {
    int64_t i = 0;
    for (const em_tensor *t; (t = next_packed(m, part, &i)); made += em_tensor_elements(t)) {
        em_tensor_values(t, threads, made);
        shift_part(out, part, m->spec.layers, t, made);
    }
}

/* ---- composed ones ---- */

/* Floats that the part's tensors take, and, behind them, the largest room for factors. */
static int64_t scratch_floats(const em_composition *c, int part) {
    int64_t floats = 0, room = 0;
    for (size_t i = 0; i < c->n; i++) {
        const em_made *t = &c->made[i];
        if (t->part != part) continue;
        floats += made_floats(t);
        if (em_made_room(t) > room) room = em_made_room(t);
    }
    return floats + room;
}

void em_part_as_stored(const em_model *m, int part, em_part *out) {
    *out = (em_part){.embedding = m->embedding, .head = m->head};
    if (part >= 0 && part < m->spec.layers) out->layer = m->weights[part];
}

static void make_composed(const em_model *m, int part, int threads, float *made, em_part *out) {
    const em_composition *c = m->composition;
    float *room = made;
    for (size_t i = 0; i < c->n; i++)
        if (c->made[i].part == part) room += made_floats(&c->made[i]);
    for (int fresh = 1; fresh >= 0; fresh--)
        for (size_t i = 0; i < c->n; i++) {
            const em_made *t = &c->made[i];
            if (t->part != part || t->fresh != fresh) continue;
            em_made_make(c, t, room, threads, made);
            if (fresh) set_fresh(out, t, made);
            else shift_part(out, part, m->spec.layers, t->place, made);
            made += made_floats(t);
        }
}

bool em_part_open(const em_model *m, int part, int threads, em_part *out, em_error *err) {
    em_part_as_stored(m, part, out);
    int64_t floats = packed_floats(m, part) +
                     (m->composition ? scratch_floats(m->composition, part) : 0);
    if (!floats) return true;
    float *made = out->scratch = em_alloc((size_t)floats, sizeof *made, "a part's weights", err);
    if (!made) return false;
    /* Fresh biases are found by matrices that have not moved yet: the composed ones first. */
    if (m->composition) {
        int64_t composed = scratch_floats(m->composition, part);
        make_composed(m, part, threads, made, out);
        made += composed;
    }
    unpack(m, part, threads, made, out);
    return true;
}

void em_part_close(em_part *p) {
    free(p->scratch);
    p->scratch = NULL;
}

static size_t bytes_of(const em_tensor *t) { return t ? t->bytes : 0; }

size_t em_part_bytes(const em_model *m, int part) {
    const em_composition *c = m->composition;
    size_t bytes = (size_t)packed_floats(m, part) * sizeof(float);
    if (!c) return bytes;
    bytes += (size_t)scratch_floats(c, part) * sizeof(float);
    for (size_t i = 0; i < c->n; i++) {
        const em_made *t = &c->made[i];
        if (t->part == part)
            bytes += bytes_of(t->after) + bytes_of(t->a) + bytes_of(t->b) + bytes_of(t->shift);
    }
    return bytes;
}
