#include "model/compose.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "model/composition.h"

/* ---- elements as f32 ---- */

static em_dtype dtype_of(const em_tensor *t) {
    return !strcmp(t->type, "F32") ? EM_F32 : !strcmp(t->type, "F16") ? EM_F16 : EM_BF16;
}

static void widen(const em_tensor *t, int64_t first, int64_t n, float *out) {
    em_dtype dtype = dtype_of(t);
    const char *data = (const char *)t->data + (size_t)first * em_dtype_size(dtype);
    if (dtype == EM_F32) {
        memcpy(out, data, (size_t)n * sizeof *out);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        uint16_t x;
        memcpy(&x, data + 2 * i, 2);
        out[i] = dtype == EM_BF16 ? em_bf16_to_f32(x) : em_f16_to_f32(x);
    }
}

/* ---- one tensor ---- */

#define CHUNK 512

/* B A as [rows, rank] times [rank, columns], f32, in the order in which the tensor is stored. */
typedef struct factors {
    float *left, *right;
} factors;

static int64_t factor_floats(const em_made *t) {
    return t->a ? t->rank * (t->rows + t->columns) : 0;
}

static void transpose(float *out, const float *in, int64_t rows, int64_t columns) {
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++) out[c * rows + r] = in[r * columns + c];
}

/* room: [factor_floats, twice where transposed]. A Linear is B A as it is; stored [in, out] it is
 * A' B'. */
static factors widen_factors(const em_made *t, float *room) {
    factors f = {room, room + t->rank * t->rows};
    if (!t->a) return f;
    if (!t->transposed) {
        widen(t->b, 0, t->rows * t->rank, f.left);
        widen(t->a, 0, t->rank * t->columns, f.right);
        return f;
    }
    float *spare = room + factor_floats(t);
    widen(t->a, 0, t->rank * t->rows, spare);
    transpose(f.left, spare, t->rank, t->rows);
    widen(t->b, 0, t->columns * t->rank, spare);
    transpose(f.right, spare, t->columns, t->rank);
    return f;
}

static int64_t room_floats(const em_made *t) { return factor_floats(t) * (t->transposed ? 2 : 1); }

/* out[i] += scale * sum over k of left[row, k] * right[k, column + i], k ascending, in double. */
static void add_product(const em_made *t, const factors *f, int64_t row, int64_t column, int n,
                        float *out) {
    double sum[CHUNK] = {0};
    for (int64_t k = 0; k < t->rank; k++) {
        double x = f->left[row * t->rank + k];
        const float *y = f->right + k * t->columns + column;
#pragma omp simd
        for (int i = 0; i < n; i++) sum[i] += x * y[i];
    }
    for (int i = 0; i < n; i++) out[i] = (float)(out[i] + t->scale * sum[i]);
}

static void interpolate(const em_made *t, double alpha, int64_t first, int n, float *out) {
    float after[CHUNK];
    widen(t->after, first, n, after);
    for (int i = 0; i < n; i++) out[i] = (float)((1 + alpha) * after[i] - alpha * out[i]);
}

static void add_shift(const em_made *t, int64_t first, int n, float *out) {
    float shift[CHUNK];
    widen(t->shift, first, n, shift);
    for (int i = 0; i < n; i++) out[i] = (float)(out[i] + t->scale * shift[i]);
}

/* Elements [column, column + n) of a row. */
static void make_chunk(const em_composition *c, const em_made *t, const factors *f, int64_t row,
                       int64_t column, int n, float *out) {
    int64_t first = row * t->columns + column;
    if (t->values) widen(t->values, first, n, out);
    else memset(out, 0, (size_t)n * sizeof *out);
    if (t->after) interpolate(t, c->alpha, first, n, out);
    if (t->a) add_product(t, f, row, column, n, out);
    if (t->shift) add_shift(t, first, n, out);
}

static void make_tensor(const em_composition *c, const em_made *t, float *room, int threads,
                        float *out) {
    factors f = widen_factors(t, room);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t row = 0; row < t->rows; row++)
        for (int64_t column = 0; column < t->columns; column += CHUNK) {
            int64_t left = t->columns - column;
            make_chunk(c, t, &f, row, column, (int)(left < CHUNK ? left : CHUNK),
                       out + row * t->columns + column);
        }
}

bool em_made_values(const em_composition *c, const em_made *made, int threads, float *out,
                    em_error *err) {
    float *room = em_alloc((size_t)room_floats(made), sizeof *room, "an adapter's factors", err);
    if (room) make_tensor(c, made, room, threads, out);
    free(room);
    return room != NULL;
}

/* ---- views ---- */

/* A view that lies inside the tensor moves to what was made for it. */
static void shift_view(em_weight *w, const em_tensor *t, const float *made) {
    const char *at = w->data, *begin = t->data;
    if (!at || at < begin || at >= begin + t->bytes) return;
    w->data = made + (size_t)(at - begin) / em_dtype_size(w->dtype);
    w->dtype = EM_F32;
}

/* The part's views: each of the three structs begins with a row of em_weight. */
static em_weight *views_of(em_part *p, int part, int layers, size_t *n) {
    *n = part == EM_PART_EMBEDDING ? 2 : part == layers ? 4 : sizeof p->layer / sizeof(em_weight);
    return part == EM_PART_EMBEDDING ? &p->embedding.tokens
           : part == layers          ? &p->head.final_norm
                                     : &p->layer.attention_in;
}

static void shift_part(em_part *p, int part, int layers, const em_tensor *t, const float *made) {
    size_t n;
    em_weight *views = views_of(p, part, layers, &n);
    for (size_t i = 0; i < n; i++) shift_view(&views[i], t, made);
}

/* The bias that belongs to the matrix at `data`. */
static em_weight *bias_beside(em_part *p, const void *data) {
    em_layer_weights *w = &p->layer;
    struct {
        const em_weight *matrix;
        em_weight *bias;
    } pairs[] = {{&w->q, &w->q_bias},       {&w->k, &w->k_bias},
                 {&w->v, &w->v_bias},       {&w->o, &w->o_bias},
                 {&w->gate, &w->gate_bias}, {&w->up, &w->up_bias},
                 {&w->down, &w->down_bias}, {&p->head.output, &p->head.output_bias}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (pairs[i].matrix->data == data) return pairs[i].bias;
    return NULL;
}

/* Fresh biases first: they are found by matrices that have not moved yet. */
static void set_fresh(em_part *p, const em_made *t, const float *made) {
    em_weight *bias = bias_beside(p, t->place->data);
    *bias = (em_weight){made, EM_F32, t->columns, 1, 1, 1, t->columns, 0, t->shift->name};
}

/* ---- a part ---- */

static int64_t made_floats(const em_made *t) { return t->rows * t->columns; }

/* Floats that the part's tensors take, and, behind them, the largest room for factors. */
static int64_t scratch_floats(const em_composition *c, int part) {
    int64_t floats = 0, room = 0;
    for (size_t i = 0; i < c->n; i++) {
        const em_made *t = &c->made[i];
        if (t->part != part) continue;
        floats += made_floats(t);
        if (room_floats(t) > room) room = room_floats(t);
    }
    return floats + room;
}

static void open_views(const em_model *m, int part, em_part *out) {
    *out = (em_part){.embedding = m->embedding, .head = m->head};
    if (part >= 0 && part < m->spec.layers) out->layer = m->weights[part];
}

bool em_part_open(const em_model *m, int part, int threads, em_part *out, em_error *err) {
    const em_composition *c = m->composition;
    open_views(m, part, out);
    int64_t floats = c ? scratch_floats(c, part) : 0;
    if (!floats) return true;
    float *made = em_alloc((size_t)floats, sizeof *made, "a part's weights", err), *room = made;
    if (!made) return false;
    for (size_t i = 0; i < c->n; i++)
        if (c->made[i].part == part) room += made_floats(&c->made[i]);
    out->scratch = made;
    for (int fresh = 1; fresh >= 0; fresh--)
        for (size_t i = 0; i < c->n; i++) {
            const em_made *t = &c->made[i];
            if (t->part != part || t->fresh != fresh) continue;
            make_tensor(c, t, room, threads, made);
            if (fresh) set_fresh(out, t, made);
            else shift_part(out, part, m->spec.layers, t->place, made);
            made += made_floats(t);
        }
    return true;
}

void em_part_close(em_part *p) {
    free(p->scratch);
    p->scratch = NULL;
}

static size_t bytes_of(const em_tensor *t) { return t ? t->bytes : 0; }

size_t em_part_bytes(const em_model *m, int part) {
    const em_composition *c = m->composition;
    if (!c) return 0;
    size_t bytes = (size_t)scratch_floats(c, part) * sizeof(float);
    for (size_t i = 0; i < c->n; i++) {
        const em_made *t = &c->made[i];
        if (t->part == part)
            bytes += bytes_of(t->after) + bytes_of(t->a) + bytes_of(t->b) + bytes_of(t->shift);
    }
    return bytes;
}

void em_composition_advise(const em_model *m, int part,
                           void (*what)(const em_bundle *, const em_tensor *)) {
    const em_composition *c = m->composition;
    for (size_t i = 0; i < c->n; i++)
        if (c->made[i].part == part && c->made[i].after)
            what(c->sources[1]->bundle, c->made[i].after);
}

/* ---- fingerprints ---- */

static void hash_tensor(XXH3_state_t *h, const char *name, const em_tensor *t) {
    char head[320], shape[160];
    if (!t) return;
    int n = snprintf(head, sizeof head, "%s %s %s\n", name,
                     em_shape_text(t->n_dims, t->shape, shape, sizeof shape), t->type);
    XXH3_128bits_update(h, head, (size_t)n);
    XXH3_128bits_update(h, t->data, t->bytes);
}

/* What the adapter changes, tensor by tensor; names are the base's and so do not depend on how keys
 * are spelt. */
static void hash_adapter(XXH3_state_t *h, const em_composition *c) {
    char line[400];
    for (size_t i = 0; i < c->n; i++) {
        const em_made *t = &c->made[i];
        int n = snprintf(line, sizeof line, "%d %s %d %.17g\n", t->part, t->place->name, t->fresh,
                         t->scale);
        XXH3_128bits_update(h, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
        if (t->values != t->place) hash_tensor(h, "values", t->values);
        hash_tensor(h, "a", t->a);
        hash_tensor(h, "b", t->b);
        hash_tensor(h, "shift", t->shift);
    }
}

static void finish_hash(em_model *m) {
    const em_composition *c = m->composition;
    char line[80];
    XXH3_128bits_update(m->hash, c->sources[0]->fingerprint, 16);
    if (c->sources[1]) {
        int n = snprintf(line, sizeof line, " %s alpha %.17g\n", c->sources[1]->fingerprint,
                         c->alpha);
        XXH3_128bits_update(m->hash, line, (size_t)n);
    } else {
        hash_adapter(m->hash, c);
    }
    em_hash_hex(XXH3_128bits_digest(m->hash), m->fingerprint);
}

bool em_composition_hash_part(em_model *m, int part) {
    if (part != m->next_part) return false;
    m->next_part++;
    for (int i = 0; i < 2; i++) /* no-op where the source has passed by itself already */
        if (m->composition->sources[i]) em_model_hash_part(m->composition->sources[i], part);
    if (part == m->spec.layers) finish_hash(m);
    return true;
}

/* ---- making one ---- */

bool em_composition_add(em_composition *c, const em_made *made, em_error *err) {
    if (!em_grow(&c->made, &c->capacity, c->n + 1, sizeof *c->made, "the list of tensors", err))
        return false;
    c->made[c->n++] = *made;
    return true;
}

void em_composition_free(em_composition *c) {
    if (!c) return;
    em_adapter_close(&c->adapter);
    free(c->made);
    free(c);
}

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

/* ---- between two models ---- */

em_made em_made_of(int part, const em_tensor *t) {
    em_made made = {
        .part = part, .place = t, .values = t, .rows = 1, .columns = t->shape[0], .scale = 1};
    if (t->n_dims == 2) made.rows = t->shape[0], made.columns = t->shape[1];
    return made;
}

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
    if (!x->data && !y->data) return true;
    const em_tensor *s = x->data ? em_bundle_tensor(before->bundle, x->name) : NULL,
                    *t = y->data ? em_bundle_tensor(after->bundle, y->name) : NULL;
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
    size_t n;
    int layers = c->sources[0]->spec.layers;
    open_views(c->sources[0], part, &x);
    open_views(c->sources[1], part, &y);
    const em_weight *p = views_of(&x, part, layers, &n), *q = views_of(&y, part, layers, &n);
    for (size_t i = 0; i < n; i++)
        if (!pair_view(c, part, &p[i], &q[i], err)) return false;
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
