/* Memory does not grow with the shard: the resident peak of a child process that reads it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "loader/loader.h"
#include "make.h"

#if defined(__has_feature) /* clang's way to say it */
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED \
    1 /* freed memory is kept aside: peaks mean nothing, and a shorter stream will do */
#else
#define SANITIZED 0
#endif

static int read_everything(const char *path, int64_t documents) {
    em_loader_options o = {.paths = &path, .n_paths = 1, .keys = {"text", "group"}, .workers = 3};
    em_error err = EM_ERROR_INIT;
    const em_document *d;
    int64_t n = 0;
    int got;
    em_loader *l = em_loader_open(&o, &err);
    while ((got = em_loader_next(l, &d, &err)) > 0) n++;
    em_loader_close(l);
    return got < 0 || n != documents;
}

/* kB that a child needs at most to read the file. */
static long peak(const char *path, int64_t documents) {
    struct rusage usage;
    int status;
    pid_t child = fork();
    if (child == 0) _exit(read_everything(path, documents));
    assert_int_equal(wait4(child, &status, 0, &usage), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return usage.ru_maxrss;
}

/* count documents of n bytes each, packed as frames of some MB. */
static const char *make_shard(const char *name, size_t n, int64_t count) {
    em_buffer frame = {0}, shard = {0};
    size_t per_frame = n < (1u << 20) ? (1u << 20) / n : 1;
    for (size_t i = 0; i < per_frame; i++) {
        em_buffer_puts(&frame, "{\"text\":\"");
        for (size_t words = 0; words < n / 8; words++) em_buffer_puts(&frame, "a word. ");
        em_buffer_puts(&frame, "\"}\n");
    }
    for (int64_t left = count; left > 0; left -= (int64_t)per_frame)
        add_zstd(&shard, frame.data, frame.length);
    const char *path = make_file(name, shard.data, shard.length);
    em_buffer_free(&frame);
    em_buffer_free(&shard);
    return path;
}

static void peak_does_not_depend_on_the_shard(void **state) {
    const int64_t few = 30 * 256,
                  many = SANITIZED ? 2 * few : 10 * few; /* 4 kB each: 30 and 300 MB */
    long small = peak(make_shard("small.zst", 4096, few), few);
    long large = peak(make_shard("large.zst", 4096, many), many);
    print_message("peak: %ld kB for 30 MB, %ld kB for %d MB\n", small, large, SANITIZED ? 60 : 300);
    if (!SANITIZED) assert_true(large < small + 4096);
}

/* The ring has room for 256 documents; of huge ones it holds one or two. */
static void huge_documents_are_not_queued(void **state) {
    const int64_t n_many = SANITIZED ? 4 : 16;
    long few = peak(make_shard("few.zst", 16 << 20, 3), 3);
    long many = peak(make_shard("many.zst", 16 << 20, n_many), n_many);
    print_message("peak: %ld kB for 3 documents of 16 MB, %ld kB for %d\n", few, many, (int)n_many);
    if (!SANITIZED) assert_true(many < few + (32 << 10) && many < 300 << 10);
}

/* A value of a megabyte that a later one replaces stays in none of the ring's slots. */
static void replaced_values_are_not_kept(void **state) {
    const int64_t count = SANITIZED ? 8 : 200;
    em_buffer line = {0}, shard = {0};
    em_buffer_puts(&line, "{\"group\":\"");
    for (int i = 0; i < 1 << 17; i++) em_buffer_puts(&line, "a word. ");
    em_buffer_puts(&line, "\",\"group\":\"g\",\"text\":\"x\"}\n");
    for (int64_t i = 0; i < count; i++) add_zstd(&shard, line.data, line.length);
    long kilobytes = peak(make_file("replaced.zst", shard.data, shard.length), count);
    em_buffer_free(&line);
    em_buffer_free(&shard);
    print_message("peak: %ld kB\n", kilobytes);
    if (!SANITIZED) assert_true(kilobytes < 64 << 10);
}

static int set_up(void **state) {
    make_folder();
    return 0;
}

static int tear_down(void **state) {
    make_clean();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(peak_does_not_depend_on_the_shard, set_up, tear_down),
        cmocka_unit_test_setup_teardown(huge_documents_are_not_queued, set_up, tear_down),
        cmocka_unit_test_setup_teardown(replaced_values_are_not_kept, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
