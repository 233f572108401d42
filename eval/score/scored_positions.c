#include "eval/score/scored_positions.h"

#include <stdlib.h>

#include "common/size.h"

static bool is_common(const em_common_predictions *e, int scheme, const em_row *row,
                      const em_scored_position *p) {
    return e && em_common_predictions_has(
                    e, scheme, e->pack == EM_PACK_NONE ? em_scored_place(p) : row->stream + p->at);
}

static bool reserve(em_scored_positions *s, size_t n, em_error *err) {
    const char *what = "scored positions";
    return em_grow(&s->list, &s->capacity, n, sizeof *s->list, what, err) &&
           em_grow(&s->common, &s->common_capacity, n, sizeof *s->common, what, err);
}

bool em_scored_positions_find(em_scored_positions *s, const em_protocol_settings *protocol,
                              const em_common_predictions *common, const em_fed_row *f, int scheme,
                              em_error *err) {
    em_scored_walk walk = em_fed_row_scored(f, protocol, scheme);
    em_scored_position p;
    s->n = 0;
    if (!reserve(s, (size_t)(walk.to - walk.next), err)) return false;
    for (; em_scored_next(&walk, &p); s->n++) {
        s->list[s->n] = p;
        s->common[s->n] = is_common(common, scheme, f->row, &p);
    }
    return true;
}

void em_scored_positions_free(em_scored_positions *s) {
    free(s->list);
    free(s->common);
    *s = (em_scored_positions){0};
}
