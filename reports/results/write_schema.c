/* Writes the schema to stdout, when the program is built. */
#include <stdio.h>

#include "reports/results/schema.h"

int main(void) {
    em_buffer schema = {0};
    em_results_schema(&schema);
    bool good = fwrite(schema.data, 1, schema.length, stdout) == schema.length;
    em_buffer_free(&schema);
    return good && fflush(stdout) == 0 ? 0 : 1;
}
