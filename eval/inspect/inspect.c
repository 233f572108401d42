/* evalmask inspect: how the data becomes rows, and one of them in full. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/output.h"
#include "common/size.h"
#include "eval/inspect/inspect.h"
#include "eval/inspect/packed.h"
#include "eval/inspect/packing.h"
#include "eval/inspect/picture.h"
#include "eval/inspect/quote.h"
#include "eval/setup/setup.h"
#include "eval/inspect/verdict.h"

enum { BAR = 40 }; /* columns of a histogram's longest bar */

typedef struct inspection {
    const em_settings *settings;
    const em_setup *setup;
    const em_dataset *data;
    em_loader *loader;
    em_packer *packer;
    em_packing_counter *counter;
    em_packing packing;
    em_loader_counts counts;
    em_row *chosen; /* the row to draw */
} inspection;

/* ---- reading ---- */

static bool several_documents(const em_row *r) {
    return r->n_segments > 1 && r->segments[1].start < r->tokens;
}

/* --row N, else the first row that holds more than one document, else the first. */
static bool better_choice(const inspection *x, const em_row *row) {
    if (x->settings->inspect.row >= 0) return row->index == x->settings->inspect.row;
    return !x->chosen || (several_documents(row) && !several_documents(x->chosen));
}

static bool read_rows(inspection *x, em_error *err) {
    em_row *row;
    int got;
    while ((got = em_packer_next(x->packer, &row, err)) == 1) {
        em_packing_add(x->counter, row);
        if (better_choice(x, row)) {
            em_row_free(x->chosen);
            x->chosen = row;
        } else {
            em_row_free(row);
        }
    }
    if (got < 0) return false;
    em_packing_finish(x->counter, &x->packing);
    em_loader_counts_get(x->loader, &x->counts);
    if (x->packing.rows == 0)
        return em_fail_at(err, EM_INPUT, x->data->paths[0], 0, -1,
                          "no tokens: %lld documents, %lld of another subset",
                          (long long)x->counts.documents, (long long)x->counts.filtered);
    if (!x->chosen)
        return em_fail(err, EM_USAGE, "--row %lld: the data makes %lld rows, from 0 to %lld",
                       (long long)x->settings->inspect.row, (long long)x->packing.rows,
                       (long long)x->packing.rows - 1);
    return true;
}

/* ---- the whole ---- */

static double percent(int64_t part, int64_t whole) {
    return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void special_line(em_buffer *out, const char *name, const em_special *s, int64_t added,
                         int64_t in_text, int64_t documents) {
    if (s->id < 0) {
        em_buffer_printf(out, "- %s: none\n", name);
        return;
    }
    em_buffer_printf(out, "- %s: id %d `%s`, from %s: %lld for %lld documents", name, s->id,
                     s->text, s->origin, (long long)added, (long long)documents);
    if (in_text) em_buffer_printf(out, ",\n  and %lld inside texts", (long long)in_text);
    if (*s->note) em_buffer_printf(out, "\n  (%s)", s->note);
    em_buffer_puts(out, "\n");
}

static void documents_lines(const inspection *x, em_buffer *out) {
    const em_loader_counts *c = &x->counts;
    const em_packing *p = &x->packing;
    em_buffer_printf(out, "- documents: %lld", (long long)c->documents);
    if (c->empty) em_buffer_printf(out, ", %lld of them without text", (long long)c->empty);
    if (c->filtered)
        em_buffer_printf(out, "; %lld of other subsets left out", (long long)c->filtered);
    if (c->bad) em_buffer_printf(out, "; %lld broken records skipped", (long long)c->bad);
    if (*x->data->left_out) em_buffer_printf(out, "\n- directories: %s", x->data->left_out);
    em_buffer_printf(out, "\n- tokens: %lld, EOS and BOS among them\n", (long long)p->tokens);
    special_line(out, "EOS", &x->setup->eos, p->eos_added, p->eos_in_text, p->documents);
    special_line(out, "BOS", &x->setup->bos, p->bos_added, p->bos_in_text, p->documents);
    if (x->settings->data.max_tokens && x->packing.tokens == x->settings->data.max_tokens)
        em_buffer_puts(out, "- the stream is cut by --max-tokens, perhaps inside a document\n");
    em_buffer_printf(out, "- document length: %lld to %lld tokens, mean %.1f\n",
                     (long long)p->shortest, (long long)p->longest,
                     (double)p->tokens / (double)p->documents);
}

static void rows_lines(const inspection *x, em_buffer *out) {
    const em_packing *p = &x->packing;
    bool alone = x->settings->protocol.pack == EM_PACK_NONE;
    em_buffer_printf(out, "- rows: %lld of T = %d%s, the last has %lld tokens\n",
                     (long long)p->rows, x->setup->row_tokens,
                     alone ? ", each document by itself" : "", (long long)p->last_row_tokens);
    em_buffer_printf(out, "- documents per row: %d at least, median %d, %d at most\n",
                     p->least_documents, p->median_documents, p->most_documents);
    int64_t empty = p->slots - p->tokens;
    if (empty)
        em_buffer_printf(out, "- places without a token: %lld of %lld (%.2f %%), %s\n",
                         (long long)empty, (long long)p->slots, percent(empty, p->slots),
                         alone ? "behind the documents' ends" : "behind the last token");
}

static void schemes_table(const inspection *x, em_buffer *out) {
    const em_settings *s = x->settings;
    em_buffer_printf(
        out, "\n| labels        |   rows | batches |   scored | boundary |  share | efficiency |\n"
             "|---------------|-------:|--------:|---------:|---------:|-------:|-----------:|\n");
    for (int l = 0; l < s->protocol.n_labels; l++) {
        const em_packing_scheme *m = &x->packing.schemes[l];
        int64_t counted = m->predictions -
                          (s->protocol.boundary == EM_BOUNDARY_DROP ? m->boundary : 0);
        em_buffer_printf(out, "| %-13s | %6lld | %7lld | %8lld | %8lld | %4.2f %% | %8.2f %% |\n",
                         s->protocol.labels[l]->name, (long long)m->rows, (long long)m->batches,
                         (long long)counted, (long long)m->boundary,
                         percent(m->boundary, m->predictions),
                         percent(m->tokens, m->rows * x->setup->row_tokens));
    }
    em_buffer_printf(
        out,
        "\nA boundary prediction's label belongs to another document than its position's token%s.\n"
        "Efficiency: tokens in the rows that are scored, of T times those rows.\n",
        s->protocol.boundary == EM_BOUNDARY_DROP ? ";\nhere they are not counted (--boundary drop)"
                                                 : "");
    for (int l = 0; l < s->protocol.n_labels; l++) {
        const em_packing_scheme *m = &x->packing.schemes[l];
        if (m->dropped_rows)
            em_buffer_printf(
                out,
                "--tail drop leaves out %lld rows with %lld tokens under %s labels (B = %d).\n",
                (long long)m->dropped_rows, (long long)m->dropped_tokens,
                s->protocol.labels[l]->name, s->protocol.batch);
    }
}

static void histogram(const em_packing *p, em_buffer *out) {
    int first = 0, last = EM_LENGTH_BUCKETS - 1;
    int64_t most = 1;
    while (first < last && !p->lengths[first]) first++;
    while (last > first && !p->lengths[last]) last--;
    for (int b = first; b <= last; b++)
        if (p->lengths[b] > most) most = p->lengths[b];
    em_buffer_puts(out, "\n## Document lengths in tokens\n\n```\n");
    for (int b = first; b <= last; b++) {
        int bar = (int)((p->lengths[b] * BAR + most - 1) / most);
        em_buffer_printf(out, "%10lld - %-10lld ", 1LL << b, (2LL << b) - 1);
        for (int i = 0; i < bar; i++) em_buffer_puts(out, "█");
        em_buffer_printf(out, "%s%lld\n", bar ? " " : "", (long long)p->lengths[b]);
    }
    em_buffer_puts(out, "```\n");
}

/* ---- verdicts ---- */

static void judge_eos(const inspection *x, em_verdicts *v) {
    const em_packing *p = &x->packing;
    if (x->setup->eos.id < 0)
        em_verdict_add(v, EM_FAILED, "EOS between all documents", "none is added");
    else
        em_verdict_add(v, p->followed_with_eos == p->followed ? EM_PASSED : EM_FAILED,
                       "EOS between all documents",
                       "EOS ends %lld of the %lld documents that another follows",
                       (long long)p->followed_with_eos, (long long)p->followed);
}

/* Said where a text, or a template that makes texts, brings what is put round every text. */
static void judge_around(const inspection *x, em_verdicts *v) {
    const em_setup *s = x->setup;
    const em_loader_counts *c = &x->counts;
    const char *template = em_tokenizer_template_bos(s->tokenizer);
    char text[64];
    if (s->n_before && (c->twice_before || template)) {
        em_tokenizer_text(s->tokenizer, s->before[s->n_before - 1], text, sizeof text);
        em_verdict_add(v, c->twice_before ? EM_FAILED : EM_PASSED, "one BOS before a text",
                       "%lld of %lld texts begin with %s themselves, on top of the one put before "
                       "every text%s%s%s",
                       (long long)c->twice_before, (long long)c->documents, text,
                       template ? "; the chat_template of " : "", template ? template : "",
                       template ? " writes it too, so texts made by it want --bos none" : "");
    }
    if (s->n_after && c->twice_after) {
        em_tokenizer_text(s->tokenizer, s->after[0], text, sizeof text);
        em_verdict_add(v, EM_FAILED, "one EOS after a text",
                       "%lld of %lld texts end with %s themselves, on top of the one put after "
                       "every text",
                       (long long)c->twice_after, (long long)c->documents, text);
    }
}

static void judge_labels(const inspection *x, em_verdicts *v) {
    em_buffer words = {0};
    bool all = true;
    for (int l = 0; l < x->settings->protocol.n_labels; l++) {
        const em_packing_scheme *m = &x->packing.schemes[l];
        em_buffer_printf(&words, "%s%lld under %s", l ? ", " : "", (long long)m->eos,
                         x->settings->protocol.labels[l]->name);
        all &= m->eos > 0;
    }
    em_verdict_add(v, all ? EM_PASSED : EM_FAILED, "labels contain EOS", "%lld EOS: %s",
                   (long long)x->packing.eos_added, words.data);
    em_buffer_free(&words);
}

/* Positions are right where they restart exactly if documents are hidden from each other. */
static void judge_positions(const inspection *x, em_verdicts *v) {
    const em_settings *s = x->settings;
    em_buffer words = {0};
    bool all = true;
    for (int m = 0; m < s->protocol.n_masks; m++)
        for (int q = 0; q < s->protocol.n_positions; q++) {
            bool reset = em_positions_resolve(s->protocol.positions[q], &s->protocol.masks[m]) ==
                         EM_POSITIONS_RESET;
            em_buffer_printf(&words, "%sthey %s under %s", words.length ? ", " : "",
                             reset ? "restart" : "run on", s->protocol.masks[m].name);
            all &= reset == em_mask_by_document(&s->protocol.masks[m]);
        }
    em_verdict_add(v, all ? EM_PASSED : EM_FAILED, "positions restart with the mask", "%s",
                   words.data);
    em_buffer_free(&words);
}

/* The last row of a stream may be short: nothing follows that could fill it. */
static void judge_rows(const inspection *x, em_verdicts *v) {
    const em_packing *p = &x->packing;
    int64_t slots = p->slots - x->setup->row_tokens, filled = p->tokens - p->last_row_tokens;
    em_verdict_add(v, filled == slots ? EM_PASSED : EM_FAILED, "packing efficiency",
                   "%.2f %%; without the last row, which the stream's end cuts, %lld of %lld "
                   "places hold a token",
                   percent(p->tokens, p->slots), (long long)filled, (long long)slots);
    em_verdict_add(
        v, p->most_documents > 1 ? EM_PASSED : EM_FAILED, "documents per row", "%d to %d%s",
        p->least_documents, p->most_documents,
        p->most_documents > 1 ? "" : ": no row holds two, so that document masks change nothing");
}

static int judge(const inspection *x, em_buffer *out) {
    em_verdicts v = {0};
    judge_eos(x, &v);
    judge_around(x, &v);
    judge_labels(x, &v);
    judge_positions(x, &v);
    if (x->settings->protocol.pack == EM_PACK_STREAM) judge_rows(x, &v);
    return em_verdicts_print(&v, out);
}

/* ---- one row ---- */

static const char *added_name(const inspection *x, const em_row *row, int32_t i,
                              const em_segment *g) {
    if (row->kind[i] != EM_TOKEN_ADDED) return "";
    bool first = g->place == 0 && g->start == i;
    if (first && row->ids[i] == x->setup->bos.id) return "BOS";
    return row->ids[i] == x->setup->eos.id ? "EOS" : "added";
}

typedef struct columns {
    bool continuous, reset;
} columns;

static void token_line(const inspection *x, columns c, int32_t i, int32_t segment, em_buffer *out) {
    char text[256];
    const em_row *row = x->chosen;
    const em_segment *g = &row->segments[segment];
    size_t n = em_tokenizer_text(x->setup->tokenizer, row->ids[i], text, sizeof text);
    em_buffer_printf(out, "%7d", i);
    if (c.continuous) em_buffer_printf(out, " %10d", i);
    if (c.reset) em_buffer_printf(out, " %7d", i - g->start);
    em_buffer_printf(out, " %7d %7d %-5s ", segment, row->ids[i], added_name(x, row, i, g));
    em_quote(out, text, n);
    em_buffer_puts(out, "\n");
}

static void segment_lines(const inspection *x, columns c, int32_t segment, em_buffer *out) {
    const em_row *row = x->chosen;
    int32_t start = row->segments[segment].start, end = row->segments[segment].end;
    if (end > row->tokens) end = row->tokens;
    bool whole = row->tokens <= EM_WHOLE_ROW || end - start <= EM_FIRST_TOKENS + EM_LAST_TOKENS + 1;
    for (int32_t i = start; i < end; i++) {
        if (!whole && i == start + EM_FIRST_TOKENS) {
            em_buffer_printf(out, "        … %d tokens\n",
                             end - start - EM_FIRST_TOKENS - EM_LAST_TOKENS);
            i = end - EM_LAST_TOKENS;
        }
        token_line(x, c, i, segment, out);
    }
}

static columns position_columns(const em_settings *s) {
    columns c = {false, false};
    for (int m = 0; m < s->protocol.n_masks; m++)
        for (int q = 0; q < s->protocol.n_positions; q++) {
            bool reset = em_positions_resolve(s->protocol.positions[q], &s->protocol.masks[m]) ==
                         EM_POSITIONS_RESET;
            c.reset |= reset;
            c.continuous |= !reset;
        }
    return c;
}

static void row_tokens(const inspection *x, em_buffer *out) {
    const em_row *row = x->chosen;
    columns c = position_columns(x->settings);
    int32_t n = 0;
    while (n < row->n_segments && row->segments[n].start < row->tokens) n++;
    em_buffer_printf(out, "\n## Row %lld: stream tokens %lld to %lld, %d document%s\n\n```\n",
                     (long long)row->index, (long long)row->stream,
                     (long long)row->stream + row->tokens - 1, n, n == 1 ? "" : "s");
    em_buffer_printf(out, "  index%s%s segment      id       text\n",
                     c.continuous ? " continuous" : "", c.reset ? "   reset" : "");
    bool whole = row->tokens <= EM_WHOLE_ROW || n <= EM_FIRST_SEGMENTS + EM_LAST_SEGMENTS + 1;
    for (int32_t g = 0; g < n; g++) {
        if (!whole && g == EM_FIRST_SEGMENTS) {
            g = n - EM_LAST_SEGMENTS;
            em_buffer_printf(out, "        … %d documents, to token %d\n",
                             n - EM_FIRST_SEGMENTS - EM_LAST_SEGMENTS, row->segments[g].start - 1);
        }
        segment_lines(x, c, g, out);
    }
    em_buffer_printf(out, "```\n%s%s%s: position ids.", c.continuous ? "continuous" : "",
                     c.continuous && c.reset ? ", " : "", c.reset ? "reset" : "");
    if (row->segments[0].place > 0)
        em_buffer_printf(out, " Document %lld goes on from an earlier row, from its token %lld.",
                         (long long)row->segments[0].document, (long long)row->segments[0].place);
    em_buffer_puts(out, "\n");
}

/* The inputs that the first label scheme takes from the row. */
static int32_t row_inputs(const inspection *x) {
    const em_settings *s = x->settings;
    em_row_rules rules = em_protocol_row_rules(&s->protocol, x->setup->row_tokens);
    em_reading r = em_labels_read(s->protocol.labels[0], &rules, x->chosen);
    return r.inputs > 0 ? r.inputs : x->chosen->tokens;
}

static bool row_masks(const inspection *x, em_buffer *out, em_error *err) {
    int32_t inputs = row_inputs(x);
    int32_t *lo = em_alloc((size_t)inputs * 2, sizeof *lo, "a mask", err);
    if (!lo) return false;
    for (int m = 0; m < x->settings->protocol.n_masks; m++) {
        const em_mask *mask = &x->settings->protocol.masks[m];
        em_mask_intervals(mask, x->chosen, inputs, lo, lo + inputs);
        em_buffer_printf(out, "\n## %s\n\n", mask->name);
        em_item(out, "The mask: %s.", mask->kind->words);
        em_buffer_puts(out, "\n");
        em_picture_draw(&(em_picture){.lo = lo, .hi = lo + inputs, .inputs = inputs}, out);
    }
    free(lo);
    return true;
}

static void own_window_note(const em_setup *s, em_buffer *out) {
    int layers = s->model ? em_model_spec_of(s->model)->layers : 0, windows = 0, window = 0;
    for (int l = 0; l < layers; l++)
        if (em_model_layer_spec(s->model, l)->window > 0)
            window = em_model_layer_spec(s->model, l)->window, windows++;
    if (windows)
        em_buffer_printf(out,
                         "\nThe model's own sliding window (%d tokens, %d of %d layers) narrows "
                         "these masks further.\n",
                         window, windows, layers);
}

/* ---- together ---- */

/* Returns the verdicts that failed. */
static int whole_report(const inspection *x, em_buffer *out) {
    em_buffer_printf(out, "# Packing of %s\n\n",
                     *x->data->name             ? x->data->name
                     : x->setup->bundled_sample ? "the bundled sample"
                                                : x->data->paths[0]);
    em_buffer_printf(out, "- tokenizer: %s\n", em_tokenizer_describe(x->setup->tokenizer));
    documents_lines(x, out);
    rows_lines(x, out);
    schemes_table(x, out);
    int failed = judge(x, out);
    histogram(&x->packing, out);
    row_tokens(x, out);
    return failed;
}

static bool open_inspection(inspection *x, em_error *err) {
    em_pack_options pack = {.mode = x->settings->protocol.pack,
                            .row_tokens = x->setup->row_tokens,
                            .max_tokens = x->settings->data.max_tokens};
    return (x->loader = em_setup_loader(x->setup, &x->settings->data, x->data, err)) &&
           (x->packer = em_packer_open(x->loader, &pack, err)) &&
           (x->counter = em_packing_open(&x->settings->protocol, x->setup->row_tokens,
                                         x->setup->eos.id, x->setup->bos.id, err));
}

static void close_inspection(inspection *x) {
    em_row_free(x->chosen);
    em_packing_close(x->counter);
    em_packer_close(x->packer);
    em_loader_close(x->loader);
}

/* Verdicts that failed, or -1. */
static int inspect_data(const em_settings *settings, const em_setup *setup, const em_dataset *data,
                        em_error *err) {
    inspection x = {.settings = settings, .setup = setup, .data = data};
    em_buffer out = {0};
    int failed = -1;
    if (open_inspection(&x, err) && read_rows(&x, err)) {
        failed = whole_report(&x, &out);
        bool good = row_masks(&x, &out, err);
        own_window_note(setup, &out);
        if (good && x.counts.bad && !settings->output.quiet)
            fprintf(stderr, "first broken record: %s\n", x.counts.first_bad);
        if (!good || em_print(out.data, out.length, err)) failed = -1;
    }
    em_buffer_free(&out);
    close_inspection(&x);
    return failed;
}

/* Of a config. */
static bool print_title(const em_settings *settings, em_error *err) {
    em_buffer out = {0};
    if (!settings->experiment || !*settings->experiment->title) return true;
    em_buffer_printf(&out, "# %s\n\n", settings->experiment->title);
    bool good = em_print(out.data, out.length, err) == 0;
    em_buffer_free(&out);
    return good;
}

int em_command_inspect(const em_settings *settings, em_error *err) {
    em_setup setup;
    if (settings->inspect.n_packed) return em_packed_inspect(settings, err);
    em_setup_needs needs = {.models = &settings->models,
                            .data = &settings->data,
                            .protocol = &settings->protocol,
                            .threads = settings->engine.threads};
    if (!em_setup_open(&setup, &needs, err)) return err->status;
    if (!settings->output.quiet) em_setup_notes(&setup);
    em_settings_notes(settings);
    int failed = 0, more = 0;
    if (!print_title(settings, err)) more = -1;
    for (int d = 0; d < setup.n_datasets && more >= 0; d++) {
        more = inspect_data(settings, &setup, &setup.datasets[d], err);
        failed += more > 0;
    }
    em_setup_close(&setup);
    return more < 0 ? (int)err->status : failed ? EM_GATE : EM_OK;
}
