#include "reports/results/fields.h"

#include <math.h>
#include <string.h>

#define N(array) (sizeof(array) / sizeof *(array))
#define OBJECT(fields, finish) \
    { fields, N(fields), finish }

/* The rows: key, kind, [struct, member, [its length]], flags, place in the CSV, what it is; then
 * what few have. */
#define PART(KEY, KIND, FLAGS, CSV, ABOUT, ...) \
    { .key = KEY, .kind = KIND, .flags = FLAGS, .csv = CSV, .about = ABOUT, __VA_ARGS__ }
#define FIELD(KEY, KIND, TYPE, MEMBER, FLAGS, CSV, ABOUT, ...) \
    PART(KEY, KIND, FLAGS, CSV, ABOUT, .offset = offsetof(TYPE, MEMBER), \
         .size = sizeof((TYPE *)0)->MEMBER, __VA_ARGS__)
/* An array behind a pointer. */
#define MANY(KEY, KIND, TYPE, MEMBER, LENGTH, FLAGS, CSV, ABOUT, ...) \
    FIELD(KEY, KIND, TYPE, MEMBER, FLAGS, CSV, ABOUT, .count = offsetof(TYPE, LENGTH), \
          .element = sizeof *((TYPE *)0)->MEMBER, __VA_ARGS__)
/* The fields of another object of the same struct. */
#define INLINE(OBJECT) PART(NULL, EM_INLINE, 0, 1, NULL, .inner = &OBJECT)
/* A field that a bool says is there. */
#define IF(TYPE, MEMBER) .there = 1 + offsetof(TYPE, MEMBER)

/* ---- slices ---- */

/* The file holds means, the types hold sums: a sum that gives this mean. It is within a few units
 * in the last place of mean * n, and there is one wherever the mean came from a sum. */
static double sum_of(double mean, double n) {
    double sum = mean * n;
    for (int i = 0; i < 8 && isfinite(sum) && sum / n != mean; i++)
        sum = nextafter(sum, sum / n < mean ? INFINITY : -INFINITY);
    return sum;
}

static double loss_of(const void *slice) { return em_slice_loss(slice); }
static double bits_of(const void *slice) { return em_slice_bits_per_byte(slice); }
static double top1_of(const void *slice) {
    const em_slice *s = slice;
    return s->predictions ? (double)s->top1_count / (double)s->predictions : NAN;
}

static const char *set_loss(void *slice, double loss) {
    em_slice *s = slice;
    s->nll = sum_of(loss, (double)s->predictions);
    return NULL;
}

static const char *set_bits(void *slice, double bits) {
    em_slice *s = slice;
    s->text_nll = sum_of(bits, EM_LN2 * (double)s->text_bytes);
    return NULL;
}

static const char *set_top1(void *slice, double top1) {
    em_slice *s = slice;
    if (!isfinite(top1)) return NULL;
    if (!(top1 >= 0 && top1 <= 1)) return "is no share, from 0 to 1";
    s->top1_count = llround(top1 * (double)s->predictions);
    return NULL;
}

static const char *check_range(void *slice, const char **key) {
    const em_slice *s = slice;
    *key = "to";
    return s->to > s->from ? NULL : "is not above from";
}

static const em_field slice_fields[] = {
    FIELD("predictions", EM_COUNT, em_slice, predictions, EM_REQUIRED, 1, "predictions in it"),
    PART("loss", EM_FIGURE, 0, 1, "mean NLL over its predictions, nats per token", .get = loss_of,
         .set = set_loss),
    PART("top1", EM_FIGURE, 0, 1, "share of its predictions whose label is the likeliest token",
         .get = top1_of, .set = set_top1),
    PART("bits_per_byte", EM_FIGURE, 0, 1, "NLL of its text tokens in bits, per byte of their text",
         .get = bits_of, .set = set_bits),
    FIELD("text_bytes", EM_COUNT, em_slice, text_bytes, 0, 0, "UTF-8 bytes of its text tokens"),
};
static const em_object slice = OBJECT(slice_fields, NULL);

static const em_field subset_name_fields[] = {
    FIELD("subset", EM_STRING, em_slice, name, EM_REQUIRED, EM_CSV_KEY,
          "the subset's name; \"\": documents without one"),
};
static const em_object subset_name = OBJECT(subset_name_fields, NULL);

static const em_field range_fields[] = {
    FIELD("from", EM_COUNT, em_slice, from, EM_REQUIRED, EM_CSV_KEY,
          "first position in the document"),
    FIELD("to", EM_COUNT, em_slice, to, EM_REQUIRED, EM_CSV_KEY, "the position after the last"),
};
static const em_object range = OBJECT(range_fields, NULL);

static const em_field subset_fields[] = {
    INLINE(subset_name),
    FIELD("documents", EM_COUNT, em_slice, documents, 0, 1, "documents that hold predictions"),
    INLINE(slice),
};
static const em_object subset = OBJECT(subset_fields, NULL);

static const em_field position_fields[] = {
    INLINE(range),
    INLINE(slice),
};
static const em_object position = OBJECT(position_fields, check_range);

/* Of a comparison: nll is the sum of differences. */
static const em_field difference_slice_fields[] = {
    FIELD("predictions", EM_COUNT, em_slice, predictions, EM_REQUIRED, 1, "predictions in it"),
    PART("difference", EM_FIGURE, 0, 1, "mean difference over its predictions, nats",
         .get = loss_of, .set = set_loss),
};
static const em_object difference_slice = OBJECT(difference_slice_fields, NULL);

static const em_field subset_difference_fields[] = {
    INLINE(subset_name),
    FIELD("documents", EM_COUNT, em_slice, documents, 0, 0, "documents that hold predictions"),
    INLINE(difference_slice),
};
static const em_object subset_difference = OBJECT(subset_difference_fields, NULL);

static const em_field position_difference_fields[] = {
    INLINE(range),
    INLINE(difference_slice),
};
static const em_object position_difference = OBJECT(position_difference_fields, check_range);

/* Both are looked up by binary search or side by side: out of order they would be missed. */
static const char *check_order(const em_slice *subsets, int n, const em_slice *positions,
                               int n_positions, const char **key) {
    *key = "subsets";
    for (int i = 1; i < n; i++)
        if (strcmp(subsets[i - 1].name, subsets[i].name) >= 0)
            return "are not in the order of their names";
    *key = "by_position";
    for (int i = 1; i < n_positions; i++)
        if (positions[i - 1].to > positions[i].from) return "does not ascend";
    return NULL;
}

/* ---- a result ---- */

static bool leaks(const void *result) { return ((const em_result *)result)->leak; }

static const em_field leak_fields[] = {
    FIELD("direct", EM_OBJECT, em_result, direct, 0, 2, "predictions whose own label is in view",
          .inner = &slice, .column = "direct"),
    FIELD("indirect", EM_OBJECT, em_result, indirect, 0, 2,
          "predictions whose label is in view of a position that they see", .inner = &slice,
          .column = "indirect"),
    FIELD("clean", EM_OBJECT, em_result, clean, 0, 1, "predictions without either", .inner = &slice,
          .column = "clean"),
};
static const em_object leak_object = OBJECT(leak_fields, NULL);

static const em_field dtype_fields[] = {
    FIELD("weights", EM_TEXT, em_result, weight_dtype, 0, 1,
          "the dtype that the weights are stored in", .column = "weight_dtype"),
    FIELD("compute", EM_TEXT, em_result, compute_dtype, 0, 1, "the dtype of the arithmetic",
          .column = "compute_dtype"),
    FIELD("logits", EM_TEXT, em_result, logit_dtype, 0, 1, "the dtype of the logits",
          .column = "logit_dtype"),
};
static const em_object dtypes = OBJECT(dtype_fields, NULL);

static const em_field fingerprint_fields[] = {
    FIELD("data", EM_TEXT, em_fingerprints, data, 0, 1, "of what was scored",
          .column = "fingerprint_data"),
    FIELD("protocol", EM_TEXT, em_fingerprints, protocol, 0, 1, "of how it was scored",
          .column = "fingerprint_protocol"),
    FIELD("model", EM_TEXT, em_fingerprints, model, 0, 1, "of the weights and the config",
          .column = "fingerprint_model"),
};
static const em_object fingerprints = OBJECT(fingerprint_fields, NULL);

static const em_field result_fields[] = {
    FIELD("data_set", EM_TEXT, em_result, data_set, EM_OMIT_EMPTY, EM_CSV_KEY,
          "the data set's name"),
    FIELD("model", EM_TEXT, em_result, model, EM_REQUIRED, EM_CSV_KEY,
          "the model's name; \"amplified\" at an alpha"),
    FIELD("group", EM_TEXT, em_result, group, EM_OMIT_EMPTY, EM_CSV_KEY,
          "the repeated trainings that the model is one of"),
    FIELD("mask", EM_TEXT, em_result, mask, EM_REQUIRED, EM_CSV_KEY, "the attention mask"),
    FIELD("labels", EM_TEXT, em_result, labels, EM_REQUIRED, EM_CSV_KEY, "the label scheme"),
    FIELD("offset", EM_WHOLE, em_result, offset, EM_REQUIRED, 2,
          "the label's position minus the prediction's"),
    FIELD("alpha", EM_NUMBER, em_result, alpha, EM_OR_NULL, EM_CSV_KEY,
          "the amplified model's alpha", IF(em_result, has_alpha)),
    FIELD("depth", EM_DEPTH, em_result, depth, 0, EM_CSV_KEY, "layers kept; null: the whole model"),
    FIELD("seq_len", EM_WHOLE, em_result, seq_len, EM_REQUIRED, EM_CSV_KEY,
          "the row length, in tokens"),
    FIELD("batch", EM_WHOLE, em_result, batch, EM_REQUIRED, 2,
          "rows of a batch, over which loss_batch_mean averages first"),
    FIELD("positions", EM_TEXT, em_result, positions, EM_REQUIRED | EM_NEW_LINE, EM_CSV_KEY,
          "whether positions restart with a document"),
    FIELD("pack", EM_TEXT, em_result, pack, 0, 4,
          "\"stream\": rows across documents; \"none\": each by itself"),
    FIELD("window", EM_TEXT, em_result, window, EM_OMIT_EMPTY, 4,
          "of labels that the caller shifts: \"next\" or \"inside\""),
    FIELD("mask_words", EM_TEXT, em_result, mask_words, 0, 0, "the mask in words"),
    FIELD("offset_words", EM_TEXT, em_result, offset_words, 0, 0,
          "what a prediction is of, in words"),
    FIELD("predictions", EM_COUNT, em_result, predictions, EM_REQUIRED | EM_NEW_LINE, 2,
          "predictions that count"),
    FIELD("boundary_predictions", EM_COUNT, em_result, boundary_predictions, 0, 2,
          "those among them whose label is of another document"),
    FIELD("documents", EM_COUNT, em_result, documents, 0, 2, "documents that hold predictions"),
    FIELD("rows", EM_COUNT, em_result, rows, 0, 2, "rows that went through the model"),
    FIELD("segments", EM_COUNT, em_result, segments, EM_NEW_LINE, 2,
          "parts of documents in those rows"),
    FIELD("batches", EM_COUNT, em_result, batches, 0, 2, "batches that hold predictions"),
    FIELD("dropped_rows", EM_COUNT, em_result, dropped_rows, 0, 2, "rows left out by --tail drop"),
    FIELD("dropped_tokens", EM_COUNT, em_result, dropped_tokens, 0, 2,
          "tokens left out by --tail drop"),
    FIELD("loss", EM_NUMBER, em_result, loss, EM_REQUIRED | EM_GAP, 1,
          "mean NLL over all predictions, nats per token"),
    FIELD("loss_batch_mean", EM_NUMBER, em_result, loss_batch_mean, 0, 1,
          "mean of the batches' means, nats"),
    FIELD("loss_doc_mean", EM_NUMBER, em_result, loss_doc_mean, 0, 1,
          "mean of the documents' means, nats"),
    FIELD("loss_no_boundary", EM_NUMBER, em_result, loss_no_boundary, EM_NEW_LINE, 1,
          "mean NLL without boundary predictions, nats"),
    FIELD("perplexity", EM_NUMBER, em_result, perplexity, 0, 1, "exp(loss)"),
    FIELD("bits_per_byte", EM_NUMBER, em_result, bits_per_byte, 0, 1,
          "NLL of the text tokens in bits, per byte of their text"),
    FIELD("bits_per_byte_all", EM_NUMBER, em_result, bits_per_byte_all, EM_NEW_LINE, 1,
          "NLL of all tokens in bits, per byte of text"),
    FIELD("top1", EM_NUMBER, em_result, top1, 0, 1,
          "share of predictions whose label is the likeliest token"),
    FIELD("stderr", EM_NUMBER, em_result, stderr_, 0, 1, "standard error of the loss, nats"),
    FIELD("low", EM_NUMBER, em_result, low, EM_NEW_LINE, 1,
          "lower end of the loss's 95 % interval, nats"),
    FIELD("high", EM_NUMBER, em_result, high, 0, 1, "upper end of the loss's 95 % interval, nats"),
    FIELD("groups", EM_COUNT, em_result, groups, 0, 2,
          "groups that the standard error and the interval are over"),
    FIELD("grouped_by", EM_CHOICE, em_result, groups_are_rows, 0, 3, "what those groups are",
          .words = {"document", "row"}),
    FIELD("leak", EM_FLAG, em_result, leak, EM_NEW_LINE, 2,
          "whether a prediction has its label in view"),
    PART("leaks", EM_OBJECT, 0, 6, "the predictions by how they leak", .inner = &leak_object,
         .shown = leaks),
    FIELD("common", EM_OBJECT, em_result, common, EM_NEW_LINE, 6,
          "with several row lengths: the predictions that are scored at every one", .inner = &slice,
          .column = "common", IF(em_result, has_common)),
    PART("dtype", EM_OBJECT, EM_NEW_LINE, 5, "dtypes", .inner = &dtypes),
    FIELD("fingerprints", EM_OBJECT, em_result, fingerprints, EM_NEW_LINE, 5,
          "16 hexadecimal digits each", .inner = &fingerprints),
    MANY("subsets", EM_ARRAY, em_result, subsets, n_subsets, EM_NEW_LINE, 7,
         "by subset, in the order of their names", .inner = &subset, .column = "subset"),
    MANY("by_position", EM_ARRAY, em_result, by_position, n_by_position, EM_NEW_LINE, 7,
         "by position in the document, ascending", .inner = &position, .column = "position"),
};

static const char *finish_result(void *object, const char **key) {
    const em_result *x = object;
    return check_order(x->subsets, x->n_subsets, x->by_position, x->n_by_position, key);
}

static const em_object result = OBJECT(result_fields, finish_result);

/* ---- a comparison ---- */

static bool of_masks(const void *comparison) {
    return ((const em_comparison *)comparison)->kind == EM_COMPARE_MASKS;
}
static bool of_models(const void *comparison) { return !of_masks(comparison); }

static const em_field difference_fields[] = {
    FIELD("predictions", EM_COUNT, em_difference, predictions, 0, 1, "predictions compared"),
    FIELD("groups", EM_COUNT, em_difference, groups, 0, 1,
          "groups that the standard error and the interval are over"),
    FIELD("difference", EM_NUMBER, em_difference, difference, EM_REQUIRED, 1,
          "mean of after minus before, nats per token"),
    FIELD("stderr", EM_NUMBER, em_difference, stderr_, 0, 1, "its standard error, nats"),
    FIELD("low", EM_NUMBER, em_difference, low, 0, 1, "lower end of its 95 % interval, nats"),
    FIELD("high", EM_NUMBER, em_difference, high, 0, 1, "upper end of its 95 % interval, nats"),
    FIELD("documents_to_resolve", EM_NUMBER, em_difference, documents_to_resolve, 0, 1,
          "documents that would put 0 at the edge of the interval"),
};
static const em_object difference = OBJECT(difference_fields, NULL);

static const em_field affected_fields[] = {
    FIELD("direct", EM_COUNT, em_comparison, affected_direct, EM_REQUIRED, 1,
          "predictions that see other keys"),
    FIELD("indirect", EM_COUNT, em_comparison, affected_indirect, EM_REQUIRED, 1,
          "predictions that see positions which do"),
    FIELD(NULL, EM_INLINE, em_comparison, affected, 0, 1, NULL, .inner = &difference),
};
static const em_object affected = OBJECT(affected_fields, NULL);

static const em_field common_fields[] = {
    FIELD(NULL, EM_INLINE, em_comparison, common, 0, 1, NULL, .inner = &difference),
    FIELD("affected", EM_COUNT, em_comparison, common_affected, 0, 1,
          "those that the choice of masks can affect", .shown = of_masks),
    FIELD("growth", EM_NUMBER, em_comparison, growth, 0, 1,
          "the difference minus that at the shortest row length, nats"),
    FIELD("growth_low", EM_NUMBER, em_comparison, growth_low, 0, 1,
          "lower end of its 95 % interval"),
    FIELD("growth_high", EM_NUMBER, em_comparison, growth_high, 0, 1,
          "upper end of its 95 % interval"),
};
static const em_object common = OBJECT(common_fields, NULL);

static const em_field kl_fields[] = {
    FIELD("mean", EM_NUMBER, em_comparison, kl_mean, EM_REQUIRED, 1, "mean over the predictions",
          .column = "kl_mean"),
    FIELD("p50", EM_NUMBER, em_comparison, kl_quantiles[0], EM_REQUIRED, 1,
          "median: the upper edge of its bin", .column = "kl_p50"),
    FIELD("p90", EM_NUMBER, em_comparison, kl_quantiles[1], EM_REQUIRED, 1,
          "90 % quantile, likewise", .column = "kl_p90"),
    FIELD("p99", EM_NUMBER, em_comparison, kl_quantiles[2], EM_REQUIRED, 1,
          "99 % quantile, likewise", .column = "kl_p99"),
    FIELD("p99.9", EM_NUMBER, em_comparison, kl_quantiles[3], EM_REQUIRED, 1,
          "99.9 % quantile, likewise", .column = "kl_p99.9"),
    FIELD("max", EM_NUMBER, em_comparison, kl_max, EM_REQUIRED, 1, "the largest",
          .column = "kl_max"),
};
static const em_object kl = OBJECT(kl_fields, NULL);

static const em_field comparison_fields[] = {
    FIELD("kind", EM_CHOICE, em_comparison, kind, 0, 0, "what is compared",
          .words = {"models", "masks"}),
    FIELD("data_set", EM_TEXT, em_comparison, data_set, EM_OMIT_EMPTY, EM_CSV_KEY,
          "the data set's name"),
    FIELD("before", EM_TEXT, em_comparison, before, EM_REQUIRED, EM_CSV_KEY,
          "the model that is subtracted", .wanted = of_models, .shown = of_models),
    FIELD("after", EM_TEXT, em_comparison, after, EM_REQUIRED, EM_CSV_KEY,
          "the model that it is subtracted from", .column = "model", .wanted = of_models,
          .shown = of_models),
    FIELD("model", EM_TEXT, em_comparison, after, EM_REQUIRED, EM_CSV_KEY,
          "the model under both masks", .wanted = of_masks, .shown = of_masks),
    FIELD(NULL, EM_TEXT, em_comparison, before, 0, EM_CSV_KEY, NULL, .column = "before",
          .shown = of_masks),
    FIELD("mask_before", EM_TEXT, em_comparison, mask_before, EM_REQUIRED, EM_CSV_KEY,
          "the mask that is subtracted", .wanted = of_masks, .shown = of_masks),
    FIELD("positions_before", EM_TEXT, em_comparison, positions_before, EM_REQUIRED, EM_CSV_KEY,
          "its positions", .wanted = of_masks, .shown = of_masks),
    FIELD("mask", EM_TEXT, em_comparison, mask, EM_REQUIRED, EM_CSV_KEY,
          "the mask; of masks the one that is subtracted from"),
    FIELD("positions", EM_TEXT, em_comparison, positions, EM_REQUIRED, EM_CSV_KEY, "its positions"),
    FIELD(NULL, EM_TEXT, em_comparison, mask, 0, EM_CSV_KEY, NULL, .column = "mask_before",
          .shown = of_models),
    FIELD(NULL, EM_TEXT, em_comparison, positions, 0, EM_CSV_KEY, NULL,
          .column = "positions_before", .shown = of_models),
    FIELD("labels", EM_TEXT, em_comparison, labels, EM_REQUIRED, EM_CSV_KEY, "the label scheme"),
    FIELD("alpha", EM_NUMBER, em_comparison, alpha, EM_OR_NULL, EM_CSV_KEY,
          "the amplified model's alpha", IF(em_comparison, has_alpha)),
    FIELD("depth", EM_DEPTH, em_comparison, depth, 0, EM_CSV_KEY,
          "layers kept; null: the whole model"),
    FIELD("seq_len", EM_WHOLE, em_comparison, seq_len, EM_REQUIRED, EM_CSV_KEY,
          "the row length, in tokens"),
    FIELD(NULL, EM_INLINE, em_comparison, all, EM_NEW_LINE, 1, NULL, .inner = &difference),
    FIELD("grouped_by", EM_CHOICE, em_comparison, groups_are_rows, 0, 0, "what its groups are",
          .words = {"document", "row"}),
    FIELD("perplexity_ratio", EM_NUMBER, em_comparison, perplexity_ratio, EM_NEW_LINE, 1,
          "exp(difference)"),
    FIELD("better", EM_NUMBER, em_comparison, better, 0, 1, "share of predictions whose NLL fell"),
    FIELD("same_top1", EM_NUMBER, em_comparison, same_top1, 0, 1,
          "share of predictions with the same likeliest token"),
    FIELD("probability_change", EM_NUMBER, em_comparison, probability_change, EM_NEW_LINE, 1,
          "mean change of the label's probability"),
    FIELD("probability_change_rms", EM_NUMBER, em_comparison, probability_change_rms, 0, 1,
          "its root mean square"),
    PART("affected", EM_OBJECT, EM_REQUIRED | EM_NEW_LINE, 3,
         "the predictions that the choice of masks can affect", .inner = &affected,
         .column = "affected", .wanted = of_masks, .shown = of_masks),
    PART("common", EM_OBJECT, EM_NEW_LINE, 3,
         "with several row lengths: the predictions that are scored at every one", .inner = &common,
         .column = "common", IF(em_comparison, has_common)),
    PART("kl", EM_OBJECT, EM_OR_NULL | EM_NEW_LINE, 2, "KL(after || before), nats", .inner = &kl,
         IF(em_comparison, has_kl)),
    MANY("subsets", EM_ARRAY, em_comparison, subsets, n_subsets, EM_NEW_LINE, 5,
         "by subset, in the order of their names", .inner = &subset_difference, .column = "subset"),
    MANY("by_position", EM_ARRAY, em_comparison, by_position, n_by_position, EM_NEW_LINE, 5,
         "by position in the document, ascending", .inner = &position_difference,
         .column = "position"),
    FIELD("boundary", EM_OBJECT, em_comparison, boundary, EM_NEW_LINE, 4,
          "predictions whose label is of another document", .inner = &difference_slice,
          .column = "boundary"),
    FIELD("inside", EM_OBJECT, em_comparison, inside, 0, 4, "the others",
          .inner = &difference_slice, .column = "inside"),
};

/* The types name both sides in every kind. */
static const char *finish_comparison(void *object, const char **key) {
    em_comparison *x = object;
    if (of_masks(x)) {
        memcpy(x->before, x->after, sizeof x->before);
    } else {
        memcpy(x->mask_before, x->mask, sizeof x->mask_before);
        memcpy(x->positions_before, x->positions, sizeof x->positions_before);
    }
    return check_order(x->subsets, x->n_subsets, x->by_position, x->n_by_position, key);
}

static const em_object comparison = OBJECT(comparison_fields, finish_comparison);

/* ---- the rest ---- */

static const em_field mean_fields[] = {
    FIELD("model", EM_TEXT, em_mean, model, EM_REQUIRED, EM_CSV_KEY,
          "the model's name; \"amplified\" at an alpha"),
    FIELD("alpha", EM_NUMBER, em_mean, alpha, EM_OR_NULL, EM_CSV_KEY, "the amplified model's alpha",
          IF(em_mean, has_alpha)),
    FIELD("depth", EM_DEPTH, em_mean, depth, 0, EM_CSV_KEY, "layers kept; null: the whole model"),
    FIELD("seq_len", EM_WHOLE, em_mean, seq_len, EM_REQUIRED, EM_CSV_KEY,
          "the row length, in tokens"),
    FIELD("mask", EM_TEXT, em_mean, mask, EM_REQUIRED, EM_CSV_KEY, "the attention mask"),
    FIELD("labels", EM_TEXT, em_mean, labels, EM_REQUIRED, EM_CSV_KEY, "the label scheme"),
    FIELD("positions", EM_TEXT, em_mean, positions, EM_REQUIRED, EM_CSV_KEY,
          "whether positions restart with a document"),
    FIELD("loss_macro", EM_NUMBER, em_mean, macro, EM_REQUIRED, 1,
          "mean of the data sets' losses, nats"),
    FIELD("loss_micro", EM_NUMBER, em_mean, micro, EM_REQUIRED, 1,
          "mean over all predictions, nats"),
};
static const em_object mean = OBJECT(mean_fields, NULL);

static const em_field gate_fields[] = {
    FIELD("name", EM_STRING, em_gate, name, EM_REQUIRED, EM_CSV_KEY, "what is held",
          .column = "model"),
    FIELD("passed", EM_FLAG, em_gate, passed, EM_REQUIRED, 1, "the verdict"),
    FIELD("message", EM_STRING, em_gate, message, EM_REQUIRED, 1, "one sentence"),
    FIELD("baseline", EM_NUMBER, em_gate, baseline, 0, 1, "the loss that it is held to, nats"),
    FIELD("current", EM_NUMBER, em_gate, current, 0, 1, "the loss now, nats"),
    FIELD("difference", EM_NUMBER, em_gate, difference, 0, 1, "current minus baseline, nats"),
    FIELD("tolerance", EM_NUMBER, em_gate, tolerance, 0, 1, "the most that it may be, nats"),
};
static const em_object gate = OBJECT(gate_fields, NULL);

static const em_field model_fields[] = {
    FIELD("name", EM_TEXT, em_model_line, name, EM_REQUIRED, 0, "what the results call it"),
    FIELD("group", EM_TEXT, em_model_line, group, EM_OMIT_EMPTY, 0,
          "the repeated trainings that it is one of"),
    FIELD("family", EM_TEXT, em_model_line, family, 0, 0, "the architecture"),
    FIELD("parameters", EM_COUNT, em_model_line, parameters, 0, 0, "parameters"),
    FIELD("layers", EM_WHOLE, em_model_line, layers, 0, 0, "layers"),
    FIELD("vocab", EM_WHOLE, em_model_line, vocab, 0, 0, "rows of the embedding"),
};
static const em_object model = OBJECT(model_fields, NULL);

static const em_field totals_fields[] = {
    FIELD("documents", EM_COUNT, em_data_totals, documents, EM_REQUIRED, 0, "documents read"),
    FIELD("tokens", EM_COUNT, em_data_totals, tokens, EM_REQUIRED, 0, "their tokens"),
    FIELD("bytes", EM_COUNT, em_data_totals, bytes, EM_REQUIRED, 0, "their UTF-8 bytes"),
    FIELD("rows", EM_COUNT, em_data_totals, rows, EM_REQUIRED, 0, "rows packed"),
    FIELD("batches", EM_COUNT, em_data_totals, batches, EM_REQUIRED, 0, "batches of rows"),
    FIELD("empty_documents", EM_COUNT, em_data_totals, empty_documents, 0, 0,
          "documents without a token"),
    FIELD("bad_records", EM_COUNT, em_data_totals, bad_records, 0, 0, "records skipped as broken"),
    FIELD("filtered_records", EM_COUNT, em_data_totals, filtered_records, 0, 0,
          "records that the filters left out"),
};
static const em_object totals = OBJECT(totals_fields, NULL);

static const em_field data_set_fields[] = {
    FIELD("data_set", EM_TEXT, em_data_set, name, EM_REQUIRED, 0, "its name"),
    FIELD("pack", EM_TEXT, em_data_set, pack, 0, 0,
          "\"stream\": rows across documents; \"none\": each by itself"),
    FIELD(NULL, EM_INLINE, em_data_set, totals, 0, 0, NULL, .inner = &totals),
};
static const em_object data_set = OBJECT(data_set_fields, NULL);

const em_field em_gates_field =
    MANY("gates", EM_ARRAY, em_results, gates, n_gates, EM_OMIT_EMPTY | EM_NEW_LINE, 4,
         "conditions that the run was held to", .inner = &gate, .column = "gate");
static const em_object gates = {&em_gates_field, 1, NULL};

static bool several_sets(const void *file) {
    return ((const em_results_file *)file)->r.n_data_sets > 1;
}
static bool no_sets(const void *file) {
    return ((const em_results_file *)file)->r.n_data_sets == 0;
}

static const em_field file_fields[] = {
    FIELD("evalmask", EM_TEXT, em_results, version, EM_REQUIRED, 0, "the version that measured"),
    FIELD("partial", EM_FLAG, em_results, partial, EM_OMIT_EMPTY | EM_NEW_LINE, 0,
          "interrupted: the figures are of the rows until then"),
    FIELD("title", EM_TEXT, em_results, title, EM_OMIT_EMPTY | EM_NEW_LINE, 0,
          "the config's title"),
    FIELD("table", EM_TEXT, em_results, table, EM_OMIT_EMPTY | EM_NEW_LINE, 0,
          "the published table that the config asks for"),
    FIELD("models", EM_ARRAY, em_results, models, EM_NEW_LINE, 0, "the models", .inner = &model,
          .capacity = EM_MAX_MODELS, .too_many = "are more than a run takes",
          .count = offsetof(em_results, n_models), .element = sizeof(em_model_line)),
    MANY("protocol", EM_MAP, em_results, protocol, n_protocol, EM_NEW_LINE, 0,
         "what all results share"),
    FIELD("data", EM_OBJECT, em_results_file, data, EM_REQUIRED | EM_NEW_LINE, 0,
          "all data sets together, each document once", .inner = &totals, .wanted = no_sets),
    MANY("data_sets", EM_ARRAY, em_results, data_sets, n_data_sets, EM_NEW_LINE, 0,
         "the data sets, where there are several", .inner = &data_set, .shown = several_sets),
    MANY("means", EM_ARRAY, em_results, means, n_means, EM_NEW_LINE, 3,
         "means over the data sets, where there are several", .inner = &mean, .column = "mean",
         .shown = several_sets),
    MANY("results", EM_ARRAY, em_results, results, n_results, EM_NEW_LINE, 1,
         "one a side, mask, label scheme, kind of positions and row length", .inner = &result,
         .column = "result", .none = "are none: this is no results.json of evalmask"),
    MANY("comparisons", EM_ARRAY, em_results, comparisons, n_comparisons,
         EM_OMIT_EMPTY | EM_NEW_LINE, 2, "two sides on the same predictions", .inner = &comparison,
         .column = "comparison"),
    PART(NULL, EM_INLINE, EM_NEW_LINE, 4, NULL, .inner = &gates),
    MANY("notes", EM_STRINGS, em_results, notes, n_notes, EM_NEW_LINE, 0,
         "sentences that a reader must see"),
};
const em_object em_results_fields = OBJECT(file_fields, NULL);

/* ---- what all that goes by the rows needs ---- */

static bool is_empty(const em_field *f, const void *object) {
    int n;
    if (f->kind == EM_TEXT) return !*(const char *)em_field_at(f, object);
    if (f->kind == EM_FLAG) return !*(const bool *)em_field_at(f, object);
    em_field_elements(f, object, &n);
    return n == 0;
}

bool em_field_there(const em_field *f, const void *object) {
    return !f->there || *((const bool *)object + f->there - 1);
}

bool em_field_shown(const em_field *f, const void *object) {
    if (f->shown && !f->shown(object)) return false;
    return !(f->flags & EM_OMIT_EMPTY) || !is_empty(f, object);
}

void *em_field_elements(const em_field *f, const void *object, int *n) {
    memcpy(n, (const char *)object + f->count, sizeof *n);
    if (f->capacity) return em_field_at(f, object);
    void *elements;
    memcpy(&elements, em_field_at(f, object), sizeof elements);
    return elements;
}

int em_field_choice(const em_field *f, const void *object) {
    const void *at = em_field_at(f, object);
    if (f->size == sizeof(bool)) return *(const bool *)at;
    int choice;
    memcpy(&choice, at, sizeof choice);
    return choice;
}

void em_field_choose(const em_field *f, void *object, int choice) {
    void *at = em_field_at(f, object);
    if (f->size == sizeof(bool)) *(bool *)at = choice;
    else memcpy(at, &choice, sizeof choice);
}
