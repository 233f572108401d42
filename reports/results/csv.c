/* Long form: one line a figure, so that what a run measures never changes the columns.
 *
 *   kind        result, comparison, mean or gate
 *   part        "" for the whole; subset, position, boundary, inside, clean, direct, indirect,
 * common, affected subset, from, to    which part figure, value       loss, stderr, … ; value is
 * empty where results.json has null
 *
 * The columns between are the keys, empty where a row has none. RFC 4180: lines end in CRLF. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "reports/results/csv.h"

static void put_field(em_buffer *b, const char *text) {
    if (!text[strcspn(text, ",\"\r\n")]) {
        em_buffer_puts(b, text);
        return;
    }
    em_buffer_puts(b, "\"");
    for (; *text; text++) {
        if (*text == '"') em_buffer_puts(b, "\"");
        em_buffer_append(b, text, 1, NULL);
    }
    em_buffer_puts(b, "\"");
}

/* What stands before part, figure and value in a line; texts are the results'. */
typedef struct keys {
    const char *kind, *data_set, *model, *before, *group, *mask, *mask_before, *labels, *positions,
        *positions_before;
    bool has_alpha;
    double alpha;
    int depth, seq_len; /* seq_len 0: none */
} keys;

static const char header[] = "kind,data_set,model,before,group,mask,mask_before,labels,positions,"
                             "positions_before,alpha,depth,seq_len,"
                             "part,subset,from,to,figure,value\r\n";

typedef struct part {
    const char *name;
    const em_slice *slice;
} part; /* slice: of a subset or position, else NULL */

typedef struct writer {
    em_buffer *out;
    keys k;
    part part;
} writer;

static void put_number(em_buffer *b, double x) {
    if (isfinite(x)) em_buffer_double(b, x);
}

static void put_keys(const writer *w) {
    em_buffer *b = w->out;
    const char *texts[] = {
        w->k.kind, w->k.data_set,    w->k.model,  w->k.before,    w->k.group,
        w->k.mask, w->k.mask_before, w->k.labels, w->k.positions, w->k.positions_before};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (texts[i]) put_field(b, texts[i]);
        em_buffer_puts(b, ",");
    }
    put_number(b, w->k.has_alpha ? w->k.alpha : NAN);
    em_buffer_puts(b, ",");
    if (w->k.depth != EM_NO_DEPTH) em_buffer_printf(b, "%d", w->k.depth);
    em_buffer_puts(b, ",");
    if (w->k.seq_len) em_buffer_printf(b, "%d", w->k.seq_len);
    em_buffer_puts(b, ",");
}

static void begin_line(const writer *w, const char *figure) {
    const em_slice *s = w->part.slice;
    put_keys(w);
    if (w->part.name) em_buffer_puts(w->out, w->part.name);
    em_buffer_puts(w->out, ",");
    if (s && s->name) put_field(w->out, s->name);
    if (s && !s->name)
        em_buffer_printf(w->out, ",%" PRId64 ",%" PRId64 ",%s,", s->from, s->to, figure);
    else em_buffer_printf(w->out, ",,,%s,", figure);
}

static void number(const writer *w, const char *figure, double x) {
    begin_line(w, figure);
    put_number(w->out, x);
    em_buffer_puts(w->out, "\r\n");
}

static void integer(const writer *w, const char *figure, int64_t x) {
    begin_line(w, figure);
    em_buffer_printf(w->out, "%" PRId64 "\r\n", x);
}

static void text(const writer *w, const char *figure, const char *x) {
    begin_line(w, figure);
    put_field(w->out, x);
    em_buffer_puts(w->out, "\r\n");
}

static writer with_part(const writer *w, const char *name, const em_slice *slice) {
    writer inner = *w;
    inner.part = (part){name, slice};
    return inner;
}

/* ---- results ---- */

static void loss_slice(const writer *w, const em_slice *s) {
    integer(w, "predictions", s->predictions);
    number(w, "loss", em_slice_loss(s));
    number(w, "top1", s->predictions ? (double)s->top1_count / (double)s->predictions : NAN);
    number(w, "bits_per_byte", em_slice_bits_per_byte(s));
}

static void result_parts(const writer *w, const em_result *x) {
    const struct {
        bool there;
        const char *name;
        const em_slice *slice;
    } parts[] = {{x->leak, "clean", &x->clean},
                 {x->leak, "direct", &x->direct},
                 {x->leak, "indirect", &x->indirect},
                 {x->has_common, "common", &x->common}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        writer inner = with_part(w, parts[i].name, NULL);
        if (parts[i].there) loss_slice(&inner, parts[i].slice);
    }
    for (int i = 0; i < x->n_subsets; i++) {
        writer inner = with_part(w, "subset", &x->subsets[i]);
        integer(&inner, "documents", x->subsets[i].documents);
        loss_slice(&inner, &x->subsets[i]);
    }
    for (int i = 0; i < x->n_by_position; i++) {
        writer inner = with_part(w, "position", &x->by_position[i]);
        loss_slice(&inner, &x->by_position[i]);
    }
}

static void put_result(em_buffer *out, const em_result *x) {
    writer w = {.out = out,
                .k = {.kind = "result",
                      .data_set = x->data_set,
                      .model = x->model,
                      .group = x->group,
                      .mask = x->mask,
                      .labels = x->labels,
                      .positions = x->positions,
                      .has_alpha = x->has_alpha,
                      .alpha = x->alpha,
                      .depth = x->depth,
                      .seq_len = x->seq_len}};
    const struct {
        const char *key;
        double value;
    } numbers[] = {{"loss", x->loss},
                   {"loss_batch_mean", x->loss_batch_mean},
                   {"loss_doc_mean", x->loss_doc_mean},
                   {"loss_no_boundary", x->loss_no_boundary},
                   {"perplexity", x->perplexity},
                   {"bits_per_byte", x->bits_per_byte},
                   {"bits_per_byte_all", x->bits_per_byte_all},
                   {"top1", x->top1},
                   {"stderr", x->stderr_}};
    const struct {
        const char *key;
        int64_t value;
    } counts[] = {{"offset", x->offset},
                  {"batch", x->batch},
                  {"predictions", x->predictions},
                  {"boundary_predictions", x->boundary_predictions},
                  {"documents", x->documents},
                  {"rows", x->rows},
                  {"segments", x->segments},
                  {"batches", x->batches},
                  {"dropped_rows", x->dropped_rows},
                  {"dropped_tokens", x->dropped_tokens},
                  {"groups", x->groups},
                  {"leak", x->leak}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        number(&w, numbers[i].key, numbers[i].value);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        integer(&w, counts[i].key, counts[i].value);
    text(&w, "grouped_by", x->groups_are_rows ? "row" : "document");
    text(&w, "pack", x->pack);
    if (*x->window) text(&w, "window", x->window);
    text(&w, "weight_dtype", x->weight_dtype);
    text(&w, "compute_dtype", x->compute_dtype);
    text(&w, "logit_dtype", x->logit_dtype);
    text(&w, "fingerprint_data", x->fingerprints.data);
    text(&w, "fingerprint_protocol", x->fingerprints.protocol);
    text(&w, "fingerprint_model", x->fingerprints.model);
    result_parts(&w, x);
}

/* ---- comparisons ---- */

static void difference(const writer *w, const em_difference *d) {
    integer(w, "predictions", d->predictions);
    integer(w, "groups", d->groups);
    number(w, "difference", d->difference);
    number(w, "stderr", d->stderr_);
    number(w, "low", d->low);
    number(w, "high", d->high);
    number(w, "documents_to_resolve", d->documents_to_resolve);
}

static void difference_slice(const writer *w, const char *name, const em_slice *named,
                             const em_slice *s) {
    writer inner = with_part(w, name, named);
    integer(&inner, "predictions", s->predictions);
    number(&inner, "difference", em_slice_loss(s));
}

static void comparison_parts(const writer *w, const em_comparison *x) {
    writer affected = with_part(w, "affected", NULL), common = with_part(w, "common", NULL);
    if (x->kind == EM_COMPARE_MASKS) {
        integer(&affected, "direct", x->affected_direct);
        integer(&affected, "indirect", x->affected_indirect);
        difference(&affected, &x->affected);
    }
    if (x->has_common) {
        difference(&common, &x->common);
        if (x->kind == EM_COMPARE_MASKS) integer(&common, "affected", x->common_affected);
        number(&common, "growth", x->growth);
        number(&common, "growth_low", x->growth_low);
        number(&common, "growth_high", x->growth_high);
    }
    difference_slice(w, "boundary", NULL, &x->boundary);
    difference_slice(w, "inside", NULL, &x->inside);
    for (int i = 0; i < x->n_subsets; i++)
        difference_slice(w, "subset", &x->subsets[i], &x->subsets[i]);
    for (int i = 0; i < x->n_by_position; i++)
        difference_slice(w, "position", &x->by_position[i], &x->by_position[i]);
}

static void put_comparison(em_buffer *out, const em_comparison *x) {
    static const char *const quantiles[EM_KL_QUANTILES] = {"kl_p50", "kl_p90", "kl_p99",
                                                           "kl_p99.9"};
    bool masks = x->kind == EM_COMPARE_MASKS;
    writer w = {.out = out,
                .k = {.kind = "comparison",
                      .data_set = x->data_set,
                      .model = x->after,
                      .before = x->before,
                      .mask = x->mask,
                      .mask_before = masks ? x->mask_before : x->mask,
                      .labels = x->labels,
                      .positions = x->positions,
                      .positions_before = masks ? x->positions_before : x->positions,
                      .has_alpha = x->has_alpha,
                      .alpha = x->alpha,
                      .depth = x->depth,
                      .seq_len = x->seq_len}};
    difference(&w, &x->all);
    number(&w, "perplexity_ratio", x->perplexity_ratio);
    number(&w, "better", x->better);
    number(&w, "same_top1", x->same_top1);
    number(&w, "probability_change", x->probability_change);
    number(&w, "probability_change_rms", x->probability_change_rms);
    if (x->has_kl) {
        number(&w, "kl_mean", x->kl_mean);
        for (int i = 0; i < EM_KL_QUANTILES; i++) number(&w, quantiles[i], x->kl_quantiles[i]);
        number(&w, "kl_max", x->kl_max);
    }
    comparison_parts(&w, x);
}

/* ---- the rest ---- */

static void put_mean(em_buffer *out, const em_mean *m) {
    writer w = {.out = out,
                .k = {.kind = "mean",
                      .model = m->model,
                      .mask = m->mask,
                      .labels = m->labels,
                      .positions = m->positions,
                      .has_alpha = m->has_alpha,
                      .alpha = m->alpha,
                      .depth = m->depth,
                      .seq_len = m->seq_len}};
    number(&w, "loss_macro", m->macro);
    number(&w, "loss_micro", m->micro);
}

/* A gate's name stands where a model's does. */
static void put_gate(em_buffer *out, const em_gate *g) {
    writer w = {.out = out, .k = {.kind = "gate", .model = g->name, .depth = EM_NO_DEPTH}};
    integer(&w, "passed", g->passed);
    text(&w, "message", g->message);
    number(&w, "baseline", g->baseline);
    number(&w, "current", g->current);
    number(&w, "difference", g->difference);
    number(&w, "tolerance", g->tolerance);
}

void em_report_csv(const em_results *r, em_buffer *out) {
    em_buffer_puts(out, header);
    for (int i = 0; i < r->n_results; i++) put_result(out, &r->results[i]);
    for (int i = 0; i < r->n_comparisons; i++) put_comparison(out, &r->comparisons[i]);
    for (int i = 0; i < r->n_means; i++) put_mean(out, &r->means[i]);
    for (int i = 0; i < r->n_gates; i++) put_gate(out, &r->gates[i]);
}
