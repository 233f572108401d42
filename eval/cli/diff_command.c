/* evalmask diff: two results files side by side. */
#include <stdlib.h>
#include <string.h>

#include "common/output.h"
#include "eval/run/baseline.h"
#include "eval/cli/commands.h"
#include "eval/process/step_summary.h"
#include "reports/diff/diff.h"
#include "reports/diff/tolerance.h"

typedef struct file {
    const char *path;
    em_results results;
    char *documents; /* the sidecar; NULL: there is none */
} file;

static bool check_outputs(const em_settings *s, const file *files, em_error *err) {
    for (int i = 0; i < s->output.n_files; i++) {
        if (!em_diff_format(s->output.files[i], err)) return false;
        for (int k = 0; k < 2; k++)
            if (em_same_file(s->output.files[i], files[k].path))
                return em_fail(err, EM_USAGE,
                               "-o %s: diff would write over what it reads; give another name",
                               s->output.files[i]);
    }
    return true;
}

static bool print(const em_settings *s, const em_diff *d, const em_results *verdicts,
                  em_error *err) {
    em_buffer text = {0};
    em_diff_markdown(d, verdicts, EM_MARKDOWN_GITHUB, &text);
    em_step_summary(text.data, text.length, s->output.quiet);
    em_buffer_clear(&text);
    em_diff_markdown(d, verdicts, s->output.markdown, &text);
    bool good = em_print(text.data, text.length, err) == 0;
    em_buffer_free(&text);
    for (int i = 0; good && i < s->output.n_files; i++)
        good = em_diff_write(d, verdicts, s->output.markdown, s->output.files[i], err);
    return good;
}

/* Reports come before the verdict: what did not pass is in them. */
static bool compare(const em_settings *s, const file *files, em_error *err) {
    em_diff d;
    em_results verdicts = {0}; /* gates and notes only */
    em_error verdict = EM_ERROR_INIT;
    bool good =
        em_diff_make(&d, (em_diff_side){&files[0].results, files[0].path, files[0].documents},
                     (em_diff_side){&files[1].results, files[1].path, files[1].documents}, err) &&
        (s->anyway || em_diff_comparable(&d, "--anyway compares them all the same", err));
    if (good && s->output.has_tolerance)
        em_tolerance_judge(&d, s->output.tolerance, &verdicts, &verdict);
    good = good && print(s, &d, &verdicts, err);
    if (good && verdict.status != EM_OK) *err = verdict;
    em_results_free(&verdicts);
    em_diff_free(&d);
    return err->status == EM_OK;
}

int em_command_diff(const em_settings *s, em_error *err) {
    file files[2] = {{.path = s->arguments[0]}, {.path = s->arguments[1]}};
    bool good = true;
    for (int i = 0; good && i < 2; i++)
        good = em_diff_read(files[i].path, &files[i].results, &files[i].documents, err);
    good = good && check_outputs(s, files, err) && compare(s, files, err);
    for (int i = 0; i < 2; i++) {
        em_results_free(&files[i].results);
        free(files[i].documents);
    }
    return good ? EM_OK : (int)err->status;
}
