#include "reports/diff/pairing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"

static bool is(const char *a, const char *b) { return !strcmp(a, b); }

/* ---- what differs ---- */

static const char *line_of(const em_results *r, const char *key) {
    for (int i = 0; i < r->n_protocol; i++)
        if (is(r->protocol[i].key, key)) return r->protocol[i].value;
    return "none";
}

/* A common vocabulary is as large as the smallest of the models'. */
static int common_vocab(const em_results *r) {
    int least = INT32_MAX;
    for (int i = 0; i < r->n_models; i++)
        if (r->models[i].vocab < least) least = r->models[i].vocab;
    return is(line_of(r, "common_vocab"), "none") ? 0 : least;
}

static void put_change(em_buffer *out, const char *key, const char *before, const char *after) {
    if (!is(before, after))
        em_buffer_printf(out, "%s%s: %s -> %s", out->length ? "; " : "", key, before, after);
}

static void put_integers(em_buffer *out, const char *key, int64_t before, int64_t after) {
    if (before != after)
        em_buffer_printf(out, "%s%s: %" PRId64 " -> %" PRId64, out->length ? "; " : "", key, before,
                         after);
}

/* The lines of the protocol fingerprint (docs/protocol.md) but for the dtypes. */
static void protocol_changes(const em_pairing *p, const em_result *a, const em_result *b,
                             em_buffer *out) {
    static const char *const shared[] = {"boundary", "tail"};
    put_change(out, "mask", a->mask, b->mask);
    put_change(out, "labels", a->labels, b->labels);
    put_change(out, "positions", a->positions, b->positions);
    put_change(out, "pack", a->pack, b->pack);
    if (*a->window && *b->window) put_change(out, "window", a->window, b->window);
    put_integers(out, "seq_len", a->seq_len, b->seq_len);
    for (size_t i = 0; i < sizeof shared / sizeof *shared; i++)
        put_change(out, shared[i], line_of(p->before, shared[i]), line_of(p->after, shared[i]));
    if (is(line_of(p->before, "tail"), "drop")) put_integers(out, "batch", a->batch, b->batch);
    if (a->has_alpha && b->has_alpha)
        put_change(out, "alpha_space", line_of(p->before, "alpha_space"),
                   line_of(p->after, "alpha_space"));
    put_integers(out, "common_vocab", common_vocab(p->before), common_vocab(p->after));
}

static void dtype_changes(const em_result *a, const em_result *b, em_buffer *out) {
    put_change(out, "compute dtype", a->compute_dtype, b->compute_dtype);
    put_change(out, "logit dtype", a->logit_dtype, b->logit_dtype);
}

static void data_changes(const em_pairing *p, const em_result *a, const em_result *b,
                         em_buffer *out) {
    static const char *const shared[] = {"tokenizer", "bos",      "eos",        "text_key",
                                         "subset",    "max_docs", "max_tokens", "skip_bad_records"};
    for (size_t i = 0; i < sizeof shared / sizeof *shared; i++)
        put_change(out, shared[i], line_of(p->before, shared[i]), line_of(p->after, shared[i]));
    put_integers(out, "scored documents", a->documents, b->documents);
    put_integers(out, "predictions", a->predictions, b->predictions);
}

static em_likeness likeness(const em_pairing *p, const em_result *a, const em_result *b) {
    if (!is(a->fingerprints.data, b->fingerprints.data)) return EM_OTHER_MEASURE;
    if (is(a->fingerprints.protocol, b->fingerprints.protocol)) return EM_SAME_MEASURE;
    em_buffer protocol = {0}, dtypes = {0};
    protocol_changes(p, a, b, &protocol);
    dtype_changes(a, b, &dtypes);
    bool only_dtype = protocol.length == 0 && dtypes.length > 0;
    em_buffer_free(&protocol);
    em_buffer_free(&dtypes);
    return only_dtype ? EM_OTHER_DTYPE : EM_OTHER_MEASURE;
}

static void put_fingerprint(em_buffer *out, const char *which, const char *before,
                            const char *after, const em_buffer *changes) {
    if (is(before, after)) return;
    em_buffer_printf(out, "%s%s fingerprint (%s)", out->length ? ", " : "", which,
                     changes->length ? changes->data : "nothing that the files name differs");
}

void em_pair_differences(const em_pairing *p, const em_result_pair *pair, em_buffer *out) {
    const em_result *a = &p->before->results[pair->before], *b = &p->after->results[pair->after];
    em_buffer protocol = {0}, data = {0}, text = {0};
    protocol_changes(p, a, b, &protocol);
    dtype_changes(a, b, &protocol);
    data_changes(p, a, b, &data);
    put_fingerprint(&text, "protocol", a->fingerprints.protocol, b->fingerprints.protocol,
                    &protocol);
    put_fingerprint(&text, "data", a->fingerprints.data, b->fingerprints.data, &data);
    if (text.length) em_buffer_puts(out, text.data);
    em_buffer_free(&protocol);
    em_buffer_free(&data);
    em_buffer_free(&text);
}

/* ---- who belongs to whom ---- */

enum {
    FINGERPRINTS = 1,
    DATA_SET = 2,
    MODEL = 4,
    MASK = 8,
    LABELS = 16,
    PLACES = 32,
    VARIANT = 64
};

/* What has to agree, in the order of trying: each measure with each of the names. */
static const unsigned measures[] = {FINGERPRINTS | VARIANT,
                                    MASK | LABELS | PLACES | VARIANT,
                                    MASK | LABELS | VARIANT,
                                    MASK | VARIANT,
                                    LABELS | VARIANT,
                                    VARIANT,
                                    0};
static const unsigned names[] = {DATA_SET | MODEL, DATA_SET, MODEL, 0};
enum {
    N_NAMES = sizeof names / sizeof *names,
    N_STEPS = N_NAMES * (int)(sizeof measures / sizeof *measures)
};

typedef struct entry {
    int side, index; /* 0: before, 1: after */
    bool taken;
    char key[320];
} entry;

static void write_key(entry *e, const em_result *x, unsigned by) {
    char alpha[40] = "";
    if (x->has_alpha) snprintf(alpha, sizeof alpha, "%a", x->alpha);
    int n = snprintf(e->key, sizeof e->key, "%s\t%s\t%s\t%s\t%s\t%s\t",
                     by & FINGERPRINTS ? x->fingerprints.data : "",
                     by & FINGERPRINTS ? x->fingerprints.protocol : "",
                     by & DATA_SET ? x->data_set : "", by & MODEL ? x->model : "",
                     by & MASK ? x->mask : "", by & LABELS ? x->labels : "");
    if (by & PLACES)
        n += snprintf(e->key + n, sizeof e->key - (size_t)n, "%s\t%d\t%s", x->positions, x->seq_len,
                      x->pack);
    if (by & VARIANT) snprintf(e->key + n, sizeof e->key - (size_t)n, "\t%d\t%s", x->depth, alpha);
}

static int by_key(const void *a, const void *b) {
    const entry *x = a, *y = b;
    int order = strcmp(x->key, y->key);
    return order ? order : x->side != y->side ? x->side - y->side : x->index - y->index;
}

static int by_before(const void *a, const void *b) {
    return ((const em_result_pair *)a)->before - ((const em_result_pair *)b)->before;
}

static void pair_off(em_pairing *p, entry *a, entry *b) {
    a->taken = b->taken = true;
    em_result_pair *pair = &p->pairs[p->n_pairs++];
    *pair = (em_result_pair){.before = a->index, .after = b->index};
    pair->likeness = likeness(p, &p->before->results[a->index], &p->after->results[b->index]);
}

/* Keys that exactly one result of each file has, of all results: one that has a partner already is
 * no stranger's. */
static void match(em_pairing *p, entry *entries, int n, unsigned by) {
    for (int i = 0; i < n; i++) {
        const em_results *r = entries[i].side ? p->after : p->before;
        write_key(&entries[i], &r->results[entries[i].index], by);
    }
    qsort(entries, (size_t)n, sizeof *entries, by_key);
    for (int i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && is(entries[end].key, entries[i].key);) end++;
        entry *a = &entries[i], *b = a + 1;
        if (end - i == 2 && a->side == 0 && b->side == 1 && !a->taken && !b->taken)
            pair_off(p, a, b);
    }
}

static int by_place(const void *a, const void *b) {
    return ((const entry *)a)->index - ((const entry *)b)->index;
}

static void list_alone(em_pairing *p, entry *entries, int n) {
    qsort(entries, (size_t)n, sizeof *entries, by_place);
    for (int i = 0; i < n; i++) {
        if (entries[i].taken) continue;
        if (entries[i].side) p->after_alone[p->n_after_alone++] = entries[i].index;
        else p->before_alone[p->n_before_alone++] = entries[i].index;
    }
}

bool em_pairing_make(em_pairing *p, const em_results *before, const em_results *after,
                     em_error *err) {
    static const char what[] = "pairs of results";
    int n = before->n_results + after->n_results;
    *p = (em_pairing){.before = before, .after = after};
    entry *entries = em_alloc((size_t)n, sizeof *entries, what, err);
    p->pairs = em_alloc((size_t)n, sizeof *p->pairs, what, err);
    p->before_alone = em_alloc((size_t)n, sizeof *p->before_alone, what, err);
    p->after_alone = em_alloc((size_t)n, sizeof *p->after_alone, what, err);
    bool good = entries && p->pairs && p->before_alone && p->after_alone;
    for (int i = 0; good && i < n; i++)
        entries[i] = (entry){.side = i >= before->n_results,
                             .index = i < before->n_results ? i : i - before->n_results};
    for (int i = 0; good && i < N_STEPS; i++)
        match(p, entries, n, measures[i / N_NAMES] | names[i % N_NAMES]);
    if (good) list_alone(p, entries, n);
    if (good && p->n_pairs) qsort(p->pairs, (size_t)p->n_pairs, sizeof *p->pairs, by_before);
    free(entries);
    return good;
}

void em_pairing_free(em_pairing *p) {
    free(p->pairs);
    free(p->before_alone);
    free(p->after_alone);
    *p = (em_pairing){0};
}
