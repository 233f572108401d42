/* Which (query tile, key tile) pairs attention visits, and in which of them it compares: made on
 * the host from the rows' intervals, read by the kernels. In C so that it is tested without a
 * device. */
#ifndef EM_KERNELS_CUDA_PLAN_H
#define EM_KERNELS_CUDA_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __CUDACC__
#define EM_BOTH static __host__ __device__ inline
#else
#define EM_BOTH static inline
#endif

/* Queries of a work item, and the grain of its range of keys. Both count from the row's start, and
 * rows start at multiples of EM_TILE, so that a query's sums have one order whatever the batch. */
#define EM_QUERY_TILE 64

/* What a token sees, from its row's start: lo <= key < hi, within the layer's window and the row;
 * none: 0, 0. */
typedef struct em_seen {
    int32_t lo, hi;
} em_seen;

/* EM_QUERY_TILE queries of one row against the keys that any of them sees, for each head. */
typedef struct em_attention_item {
    int32_t first_query; /* padded token of the batch */
    int32_t row_token;   /* padded token where the row's keys begin */
    int32_t begin, end; /* keys to visit, from the row's start: multiples of EM_QUERY_TILE; begin >=
                           end: none */
    int32_t all_lo, all_hi; /* keys that each real query sees: [all_lo, all_hi) */
} em_attention_item;

/* Every real query sees every key of [first, first + n): nothing to compare there. */
EM_BOTH bool em_keys_whole(const em_attention_item *item, int32_t first, int32_t n) {
    return first >= item->all_lo && first + n <= item->all_hi;
}

/* seen of query, cut by the layer's window (0: none) and the row. */
em_seen em_seen_make(int32_t query, int32_t lo, int32_t hi, int32_t window, int32_t length);

/* The item of the count real queries whose intervals are seen[0 .. count). */
em_attention_item em_attention_item_make(const em_seen *seen, int count, int32_t first_query,
                                         int32_t row_token);

/* Most keys first, so that the device ends on small ones; equal ones as they stand in the batch. */
void em_attention_items_sort(em_attention_item *items, int64_t n);

#endif
