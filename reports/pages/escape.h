/* Text inside HTML and XML. */
#ifndef EM_REPORTS_ESCAPE_H
#define EM_REPORTS_ESCAPE_H

#include "common/buffer.h"

/* Appends text with &, <, > and quotes escaped, for elements and attributes of HTML and XML;
 * control characters that XML forbids become U+FFFD. Text is NUL-terminated or [n] bytes. */
void em_put_escaped(em_buffer *out, const char *text);
void em_put_escaped_n(em_buffer *out, const char *text, size_t n);

#endif
