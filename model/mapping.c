#include "model/mapping.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static bool map(em_mapping *m, int fd, em_error *err) {
    struct stat st;
    if (fstat(fd, &st)) return em_fail_at(err, EM_INPUT, m->path, 0, -1, "%s", strerror(errno));
    if (!S_ISREG(st.st_mode))
        return em_fail_at(err, EM_INPUT, m->path, 0, -1, "is no regular file");
    m->data = "";
    m->size = (size_t)st.st_size;
    if (m->size == 0) return true;
    void *p = mmap(NULL, m->size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED) {
        m->size = 0;
        return em_fail_at(err, EM_MACHINE, m->path, 0, -1, "cannot be mapped: %s", strerror(errno));
    }
    m->data = p;
    return true;
}

bool em_mapping_open(em_mapping *m, const char *path, em_error *err) {
    *m = (em_mapping){.path = strdup(path)};
    if (!m->path) return em_fail_memory(err, strlen(path), path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a named pipe must not make us wait */
    bool good = fd >= 0 ? map(m, fd, err)
                        : em_fail_at(err, EM_INPUT, path, 0, -1, "%s", strerror(errno));
    if (fd >= 0) close(fd); /* the mapping stays */
    if (!good) em_mapping_close(m);
    return good;
}

void em_mapping_close(em_mapping *m) {
    if (m->size) munmap((void *)m->data, m->size);
    free(m->path);
    *m = (em_mapping){0};
}
