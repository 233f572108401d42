/* What Python's json writes beyond RFC 8259, made into JSON that jansson reads. */
#ifndef EM_TESTS_LOADER_PYTHON_JSON_H
#define EM_TESTS_LOADER_PYTHON_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include "common/buffer.h"

/* A copy of the line with {} for NaN, Infinity and -Infinity (no text and no group, wherever they
 * stand) and \ufffd for half a surrogate pair; *halves: whether there was one. The caller's to
 * free. */
em_buffer python_json(const char *line, size_t n, bool *halves);

#endif
