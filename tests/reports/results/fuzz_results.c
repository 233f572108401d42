/* Any bytes as a results file: read or refused; what is read can be shown, and its JSON reads back
 * to the same JSON. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "reports/results/csv.h"
#include "reports/results/json.h"
#include "reports/results/read.h"
#include "reports/formats/formats.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    em_error err = EM_ERROR_INIT;
    em_results r;
    em_buffer first = {0}, second = {0};
    if (em_results_parse("FILE", (const char *)data, size, &r, &err)) {
        em_results again;
        em_report_markdown(&r, EM_MARKDOWN_PLAIN, &second);
        em_report_markdown(&r, EM_MARKDOWN_GITHUB, &second);
        em_report_csv(&r, &second);
        em_report_junit(&r, &second);
        if (!em_report_html(&r, NULL, &second, &err)) abort();
        em_buffer_clear(&second);
        em_report_json(&r, &first);
        if (!em_results_parse("FILE", first.data, first.length, &again, &err)) abort();
        em_report_json(&again, &second);
        if (first.length != second.length || memcmp(first.data, second.data, first.length)) abort();
        em_results_free(&again);
    } else if (err.status == EM_OK || !*err.text) {
        abort();
    }
    em_results_free(&r);
    em_buffer_free(&first);
    em_buffer_free(&second);
    return 0;
}
