#include "eval/protocol/leak.h"

#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "eval/protocol/mask.h"

/* ---- from one token ---- */

/* next: [inputs + 1], scratch. */
static void spread_layer(const int32_t *lo, const int32_t *hi, int32_t inputs, int32_t window,
                         const uint8_t *before, uint8_t *after, int32_t *next) {
    next[inputs] = inputs;
    for (int32_t k = inputs - 1; k >= 0; k--) next[k] = before[k] ? k : next[k + 1];
    for (int32_t i = 0; i < inputs; i++) {
        int32_t a = lo[i], b = hi[i];
        em_mask_clip(i, window, &a, &b);
        after[i] = before[i] || (a < b && next[a] < b);
    }
}

bool em_leak_spread(const int32_t *lo, const int32_t *hi, int32_t inputs, const int32_t *windows,
                    int32_t layers, int32_t key, uint8_t *after, em_error *err) {
    int32_t *next = em_alloc((size_t)inputs + 1, sizeof *next, "the audit", err);
    if (!next) return false;
    memset(after, 0, (size_t)inputs);
    after[key] = 1;
    for (int32_t l = 0; l < layers; l++, after += inputs)
        spread_layer(lo, hi, inputs, windows[l], after, after + inputs, next);
    free(next);
    return true;
}

/* ---- all positions of a row at once ---- */

/* What the positions [a, b) read in one layer, as few pieces as possible: a segment tree whose
 * nodes hold the union of their positions' intervals where that union is one interval. It is for
 * every mask there is; other nodes are SPLIT and their children are asked. */
typedef struct tree {
    int32_t window, leaves; /* leaves: a power of two; leaf i is node leaves + i */
    em_interval *node;      /* [2 * leaves], root 1; an empty one has lo = hi */
} tree;

static const em_interval SPLIT = {1, 0};

static bool join(em_interval *a, em_interval b) {
    if (b.lo == b.hi) return true;
    if (a->lo == a->hi) return *a = b, true;
    if (b.lo > a->hi || a->lo > b.hi) return false;
    if (b.lo < a->lo) a->lo = b.lo;
    if (b.hi > a->hi) a->hi = b.hi;
    return true;
}

static bool tree_build(tree *t, const int32_t *lo, const int32_t *hi, int32_t inputs,
                       int32_t window, em_error *err) {
    for (t->leaves = 1; t->leaves < inputs; t->leaves *= 2) {}
    t->window = window;
    t->node = em_alloc((size_t)t->leaves * 2, sizeof *t->node, "the audit", err);
    if (!t->node) return false;
    for (int32_t i = 0; i < inputs; i++) {
        em_interval v = {lo[i], hi[i]};
        em_mask_clip(i, window, &v.lo, &v.hi);
        if (v.lo < v.hi) t->node[t->leaves + i] = v;
    }
    for (int32_t n = t->leaves - 1; n > 0; n--) {
        em_interval left = t->node[2 * n], right = t->node[2 * n + 1];
        bool one = left.lo <= left.hi && right.lo <= right.hi && join(&left, right);
        t->node[n] = one ? left : SPLIT;
    }
    return true;
}

/* A set of positions as intervals; what touches the last one is joined to it. */
typedef struct pieces {
    em_interval *at;
    size_t n;
} pieces;

static void add(pieces *p, em_interval v) {
    if (v.lo == v.hi) return;
    if (p->n == 0 || !join(&p->at[p->n - 1], v)) p->at[p->n++] = v;
}

/* Adds what the positions [a, b) read; node n covers [from, from + width). */
static void tree_read(const tree *t, int32_t n, int32_t from, int32_t width, em_interval q,
                      pieces *out) {
    em_interval v = t->node[n];
    if (q.hi <= from || q.lo >= from + width) return;
    if (q.lo <= from && from + width <= q.hi && v.lo <= v.hi) {
        add(out, v);
        return;
    }
    tree_read(t, 2 * n, from, width / 2, q, out);
    tree_read(t, 2 * n + 1, from + width / 2, width / 2, q, out);
}

static int by_start(const void *a, const void *b) {
    const em_interval *x = a, *y = b;
    return (x->lo > y->lo) - (x->lo < y->lo);
}

/* Sorted and disjoint again. */
static void normalize(pieces *p) {
    size_t n = p->n;
    if (n < 2) return;
    qsort(p->at, n, sizeof *p->at, by_start);
    p->n = 1;
    for (size_t i = 1; i < n; i++) add(p, p->at[i]);
}

static bool holds(const pieces *p, int32_t k) {
    for (size_t i = 0; i < p->n; i++)
        if (p->at[i].lo <= k && k < p->at[i].hi) return true;
    return false;
}

typedef struct walk {
    int32_t layers, n_trees;
    tree *trees;      /* [n_trees], one per distinct window */
    int32_t *tree_of; /* [layers] */
    pieces now, next; /* room for 2 * inputs + 2 pieces each */
} walk;

static void walk_close(walk *w) {
    for (int32_t i = 0; i < w->n_trees; i++) free(w->trees[i].node);
    free(w->trees);
    free(w->tree_of);
    free(w->now.at);
    free(w->next.at);
}

static bool walk_open(walk *w, const int32_t *lo, const int32_t *hi, int32_t inputs,
                      const int32_t *windows, int32_t layers, em_error *err) {
    size_t room = 2 * (size_t)inputs + 2;
    *w = (walk){.layers = layers};
    if (!(w->trees = em_alloc((size_t)layers, sizeof *w->trees, "the audit", err)) ||
        !(w->tree_of = em_alloc((size_t)layers, sizeof *w->tree_of, "the audit", err)) ||
        !(w->now.at = em_alloc(room, sizeof *w->now.at, "the audit", err)) ||
        !(w->next.at = em_alloc(room, sizeof *w->next.at, "the audit", err)))
        return false;
    for (int32_t l = 0; l < layers; l++) {
        int32_t t = 0;
        while (t < w->n_trees && w->trees[t].window != windows[l]) t++;
        if (t == w->n_trees &&
            !tree_build(&w->trees[w->n_trees++], lo, hi, inputs, windows[l], err))
            return false;
        w->tree_of[l] = t;
    }
    return true;
}

static bool sees_directly(const walk *w, int32_t i, int32_t label) {
    if (i == label) return true;
    for (int32_t t = 0; t < w->n_trees; t++) {
        em_interval v = w->trees[t].node[w->trees[t].leaves + i];
        if (v.lo <= label && label < v.hi) return true;
    }
    return false;
}

static bool same(const pieces *a, const pieces *b) {
    return a->n == b->n && !memcmp(a->at, b->at, a->n * sizeof *a->at);
}

static bool sees_through_layers(walk *w, int32_t i, int32_t label) {
    w->now.at[0] = (em_interval){i, i + 1};
    w->now.n = 1;
    for (int32_t l = w->layers - 1; l >= 0; l--) {
        const tree *t = &w->trees[w->tree_of[l]];
        w->next.n = 0;
        for (size_t p = 0; p < w->now.n; p++) {
            add(&w->next, w->now.at[p]);
            tree_read(t, 1, 0, t->leaves, w->now.at[p], &w->next);
        }
        normalize(&w->next);
        if (holds(&w->next, label)) return true;
        if (w->n_trees == 1 && same(&w->now, &w->next)) return false;
        pieces swap = w->now;
        w->now = w->next;
        w->next = swap;
    }
    return false;
}

/* Whether no query sees a key on the side of it where the labels are. */
static bool looks_away(const int32_t *lo, const int32_t *hi, int32_t inputs, int offset) {
    if (offset == 0) return false;
    for (int32_t i = 0; i < inputs; i++)
        if (lo[i] < hi[i] && (offset > 0 ? hi[i] > i + 1 : lo[i] < i)) return false;
    return true;
}

bool em_leak_row(const int32_t *lo, const int32_t *hi, int32_t inputs, const int32_t *windows,
                 int32_t layers, int offset, int32_t from, int32_t to, uint8_t *out,
                 em_error *err) {
    if (from >= to) return true;
    memset(out + from, EM_CLEAN, (size_t)(to - from));
    if (looks_away(lo, hi, inputs, offset)) return true;
    walk w;
    bool good = walk_open(&w, lo, hi, inputs, windows, layers, err);
    for (int32_t i = from; good && i < to; i++) {
        int32_t label = i + offset;
        if (label < 0 || label >= inputs) continue;
        if (sees_directly(&w, i, label)) out[i] = EM_LEAK_DIRECT;
        else if (layers > 1 && sees_through_layers(&w, i, label)) out[i] = EM_LEAK_INDIRECT;
    }
    walk_close(&w);
    return good;
}
