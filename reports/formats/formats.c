#include "reports/formats/formats.h"

#include <string.h>

#include "common/output.h"
#include "reports/results/csv.h"
#include "reports/results/json.h"

static bool fill_json(const em_results *r, const em_report_options *o, em_buffer *out,
                      em_error *err) {
    em_report_json(r, out);
    return true;
}

static bool fill_markdown(const em_results *r, const em_report_options *o, em_buffer *out,
                          em_error *err) {
    em_report_markdown(r, o->markdown, out);
    return true;
}

static bool fill_html(const em_results *r, const em_report_options *o, em_buffer *out,
                      em_error *err) {
    return em_report_html(r, o->documents, out, err);
}

static bool fill_csv(const em_results *r, const em_report_options *o, em_buffer *out,
                     em_error *err) {
    em_report_csv(r, out);
    return true;
}

static bool fill_junit(const em_results *r, const em_report_options *o, em_buffer *out,
                       em_error *err) {
    em_report_junit(r, out);
    return true;
}

static const struct {
    const char *ending, *name;
    bool (*fill)(const em_results *, const em_report_options *, em_buffer *, em_error *);
} formats[] = {
    // clang-format off
    {".json", "JSON", fill_json},
    {".md", "Markdown", fill_markdown},
    {".html", "HTML", fill_html},
    {".csv", "CSV", fill_csv},
    {".xml", "JUnit XML", fill_junit},
    // clang-format on
};
enum { N_FORMATS = sizeof formats / sizeof *formats };

static bool no_format(const char *path, em_error *err) {
    em_buffer list = {0};
    for (int i = 0; i < N_FORMATS; i++)
        em_buffer_printf(&list, "%s%s",
                         i == 0               ? ""
                         : i == N_FORMATS - 1 ? " or "
                                              : ", ",
                         formats[i].ending);
    em_fail(err, EM_USAGE, "-o %s: the name must end in %s", path, list.data);
    em_buffer_free(&list);
    return false;
}

static int find_format(const char *path, em_error *err) {
    size_t n = strlen(path);
    for (int i = 0; i < N_FORMATS; i++) {
        size_t m = strlen(formats[i].ending);
        if (n > m && !strcmp(path + n - m, formats[i].ending)) return i;
    }
    no_format(path, err);
    return -1;
}

const char *em_report_format_of(const char *path, em_error *err) {
    int i = find_format(path, err);
    return i < 0 ? NULL : formats[i].name;
}

bool em_report_write(const em_results *r, const em_report_options *options, const char *path,
                     em_error *err) {
    int i = find_format(path, err);
    em_output *out = i < 0 ? NULL : em_output_open(path, err);
    if (!out) return false;
    em_buffer text = {0};
    bool good = formats[i].fill(r, options, &text, err) &&
                em_output_write(out, text.data, text.length, err);
    em_buffer_free(&text);
    if (good) return em_output_commit(out, err);
    em_output_abort(out);
    return false;
}
