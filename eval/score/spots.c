#include "eval/score/spots.h"

#include <stdlib.h>

#include "common/size.h"

static bool scored_everywhere(const em_everywhere *e, int scheme, const em_row *row,
                              const em_spot *s) {
    return e && em_everywhere_scored(
                    e, scheme, e->pack == EM_PACK_NONE ? em_spot_place(s) : row->stream + s->at);
}

bool em_spots_find(em_spots *s, const em_settings *settings, const em_everywhere *everywhere,
                   const em_fed_row *f, int scheme, em_error *err) {
    const em_reading *reading = &f->reading[scheme];
    const em_row *row = f->row;
    int offset = settings->labels[scheme]->offset;
    s->n = 0;
    if (f->dropped[scheme] || reading->inputs < 1 || reading->from >= reading->to) return true;
    if (!em_grow(&s->list, &s->capacity, (size_t)(reading->to - reading->from), sizeof *s->list,
                 "scored positions", err))
        return false;
    em_row_walk walk = em_row_walk_from(row, reading->from, reading->from + offset);
    for (int32_t i = reading->from; i < reading->to; i++) {
        int32_t at = i + offset;
        bool boundary = em_row_walk_to(&walk, row, i, at);
        em_spot spot = {.i = i,
                        .at = at,
                        .label = row->ids[at],
                        .segment = &row->segments[walk.label],
                        .boundary = boundary};
        if (boundary && settings->boundary == EM_BOUNDARY_DROP) continue;
        spot.common = scored_everywhere(everywhere, scheme, row, &spot);
        s->list[s->n++] = spot;
    }
    return true;
}

void em_spots_free(em_spots *s) {
    free(s->list);
    *s = (em_spots){0};
}
