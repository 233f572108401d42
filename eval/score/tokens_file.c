#include "eval/score/tokens_file.h"

#include <string.h>

#include "reports/results/side_key.h"

/* Where a label scheme's scored positions have been followed to. */
typedef struct cursor {
    em_scored_walk walk;
    em_scored_position at;
    bool more; /* at is one of them */
} cursor;

typedef struct context {
    const em_protocol_settings *protocol;
    const em_tokens_source *source;
    const em_passes *passes;
    const em_score_buffers *scores;
    const em_fed_row *fed;
    int row;
    cursor cursors[EM_MAX_SCHEMES]; /* [schemes]: each at its first position that is not passed */
} context;

static bool scores_at(const context *c, int l, int32_t i) {
    return c->cursors[l].more && c->cursors[l].at.i == i;
}

/* reports/results/side_key.h */
static void put_key(em_buffer *b, const context *c, em_cell cell) {
    const em_protocol_settings *s = c->protocol;
    const em_side *side = &c->source->plan->sides[cell.side];
    em_combination k = c->source->plan->combinations[cell.combination];
    em_buffer key = {0};
    em_side_key_put(&key, side->alpha < 0 ? c->source->names[side->model] : "amplified");
    em_buffer_printf(&key, "|%s", s->masks[k.mask].name);
    if (s->n_positions > 1)
        em_buffer_puts(&key, em_positions_resolve(s->positions[k.positions], &s->masks[k.mask]) ==
                                     EM_POSITIONS_RESET
                                 ? "@reset"
                                 : "@continuous");
    em_buffer_printf(&key, "|%s|", s->labels[k.labels]->name);
    if (side->alpha >= 0) em_buffer_double(&key, c->source->plan->alphas->values[side->alpha]);
    em_buffer_puts(&key, "|");
    if (side->depth != EM_NO_DEPTH) em_buffer_printf(&key, "%d", side->depth);
    em_buffer_json(b, key.data, key.length);
    em_buffer_free(&key);
}

static void put_sides(em_buffer *b, const context *c, int combination, int32_t i, bool *comma) {
    for (int side = 0; side < c->source->plan->n_sides; side++) {
        em_cell cell = {combination, side};
        em_side_view v = em_passes_side(c->passes, c->scores, c->row, cell);
        if (*comma) em_buffer_puts(b, ",");
        *comma = true;
        put_key(b, c, cell);
        em_buffer_puts(b, ":");
        em_buffer_double(b, v.nll[(size_t)i * (size_t)v.stride]);
    }
}

/* Scheme by scheme, from the first of the line's offset on. */
static void put_values(em_buffer *b, const context *c, int first, int32_t i) {
    const em_protocol_settings *s = c->protocol;
    bool comma = false;
    for (int l = first; l < s->n_labels; l++) {
        if (s->labels[l]->offset != s->labels[first]->offset || !scores_at(c, l, i)) continue;
        for (int k = 0; k < c->source->plan->n_combinations; k++)
            if (c->source->plan->combinations[k].labels == l) put_sides(b, c, k, i, &comma);
    }
}

static void put_id(em_buffer *b, const context *c, const char *key, const char *text_key,
                   int32_t id) {
    char text[1024];
    size_t n = em_tokenizer_text(c->source->tokenizer, id, text, sizeof text);
    em_buffer_printf(b, "\"%s\":%d,\"%s\":", key, id, text_key);
    em_buffer_json(b, text, n < sizeof text ? n : sizeof text - 1);
    em_buffer_puts(b, ",");
}

static void put_line(em_buffer *b, const context *c, int l, int32_t i) {
    const em_row *row = c->fed->row;
    const em_scored_position *p = &c->cursors[l].at;
    em_buffer_puts(b, "{");
    if (*c->source->data_set) {
        em_buffer_puts(b, "\"data_set\":");
        em_buffer_json(b, c->source->data_set, strlen(c->source->data_set));
        em_buffer_puts(b, ",");
    }
    if (c->source->seq_len) em_buffer_printf(b, "\"seq_len\":%d,", c->source->seq_len);
    em_buffer_printf(b, "\"row\":%lld,\"pos\":%d,\"doc\":%lld,", (long long)row->index, i,
                     (long long)p->segment->document);
    put_id(b, c, "token", "text", row->ids[i]);
    put_id(b, c, "label", "label_text", p->label);
    em_buffer_puts(b, "\"nll\":{");
    put_values(b, c, l, i);
    em_buffer_puts(b, "}}\n");
}

/* The first scheme of its offset writes the line for all of them. */
static bool leads(const context *c, int l, int32_t i) {
    for (int k = 0; k < l; k++)
        if (c->protocol->labels[k]->offset == c->protocol->labels[l]->offset && scores_at(c, k, i))
            return false;
    return scores_at(c, l, i);
}

static void follow(cursor *k) { k->more = em_scored_next(&k->walk, &k->at); }

void em_tokens_row(em_buffer *lines, const em_tokens_source *source, const em_passes *passes,
                   const em_score_buffers *scores, int row) {
    context c = {.protocol = source->plan->protocol,
                 .source = source,
                 .passes = passes,
                 .scores = scores,
                 .fed = em_passes_row(passes, row),
                 .row = row};
    int schemes = c.protocol->n_labels;
    for (int l = 0; l < schemes; l++) {
        c.cursors[l].walk = em_fed_row_scored(c.fed, c.protocol, l);
        follow(&c.cursors[l]);
    }
    for (int32_t i = 0; i < c.fed->row->tokens; i++) {
        for (int l = 0; l < schemes; l++)
            if (leads(&c, l, i)) put_line(lines, &c, l, i);
        for (int l = 0; l < schemes; l++)
            if (scores_at(&c, l, i)) follow(&c.cursors[l]);
    }
}
