#include "kernels/cuda/plan.h"

#include <stdlib.h>

em_seen em_seen_make(int32_t query, int32_t lo, int32_t hi, int32_t window, int32_t length) {
    int64_t first = lo, last = hi;
    if (window > 0 && first < (int64_t)query - window + 1) first = (int64_t)query - window + 1;
    if (window > 0 && last > (int64_t)query + window) last = (int64_t)query + window;
    if (first < 0) first = 0;
    if (last > length) last = length;
    return first < last ? (em_seen){(int32_t)first, (int32_t)last} : (em_seen){0, 0};
}

em_attention_item em_attention_item_make(const em_seen *seen, int count, int32_t first_query,
                                         int32_t row_token) {
    em_attention_item item = {
        .first_query = first_query, .row_token = row_token, .all_lo = 0, .all_hi = INT32_MAX};
    int32_t first = INT32_MAX, last = 0;
    for (int i = 0; i < count; i++) {
        if (seen[i].lo > item.all_lo) item.all_lo = seen[i].lo;
        if (seen[i].hi < item.all_hi) item.all_hi = seen[i].hi;
        if (seen[i].lo >= seen[i].hi) continue;
        if (seen[i].lo < first) first = seen[i].lo;
        if (seen[i].hi > last) last = seen[i].hi;
    }
    if (first >= last) return item;
    item.begin = first / EM_QUERY_TILE * EM_QUERY_TILE;
    item.end = (last - 1) / EM_QUERY_TILE * EM_QUERY_TILE + EM_QUERY_TILE;
    return item;
}

static int longer_first(const void *x, const void *y) {
    const em_attention_item *a = x, *b = y;
    int32_t keys = (b->end - b->begin) - (a->end - a->begin);
    return keys ? keys : a->first_query - b->first_query;
}

void em_attention_items_sort(em_attention_item *items, int64_t n) {
    qsort(items, (size_t)n, sizeof *items, longer_first);
}
