#include "common/error.h"

#include <stdio.h>
#include <string.h>

#include "common/shown.h"

void em_error_init(em_error *err) { *err = (em_error)EM_ERROR_INIT; }

static void set_source(em_error *err, const char *source) {
    if (!source || !*source) return;
    size_t n = strlen(source), room = sizeof err->source - 1;
    char shown[sizeof err->source];
    if (n <= room) memcpy(shown, source, n + 1);
    else snprintf(shown, sizeof shown, "...%s", source + n - (room - 3));
    em_show(err->source, sizeof err->source, shown);
}

static void set(em_error *err, em_status status, const char *format, va_list args) {
    err->status = status;
    char text[sizeof err->text];
    vsnprintf(text, sizeof text, format, args);
    em_show(err->text, sizeof err->text, text);
}

bool em_fail(em_error *err, em_status status, const char *format, ...) {
    if (!err || err->status != EM_OK) return false;
    va_list args;
    va_start(args, format);
    set(err, status, format, args);
    va_end(args);
    err->byte = -1;
    return false;
}

bool em_fail_at(em_error *err, em_status status, const char *source, int64_t line, int64_t byte,
                const char *format, ...) {
    if (!err || err->status != EM_OK) return false;
    va_list args;
    va_start(args, format);
    set(err, status, format, args);
    va_end(args);
    set_source(err, source);
    err->line = line;
    err->byte = byte;
    return false;
}

bool em_error_place(em_error *err, const char *source, int64_t line, int64_t byte) {
    if (!err || err->status == EM_OK) return false;
    if (!err->source[0]) set_source(err, source);
    if (err->line == 0) err->line = line;
    if (err->byte < 0) err->byte = byte;
    return false;
}

char *em_error_line(const em_error *err, char *out, size_t n) {
    char where[384] = "";
    int used = snprintf(where, sizeof where, "%s", err->source);
    if (err->line > 0)
        used += snprintf(where + used, sizeof where - (size_t)used, "%srecord %lld",
                         used ? ", " : "", (long long)err->line);
    if (err->byte >= 0)
        used += snprintf(where + used, sizeof where - (size_t)used, "%sbyte %lld", used ? ", " : "",
                         (long long)err->byte);
    snprintf(out, n, "%s%s%s", where, used ? ": " : "", err->text);
    return out;
}

bool em_fail_memory(em_error *err, size_t bytes, const char *what) {
    return em_fail(err, EM_MACHINE, "out of memory: %zu bytes for %s", bytes, what);
}
