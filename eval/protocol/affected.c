#include "eval/protocol/affected.h"

#include <stdlib.h>

#include "common/size.h"
#include "eval/protocol/mask.h"

/* Empty intervals are all the same. */
static em_interval clipped(const em_view *v, int32_t i, int32_t window) {
    em_interval k = {v->lo[i], v->hi[i]};
    em_mask_clip(i, window, &k.lo, &k.hi);
    return k.lo < k.hi ? k : (em_interval){0, 0};
}

/* seen[i]: positions before i that layer l finds touched. */
static void count_touched(const em_reach *r, int32_t inputs, int32_t l, int32_t *seen) {
    seen[0] = 0;
    for (int32_t i = 0; i < inputs; i++) seen[i + 1] = seen[i] + (r[i].any <= l);
}

/* Layer l reads what the layers before it left; a position id counts where it is rotated in, at its
 * own position and at every query that reads it. */
static void pass_layer(const em_view *a, const em_view *b, int32_t inputs, int32_t window,
                       int32_t l, const int32_t *seen, const int32_t *moved, em_reach *r) {
    for (int32_t i = 0; i < inputs; i++) {
        em_interval x = clipped(a, i, window), y = clipped(b, i, window);
        bool own = x.lo != y.lo || x.hi != y.hi || a->positions[i] != b->positions[i];
        if (own && r[i].own > l + 1) r[i].own = l + 1;
        if (r[i].any <= l + 1) continue;
        int32_t lo = x.lo < y.lo ? x.lo : y.lo,
                hi = x.hi > y.hi ? x.hi : y.hi; /* equal where it matters */
        if (own || seen[hi] > seen[lo] || moved[hi] > moved[lo]) r[i].any = l + 1;
    }
}

bool em_affected_row(const em_view *a, const em_view *b, int32_t inputs, const int32_t *windows,
                     int32_t layers, bool learned, em_reach *out, em_error *err) {
    size_t n = (size_t)inputs + 1;
    int32_t *seen = em_alloc(2 * n, sizeof *seen, "affected predictions", err);
    if (!seen) return false;
    int32_t *moved = seen + n;
    for (int32_t i = 0; i < inputs; i++) {
        bool differs = a->positions[i] != b->positions[i];
        moved[i + 1] = moved[i] + differs;
        out[i] = learned && differs ? (em_reach){0, 0} : (em_reach){INT32_MAX, INT32_MAX};
    }
    for (int32_t l = 0; l < layers; l++) {
        count_touched(out, inputs, l, seen);
        pass_layer(a, b, inputs, windows[l], l, seen, moved, out);
    }
    free(seen);
    return true;
}
