/* A token's text in reports. */
#ifndef EM_EVAL_QUOTE_H
#define EM_EVAL_QUOTE_H

#include <stddef.h>
#include "common/buffer.h"

/* "text" in quotes, with what cannot be seen escaped, and cut after 40 characters. Ends the program
 * where memory is out. */
void em_quote(em_buffer *out, const char *text, size_t n);

#endif
