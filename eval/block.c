#include "eval/block.h"

#include <stdlib.h>
#include <string.h>

#include "common/size.h"

static const char what[] = "forward passes";

static size_t schemes(const em_plan *plan) { return (size_t)plan->settings->n_labels; }

bool em_block_open(em_block *b, const em_plan *plan, em_error *err) {
    *b = (em_block){.plan = plan};
    b->sides = em_alloc((size_t)plan->n_scored, sizeof *b->sides, what, err);
    b->depths = em_alloc((size_t)plan->n_scored, sizeof *b->depths, what, err);
    if (b->sides && b->depths) return true;
    em_block_free(b);
    return false;
}

void em_block_free(em_block *b) {
    free(b->start);
    free(b->length);
    free(b->ids);
    free(b->positions);
    free(b->lo);
    free(b->hi);
    free(b->labels);
    for (int i = 0; b->sides && i < b->plan->n_scored; i++) {
        free(b->sides[i].nll);
        free(b->sides[i].argmax);
        free(b->sides[i].kl);
    }
    free(b->sides);
    free(b->depths);
    free(b->alpha_nll);
    free(b->alpha_argmax);
    *b = (em_block){0};
}

static bool paired(const em_plan *plan, int side) { return plan->kl && side > 0; }

static bool reserve_scores(em_block *b, size_t n, em_error *err) {
    size_t columns = n * schemes(b->plan), alphas = (size_t)b->plan->n_logit_alphas;
    for (int i = 0; i < b->plan->n_scored; i++) {
        em_side_scores *s = &b->sides[i];
        if (!em_grow(&s->nll, &s->nll_capacity, columns, sizeof *s->nll, what, err) ||
            !em_grow(&s->argmax, &s->argmax_capacity, n, sizeof *s->argmax, what, err) ||
            (paired(b->plan, i) && !em_grow(&s->kl, &s->kl_capacity, n, sizeof *s->kl, what, err))) return false;
    }
    return em_grow(&b->alpha_nll, &b->alpha_nll_capacity, columns * alphas, sizeof *b->alpha_nll, what, err) &&
           em_grow(&b->alpha_argmax, &b->alpha_argmax_capacity, n * alphas, sizeof *b->alpha_argmax, what, err);
}

static bool reserve_tokens(em_block *b, size_t n, em_error *err) {
    return em_grow(&b->ids, &b->ids_capacity, n, sizeof *b->ids, what, err) &&
           em_grow(&b->positions, &b->positions_capacity, n, sizeof *b->positions, what, err) &&
           em_grow(&b->lo, &b->lo_capacity, n, sizeof *b->lo, what, err) &&
           em_grow(&b->hi, &b->hi_capacity, n, sizeof *b->hi, what, err) &&
           em_grow(&b->labels, &b->labels_capacity, n * schemes(b->plan), sizeof *b->labels, what, err) && reserve_scores(b, n, err);
}

static bool reserve_rows(em_block *b, size_t n, em_error *err) {
    return em_grow(&b->start, &b->start_capacity, n, sizeof *b->start, what, err) &&
           em_grow(&b->length, &b->length_capacity, n, sizeof *b->length, what, err);
}

bool em_block_reserve(em_block *b, size_t tokens, em_error *err) {
    return reserve_rows(b, b->n_rows + 1, err) && reserve_tokens(b, b->n_tokens + tokens, err);
}

void em_block_add_row(em_block *b, int32_t tokens) {
    b->start[b->n_rows] = (int64_t)b->n_tokens;
    b->length[b->n_rows++] = tokens;
    b->n_tokens += (size_t)tokens;
}

int64_t em_block_capacity(const em_plan *plan, em_network *const *networks) {
    int64_t capacity = em_network_capacity(networks[0]);
    for (int i = 1; i < plan->n_models; i++)
        if (em_network_capacity(networks[i]) < capacity) capacity = em_network_capacity(networks[i]);
    return capacity;
}

em_stretch em_block_cut(const em_block *b, size_t first, int64_t padded_tokens) {
    int64_t tokens = em_network_padded(b->length[first]);
    size_t n = 1;
    for (; first + n < b->n_rows; n++) {
        tokens += em_network_padded(b->length[first + n]);
        if (tokens > padded_tokens) break;
    }
    return (em_stretch){first, n};
}

/* ---- through the networks ---- */

static em_scores scores_of(const em_block *b, int side) {
    return (em_scores){.nll = b->sides[side].nll, .argmax = b->sides[side].argmax};
}

/* The first model with each of the others; alphas belong to the one pair that there then is. */
static bool run_pairs(em_block *b, em_network *const *networks, const em_row_batch *batch, const em_score_request *labels, em_error *err) {
    em_pair_request request = {.labels = *labels, .n_alphas = b->plan->n_logit_alphas, .alphas = b->plan->settings->alphas.values};
    for (int i = 0; i < b->plan->n_models; i++)
        if (!em_network_forward(networks[i], batch, err)) return false;
    for (int i = 1; i < b->plan->n_models; i++) {
        em_pair_scores scores = {.before = scores_of(b, 0), .after = scores_of(b, i), .alpha_nll = b->alpha_nll,
                                 .alpha_argmax = b->alpha_argmax, .kl = b->sides[i].kl};
        if (!em_network_head_pair(networks[0], networks[i], batch, &request, &scores, err)) return false;
    }
    return true;
}

bool em_block_run(em_block *b, em_stretch rows, em_network *const *networks, em_error *err) {
    em_row_batch batch = {.n_rows = (int)rows.n, .start = b->start + rows.first, .length = b->length + rows.first, .ids = b->ids,
                          .positions = b->positions, .lo = b->lo, .hi = b->hi};
    em_score_request request = {.n_labels = b->plan->settings->n_labels, .labels = b->labels};
    if (b->plan->kl) return run_pairs(b, networks, &batch, &request, err);
    for (int i = 0; i < b->plan->n_scored; i++) b->depths[i] = scores_of(b, i);
    for (int i = 0; i < b->plan->n_models; i++) {
        const em_model_facts *m = &b->plan->models[i];
        if (!em_network_score_depths(networks[i], &batch, &request, m->depths, m->n_scored, b->depths + m->first_scored, err)) return false;
    }
    return true;
}

/* ---- between processes ---- */

typedef struct column { void *data; size_t size; } column;      /* size: bytes a token */

enum { INPUT_COLUMNS = 5 };

static column input_column(const em_block *b, int i) {
    int32_t *const arrays[INPUT_COLUMNS] = {b->ids, b->positions, b->lo, b->hi, b->labels};
    return (column){arrays[i], sizeof(int32_t) * (i == 4 ? schemes(b->plan) : 1)};
}

static int score_columns(const em_plan *plan) { return 3 * plan->n_scored + 2; }

static column score_column(const em_block *b, int i) {
    const em_plan *p = b->plan;
    size_t alphas = (size_t)p->n_logit_alphas;
    if (i == 3 * p->n_scored) return (column){b->alpha_nll, sizeof(double) * alphas * schemes(p)};
    if (i == 3 * p->n_scored + 1) return (column){b->alpha_argmax, sizeof(int32_t) * alphas};
    const em_side_scores *s = &b->sides[i / 3];
    if (i % 3 == 0) return (column){s->nll, sizeof(double) * schemes(p)};
    if (i % 3 == 1) return (column){s->argmax, sizeof(int32_t)};
    return (column){s->kl, paired(p, i / 3) ? sizeof(double) : 0};
}

size_t em_block_row_bytes(const em_plan *plan) {
    return sizeof(int32_t) * (INPUT_COLUMNS - 1 + schemes(plan));
}

size_t em_block_score_bytes(const em_plan *plan) {
    size_t side = sizeof(double) * schemes(plan) + sizeof(int32_t), pairs = plan->kl ? (size_t)plan->n_scored - 1 : 0;
    return (size_t)plan->n_scored * side + pairs * sizeof(double) + (size_t)plan->n_logit_alphas * side;
}

static size_t tokens_of(const em_block *b, em_stretch rows) {
    size_t last = rows.first + rows.n - 1;
    return (size_t)(b->start[last] + b->length[last] - b->start[rows.first]);
}

static bool write_column(column c, size_t first, size_t n, em_buffer *out, em_error *err) {
    return c.size == 0 || em_buffer_append(out, (char *)c.data + first * c.size, n * c.size, err);
}

/* Takes the column's tokens from `in` on. */
static const char *read_column(column c, size_t first, size_t n, const char *in) {
    if (c.size) memcpy((char *)c.data + first * c.size, in, n * c.size);
    return in + n * c.size;
}

bool em_block_write_rows(const em_block *b, em_stretch rows, em_buffer *out, em_error *err) {
    size_t first = (size_t)b->start[rows.first], n = tokens_of(b, rows);
    size_t counts[2] = {rows.n, n};
    if (!em_buffer_reserve(out, out->length + sizeof counts + rows.n * sizeof *b->length + n * em_block_row_bytes(b->plan), err) ||
        !em_buffer_append(out, counts, sizeof counts, err) ||
        !em_buffer_append(out, b->length + rows.first, rows.n * sizeof *b->length, err)) return false;
    for (int i = 0; i < INPUT_COLUMNS; i++)
        if (!write_column(input_column(b, i), first, n, out, err)) return false;
    return true;
}

static bool wrong_size(size_t bytes, em_error *err) {
    return em_fail(err, EM_MACHINE, "a message of %zu bytes between ranks is not of the size that its rows have", bytes);
}

bool em_block_read_rows(em_block *b, const em_buffer *in, em_error *err) {
    size_t counts[2], tokens = 0;
    if (in->length < sizeof counts) return wrong_size(in->length, err);
    memcpy(counts, in->data, sizeof counts);
    size_t left = in->length - sizeof counts, row = sizeof *b->length, token = em_block_row_bytes(b->plan);
    if (counts[0] < 1 || counts[0] > left / row || counts[1] != (left - counts[0] * row) / token || (left - counts[0] * row) % token)
        return wrong_size(in->length, err);
    b->n_rows = b->n_tokens = 0;
    if (!reserve_rows(b, counts[0], err) || !reserve_tokens(b, counts[1], err)) return false;
    for (size_t i = 0; i < counts[0]; i++) {
        int32_t length;
        memcpy(&length, in->data + sizeof counts + i * row, row);
        if (length < 1 || (tokens += (size_t)length) > counts[1]) return wrong_size(in->length, err);
        em_block_add_row(b, length);
    }
    if (tokens != counts[1]) return wrong_size(in->length, err);
    const char *at = in->data + sizeof counts + counts[0] * row;
    for (int i = 0; i < INPUT_COLUMNS; i++) at = read_column(input_column(b, i), 0, tokens, at);
    return true;
}

bool em_block_write_scores(const em_block *b, em_stretch rows, em_buffer *out, em_error *err) {
    size_t first = (size_t)b->start[rows.first], n = tokens_of(b, rows);
    if (!em_buffer_reserve(out, out->length + n * em_block_score_bytes(b->plan), err)) return false;
    for (int i = 0; i < score_columns(b->plan); i++)
        if (!write_column(score_column(b, i), first, n, out, err)) return false;
    return true;
}

bool em_block_read_scores(em_block *b, em_stretch rows, const em_buffer *in, em_error *err) {
    size_t first = (size_t)b->start[rows.first], n = tokens_of(b, rows);
    if (in->length != n * em_block_score_bytes(b->plan)) return wrong_size(in->length, err);
    const char *at = in->data;
    for (int i = 0; i < score_columns(b->plan); i++) at = read_column(score_column(b, i), first, n, at);
    return true;
}
