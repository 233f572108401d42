/* The difference of two results files for people and for programs. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/output.h"
#include "reports/diff/diff.h"
#include "reports/pages/html.h"
#include "reports/pages/page.h"
#include "reports/results/json.h"
#include "reports/results/names.h"
#include "reports/sections/gates.h"
#include "reports/sections/sections.h"

static const em_result *before_of(const em_diff *d, int row) {
    return &d->before.results->results[d->rows[row].pair.before];
}
static const em_result *after_of(const em_diff *d, int row) {
    return &d->after.results->results[d->rows[row].pair.after];
}

/* ---- for people ---- */

/* The partner's name in the newer file; a star where the two measured different things. */
static void name_cell(em_table *t, const em_diff *d, int row) {
    em_buffer name = {0};
    em_result_name(d->after.results, after_of(d, row), &name);
    if (d->rows[row].pair.likeness == EM_OTHER_MEASURE) em_buffer_puts(&name, " (*)");
    em_text_cell(t, name.data);
    em_buffer_free(&name);
}

static void losses(const em_diff *d, em_page *p) {
    static const char *const heads[] = {"Result", "Before", "After", "Difference", "± SE"};
    em_table t = em_table_new(1, 5, heads);
    for (int i = 0; i < d->pairing.n_pairs; i++) {
        name_cell(&t, d, i);
        em_number_cell(&t, before_of(d, i)->loss, 4);
        em_number_cell(&t, after_of(d, i)->loss, 4);
        em_signed_cell(&t, d->rows[i].figures.difference, 5);
        em_number_cell(&t, d->rows[i].figures.stderr_, 5);
    }
    em_page_table(p, &t);
}

static void certainty(const em_diff *d, em_page *p) {
    static const char *const heads[] = {"Result", "Paired by", "95 % interval", "Resolved by",
                                        "Scored"};
    em_table t = em_table_new(1, 5, heads);
    for (int i = 0; i < d->pairing.n_pairs; i++) {
        const em_difference *f = &d->rows[i].figures;
        name_cell(&t, d, i);
        em_text_cell(&t, d->rows[i].paired ? "document" : "nothing");
        em_interval_cell(&t, f->low, f->high);
        em_number_cell(&t, f->documents_to_resolve, 0);
        em_integer_cell(&t, f->predictions);
    }
    em_page_table(p, &t);
}

static bool any_paired(const em_diff *d, bool paired) {
    for (int i = 0; i < d->pairing.n_pairs; i++)
        if (d->rows[i].paired == paired) return true;
    return false;
}

static bool crosses_documents(const em_diff *d) {
    for (int i = 0; i < d->pairing.n_pairs; i++)
        if (d->rows[i].paired &&
            (before_of(d, i)->groups_are_rows || after_of(d, i)->groups_are_rows))
            return true;
    return false;
}

static void without_interval(const em_diff *d, em_page *p) {
    em_no_intervals lacking = {0};
    char text[320];
    for (int i = 0; i < d->pairing.n_pairs; i++)
        if (d->rows[i].paired) em_no_intervals_add(&lacking, &d->rows[i].figures);
    if (*em_no_intervals_text(&lacking, text)) em_page_item(p, "%s", text);
}

static void unpaired(const em_diff *d, em_page *p) {
    static const char why[] =
        "Paired by nothing: ± SE is that of two independent samples, much wider than a paired one.";
    bool before = d->before.documents == NULL, after = d->after.documents == NULL;
    if (before || after)
        em_page_item(p,
                     "%s For pairing, keep NAME.documents.jsonl.zst beside NAME.json; it is not "
                     "there beside %s%s%s.",
                     why, before ? d->before.name : "", before && after ? " and " : "",
                     after ? d->after.name : "");
    else em_page_item(p, "%s The two scored different predictions.", why);
}

static void how_paired(const em_diff *d, em_page *p) {
    if (any_paired(d, true))
        em_page_item(p, "Paired by document: the same documents on both sides, an interval over "
                        "them. Resolved by: how many documents would put 0 at the edge of a 95 %% "
                        "interval.");
    without_interval(d, p);
    if (crosses_documents(d))
        em_page_item(p, "A mask that crosses documents makes those of one row depend on each "
                        "other; ± SE takes them as independent.");
    if (any_paired(d, false)) unpaired(d, p);
}

static void differences(const em_diff *d, em_page *p) {
    for (int i = 0; i < d->pairing.n_pairs; i++) {
        em_likeness likeness = d->rows[i].pair.likeness;
        if (likeness == EM_SAME_MEASURE) continue;
        em_buffer text = {0};
        em_result_name(d->after.results, after_of(d, i), &text);
        em_buffer_puts(&text, ": ");
        em_pair_differences(&d->pairing, &d->rows[i].pair, &text);
        em_page_item(p, "%s: %s",
                     likeness == EM_OTHER_MEASURE ? "(*) Not the same measure"
                                                  : "The same measure but for the dtype",
                     text.data);
        em_buffer_free(&text);
    }
}

static void alone(const em_diff_side *side, const int *indices, int n, em_page *p) {
    em_buffer names = {0};
    for (int i = 0; i < n; i++) {
        em_buffer_puts(&names, i ? "; " : "");
        em_result_name(side->results, &side->results->results[indices[i]], &names);
    }
    if (n) em_page_item(p, "Only in %s: %s.", side->name, names.data);
    em_buffer_free(&names);
}

/* Each pair of models once. */
static void models(const em_diff *d, em_page *p) {
    for (int i = 0; i < d->pairing.n_pairs; i++) {
        const em_result *a = before_of(d, i), *b = after_of(d, i);
        const char *was = a->fingerprints.model, *is = b->fingerprints.model;
        bool seen = false;
        for (int k = 0; k < i && !seen; k++)
            seen = !strcmp(before_of(d, k)->fingerprints.model, was) &&
                   !strcmp(after_of(d, k)->fingerprints.model, is);
        if (seen) continue;
        if (!strcmp(was, is))
            em_page_item(p, "Model %s: the same weights and config (%s).", b->model, is);
        else em_page_item(p, "Model: %s (%s) before, %s (%s) after.", a->model, was, b->model, is);
    }
}

/* The subset's loss in x; NaN where x has none of it. Subsets are sorted by name. */
static double subset_loss(const em_result *x, const char *name) {
    int low = 0, high = x->n_subsets;
    while (low < high) {
        int middle = (low + high) / 2, order = strcmp(x->subsets[middle].name, name);
        if (order == 0) return em_slice_loss(&x->subsets[middle]);
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return NAN;
}

/* One table a row, alphas aside: a subset may go another way than the mean. */
static void subsets(const em_diff *d, int row, em_page *p) {
    static const char *const heads[] = {"Subset", "Documents", "Before", "After", "Difference"};
    const em_result *a = before_of(d, row), *b = after_of(d, row);
    if (b->n_subsets < 2 || b->has_alpha) return;
    em_buffer name = {0};
    em_result_name(d->after.results, b, &name);
    em_page_heading(p, 2, "By subset: %s", name.data);
    em_buffer_free(&name);
    em_table t = em_table_new(1, 5, heads);
    for (int i = 0; i < b->n_subsets; i++) {
        const em_slice *s = &b->subsets[i];
        double before = subset_loss(a, s->name);
        em_text_cell(&t, *s->name ? s->name : "(none)");
        em_integer_cell(&t, s->documents);
        em_number_cell(&t, before, 4);
        em_number_cell(&t, em_slice_loss(s), 4);
        em_signed_cell(&t, em_slice_loss(s) - before, 4);
    }
    em_page_table(p, &t);
}

static void page(const em_diff *d, const em_results *verdicts, em_page *p) {
    em_page_heading(p, 1, "%s minus %s: loss in nats per token", d->after.name, d->before.name);
    losses(d, p);
    em_gates_page(verdicts->gates, verdicts->n_gates, p);
    em_page_notes(p, false, (const char *const *)verdicts->notes, verdicts->n_notes);
    certainty(d, p);
    how_paired(d, p);
    differences(d, p);
    alone(&d->before, d->pairing.before_alone, d->pairing.n_before_alone, p);
    alone(&d->after, d->pairing.after_alone, d->pairing.n_after_alone, p);
    models(d, p);
    em_page_end_list(p);
    for (int i = 0; i < d->pairing.n_pairs; i++) subsets(d, i, p);
    em_page_paragraph(p, "evalmask %s", EM_VERSION);
}

void em_diff_markdown(const em_diff *d, const em_results *verdicts, em_markdown_style style,
                      em_buffer *out) {
    em_page p = {.face = em_markdown_face(style), .out = out};
    page(d, verdicts, &p);
}

static void html(const em_diff *d, const em_results *verdicts, em_buffer *out) {
    em_page p = {.face = EM_FACE_HTML, .out = out};
    em_html_open(out, "loss: differences", "");
    page(d, verdicts, &p);
    em_html_close(out);
}

/* ---- JSON ---- */

static void put_text(em_buffer *b, const char *key, const char *value) {
    em_buffer_printf(b, "\"%s\": ", key);
    em_buffer_json(b, value, strlen(value));
}

static void put_name(em_buffer *b, const em_results *r, const em_result *x) {
    em_buffer name = {0};
    em_result_name(r, x, &name);
    em_buffer_json(b, name.data, name.length);
    em_buffer_free(&name);
}

static void put_fingerprints(em_buffer *b, const char *key, const em_result *x) {
    em_buffer_printf(b, "\"%s\": {\"data\": \"%s\", \"protocol\": \"%s\", \"model\": \"%s\"}", key,
                     x->fingerprints.data, x->fingerprints.protocol, x->fingerprints.model);
}

static void put_subsets(em_buffer *b, const em_result *before, const em_result *after) {
    em_buffer_puts(b, "\"subsets\": [");
    for (int i = 0; i < after->n_subsets; i++) {
        const em_slice *s = &after->subsets[i];
        em_buffer_puts(b, i ? ",\n       {" : "\n       {");
        put_text(b, "subset", s->name);
        em_buffer_printf(b,
                         ", \"documents\": %" PRId64 ", \"predictions\": %" PRId64 ", \"before\": ",
                         s->documents, s->predictions);
        em_buffer_double(b, subset_loss(before, s->name));
        em_buffer_puts(b, ", \"after\": ");
        em_buffer_double(b, em_slice_loss(s));
        em_buffer_puts(b, ", \"difference\": ");
        em_buffer_double(b, em_slice_loss(s) - subset_loss(before, s->name));
        em_buffer_puts(b, "}");
    }
    em_buffer_puts(b, "]");
}

static void put_row(em_buffer *b, const em_diff *d, int row) {
    static const char *const likeness[] = {"same", "other dtype", "other measure"};
    const em_difference *f = &d->rows[row].figures;
    const em_result *before = before_of(d, row), *after = after_of(d, row);
    const struct {
        const char *key;
        double value;
    } figures[] = {{"before", before->loss},
                   {"after", after->loss},
                   {"difference", f->difference},
                   {"stderr", f->stderr_},
                   {"low", f->low},
                   {"high", f->high},
                   {"documents_to_resolve", f->documents_to_resolve}};
    em_buffer differs = {0};
    em_pair_differences(&d->pairing, &d->rows[row].pair, &differs);
    em_buffer_puts(b, "\n    {\"result\": ");
    put_name(b, d->after.results, after);
    em_buffer_printf(b,
                     ", \"measure\": \"%s\", \"differs\": ", likeness[d->rows[row].pair.likeness]);
    em_buffer_json(b, differs.data ? differs.data : "", differs.length);
    em_buffer_printf(
        b, ",\n     \"predictions\": %" PRId64 ", \"groups\": %" PRId64 ", \"paired\": %s,\n     ",
        f->predictions, f->groups, d->rows[row].paired ? "true" : "false");
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        em_buffer_printf(b, "%s\"%s\": ", i ? ", " : "", figures[i].key);
        em_buffer_double(b, figures[i].value);
    }
    em_buffer_puts(b, ",\n     ");
    put_fingerprints(b, "fingerprints_before", before);
    em_buffer_puts(b, ",\n     ");
    put_fingerprints(b, "fingerprints_after", after);
    em_buffer_puts(b, ",\n     ");
    put_subsets(b, before, after);
    em_buffer_puts(b, "}");
    em_buffer_free(&differs);
}

static void put_alone(em_buffer *b, const char *key, const em_results *r, const int *indices,
                      int n) {
    em_buffer_printf(b, ",\n  \"%s\": [", key);
    for (int i = 0; i < n; i++) {
        if (i) em_buffer_puts(b, ", ");
        put_name(b, r, &r->results[indices[i]]);
    }
    em_buffer_puts(b, "]");
}

static void json(const em_diff *d, const em_results *verdicts, em_buffer *out) {
    em_buffer_printf(out, "{\n  \"evalmask\": \"%s\",\n  ", EM_VERSION);
    put_text(out, "before", d->before.name);
    em_buffer_puts(out, ",\n  ");
    put_text(out, "after", d->after.name);
    em_buffer_puts(out, ",\n  \"differences\": [");
    for (int i = 0; i < d->pairing.n_pairs; i++) {
        if (i) em_buffer_puts(out, ",");
        put_row(out, d, i);
    }
    em_buffer_puts(out, "]");
    put_alone(out, "only_before", d->before.results, d->pairing.before_alone,
              d->pairing.n_before_alone);
    put_alone(out, "only_after", d->after.results, d->pairing.after_alone,
              d->pairing.n_after_alone);
    em_buffer_puts(out, ",\n  ");
    em_gates_json(verdicts->gates, verdicts->n_gates, out);
    em_buffer_puts(out, ",\n  \"notes\": [");
    for (int i = 0; i < verdicts->n_notes; i++) {
        em_buffer_puts(out, i ? ", " : "");
        em_buffer_json(out, verdicts->notes[i], strlen(verdicts->notes[i]));
    }
    em_buffer_puts(out, "]\n}\n");
}

/* ---- files ---- */

static bool ends_with(const char *path, const char *ending) {
    size_t n = strlen(path), m = strlen(ending);
    return n > m && !strcmp(path + n - m, ending);
}

bool em_diff_format(const char *path, em_error *err) {
    return ends_with(path, ".md") || ends_with(path, ".json") || ends_with(path, ".html") ||
           em_fail(err, EM_USAGE, "-o %s: the name must end in .md, .json or .html", path);
}

bool em_diff_write(const em_diff *d, const em_results *verdicts, em_markdown_style style,
                   const char *path, em_error *err) {
    em_output *out = em_output_open(path, err);
    if (!out) return false;
    em_buffer text = {0};
    if (ends_with(path, ".md")) em_diff_markdown(d, verdicts, style, &text);
    else (ends_with(path, ".json") ? json : html)(d, verdicts, &text);
    bool good = em_output_write(out, text.data, text.length, err);
    em_buffer_free(&text);
    if (good) return em_output_commit(out, err);
    em_output_abort(out);
    return false;
}
