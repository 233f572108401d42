#include "eval/protocol/scored.h"

em_scored_walk em_scored_begin(const em_row *row, const em_reading *reading, int offset,
                               em_boundary boundary) {
    em_scored_walk w = {.row = row, .offset = offset, .drop = boundary == EM_BOUNDARY_DROP};
    if (reading->inputs < 1 || reading->from >= reading->to) return w;
    w.next = reading->from;
    w.to = reading->to;
    w.own = em_row_segment(row, w.next);
    w.label = em_row_segment(row, w.next + offset);
    return w;
}

bool em_scored_next(em_scored_walk *w, em_scored_position *out) {
    const em_segment *segments = w->row->segments;
    while (w->next < w->to) {
        int32_t i = w->next++, at = i + w->offset;
        while (segments[w->own].end <= i) w->own++;
        while (segments[w->label].end <= at) w->label++;
        bool boundary = w->own != w->label;
        if (boundary && w->drop) {
            w->dropped++;
            continue;
        }
        *out = (em_scored_position){.i = i,
                                    .at = at,
                                    .label = w->row->ids[at],
                                    .segment = &segments[w->label],
                                    .boundary = boundary};
        return true;
    }
    return false;
}
