#include "eval/score/row_message.h"

#include "common/size.h"

enum { TOKEN_BYTES = 2 * sizeof(int32_t) + 1 }; /* id, bytes and kind */

/* Room for a row that is read, where so much can follow. */
static bool make_room(em_fed_row **out, em_state *io) {
    size_t window = 0, segments = 0;
    if (io->into) window = (size_t)(*out)->row->window, segments = (size_t)(*out)->row->n_segments;
    if (!em_state_length(io, &window, TOKEN_BYTES) ||
        !em_state_length(io, &segments, sizeof(em_segment)))
        return false;
    if (io->into) return true;
    if (window < 1 || window > INT32_MAX || segments < 1 || segments > window)
        return em_state_bad(io);
    em_fed_row *f = *out = em_alloc(1, sizeof *f, "a row", io->err);
    if (!f || !(f->row = em_row_new((int32_t)window, (int32_t)segments, io->err)))
        return io->failed = true, false;
    return true;
}

static bool sound_segments(const em_row *r) {
    int32_t end = 0;
    for (int32_t i = 0; i < r->n_segments; i++) {
        const em_segment *s = &r->segments[i];
        if (s->start != end || s->end <= end || s->end > r->window || s->group < 0 ||
            s->document < 0 || s->place < 0)
            return false;
        end = s->end;
    }
    return end == r->window && r->tokens >= 0 && r->tokens <= r->window;
}

static bool sound_reading(const em_reading *x, int offset, int32_t window) {
    if (x->inputs < 0 || x->inputs > window) return false;
    if (x->inputs == 0 || x->from >= x->to) return true;
    return x->from >= 0 && x->to <= x->inputs && x->from + offset >= 0 &&
           (int64_t)x->to + offset <= window;
}

static bool state(em_row *r, em_state *io) {
    size_t n = (size_t)r->window;
    return EM_STATE(io, r->index) && EM_STATE(io, r->stream) && EM_STATE(io, r->tokens) &&
           EM_STATE(io, r->scored_from) && EM_STATE(io, r->scored_to) &&
           em_state_bytes(io, r->segments, (size_t)r->n_segments * sizeof *r->segments) &&
           em_state_bytes(io, r->ids, n * sizeof *r->ids) &&
           em_state_bytes(io, r->bytes, n * sizeof *r->bytes) && em_state_bytes(io, r->kind, n) &&
           (sound_segments(r) || em_state_bad(io));
}

static bool scheme_state(em_fed_row *f, int scheme, int offset, em_state *io) {
    em_reading *x = &f->reading[scheme];
    return EM_STATE(io, x->inputs) && EM_STATE(io, x->from) && EM_STATE(io, x->to) &&
           em_state_flag(io, &x->complete) && EM_STATE(io, f->batch[scheme]) &&
           em_state_flag(io, &f->dropped[scheme]) &&
           (sound_reading(x, offset, f->row->window) || em_state_bad(io));
}

bool em_row_message(em_fed_row **row, const em_protocol_settings *protocol, em_state *io) {
    if (!io->into) *row = NULL;
    if (!make_room(row, io) || !state((*row)->row, io)) return false;
    for (int l = 0; l < protocol->n_labels; l++)
        if (!scheme_state(*row, l, protocol->labels[l]->offset, io)) return false;
    return true;
}
