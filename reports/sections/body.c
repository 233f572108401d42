#include "reports/published/published.h"
#include "reports/sections/plots.h"
#include "reports/sections/sections.h"

static void heading(const em_results *r, em_page *p) {
    em_buffer names = {0};
    for (int i = 0; i < r->n_models; i++)
        em_buffer_printf(&names, "%s%s", i ? ", " : "", r->models[i].name);
    if (*r->title) em_page_heading(p, 1, "%s", r->title);
    em_section_published(r, p);
    if (*r->table) em_section_no_intervals(r, p); /* under the tables that it is about */
    em_page_heading(p, *r->title ? 2 : 1, "%s: loss in nats per token%s",
                    names.data ? names.data : "", r->partial ? " (PARTIAL)" : "");
    em_buffer_free(&names);
}

bool em_report_body(const em_results *r, const char *documents, em_page *p, em_error *err) {
    em_shown s = em_shown_of(r);
    heading(r, p);
    em_section_losses(r, &s, p);
    em_section_gates(r, p);
    em_section_notes(r, p);
    em_section_means(r, &s, p);
    em_section_groups(r, &s, p);
    em_section_models(r, &s, p);
    em_section_masks(r, &s, p);
    em_section_lengths(r, &s, p);
    em_section_alphas(r, &s, p);
    if (!*r->table) em_section_no_intervals(r, p);
    em_plot_depths(r, &s, p);
    bool good = em_plot_documents(r, &s, documents, p, err);
    em_section_other_figures(r, &s, p);
    em_section_leaks(r, &s, p);
    em_section_breakdowns(r, &s, p);
    em_section_protocol(r, &s, p);
    return good;
}
