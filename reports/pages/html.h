/* What every HTML page of ours has in common: one file, nothing loaded, light and dark, no script.
 */
#ifndef EM_REPORTS_HTML_H
#define EM_REPORTS_HTML_H

#include "common/buffer.h"

/* From <!doctype> to <main>; style: further rules, or "". */
void em_html_open(em_buffer *out, const char *title, const char *style);
void em_html_close(em_buffer *out);

#endif
