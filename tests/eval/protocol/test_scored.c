/* The walk over scored positions against the rule restated position by position. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "eval/protocol/scored.h"

enum { MOST = 40 };

static uint64_t state = 3;
static int32_t below(int32_t n) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (int32_t)((state >> 33) % (uint64_t)n);
}

static int32_t segment_of(const em_row *row, int32_t i) {
    int32_t g = 0;
    while (row->segments[g].end <= i) g++;
    return g;
}

static void check(const em_row *row, const em_reading *r, int offset, em_boundary boundary) {
    em_scored_walk walk = em_scored_begin(row, r, offset, boundary);
    em_scored_position p;
    int64_t dropped = 0;
    for (int32_t i = r->from; r->inputs > 0 && i < r->to; i++) {
        int32_t at = i + offset, own = segment_of(row, i), label = segment_of(row, at);
        if (own != label && boundary == EM_BOUNDARY_DROP) {
            dropped++;
            continue;
        }
        assert_true(em_scored_next(&walk, &p));
        assert_int_equal(p.i, i);
        assert_int_equal(p.at, at);
        assert_int_equal(p.label, row->ids[at]);
        assert_ptr_equal(p.segment, &row->segments[label]);
        assert_int_equal(p.boundary, own != label);
        assert_int_equal(em_scored_place(&p), 1000 * label + at - row->segments[label].start);
    }
    assert_false(em_scored_next(&walk, &p));
    assert_int_equal(walk.dropped, dropped);
}

static void random_rows(void **unused) {
    int n_schemes;
    const em_label_scheme *schemes = em_label_schemes(&n_schemes);
    for (int round = 0; round < 4000; round++) {
        int32_t ids[MOST], n = 1 + below(MOST);
        em_segment segments[MOST];
        em_row row = {.tokens = n - below(2), .window = n, .segments = segments, .ids = ids};
        for (int32_t i = 0; i < n; i++) ids[i] = 100 + i;
        for (int32_t at = 0; at < n; at = segments[row.n_segments++].end)
            segments[row.n_segments] = (em_segment){
                .start = at, .end = at + 1 + below(n - at), .place = 1000 * row.n_segments};
        row.scored_from = below(3) ? 0 : below(n);
        row.scored_to = below(3) ? n : below(n + 1);
        const em_label_scheme *s = &schemes[below(n_schemes)];
        em_reading r = em_labels_read(s, &(em_row_rules){.row_tokens = n}, &row);
        check(&row, &r, s->offset, below(2) ? EM_BOUNDARY_DROP : EM_BOUNDARY_KEEP);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
