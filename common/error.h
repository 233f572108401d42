/* Errors: filled once, at the deepest place that knows the file, the record and
 * the byte. The first error wins: a second set does nothing, so the cause is
 * never overwritten. Every function that can fail takes an em_error and returns
 * false, NULL or a negative number after setting it. */
#ifndef EM_COMMON_ERROR_H
#define EM_COMMON_ERROR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The value is the process's exit code. */
typedef enum em_status {
    EM_OK = 0,
    EM_GATE = 1,    /* a gate failed: the program worked, the figure got worse */
    EM_USAGE = 2,   /* the command line or a config file is wrong */
    EM_INPUT = 3,   /* a file, record, tensor or tokenizer is bad or unsupported */
    EM_MACHINE = 4, /* memory, disk, device, a broken pipe */
    EM_INTERRUPTED = 130
} em_status;

typedef struct em_error {
    em_status status; /* EM_OK: nothing has gone wrong */
    char text[768];   /* one line without a newline; says what to do next where that helps */
    char source[256]; /* file, tensor or option; a long one keeps its tail after "..." */
    int64_t line;     /* 1-based record or line, 0: none */
    int64_t byte;     /* 0-based offset in the (decompressed) source, -1: none */
} em_error;

/* Start with this, so that byte is -1: em_error err = EM_ERROR_INIT; */
#define EM_ERROR_INIT \
    { EM_OK, "", "", 0, -1 }

/* As EM_ERROR_INIT. */
void em_error_init(em_error *err);

/* Sets status and text if err holds no error yet; control characters in it are shown as escapes.
 * Always returns false, so that `return em_fail(err, EM_INPUT, "...")`
 * reads well. err may be NULL. */
bool em_fail(em_error *err, em_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* As em_fail, and says where. source NULL: none; line 0: none; byte -1: none. */
bool em_fail_at(em_error *err, em_status status, const char *source, int64_t line, int64_t byte,
                const char *format, ...) __attribute__((format(printf, 6, 7)));

/* Adds the place to an error that lacks it; a place already there stays. Returns false. */
bool em_error_place(em_error *err, const char *source, int64_t line, int64_t byte);

/* "source, record 12, byte 345: text" in out (at most n bytes with the NUL); returns out. */
char *em_error_line(const em_error *err, char *out, size_t n);

/* Out of memory, in one form everywhere. Returns false. */
bool em_fail_memory(em_error *err, size_t bytes, const char *what);

#endif
