#include "eval/statistics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/grouped.h"
#include "common/hash.h"
#include "common/size.h"
#include "eval/buckets.h"

/* A figure's sum: `row` is the part of the row that is being added. */
typedef struct sum { double total, row; } sum;

typedef struct slice {
    int64_t documents, predictions, correct, text_bytes;
    sum nll, text_nll;
    bool touched;               /* in this row */
} slice;

struct em_statistics {
    bool groups_are_rows;
    slice all, inside, common, leak[3], positions[EM_POSITION_BUCKETS];
    slice *subsets;             /* by the loader's group index */
    size_t n_subsets, subset_capacity;
    int32_t *touched;           /* subsets of this row */
    size_t n_touched, touched_capacity;
    int64_t row_predictions;

    int64_t rows;
    double batch_nll, batch_means;
    int64_t batch_predictions, batches;

    em_document_sum document;   /* the open one; document -1: none */
    double document_row;        /* its part of the row that is being added */
    int32_t document_group;
    double document_means;
    int64_t documents;
    em_document_sum *over;
    size_t n_over, over_capacity;

    em_grouped groups;

    XXH3_state_t *data;
};

em_statistics *em_statistics_new(bool groups_are_rows, em_error *err) {
    em_statistics *s = em_alloc(1, sizeof *s, "statistics", err);
    if (!s) return NULL;
    s->groups_are_rows = groups_are_rows;
    s->document.document = -1;
    s->data = XXH3_createState();
    if (!s->data) {
        em_fail_memory(err, 576, "statistics");
        em_statistics_free(s);
        return NULL;
    }
    XXH3_128bits_reset(s->data);
    return s;
}

void em_statistics_free(em_statistics *s) {
    if (!s) return;
    XXH3_freeState(s->data);
    free(s->subsets);
    free(s->touched);
    free(s->over);
    free(s);
}

/* ---- documents ---- */

static bool close_document(em_statistics *s, em_error *err) {
    em_document_sum *d = &s->document;
    if (d->document < 0) return true;
    if (d->predictions) {
        s->document_means += d->nll / (double)d->predictions;
        s->documents++;
        s->subsets[s->document_group].documents++;
        if (!s->groups_are_rows) em_grouped_add(&s->groups, d->nll, d->predictions);
    }
    if (!em_grow(&s->over, &s->over_capacity, s->n_over + 1, sizeof *s->over, "documents", err)) return false;
    s->over[s->n_over++] = *d;
    d->document = -1;
    return true;
}

static void document_row_done(em_statistics *s) {
    s->document.nll += s->document_row;
    s->document_row = 0;
}

static bool open_document(em_statistics *s, const em_prediction *p, em_error *err) {
    document_row_done(s);
    if (!close_document(s, err)) return false;
    s->document = (em_document_sum){.document = p->document};
    s->document_group = p->group;
    return true;
}

/* ---- adding ---- */

static void slice_add(slice *a, const em_prediction *p) {
    a->touched = true;
    a->predictions++;
    a->correct += p->correct;
    a->nll.row += p->nll;
    if (p->added) return;
    a->text_nll.row += p->nll;
    a->text_bytes += p->bytes;
}

static void slice_end_row(slice *a) {
    if (!a->touched) return;
    a->nll.total += a->nll.row;
    a->text_nll.total += a->text_nll.row;
    a->nll.row = a->text_nll.row = 0;
    a->touched = false;
}

static bool subset_add(em_statistics *s, const em_prediction *p, em_error *err) {
    size_t need = (size_t)p->group + 1;
    if (need > s->n_subsets) {
        if (!em_grow(&s->subsets, &s->subset_capacity, need, sizeof *s->subsets, "subsets", err)) return false;
        memset(s->subsets + s->n_subsets, 0, (need - s->n_subsets) * sizeof *s->subsets);
        s->n_subsets = need;
    }
    slice *a = &s->subsets[p->group];
    if (!a->touched) {
        if (!em_grow(&s->touched, &s->touched_capacity, s->n_touched + 1, sizeof *s->touched, "subsets", err)) return false;
        s->touched[s->n_touched++] = p->group;
    }
    slice_add(a, p);
    return true;
}

/* label id, document and stream index, little-endian, 20 bytes a prediction */
static void hash_add(em_statistics *s, const em_prediction *p) {
    unsigned char key[20];
    uint64_t fields[3] = {(uint32_t)p->label, (uint64_t)p->document, (uint64_t)p->stream};
    for (int i = 0; i < 4; i++) key[i] = (unsigned char)(fields[0] >> (8 * i));
    for (int i = 0; i < 8; i++) {
        key[4 + i] = (unsigned char)(fields[1] >> (8 * i));
        key[12 + i] = (unsigned char)(fields[2] >> (8 * i));
    }
    XXH3_128bits_update(s->data, key, sizeof key);
}

bool em_statistics_add(em_statistics *s, const em_prediction *p, em_error *err) {
    if (!subset_add(s, p, err)) return false;
    if (p->document != s->document.document && !open_document(s, p, err)) return false;
    s->document.predictions++;
    s->document_row += p->nll;
    slice_add(&s->all, p);
    if (!p->boundary) slice_add(&s->inside, p);
    if (p->common) slice_add(&s->common, p);
    slice_add(&s->leak[p->leak], p);
    slice_add(&s->positions[em_position_bucket(p->place)], p);
    s->row_predictions++;
    hash_add(s, p);
    return true;
}

bool em_statistics_end_row(em_statistics *s, em_error *err) {
    s->rows++;
    s->batch_nll += s->all.nll.row;
    s->batch_predictions += s->row_predictions;
    if (s->groups_are_rows) em_grouped_add(&s->groups, s->all.nll.row, s->row_predictions);
    s->row_predictions = 0;
    slice_end_row(&s->all);
    slice_end_row(&s->inside);
    slice_end_row(&s->common);
    for (int i = 0; i < 3; i++) slice_end_row(&s->leak[i]);
    for (int i = 0; i < EM_POSITION_BUCKETS; i++) slice_end_row(&s->positions[i]);
    for (size_t i = 0; i < s->n_touched; i++) slice_end_row(&s->subsets[s->touched[i]]);
    s->n_touched = 0;
    document_row_done(s);
    return true;
}

void em_statistics_end_batch(em_statistics *s) {
    if (s->batch_predictions) {
        s->batch_means += s->batch_nll / (double)s->batch_predictions;
        s->batches++;
    }
    s->batch_nll = 0;
    s->batch_predictions = 0;
}

const em_document_sum *em_statistics_documents(em_statistics *s, int64_t before, size_t *n, em_error *err) {
    if (s->document.document < before && !close_document(s, err)) return NULL;
    if (!em_grow(&s->over, &s->over_capacity, 1, sizeof *s->over, "documents", err)) return NULL;
    *n = s->n_over;
    return s->over;
}

void em_statistics_documents_taken(em_statistics *s) { s->n_over = 0; }

double em_statistics_running_loss(const em_statistics *s) {
    return s->all.predictions ? s->all.nll.total / (double)s->all.predictions : NAN;
}

/* ---- saved and restored ---- */

/* Between rows a sum is its total, and nothing is touched. */
static bool slice_state(slice *a, em_state *io) {
    return EM_STATE(io, a->documents) && EM_STATE(io, a->predictions) && EM_STATE(io, a->correct) && EM_STATE(io, a->text_bytes) &&
           EM_STATE(io, a->nll.total) && EM_STATE(io, a->text_nll.total);
}

static bool subsets_state(em_statistics *s, em_state *io) {
    size_t n = s->n_subsets;
    if (!em_state_length(io, &n, 6 * 8)) return false;
    if (!em_grow(&s->subsets, &s->subset_capacity, n, sizeof *s->subsets, "subsets", io->err)) return io->failed = true, false;
    if (!io->into && n) memset(s->subsets, 0, n * sizeof *s->subsets);
    s->n_subsets = n;
    for (size_t i = 0; i < n; i++)
        if (!slice_state(&s->subsets[i], io)) return false;
    return true;
}

static bool document_state(em_statistics *s, em_state *io) {
    int64_t group = s->document_group;
    if (!em_state_within(io, &s->document.document, -1, INT64_MAX) || !EM_STATE(io, s->document.predictions) ||
        !EM_STATE(io, s->document.nll) || !em_state_within(io, &group, 0, INT32_MAX)) return false;
    if (s->document.document >= 0 && (size_t)group >= s->n_subsets) return em_state_bad(io);
    s->document_group = (int32_t)group;
    return EM_STATE(io, s->document_means) && EM_STATE(io, s->documents);
}

bool em_statistics_state(em_statistics *s, em_state *io) {
    bool good = slice_state(&s->all, io) && slice_state(&s->inside, io) && slice_state(&s->common, io);
    for (int i = 0; i < 3; i++) good = good && slice_state(&s->leak[i], io);
    for (int i = 0; i < EM_POSITION_BUCKETS; i++) good = good && slice_state(&s->positions[i], io);
    return good && subsets_state(s, io) && EM_STATE(io, s->rows) && EM_STATE(io, s->batch_nll) && EM_STATE(io, s->batch_means) &&
           EM_STATE(io, s->batch_predictions) && EM_STATE(io, s->batches) && document_state(s, io) &&
           em_grouped_state(&s->groups, io) && em_state_hash(io, s->data);
}

/* ---- figures ---- */

static double ratio(double a, double b) { return b > 0 ? a / b : NAN; }

/* sqrt(G/(G-1) * sum_g (S_g - L N_g)^2) / sum_g N_g */
static void slice_result(const slice *a, em_slice *out) {
    out->documents = a->documents;
    out->predictions = a->predictions;
    out->top1_count = a->correct;
    out->nll = a->nll.total;
    out->text_nll = a->text_nll.total;
    out->text_bytes = a->text_bytes;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const em_slice *)a)->name, ((const em_slice *)b)->name);
}

static bool subsets_result(const em_statistics *s, em_result *out, const char *(*group_name)(const void *, int32_t),
                           const void *data, em_error *err) {
    out->subsets = em_alloc(s->n_subsets, sizeof *out->subsets, "subsets", err);
    if (!out->subsets) return false;
    for (size_t i = 0; i < s->n_subsets; i++) {
        if (s->subsets[i].predictions == 0) continue;
        em_slice *to = &out->subsets[out->n_subsets];
        slice_result(&s->subsets[i], to);
        to->name = strdup(group_name(data, (int32_t)i));
        if (!to->name) return em_fail_memory(err, 64, "subsets");
        out->n_subsets++;
    }
    if (out->n_subsets) qsort(out->subsets, (size_t)out->n_subsets, sizeof *out->subsets, by_name);
    return true;
}

static bool positions_result(const em_statistics *s, em_result *out, em_error *err) {
    out->by_position = em_alloc(EM_POSITION_BUCKETS, sizeof *out->by_position, "positions", err);
    if (!out->by_position) return false;
    for (int b = 0; b < EM_POSITION_BUCKETS; b++) {
        if (s->positions[b].predictions == 0) continue;
        em_slice *to = &out->by_position[out->n_by_position++];
        slice_result(&s->positions[b], to);
        to->from = em_bucket_from(b);
        to->to = em_bucket_to(b);
    }
    return true;
}

bool em_statistics_finish(em_statistics *s, em_result *out, const char *(*group_name)(const void *, int32_t),
                          const void *data, em_error *err) {
    if (!close_document(s, err)) return false;
    em_statistics_end_batch(s);
    const slice *all = &s->all;
    double n = (double)all->predictions, bits = M_LN2 * (double)all->text_bytes;
    out->rows = s->rows;
    out->batches = s->batches;
    out->documents = s->documents;
    out->predictions = all->predictions;
    out->boundary_predictions = all->predictions - s->inside.predictions;
    out->loss = ratio(all->nll.total, n);
    out->loss_batch_mean = ratio(s->batch_means, (double)s->batches);
    out->loss_doc_mean = ratio(s->document_means, (double)s->documents);
    out->loss_no_boundary = ratio(s->inside.nll.total, (double)s->inside.predictions);
    out->perplexity = exp(out->loss);
    out->bits_per_byte = ratio(all->text_nll.total, bits);
    out->bits_per_byte_all = ratio(all->nll.total, bits);
    out->top1 = ratio((double)all->correct, n);
    out->stderr_ = em_grouped_stderr(&s->groups, out->loss, all->predictions);
    out->groups = s->groups.n;
    out->groups_are_rows = s->groups_are_rows;
    slice_result(&s->common, &out->common);
    slice_result(&s->leak[EM_CLEAN], &out->clean);
    slice_result(&s->leak[EM_LEAK_DIRECT], &out->direct);
    slice_result(&s->leak[EM_LEAK_INDIRECT], &out->indirect);
    out->leak = out->direct.predictions + out->indirect.predictions > 0;
    em_hash_hex(XXH3_128bits_digest(s->data), out->fingerprints.data);
    return subsets_result(s, out, group_name, data, err) && positions_result(s, out, err);
}
