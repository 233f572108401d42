/* JUnit XML as CI systems read it (the Surefire and Jenkins schemas): a suite a data set, a case a
 * result; gates are a suite of their own. A figure is a property of its case's suite, named
 * CASE.figure: cases have no properties in either schema. Times are 0: results hold none. */
#include <math.h>
#include <string.h>

#include "reports/formats/formats.h"
#include "reports/pages/escape.h"
#include "reports/results/names.h"

static void put_attribute(em_buffer *b, const char *name, const char *value) {
    em_buffer_printf(b, " %s=\"", name);
    for (size_t n; *value; value += n) {
        n = strcspn(value, "\n\r\t");
        em_put_escaped_n(b, value, n);
        if (value[n]) em_buffer_puts(b, " "), n++;
    }
    em_buffer_puts(b, "\"");
}

static void put_property(em_buffer *b, const char *case_name, const char *figure,
                         const char *value) {
    em_buffer name = {0};
    em_buffer_printf(&name, "%s%s%s", case_name, *case_name ? "." : "", figure);
    em_buffer_puts(b, "      <property");
    put_attribute(b, "name", name.data);
    put_attribute(b, "value", value);
    em_buffer_puts(b, "/>\n");
    em_buffer_free(&name);
}

static void put_figure(em_buffer *b, const char *case_name, const char *figure, double value) {
    em_buffer text = {0};
    if (!isfinite(value)) return;
    em_buffer_double(&text, value);
    put_property(b, case_name, figure, text.data);
    em_buffer_free(&text);
}

/* What the results of a data set share: enough to find their suite again. */
static void result_properties(em_buffer *b, const em_results *r, const em_result *x) {
    const struct {
        const char *key;
        double value;
    } figures[] = {{"loss", x->loss},
                   {"stderr", x->stderr_},
                   {"loss_batch_mean", x->loss_batch_mean},
                   {"loss_doc_mean", x->loss_doc_mean},
                   {"loss_no_boundary", x->loss_no_boundary},
                   {"perplexity", x->perplexity},
                   {"bits_per_byte", x->bits_per_byte},
                   {"bits_per_byte_all", x->bits_per_byte_all},
                   {"top1", x->top1},
                   {"predictions", (double)x->predictions},
                   {"leak", x->leak}};
    em_buffer name = {0};
    em_result_name(r, x, &name);
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
        put_figure(b, name.data, figures[i].key, figures[i].value);
    put_property(b, name.data, "fingerprint_data", x->fingerprints.data);
    put_property(b, name.data, "fingerprint_protocol", x->fingerprints.protocol);
    put_property(b, name.data, "fingerprint_model", x->fingerprints.model);
    em_buffer_free(&name);
}

static void put_comparison_properties(em_buffer *b, const em_comparison *x) {
    em_buffer name = {0};
    bool masks = x->kind == EM_COMPARE_MASKS;
    em_buffer_printf(&name, "%s minus %s, ", masks ? x->mask : x->after,
                     masks ? x->mask_before : x->before);
    if (masks)
        em_buffer_printf(&name, "%s, %s minus %s", x->after, x->positions, x->positions_before);
    else em_buffer_printf(&name, "%s, %s", x->mask, x->positions);
    em_buffer_printf(&name, ", %s, T %d", x->labels, x->seq_len);
    if (x->depth != EM_NO_DEPTH) em_buffer_printf(&name, ", depth %d", x->depth);
    if (x->has_alpha) em_buffer_printf(&name, ", alpha %g", x->alpha);
    put_figure(b, name.data, "difference", x->all.difference);
    put_figure(b, name.data, "low", x->all.low);
    put_figure(b, name.data, "high", x->all.high);
    if (x->has_kl) put_figure(b, name.data, "kl_mean", x->kl_mean);
    em_buffer_free(&name);
}

static void open_suite(em_buffer *b, const char *name, int tests, int failures) {
    em_buffer_puts(b, "  <testsuite");
    put_attribute(b, "name", name);
    em_buffer_printf(b, " tests=\"%d\" failures=\"%d\" errors=\"0\" skipped=\"0\" time=\"0\">\n",
                     tests, failures);
}

static void put_case(em_buffer *b, const char *class, const char *name) {
    em_buffer_puts(b, "    <testcase");
    put_attribute(b, "classname", class);
    put_attribute(b, "name", name);
    em_buffer_puts(b, " time=\"0\"");
}

static bool of_set(const char *data_set, const char *name) { return !strcmp(data_set, name); }

static void put_properties(em_buffer *b, const em_results *r, const char *set) {
    em_buffer_puts(b, "    <properties>\n");
    put_property(b, "", "evalmask", em_results_version(r));
    for (int i = 0; i < r->n_protocol; i++)
        put_property(b, "protocol", r->protocol[i].key, r->protocol[i].value);
    for (int i = 0; i < r->n_results; i++)
        if (of_set(r->results[i].data_set, set)) result_properties(b, r, &r->results[i]);
    for (int i = 0; i < r->n_comparisons; i++)
        if (of_set(r->comparisons[i].data_set, set))
            put_comparison_properties(b, &r->comparisons[i]);
    em_buffer_puts(b, "    </properties>\n");
}

static void put_data_set(em_buffer *b, const em_results *r, const char *set) {
    int n = 0;
    em_buffer name = {0};
    em_buffer_printf(&name, "evalmask%s%s", *set ? "." : "", set);
    for (int i = 0; i < r->n_results; i++) n += of_set(r->results[i].data_set, set);
    open_suite(b, name.data, n, 0);
    put_properties(b, r, set);
    for (int i = 0; i < r->n_results; i++) {
        if (!of_set(r->results[i].data_set, set)) continue;
        em_buffer label = {0};
        em_result_name(r, &r->results[i], &label);
        put_case(b, name.data, label.data);
        em_buffer_puts(b, "/>\n");
        em_buffer_free(&label);
    }
    em_buffer_puts(b, "  </testsuite>\n");
    em_buffer_free(&name);
}

static void put_gates(em_buffer *b, const em_results *r) {
    int failures = 0;
    if (r->n_gates == 0) return;
    for (int i = 0; i < r->n_gates; i++) failures += !r->gates[i].passed;
    open_suite(b, "evalmask.gates", r->n_gates, failures);
    em_buffer_puts(b, "    <properties>\n");
    for (int i = 0; i < r->n_gates; i++) {
        const em_gate *g = &r->gates[i];
        put_figure(b, g->name, "baseline", g->baseline);
        put_figure(b, g->name, "current", g->current);
        put_figure(b, g->name, "difference", g->difference);
        put_figure(b, g->name, "tolerance", g->tolerance);
    }
    em_buffer_puts(b, "    </properties>\n");
    for (int i = 0; i < r->n_gates; i++) {
        const em_gate *g = &r->gates[i];
        put_case(b, "evalmask.gates", g->name);
        if (g->passed) {
            em_buffer_puts(b, "/>\n");
            continue;
        }
        em_buffer_puts(b, ">\n      <failure");
        put_attribute(b, "message", g->message);
        em_buffer_puts(b, " type=\"gate\">");
        em_put_escaped(b, g->message);
        em_buffer_puts(b, "</failure>\n    </testcase>\n");
    }
    em_buffer_puts(b, "  </testsuite>\n");
}

static int all_failures(const em_results *r) {
    int n = 0;
    for (int i = 0; i < r->n_gates; i++) n += !r->gates[i].passed;
    return n;
}

void em_report_junit(const em_results *r, em_buffer *out) {
    em_buffer_puts(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    em_buffer_printf(
        out,
        "<testsuites name=\"evalmask\" tests=\"%d\" failures=\"%d\" errors=\"0\" time=\"0\">\n",
        r->n_results + r->n_gates, all_failures(r));
    for (int i = 0; i < r->n_data_sets; i++) put_data_set(out, r, r->data_sets[i].name);
    put_gates(out, r);
    em_buffer_puts(out, "</testsuites>\n");
}
