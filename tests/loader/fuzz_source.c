/* Any bytes as a compressed stream: read in small and in large pieces, with the same verdict, and
 * where that is good the same bytes. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/buffer.h"
#include "loader/source.h"

#define MOST ((size_t)4 << 20) /* decompressed bytes that are looked at */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool read_all(const char *path, size_t piece, em_buffer *out, em_error *err) {
    static const em_source_options options = {20};
    static char buffer[1 << 16];
    em_source *s = em_source_open(path, &options, err);
    ptrdiff_t got = -1;
    while (s && out->length < MOST && (got = em_source_read(s, buffer, piece, err)) > 0)
        if (!em_buffer_append(out, buffer, (size_t)got, NULL)) abort();
    em_source_close(s);
    return got >= 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[64];
    em_buffer small = {0}, large = {0};
    em_error err_small = EM_ERROR_INIT, err_large = EM_ERROR_INIT;
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    bool good = read_all(path, sizeof path, &small, &err_small);
    bool same = good == read_all(path, 1 << 16, &large, &err_large);
    size_t n = small.length < large.length ? small.length : large.length;
    if (small.length < MOST && large.length < MOST &&
        (!same || (good && small.length != large.length)))
        abort();
    if (n && memcmp(small.data, large.data, n)) abort();
    if (!good && (err_small.status != EM_INPUT || !err_small.text[0])) abort();
    em_buffer_free(&small);
    em_buffer_free(&large);
    close(fd);
    return 0;
}
