/* The report for people and pull requests. */
#include "reports/formats/formats.h"
#include "reports/pages/page.h"
#include "reports/sections/sections.h"

void em_report_markdown(const em_results *r, em_markdown_style style, em_buffer *out) {
    em_page p = {.face = em_markdown_face(style), .out = out};
    em_report_body(r, NULL, &p, NULL);
}
