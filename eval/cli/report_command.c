/* evalmask report: the reports of a results file. */
#include <stdlib.h>
#include <unistd.h>

#include "common/output.h"
#include "eval/cli/commands.h"
#include "eval/setup/inputs.h"
#include "reports/results/documents.h"
#include "reports/results/read.h"
#include "reports/formats/formats.h"

static bool print_and_write(const em_settings *s, const em_results *results, em_error *err) {
    em_buffer text = {0};
    char *documents = em_documents_path(s->arguments[0]);
    em_report_options options = {.markdown = s->output.markdown,
                                 .documents = documents && access(documents, F_OK) == 0 ? documents
                                                                                        : NULL};
    em_report_markdown(results, s->output.markdown, &text);
    bool good = em_print(text.data, text.length, err) == 0;
    for (int i = 0; good && i < s->output.n_files; i++)
        good = em_report_write(results, &options, s->output.files[i], err);
    em_buffer_free(&text);
    free(documents);
    return good;
}

static bool writes_apart(const em_settings *s, em_error *err) {
    em_inputs inputs = {0};
    char *documents = em_documents_path(s->arguments[0]);
    bool good = em_inputs_add(&inputs, s->arguments[0], "its results", err) &&
                (!documents || em_inputs_add(&inputs, documents, "its results", err)) &&
                em_inputs_apart(&inputs, s->output.files, s->output.n_files, err);
    em_inputs_free(&inputs);
    free(documents);
    return good;
}

int em_command_report(const em_settings *settings, em_error *err) {
    em_results results;
    for (int i = 0; i < settings->output.n_files; i++)
        if (!em_report_format_of(settings->output.files[i], err)) return err->status;
    bool good = em_results_read(settings->arguments[0], &results, err) &&
                writes_apart(settings, err) && print_and_write(settings, &results, err);
    em_results_free(&results);
    return good ? EM_OK : err->status;
}
