/* Any bytes as a journal: records are found or not, and what is found can be read. */
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "eval/run/journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_record(int file, int64_t offset, int64_t end) {
    em_error err = EM_ERROR_INIT;
    em_buffer content = {0};
    if (offset < 0 || offset >= end || !em_record_read(file, offset, &content, &err) ||
        content.length > (size_t)(end - offset))
        abort();
    em_buffer_free(&content);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    em_error err = EM_ERROR_INIT;
    em_records r;
    int file = memfd_create("journal", 0);
    if (file < 0 || write(file, data, size) != (ssize_t)size) abort();
    if (em_records_scan(file, (int64_t)size, &r, &err)) {
        if (r.end > (int64_t)size) abort();
        read_record(file, r.head, r.end);
        for (size_t i = 0; i < r.n_streams; i++) read_record(file, r.streams[i], r.end);
        if (r.point >= 0) read_record(file, r.point, r.end);
    } else if (err.status != EM_INPUT) {
        abort();
    }
    em_records_free(&r);
    close(file);
    return 0;
}
