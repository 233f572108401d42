#include "reports/reports.h"

#include <string.h>

#include "common/output.h"

static const struct { const char *ending, *name; void (*fill)(const em_results *, em_buffer *); } formats[] = {
    {".json", "JSON", em_report_json},
    {".md", "Markdown", em_report_markdown},
};
enum { N_FORMATS = sizeof formats / sizeof *formats };

static int find_format(const char *path, em_error *err) {
    size_t n = strlen(path);
    for (int i = 0; i < N_FORMATS; i++) {
        size_t m = strlen(formats[i].ending);
        if (n > m && !strcmp(path + n - m, formats[i].ending)) return i;
    }
    em_fail(err, EM_USAGE, "-o %s: the name must end in .json or .md", path);
    return -1;
}

const char *em_report_format_of(const char *path, em_error *err) {
    int i = find_format(path, err);
    return i < 0 ? NULL : formats[i].name;
}

bool em_report_write(const em_results *r, const char *path, em_error *err) {
    int i = find_format(path, err);
    em_output *out = i < 0 ? NULL : em_output_open(path, err);
    if (!out) return false;
    em_buffer text = {0};
    formats[i].fill(r, &text);
    bool good = em_output_write(out, text.data, text.length, err);
    em_buffer_free(&text);
    if (good) return em_output_commit(out, err);
    em_output_abort(out);
    return false;
}
