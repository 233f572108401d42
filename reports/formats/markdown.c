/* The report for people and pull requests. */
#include "reports/pages/page.h"
#include "reports/formats/formats.h"
#include "reports/sections/sections.h"

void em_report_markdown(const em_results *r, em_markdown_style style, em_buffer *out) {
    em_page p = {.face = style == EM_MARKDOWN_GITHUB ? EM_FACE_GITHUB : EM_FACE_PLAIN, .out = out};
    em_report_body(r, NULL, &p, NULL);
}
