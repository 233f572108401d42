#include "eval/statistics/sidecar.h"

#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/size.h"

typedef struct entry {
    int64_t document;
    uint64_t bytes;
    char *subset; /* owned */
} entry;

struct em_sidecar {
    em_output *out;
    const char *data_set;
    int32_t seq_len;
    size_t n_results;
    entry *entries;        /* waiting documents, ascending */
    em_document_sum *sums; /* [entries, results] */
    size_t n, entries_capacity, sums_capacity;
    int64_t newest;
    em_buffer line;
};

static const char what[] = "per-document results";

em_sidecar *em_sidecar_new(em_output *out, const char *data_set, int32_t seq_len, int n_results,
                           em_error *err) {
    em_sidecar *s = em_alloc(1, sizeof *s, what, err);
    if (!s) return NULL;
    s->out = out;
    s->data_set = data_set;
    s->seq_len = seq_len;
    s->n_results = (size_t)n_results;
    s->newest = -1;
    return s;
}

void em_sidecar_free(em_sidecar *s) {
    if (!s) return;
    for (size_t i = 0; i < s->n; i++) free(s->entries[i].subset);
    free(s->entries);
    free(s->sums);
    em_buffer_free(&s->line);
    free(s);
}

static bool reserve(em_sidecar *s, size_t n, em_error *err) {
    return em_grow(&s->entries, &s->entries_capacity, n, sizeof *s->entries, what, err) &&
           em_grow(&s->sums, &s->sums_capacity, n * s->n_results, sizeof *s->sums, what, err);
}

bool em_sidecar_document(em_sidecar *s, int64_t document, const char *subset, uint64_t bytes,
                         em_error *err) {
    if (document <= s->newest) return true;
    if (!reserve(s, s->n + 1, err)) return false;
    char *name = strdup(subset);
    if (!name) return em_fail_memory(err, strlen(subset), what);
    s->entries[s->n] = (entry){document, bytes, name};
    memset(s->sums + s->n * s->n_results, 0, s->n_results * sizeof *s->sums);
    s->n++;
    s->newest = document;
    return true;
}

void em_sidecar_add(em_sidecar *s, int result, const em_document_sum *sum) {
    size_t low = 0, high = s->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (s->entries[middle].document < sum->document) low = middle + 1;
        else high = middle;
    }
    if (low < s->n && s->entries[low].document == sum->document)
        s->sums[low * s->n_results + (size_t)result] = *sum;
}

static bool write_entry(em_sidecar *s, size_t i, em_error *err) {
    em_buffer *b = &s->line;
    em_buffer_clear(b);
    em_buffer_puts(b, "{");
    if (*s->data_set) {
        em_buffer_puts(b, "\"data_set\":");
        em_buffer_json(b, s->data_set, strlen(s->data_set));
        em_buffer_puts(b, ",");
    }
    if (s->seq_len) em_buffer_printf(b, "\"seq_len\":%d,", s->seq_len);
    em_buffer_printf(b, "\"document\":%lld,\"subset\":", (long long)s->entries[i].document);
    em_buffer_json(b, s->entries[i].subset, strlen(s->entries[i].subset));
    em_buffer_printf(b, ",\"bytes\":%llu,\"predictions\":[",
                     (unsigned long long)s->entries[i].bytes);
    const em_document_sum *sums = s->sums + i * s->n_results;
    for (size_t r = 0; r < s->n_results; r++)
        em_buffer_printf(b, "%s%lld", r ? "," : "", (long long)sums[r].predictions);
    em_buffer_puts(b, "],\"nll\":[");
    for (size_t r = 0; r < s->n_results; r++) {
        if (r) em_buffer_puts(b, ",");
        em_buffer_double(b, sums[r].nll);
    }
    em_buffer_puts(b, "]}\n");
    return em_output_write(s->out, b->data, b->length, err);
}

bool em_sidecar_flush(em_sidecar *s, int64_t before, em_error *err) {
    size_t done = 0;
    while (done < s->n && s->entries[done].document < before) {
        if (!write_entry(s, done, err)) return false;
        free(s->entries[done++].subset);
    }
    if (done == 0) return true;
    s->n -= done;
    memmove(s->entries, s->entries + done, s->n * sizeof *s->entries);
    memmove(s->sums, s->sums + done * s->n_results, s->n * s->n_results * sizeof *s->sums);
    return true;
}

static bool entry_state(em_sidecar *s, size_t i, em_state *io) {
    entry *e = &s->entries[i];
    if (!EM_STATE(io, e->document) || !EM_STATE(io, e->bytes) || !em_state_string(io, &e->subset))
        return false;
    em_document_sum *sums = s->sums + i * s->n_results;
    for (size_t r = 0; r < s->n_results; r++)
        if (!EM_STATE(io, sums[r].document) || !EM_STATE(io, sums[r].predictions) ||
            !EM_STATE(io, sums[r].nll))
            return false;
    return true;
}

bool em_sidecar_state(em_sidecar *s, em_state *io) {
    size_t n = s->n;
    if (!em_state_within(io, &s->newest, -1, INT64_MAX) ||
        !em_state_length(io, &n, 3 * 8 * (1 + s->n_results)))
        return false;
    if (!reserve(s, n, io->err)) return io->failed = true, false;
    for (size_t i = 0; i < n; i++) {
        if (!io->into) s->entries[s->n++] = (entry){0};
        if (!entry_state(s, i, io)) return false;
    }
    return true;
}
