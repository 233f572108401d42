#include "reports/explore/explore.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/size.h"
#include "reports/pages/escape.h"
#include "reports/pages/html.h"
#include "reports/pages/page.h"
#include "reports/results/lines.h"
#include "reports/results/side_key.h"

/* A side is one key of "nll" (reports/results/side_key.h). All sides of a page share the label
 * scheme of the first, so that they are of the same tokens. A shade is a side's loss or a further
 * side's minus the first's. */
enum { MOST_SIDES = 8, MOST_SHADES = 2 * MOST_SIDES - 1, MOST_TOKENS = 20000 };

static const double FULL_LOSS = 8, FULL_DIFFERENCE = 2; /* nats at which the shade is full */

typedef struct token {
    char *text; /* owned */
    bool scored;
    int64_t row, position;
    double nll[MOST_SIDES]; /* NaN: not finite */
} token;

typedef struct explorer {
    em_lines *lines;
    const em_explore_options *options;
    em_buffer *out;
    char *sides[MOST_SIDES]; /* owned keys */
    int n_sides;
    em_buffer labels; /* of the sides: text, once there is one */
    int64_t seq_len;  /* of the sides; 0: lines name none */
    bool left_out;    /* sides, labels or row lengths that are not on the page */

    bool in_document;
    char *data_set;           /* owned; of the document at hand */
    int64_t document, tokens; /* its number, its tokens that were read */
    token *shown;             /* [n] */
    size_t n, capacity;
    bool found[EM_MAX_DOCUMENTS];
    int written; /* documents on the page */
} explorer;

/* ---- lines ---- */

typedef struct line {
    int64_t row, position, document, seq_len;
    const char *data_set, *text, *label_text;
    json_t *nll;
} line;

static bool count_of(const json_t *object, const char *key, int64_t *out) {
    const json_t *value = json_object_get(object, key);
    *out = json_integer_value(value);
    return json_is_integer(value) && *out >= 0;
}

static bool read_line(const explorer *e, json_t *object, line *out, em_error *err) {
    const json_t *set = json_object_get(object, "data_set");
    if (!count_of(object, "row", &out->row) || !count_of(object, "pos", &out->position) ||
        !count_of(object, "doc", &out->document))
        return em_lines_fail(e->lines, err,
                             "row, pos or doc is no whole number: no file of --tokens");
    if (!count_of(object, "seq_len", &out->seq_len)) out->seq_len = 0;
    out->data_set = set ? json_string_value(set) : "";
    out->text = json_string_value(json_object_get(object, "text"));
    out->label_text = json_string_value(json_object_get(object, "label_text"));
    out->nll = json_object_get(object, "nll");
    if (!out->data_set || !out->text || !out->label_text || !json_is_object(out->nll))
        return em_lines_fail(
            e->lines, err, "text, label_text or nll is missing: write the file anew with --tokens");
    return true;
}

/* The third part of a key; "" where there is none. */
static void labels_of(const char *key, em_buffer *out) {
    for (int part = 0; part < 3; part++) {
        em_buffer_clear(out);
        key = em_side_key_take(key, out);
    }
}

static bool has_labels(const char *key, const char *labels) {
    em_buffer own = {0};
    labels_of(key, &own);
    bool same = !strcmp(own.data, labels);
    em_buffer_free(&own);
    return same;
}

/* The sides of the page are those of the first line that is shown. */
static bool choose_sides(explorer *e, const line *l, em_error *err) {
    const char *key;
    json_t *value;
    e->seq_len = l->seq_len;
    json_object_foreach(l->nll, key, value) {
        if (strcspn(key, "|") == 0)
            return em_lines_fail(e->lines, err, "a key of nll names no model (MODEL|MASK|LABELS)");
        if (e->n_sides == 0) labels_of(key, &e->labels);
        if (e->n_sides == MOST_SIDES || !has_labels(key, e->labels.data)) {
            e->left_out = true;
            continue;
        }
        e->sides[e->n_sides] = strdup(key);
        if (!e->sides[e->n_sides++]) return em_fail_memory(err, strlen(key), "a page");
    }
    return e->n_sides > 0 || em_lines_fail(e->lines, err, "nll is empty");
}

static bool add_token(explorer *e, const char *text, bool scored, const line *l, em_error *err) {
    if (e->n == MOST_TOKENS) return true;
    if (!em_grow(&e->shown, &e->capacity, e->n + 1, sizeof *e->shown, "a page", err)) return false;
    token *t = &e->shown[e->n];
    *t = (token){.text = strdup(text), .scored = scored, .row = l->row, .position = l->position};
    if (!t->text) return em_fail_memory(err, strlen(text), "a page");
    e->n++;
    for (int i = 0; i < e->n_sides && scored; i++) {
        const json_t *x = json_object_get(l->nll, e->sides[i]);
        t->nll[i] = json_is_number(x) ? json_number_value(x) : NAN;
    }
    return true;
}

static void free_tokens(explorer *e) {
    for (size_t i = 0; i < e->n; i++) free(e->shown[i].text);
    e->n = 0;
    e->tokens = 0;
}

/* ---- a document on the page ---- */

static bool is_difference(int shade, int n_sides) { return shade >= n_sides; }

static double shade_value(const token *t, int shade, int n_sides) {
    return is_difference(shade, n_sides) ? t->nll[shade - n_sides + 1] - t->nll[0] : t->nll[shade];
}

static int shades(const explorer *e) { return 2 * e->n_sides - 1; }

/* --hK and --bK: how red (a loss, or worse than the first side) and how blue (better) the token is
 * under shade K. */
static void put_shades(const explorer *e, const token *t) {
    for (int k = 0; k < shades(e); k++) {
        bool difference = is_difference(k, e->n_sides);
        double x = shade_value(t, k, e->n_sides) / (difference ? FULL_DIFFERENCE : FULL_LOSS);
        int percent = isfinite(x) ? (int)lround(100 * fmin(fabs(x), 1)) : 0;
        if (percent)
            em_buffer_printf(e->out, "--%c%d:%d%%;", difference && x < 0 ? 'b' : 'h', k, percent);
    }
}

/* "base doc": a key without the label scheme, which all sides share. */
static void side_name(const char *key, em_buffer *out) {
    static const char *const before[] = {"", " ", NULL, " alpha ", " depth "};
    em_buffer text = {0};
    for (int part = 0; part < 5; part++) {
        em_buffer_clear(&text);
        key = em_side_key_take(key, &text);
        if (before[part] && text.length) em_buffer_printf(out, "%s%s", before[part], text.data);
    }
    em_buffer_free(&text);
}

static void shade_name(const explorer *e, int shade, em_buffer *out) {
    if (!is_difference(shade, e->n_sides)) {
        side_name(e->sides[shade], out);
        return;
    }
    side_name(e->sides[shade - e->n_sides + 1], out);
    em_buffer_puts(out, " minus ");
    side_name(e->sides[0], out);
}

static void put_title(const explorer *e, const token *t) {
    em_buffer text = {0};
    for (int k = 0; k < shades(e); k++) {
        double x = shade_value(t, k, e->n_sides);
        shade_name(e, k, &text);
        if (isfinite(x))
            em_buffer_printf(&text, is_difference(k, e->n_sides) ? ": %+.4f\n" : ": %.4f\n", x);
        else em_buffer_puts(&text, ": -\n");
    }
    em_buffer_printf(&text, "row %" PRId64 ", predicted at position %" PRId64, t->row, t->position);
    em_buffer_puts(e->out, " title=\"");
    em_put_escaped(e->out, text.data);
    em_buffer_puts(e->out, "\"");
    em_buffer_free(&text);
}

/* Line ends and tabs are seen and take effect. */
static void put_text(em_buffer *out, const char *text) {
    for (size_t n; *text; text += n) {
        n = strcspn(text, "\n\t\r");
        em_put_escaped_n(out, text, n);
        if (text[n] == '\n') em_buffer_puts(out, "<i>↵</i>\n");
        if (text[n] == '\t') em_buffer_puts(out, "<i>⇥</i>\t");
        n += text[n] != 0;
    }
}

static void put_token(const explorer *e, const token *t) {
    if (!t->scored) {
        em_buffer_puts(e->out, "<span class=\"u\" title=\"not scored\">");
    } else {
        em_buffer_puts(e->out, "<span style=\"");
        put_shades(e, t);
        em_buffer_puts(e->out, "\"");
        put_title(e, t);
        em_buffer_puts(e->out, ">");
    }
    put_text(e->out, t->text);
    em_buffer_puts(e->out, "</span>");
}

static void put_means(const explorer *e) {
    static const char *const heads[] = {"Side", "Scored", "Loss", "minus the first"};
    em_table t = em_table_new(1, 4, heads);
    double first = NAN;
    for (int side = 0; side < e->n_sides; side++) {
        double sum = 0;
        int64_t n = 0;
        for (size_t i = 0; i < e->n; i++)
            if (e->shown[i].scored) sum += e->shown[i].nll[side], n++;
        em_buffer name = {0};
        side_name(e->sides[side], &name);
        if (side == 0) first = sum / (double)n;
        em_text_cell(&t, name.data);
        em_integer_cell(&t, n);
        em_number_cell(&t, sum / (double)n, 4);
        em_signed_cell(&t, side ? sum / (double)n - first : NAN, 4);
        em_buffer_free(&name);
    }
    em_page page = {.face = EM_FACE_HTML, .out = e->out};
    em_page_table(&page, &t);
}

static void put_document(explorer *e) {
    em_page page = {.face = EM_FACE_HTML, .out = e->out};
    em_page_heading(&page, 2, "Document %" PRId64 "%s%s", e->document, *e->data_set ? " of " : "",
                    e->data_set);
    put_means(e);
    if (e->tokens > (int64_t)e->n)
        em_page_paragraph(&page,
                          "The first %zu of its %" PRId64 " tokens; the means are over these.",
                          e->n, e->tokens);
    em_buffer_puts(e->out, "<div class=\"text\">");
    for (size_t i = 0; i < e->n; i++) put_token(e, &e->shown[i]);
    em_buffer_puts(e->out, "</div>\n");
    for (int i = 0; i < e->options->n_documents; i++)
        e->found[i] |= e->options->documents[i] == e->document;
    e->written++;
}

/* ---- the page ---- */

static const char style[] =
    ":root{--hot:#f0703a;--cool:#3a86e0}@media "
    "(prefers-color-scheme:dark){:root{--hot:#c2491d;--cool:#1f62b8}}\n"
    ".text{white-space:pre-wrap;overflow-wrap:anywhere;border:1px solid "
    "var(--line);border-radius:8px;padding:.8rem;"
    "font:.9rem/1.75 ui-monospace,\"DejaVu Sans Mono\",Menlo,Consolas,monospace;tab-size:4}\n"
    ".text span{--h:var(--h0,0%);--b:var(--b0,0%);border-radius:2px;"
    "background:color-mix(in srgb,var(--hot) var(--h),color-mix(in srgb,var(--cool) "
    "var(--b),transparent))}"
    ".text .u{background:none;color:var(--soft)}.text span:hover{outline:1px solid var(--fg)}.text "
    "i{font-style:normal;color:var(--soft);opacity:.6}\n"
    ".sides{position:sticky;top:0;background:var(--bg);border-bottom:1px solid "
    "var(--line);padding:.5rem 0;display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;"
    "font-size:.875rem;z-index:1}.sides label{cursor:pointer}\n"
    ".bar{display:inline-block;width:7rem;height:.7rem;border-radius:3px;border:1px solid "
    "var(--line);vertical-align:-1px;margin:0 .4rem;"
    "print-color-adjust:exact}.text span{print-color-adjust:exact}"
    ".loss{background:linear-gradient(90deg,transparent,var(--hot))}.diff{background:linear-"
    "gradient(90deg,var(--cool),transparent,var(--hot))}\n";

static void put_style(em_buffer *out) {
    em_buffer_puts(out, style);
    for (int k = 0; k < MOST_SHADES; k++)
        em_buffer_printf(
            out, "main:has(#k%d:checked) .text span{--h:var(--h%d,0%%);--b:var(--b%d,0%%)}\n", k, k,
            k);
}

static void open_page(em_buffer *out) {
    em_buffer rules = {0};
    put_style(&rules);
    em_html_open(out, "Tokens by their loss", rules.data);
    em_buffer_puts(out, "<h1>Tokens by their loss</h1>\n");
    em_buffer_free(&rules);
}

/* The switch needs no script: what is checked decides which of a token's shades applies. */
static void put_switch(const explorer *e) {
    em_buffer_puts(e->out, "<div class=\"sides\" role=\"radiogroup\" aria-label=\"Shade by\">\n");
    for (int k = 0; k < shades(e); k++) {
        em_buffer name = {0};
        shade_name(e, k, &name);
        em_buffer_printf(e->out, "<label><input type=\"radio\" name=\"k\" id=\"k%d\"%s> ", k,
                         k ? "" : " checked");
        em_put_escaped(e->out, name.data);
        em_buffer_puts(e->out, "</label>\n");
        em_buffer_free(&name);
    }
    em_buffer_printf(
        e->out, "</div>\n<p>Loss: 0 <span class=\"bar loss\"></span> %g nats and more.", FULL_LOSS);
    if (e->n_sides > 1)
        em_buffer_printf(
            e->out,
            " Difference: better by %g <span class=\"bar diff\"></span> worse by %g nats and more.",
            FULL_DIFFERENCE, FULL_DIFFERENCE);
    em_buffer_puts(e->out, " Each token is shaded by what its own prediction cost; hover for the "
                           "numbers. Grey: not scored. Labels: ");
    em_put_escaped(e->out, e->labels.data);
    em_buffer_puts(e->out, ".</p>\n");
    if (e->left_out)
        em_buffer_printf(
            e->out,
            "<p>Shown are %d sides of one label scheme and row length; the file has more.</p>\n",
            e->n_sides);
}

/* ---- reading ---- */

static bool wanted(const explorer *e, const line *l) {
    if (e->options->n_documents == 0)
        return e->written == 0 && (!e->in_document || l->document == e->document);
    for (int i = 0; i < e->options->n_documents; i++)
        if (e->options->documents[i] == l->document) return true;
    return false;
}

static void end_document(explorer *e) {
    if (e->in_document && e->n) put_document(e);
    e->in_document = false;
    free_tokens(e);
}

static bool begin_document(explorer *e, const line *l, em_error *err) {
    if (e->in_document && e->document == l->document && !strcmp(e->data_set, l->data_set))
        return true;
    end_document(e);
    free(e->data_set);
    e->data_set = strdup(l->data_set);
    e->document = l->document;
    e->in_document = true;
    return e->data_set || em_fail_memory(err, strlen(l->data_set), "a page");
}

/* Under unshifted labels the first token of a row is nobody's label; where the document goes on
 * from the row before, it is the document's. */
static bool add_row_start(explorer *e, const line *l, em_error *err) {
    bool continued = e->n && l->position == 0 && e->shown[e->n - 1].row == l->row - 1;
    return !continued || strcmp(e->labels.data, "unshifted") ||
           (e->tokens++, add_token(e, l->text, false, l, err));
}

static bool take(explorer *e, const line *l, em_error *err) {
    if (!wanted(e, l)) return true;
    if (e->n_sides == 0) {
        if (!choose_sides(e, l, err)) return false;
        put_switch(e);
    }
    if (l->seq_len != e->seq_len || !json_object_get(l->nll, e->sides[0]))
        return e->left_out = true;
    if (!begin_document(e, l, err) || !add_row_start(e, l, err)) return false;
    e->tokens++;
    return add_token(e, l->label_text, true, l, err);
}

static bool read_all(explorer *e, em_error *err) {
    const char *text;
    size_t n;
    int got;
    while ((got = em_lines_next(e->lines, &text, &n, err)) == 1) {
        json_error_t problem;
        line l;
        json_t *object = json_loadb(n ? text : "", n, JSON_REJECT_DUPLICATES, &problem);
        bool good = object ? read_line(e, object, &l, err) && take(e, &l, err)
                           : em_lines_fail(e->lines, err, problem.text);
        json_decref(object);
        if (!good) return false;
    }
    end_document(e);
    return got == 0;
}

static bool all_found(const explorer *e, const char *path, em_error *err) {
    for (int i = 0; i < e->options->n_documents; i++)
        if (!e->found[i])
            return em_fail_at(err, EM_INPUT, e->options->source ? e->options->source : path, 0, -1,
                              "holds no prediction of document %" PRId64
                              "; documents are numbered from 0, in "
                              "the order of the data",
                              e->options->documents[i]);
    return e->written > 0 || em_fail_at(err, EM_INPUT, path, 0, -1, "holds no prediction");
}

bool em_explore_html(const char *path, const em_explore_options *options, em_buffer *out,
                     em_error *err) {
    explorer e = {.options = options, .out = out, .lines = em_lines_open(path, true, err)};
    open_page(out);
    bool good = e.lines && read_all(&e, err) && all_found(&e, path, err);
    em_html_close(out);
    free_tokens(&e);
    for (int i = 0; i < e.n_sides; i++) free(e.sides[i]);
    free(e.shown);
    free(e.data_set);
    em_buffer_free(&e.labels);
    em_lines_close(e.lines);
    return good;
}
