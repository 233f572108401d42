/* Any bytes as a file of --tokens: a page or an error, and nothing of the file in the page that is
 * not escaped. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "reports/explore/explore.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[] = "/tmp/fuzz-explore-XXXXXX";
    int file = mkstemp(path);
    if (file < 0 || write(file, data, size) != (ssize_t)size || close(file)) abort();
    for (int n = 0; n < 2; n++) {
        em_error err = EM_ERROR_INIT;
        em_buffer page = {0};
        em_explore_options options = {.documents = {1}, .n_documents = n};
        bool good = em_explore_html(path, &options, &page, &err);
        if (good != (err.status == EM_OK)) abort();
        if (strstr(page.data, "<script")) abort();
        em_buffer_free(&page);
    }
    unlink(path);
    return 0;
}
