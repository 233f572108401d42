#include "reports/formats/formats.h"
#include "reports/pages/html.h"
#include "reports/sections/sections.h"

bool em_report_html(const em_results *r, const char *documents, em_buffer *out, em_error *err) {
    em_buffer title = {0};
    em_page p = {.face = EM_FACE_HTML, .out = out};
    for (int i = 0; i < r->n_models; i++)
        em_buffer_printf(&title, "%s%s", i ? ", " : "", r->models[i].name);
    em_buffer_puts(&title, ": loss");
    em_html_open(out, *r->title ? r->title : title.data, "");
    em_buffer_free(&title);
    bool good = em_report_body(r, documents, &p, err);
    em_html_close(out);
    return good;
}
