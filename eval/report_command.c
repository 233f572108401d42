/* evalmask report: the reports of a results file. */
#include "common/output.h"
#include "eval/commands.h"
#include "reports/read.h"
#include "reports/reports.h"

static bool print_and_write(const em_settings *s, const em_results *results, em_error *err) {
    em_buffer text = {0};
    em_report_markdown(results, &text);
    bool good = em_print(text.data, text.length, err) == 0;
    em_buffer_free(&text);
    for (int i = 0; good && i < s->n_outputs; i++) good = em_report_write(results, s->outputs[i], err);
    return good;
}

int em_command_report(const em_settings *settings, em_error *err) {
    em_results results;
    for (int i = 0; i < settings->n_outputs; i++)
        if (!em_report_format_of(settings->outputs[i], err)) return err->status;
    bool good = em_results_read(settings->arguments[0], &results, err) && print_and_write(settings, &results, err);
    em_results_free(&results);
    return good ? EM_OK : err->status;
}
