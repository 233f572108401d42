/* Text inside HTML and XML. */
#ifndef EM_REPORTS_ESCAPE_H
#define EM_REPORTS_ESCAPE_H

#include "common/buffer.h"

/* Appends text with &, <, > and quotes escaped, for elements and attributes of HTML and XML;
 * what common/shown.h shows as an escape is one here too, but for tabs and line ends. Text is
 * NUL-terminated or [n] bytes. */
void em_put_escaped(em_buffer *out, const char *text);
void em_put_escaped_n(em_buffer *out, const char *text, size_t n);

#endif
