#include "eval/score/common_predictions.h"

/* Row r of so many tokens, as the packer would cut it, without its contents. */
static em_row cut(const em_common_predictions *e, int32_t t, int64_t r) {
    int64_t left = e->total - r * t;
    return (em_row){.index = r,
                    .tokens = (int32_t)(left < t ? left : t),
                    .window = (int32_t)(left < t + 1 ? left : t + 1),
                    .scored_to = t};
}

static em_reading reading(const em_common_predictions *e, int length, int scheme, int64_t row) {
    em_row r = cut(e, e->lengths[length], row);
    em_row_rules rules = em_protocol_row_rules(e->protocol, e->lengths[length]);
    rules.pack = e->pack;
    return em_labels_read(e->protocol->labels[scheme], &rules, &r);
}

/* Rows that are in whole batches; only the last two can be without a whole window. */
static int64_t rows_kept(const em_common_predictions *e, int length, int scheme) {
    int64_t rows = (e->total + e->lengths[length] - 1) / e->lengths[length],
            complete = rows > 2 ? rows - 2 : 0;
    for (int64_t r = complete; r < rows; r++) complete += reading(e, length, scheme, r).complete;
    return complete / e->protocol->batch * e->protocol->batch;
}

void em_common_predictions_make(em_common_predictions *e, const em_protocol_settings *protocol,
                                em_pack_mode pack, const int32_t *lengths, int n, int64_t total) {
    *e = (em_common_predictions){
        .protocol = protocol, .pack = pack, .lengths = lengths, .n = n, .total = total};
    for (int i = 0; i < n; i++)
        for (int s = 0; s < protocol->n_labels; s++)
            e->kept[i][s] = protocol->tail == EM_TAIL_PAD ? INT64_MAX : rows_kept(e, i, s);
}

bool em_common_predictions_has(const em_common_predictions *e, int scheme, int64_t label) {
    int64_t position = label - e->protocol->labels[scheme]->offset;
    for (int i = 0; i < e->n; i++) {
        int64_t row = position / e->lengths[i];
        if (position < 0 || row >= e->kept[i][scheme]) return false;
        em_reading r = reading(e, i, scheme, row);
        int32_t at = (int32_t)(position % e->lengths[i]);
        if (at < r.from || at >= r.to) return false;
    }
    return true;
}
