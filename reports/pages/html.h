/* What every HTML page of ours has in common: one file, nothing loaded, light and dark, no script.
 */
#ifndef EM_REPORTS_HTML_H
#define EM_REPORTS_HTML_H

#include "common/buffer.h"

/* Appends all from <!doctype> to <main>; title is escaped, style is further rules, or "". */
void em_html_open(em_buffer *out, const char *title, const char *style);
/* Appends what closes it. */
void em_html_close(em_buffer *out);

#endif
