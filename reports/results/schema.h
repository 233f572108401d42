/* The JSON Schema of results.json (draft 2020-12), made of the fields. */
#ifndef EM_REPORTS_SCHEMA_H
#define EM_REPORTS_SCHEMA_H

#include "common/buffer.h"

/* Appends the schema. It demands what this version always writes, and allows fields that it does
 * not know, as files of later versions have. */
void em_results_schema(em_buffer *out);

#endif
