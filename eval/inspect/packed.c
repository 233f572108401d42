#include "eval/inspect/packed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/output.h"
#include "eval/inspect/packed_count.h"
#include "eval/inspect/picture.h"
#include "eval/inspect/quote.h"
#include "eval/setup/setup.h"
#include "eval/inspect/verdict.h"
#include "loader/reader.h"

#define LEAST_FILL 0.9 /* below it, more than a tenth of the arithmetic goes into padding */

typedef struct inspection {
    const em_settings *settings;
    const char *path;
    em_special eos, bos, pad;
    em_tokenizer *tokenizer; /* NULL: there is none; not owned */
    em_packed_ids ids;
    em_reader *reader;
    em_packed_row row;
    em_packed_view view;
    em_packed_counts counts;
    em_buffer chosen;   /* the line of the row to draw */
    size_t chosen_at;   /* the row's index in that line */
    int64_t chosen_row; /* its index; -1: none yet */
    bool chosen_several;
} inspection;

/* ---- EOS, BOS and PAD without a tokenizer ---- */

static bool plain_id(const char *option, const char *text, em_special *out, em_error *err) {
    char *end;
    *out = (em_special){.id = -1};
    snprintf(out->origin, sizeof out->origin, "%s", option);
    if (!text || !strcmp(text, "none") || !strcmp(text, "auto")) return true;
    errno = 0;
    long long id = strtoll(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || id > INT32_MAX)
        return em_fail(err, EM_USAGE, "%s %s: without --model or --tokenizer, give an id", option,
                       text);
    out->id = (int32_t)id;
    return true;
}

static bool plain_ids(inspection *x, em_error *err) {
    const em_settings *s = x->settings;
    return plain_id("--eos", s->models.eos, &x->eos, err) &&
           plain_id("--bos", s->models.bos, &x->bos, err) &&
           plain_id("--pad", s->models.pad, &x->pad, err);
}

static bool check_ids(inspection *x, em_error *err) {
    if (x->eos.id < 0)
        return em_fail(
            err, EM_USAGE,
            "--packed: the check is about EOS; say --eos ID, or a --tokenizer that has one");
    x->ids = (em_packed_ids){.eos = x->eos.id, .bos = x->bos.id, .pad = x->pad.id};
    return true;
}

/* ---- reading ---- */

/* --row N, else the first row that holds two documents, else the first. */
static bool choose(inspection *x, const char *line, size_t n, size_t index, em_error *err) {
    int64_t row = x->counts.rows;
    bool several = em_packed_documents(&x->view, &x->row, &x->ids) > 1;
    if (x->settings->inspect.row >= 0 ? row != x->settings->inspect.row
                                      : x->chosen_row >= 0 && (x->chosen_several || !several))
        return true;
    x->chosen_row = row;
    x->chosen_at = index;
    x->chosen_several = several;
    em_buffer_clear(&x->chosen);
    return em_buffer_append(&x->chosen, line, n, err);
}

static bool read_row(inspection *x, const char *line, size_t n, size_t index, em_error *err) {
    return em_packed_row_parse(line, n, index, &x->row, err) &&
           em_packed_view_make(&x->view, &x->row, &x->ids, err) && choose(x, line, n, index, err) &&
           em_packed_counts_add(&x->counts, &x->row, &x->view, &x->ids, err);
}

/* A line is one row, or a batch of them. */
static bool read_line(inspection *x, const char *line, size_t n, em_error *err) {
    size_t i = 0;
    do
        if (!read_row(x, line, n, i, err)) return false;
    while (++i < x->row.batch);
    return true;
}

static bool read_rows(inspection *x, em_error *err) {
    const char *line;
    size_t n;
    em_place place;
    int got;
    while ((got = em_reader_next_line(x->reader, &line, &n, &place, err)) > 0)
        if (!read_line(x, line, n, err)) return em_reader_place(&place, err);
    if (got < 0) return false;
    if (!x->counts.rows)
        return em_fail_at(err, EM_INPUT, x->path, 0, -1,
                          "no rows: a packed row is {\"input_ids\": [...], ...}");
    if (x->chosen_row < 0)
        return em_fail(err, EM_USAGE, "--row %lld: the file has %lld rows, from 0 to %lld",
                       (long long)x->settings->inspect.row, (long long)x->counts.rows,
                       (long long)x->counts.rows - 1);
    return true;
}

/* ---- what is there ---- */

static double percent(int64_t part, int64_t whole) {
    return whole ? 100.0 * (double)part / (double)whole : 0;
}

static const char *place_words(const em_packed_place *p, char out[64]) {
    snprintf(out, 64, "row %lld, index %d", (long long)p->row, p->index);
    return out;
}

static void special_line(em_buffer *out, const char *name, const em_special *s, const char *rest) {
    if (s->id < 0) em_item(out, "%s: none", name);
    else
        em_item(out, "%s: id %d%s%s%s, from %s%s", name, s->id, *s->text ? " `" : "", s->text,
                *s->text ? "`" : "", s->origin, rest);
}

static void special_lines(const inspection *x, em_buffer *out) {
    const em_packed_counts *c = &x->counts;
    char rest[240], where[64];
    int n = snprintf(rest, sizeof rest, ": %lld for %lld documents", (long long)c->eos,
                     (long long)c->documents);
    if (c->eos_padding)
        n += snprintf(rest + n, sizeof rest - (size_t)n, ", %lld of them padding",
                      (long long)c->eos_padding);
    if (c->eos_inside)
        snprintf(rest + n, sizeof rest - (size_t)n, ", %lld inside documents, the first at %s",
                 (long long)c->eos_inside, place_words(&c->first_inside, where));
    special_line(out, "EOS", &x->eos, rest);
    snprintf(rest, sizeof rest, ": %lld, %lld documents begin with it", (long long)c->bos,
             (long long)c->bos_begins);
    special_line(out, "BOS", &x->bos, x->ids.bos == x->ids.eos ? ", the same as EOS" : rest);
    special_line(out, "PAD", &x->pad, x->ids.pad == x->ids.eos ? ", the same as EOS" : "");
}

/* "A (3 rows), B (2 rows)" of the kinds that occur; without the counts where there is only one. */
static void list_kinds(em_buffer *out, const int64_t *rows, const char *const *words, int n,
                       int64_t all) {
    const char *comma = "";
    for (int k = 0; k < n; k++) {
        if (!rows[k]) continue;
        em_buffer_printf(out, "%s%s", comma, words[k]);
        if (rows[k] < all) em_buffer_printf(out, " (%lld rows)", (long long)rows[k]);
        comma = ", ";
    }
}

/* What tells documents apart where nothing else does. */
static const char *by_tokens(const inspection *x) {
    return x->ids.bos >= 0 && x->ids.bos != x->ids.eos ? "EOS and BOS themselves" : "EOS itself";
}

static void rows_lines(const inspection *x, em_buffer *out) {
    const em_packed_counts *c = &x->counts;
    const char *const told[EM_TOLD_KINDS] = {[EM_TOLD_BY_CU] = "cu_seqlens",
                                             [EM_TOLD_BY_NUMBERS] = "the numbers in attention_mask",
                                             [EM_TOLD_BY_POSITIONS] = "position_ids that restart",
                                             [EM_TOLD_BY_BLOCKS] = "the blocks of attention_mask",
                                             [EM_TOLD_BY_TOKENS] = by_tokens(x)};
    em_buffer by = {0};
    list_kinds(&by, c->told, told, EM_TOLD_KINDS, c->rows);
    if (c->shortest == c->longest)
        em_item(out, "rows: %lld of %d tokens", (long long)c->rows, c->longest);
    else
        em_item(out, "rows: %lld of %d to %d tokens, mean %.1f", (long long)c->rows, c->shortest,
                c->longest, (double)c->tokens / (double)c->rows);
    em_item(out, "tokens: %lld, %lld of them padding", (long long)c->tokens, (long long)c->padding);
    em_item(out, "documents: %lld (one that a row's end cuts counts in both rows), told by %s",
            (long long)c->documents, by.data);
    em_item(out, "documents per row: %d at least, mean %.1f, %d at most", c->least_documents,
            (double)c->documents / (double)c->rows, c->most_documents);
    em_buffer_free(&by);
}

static void field_lines(const em_packed_counts *c, em_buffer *out) {
    static const char *const forms[EM_FORM_KINDS] = {
        [EM_FORM_NONE] = "none",
        [EM_FORM_BINARY] = "attention_mask of 0 and 1, one for each token",
        [EM_FORM_CU] = "cu_seqlens",
        [EM_FORM_NUMBERS] = "attention_mask with documents' numbers",
        [EM_FORM_MATRIX] = "attention_mask of T x T"};
    em_buffer by = {0};
    list_kinds(&by, c->form, forms, EM_FORM_KINDS, c->rows);
    if (c->labels_rows)
        em_item(out, "labels: %lld in %lld rows, %.2f %% of them ignored (%d)",
                (long long)c->labels, (long long)c->labels_rows, percent(c->ignored, c->labels),
                EM_LABEL_IGNORED);
    em_item(out, "positions: %s%s", c->positions ? "position_ids" : "none",
            c->positions && c->positions < c->rows ? ", not in all rows" : "");
    em_item(out, "mask: %s", by.data);
    em_buffer_free(&by);
}

/* ---- verdicts ---- */

/* ", where it …" */
static void eos_places(const em_packed_counts *c, em_buffer *out) {
    const char *before = ", where it ";
    const struct {
        int64_t n;
        const char *words;
    } places[] = {{c->eos_ends, "ends its document"},
                  {c->eos_begins, "begins the next document"},
                  {c->eos_own, "is a segment of its own, apart from its document"}};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (!places[i].n) continue;
        em_buffer_printf(out, "%s%s", before, places[i].words);
        if (places[i].n < c->boundaries) em_buffer_printf(out, " (%lld)", (long long)places[i].n);
        before = ", ";
    }
}

static void judge_eos(const em_packed_counts *c, em_verdicts *v) {
    static const char what[] = "EOS between all documents";
    char where[64];
    if (c->eos == 0) {
        em_verdict_add(v, EM_FAILED, what, "there is no EOS in %lld tokens", (long long)c->tokens);
    } else if (c->eos_missing) {
        em_verdict_add(v, EM_FAILED, what, "missing at %lld of %lld boundaries; first: %s",
                       (long long)c->eos_missing, (long long)c->boundaries,
                       place_words(&c->first_missing, where));
    } else if (c->told[EM_TOLD_BY_TOKENS] == c->rows) {
        em_verdict_add(v, EM_NOT_TOLD, what,
                       "nothing else tells documents apart; %lld boundaries by EOS or BOS",
                       (long long)c->boundaries);
    } else {
        em_buffer words = {0};
        eos_places(c, &words);
        em_verdict_add(v, EM_PASSED, what, "at all %lld boundaries%s", (long long)c->boundaries,
                       words.length ? words.data : "");
        em_buffer_free(&words);
    }
}

/* The scheme that the labels follow; neither: *follows is false, and the unshifted reading is as
 * good. */
static int label_scheme(const em_packed_counts *c, bool *follows) {
    int scheme = c->scheme[EM_PACKED_UNSHIFTED].others && !c->scheme[EM_PACKED_SHIFTED].others
                     ? EM_PACKED_SHIFTED
                     : EM_PACKED_UNSHIFTED;
    *follows = !c->scheme[scheme].others;
    return scheme;
}

static void judge_labels(const em_packed_counts *c, em_verdicts *v) {
    bool follows;
    int scheme = label_scheme(c, &follows);
    const em_packed_labels *s = &c->scheme[scheme];
    int64_t count = c->labels - c->ignored;
    char where[64];
    if (!c->labels_rows) {
        em_verdict_add(v, EM_NOT_TOLD, "labels follow the tokens", "the file has no labels");
        em_verdict_add(v, EM_NOT_TOLD, "labels contain EOS", "the file has no labels");
        return;
    }
    if (follows)
        em_verdict_add(
            v, EM_PASSED, "labels follow the tokens",
            scheme == EM_PACKED_SHIFTED
                ? "each is the token after its own: shifted already, so the library must not shift "
                  "again"
                : "each is its own token: unshifted, so the library or the loop must shift");
    else
        em_verdict_add(v, EM_FAILED, "labels follow the tokens",
                       "neither their own tokens nor the ones after; first that is not its "
                       "own: %s",
                       place_words(&s->first_other, where));
    em_verdict_add(v, s->eos ? EM_PASSED : EM_FAILED, "labels contain EOS",
                   "%lld of %lld labels that count are a document's EOS%s", (long long)s->eos,
                   (long long)count, s->eos ? "" : ", so that it is never learnt");
}

static void judge_padding(const em_packed_counts *c, em_verdicts *v) {
    static const char what[] = "no labelled padding";
    bool follows;
    const em_packed_labels *s = &c->scheme[label_scheme(c, &follows)];
    char where[64];
    if (!c->padding) em_verdict_add(v, EM_PASSED, what, "there is no padding");
    else if (!c->labels_rows)
        em_verdict_add(v, EM_NOT_TOLD, what, "%lld tokens are padding, and the file has no labels",
                       (long long)c->padding);
    else if (!s->padding)
        em_verdict_add(v, EM_PASSED, what, "%lld tokens are padding, none with a label that counts",
                       (long long)c->padding);
    else
        em_verdict_add(v, EM_FAILED, what,
                       "%lld labels that count are padding: %.2f %% of all that count, in %lld of "
                       "%lld rows; first: %s",
                       (long long)s->padding, percent(s->padding, c->labels - c->ignored),
                       (long long)s->padding_rows, (long long)c->labels_rows,
                       place_words(&s->first_padding, where));
}

static void judge_positions(const em_packed_counts *c, em_verdicts *v) {
    static const char what[] = "positions restart";
    const em_packed_wrong_position *w = &c->wrong;
    char where[64];
    if (!c->positions) em_verdict_add(v, EM_NOT_TOLD, what, "the file has no position_ids");
    else if (w->at.row >= 0)
        em_verdict_add(v, EM_FAILED, what,
                       "%lld of %lld rows run on through their documents, %lld do neither; first: "
                       "%s is at %d, "
                       "where %d is due",
                       (long long)c->run_on, (long long)c->positions, (long long)c->neither,
                       place_words(&w->at, where), w->found, w->due);
    else if (c->over_eos && !c->restart)
        em_verdict_add(
            v, EM_FAILED, what,
            "they run on over EOS in %lld of %lld rows; first: %s is at %d, where %d is due",
            (long long)c->over_eos, (long long)c->positions,
            place_words(&c->wrong_over_eos.at, where), c->wrong_over_eos.found,
            c->wrong_over_eos.due);
    else if (c->over_eos)
        em_verdict_add(v, EM_PASSED, what,
                       "from 0 at every document in %lld rows; %lld rows run on over EOS, first: "
                       "%s (one document "
                       "each, if EOS also ends turns)",
                       (long long)c->restart, (long long)c->over_eos,
                       place_words(&c->wrong_over_eos.at, where));
    else
        em_verdict_add(v, EM_PASSED, what, "from 0 at every document in %lld rows%s",
                       (long long)c->positions, c->restart ? "" : ", none of which holds two");
}

static void judge_odd_mask(const em_packed_counts *c, em_verdicts *v) {
    const em_mask_search *s = &c->mask;
    if (s->odd_lo < 0)
        em_verdict_add(
            v, EM_FAILED, "mask",
            "none of those known: in row %lld the keys that query %d sees are no interval",
            (long long)s->odd_row, s->odd_query);
    else
        em_verdict_add(v, EM_FAILED, "mask",
                       "none of those known gives row %lld%s; its query %d sees keys [%d, %d)",
                       (long long)s->odd_row, s->odd_row ? " and all before it" : "", s->odd_query,
                       s->odd_lo, s->odd_hi);
}

static void judge_mask(const em_packed_counts *c, em_verdicts *v) {
    em_mask m;
    bool sees_padding;
    if (c->form[EM_FORM_NONE] == c->rows) {
        em_verdict_add(v, EM_NOT_TOLD, "mask", "the file has no attention_mask and no cu_seqlens");
    } else if (!em_mask_search_found(&c->mask, &m, &sees_padding)) {
        judge_odd_mask(c, v);
    } else {
        bool seen = sees_padding || c->padding_seen;
        const char *alike =
            c->several
                ? ""
                : " (as no row holds two documents, that is the same as its twin by document)";
        em_verdict_add(v, EM_PASSED, "mask", "%s: %s%s; %s", m.name, m.kind->words, alike,
                       !c->padding ? "there is no padding"
                       : seen      ? "padding is not masked"
                                   : "padding is masked");
    }
}

static void judge_fill(const em_packed_counts *c, em_verdicts *v) {
    int64_t filled = c->tokens - c->padding;
    bool good = (double)filled >= LEAST_FILL * (double)c->tokens;
    em_verdict_add(v, good ? EM_PASSED : EM_FAILED, "packing efficiency",
                   "%.2f %%: %lld of %lld tokens are documents' (%.0f %% wanted)",
                   percent(filled, c->tokens), (long long)filled, (long long)c->tokens,
                   100 * LEAST_FILL);
}

static void judge_documents(const em_packed_counts *c, em_verdicts *v) {
    judge_eos(c, v);
    judge_labels(c, v);
    judge_padding(c, v);
    judge_positions(c, v);
    judge_mask(c, v);
}

/* Whatever mask or positions fit rows without a document, they say nothing about the packing. */
static void judge_nothing(const em_packed_counts *c, em_verdicts *v) {
    static const char why[] = "every token is padding: there is nothing to judge";
    em_verdict_add(v, EM_NOT_TOLD, "EOS between all documents", why);
    em_verdict_add(v, EM_NOT_TOLD, "labels follow the tokens", why);
    em_verdict_add(v, EM_NOT_TOLD, "labels contain EOS", why);
    judge_padding(c, v);
    em_verdict_add(v, EM_NOT_TOLD, "positions restart", why);
    em_verdict_add(v, EM_NOT_TOLD, "mask", why);
}

static int judge(const em_packed_counts *c, em_buffer *out) {
    em_verdicts v = {0};
    if (c->padding < c->tokens) judge_documents(c, &v);
    else judge_nothing(c, &v);
    judge_fill(c, &v);
    return em_verdicts_print(&v, out);
}

/* ---- one row ---- */

static const char *token_name(const inspection *x, int32_t i) {
    int32_t id = x->row.ids.v[i];
    if (x->view.padding[i]) return "pad";
    return id == x->ids.eos ? "EOS" : id == x->ids.bos ? "BOS" : "";
}

static void token_line(const inspection *x, int32_t i, int32_t segment, em_buffer *out) {
    const em_packed_row *r = &x->row;
    char text[256];
    em_buffer_printf(out, "%7d", i);
    if (r->positions.given) em_buffer_printf(out, " %8d", r->positions.v[i]);
    em_buffer_printf(out, " %7d", segment);
    if (r->labels.given) em_buffer_printf(out, " %7d", r->labels.v[i]);
    em_buffer_printf(out, " %7d", r->ids.v[i]);
    bool text_known = x->tokenizer && r->ids.v[i] < em_tokenizer_size(x->tokenizer);
    if (text_known || *token_name(x, i))
        em_buffer_printf(out, text_known ? " %-5s " : " %s", token_name(x, i));
    if (text_known)
        em_quote(out, text, em_tokenizer_text(x->tokenizer, r->ids.v[i], text, sizeof text));
    em_buffer_puts(out, "\n");
}

static void segment_lines(const inspection *x, int32_t segment, em_buffer *out) {
    const em_segment *g = &x->view.shape.segments[segment];
    bool whole = x->row.tokens <= EM_WHOLE_ROW ||
                 g->end - g->start <= EM_FIRST_TOKENS + EM_LAST_TOKENS + 1;
    for (int32_t i = g->start; i < g->end; i++) {
        if (!whole && i == g->start + EM_FIRST_TOKENS) {
            em_buffer_printf(out, "        … %d tokens\n",
                             g->end - g->start - EM_FIRST_TOKENS - EM_LAST_TOKENS);
            i = g->end - EM_LAST_TOKENS;
        }
        token_line(x, i, segment, out);
    }
}

static void row_tokens(const inspection *x, em_buffer *out) {
    int32_t n = x->view.shape.n_segments,
            documents = em_packed_documents(&x->view, &x->row, &x->ids);
    bool whole = x->row.tokens <= EM_WHOLE_ROW || n <= EM_FIRST_SEGMENTS + EM_LAST_SEGMENTS + 1;
    em_buffer_printf(
        out, "\n## Row %lld: %d tokens, %d document%s\n\n```\n  index%s segment%s      id%s\n",
        (long long)x->chosen_row, x->row.tokens, documents, documents == 1 ? "" : "s",
        x->row.positions.given ? " position" : "", x->row.labels.given ? "   label" : "",
        x->tokenizer ? "       text" : "");
    for (int32_t g = 0; g < n; g++) {
        if (!whole && g == EM_FIRST_SEGMENTS) {
            em_buffer_printf(out, "        … %d segments\n",
                             n - EM_FIRST_SEGMENTS - EM_LAST_SEGMENTS);
            g = n - EM_LAST_SEGMENTS;
        }
        segment_lines(x, g, out);
    }
    em_buffer_puts(out, "```\n");
}

/* Causal within each document; padding sees nothing. */
static void document_intervals(em_packed_view *v) {
    em_mask doc;
    em_mask_parse("doc", &doc, &(em_error)EM_ERROR_INIT);
    em_mask_intervals(&doc, &v->shape, v->shape.tokens, v->lo, v->hi);
    for (int32_t i = 0; i < v->shape.tokens; i++)
        if (v->padding[i]) v->hi[i] = v->lo[i];
}

/* The mask that the file gives; where it gives none, that of the documents. */
static void row_mask(inspection *x, em_buffer *out) {
    em_packed_view *v = &x->view;
    bool told = v->form != EM_FORM_NONE;
    for (int32_t i = 0; told && i < v->shape.tokens; i++)
        if (v->lo[i] < 0) {
            em_buffer_printf(
                out, "\n## The mask\n\nNot drawn: the keys that query %d sees are no interval.\n",
                i);
            return;
        }
    if (!told) document_intervals(v);
    em_buffer_printf(out, "\n## The %s\n\n", told ? "mask" : "documents");
    if (!told)
        em_buffer_puts(out,
                       "The file gives no mask; drawn is `doc`, causal within each document.\n");
    em_picture_draw(&(em_picture){.lo = v->lo, .hi = v->hi, .inputs = v->shape.tokens}, out);
}

static bool draw_row(inspection *x, em_buffer *out, em_error *err) {
    if (!em_packed_row_parse(x->chosen.data, x->chosen.length, x->chosen_at, &x->row, err) ||
        !em_packed_view_make(&x->view, &x->row, &x->ids, err))
        return false;
    row_tokens(x, out);
    row_mask(x, out);
    return true;
}

/* ---- together ---- */

/* Verdicts that failed, or -1. */
static int report(inspection *x, em_error *err) {
    em_buffer out = {0};
    em_buffer_printf(&out, "# Packed rows of %s\n\n", strcmp(x->path, "-") ? x->path : "stdin");
    if (x->tokenizer) em_item(&out, "tokenizer: %s", em_tokenizer_describe(x->tokenizer));
    rows_lines(x, &out);
    special_lines(x, &out);
    field_lines(&x->counts, &out);
    int failed = judge(&x->counts, &out);
    if (!draw_row(x, &out, err) || em_print(out.data, out.length, err)) failed = -1;
    em_buffer_free(&out);
    return failed;
}

static int inspect_file(inspection *x, em_error *err) {
    em_reader_options o = {.paths = &x->path,
                           .n_paths = 1,
                           .source = {.max_window_log = x->settings->data.zstd_window}};
    int failed = -1;
    x->chosen_row = -1;
    em_packed_counts_start(&x->counts);
    x->reader = em_reader_open(&o, err);
    if (x->reader && read_rows(x, err)) failed = report(x, err);
    em_reader_close(x->reader);
    em_packed_counts_free(&x->counts);
    return failed;
}

static int inspect_files(inspection *x, em_error *err) {
    int failed = 0, more = 0;
    if (!check_ids(x, err)) return err->status;
    for (int i = 0; i < x->settings->inspect.n_packed && more >= 0; i++) {
        x->path = x->settings->inspect.packed[i];
        more = inspect_file(x, err);
        failed += more > 0;
    }
    em_packed_row_free(&x->row);
    em_packed_view_free(&x->view);
    em_buffer_free(&x->chosen);
    return more < 0 ? (int)err->status : failed ? EM_GATE : EM_OK;
}

int em_packed_inspect(const em_settings *settings, em_error *err) {
    inspection x = {.settings = settings};
    if (!settings->models.first.path && !settings->models.tokenizer)
        return plain_ids(&x, err) ? inspect_files(&x, err) : (int)err->status;
    em_setup setup;
    em_setup_needs needs = {.models = &settings->models,
                            .protocol = &settings->protocol,
                            .threads = settings->engine.threads};
    if (!em_setup_open(&setup, &needs, err)) return err->status;
    x.tokenizer = setup.tokenizer;
    x.eos = setup.eos;
    x.bos = setup.bos;
    x.pad = setup.pad;
    int code = inspect_files(&x, err);
    em_setup_close(&setup);
    return code;
}
