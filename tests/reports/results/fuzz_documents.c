/* Any bytes as a sidecar: as the file itself, and as the lines inside of one. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zstd.h>

#include "reports/results/documents.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(const void *data, size_t size) {
    char path[64];
    em_error err = EM_ERROR_INIT;
    em_document_line line;
    int fd = memfd_create("fuzz", MFD_CLOEXEC), got = -1, more = 1000;
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    em_documents *d = em_documents_open(path, &err);
    while (d && more-- && (got = em_documents_next(d, &line, &err)) > 0) {
        if (line.n < 1 || line.document < 0 || line.bytes < 0 || line.seq_len < 0) abort();
        for (int i = 0; i < line.n; i++)
            if (line.predictions[i] < 0) abort();
    }
    if (got < 0 && err.status != EM_INPUT) abort();
    em_documents_close(d);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static ZSTD_CCtx *zstd; /* a new one for each input took most of the time */
    size_t bound = ZSTD_compressBound(size);
    void *packed = malloc(bound);
    if (!zstd) zstd = ZSTD_createCCtx();
    if (!packed || !zstd) abort();
    size_t n = ZSTD_compressCCtx(zstd, packed, bound, data, size, 1);
    if (ZSTD_isError(n)) abort();
    read_all(data, size);
    read_all(packed, n);
    free(packed);
    return 0;
}
