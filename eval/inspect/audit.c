/* evalmask audit: mask x label scheme x depth: which positions can see their own label? */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/output.h"
#include "common/size.h"
#include "eval/inspect/inspect.h"
#include "eval/protocol/leak.h"
#include "eval/inspect/picture.h"
#include "eval/inspect/proof.h"
#include "eval/setup/setup.h"
#include "eval/inspect/verdict.h"

enum { MOST_DEPTHS = 3, MOST_RANGES = 6 };

typedef struct audit {
    const em_settings *settings;
    em_setup setup; /* closed where no data is looked at */
    em_row *row;
    int32_t row_tokens;                    /* T */
    int32_t depths[MOST_DEPTHS], n_depths; /* ascending */
    int32_t *windows;                      /* [the deepest]: each layer's own, or --window-layers */
} audit;

/* One mask under one label scheme. */
typedef struct question {
    const em_mask *mask;
    const em_label_scheme *scheme;
    em_reading reading;
    int32_t *lo, *hi;              /* [inputs] */
    uint8_t *leaks;                /* [depths, inputs] */
    int64_t count[MOST_DEPTHS][3]; /* by em_leak */
} question;

/* ---- the row ---- */

/* Without data: documents of 3/8, 1/8, 5/16 and 3/16 of the row, the last one going on behind it.
 */
static em_row *made_up_row(int32_t t, em_pack_mode pack, em_error *err) {
    const int32_t cut[] = {0, (int32_t)(t * 3LL / 8), (int32_t)(t * 4LL / 8),
                           (int32_t)(t * 13LL / 16), t + 1};
    em_row *r = em_alloc(1, sizeof *r + 4 * sizeof *r->segments, "a row", err);
    if (!r) return NULL;
    r->segments = (em_segment *)(r + 1);
    r->tokens = r->scored_to = t;
    r->window = t + 1;
    for (int i = 0; i < 4 && pack == EM_PACK_STREAM; i++)
        if (cut[i] < cut[i + 1]) {
            r->segments[r->n_segments] =
                (em_segment){.start = cut[i], .end = cut[i + 1], .document = r->n_segments};
            r->n_segments++;
        }
    if (pack == EM_PACK_NONE) r->segments[r->n_segments++] = (em_segment){.start = 0, .end = t + 1};
    return r;
}

static bool several_documents(const em_row *r) {
    return r->n_segments > 1 && r->segments[1].start < r->tokens;
}

/* The first row that holds more than one document, else the first. */
static bool read_row(audit *a, em_error *err) {
    const em_dataset *d = &a->setup.datasets[0];
    em_pack_options pack = {.mode = a->settings->protocol.pack,
                            .row_tokens = a->row_tokens,
                            .max_tokens = a->settings->data.max_tokens};
    em_loader *loader = em_setup_loader(&a->setup, &a->settings->data, d, err);
    em_packer *packer = loader ? em_packer_open(loader, &pack, err) : NULL;
    bool good = packer != NULL, several = false;
    while (good && !several) {
        em_row *row;
        int got = em_packer_next(packer, &row, err);
        good = got >= 0;
        if (got <= 0) break;
        several = several_documents(row);
        if (!a->row || several) {
            em_row_free(a->row);
            a->row = row;
        } else {
            em_row_free(row);
        }
        several |= a->settings->protocol.pack == EM_PACK_NONE;
    }
    em_packer_close(packer);
    em_loader_close(loader);
    if (good && !a->row)
        good = em_fail_at(err, EM_INPUT, d->paths[0], 0, -1, "no tokens to make a row of");
    return good;
}

static bool open_data(audit *a, em_error *err) {
    const em_settings *s = a->settings;
    if (!s->models.first.path && !s->models.tokenizer)
        return em_fail(
            err, EM_USAGE,
            "--data %s: to make a row of it, audit wants --model PATH or --tokenizer PATH",
            s->data.sets[0].path);
    em_setup_needs needs = {.models = &s->models,
                            .data = &s->data,
                            .protocol = &s->protocol,
                            .threads = s->engine.threads};
    if (!em_setup_open(&a->setup, &needs, err)) return false;
    if (a->setup.n_datasets > 1)
        return em_fail(err, EM_USAGE,
                       "--data: audit looks at one row, of one data set; give one of the %d",
                       a->setup.n_datasets);
    a->row_tokens = a->setup.row_tokens;
    return read_row(a, err);
}

/* ---- depths ---- */

static void add_depth(audit *a, int32_t depth) {
    if (a->n_depths == 0 || a->depths[a->n_depths - 1] < depth) a->depths[a->n_depths++] = depth;
}

static bool open_depths(audit *a, em_error *err) {
    const em_settings *s = a->settings;
    int32_t own = a->setup.model ? em_model_spec_of(a->setup.model)->layers : 0;
    if (own && s->audit.window_layers)
        return em_fail(
            err, EM_USAGE,
            "--window-layers is for an audit without a model; the layers of --model have windows "
            "of their own");
    if (own && s->audit.layers > own)
        return em_fail(err, EM_USAGE, "--layers %d: the model has %d layers", s->audit.layers, own);
    if (s->audit.layers) add_depth(a, s->audit.layers);
    else add_depth(a, 1);
    if (!s->audit.layers && own != 1) add_depth(a, 2);
    if (own) add_depth(a, own);
    int32_t deepest = a->depths[a->n_depths - 1];
    a->windows = em_alloc((size_t)deepest, sizeof *a->windows, "layer windows", err);
    for (int32_t l = 0; a->windows && l < deepest; l++)
        a->windows[l] = own ? em_model_layer_spec(a->setup.model, l)->window
                            : s->audit.window_layers;
    return a->windows != NULL;
}

/* Every layer's window where they agree, else 0 and *differ. */
static int32_t common_window(const audit *a, bool *differ) {
    *differ = false;
    for (int32_t l = 1; l < a->depths[a->n_depths - 1]; l++)
        if (a->windows[l] != a->windows[0]) *differ = true;
    return *differ ? 0 : a->windows[0];
}

/* ---- questions ---- */

static void question_free(question *q) {
    free(q->lo);
    free(q->hi);
    free(q->leaks);
}

static bool ask(const audit *a, question *q, em_error *err) {
    em_row_rules rules = em_protocol_row_rules(&a->settings->protocol, a->row_tokens);
    q->reading = em_labels_read(q->scheme, &rules, a->row);
    int32_t inputs = q->reading.inputs > 0 ? q->reading.inputs : 1;
    if (!(q->lo = em_alloc((size_t)inputs, sizeof *q->lo, "a mask", err)) ||
        !(q->hi = em_alloc((size_t)inputs, sizeof *q->hi, "a mask", err)) ||
        !(q->leaks = em_alloc((size_t)inputs, MOST_DEPTHS, "the audit", err)))
        return false;
    em_mask_intervals(q->mask, a->row, q->reading.inputs, q->lo, q->hi);
    for (int d = 0; d < a->n_depths; d++) {
        uint8_t *leaks = q->leaks + (size_t)d * (size_t)inputs;
        if (!em_leak_row(q->lo, q->hi, q->reading.inputs, a->windows, a->depths[d],
                         q->scheme->offset, q->reading.from, q->reading.to, leaks, err))
            return false;
        for (int32_t i = q->reading.from; i < q->reading.to; i++) q->count[d][leaks[i]]++;
    }
    return true;
}

static const uint8_t *leaks_at(const question *q, int depth) {
    return q->leaks + (size_t)depth * (size_t)q->reading.inputs;
}

static bool is_clean(const audit *a, const question *q) {
    int d = a->n_depths - 1;
    return q->count[d][EM_LEAK_DIRECT] + q->count[d][EM_LEAK_INDIRECT] == 0;
}

/* ---- in words ---- */

/* "0-511, 513 and 9 more stretches" of the positions in this class. */
static void ranges(const question *q, const uint8_t *leaks, em_leak class, em_buffer *out) {
    int shown = 0, more = 0;
    for (int32_t i = q->reading.from, end; i < q->reading.to; i = end) {
        for (end = i; end < q->reading.to && leaks[end] == leaks[i]; end++) {}
        if (leaks[i] != class) continue;
        if (shown == MOST_RANGES) {
            more++;
            continue;
        }
        em_buffer_printf(out, "%s%d", shown++ ? ", " : "", i);
        if (end - i > 1) em_buffer_printf(out, "-%d", end - 1);
    }
    if (more) em_buffer_printf(out, " and %d more stretch%s", more, more == 1 ? "" : "es");
}

static bool sees_in_layer(const audit *a, const question *q, int32_t layer, int32_t i,
                          int32_t key) {
    int32_t lo = q->lo[i], hi = q->hi[i];
    em_mask_clip(i, a->windows[layer], &lo, &hi);
    return lo <= key && key < hi;
}

/* Whether position i gets at its label through `key` alone: a layer in which the key reads the
 * label, and a later one in which i reads the key. */
static bool goes_through(const audit *a, const question *q, int32_t depth, int32_t i, int32_t key) {
    int32_t first = 0, last = depth - 1;
    while (first < depth && !sees_in_layer(a, q, first, key, i + q->scheme->offset)) first++;
    while (last > first && !sees_in_layer(a, q, last, i, key)) last--;
    return first < last;
}

static bool all_go_through(const audit *a, const question *q, int depth, int32_t key) {
    const uint8_t *leaks = leaks_at(q, depth);
    for (int32_t i = q->reading.from; i < q->reading.to; i++)
        if (leaks[i] == EM_LEAK_INDIRECT && !goes_through(a, q, a->depths[depth], i, key))
            return false;
    return true;
}

/* The way from position i down to its label, lowest keys first: path[0] = i … path[n-1] = label. */
static bool find_path(const audit *a, const question *q, int32_t layers, int32_t i, int32_t *path,
                      int32_t *n, em_error *err) {
    int32_t inputs = q->reading.inputs, label = i + q->scheme->offset;
    size_t cells;
    if (!em_size_mul((size_t)layers + 1, (size_t)inputs, &cells))
        return em_fail_memory(err, (size_t)inputs, "the audit");
    uint8_t *after = em_alloc(cells, 1, "the audit", err);
    if (!after || !em_leak_spread(q->lo, q->hi, inputs, a->windows, layers, label, after, err)) {
        free(after);
        return false;
    }
    *n = 0;
    path[(*n)++] = i;
    for (int32_t l = layers - 1; l >= 0; l--) {
        const uint8_t *before = after + (size_t)l * (size_t)inputs;
        if (before[i]) continue;
        int32_t key = 0;
        while (!before[key] || !sees_in_layer(a, q, l, i, key)) key++;
        path[(*n)++] = i = key;
    }
    free(after);
    return true;
}

/* "all through key 0", or an example of the way that the label takes. */
static bool explain_indirect(const audit *a, const question *q, int depth, em_buffer *out,
                             em_error *err) {
    const uint8_t *leaks = leaks_at(q, depth);
    int32_t layers = a->depths[depth], i = q->reading.from, n = 0;
    while (leaks[i] != EM_LEAK_INDIRECT) i++;
    int32_t *path = em_alloc((size_t)layers + 1, sizeof *path, "the audit", err);
    if (!path || !find_path(a, q, layers, i, path, &n, err)) {
        free(path);
        return false;
    }
    if (n == 3 && all_go_through(a, q, depth, path[1])) {
        em_buffer_printf(out, ",\n  through key %d, which sees their labels", path[1]);
    } else {
        em_buffer_printf(out, ";\n  for one, %d reads %d", path[0], path[1]);
        for (int32_t k = 2; k < n && k < 5; k++) em_buffer_printf(out, ", which reads %d", path[k]);
        if (n > 5) em_buffer_printf(out, ", and so on to %d", path[n - 1]);
    }
    free(path);
    return true;
}

static bool same_as_before(const question *q, int depth) {
    return depth > 0 && !memcmp(q->count[depth], q->count[depth - 1], sizeof q->count[depth]);
}

static bool depth_lines(const audit *a, const question *q, int d, em_buffer *out, em_error *err) {
    const uint8_t *leaks = leaks_at(q, d);
    const int64_t *count = q->count[d];
    int64_t scored = q->reading.to - q->reading.from;
    em_buffer_printf(out, "- %d layer%s: ", a->depths[d], a->depths[d] == 1 ? "" : "s");
    if (same_as_before(q, d)) {
        em_buffer_printf(out, "as with %d\n", a->depths[d - 1]);
        return true;
    }
    if (count[EM_CLEAN] == scored) {
        em_buffer_printf(out, "none of %lld positions can see its label\n", (long long)scored);
        return true;
    }
    const char *join = "";
    if (count[EM_LEAK_DIRECT]) {
        em_buffer_printf(out, "%lld see their label directly: ", (long long)count[EM_LEAK_DIRECT]);
        ranges(q, leaks, EM_LEAK_DIRECT, out);
        join = ";\n  ";
    }
    if (count[EM_LEAK_INDIRECT]) {
        em_buffer_printf(out, "%s%lld see it indirectly: ", join,
                         (long long)count[EM_LEAK_INDIRECT]);
        ranges(q, leaks, EM_LEAK_INDIRECT, out);
        if (!explain_indirect(a, q, d, out, err)) return false;
        join = ";\n  ";
    }
    if (count[EM_CLEAN]) {
        em_buffer_printf(out, "%s%lld cannot: ", join, (long long)count[EM_CLEAN]);
        ranges(q, leaks, EM_CLEAN, out);
    }
    em_buffer_puts(out, "\n");
    return true;
}

/* Which label schemes are clean under this mask, at the greatest depth. */
static bool clean_schemes(const audit *a, const em_mask *mask, em_buffer *out, em_error *err) {
    int n, found = 0;
    const em_label_scheme *schemes = em_label_schemes(&n);
    bool good = true;
    em_buffer_puts(out, "\nClean under this mask on this row: ");
    for (int i = 0; good && i < n; i++) {
        question q = {.mask = mask, .scheme = &schemes[i]};
        good = ask(a, &q, err);
        if (good && q.reading.from < q.reading.to && is_clean(a, &q))
            em_buffer_printf(out, "%s%s", found++ ? ", " : "", schemes[i].name);
        question_free(&q);
    }
    em_buffer_puts(out, found ? " labels.\n" : "no label scheme.\n");
    return good;
}

static void picture(const audit *a, question *q, em_buffer *out) {
    bool differ;
    int32_t window = common_window(a, &differ);
    for (int32_t i = 0; i < q->reading.inputs; i++) em_mask_clip(i, window, &q->lo[i], &q->hi[i]);
    if (window) em_buffer_printf(out, "\nWith the layers' own window of %d tokens.\n", window);
    else em_buffer_puts(out, differ ? "\nWithout the layers' own windows, which differ.\n" : "\n");
    em_picture_draw(&(em_picture){.lo = q->lo,
                                  .hi = q->hi,
                                  .inputs = q->reading.inputs,
                                  .labels = true,
                                  .offset = q->scheme->offset,
                                  .from = q->reading.from,
                                  .to = q->reading.to},
                    out);
}

static bool section(const audit *a, question *q, em_buffer *out, em_error *err) {
    em_buffer_printf(out, "\n## %s, %s labels: %s\n\n", q->mask->name, q->scheme->name,
                     is_clean(a, q) ? "clean" : "LEAK");
    char offset[16] = "";
    if (q->scheme->offset) snprintf(offset, sizeof offset, "%+d", q->scheme->offset);
    em_item(out, "The mask: %s.", q->mask->kind->words);
    em_item(out, "Position i is scored on token i%s: %s.", offset, q->scheme->words);
    em_buffer_puts(out, "\n");
    if (q->reading.from >= q->reading.to) {
        em_buffer_puts(out, "This row has no position that such labels could score.\n");
        return true;
    }
    for (int d = 0; d < a->n_depths; d++)
        if (!depth_lines(a, q, d, out, err)) return false;
    if (!is_clean(a, q) && !clean_schemes(a, q->mask, out, err)) return false;
    picture(a, q, out);
    return true;
}

/* ---- the report ---- */

static void heading(const audit *a, em_buffer *out) {
    const em_row *r = a->row;
    bool differ;
    int32_t window = common_window(a, &differ);
    em_buffer_puts(out, "# Can a position see its own label?\n\n");
    if (a->setup.tokenizer)
        em_buffer_printf(out, "Row %lld of %s, ", (long long)r->index,
                         a->setup.bundled_sample ? "the bundled sample"
                                                 : a->setup.datasets[0].paths[0]);
    else em_buffer_puts(out, "A made-up row, ");
    em_buffer_printf(out, "%d tokens: %s of", r->tokens,
                     several_documents(r) ? "documents" : "one document");
    int shown = 0;
    for (int32_t g = 0; g < r->n_segments && r->segments[g].start < r->tokens; g++) {
        int32_t end = r->segments[g].end < r->tokens ? r->segments[g].end : r->tokens;
        if (++shown <= 8)
            em_buffer_printf(out, "%s %d", shown > 1 ? "," : "", end - r->segments[g].start);
    }
    if (shown > 8) em_buffer_printf(out, " and %d more", shown - 8);
    em_buffer_puts(out, " tokens.\n");
    if (differ)
        em_buffer_puts(out, "Layers have sliding windows of their own, which differ; each is "
                            "applied in its place.\n");
    else if (window)
        em_buffer_printf(out, "Every layer has a sliding window of %d tokens.\n", window);
    em_buffer_puts(
        out, "\n| mask         | labels        | layers | scored | direct | indirect | clean |\n"
             "|--------------|---------------|-------:|-------:|-------:|---------:|------:|\n");
}

static void table_rows(const audit *a, const question *q, em_buffer *out) {
    for (int d = 0; d < a->n_depths; d++)
        em_buffer_printf(out, "| %-12s | %-13s | %6d | %6d | %6lld | %8lld | %5lld |\n",
                         q->mask->name, q->scheme->name, a->depths[d],
                         q->reading.to - q->reading.from, (long long)q->count[d][EM_LEAK_DIRECT],
                         (long long)q->count[d][EM_LEAK_INDIRECT],
                         (long long)q->count[d][EM_CLEAN]);
}

static void glossary(em_buffer *out) {
    em_buffer_puts(
        out, "\nDirect: in one layer, or as the position's own input. Indirect: only through\n"
             "several layers. A loss on positions that see their label says nothing about\n"
             "prediction.\n");
}

/* Table first, then one section a question. */
static bool geometry(const audit *a, em_buffer *out, em_error *err) {
    const em_settings *s = a->settings;
    em_buffer details = {0};
    bool good = true;
    heading(a, out);
    for (int m = 0; m < s->protocol.n_masks; m++)
        for (int l = 0; l < s->protocol.n_labels && good; l++) {
            question q = {.mask = &s->protocol.masks[m], .scheme = s->protocol.labels[l]};
            good = ask(a, &q, err);
            if (good) {
                table_rows(a, &q, out);
                good = section(a, &q, &details, err);
            }
            question_free(&q);
        }
    glossary(out);
    if (good) em_buffer_puts(out, details.data);
    em_buffer_free(&details);
    return good;
}

static bool open_audit(audit *a, em_error *err) {
    const em_settings *s = a->settings;
    a->row_tokens = s->protocol.n_row_tokens ? s->protocol.row_tokens[0] : 1024;
    if (s->models.first.path || s->models.tokenizer || s->data.n_sets) {
        if (!open_data(a, err)) return false;
    } else if (!(a->row = made_up_row(a->row_tokens, s->protocol.pack, err))) {
        return false;
    }
    return open_depths(a, err);
}

int em_command_audit(const em_settings *settings, em_error *err) {
    audit a = {.settings = settings};
    em_buffer out = {0};
    bool refuted = false, good = open_audit(&a, err);
    if (good && !settings->output.quiet) em_setup_notes(&a.setup);
    if (good) em_settings_notes(settings);
    good = good && geometry(&a, &out, err);
    if (good && a.setup.model)
        good = em_proof_run(&(em_proof){.settings = settings, .setup = &a.setup, .row = a.row},
                            &out, &refuted, err);
    good = good && em_print(out.data, out.length, err) == 0;
    em_buffer_free(&out);
    em_row_free(a.row);
    free(a.windows);
    em_setup_close(&a.setup);
    if (!good) return err->status;
    return refuted ? EM_GATE : EM_OK;
}
