/* Stands in for libFuzzer where the compiler has none: gives every file of the corpus
 * folders on the command line to the target once. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path) {
    FILE *f = fopen(path, "rb");
    if (!f) return 0;
    uint8_t *data = NULL;
    size_t size = 0, capacity = 0, n;
    do {
        if (size == capacity &&
            !(data = realloc(data, capacity = capacity ? 2 * capacity : 1 << 16)))
            abort();
        n = fread(data + size, 1, capacity - size, f);
        size += n;
    } while (n);
    fclose(f);
    uint8_t *exact = malloc(size ? size : 1); /* so that AddressSanitizer sees the true end */
    if (!exact) abort();
    for (size_t i = 0; i < size; i++) exact[i] = data[i];
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    free(data);
    return 1;
}

int main(int argc, char **argv) {
    int files = 0;
    for (int i = 1; i < argc; i++) {
        DIR *d = opendir(argv[i]);
        if (!d) {
            perror(argv[i]);
            return 1;
        }
        for (struct dirent *e; (e = readdir(d));) {
            char path[4096];
            if (e->d_name[0] == '.') continue;
            snprintf(path, sizeof path, "%s/%s", argv[i], e->d_name);
            files += replay(path);
        }
        closedir(d);
    }
    printf("%d files replayed\n", files);
    return files == 0;
}
